//! The brake: counting proven deletes.
//!
//! Deletes are registered under a round's number, and a release begins the next round. So a release forgets
//! everything at once, however much it is, and whatever the clocks say.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{SignedDuration, Timestamp};
use tandem_core::{ConnectionName, SiteName, WorklogId};
use tandem_engine::ports::StoreError;

use super::DynamoStore;
use super::commit::after;
use super::keys::{self, Key};
use super::read::Range;
use super::row::{self, number, time};
use super::write::Write;

/// For how long a registered delete is remembered: longer than any window, and than anybody lets one wait.
const DELETE_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

impl DynamoStore {
    pub(super) async fn brake_count(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        let round = match self.get(&Key::brake_round(connection)).await? {
            Some(item) => row::optional_number(&item, "round")?.unwrap_or(0),
            None => 0_u64,
        };
        let mut new: BTreeSet<Key> = deletes
            .iter()
            .map(|(site, worklog)| Key::brake_delete(connection, round, site, *worklog))
            .collect();
        // Each counts from its first time. Two runners that register one at the same moment write the same.
        for item in self.get_all(new.iter().cloned()).await? {
            new.remove(&row::key(&item)?);
        }
        let rows = new.iter().map(|key| {
            let mut item = row::expiring(row::bare(key), after(now, DELETE_KEPT));
            item.insert("at".to_owned(), time(now));
            item
        });
        self.write_all(rows.collect(), Vec::new()).await?;
        let range = Range::table(keys::brake_deletes(connection, round))
            .filter("#at >= :since")
            .value(":since", time(since));
        self.count(&range, enough).await
    }

    pub(super) async fn brake_release(
        &self,
        connection: &ConnectionName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let write = Write::update(Key::brake_round(connection))
            .set("#round = if_not_exists(#round, :zero) + :one, #released_at = :now")
            .value(":zero", number(0))
            .value(":one", number(1))
            .value(":now", time(now));
        self.send("release the brake", write, ReturnValue::None).await?;
        Ok(())
    }
}
