//! A connection of any size, made up row by row: two sites that agree on everything, and the table that knows it.
//!
//! Everything is computed from a number, so nothing has to be held.

use std::collections::BTreeMap;

use jiff::civil::{Date, date, time};
use jiff::{SignedDuration, Timestamp};
use tandem_core::{
    ConnectionName, Content, IssueId, LinkKey, Pair, PairState, Side, Sides, Worklog, WorklogId,
};

/// The connection's name.
pub const CONNECTION: &str = "north-south";

/// The sites' names, A's first.
pub const SITES: Sides<&str> = Sides {
    a: "north",
    b: "south",
};

/// How many worklogs an issue has. Real ones have fewer; more issues would be more digests to keep.
pub const PER_LINK: u64 = 50;

/// The first day of the made-up worklogs.
pub const SINCE: Date = date(2026, 1, 1);

/// How many worklogs there are on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Worklogs per side.
    pub worklogs: u64,
    /// Each of B's worklogs whose number is divided by this is a minute longer than A's; 0: none.
    pub unlike_every: u64,
}

impl Scale {
    /// So many worklogs per side, on which both sides agree.
    pub fn of(worklogs: u64) -> Self {
        Self {
            worklogs,
            unlike_every: 0,
        }
    }

    /// Returns a worklog as a side shows it.
    pub fn shown(self, side: Side, number: u64) -> Worklog {
        let mut worklog = worklog(side, number);
        if side == Side::B && self.unlike_every > 0 && number.is_multiple_of(self.unlike_every) {
            worklog.content.time_spent_secs += 60;
        }
        worklog
    }

    /// Returns how many links there are.
    pub fn links(self) -> u64 {
        self.worklogs.div_ceil(PER_LINK)
    }

    /// Returns a link by number, from 0.
    pub fn link(self, number: u64) -> LinkKey {
        LinkKey {
            connection: ConnectionName::new(CONNECTION),
            a: issue(Side::A, number),
            b: issue(Side::B, number),
        }
    }

    /// Returns the number of the link that an issue of a side belongs to.
    pub fn link_with(self, side: Side, of: IssueId) -> u64 {
        of.0 - issue(side, 0).0
    }

    /// Returns the numbers of a link's worklogs.
    pub fn of_link(self, link: u64) -> std::ops::Range<u64> {
        link * PER_LINK..((link + 1) * PER_LINK).min(self.worklogs)
    }
}

fn issue(side: Side, link: u64) -> IssueId {
    IssueId(match side {
        Side::A => 10_000_000 + link,
        Side::B => 50_000_000 + link,
    })
}

/// Returns a worklog as a side first showed it.
pub fn worklog(side: Side, number: u64) -> Worklog {
    let first = match side {
        Side::A => 100_000_000,
        Side::B => 500_000_000,
    };
    Worklog {
        id: WorklogId(first + number),
        issue: issue(side, number / PER_LINK),
        content: content(number),
        created_at: changed_at(number),
        updated_at: changed_at(number),
    }
}

/// Returns what both sides say, of the length that people write.
pub fn content(number: u64) -> Content {
    let day = i8::try_from(1 + number % 28).unwrap_or(1);
    let hour = i8::try_from(7 + number % 11).unwrap_or(7);
    let secs = 900 * (1 + number % 16);
    Content {
        author: format!("557058:0a1b2c3d-4e5f-6071-8293-{:012}", number % 400)
            .as_str()
            .into(),
        start_date: date(2026, 1, day),
        start_time: Some(time(hour, 30, 0, 0)),
        time_spent_secs: secs,
        billable_secs: Some(if number.is_multiple_of(5) { 0 } else { secs }),
        description: format!("Reviewed the change to the pricing module with the team, round {number}"),
        attributes: BTreeMap::from([("_Account_".to_owned(), format!("ACME{}", number % 30))]),
    }
}

fn changed_at(number: u64) -> Timestamp {
    let secs = i64::try_from(number % 2_000_000).unwrap_or(0);
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_767_300_000 + secs)
}

/// Returns the pair that two equal worklogs make, as a run would have left it.
pub fn pair(link: &LinkKey, number: u64) -> Pair {
    let (a, b) = (worklog(Side::A, number), worklog(Side::B, number));
    let mut pair = Pair::half(Pair::id_for(Side::A, a.id, a.issue), link.clone(), Side::A, a.id);
    pair.ids.b = Some(b.id);
    pair.seen = Sides::new(Some(a.updated_at), Some(b.updated_at));
    pair.base = Some(Sides::new(a.content, b.content));
    pair.state = PairState::Live;
    pair.rev = 2;
    pair
}
