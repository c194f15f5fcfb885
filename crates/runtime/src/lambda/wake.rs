//! What the worker does: look at the due rows that the stream told of.
//!
//! The stream only wakes. Whatever its records say is old by now, so the row is read again; and whatever is
//! not done here stays due for the minute schedule.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use tandem_engine::ports::StoreError;
// What a stream record is read with.
pub use tandem_aws::dynamodb::keys::due_key;
pub use tandem_aws::dynamodb::schema::TABLE;
pub use tandem_engine::ports::store::DueKey;
use tandem_engine::{Engine, EngineError};
use tracing::{debug, error, warn};

use super::{ANSWER, budget, leave_at, sleep_until};

/// How much longer than the settling of a burst a row may be waited for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(1);

/// Looks per row. One that wants more than this is the schedule's.
const LOOKS_MAX: usize = 20;

/// Looks at due rows, several at once, and begins none that could not end before the deadline. Returns the keys for
/// which the table failed; what else went wrong is in the rows.
pub async fn wake(
    engine: &Engine,
    keys: BTreeSet<DueKey>,
    deadline: Timestamp,
) -> BTreeMap<DueKey, StoreError> {
    let mut failed = BTreeMap::new();
    let leave_at = leave_at(engine.clock.now(), deadline, budget(engine));
    let looks = futures::stream::iter(keys)
        .map(|key| async move {
            let looked = look(engine, &key, leave_at).await;
            (key, looked)
        })
        .buffer_unordered(engine.options.concurrency.max(1));
    let mut looks = std::pin::pin!(looks);
    let mut stop = std::pin::pin!(sleep_until(&*engine.clock, deadline - ANSWER));
    loop {
        match select(looks.next(), stop.as_mut()).await {
            Either::Left((None, _)) => return failed,
            Either::Left((Some((_, Ok(()))), _)) => {}
            Either::Left((Some((key, Err(problem))), _)) => {
                error!(due.key = %key, "The table failed while {key} was looked at: {problem}");
                match problem {
                    // Another attempt would find the same row, and hold up the stream.
                    EngineError::Store(StoreError::Corrupt(_) | StoreError::TooLarge(_)) => {}
                    EngineError::Store(problem) => drop(failed.insert(key, problem)),
                    // Everything else ends up in the row.
                    _ => {}
                }
            }
            Either::Right(((), _)) => {
                // As if the process had died, only without Lambda's cold start after it: leases run out, and
                // what was begun is taken up by whoever comes next.
                warn!("Gave up what was under way: the deadline has come");
                return failed;
            }
        }
    }
}

/// Looks at a row as long as that is worth staying for: bursts that settle, a full bucket, a run that made room.
async fn look(engine: &Engine, key: &DueKey, leave_at: Timestamp) -> Result<(), EngineError> {
    let patience = SignedDuration::try_from(engine.options.settle)
        .unwrap_or(SignedDuration::ZERO)
        .saturating_add(PATIENCE);
    for _ in 0..LOOKS_MAX {
        let Some(row) = engine.store.due_row(key).await? else {
            return Ok(());
        };
        let now = engine.clock.now();
        if row.lease_until.is_some_and(|until| until > now) {
            // Whoever has it gives it back with what came meanwhile.
            return Ok(());
        }
        let at = row.next_attempt.max(now);
        if at >= leave_at || at.duration_since(now) > patience {
            debug!(due.key = %key, "Left {key} to the schedule: it is due at {at}");
            return Ok(());
        }
        sleep_until(&*engine.clock, at).await;
        engine.look(key).await?;
    }
    Ok(())
}
