//! The reckoning: what waits, and what is on the sites, held to what people did and to what still stands in the way.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tandem_core::{LinkKey, Pair, PairState, Reason, Side, Wait, WorklogId};
use tandem_engine::ports::store::{DueKey, DueRow};
use tandem_sim::Permission;

use crate::observer::{Apart, Broken};
use crate::run::{Eve, Lasting, Plan, Trail};
use crate::table::Rows;
use crate::world::{World, tells_a_secret};

/// How long a run may be under way.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(60);

/// From when on a due row is something left lying. A late webhook may have come just now: that is work.
const LEFT_LYING: SignedDuration = SignedDuration::from_secs(90);

/// A pair that waits.
struct Waiting<'p> {
    pair: Pair,
    wait: Wait,
    places: [(&'p str, Option<WorklogId>); 2],
    /// What it waits for stands still, or nobody can say what should be.
    explained: bool,
}

/// The pairs of which a worklog is gone that nothing can tell of.
pub(crate) fn untold(world: &World, plan: &Plan) -> Vec<(Pair, Side)> {
    let rows = world.rows();
    let live = rows.all_pairs().filter(|pair| pair.state == PairState::Live);
    live.filter_map(|pair| {
        let wait = pair.wait.as_ref().filter(|wait| wait.reason == Reason::Missing)?;
        is_untold(world, &rows, plan, wait.side, &places(plan, pair)?).then(|| (pair.clone(), wait.side))
    })
    .collect()
}

/// What waits.
fn waiting<'p>(world: &World, plan: &'p Plan) -> Vec<Waiting<'p>> {
    // As long as one has vanished from an issue without a word, and nobody else's time is shown there, Jira's word on the
    // others may as well mean that sight is lost.
    let unsure: BTreeSet<(LinkKey, Side)> = untold(world, plan)
        .into_iter()
        .map(|(pair, side)| (pair.link, side))
        .collect();
    let rows = world.rows();
    let live = rows.all_pairs().filter(|pair| pair.state == PairState::Live);
    live.filter_map(|pair| {
        let (wait, places) = (pair.wait.clone()?, places(plan, pair)?);
        let unheard = places
            .iter()
            .any(|(site, id)| id.is_some_and(|id| world.observer().is_unheard(site, id.0)));
        let untold = wait.reason == Reason::Missing
            && (is_untold(world, &rows, plan, wait.side, &places)
                || unsure.contains(&(pair.link.clone(), wait.side)));
        let explained = unheard || untold || stands(world, plan, wait.reason, &places);
        let pair = pair.clone();
        Some(Waiting {
            pair,
            wait,
            places,
            explained,
        })
    })
    .collect()
}

/// Due rows that nobody has looked at for a while.
fn left_lying(world: &World) -> Vec<DueRow> {
    let now = world.now();
    let mut due = world.rows().all_due();
    due.retain(|row| !row.quiet && now.duration_since(row.since) > LEFT_LYING);
    due
}

impl Lasting {
    /// Says whether something may wait on `on` because of this, which began on `site` at `begun`.
    fn explains(self, site: &str, begun: Timestamp, on: &str, wait: &Wait) -> bool {
        let reason = wait.reason;
        match self {
            Lasting::Permission(Permission::ViewAll) => {
                on == site && matches!(reason, Reason::Missing | Reason::PermissionMissing)
            }
            Lasting::Permission(_) => on == site && reason == Reason::PermissionMissing,
            Lasting::Period => on == site && reason == Reason::PeriodClosed,
            // The site is paused: nobody can look whether what something waited for is over. A run that had read
            // before the token ended may set something aside a little later.
            Lasting::Token => wait.since < begun + UNDER_WAY,
        }
    }

    /// The reason under which a whole link may stay due because of this.
    fn keeps_due(self) -> Reason {
        match self {
            Lasting::Token => Reason::CredentialsRejected,
            Lasting::Permission(_) | Lasting::Period => Reason::PermissionMissing,
        }
    }
}

/// What waits while a cause lasts on a site, and does not say so.
pub(crate) fn misnamed(
    world: &World,
    plan: &Plan,
    lasting: Lasting,
    site: &str,
    begun: Timestamp,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for Waiting {
        pair,
        wait,
        places,
        explained,
    } in waiting(world, plan)
    {
        let (on, _) = places[usize::from(wait.side == Side::B)];
        let held = wait.reason == Reason::MassDelete && plan.mass_delete < 100;
        if !explained && !held && !lasting.explains(site, begun, on, &wait) {
            wrong.push(format!(
                "{} waits on {on} for {:?} ({}) while {lasting:?} lasts on {site}",
                pair.id, wait.reason, wait.detail
            ));
        }
    }
    for row in left_lying(world) {
        if row.reason != Some(lasting.keeps_due()) {
            wrong.push(format!(
                "{} is due for {:?} ({:?}) while {lasting:?} lasts on {site}",
                row.key, row.reason, row.detail
            ));
        }
    }
    wrong
}

/// What differs while a cause lasts, and nothing in the queue names it. Where a token has ended or other people's time is
/// hidden, nobody can know of it.
pub(crate) fn unnamed(world: &World, plan: &Plan, lasting: Lasting) -> Vec<String> {
    if matches!(lasting, Lasting::Token | Lasting::Permission(Permission::ViewAll)) {
        return Vec::new();
    }
    let now = world.now();
    let rows = world.rows();
    let named: BTreeSet<u64> = rows
        .all_pairs()
        // With an intent, it is being tried again.
        .filter(|pair| pair.wait.is_some() || pair.intent.is_some())
        .flat_map(|pair| [pair.ids.a, pair.ids.b])
        .flatten()
        .map(|id| id.0)
        .collect();
    let due: BTreeSet<u64> = rows
        .all_due()
        .into_iter()
        // What is being looked at, the queue shows as running.
        .filter(|row| !row.quiet || row.lease_until.is_some_and(|until| until > now))
        .flat_map(|row| match row.key {
            DueKey::Link(link) => vec![link.a.0, link.b.0],
            DueKey::Issue { issue, .. } => vec![issue.0],
            DueKey::Learn { .. } => vec![],
        })
        .collect();
    drop(rows);
    let apart = world.observer().apart(plan.sites.len());
    apart
        .into_iter()
        .filter(|apart| {
            let mut places = apart.places.iter();
            !places.any(|(_, id, issue)| named.contains(id) || due.contains(issue))
        })
        .map(|Apart { tag, places }| {
            format!("{tag} differs, on {places:?}, while {lasting:?} lasts, and nothing says so")
        })
        .collect()
}

/// Holds what the brake holds back to what there is: more deletes than it lets through, each of a worklog whose twin is
/// gone, or was moved to an issue without one.
pub(crate) fn braked(world: &World, plan: &Plan, held: &[Pair]) {
    for pair in held {
        let gone = places(plan, pair).is_some_and(|places| {
            let there = |(site, id): &(&str, Option<WorklogId>)| {
                let found = id.and_then(|id| on_site(world, site, id));
                found.is_some_and(|worklog| world.observer().is_linked(site, worklog.issue))
            };
            places.iter().filter(|place| there(place)).count() < 2
        });
        if plan.mass_delete > 100 || !gone {
            let at = world.now();
            world.observer().broken.push(Broken {
                at,
                rule: "the queue holds what has no cause",
                what: format!("{} is held back by the brake", pair.id),
            });
        }
    }
}

/// The worklogs of a pair, with their sites; none where its connection is not of this life.
fn places<'p>(plan: &'p Plan, pair: &Pair) -> Option<[(&'p str, Option<WorklogId>); 2]> {
    let connections = plan.connections().into_iter();
    let (a, b) = connections
        .into_iter()
        .find(|(a, b)| format!("{a}-{b}") == pair.link.connection.as_str())?;
    Some([(a, pair.ids.a), (b, pair.ids.b)])
}

fn on_site(world: &World, site: &str, id: WorklogId) -> Option<tandem_sim::Worklog> {
    let worklogs = world.sim.worklogs(site).into_iter();
    worklogs.into_iter().find(|worklog| worklog.id == id.0)
}

/// Says whether a worklog is gone and nobody can know of it: the audit trail does not tell, and what Jira says of its own
/// id says nothing where that was not learned in time: with a move it gets another one. A person has to.
fn is_untold(
    world: &World,
    rows: &Rows,
    plan: &Plan,
    side: Side,
    places: &[(&str, Option<WorklogId>); 2],
) -> bool {
    let (site, Some(id)) = places[usize::from(side == Side::B)] else {
        return false;
    };
    on_site(world, site, id).is_none()
        && plan.trail(site) != Trail::Open
        && (rows.jira_ids(&site.into(), &[id]).is_empty() || world.observer().has_moved(site, id.0))
}

/// Says whether what a pair waits for stands still: Eve's time has nowhere to go, and a conflict is between two that
/// differ.
fn stands(world: &World, plan: &Plan, reason: Reason, places: &[(&str, Option<WorklogId>); 2]) -> bool {
    let there: Vec<_> = places
        .iter()
        .filter_map(|(site, id)| Some((*site, on_site(world, site, (*id)?)?)))
        .collect();
    match reason {
        Reason::AuthorUnmapped => {
            let eves =
                |(site, worklog): &(&str, tandem_sim::Worklog)| worklog.author == format!("eve-{site}");
            plan.eve == Eve::Never && there.iter().any(eves)
        }
        Reason::Conflict => match there.as_slice() {
            [(on_a, a), (on_b, b)] => {
                let observer = world.observer();
                // One was edited while the other went where it has no twin.
                if observer.is_linked(on_a, a.issue) != observer.is_linked(on_b, b.issue) {
                    return plan.delete_vs_edit == "edit";
                }
                plan.conflict == "park" && !observer.agree((on_a, a), (on_b, b))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Holds what is left waiting, and what is on the sites, to what people did.
pub(crate) fn reckon(world: &World, plan: &Plan) {
    let now = world.now();
    let mut excused = BTreeSet::new();
    let mut wrong = Vec::new();
    for item in waiting(world, plan) {
        if !item.explained {
            wrong.push(format!(
                "{} waits for {:?}: {}",
                item.pair.id, item.wait.reason, item.wait.detail
            ));
        }
        let named = item.places.iter();
        excused.extend(named.filter_map(|(site, id)| Some(((*site).to_owned(), (*id)?.0))));
    }
    for row in left_lying(world) {
        wrong.push(format!(
            "{} is still due: {:?} {:?}",
            row.key, row.reason, row.detail
        ));
    }
    let mut observer = world.observer();
    for what in wrong {
        observer.broken.push(Broken {
            at: now,
            rule: "the queue holds what has no cause",
            what,
        });
    }
    observer.settled(now, &plan.sites, plan.delete_vs_edit == "edit", |site, id| {
        excused.contains(&(site.to_owned(), id))
    });
}

/// Where nothing goes wrong, nothing but people's changes makes Tandem look: each is told by Tempo and by Jira, a
/// move to Jira as a delete and a create.
pub(crate) fn heard(world: &World) {
    let acts = world.observer().acts as u64;
    if world.is_calm() && world.hinted() > 3 * acts {
        let at = world.now();
        world.observer().broken.push(Broken {
            at,
            rule: "an echo costs a look",
            what: format!(
                "{} webhooks led to a look, for {acts} changes by people",
                world.hinted()
            ),
        });
    }
}

/// Looks for secrets where none may be.
pub(crate) fn leaks(world: &World) {
    let leaked: Vec<String> = world
        .rows()
        .texts()
        .into_iter()
        .filter(|text| tells_a_secret(text))
        .collect();
    let at = world.now();
    for what in leaked {
        world.observer().broken.push(Broken {
            at,
            rule: crate::store::ROW,
            what,
        });
    }
}
