//! Whole listings, what they lack, and what other sources show behind them.

use std::collections::BTreeMap;

use tandem_core::observed::Observed;
use tandem_core::worklog::same_text;
use tandem_core::{IntentKind, IssueId, PairState, Reason, Side, Sides, Worklog, WorklogId, field};
use tracing::warn;

use super::{PROBES_MAX, SKEW};
use crate::error::EngineError;
use crate::options::{Connection, Engine, Site};
use crate::ports::site::{IssueRef, Shadow, SiteErrorKind};
use crate::ports::store::{Announced, Announcement, EvidenceId, Lane};

/// Worklogs of one issue that are read at most.
const WORKLOGS_MAX: u64 = 200_000;

impl Engine {
    /// Leaves out announced changes of worklogs that are gone or elsewhere by now: this listing will never show
    /// them, and waiting for them would keep the link due for nothing.
    pub(super) async fn still_to_come(
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
                let gone = !proofs.is_empty();
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
    pub(super) async fn unshown(
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
                    // Where Jira's comment is empty, Tempo may show words of its own.
                    let is_filled_in = |worklog: &Worklog| {
                        description.trim().is_empty() && worklog.updated_at + SKEW >= *updated_at
                    };
                    let says = |worklog: &Worklog| {
                        time_spent_secs.is_none_or(|secs| secs == worklog.content.time_spent_secs)
                            && (is_filled_in(worklog) || same_text(&worklog.content.description, description))
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
    pub(super) async fn look_behind(
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
    pub(super) async fn refresh(
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
}
