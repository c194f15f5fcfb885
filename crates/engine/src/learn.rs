//! Learning which Jira worklog belongs to which Tempo worklog, for later proofs of deletes.

use jiff::SignedDuration;
use tandem_core::{SiteName, WorklogId};
use tracing::debug;

use crate::error::EngineError;
use crate::options::{Engine, Site};
use crate::ports::store::{Lane, Op};

/// Ids per call.
const BATCH: usize = 500;

/// How long a worklog may stay without a Jira id before nobody asks again: it has none.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Learns the Jira ids of some worklogs in one call, if the site has a slot to spare. What is not learned now
    /// is learned by a sweep.
    pub(crate) async fn learn_now(&self, site: &SiteName, worklogs: &[WorklogId]) {
        let Some(site) = self.sites.get(site).filter(|_| !worklogs.is_empty()) else { return };
        let batch = &worklogs[..worklogs.len().min(BATCH)];
        if let Err(error) = self.learn(site, batch, Lane::Backfill).await {
            debug!(site.name = %site.name, "Jira ids are left for the sweep: {error}");
        }
    }

    /// Learns what is still to be learned on a site, one call.
    pub(crate) async fn learn_rest(&self, site: &Site) -> Result<(), EngineError> {
        let waiting = self.store.to_learn(&site.name, BATCH).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let ids: Vec<WorklogId> = waiting.iter().map(|(id, _)| *id).collect();
        let learned = self.learn(site, &ids, Lane::Sweep).await?;
        let now = self.clock.now();
        let hopeless: Vec<WorklogId> = waiting
            .into_iter()
            .filter(|(id, at)| !learned.contains(id) && *at + GIVE_UP < now)
            .map(|(id, _)| id)
            .collect();
        if !hopeless.is_empty() {
            self.store.drop_learn(&site.name, &hopeless).await?;
        }
        Ok(())
    }

    async fn learn(&self, site: &Site, ids: &[WorklogId], lane: Lane) -> Result<Vec<WorklogId>, EngineError> {
        let known = self.call(site, lane, async |client| client.jira_ids(ids).await).await?;
        let ops: Vec<Op> = known
            .iter()
            .map(|(worklog, jira)| Op::PutJiraId { site: site.name.clone(), jira: *jira, worklog: *worklog })
            .collect();
        // A `PutJiraId` is two rows.
        for ops in ops.chunks(30) {
            self.store.commit(ops.to_vec()).await?;
        }
        Ok(known.into_iter().map(|(worklog, _)| worklog).collect())
    }
}
