//! The brake: counting proven deletes.
//!
//! Deletes are registered under a round's number, and a release begins the next round. So a release forgets
//! everything at once, however much it is, and whatever the clocks say.
//!
//! A round in which there were too many at once remembers when that was last: what was registered by then is held until the
//! release, however long nobody could look at it.

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

/// Proven deletes, as they are counted.
struct Counted {
    round: u64,
    /// When there were too many last, in this round.
    full_at: Option<Timestamp>,
    /// Those asked for that are not registered yet.
    new: BTreeSet<Key>,
    /// When the last of the others was registered.
    latest: Option<Timestamp>,
    /// Whether one of them was registered when there were too many.
    is_held: bool,
}

impl DynamoStore {
    pub(super) async fn brake_count(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        let mut counted = self.brake_known(connection, deletes).await?;
        // First, where these alone are too many: whoever dies behind their rows leaves them held.
        if counted.new.len() >= enough {
            self.brake_full(connection, counted.round, now).await?;
            counted.full_at = counted.full_at.max(Some(now));
        }
        // Two runners that register one at the same moment write the same.
        let rows = counted.new.iter().map(|key| {
            let mut item = row::expiring(row::bare(key), after(now, DELETE_KEPT));
            item.insert("at".to_owned(), time(now));
            item
        });
        self.write_all(rows.collect(), Vec::new()).await?;
        let count = self.brake_since(connection, &counted, since, enough).await?;
        let newest = match counted.new.is_empty() {
            true => counted.latest,
            false => Some(now),
        };
        let is_told = counted.full_at.is_some() && newest <= counted.full_at;
        if count >= enough && !deletes.is_empty() && !is_told {
            self.brake_full(connection, counted.round, now).await?;
        }
        Ok(count)
    }

    pub(super) async fn brake_count_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> Result<(usize, Vec<(SiteName, WorklogId)>), StoreError> {
        let counted = self.brake_known(connection, deletes).await?;
        let count = self.brake_since(connection, &counted, since, enough).await?;
        let key = |(site, worklog): &(SiteName, WorklogId)| {
            Key::brake_delete(connection, counted.round, site, *worklog)
        };
        let new = deletes.iter().filter(|delete| counted.new.contains(&key(delete)));
        Ok((count, new.cloned().collect()))
    }

    async fn brake_known(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
    ) -> Result<Counted, StoreError> {
        let (round, full_at) = match self.get(&Key::brake_round(connection)).await? {
            Some(item) => (
                row::optional_number(&item, "round")?.unwrap_or(0),
                row::optional_time(&item, "full_at")?,
            ),
            None => (0_u64, None),
        };
        let mut new: BTreeSet<Key> = deletes
            .iter()
            .map(|(site, worklog)| Key::brake_delete(connection, round, site, *worklog))
            .collect();
        let (mut is_held, mut latest) = (false, None);
        // Each counts from its first time.
        for item in self.get_all(new.iter().cloned()).await? {
            new.remove(&row::key(&item)?);
            let at = row::optional_time(&item, "at")?;
            is_held |= full_at.is_some() && at <= full_at;
            latest = latest.max(at);
        }
        Ok(Counted {
            round,
            full_at,
            new,
            latest,
            is_held,
        })
    }

    async fn brake_since(
        &self,
        connection: &ConnectionName,
        counted: &Counted,
        since: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        if counted.is_held {
            return Ok(enough);
        }
        let range = Range::table(keys::brake_deletes(connection, counted.round))
            .filter("#at >= :since")
            .value(":since", time(since));
        self.count(&range, enough).await
    }

    async fn brake_full(
        &self,
        connection: &ConnectionName,
        round: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is_same = match round {
            0 => "(attribute_not_exists(#round) OR #round = :round)",
            _ => "#round = :round",
        };
        // It never goes back: others may have registered theirs by a later clock.
        let write = Write::update(Key::brake_round(connection))
            .when(format!(
                "{is_same} AND (attribute_not_exists(#full_at) OR #full_at < :now)"
            ))
            .set("#full_at = :now")
            .value(":round", number(round))
            .value(":now", time(now));
        // Refused: it was released meanwhile, or that was noted.
        self.send("note that the brake is full", write, ReturnValue::None)
            .await?;
        Ok(())
    }

    pub(super) async fn brake_release(
        &self,
        connection: &ConnectionName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let write = Write::update(Key::brake_round(connection))
            .set("#round = if_not_exists(#round, :zero) + :one, #released_at = :now")
            .remove(&["#full_at"])
            .value(":zero", number(0))
            .value(":one", number(1))
            .value(":now", time(now));
        self.send("release the brake", write, ReturnValue::None).await?;
        Ok(())
    }
}
