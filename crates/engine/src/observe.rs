//! What a run sees before it plans.
//!
//! The order matters. Listings come first and the table second: an intent is recorded before its write is
//! sent, so a worklog that a listing shows cannot be ours without the table saying so by then.

use std::collections::{BTreeMap, BTreeSet};

use futures::try_join;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tandem_core::field;
use tandem_core::observed::{Copy, Observed, Proof};
use tandem_core::rules::{Person, Rules};
use tandem_core::{
    AccountId, Content, IntentKind, IssueId, LinkKey, Pair, PairState, Reason, Side, Sides, Worklog,
    WorklogId,
};
use tracing::warn;

use crate::echo;
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::{Connection, Engine, Site};
use crate::people::Taken;
use crate::ports::site::{IssueRef, Shadow, SiteErrorKind};
use crate::ports::store::{
    Announced, Announcement, Claim, DueKey, DueRow, Evidence, EvidenceId, Lane, LookupQuery, Op, Root,
};

/// Worklogs of one issue that are read at most.
const WORKLOGS_MAX: u64 = 200_000;

/// Pages of Jira's feed of changed worklogs that are read at most: 10,000 changes.
const CHANGED_PAGES_MAX: usize = 10;

/// How long Jira's feeds leave out what has just happened: a minute, and what clocks differ by.
const UNTOLD: SignedDuration = SignedDuration::from_secs(90);

/// What Jira tells of may stand in Tempo's audit trail with an earlier time.
const TRAIL_OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// Absent worklogs of which nothing is known that are asked for one by one in a run.
const PROBES_MAX: usize = 20;

/// Absent worklogs that Jira calls deleted and that Tempo is asked about in a run.
const CONFIRMATIONS_MAX: usize = 50;

/// Attempts for which a run waits for an announced change before it looks at everything else all the same.
const PATIENT_ATTEMPTS: u32 = 3;

/// Marks of own writes that are looked up in one request.
const MARKS_AT_ONCE: usize = 10;

/// How far a site's clock may be ahead of ours.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What came of looking.
pub(crate) enum Sight {
    /// Enough to plan on. Announced changes that the listings do not show yet go along.
    Clear(Box<Observed>, Vec<Announcement>),
    /// All that there is to do is announced, and not listed yet.
    NotYet(Vec<Announcement>),
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
            let is_open = |pair: &Pair| {
                let mut creates = pair.intent.iter().chain(&pair.abandoned);
                creates.any(|intent| intent.side == side && intent.kind == IntentKind::Create)
            };
            if observed.pairs.iter().any(is_open) {
                observed.timeless[side] = self.is_timeless(connection, side, lane).await?;
            }
        }
        self.place_unpaired(connection, &mut observed).await?;
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

    /// Leaves out announced changes of worklogs that are gone or elsewhere by now: this listing will never show
    /// them, and waiting for them would keep the link due for nothing.
    async fn still_to_come(
        &self,
        connection: &Connection,
        observed: &Observed,
        unshown: Vec<Announcement>,
    ) -> Result<Vec<Announcement>, EngineError> {
        let mut open = Vec::new();
        for announcement in unshown {
            let side = announcement.side;
            if let Announced::Tempo { id, updated_at } = &announcement.what
                && !observed.listings[side].contains_key(id)
            {
                let site = &connection.sites[side];
                let proofs = self.store.evidence(site, &[EvidenceId::Tempo(*id)]).await?;
                let gone = proofs
                    .iter()
                    .any(|proof| proof.moved_to != Some(observed.link.issue(side)));
                let places = self.store.whereabouts(&connection.name, site, &[*id]).await?;
                let elsewhere = places.iter().any(|place| {
                    // Accounted for already, wherever the worklog went since.
                    let seen = place
                        .seen
                        .is_some_and(|seen| seen.as_second() >= updated_at.as_second());
                    seen || place.link != observed.link || place.state == PairState::Gone
                });
                if gone || elsewhere {
                    continue;
                }
            }
            open.push(announcement);
        }
        Ok(open)
    }

    /// Lists an issue's worklogs, all pages; and what is wrong with those that cannot be read.
    pub(crate) async fn list(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
        lane: Lane,
    ) -> Result<(BTreeMap<WorklogId, Worklog>, BTreeMap<WorklogId, String>), EngineError> {
        let site = self.site_of(connection, side)?;
        let mut worklogs = BTreeMap::new();
        let mut unreadable = BTreeMap::new();
        let mut offset = 0;
        while offset < WORKLOGS_MAX {
            let page = match self
                .call(site, lane, async |client| client.list_issue(issue, offset).await)
                .await
            {
                Ok(page) => page,
                Err(EngineError::Site { error, .. }) if error.kind == SiteErrorKind::NotFound => {
                    return Err(self.why_unlisted(site, issue, lane, &error.message).await?);
                }
                Err(error) => return Err(error),
            };
            self.accepted(site).await?;
            for bad in page.bad {
                warn!(site.name = %site.name, worklog.id = ?bad.id, "{} listed a worklog that cannot be read", site.name);
                unreadable.extend(bad.id.map(|id| (id, bad.text)));
            }
            worklogs.extend(page.rows.into_iter().map(|worklog| (worklog.id, worklog)));
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => return Ok((worklogs, unreadable)),
            }
        }
        Err(EngineError::Parked {
            site: site.name.clone(),
            reason: Reason::Rejected,
            detail: format!(
                "issue {issue} on {} has more than {} worklogs",
                site.name, WORKLOGS_MAX
            ),
        })
    }

    /// Tells an issue that is gone from one that the service user may not see the worklogs of.
    async fn why_unlisted(
        &self,
        site: &Site,
        issue: IssueId,
        lane: Lane,
        said: &str,
    ) -> Result<EngineError, EngineError> {
        let found = self
            .call(site, lane, async |client| {
                client.issue(&IssueRef::Id(issue), &[]).await
            })
            .await?;
        let browse = ["BROWSE_PROJECTS"];
        let may_browse = match found {
            Some(_) => true,
            // Jira answers 404 for what may not be seen, too.
            None => {
                let held = self
                    .call(site, lane, async |client| client.permissions(&browse, None).await)
                    .await?;
                held.get("BROWSE_PROJECTS") != Some(&false)
            }
        };
        Ok(match found {
            None if !may_browse => EngineError::Parked {
                site: site.name.clone(),
                reason: Reason::PermissionMissing,
                detail: format!(
                    "the service user may not browse projects on {} ({said})",
                    site.name
                ),
            },
            None => EngineError::Parked {
                site: site.name.clone(),
                reason: Reason::IssueUnlinked,
                detail: format!(
                    "issue {issue} on {} is gone or cannot be seen ({said})",
                    site.name
                ),
            },
            Some(found) => EngineError::Parked {
                site: site.name.clone(),
                reason: Reason::PermissionMissing,
                detail: format!(
                    "the worklogs of {} on {} cannot be listed ({said})",
                    found.key, site.name
                ),
            },
        })
    }

    /// Returns the announced changes that the listings do not show.
    async fn unshown(
        &self,
        connection: &Connection,
        listings: &Sides<BTreeMap<WorklogId, Worklog>>,
        announced: &[Announcement],
    ) -> Result<Vec<Announcement>, EngineError> {
        let mut unshown = Vec::new();
        for announcement in announced {
            let listing = &listings[announcement.side];
            let site = &connection.sites[announcement.side];
            let shown = match &announcement.what {
                Announced::Tempo { id, updated_at } => listing
                    .get(id)
                    .is_some_and(|worklog| worklog.updated_at.as_second() >= updated_at.as_second()),
                Announced::TempoDeleted { id } => !listing.contains_key(id),
                Announced::JiraDeleted { id } => {
                    let known = self.store.tempo_ids(site, &[*id]).await?;
                    match known.first().filter(|(_, worklog)| listing.contains_key(worklog)) {
                        None => true,
                        // Moving in Tempo, a worklog gets another shadow in Jira: the end of the old one is not its own.
                        Some((_, worklog)) => {
                            let now = self.store.jira_ids(site, &[*worklog]).await?;
                            now.first().is_some_and(|(_, current)| current != id)
                        }
                    }
                }
                Announced::Jira {
                    id,
                    updated_at,
                    author,
                    time_spent_secs,
                    description,
                } => {
                    let says = |worklog: &Worklog| {
                        time_spent_secs.is_none_or(|secs| secs == worklog.content.time_spent_secs)
                            && worklog.content.description.trim() == description.trim()
                    };
                    let known = self.store.tempo_ids(site, &[*id]).await?;
                    match known.first().and_then(|(_, worklog)| listing.get(worklog)) {
                        Some(worklog) => {
                            says(worklog) || worklog.updated_at.as_second() >= updated_at.as_second()
                        }
                        None => listing.values().any(|worklog| {
                            let same_author =
                                author.as_ref().is_none_or(|who| *who == worklog.content.author);
                            same_author && says(worklog)
                        }),
                    }
                }
            };
            if !shown {
                unshown.push(announcement.clone());
            }
        }
        Ok(unshown)
    }

    /// Before a create whose answer was lost is given up on, asks Jira whether it shows worklogs that Tempo's listing
    /// leaves out: without the permission to see other people's time, Tempo leaves them out without a word.
    async fn look_behind(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        for side in Side::BOTH {
            if observed.blind[side] {
                continue;
            }
            let over = observed
                .pairs
                .iter()
                .filter(|pair| pair.state == PairState::Live && pair.ids[side].is_none())
                .filter_map(|pair| pair.intent.as_ref())
                .filter(|intent| intent.side == side && intent.kind == IntentKind::Create)
                .filter(|intent| observed.now >= intent.until + connection.settings.grace)
                .map(|intent| intent.at - SKEW)
                .min();
            let Some(since) = over else { continue };
            let site = self.site_of(connection, side)?;
            let shadows = self.shadows(site, observed.link.issue(side), lane).await?;
            let unknown: Vec<_> = shadows
                .iter()
                .filter(|shadow| shadow.worklog.is_none())
                .map(|shadow| shadow.id)
                .collect();
            let known: BTreeMap<_, _> = self
                .store
                .tempo_ids(&site.name, &unknown)
                .await?
                .into_iter()
                .collect();
            let hidden = shadows.iter().any(|shadow| {
                // What Tempo has not made may never come to it: a closed period keeps it out.
                let worklog = shadow.worklog.or_else(|| known.get(&shadow.id).copied());
                worklog.is_some_and(|id| !observed.listings[side].contains_key(&id))
                    && shadow.updated_at.is_none_or(|at| at >= since)
            });
            observed.blind[side] = hidden;
        }
        Ok(())
    }

    /// Lists what Jira shows of an issue's worklogs; nothing where it will not say.
    pub(crate) async fn shadows(
        &self,
        site: &Site,
        issue: IssueId,
        lane: Lane,
    ) -> Result<Vec<Shadow>, EngineError> {
        let mut shadows = Vec::new();
        let mut offset = 0;
        while offset < WORKLOGS_MAX {
            let page = match self
                .call(site, lane, async |client| client.shadows(issue, offset).await)
                .await
            {
                Ok(page) => page,
                Err(error) if error.is_refusal() => break,
                Err(error) => return Err(error),
            };
            shadows.extend(page.rows);
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => break,
            }
        }
        Ok(shadows)
    }

    /// Looks up worklogs one by one that the listing shows as they were before the last write or look: an update
    /// replaces the whole worklog, and must not rest on what was.
    async fn refresh(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let rules = &connection.settings.rules;
        for side in Side::BOTH
            .into_iter()
            .filter(|side| self.is_shared(connection, *side))
        {
            let site = &connection.sites[side];
            let ids = observed.pairs.iter().filter_map(|pair| pair.ids[side]);
            let asked: Vec<_> = ids.map(|id| (site.clone(), id)).collect();
            let origins: BTreeMap<_, _> = self.store.origins(&asked).await?.into_iter().collect();
            for pair in &mut observed.pairs {
                // Another connection's last write is one to account for, too. What is being taken away for a move has
                // none to wait for.
                let origin = pair.ids[side].and_then(|id| origins.get(&(site.clone(), id)));
                let written = origin.filter(|origin| !origin.moved_away);
                let seen = written.map(|origin| origin.written_updated_at);
                pair.seen[side] = pair.seen[side].max(seen);
            }
        }
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let behind = |pair: &&tandem_core::Pair| {
                let listed = pair.ids[side].and_then(|id| observed.listings[side].get(&id));
                // Whether a write of unknown outcome took effect is not for a listing that lags to say.
                let written = pair.intent.as_ref().is_some_and(|intent| {
                    intent.kind != IntentKind::Create && intent.side == side && observed.now >= intent.until
                });
                if written && listed.is_some() {
                    return true;
                }
                let (Some(listed), Some(seen)) = (listed, pair.seen[side]) else {
                    return false;
                };
                let (at, last) = (listed.updated_at.as_second(), seen.as_second());
                // Within the second of our own write, a listing may show what was before it.
                let differs = || {
                    let base = pair.base.as_ref().filter(|_| pair.wait.is_none());
                    base.is_some_and(|base| field::changed(side, &base[side], &listed.content, rules))
                };
                at < last || (at == last && differs())
            };
            let live = observed.pairs.iter().filter(|pair| pair.state == PairState::Live);
            let suspects: Vec<_> = live
                .filter(behind)
                .filter_map(|pair| {
                    let here = pair.intent.as_ref().filter(|intent| intent.side == side);
                    Some((pair.ids[side]?, pair.seen[side], here.map(|intent| intent.kind)))
                })
                .take(PROBES_MAX)
                .collect();
            for (id, seen, kind) in suspects {
                let found = self
                    .call(site, lane, async |client| client.worklog(id).await)
                    .await?;
                if found.is_none() && kind == Some(IntentKind::Delete) {
                    // Our own delete took effect; the listing shows the past.
                    observed.listings[side].remove(&id);
                }
                // Gone or elsewhere by now: the planner sees that the listing is behind, and waits.
                if let Some(mut worklog) = found.filter(|worklog| worklog.issue == observed.link.issue(side))
                {
                    // The worklog itself is the best witness there is, whatever its time.
                    worklog.updated_at = seen.map_or(worklog.updated_at, |seen| worklog.updated_at.max(seen));
                    observed.listings[side].insert(id, worklog);
                }
            }
        }
        Ok(())
    }

    /// Tells which listed worklogs without a pair belong elsewhere, and which came here from another link.
    async fn place_unpaired(
        &self,
        connection: &Connection,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let mut arrivals: BTreeMap<_, LinkKey> = BTreeMap::new();
        let mut parted = Vec::new();
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
                observed.foreign[side].insert(place.worklog);
                if place.parted {
                    parted.push((side, place.worklog, place.pair));
                    continue;
                }
                let alive = matches!(place.state, PairState::Live | PairState::Left);
                if alive && place.link != observed.link {
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
            for proof in known.iter().filter(|proof| proof.moved_to.is_none()) {
                if let EvidenceId::Tempo(id) = proof.id {
                    observed.listings[side].remove(&id);
                }
            }
        }
        Ok(())
    }

    /// Collects what proves that absent worklogs are gone, and asks for some that nothing is known of.
    pub(crate) async fn gather_proofs(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let mut confirmations = CONFIRMATIONS_MAX;
        let mut hidden: Sides<Vec<(WorklogId, Proof)>> = Sides::default();
        let mut silent: Sides<BTreeSet<WorklogId>> = Sides::default();
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let (news, waiting) = absent(observed, side);
            if news.is_empty() && waiting.is_empty() {
                continue;
            }
            // What waited before, a sweep has looked for in Jira's feed.
            let known = waiting.len();
            let absent: Vec<Written> = news.into_iter().chain(waiting).collect();
            let is_new = |nth: usize| nth + known < absent.len();
            let mut probes = PROBES_MAX;
            let mut is_missed = false;
            let ids: Vec<WorklogId> = absent.iter().map(|(id, _)| *id).collect();
            let mut proofs = self.proofs(connection, side, &ids).await?;
            let mut own_moves = self.own_moves(connection, side, &ids).await?;
            // What is still there somewhere was not taken away by us, whatever we were about to do.
            own_moves.retain(|id| !observed.departed[side].contains(id));
            proofs.retain(|id, _| !own_moves.contains(id));
            observed.moved_away[side] = own_moves;
            // Jira also deletes the shadow of a worklog that moves: its word has to be confirmed.
            let is_jiras = |proof: &Proof| proof.source.starts_with("jira");
            let told = proofs.values().filter(|proof| is_jiras(proof));
            let confirmed = match told.map(|proof| proof.at).min() {
                Some(since) => self.in_the_audit_trail(site, since, lane).await?,
                None => BTreeSet::new(),
            };
            for (nth, (id, written_at)) in absent.iter().copied().enumerate() {
                let proof = proofs.remove(&id);
                let hearsay = proof.as_ref().is_some_and(is_jiras) && !confirmed.contains(&id);
                if let Some(proof) = proof.clone().filter(|_| !hearsay) {
                    if is_jiras(&proof) {
                        self.keep_confirmed(site, id, &proof).await?;
                    }
                    observed.proofs[side].insert(id, proof);
                    continue;
                }
                let lagging = written_at.is_some_and(|at| observed.now < at + connection.settings.grace);
                let budget = if hearsay { &mut confirmations } else { &mut probes };
                let known =
                    observed.moved_away[side].contains(&id) || observed.unreadable[side].contains_key(&id);
                if (lagging && !hearsay) || known {
                    continue;
                }
                if *budget == 0 {
                    observed.unasked[side].insert(id);
                    continue;
                }
                *budget -= 1;
                let found = self
                    .call(site, lane, async |client| client.worklog(id).await)
                    .await?;
                let Some(worklog) = found else {
                    if proof.is_none() {
                        is_missed |= is_new(nth);
                        silent[side].insert(id);
                    }
                    hidden[side].extend(proof.map(|proof| (id, proof)));
                    continue;
                };
                if worklog.issue == observed.link.issue(side) {
                    // The listing is behind; the worklog itself is the better witness.
                    observed.listings[side].insert(id, worklog);
                } else if !self
                    .went_to_a_link(connection, side, observed, worklog.issue, lane)
                    .await?
                {
                    let source = "moved".to_string();
                    let proof = Proof {
                        source,
                        at: observed.now,
                        moved_to: Some(worklog.issue),
                    };
                    observed.proofs[side].insert(id, proof);
                }
            }
            if is_missed {
                self.note_missed(site).await?;
            }
        }
        let told = hidden.clone();
        for side in Side::BOTH {
            let told = told[side.other()].iter().map(|(id, _)| *id).collect();
            let hearsay = Hearsay {
                hidden: std::mem::take(&mut hidden[side]),
                silent: &silent[side],
                told: &told,
            };
            self.confirm(connection, side, hearsay, observed, lane).await?;
        }
        Ok(())
    }

    /// Returns what Tempo's audit trail tells of as deleted since about then, of its newest page; nothing where it may not
    /// be read. Unlike a 404 it says so whatever the service user may see.
    async fn in_the_audit_trail(
        &self,
        site: &Site,
        since: Timestamp,
        lane: Lane,
    ) -> Result<BTreeSet<WorklogId>, EngineError> {
        if self.site_state(site).await?.papertrail == Some(false) {
            return Ok(BTreeSet::new());
        }
        let from = since - TRAIL_OVERLAP;
        let page = self
            .call(site, lane, async |client| {
                client.papertrail_deleted(from, None).await
            })
            .await;
        match page {
            Ok(page) => Ok(page.rows.into_iter().map(|row| row.id).collect()),
            // The sweep finds out that it may not be read any more.
            Err(EngineError::Site { error, .. })
                if matches!(error.kind, SiteErrorKind::Refused(_) | SiteErrorKind::NotFound) =>
            {
                Ok(BTreeSet::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Says whether the service user lacks permissions. Asked after Tempo answered 404: what the last sweep knew may have
    /// ended since, and whoever lacks permissions gets 404 for everything.
    pub(crate) async fn is_blind(
        &self,
        site: &Site,
        side: Side,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        if !observed.blind[side] {
            self.probe_now(site, lane).await?;
            observed.blind[side] = !self.site_state(site).await?.missing_permissions.is_empty();
        }
        Ok(observed.blind[side])
    }

    /// Takes worklogs that Jira said were deleted, and that Tempo does not show, as proven gone: if the service user may
    /// see what there is.
    async fn confirm(
        &self,
        connection: &Connection,
        side: Side,
        hearsay: Hearsay<'_>,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let Hearsay { hidden, silent, told } = hearsay;
        let site = self.site_of(connection, side)?;
        if hidden.is_empty() {
            return Ok(());
        }
        // Tempo has a permission of its own to see other people's time, which Jira does not tell of. Where a listing shows
        // some of theirs, both are there. Not the one that was read before: a permission may have ended since.
        let fallback = connection.settings.rules.fallback();
        let is_others = |worklog: &Worklog| Some(&worklog.content.author) != fallback;
        let mut sees_others = observed.listings[side].values().any(is_others);
        if sees_others {
            let issue = observed.link.issue(side);
            let again = self
                .call(site, lane, async |client| client.list_issue(issue, 0).await)
                .await;
            let (again, is_all) = match again {
                Err(error) if error.is_refusal() => (Vec::new(), false),
                again => {
                    let again = again?;
                    (again.rows, again.next.is_none())
                }
            };
            sees_others = again.iter().any(is_others);
            // What an interrupted create made is nobody's either. Were it left out, it would be made again.
            let is_awaited = observed.pairs.iter().any(|pair| {
                let mut made = pair.intent.iter().chain(&pair.abandoned);
                made.any(|intent| intent.kind == IntentKind::Create && intent.side == side)
            });
            if is_all && !is_awaited {
                // What nobody knows yet, and is not shown any more, is not begun with: it went, or is hidden, and then it
                // is looked for again.
                let known: BTreeSet<WorklogId> =
                    observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
                let before = observed.listings[side].len();
                observed.listings[side]
                    .retain(|id, _| known.contains(id) || again.iter().any(|worklog| worklog.id == *id));
                if !sees_others && observed.listings[side].len() < before {
                    observed.known_by = Some(observed.now + UNTOLD);
                }
            }
            let of_ours = again
                .into_iter()
                .filter(|worklog| hidden.iter().any(|(id, _)| *id == worklog.id));
            observed.listings[side].extend(of_ours.map(|worklog| (worklog.id, worklog)));
        }
        // Where others vanished without a word about when this is said to have gone, and nobody else's time is shown, it is
        // sight that is lost. What was missing long before says nothing of it.
        let told_at = hidden.iter().map(|(_, proof)| proof.at).min();
        let has_vanished = observed.pairs.iter().any(|pair| {
            let wait = pair.wait.as_ref().filter(|wait| wait.reason == Reason::Missing);
            let is_old = wait.is_some_and(|wait| Some(wait.since + TRAIL_OVERLAP) < told_at);
            pair.ids[side].is_some_and(|id| silent.contains(&id)) && !is_old
        });
        if !sees_others && (has_vanished || self.is_blind(site, side, observed, lane).await?) {
            return Ok(());
        }
        for (id, proof) in hidden {
            if observed.listings[side].contains_key(&id) {
                continue;
            }
            // Where the twin is gone too, nothing is to be deleted any more, and the pair would be forgotten for good. Jira
            // tells whether it stands elsewhere, but not of the last minute.
            let pair = observed.pairs.iter().find(|pair| pair.ids[side] == Some(id));
            let twin = pair.and_then(|pair| pair.ids[side.other()]);
            let gone = |twin| observed.proofs[side.other()].contains_key(&twin) || told.contains(&twin);
            if let Some(seen) = pair
                .and_then(|pair| pair.seen[side])
                .filter(|_| !sees_others || twin.is_some_and(gone))
            {
                let known_by = proof.at + UNTOLD;
                if observed.now < known_by {
                    observed.known_by = observed
                        .known_by
                        .map_or(Some(known_by), |at| Some(at.min(known_by)));
                    continue;
                }
                if self.is_elsewhere(site, id, seen - SKEW, lane).await? {
                    continue;
                }
            }
            self.keep_confirmed(site, id, &proof).await?;
            observed.proofs[side].insert(id, proof);
        }
        Ok(())
    }

    /// Keeps Jira's word, once it is confirmed, under Tempo's id: nobody has to ask again, and who knows the worklog by
    /// that id alone learns that it is gone.
    async fn keep_confirmed(&self, site: &Site, id: WorklogId, proof: &Proof) -> Result<(), EngineError> {
        let confirmed = Evidence {
            site: site.name.clone(),
            id: EvidenceId::Tempo(id),
            source: format!("confirmed-{}", proof.source),
            at: proof.at,
            moved_to: None,
        };
        self.store.commit(vec![Op::PutEvidence(confirmed)]).await?;
        Ok(())
    }

    /// Returns those of the worklogs that Tandem itself took away because their twin moved.
    async fn own_moves(
        &self,
        connection: &Connection,
        side: Side,
        ids: &[WorklogId],
    ) -> Result<BTreeSet<WorklogId>, EngineError> {
        let asked: Vec<_> = ids
            .iter()
            .map(|id| (connection.sites[side].clone(), *id))
            .collect();
        let origins = self.store.origins(&asked).await?;
        Ok(origins
            .into_iter()
            .filter(|(_, origin)| origin.moved_away)
            .map(|((_, id), _)| id)
            .collect())
    }

    /// Says whether an issue that a worklog went to is linked: then that link's run takes it in, and nothing is to
    /// be done here.
    async fn went_to_a_link(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        issue: IssueId,
        lane: Lane,
    ) -> Result<bool, EngineError> {
        let there = self.link_of(connection, side, issue, lane).await?;
        let Some(there) = there.filter(|there| *there != observed.link) else {
            return Ok(false);
        };
        // What is out of the connection's scope is nobody's to take in, as if it had no twin.
        if self.is_outside(connection, &there).await? {
            return Ok(false);
        }
        self.hint_all(vec![DueKey::Link(there)], lane, false).await?;
        Ok(true)
    }

    /// Returns the proofs that the table has about worklogs of a side, by Tempo's id or by Jira's.
    pub(crate) async fn proofs(
        &self,
        connection: &Connection,
        side: Side,
        ids: &[WorklogId],
    ) -> Result<BTreeMap<WorklogId, Proof>, EngineError> {
        let site = &connection.sites[side];
        let jira: BTreeMap<_, _> = self
            .store
            .jira_ids(site, ids)
            .await?
            .into_iter()
            .map(|(worklog, jira)| (jira, worklog))
            .collect();
        let mut keys: Vec<EvidenceId> = ids.iter().copied().map(EvidenceId::Tempo).collect();
        keys.extend(jira.keys().copied().map(EvidenceId::Jira));
        let mut proofs: BTreeMap<WorklogId, Proof> = BTreeMap::new();
        for evidence in self.store.evidence(site, &keys).await? {
            let worklog = match evidence.id {
                EvidenceId::Tempo(worklog) => Some(worklog),
                EvidenceId::Jira(id) => jira.get(&id).copied(),
            };
            let proof = Proof {
                source: evidence.source,
                at: evidence.at,
                moved_to: evidence.moved_to,
            };
            if let Some(worklog) = worklog
                && proofs
                    .get(&worklog)
                    .is_none_or(|known| weight(known) < weight(&proof))
            {
                proofs.insert(worklog, proof);
            }
        }
        Ok(proofs)
    }

    /// Follows worklogs back to where they came from, in chains and rings of connections.
    async fn trace_origins(
        &self,
        connection: &Connection,
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let mut asked = Vec::new();
        let mut unpaired: Sides<Vec<WorklogId>> = Sides::default();
        // One that is proven gone may be made again, and then as another one, where what is left of it was edited.
        let has = |pair: &Pair, side: Side| {
            let (id, other) = (pair.ids[side]?, side.other());
            let proof = observed.proofs[side].get(&id);
            let gone =
                observed.worklog(side, id).is_none() && proof.is_some_and(|one| one.moved_to.is_none());
            let left = pair.ids[other].and_then(|twin| observed.listings[other].get(&twin));
            let edited = left.is_some_and(|left| match &pair.base {
                Some(base) => field::changed(other, &base[other], &left.content, &connection.settings.rules),
                None => true,
            });
            (!(gone && edited)).then_some(id)
        };
        let half: BTreeSet<(Side, WorklogId)> = observed
            .pairs
            .iter()
            .filter(|pair| pair.state == PairState::Live)
            .filter_map(|pair| match (has(pair, Side::A), has(pair, Side::B)) {
                (Some(id), None) => Some((Side::A, id)),
                (None, Some(id)) => Some((Side::B, id)),
                _ => None,
            })
            .collect();
        // Whose twin is gone, and comes back where an edit wins.
        let had = observed.pairs.iter().filter(|pair| pair.had_twin());
        let had_twin: BTreeSet<(Side, WorklogId)> = had
            .flat_map(|pair| Side::BOTH.map(|side| Some((side, pair.ids[side]?))))
            .flatten()
            .collect();
        for side in Side::BOTH {
            let paired: BTreeSet<WorklogId> =
                observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
            for worklog in observed.listings[side].values() {
                let id = worklog.id;
                let new = !paired.contains(&id) && !observed.foreign[side].contains(&id);
                if half.contains(&(side, id)) || (new && observed.begins(worklog.content.start_date)) {
                    unpaired[side].push(id);
                    asked.push((connection.sites[side].clone(), id));
                }
            }
        }
        let rules = &connection.settings.rules;
        for pair in &observed.pairs {
            let Some(base) = &pair.base else { continue };
            let now = Sides::from_fn(|side| pair.ids[side].and_then(|id| observed.worklog(side, id)));
            if let (Some(a), Some(b)) = (now.a, now.b)
                && field::changed(Side::A, &base.a, &a.content, rules)
                && field::changed(Side::B, &base.b, &b.content, rules)
            {
                asked.push((connection.sites.a.clone(), a.id));
                asked.push((connection.sites.b.clone(), b.id));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let origins: BTreeMap<_, _> = self.store.origins(&asked).await?.into_iter().collect();
        for side in Side::BOTH {
            let site = &connection.sites[side];
            let unknown: Vec<WorklogId> = unpaired[side]
                .iter()
                .copied()
                .filter(|id| !origins.contains_key(&(site.clone(), *id)))
                .collect();
            for id in self.being_made(connection, side, observed, &unknown).await? {
                observed.copies[side].insert(id, Copy::InFlight);
            }
        }
        for side in Side::BOTH {
            for ((site, id), origin) in &origins {
                let untouched = observed.worklog(side, *id).is_some_and(|worklog| {
                    worklog.updated_at.as_second() == origin.written_updated_at.as_second()
                });
                if *site == connection.sites[side] && untouched {
                    observed.edited[side].insert(*id, origin.edited_at);
                }
            }
            let (here, there) = (&connection.sites[side], &connection.sites[side.other()]);
            let roots: BTreeMap<Root, WorklogId> = unpaired[side]
                .iter()
                .map(|id| {
                    let own = Root {
                        site: here.clone(),
                        worklog: *id,
                    };
                    (
                        origins
                            .get(&(here.clone(), *id))
                            .map_or(own, |origin| origin.root.clone()),
                        *id,
                    )
                })
                .collect();
            let asked: Vec<Root> = roots.keys().cloned().collect();
            let claims: BTreeMap<Root, _> = self.store.claims(there, &asked).await?.into_iter().collect();
            let mut twins: BTreeMap<WorklogId, WorklogId> = BTreeMap::new();
            for (root, id) in &roots {
                if let Some(claim) = claims.get(root) {
                    let is_left = claim.worklog.is_none() && self.connection(&claim.connection).is_none();
                    let comes_back = had_twin.contains(&(side, *id)) || is_left;
                    if comes_back && self.is_void(connection, side.other(), observed, claim).await? {
                        continue;
                    }
                    twins.extend(claim.worklog.map(|twin| (*id, twin)));
                    if claim.connection != connection.name {
                        let copy = claim.worklog.map_or(Copy::InFlight, Copy::Known);
                        observed.copies[side].insert(*id, copy);
                    }
                } else if root.site == *there
                    && !self
                        .is_gone(connection, side.other(), observed, root.worklog)
                        .await?
                {
                    // It is the copy of something that is there already: the worklog that it came from.
                    twins.insert(*id, root.worklog);
                    observed.copies[side].insert(*id, Copy::Known(root.worklog));
                }
            }
            twins.retain(|id, _| !half.contains(&(side, *id)));
            self.find_successors(connection, side, observed, &twins).await?;
        }
        Ok(())
    }

    /// Returns those of new worklogs that another connection is making right now, or was when it was interrupted:
    /// they say what it noted before it wrote. Whose copies they are is known once that connection has looked again;
    /// until then each of them would pass for somebody's own, and be copied round a ring for ever.
    async fn being_made(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        new: &[WorklogId],
    ) -> Result<BTreeSet<WorklogId>, EngineError> {
        let site = &connection.sites[side];
        let mut made = BTreeSet::new();
        if self.connections_of(site).count() < 2 {
            return Ok(made);
        }
        let recent = observed.now - crate::execute::ECHO_FOR;
        let issue = observed.link.issue(side);
        let marks: Vec<(WorklogId, String)> = new
            .iter()
            .filter_map(|id| observed.listings[side].get(id))
            .filter(|worklog| worklog.created_at >= recent)
            .map(|worklog| {
                let content = &worklog.content;
                let text = content.description.as_str();
                let mark = echo::tempo_mark(
                    issue,
                    &content.author,
                    content.start_date,
                    content.time_spent_secs,
                    text,
                );
                (worklog.id, mark)
            })
            .collect();
        for some in marks.chunks(MARKS_AT_ONCE) {
            let asked: Vec<String> = some.iter().map(|(_, mark)| mark.clone()).collect();
            let query = LookupQuery {
                site,
                issue: None,
                marks: &asked,
                jira: None,
                worklog: None,
                connections: &[],
                now: observed.now,
            };
            let echoes = self.store.lookup(&query).await?.echoes;
            made.extend(some.iter().filter_map(|(id, mark)| {
                let created_at = observed.listings[side].get(id)?.created_at;
                let theirs = echoes.iter().any(|echo| {
                    // What somebody logs long after that attempt is their own, though it says the same.
                    let attempt = echo.expires - crate::execute::ECHO_FOR;
                    let in_time = created_at <= attempt + crate::execute::ATTEMPT + SKEW;
                    echo.mark == *mark
                        && echo.worklog.is_none()
                        && echo.connection != connection.name
                        && in_time
                });
                theirs.then_some(*id)
            }));
        }
        Ok(made)
    }

    /// Says whether another connection's claim is over: the copy that it made was deleted, or nobody is there any more to make
    /// it. Should it be wanted again, whoever comes first makes it.
    pub(crate) async fn is_void(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        claim: &Claim,
    ) -> Result<bool, EngineError> {
        if claim.connection == connection.name {
            return Ok(false);
        }
        let is_left = self.connection(&claim.connection).is_none();
        let Some(copy) = claim.worklog else {
            return Ok(is_left);
        };
        if self.is_deleted(connection, side, observed, copy).await? {
            return Ok(true);
        }
        if observed.worklog(side, copy).is_some()
            || self.own_moves(connection, side, &[copy]).await?.is_empty()
        {
            return Ok(false);
        }
        // What was taken away for a move is made anew by who took it away, if anybody is there to.
        let site = &connection.sites[side];
        let places = self.store.whereabouts(&connection.name, site, &[copy]).await?;
        Ok(is_left || places.iter().any(|place| place.state == PairState::Gone))
    }

    /// Says whether a worklog that is not shown is proven to be deleted.
    async fn is_deleted(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        worklog: WorklogId,
    ) -> Result<bool, EngineError> {
        if observed.worklog(side, worklog).is_some() {
            return Ok(false);
        }
        if let Some(proof) = observed.proofs[side].get(&worklog) {
            return Ok(proof.moved_to.is_none());
        }
        let site = &connection.sites[side];
        let known = self.store.evidence(site, &[EvidenceId::Tempo(worklog)]).await?;
        Ok(known.iter().any(|proof| proof.moved_to.is_none()))
    }

    /// Says whether a worklog is known to be gone: deleted, taken away by us for a move, or no twin of anybody's since its
    /// issue's link was replaced.
    async fn is_gone(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        worklog: WorklogId,
    ) -> Result<bool, EngineError> {
        if observed.worklog(side, worklog).is_some() {
            return Ok(false);
        }
        if self.is_deleted(connection, side, observed, worklog).await? {
            return Ok(true);
        }
        let site = &connection.sites[side];
        let origins = self.store.origins(&[(site.clone(), worklog)]).await?;
        let places = self.store.whereabouts(&connection.name, site, &[worklog]).await?;
        Ok(origins.iter().any(|(_, origin)| origin.moved_away) || places.iter().any(|place| place.parted))
    }

    /// Finds worklogs that another connection made in the place of one that it had to take away for a move, or that was deleted
    /// and came back by an edit of yet another copy. They carry on that one's pair; `twins` are their twins by origin.
    async fn find_successors(
        &self,
        connection: &Connection,
        side: Side,
        observed: &mut Observed,
        twins: &BTreeMap<WorklogId, WorklogId>,
    ) -> Result<(), EngineError> {
        let there = side.other();
        for (id, twin) in twins {
            let holds =
                |pair: &&tandem_core::Pair| pair.ids[there] == Some(*twin) && pair.state == PairState::Live;
            let known = observed.pairs.iter().find(holds).cloned();
            let pair = match known {
                Some(pair) => Some(pair),
                None => {
                    let places = self
                        .store
                        .whereabouts(&connection.name, &connection.sites[there], &[*twin])
                        .await?;
                    match places.into_iter().find(|place| place.state == PairState::Live) {
                        Some(place) => self.store.pair(&place.link, &place.pair).await?,
                        None => None,
                    }
                }
            };
            let Some(pair) = pair else { continue };
            let Some(old) = pair.ids[side].filter(|old| old != id) else {
                continue;
            };
            let origins = self
                .store
                .origins(&[(connection.sites[side].clone(), old)])
                .await?;
            let taken_away = origins.iter().any(|(_, origin)| origin.moved_away);
            if taken_away || self.is_deleted(connection, side, observed, old).await? {
                observed.successors[side].insert(*id, pair.id.clone());
                if !observed.pairs.iter().any(|row| row.id == pair.id) {
                    observed.pairs.push(pair);
                }
            }
        }
        Ok(())
    }

    /// Looks up what rendering needs: people, and the names of static-list values.
    async fn look_up(
        &self,
        connection: &Connection,
        observed: &mut Observed,
        lane: Lane,
    ) -> Result<(), EngineError> {
        let rules = &connection.settings.rules;
        for side in Side::BOTH {
            let seen = observed.listings[side]
                .values()
                .chain(observed.strays[side].values());
            let accounts: BTreeSet<&AccountId> = seen
                .map(|worklog| &worklog.content.author)
                .filter(|account| rules.mapped(side, account).is_none())
                .collect();
            let accounts: Vec<AccountId> = accounts.into_iter().cloned().collect();
            let (from, to) = (&connection.sites[side], &connection.sites[side.other()]);
            // What was once found goes on being said, or a text would change when a look-up grows old. Only
            // somebody who was not found is looked for again, when there is something of theirs to write; at once when
            // a person asked for another attempt, since access may have been given a moment ago.
            let wanted: BTreeSet<AccountId> = self.unwritten_authors(observed, side);
            for person in self.store.people(from, to, &accounts, Timestamp::MIN).await? {
                let old = observed.force || person.expires <= observed.now;
                let again = person.other.is_none() && old && wanted.contains(&person.account);
                let person = if again {
                    match self
                        .look_up_person(connection, side, &person.account, Taken::NotBefore, lane)
                        .await
                    {
                        Ok(person) => person,
                        // Not being told who somebody is must not hold up everybody else.
                        Err(error) if error.is_refusal() => person,
                        Err(error) => return Err(error),
                    }
                } else {
                    person
                };
                let known = Person {
                    other: person.other,
                    display_name: person.display_name,
                };
                observed.lookups.people[side].insert(person.account, known);
            }
        }
        let mapped_attribute_in_use = Side::BOTH.into_iter().any(|side| {
            observed.listings[side].values().any(|worklog| {
                rules
                    .attributes
                    .iter()
                    .any(|rule| worklog.content.attributes.contains_key(&rule.keys[side]))
            })
        });
        // What they are set to may be written as people see it, and not every worklog is to have them.
        let are_set = Side::BOTH
            .into_iter()
            .any(|side| !rules.defaults[side].is_empty());
        if !mapped_attribute_in_use && !are_set {
            return Ok(());
        }
        // Whether a value was cleared or its attribute removed is asked of the site as it is now.
        let since = emptied(observed, rules).then_some(observed.now - SignedDuration::from_secs(1));
        let (a, b) = try_join!(
            self.attribute_definitions(connection, Side::A, since, lane),
            self.attribute_definitions(connection, Side::B, since, lane)
        )?;
        let definitions = Sides::new(a, b);
        observed.lookups.defined = Sides::from_fn(|side| {
            let keys = definitions[side]
                .iter()
                .map(|one| (one.key.clone(), one.required));
            Some(keys.collect())
        });
        observed.lookups.names = definitions.map(|_, definitions| {
            definitions
                .into_iter()
                .filter(|one| !one.names.is_empty())
                .map(|one| (one.key, one.names))
                .collect()
        });
        Ok(())
    }

    /// The authors of a side's worklogs that have no twin yet.
    fn unwritten_authors(&self, observed: &Observed, side: Side) -> BTreeSet<AccountId> {
        let twinned: BTreeSet<WorklogId> = observed
            .pairs
            .iter()
            .filter(|pair| pair.ids[side.other()].is_some() || pair.state != PairState::Live)
            .filter_map(|pair| pair.ids[side])
            .collect();
        observed.listings[side]
            .values()
            .filter(|worklog| !twinned.contains(&worklog.id))
            .map(|worklog| worklog.content.author.clone())
            .collect()
    }

    /// Counts proven deletes against the brake.
    pub(crate) async fn brake(
        &self,
        connection: &Connection,
        observed: &Observed,
    ) -> Result<bool, EngineError> {
        let mut deletes = Vec::new();
        for pair in observed
            .pairs
            .iter()
            .filter(|pair| pair.state == PairState::Live && !pair.released)
            // What is held already is held by that, and says nothing of what comes later.
            .filter(|pair| {
                let wait = pair.wait.as_ref();
                wait.is_none_or(|wait| wait.reason != Reason::MassDelete)
            })
        {
            for side in Side::BOTH {
                let (Some(id), Some(_)) = (pair.ids[side], pair.ids[side.other()]) else {
                    continue;
                };
                if observed.worklog(side, id).is_none() && observed.proofs[side].contains_key(&id) {
                    deletes.push((connection.sites[side].clone(), id));
                }
            }
        }
        if deletes.is_empty() {
            Ok(false)
        } else {
            self.over_brake(connection, &deletes).await
        }
    }

    /// Registers proven deletes and says whether there are more than the brake lets through.
    pub(crate) async fn over_brake(
        &self,
        connection: &Connection,
        deletes: &[(tandem_core::SiteName, WorklogId)],
    ) -> Result<bool, EngineError> {
        let now = self.clock.now();
        let since = now - signed(connection.mass_delete_within);
        let enough = connection.mass_delete_max + 1;
        let count = self
            .store
            .brake(&connection.name, deletes, since, now, enough)
            .await?;
        Ok(count > connection.mass_delete_max)
    }
}

/// What is said of worklogs of a side that are not shown.
struct Hearsay<'h> {
    /// Those that Jira said were deleted.
    hidden: Vec<(WorklogId, Proof)>,
    /// Those of which nobody said so.
    silent: &'h BTreeSet<WorklogId>,
    /// What the other side is told to have lost likewise.
    told: &'h BTreeSet<WorklogId>,
}

/// A worklog, and when Tandem last wrote it.
type Written = (WorklogId, Option<Timestamp>);

/// The worklogs of a side that its listing does not show: those that do not wait for it yet, and the others, in turns, since
/// no more than a few are asked for at a time.
fn absent(observed: &Observed, side: Side) -> (Vec<Written>, Vec<Written>) {
    let live = observed
        .pairs
        .iter()
        .filter(|pair| pair.state == PairState::Live && pair.link == observed.link);
    let absent = live.filter(|pair| pair.ids[side].is_some_and(|id| observed.worklog(side, id).is_none()));
    let (mut waiting, news): (Vec<&Pair>, Vec<&Pair>) = absent.partition(|pair| {
        let wait = pair.wait.as_ref();
        wait.is_some_and(|wait| wait.reason == Reason::Missing || wait.moved)
    });
    if !waiting.is_empty() {
        // Spread over all of them, however regular the moments of the looks are.
        let turn = (observed.now.as_second() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let turn = turn as usize % waiting.len();
        waiting.rotate_left(turn);
    }
    let told = |pairs: Vec<&Pair>| {
        let pairs = pairs.into_iter();
        pairs
            .filter_map(|pair| Some((pair.ids[side]?, pair.written_at)))
            .collect()
    };
    (told(news), told(waiting))
}

/// Says whether a worklog has lost a mapped attribute since both sides agreed. One that waits for that reason counts, too:
/// another process may know the attribute from before, and would clear what waits.
fn emptied(observed: &Observed, rules: &Rules) -> bool {
    let mut live = observed.pairs.iter().filter(|pair| pair.state == PairState::Live);
    live.any(|pair| {
        let Some(base) = &pair.base else { return false };
        Side::BOTH.into_iter().any(|side| {
            let listed = pair.ids[side].and_then(|id| observed.listings[side].get(&id));
            listed.is_some_and(|worklog| {
                let has = |content: &Content, key: &String| content.attributes.contains_key(key);
                let mut keys = rules.attributes.iter().map(|rule| &rule.keys[side]);
                keys.any(|key| has(&base[side], key) && !has(&worklog.content, key))
            })
        })
    })
}

/// How much a proof says: Tempo's word for a delete more than Jira's, which may tell of a move.
fn weight(proof: &Proof) -> u8 {
    if proof.source.starts_with("jira") { 0 } else { 1 }
}
