//! Holds Tandem to its promises. Knows what people did and what the sites hold, and nothing of Tandem's own records.
//!
//! It reads the sites' journal change by change, so that "at every moment" means after every change. What people
//! wrote into a field of a worklog forms a tree: each value stands on the one that its writer saw there. A value is
//! *older* than another that stands on it. Values that nobody saw when writing the other are neither older nor
//! newer, and which of them wins is a matter of policy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use tandem_sim::{LedgerChange, Sim};

use crate::said::{FIELDS, ISSUE, Reader, Said};
use crate::world::{LAG_MAX_MS, SITES, sites};

/// What a reading may have missed: a listing may lag, and the clocks of a reader and of a writer are read a little apart.
const STALE: SignedDuration = SignedDuration::from_millis(LAG_MAX_MS as i64 + 100);

/// How many readings are remembered of an issue or a worklog.
const READINGS_MAX: usize = 16;

/// How long both sides must have been the same and untouched before a delete has nothing to be in doubt about:
/// by then every lease and attempt of a killed process is over.
const SETTLED: SignedDuration = SignedDuration::from_secs(120);

/// How long after its effect a write is recorded, at most, by a process that lives and was answered.
const RECORDED: SignedDuration = SignedDuration::from_secs(2);

/// How many lines a story has at most.
const STORY_MAX: usize = 80;

/// A value that a person wrote.
#[derive(Debug)]
struct Written {
    value: String,
    /// The write whose value the person saw there.
    on: Option<usize>,
    at: Timestamp,
    side: usize,
}

/// A delete by a person.
#[derive(Debug)]
struct Removed {
    at: Timestamp,
    side: usize,
    said: Said,
    settled: bool,
}

/// Everything about one worklog and its twin. They share a number, which stands in their text.
#[derive(Debug, Default)]
struct Tag {
    writes: [Vec<Written>; FIELDS.len()],
    removed: Vec<Removed>,
    moved: bool,
    /// A person moved it to an issue without a twin.
    left: bool,
    /// A person's change came between Tandem's reading and its writing.
    raced: bool,
    /// When Tandem wrote what a person then changed before Tandem had looked again.
    unseen: Vec<Timestamp>,
    last_act: Option<Timestamp>,
    last_change: Option<Timestamp>,
    live: [BTreeMap<u64, Said>; 2],
}

impl Tag {
    fn ancestors(&self, field: usize, value: &str) -> Vec<usize> {
        let writes = &self.writes[field];
        let mut found = Vec::new();
        for write in writes.iter().filter(|write| write.value == value) {
            let mut on = write.on;
            while let Some(index) = on
                && !found.contains(&index)
            {
                found.push(index);
                on = writes[index].on;
            }
        }
        found
    }

    /// Says whether whoever wrote `new` had seen `old`, or what stands on it.
    fn is_older(&self, field: usize, old: &str, new: &str) -> bool {
        let before = self.ancestors(field, new);
        old != new
            && (0..self.writes[field].len())
                .filter(|index| self.writes[field][*index].value == old)
                .all(|index| before.contains(&index))
    }

    /// Says whether somebody replaced this value with another. What was written into a copy that a person deleted
    /// afterwards went with it: where the other copy was edited and stays, its own words stay.
    fn is_replaced(&self, field: usize, value: &str) -> bool {
        let writes = &self.writes[field];
        let went = |write: &Written| {
            self.removed
                .iter()
                .any(|removed| removed.side == write.side && removed.at > write.at)
        };
        let replaced = |index: usize| writes.iter().any(|write| write.on == Some(index) && !went(write));
        (0..writes.len())
            .filter(|index| writes[*index].value == value)
            .all(replaced)
    }

    fn knows(&self, field: usize, value: &str) -> bool {
        self.writes[field].iter().any(|write| write.value == value)
    }

    /// The copies on linked issues.
    fn linked(&self, side: usize) -> Vec<&Said> {
        self.live[side].values().filter(|said| said.linked()).collect()
    }

    /// Says whether both sides hold the same.
    fn is_equal(&self) -> bool {
        match (self.linked(0).as_slice(), self.linked(1).as_slice()) {
            ([], []) => !self.removed.is_empty() || self.left,
            ([a], [b]) => a.fields == b.fields,
            _ => false,
        }
    }
}

/// What people did and what was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) logged: usize,
    pub(crate) edited: usize,
    pub(crate) moved: usize,
    pub(crate) deleted: usize,
    /// Tandem's writes that took effect.
    pub(crate) created: usize,
    pub(crate) updated: usize,
    pub(crate) removed: usize,
    /// People's changes that came between Tandem's reading and its writing, and were overwritten.
    pub(crate) raced: usize,
    /// The longest time between such a change and the write.
    pub(crate) raced_window: Duration,
    /// Findings about worklogs that a person changed when Tandem had written them and nobody had told it so: nobody can say
    /// what they had before their eyes.
    pub(crate) unheard: usize,
}

#[derive(Debug)]
struct Event {
    at: Timestamp,
    tag: Option<u32>,
    text: String,
}

/// The observer.
#[derive(Debug)]
pub(crate) struct Observer {
    sim: Sim,
    readers: [Reader; 2],
    tags: BTreeMap<u32, Tag>,
    /// When Tandem read an issue's listing, or one worklog, and was answered.
    listed: HashMap<(usize, u64), VecDeque<Timestamp>>,
    fetched: HashMap<(usize, u64), VecDeque<Timestamp>>,
    /// The last change that a person made to a worklog.
    touched: HashMap<(usize, u64), Timestamp>,
    /// When Tandem wrote a worklog last.
    wrote: HashMap<(usize, u64), Timestamp>,
    /// When a process died, or the answer to a write went wrong.
    misses: Vec<Timestamp>,
    /// When Tandem made a worklog.
    made: HashMap<(usize, u64), Timestamp>,
    events: Vec<Event>,
    log: File,
    violations: Vec<String>,
    pub(crate) seen: Seen,
}

impl Observer {
    pub(crate) fn new(sim: &Sim, log: File) -> Self {
        let handles = sites(sim);
        Self {
            sim: sim.clone(),
            readers: [Reader::new(0, &handles[0]), Reader::new(1, &handles[1])],
            tags: BTreeMap::new(),
            listed: HashMap::new(),
            fetched: HashMap::new(),
            touched: HashMap::new(),
            wrote: HashMap::new(),
            misses: Vec::new(),
            made: HashMap::new(),
            events: Vec::new(),
            log,
            violations: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Writes down that something happened; `tag` says to which worklog.
    pub(crate) fn tell(&mut self, tag: Option<u32>, text: impl Into<String>) {
        self.tell_at(self.sim.now(), tag, text.into());
    }

    fn tell_at(&mut self, at: Timestamp, tag: Option<u32>, text: String) {
        let number = tag.map(|tag| format!("#{tag} ")).unwrap_or_default();
        // The file is for people; a full disk is not Tandem's fault.
        let _ = writeln!(self.log, "{at:.3} {number}{text}");
        self.events.push(Event { at, tag, text });
    }

    /// A promise was broken.
    pub(crate) fn violate(&mut self, tag: Option<u32>, what: impl Into<String>) {
        let what = what.into();
        self.tell(tag, format!("VIOLATION: {what}"));
        let mut story: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| event.tag.is_none() || event.tag == tag)
            .collect();
        story = story.split_off(story.len().saturating_sub(STORY_MAX));
        let number = tag.map(|tag| format!("worklog #{tag}: ")).unwrap_or_default();
        let mut text = format!("{number}{what}\n");
        for event in story {
            text.push_str(&format!("    {:.3} {}\n", event.at, event.text));
        }
        self.violations.push(text);
    }

    /// A process died, or the answer to a write went wrong: what was written just before may not be recorded.
    pub(crate) fn missed(&mut self) {
        self.misses.push(self.sim.now());
    }

    /// Says whether a person changed what Tandem had written and not heard of.
    fn is_unheard(&self, number: u32) -> bool {
        let unseen = self.tags.get(&number).map(|tag| &tag.unseen);
        unseen.into_iter().flatten().any(|wrote| {
            let soon = |miss: &&Timestamp| **miss >= *wrote && miss.duration_since(*wrote) <= RECORDED;
            self.misses.iter().any(|miss| soon(&miss))
        })
    }

    /// Something is wrong with a worklog, unless nobody can say what should be.
    fn find(&mut self, number: u32, what: String) {
        if self.is_unheard(number) {
            self.seen.unheard += 1;
            self.tell(
                Some(number),
                format!("not judged, changed before it was heard of: {what}"),
            );
        } else {
            self.violate(Some(number), what);
        }
    }

    /// Tandem was shown an issue's worklogs.
    pub(crate) fn listed(&mut self, side: usize, issue: u64, at: Timestamp) {
        remember(self.listed.entry((side, issue)).or_default(), at);
    }

    /// Tandem was shown one worklog.
    pub(crate) fn fetched(&mut self, side: usize, worklog: u64, at: Timestamp) {
        remember(self.fetched.entry((side, worklog)).or_default(), at);
    }

    /// Says whether Tandem made a worklog not longer ago than this.
    pub(crate) fn is_made_within(&self, side: usize, worklog: u64, within: SignedDuration) -> bool {
        let made = self.made.get(&(side, worklog));
        made.is_some_and(|made| self.sim.now().duration_since(*made) < within)
    }

    /// Says whether a person changed a worklog when Tandem had already read what it rested its write on. No API of
    /// the vendor can prevent that: its writes take no condition.
    fn is_race(&self, side: usize, worklog: u64, issue: u64, at: Timestamp) -> Option<Duration> {
        let touched = *self.touched.get(&(side, worklog))?;
        let readings = [
            self.listed.get(&(side, issue)),
            self.fetched.get(&(side, worklog)),
        ];
        let read = readings
            .into_iter()
            .flatten()
            .flatten()
            .filter(|read| **read <= at)
            .max();
        let fresh = read.is_none_or(|read| touched > *read - STALE);
        fresh.then(|| Duration::try_from(at.duration_since(touched)).unwrap_or_default())
    }

    fn race(&mut self, number: u32, window: Duration, what: String) {
        self.seen.raced += 1;
        self.seen.raced_window = self.seen.raced_window.max(window);
        self.tell(
            Some(number),
            format!("raced: {what}, {} ms after a person's change", window.as_millis()),
        );
        if let Some(tag) = self.tags.get_mut(&number) {
            tag.raced = true;
        }
    }

    /// Takes in what happened since the last time.
    pub(crate) fn look(&mut self) {
        let mut changes = self.sim.take_journal();
        changes.sort_by_key(|change| change.at);
        for change in changes {
            self.take_in(&change);
        }
    }

    fn take_in(&mut self, change: &LedgerChange) {
        let Some(side) = SITES.iter().position(|name| *name == change.site) else {
            return;
        };
        let before = change
            .before
            .as_ref()
            .map(|worklog| self.readers[side].read(worklog));
        let after = change
            .after
            .as_ref()
            .map(|worklog| self.readers[side].read(worklog));
        let Some(worklog) = change.after.as_ref().or(change.before.as_ref()) else {
            return;
        };
        let Some(number) = after.as_ref().or(before.as_ref()).and_then(Said::tag) else {
            let said = after.as_ref().or(before.as_ref()).map(ToString::to_string);
            self.violate(
                None,
                format!("a worklog that nobody made on {}: {said:?}", change.site),
            );
            return;
        };
        let who = if change.client.is_some() {
            "Tandem"
        } else {
            "a person"
        };
        let id = worklog.id;
        let what = match (&before, &after) {
            (None, Some(after)) => format!("{who} created {id} on {}: {after}", change.site),
            (Some(before), Some(after)) => {
                let fields = before.differences(after).into_iter();
                let fields: Vec<String> = fields
                    .map(|field| {
                        format!(
                            "{} {:?} -> {:?}",
                            FIELDS[field], before.fields[field], after.fields[field]
                        )
                    })
                    .collect();
                format!("{who} updated {id} on {}: {}", change.site, fields.join(", "))
            }
            (Some(before), None) => format!("{who} deleted {id} on {}: {before}", change.site),
            (None, None) => return,
        };
        self.tell_at(change.at, Some(number), what);
        let issue = change
            .before
            .as_ref()
            .map_or(worklog.issue, |before| before.issue);
        if change.client.is_some() {
            self.wrote.insert((side, id), change.at);
            self.judge(
                number,
                side,
                id,
                issue,
                change.at,
                before.as_ref(),
                after.as_ref(),
            );
        } else {
            if let Some(wrote) = self.wrote.get(&(side, id)).copied() {
                let readings = [self.listed.get(&(side, issue)), self.fetched.get(&(side, id))];
                if !readings.into_iter().flatten().flatten().any(|read| *read > wrote) {
                    self.tags.entry(number).or_default().unseen.push(wrote);
                }
            }
            self.touched.insert((side, id), change.at);
            self.learn(number, side, change.at, before.as_ref(), after.as_ref());
        }
        let tag = self.tags.entry(number).or_default();
        match after {
            Some(after) => tag.live[side].insert(id, after),
            None => tag.live[side].remove(&id),
        };
        tag.last_change = Some(change.at);
        let copies = tag.linked(side).len();
        if copies > 1 {
            self.find(
                number,
                format!("{copies} copies on {} at {}", change.site, change.at),
            );
        }
    }

    /// A person did something.
    fn learn(
        &mut self,
        number: u32,
        side: usize,
        at: Timestamp,
        before: Option<&Said>,
        after: Option<&Said>,
    ) {
        let tag = self.tags.entry(number).or_default();
        match (before, after) {
            (None, Some(_)) => self.seen.logged += 1,
            (Some(before), None) => {
                self.seen.deleted += 1;
                let since = tag.last_change.map(|last| at.duration_since(last));
                let settled = tag.is_equal() && since.is_some_and(|since| since > SETTLED);
                tag.removed.push(Removed {
                    at,
                    side,
                    said: before.clone(),
                    settled,
                });
            }
            (Some(before), Some(after)) if before.fields[ISSUE] != after.fields[ISSUE] => {
                self.seen.moved += 1;
                tag.moved = true;
                tag.left |= !after.linked();
            }
            _ => self.seen.edited += 1,
        }
        if let Some(after) = after {
            for field in 0..FIELDS.len() {
                let seen = before.map(|before| &before.fields[field]);
                if seen == Some(&after.fields[field]) {
                    continue;
                }
                let on =
                    seen.and_then(|seen| tag.writes[field].iter().rposition(|write| write.value == *seen));
                tag.writes[field].push(Written {
                    value: after.fields[field].clone(),
                    on,
                    at,
                    side,
                });
            }
        }
        tag.last_act = Some(at);
    }

    /// Tandem did something: was it right?
    #[expect(clippy::too_many_arguments, reason = "all that is known of one change")]
    fn judge(
        &mut self,
        number: u32,
        side: usize,
        id: u64,
        issue: u64,
        at: Timestamp,
        before: Option<&Said>,
        after: Option<&Said>,
    ) {
        let race = before.and_then(|_| self.is_race(side, id, issue, at));
        // What is wrong whatever anybody knew.
        let mut never = Vec::new();
        let mut wrong = Vec::new();
        // What depends on what Tandem could have read.
        let mut unless_raced = Vec::new();
        let tag = self.tags.entry(number).or_default();
        if tag.writes[ISSUE].is_empty() {
            never.push("nobody ever logged this".to_owned());
        }
        if before.is_some_and(|before| !before.linked()) {
            unless_raced.push("a write to an issue without a twin".to_owned());
        }
        match (before, after) {
            (Some(before), Some(after)) => {
                self.seen.updated += 1;
                for field in before.differences(after) {
                    let (old, new) = (&before.fields[field], &after.fields[field]);
                    if tag.is_older(field, new, old) {
                        unless_raced.push(format!(
                            "{} {old:?} was overwritten by the older {new:?}",
                            FIELDS[field]
                        ));
                    }
                }
                if before.own != after.own {
                    unless_raced.push(format!(
                        "the side's own attribute {:?} became {:?}",
                        before.own, after.own
                    ));
                }
            }
            (Some(before), None) => {
                self.seen.removed += 1;
                if tag.removed.is_empty() && !tag.moved {
                    wrong.push("deleted, and nobody deleted or moved it".to_owned());
                }
                // An edit that the one who deleted the other copy had not seen is worth more than the delete.
                if let Some(removed) = tag.removed.iter().rfind(|removed| removed.side != side)
                    && !tag.moved
                {
                    for field in before.differences(&removed.said) {
                        let (kept, gone) = (&before.fields[field], &removed.said.fields[field]);
                        let edit = tag.writes[field]
                            .iter()
                            .rfind(|write| write.value == *kept && write.side == side);
                        if edit.is_some_and(|edit| edit.at < at) && !tag.is_older(field, kept, gone) {
                            unless_raced.push(format!(
                                "deleted with {} {kept:?}, which whoever deleted the other copy had not seen",
                                FIELDS[field]
                            ));
                        }
                    }
                }
            }
            _ => {
                self.seen.created += 1;
                self.made.insert((side, id), at);
            }
        }
        // What its twin says is made anew elsewhere; what was entered here too late to be read goes.
        if let (Some(before), None, Some(_)) = (before, after, race)
            && tag.moved
        {
            let unread = (0..FIELDS.len()).filter(|field| {
                let value = &before.fields[*field];
                let elsewhere = tag.live[1 - side]
                    .values()
                    .any(|twin| twin.fields[*field] == *value);
                *field != ISSUE && !elsewhere && !tag.is_replaced(*field, value)
            });
            for field in unread {
                let value = &before.fields[field];
                unless_raced.push(format!(
                    "taken away with {} {value:?}, for its twin had moved",
                    FIELDS[field]
                ));
            }
        }
        if let Some(after) = after {
            if !after.linked() {
                never.push("written to an issue without a twin".to_owned());
            }
            for (field, value) in after.fields.iter().enumerate() {
                if !tag.knows(field, value) {
                    never.push(format!("{} {value:?} was entered by nobody", FIELDS[field]));
                }
            }
        }
        match race {
            None => wrong.extend(unless_raced),
            Some(window) => {
                for what in unless_raced {
                    self.race(number, window, what);
                }
            }
        }
        for what in never {
            self.violate(Some(number), format!("on {}: {what}", SITES[side]));
        }
        for what in wrong {
            self.find(number, format!("on {}: {what}", SITES[side]));
        }
    }

    /// Returns the worklogs of which both sides do not hold the same.
    pub(crate) fn unequal(&self) -> Vec<u32> {
        self.tags
            .iter()
            .filter(|(number, tag)| !tag.is_equal() && !self.is_unheard(**number))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Returns how many worklogs there are on linked issues.
    pub(crate) fn worklogs(&self) -> [usize; 2] {
        [0, 1].map(|side| self.tags.values().map(|tag| tag.linked(side).len()).sum())
    }

    /// Judges what both sides hold when everything has come to rest. Returns how many deletes were undone by what
    /// was going on at the same time.
    pub(crate) fn judge_end(&mut self) -> usize {
        let mut wrong = Vec::new();
        let mut revived = 0;
        for (number, tag) in &self.tags {
            let (a, b) = (tag.linked(0), tag.linked(1));
            let ([a], [b]) = (a.as_slice(), b.as_slice()) else {
                let gone = a.is_empty() && b.is_empty();
                if !(gone && tag.is_equal()) {
                    wrong.push((
                        *number,
                        format!(
                            "at the end {} copies on {} and {} on {}",
                            a.len(),
                            SITES[0],
                            b.len(),
                            SITES[1]
                        ),
                    ));
                }
                continue;
            };
            for field in a.differences(b) {
                wrong.push((
                    *number,
                    format!(
                        "at the end {} is {:?} on {} and {:?} on {}",
                        FIELDS[field], a.fields[field], SITES[0], b.fields[field], SITES[1]
                    ),
                ));
            }
            if !tag.raced {
                for (field, value) in a.fields.iter().enumerate() {
                    if tag.is_replaced(field, value) {
                        wrong.push((
                            *number,
                            format!(
                                "at the end {} is {value:?} again, which a person had replaced",
                                FIELDS[field]
                            ),
                        ));
                    }
                }
            }
            if let Some(removed) = tag.removed.last() {
                if removed.settled && tag.last_act <= Some(removed.at) {
                    wrong.push((
                        *number,
                        "a delete was undone, though nothing else happened".to_owned(),
                    ));
                } else {
                    revived += 1;
                }
            }
        }
        for (number, what) in wrong {
            self.find(number, what);
        }
        revived
    }
}

fn remember(readings: &mut VecDeque<Timestamp>, at: Timestamp) {
    if readings.len() >= READINGS_MAX {
        readings.pop_front();
    }
    readings.push_back(at);
}

/// Opens the file in which everything that happens is told.
pub(crate) fn log(path: &std::path::Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}
