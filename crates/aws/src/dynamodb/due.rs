//! Due rows: taking, prolonging and ending a look.
//!
//! A due row is kept as attributes, since hints and runs change it at the same time. What hints bring lies in
//! the *fresh* attributes; taking the row moves it to the *taken* ones and removes `hint_at`. So
//!
//! - whether a newer hint came during a run is just whether `hint_at` is there;
//! - ending the run drops the taken part and leaves the fresh one;
//! - a run that dies loses nothing: the next one takes the union;
//! - the stream's filter (`hint_at` exists) wakes the worker for hints, and for a row that is given back with a
//!   newer hint, but not for what a run itself does to the row.
//!
//! | attribute | holds |
//! | --- | --- |
//! | `body` | the due key |
//! | `generation` | the number of hints so far |
//! | `since` | since when there is something to do; absent while it's just the next scheduled look |
//! | `gpk`, `gsk` | the lane, the next attempt |
//! | `hint_at`, `hint_since` | when the fresh hints want a look; when the first of them came |
//! | `announced`, `traces`, `plain`, `forced`, `lane0`, `lane1`, `lane2` | fresh: announcements, names of causes, and counts of hints |
//! | `taken_…` | the same, of the run under way |
//! | `owner`, `lease_until` | who works on it, until when |
//! | `attempts`, `reason`, `detail`, `quiet` | how the last look ended |

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};
use tandem_core::Reason;
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Announcement, DueKey, DueRow, Finish, Lane};

use super::DynamoStore;
use super::keys::{self, Key};
use super::patience::Patience;
use super::read::{Page, Range};
use super::row::{self, BODY, Item, number, text, texts, time};
use super::write::{Sent, Write};

/// How many announcements of a row are kept.
pub(super) const ANNOUNCED_MAX: usize = 50;

/// How many traces of a row are kept.
const TRACES_MAX: usize = 10;

/// The lanes, most urgent first.
pub(super) const LANES: [Lane; 3] = [Lane::Live, Lane::Sweep, Lane::Backfill];

/// What a run that takes the row moves away, and what it becomes.
const COUNTS: [(&str, &str); 5] = [
    ("plain", "taken_plain"),
    ("forced", "taken_forced"),
    ("lane0", "taken_lane0"),
    ("lane1", "taken_lane1"),
    ("lane2", "taken_lane2"),
];

impl DynamoStore {
    pub(super) async fn due_ready(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let mut rows = Vec::new();
        for lane in LANES {
            let range = Range::index(keys::due_lane(lane))
                .up_to(keys::time(now))
                .filter("attribute_not_exists(#lease_until) OR #lease_until <= :now")
                .value(":now", time(now))
                .page_size(limit.saturating_sub(rows.len()).saturating_add(10).min(1_000));
            for item in self.first(&range, limit.saturating_sub(rows.len())).await? {
                rows.extend(readable(&item));
            }
        }
        // More urgent lanes filled the list first; within it the oldest comes first.
        rows.sort_by_key(|row| row.next_attempt);
        Ok(rows)
    }

    pub(super) async fn due_page(&self, cursor: Option<String>) -> Result<Page<DueRow>, StoreError> {
        let (lane, start) = match cursor.as_deref().and_then(|cursor| cursor.split_once('|')) {
            Some((lane, start)) => (
                lane.parse()
                    .map_err(|_| StoreError::Corrupt("a cursor that `due` did not give".to_owned()))?,
                (!start.is_empty()).then(|| start.to_owned()),
            ),
            None => (0_usize, None),
        };
        let Some(partition) = LANES.get(lane) else {
            return Ok((Vec::new(), None));
        };
        let (items, next) = self
            .page(&Range::index(keys::due_lane(*partition)), start)
            .await?;
        let rows = items.iter().filter_map(readable).collect();
        let next = match next {
            Some(next) => Some(format!("{lane}|{next}")),
            None => (lane + 1 < LANES.len()).then(|| format!("{}|", lane + 1)),
        };
        Ok((rows, next))
    }

    pub(super) async fn due_get(&self, key: &DueKey) -> Result<Option<DueRow>, StoreError> {
        self.get(&Key::due(key)).await?.as_ref().map(due_row).transpose()
    }

    pub(super) async fn due_take(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<DueRow>, StoreError> {
        let mut write = Write::update(Key::due(key))
            .when("attribute_exists(#pk) AND (attribute_not_exists(#lease_until) OR #lease_until <= :now)")
            .set("#owner = :owner, #lease_until = :until")
            .set(
                "#taken_announced = list_append(if_not_exists(#taken_announced, :none), \
                 if_not_exists(#announced, :none)), \
                 #taken_traces = list_append(if_not_exists(#taken_traces, :none), if_not_exists(#traces, :none))",
            )
            .remove(&["#hint_at", "#hint_since", "#announced", "#traces"])
            .value(":now", time(now))
            .value(":owner", text(owner))
            .value(":until", time(later(now, lease)))
            .value(":none", AttributeValue::L(Vec::new()))
            .value(":zero", number(0));
        for (fresh, taken) in COUNTS {
            write = write
                .set(format!(
                    "#{taken} = if_not_exists(#{taken}, :zero) + if_not_exists(#{fresh}, :zero)"
                ))
                .remove(&[&format!("#{fresh}")]);
        }
        match self
            .send("take a due row", write.marked(), ReturnValue::AllNew)
            .await?
        {
            Sent::Done(item) => due_row(&item).map(Some),
            Sent::Refused(_) => Ok(None),
        }
    }

    pub(super) async fn due_renew(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let write = Write::update(Key::due(key))
            .when("#owner = :owner")
            .set("#lease_until = :until")
            .value(":owner", text(owner))
            .value(":until", time(later(now, lease)));
        Ok(matches!(
            self.send("prolong a lease", write, ReturnValue::None).await?,
            Sent::Done(_)
        ))
    }

    pub(super) async fn due_finish(
        &self,
        taken: &DueRow,
        owner: &str,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = Key::due(&taken.key);
        // No hint may come between seeing the row and writing it, so the condition names what was seen. The
        // first guess is what mostly holds: no newer hint.
        let mut hint_at: Option<Timestamp> = None;
        let mut patience = Patience::new();
        loop {
            let write = match finish {
                Finish::Done => done(key.clone(), hint_at),
                Finish::Again {
                    at,
                    attempts,
                    reason,
                    detail,
                    quiet,
                    announced,
                } => {
                    let write = again(key.clone(), *at, hint_at, taken, *quiet, now)
                        .set("#attempts = :attempts, #taken_announced = :announced")
                        .value(":attempts", number(attempts))
                        .value(":announced", announcements(&key, announced)?);
                    let write =
                        set_or_remove(write, "reason", reason.map(|reason| reason.as_str().to_owned()));
                    set_or_remove(write, "detail", detail.clone())
                }
            };
            let write = write.value(":owner", text(owner));
            let Sent::Refused(Some(item)) = self.send("end a look", write, ReturnValue::None).await? else {
                return Ok(());
            };
            if row::optional(&item, "owner")? != Some(owner) {
                return Ok(());
            }
            hint_at = row::optional_time(&item, "hint_at")?;
            // Ends soon: `hint_at` stays as it is once set, but for an earlier hint and the next take.
            patience.spend("hints kept coming while a look at a due row ended")?;
        }
    }
}

/// The end of a look with nothing left to do.
fn done(key: Key, hint_at: Option<Timestamp>) -> Write {
    match hint_at {
        None => Write::delete(key).when("#owner = :owner AND attribute_not_exists(#hint_at)"),
        Some(hint_at) => released(Write::update(key))
            .when("#owner = :owner AND #hint_at = :hint_at")
            .set("#gsk = #hint_at, #since = #hint_since")
            .remove(&["#attempts", "#reason", "#detail", "#quiet", "#taken_announced"])
            .remove(&["#taken_lane0", "#taken_lane1", "#taken_lane2"])
            .value(":hint_at", time(hint_at)),
    }
}

/// The end of a look with another one to come.
fn again(
    key: Key,
    at: Timestamp,
    hint_at: Option<Timestamp>,
    taken: &DueRow,
    quiet: bool,
    now: Timestamp,
) -> Write {
    let write = Write::update(key).remove(&["#owner", "#lease_until"]);
    // What did not go through is to be tried as it was.
    let write = if quiet { write.remove(TAKEN) } else { write };
    let write = match hint_at {
        None => write
            .when("#owner = :owner AND attribute_not_exists(#hint_at)")
            .set("#gsk = :at")
            .value(":at", time(at)),
        Some(hint_at) => write
            .when("#owner = :owner AND #hint_at = :hint_at")
            // Both: the next hint moves the row to where `hint_at` is.
            .set("#gsk = :at, #hint_at = :at")
            .value(":at", time(at.min(hint_at)))
            .value(":hint_at", time(hint_at)),
    };
    match (quiet, hint_at) {
        // Nothing is to be done until then, so nobody waits since some moment.
        (true, None) => write
            .set("#quiet = :yes")
            .value(":yes", AttributeValue::Bool(true))
            .remove(&["#since"]),
        (true, Some(_)) => write.set("#since = #hint_since").remove(&["#quiet"]),
        (false, _) => write
            .set("#since = if_not_exists(#since, :since)")
            .value(":since", time(taken.since.min(now)))
            .remove(&["#quiet"]),
    }
}

fn released(write: Write) -> Write {
    write.remove(&["#owner", "#lease_until"]).remove(TAKEN)
}

/// What a look that went through has used up.
const TAKEN: &[&str] = &["#taken_plain", "#taken_forced", "#taken_traces"];

fn set_or_remove(write: Write, attribute: &str, value: Option<String>) -> Write {
    match value {
        Some(value) => write
            .set(format!("#{attribute} = :{attribute}"))
            .value(&format!(":{attribute}"), text(value)),
        None => write.remove(&[&format!("#{attribute}")]),
    }
}

/// Reads a due row. One that a newer version wrote, or that is damaged, must not hold up all others.
fn readable(item: &Item) -> Option<DueRow> {
    due_row(item)
        .inspect_err(|error| tracing::error!("Left a due row alone: {error}"))
        .ok()
}

/// Reads a due row: what was taken and what is fresh, together.
pub(super) fn due_row(item: &Item) -> Result<DueRow, StoreError> {
    let next_attempt = row::required_time(item, "gsk")?;
    let both = |fresh: &str, taken: &str| -> Result<u64, StoreError> {
        let fresh = row::optional_number::<u64>(item, fresh)?.unwrap_or(0);
        Ok(fresh + row::optional_number::<u64>(item, taken)?.unwrap_or(0))
    };
    let [live, sweep] = [both("lane0", "taken_lane0")?, both("lane1", "taken_lane1")?];
    let lane = match (live, sweep) {
        (1.., _) => Lane::Live,
        (0, 1..) => Lane::Sweep,
        (0, 0) => Lane::Backfill,
    };
    let mut announced = Vec::new();
    for attribute in ["taken_announced", "announced"] {
        for text in row::list(item, attribute)? {
            announced.push(announcement(item, text)?);
        }
    }
    announced.drain(..announced.len().saturating_sub(ANNOUNCED_MAX));
    let mut traces = Vec::new();
    for attribute in ["taken_traces", "traces"] {
        traces.extend(row::list(item, attribute)?.into_iter().map(str::to_owned));
    }
    traces.drain(..traces.len().saturating_sub(TRACES_MAX));
    Ok(DueRow {
        traces,
        key: row::body(item)?,
        generation: row::optional_number(item, "generation")?.unwrap_or(0),
        since: row::optional_time(item, "since")?.unwrap_or(next_attempt),
        next_attempt,
        attempts: row::optional_number(item, "attempts")?.unwrap_or(0),
        lane,
        announced,
        plain_hints: both("plain", "taken_plain")?,
        force: both("forced", "taken_forced")? > 0,
        reason: row::optional(item, "reason")?
            .map(|code| reason(item, code))
            .transpose()?,
        detail: row::optional(item, "detail")?.map(str::to_owned),
        quiet: matches!(item.get("quiet"), Some(AttributeValue::Bool(true))),
        owner: row::optional(item, "owner")?.map(str::to_owned),
        lease_until: row::optional_time(item, "lease_until")?,
    })
}

fn announcement(item: &Item, text: &str) -> Result<Announcement, StoreError> {
    serde_json::from_str(text).map_err(|_| row::corrupt(item, "announced", "holds what is no announcement"))
}

fn reason(item: &Item, code: &str) -> Result<Reason, StoreError> {
    serde_json::from_value(serde_json::Value::String(code.to_owned()))
        .map_err(|_| row::corrupt(item, "reason", "is no reason code"))
}

/// Writes announcements as a list.
pub(super) fn announcements(key: &Key, announced: &[Announcement]) -> Result<AttributeValue, StoreError> {
    let newest = &announced[announced.len().saturating_sub(ANNOUNCED_MAX)..];
    let written: Vec<String> = newest
        .iter()
        .map(|one| row::json(key, one))
        .collect::<Result<_, _>>()?;
    Ok(texts(written))
}

/// Writes a due row's key.
pub(super) fn due_body(key: &DueKey) -> Result<(&'static str, AttributeValue), StoreError> {
    Ok((BODY, text(row::json(&Key::due(key), key)?)))
}

/// Adds a duration; the end of time when that is too far.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use tandem_core::{IssueId, LinkKey};
    use tandem_engine::ports::Store;
    use tandem_engine::ports::store::Hint;

    use super::*;
    use crate::Embedded;
    use crate::dynamodb::schema::TABLE;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn key() -> DueKey {
        DueKey::Link(LinkKey {
            connection: "c".into(),
            a: IssueId(1),
            b: IssueId(2),
        })
    }

    async fn hint(store: &DynamoStore, second: i64) {
        let hint = Hint {
            key: key(),
            lane: Lane::Live,
            ready_at: at(second),
            announced: Vec::new(),
            force: false,
            trace: None,
        };
        store.hint(&[hint], &[], at(second)).await.unwrap();
    }

    async fn wakes(store: &DynamoStore) -> bool {
        store
            .get(&Key::due(&key()))
            .await
            .unwrap()
            .unwrap()
            .contains_key(TABLE.wake)
    }

    // The stream's filter looks at the row as each of these leaves it.
    #[tokio::test]
    async fn hints_wake_the_worker_and_its_own_updates_do_not() {
        let store = Embedded::open(None).await.unwrap().store();
        let lease = Duration::from_secs(60);
        let again = |second| Finish::Again {
            at: at(second),
            attempts: 1,
            reason: None,
            detail: None,
            quiet: false,
            announced: Vec::new(),
        };
        hint(&store, 0).await;
        assert!(wakes(&store).await);
        let taken = store.take(&key(), "me", at(1), lease).await.unwrap().unwrap();
        assert!(!wakes(&store).await);
        assert!(store.renew(&key(), "me", at(2), lease).await.unwrap());
        assert!(!wakes(&store).await);
        store.finish(&taken, "me", &again(30), at(3)).await.unwrap();
        assert!(!wakes(&store).await);
        for finish in [again(90), Finish::Done] {
            let taken = store.take(&key(), "me", at(30), lease).await.unwrap().unwrap();
            hint(&store, 31).await;
            store.finish(&taken, "me", &finish, at(32)).await.unwrap();
            assert!(
                wakes(&store).await,
                "the newer hint could not be followed until now"
            );
        }
    }
}
