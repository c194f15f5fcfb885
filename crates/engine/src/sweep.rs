//! The scheduled pass that finds what no webhook told.
//!
//! Three requests per site: what changed, what was deleted, what the token may see. It decides nothing: it
//! compares with what the table knows and hints at links.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tandem_core::{
    ConnectionName, IssueId, JiraWorklogId, LinkKey, PairState, Reason, SiteName, Worklog, WorklogId,
};
use tracing::{info, warn};

use crate::echo;
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::{Engine, Site};
use crate::ports::site::{LISTED_MAX, SiteErrorKind};
use crate::ports::store::{Cursor, DueKey, Evidence, EvidenceId, Lane, Op, SiteState, Whereabouts};

/// Pages of a feed of deletes that one sweep reads at most.
const PAGES_MAX: usize = 1000;

/// Deletes may reach the feeds late.
const DELETE_OVERLAP: SignedDuration = SignedDuration::from_hours(1);

/// How often Jira's feed of deletes is read where Tempo's audit trail tells of them: what is deleted in Jira's own screen may
/// not stand there.
const FEED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Jira's feeds do not tell of their last minute.
const HELD_BACK: SignedDuration = SignedDuration::from_mins(2);

/// Tempo's audit trail goes back 180 days.
const PAPERTRAIL_REACH: SignedDuration = SignedDuration::from_hours(179 * 24);

/// What the service user needs to see and do anywhere at all.
const PERMISSIONS: [&str; 4] = [
    "BROWSE_PROJECTS",
    "WORK_ON_ISSUES",
    "EDIT_ALL_WORKLOGS",
    "DELETE_ALL_WORKLOGS",
];

/// Whether Jira's feed of deletes is read where Tempo's audit trail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// What one of them missed, the other may have.
    Too,
    /// Once in a while.
    InTurn,
}

/// Says whether a listed worklog was accounted for as it stands. Of two edits within one second, the second is told by
/// what the worklog says.
fn is_known(place: &Whereabouts, worklog: &Worklog) -> bool {
    let same = || {
        place
            .said
            .as_ref()
            .is_none_or(|said| *said == echo::said(&worklog.content))
    };
    let Some(seen) = place.seen else { return false };
    match seen.as_second().cmp(&worklog.updated_at.as_second()) {
        Ordering::Less => false,
        Ordering::Equal => same(),
        Ordering::Greater => true,
    }
}

/// What a sweep or an audit found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Links and issues hinted at.
    pub hinted: usize,
    /// Sites that could not be read.
    pub failed: usize,
}

/// How Tempo's audit trail is named as a proof.
pub(crate) const AUDIT_TRAIL: &str = "papertrail";

impl Engine {
    /// Sweeps all sites. One that fails does not hold up the others.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn sweep(&self) -> Result<Swept, EngineError> {
        let mut swept = Swept::default();
        self.notice_new_configuration().await?;
        for site in self.sites.values() {
            if self.connections_of(&site.name).next().is_none() {
                continue;
            }
            match self.sweep_site(site).await {
                Ok(hinted) => swept.hinted += hinted,
                Err(EngineError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    warn!(site.name = %site.name, "Could not sweep {}: {}", site.name, error.unsaid());
                    swept.failed += 1;
                }
            }
        }
        Ok(swept)
    }

    async fn sweep_site(&self, site: &Site) -> Result<usize, EngineError> {
        let start = self.clock.now();
        self.notice_new_credentials(site).await?;
        let name = changes(&site.name);
        // A site that was never swept is audited first; from then on the sweep goes on from that day.
        let since = self.store.cursor(&name).await?.map_or(start, |cursor| cursor.at);
        // Each for itself: what one of them may not read, another tells the reason of.
        let changes = self
            .sweep_changes(site, since - signed(self.options.overlap))
            .await;
        let deletes = self.sweep_deletes(site, Lane::Sweep, Feed::InTurn).await;
        let probed = self.probe(site).await;
        let (hinted_changes, hinted_deletes) = (changes?, deletes?);
        probed?;
        self.store.put_cursor(&name, &Cursor { at: start }).await?;
        if let Err(error) = self.learn(&site.name).await {
            warn!(site.name = %site.name, "Jira ids are left for the next sweep: {}", error.unsaid());
        }
        let hinted = hinted_changes + hinted_deletes;
        info!(site.name = %site.name, sweep.n_hinted = hinted, "Swept {}", site.name);
        Ok(hinted)
    }

    async fn sweep_changes(&self, site: &Site, since: Timestamp) -> Result<usize, EngineError> {
        let mut hinted = BTreeSet::new();
        let mut offset = 0;
        while offset < LISTED_MAX {
            let page = self
                .call_in_turn(site, Lane::Sweep, async |client| {
                    client.list_changed(since, offset).await
                })
                .await?;
            for bad in &page.bad {
                warn!(site.name = %site.name, worklog.id = ?bad.id, "{} listed a worklog that cannot be read", site.name);
            }
            self.hint_news(site, &page.rows, &mut hinted).await?;
            match page.next {
                Some(next) if next > offset => offset = next,
                _ => break,
            }
        }
        Ok(hinted.len())
    }

    /// Hints at what is news among listed worklogs: unknown ones, and those that changed since they were last
    /// accounted for.
    async fn hint_news(
        &self,
        site: &Site,
        worklogs: &[Worklog],
        hinted: &mut BTreeSet<DueKey>,
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        let issues: BTreeSet<IssueId> = worklogs.iter().map(|worklog| worklog.issue).collect();
        let asked: Vec<_> = issues.iter().map(|issue| (site.name.clone(), *issue)).collect();
        let rows: BTreeMap<IssueId, _> = self
            .store
            .issues(&asked)
            .await?
            .into_iter()
            .map(|row| (row.issue, row))
            .collect();
        let ids: Vec<WorklogId> = worklogs.iter().map(|worklog| worklog.id).collect();
        let mut news = BTreeSet::new();
        for (connection, side) in self.connections_of(&site.name) {
            let since = self.since(connection).await?;
            let places: BTreeMap<WorklogId, _> = self
                .store
                .whereabouts(&connection.name, &site.name, &ids)
                .await?
                .into_iter()
                .map(|place| (place.worklog, place))
                .collect();
            for worklog in worklogs {
                let row = rows.get(&worklog.issue);
                let link = row.and_then(|row| row.links.get(&connection.name));
                match places.get(&worklog.id).filter(|place| !place.rival) {
                    Some(place) if matches!(place.state, PairState::Gone | PairState::Kept) => continue,
                    Some(place) if place.state == PairState::Live => {
                        let here = place.link.issue(side) == worklog.issue;
                        let known = is_known(place, worklog);
                        if !here || !known {
                            news.insert(DueKey::Link(place.link.clone()));
                        }
                        // A twin that a move left behind is looked after by the link that its pair is in now.
                        if here || link.is_none() {
                            continue;
                        }
                    }
                    _ if worklog.content.start_date < since => continue,
                    _ => {}
                }
                match link {
                    Some(link) => {
                        news.insert(DueKey::Link(link.clone()));
                    }
                    None => {
                        let again = row.and_then(|row| row.look_again.get(&connection.name));
                        if again.is_none_or(|again| *again <= now) {
                            news.insert(DueKey::Issue {
                                site: site.name.clone(),
                                issue: worklog.issue,
                            });
                        }
                    }
                }
            }
        }
        let fresh: Vec<DueKey> = news
            .into_iter()
            .filter(|key| hinted.insert(key.clone()))
            .collect();
        self.hint_all(fresh, Lane::Sweep, false).await
    }

    /// Reads what was deleted since the last time, from Tempo's audit trail, and from Jira's feed once in a while or where the
    /// audit trail may not be read.
    pub(crate) async fn sweep_deletes(
        &self,
        site: &Site,
        lane: Lane,
        feed: Feed,
    ) -> Result<usize, EngineError> {
        let state = self.site_state(site).await?;
        if state.papertrail != Some(false) {
            match self.papertrail(site, lane).await {
                Ok(hinted) => {
                    if state.papertrail.is_none() {
                        self.change_site(&site.name, |state| state.papertrail = Some(true))
                            .await?;
                    }
                    if feed == Feed::Too || self.is_feed_due(site).await? {
                        return Ok(hinted + self.jira_feed(site, lane).await?);
                    }
                    return Ok(hinted);
                }
                Err(EngineError::Site { error, .. }) if cannot_read(&error.kind) => {
                    warn!(site.name = %site.name, "Tempo's audit trail cannot be read on {}: {}; Jira's feed of deletes is read instead", site.name, error.unsaid());
                    self.change_site(&site.name, |state| state.papertrail = Some(false))
                        .await?;
                }
                // It tells nothing just now, and Jira may.
                Err(error) if tells_nothing(&error) => {
                    self.jira_feed(site, lane).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.jira_feed(site, lane).await
    }

    /// Says whether Jira's feed was not read for a while, or not since a worklog was missed that it may tell of.
    async fn is_feed_due(&self, site: &Site) -> Result<bool, EngineError> {
        let name = jira_deleted(&site.name);
        let now = self.clock.now();
        let Some(read) = self.store.cursor(&name).await? else {
            // It tells of nothing yet that an audit has not seen; from now on it may.
            self.store.put_cursor(&name, &Cursor { at: now }).await?;
            return Ok(false);
        };
        if read.at + FEED_EVERY <= now {
            return Ok(true);
        }
        let missed = self.store.cursor(&missed(&site.name)).await?;
        Ok(missed.is_some_and(|missed| missed.at > read.at))
    }

    /// Has the next sweep read Jira's feed of deletes, for a worklog that is not shown any more.
    pub(crate) async fn note_missed(&self, site: &Site) -> Result<(), EngineError> {
        let at = self.clock.now();
        Ok(self.store.put_cursor(&missed(&site.name), &Cursor { at }).await?)
    }

    async fn papertrail(&self, site: &Site, lane: Lane) -> Result<usize, EngineError> {
        let start = self.clock.now();
        let name = format!("papertrail:{}", site.name);
        let since = self.store.cursor(&name).await?.map_or(start, |cursor| cursor.at);
        let from = (since - DELETE_OVERLAP).max(start - PAPERTRAIL_REACH);
        let mut hinted = 0;
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .call_in_turn(site, lane, async |client| {
                    client.papertrail_deleted(from, cursor.clone()).await
                })
                .await?;
            let rows: Vec<(WorklogId, EvidenceId, Timestamp)> = page
                .rows
                .iter()
                .map(|row| (row.id, EvidenceId::Tempo(row.id), row.at))
                .collect();
            hinted += self.hint_deleted(site, &rows, AUDIT_TRAIL, lane).await?;
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.store.put_cursor(&name, &Cursor { at: start }).await?;
        Ok(hinted)
    }

    /// Reads Jira's feed of deleted worklogs; only those whose Jira id is known to belong to one of ours count.
    pub(crate) async fn jira_feed(&self, site: &Site, lane: Lane) -> Result<usize, EngineError> {
        let start = self.clock.now();
        let name = jira_deleted(&site.name);
        let since = self.store.cursor(&name).await?.map_or(start, |cursor| cursor.at);
        let mut from = since - DELETE_OVERLAP;
        let mut hinted = 0;
        let mut until = since;
        for _ in 0..PAGES_MAX {
            let page = self
                .call_in_turn(site, lane, async |client| client.jira_deleted(from).await)
                .await?;
            let ids: Vec<JiraWorklogId> = page.rows.iter().map(|row| row.id).collect();
            let known: BTreeMap<_, _> = self
                .store
                .tempo_ids(&site.name, &ids)
                .await?
                .into_iter()
                .collect();
            // Under Jira's id: a worklog that moved has another shadow now, and what is said of the old one says
            // nothing of it.
            let rows: Vec<(WorklogId, EvidenceId, Timestamp)> = page
                .rows
                .iter()
                .filter_map(|row| {
                    known
                        .get(&row.id)
                        .map(|id| (*id, EvidenceId::Jira(row.id), row.at))
                })
                .collect();
            hinted += self.hint_deleted(site, &rows, "jira-feed", lane).await?;
            // A feed that does not say how far it goes: the overlap is longer than any of them holds back.
            until = page.until.unwrap_or(start);
            match page.next {
                Some(next) if next > from => from = next,
                _ => {
                    // A feed without rows may say that it goes no further than it was asked from.
                    until = until.max(start - HELD_BACK);
                    break;
                }
            }
        }
        self.store.put_cursor(&name, &Cursor { at: until }).await?;
        Ok(hinted)
    }

    /// Keeps proofs of deletes and hints at their links; all of them are known to the brake before the first
    /// one is acted on.
    async fn hint_deleted(
        &self,
        site: &Site,
        rows: &[(WorklogId, EvidenceId, Timestamp)],
        source: &str,
        lane: Lane,
    ) -> Result<usize, EngineError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let now = self.clock.now();
        let ids: Vec<WorklogId> = rows.iter().map(|(id, ..)| *id).collect();
        let mut links = BTreeSet::new();
        let mut proven: BTreeSet<WorklogId> = BTreeSet::new();
        let mut braked: BTreeMap<ConnectionName, Vec<(SiteName, WorklogId)>> = BTreeMap::new();
        let mut kept: BTreeMap<LinkKey, bool> = BTreeMap::new();
        for (connection, _) in self.connections_of(&site.name) {
            for place in self.store.whereabouts(&connection.name, &site.name, &ids).await? {
                // Of what only may be a twin, nobody's twin is deleted.
                if place.state != PairState::Live || place.rival {
                    continue;
                }
                proven.insert(place.worklog);
                if !kept.contains_key(&place.link) {
                    let link = self.store.link(&place.link).await?;
                    let is_kept = link.is_some_and(|link| link.outside.is_none());
                    kept.insert(place.link.clone(), is_kept);
                }
                // What was unlinked, or left the scope, takes no twin along: it is nothing to be alarmed by.
                if kept[&place.link] {
                    braked
                        .entry(connection.name.clone())
                        .or_default()
                        .push((site.name.clone(), place.worklog));
                }
                links.insert(DueKey::Link(place.link));
            }
        }
        let ops: Vec<Op> = rows
            .iter()
            .filter(|(id, ..)| proven.contains(id))
            .map(|(_, id, at)| {
                Op::PutEvidence(Evidence {
                    site: site.name.clone(),
                    id: id.clone(),
                    source: source.into(),
                    // When it happened, as far as a feed may be believed to tell of what is to come.
                    at: (*at).min(now),
                })
            })
            .collect();
        for ops in ops.chunks(50) {
            self.store.hint(&[], ops, now).await?;
        }
        // Jira's word may tell of moves: those are counted when they are confirmed.
        let told = rows.iter().all(|(_, id, _)| matches!(id, EvidenceId::Tempo(_)));
        for (connection, deletes) in braked.iter().filter(|_| told) {
            if let Some(connection) = self.connection(connection) {
                self.over_brake(connection, deletes).await?;
            }
        }
        let hinted = links.len();
        self.hint_all(links.into_iter().collect(), lane, false).await?;
        Ok(hinted)
    }

    /// Asks what the token may see, so that a lost permission is told apart from an empty site.
    async fn probe(&self, site: &Site) -> Result<(), EngineError> {
        let answer = self
            .call_in_turn(site, Lane::Sweep, async |client| {
                client.permissions(&PERMISSIONS, None).await
            })
            .await;
        self.note_permissions(site, answer).await
    }

    /// The same for a run, which does not wait in line.
    pub(crate) async fn probe_now(&self, site: &Site, lane: Lane) -> Result<(), EngineError> {
        let answer = self
            .call(site, lane, async |client| {
                client.permissions(&PERMISSIONS, None).await
            })
            .await;
        self.note_permissions(site, answer).await
    }

    async fn note_permissions(
        &self,
        site: &Site,
        answer: Result<BTreeMap<String, bool>, EngineError>,
    ) -> Result<(), EngineError> {
        let held = match answer {
            Ok(held) => held,
            Err(EngineError::Site { error, .. }) if matches!(error.kind, SiteErrorKind::Refused(_)) => {
                warn!(site.name = %site.name, "{} does not say what the service user may do: {}", site.name, error.unsaid());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let missing: Vec<String> = PERMISSIONS
            .iter()
            .filter(|key| held.get(**key) == Some(&false))
            .map(ToString::to_string)
            .collect();
        let state = self.site_state(site).await?;
        if state.missing_permissions == missing {
            return Ok(());
        }
        if missing.is_empty() {
            info!(site.name = %site.name, "The service user has its permissions on {} again", site.name);
        } else {
            warn!(site.name = %site.name, "The service user lacks {} on {}", missing.join(", "), site.name);
        }
        let regained = missing.len() < state.missing_permissions.len();
        self.change_site(&site.name, |state| state.missing_permissions.clone_from(&missing))
            .await?;
        if regained {
            self.wake_parked().await?;
            self.wake_reason(Reason::PermissionMissing).await?;
        }
        Ok(())
    }

    /// After a change of configuration, everything that was parked is tried again.
    async fn notice_new_configuration(&self) -> Result<(), EngineError> {
        let digest = &self.options.config_digest;
        let known = self.store.note("config-digest").await?;
        if known.as_deref() == Some(digest.as_str()) {
            return Ok(());
        }
        if known.is_some() {
            info!("The configuration changed: parked items are tried again");
            self.look_over_links(Lane::Sweep).await?;
            self.wake_parked().await?;
        }
        self.store.put_note("config-digest", digest).await?;
        Ok(())
    }

    /// After a change of a site's secret, everything that was parked is tried again.
    async fn notice_new_credentials(&self, site: &Site) -> Result<(), EngineError> {
        let Ok(digest) = site.client.credentials_digest().await else {
            return Ok(());
        };
        if self.site_state(site).await?.credentials.as_ref() == Some(&digest) {
            return Ok(());
        }
        let note = |state: &mut SiteState| state.credentials = Some(digest.clone());
        let before = self.change_site(&site.name, note).await?.credentials;
        if before.is_some_and(|before| before != digest) {
            self.wake_parked().await?;
        }
        Ok(())
    }

    /// Hints at each link that has a parked pair, and has it try again whatever its time.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn wake_parked(&self) -> Result<usize, EngineError> {
        let mut links = BTreeSet::new();
        for connection in &self.connections {
            let mut cursor = None;
            loop {
                let (pairs, next) = self.store.waiting(&connection.name, cursor).await?;
                links.extend(pairs.into_iter().map(|pair| DueKey::Link(pair.link)));
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
        let count = links.len();
        self.hint_all(links.into_iter().collect(), Lane::Sweep, true)
            .await?;
        Ok(count)
    }
}

/// Names the cursor that says up to when a site's changes are read.
pub(crate) fn changes(site: &SiteName) -> String {
    format!("changes:{site}")
}

/// Names the cursor that says when a worklog was last found missing that nothing tells of.
fn missed(site: &SiteName) -> String {
    format!("missed:{site}")
}

/// Names the cursor that says up to when Jira's feed of deletes is read.
fn jira_deleted(site: &SiteName) -> String {
    format!("jira-deleted:{site}")
}

/// Says whether a site told nothing: neither what was asked for, nor that it may not be told.
pub(crate) fn tells_nothing(error: &EngineError) -> bool {
    let kind = match error {
        EngineError::Site { error, .. } => &error.kind,
        _ => return false,
    };
    matches!(
        kind,
        SiteErrorKind::Malformed | SiteErrorKind::Unusable | SiteErrorKind::Unreachable { .. }
    )
}

fn cannot_read(kind: &SiteErrorKind) -> bool {
    matches!(kind, SiteErrorKind::Refused(_) | SiteErrorKind::NotFound)
}
