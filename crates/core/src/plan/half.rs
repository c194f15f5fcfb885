//! A worklog whose twin is still to be made.

use std::collections::BTreeSet;

use super::Planner;
use super::absent::MOVED;
use crate::ids::{PairId, Side, Sides, WorklogId};
use crate::merge;
use crate::observed::Copy;
use crate::pair::{Intent, IntentKind, Pair, PairState, Wait};
use crate::reason::Reason;
use crate::render;
use crate::render::Unrenderable;
use crate::step::{Action, Made, Recorded, Step, created, kept_by_the_site, not_taken, told};
use crate::twin;
use crate::worklog::{Content, Worklog};

/// How the history tells of a worklog that never had a twin.
const UNMADE: &str = "deleted before its twin was made";

/// Creates given up on that are remembered per pair.
const ABANDONED_MAX: usize = 5;

impl<'o> Planner<'o> {
    pub(super) fn half(&mut self, pair: &Pair, side: Side, id: WorklogId) {
        let mut pair = pair.clone();
        let to = side.other();
        let source = self.observed.worklog(side, id).cloned();
        if let Some(chosen) = pair.chosen.take()
            && self.take_chosen(&pair, to, chosen)
        {
            return;
        }
        let was_begun = pair
            .intent
            .as_ref()
            .is_some_and(|intent| intent.kind == IntentKind::Create);
        if let Some(intent) = pair
            .intent
            .clone()
            .filter(|intent| intent.kind == IntentKind::Create)
        {
            let made = match self.made_by(&intent, &self.free(to), &pair.id) {
                twin::Made::Several(found) => self.one_of_equals(&intent, found),
                made => made,
            };
            match made {
                twin::Made::One(found) => {
                    self.taken[to].insert(found);
                    self.was_made(&pair, &intent, found);
                    let source = intent.source.clone().unwrap_or_else(|| intent.body.clone());
                    let (base, wait) =
                        self.agreed_by(to, &intent, &source, &self.observed.listings[to][&found]);
                    pair.wait = wait;
                    pair.intent = Some(intent);
                    return self.adopt(
                        pair,
                        to,
                        found,
                        Some(base),
                        "found what an interrupted create had made",
                    );
                }
                twin::Made::Several(found) => {
                    let count = found.len();
                    // None of them is news until it is known which one is ours.
                    self.dispute(to, found);
                    let why = Unrenderable {
                        reason: Reason::AmbiguousCreate,
                        detail: format!(
                            "{count} worklogs on side {to} might be what an interrupted create made"
                        ),
                    };
                    return self.park(pair, to, why, Sides::new(None, None));
                }
                twin::Made::None if self.observed.now < intent.until + self.settings.grace => {
                    return self.look_at(intent.until + self.settings.grace);
                }
                // What cannot be seen may be there.
                twin::Made::None if self.observed.blind[to] => {
                    let why = Unrenderable {
                        reason: Reason::PermissionMissing,
                        detail: format!(
                            "its twin may have been made on side {to}, where the service user lacks permissions to see it"
                        ),
                    };
                    return self.park(pair, to, why, Sides::new(None, None));
                }
                twin::Made::None => {
                    let given_up = pair.give_up();
                    pair.abandoned.extend(given_up);
                    if pair.abandoned.len() > ABANDONED_MAX {
                        pair.abandoned.remove(0);
                    }
                }
            }
        } else {
            pair.intent = None;
        }
        let Some(source) = source else {
            if self.observed.proofs[side].contains_key(&id) {
                self.hold_others(&pair, to, None);
            }
            return match self.observed.proofs[side].get(&id) {
                Some(proof) if proof.moved_to.is_some() => self.leave(pair, side, MOVED),
                Some(proof) if proof.may_stand() => self.leave(pair, side, UNMADE),
                Some(_) => self.forget(pair, UNMADE),
                None => self.missing(pair, side, Sides::new(None, None)),
            };
        };
        if self.was_made_earlier(&pair, to, &source.content) {
            return;
        }
        if !self.may_begin && !was_begun {
            return;
        }
        pair.seen[side] = pair.seen[side].max(Some(source.updated_at));
        if !pair.rivals.is_empty() {
            // It goes on waiting where it moved to.
            if pair.wait.is_none() {
                let named = super::adopt::names(&pair.rivals);
                let why = Unrenderable {
                    reason: Reason::AmbiguousCreate,
                    detail: format!("its copy on side {to} may be any of {named}, from where it was before"),
                };
                let mut tried = Sides::new(None, None);
                tried[side] = Some(source.content);
                self.park(pair, side, why, tried);
            }
            return;
        }
        // Whose twin it is, a person has said of the other one.
        if self.is_named(side, id) {
            return;
        }
        self.begin(pair, side, &source, format!("new on {side}"));
    }

    /// Looks on `to` for what a create that was given up on made after all, before another one is made, and says
    /// whether that settles the pair: it takes what was made, or waits where nobody can tell whose it is.
    pub(super) fn was_made_earlier(&mut self, pair: &Pair, to: Side, source: &Content) -> bool {
        // What an earlier pair of this plan waits for may as well be this one's.
        let mut candidates = self.free(to);
        let disputed = self.disputed[to].iter();
        candidates.extend(disputed.filter_map(|id| self.observed.listings[to].get(id)));
        let of_side = pair.abandoned.iter().filter(|intent| intent.side == to);
        let late = of_side
            .clone()
            .map(|intent| (self.made_by(intent, &candidates, &pair.id), intent))
            .find(|(made, _)| *made != twin::Made::None);
        let (found, intent) = match late {
            None => {
                // What another create wrote word for word may be this one's all the same, for as long as it is nobody's.
                let mut of_side = of_side;
                let timeless = self.observed.timeless[to];
                let may_be = of_side.any(|intent| {
                    twin::made_by(intent, &candidates, timeless, |_| false) != twin::Made::None
                });
                if may_be {
                    let why = Unrenderable {
                        reason: Reason::AmbiguousCreate,
                        detail: format!(
                            "a worklog on side {to} might be what an earlier create made, or another's"
                        ),
                    };
                    self.park(pair.clone(), to, why, Sides::new(None, None));
                }
                return may_be;
            }
            Some((twin::Made::One(found), intent)) => (vec![found], intent),
            Some((twin::Made::Several(found), intent)) => (found, intent),
            Some((twin::Made::None, _)) => return false,
        };
        match found.as_slice() {
            [one] if !self.disputed[to].contains(one) => {
                self.taken[to].insert(*one);
                self.was_made(pair, intent, *one);
                let source = intent.source.as_ref().unwrap_or(source);
                let (base, _) = self.agreed_by(to, intent, source, &self.observed.listings[to][one]);
                let cause = "found what an earlier create had made";
                self.adopt(pair.clone(), to, *one, Some(base), cause);
            }
            _ => {
                let count = found.len();
                self.dispute(to, found);
                let why = Unrenderable {
                    reason: Reason::AmbiguousCreate,
                    detail: format!("{count} worklogs on side {to} might be what an earlier create made"),
                };
                self.park(pair.clone(), to, why, Sides::new(None, None));
            }
        }
        true
    }

    /// Looks for what an interrupted create of a pair made. What another one wrote word for word is that one's.
    pub(super) fn made_by(&self, intent: &Intent, free: &[&Worklog], own: &PairId) -> twin::Made {
        let to = intent.side;
        let timeless = self.observed.timeless[to];
        let anothers = |worklog: &Worklog| {
            self.observed.pairs.iter().any(|pair| {
                let creates = pair.intent.iter().chain(&pair.abandoned);
                let mut creates =
                    creates.filter(|other| other.kind == IntentKind::Create && other.side == to);
                pair.id != *own
                    && pair.ids[to].is_none()
                    && pair.state == PairState::Live
                    && pair.link == self.observed.link
                    && creates.any(|other| twin::same_but_time(&other.body, &worklog.content, timeless))
            })
        };
        twin::made_by(intent, free, timeless, anothers)
    }

    /// What both sides agreed on with a create of ours that made a listed worklog, and what it waits for where the site kept
    /// something of its own. What was edited since is held against what was written.
    pub(super) fn agreed_by(
        &self,
        to: Side,
        intent: &Intent,
        source: &Content,
        listed: &Worklog,
    ) -> (Sides<Content>, Option<Wait>) {
        let observed = self.observed;
        if twin::is_untouched(listed) {
            // What differs from what was written is the site's own.
            let written = told(&listed.content, &intent.body);
            let kept = not_taken(to, &intent.body, &written, self.rules);
            let retry = observed.now + self.settings.park_retry;
            let wait = kept_by_the_site(to, source, &written, &kept, observed.now, retry);
            return (created(to, source, &written, &kept, self.rules), wait);
        }
        let mut base = Sides::new(source.clone(), source.clone());
        base[to] = intent.body.clone();
        if observed.timeless[to] {
            base[to].start_time = listed.content.start_time;
        }
        (base, None)
    }

    pub(super) fn was_made(&mut self, pair: &Pair, intent: &Intent, found: WorklogId) {
        let made = Made::create(intent, found);
        self.made.insert(pair.id.clone(), Box::new(made));
    }

    /// Keeps worklogs from being taken for new or for a pair's, as long as nobody can tell which is whose.
    fn dispute(&mut self, side: Side, found: Vec<WorklogId>) {
        self.taken[side].extend(&found);
        self.disputed[side].extend(found);
    }

    /// Finds or makes the twin of a worklog that has none.
    pub(super) fn begin(&mut self, pair: Pair, side: Side, source: &Worklog, cause: String) {
        let to = side.other();
        let mut tried = Sides::new(None, None);
        tried[side] = Some(source.content.clone());
        match self.observed.copies[side].get(&source.id) {
            Some(Copy::InFlight) => return self.look_at(self.observed.now + self.settings.grace),
            Some(Copy::Known(copy)) => {
                let is_shown = self.observed.listings[to].contains_key(copy)
                    && !self.observed.vanished[to].contains(copy);
                if is_shown && !self.taken[to].contains(copy) {
                    self.taken[to].insert(*copy);
                    // Where it takes the place of one that was agreed on, what is edited here goes across, and no more.
                    let base = pair.base.clone();
                    return self.adopt(pair, to, *copy, base, "another connection had made its copy");
                }
                // Not listed yet, or on an issue that this link does not reach. A second one is never made.
                let listed_by = source.created_at + self.settings.grace;
                let has_had_one = self.row(&pair.id).is_some_and(|row| row.ids[to].is_some());
                if self.observed.now < listed_by || has_had_one {
                    return self.look_at(listed_by.max(self.observed.now + self.settings.grace));
                }
                let why = Unrenderable {
                    reason: Reason::Missing,
                    detail: match self.taken[to].contains(copy) {
                        true => {
                            format!("its twin on side {to} is worklog {copy}, which is another one's here")
                        }
                        false => {
                            format!("its twin on side {to} is worklog {copy}, which its issue does not show")
                        }
                    },
                };
                return self.park(pair, to, why, tried);
            }
            None => {}
        }
        let rendered = match self.body(&pair, to, &source.content) {
            Ok(rendered) => rendered,
            Err(why) => return self.park(pair, to, why, tried),
        };
        let key = (&rendered.author, rendered.start_date, rendered.time_spent_secs);
        let same = self.unpaired[to].get(&key).and_then(|candidates| {
            candidates.iter().find(|worklog| {
                !self.taken[to].contains(&worklog.id)
                    && !self.observed.vanished[to].contains(&worklog.id)
                    && twin::same_work(&rendered, &worklog.content)
            })
        });
        if let Some(found) = same.map(|worklog| worklog.id) {
            self.taken[to].insert(found);
            return self.adopt(
                pair,
                to,
                found,
                None,
                "the same work was already logged on both sides",
            );
        }
        // Each look decides anew. What was logged on both sides is a pair, whoever made one of the two.
        if pair.base.is_none()
            && let Some(why) = self.late_duplicate(side, source, &pair.id)
        {
            return self.park(pair, side, why, tried);
        }
        if let Some(kept) = self.kept_of(&pair, side, &rendered) {
            let mut next = kept.clone();
            next.ids[side] = pair.ids[side];
            next.seen = Sides::default();
            next.state = PairState::Live;
            next.base = None;
            self.settled.insert(kept.id.clone());
            let cause = format!("logged again on {side}, and kept on {to}");
            return self.push(next, Action::Record(Recorded::Adopt), cause, vec![]);
        }
        self.create(pair, to, &source.content, cause);
    }

    /// Finds what a policy kept of a worklog that was deleted on `side`, where somebody logs the same again that no row knows
    /// yet.
    fn kept_of(&self, newcomer: &Pair, side: Side, rendered: &Content) -> Option<&'o Pair> {
        if self.row(&newcomer.id).is_some() {
            return None;
        }
        let (observed, to) = (self.observed, side.other());
        observed.pairs.iter().find(|pair| {
            let stands = pair.ids[to].and_then(|id| observed.listings[to].get(&id));
            let gone = pair.ids[side].is_some_and(|id| !observed.listings[side].contains_key(&id));
            pair.state == PairState::Kept
                && pair.link == observed.link
                && gone
                && !self.settled.contains(&pair.id)
                && stands.is_some_and(|worklog| twin::same_work(rendered, &worklog.content))
        })
    }

    /// Plans the create of a pair's worklog on `side` from what the other side says.
    pub(super) fn create(&mut self, pair: Pair, side: Side, source: &Content, cause: String) {
        let from = side.other();
        let mut tried = Sides::new(None, None);
        tried[from] = Some(source.clone());
        let body = match self.body(&pair, side, source) {
            Ok(body) => body,
            Err(why) => return self.park(pair, side, why, tried),
        };
        let now = tried.map(|_, content| content.unwrap_or_else(|| source.clone()));
        if let Some(until) = self.waits(&pair, &now) {
            return self.wait_on(pair, until);
        }
        self.push(
            pair,
            Action::Create {
                side,
                source: source.clone(),
                body,
            },
            cause,
            vec![],
        );
    }

    /// What a worklog that is made on `side` is to say.
    fn body(&self, pair: &Pair, side: Side, source: &Content) -> Result<Content, Unrenderable> {
        let lookups = &self.observed.lookups;
        let Some(base) = &pair.base else {
            return render::whole(side.other(), source, self.rules, lookups);
        };
        let mut body = merge::again(side, base, source, self.rules, lookups)?;
        // What it said before, the site does not take any more.
        let from = side.other();
        match pair.wait.as_ref().map(|wait| wait.reason) {
            Some(Reason::AuthorUnmapped) if source.author.as_str() != render::UNKNOWN_USER => {
                let author = render::author(from, &source.author, self.rules, lookups)?;
                body.author = author.account().clone();
                body.description = merge::described(from, base, source, self.rules, lookups);
            }
            Some(Reason::AttributeRequired | Reason::AttributeUnmapped | Reason::Rejected) => {
                for (index, rule) in self.rules.attributes.iter().enumerate() {
                    let value = render::attribute(from, source, index, self.rules, lookups);
                    if let Ok(Some(value)) = value {
                        body.attributes.insert(rule.keys[side].clone(), value);
                    }
                }
            }
            _ => {}
        }
        Ok(body)
    }

    fn adopt(
        &mut self,
        mut pair: Pair,
        side: Side,
        found: WorklogId,
        base: Option<Sides<Content>>,
        cause: &str,
    ) {
        pair.ids[side] = Some(found);
        pair.seen[side] = None;
        // What a move left behind is not what is adopted here.
        pair.strays[side] = None;
        pair.returned = false;
        pair.base = base;
        if pair.intent.take().is_none() {
            // What an interrupted create leaves to wait for was decided with it.
            pair.wait = None;
        }
        self.push(pair, Action::Record(Recorded::Adopt), cause.to_string(), vec![]);
    }

    /// Several worklogs say what a create wrote. If no more of them than creates of just that whose outcome
    /// is unknown, it does not matter which is whose.
    fn one_of_equals(&self, intent: &Intent, found: Vec<WorklogId>) -> twin::Made {
        let to = intent.side;
        let timeless = self.observed.timeless[to];
        let alike = |body: &Content| twin::same_but_time(&intent.body, body, timeless);
        let listed = found.iter().filter_map(|id| self.observed.listings[to].get(id));
        let exact: Vec<_> = listed
            .filter(|worklog| twin::may_have_become(&intent.body, worklog, timeless))
            .collect();
        let is_open = |pair: &Pair| {
            let other = pair.intent.as_ref();
            let other = other.filter(|other| other.kind == IntentKind::Create && other.side == to);
            pair.ids[to].is_none() && other.is_some_and(|other| alike(&other.body))
        };
        // Those handed out already in this plan count neither as free nor, any more, as open.
        let adopts = |step: &&Step| step.action == Action::Record(Recorded::Adopt);
        let handed_out: BTreeSet<&PairId> = self
            .plan
            .steps
            .iter()
            .filter(adopts)
            .map(|step| &step.pair.id)
            .collect();
        let pairs = self.observed.pairs.iter();
        let open = pairs.filter(|pair| is_open(pair) && !handed_out.contains(&pair.id));
        match exact.first() {
            Some(first) if exact.len() <= open.count() => twin::Made::One(first.id),
            _ => twin::Made::Several(found),
        }
    }
}
