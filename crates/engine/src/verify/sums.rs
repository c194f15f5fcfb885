//! What worklogs add up to, by what they are of.

use std::collections::BTreeMap;
use std::io::Result;

use tandem_core::rules::Lookups;
use tandem_core::{Content, LinkKey, Side, Sides, render};

use super::rows::Listed;
use super::sort::{Merge, Sorted, Sorter};
use super::{Group, Totals};
use crate::options::Connection;
use crate::ports::scratch::Scratch;

/// Sums that are held in memory before they are put away, at most. Later ones of the same key are added when they are
/// read.
const HELD_MAX: usize = 20_000;

/// The key of Tempo's own attribute for the account.
const ACCOUNT: &str = "_Account_";

/// What is summed by, in the order in which it is shown.
const BY: [&str; 4] = ["account", "day", "issue", "person"];
const BY_ACCOUNT: u8 = 0;
const BY_DAY: u8 = 1;
const BY_ISSUE: u8 = 2;
const BY_PERSON: u8 = 3;

/// Adds worklogs up.
pub(super) struct Sums<'s> {
    held: BTreeMap<Vec<u8>, Sides<Totals>>,
    held_max: usize,
    rest: Sorter<'s>,
}

impl<'s> Sums<'s> {
    pub(super) fn new(scratch: &'s dyn Scratch) -> Self {
        Self {
            held: BTreeMap::new(),
            held_max: HELD_MAX,
            rest: Sorter::new(scratch),
        }
    }

    /// Adds a link's worklogs.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        lookups: &Lookups,
        link: &LinkKey,
        sides: &Sides<Listed>,
    ) -> Result<()> {
        let mut issue = link.a.0.to_be_bytes().to_vec();
        issue.extend_from_slice(&link.b.0.to_be_bytes());
        for side in Side::BOTH {
            for content in sides[side].values() {
                let (person, account) = said_on_a(connection, lookups, side, content);
                self.add_one(BY_ACCOUNT, account.as_bytes(), side, content)?;
                let day = content.start_date.to_string();
                self.add_one(BY_DAY, day.as_bytes(), side, content)?;
                self.add_one(BY_ISSUE, &issue, side, content)?;
                self.add_one(BY_PERSON, person.as_bytes(), side, content)?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, by: u8, of: &[u8], side: Side, content: &Content) -> Result<()> {
        let mut key = Vec::with_capacity(1 + of.len());
        key.push(by);
        key.extend_from_slice(of);
        self.held.entry(key).or_default()[side].add(content);
        if self.held.len() > self.held_max {
            self.put_away()?;
        }
        Ok(())
    }

    fn put_away(&mut self) -> Result<()> {
        for (key, totals) in std::mem::take(&mut self.held) {
            self.rest.push(&key, &written(&totals))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Sorted> {
        self.put_away()?;
        self.rest.finish()
    }
}

/// Returns a worklog's person and account, as side A says them.
fn said_on_a(connection: &Connection, lookups: &Lookups, side: Side, content: &Content) -> (String, String) {
    let rules = &connection.settings.rules;
    // What Tempo calls the account is an attribute, of another name on the other site perhaps.
    let rule = rules
        .attributes
        .iter()
        .position(|rule| Side::BOTH.iter().any(|side| rule.keys[*side] == ACCOUNT));
    let own = |key: &str| content.attributes.get(key).cloned().unwrap_or_default();
    let account = match (rule, side) {
        (None, _) => own(ACCOUNT),
        (Some(rule), Side::A) => own(&rules.attributes[rule].keys.a),
        (Some(rule), Side::B) => render::attribute(side, content, rule, rules, lookups)
            .unwrap_or_else(|_| Some(own(&rules.attributes[rule].keys.b)))
            .unwrap_or_default(),
    };
    let person = match side {
        Side::A => content.author.to_string(),
        Side::B => render::author(side, &content.author, rules, lookups)
            .map_or(content.author.to_string(), |author| author.account().to_string()),
    };
    (person, account)
}

fn written(totals: &Sides<Totals>) -> Vec<u8> {
    let numbers = Side::BOTH.iter().flat_map(|side| {
        let Totals {
            worklogs,
            seconds,
            billable,
        } = totals[*side];
        [worklogs, seconds, billable]
    });
    numbers.flat_map(u64::to_le_bytes).collect()
}

fn read(value: &[u8]) -> Sides<Totals> {
    let mut numbers = value.chunks_exact(8).map(|bytes| {
        let mut number = [0; 8];
        number.copy_from_slice(bytes);
        u64::from_le_bytes(number)
    });
    let mut next = || numbers.next().unwrap_or_default();
    Sides::from_fn(|_| Totals {
        worklogs: next(),
        seconds: next(),
        billable: next(),
    })
}

/// Reads a connection's sums: by account, day, issue and person, and within each in order.
pub(super) struct Groups<'s> {
    connection: String,
    records: std::iter::Peekable<Merge<'s>>,
}

impl<'s> Groups<'s> {
    pub(super) fn read(connection: &str, sums: &'s Sorted) -> Result<Self> {
        Ok(Self {
            connection: connection.to_owned(),
            records: sums.records()?.peekable(),
        })
    }

    fn group(&self, key: &[u8], totals: Sides<Totals>) -> Group {
        let (by, of) = key.split_first().map_or((0, key), |(by, of)| (*by, of));
        let text = match by {
            BY_ISSUE => {
                let mut numbers = of.chunks_exact(8).map(|bytes| {
                    let mut number = [0; 8];
                    number.copy_from_slice(bytes);
                    u64::from_be_bytes(number)
                });
                let mut next = || numbers.next().unwrap_or_default();
                format!("{}~{}", next(), next())
            }
            _ => String::from_utf8_lossy(of).into_owned(),
        };
        Group {
            connection: self.connection.clone(),
            by: BY.get(usize::from(by)).copied().unwrap_or_default(),
            key: text,
            a: totals.a,
            b: totals.b,
        }
    }
}

impl Iterator for Groups<'_> {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match self.records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let mut totals = read(&value);
        let same = |record: &Result<super::sort::Record>| matches!(record, Ok((next, _)) if *next == key);
        while let Some(Ok((_, value))) = self.records.next_if(same) {
            let more = read(&value);
            for side in Side::BOTH {
                totals[side].merge(&more[side]);
            }
        }
        Some(Ok(self.group(&key, totals)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::scratch::InMemory;

    fn content(seconds: u64) -> Content {
        Content {
            author: "ann".into(),
            start_date: jiff::civil::date(2026, 3, 2),
            start_time: None,
            time_spent_secs: seconds,
            billable_secs: Some(seconds / 2),
            description: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Sums of some persons' worklogs, as many of them held as asked for.
    fn summed(held_max: usize) -> Vec<Group> {
        let mut sums = Sums {
            held_max,
            ..Sums::new(&InMemory)
        };
        for round in 0..5_u64 {
            for person in ["zoe", "ann", "bob"] {
                let side = if round % 2 == 0 { Side::A } else { Side::B };
                sums.add_one(BY_PERSON, person.as_bytes(), side, &content(100 + round))
                    .unwrap();
            }
        }
        let sorted = sums.finish().unwrap();
        Groups::read("c", &sorted).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn sums_are_the_same_whether_they_are_held_or_put_away_many_times() {
        let held = summed(HELD_MAX);
        assert_eq!(held, summed(1));
        assert_eq!(held, summed(2));
        let names: Vec<&str> = held.iter().map(|group| group.key.as_str()).collect();
        assert_eq!(names, ["ann", "bob", "zoe"]);
        let of = |worklogs, seconds, billable| Totals {
            worklogs,
            seconds,
            billable,
        };
        assert_eq!((held[0].a, held[0].b), (of(3, 306, 153), of(2, 204, 101)));
    }
}
