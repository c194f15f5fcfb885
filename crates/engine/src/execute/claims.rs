//! What is recorded so that chains of connections make one copy of a worklog: origins, claims, and what a move leaves.

use jiff::{SignedDuration, Timestamp};
use tandem_core::observed::Observed;
use tandem_core::plan::{Action, Step};
use tandem_core::{AccountId, Intent, IntentKind, Pair, PairState, Side, WorklogId};

use super::{ECHO_FOR, JIRA_ECHO_FOR, Run, UNKNOWN_ECHO_FOR};
use crate::echo;
use crate::error::EngineError;
use crate::ports::store::{Claim, Echo, Op, Origin, Root};

impl Run<'_> {
    /// What is written where a worklog stands that was to be taken away for a move: from then on it is a person's again to
    /// delete.
    async fn stands(&self, side: Side, worklog: WorklogId) -> Result<Option<Op>, EngineError> {
        let site = self.connection.sites[side].clone();
        let known = self.engine.store.origins(&[(site.clone(), worklog)]).await?;
        let marked = known.into_iter().find(|(_, origin)| origin.moved_away);
        Ok(marked.map(|(_, mut origin)| {
            origin.moved_away = false;
            Op::PutOrigin {
                site,
                worklog,
                origin,
            }
        }))
    }

    /// The same for a step whose write had no effect.
    pub(super) async fn stands_still(&self, step: &Step) -> Result<Option<Op>, EngineError> {
        match &step.action {
            Action::Delete {
                side,
                worklog,
                moves: true,
                ..
            } => self.stands(*side, *worklog).await,
            _ => Ok(None),
        }
    }

    /// The same for what a row was to have deleted, and is listed when it is not to be any more.
    pub(super) async fn stand_again(
        &self,
        row: &Pair,
        next: &Pair,
        observed: &Observed,
    ) -> Result<Option<Op>, EngineError> {
        let deletes = |pair: &Pair| {
            let intent = pair.intent.as_ref()?;
            (intent.kind == IntentKind::Delete).then_some(intent.side)
        };
        let Some(side) = deletes(row).filter(|_| deletes(next).is_none() && next.state == PairState::Live)
        else {
            return Ok(None);
        };
        match next.ids[side].filter(|id| row.ids[side] == Some(*id) && observed.worklog(side, *id).is_some())
        {
            Some(worklog) => self.stands(side, worklog).await,
            None => Ok(None),
        }
    }

    /// What lets other connections make a copy that this one set out to make and will not.
    pub(super) async fn unclaimed(&self, pair: &Pair) -> Result<Option<Op>, EngineError> {
        for side in Side::BOTH {
            let is_of_side = |intent: &Intent| intent.side == side && intent.kind == IntentKind::Create;
            let (None, Some(id)) = (pair.ids[side], pair.ids[side.other()]) else {
                continue;
            };
            // Where the pair is left, its copy was taken away, and the issue that its worklog is on now may be another
            // connection's.
            let is_left = pair.state == PairState::Left;
            if is_left || pair.abandoned.iter().any(is_of_side) {
                let root = self.root_of(side.other(), id).await?;
                let (site, roots) = (&self.connection.sites[side], std::slice::from_ref(&root));
                let known = self.engine.store.claims(site, roots).await?;
                let is_ours = |claim: &Claim| {
                    claim.connection == self.connection.name && (is_left || claim.worklog.is_none())
                };
                if known.iter().any(|(_, claim)| is_ours(claim)) {
                    return Ok(self.give_up_claim(pair, Some(root), side));
                }
            }
        }
        Ok(None)
    }

    /// The worklog at the start of the chain that one is in.
    async fn root_of(&self, side: Side, id: WorklogId) -> Result<Root, EngineError> {
        let site = self.connection.sites[side].clone();
        let known = self.engine.store.origins(&[(site.clone(), id)]).await?;
        let own = Root { site, worklog: id };
        Ok(known.into_iter().next().map_or(own, |(_, origin)| origin.root))
    }

    /// The worklog at the start of the chain that a write carries on.
    pub(super) async fn root(&self, step: &Step, side: Side) -> Result<Option<Root>, EngineError> {
        let from = side.other();
        let source = match &step.action {
            Action::Create { .. } => step.pair.ids[from],
            Action::Update { .. } | Action::Delete { moves: true, .. } => step.pair.ids[side],
            _ => None,
        };
        let at = if matches!(step.action, Action::Create { .. }) {
            from
        } else {
            side
        };
        let Some(id) = source else { return Ok(None) };
        self.root_of(at, id).await.map(Some)
    }

    /// What is written with the intent of a step. `None` where another connection makes that copy.
    pub(crate) async fn intent_ops(
        &self,
        step: &Step,
        side: Side,
        row: &Pair,
        root: Option<&Root>,
        now: Timestamp,
        observed: &Observed,
    ) -> Result<Option<Vec<Op>>, EngineError> {
        let site = &self.connection.sites[side];
        let mut ops = vec![Op::PutPair(Box::new(row.clone()))];
        let echo =
            |mark: String, worklog: Option<WorklogId>, author: Option<AccountId>, lasts: SignedDuration| {
                Op::PutEcho(Echo {
                    site: site.clone(),
                    mark,
                    connection: self.connection.name.clone(),
                    worklog,
                    author,
                    updated_at: None,
                    expires: now + lasts,
                })
            };
        match &step.action {
            Action::Create { body, .. } | Action::Update { body, .. } => {
                let issue = row.strays[side].unwrap_or_else(|| row.link.issue(side));
                let worklog = row.ids[side];
                let author = Some(body.author.clone());
                let text = &body.description;
                let tempo =
                    echo::tempo_mark(issue, &body.author, body.start_date, body.time_spent_secs, text);
                ops.push(echo(tempo, worklog, author.clone(), ECHO_FOR));
                ops.push(echo(
                    echo::jira_mark(issue, body.time_spent_secs, text),
                    worklog,
                    author,
                    JIRA_ECHO_FOR,
                ));
            }
            Action::Delete { worklog, issue, .. } => {
                ops.push(echo(
                    echo::tempo_deleted_mark(*worklog),
                    Some(*worklog),
                    None,
                    ECHO_FOR,
                ));
                let known = self.engine.store.jira_ids(site, &[*worklog]).await?;
                // So soon that its Jira id is still to be learned: then the issue is all there is to know it by.
                let (mark, lasts) = match known.first() {
                    Some((_, jira)) => (echo::jira_deleted_mark(*jira), ECHO_FOR),
                    None => (echo::unknown_jira_deleted_mark(*issue), UNKNOWN_ECHO_FOR),
                };
                ops.push(echo(mark, Some(*worklog), None, lasts));
            }
            Action::Record(_) => {}
        }
        if let (
            Action::Delete {
                worklog, moves: true, ..
            },
            Some(root),
        ) = (&step.action, root)
        {
            // Before the delete, so that no other connection ever takes it for a person's. What else is known of it is kept:
            // the delete may come to nothing.
            let known = self.engine.store.origins(&[(site.clone(), *worklog)]).await?;
            let known = known.into_iter().next().map(|(_, origin)| origin);
            let (written_updated_at, edited_at) = match known {
                Some(origin) => (origin.written_updated_at, origin.edited_at),
                None => (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
            };
            let origin = Origin {
                root: root.clone(),
                written_updated_at,
                edited_at,
                moved_away: true,
            };
            ops.push(Op::PutOrigin {
                site: site.clone(),
                worklog: *worklog,
                origin,
            });
        }
        if let (Action::Create { .. }, Some(root)) = (&step.action, root) {
            ops.extend(self.places(row, None));
            let Some(claim) = self.claim(row, side, root, observed).await? else {
                return Ok(None);
            };
            ops.push(claim);
        }
        Ok(Some(ops))
    }

    /// Claims a root's copy on a side, which `None` says that another connection has or makes. A copy of another
    /// connection that was deleted is made again only where an edit of its twin brings it back.
    async fn claim(
        &self,
        row: &Pair,
        side: Side,
        root: &Root,
        observed: &Observed,
    ) -> Result<Option<Op>, EngineError> {
        let site = self.connection.sites[side].clone();
        let mut instead_of = None;
        if self.contested || self.engine.is_shared(self.connection, side) {
            let known = self
                .engine
                .store
                .claims(&site, std::slice::from_ref(root))
                .await?;
            let theirs = known.into_iter().map(|(_, claim)| claim);
            let theirs = theirs.filter(|claim| claim.connection != self.connection.name);
            for claim in theirs {
                let known = observed.pairs.iter().find(|known| known.id == row.id);
                let had_twin = row.had_twin() || known.is_some_and(Pair::had_twin);
                let engine = self.engine;
                if !engine
                    .may_take_over(self.connection, side, observed, &claim, had_twin)
                    .await?
                {
                    return Ok(None);
                }
                instead_of = Some(claim);
            }
        }
        Ok(Some(Op::PutClaim {
            root: root.clone(),
            site,
            claim: Claim {
                connection: self.connection.name.clone(),
                worklog: None,
            },
            instead_of,
        }))
    }

    /// Lets another connection of a ring make the copy that this one could not.
    pub(crate) fn give_up_claim(&self, row: &Pair, root: Option<Root>, side: Side) -> Option<Op> {
        let root = root.filter(|_| row.ids[side].is_none())?;
        let (site, connection) = (self.connection.sites[side].clone(), self.connection.name.clone());
        Some(Op::DropClaim {
            root,
            site,
            connection,
        })
    }
}
