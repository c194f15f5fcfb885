//! What a backfill would do, counted from listings: nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;
use tandem_core::copies::{self, Matching, Tolerance};
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Recorded, Step};
use tandem_core::rules::Lookups;
use tandem_core::{IssueId, LinkKey, Pair, PairState, Side, Sides, SiteName, Worklog, WorklogId};

use super::Order;
use crate::bulk::BULK_MAX;
use crate::error::EngineError;
use crate::gate::Asking;
use crate::operator::{Guesses, guess};
use crate::options::{Connection, Engine};
use crate::ports::SiteClient;
use crate::ports::site::LISTED_MAX;
use crate::ports::store::Lane;

/// Worklogs that a page of an issue's listing holds.
const PAGE_ROWS: usize = 5000;

/// Worklogs and the issues that they are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Issues.
    pub issues: usize,
    /// Worklogs.
    pub worklogs: usize,
}

/// Two worklogs that are likely twins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twins {
    /// The worklogs.
    pub found: Sides<Worklog>,
    /// What one of them lost.
    pub lost: Vec<&'static str>,
    /// The side of the one that lost it, where that is known.
    pub copy: Option<Side>,
}

/// What would be done on one link.
#[derive(Clone, Debug)]
pub struct LinkEstimate {
    /// The link.
    pub link: LinkKey,
    /// Worklogs listed, per side.
    pub listed: Sides<usize>,
    /// Worklogs that would be made, per side.
    pub creates: Sides<usize>,
    /// Worklogs that would be changed, per side.
    pub updates: Sides<usize>,
    /// Worklogs that would be set aside.
    pub parks: usize,
    /// Worklogs that would be paired with one that is there, by whatever way.
    pub adopts: usize,
    /// Worklogs that say the same on both sides.
    pub certain: usize,
    /// Worklogs that differ only in what another tool is known to lose.
    pub likely: Vec<Twins>,
    /// Worklogs that have a twin, but nobody can tell which.
    pub ambiguous: Vec<Sides<Vec<Worklog>>>,
    /// Those of its worklogs that another tool may have copied, as they were.
    pub(super) told: Told,
}

/// What a person was told of.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Worklogs.
    pub listings: Sides<Listed>,
    /// What was known of people.
    pub lookups: Lookups,
    /// Sites that may not have shown all.
    pub blind: Sides<bool>,
}

impl LinkEstimate {
    /// Says whether there is anything to do.
    pub fn is_open(&self) -> bool {
        let writes = Side::BOTH
            .iter()
            .any(|side| self.creates[*side] + self.updates[*side] > 0);
        writes || self.parks + self.adopts > 0
    }

    /// Requests that write, to a side.
    pub fn writes(&self, side: Side) -> usize {
        self.creates[side].div_ceil(BULK_MAX) + self.updates[side]
    }

    fn requests(&self, side: Side) -> usize {
        let pages = self.listed[side].div_ceil(PAGE_ROWS).max(1);
        pages + self.writes(side)
    }
}

/// What would be done in a connection.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Links with worklogs in the range.
    pub links: Vec<LinkEstimate>,
    /// Of the worklogs listed, those outside the range, per side. They are dated from the connection's `since` on, so that any
    /// run of their links begins them.
    pub beyond: Sides<usize>,
    /// What stands on issues without a twin, per side: left alone.
    pub unlinked: Sides<Counted>,
    /// What stands on linked issues outside the scope, per side: left alone.
    pub outside: Sides<Counted>,
    /// Of whom nobody has asked yet whether the other site knows them, of those whose worklogs would be made.
    pub guesses: Guesses,
    /// Links that would be looked at.
    pub open: usize,
    /// Requests to each side.
    pub requests: Sides<usize>,
    /// Of these, those that look for the twins of issues that are not linked: as many as it took now.
    pub finding: Sides<usize>,
    /// Of these, those that write.
    pub writes: Sides<usize>,
    /// How long that takes at the sites' allowed rates, in seconds, if nothing else is going on.
    pub secs: f64,
}

/// The worklogs of a range of days.
#[derive(Default)]
struct Old {
    by_link: BTreeMap<LinkKey, Sides<Listed>>,
    unlinked: Sides<Counted>,
    outside: Sides<Counted>,
    finding: Sides<usize>,
}

/// One issue's worklogs.
pub(super) type Listed = BTreeMap<WorklogId, Worklog>;

/// Where an issue's worklogs go.
#[derive(Clone)]
enum Place {
    Link(LinkKey),
    Unlinked,
    Outside,
    NotAsked,
}

impl Engine {
    /// Counts what a backfill would do, from listings of both sides.
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn estimate_backfill(
        &self,
        connection: &Connection,
        order: &Order,
        only: Option<&BTreeSet<LinkKey>>,
    ) -> Result<Estimate, EngineError> {
        let since = self.since(connection).await?;
        let Old {
            mut by_link,
            unlinked,
            outside,
            finding,
        } = self.list_old(connection, order, since, only).await?;
        let mut links = Vec::new();
        let mut beyond = Sides::<usize>::default();
        let mut guesses = Guesses::default();
        let mut blind = Sides::default();
        for side in Side::BOTH {
            let state = self.site_state(self.site_of(connection, side)?).await?;
            blind[side] = !state.missing_permissions.is_empty();
        }
        while let Some((link, sides)) = by_link.pop_first() {
            for side in Side::BOTH {
                let is_beyond = |worklog: &&Worklog| !order.is_about(worklog.content.start_date);
                beyond[side] += sides[side].values().filter(is_beyond).count();
            }
            let estimated = self.estimate_link(connection, order, (since, blind), link, sides, &mut guesses);
            links.push(estimated.await?);
        }
        let open: Vec<&LinkEstimate> = links.iter().filter(|link| link.is_open()).collect();
        let of_links = |side: Side| open.iter().map(|link| link.requests(side)).sum::<usize>();
        let requests = Sides::from_fn(|side| of_links(side) + finding[side]);
        let writes = Sides::from_fn(|side| open.iter().map(|link| link.writes(side)).sum());
        let mut secs = 0.0_f64;
        for side in Side::BOTH {
            let rate = self.site_of(connection, side)?.requests_per_second;
            secs = secs.max(requests[side] as f64 / rate);
        }
        let open = open.len();
        Ok(Estimate {
            links,
            beyond,
            unlinked,
            outside,
            guesses,
            open,
            requests,
            finding,
            writes,
            secs,
        })
    }

    /// Lists both sides' worklogs by link, of links that have any in the range of an order. Beside those of the range these
    /// are the ones that any run begins, so a backfill's too: what is dated from `since` on.
    async fn list_old(
        &self,
        connection: &Connection,
        order: &Order,
        since: Date,
        only: Option<&BTreeSet<LinkKey>>,
    ) -> Result<Old, EngineError> {
        let mut old = Old::default();
        for side in Side::BOTH {
            let mut places = BTreeMap::new();
            let take = async |rows: Vec<Worklog>| {
                let issues = rows.iter().map(|worklog| worklog.issue);
                let new = issues.filter(|issue| !places.contains_key(issue)).collect();
                self.learn_places(connection, side, new, only, (&mut places, &mut old))
                    .await?;
                for worklog in rows {
                    match places.get(&worklog.issue) {
                        Some(Place::Link(link)) => {
                            let sides = old.by_link.entry(link.clone()).or_default();
                            sides[side].insert(worklog.id, worklog);
                        }
                        // What is left alone is not held, however much it is.
                        Some(Place::Unlinked) => old.unlinked[side].worklogs += 1,
                        Some(Place::Outside) => old.outside[side].worklogs += 1,
                        Some(Place::NotAsked) | None => {}
                    }
                }
                Ok(())
            };
            self.list_range(connection, side, (order.since, order.until), take)
                .await?;
        }
        let covers_all = order.since <= since && order.until.is_none();
        if covers_all || old.by_link.is_empty() {
            return Ok(old);
        }
        // What an open range holds already is not read again.
        let until = match order.until {
            Some(_) => None,
            None => order.since.yesterday().ok(),
        };
        for side in Side::BOTH {
            let links = old.by_link.keys().map(|link| (link.issue(side), link.clone()));
            let links: BTreeMap<IssueId, LinkKey> = links.collect();
            let take = async |rows: Vec<Worklog>| {
                for worklog in rows {
                    let link = links.get(&worklog.issue);
                    if let Some(sides) = link.and_then(|link| old.by_link.get_mut(link)) {
                        sides[side].insert(worklog.id, worklog);
                    }
                }
                Ok(())
            };
            self.list_range(connection, side, (since, until), take).await?;
        }
        Ok(old)
    }

    /// Finds out where the worklogs of issues go, and counts the issues that are left alone.
    async fn learn_places(
        &self,
        connection: &Connection,
        side: Side,
        issues: BTreeSet<IssueId>,
        only: Option<&BTreeSet<LinkKey>>,
        (places, old): (&mut BTreeMap<IssueId, Place>, &mut Old),
    ) -> Result<(), EngineError> {
        let before = self.requests_so_far();
        let asking = Asking::patiently(Lane::Backfill);
        let mut links = self.links_of(connection, side, &issues, asking).await?;
        let after = self.requests_so_far();
        for side in Side::BOTH {
            let of = |counts: &BTreeMap<SiteName, u64>| counts.get(&connection.sites[side]).copied();
            let made = of(&after).unwrap_or(0) - of(&before).unwrap_or(0);
            old.finding[side] += usize::try_from(made).unwrap_or(usize::MAX);
        }
        for issue in issues {
            let place = match links.remove(&issue) {
                Some(link) if only.is_some_and(|only| !only.contains(&link)) => Place::NotAsked,
                Some(link) if self.is_outside(connection, &link).await? => {
                    old.outside[side].issues += 1;
                    Place::Outside
                }
                Some(link) => Place::Link(link),
                None => {
                    old.unlinked[side].issues += 1;
                    Place::Unlinked
                }
            };
            places.insert(issue, place);
        }
        Ok(())
    }

    /// Lists a side's worklogs of a range of days, and hands over each page.
    async fn list_range(
        &self,
        connection: &Connection,
        side: Side,
        (since, until): (Date, Option<Date>),
        mut take: impl AsyncFnMut(Vec<Worklog>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let site = self.site_of(connection, side)?;
        let mut offset = 0;
        while offset < LISTED_MAX {
            let list = async |client: &dyn SiteClient| client.list_dates(since, until, offset).await;
            let page = self.ask(site, Asking::patiently(Lane::Sweep), list).await?;
            take(page.rows).await?;
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => return Ok(()),
            }
        }
        Err(EngineError::Unknown(format!(
            "{} lists more than {offset} worklogs for these days; ask for fewer days, with --since and --until",
            site.name
        )))
    }

    async fn estimate_link(
        &self,
        connection: &Connection,
        order: &Order,
        (since, blind): (Date, Sides<bool>),
        link: LinkKey,
        sides: Sides<Listed>,
        guesses: &mut Guesses,
    ) -> Result<LinkEstimate, EngineError> {
        let lookups = self.known_people(connection, &sides).await?;
        let mut observed = Observed::empty(link.clone(), self.clock.now());
        observed.since = since;
        observed.blind = blind;
        observed.backfill = Some(order.backfill());
        let listed = Sides::from_fn(|side| sides[side].len());
        observed.listings = sides;
        for pair in self.store.pairs(&link).await? {
            // What is not in the range was not listed, and nothing can be said of it.
            let shown =
                |side: Side| pair.ids[side].is_none_or(|id| observed.listings[side].contains_key(&id));
            let whole = shown(Side::A) && shown(Side::B) && pair.strays == Sides::default();
            if whole && pair.state == PairState::Live {
                observed.pairs.push(pair);
            } else {
                for side in Side::BOTH {
                    observed.foreign[side].extend(pair.ids[side]);
                }
            }
        }
        observed.lookups = lookups.clone();
        // Whether it is to be taken over or not: a person should know that it is there.
        let tolerance = order.backfill().tolerance;
        let matching = free_matching(&observed, &tolerance, connection);
        let mut estimate = LinkEstimate {
            link,
            listed,
            creates: Sides::default(),
            updates: Sides::default(),
            parks: 0,
            adopts: 0,
            certain: matching.certain.len(),
            likely: Vec::new(),
            ambiguous: Vec::new(),
            told: Told {
                listings: in_question(&matching, &observed),
                lookups,
                blind,
            },
        };
        let shown = |side: Side, id: &WorklogId| observed.listings[side].get(id).cloned();
        for likely in matching.likely {
            let (Some(a), Some(b)) = (shown(Side::A, &likely.ids.a), shown(Side::B, &likely.ids.b)) else {
                continue;
            };
            estimate.likely.push(Twins {
                found: Sides::new(a, b),
                lost: likely.lost.iter().map(|field| field.name()).collect(),
                copy: likely.copy,
            });
        }
        for group in matching.ambiguous {
            let all = |side: Side| group[side].iter().filter_map(|id| shown(side, id)).collect();
            estimate.ambiguous.push(Sides::from_fn(all));
        }
        let mut parked = BTreeSet::new();
        let known = estimate.told.lookups.clone();
        let mut taken = |step: &Step| match &step.action {
            Action::Create { side, .. } => {
                estimate.creates[*side] += 1;
                if let Some((from, author)) = guess(step, &connection.settings.rules, &known) {
                    *guesses[from].entry(author).or_default() += 1;
                }
            }
            Action::Update { side, .. } => estimate.updates[*side] += 1,
            Action::Record(Recorded::Adopt) => estimate.adopts += 1,
            Action::Record(Recorded::Park) => {
                parked.insert(step.pair.id.clone());
            }
            _ => {}
        };
        self.rehearse_taking_over(connection, &mut observed, &mut taken)
            .await?;
        self.rehearse(connection, &mut observed, &mut taken).await?;
        estimate.parks = parked.len();
        Ok(estimate)
    }
}

/// The worklogs that go together, or of which one waits between several of the other side.
fn in_question(matching: &Matching, observed: &Observed) -> Sides<Listed> {
    Sides::from_fn(|side| {
        let pairs = observed.pairs.iter().filter(|pair| !pair.rivals.is_empty());
        let waiting = pairs.flat_map(|pair| match pair.ids[side] {
            Some(id) => vec![id],
            None => pair.rivals.clone(),
        });
        let ids: BTreeSet<WorklogId> = matching.of(side).chain(waiting).collect();
        let shown = ids.into_iter().filter_map(|id| observed.listings[side].get(&id));
        shown.map(|worklog| (worklog.id, worklog.clone())).collect()
    })
}

/// Puts together what nobody has paired yet.
pub(crate) fn free_matching(observed: &Observed, tolerance: &Tolerance, connection: &Connection) -> Matching {
    let paired = |side: Side| -> BTreeSet<WorklogId> {
        let whole = observed
            .pairs
            .iter()
            .filter(|pair: &&Pair| pair.ids.a.is_some() && pair.ids.b.is_some());
        whole
            .filter_map(|pair| pair.ids[side])
            .chain(observed.foreign[side].iter().copied())
            .collect()
    };
    let free = Sides::from_fn(|side| {
        let paired = paired(side);
        let listed = observed.listings[side].values();
        listed.filter(|worklog| !paired.contains(&worklog.id)).collect()
    });
    let lookups: &Lookups = &observed.lookups;
    copies::match_copies(&free, tolerance, &connection.settings.rules, lookups)
}
