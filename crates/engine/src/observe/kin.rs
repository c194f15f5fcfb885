//! Where worklogs came from, in chains and rings of connections: origins, claims and successors.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::observed::{Copy, Observed};
use tandem_core::{Pair, PairState, Side, Sides, WorklogId, field};

use super::SKEW;
use crate::echo;
use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::{Claim, LookupQuery, Root, Whereabouts};

/// Marks of own writes that are looked up in one request.
const MARKS_AT_ONCE: usize = 10;

impl Engine {
    /// Follows worklogs back to where they came from, in chains and rings of connections.
    pub(crate) async fn trace_origins(
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
                let new = !paired.contains(&id)
                    && !observed.foreign[side].contains(&id)
                    && !observed.vanished[side].contains(&id);
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
                    let had_twin = had_twin.contains(&(side, *id));
                    let other = side.other();
                    if self
                        .may_take_over(connection, other, observed, claim, had_twin)
                        .await?
                    {
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

    /// Says whether a copy may be made that another connection has claimed: its claim is over, and either nothing was made yet
    /// or what it is the copy of `had_twin`, and is edited or comes back. What was deleted is otherwise made again by nobody.
    pub(crate) async fn may_take_over(
        &self,
        connection: &Connection,
        side: Side,
        observed: &Observed,
        claim: &Claim,
        had_twin: bool,
    ) -> Result<bool, EngineError> {
        let may_be_wanted = had_twin || claim.worklog.is_none();
        Ok(may_be_wanted && self.is_void(connection, side, observed, claim).await?)
    }

    /// Says whether another connection's claim is over: the copy that it made was deleted, or nobody is there any more to make
    /// it. Should it be wanted again, whoever comes first makes it.
    async fn is_void(
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
        let known = self.proofs(connection, side, &[worklog]).await?;
        Ok(known.values().any(|proof| !proof.is_hearsay()))
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
                    let has = |place: &Whereabouts| place.state == PairState::Live && !place.rival;
                    match places.into_iter().find(has) {
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
}
