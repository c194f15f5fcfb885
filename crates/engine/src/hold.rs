//! Issues that several connections share, one connection at a time.
//!
//! A link's lease keeps its own runs apart. Where a site takes part in several connections, two links may have an
//! issue in common, and two runs would read and write the same worklogs: Tempo has no conditional write, so the later
//! one would undo the earlier. So a run holds its issues besides its lease. The hold outlasts the run by as long as
//! a write whose answer never came may still take effect; the next run of the same link may go on at once, since
//! the pair's intent tells it what to expect.

use jiff::Timestamp;
use tandem_core::observed::Observed;
use tandem_core::{IntentKind, IssueId, Pair, PairId, Side, SiteName};
use tracing::debug;

use crate::error::EngineError;
use crate::execute::{ATTEMPT, Run};
use crate::gate::signed;
use crate::options::{Connection, Engine};
use crate::ports::store::{Committed, Op};

/// Issues that one run holds at most. Each of its commits names them all, and a transaction has room for a hundred rows.
pub(crate) const HELD_MAX: usize = 16;

/// An issue of a site.
pub(crate) type SharedIssue = (SiteName, IssueId);

impl Engine {
    /// Says whether a side's worklogs may be other connections' too.
    pub(crate) fn is_shared(&self, connection: &Connection, side: Side) -> bool {
        self.connections_of(&connection.sites[side]).count() > 1
    }
}

impl Run<'_> {
    /// Takes, or keeps, the issues that this run works on and that other connections may work on too. Pairs whose twin was
    /// left behind on one issue too many are left for the next run.
    ///
    /// # Errors
    /// [`EngineError::Held`] when another link has one of them. Nothing is taken then.
    pub(crate) async fn hold(&mut self, observed: Option<&Observed>) -> Result<(), EngineError> {
        let mut issues = self.held.clone();
        for side in Side::BOTH {
            if !self.engine.is_shared(self.connection, side) {
                continue;
            }
            let site = &self.connection.sites[side];
            let own = (site.clone(), self.link.issue(side));
            if !issues.contains(&own) {
                issues.push(own);
            }
            let mut strays: Vec<_> = observed
                .into_iter()
                .flat_map(|observed| &observed.pairs)
                .filter_map(|pair| Some((pair, (site.clone(), pair.strays[side]?))))
                .collect();
            // What waits for something must not keep the others waiting.
            strays.sort_by_key(|(pair, _)| pair.wait.is_some());
            for (pair, issue) in strays {
                if issues.contains(&issue) {
                    continue;
                }
                if issues.len() < HELD_MAX {
                    issues.push(issue);
                } else {
                    self.report.failed.insert(pair.id.clone());
                    self.report.left = true;
                }
            }
        }
        if issues.is_empty() || (observed.is_some() && issues.len() == self.held.len()) {
            return Ok(());
        }
        let now = self.engine.clock.now();
        // An attempt that begins with the last moment of the lease has to fit in.
        let until = now + signed(self.engine.options.lease) + ATTEMPT;
        let ops = issues.iter().map(|issue| self.until(issue, now, until)).collect();
        match self.engine.store.commit(ops).await? {
            Committed::Yes => {
                self.held = issues;
                Ok(())
            }
            Committed::Lost => Err(EngineError::Held),
        }
    }

    /// Lets other links have the issues again: at once, but for what may still take effect.
    pub(crate) async fn let_go(&self) {
        if self.held.is_empty() {
            return;
        }
        let now = self.engine.clock.now();
        let ops = self
            .held
            .iter()
            .map(|issue| self.until(issue, now, now))
            .collect();
        if let Err(error) = self.engine.store.commit(ops).await {
            debug!(link.key = %self.link, "The issues of {} are held a while longer: {error}", self.link);
        }
    }

    fn until(&self, (site, issue): &SharedIssue, now: Timestamp, until: Timestamp) -> Op {
        Op::Hold {
            site: site.clone(),
            issue: *issue,
            link: self.link.clone(),
            now,
            until,
        }
    }

    /// What every commit of the run says besides its fence: the issues are still ours, and for how long something
    /// may still take effect on them.
    pub(crate) fn held_ops(&self) -> impl Iterator<Item = Op> {
        self.held.iter().map(|(site, issue)| Op::Held {
            site: site.clone(),
            issue: *issue,
            link: self.link.clone(),
            busy_until: self.busy_until,
        })
    }

    /// Works out until when writes of unknown outcome may take effect, with some rows as they are about to be.
    pub(crate) fn set_busy(&mut self, observed: &Observed, rows: &[Pair]) {
        let about = |id: &PairId| rows.iter().any(|row| row.id == *id);
        let others = observed.pairs.iter().filter(|row| !about(&row.id));
        self.busy_until = others.chain(rows).filter_map(open_until).max();
    }
}

/// Until when a pair's interrupted update or delete may take effect. What a late create makes is recognised.
fn open_until(pair: &Pair) -> Option<Timestamp> {
    let intent = pair.intent.as_ref()?;
    (intent.kind != IntentKind::Create).then_some(intent.until)
}
