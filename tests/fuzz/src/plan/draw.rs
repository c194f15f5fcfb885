//! Observations and plans out of bytes: few worklogs, few values, so that much of it meets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{date, time};
use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::{Copy, Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, Recorded, Step};
use tandem_core::rules::{
    AttributeRule, ConflictPolicy, DeletePolicy, DeleteVsEdit, Person, Policy, Rules, UnknownAuthor,
};
use tandem_core::{
    Content, Intent, IntentKind, IssueId, LinkKey, Pair, PairId, PairState, Reason, Side, Sides, Wait,
    Worklog, WorklogId,
};

use crate::bytes_of::Bytes;

/// Worklogs per side.
const WORKLOGS: u64 = 5;

/// Pairs per observation.
const PAIRS_MAX: u8 = 5;

/// Changes to a plan.
const CHANGES_MAX: u8 = 4;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_772_443_200).unwrap()
}

fn side(bytes: &mut Bytes<'_>) -> Side {
    *bytes.one(&Side::BOTH)
}

fn link(bytes: &mut Bytes<'_>) -> LinkKey {
    let (a, b) = *bytes.one(&[(1, 2), (1, 2), (1, 2), (3, 4), (1, 4)]);
    LinkKey {
        connection: "a-b".into(),
        a: IssueId(a),
        b: IssueId(b),
    }
}

fn worklog_id(bytes: &mut Bytes<'_>, side: Side) -> WorklogId {
    let first = if side == Side::A { 10 } else { 20 };
    WorklogId(first + u64::from(bytes.byte()) % WORKLOGS)
}

fn moment(bytes: &mut Bytes<'_>) -> Timestamp {
    let ago = [0, 1, 20, 40, 3600, 86_400, -1, -60];
    now() - SignedDuration::from_secs(*bytes.one(&ago))
}

pub(crate) fn content(bytes: &mut Bytes<'_>) -> Content {
    let (variant, other) = (bytes.byte(), bytes.byte());
    let mut attributes = BTreeMap::new();
    if other & 0x20 != 0 {
        attributes.insert(
            "_A_".to_owned(),
            if other & 0x40 == 0 { "x" } else { "y" }.to_owned(),
        );
    }
    if other & 0x80 != 0 {
        attributes.insert("_Own_".to_owned(), "kept".to_owned());
    }
    Content {
        author: ["ann", "ann", "bob", "__tempo-io__unknown_user"][usize::from(variant & 3)].into(),
        start_date: date(2026, 3, 1 + i8::from(variant & 4 != 0)),
        start_time: [None, Some(time(8, 30, 0, 0)), Some(time(9, 0, 0, 0))]
            [usize::from((variant >> 3 & 3) % 3)],
        time_spent_secs: [900, 900, 1800, 3600][usize::from(variant >> 5 & 3)],
        billable_secs: [Some(0), Some(900), None, Some(1800)][usize::from(other & 3)],
        description: ["text", "", " text ", "other"][usize::from(other >> 2 & 3)].to_owned(),
        attributes,
    }
}

pub(crate) fn settings(bytes: &mut Bytes<'_>) -> Settings {
    let kind = bytes.byte();
    let mut rules = Rules {
        policy: Policy {
            conflict: *bytes.one(&[
                ConflictPolicy::Newest,
                ConflictPolicy::Park,
                ConflictPolicy::Side(Side::A),
                ConflictPolicy::Side(Side::B),
            ]),
            delete: *bytes.one(&[
                DeletePolicy::Mirror,
                DeletePolicy::Mirror,
                DeletePolicy::Keep,
                DeletePolicy::Park,
            ]),
            delete_vs_edit: *bytes.one(&[DeleteVsEdit::Edit, DeleteVsEdit::Delete, DeleteVsEdit::Park]),
        },
        ..Rules::default()
    };
    if kind & 1 != 0 {
        rules.authors.push(("ann".into(), "ann-on-b".into()));
    }
    if kind & 2 != 0 {
        rules.unknown_author = UnknownAuthor::Account("bot".into());
    }
    if kind & 4 != 0 {
        let values = match kind & 8 {
            0 => vec![],
            _ => vec![("x".to_owned(), "y".to_owned())],
        };
        rules.attributes.push(AttributeRule {
            keys: Sides::new("_A_".to_owned(), "_A_".to_owned()),
            values,
        });
    }
    if kind & 16 != 0 {
        rules.defaults.b.insert("_A_".to_owned(), "x".to_owned());
    }
    Settings {
        rules,
        ..Settings::default()
    }
}

pub(crate) fn observed(bytes: &mut Bytes<'_>) -> Observed {
    let own = LinkKey {
        connection: "a-b".into(),
        a: IssueId(1),
        b: IssueId(2),
    };
    let mut observed = Observed::empty(own, now());
    let flags = bytes.byte();
    observed.brake = flags & 1 != 0;
    observed.force = flags & 2 != 0;
    observed.blind = Sides::new(flags & 4 != 0, flags & 8 != 0);
    if flags & 16 != 0 {
        observed.since = date(2026, 3, 2);
    }
    for side in Side::BOTH {
        let people = &mut observed.lookups.people[side];
        if flags & 32 != 0 {
            let other = Some("bob-over-there".into());
            people.insert(
                "bob".into(),
                Person {
                    other,
                    display_name: None,
                },
            );
        }
        for nth in 0..WORKLOGS {
            let id = WorklogId(if side == Side::A { 10 } else { 20 } + nth);
            sight(bytes, &mut observed, side, id);
        }
    }
    for _ in 0..bytes.below(PAIRS_MAX + 1) {
        let pair = pair(bytes);
        // The table has one row of a name.
        if observed.pairs.iter().all(|row| row.id != pair.id) {
            observed.pairs.push(pair);
        }
    }
    for _ in 0..bytes.below(4) {
        let side = side(bytes);
        let of = worklog_id(bytes, side);
        match bytes.below(5) {
            0 => drop(observed.foreign[side].insert(of)),
            1 => drop(observed.moved_away[side].insert(of)),
            2 => drop(observed.edited[side].insert(of, moment(bytes))),
            3 => {
                let copy = match bytes.below(2) {
                    0 => Copy::InFlight,
                    _ => Copy::Known(worklog_id(bytes, side.other())),
                };
                observed.copies[side].insert(of, copy);
            }
            _ => {
                let nth = usize::from(bytes.byte());
                if let Some(pair) = observed.pairs.get(nth % observed.pairs.len().max(1)) {
                    match bytes.below(2) {
                        0 => drop(observed.orphaned.insert(pair.id.clone())),
                        _ => drop(observed.successors[side].insert(of, pair.id.clone())),
                    }
                }
            }
        }
    }
    observed
}

/// What is seen of one worklog: most are listed, some are elsewhere, unreadable, gone, or gone for certain.
fn sight(bytes: &mut Bytes<'_>, observed: &mut Observed, side: Side, id: WorklogId) {
    let kind = bytes.below(8);
    if kind == 0 || kind == 5 {
        return;
    }
    if kind == 6 || kind == 7 {
        let proof = proof(bytes);
        observed.proofs[side].insert(id, proof);
        if kind == 6 {
            return;
        }
    }
    if kind == 4 && bytes.once_in(2) {
        observed.unreadable[side].insert(id, "startDate: a value of another type".into());
        return;
    }
    let updated_at = moment(bytes);
    let worklog = Worklog {
        id,
        issue: if kind == 4 {
            IssueId(5)
        } else {
            observed.link.issue(side)
        },
        content: content(bytes),
        created_at: updated_at - SignedDuration::from_secs(if bytes.once_in(2) { 600 } else { 0 }),
        updated_at,
    };
    let seen = if kind == 4 {
        &mut observed.strays
    } else {
        &mut observed.listings
    };
    seen[side].insert(id, worklog);
}

fn proof(bytes: &mut Bytes<'_>) -> Proof {
    Proof {
        source: "tempo-webhook".into(),
        at: moment(bytes),
        moved_to: bytes.some(4, |_| IssueId(7)),
    }
}

fn pair(bytes: &mut Bytes<'_>) -> Pair {
    let first = side(bytes);
    let id = worklog_id(bytes, first);
    let name = Pair::id_for(first, id, IssueId(if first == Side::A { 1 } else { 2 }));
    let mut pair = Pair::half(name, link(bytes), first, id);
    pair.rev = 1 + u64::from(bytes.below(3));
    if !bytes.once_in(3) {
        pair.ids[first.other()] = Some(worklog_id(bytes, first.other()));
        pair.base = Some(Sides::new(content(bytes), content(bytes)));
    }
    let extras = bytes.byte();
    if extras & 1 != 0 {
        pair.seen = Sides::new(Some(moment(bytes)), Some(moment(bytes)));
    }
    if extras & 2 != 0 {
        pair.strays[side(bytes)] = Some(IssueId(5));
    }
    if extras & 4 != 0 {
        pair.intent = Some(intent(bytes, &pair));
    }
    if extras & 8 != 0 {
        let mut given_up = intent(bytes, &pair);
        given_up.kind = IntentKind::Create;
        given_up.worklog = None;
        pair.abandoned.push(given_up);
    }
    if extras & 16 != 0 {
        pair.wait = Some(wait(bytes));
    }
    if extras & 32 != 0 {
        pair.state = *bytes.one(&[PairState::Gone, PairState::Kept, PairState::Left]);
    }
    if extras & 64 != 0 {
        pair.written_at = Some(moment(bytes));
    }
    pair.released = extras & 128 != 0;
    pair
}

fn intent(bytes: &mut Bytes<'_>, pair: &Pair) -> Intent {
    let side = side(bytes);
    let kind = *bytes.one(&[IntentKind::Create, IntentKind::Update, IntentKind::Delete]);
    let at = moment(bytes);
    Intent {
        kind,
        side,
        issue: pair.strays[side].unwrap_or_else(|| pair.link.issue(side)),
        worklog: match kind {
            IntentKind::Create => None,
            _ => pair.ids[side],
        },
        source: (kind == IntentKind::Create).then(|| content(bytes)),
        before: (kind == IntentKind::Update).then(|| content(bytes)),
        body: content(bytes),
        then: (kind == IntentKind::Update).then(|| Sides::new(content(bytes), content(bytes))),
        entered: (kind == IntentKind::Update && bytes.once_in(2)).then(|| moment(bytes)),
        at,
        until: at + SignedDuration::from_secs(30),
        waited: None,
    }
}

fn wait(bytes: &mut Bytes<'_>) -> Wait {
    Wait {
        reason: *bytes.one(&[
            Reason::Rejected,
            Reason::Missing,
            Reason::MassDelete,
            Reason::Conflict,
            Reason::AmbiguousCreate,
        ]),
        side: side(bytes),
        detail: "it was refused".into(),
        since: moment(bytes),
        attempts: u32::from(bytes.below(3)),
        next_attempt: bytes.some(2, moment),
        tried: Sides::new(bytes.some(2, content), bytes.some(2, content)),
        moved: false,
    }
}

/// Takes out what the table's conditions, and how an observation is made, never let come about.
pub(crate) fn mend(observed: &mut Observed) {
    let names: BTreeSet<PairId> = observed.pairs.iter().map(|pair| pair.id.clone()).collect();
    let mut taken: Sides<BTreeSet<WorklogId>> = Sides::default();
    for pair in &mut observed.pairs {
        for side in Side::BOTH {
            // A worklog belongs to at most one pair.
            if pair.ids[side].is_some_and(|id| !taken[side].insert(id)) {
                pair.ids[side] = None;
                pair.base = None;
            }
            if pair.ids[side].is_none() {
                pair.strays[side] = None;
            }
        }
        let is_half = pair.ids.a.is_none() || pair.ids.b.is_none();
        if let Some(intent) = &pair.intent {
            // A create is for the side that has none; what is changed or deleted is the pair's.
            let fits = match intent.kind {
                IntentKind::Create => is_half && pair.ids[intent.side].is_none(),
                _ => intent.worklog.is_some() && intent.worklog == pair.ids[intent.side],
            };
            if !fits || pair.state != PairState::Live {
                pair.intent = None;
            }
        }
    }
    for side in Side::BOTH {
        let paired = &taken[side];
        // Both are said of worklogs that belong to no pair of this connection.
        observed.foreign[side].retain(|id| !paired.contains(id));
        observed.successors[side].retain(|id, pair| !paired.contains(id) && names.contains(pair));
        // Strays are fetched for pairs that have one, on the issue that the pair remembers.
        let strayed: BTreeSet<WorklogId> = observed
            .pairs
            .iter()
            .filter(|pair| pair.strays[side].is_some())
            .filter_map(|pair| pair.ids[side])
            .collect();
        observed.strays[side].retain(|id, _| strayed.contains(id));
    }
    // A link that was replaced has no pairs with the link's own name.
    let own = observed.link.clone();
    let live: BTreeSet<PairId> = observed
        .pairs
        .iter()
        .filter(|pair| pair.link != own)
        .map(|pair| pair.id.clone())
        .collect();
    observed.orphaned.retain(|id| live.contains(id));
}

/// Changes a plan: steps anew, and steps of the planner with something wrong in them.
pub(crate) fn derail(bytes: &mut Bytes<'_>, plan: &mut Plan, observed: &Observed) {
    for _ in 0..=bytes.below(CHANGES_MAX) {
        let at = usize::from(bytes.byte()) % plan.steps.len().max(1);
        match (plan.steps.get_mut(at), bytes.below(4)) {
            (Some(step), 0) => amiss(bytes, step),
            (Some(step), 1) => {
                let twice = step.clone();
                plan.steps.push(twice);
            }
            (Some(_), 2) => drop(plan.steps.remove(at)),
            _ => {
                let step = step(bytes, observed);
                plan.steps.push(step);
            }
        }
    }
}

fn step(bytes: &mut Bytes<'_>, observed: &Observed) -> Step {
    let known = observed
        .pairs
        .get(usize::from(bytes.byte()) % observed.pairs.len().max(1));
    let mut pair = match known {
        Some(pair) if !bytes.once_in(4) => pair.clone(),
        _ => pair(bytes),
    };
    if bytes.once_in(3) {
        pair_amiss(bytes, &mut pair);
    }
    let side = side(bytes);
    let worklog = match pair.ids[side] {
        Some(id) if !bytes.once_in(4) => id,
        _ => worklog_id(bytes, side),
    };
    let shown = |side: Side, id: Option<WorklogId>| {
        id.and_then(|id| observed.worklog(side, id))
            .map(|worklog| worklog.content.clone())
    };
    let said = |bytes: &mut Bytes<'_>, side: Side, id: Option<WorklogId>| match shown(side, id) {
        Some(content) if !bytes.once_in(4) => content,
        _ => content(bytes),
    };
    let source = said(bytes, side.other(), pair.ids[side.other()]);
    let before = said(bytes, side, Some(worklog));
    let body = if bytes.once_in(4) {
        content(bytes)
    } else {
        source.clone()
    };
    let action = match bytes.below(4) {
        0 => Action::Delete {
            side,
            worklog,
            issue: match bytes.below(4) {
                0..=2 => pair.strays[side].unwrap_or_else(|| observed.link.issue(side)),
                _ => IssueId(5),
            },
            before,
            proof: proof(bytes),
            moves: bytes.once_in(3),
        },
        1 => Action::Create { side, source, body },
        2 => Action::Update {
            side,
            worklog,
            before,
            source,
            body,
            apart: vec![],
            entered: moment(bytes),
        },
        _ => Action::Record(Recorded::Agree),
    };
    Step {
        pair,
        action,
        cause: "at random".into(),
        lost: vec![],
        made: None,
    }
}

fn pair_amiss(bytes: &mut Bytes<'_>, pair: &mut Pair) {
    let side = side(bytes);
    match bytes.below(8) {
        0 => pair.ids[side] = None,
        1 => pair.ids[side] = Some(worklog_id(bytes, side)),
        2 => pair.strays[side] = bytes.some(2, |_| IssueId(5)),
        3 => pair.base = bytes.some(2, |bytes| Sides::new(content(bytes), content(bytes))),
        4 => pair.link = link(bytes),
        5 => pair.state = *bytes.one(&[PairState::Live, PairState::Gone, PairState::Kept, PairState::Left]),
        6 => pair.released = !pair.released,
        _ => pair.id = Pair::id_for(side, worklog_id(bytes, side), IssueId(1)),
    }
}

fn amiss(bytes: &mut Bytes<'_>, step: &mut Step) {
    if bytes.once_in(2) {
        return pair_amiss(bytes, &mut step.pair);
    }
    let what = bytes.below(5);
    match &mut step.action {
        Action::Record(_) => {}
        Action::Create { side, source, body } => match what {
            0 => *side = side.other(),
            1 => *source = content(bytes),
            2 => *body = content(bytes),
            3 => body.time_spent_secs += 60,
            _ => body.billable_secs = Some(1),
        },
        Action::Update {
            side,
            worklog,
            before,
            source,
            body,
            ..
        } => match what {
            0 => *side = side.other(),
            1 => *worklog = worklog_id(bytes, *side),
            2 => *before = content(bytes),
            3 => *source = content(bytes),
            _ => *body = content(bytes),
        },
        Action::Delete {
            side,
            worklog,
            issue,
            moves,
            proof,
            ..
        } => match what {
            0 => *side = side.other(),
            1 => *worklog = worklog_id(bytes, *side),
            2 => *issue = IssueId(6),
            3 => *moves = !*moves,
            _ => proof.moved_to = None,
        },
    }
}
