//! The table: the rows of one link, and the conditions under which they are written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tandem_core::{Pair, PairId, PairState, Side, WorklogId};

use crate::told::Told;

/// A worklog by its site's side and its id.
pub type Key = (Side, WorklogId);

/// The rows of the model's one link, but for its due row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    /// `PAIRS`.
    pub pairs: BTreeMap<PairId, Told<Pair>>,
    /// `WHERE`.
    pub places: BTreeMap<Key, Place>,
    /// `ORIGIN`.
    pub origins: BTreeMap<Key, Origin>,
    /// `CLAIM`, by root and the side that the copy is on.
    pub claims: BTreeMap<(Key, Side), Option<WorklogId>>,
    /// `EVIDENCE`.
    pub evidence: BTreeSet<Key>,
}

/// Where a worklog belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The pair.
    pub pair: PairId,
    /// Whether it is alive there.
    pub live: bool,
    /// The newest `updatedAt` accounted for.
    pub seen: Option<Timestamp>,
}

/// Where a worklog that Tandem wrote came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The worklog at the start of the chain.
    pub root: Key,
    /// Its `updatedAt` after the write.
    pub written_updated_at: Timestamp,
    /// When a person made the change that was written.
    pub edited_at: Timestamp,
}

/// A write to one row. Names and conditions are those of the engine's `Op`.
#[derive(Clone, Debug)]
pub enum Op {
    /// `rev` is one more than the row's; 1 means that there is none yet.
    PutPair(Box<Pair>),
    /// There is no row, or one of the same pair.
    PutWhere(Key, Place),
    /// Without a condition.
    PutOrigin(Key, Origin),
    /// Without one here, where there is one connection.
    PutClaim(Key, Side, Option<WorklogId>),
    /// As above.
    DropClaim(Key, Side),
    /// Without a condition.
    PutEvidence(Key),
}

impl Table {
    /// Writes all rows or none; `false` when a condition no longer holds. `conditions` is false where the model
    /// leaves them out.
    pub fn commit(&mut self, ops: Vec<Op>, conditions: bool) -> bool {
        let holds = |op: &Op| match op {
            Op::PutPair(pair) => self.pairs.get(&pair.id).map_or(0, |row| row.rev) + 1 == pair.rev,
            Op::PutWhere(key, place) => self.places.get(key).is_none_or(|row| row.pair == place.pair),
            _ => true,
        };
        if conditions && !ops.iter().all(holds) {
            return false;
        }
        for op in ops {
            match op {
                Op::PutPair(pair) => {
                    self.pairs.insert(pair.id.clone(), Told::new(*pair));
                }
                Op::PutWhere(key, place) => {
                    self.places.insert(key, place);
                }
                Op::PutOrigin(key, origin) => {
                    self.origins.insert(key, origin);
                }
                Op::PutClaim(root, side, worklog) => {
                    self.claims.insert((root, side), worklog);
                }
                Op::DropClaim(root, side) => {
                    self.claims.remove(&(root, side));
                }
                Op::PutEvidence(key) => {
                    self.evidence.insert(key);
                }
            }
        }
        true
    }

    /// The root of a worklog: where it came from, or itself.
    pub fn root(&self, key: Key) -> Key {
        self.origins.get(&key).map_or(key, |origin| origin.root)
    }
}

/// The rows that say where a pair's worklogs belong.
pub fn places(pair: &Pair) -> impl Iterator<Item = Op> {
    Side::BOTH.into_iter().filter_map(|side| {
        let id = pair.ids[side]?;
        Some(place(pair, side, id, pair.state == PairState::Live))
    })
}

/// The rows of worklogs that a pair had and has no more.
pub fn left_behind(row: &Pair, pair: &Pair) -> Vec<Op> {
    Side::BOTH
        .into_iter()
        .filter_map(|side| {
            let id = row.ids[side].filter(|id| pair.ids[side] != Some(*id))?;
            Some(place(pair, side, id, false))
        })
        .collect()
}

fn place(pair: &Pair, side: Side, id: WorklogId, live: bool) -> Op {
    let place = Place {
        pair: pair.id.clone(),
        live,
        seen: pair.seen[side],
    };
    Op::PutWhere((side, id), place)
}

/// The due row of the link: at most one, however many hints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Due {
    /// Goes up with each hint.
    pub generation: u8,
    /// Whether a hint came since it was last taken.
    pub hinted: bool,
    /// When to look (again), in seconds.
    pub next_attempt: u32,
    /// Who has it, and until when, in seconds.
    pub lease: Option<(Owner, u32)>,
}

/// Who has a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A worker that is alive, by its number.
    Worker(usize),
    /// A run whose worker died.
    Dead,
}

/// How a look at a due row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// Done: the row goes, unless a newer hint came.
    Done,
    /// To be looked at again at this second.
    Again(u32),
}

/// Stores a hint.
pub fn hint(due: &mut Option<Due>, now: u32) {
    match due {
        None => {
            *due = Some(Due {
                generation: 1,
                hinted: true,
                next_attempt: now,
                lease: None,
            });
        }
        Some(row) => {
            row.generation += 1;
            row.hinted = true;
            row.next_attempt = row.next_attempt.min(now);
        }
    }
}

/// Ends a look; does nothing when the lease is lost. `stays` is false where the model forgets newer hints.
pub fn finish(due: &mut Option<Due>, owner: Owner, how: Finish, stays: bool) {
    let Some(row) = due
        .as_mut()
        .filter(|row| row.lease.is_some_and(|(by, _)| by == owner))
    else {
        return;
    };
    row.lease = None;
    let newer = row.hinted && stays;
    match how {
        Finish::Done if !newer => *due = None,
        Finish::Done => {}
        Finish::Again(at) => row.next_attempt = if newer { row.next_attempt.min(at) } else { at },
    }
}
