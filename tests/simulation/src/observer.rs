//! The observer: knows what people did and what the sites hold, and nothing of the engine's records.
//!
//! People write a tag into each worklog's text and enter no value in it twice, so that everything on a site can be traced
//! to who entered it, and when, and what they saw when they did. From that alone follows what a client may do:
//!
//! - make a worklog only where there is none of that tag, from values that people entered;
//! - change a value only to one that people entered, and never to one that whoever entered the present value had
//!   before their eyes or could have had: that would put an older value over a newer one;
//! - delete a worklog only when a person deleted it, or moved it away, elsewhere; once per such act;
//! - write only to issues that are linked.
//!
//! One thing no client can help: Tempo's API has no conditional write, so a person who edits a worklog between the
//! client's reading and its writing is overwritten unseen. Such an edit is *raced*, and excused, but only when it
//! was made on the site written to, after that process last read it.
//!
//! And one that no client can know: when the answer to a write is lost, or the process dies before it has recorded
//! it, and a person changes, moves or deletes that very worklog before anybody looked again, then what they had
//! before their eyes is nobody's to tell. Tags to which that happened are counted. If it was an update, it is no longer
//! judged whose value or delete is the newer one. If it was a create, nothing is but that its values were entered and
//! that it stands where it may: a copy moved elsewhere in that moment, say, is a worklog of its own from then on.
//!
//! Two sites may have ways of their own. One shows a time of day of its own whatever it is sent: what it shows is no value,
//! counts as none, and stands on the other side only where nobody entered a time. One puts words of its own where a worklog
//! has no text: there, these words are no text. A worklog without a text has no tag in it; it is known by who entered it, and
//! its copy by its hours.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use tandem_sim::{LedgerChange, Worklog};

use crate::alike::Alikes;

/// A field of a worklog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Which pair of issues.
    Issue,
    /// Who did the work.
    Author,
    /// The day.
    StartDate,
    /// The time of day.
    StartTime,
    /// Seconds spent.
    TimeSpent,
    /// Billable seconds.
    Billable,
    /// The text, tag included.
    Description,
    /// The attribute that both sides share.
    Shared,
}

impl Field {
    /// Those that an update can carry over. An issue is left by a delete and a create.
    pub const EDITED: [Self; 7] = [
        Self::Author,
        Self::StartDate,
        Self::StartTime,
        Self::TimeSpent,
        Self::Billable,
        Self::Description,
        Self::Shared,
    ];
}

type Values = BTreeMap<Field, String>;

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Timestamp,
    /// Which rule, in a few words: failures of one kind say the same here.
    pub rule: &'static str,
    /// The story.
    pub what: String,
}

/// Where the client's last looks were when it sent a request.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Who sent it.
    pub process: String,
    /// Path to the moment of its last reading, by site.
    pub at: BTreeMap<(String, String), Timestamp>,
    /// Whether it left only long after it was sent: its process stood still in that very moment, past every check.
    pub held_up: bool,
}

/// A value that somebody entered.
#[derive(Clone, Debug, Default)]
struct Entered {
    /// Values that it replaced, and those that these replaced, and so on.
    older: BTreeSet<String>,
    /// Whether it was raced, or lost a conflict, or went with a deleted worklog: nobody expects it to survive.
    let_go: bool,
    /// When it was entered last.
    at: Timestamp,
}

/// A worklog on a site.
#[derive(Clone, Debug)]
struct Place {
    id: u64,
    issue: u64,
    values: Values,
    /// The attribute of that site alone.
    own: Option<String>,
    /// When a person last changed it here.
    touched: Option<Timestamp>,
    /// What a client wrote of it and has not recorded yet.
    unrecorded: Unheard,
    /// What a client that wrote it knew of other sites, or whoever made it.
    known: Timestamp,
    /// The request upon which the site put words of its own on it, until that is heard of and the other site has no text
    /// either.
    filled: Option<String>,
}

/// A client's write that was not recorded when people acted upon it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Unheard {
    /// There was none.
    #[default]
    Nothing,
    /// What they had before their eyes is nobody's to tell.
    Update,
    /// Nor is which worklog is the copy.
    Create,
}

impl Unheard {
    /// Says whether a rule is judged all the same.
    fn judges(self, rule: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::Update => !OF_WHAT_THEY_KNEW.contains(&rule),
            Self::Create => WHATEVER_ANYBODY_KNEW.contains(&rule),
        }
    }
}

/// A person's act that takes a worklog away from where it was.
#[derive(Clone, Debug)]
struct Removal {
    site: String,
    id: u64,
    issue: u64,
    at: Timestamp,
    moved: bool,
    /// What it said when it went.
    seen: Values,
    /// Until when what other sites say was known there.
    known: Timestamp,
    /// Sites on which the client has followed.
    followed: BTreeSet<String>,
}

/// What there is of one tag.
#[derive(Clone, Debug, Default)]
struct Root {
    values: BTreeMap<Field, BTreeMap<String, Entered>>,
    places: BTreeMap<String, Place>,
    removals: Vec<Removal>,
    /// Fields in which a person's edit raced the client's write or delete: nobody can say what should be.
    raced: BTreeSet<Field>,
    /// What a client had written and not recorded when a person acted on it. A create that left later than any may
    /// counts as well.
    unheard: Unheard,
    /// What such a create made beside another twin, by site.
    beside: BTreeSet<(String, u64)>,
    /// Whether it stood on an issue without a twin, for which its twin may have gone with all that stood there alone.
    was_out: bool,
    /// A client carried words of a site's own elsewhere, where that was nobody's fault.
    refilled: bool,
}

/// What the observer is told about the world before it begins.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Issue ids by site, to the number of their link.
    pub links: BTreeMap<(String, u64), usize>,
    /// Account ids by site, to the person.
    pub people: BTreeMap<(String, String), String>,
    /// How far listings may lag.
    pub lag: SignedDuration,
    /// The site that has words of its own for the attribute that both sides share.
    pub other_words: Option<String>,
    /// The site that shows a time of day of its own.
    pub timeless: Option<String>,
    /// The site that puts words of its own where a worklog has no text.
    pub default_text: Option<String>,
}

/// A worklog that is not the same on all sites.
#[derive(Clone, Debug)]
pub struct Apart {
    /// Its tag.
    pub tag: String,
    /// Site, id and issue wherever it stands.
    pub places: Vec<(String, u64, u64)>,
}

/// The observer.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    setting: Setting,
    roots: BTreeMap<String, Root>,
    /// The tags of all worklogs that ever were, by site and id.
    tags: BTreeMap<(String, u64), String>,
    /// Those that nothing but their times of day tell apart.
    alikes: Alikes,
    /// Requests whose answers were heard.
    heard: BTreeSet<String>,
    /// Worklogs, by site, that a person deleted in Jira's own screen: Tempo hears of it later, a client may at once.
    deleted_in_jira: BTreeSet<(String, u64)>,
    sent: BTreeMap<String, Reads>,
    /// What must not happen, and did.
    pub broken: Vec<Broken>,
    /// Creates, updates and deletes of the client.
    pub written: [usize; 3],
    /// Values that the client carried over to a worklog that was there, by field.
    pub carried: BTreeMap<Field, usize>,
    /// How many of those were none: no attribute, no billable time.
    pub emptied: BTreeMap<Field, usize>,
    /// Changes by people.
    pub acts: usize,
    /// Edits that nobody could have saved.
    pub raced: usize,
    /// Acts on what was written and not recorded.
    pub unheard: usize,
    /// Creates that left later than any may.
    pub late_creates: usize,
    /// Words of a site's own that passed for somebody's.
    pub refilled: usize,
}

/// What a site puts where a worklog has no text.
pub const FILLED_IN: &str = "Working on it";

/// The time of day that a site shows whatever it is sent; nobody begins that early.
pub const SHOWN_TIME: Time = Time::constant(5, 0, 0, 0);

/// What texts begin with that are the same on two worklogs.
pub const ALIKE: &str = "alike ";

/// The attribute that is mapped between the sites.
pub const SHARED: &str = "_Shared_";

/// What its values begin with,
pub const WORD: &str = "shared ";

/// and where a site has words of its own.
pub const OTHER_WORD: &str = "geteilt ";

/// The attribute that each site has for itself.
pub const OWN: &str = "_Own_";

/// The account that stands for whoever has none, in lives that have one.
pub const ROBOT: &str = "robot";

/// Splits a text into the name that stands in front of it, with its brackets, and the rest.
pub fn named(text: &str) -> (&str, &str) {
    match text.find(']').filter(|_| text.starts_with('[')) {
        Some(end) => {
            let (name, rest) = text.split_at(end + 1);
            (name, rest.trim_start())
        }
        None => ("", text),
    }
}

/// Says whether a request was sent by the process of this name.
fn is_of(agent: &str, process: &str) -> bool {
    agent
        .strip_prefix(process)
        .is_some_and(|number| number.starts_with('/'))
}

fn has_no_text(place: &Place) -> bool {
    place.values.get(&Field::Description).is_none_or(String::is_empty)
}

/// Says whether a worklog comes to say what a site puts where there is no text.
fn becomes_filled_in(change: &LedgerChange) -> bool {
    let says = |worklog: &Option<Worklog>| {
        let text = worklog
            .as_ref()
            .and_then(|worklog| worklog.description.as_deref());
        text.is_some_and(|text| named(text).1 == FILLED_IN)
    };
    says(&change.after) && !says(&change.before)
}

/// Says whether two worklogs say the same, as far as both tell.
fn say_the_same(left: &Values, right: &Values) -> bool {
    let mut all = left.iter();
    all.all(|(field, value)| right.get(field).is_none_or(|other| other == value))
}

/// Returns the tag that a text begins with, behind a name.
pub fn tag(text: Option<&str>) -> Option<&str> {
    let word = named(text?).1.split_whitespace().next()?;
    (word.starts_with('w') && word[1..].bytes().all(|byte| byte.is_ascii_digit())).then_some(word)
}

impl Observer {
    /// Begins.
    pub fn new(setting: Setting) -> Self {
        Self {
            setting,
            ..Self::default()
        }
    }

    /// Notes a request that may change something, under the name it is sent by.
    pub fn sends(&mut self, agent: String, reads: Reads) {
        self.sent.insert(agent, reads);
    }

    /// Notes that such a request left only long after it was sent.
    pub fn leaves_late(&mut self, agent: &str) {
        if let Some(reads) = self.sent.get_mut(agent) {
            reads.held_up = true;
        }
    }

    /// Notes that a person deletes a worklog in Jira's own screen.
    pub fn deletes_in_jira(&mut self, site: &str, worklog: u64) {
        self.deleted_in_jira.insert((site.to_owned(), worklog));
    }

    /// Notes that the answer to a request reached its process.
    pub fn hears(&mut self, agent: &str) {
        self.heard.insert(agent.to_owned());
    }

    /// Notes that a process could not record what it had heard.
    pub fn forgets(&mut self, process: &str) {
        self.heard.retain(|agent| !is_of(agent, process));
    }

    /// Notes that a client, by a process of this name, has recorded what it had written to a worklog.
    pub fn records(&mut self, worklog: u64, process: &str) {
        self.alikes.records(worklog);
        let is_its_own = |agent: &String| is_of(agent, process) && self.heard.contains(agent);
        for root in self.roots.values_mut() {
            let mut says_nothing = root.places.values().map(has_no_text);
            let is_agreed = says_nothing.all(|nothing| nothing);
            for place in root.places.values_mut().filter(|place| place.id == worklog) {
                place.unrecorded = Unheard::Nothing;
                if is_agreed && place.filled.as_ref().is_some_and(is_its_own) {
                    place.filled = None;
                }
            }
        }
    }

    /// Notes that a person makes a worklog, which need not have its tag in its text.
    pub fn enters(&mut self, site: &str, worklog: u64, tag: String) {
        self.tags.insert((site.to_owned(), worklog), tag);
    }

    /// Returns the tag of a worklog: that in its text, or who is known to have entered it, or whose hours it has.
    pub fn tag_of(&self, site: &str, worklog: &Worklog) -> Option<String> {
        let known = self.tags.get(&(site.to_owned(), worklog.id)).cloned();
        let told = || tag(worklog.description.as_deref()).map(str::to_owned);
        let by_its_hours = || {
            let text = named(worklog.description.as_deref().unwrap_or_default()).1;
            let secs = worklog.time_spent_secs.to_string();
            let has_them = |root: &Root| {
                let entered = root.values.get(&Field::TimeSpent);
                entered.is_some_and(|entered| entered.contains_key(&secs))
            };
            let mut roots = self.roots.iter().filter(|_| text.is_empty() || text == FILLED_IN);
            roots.find(|(_, root)| has_them(root)).map(|(tag, _)| tag.clone())
        };
        known.or_else(told).or_else(by_its_hours)
    }

    pub(crate) fn breaks(&mut self, at: Timestamp, rule: &'static str, what: String) {
        if self.broken.len() < 20 {
            self.broken.push(Broken { at, rule, what });
        }
    }

    fn values(&self, site: &str, worklog: &Worklog, refilled: bool) -> Values {
        let text = worklog.description.as_deref().unwrap_or_default();
        // Where the robot stands for somebody, it is somebody's.
        let (name, own) = named(text);
        let (author, text) = match (worklog.author.as_str(), name) {
            (ROBOT, "[Eve Moor]") => ("eve".to_owned(), own),
            (ROBOT, name) if name.starts_with("[eve-") => ("eve".to_owned(), own),
            (author, _) => {
                let person = self.setting.people.get(&(site.to_owned(), author.to_owned()));
                let stranger = || format!("stranger {author}");
                (person.cloned().unwrap_or_else(stranger), text)
            }
        };
        let is_filled_in = refilled || self.setting.default_text.as_deref() == Some(site);
        let text = match text {
            FILLED_IN if is_filled_in => "",
            text => text,
        };
        let issue = (site.to_owned(), worklog.issue);
        let mut values = BTreeMap::from([
            (
                Field::Issue,
                match self.setting.links.get(&issue) {
                    Some(link) => format!("link {link}"),
                    None => format!("issue {} of {site}", worklog.issue),
                },
            ),
            (Field::Author, author),
            (Field::StartDate, worklog.start_date.to_string()),
            (Field::StartTime, worklog.start_time.to_string()),
            (Field::TimeSpent, worklog.time_spent_secs.to_string()),
            (Field::Billable, worklog.billable_secs.to_string()),
            (Field::Description, text.to_owned()),
        ]);
        let shared = worklog.attributes.get(SHARED).cloned().unwrap_or_default();
        let shared = match self.setting.other_words.as_deref() == Some(site) {
            // What is not in its words is not what anybody entered.
            true if !shared.is_empty() => match shared.strip_prefix(OTHER_WORD) {
                Some(number) => format!("{WORD}{number}"),
                None => format!("not in words of {site}: {shared}"),
            },
            _ => shared,
        };
        values.insert(Field::Shared, shared);
        if self.setting.timeless.as_deref() == Some(site) {
            values.remove(&Field::StartTime);
        }
        values
    }

    /// Takes note of a change to a worklog.
    pub fn saw(&mut self, change: &LedgerChange) {
        let Some(worklog) = change.before.as_ref().or(change.after.as_ref()) else {
            return;
        };
        if crate::alike::is_one(worklog) {
            let (late, timeless) = (self.is_held_up(change), self.setting.timeless.clone());
            self.late_creates += usize::from(late);
            if let Err((rule, what)) = self.alikes.saw(change, late, timeless.as_deref()) {
                self.breaks(change.at, rule, what);
            }
            return;
        }
        let Some(tag) = self.tag_of(&change.site, worklog) else {
            self.breaks(
                change.at,
                "a worklog that nobody entered",
                format!("{:?}", change.after),
            );
            return;
        };
        self.tags.insert((change.site.clone(), worklog.id), tag.clone());
        let mut root = self.roots.remove(&tag).unwrap_or_default();
        self.refills(&mut root, change);
        match &change.client {
            None => self.person(&mut root, change),
            Some(agent) => {
                let reads = self.sent.get(agent).cloned().unwrap_or_default();
                let judged = self.broken.len();
                if self.is_held_up(change) {
                    self.late_creates += 1;
                    root.unheard = Unheard::Create;
                }
                self.client(&tag, &mut root, change, &reads);
                let mut nth = 0;
                self.broken.retain(|broken| {
                    nth += 1;
                    nth <= judged || root.unheard.judges(broken.rule)
                });
            }
        }
        let is_out = |(site, place): (&String, &Place)| !self.is_linked(site, place.issue);
        root.was_out |= root.places.iter().any(is_out);
        self.roots.insert(tag, root);
    }

    /// Says whether a change is a create that left later than any may.
    fn is_held_up(&self, change: &LedgerChange) -> bool {
        let sent = change.client.as_ref().and_then(|agent| self.sent.get(agent));
        change.before.is_none() && sent.is_some_and(|reads| reads.held_up)
    }

    /// Takes note of words of a site's own that a client carries elsewhere, where that is nobody's fault: nobody has heard of
    /// the write without a text upon which the site put them there, or the text that was cleared there still stands elsewhere,
    /// or people changed a copy of whose create nobody had heard.
    fn refills(&mut self, root: &mut Root, change: &LedgerChange) {
        let is_elsewhere = self.setting.default_text.as_ref() != Some(&change.site);
        let mut others = root.places.iter().filter(|(site, _)| **site != change.site);
        let in_doubt = root.unheard == Unheard::Create || others.any(|(_, place)| place.filled.is_some());
        if change.client.is_some() && is_elsewhere && becomes_filled_in(change) && in_doubt {
            self.refilled += 1;
            root.refilled = true;
        }
    }

    fn person(&mut self, root: &mut Root, change: &LedgerChange) {
        self.acts += 1;
        let site = change.site.as_str();
        let after = change
            .after
            .as_ref()
            .map(|worklog| (worklog, self.values(site, worklog, root.refilled)));
        // Deleted in Jira's screen, and made anew by a client before Tempo had heard of it.
        let replaced = change.after.is_none()
            && root
                .places
                .get(site)
                .zip(change.before.as_ref())
                .is_some_and(|(place, before)| place.id != before.id);
        if replaced {
            return;
        }
        let old = root.places.remove(site);
        let unrecorded = old.as_ref().map(|old| old.unrecorded).unwrap_or_default();
        self.unheard += usize::from(unrecorded != Unheard::Nothing);
        root.unheard = root.unheard.max(unrecorded);
        match (old, after) {
            (old, Some((worklog, values))) => {
                let before = old.as_ref().map(|old| &old.values);
                for (field, value) in &values {
                    let seen = before.and_then(|before| before.get(field));
                    if seen == Some(value) {
                        continue;
                    }
                    let entered = root.values.entry(*field).or_default();
                    let mut older = BTreeSet::new();
                    if let Some(seen) = seen {
                        older.extend(
                            entered
                                .get(seen)
                                .map(|seen| seen.older.clone())
                                .unwrap_or_default(),
                        );
                        older.insert(seen.clone());
                    }
                    older.remove(value);
                    // A value that comes back is as new as its return.
                    for other in entered.values_mut() {
                        other.older.remove(value);
                    }
                    let now = Entered {
                        older,
                        let_go: false,
                        at: change.at,
                    };
                    entered.insert(value.clone(), now);
                }
                if let Some(old) = &old
                    && old.issue != worklog.issue
                {
                    root.removals.push(Removal {
                        site: site.to_owned(),
                        id: old.id,
                        issue: old.issue,
                        at: change.at,
                        moved: true,
                        known: old.known,
                        seen: old.values.clone(),
                        followed: BTreeSet::new(),
                    });
                }
                root.places.insert(
                    site.to_owned(),
                    Place {
                        id: worklog.id,
                        issue: worklog.issue,
                        values,
                        own: worklog.attributes.get(OWN).cloned(),
                        touched: Some(change.at),
                        unrecorded: Unheard::Nothing,
                        known: old.as_ref().map_or(change.at, |old| old.known),
                        filled: old.and_then(|old| old.filled),
                    },
                );
            }
            (Some(old), None) => {
                // What stood only here goes with it.
                let elsewhere: Vec<Values> = root.places.values().map(|place| place.values.clone()).collect();
                for (field, value) in &old.values {
                    if elsewhere.iter().all(|values| values.get(field) != Some(value))
                        && let Some(known) = root.values.get_mut(field)
                    {
                        let_go(known, value);
                    }
                }
                let told = self.deleted_in_jira.remove(&(site.to_owned(), old.id))
                    && root
                        .removals
                        .iter()
                        .any(|removal| removal.site == site && !removal.moved);
                if !told {
                    root.removals.push(Removal {
                        site: site.to_owned(),
                        id: old.id,
                        issue: old.issue,
                        at: change.at,
                        moved: false,
                        known: old.known,
                        seen: old.values,
                        followed: BTreeSet::new(),
                    });
                }
            }
            (None, None) => {}
        }
    }

    /// When the client last saw a worklog, or an issue that it is or was on, at the latest. Who never looked has no race
    /// to lose.
    fn read_at(&self, root: &Root, reads: &Reads, site: &str, worklog: u64, issue: u64) -> Timestamp {
        let read = |path: String| reads.at.get(&(site.to_owned(), path));
        let of_issue = |issue: u64| read(format!("/tempo/4/worklogs/issue/{issue}"));
        let here = of_issue(issue).max(read(format!("/tempo/4/worklogs/{worklog}")));
        // Where it had been, in case the client only knows it from there.
        let left = root
            .removals
            .iter()
            .filter(|left| left.site == site && left.id == worklog);
        let newest = here.or_else(|| left.filter_map(|left| of_issue(left.issue)).max());
        newest.map_or(Timestamp::MAX, |at| *at - self.setting.lag)
    }

    /// The same of all that there is of a worklog, or `here` where that is earlier.
    fn all_read_at(&self, root: &Root, reads: &Reads, here: Timestamp) -> Timestamp {
        let places = root.places.iter();
        places
            .map(|(site, place)| self.read_at(root, reads, site, place.id, place.issue))
            .fold(here, Timestamp::min)
    }

    fn client(&mut self, tag: &str, root: &mut Root, change: &LedgerChange, reads: &Reads) {
        let site = change.site.as_str();
        let at = change.at;
        let story = |what: String| format!("{tag} on {site} by {}: {what}", reads.process);
        let after = change
            .after
            .as_ref()
            .map(|worklog| (worklog, self.values(site, worklog, root.refilled)));
        let old = root.places.get(site).cloned();
        match after {
            Some((worklog, values)) => {
                for (field, value) in &values {
                    let known = root.values.entry(*field).or_default();
                    // It has to have some, and nobody entered one, or it went with what had it.
                    if *field == Field::StartTime
                        && change.before.is_none()
                        && self.setting.timeless.is_some()
                        && *value == SHOWN_TIME.to_string()
                    {
                        // The shown one itself may have been written over somebody's, in a race that was counted then.
                        if known
                            .iter()
                            .any(|(other, entered)| other != value && !entered.let_go)
                        {
                            self.breaks(at, "a time of day is lost", story(format!("{known:?}")));
                        }
                        known.entry(value.clone()).or_insert(NOBODYS);
                    } else if !known.contains_key(value) {
                        self.breaks(at, INVENTED, story(format!("{field:?} becomes {value:?}")));
                    }
                }
                let linked = |issue| self.setting.links.contains_key(&(site.to_owned(), issue));
                let moved_meanwhile = change.before.as_ref().is_some_and(|before| {
                    let read_at = self.read_at(root, reads, site, before.id, before.issue);
                    old.as_ref()
                        .and_then(|old| old.touched)
                        .is_some_and(|touched| touched >= read_at)
                });
                if !linked(worklog.issue) && !moved_meanwhile {
                    self.breaks(at, UNLINKED, story(format!("{worklog:?}")));
                }
                match (&change.before, old) {
                    (None, old) => self.creates(root, change, worklog, values, old.as_ref(), reads, &story),
                    (Some(before), Some(old)) => {
                        self.updates(root, change, before, worklog, values, &old, reads, &story);
                    }
                    (Some(_), None) => {}
                }
            }
            None => {
                if let Some(old) = &old {
                    self.deletes(root, change, old, reads, &story);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one story, told in three parts")]
    fn creates(
        &mut self,
        root: &mut Root,
        change: &LedgerChange,
        worklog: &Worklog,
        values: Values,
        old: Option<&Place>,
        reads: &Reads,
        story: &impl Fn(String) -> String,
    ) {
        self.written[0] += 1;
        let site = change.site.as_str();
        let deleted = |old: &Place| self.deleted_in_jira.contains(&(site.to_owned(), old.id));
        if let Some(old) = old.filter(|old| !deleted(old)) {
            self.breaks(
                change.at,
                "a second twin",
                story(format!("{} is made beside {}", worklog.id, old.id)),
            );
            root.beside.insert((site.to_owned(), worklog.id));
            return;
        }
        if let Some(old) = old {
            // What stood only there went with it.
            for (field, value) in &old.values {
                let elsewhere = |(other, place): (&String, &Place)| {
                    other != site && place.values.get(field) == Some(value)
                };
                if !root.places.iter().any(elsewhere)
                    && let Some(known) = root.values.get_mut(field)
                {
                    let_go(known, value);
                }
            }
        }
        let source = !root.places.is_empty();
        let gone_meanwhile = root.removals.iter().any(|removal| {
            let read_at = self.read_at(root, reads, &removal.site, removal.id, removal.issue);
            removal.site != site && removal.at >= read_at
        });
        if !source && !gone_meanwhile {
            self.breaks(
                change.at,
                "a worklog made of nothing",
                story("there is none like it on any other site".into()),
            );
        }
        let seen_at = self.all_read_at(root, reads, Timestamp::MAX);
        // A person deleted it here: it may only come back for an edit that they had not seen, or when somebody moved it
        // elsewhere since, such as back from an issue without a twin.
        let unseen = |removal: &Removal| {
            root.places.values().any(|place| {
                place.values.iter().any(|(field, value)| {
                    let known = root.values.get(field);
                    let Some(seen) = removal.seen.get(field) else {
                        // A time of day that does not show here: what is newer than what was written here.
                        let entered = known.and_then(|known| known.get(value));
                        return entered.is_some_and(|one| !one.older.is_empty() && one.at > removal.known);
                    };
                    seen != value
                        && !known
                            .and_then(|known| known.get(seen))
                            .is_some_and(|seen| seen.older.contains(value))
                })
            })
        };
        let deleted = root.removals.iter().any(|removal| {
            let moved_since = |other: &Removal| other.moved && other.site != site && other.at > removal.at;
            let of_here = removal.site == site && !removal.moved;
            of_here && !unseen(removal) && !root.removals.iter().any(moved_since)
        });
        // Words of the site's own passed for an edit, see `refills`.
        let is_refill = root.refilled && becomes_filled_in(change);
        if deleted && !gone_meanwhile && source && !is_refill {
            self.breaks(
                change.at,
                "a deleted worklog comes back",
                story("nothing changed that whoever deleted it had not seen".into()),
            );
        }
        // It is there again: what took it away is dealt with.
        root.removals
            .retain(|removal| removal.moved || removal.site != site);
        root.places.insert(
            site.to_owned(),
            Place {
                id: worklog.id,
                issue: worklog.issue,
                values,
                own: worklog.attributes.get(OWN).cloned(),
                touched: None,
                unrecorded: Unheard::Create,
                known: seen_at,
                filled: None,
            },
        );
    }

    #[expect(clippy::too_many_arguments, reason = "one story, told in three parts")]
    fn updates(
        &mut self,
        root: &mut Root,
        change: &LedgerChange,
        before: &Worklog,
        worklog: &Worklog,
        values: Values,
        old: &Place,
        reads: &Reads,
        story: &impl Fn(String) -> String,
    ) {
        self.written[1] += 1;
        let site = change.site.as_str();
        let read_at = self.read_at(root, reads, site, before.id, before.issue);
        let raced = old.touched.is_some_and(|touched| touched >= read_at);
        let all_read_at = self.all_read_at(root, reads, read_at);
        let own = worklog.attributes.get(OWN).cloned();
        // Words of the site's own passed for an edit, see `refills`; whose is the newer one, a policy may say.
        let is_refill = root.refilled && becomes_filled_in(change);
        if own != old.own && !raced {
            self.breaks(
                change.at,
                "an attribute of one side is changed",
                story(format!("{:?} becomes {own:?}", old.own)),
            );
        }
        for (field, value) in &values {
            let Some(present) = old.values.get(field).filter(|present| *present != value) else {
                continue;
            };
            *self.carried.entry(*field).or_default() += 1;
            if value.is_empty() || value == "0" {
                *self.emptied.entry(*field).or_default() += 1;
            }
            let Some(known) = root.values.get_mut(field) else {
                continue;
            };
            let newer = known.get(present).filter(|present| present.older.contains(value));
            let older = newer.is_some();
            // Somebody set the other side back, to what stands here, after that was read: the next look carries it over, and
            // has to.
            if newer.is_some_and(|newer| newer.at >= all_read_at) {
                self.raced += 1;
            } else if older && (raced || *field == Field::Description && is_refill) {
                self.raced += 1;
                root.raced.insert(*field);
            } else if older {
                self.breaks(
                    change.at,
                    "an older value over a newer one",
                    story(format!(
                        "{field:?} {present:?} becomes {value:?}, which it had replaced"
                    )),
                );
            }
            // Whatever it was, from here on the new one stands, and the other must not come back by itself.
            let mut beaten = known.get(present).map(|p| p.older.clone()).unwrap_or_default();
            beaten.insert(present.clone());
            beaten.remove(value);
            let newer = known
                .get(value)
                .is_some_and(|value| value.older.contains(present));
            if !newer {
                let_go(known, present);
                if let Some(lost) = known.get_mut(present) {
                    lost.older.remove(value);
                }
            }
            if let Some(winner) = known.get_mut(value) {
                winner.older.append(&mut beaten);
                winner.let_go = false;
            }
        }
        let filled = match becomes_filled_in(change) {
            true => change.client.clone(),
            false => old.filled.clone(),
        };
        root.places.insert(
            site.to_owned(),
            Place {
                known: all_read_at,
                filled: filled.filter(|_| self.setting.default_text.as_deref() == Some(site)),
                id: worklog.id,
                issue: worklog.issue,
                values,
                own,
                // Whoever looked before that has lost the same race.
                touched: old.touched,
                unrecorded: old.unrecorded.max(Unheard::Update),
            },
        );
    }

    fn deletes(
        &mut self,
        root: &mut Root,
        change: &LedgerChange,
        old: &Place,
        reads: &Reads,
        story: &impl Fn(String) -> String,
    ) {
        self.written[2] += 1;
        let site = change.site.as_str();
        let read_at = self.read_at(root, reads, site, old.id, old.issue);
        let raced = old.touched.is_some_and(|touched| touched >= read_at);
        // Of a tag with two worklogs here, whose second nobody can judge, the one that is kept in mind may be the other.
        let it = change.before.as_ref().is_some_and(|before| before.id == old.id);
        if it && !self.is_linked(site, old.issue) && !raced {
            self.breaks(change.at, UNLINKED, story(format!("{} goes", old.id)));
        }
        let in_jira = |(other, place): &(&String, &Place)| {
            other.as_str() != site && self.deleted_in_jira.contains(&((*other).clone(), place.id))
        };
        let told = root.places.iter().find(in_jira);
        let open = |removal: &Removal| removal.site != site && !removal.followed.contains(site);
        if let Some((other, place)) = told
            && !root.removals.iter().any(open)
        {
            root.removals.push(Removal {
                site: other.clone(),
                id: place.id,
                issue: place.issue,
                at: change.at,
                moved: false,
                known: place.known,
                seen: place.values.clone(),
                followed: BTreeSet::new(),
            });
        }
        let licence = root
            .removals
            .iter_mut()
            .find(|removal| removal.site != site && !removal.followed.contains(site));
        let mut is_moved = false;
        match licence {
            Some(removal) => {
                removal.followed.insert(site.to_owned());
                is_moved = removal.moved && !root.was_out;
            }
            None => self.breaks(
                change.at,
                "a delete that nobody asked for",
                story(format!("{} goes", old.id)),
            ),
        }
        if raced {
            self.raced += 1;
            root.raced.extend(old.values.keys());
        }
        for (field, value) in &old.values {
            let elsewhere = root
                .places
                .iter()
                .any(|(other, place)| other != site && place.values.get(field) == Some(value));
            // What follows a move is made again with the time of day that the other site does not show.
            let stays = *field == Field::StartTime
                && is_moved
                && !raced
                && root
                    .places
                    .iter()
                    .any(|(other, place)| other != site && !place.values.contains_key(field));
            if !elsewhere
                && !stays
                && let Some(known) = root.values.get_mut(field)
            {
                let_go(known, value);
            }
        }
        root.places.remove(site);
    }

    /// Says whether somebody entered a value in a field of a worklog, ever and on any site.
    pub fn was_entered(&self, tag: &str, field: Field, value: &str) -> bool {
        let values = self.roots.get(tag).and_then(|root| root.values.get(&field));
        values.is_some_and(|values| values.contains_key(value))
    }

    /// Says whether an issue has a twin.
    pub fn is_linked(&self, site: &str, issue: u64) -> bool {
        self.setting.links.contains_key(&(site.to_owned(), issue))
    }

    /// Says whether people acted on what a client had made and not recorded, or a create left later than any may: what
    /// should come of that worklog is nobody's to tell.
    pub fn is_unheard(&self, site: &str, worklog: u64) -> bool {
        if self.alikes.is_unheard(site, worklog) {
            return true;
        }
        let unheard = |root: &&Root| root.unheard == Unheard::Create;
        self.roots.values().filter(unheard).any(|root| {
            root.places.get(site).is_some_and(|place| place.id == worklog)
                || root.beside.contains(&(site.to_owned(), worklog))
        })
    }

    /// Says whether two worklogs say the same, as far as their sites tell.
    pub fn agree(&self, left: (&str, &Worklog), right: (&str, &Worklog)) -> bool {
        let values = |(site, worklog): (&str, &Worklog)| self.values(site, worklog, false);
        say_the_same(&values(left), &values(right))
    }

    /// Says whether a person had moved a worklog to another issue.
    pub fn has_moved(&self, site: &str, worklog: u64) -> bool {
        let mut left = self.roots.values().flat_map(|root| &root.removals);
        left.any(|left| left.moved && left.site == site && left.id == worklog)
    }

    /// Returns what is not the same on all sites, or is on one alone. What nobody can judge is left out, and what stands
    /// where it has no twin.
    pub fn apart(&self, sites: usize) -> Vec<Apart> {
        let is_out = |(site, place): (&String, &Place)| !self.is_linked(site, place.issue);
        self.roots
            .iter()
            .filter(|(_, root)| root.unheard != Unheard::Create && !root.places.iter().any(is_out))
            .filter(|(_, root)| {
                let mut all = root.places.values();
                let Some(first) = all.next() else { return false };
                root.places.len() != sites || all.any(|other| !say_the_same(&other.values, &first.values))
            })
            .map(|(tag, root)| {
                let places = root
                    .places
                    .iter()
                    .map(|(site, place)| (site.clone(), place.id, place.issue));
                Apart {
                    tag: tag.clone(),
                    places: places.collect(),
                }
            })
            .collect()
    }

    /// Says what is wrong once everything has had its time. `excused` says whether an item in the queue explains
    /// that a worklog, by site and id, does not agree.
    pub fn settled(
        &mut self,
        now: Timestamp,
        sites: &[String],
        edit_wins: bool,
        excused: impl Fn(&str, u64) -> bool,
    ) {
        let mut found = Vec::new();
        for (tag, root) in &self.roots {
            if root.unheard == Unheard::Create
                || root.places.iter().any(|(site, place)| excused(site, place.id))
            {
                continue;
            }
            // To the other side, what stands on an issue without a twin is a deleted worklog, which an edit may keep there.
            let is_out = |(site, place): (&String, &Place)| !self.is_linked(site, place.issue);
            if root.places.iter().any(is_out) {
                if root.places.len() > 1 && !edit_wins {
                    found.push((
                        root.unheard,
                        "both sides are not equal",
                        format!("{tag} is where it has no twin, and on {:?}", root.places.keys()),
                    ));
                }
                continue;
            }
            let here: Vec<&String> = root.places.keys().collect();
            if here.is_empty() {
                let asked = root.removals.iter().any(|removal| !removal.moved);
                if !asked {
                    found.push((
                        root.unheard,
                        "a worklog is lost",
                        format!("{tag} is nowhere, and nobody deleted it"),
                    ));
                }
                continue;
            }
            if here.len() != sites.len() {
                found.push((
                    root.unheard,
                    "both sides are not equal",
                    format!("{tag} is on {here:?} only: {:?}", root.removals),
                ));
                continue;
            }
            let mut all = root.places.values();
            let Some(first) = all.next() else { continue };
            for other in all {
                if !say_the_same(&other.values, &first.values) {
                    found.push((
                        root.unheard,
                        "both sides are not equal",
                        format!("{tag}: {:?} and {:?}", first.values, other.values),
                    ));
                }
            }
            // What people deleted stays deleted, unless an edit that they had not seen won.
            let deleted = root
                .removals
                .iter()
                .any(|removal| !removal.moved && removal.followed.len() + 1 < sites.len());
            if deleted && !edit_wins {
                found.push((
                    root.unheard,
                    "a delete is lost",
                    format!("{tag} was deleted, and is there"),
                ));
            }
            let said: Values = root
                .places
                .values()
                .flat_map(|place| place.values.clone())
                .collect();
            for (field, value) in &said {
                if root.raced.contains(field) {
                    continue;
                }
                let Some(known) = root.values.get(field) else {
                    continue;
                };
                let newer = known
                    .iter()
                    .find(|(_, entered)| !entered.let_go && entered.older.contains(value));
                if let Some((newer, _)) = newer {
                    found.push((
                        root.unheard,
                        "a change is lost",
                        format!("{tag}: {field:?} is {value:?}, but {newer:?} replaced it"),
                    ));
                }
            }
        }
        for (rule, what) in self.alikes.settled(sites, &excused) {
            self.breaks(now, rule, what);
        }
        for (unheard, rule, what) in found {
            if unheard.judges(rule) {
                self.breaks(now, rule, what);
            }
        }
    }
}

/// Expects a value no more, nor any that it had replaced: what is newer than those stands elsewhere, or went too.
fn let_go(known: &mut BTreeMap<String, Entered>, value: &str) {
    let Some(older) = known.get(value).map(|entered| entered.older.clone()) else {
        return;
    };
    for gone in older.iter().map(String::as_str).chain([value]) {
        if let Some(entered) = known.get_mut(gone) {
            entered.let_go = true;
        }
    }
}

/// A value that stands because a site has to show some.
const NOBODYS: Entered = Entered {
    older: BTreeSet::new(),
    let_go: true,
    at: Timestamp::MIN,
};

const INVENTED: &str = "a value that nobody entered";
const UNLINKED: &str = "a write to an unlinked issue";

/// Rules about who knew what when.
const OF_WHAT_THEY_KNEW: [&str; 4] = [
    "an older value over a newer one",
    "a change is lost",
    "a deleted worklog comes back",
    "a delete is lost",
];

/// Rules that hold whatever people did to what a client had not recorded.
const WHATEVER_ANYBODY_KNEW: [&str; 2] = [INVENTED, UNLINKED];
