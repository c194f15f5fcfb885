//! First syncs of worklogs dated before a connection's own beginning.
//!
//! A backfill is a run like any other, of a link with an earlier first day, in the least urgent lane. What a person
//! asked for is noted per link, so that whoever takes the link's row knows it, and so that it goes on after a kill:
//! the note says what was asked and whether it was done, the pairs say how far it got.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select, try_join_all};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tandem_core::copies::Tolerance;
use tandem_core::observed::{Backfill, Observed};
use tandem_core::{AccountId, LinkKey, Reason, Sides, WorklogId};

use crate::error::EngineError;
use crate::execute::Run;
use crate::options::Engine;
use crate::ports::store::{DueKey, DueRow, Lane};

mod begin;
pub(crate) mod estimate;

pub use estimate::{Counted, Estimate, LinkEstimate, Twins};

/// Notes that are read or written at once.
const AT_ONCE: usize = 16;

/// What a person asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The first day.
    pub since: Date,
    /// The last day; `None` for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Take over what another tool copied.
    #[serde(default)]
    pub adopt: bool,
    /// Put right what its copies lost.
    #[serde(default)]
    pub heal: bool,
    /// The accounts under which the other tool logs where it does not know the author.
    #[serde(default)]
    pub accounts: Sides<Option<AccountId>>,
    /// Worklogs, A's and B's, of which a person said that they are not twins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<(WorklogId, WorklogId)>,
}

impl Order {
    /// Says whether it asks for worklogs of this day.
    pub fn is_about(&self, day: Date) -> bool {
        day >= self.since && self.until.is_none_or(|until| day <= until)
    }

    /// Returns what it means for a run.
    pub fn backfill(&self) -> Backfill {
        Backfill {
            from: self.since,
            until: self.until,
            adopt: self.adopt,
            heal: self.heal,
            tolerance: Tolerance {
                accounts: self.accounts.clone(),
                apart: self.apart.iter().copied().collect(),
            },
        }
    }
}

/// How far a link's backfill got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was asked for.
    pub order: Order,
    /// Writes to the sites so far.
    #[serde(default)]
    pub written: u64,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Timestamp>,
}

impl Note {
    fn of(order: &Order) -> Self {
        Self {
            order: order.clone(),
            written: 0,
            done: None,
        }
    }
}

/// How a link's backfill stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is done.
    Done {
        /// Writes to the sites.
        written: u64,
    },
    /// It goes on at this moment, or now.
    Due {
        /// Writes to the sites so far.
        written: u64,
        /// When.
        at: Timestamp,
        /// How often it failed in a row.
        attempts: u32,
        /// Why it waits, if it does.
        reason: Option<Reason>,
        /// What happened, if something did.
        detail: Option<String>,
    },
    /// Somebody's change came in between and used the row up: it has to be hinted at again.
    Forgotten {
        /// Writes to the sites so far.
        written: u64,
    },
}

/// What came of working at some links' backfills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// How they stand, in the same order.
    pub standing: Vec<Standing>,
    /// Writes to the sites in that time, those of other links that were due included.
    pub written: u64,
}

impl Standing {
    /// When it goes on by itself, if that is worth waiting for.
    fn goes_on_at(&self) -> Option<Timestamp> {
        match self {
            Standing::Due {
                at,
                attempts,
                reason: None,
                ..
            } if *attempts < ATTEMPTS_MAX => Some(*at),
            _ => None,
        }
    }

    /// Returns the writes to the sites so far.
    pub fn written(&self) -> u64 {
        match self {
            Standing::Done { written } | Standing::Due { written, .. } | Standing::Forgotten { written } => {
                *written
            }
        }
    }
}

/// How often those who watch are told.
const WATCH: Duration = Duration::from_secs(2);

/// Looks of one command at what is due. More is something that never comes to an end.
const PASSES_MAX: usize = 100_000;

/// How long it waits at most before it looks again.
const WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);

/// How long it sleeps before it sees whether it is to stop.
const NAP: SignedDuration = SignedDuration::from_millis(500);

/// Failures in a row after which a link is left to later passes.
const ATTEMPTS_MAX: u32 = 6;

fn name(link: &LinkKey) -> String {
    format!("backfill#{link}")
}

impl Engine {
    /// Returns what a run of a link begins besides what every run does.
    pub(crate) async fn backfill_of(&self, link: &LinkKey) -> Result<Option<Backfill>, EngineError> {
        let note = self.note_of(link).await?.filter(|note| note.done.is_none());
        Ok(note.map(|note| note.order.backfill()))
    }

    async fn note_of(&self, link: &LinkKey) -> Result<Option<Note>, EngineError> {
        let text = self.store.note(&name(link)).await?;
        // One that cannot be read is written anew by the next command.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn put_note_of(&self, link: &LinkKey, note: &Note) -> Result<(), EngineError> {
        let text = serde_json::to_string(note).map_err(|error| EngineError::Unknown(error.to_string()))?;
        Ok(self.store.put_note(&name(link), &text).await?)
    }

    /// Notes how far a run got. To be called when it has nothing more to write.
    pub(crate) async fn note_backfill(&self, run: &Run<'_>, observed: &Observed) -> Result<(), EngineError> {
        let Some(mut note) = self.note_of(run.link).await? else {
            return Ok(());
        };
        // Another order may have come meanwhile: this run was not for it.
        if observed.backfill.as_ref() != Some(&note.order.backfill()) {
            return Ok(());
        }
        note.written += run.report.written as u64;
        let open = run.report.trouble.is_some()
            || run.report.unfinished
            // What waits for somebody waits beside the backfill.
            || observed.pairs.iter().any(|pair| {
                pair.state == tandem_core::PairState::Live
                    && pair.intent.is_some()
                    && pair.wait.is_none()
            })
            // Whoever gives the same command again since was told of what this run has not seen.
            || self
                .store
                .due_row(&run.taken.key)
                .await?
                .is_none_or(|row| row.generation != run.taken.generation);
        note.done = (!open).then(|| self.clock.now());
        self.put_note_of(run.link, &note).await
    }

    /// Has links backfilled, when nothing more urgent is to be done: those on which there is something to do, and of
    /// the others those that an earlier command with the same order left unfinished. Where copies are to be taken over, that is
    /// recorded now, as it was told. Returns which.
    ///
    /// # Errors
    /// When the table fails; what was ordered so far goes on.
    pub async fn order_backfill(
        &self,
        estimated: &[LinkEstimate],
        order: &Order,
    ) -> Result<Vec<LinkKey>, EngineError> {
        let mut ordered = Vec::new();
        for links in estimated.chunks(AT_ONCE) {
            let notes = try_join_all(links.iter().map(|one| self.note_of(&one.link))).await?;
            let mut some = Vec::new();
            for (one, note) in links.iter().zip(notes) {
                let unfinished = note.filter(|note| note.done.is_none());
                let is_same = unfinished.as_ref().is_some_and(|note| note.order == *order);
                if one.is_open() || is_same {
                    some.push(one);
                }
            }
            try_join_all(some.iter().map(|one| self.begin_backfill(one, order))).await?;
            ordered.extend(some.into_iter().map(|one| one.link.clone()));
        }
        let keys = ordered.iter().cloned().map(DueKey::Link).collect();
        self.hint_all(keys, Lane::Backfill, false).await?;
        Ok(ordered)
    }

    /// Says how the backfills of some links stand, in the same order.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn backfill_standing(&self, links: &[LinkKey]) -> Result<Vec<Standing>, EngineError> {
        let mut standing = Vec::with_capacity(links.len());
        for links in links.chunks(AT_ONCE) {
            let some = links.iter().map(|link| self.standing_of(link));
            standing.extend(try_join_all(some).await?);
        }
        Ok(standing)
    }

    /// Works at what is due until the backfills of some links are done or can go on only later. Other links' changes
    /// are carried over meanwhile, and first; where there is no link, nothing is done. `tell` is told now and then how the backfills stand. Ends early after
    /// [`Engine::stop_soon`].
    ///
    /// # Errors
    /// When the table fails.
    pub async fn run_backfill(
        &self,
        links: &[LinkKey],
        tell: impl Fn(&[Standing]),
    ) -> Result<Ran, EngineError> {
        let work = pin!(self.work_at(links));
        let watch = pin!(async {
            loop {
                self.clock.sleep(WATCH).await;
                match self.backfill_standing(links).await {
                    Ok(standing) => tell(&standing),
                    Err(error) => return error,
                }
            }
        });
        let ran = match select(work, watch).await {
            Either::Left((ran, _)) => ran?,
            Either::Right((error, _)) => return Err(error),
        };
        tell(&ran.standing);
        Ok(ran)
    }

    async fn work_at(&self, links: &[LinkKey]) -> Result<Ran, EngineError> {
        let mut written = 0;
        // Whoever has nothing to bring over asked for no other link's changes either.
        if links.is_empty() {
            return Ok(Ran::default());
        }
        for _ in 0..PASSES_MAX {
            written += self.run_due(None).await?.written as u64;
            let standing = self.backfill_standing(links).await?;
            if self.is_stopping() {
                return Ok(Ran { standing, written });
            }
            let forgotten: Vec<DueKey> = links
                .iter()
                .zip(&standing)
                .filter(|(_, standing)| matches!(standing, Standing::Forgotten { .. }))
                .map(|(link, _)| DueKey::Link(link.clone()))
                .collect();
            let again = !forgotten.is_empty();
            self.hint_all(forgotten, Lane::Backfill, false).await?;
            let next = standing.iter().filter_map(Standing::goes_on_at).min();
            match next {
                _ if again => {}
                Some(at) => {
                    let now = self.clock.now();
                    let soon = now + SignedDuration::from_millis(50);
                    let until = at.clamp(soon, now + WAIT_MAX);
                    while self.clock.now() < until && !self.is_stopping() {
                        self.sleep_until(until.min(self.clock.now() + NAP)).await;
                    }
                }
                None => return Ok(Ran { standing, written }),
            }
        }
        let standing = self.backfill_standing(links).await?;
        Ok(Ran { standing, written })
    }

    async fn standing_of(&self, link: &LinkKey) -> Result<Standing, EngineError> {
        // The row first: it goes after the note says that all is done.
        let row = self.store.due_row(&DueKey::Link(link.clone())).await?;
        let note = self.note_of(link).await?;
        let written = note.as_ref().map_or(0, |note| note.written);
        Ok(match row {
            _ if note.is_none_or(|note| note.done.is_some()) => Standing::Done { written },
            Some(row) => due(row, written),
            None => Standing::Forgotten { written },
        })
    }
}

fn due(row: DueRow, written: u64) -> Standing {
    Standing::Due {
        written,
        at: row
            .lease_until
            .map_or(row.next_attempt, |until| until.max(row.next_attempt)),
        attempts: row.attempts,
        reason: row.reason,
        detail: row.detail,
    }
}
