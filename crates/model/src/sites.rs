//! The two sites, what people do on them, and an observer who remembers what people did.
//!
//! The observer judges each write of Tandem's when it takes effect. It knows the sites and the people, and nothing
//! of Tandem's table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tandem_core::{Content, IssueId, LinkKey, Side, Sides, Worklog, WorklogId};

use crate::told::Told;

/// A moment, from the model's seconds.
pub fn at(second: u32) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::from(second)).unwrap_or(Timestamp::MAX)
}

/// The model's one link.
pub fn link() -> LinkKey {
    LinkKey {
        connection: "c".into(),
        a: IssueId(1),
        b: IssueId(2),
    }
}

/// The same person on either site.
pub const PEOPLE: Sides<&str> = Sides { a: "ann", b: "anna" };

/// The numbers of the acts that entered a worklog's hours and its text. A greater one is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entered {
    /// Of the hours.
    pub hours: u8,
    /// Of the text; 0 for none.
    pub text: u8,
}

impl Entered {
    /// Reads them from what a worklog says: each act enters its own number.
    pub fn of(content: &Content) -> Self {
        Self {
            hours: u8::try_from(content.time_spent_secs / 60).unwrap_or(0),
            text: content.description.parse().unwrap_or(0),
        }
    }

    fn values(self) -> [u8; 2] {
        [self.hours, self.text]
    }

    /// The acts themselves, a bit for each: no two acts enter the same value.
    fn bits(self) -> u16 {
        self.values().map(bit).into_iter().fold(0, |all, one| all | one)
    }

    /// What a worklog says on a side.
    pub fn content(self, side: Side) -> Content {
        Content {
            author: PEOPLE[side].into(),
            start_date: jiff::civil::date(2026, 3, 2),
            start_time: Some(jiff::civil::time(13, 30, 0, 0)),
            time_spent_secs: 60 * u64::from(self.hours),
            billable_secs: Some(0),
            description: if self.text == 0 {
                String::new()
            } else {
                self.text.to_string()
            },
            attributes: BTreeMap::new(),
        }
    }
}

/// A worklog on a site, with what the observer knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// As the site shows it.
    pub worklog: Told<Worklog>,
    /// The act that made the worklog which it is, or is a copy of.
    pub root: u8,
    /// What people last entered on this very worklog.
    pub here: Entered,
    /// All that this very worklog ever said.
    pub shown: u16,
}

/// A worklog that a person deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deleted {
    /// The side.
    pub side: Side,
    /// Its id.
    pub id: WorklogId,
    /// As in [`Entry`].
    pub root: u8,
    /// What it said.
    pub said: Entered,
    /// All that it ever said: whoever deleted it could know that, and nothing else.
    pub shown: u16,
    /// The act.
    pub act: u8,
    /// Whether Tandem had heard how it came to say that. It has not where the answer to its own write was lost:
    /// whether that came before the delete, nobody can tell.
    pub heard: bool,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// `POST`.
    Create(Told<Content>),
    /// `PUT`.
    Update(WorklogId, Told<Content>),
    /// `DELETE`.
    Delete(WorklogId),
}

/// A write on its way to a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The side.
    pub side: Side,
    /// What it does.
    pub write: Write,
    /// The worklog on the other side.
    pub twin: Option<WorklogId>,
    /// How many acts there had been when the run that sends this listed each side.
    pub listed: Sides<u8>,
    /// When it has taken effect, or never will, in seconds.
    pub until: u32,
}

/// What a site answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The worklog as it stands now.
    Worklog(Told<Worklog>),
    /// It is deleted.
    Deleted,
    /// There is none of that id.
    NotFound,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A person's value gave way to an older one, and the run had had the chance to see it.
    Overwritten,
    /// A worklog went that nobody had deleted.
    DeletedUnbidden,
    /// A worklog went with a change that whoever deleted its twin could not see.
    DeletedWithNews,
    /// A worklog that a person had deleted came back.
    CameBack,
    /// The plan checker refused a plan.
    PlanRefused,
}

/// Both sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sites {
    /// The worklogs of the link's issue on each side.
    pub entries: Sides<BTreeMap<WorklogId, Entry>>,
    /// What people deleted.
    pub deleted: Vec<Deleted>,
    /// What Tandem deleted: a site's feed of deletes tells of both.
    pub taken_away: BTreeSet<(Side, WorklogId)>,
    /// How many worklogs there ever were.
    pub made: u8,
}

impl Sites {
    fn add(&mut self, side: Side, content: Content, root: u8, here: Entered, now: u32) -> Told<Worklog> {
        self.made += 1;
        let id = WorklogId(u64::from(self.made));
        let worklog = Told::new(Worklog {
            id,
            issue: link().issue(side),
            content,
            created_at: at(now),
            updated_at: at(now),
        });
        let entry = Entry {
            worklog: worklog.clone(),
            root,
            here,
            shown: Entered::of(&worklog.content).bits(),
        };
        self.entries[side].insert(id, entry);
        worklog
    }

    /// A person logs time.
    pub fn log(&mut self, side: Side, act: u8, now: u32) -> WorklogId {
        let entered = Entered { hours: act, text: 0 };
        self.add(side, entered.content(side), act, entered, now).id
    }

    /// A person edits a worklog.
    pub fn edit(&mut self, side: Side, id: WorklogId, change: impl FnOnce(&mut Entered), now: u32) {
        if let Some(entry) = self.entries[side].get_mut(&id) {
            let mut entered = Entered::of(&entry.worklog.content);
            let before = entered;
            change(&mut entered);
            if entered.hours != before.hours {
                entry.here.hours = entered.hours;
            }
            if entered.text != before.text {
                entry.here.text = entered.text;
            }
            let mut worklog = Worklog::clone(&entry.worklog);
            worklog.content = entered.content(side);
            worklog.updated_at = at(now);
            entry.shown |= entered.bits();
            entry.worklog = Told::new(worklog);
        }
    }

    /// A person deletes a worklog.
    pub fn delete(&mut self, side: Side, id: WorklogId, act: u8, heard: bool) {
        if let Some(entry) = self.entries[side].remove(&id) {
            self.deleted.push(Deleted {
                side,
                id,
                root: entry.root,
                said: Entered::of(&entry.worklog.content),
                shown: entry.shown,
                act,
                heard,
            });
        }
    }

    /// Returns what a side's listing shows.
    pub fn list(&self, side: Side) -> BTreeMap<WorklogId, Worklog> {
        self.entries[side]
            .iter()
            .map(|(id, entry)| (*id, Worklog::clone(&entry.worklog)))
            .collect()
    }

    /// A write takes effect.
    pub fn serve(&mut self, request: &Request, now: u32) -> (Answer, Option<Verdict>) {
        let side = request.side;
        match &request.write {
            Write::Create(body) => {
                let root = request.twin.map_or(0, |twin| self.root(side.other(), twin));
                let verdict = self.judge_create(request, root, Entered::of(body));
                let nobody = Entered { hours: 0, text: 0 };
                let worklog = self.add(side, Content::clone(body), root, nobody, now);
                (Answer::Worklog(worklog), verdict)
            }
            Write::Update(id, body) => {
                let listed = request.listed[side];
                let Some(entry) = self.entries[side].get_mut(id) else {
                    return (Answer::NotFound, None);
                };
                let was = Entered::of(&entry.worklog.content);
                let verdict = overwrites(was, Entered::of(body), entry.here, listed);
                let mut worklog = Worklog::clone(&entry.worklog);
                worklog.content = Content::clone(body);
                worklog.updated_at = at(now);
                entry.shown |= Entered::of(body).bits();
                entry.worklog = Told::new(worklog);
                (Answer::Worklog(entry.worklog.clone()), verdict)
            }
            Write::Delete(id) => {
                let verdict = self.judge_delete(request, *id);
                match self.entries[side].remove(id) {
                    Some(_) => {
                        self.taken_away.insert((side, *id));
                        (Answer::Deleted, verdict)
                    }
                    None => (Answer::NotFound, None),
                }
            }
        }
    }

    fn root(&self, side: Side, id: WorklogId) -> u8 {
        let gone = || {
            self.deleted
                .iter()
                .find(|gone| gone.side == side && gone.id == id)
                .map(|gone| gone.root)
        };
        let entry = self.entries[side].get(&id).map(|entry| entry.root);
        entry.or_else(gone).unwrap_or(0)
    }

    /// A worklog that a person deleted comes back for one reason: its twin was edited, and they did not know.
    fn judge_create(&self, request: &Request, root: u8, body: Entered) -> Option<Verdict> {
        let wrong = |gone: &&Deleted| {
            if gone.root != root || gone.act > request.listed[gone.side] {
                return false;
            }
            if gone.side == request.side {
                let news = self.unseen(request, body, gone.shown);
                gone.heard && !news
            } else {
                Some(gone.id) == request.twin
            }
        };
        self.deleted.iter().find(wrong).map(|_| Verdict::CameBack)
    }

    /// Says whether what is to be written says something that the twin says, or said when it was listed, and that whoever
    /// deleted a worklog never had before their eyes.
    fn unseen(&self, request: &Request, body: Entered, shown: u16) -> bool {
        let from = request.side.other();
        let twin = request.twin.and_then(|twin| self.entries[from].get(&twin));
        let said = twin.map(|twin| Entered::of(&twin.worklog.content).values());
        let values = body.values();
        (0..values.len()).any(|field| {
            let stands =
                said.is_none_or(|said| said[field] == values[field] || said[field] > request.listed[from]);
            stands && bit(values[field]) & !shown != 0
        })
    }

    fn judge_delete(&self, request: &Request, id: WorklogId) -> Option<Verdict> {
        let side = request.side;
        let entry = self.entries[side].get(&id)?;
        let twin = self
            .deleted
            .iter()
            .find(|gone| gone.side == side.other() && Some(gone.id) == request.twin);
        let Some(twin) = twin.filter(|gone| gone.root == entry.root) else {
            return Some(Verdict::DeletedUnbidden);
        };
        let said = Entered::of(&entry.worklog.content);
        overwrites(said, twin.said, entry.here, request.listed[side]).map(|_| Verdict::DeletedWithNews)
    }

    /// Returns how many worklogs on a side come from the same root, at most.
    pub fn copies(&self, side: Side) -> usize {
        let mut roots: BTreeMap<u8, usize> = BTreeMap::new();
        for entry in self.entries[side].values() {
            *roots.entry(entry.root).or_default() += 1;
        }
        roots.into_values().max().unwrap_or(0)
    }

    /// Says whether both sides show the same.
    pub fn equal(&self) -> bool {
        let [a, b] = Side::BOTH.map(|side| {
            let mut shown: Vec<_> = self.entries[side]
                .values()
                .map(|entry| {
                    let content = &entry.worklog.content;
                    let theirs = content.author.as_str() == PEOPLE[side];
                    (entry.root, Entered::of(content), theirs)
                })
                .collect();
            shown.sort();
            shown
        });
        a == b
    }
}

/// The bit of an act; none where nothing was entered.
fn bit(act: u8) -> u16 {
    match act {
        0 => 0,
        act => 1_u16.checked_shl(u32::from(act)).unwrap_or(0),
    }
}

/// Which values of `left` are newer than those of `right`.
fn newer(left: Entered, right: Entered) -> [bool; 2] {
    let (left, right) = (left.values(), right.values());
    [left[0] > right[0], left[1] > right[1]]
}

/// Judges that `was` gives way to `now`. A site has no conditional write, so what a person entered on this very
/// worklog after the run had listed it cannot be helped; `here` is what people last entered on it.
fn overwrites(was: Entered, now: Entered, here: Entered, listed: u8) -> Option<Verdict> {
    let newer = newer(was, now);
    let was = was.values();
    let here = here.values();
    (0..newer.len())
        .any(|field| newer[field] && !(here[field] == was[field] && was[field] > listed))
        .then_some(Verdict::Overwritten)
}
