//! What a run would do, without doing it.

use std::collections::BTreeSet;

use serde::Serialize;
use tandem_core::copies::{Matching, Tolerance};
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Recorded, Step};
use tandem_core::rules::Rules;
use tandem_core::{
    AccountId, ConnectionName, Content, IssueId, LinkKey, PairId, Reason, Side, Sides, WorklogId,
};

use super::guess;
use crate::backfill::estimate::free_matching;
use crate::decided::policy_of;
use crate::error::EngineError;
use crate::gate::Asking;
use crate::options::{Connection, Engine};
use crate::ports::SiteClient;
use crate::ports::site::LISTED_MAX;
use crate::ports::store::{DueKey, Lane};
use crate::sweep::Feed;

/// Worklogs that a link misses of which it is asked where they are: as many as a run asks about.
const MISSING_MAX: usize = 20;

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposedOp {
    /// A worklog would be made.
    Create,
    /// A worklog would be changed.
    Update,
    /// A worklog would be deleted.
    Delete,
    /// Something would be set aside.
    Park,
}

impl ProposedOp {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProposedOp::Create => "create",
            ProposedOp::Update => "update",
            ProposedOp::Delete => "delete",
            ProposedOp::Park => "park",
        }
    }
}

/// One write that a run would make, or one worklog that it would set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The connection.
    pub connection: ConnectionName,
    /// The link.
    #[serde(skip)]
    pub link: LinkKey,
    /// The side that would be written to.
    pub side: Side,
    /// What would be done.
    pub op: ProposedOp,
    /// The worklog that it would be done to; `None` for a new one.
    pub worklog: Option<WorklogId>,
    /// The worklog on the other side that it follows, if any.
    pub source: Option<WorklogId>,
    /// The issue that would be written to; shown by its key where that is known.
    #[serde(skip)]
    pub issue: IssueId,
    /// What the worklog says now.
    pub before: Option<Content>,
    /// The side that says so.
    #[serde(skip)]
    pub before_on: Side,
    /// What it would say.
    pub after: Option<Content>,
    /// Why; for something set aside, the reason code and what is wrong.
    pub reason: String,
    /// The policy that decides it, where one does, as it is written in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'static str>,
    /// For a create: worklogs on that side which another tool may have made of the same one. `backfill --adopt` pairs it
    /// where it is clear which; a run copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub looks_like: Vec<WorklogId>,
    /// For a create: its author, of whom nobody has asked yet whether the other site knows them (see
    /// [`Engine::strangers`]).
    #[serde(skip)]
    pub guess: Option<AccountId>,
    /// Values that lose a conflict: the field, the side and the value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<String>,
}

impl Proposal {
    /// What it tells of the worklog and its twin, and the side on which the author is known.
    pub fn contents(&self) -> impl Iterator<Item = (Side, &Content)> {
        let before = self.before.iter().map(|content| (self.before_on, content));
        before.chain(self.after.iter().map(|content| (self.after_on(), content)))
    }

    /// The side on which the author is known of whom `after` tells.
    pub fn after_on(&self) -> Side {
        match (self.op, &self.guess) {
            // Nothing would be written, and that is what the other side says; or nobody has asked yet whether this one
            // knows them.
            (ProposedOp::Park, _) | (_, Some(_)) => self.side.other(),
            (_, None) => self.side,
        }
    }
}

impl Engine {
    /// Reads what was deleted since the last sweep, so that it is known as deleted and not just as missing. Meant
    /// for an engine whose store is [`ReadOnly`](crate::operator::ReadOnly).
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn deletes_ahead(&self) -> Result<(), EngineError> {
        for site in self.sites.values() {
            if self.connections_of(&site.name).next().is_some() {
                self.unhurried(async || self.sweep_deletes(site, Lane::Sweep, Feed::InTurn).await)
                    .await?;
            }
        }
        Ok(())
    }

    /// Returns the links of a connection that have worklogs or pairs, looking for those not known yet. Meant for
    /// an engine whose store is [`ReadOnly`](crate::operator::ReadOnly).
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn links_ahead(&self, connection: &Connection) -> Result<BTreeSet<LinkKey>, EngineError> {
        self.unhurried(async || self.link_tables(Lane::Sweep).await)
            .await?;
        let asking = Asking::patiently(Lane::Sweep);
        let mut links = BTreeSet::new();
        let since = self.since(connection).await?;
        for side in Side::BOTH {
            let site = self.site_of(connection, side)?;
            let mut seen = BTreeSet::new();
            let mut offset = 0;
            while offset < LISTED_MAX {
                let list = async |client: &dyn SiteClient| client.list_dates(since, None, offset).await;
                let page = self.ask(site, asking, list).await?;
                let issues = page.rows.iter().map(|worklog| worklog.issue);
                let new = issues.filter(|issue| seen.insert(*issue)).collect();
                let found = self.links_of(connection, side, &new, asking).await?;
                links.extend(found.into_values());
                match page.next {
                    Some(next) if next > offset => offset = next,
                    _ => break,
                }
            }
        }
        let mut left_out = BTreeSet::new();
        let mut cursor = None;
        loop {
            let (rows, next) = self.store.links(&connection.name, cursor).await?;
            let outside = rows.iter().filter(|row| row.outside.is_some());
            left_out.extend(outside.map(|row| row.key.clone()));
            links.extend(rows.into_iter().map(|row| row.key));
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        links.retain(|link| !left_out.contains(link));
        Ok(links)
    }

    /// Returns an issue's link, looking for it if need be; none where it is outside the scope.
    ///
    /// # Errors
    /// When a site or the table fails.
    pub async fn link_ahead(
        &self,
        connection: &Connection,
        side: Side,
        issue: IssueId,
    ) -> Result<Option<LinkKey>, EngineError> {
        let asking = Asking::patiently(Lane::Sweep);
        let mut links = self
            .links_of(connection, side, &BTreeSet::from([issue]), asking)
            .await?;
        match links.remove(&issue) {
            Some(link) if self.is_outside(connection, &link).await? => Ok(None),
            link => Ok(link),
        }
    }

    /// Returns what a run of a link would write, in the order in which it would. Each step is taken as done, so that
    /// what follows from it is seen too. Where the link as a whole would be set aside, and is not yet, that is the one step.
    ///
    /// # Errors
    /// As a run would fail, if it would be tried again.
    pub async fn proposals(
        &self,
        connection: &Connection,
        link: &LinkKey,
        planned: &BTreeSet<LinkKey>,
    ) -> Result<Vec<Proposal>, EngineError> {
        let look = async || self.look_ahead(connection, link).await;
        let mut observed = match self.unhurried(look).await {
            Ok(observed) => observed,
            Err(error) => return self.propose_wait(connection, link, error).await,
        };
        let copies = free_matching(&observed, &Tolerance::default(), connection);
        let mut steps = Vec::new();
        self.rehearse(connection, &mut observed, |step| steps.push(step.clone()))
            .await?;
        let missing = |step: &&Step| {
            let wait = step.pair.wait.as_ref().map(|wait| wait.reason);
            step.action == Action::Record(Recorded::Park) && wait == Some(Reason::Missing)
        };
        // A pass does not end with what is missing for a moment alone. Of a pair that has just come here from another
        // link, the next look knows what became of its twin.
        let missed: BTreeSet<PairId> = steps
            .iter()
            .filter(missing)
            .map(|step| step.pair.id.clone())
            .collect();
        let came =
            |step: &Step| step.action == Action::Record(Recorded::Move) && missed.contains(&step.pair.id);
        let mut explained = BTreeSet::new();
        let first = steps.len();
        if steps.iter().any(came) {
            let look = async || {
                let mut again = observed.clone();
                self.gather_proofs(connection, &mut again, Lane::Sweep).await?;
                again.brake = self.brake(connection, &again).await?;
                Ok(again)
            };
            observed = self.unhurried(look).await?;
            self.rehearse(connection, &mut observed, |step| {
                explained.insert(step.pair.id.clone());
                steps.push(step.clone());
            })
            .await?;
        }
        // And what one link misses until another has taken it in waits no more after that, whichever came first.
        let mut asked = 0;
        let mut proposals = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            if missing(&step) {
                asked += 1;
                let ids = &step.pair.ids;
                if place < first && explained.contains(&step.pair.id) {
                    continue;
                }
                // Of one that is not planned here, nothing would tell what becomes of it.
                if asked <= MISSING_MAX
                    && let Some(other) = self.other_link_of(connection, &observed, ids).await?
                    && planned.contains(&other)
                {
                    continue;
                }
            }
            let rules = &connection.settings.rules;
            proposals.extend(propose(step, link, rules).map(|proposal| Proposal {
                guess: guess(step, rules, &observed.lookups).map(|(_, author)| author),
                ..proposal
            }));
        }
        for proposal in proposals.iter_mut().filter(|one| one.op == ProposedOp::Create) {
            if let Some(source) = proposal.source {
                proposal.looks_like = look_alikes(&copies, proposal.side, source);
            }
        }
        Ok(proposals)
    }

    /// Proposes to set a link aside for what a look at it failed with. What waits for that already is in the queue, and no
    /// run would do anything about it.
    async fn propose_wait(
        &self,
        connection: &Connection,
        link: &LinkKey,
        failure: EngineError,
    ) -> Result<Vec<Proposal>, EngineError> {
        let (Some(site), Some(reason)) = (failure.parked_by(), failure.reason()) else {
            return Err(failure);
        };
        let row = self.store.due_row(&DueKey::Link(link.clone())).await?;
        if row.is_some_and(|row| row.reason == Some(reason)) {
            return Ok(Vec::new());
        }
        let side = connection.side(site).unwrap_or(Side::A);
        Ok(vec![Proposal {
            connection: link.connection.clone(),
            link: link.clone(),
            side,
            op: ProposedOp::Park,
            worklog: None,
            source: None,
            issue: link.issue(side),
            before: None,
            before_on: side,
            after: None,
            reason: format!("{reason}: {}", failure.detail()),
            policy: None,
            looks_like: Vec::new(),
            guess: None,
            loses: Vec::new(),
        }])
    }

    /// Returns the other link to which what this one misses of two worklogs has moved; none where each went to one of its
    /// own: it depends on which of these comes first what becomes of them.
    async fn other_link_of(
        &self,
        connection: &Connection,
        observed: &Observed,
        ids: &Sides<Option<WorklogId>>,
    ) -> Result<Option<LinkKey>, EngineError> {
        let mut links = BTreeSet::new();
        for side in Side::BOTH {
            let Some(id) = ids[side].filter(|id| observed.worklog(side, *id).is_none()) else {
                continue;
            };
            let site = self.site_of(connection, side)?;
            let ask = async || {
                let worklog = async |client: &dyn SiteClient| client.worklog(id).await;
                self.call(site, Lane::Sweep, worklog).await
            };
            if let Some(worklog) = self.unhurried(ask).await? {
                links.extend(self.link_ahead(connection, side, worklog.issue).await?);
            }
        }
        links.remove(&observed.link);
        Ok(links.pop_first().filter(|_| links.is_empty()))
    }
}

/// The worklogs on a side that may be copies of one on the other side, or the other way round.
fn look_alikes(copies: &Matching, side: Side, source: WorklogId) -> Vec<WorklogId> {
    let likely = copies
        .likely
        .iter()
        .filter(|likely| likely.ids[side.other()] == source)
        .map(|likely| likely.ids[side]);
    let ambiguous = copies
        .ambiguous
        .iter()
        .filter(|group| group[side.other()].contains(&source))
        .flat_map(|group| group[side].iter().copied());
    likely.chain(ambiguous).collect()
}

fn propose(step: &Step, link: &LinkKey, rules: &Rules) -> Option<Proposal> {
    let pair = &step.pair;
    let mut before_on = step.side();
    let (side, op, worklog, issue, before, after, reason) = match &step.action {
        Action::Record(Recorded::Park) => {
            let wait = pair.wait.as_ref()?;
            let side = wait.side;
            let worklog = pair.ids[side].or(pair.ids[side.other()]);
            let reason = format!("{}: {}", wait.reason, wait.detail);
            let said = |side: Side| {
                let agreed = pair.base.as_ref().map(|base| &base[side]);
                wait.tried[side].as_ref().or(agreed).cloned()
            };
            // What is set aside; in a conflict also what the other side says instead.
            let (before, after) = match wait.reason {
                Reason::Conflict => (said(side), said(side.other())),
                _ => (said(side).or_else(|| said(side.other())), None),
            };
            let is_own = wait.reason == Reason::Conflict || said(side).is_some();
            before_on = Some(if is_own { side } else { side.other() });
            (
                side,
                ProposedOp::Park,
                worklog,
                link.issue(side),
                before,
                after,
                reason,
            )
        }
        Action::Record(_) => return None,
        Action::Create { side, body, .. } => {
            let issue = pair.link.issue(*side);
            (
                *side,
                ProposedOp::Create,
                None,
                issue,
                None,
                Some(body.clone()),
                step.cause.clone(),
            )
        }
        Action::Update {
            side,
            worklog,
            before,
            body,
            ..
        } => {
            let issue = pair.strays[*side].unwrap_or_else(|| pair.link.issue(*side));
            let (before, after) = (Some(before.clone()), Some(body.clone()));
            (
                *side,
                ProposedOp::Update,
                Some(*worklog),
                issue,
                before,
                after,
                step.cause.clone(),
            )
        }
        Action::Delete {
            side,
            worklog,
            issue,
            before,
            ..
        } => (
            *side,
            ProposedOp::Delete,
            Some(*worklog),
            *issue,
            Some(before.clone()),
            None,
            step.cause.clone(),
        ),
    };
    let source = pair.ids[side.other()];
    let connection = link.connection.clone();
    Some(Proposal {
        connection,
        link: link.clone(),
        side,
        op,
        worklog,
        source,
        issue,
        before,
        before_on: before_on.unwrap_or(side),
        after,
        reason,
        policy: policy_of(step, rules),
        looks_like: Vec::new(),
        guess: None,
        loses: step
            .lost
            .iter()
            .map(|lost| format!("{} on {}: {}", lost.field, lost.side, lost.value))
            .collect(),
    })
}
