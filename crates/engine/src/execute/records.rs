//! What a run records: rows of pairs, where their worklogs belong, and what was agreed on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_core::observed::{Observed, Proof};
use tandem_core::plan::{Action, Recorded, Step};
use tandem_core::{Content, IssueId, Pair, PairState, Side, Sides, Worklog, WorklogId};
use tracing::{info, warn};

use super::{ECHO_FOR, Run, replace};
use crate::echo;
use crate::error::EngineError;
use crate::gate::signed;
use crate::ports::store::{Claim, DueKey, Echo, Evidence, EvidenceId, Op, Origin, Root, Whereabouts};

/// Rows of worklogs that go into one transaction beside what the run holds.
const PLACES_PER_COMMIT: usize = 50;

impl Run<'_> {
    pub(super) async fn record_singly(
        &mut self,
        batch: &[&Step],
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let mut lost = 0;
        for step in batch {
            match self.record(&[step], observed).await {
                Ok(()) => self.report.steps += 1,
                Err(EngineError::Lost) => {
                    lost += 1;
                    self.report.failed.insert(step.pair.id.clone());
                    let what = format!("{} was changed by another runner", step.pair.id);
                    self.report.trouble.get_or_insert((None, what));
                }
                Err(error) => return Err(error),
            }
        }
        // All of them: it is the lease that is gone.
        if lost == batch.len() {
            Err(EngineError::Lost)
        } else {
            Ok(())
        }
    }

    /// Records steps that write nothing to a site, in one transaction.
    pub(crate) async fn record(
        &mut self,
        batch: &[&Step],
        observed: &mut Observed,
    ) -> Result<(), EngineError> {
        let now = self.now();
        let mut ops = Vec::new();
        let mut pairs = Vec::new();
        for step in batch {
            let Action::Record(recorded) = step.action else {
                continue;
            };
            let mut pair = step.pair.clone();
            if recorded == Recorded::Move {
                let old = observed
                    .pairs
                    .iter()
                    .find(|row| row.id == pair.id)
                    .map(|row| row.link.clone());
                if let Some(link) = old.filter(|link| *link != pair.link) {
                    ops.push(Op::DropPair {
                        link,
                        id: pair.id.clone(),
                        rev: pair.rev,
                    });
                    pair.rev = 0;
                }
            }
            pair.rev += 1;
            let over: Vec<&Pair> = observed.pairs.iter().filter(|row| pair.takes_in(row)).collect();
            let places = self.places(&pair, Some(observed)).into_iter();
            ops.extend(places.map(|place| taken_from(place, &over)));
            ops.extend(over.iter().map(|row| Op::DropPair {
                link: row.link.clone(),
                id: row.id.clone(),
                rev: row.rev,
            }));
            if let Some(row) = observed.pairs.iter().find(|row| row.id == pair.id) {
                let parted = recorded == Recorded::Move && observed.orphaned.contains(&pair.id);
                ops.extend(self.without(row, &pair, parted));
                if recorded == Recorded::Move {
                    ops.extend(self.turned_up(&pair, observed).await?);
                }
                ops.extend(self.stand_again(row, &pair, observed).await?);
            }
            if recorded == Recorded::Adopt {
                ops.extend(self.adopted(step, &pair, observed).await?);
            }
            if recorded == Recorded::Forget || pair.state == PairState::Left {
                ops.extend(self.unclaimed(&pair).await?);
            }
            // A moved worklog has another shadow in Jira than before. One that did not move has the one that it had, and once
            // it is deleted nobody tells of it any more.
            if matches!(recorded, Recorded::Adopt | Recorded::Move) {
                let row = observed.pairs.iter().find(|row| row.id == pair.id);
                let has_moved = |side: Side| {
                    let is_here = pair.ids[side].is_some_and(|id| observed.listings[side].contains_key(&id));
                    let has_left = row.is_some_and(|row| {
                        row.state == PairState::Left
                            || row.strays[side].unwrap_or_else(|| row.link.issue(side))
                                != pair.link.issue(side)
                    });
                    recorded == Recorded::Move && is_here && has_left
                };
                ops.extend(self.learn(&pair, now, has_moved));
            }
            ops.extend(self.made(step, now, observed));
            // The line of our own write says all of it.
            let is_told = step.made.is_some() && matches!(recorded, Recorded::Forget | Recorded::Adopt);
            if recorded != Recorded::Agree && !is_told {
                ops.push(self.history(step, &pair, now, None, None, observed));
            }
            if recorded == Recorded::Park
                && let Some(wait) = &pair.wait
            {
                warn!(link.key = %self.link, pair.id = %pair.id, wait.reason = %wait.reason, "Parked {} of {}: {}", pair.id, self.link, wait.reason);
            }
            ops.push(Op::PutPair(Box::new(pair.clone())));
            pairs.push(pair);
        }
        self.set_busy(observed, &pairs);
        self.place_rivals(&pairs, observed).await?;
        self.commit(ops).await?;
        pairs.iter().for_each(|pair| self.tell_parked(pair));
        replace(observed, pairs);
        Ok(())
    }

    /// Notes beside which pair worklogs wait that nobody has a row for, so that they are not copied from another issue that they
    /// move to. Before the pair's row, which has no room for them in its transaction: without that they mean nothing.
    async fn place_rivals(&self, pairs: &[Pair], observed: &Observed) -> Result<(), EngineError> {
        let mut places: Sides<BTreeMap<WorklogId, Whereabouts>> = Sides::default();
        for pair in pairs {
            let row = observed.pairs.iter().find(|row| row.id == pair.id);
            if row.is_some_and(|row| row.rivals == pair.rivals && row.link == pair.link) {
                continue;
            }
            for side in Side::BOTH.into_iter().filter(|side| pair.ids[*side].is_none()) {
                for id in &pair.rivals {
                    places[side].entry(*id).or_insert_with(|| Whereabouts {
                        rival: true,
                        seen: None,
                        ..self.whereabouts(pair, side, *id, pair.state, None)
                    });
                }
            }
        }
        let mut ops = Vec::new();
        for side in Side::BOTH {
            let ids: Vec<WorklogId> = places[side].keys().copied().collect();
            if ids.is_empty() {
                continue;
            }
            // What has, or had, a row of its own is known by that, wherever this pair is.
            let (name, site) = (&self.connection.name, &self.connection.sites[side]);
            for known in self.engine.store.whereabouts(name, site, &ids).await? {
                if !known.rival {
                    places[side].remove(&known.worklog);
                }
            }
            let free = std::mem::take(&mut places[side]).into_values();
            ops.extend(free.map(Op::PutWhere));
        }
        for some in ops.chunks(PLACES_PER_COMMIT) {
            self.commit(some.to_vec()).await?;
        }
        Ok(())
    }

    /// Notes of those of a pair's worklogs that are shown where the pair is now, and that Jira called deleted, that they
    /// stand: they moved. Else whatever hid them the next time would be taken for that delete.
    async fn turned_up(&self, pair: &Pair, observed: &Observed) -> Result<Vec<Op>, EngineError> {
        let mut ops = Vec::new();
        for side in Side::BOTH {
            let listed = |id: &WorklogId| observed.listings[side].contains_key(id);
            let Some(worklog) = pair.ids[side].filter(listed) else {
                continue;
            };
            let told = self.engine.proofs(self.connection, side, &[worklog]).await?;
            if told.values().any(Proof::is_jiras) {
                ops.push(Op::PutEvidence(Evidence {
                    site: self.connection.sites[side].clone(),
                    id: EvidenceId::Stands(worklog),
                    source: "listing".into(),
                    at: self.now(),
                }));
            }
        }
        Ok(ops)
    }

    /// The rows that say where a pair's worklogs belong.
    pub(super) fn places(&self, pair: &Pair, observed: Option<&Observed>) -> Vec<Op> {
        let place = |side: Side, worklog| {
            let listed = observed
                .and_then(|observed| observed.worklog(side, worklog))
                .filter(|listed| Some(listed.updated_at) == pair.seen[side])
                .map(|listed| &listed.content);
            let said = listed.or(pair.base.as_ref().map(|base| &base[side]));
            Op::PutWhere(self.whereabouts(pair, side, worklog, pair.state, said))
        };
        Side::BOTH
            .into_iter()
            .filter_map(|side| pair.ids[side].map(|worklog| place(side, worklog)))
            .collect()
    }

    /// Worklogs that a pair had and has no more: a listing that still shows one shows the past.
    pub(crate) fn left_behind(&self, row: &Pair, pair: &Pair) -> Vec<Op> {
        self.without(row, pair, false)
    }

    /// The same, for worklogs that stay where they are when `parted` says so.
    fn without(&self, row: &Pair, pair: &Pair, parted: bool) -> Vec<Op> {
        Side::BOTH
            .into_iter()
            .filter_map(|side| {
                row.ids[side]
                    .filter(|id| pair.ids[side] != Some(*id))
                    .map(|id| (side, id))
            })
            .map(|(side, worklog)| {
                Op::PutWhere(Whereabouts {
                    parted,
                    ..self.whereabouts(pair, side, worklog, PairState::Gone, None)
                })
            })
            .collect()
    }

    /// Remembers where an adopted twin came from, so that a ring of connections makes no second copy of it.
    async fn adopted(&self, step: &Step, pair: &Pair, observed: &Observed) -> Result<Vec<Op>, EngineError> {
        let interrupted = observed
            .pairs
            .iter()
            .find(|row| row.id == pair.id)
            .and_then(|row| row.intent.as_ref().or(row.abandoned.last()))
            .map(|intent| intent.side);
        if interrupted.is_none() && self.engine.connections.len() < 2 {
            return Ok(Vec::new());
        }
        let to = interrupted.unwrap_or(Side::B);
        let (Some(source), Some(twin)) = (pair.ids[to.other()], pair.ids[to]) else {
            return Ok(Vec::new());
        };
        let (here, there) = (
            self.connection.sites[to.other()].clone(),
            self.connection.sites[to].clone(),
        );
        let known = self
            .engine
            .store
            .origins(&[(here.clone(), source), (there.clone(), twin)])
            .await?;
        let of = |site: &tandem_core::SiteName, id| {
            known
                .iter()
                .find(|((at, worklog), _)| at == site && *worklog == id)
                .map(|(_, origin)| origin)
        };
        if of(&there, twin).is_some() {
            return Ok(Vec::new());
        }
        let root = of(&here, source).map_or(
            Root {
                site: here,
                worklog: source,
            },
            |origin| origin.root.clone(),
        );
        let listed = observed.worklog(to, twin);
        let edited = observed
            .worklog(to.other(), source)
            .map(|source| observed.edited_at(to.other(), source));
        let (Some(listed), Some(edited_at)) = (listed, edited) else {
            return Ok(Vec::new());
        };
        let mut ops = Vec::new();
        let claims = self
            .engine
            .store
            .claims(&there, std::slice::from_ref(&root))
            .await?;
        if claims
            .iter()
            .all(|(_, claim)| claim.connection == self.connection.name)
        {
            let claim = Claim {
                connection: self.connection.name.clone(),
                worklog: Some(twin),
            };
            ops.push(Op::PutClaim {
                root: root.clone(),
                site: there.clone(),
                claim,
                instead_of: None,
            });
        }
        // What stands there may be a person's edit of what we wrote: it is as old as the listing says.
        let same = step
            .pair
            .base
            .as_ref()
            .is_some_and(|base| base[to] == listed.content);
        let edited_at = if same { edited_at } else { listed.updated_at };
        let origin = Origin {
            root,
            written_updated_at: listed.updated_at,
            edited_at,
            moved_away: false,
        };
        ops.push(Op::PutOrigin {
            site: there,
            worklog: twin,
            origin,
        });
        Ok(ops)
    }

    pub(super) fn whereabouts(
        &self,
        pair: &Pair,
        side: Side,
        worklog: WorklogId,
        state: PairState,
        said: Option<&Content>,
    ) -> Whereabouts {
        Whereabouts {
            connection: self.connection.name.clone(),
            site: self.connection.sites[side].clone(),
            worklog,
            link: pair.link.clone(),
            pair: pair.id.clone(),
            side,
            state,
            seen: pair.seen[side],
            said: said.map(echo::said),
            parted: false,
            rival: false,
        }
    }

    /// Has the Jira ids of a pair's worklogs learned; `anew` says on which sides what was known does not hold any more.
    pub(super) fn learn(&mut self, pair: &Pair, at: Timestamp, anew: impl Fn(Side) -> bool) -> Vec<Op> {
        let mut ops = Vec::new();
        for side in Side::BOTH {
            if let Some(worklog) = pair.ids[side] {
                self.report.to_learn.insert(side);
                ops.push(Op::PutLearn {
                    site: self.connection.sites[side].clone(),
                    worklog,
                    at,
                    anew: anew(side),
                });
            }
        }
        ops
    }

    /// A pair's row once the site has done a step, and what is written with it.
    pub(crate) fn done_ops(
        &mut self,
        step: &Step,
        side: Side,
        row: &Pair,
        answer: Option<&Worklog>,
        root: Option<Root>,
        observed: &Observed,
    ) -> (Pair, Vec<Op>) {
        let now = self.now();
        let site = self.connection.sites[side].clone();
        let retry = now + signed(self.engine.options.park_retry);
        let mut pair = step.done(row, answer, now, retry, &self.connection.settings.rules);
        pair.rev += 1;
        let mut ops = vec![
            Op::PutPair(Box::new(pair.clone())),
            self.history(step, &pair, now, answer, None, observed),
        ];
        ops.extend(self.places(&pair, Some(observed)));
        ops.extend(self.left_behind(row, &pair));
        if let Some(answer) = answer {
            let body = &answer.content;
            let mark = echo::tempo_mark(
                answer.issue,
                &body.author,
                body.start_date,
                body.time_spent_secs,
                &body.description,
            );
            ops.push(Op::PutEcho(Echo {
                site: site.clone(),
                mark,
                connection: self.connection.name.clone(),
                worklog: Some(answer.id),
                author: Some(body.author.clone()),
                updated_at: Some(answer.updated_at),
                expires: now + ECHO_FOR,
            }));
            if let Some(root) = root {
                let from = side.other();
                let source = pair.ids[from].and_then(|id| observed.worklog(from, id));
                let edited_at = source.map_or(answer.updated_at, |source| observed.edited_at(from, source));
                let written_updated_at = answer.updated_at;
                let origin = Origin {
                    root: root.clone(),
                    written_updated_at,
                    edited_at,
                    moved_away: false,
                };
                ops.push(Op::PutOrigin {
                    site: site.clone(),
                    worklog: answer.id,
                    origin,
                });
                if matches!(step.action, Action::Create { .. }) {
                    let claim = Claim {
                        connection: self.connection.name.clone(),
                        worklog: Some(answer.id),
                    };
                    ops.push(Op::PutClaim {
                        root,
                        site: site.clone(),
                        claim,
                        instead_of: None,
                    });
                }
            }
        }
        match &step.action {
            Action::Create { .. } => ops.extend(self.learn(&pair, now, |_| false)),
            Action::Delete {
                worklog,
                moves: false,
                ..
            } => {
                // For other connections of the site, our own delete is a proof like any other.
                let (id, source) = (EvidenceId::Tempo(*worklog), "own-delete".to_string());
                ops.push(Op::PutEvidence(Evidence {
                    site: site.clone(),
                    id,
                    source,
                    at: now,
                }));
            }
            _ => {}
        }
        (pair, ops)
    }

    /// Takes a step that is done and recorded into what this run knows.
    pub(crate) fn recorded(
        &mut self,
        step: &Step,
        side: Side,
        pair: Pair,
        answer: Option<Worklog>,
        observed: &mut Observed,
    ) {
        let now = self.now();
        let site = &self.connection.sites[side];
        if pair.wait.is_some() {
            // The site took it, but not all of it: that is not tried again in the same run.
            self.report.failed.insert(pair.id.clone());
        }
        self.report.written += 1;
        self.tell_written(step, &pair);
        info!(link.key = %self.link, pair.id = %pair.id, "Wrote {} on {site}: {}", pair.id, step.cause);
        match (&step.action, answer) {
            (Action::Delete { worklog, .. }, _) => {
                observed.listings[side].remove(worklog);
                observed.strays[side].remove(worklog);
                let proof = Proof {
                    source: "own-delete".into(),
                    at: now,
                    moved_to: None,
                };
                observed.proofs[side].insert(*worklog, proof);
            }
            (_, Some(answer)) if observed.strays[side].contains_key(&answer.id) => {
                observed.strays[side].insert(answer.id, answer);
            }
            (_, Some(answer)) => {
                observed.listings[side].insert(answer.id, answer);
            }
            (_, None) => {}
        }
        replace(observed, vec![pair]);
    }

    /// Hints at the links that the written issue has in other connections: for them this is news.
    pub(crate) async fn wake_others(
        &self,
        site: &tandem_core::SiteName,
        issue: IssueId,
    ) -> Result<(), EngineError> {
        if self.engine.connections_of(site).count() < 2 {
            return Ok(());
        }
        let rows = self.engine.store.issues(&[(site.clone(), issue)]).await?;
        let others = rows
            .into_iter()
            .flat_map(|row| row.links.into_values())
            .filter(|link| link != self.link);
        self.engine
            .hint_all(others.map(DueKey::Link).collect(), self.lane, false)
            .await
    }
}

/// The place of a worklog that had a row of its own until now.
fn taken_from(place: Op, over: &[&Pair]) -> Op {
    let Op::PutWhere(whereabouts) = place else {
        return place;
    };
    let mut had = over.iter();
    match had.find(|row| row.ids[whereabouts.side] == Some(whereabouts.worklog)) {
        Some(row) => Op::TakeWhere {
            whereabouts,
            from: row.id.clone(),
        },
        None => Op::PutWhere(whereabouts),
    }
}
