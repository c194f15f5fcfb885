//! What a run sees before it plans.
//!
//! The order matters. Listings come first and the table second: an intent is recorded before its write is
//! sent, so a worklog that a listing shows cannot be ours without the table saying so by then.

mod kin;
mod listings;
mod lookups;
mod proofs;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::Observed;
use tandem_core::{IntentKind, IssueId, LinkKey, PairState, Side, WorklogId, twin};

use crate::error::EngineError;
use crate::options::{Connection, Engine, Site};
use crate::ports::store::{Announced, Announcement, DueRow, EvidenceId, Lane, Whereabouts};

/// Pages of Jira's feed of changed worklogs that are read at most: 10,000 changes.
const CHANGED_PAGES_MAX: usize = 10;

/// Absent worklogs of which nothing is known that are asked for one by one in a run.
const PROBES_MAX: usize = 20;

/// How soon more of what comes back is asked for.
const RETURNS_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Attempts for which a run waits for an announced change before it looks at everything else all the same.
const PATIENT_ATTEMPTS: u32 = 3;

/// How far a site's clock may be ahead of ours.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What came of looking.
pub(crate) enum Sight {
    /// Enough to plan on. Announced changes that the listings do not show yet go along.
    Clear(Box<Observed>, Vec<Announcement>),
    /// All that there is to do is announced, and not listed yet.
    NotYet(Vec<Announcement>),
}

/// Worklogs of a side of which each may be the twin of one on the other side.
#[derive(Default)]
struct Rivals {
    /// Of one that waits for a person to tell.
    waiting: BTreeSet<(Side, WorklogId)>,
    /// Of one that waited and is no more, or whose link is no more: that one.
    over: BTreeMap<(Side, WorklogId), WorklogId>,
}

impl Engine {
    /// Returns the first day whose worklogs a connection begins.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn since(&self, connection: &Connection) -> Result<Date, EngineError> {
        if let Some(since) = connection.since.or_else(|| self.memory.since(&connection.name)) {
            return Ok(since);
        }
        let first = self.store.first_run(&connection.name, self.clock.now()).await?;
        let since = first.to_zoned(TimeZone::UTC).date();
        self.memory.set_since(&connection.name, since);
        Ok(since)
    }

    /// The same for whoever only looks: where the connection never ran, today, which is not written down.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn since_so_far(&self, connection: &Connection) -> Result<Date, EngineError> {
        if let Some(since) = connection.since {
            return Ok(since);
        }
        let first = self.store.ran_first(&connection.name).await?;
        let first = first.unwrap_or_else(|| self.clock.now());
        Ok(first.to_zoned(TimeZone::UTC).date())
    }

    pub(crate) fn site_of(&self, connection: &Connection, side: Side) -> Result<&Site, EngineError> {
        let name = &connection.sites[side];
        self.sites
            .get(name)
            .ok_or_else(|| EngineError::Unknown(format!("site {name} is not configured")))
    }

    pub(crate) async fn observe(
        &self,
        connection: &Connection,
        link: &LinkKey,
        row: &DueRow,
    ) -> Result<Sight, EngineError> {
        let lane = row.lane;
        let now = self.clock.now();
        let mut observed = Observed::empty(link.clone(), now);
        observed.force = row.force;
        observed.since = self.since(connection).await?;
        observed.backfill = self.backfill_of(link).await?;

        let announced: Vec<Announcement> = row
            .announced
            .iter()
            .filter(|announcement| announcement.until > now)
            .cloned()
            .collect();
        let first = announced
            .first()
            .map_or(Side::A, |announcement| announcement.side);
        let one_sided = announced.iter().all(|announcement| announcement.side == first);
        let listing = self.list(connection, first, link.issue(first), lane).await?;
        (observed.listings[first], observed.unreadable[first]) = listing;
        if one_sided && row.plain_hints == 0 && row.attempts < PATIENT_ATTEMPTS && !announced.is_empty() {
            let unshown = self.unshown(connection, &observed.listings, &announced).await?;
            if unshown.len() == announced.len() {
                return Ok(Sight::NotYet(unshown));
            }
        }
        let second = first.other();
        let listing = self.list(connection, second, link.issue(second), lane).await?;
        (observed.listings[second], observed.unreadable[second]) = listing;

        for side in Side::BOTH {
            let state = self.site_state(self.site_of(connection, side)?).await?;
            observed.blind[side] = !state.missing_permissions.is_empty();
        }
        observed.pairs = self.store.pairs(link).await?;
        self.refresh(connection, &mut observed, lane).await?;
        self.look_behind(connection, &mut observed, lane).await?;
        for side in Side::BOTH {
            if wants_rules(&observed, side) {
                observed.timeless[side] = self.is_timeless(connection, side, lane).await?;
            }
        }
        self.place_unpaired(connection, &mut observed).await?;
        self.confirm_returns(connection, &mut observed, lane).await?;
        self.leave_out_the_deleted(connection, &mut observed).await?;
        self.fetch_strays(connection, &mut observed, lane).await?;
        self.gather_proofs(connection, &mut observed, lane).await?;
        self.trace_origins(connection, &mut observed).await?;
        self.look_up(connection, &mut observed, lane).await?;
        observed.brake = self.brake(connection, &observed).await?;
        let mut unshown = self.unshown(connection, &observed.listings, &announced).await?;
        unshown.retain(|announcement| match &announcement.what {
            Announced::Tempo { id, .. } => !observed.proofs[announcement.side].contains_key(id),
            _ => true,
        });
        let unshown = self.still_to_come(connection, &observed, unshown).await?;
        Ok(Sight::Clear(Box::new(observed), unshown))
    }

    /// Tells which listed worklogs without a pair belong elsewhere, and which came here from another link.
    pub(crate) async fn place_unpaired(
        &self,
        connection: &Connection,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let mut arrivals: BTreeMap<_, LinkKey> = BTreeMap::new();
        let mut parted = Vec::new();
        let mut waiting: BTreeMap<LinkKey, Rivals> = BTreeMap::new();
        for side in Side::BOTH {
            let paired: BTreeSet<WorklogId> =
                observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
            let unpaired: Vec<WorklogId> = observed.listings[side]
                .keys()
                .filter(|id| !paired.contains(id))
                .copied()
                .collect();
            if unpaired.is_empty() {
                continue;
            }
            let places = self
                .store
                .whereabouts(&connection.name, &connection.sites[side], &unpaired)
                .await?;
            for place in places {
                if place.rival {
                    let rivals = match waiting.get(&place.link) {
                        Some(rivals) => rivals,
                        None => {
                            let rivals = self.rivals_on(&place.link).await?;
                            waiting.entry(place.link.clone()).or_insert(rivals)
                        }
                    };
                    let id = (place.side, place.worklog);
                    match (rivals.waiting.contains(&id), rivals.over.get(&id)) {
                        (true, _) if place.link != observed.link => {}
                        // What waits on this link keeps its own from being copied.
                        (true, _) => continue,
                        (false, over) => {
                            observed.left_over[side].extend(over.map(|of| (place.worklog, *of)));
                            continue;
                        }
                    }
                }
                observed.foreign[side].insert(place.worklog);
                if place.parted {
                    parted.push((side, place.worklog, place.pair));
                    continue;
                }
                let alive = matches!(place.state, PairState::Live | PairState::Left);
                if alive && !place.rival && place.link != observed.link {
                    arrivals.insert(place.pair, place.link);
                }
            }
        }
        let mut links: BTreeMap<LinkKey, bool> = BTreeMap::new();
        for (id, link) in arrivals {
            let Some(pair) = self.store.pair(&link, &id).await? else {
                continue;
            };
            let there = match links.get(&link) {
                Some(there) => *there,
                None => self.store.link(&link).await?.is_some(),
            };
            links.insert(link, there);
            if !there && pair.state == PairState::Live {
                observed.orphaned.insert(pair.id.clone());
            }
            observed.pairs.push(pair);
        }
        for (side, worklog, pair) in parted {
            if observed.orphaned.contains(&pair) {
                observed.parted[side].insert(worklog, pair);
            }
        }
        Ok(())
    }

    /// Worklogs of which each may be the twin of one of a link that waits, or waited, for a person to tell.
    async fn rivals_on(&self, link: &LinkKey) -> Result<Rivals, EngineError> {
        let is_there = self.store.link(link).await?.is_some();
        let mut rivals = Rivals::default();
        for pair in self.store.pairs(link).await? {
            for side in Side::BOTH {
                let Some(of) = pair.ids[side.other()].filter(|_| pair.ids[side].is_none()) else {
                    continue;
                };
                let ids = pair.rivals.iter().map(|id| (side, *id));
                match is_there && pair.state == PairState::Live {
                    true => rivals.waiting.extend(ids),
                    false => rivals.over.extend(ids.map(|id| (id, of))),
                }
            }
        }
        Ok(rivals)
    }

    /// Says whether a worklog still may be the twin of one that waits where its place says.
    pub(crate) async fn waits_on(&self, place: &Whereabouts) -> Result<bool, EngineError> {
        let rivals = self.rivals_on(&place.link).await?;
        Ok(rivals.waiting.contains(&(place.side, place.worklog)))
    }

    /// Asks for each listed worklog that had moved away, or had gone by Jira's word: a listing may show the past.
    async fn confirm_returns(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let mut probes = PROBES_MAX;
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let left = observed.pairs.iter().filter(|pair| pair.state == PairState::Left);
            let listed: Vec<WorklogId> = left
                .filter_map(|pair| pair.ids[side])
                .filter(|id| observed.listings[side].contains_key(id))
                .collect();
            for id in listed {
                // Each of the others has its turn soon.
                if probes == 0 {
                    observed.listings[side].remove(&id);
                    observed.known_by = Some(observed.now + RETURNS_AGAIN);
                    continue;
                }
                probes -= 1;
                let found = self
                    .call(site, lane, async |client| client.worklog(id).await)
                    .await?;
                match found.filter(|worklog| worklog.issue == observed.link.issue(side)) {
                    Some(worklog) => drop(observed.listings[side].insert(id, worklog)),
                    None => drop(observed.listings[side].remove(&id)),
                }
            }
        }
        Ok(())
    }

    /// Fetches twins that a move left behind on another issue.
    pub(crate) async fn fetch_strays(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let strays: Vec<(Side, WorklogId, IssueId)> = observed
            .pairs
            .iter()
            .filter(|pair| pair.state == PairState::Live)
            .flat_map(|pair| Side::BOTH.map(|side| Some((side, pair.ids[side]?, pair.strays[side]?))))
            .flatten()
            .filter(|(side, id, _)| !observed.listings[*side].contains_key(id))
            .collect();
        let mut is_news = false;
        for (side, id, issue) in strays {
            let site = self.site_of(connection, side)?;
            let found = self
                .call(site, lane, async |client| client.worklog(id).await)
                .await?;
            observed.strays[side].remove(&id);
            match found {
                Some(worklog) if worklog.issue == issue => {
                    observed.strays[side].insert(id, worklog);
                    is_news = true;
                }
                // Where a person took it meanwhile, nothing may be written for this pair's sake.
                Some(worklog) if worklog.issue != observed.link.issue(side) => {
                    observed.departed[side].insert(id);
                }
                Some(_) => {}
                // Taken away, or out of sight: a site answers the same to both.
                None if self.is_blind(site, side, observed, lane).await? => {}
                None => observed.blind[side] = self.is_shadowed(site, issue, id, lane).await?,
            }
        }
        if is_news {
            // Whose they are may be known not to be known on the other side.
            self.look_up(connection, observed, lane).await?;
        }
        Ok(())
    }

    /// Says whether Jira shows a worklog on an issue. Tempo leaves out what its own permissions do not let the service user
    /// see, and Jira's permissions tell nothing of that.
    pub(crate) async fn is_shadowed(
        &self,
        site: &Site,
        issue: IssueId,
        worklog: WorklogId,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        let shadows = self.shadows(site, issue, lane).await?;
        if shadows.iter().any(|shadow| shadow.worklog == Some(worklog)) {
            return Ok(true);
        }
        let jira = self.store.jira_ids(&site.name, &[worklog]).await?;
        Ok(jira
            .iter()
            .any(|(_, id)| shadows.iter().any(|shadow| shadow.id == *id)))
    }

    /// Says whether Jira has shown a worklog anywhere since then, as far back as a few pages go. A moved worklog gets
    /// another shadow on an issue that nobody knows; this feed alone tells of it.
    pub(crate) async fn is_elsewhere(
        &self,
        site: &Site,
        worklog: WorklogId,
        since: Timestamp,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        let mut from = since;
        for _ in 0..CHANGED_PAGES_MAX {
            let page = match self
                .call(site, lane, async |client| client.jira_changed(from).await)
                .await
            {
                Ok(page) => page,
                Err(error) if error.is_refusal() => break,
                Err(error) => return Err(error),
            };
            if page.rows.iter().any(|row| row.id == worklog) {
                return Ok(true);
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(false)
    }

    /// Where Tandem set out to delete a twin, leaves out of the other side's listing what is known to be deleted there: a
    /// listing that lags would pass for a worklog that came back. On a site of several connections, one of which may just have
    /// deleted it, the same goes for what has no twin: it would be copied on.
    async fn leave_out_the_deleted(
        &self,
        connection: &Connection,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        for side in Side::BOTH {
            let is_shared = self.is_shared(connection, side);
            let mut followed: Vec<WorklogId> = observed
                .pairs
                .iter()
                .filter(|pair| {
                    let intent = pair.intent.as_ref();
                    let follows =
                        intent.is_some_and(|intent| intent.kind == IntentKind::Delete && intent.side != side);
                    follows || (is_shared && pair.ids[side.other()].is_none())
                })
                .filter_map(|pair| pair.ids[side])
                .filter(|id| observed.listings[side].contains_key(id))
                .collect();
            if is_shared {
                let paired: BTreeSet<WorklogId> =
                    observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
                let listed = observed.listings[side].values();
                let new = listed.filter(|worklog| {
                    !paired.contains(&worklog.id)
                        && !observed.foreign[side].contains(&worklog.id)
                        && observed.begins(worklog.content.start_date)
                });
                followed.extend(new.map(|worklog| worklog.id));
            }
            if followed.is_empty() {
                continue;
            }
            let asked: Vec<_> = followed.into_iter().map(EvidenceId::Tempo).collect();
            let known = self.store.evidence(&connection.sites[side], &asked).await?;
            for proof in known {
                if let EvidenceId::Tempo(id) = proof.id {
                    observed.listings[side].remove(&id);
                }
            }
        }
        Ok(())
    }
}

/// Says whether a listed worklog that belongs to nobody may be what a create of ours made whose answer was lost: how its site
/// shows what it is sent counts then.
fn wants_rules(observed: &Observed, side: Side) -> bool {
    let taken: BTreeSet<WorklogId> = observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
    let creates = observed.pairs.iter().flat_map(|pair| {
        let open = pair.intent.iter().filter(|intent| intent.worklog.is_none());
        open.chain(&pair.abandoned)
            .filter(|intent| intent.side == side && intent.kind == IntentKind::Create)
    });
    let creates: Vec<_> = creates.collect();
    let mut free = observed.listings[side]
        .values()
        .filter(|worklog| !creates.is_empty() && !taken.contains(&worklog.id));
    free.any(|worklog| creates.iter().any(|intent| twin::is_since(intent, worklog)))
}
