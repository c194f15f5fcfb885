//! First syncs of worklogs dated before a connection's own beginning.
//!
//! A backfill is a run like any other, of a link with an earlier first day, in the least urgent lane. What a person
//! asked for is noted per link, so that whoever takes the link's row knows it, and so that it goes on after a kill:
//! the note says what was asked and whether it was done, the pairs say how far it got.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select, try_join_all};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tandem_core::copies::{Foreseen, ForeseenTwins, Tolerance};
use tandem_core::observed::{Backfill, Observed};
use tandem_core::{AccountId, LinkKey, Reason, Side, Sides, WorklogId};

use crate::error::EngineError;
use crate::execute::Run;
use crate::options::Engine;
use crate::ports::store::{DueKey, DueRow, Lane};

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

    /// Returns what it means for a run, with what a person was told of a link before.
    pub fn backfill(&self, foreseen: Foreseen) -> Backfill {
        Backfill {
            from: self.since,
            until: self.until,
            adopt: self.adopt,
            heal: self.heal,
            tolerance: Tolerance {
                accounts: self.accounts.clone(),
                apart: self.apart.iter().copied().collect(),
            },
            foreseen,
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
    /// The documents beside it that say what went together when a person was told: those of each command that was given
    /// until it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    foreseen: Vec<Documents>,
}

/// Documents beside a note. Each command adds its own, so that none is written over while a note counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Documents {
    /// When they were written, in milliseconds: part of their names.
    of: i64,
    /// How many.
    count: usize,
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

/// Splits what a person was told into documents that a row has room for.
fn parts(foreseen: &Foreseen) -> Result<Vec<Foreseen>, EngineError> {
    fn room_for(parts: &mut Vec<(Foreseen, usize)>, size: usize) -> &mut Foreseen {
        let is_full = parts.last().is_none_or(|(_, used)| used + size > DOCUMENT_MAX);
        if is_full {
            parts.push((Foreseen::default(), 0));
        }
        let last = parts.len() - 1;
        parts[last].1 += size;
        &mut parts[last].0
    }
    let mut parts = Vec::new();
    for twins in &foreseen.twins {
        let size = json(twins)?.len();
        room_for(&mut parts, size).twins.push(twins.clone());
    }
    for group in &foreseen.ambiguous {
        let size = json(group)?.len();
        room_for(&mut parts, size).ambiguous.push(group.clone());
    }
    Ok(parts.into_iter().map(|(part, _)| part).collect())
}

fn json(document: &impl Serialize) -> Result<String, EngineError> {
    serde_json::to_string(document).map_err(|error| EngineError::Unknown(error.to_string()))
}

/// Returns what a person is told now beside what was told when a backfill was ordered that is not done: what went together
/// first went together before anybody changed it.
fn news(told: &Foreseen, now: &Foreseen) -> Foreseen {
    let known = Sides::from_fn(|side: Side| {
        let twins = told.twins.iter().map(|twins| twins.ids[side]);
        let groups = told
            .ambiguous
            .iter()
            .flat_map(|group| group[side].iter().copied());
        twins.chain(groups).collect::<BTreeSet<WorklogId>>()
    });
    let is_new = |twins: &&ForeseenTwins| !known.a.contains(&twins.ids.a) && !known.b.contains(&twins.ids.b);
    let groups = now.ambiguous.iter();
    Foreseen {
        twins: now.twins.iter().filter(is_new).cloned().collect(),
        ambiguous: groups
            .filter(|group| !told.ambiguous.contains(group))
            .cloned()
            .collect(),
    }
}

/// Failures in a row after which a link is left to later passes.
const ATTEMPTS_MAX: u32 = 6;

/// Characters of one document, about: a row of the table has room for 400 KB.
const DOCUMENT_MAX: usize = 300_000;

fn name(link: &LinkKey) -> String {
    format!("backfill#{link}")
}

impl Documents {
    fn names(self, link: &LinkKey) -> impl Iterator<Item = String> {
        (0..self.count).map(move |number| format!("foreseen#{link}#{}#{number}", self.of))
    }
}

impl Engine {
    /// Returns what a run of a link begins besides what every run does.
    pub(crate) async fn backfill_of(&self, link: &LinkKey) -> Result<Option<Backfill>, EngineError> {
        let Some(note) = self.note_of(link).await?.filter(|note| note.done.is_none()) else {
            return Ok(None);
        };
        let foreseen = self.foreseen_of(link, &note).await?;
        Ok(Some(note.order.backfill(foreseen)))
    }

    /// What a person was told of a link when a backfill was ordered that is not done yet, by what still goes: who says now
    /// that another tool's account is another one, takes back what rested on it.
    pub(crate) async fn foreseen(&self, link: &LinkKey, order: &Order) -> Result<Foreseen, EngineError> {
        Ok(self.in_force(link, order).await?.0)
    }

    /// The same, with the documents that say it.
    async fn in_force(
        &self,
        link: &LinkKey,
        order: &Order,
    ) -> Result<(Foreseen, Vec<Documents>), EngineError> {
        let note = self.note_of(link).await?;
        // One that takes nothing over names no account.
        let is_in_force = |told: &Order| !order.adopt || told.accounts == order.accounts;
        let Some(note) = note.filter(|note| note.done.is_none() && is_in_force(&note.order)) else {
            return Ok(Default::default());
        };
        match self.foreseen_of(link, &note).await {
            Ok(foreseen) => Ok((foreseen, note.foreseen)),
            // What cannot be read is written anew by this command.
            Err(EngineError::Unknown(_)) => Ok(Default::default()),
            Err(error) => Err(error),
        }
    }

    async fn foreseen_of(&self, link: &LinkKey, note: &Note) -> Result<Foreseen, EngineError> {
        let mut all = Foreseen::default();
        for name in note.foreseen.iter().flat_map(|told| told.names(link)) {
            let text = self.store.note(&name).await?;
            let told = text.map(|text| serde_json::from_str::<Foreseen>(&text));
            let told = told.transpose().map_err(|error| {
                EngineError::Unknown(format!(
                    "what was noted of the backfill of {link} cannot be read ({error}); give the same `tandem backfill` again"
                ))
            })?;
            let told = told.unwrap_or_default();
            all.twins.extend(told.twins);
            all.ambiguous.extend(told.ambiguous);
        }
        Ok(all)
    }

    /// Notes what a person was told, and returns in which documents, if it is anything.
    async fn put_foreseen_of(
        &self,
        link: &LinkKey,
        foreseen: &Foreseen,
    ) -> Result<Option<Documents>, EngineError> {
        let parts = parts(foreseen)?;
        let told = Documents {
            of: self.clock.now().as_millisecond(),
            count: parts.len(),
        };
        for (name, part) in told.names(link).zip(&parts) {
            self.store.put_note(&name, &json(part)?).await?;
        }
        Ok((told.count > 0).then_some(told))
    }

    /// Empties documents that no note counts any more.
    async fn drop_foreseen_of(&self, link: &LinkKey, told: Vec<Documents>) -> Result<(), EngineError> {
        for name in told.iter().flat_map(|told| told.names(link)) {
            self.store.put_note(&name, "{}").await?;
        }
        Ok(())
    }

    async fn note_of(&self, link: &LinkKey) -> Result<Option<Note>, EngineError> {
        let text = self.store.note(&name(link)).await?;
        // One that cannot be read is written anew by the next command.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn put_note_of(&self, link: &LinkKey, note: &Note) -> Result<(), EngineError> {
        Ok(self.store.put_note(&name(link), &json(note)?).await?)
    }

    /// Notes how far a run got. To be called when it has nothing more to write.
    pub(crate) async fn note_backfill(&self, run: &Run<'_>, observed: &Observed) -> Result<(), EngineError> {
        let Some(mut note) = self.note_of(run.link).await? else {
            return Ok(());
        };
        // Another order may have come meanwhile: this run was not for it.
        let foreseen = self.foreseen_of(run.link, &note).await?;
        if observed.backfill.as_ref() != Some(&note.order.backfill(foreseen)) {
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
            });
        note.done = (!open).then(|| self.clock.now());
        // Nothing is left to begin then.
        let told = match note.done {
            Some(_) => std::mem::take(&mut note.foreseen),
            None => Vec::new(),
        };
        self.put_note_of(run.link, &note).await?;
        self.drop_foreseen_of(run.link, told).await
    }

    /// Has links backfilled, when nothing more urgent is to be done: those on which there is something to do, and of
    /// the others those that an earlier command with the same order left unfinished. Returns which.
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
                let unfinished = note.filter(|note| note.order == *order && note.done.is_none());
                if !one.is_open() && unfinished.is_none() {
                    continue;
                }
                let fresh = Note {
                    order: order.clone(),
                    written: 0,
                    done: None,
                    foreseen: Vec::new(),
                };
                let mut note = unfinished.unwrap_or(fresh);
                note.foreseen.clear();
                if order.adopt {
                    let (told, documents) = self.in_force(&one.link, order).await?;
                    note.foreseen = documents;
                    // Before the note that counts them. A run that reads the earlier note meanwhile finds what that one counts.
                    let added = self
                        .put_foreseen_of(&one.link, &news(&told, &one.foreseen))
                        .await?;
                    note.foreseen.extend(added);
                }
                some.push((one.link.clone(), note));
            }
            try_join_all(some.iter().map(|(link, note)| self.put_note_of(link, note))).await?;
            ordered.extend(some.into_iter().map(|(link, _)| link));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::field::Field;
    use tandem_core::rules::{AttributeRule, Rules};
    use tandem_core::{Content, IssueId, Worklog};

    fn twins(id: u64) -> ForeseenTwins {
        twins_seen(id, Timestamp::UNIX_EPOCH)
    }

    fn twins_seen(id: u64, at: Timestamp) -> ForeseenTwins {
        twins_with(id, at, "ACME-SUPPORT")
    }

    fn twins_with(id: u64, at: Timestamp, value: &str) -> ForeseenTwins {
        let said = |id: u64, start: &str, billable| Worklog {
            id: WorklogId(id),
            issue: IssueId(1),
            content: Content {
                author: "ann".into(),
                start_date: Date::constant(2026, 1, 1),
                start_time: start.parse().ok(),
                time_spent_secs: 3600,
                billable_secs: Some(billable),
                description: String::new(),
                attributes: [("_Account_".to_owned(), value.to_owned())].into(),
            },
            created_at: at,
            updated_at: at,
        };
        let (a, b) = (said(id, "09:30:00", 1800), said(1_000_000 + id, "12:00:00", 3600));
        let lost = [Field::StartTime, Field::Billable, Field::Attribute(0)];
        let rules = Rules {
            attributes: vec![AttributeRule {
                keys: Sides::new("_Account_".into(), "_Account_".into()),
                values: Vec::new(),
            }],
            ..Rules::default()
        };
        ForeseenTwins::new(&Sides::new(&a, &b), &lost, &rules)
    }

    #[test]
    fn what_went_together_fits_in_rows_however_much_it_is() {
        let mut all = Foreseen {
            twins: (500_000_000..500_002_500).map(twins).collect(),
            ..Foreseen::default()
        };
        for group in 0..2000_u64 {
            let ids = |side: u64| (0..3).map(|n| WorklogId(side + group * 3 + n)).collect();
            all.ambiguous.push(Sides::new(ids(2_000_000), ids(3_000_000)));
        }
        // A value of an attribute may be long.
        for id in 0..40 {
            all.twins
                .push(twins_with(id, Timestamp::UNIX_EPOCH, &"x".repeat(20_000)));
        }
        let parts = parts(&all).unwrap();
        let sizes = parts
            .iter()
            .map(|part| serde_json::to_string(part).unwrap().len());
        assert!(sizes.max() < Some(380_000));
        let mut again = Foreseen::default();
        for part in parts {
            again.twins.extend(part.twins);
            again.ambiguous.extend(part.ambiguous);
        }
        assert_eq!(again, all);
    }

    #[test]
    fn what_went_together_first_stays_as_it_was_told_first() {
        let told = Foreseen {
            twins: vec![twins(1)],
            ambiguous: vec![Sides::new(vec![WorklogId(7)], vec![WorklogId(8), WorklogId(9)])],
        };
        let later = twins_seen;
        let seen = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5);
        let mut of_a_group = later(3, seen);
        of_a_group.ids.a = WorklogId(7);
        let now = Foreseen {
            twins: vec![later(1, seen), later(2, seen), of_a_group],
            ambiguous: told.ambiguous.clone(),
        };
        let news = news(&told, &now);
        assert_eq!(news.twins, [later(2, seen)]);
        assert_eq!(news.ambiguous, []);
    }
}
