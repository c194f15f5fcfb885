//! From a verified webhook to a hint.
//!
//! The payload decides nothing but where to look. At most two table requests: one look-up, one write.

use jiff::Timestamp;
use jiff::civil::Date;
use tandem_core::{AccountId, ConnectionName, IssueId, JiraWorklogId, PairState, SiteName, WorklogId};
use tracing::debug;

use crate::echo;
use crate::error::EngineError;
use crate::gate::signed;
use crate::options::Engine;
use crate::ports::Happened;
use crate::ports::store::{
    Announced, Announcement, DueKey, Evidence, EvidenceId, Hint, Lane, Lookup, LookupQuery, Op, Whereabouts,
};

/// What a webhook told of, once its signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Tempo told of a created or updated worklog.
    TempoChanged {
        /// The worklog.
        worklog: WorklogId,
        /// Its issue.
        issue: IssueId,
        /// Its author.
        author: AccountId,
        /// Its day.
        start_date: Date,
        /// Its duration in seconds.
        time_spent_secs: u64,
        /// Its text.
        description: String,
        /// Its `updatedAt`.
        updated_at: Timestamp,
    },
    /// Tempo told of a created or updated worklog, but not enough of what it says.
    TempoTold {
        /// The worklog.
        worklog: WorklogId,
        /// Its issue.
        issue: IssueId,
    },
    /// Tempo told of a deleted worklog.
    TempoDeleted {
        /// The worklog.
        worklog: WorklogId,
        /// Its issue, when told.
        issue: Option<IssueId>,
    },
    /// Jira told of a created or updated worklog.
    JiraChanged {
        /// Jira's id of it.
        worklog: JiraWorklogId,
        /// Its issue.
        issue: IssueId,
        /// Its author in Jira.
        author: Option<AccountId>,
        /// Whether that is an app; `None` when not told.
        by_app: Option<bool>,
        /// Its `updated`.
        updated_at: Option<Timestamp>,
        /// Its duration in seconds.
        time_spent_secs: Option<u64>,
        /// Its text.
        description: String,
    },
    /// Jira told of a deleted worklog.
    JiraDeleted {
        /// Jira's id of it.
        worklog: JiraWorklogId,
        /// Its issue, when told.
        issue: Option<IssueId>,
        /// When, if told.
        at: Option<Timestamp>,
    },
    /// Jira told that an issue changed its key, or is gone.
    IssueChanged {
        /// The issue.
        issue: IssueId,
    },
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A hint was stored.
    Hint,
    /// There was nothing to do.
    Nothing,
}

/// When the change that a webhook tells of was made, by the site's clock.
fn happened_at(event: &Event) -> Option<Timestamp> {
    match event {
        Event::TempoChanged { updated_at, .. } => Some(*updated_at),
        Event::JiraChanged { updated_at, .. } => *updated_at,
        Event::JiraDeleted { at, .. } => *at,
        Event::TempoTold { .. } | Event::TempoDeleted { .. } | Event::IssueChanged { .. } => None,
    }
}

impl Engine {
    /// Turns a webhook's news into hints.
    ///
    /// # Errors
    /// When the table fails: nothing is stored and the sender should try again.
    pub async fn ingest(&self, site: &SiteName, event: &Event) -> Result<Stored, EngineError> {
        self.ingest_traced(site, event, None).await
    }

    /// The same, with a name by which the log and the history find what came of this webhook.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest).
    pub async fn ingest_traced(
        &self,
        site: &SiteName,
        event: &Event,
        trace: Option<&str>,
    ) -> Result<Stored, EngineError> {
        let now = self.clock.now();
        let connections: Vec<ConnectionName> = self
            .connections_of(site)
            .map(|(connection, _)| connection.name.clone())
            .collect();
        if connections.is_empty() {
            return Ok(Stored::Nothing);
        }
        let marks = marks(event);
        let (issue, worklog, jira) = subject(event);
        let query = LookupQuery {
            site,
            issue,
            marks: &marks,
            jira,
            worklog,
            connections: &connections,
            now,
        };
        let found = self.store.lookup(&query).await?;

        let mut echoed = false;
        let mut hints = Vec::new();
        let mut extra = Vec::new();
        for connection in &connections {
            if is_echo(event, &found, connection) {
                debug!(site.name = %site, connection.name = %connection, "Own write came back from {site}");
                echoed = true;
                continue;
            }
            self.hint_at(site, event, &found, connection, now, &mut hints);
        }
        extra.extend(evidence(site, event, now).map(Op::PutEvidence));
        if let Event::TempoChanged { worklog, issue, .. } | Event::TempoTold { worklog, issue } = event
            && found.whereabouts.iter().any(|place| moves(place, *issue))
        {
            // Jira deletes the shadow that a moving worklog leaves behind. Where Tempo then hides the worklog from us,
            // that must not pass for its end.
            extra.push(Op::PutLearn {
                site: site.clone(),
                worklog: *worklog,
                at: now,
                anew: true,
            });
        }
        if hints.is_empty() {
            if echoed {
                self.observer.happened(Happened::Echo);
            }
            // A proof is kept even when it is no reason to wake anybody: the delete of ours that it seems to tell
            // of may have failed, and a person's have followed.
            let ours = found.issue.as_ref().is_none_or(|issue| !issue.links.is_empty())
                || found
                    .whereabouts
                    .iter()
                    .any(|place| place.state == PairState::Live);
            if !extra.is_empty() && ours {
                self.store.hint(&[], &extra, now).await?;
            }
            return Ok(Stored::Nothing);
        }
        hints.sort_by(|left, right| left.key.cmp(&right.key));
        hints.dedup_by(|left, right| left.key == right.key);
        for hint in &mut hints {
            hint.trace = trace.map(str::to_owned);
        }
        self.store.hint(&hints, &extra, now).await?;
        Ok(Stored::Hint)
    }

    fn hint_at(
        &self,
        site: &SiteName,
        event: &Event,
        found: &Lookup,
        connection: &ConnectionName,
        now: Timestamp,
        hints: &mut Vec<Hint>,
    ) {
        let ready_at = now + signed(self.options.settle);
        let Some(side) = self
            .connection(connection)
            .and_then(|connection| connection.side(site))
        else {
            return;
        };
        let link = found.issue.as_ref().and_then(|issue| issue.links.get(connection));
        let home = found
            .whereabouts
            .iter()
            .find(|place| place.connection == *connection && place.state == PairState::Live);
        // Only of a worklog that Tempo names is known where it belongs.
        let (issue, worklog, _) = subject(event);
        if let Some(home) = home.filter(|_| worklog.is_some())
            && Some(home.link.issue(side)) != issue
        {
            // It left its link, or nobody says where it was: that link's run asks where it is.
            let key = DueKey::Link(home.link.clone());
            hints.push(Hint {
                key,
                lane: Lane::Live,
                ready_at,
                announced: Vec::new(),
                force: false,
                trace: None,
            });
        }
        if let Some(link) = link {
            let what = announced(event);
            // From when it happened: what a webhook tells an hour late has had its time to show.
            let happened = happened_at(event).map_or(now, |at| at.min(now));
            let until = happened + signed(self.options.announce);
            let announced = what
                .map(|what| Announcement { side, what, until })
                .into_iter()
                .collect();
            hints.push(Hint {
                key: DueKey::Link(link.clone()),
                lane: Lane::Live,
                ready_at,
                announced,
                force: false,
                trace: None,
            });
            return;
        }
        let Some(issue) = issue else { return };
        let known_unlinked = found
            .issue
            .as_ref()
            .and_then(|row| row.look_again.get(connection))
            .is_some_and(|again| *again > now);
        if !known_unlinked && !matches!(event, Event::IssueChanged { .. }) {
            let key = DueKey::Issue {
                site: site.clone(),
                issue,
            };
            hints.push(Hint {
                key,
                lane: Lane::Live,
                ready_at,
                announced: Vec::new(),
                force: false,
                trace: None,
            });
        }
    }
}

/// Says whether a worklog that is known at one place is told of at another issue.
fn moves(place: &Whereabouts, issue: IssueId) -> bool {
    place.state == PairState::Live && place.link.issue(place.side) != issue
}

fn subject(event: &Event) -> (Option<IssueId>, Option<WorklogId>, Option<JiraWorklogId>) {
    match event {
        Event::TempoChanged { worklog, issue, .. } | Event::TempoTold { worklog, issue } => {
            (Some(*issue), Some(*worklog), None)
        }
        Event::TempoDeleted { worklog, issue } => (*issue, Some(*worklog), None),
        Event::JiraChanged { worklog, issue, .. } => (Some(*issue), None, Some(*worklog)),
        Event::JiraDeleted { worklog, issue, .. } => (*issue, None, Some(*worklog)),
        Event::IssueChanged { issue } => (Some(*issue), None, None),
    }
}

fn marks(event: &Event) -> Vec<String> {
    match event {
        Event::TempoChanged {
            issue,
            author,
            start_date,
            time_spent_secs,
            description,
            ..
        } => {
            vec![echo::tempo_mark(
                *issue,
                author,
                *start_date,
                *time_spent_secs,
                description,
            )]
        }
        Event::TempoDeleted { worklog, .. } => vec![echo::tempo_deleted_mark(*worklog)],
        Event::JiraChanged {
            issue,
            time_spent_secs: Some(secs),
            description,
            ..
        } => {
            vec![echo::jira_mark(*issue, *secs, description)]
        }
        Event::JiraDeleted { worklog, issue, .. } => {
            let unknown = issue.map(echo::unknown_jira_deleted_mark);
            [echo::jira_deleted_mark(*worklog)]
                .into_iter()
                .chain(unknown)
                .collect()
        }
        Event::JiraChanged { .. } | Event::TempoTold { .. } | Event::IssueChanged { .. } => Vec::new(),
    }
}

fn is_echo(event: &Event, found: &Lookup, connection: &ConnectionName) -> bool {
    found
        .echoes
        .iter()
        .filter(|echo| echo.connection == *connection)
        .any(|echo| match event {
            Event::TempoChanged {
                worklog, updated_at, ..
            } => echo::is_tempo_echo(echo, *worklog, *updated_at),
            Event::JiraChanged { author, by_app, .. } => echo::is_jira_echo(echo, author.as_ref(), *by_app),
            Event::TempoDeleted { .. } => true,
            // By its issue alone it may be another one's; where its Jira id is known, that tells.
            Event::JiraDeleted { .. } => found.worklog.is_none_or(|known| echo.worklog == Some(known)),
            Event::TempoTold { .. } | Event::IssueChanged { .. } => false,
        })
}

fn announced(event: &Event) -> Option<Announced> {
    Some(match event {
        Event::TempoChanged {
            worklog, updated_at, ..
        } => Announced::Tempo {
            id: *worklog,
            updated_at: *updated_at,
        },
        Event::TempoDeleted { worklog, .. } => Announced::TempoDeleted { id: *worklog },
        // What came from Tempo is in Tempo already; only Jira's own screen runs ahead of it.
        Event::JiraChanged {
            by_app: Some(true), ..
        } => return None,
        Event::JiraChanged {
            worklog,
            author,
            updated_at,
            time_spent_secs,
            description,
            ..
        } => Announced::Jira {
            id: *worklog,
            updated_at: (*updated_at)?,
            author: author.clone(),
            time_spent_secs: *time_spent_secs,
            description: description.clone(),
        },
        Event::JiraDeleted { worklog, .. } => Announced::JiraDeleted { id: *worklog },
        Event::TempoTold { .. } | Event::IssueChanged { .. } => return None,
    })
}

fn evidence(site: &SiteName, event: &Event, now: Timestamp) -> Option<Evidence> {
    let (id, source) = match event {
        Event::TempoDeleted { worklog, .. } => (EvidenceId::Tempo(*worklog), "tempo-webhook"),
        Event::JiraDeleted { worklog, .. } => (EvidenceId::Jira(*worklog), "jira-webhook"),
        _ => return None,
    };
    Some(Evidence {
        site: site.clone(),
        id,
        source: source.into(),
        at: now,
    })
}
