//! Letting deletes through that the brake holds back.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{LinkKey, Pair, PairState, Reason};

use crate::decided::grounds_of_wait;
use crate::error::EngineError;
use crate::operator::QueueId;
use crate::options::{Connection, Engine};
use crate::ports::store::{Committed, DueKey, Lane, Op};

/// How often a row is read again when a run changes it under our hands.
const ATTEMPTS_MAX: usize = 10;

impl Engine {
    /// Lets the deletes through that wait as `mass-delete`, and counts anew from now on. Returns how many.
    ///
    /// Each pair is marked on its own: a process that dies in between leaves the rest waiting, and a second call
    /// takes them.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn release_mass_delete(&self, connection: &Connection) -> Result<usize, EngineError> {
        self.release_mass_delete_for(connection, None).await
    }

    /// The same, with a line in the history for each that says who asked for it, and one for the brake itself, which counts
    /// anew also where nothing waited. What is ignored stays.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn release_mass_delete_for(
        &self,
        connection: &Connection,
        by: Option<&str>,
    ) -> Result<usize, EngineError> {
        let (released, links) = self.release_waiting(connection, None, by).await?;
        self.store
            .release_brake(&connection.name, self.clock.now())
            .await?;
        if let Some(by) = by {
            let cause = format!("{by}: the brake on deletes counts anew");
            self.tell_act(std::slice::from_ref(&connection.name), "release", &[cause])
                .await?;
        }
        self.hint_all(links, Lane::Live, true).await?;
        Ok(released)
    }

    /// Lets these alone through. The brake goes on counting: what else waits, and what is deleted from now on, is held
    /// back as before. What does not wait for it any more is left out.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn release_these(
        &self,
        connection: &Connection,
        these: &BTreeSet<QueueId>,
        by: &str,
    ) -> Result<usize, EngineError> {
        let (released, links) = self.release_waiting(connection, Some(these), Some(by)).await?;
        self.hint_all(links, Lane::Live, true).await?;
        Ok(released)
    }

    /// Marks pairs as let through. Returns how many, and the links to look at.
    async fn release_waiting(
        &self,
        connection: &Connection,
        these: Option<&BTreeSet<QueueId>>,
        by: Option<&str>,
    ) -> Result<(usize, Vec<DueKey>), EngineError> {
        let mut links = BTreeSet::new();
        let mut known: BTreeMap<LinkKey, bool> = BTreeMap::new();
        let mut released = 0;
        let mut cursor = None;
        loop {
            let (pairs, next) = self.store.waiting(&connection.name, cursor).await?;
            for pair in pairs {
                if pair
                    .wait
                    .as_ref()
                    .is_none_or(|wait| wait.reason != Reason::MassDelete)
                    || pair.is_ignored()
                    || these.is_some_and(|these| !these.contains(&id_of(&pair)))
                {
                    continue;
                }
                // What waits on issues that are linked no more is shown to nobody, and so not let through.
                let linked = match known.get(&pair.link) {
                    Some(linked) => *linked,
                    None => {
                        let linked = self.store.link(&pair.link).await?.is_some();
                        known.insert(pair.link.clone(), linked);
                        linked
                    }
                };
                if linked && self.release(connection, &pair, by).await? {
                    released += 1;
                    links.insert(DueKey::Link(pair.link));
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok((released, links.into_iter().collect())),
            }
        }
    }

    async fn release(
        &self,
        connection: &Connection,
        listed: &Pair,
        by: Option<&str>,
    ) -> Result<bool, EngineError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut pair) = self.store.pair(&listed.link, &listed.id).await? else {
                return Ok(false);
            };
            let waits = pair
                .wait
                .as_ref()
                .is_some_and(|wait| wait.reason == Reason::MassDelete);
            if !waits || pair.state != PairState::Live {
                return Ok(false);
            }
            pair.released = true;
            pair.rev += 1;
            let mut ops = Vec::new();
            if let (Some(by), Some(wait)) = (by, &pair.wait) {
                let mut line = self.act_on(&pair.link, &pair.id, "release", wait.side, self.clock.now());
                line.worklog = pair.ids[wait.side];
                line.grounds = Some(grounds_of_wait(&pair, (None, None), &connection.settings.rules));
                line.cause = format!("{by}: the delete is let through the brake");
                ops.push(Op::PutHistory(Box::new(line)));
            }
            ops.push(Op::PutPair(Box::new(pair)));
            if self.store.commit(ops).await? == Committed::Yes {
                return Ok(true);
            }
        }
        Err(EngineError::Lost)
    }
}

fn id_of(pair: &Pair) -> QueueId {
    QueueId::Pair {
        link: pair.link.clone(),
        pair: pair.id.clone(),
    }
}
