//! Storing hints: one update per due row, all of a webhook in one request.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::{SignedDuration, Timestamp};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{Announcement, DueKey, Hint, Lane, Op};

use super::DynamoStore;
use super::commit::writes;
use super::due::{ANNOUNCED_MAX, announcements, due_body, due_row};
use super::failure::is_too_large;
use super::keys::{self, Key};
use super::patience::Patience;
use super::row::{self, Item, number, text, texts, time};
use super::write::{Sent, Transacted, WRITES_MAX, Write};

/// How many rows one transaction takes at most: a little less than DynamoDB allows.
const WRITES_AT_ONCE: usize = 90;

/// How far a hint may move a row's time back once. An update can't take the smaller of two times, so the exact
/// way costs a second request; hints that come almost together are not worth it.
const SLACK_SECS: i64 = 2;

/// How many bytes of announcements a row keeps when it has grown too large.
const ANNOUNCED_BYTES_MAX: usize = 200 * 1024;

/// All hints of a call at one row.
#[derive(Clone, Debug)]
struct Touch {
    key: DueKey,
    lane: Lane,
    ready_at: Timestamp,
    announced: Vec<Announcement>,
    hints: u64,
    plain: u64,
    force: bool,
    traces: Vec<String>,
    /// Where the row's time goes, once it's known that the usual way would be wrong.
    exact: Option<Exact>,
}

/// What was seen of a row, and the time that it must get.
#[derive(Clone, Debug)]
struct Exact {
    seen: Seen,
    at: Timestamp,
}

#[derive(Clone, Debug)]
enum Seen {
    Hint(Timestamp),
    NextAttempt(Timestamp),
    Nothing,
}

impl DynamoStore {
    pub(super) async fn hint_all(
        &self,
        hints: &[Hint],
        extra: &[Op],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut touches: BTreeMap<&DueKey, Touch> = BTreeMap::new();
        for hint in hints {
            touches
                .entry(&hint.key)
                .or_insert_with(|| Touch::nothing(hint))
                .add(hint);
        }
        let mut touches: Vec<Touch> = touches.into_values().collect();
        let mut extra = writes(extra)?;
        // What came with the hints first: a run that a hint wakes should find it.
        while extra.len() + touches.len() > WRITES_AT_ONCE && !extra.is_empty() {
            let some = extra.split_off(extra.len().saturating_sub(WRITES_AT_ONCE));
            self.store(some, Vec::new(), now).await?;
        }
        let mut extra = Some(extra);
        if touches.is_empty() {
            return self.store(extra.take().unwrap_or_default(), touches, now).await;
        }
        while !touches.is_empty() {
            let extra = extra.take().unwrap_or_default();
            let room = WRITES_AT_ONCE - extra.len();
            let rest = touches.split_off(room.min(touches.len()));
            self.store(extra, touches, now).await?;
            touches = rest;
        }
        Ok(())
    }

    /// Stores a handful in one request. Never fails for a condition: a hint finds another way, and what came
    /// with it and no longer fits is left out.
    async fn store(
        &self,
        mut extra: Vec<Write>,
        mut touches: Vec<Touch>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        debug_assert!(extra.len() + touches.len() <= WRITES_MAX);
        let mut patience = Patience::new();
        loop {
            let mut all = extra.clone();
            for touch in &touches {
                all.push(touch.write(now)?);
            }
            let sent = match all.len() {
                0 => return Ok(()),
                1 => match self.send("store a hint", all.remove(0), ReturnValue::None).await {
                    Ok(Sent::Done(_)) => Ok(Transacted::Done),
                    Ok(Sent::Refused(item)) => Ok(Transacted::Refused(vec![Some(item)])),
                    Err(error) => Err(error),
                },
                _ => self.transact(all).await,
            };
            let refused = match sent {
                Ok(Transacted::Done) => return Ok(()),
                Ok(Transacted::Refused(refused)) => refused,
                Err(error) if is_too_large(&error) && !touches.is_empty() => {
                    for touch in &mut touches {
                        self.trim(touch).await?;
                    }
                    patience.spend("a due row stays too large for another hint")?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (of_extra, of_touches) = refused.split_at(extra.len().min(refused.len()));
            for (touch, refused) in touches.iter_mut().zip(of_touches) {
                if let Some(item) = refused {
                    touch.exact = Some(Exact::new(touch.ready_at, item.as_ref())?);
                }
            }
            let mut keep = of_extra.iter().map(Option::is_none);
            extra.retain(|_| keep.next().unwrap_or(true));
            patience.spend("a due row kept changing under a hint")?;
        }
    }

    /// Makes room in a due row that has grown too large: fewer of its announcements, the newest.
    async fn trim(&self, touch: &mut Touch) -> Result<(), StoreError> {
        let key = Key::due(&touch.key);
        touch.shorten();
        let Some(item) = self.get(&key).await? else {
            return Ok(());
        };
        let row = due_row(&item)?;
        let mut kept: Vec<String> = Vec::new();
        let mut bytes = 0;
        for announced in row.announced.iter().rev().take(ANNOUNCED_MAX) {
            let text = row::json(&key, announced)?;
            bytes += text.len();
            if bytes > ANNOUNCED_BYTES_MAX {
                break;
            }
            kept.push(text);
        }
        kept.reverse();
        // Into the taken part: a run under way has read it all already, and the next one takes both.
        let write = Write::update(key)
            .when("#generation = :generation")
            .set("#taken_announced = :kept")
            .remove(&["#announced", "#traces"])
            .value(":generation", number(row.generation))
            .value(":kept", texts(kept));
        self.send("shorten a due row", write, ReturnValue::None).await?;
        Ok(())
    }
}

impl Touch {
    fn nothing(hint: &Hint) -> Self {
        Self {
            key: hint.key.clone(),
            lane: hint.lane,
            ready_at: hint.ready_at,
            announced: Vec::new(),
            hints: 0,
            plain: 0,
            force: false,
            traces: Vec::new(),
            exact: None,
        }
    }

    fn add(&mut self, hint: &Hint) {
        self.lane = self.lane.min(hint.lane);
        self.ready_at = self.ready_at.min(hint.ready_at);
        self.announced.extend(hint.announced.iter().cloned());
        self.hints += 1;
        self.plain += u64::from(hint.announced.is_empty());
        self.force |= hint.force;
        self.traces.extend(hint.trace.clone());
    }

    /// Keeps fewer announcements, the newest.
    fn shorten(&mut self) {
        let mut bytes = 0;
        let mut kept = 0;
        for announced in self.announced.iter().rev() {
            bytes += serde_json::to_string(announced).map_or(0, |text| text.len());
            if bytes > ANNOUNCED_BYTES_MAX / 2 {
                break;
            }
            kept += 1;
        }
        self.announced.drain(..self.announced.len() - kept);
    }

    fn write(&self, now: Timestamp) -> Result<Write, StoreError> {
        let key = Key::due(&self.key);
        let (body, due_key) = due_body(&self.key)?;
        let count = match self.lane {
            Lane::Live => "lane0",
            Lane::Sweep => "lane1",
            Lane::Backfill => "lane2",
        };
        let mut write = Write::update(key.clone())
            .set(format!("#{body} = :key"))
            .set("#generation = if_not_exists(#generation, :zero) + :hints")
            .set("#since = if_not_exists(#since, :now)")
            .set("#hint_since = if_not_exists(#hint_since, :now)")
            .set(format!("#{count} = if_not_exists(#{count}, :zero) + :hints"))
            .remove(&["#quiet"])
            .value(":key", due_key)
            .value(":zero", number(0))
            .value(":hints", number(self.hints))
            .value(":now", time(now))
            .value(":lane", text(keys::due_lane(self.lane)));
        // Live work goes to the front; the rest doesn't push back what is there.
        write = match self.lane {
            Lane::Live => write.set("#gpk = :lane"),
            Lane::Sweep | Lane::Backfill => write.set("#gpk = if_not_exists(#gpk, :lane)"),
        };
        if !self.announced.is_empty() {
            write = write
                .set("#announced = list_append(if_not_exists(#announced, :none), :announced)")
                .value(":none", AttributeValue::L(Vec::new()))
                .value(":announced", announcements(&key, &self.announced)?);
        }
        if self.plain > 0 {
            write = write
                .set("#plain = if_not_exists(#plain, :zero) + :plain")
                .value(":plain", number(self.plain));
        }
        if !self.traces.is_empty() {
            write = write
                .set("#traces = list_append(if_not_exists(#traces, :none), :traces)")
                .value(":none", AttributeValue::L(Vec::new()))
                .value(":traces", texts(self.traces.clone()));
        }
        if self.force {
            write = write.set("#forced = if_not_exists(#forced, :zero) + :hints");
        }
        Ok(self.timed(write, now))
    }

    /// Moves the row's time to the hint's, unless it has an earlier one.
    fn timed(&self, write: Write, now: Timestamp) -> Write {
        let slack = SignedDuration::from_secs(SLACK_SECS);
        let Some(exact) = &self.exact else {
            // The operands are the values before the update: the first hint sets the time, and the others of a
            // burst can't push it back.
            let write = write
                .set("#gsk = if_not_exists(#hint_at, :ready), #hint_at = if_not_exists(#hint_at, :ready)")
                .value(":ready", time(self.ready_at))
                .value(
                    ":soon",
                    time(self.ready_at.saturating_add(slack).unwrap_or(self.ready_at)),
                );
            return match self.ready_at.duration_since(now) <= slack {
                true => write.when("attribute_not_exists(#hint_at) OR #hint_at <= :soon"),
                // A hint for later must not push back a row that is due earlier. One that is being worked on
                // gets its time when that ends.
                false => write.when(
                    "(attribute_exists(#hint_at) AND #hint_at <= :soon) OR (attribute_not_exists(#hint_at) AND \
                     (attribute_not_exists(#gsk) OR #gsk > :ready OR attribute_exists(#owner)))",
                ),
            };
        };
        let write = write
            .set("#gsk = :at, #hint_at = :at")
            .value(":at", time(exact.at));
        match exact.seen {
            Seen::Hint(seen) => write.when("#hint_at = :seen").value(":seen", time(seen)),
            Seen::NextAttempt(seen) => write
                .when("attribute_not_exists(#hint_at) AND #gsk = :seen")
                .value(":seen", time(seen)),
            Seen::Nothing => write.when("attribute_not_exists(#pk)"),
        }
    }
}

impl Exact {
    fn new(ready_at: Timestamp, item: Option<&Item>) -> Result<Self, StoreError> {
        let Some(item) = item else {
            return Ok(Self {
                seen: Seen::Nothing,
                at: ready_at,
            });
        };
        if let Some(hint_at) = row::optional_time(item, "hint_at")? {
            return Ok(Self {
                seen: Seen::Hint(hint_at),
                at: ready_at.min(hint_at),
            });
        }
        let next_attempt = row::required_time(item, "gsk")?;
        Ok(Self {
            seen: Seen::NextAttempt(next_attempt),
            at: ready_at.min(next_attempt),
        })
    }
}
