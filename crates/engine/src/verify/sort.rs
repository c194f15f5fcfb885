//! Sorting more records than fit in memory.
//!
//! Records are held until they are [`Sorter::HELD_BYTES`], then sorted and put away as a run; in the end the runs are
//! merged while they are read. What is held is bounded, however many records there are: one run while sorting, and a
//! piece of each run while reading.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::{Error, ErrorKind, Result};

use crate::ports::scratch::{Scratch, ScratchFile};

/// Runs that are merged at a time, at most. More are merged into longer ones first.
const FAN_IN: usize = 256;

/// Bytes of a run that are read at a time while merging.
const PIECE_BYTES: usize = 8 * 1024;

/// Lengths of key and value, before each record.
const HEAD_BYTES: usize = 6;

/// A record: its key and its value.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// Takes records in any order.
pub(super) struct Sorter<'s> {
    scratch: &'s dyn Scratch,
    file: Option<Box<dyn ScratchFile>>,
    written: u64,
    runs: Vec<Run>,
    held: Vec<u8>,
    starts: Vec<u32>,
    held_max: usize,
}

/// A stretch of the file, in order.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: u64,
    to: u64,
}

impl<'s> Sorter<'s> {
    /// What is held in memory before it is put away, in bytes.
    pub(super) const HELD_BYTES: usize = 4 * 1024 * 1024;

    pub(super) fn new(scratch: &'s dyn Scratch) -> Self {
        Self::holding(scratch, Self::HELD_BYTES)
    }

    fn holding(scratch: &'s dyn Scratch, held_max: usize) -> Self {
        Self {
            scratch,
            file: None,
            written: 0,
            runs: Vec::new(),
            held: Vec::new(),
            starts: Vec::new(),
            held_max,
        }
    }

    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let record = HEAD_BYTES + key.len() + value.len();
        if !self.starts.is_empty() && self.held.len() + record > self.held_max {
            self.put_away()?;
        }
        let start = u32::try_from(self.held.len()).map_err(|_| too_long())?;
        write_record(&mut self.held, key, value)?;
        self.starts.push(start);
        Ok(())
    }

    /// Ends the taking. Records of the same key are read in the order in which they were pushed.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        if self.file.is_none() {
            self.sort_held();
            let mut records = Vec::with_capacity(self.held.len());
            for start in &self.starts {
                records.extend_from_slice(record_at(&self.held, *start));
            }
            let to = records.len() as u64;
            return Ok(Sorted {
                file: Box::new(records),
                runs: vec![Run { from: 0, to }],
            });
        }
        self.put_away()?;
        self.held = Vec::new();
        self.starts = Vec::new();
        while self.runs.len() > FAN_IN {
            self.lengthen()?;
        }
        let file = self.file.ok_or(Error::from(ErrorKind::NotFound))?;
        Ok(Sorted {
            file,
            runs: self.runs,
        })
    }

    fn sort_held(&mut self) {
        let held = &self.held;
        // Stable, so that equal keys stay in the order of their coming.
        self.starts
            .sort_by(|left, right| key_at(held, *left).cmp(key_at(held, *right)));
    }

    fn put_away(&mut self) -> Result<()> {
        if self.starts.is_empty() {
            return Ok(());
        }
        self.sort_held();
        let from = self.written;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.scratch.open()?),
        };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        for start in &self.starts {
            piece.extend_from_slice(record_at(&self.held, *start));
            if piece.len() >= PIECE_BYTES {
                file.append(&piece)?;
                self.written += piece.len() as u64;
                piece.clear();
            }
        }
        file.append(&piece)?;
        self.written += piece.len() as u64;
        self.runs.push(Run {
            from,
            to: self.written,
        });
        self.held.clear();
        self.starts.clear();
        Ok(())
    }

    /// Merges neighbouring runs into longer ones, in a file of their own.
    fn lengthen(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let mut longer = self.scratch.open()?;
        let mut runs = Vec::new();
        let mut written = 0;
        for group in self.runs.chunks(FAN_IN) {
            let from = written;
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            for record in Merge::new(file.as_ref(), group)? {
                let (key, value) = record?;
                write_record(&mut piece, &key, &value)?;
                if piece.len() >= PIECE_BYTES {
                    longer.append(&piece)?;
                    written += piece.len() as u64;
                    piece.clear();
                }
            }
            longer.append(&piece)?;
            written += piece.len() as u64;
            runs.push(Run { from, to: written });
        }
        self.file = Some(longer);
        self.runs = runs;
        self.written = written;
        Ok(())
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidInput, "a record is too long")
}

fn write_record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) -> Result<()> {
    let key_len = u16::try_from(key.len()).map_err(|_| too_long())?;
    let value_len = u32::try_from(value.len()).map_err(|_| too_long())?;
    into.extend_from_slice(&key_len.to_le_bytes());
    into.extend_from_slice(&value_len.to_le_bytes());
    into.extend_from_slice(key);
    into.extend_from_slice(value);
    Ok(())
}

/// Reads the lengths of key and value.
fn lengths(head: &[u8]) -> (usize, usize) {
    let byte = |at: usize| u32::from(head[at]);
    let key = byte(0) | byte(1) << 8;
    let value = byte(2) | byte(3) << 8 | byte(4) << 16 | byte(5) << 24;
    (key as usize, value as usize)
}

fn record_at(held: &[u8], start: u32) -> &[u8] {
    let record = &held[start as usize..];
    let (key, value) = lengths(record);
    &record[..HEAD_BYTES + key + value]
}

fn key_at(held: &[u8], start: u32) -> &[u8] {
    let record = &held[start as usize..];
    let (key, _) = lengths(record);
    &record[HEAD_BYTES..HEAD_BYTES + key]
}

/// Records in order. They can be read more than once.
pub(super) struct Sorted {
    file: Box<dyn ScratchFile>,
    runs: Vec<Run>,
}

impl Sorted {
    /// Reads the records in order of their keys.
    pub(super) fn records(&self) -> Result<Merge<'_>> {
        Merge::new(self.file.as_ref(), &self.runs)
    }
}

/// Reads one run, a piece at a time.
struct Reader<'f> {
    file: &'f dyn ScratchFile,
    rest: Run,
    piece: Vec<u8>,
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Record>> {
        if !self.fill(HEAD_BYTES)? {
            return Ok(None);
        }
        let (key, value) = lengths(&self.piece[self.at..]);
        if !self.fill(HEAD_BYTES + key + value)? {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        let from = self.at + HEAD_BYTES;
        self.at = from + key + value;
        Ok(Some((
            self.piece[from..from + key].to_vec(),
            self.piece[from + key..self.at].to_vec(),
        )))
    }

    /// Makes sure that so many bytes are at hand. `false` when the run is at its end.
    fn fill(&mut self, wanted: usize) -> Result<bool> {
        let at_hand = self.piece.len() - self.at;
        if at_hand >= wanted {
            return Ok(true);
        }
        let left = self.rest.to - self.rest.from;
        if left == 0 {
            return match at_hand {
                0 => Ok(false),
                _ => Err(Error::from(ErrorKind::UnexpectedEof)),
            };
        }
        self.piece.drain(..self.at);
        self.at = 0;
        let more = (wanted - at_hand).max(PIECE_BYTES) as u64;
        let more = usize::try_from(more.min(left)).map_err(|_| too_long())?;
        self.piece.resize(at_hand + more, 0);
        self.file.read(self.rest.from, &mut self.piece[at_hand..])?;
        self.rest.from += more as u64;
        if self.piece.len() < wanted {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        Ok(true)
    }
}

/// A run's next record, so that the heap gives the least key, and of equal keys that of the earliest run.
struct Head {
    record: Record,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.record.0, self.run).cmp(&(&other.record.0, other.run))
    }
}

/// Reads several runs as one.
pub(super) struct Merge<'f> {
    readers: Vec<Reader<'f>>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl<'f> Merge<'f> {
    fn new(file: &'f dyn ScratchFile, runs: &[Run]) -> Result<Self> {
        let mut merge = Self {
            readers: Vec::with_capacity(runs.len()),
            heads: BinaryHeap::with_capacity(runs.len()),
        };
        for (run, rest) in runs.iter().enumerate() {
            merge.readers.push(Reader {
                file,
                rest: *rest,
                piece: Vec::new(),
                at: 0,
            });
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> Result<()> {
        if let Some(record) = self.readers[run].next()? {
            self.heads.push(Reverse(Head { record, run }));
        }
        Ok(())
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { record, run }) = self.heads.pop()?;
        Some(self.advance(run).map(|()| record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::scratch::InMemory;

    /// Sorts numbered values with so little memory that all of it is put away, and reads them back.
    fn sorted(keys: &[u32], held_max: usize) -> Vec<(u32, u32)> {
        let mut sorter = Sorter::holding(&InMemory, held_max);
        for (number, key) in keys.iter().enumerate() {
            let value = u32::try_from(number).unwrap();
            sorter.push(&key.to_be_bytes(), &value.to_be_bytes()).unwrap();
        }
        let sorted = sorter.finish().unwrap();
        let number = |bytes: Vec<u8>| u32::from_be_bytes(bytes.try_into().unwrap());
        let read = || -> Vec<_> {
            let records = sorted.records().unwrap().map(Result::unwrap);
            records.map(|(key, value)| (number(key), number(value))).collect()
        };
        assert_eq!(read(), read(), "read twice");
        read()
    }

    fn keys(count: u32) -> Vec<u32> {
        (0..count).map(|n| n.wrapping_mul(2_654_435_761) % 97).collect()
    }

    fn expected(keys: &[u32]) -> Vec<(u32, u32)> {
        let mut all: Vec<_> = keys.iter().copied().zip(0..).collect();
        all.sort();
        all
    }

    #[test]
    fn records_come_back_in_order_and_equal_keys_as_they_came() {
        for count in [0, 1, 2, 50, 3_000] {
            let keys = keys(count);
            for held_max in [1, 100, 4_000, 1_000_000] {
                assert_eq!(
                    sorted(&keys, held_max),
                    expected(&keys),
                    "{count} held {held_max}"
                );
            }
        }
    }

    #[test]
    fn more_runs_than_are_merged_at_a_time_are_merged_in_rounds() {
        // A run for each record: three rounds.
        let keys = keys(70_000);
        assert_eq!(sorted(&keys, 1), expected(&keys));
    }

    #[test]
    fn a_record_longer_than_all_that_is_held_is_kept_whole() {
        let mut sorter = Sorter::holding(&InMemory, 10);
        let long = vec![7; 3 * PIECE_BYTES];
        sorter.push(b"b", &long).unwrap();
        sorter.push(b"a", b"").unwrap();
        let sorted = sorter.finish().unwrap();
        let records: Vec<Record> = sorted.records().unwrap().map(Result::unwrap).collect();
        assert_eq!(records, [(b"a".to_vec(), vec![]), (b"b".to_vec(), long)]);
    }

    #[test]
    fn what_is_lost_of_a_file_is_an_error_and_no_end() {
        let mut sorter = Sorter::holding(&InMemory, 1);
        sorter.push(b"a", b"one").unwrap();
        sorter.push(b"b", b"two").unwrap();
        let mut sorted = sorter.finish().unwrap();
        sorted.runs[1].to += 4;
        let read: Result<Vec<Record>> = sorted.records().and_then(Iterator::collect);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
