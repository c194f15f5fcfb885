//! What a run sees before it decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::copies::Tolerance;
use crate::ids::{IssueId, LinkKey, PairId, Side, Sides, WorklogId};
use crate::pair::Pair;
use crate::rules::{Lookups, Rules};
use crate::worklog::Worklog;

/// Everything that the planner rests on.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The link.
    pub link: LinkKey,
    /// The moment of the observation, by our clock.
    pub now: Timestamp,
    /// The complete listings of both issues, by worklog.
    pub listings: Sides<BTreeMap<WorklogId, Worklog>>,
    /// Listed worklogs that cannot be read, with what is wrong.
    pub unreadable: Sides<BTreeMap<WorklogId, String>>,
    /// Twins left behind on another issue by a move, fetched one by one.
    pub strays: Sides<BTreeMap<WorklogId, Worklog>>,
    /// Twins that a move left behind, and that a person took to yet another issue since.
    pub departed: Sides<BTreeSet<WorklogId>>,
    /// The link's pairs, whatever their state, and those of other links whose worklog turned up here.
    pub pairs: Vec<Pair>,
    /// Of these, pairs whose own link is no more: their twin stays behind.
    pub orphaned: BTreeSet<PairId>,
    /// Absent worklogs that Tandem itself took away because their twin moved: nobody deleted those.
    pub moved_away: Sides<BTreeSet<WorklogId>>,
    /// Worklogs that took the place of one that Tandem deleted for a move, through another connection: the pair
    /// that they belong to, by side.
    pub successors: Sides<BTreeMap<WorklogId, PairId>>,
    /// Listed worklogs that were twins of an orphaned pair's before its issue was given to another one: the pair that they
    /// were of, by side.
    pub parted: Sides<BTreeMap<WorklogId, PairId>>,
    /// Listed worklogs that nobody knows yet and that a second listing of the same look did not show: begun with by a later
    /// look, if they stand.
    pub vanished: Sides<BTreeSet<WorklogId>>,
    /// Listed worklogs that nobody has a row for, each of which may be the twin of one that waited for a person to tell and is
    /// no more: that one.
    pub left_over: Sides<BTreeMap<WorklogId, WorklogId>>,
    /// Listed worklogs that belong elsewhere or to the past: not new.
    pub foreign: Sides<BTreeSet<WorklogId>>,
    /// Proofs that a worklog was deleted or moved away.
    pub proofs: Sides<BTreeMap<WorklogId, Proof>>,
    /// Absent worklogs of which nothing is known since too many others were asked about first.
    pub unasked: Sides<BTreeSet<WorklogId>>,
    /// For worklogs that Tandem wrote: when a person made the change that was written.
    pub edited: Sides<BTreeMap<WorklogId, Timestamp>>,
    /// For worklogs that came here through another connection, by the side that they are on: their copy on
    /// the other side.
    pub copies: Sides<BTreeMap<WorklogId, Copy>>,
    /// What was looked up for rendering.
    pub lookups: Lookups,
    /// Worklogs dated earlier are not begun.
    pub since: Date,
    /// A backfill begins some of those too.
    pub backfill: Option<Backfill>,
    /// Sites whose service user lacks permissions: what they do not show may be there.
    pub blind: Sides<bool>,
    /// Sites without start times, which show one of their own whatever they are sent. Looked up where a create's answer
    /// was lost, since nothing else rests on it.
    pub timeless: Sides<bool>,
    /// Whether the brake on mass deletes is on.
    pub brake: bool,
    /// When more will be known of worklogs that are not shown.
    pub known_by: Option<Timestamp>,
    /// Try parked pairs again even where nothing about them changed.
    pub force: bool,
}

/// What a backfill begins besides what is begun anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The first day.
    pub from: Date,
    /// The last day; `None` for no end.
    pub until: Option<Date>,
    /// Whether copies of another tool are taken over.
    pub adopt: bool,
    /// Whether what such copies lost is put right.
    pub heal: bool,
    /// What is taken for such a copy.
    pub tolerance: Tolerance,
}

/// Why a worklog is known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who says so, such as `tempo-webhook`.
    pub source: String,
    /// When it was told.
    pub at: Timestamp,
    /// The unlinked issue that it moved to, when it did not go but move.
    pub moved_to: Option<IssueId>,
}

/// What the source of Jira's word begins with once it is confirmed.
const CONFIRMED: &str = "confirmed-";

impl Proof {
    /// Says whether the worklog may stand all the same. Jira says the same of one that moves, and where it moved to may be
    /// out of sight.
    pub fn may_stand(&self) -> bool {
        self.moved_to.is_some() || self.is_jiras()
    }

    /// Says whether it is Jira's word alone, be it confirmed or not.
    pub fn is_jiras(&self) -> bool {
        let source = self.source.strip_prefix(CONFIRMED).unwrap_or(&self.source);
        source.starts_with("jira-")
    }

    /// Says whether Jira's word has to be confirmed before anything rests on it.
    pub fn is_hearsay(&self) -> bool {
        self.is_jiras() && !self.source.starts_with(CONFIRMED)
    }

    /// The same, confirmed by what else is known.
    pub fn confirmed(&self) -> Self {
        Self {
            source: format!("{CONFIRMED}{}", self.source),
            ..self.clone()
        }
    }
}

/// The copy that another connection made, or makes, of the same worklog on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// It is this one.
    Known(WorklogId),
    /// It is being made.
    InFlight,
}

/// A connection's rules and the engine's patience.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rules.
    pub rules: Rules,
    /// How long a listing may lag behind a write.
    pub grace: SignedDuration,
    /// How soon a parked pair is tried again.
    pub park_retry: SignedDuration,
    /// How soon a missing worklog is looked for again.
    pub look_at_missing: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            grace: SignedDuration::from_secs(30),
            park_retry: SignedDuration::from_mins(15),
            look_at_missing: SignedDuration::from_mins(5),
        }
    }
}

impl Observed {
    /// Begins an observation in which nothing was seen.
    pub fn empty(link: LinkKey, now: Timestamp) -> Self {
        Self {
            link,
            now,
            listings: Sides::default(),
            unreadable: Sides::default(),
            strays: Sides::default(),
            departed: Sides::default(),
            pairs: Vec::new(),
            orphaned: BTreeSet::new(),
            moved_away: Sides::default(),
            successors: Sides::default(),
            parted: Sides::default(),
            vanished: Sides::default(),
            left_over: Sides::default(),
            foreign: Sides::default(),
            proofs: Sides::default(),
            unasked: Sides::default(),
            edited: Sides::default(),
            copies: Sides::default(),
            lookups: Lookups::default(),
            since: Date::MIN,
            backfill: None,
            blind: Sides::default(),
            timeless: Sides::default(),
            brake: false,
            known_by: None,
            force: false,
        }
    }

    /// Returns a worklog of a pair where it is: on the link's issue, or left behind on another.
    pub fn worklog(&self, side: Side, id: WorklogId) -> Option<&Worklog> {
        self.listings[side]
            .get(&id)
            .or_else(|| self.strays[side].get(&id))
    }

    /// When a person last changed a worklog: for one that Tandem wrote and nobody touched since, when the
    /// change was made that it wrote.
    pub fn edited_at(&self, side: Side, worklog: &Worklog) -> Timestamp {
        self.edited[side]
            .get(&worklog.id)
            .copied()
            .unwrap_or(worklog.updated_at)
    }

    /// Says whether a worklog of this day is begun when no pair knows it.
    pub fn begins(&self, day: Date) -> bool {
        day >= self.since || self.is_in_backfill(day)
    }

    /// Says whether a backfill is about worklogs of this day.
    pub fn is_in_backfill(&self, day: Date) -> bool {
        self.backfill
            .as_ref()
            .is_some_and(|one| day >= one.from && one.until.is_none_or(|until| day <= until))
    }
}
