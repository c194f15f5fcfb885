//! Learning which Jira worklog belongs to which Tempo worklog, for later proofs of deletes.
//!
//! It is a due row of its own, one per site, so that the worklogs of many runs are asked for in one call.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tandem_core::{Side, SiteName, WorklogId};

use crate::error::EngineError;
use crate::options::{Connection, Engine};
use crate::ports::store::{DueKey, Hint, Lane, Op};

/// Ids per call.
const BATCH: usize = 500;

/// Calls per look. What is left waits for the next sweep.
const CALLS_MAX: usize = 4;

/// How long ids are collected before they are asked for. The shadow in Jira takes a moment, too.
const COLLECT: SignedDuration = SignedDuration::from_secs(3);

/// How long a worklog may stay without a Jira id before nobody asks again: it has none.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Has the Jira ids of new worklogs learned shortly.
    pub(crate) async fn ask_to_learn(
        &self,
        connection: &Connection,
        sides: &BTreeSet<Side>,
    ) -> Result<(), EngineError> {
        if sides.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let hints: Vec<Hint> = sides
            .iter()
            .map(|side| Hint {
                key: DueKey::Learn {
                    site: connection.sites[*side].clone(),
                },
                lane: Lane::Sweep,
                ready_at: now + COLLECT,
                announced: Vec::new(),
                force: false,
                trace: None,
            })
            .collect();
        Ok(self.store.hint(&hints, &[], now).await?)
    }

    /// Learns what is to be learned on a site.
    pub(crate) async fn learn(&self, site: &SiteName) -> Result<(), EngineError> {
        let Some(site) = self.sites.get(site) else {
            return Ok(());
        };
        for _ in 0..CALLS_MAX {
            let waiting = self.store.to_learn(&site.name, BATCH).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let ids: Vec<WorklogId> = waiting.iter().map(|(id, _)| *id).collect();
            let (known, more) = self
                .call(site, Lane::Sweep, async |client| client.jira_ids(&ids).await)
                .await?;
            let ops: Vec<Op> = known
                .iter()
                .map(|(worklog, jira)| Op::PutJiraId {
                    site: site.name.clone(),
                    jira: *jira,
                    worklog: *worklog,
                })
                .collect();
            // A `PutJiraId` is up to three rows.
            for ops in ops.chunks(30) {
                self.store.commit(ops.to_vec()).await?;
            }
            let learned: BTreeSet<WorklogId> = known.into_iter().map(|(worklog, _)| worklog).collect();
            let now = self.clock.now();
            let hopeless: Vec<WorklogId> = waiting
                .iter()
                .filter(|(id, at)| !learned.contains(id) && *at + GIVE_UP < now)
                .map(|(id, _)| *id)
                .collect();
            if !hopeless.is_empty() {
                self.store.drop_learn(&site.name, &hopeless).await?;
            }
            if learned.len() < waiting.len() && !more {
                // The rest has no shadow yet; the next sweep asks again.
                return Ok(());
            }
        }
        Ok(())
    }
}
