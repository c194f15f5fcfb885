//! Telling people that something needs them: what waits, paused sites, drift, tokens that run out.
//!
//! Grouped, and each thing once: the table keeps a note of what was told. The note is written after the message has
//! gone out, so that a process that dies in between tells twice rather than never. Nothing here fails a pass.

mod send;
mod what;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_atlassian::Transport;
use tandem_aws::Topic;
use tandem_engine::Engine;
use tandem_engine::ports::StoreError;
use tracing::{info, warn};

use crate::wiring::Tandem;

pub use send::{Way, ways};
pub use what::Alert;

/// The note in which the table keeps what was told.
const NOTE: &str = "alerts";

/// Things that are remembered as told, at most.
const TOLD_MAX: usize = 500;

/// The longest message, in bytes: less than an unread pipe takes, and than chats cut off.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What came of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Things that people were told of.
    pub told: usize,
    /// Ways to tell people that failed.
    pub failed: usize,
}

/// What the table remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// How many of each thing there were when it was told.
    #[serde(default)]
    told: BTreeMap<String, usize>,
    /// Up to when the history was looked at for drift.
    #[serde(default)]
    seen: Option<Timestamp>,
}

/// Tells people what is new among what needs them, if the configuration says how. Meant for the end of a pass.
pub async fn tell(tandem: &Tandem, transport: &dyn Transport) -> Told {
    if !tandem.config.alerts.is_set() {
        return Told::default();
    }
    tell_by(tandem, async |_, text| {
        send::everywhere(tandem, transport, text).await
    })
    .await
}

/// Tells whoever listens to a topic of SNS, in the same way. What the configuration says of alerts is for where
/// everything runs in one process.
pub async fn publish(tandem: &Tandem, transport: &dyn Transport, topic: &Topic) -> Told {
    tell_by(tandem, async |subject, text| {
        send::to_topic(tandem, transport, topic, subject, text).await
    })
    .await
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    /// Ways that there are.
    ways: usize,
    /// Those that failed.
    failed: usize,
}

async fn tell_by(tandem: &Tandem, send: impl AsyncFnOnce(&str, &str) -> Sent) -> Told {
    match look_and_tell(tandem, send).await {
        Ok(told) => told,
        Err(error) => {
            warn!("Could not see what to tell people: {error}");
            Told { told: 0, failed: 1 }
        }
    }
}

async fn look_and_tell(
    tandem: &Tandem,
    send: impl AsyncFnOnce(&str, &str) -> Sent,
) -> Result<Told, tandem_engine::EngineError> {
    let engine = &tandem.engine;
    let now = engine.clock.now();
    let before = read(engine).await?;
    let alerts = what::gather(tandem, before.seen, now).await?;
    let (news, after) = choose(&before, alerts, now);
    if news.is_empty() {
        if after != before {
            write(engine, &after).await?;
        }
        return Ok(Told::default());
    }
    let text = message(&news);
    let Sent { ways, failed } = send(&title(&news), &text).await;
    if failed == ways {
        // Nobody has heard: the next look tries again.
        return Ok(Told { told: 0, failed });
    }
    write(engine, &after).await?;
    info!("Told people of {} things", news.len());
    Ok(Told {
        told: news.len(),
        failed,
    })
}

async fn read(engine: &Engine) -> Result<Memory, StoreError> {
    let text = engine.store.note(NOTE).await?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

async fn write(engine: &Engine, memory: &Memory) -> Result<(), StoreError> {
    match serde_json::to_string(memory) {
        Ok(text) => engine.store.put_note(NOTE, &text).await,
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    }
}

/// Picks what is worth telling: what was not there before, or has doubled since it was told. What is over is
/// forgotten, so that it is news when it comes again.
fn choose(before: &Memory, alerts: Vec<Alert>, now: Timestamp) -> (Vec<Alert>, Memory) {
    let mut after = Memory {
        told: BTreeMap::new(),
        seen: Some(now),
    };
    let mut news = Vec::new();
    for alert in alerts.into_iter().take(TOLD_MAX) {
        let told = before.told.get(&alert.key).copied();
        let is_new = told.is_none_or(|told| alert.count >= told.saturating_mul(2).max(told + 1));
        if !alert.once {
            let count = if is_new {
                alert.count
            } else {
                told.unwrap_or(alert.count)
            };
            after.told.insert(alert.key.clone(), count);
        }
        if is_new {
            news.push(alert);
        }
    }
    (news, after)
}

fn title(news: &[Alert]) -> String {
    match news.len() {
        1 => "Tandem: something needs a person".to_owned(),
        number => format!("Tandem: {number} things need a person"),
    }
}

/// One message for all: a line on each thing, and what to do.
fn message(news: &[Alert]) -> String {
    let mut text = title(news);
    for alert in news {
        let line = format!("\n• {} → {}", alert.what, alert.advice);
        if text.len() + line.len() > MESSAGE_BYTES_MAX {
            text.push_str("\n• and more: `tandem queue`, `tandem status`");
            break;
        }
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(key: &str, count: usize) -> Alert {
        Alert {
            key: key.into(),
            count,
            what: format!("{count} of {key}"),
            advice: "act".into(),
            once: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_thing_is_told_once_again_when_it_doubles_and_anew_when_it_comes_back() {
        let mut memory = Memory::default();
        let mut look = |counts: &[(&str, usize)]| {
            let alerts = counts.iter().map(|(key, count)| alert(key, *count)).collect();
            let (news, after) = choose(&memory, alerts, at(1));
            memory = after;
            news.into_iter().map(|one| one.what).collect::<Vec<_>>()
        };
        assert_eq!(look(&[("x", 3)]), ["3 of x"]);
        assert!(look(&[("x", 3)]).is_empty());
        assert!(look(&[("x", 5)]).is_empty());
        assert_eq!(look(&[("x", 6), ("y", 1)]), ["6 of x", "1 of y"]);
        assert!(look(&[("y", 1)]).is_empty());
        assert_eq!(look(&[("x", 1), ("y", 1)]), ["1 of x"]);
        assert_eq!(look(&[("x", 2), ("y", 1)]), ["2 of x"]);
    }

    #[test]
    fn what_happened_is_not_remembered_as_a_state() {
        let drift = Alert {
            once: true,
            ..alert("drift", 2)
        };
        let (news, after) = choose(&Memory::default(), vec![drift.clone()], at(5));
        assert_eq!(news, [drift]);
        assert_eq!((after.told.len(), after.seen), (0, Some(at(5))));
    }

    #[test]
    fn a_message_has_a_line_for_each_thing_with_what_to_do() {
        let text = message(&[alert("x", 1), alert("y", 2)]);
        assert_eq!(
            text,
            "Tandem: 2 things need a person\n• 1 of x → act\n• 2 of y → act"
        );
    }
}
