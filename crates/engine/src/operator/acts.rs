//! What a person did, for the history: each line begins with their name.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tandem_core::{ConnectionName, IssueId, LinkKey, PairId, Side};

use super::queue::{QueueId, QueueItem, names};
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::Engine;
use crate::ports::Store;
use crate::ports::store::{HistoryRow, LinkRow, Op, StoreError};

/// Lines about single items that one call for many of them leaves, at most. A line of the whole connection says how
/// many there were.
const LINES_MAX: usize = 1000;

/// Lines that are written at once.
const AT_ONCE: usize = 50;

/// What a person did with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkAct {
    /// Made it.
    Made,
    /// Took it away.
    Removed,
}

/// Writes down what a person did to whole connections, in the history of each: one line for each of `causes`, which
/// begin with the person's name. `keep` is for how long the history is kept.
///
/// # Errors
/// When the table fails.
pub async fn tell_of(
    store: &dyn Store,
    connections: &[ConnectionName],
    op: &str,
    causes: &[String],
    (now, keep): (Timestamp, Duration),
) -> Result<(), StoreError> {
    let mut ops = Vec::new();
    for connection in connections {
        for (number, cause) in causes.iter().enumerate() {
            let mut line = begun(connection, &PairId::new("-"), op, Side::A, (now, keep));
            line.id.push_str(&format!("-{number:06}"));
            line.cause.clone_from(cause);
            ops.push(Op::PutHistory(Box::new(line)));
        }
    }
    put(store, ops).await
}

/// A line that says nothing yet. Its id is that of whoever is told of first; who tells of several, adds to it.
fn begun(
    connection: &ConnectionName,
    pair: &PairId,
    op: &str,
    side: Side,
    (now, keep): (Timestamp, Duration),
) -> HistoryRow {
    HistoryRow {
        id: format!("{:013}-{op}", now.as_millisecond()),
        time: now,
        connection: connection.clone(),
        link: None,
        op: op.into(),
        side,
        issue: None,
        worklog: None,
        pair: pair.clone(),
        cause: String::new(),
        before: None,
        after: None,
        lost: Vec::new(),
        trace: None,
        grounds: None,
        expires: now + signed(keep),
    }
}

async fn put(store: &dyn Store, ops: Vec<Op>) -> Result<(), StoreError> {
    for ops in ops.chunks(AT_ONCE) {
        store.commit(ops.to_vec()).await?;
    }
    Ok(())
}

impl Engine {
    /// Begins a line about what a person did to a link, or to one of its pairs.
    pub(super) fn act_on(
        &self,
        link: &LinkKey,
        pair: &PairId,
        op: &str,
        side: Side,
        now: Timestamp,
    ) -> HistoryRow {
        let mut line = begun(&link.connection, pair, op, side, (now, self.options.history));
        line.id = format!("{}-{}-{}-{pair}", line.id, link.a, link.b);
        line.link = Some(link.clone());
        line.issue = Some(link.issue(side));
        line
    }

    /// Begins a line about what a person did to an issue whose twin is looked for.
    fn act_on_issue(
        &self,
        (connection, side): (&ConnectionName, Side),
        issue: IssueId,
        op: &str,
        now: Timestamp,
    ) -> HistoryRow {
        let mut line = begun(
            connection,
            &PairId::new("-"),
            op,
            side,
            (now, self.options.history),
        );
        line.id = format!("{}-{side}-{issue}", line.id);
        line.issue = Some(issue);
        line
    }

    pub(super) async fn tell_retried(&self, items: &[&QueueItem], by: &str) -> Result<(), EngineError> {
        let now = self.clock.now();
        let mut ops = Vec::new();
        for item in items.iter().take(LINES_MAX) {
            let mut line = match &item.id {
                QueueId::Pair { link, pair } => {
                    self.act_on(link, pair, "retry", item.side.unwrap_or(Side::A), now)
                }
                QueueId::Link(link) => self.act_on(link, &PairId::new("-"), "retry", Side::A, now),
                QueueId::Issue { site, issue } => {
                    let Some((connection, side)) = self.connections_of(site).next() else {
                        continue;
                    };
                    self.act_on_issue((&connection.name, side), *issue, "retry", now)
                }
            };
            line.worklog = item.worklog;
            line.cause = match item.reason {
                Some(reason) => format!("{by}: {reason} is to be tried again"),
                None => format!("{by}: it is to be tried again"),
            };
            ops.push(Op::PutHistory(Box::new(line)));
        }
        put(&*self.store, ops).await?;
        let mut untold: BTreeMap<&ConnectionName, usize> = BTreeMap::new();
        for connection in items
            .iter()
            .skip(LINES_MAX)
            .filter_map(|item| item.connection.as_ref())
        {
            *untold.entry(connection).or_default() += 1;
        }
        for (connection, count) in untold {
            let cause = format!("{by}: {count} more items that wait are to be tried again");
            self.tell_act(std::slice::from_ref(connection), "retry", &[cause])
                .await?;
        }
        Ok(())
    }

    /// Writes down that `by` made issues twins, or let them be twins no longer.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn tell_linked(&self, links: &[LinkRow], act: LinkAct, by: &str) -> Result<(), EngineError> {
        let now = self.clock.now();
        let line = |row: &LinkRow| {
            let (a, b) = names(row);
            let (op, what) = match act {
                LinkAct::Made => ("link", "are twins now"),
                LinkAct::Removed => ("unlink", "are twins no longer; their worklogs stay as they are"),
            };
            let mut line = self.act_on(&row.key, &PairId::new("-"), op, Side::A, now);
            line.cause = format!("{by}: {a} and {b} {what}");
            Op::PutHistory(Box::new(line))
        };
        Ok(put(&*self.store, links.iter().map(line).collect()).await?)
    }

    /// Writes down what a person did to whole connections (see [`tell_of`]).
    ///
    /// # Errors
    /// When the table fails.
    pub async fn tell_act(
        &self,
        connections: &[ConnectionName],
        op: &str,
        causes: &[String],
    ) -> Result<(), EngineError> {
        let when = (self.clock.now(), self.options.history);
        Ok(tell_of(&*self.store, connections, op, causes, when).await?)
    }
}
