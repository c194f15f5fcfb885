//! Bringing a deleted worklog back: on the side where it began, from where a run takes it across.
//!
//! A row of its own, under the link and never alive, says that it was asked for and what is written. So a
//! second call, or one after a crash, finds what the first one made instead of making another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::{SignedDuration, Timestamp};
use tandem_core::rules::Rules;
use tandem_core::{
    Content, Intent, IntentKind, IssueId, LinkKey, Pair, PairId, PairState, Side, Sides, Worklog, WorklogId,
    merge, twin,
};
use tracing::info;

use crate::error::EngineError;
use crate::forget::is_forgotten;
use crate::options::{Connection, Engine, Site};
use crate::ports::Grounds;
use crate::ports::site::Outcome;
use crate::ports::store::{Committed, DueKey, HistoryRow, Lane, Op, Root};
use crate::run::began_on;

/// How long a create may take altogether; the client's deadline is shorter.
const ATTEMPT: SignedDuration = SignedDuration::from_secs(40);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undeleted {
    /// It is back: this worklog on this side; a run brings the other side along.
    Back {
        /// The side.
        side: Side,
        /// The worklog.
        worklog: WorklogId,
    },
    /// It was brought back before.
    Already {
        /// The side.
        side: Side,
        /// The worklog.
        worklog: WorklogId,
    },
    /// The site did not say whether it was made. Calling again looks for it first.
    Unknown {
        /// What happened.
        what: String,
        /// From when on another call may make it anew.
        until: Timestamp,
    },
    /// The line is not a delete that can be undone, and why.
    Not(String),
}

impl Engine {
    /// Brings a worklog back whose delete is in the history. Exactly once, however often it is called.
    ///
    /// # Errors
    /// When the site refuses, or the table fails.
    pub async fn undelete(&self, line: &HistoryRow) -> Result<Undeleted, EngineError> {
        self.undelete_for(line, "a person").await
    }

    /// The same, with who asked for it in the history.
    ///
    /// # Errors
    /// When the site refuses, or the table fails.
    pub async fn undelete_for(&self, line: &HistoryRow, by: &str) -> Result<Undeleted, EngineError> {
        let undoable = match self.undoable(line).await? {
            Ok(undoable) => undoable,
            Err(done) => return Ok(done),
        };
        if let Some((site, worklog)) = self.stands(&undoable).await? {
            return Ok(Undeleted::Not(format!(
                "{} of {} was not deleted: it stands on issue {} there; link that issue, or move it back",
                worklog.id, site.name, worklog.issue
            )));
        }
        self.bring_back(undoable, by).await
    }

    /// Says why a line cannot be undone, or that it was; `None` when [`Engine::undelete_for`] would bring a worklog
    /// back. Writes nothing.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn undelete_ahead(&self, line: &HistoryRow) -> Result<Option<Undeleted>, EngineError> {
        Ok(self.undoable(line).await?.err())
    }

    /// Of deletes of the same work, as it was known in several connections of a chain or a ring, keeps one: what it
    /// brings back goes to the other sites by itself.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn one_for_each(&self, lines: Vec<HistoryRow>) -> Result<Vec<HistoryRow>, EngineError> {
        let site =
            |line: &HistoryRow, side: Side| Some(self.connection(&line.connection)?.sites[side].clone());
        let mut kept: BTreeMap<Root, HistoryRow> = BTreeMap::new();
        let mut rest = Vec::new();
        for line in lines {
            let (Some(site_of_line), Some(worklog)) = (site(&line, line.side), line.worklog) else {
                rest.push(line);
                continue;
            };
            let origins = self.store.origins(&[(site_of_line.clone(), worklog)]).await?;
            let root = origins.into_iter().next().map_or(
                Root {
                    site: site_of_line,
                    worklog,
                },
                |(_, origin)| origin.root,
            );
            let began = |line: &HistoryRow| began_on(&line.pair).and_then(|side| site(line, side));
            let is_first = began(&line).as_ref() == Some(&root.site);
            match kept.entry(root) {
                Entry::Vacant(free) => drop(free.insert(line)),
                // It comes back where it began.
                Entry::Occupied(mut known) if is_first => drop(known.insert(line)),
                Entry::Occupied(_) => {}
            }
        }
        rest.extend(kept.into_values());
        rest.sort_by(|left, right| (left.time, &left.id).cmp(&(right.time, &right.id)));
        Ok(rest)
    }

    async fn undoable(&self, line: &HistoryRow) -> Result<Result<Undoable<'_>, Undeleted>, EngineError> {
        let not = |why: &str| Ok(Err(Undeleted::Not(why.to_owned())));
        let Some(connection) = self.connection(&line.connection) else {
            return not(&format!(
                "the connection {} is not configured any more",
                line.connection
            ));
        };
        if line.op != "delete" {
            return not(&format!("a line `{}` deleted nothing", line.op));
        }
        let Some(link) = &line.link else {
            return not("it names no issues");
        };
        if self.store.link(link).await?.is_none() {
            return not("its issues are not linked any more");
        }
        let Some(gone) = self.store.pair(link, &line.pair).await? else {
            return not("the pair is not remembered any more");
        };
        if gone.state == PairState::Live {
            return not("the worklog is not deleted");
        }
        let Some((side, body)) = what_to_write(line, &gone, &connection.settings.rules) else {
            return not("what it said is not remembered any more");
        };
        if is_forgotten(&body) {
            return not("whose time it was is forgotten");
        }
        let id = PairId::new(format!("undelete-{}", gone.id));
        let row = match self.store.pair(link, &id).await? {
            Some(row) => row,
            None => Pair {
                state: PairState::Gone,
                ..half(&id, link)
            },
        };
        // Not in `ids`: a worklog that a pair has is no news, and this one is to begin a pair of its own.
        if let Some(worklog) = row.intent.as_ref().and_then(|intent| intent.worklog) {
            return Ok(Err(Undeleted::Already { side, worklog }));
        }
        Ok(Ok(Undoable {
            connection,
            side,
            body,
            row,
            base: gone.base,
            left: match gone.state {
                PairState::Left => gone.ids,
                _ => Sides::new(None, None),
            },
        }))
    }

    /// Finds the worklog whose twin was deleted where it stands after all: it moved away, or its site was told to have
    /// deleted it and shows it. Another one beside it would double its hours.
    async fn stands(&self, what: &Undoable<'_>) -> Result<Option<(&Site, Worklog)>, EngineError> {
        for side in Side::BOTH {
            let Some(id) = what.left[side] else { continue };
            let site = self.site_of(what.connection, side)?;
            let asked = self
                .call(site, Lane::Live, async |client| client.worklog(id).await)
                .await?;
            if let Some(worklog) = asked {
                return Ok(Some((site, worklog)));
            }
        }
        Ok(None)
    }

    async fn bring_back(&self, what: Undoable<'_>, by: &str) -> Result<Undeleted, EngineError> {
        let Undoable {
            connection,
            side,
            body,
            row,
            base,
            left: _,
        } = what;
        let told = (base.as_ref(), by);
        let site = self.site_of(connection, side)?;
        let issue = row.link.issue(side);
        let now = self.clock.now();
        if let Some(intent) = &row.intent {
            // An earlier call does not know what became of it. What stands on the issue tells.
            let listed = self.list(connection, side, issue, Lane::Live).await?.0;
            let timeless = self.is_timeless(connection, side, Lane::Live).await?;
            let may_be = |worklog: &&Worklog| {
                twin::is_since(intent, worklog) && twin::may_have_become(&intent.body, worklog, timeless)
            };
            let since: Vec<&Worklog> = listed.values().filter(may_be).collect();
            let made = match twin::made_by(intent, &since, timeless, |_| false) {
                twin::Made::One(made) => listed.get(&made),
                // Of several that may be it, each is as good as the others.
                twin::Made::Several(made) => made.first().and_then(|made| listed.get(made)),
                twin::Made::None => None,
            };
            if let Some(worklog) = made {
                self.remember_back(connection, row, side, worklog, told).await?;
                return Ok(Undeleted::Back {
                    side,
                    worklog: worklog.id,
                });
            }
            let until = intent.until + connection.settings.grace;
            if now < until {
                let what = "an earlier attempt may still show itself".to_string();
                return Ok(Undeleted::Unknown { what, until });
            }
        }
        let remaining = self.remaining_estimate(site, issue, Lane::Live).await?;
        self.pass(site, Lane::Live).await?;
        let now = self.clock.now();
        let mut row = row;
        row.intent = Some(intent(side, issue, &body, now));
        row.rev += 1;
        if self
            .store
            .commit(vec![Op::PutPair(Box::new(row.clone()))])
            .await?
            == Committed::Lost
        {
            return Err(EngineError::Lost);
        }
        match self
            .sent(site, async |client| client.create(issue, &body, remaining).await)
            .await
        {
            Ok(worklog) => {
                self.remember_back(connection, row, side, &worklog, told).await?;
                Ok(Undeleted::Back {
                    side,
                    worklog: worklog.id,
                })
            }
            Err(error) if error.outcome == Outcome::Unknown => Ok(Undeleted::Unknown {
                what: error.to_string(),
                until: now + ATTEMPT + connection.settings.grace,
            }),
            Err(error) => {
                row.intent = None;
                row.rev += 1;
                self.store.commit(vec![Op::PutPair(Box::new(row))]).await?;
                Err(EngineError::site(&site.name, error))
            }
        }
    }

    /// Writes down which worklog it is, and has the link looked at. The worklog itself is like one that a person
    /// logged: the run that sees it begins a pair of its own. So this row holds its id aside, not as a pair's.
    async fn remember_back(
        &self,
        connection: &Connection,
        mut row: Pair,
        side: Side,
        worklog: &Worklog,
        (base, by): (Option<&Sides<Content>>, &str),
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        if let Some(intent) = &mut row.intent {
            intent.worklog = Some(worklog.id);
        }
        row.rev += 1;
        let link = row.link.clone();
        let line = HistoryRow {
            id: format!("{:013}-{}-{}", now.as_millisecond(), row.id, row.rev),
            time: now,
            connection: connection.name.clone(),
            link: Some(link.clone()),
            op: "undelete".into(),
            side,
            issue: Some(link.issue(side)),
            worklog: Some(worklog.id),
            pair: row.id.clone(),
            cause: format!("{by} asked for it"),
            before: None,
            after: Some(worklog.content.clone()),
            trace: None,
            grounds: Some(Grounds::of(
                (None, Some(&worklog.content)),
                Sides::default(),
                base,
                None,
            )),
            lost: Vec::new(),
            expires: now + crate::gate::signed(self.options.history),
        };
        let ops = vec![Op::PutPair(Box::new(row)), Op::PutHistory(Box::new(line))];
        if self.store.commit(ops).await? == Committed::Lost {
            return Err(EngineError::Lost);
        }
        info!(link.key = %link, "Brought a worklog of {link} back on {side}");
        self.hint_all(vec![DueKey::Link(link)], Lane::Live, true).await
    }
}

/// A delete that can be undone.
struct Undoable<'e> {
    connection: &'e Connection,
    side: Side,
    /// What is written there.
    body: Content,
    /// The row that says so.
    row: Pair,
    /// What both sides had last agreed on.
    base: Option<Sides<Content>>,
    /// What is left of the pair, of which only the twin is known to be gone.
    left: Sides<Option<WorklogId>>,
}

/// The side that a deleted worklog began on, and what it said there, with what the worklog that was taken away said anew.
fn what_to_write(line: &HistoryRow, gone: &Pair, rules: &Rules) -> Option<(Side, Content)> {
    let began = began_on(&gone.id).unwrap_or(line.side);
    match (&gone.base, &line.before) {
        (Some(base), Some(before)) if began != line.side => {
            Some((began, merge::since(began, base, before, rules)))
        }
        (Some(base), None) if began != line.side => Some((began, base[began].clone())),
        // The line holds what was taken away, values that are not mapped included.
        (_, Some(before)) => Some((line.side, before.clone())),
        (Some(base), None) => Some((began, base[began].clone())),
        (None, None) => None,
    }
}

fn half(id: &PairId, link: &LinkKey) -> Pair {
    let mut pair = Pair::half(id.clone(), link.clone(), Side::A, WorklogId(0));
    pair.ids = Sides::new(None, None);
    pair
}

fn intent(side: Side, issue: IssueId, body: &Content, now: Timestamp) -> Intent {
    Intent {
        kind: IntentKind::Create,
        side,
        issue,
        worklog: None,
        source: None,
        before: None,
        body: body.clone(),
        then: None,
        entered: None,
        at: now,
        until: now + ATTEMPT,
        waited: None,
    }
}
