//! Worklogs as records that sort by link, side and id.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::iter::Peekable;

use jiff::civil::{Date, Time};
use serde::Deserialize;
use tandem_core::{AccountId, Content, IssueId, Side, Sides, WorklogId};

use super::sort::{Merge, Record, Sorted};

/// What one side of a link shows.
pub(super) type Listed = BTreeMap<WorklogId, Content>;

/// What one side of a link has that cannot be read, with what is wrong.
pub(super) type Unread = BTreeMap<WorklogId, String>;

/// Two numbers for the issues, one for the worklog, and a byte for the side between them.
const KEY_BYTES: usize = 25;

/// Returns the key of a worklog's record.
pub(super) fn key(issues: &Sides<IssueId>, side: Side, id: WorklogId) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&issues.a.0.to_be_bytes());
    key[8..16].copy_from_slice(&issues.b.0.to_be_bytes());
    key[16] = u8::from(side == Side::B);
    key[17..].copy_from_slice(&id.0.to_be_bytes());
    key
}

/// Returns the value of a worklog's record: what it says, without the names of the fields.
pub(super) fn value(content: &Content) -> Result<Vec<u8>> {
    let Content {
        author,
        start_date,
        start_time,
        time_spent_secs,
        billable_secs,
        description,
        attributes,
    } = content;
    let fields = (
        author,
        start_date,
        start_time,
        time_spent_secs,
        billable_secs,
        description,
        attributes,
    );
    serde_json::to_vec(&fields).map_err(Error::from)
}

/// Returns the value of a record of a worklog that cannot be read: what is wrong. It is no list, as the others are.
pub(super) fn unread(text: &str) -> Result<Vec<u8>> {
    serde_json::to_vec(text).map_err(Error::from)
}

type Fields = (
    AccountId,
    Date,
    Option<Time>,
    u64,
    Option<u64>,
    String,
    BTreeMap<String, String>,
);

fn said(value: &[u8]) -> Result<std::result::Result<Content, String>> {
    if value.starts_with(b"\"") {
        return Ok(Err(serde_json::from_slice(value)?));
    }
    let mut reader = serde_json::Deserializer::from_slice(value);
    let (author, start_date, start_time, time_spent_secs, billable_secs, description, attributes) =
        Fields::deserialize(&mut reader)?;
    Ok(Ok(Content {
        author,
        start_date,
        start_time,
        time_spent_secs,
        billable_secs,
        description,
        attributes,
    }))
}

struct Row {
    issues: Sides<IssueId>,
    side: Side,
    id: WorklogId,
    said: std::result::Result<Content, String>,
}

fn row((key, value): Record) -> Result<Row> {
    let number = |from: usize| -> Result<u64> {
        let bytes = key.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(u64::from_be_bytes)
            .ok_or(Error::from(ErrorKind::UnexpectedEof))
    };
    Ok(Row {
        issues: Sides::new(IssueId(number(0)?), IssueId(number(8)?)),
        side: if key.get(16) == Some(&0) { Side::A } else { Side::B },
        id: WorklogId(number(17)?),
        said: said(&value)?,
    })
}

/// Reads worklogs link by link.
pub(super) struct Links<'s> {
    records: Peekable<Merge<'s>>,
}

impl<'s> Links<'s> {
    pub(super) fn read(rows: &'s Sorted) -> Result<Self> {
        Ok(Self {
            records: rows.records()?.peekable(),
        })
    }
}

impl Iterator for Links<'_> {
    /// A link's issues, what both show, and what of it cannot be read.
    type Item = Result<(Sides<IssueId>, Sides<Listed>, Sides<Unread>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        let read = || {
            let first = row(record?)?;
            let link = key(&first.issues, Side::A, WorklogId(0));
            let mut sides = Sides::<Listed>::default();
            let mut unread = Sides::<Unread>::default();
            let issues = first.issues;
            // One that was listed twice, because another went while pages were read: as it was told last.
            let mut put = |row: Row| match row.said {
                Ok(content) => {
                    unread[row.side].remove(&row.id);
                    sides[row.side].insert(row.id, content);
                }
                Err(text) => {
                    sides[row.side].remove(&row.id);
                    unread[row.side].insert(row.id, text);
                }
            };
            put(first);
            let same = |next: &Result<Record>| match next {
                Ok((key, _)) => key.starts_with(&link[..16]),
                Err(_) => true,
            };
            while let Some(record) = self.records.next_if(same) {
                put(row(record?)?);
            }
            Ok((issues, sides, unread))
        };
        Some(read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::scratch::InMemory;
    use crate::verify::sort::Sorter;
    use jiff::civil::{date, time};

    fn said(text: &str) -> Content {
        Content {
            author: "557058:ann".into(),
            start_date: date(2026, 3, 2),
            start_time: Some(time(9, 30, 15, 0)),
            time_spent_secs: 60,
            billable_secs: None,
            description: text.to_owned(),
            attributes: BTreeMap::from([("_Account_".to_owned(), "\"é\n".to_owned())]),
        }
    }

    #[test]
    fn worklogs_come_back_by_link_as_they_were_told_last() {
        let links = [9, 10, 300].map(|id| Sides::new(IssueId(id), IssueId(1_000 - id)));
        let mut sorter = Sorter::new(&InMemory);
        for (round, text) in ["first", "last"].iter().enumerate() {
            for (at, link) in links.iter().enumerate().rev() {
                for side in Side::BOTH {
                    let id = WorklogId(70_000 - at as u64);
                    sorter
                        .push(&key(link, side, id), &value(&said(text)).unwrap())
                        .unwrap();
                    // Only once.
                    let other = WorklogId(5 + round as u64);
                    sorter
                        .push(&key(link, side, other), &value(&said(text)).unwrap())
                        .unwrap();
                }
            }
        }
        let sorted = sorter.finish().unwrap();
        let read: Vec<_> = Links::read(&sorted).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 3);
        for (at, (issues, sides, unread)) in read.into_iter().enumerate() {
            assert_eq!(unread, Sides::default());
            assert_eq!(issues, links[at], "by number");
            let expected = Listed::from([
                (WorklogId(5), said("first")),
                (WorklogId(6), said("last")),
                (WorklogId(70_000 - at as u64), said("last")),
            ]);
            assert_eq!(sides, Sides::new(expected.clone(), expected));
        }
    }
}
