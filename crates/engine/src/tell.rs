//! What a run tells whoever counts.

use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Step};
use tandem_core::{IntentKind, Pair};

use crate::execute::Run;
use crate::ports::Happened;
use crate::ports::store::{AUDIT, DueRow};

impl Run<'_> {
    /// Takes note of what waits already, so that it is not told of once more.
    pub(crate) fn notice_waits(&mut self, observed: &Observed) {
        let waiting = observed.pairs.iter();
        self.report.waits = waiting
            .filter_map(|pair| Some((pair.id.clone(), pair.wait.as_ref()?.reason)))
            .collect();
    }

    /// Tells of a pair that was set aside, unless it waited for the same reason before. To be called once it is
    /// recorded.
    pub(crate) fn tell_parked(&mut self, pair: &Pair) {
        if self.is_newly_parked(pair) && is_drift(self.taken) {
            self.engine.observer.happened(Happened::DriftFound);
        }
    }

    /// Tells of a write that a site took and that is recorded.
    pub(crate) fn tell_written(&mut self, step: &Step, pair: &Pair) {
        let kind = match &step.action {
            Action::Create { .. } => IntentKind::Create,
            Action::Update { .. } => IntentKind::Update,
            Action::Delete { .. } => IntentKind::Delete,
            Action::Record(_) => return,
        };
        let waited = self.report.waits.contains_key(&pair.id);
        let observer = &self.engine.observer;
        observer.happened(Happened::Synced(kind));
        if is_drift(self.taken) && !waited {
            observer.happened(Happened::DriftFound);
            observer.happened(Happened::DriftRepaired);
        }
        self.is_newly_parked(pair);
    }

    fn is_newly_parked(&mut self, pair: &Pair) -> bool {
        let Some(wait) = &pair.wait else {
            self.report.waits.remove(&pair.id);
            return false;
        };
        let known = self.report.waits.insert(pair.id.clone(), wait.reason);
        let is_new = known != Some(wait.reason);
        if is_new {
            self.engine.observer.happened(Happened::Parked(wait.reason));
        }
        is_new
    }
}

/// Says whether an audit was the only one to ask for this look. Whoever else did left another trace, or a hint that
/// has none.
fn is_drift(row: &DueRow) -> bool {
    let hints = row.plain_hints + row.announced.len() as u64;
    !row.traces.is_empty()
        && row.traces.iter().all(|trace| trace == AUDIT)
        && hints == row.traces.len() as u64
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ports::store::{DueKey, Lane};

    #[test]
    fn what_anybody_else_told_of_has_not_drifted() {
        let row = |traces: &[&str], plain_hints| DueRow {
            key: DueKey::Learn { site: "a".into() },
            generation: 1,
            since: Timestamp::UNIX_EPOCH,
            next_attempt: Timestamp::UNIX_EPOCH,
            attempts: 0,
            lane: Lane::Sweep,
            announced: Vec::new(),
            plain_hints,
            force: true,
            reason: None,
            detail: None,
            quiet: false,
            traces: traces.iter().map(|trace| (*trace).to_owned()).collect(),
            owner: None,
            lease_until: None,
        };
        assert!(is_drift(&row(&[AUDIT], 1)));
        assert!(is_drift(&row(&[AUDIT, AUDIT], 2)));
        for (traces, hints) in [
            (&[][..], 1),
            (&[AUDIT][..], 2),
            (&["5d41402abc4b2a76", AUDIT][..], 2),
        ] {
            assert!(!is_drift(&row(traces, hints)), "{traces:?} {hints}");
        }
    }
}
