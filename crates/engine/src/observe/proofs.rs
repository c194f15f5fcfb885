//! What proves that worklogs which are not shown are gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::{Observed, Proof};
use tandem_core::{
    AccountId, IssueId, LinkKey, Pair, PairState, Reason, Side, Sides, SiteName, Worklog, WorklogId,
};

use super::{PROBES_MAX, SKEW};
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::{Connection, Engine, Site};
use crate::ports::store::{Announced, DueKey, Evidence, EvidenceId, Lane, Op, OwnAccount, Root, Whereabouts};
use crate::sweep::{AUDIT_TRAIL, tells_nothing};

/// How long Jira's feeds leave out what has just happened: a minute, and what clocks differ by.
const UNTOLD: SignedDuration = SignedDuration::from_secs(90);

/// How much later than Jira Tempo may learn of a delete, and takes edits until then.
const BEHIND: SignedDuration = SignedDuration::from_secs(30);

/// What Jira tells of may stand in Tempo's audit trail with an earlier time.
const TRAIL_OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// Absent worklogs that Jira calls deleted and that Tempo is asked about in a run.
const CONFIRMATIONS_MAX: usize = 50;

impl Engine {
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
            // Jira also deletes the shadow of a worklog that moves: its word has to be confirmed. And what was changed after
            // that stood.
            let seen: BTreeMap<WorklogId, Timestamp> = observed
                .pairs
                .iter()
                .filter_map(|pair| Some((pair.ids[side]?, pair.seen[side]?)))
                .collect();
            let mut told = self.told(connection, side, &ids).await?;
            told.retain(|(id, proof)| {
                // What nobody has asked about yet is asked about anyway.
                let late = match proof.is_hearsay() {
                    true => UNTOLD,
                    false => BEHIND,
                };
                let stood = seen.get(id).is_some_and(|seen| *seen > proof.at + late);
                !(proof.is_jiras() && stood)
            });
            let mut proofs = weightiest(told);
            let mut own_moves = self.own_moves(connection, side, &ids).await?;
            // What is still there somewhere was not taken away by us, whatever we were about to do.
            own_moves.retain(|id| !observed.departed[side].contains(id));
            proofs.retain(|id, _| !own_moves.contains(id));
            observed.moved_away[side] = own_moves;
            let told = proofs.values().filter(|proof| proof.is_hearsay());
            let confirmed = match told.map(|proof| proof.at).min() {
                Some(since) => self.in_the_audit_trail(site, since, lane).await?,
                None => BTreeSet::new(),
            };
            for (id, proof) in &mut proofs {
                if proof.is_hearsay() && confirmed.contains(id) {
                    // It is Tempo's word then. What this pair makes of it may be the last that is asked of this worklog here.
                    proof.source = AUDIT_TRAIL.into();
                    self.keep_proof(site, EvidenceId::Tempo(*id), proof).await?;
                }
            }
            for (nth, (id, written_at)) in absent.iter().copied().enumerate() {
                let proof = proofs.remove(&id);
                let hearsay = proof.as_ref().is_some_and(Proof::is_hearsay);
                if let Some(proof) = proof.clone().filter(|_| !hearsay) {
                    observed.proofs[side].insert(id, proof);
                    continue;
                }
                let lagging = written_at.is_some_and(|at| observed.now < at + connection.settings.grace);
                let budget = if hearsay { &mut confirmations } else { &mut probes };
                if observed.moved_away[side].contains(&id) {
                    if probes == 0 {
                        observed.unasked[side].insert(id);
                        continue;
                    }
                    probes -= 1;
                    if let Some(proof) = self.gone_on(connection, side, observed, id, lane).await? {
                        observed.proofs[side].insert(id, proof);
                    }
                    continue;
                }
                if (lagging && !hearsay) || observed.unreadable[side].contains_key(&id) {
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
            // The sweep finds out that it may not be read any more. While it does not answer, Jira's word is held to what else
            // there is, as where it may not be read.
            Err(error) if error.is_refusal() || tells_nothing(&error) => Ok(BTreeSet::new()),
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
        let is_others = |worklog: &&Worklog| Some(&worklog.content.author) != fallback;
        let mut sees_others = observed.listings[side]
            .values()
            .any(|worklog| is_others(&worklog));
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
            let authors = again.iter().filter(is_others);
            let authors: BTreeSet<&AccountId> = authors.map(|worklog| &worklog.content.author).collect();
            // One alone may be the service user, whose own time is shown without that permission.
            sees_others = match authors.len() {
                0 => false,
                1 => match self.own_account(site, lane).await? {
                    Some(own) => !authors.contains(&own),
                    None => false,
                },
                _ => true,
            };
            if is_all {
                // What nobody knows yet, and is not shown any more, is not begun with: it went, or is hidden, and then it
                // is looked for again. What an interrupted create made is nobody's either, and is recognised all the same: it
                // would be made again.
                let known: BTreeSet<WorklogId> =
                    observed.pairs.iter().filter_map(|pair| pair.ids[side]).collect();
                let listed = observed.listings[side].keys().copied();
                let vanished =
                    listed.filter(|id| !known.contains(id) && !again.iter().any(|worklog| worklog.id == *id));
                observed.vanished[side] = vanished.collect();
                if !sees_others && !observed.vanished[side].is_empty() {
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
            let proof = proof.confirmed();
            self.keep_proof(site, EvidenceId::Confirmed(id), &proof).await?;
            observed.proofs[side].insert(id, proof);
        }
        Ok(())
    }

    async fn keep_proof(&self, site: &Site, id: EvidenceId, proof: &Proof) -> Result<(), EngineError> {
        let evidence = Evidence {
            site: site.name.clone(),
            id,
            source: proof.source.clone(),
            at: proof.at,
        };
        self.store.commit(vec![Op::PutEvidence(evidence)]).await?;
        Ok(())
    }

    /// Returns the account that a site knows the service user by, where it says. It is asked for once with the same
    /// credentials.
    async fn own_account(&self, site: &Site, lane: Lane) -> Result<Option<AccountId>, EngineError> {
        let state = self.site_state(site).await?;
        let of_these = |known: &&OwnAccount| known.credentials == state.credentials;
        if let Some(known) = state.own_account.as_ref().filter(of_these) {
            return Ok(Some(known.account.clone()));
        }
        let account = match self.call(site, lane, async |client| client.myself().await).await {
            Ok(myself) => myself.account_id,
            Err(error) if error.is_refusal() => return Ok(None),
            Err(error) => return Err(error),
        };
        let own = OwnAccount {
            credentials: state.credentials,
            account: account.clone(),
        };
        self.change_site(&site.name, |state| state.own_account = Some(own.clone()))
            .await?;
        Ok(Some(account))
    }

    /// Returns those of the worklogs that Tandem itself took away because their twin moved.
    pub(super) async fn own_moves(
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

    /// What became of a worklog that Tandem took away for a move, where another connection made it anew on an issue that this one
    /// does not link, or what it made there is deleted by now: nothing else would ever tell this connection of it.
    async fn gone_on(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        id: WorklogId,
        lane: Lane,
    ) -> Result<Option<Proof>, EngineError> {
        if !self.is_shared(connection, side) {
            return Ok(None);
        }
        let site = self.site_of(connection, side)?;
        let origins = self.store.origins(&[(site.name.clone(), id)]).await?;
        let roots: Vec<Root> = origins.into_iter().map(|(_, origin)| origin.root).collect();
        let claims = self.store.claims(&site.name, &roots).await?.into_iter();
        let anothers = claims.filter(|(_, claim)| claim.connection != connection.name);
        let Some(made) = anothers
            .filter_map(|(_, claim)| claim.worklog)
            .find(|made| *made != id)
        else {
            return Ok(None);
        };
        if observed.worklog(side, made).is_some() {
            return Ok(None);
        }
        let found = self
            .call(site, lane, async |client| client.worklog(made).await)
            .await?;
        let Some(found) = found else {
            // That one was taken away for a move as well, and has not been made anew yet.
            if !self.own_moves(connection, side, &[made]).await?.is_empty() {
                return Ok(None);
            }
            let told = self.proofs(connection, side, &[made]).await?;
            return Ok(told.into_values().find(|proof| !proof.is_hearsay()));
        };
        let is_here = found.issue == observed.link.issue(side);
        if is_here
            || self
                .went_to_a_link(connection, side, observed, found.issue, lane)
                .await?
        {
            return Ok(None);
        }
        Ok(Some(Proof {
            source: "moved".to_string(),
            at: observed.now,
            moved_to: Some(found.issue),
        }))
    }

    /// Says whether an issue that a worklog went to is linked: then that link's run takes it in, and nothing is to
    /// be done here. Nor is it while its twin is out of sight.
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
            return self.has_unseen_twin(connection, side, issue).await;
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
        Ok(weightiest(self.told(connection, side, ids).await?))
    }

    /// Returns all that the table has to say of worklogs of a side as gone, but for what was found to stand since.
    async fn told(
        &self,
        connection: &Connection,
        side: Side,
        ids: &[WorklogId],
    ) -> Result<Vec<(WorklogId, Proof)>, EngineError> {
        let site = &connection.sites[side];
        let jira: BTreeMap<_, _> = self
            .store
            .jira_ids(site, ids)
            .await?
            .into_iter()
            .map(|(worklog, jira)| (jira, worklog))
            .collect();
        let mut keys: Vec<EvidenceId> = ids.iter().copied().map(EvidenceId::Tempo).collect();
        keys.extend(ids.iter().copied().map(EvidenceId::Confirmed));
        keys.extend(ids.iter().copied().map(EvidenceId::Stands));
        keys.extend(jira.keys().copied().map(EvidenceId::Jira));
        let mut told: Vec<(WorklogId, Proof)> = Vec::new();
        let mut stood: BTreeMap<WorklogId, Timestamp> = BTreeMap::new();
        for evidence in self.store.evidence(site, &keys).await? {
            let worklog = match evidence.id {
                EvidenceId::Tempo(worklog) | EvidenceId::Confirmed(worklog) => Some(worklog),
                EvidenceId::Jira(id) => jira.get(&id).copied(),
                EvidenceId::Stands(worklog) => {
                    stood.insert(worklog, evidence.at);
                    None
                }
            };
            let proof = Proof {
                source: evidence.source,
                at: evidence.at,
                moved_to: None,
            };
            told.extend(worklog.map(|worklog| (worklog, proof)));
        }
        told.retain(|(worklog, proof)| {
            !(proof.is_jiras() && stood.get(worklog).is_some_and(|at| *at >= proof.at))
        });
        Ok(told)
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
            return Ok(false);
        }
        if self.over_brake(connection, &deletes).await? {
            return Ok(true);
        }
        let others = self.announced_deletes(connection, &observed.link).await?;
        if others.is_empty() {
            return Ok(false);
        }
        deletes.extend(others);
        self.over_brake(connection, &deletes).await
    }

    /// Returns the deletes that Tempo's webhooks told of on other links, and that no run has acted on yet; no more of them
    /// than the brake lets through. A purge is told of one by one, on many issues: the first run that acts has to know of
    /// all of it.
    async fn announced_deletes(
        &self,
        connection: &Connection,
        link: &LinkKey,
    ) -> Result<Vec<(SiteName, WorklogId)>, EngineError> {
        let now = self.clock.now();
        let mut told: Sides<BTreeSet<WorklogId>> = Sides::default();
        // What somebody told of comes first, and a page of it is more than any brake lets through. What waits for a person as
        // a whole takes nothing along meanwhile.
        for row in self.store.due(None).await?.0 {
            match &row.key {
                DueKey::Link(other) if other.connection == connection.name && other != link => {}
                _ => continue,
            }
            if row.reason.is_some() {
                continue;
            }
            for announcement in row.announced.iter().filter(|one| one.until > now) {
                if let Announced::TempoDeleted { id } = &announcement.what {
                    told[announcement.side].insert(*id);
                }
            }
        }
        let mut deletes = Vec::new();
        for side in Side::BOTH {
            let (site, ids) = (
                &connection.sites[side],
                Vec::from_iter(told[side].iter().copied()),
            );
            if ids.is_empty() {
                continue;
            }
            for place in self.store.whereabouts(&connection.name, site, &ids).await? {
                if deletes.len() > connection.mass_delete_max {
                    return Ok(deletes);
                }
                if place.state == PairState::Live && self.takes_its_twin_along(&place).await? {
                    deletes.push((site.clone(), place.worklog));
                }
            }
        }
        Ok(deletes)
    }

    /// Says whether the twin of a worklog that is deleted goes with it, for all that the table knows.
    async fn takes_its_twin_along(&self, place: &Whereabouts) -> Result<bool, EngineError> {
        if place.rival {
            return Ok(false);
        }
        let link = self.store.link(&place.link).await?;
        if link.is_none_or(|link| link.outside.is_some()) {
            return Ok(false);
        }
        let pair = self.store.pair(&place.link, &place.pair).await?;
        Ok(pair.is_some_and(|pair| {
            let wait = pair.wait.as_ref();
            let is_held = wait.is_some_and(|wait| wait.reason == Reason::MassDelete);
            pair.ids[place.side.other()].is_some() && !pair.released && !is_held
        }))
    }

    /// Registers proven deletes and says whether there are more than the brake lets through.
    pub(crate) async fn over_brake(
        &self,
        connection: &Connection,
        deletes: &[(SiteName, WorklogId)],
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

/// Returns of each worklog what says most.
fn weightiest(told: Vec<(WorklogId, Proof)>) -> BTreeMap<WorklogId, Proof> {
    let weight = |proof: &Proof| (!proof.is_jiras(), !proof.is_hearsay());
    let mut proofs: BTreeMap<WorklogId, Proof> = BTreeMap::new();
    for (worklog, proof) in told {
        let known = proofs.get(&worklog);
        if known.is_none_or(|known| weight(known) < weight(&proof)) {
            proofs.insert(worklog, proof);
        }
    }
    proofs
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
