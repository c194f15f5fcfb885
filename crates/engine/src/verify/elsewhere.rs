//! What the table knows of worklogs that no pair of their issue joins with another.

use std::collections::BTreeMap;

use tandem_core::{LinkKey, PairState, Side, WorklogId};

use super::{Difference, Kind, Lead};
use crate::error::EngineError;
use crate::options::{Connection, Engine};

impl Engine {
    /// Says of worklogs of a link that stand alone whose twins they are, where that is another link's to know: they came here
    /// from there.
    pub(super) async fn look_elsewhere(
        &self,
        connection: &Connection,
        link: &LinkKey,
        differences: &mut [Difference],
    ) -> Result<(), EngineError> {
        for (side, kind) in [(Side::A, Kind::OnlyInA), (Side::B, Kind::OnlyInB)] {
            let mut alone: BTreeMap<WorklogId, &mut Difference> = differences
                .iter_mut()
                .filter(|one| one.kind == kind && one.reason.is_none())
                .filter(|one| matches!(one.lead, Lead::Unpaired | Lead::Early))
                .filter_map(|one| {
                    let entry = if side == Side::A { &one.a } else { &one.b };
                    Some((entry.as_ref()?.worklog, one))
                })
                .collect();
            if alone.is_empty() {
                continue;
            }
            let ids: Vec<WorklogId> = alone.keys().copied().collect();
            let site = &connection.sites[side];
            for place in self.store.whereabouts(&connection.name, site, &ids).await? {
                if place.state != PairState::Live || place.link == *link {
                    continue;
                }
                let (Some(pair), Some(one)) = (
                    self.store.pair(&place.link, &place.pair).await?,
                    alone.get_mut(&place.worklog),
                ) else {
                    continue;
                };
                // A rival of one that waits no longer is nobody's.
                if place.rival && !pair.rivals.contains(&place.worklog) {
                    continue;
                }
                one.reason = pair.wait.as_ref().map(|wait| wait.reason);
                let Some(worklog) = pair.ids[side.other()].filter(|_| !place.rival) else {
                    continue;
                };
                // It is the twin that moved, where this one was left behind.
                let is_left = pair.strays[side].is_some();
                let side = side.other();
                one.lead = match is_left {
                    true => Lead::Unlisted { side, worklog },
                    false => Lead::Moved { side, worklog },
                };
            }
        }
        Ok(())
    }
}
