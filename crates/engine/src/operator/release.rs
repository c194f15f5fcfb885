//! Letting deletes through that the brake holds back.

use std::collections::BTreeSet;

use tandem_core::{PairState, Reason};

use crate::error::EngineError;
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

    /// The same, with a line in the history for each that says who asked for it. What is ignored stays.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn release_mass_delete_for(
        &self,
        connection: &Connection,
        by: Option<&str>,
    ) -> Result<usize, EngineError> {
        let mut links = BTreeSet::new();
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
                {
                    continue;
                }
                if self.release(&pair, by).await? {
                    released += 1;
                    links.insert(DueKey::Link(pair.link));
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.store
            .release_brake(&connection.name, self.clock.now())
            .await?;
        self.hint_all(links.into_iter().collect(), Lane::Live, true)
            .await?;
        Ok(released)
    }

    async fn release(&self, listed: &tandem_core::Pair, by: Option<&str>) -> Result<bool, EngineError> {
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
                let mut line = self.act(&pair.link, &pair.id, "release", wait.side, self.clock.now());
                line.worklog = pair.ids[wait.side];
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
