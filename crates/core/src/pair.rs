//! Two worklogs that are twins, and what is remembered of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::field::{Field, Value};
use crate::ids::{IssueId, LinkKey, PairId, Side, Sides, WorklogId};
use crate::reason::Reason;
use crate::render;
use crate::rules::Rules;
use crate::worklog::Content;

/// Two twins with their base, or one worklog whose twin is still to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Its name for life.
    pub id: PairId,
    /// The link that it belongs to now.
    pub link: LinkKey,
    /// The worklog on each side; `None` while there is none.
    pub ids: Sides<Option<WorklogId>>,
    /// Where each side's worklog is, when that is not the link's own issue: a twin left behind by a move.
    #[serde(default)]
    pub strays: Sides<Option<IssueId>>,
    /// What both sides said when they last agreed; each in its own rendering.
    pub base: Option<Sides<Content>>,
    /// The newest `updatedAt` that Tandem has accounted for, per side. A listing that shows less is stale.
    #[serde(default)]
    pub seen: Sides<Option<Timestamp>>,
    /// A write whose outcome is not yet recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Updates that were decided on and had no effect, as long as they are not made good. See [`Intent::winner`].
    #[serde(default, skip_serializing_if = "Unmet::is_empty")]
    pub decided: Unmet,
    /// Earlier creates that were given up on, newest last, so that a late twin of theirs is recognised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<Intent>,
    /// Worklogs on the other side of which one may be its twin, and only a person can tell which. As long as there
    /// are any, no twin is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<WorklogId>,
    /// Why it waits, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Whether it is alive.
    #[serde(default)]
    pub state: PairState,
    /// When Tandem last wrote one of the twins. Listings lag behind writes for a while after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// A person let this pair's delete through the brake.
    #[serde(default)]
    pub released: bool,
    /// It came back from an issue without a twin, for which its twin was taken away; no other was made yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
    /// A person set aside what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Ignored>,
    /// A person said that this worklog is the twin that it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<WorklogId>,
    /// Counts the writes of this row; guards against two runners.
    pub rev: u64,
}

/// What a person set aside: a pair that waits for this reason, with its worklogs as they were then. As soon as
/// anything of it differs, it counts no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// What it waited for.
    pub reason: Reason,
    /// Its worklogs.
    pub ids: Sides<Option<WorklogId>>,
    /// The newest `updatedAt` of each that was accounted for.
    pub seen: Sides<Option<Timestamp>>,
    /// What they said: two edits may share a second.
    #[serde(default)]
    pub tried: Sides<Option<Content>>,
}

/// Whether a pair is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairState {
    /// Kept the same on both sides.
    #[default]
    Live,
    /// Deleted, and remembered so that a stale listing does not bring it back.
    Gone,
    /// One side was deleted and the policy says `keep`: the other is left alone from now on.
    Kept,
    /// Its worklog moved to an issue without a twin, or was deleted by Jira's word alone, and its own twin was taken away. It
    /// begins anew when the worklog turns up on a linked issue.
    Left,
}

/// What a write was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentKind {
    /// A new worklog.
    Create,
    /// A changed worklog.
    Update,
    /// A removed worklog.
    Delete,
}

/// A vendor write, recorded before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is done.
    pub kind: IntentKind,
    /// The side written to.
    pub side: Side,
    /// The issue written to.
    pub issue: IssueId,
    /// The worklog written to; `None` for a create.
    pub worklog: Option<WorklogId>,
    /// What the other side said when this was decided; for a create, and for an update that had no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Content>,
    /// What the worklog said before; for an update only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Content>,
    /// What is written; for a delete, what is taken away.
    pub body: Content,
    /// The base once this has taken effect; for an update only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Sides<Content>>,
    /// When a person last edited what this is written from, by the other site's clock; for an update only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Timestamp>,
    /// When it was recorded, by our clock.
    pub at: Timestamp,
    /// When the attempt is over for certain, by our clock.
    pub until: Timestamp,
    /// What the pair had waited for until this was begun, and waits for again where it has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Box<Wait>>,
}

/// Why and until when something waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The reason code.
    pub reason: Reason,
    /// The side that it concerns: where a write was refused, or where a worklog is missing.
    pub side: Side,
    /// What happened, for a person: no token, no worklog text.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again by itself; `None` when only a person or a change can free it.
    pub next_attempt: Option<Timestamp>,
    /// What both sides said when it was set aside. A difference is a reason to try again.
    pub tried: Sides<Option<Content>>,
    /// What is not there was not deleted: it stands on an issue without a twin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

impl Pair {
    /// Says whether it is no more than one worklog that waits for a twin of which none was begun.
    pub fn is_single(&self) -> bool {
        self.state == PairState::Live
            && self.ids.a.is_some() != self.ids.b.is_some()
            && self.intent.is_none()
            && self.abandoned.is_empty()
    }

    /// Says whether another pair is over with this one: a worklog that has found its twin had a row of its own until then.
    pub fn takes_in(&self, other: &Pair) -> bool {
        let is_whole = self.ids.a.is_some() && self.ids.b.is_some();
        let has = |side: Side| other.ids[side].is_some_and(|id| self.ids[side] == Some(id));
        is_whole
            && self.id != other.id
            && self.link == other.link
            && other.is_single()
            && Side::BOTH.into_iter().any(has)
    }

    /// Begins a pair with one worklog, its twin still to be made.
    pub fn half(id: PairId, link: LinkKey, side: Side, worklog: WorklogId) -> Self {
        let mut ids = Sides::new(None, None);
        ids[side] = Some(worklog);
        Self {
            id,
            link,
            ids,
            strays: Sides::default(),
            base: None,
            returned: false,
            seen: Sides::default(),
            intent: None,
            decided: Unmet::default(),
            abandoned: Vec::new(),
            rivals: Vec::new(),
            wait: None,
            state: PairState::Live,
            written_at: None,
            released: false,
            ignored: None,
            chosen: None,
            rev: 0,
        }
    }

    /// Says whether a person set aside what it waits for, and nothing about it changed since.
    pub fn is_ignored(&self) -> bool {
        self.ignored.as_ref().is_some_and(|ignored| {
            let waits = self
                .wait
                .as_ref()
                .is_some_and(|wait| wait.reason == ignored.reason && wait.tried == ignored.tried);
            waits && self.ids == ignored.ids && self.seen == ignored.seen
        })
    }

    /// Says whether there were two of it once, so that a twin that it lacks is made again and not for the first time.
    pub fn had_twin(&self) -> bool {
        self.base.is_some() || self.returned || self.ids.a.is_some() && self.ids.b.is_some()
    }

    /// When a site was last asked to do something for it that it did not do, or of which it is not known.
    pub(crate) fn last_attempt(&self) -> Option<Timestamp> {
        let attempts = self.intent.iter().chain(&self.decided.0).chain(&self.abandoned);
        attempts.map(|attempt| attempt.at).max()
    }

    /// Takes the intent back: its write had no effect, and never will. What an update was to bring stays decided.
    pub fn had_no_effect(&mut self, rules: &Rules) {
        if let Some(intent) = self.give_up() {
            self.decided.add(intent, rules);
        }
    }

    /// Takes the intent off, and lets the pair wait for what it had waited for before.
    pub fn give_up(&mut self) -> Option<Intent> {
        let mut intent = self.intent.take()?;
        if let Some(waited) = intent.waited.take() {
            self.wait.get_or_insert(*waited);
        }
        Some(intent)
    }

    /// Returns what was decided of the worklogs that the pair has now.
    pub(crate) fn decisions(&self) -> Vec<&Intent> {
        let of_these =
            |decided: &&Intent| decided.worklog.is_some() && decided.worklog == self.ids[decided.side];
        self.decided.0.iter().filter(of_these).collect()
    }

    /// Returns the name of the pair that begins with this worklog.
    ///
    /// Two runners that see the same new worklog on the same issue come to the same name, so the table lets only
    /// one of them begin the pair. On another issue the name is another one: of two links that a moving worklog
    /// is seen on, only the first may say that it belongs there.
    pub fn id_for(side: Side, worklog: WorklogId, issue: IssueId) -> PairId {
        PairId::new(format!("{side}{worklog}-{issue}"))
    }
}

/// Updates that were decided on and had no effect, the last one last. Each is about a field of which none after it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet(Vec<Intent>);

impl Unmet {
    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Intent> {
        self.0.iter_mut()
    }

    /// Adds an update; others are not.
    pub(crate) fn add(&mut self, mut intent: Intent, rules: &Rules) {
        let side = intent.side;
        let source = intent.then.take().map(|then| match side {
            Side::A => then.b,
            Side::B => then.a,
        });
        let (IntentKind::Update, Some(before), Some(mut source)) = (intent.kind, &mut intent.before, source)
        else {
            return;
        };
        let (said, written) = (&before.description, &intent.body.description);
        // Only the stand-in's texts have names in front.
        let is_stand_ins = rules
            .fallback()
            .is_some_and(|fallback| [&before.author, &intent.body.author].contains(&fallback));
        let is_another_name = is_stand_ins && render::nameless(said) == render::nameless(written);
        if said == written || is_another_name {
            // Texts are long, and this one is not what it is about: whose name stands in front follows from the author, and
            // says nothing of which side's words count.
            for content in [before, &mut source, &mut intent.body] {
                content.description.clear();
            }
        }
        intent.source = Some(source);
        self.settle(|field| intent.is_about(field, rules), rules);
        if Field::all(rules).any(|field| intent.is_about(field, rules)) {
            self.0.push(intent);
        }
    }

    /// Forgets what was decided on some fields.
    pub(crate) fn settle(&mut self, fields: impl Fn(Field) -> bool, rules: &Rules) {
        for decided in &mut self.0 {
            if let Some(before) = &decided.before {
                for field in Field::all(rules).filter(|field| fields(*field)) {
                    field.copy(decided.side, before, &mut decided.body, rules);
                }
            }
        }
        self.0
            .retain(|decided| Field::all(rules).any(|field| decided.is_about(field, rules)));
    }
}

impl Intent {
    /// Says whether a field was to be written.
    pub(crate) fn is_about(&self, field: Field, rules: &Rules) -> bool {
        let of = |content| field.of(self.side, content, rules);
        self.before
            .as_ref()
            .is_some_and(|before| of(before).differs(&of(&self.body)))
    }

    /// Returns the side whose value of a field counts after an update of it had no effect, by what both sides say now and
    /// when each was edited last: the one that was decided for, unless the other one's value was changed since. `None`
    /// where only time can tell.
    ///
    /// The sides' times alone do not tell it: somebody may have edited another field of the worklog that was to be
    /// written, and that makes it the newer one.
    pub(crate) fn winner(
        &self,
        field: Field,
        values: &Sides<Value>,
        edited: &Sides<Timestamp>,
        rules: &Rules,
    ) -> Option<Side> {
        let (to, from) = (self.side, self.side.other());
        let changed = |side: Side, was: &Content| field.of(side, was, rules).differs(&values[side]);
        match (
            changed(to, self.before.as_ref()?),
            changed(from, self.source.as_ref()?),
        ) {
            (false, _) => Some(from),
            // An edit that is no newer than the one that was to be written, nor than the intent, was there before: it was
            // only not read.
            (true, false) => {
                let edited = edited[to].as_second();
                let unread = self.entered.is_some_and(|entered| edited <= entered.as_second());
                (!unread || edited > self.at.as_second()).then_some(to)
            }
            (true, true) => None,
        }
    }
}
