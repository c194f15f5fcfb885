//! What a person says about an item that waits: which side counts, which worklog is the twin, or to leave it alone.
//!
//! Each decision is one conditional write of the pair's row with its line in the history; the next run plans from it.
//! It rests on what was seen when the item was set aside, never on what came after.

use tandem_core::decide::{self, Decided};
use tandem_core::{Ignored, LinkKey, Pair, PairId, PairState, Side, WorklogId};

use crate::decided::grounds_of_wait;
use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::{Committed, DueKey, Evidence, EvidenceId, Lane, Op, Whereabouts};

/// How often a row is read again when a run changes it under our hands.
const ATTEMPTS_MAX: usize = 10;

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This side counts.
    Take(Side),
    /// This worklog is the twin that the item lacks.
    Twin(WorklogId),
    /// It is to be left alone until its worklog changes.
    Ignore,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The next run acts on it. What was decided, in words.
    Done(String),
    /// It cannot be decided so, and why.
    Not(String),
}

impl Engine {
    /// Writes down what `by` decided about a pair that waits. With `rev`, only if the row is still that one.
    ///
    /// # Errors
    /// When the table fails, or a run keeps changing the row.
    pub async fn decide(
        &self,
        link: &LinkKey,
        id: &PairId,
        decision: Decision,
        by: &str,
        rev: Option<u64>,
    ) -> Result<Resolved, EngineError> {
        let Some(connection) = self.connection(&link.connection) else {
            let why = format!("the connection {} is not configured any more", link.connection);
            return Ok(Resolved::Not(why));
        };
        for _ in 0..ATTEMPTS_MAX {
            let Some(pair) = self.store.pair(link, id).await? else {
                return Ok(Resolved::Not("it is not in the table any more".into()));
            };
            if rev.is_some_and(|rev| rev != pair.rev) {
                return Ok(Resolved::Not(format!(
                    "it changed since it was looked at (it is at revision {} now): look again",
                    pair.rev
                )));
            }
            let decided = match decision {
                Decision::Take(side) => decide::take(&pair, side, &connection.settings.rules),
                Decision::Twin(worklog) => decide::choose(&pair, worklog),
                Decision::Ignore => ignore(&pair),
            };
            let decided = match decided {
                Ok(decided) => decided,
                Err(why) => return Ok(Resolved::Not(why)),
            };
            if let Decision::Twin(worklog) = decision
                && let Some(why) = self.is_taken(connection, &pair, worklog).await?
            {
                return Ok(Resolved::Not(why));
            }
            let what = decided.what.clone();
            let ops = self.ops(connection, &pair, decided, decision, by);
            if self.store.commit(ops).await? == Committed::Lost {
                continue;
            }
            if decision != Decision::Ignore {
                self.hint_all(vec![DueKey::Link(link.clone())], Lane::Live, true)
                    .await?;
            }
            return Ok(Resolved::Done(what));
        }
        Err(EngineError::Lost)
    }

    /// Says why a worklog cannot become a pair's twin: another pair has it, or it is not on the issue.
    async fn is_taken(
        &self,
        connection: &Connection,
        pair: &Pair,
        worklog: WorklogId,
    ) -> Result<Option<String>, EngineError> {
        let Some(side) = decide::lacks(pair) else {
            return Ok(None);
        };
        let site = &connection.sites[side];
        let places = self.store.whereabouts(&connection.name, site, &[worklog]).await?;
        let rival = places
            .iter()
            .find(|place| place.rival && place.link != pair.link)
            .cloned();
        let owner = places
            .into_iter()
            .find(|place| place.state == PairState::Live && !place.rival && place.pair != pair.id);
        if let Some(owner) = owner
            && !self.may_be_taken_in(pair, &owner).await?
        {
            return Ok(Some(format!(
                "worklog {worklog} on {site} belongs to {} of {} already: if both are the same work, delete one of the two on its site",
                owner.pair, owner.link
            )));
        }
        if let Some(rival) = rival
            && self.waits_on(&rival).await?
        {
            return Ok(Some(format!(
                "worklog {worklog} on {site} may be the twin of {} of {}: resolve that one first",
                rival.pair, rival.link
            )));
        }
        let (here, asked) = (self.site_of(connection, side)?, worklog);
        let found = self
            .call(here, Lane::Live, async |client| client.worklog(asked).await)
            .await?;
        Ok(match found {
            Some(found) if found.issue == pair.link.issue(side) => None,
            Some(_) => Some(format!(
                "worklog {worklog} on {site} is on another issue than the twin that is looked for"
            )),
            None => Some(format!(
                "{site} has no worklog {worklog}, or the service user cannot see it; its id is Tempo's"
            )),
        })
    }

    /// Says whether a worklog has a row of its own and waits for a twin too.
    async fn may_be_taken_in(&self, pair: &Pair, owner: &Whereabouts) -> Result<bool, EngineError> {
        if owner.link != pair.link {
            return Ok(false);
        }
        let row = self.store.pair(&owner.link, &owner.pair).await?;
        Ok(row.is_none_or(|row| row.is_single()))
    }

    fn ops(
        &self,
        connection: &Connection,
        row: &Pair,
        decided: Decided,
        decision: Decision,
        by: &str,
    ) -> Vec<Op> {
        let now = self.clock.now();
        let Decided {
            mut pair,
            lost,
            gone,
            what,
        } = decided;
        pair.rev = row.rev + 1;
        let mut ops = Vec::new();
        for side in Side::BOTH {
            // A listing that still shows what the pair has no more shows the past.
            if let Some(worklog) = row.ids[side].filter(|id| pair.ids[side] != Some(*id)) {
                ops.push(Op::PutWhere(Whereabouts {
                    connection: connection.name.clone(),
                    site: connection.sites[side].clone(),
                    worklog,
                    link: row.link.clone(),
                    pair: row.id.clone(),
                    side,
                    state: PairState::Gone,
                    seen: row.seen[side],
                    said: None,
                    parted: false,
                    rival: false,
                }));
            }
        }
        if let Some((side, worklog)) = gone {
            ops.push(Op::PutEvidence(Evidence {
                site: connection.sites[side].clone(),
                id: EvidenceId::Tempo(worklog),
                source: format!("person {by}"),
                at: now,
            }));
        }
        let tried = |side: Side| row.wait.as_ref().and_then(|wait| wait.tried[side].clone());
        let (op, side, before, after) = match decision {
            // The side that gives way, what it said, and what it is to say.
            Decision::Take(side) => ("resolve", side.other(), tried(side.other()), tried(side)),
            Decision::Twin(_) => ("resolve", decide::lacks(row).unwrap_or(Side::B), None, None),
            Decision::Ignore => (
                "ignore",
                row.wait.as_ref().map_or(Side::B, |wait| wait.side),
                None,
                None,
            ),
        };
        let mut line = self.act_on(&pair.link, &pair.id, op, side, now);
        line.id = format!("{:013}-{}-{}", now.as_millisecond(), pair.id, pair.rev);
        line.worklog = row.ids[side].or(row.ids[side.other()]);
        line.cause = format!("{by}: {what}");
        let rules = &connection.settings.rules;
        line.grounds = Some(grounds_of_wait(row, (before.as_ref(), after.as_ref()), rules));
        line.before = before;
        line.after = after;
        line.lost = lost
            .iter()
            .map(|lost| format!("{} on {}: {}", lost.field, lost.side, lost.value))
            .collect();
        ops.push(Op::PutHistory(Box::new(line)));
        ops.push(Op::PutPair(Box::new(pair)));
        ops
    }

    /// Takes back that an item is ignored. `false` when it was not.
    pub(super) async fn heed(&self, link: &LinkKey, id: &PairId) -> Result<bool, EngineError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut pair) = self.store.pair(link, id).await? else {
                return Ok(false);
            };
            if pair.ignored.take().is_none() {
                return Ok(false);
            }
            pair.rev += 1;
            if self.store.commit(vec![Op::PutPair(Box::new(pair))]).await? == Committed::Yes {
                return Ok(true);
            }
        }
        Err(EngineError::Lost)
    }
}

fn ignore(pair: &Pair) -> Result<Decided, String> {
    let Some(wait) = pair.wait.as_ref().filter(|_| pair.state == PairState::Live) else {
        return Err("it does not wait any more".into());
    };
    if pair.is_ignored() {
        return Err("it is ignored already; `tandem retry ID` takes that back".into());
    }
    let mut next = pair.clone();
    next.ignored = Some(Ignored {
        reason: wait.reason,
        ids: pair.ids,
        seen: pair.seen,
        tried: wait.tried.clone(),
    });
    Ok(Decided {
        pair: next,
        lost: Vec::new(),
        gone: None,
        what: format!("{} is left alone until its worklog changes", wait.reason),
    })
}
