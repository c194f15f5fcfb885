//! The engine's port, one short method per call.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use tandem_core::{AccountId, Content, IssueId, JiraWorklogId, Reason, Worklog, WorklogId};
use tandem_engine::ports::site::{
    AttributeDefinition, FeedPage, IssueRef, JiraIssue, Page, RemoteLink, ServerInfo, Shadow, SiteClient,
    SiteError, SiteErrorKind, SiteRules, User,
};

use crate::answer::json;
use crate::call::Call;
use crate::classify;
use crate::jira::{request as jira, wire as jira_wire};
use crate::send::{AtlassianSite, no_credentials};
use crate::tempo::{request as tempo, wire as tempo_wire};

/// Turns a 404 into `None`.
fn found<T>(result: Result<T, SiteError>) -> Result<Option<T>, SiteError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == SiteErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses a list that the vendor would refuse or cut.
fn at_most(call: &Call, items: usize, max: usize) -> Result<(), SiteError> {
    match items <= max {
        true => Ok(()),
        false => Err(classify::unusable(
            call,
            format!("{items} items in one call; {max} is the most"),
        )),
    }
}

impl AtlassianSite {
    /// Reads a page of worklogs, of an issue or of all.
    async fn list(
        &self,
        call: Call,
        offset: u64,
        issue: Option<IssueId>,
    ) -> Result<Page<Worklog>, SiteError> {
        let answered = self.send(call).await?;
        if offset == 0 {
            self.is_ours(&answered)?;
        }
        answered.read(|body| tempo_wire::page(body, &self.endpoints.tempo, offset, issue))
    }
}

#[async_trait]
impl SiteClient for AtlassianSite {
    async fn list_issue(&self, issue: IssueId, offset: u64) -> Result<Page<Worklog>, SiteError> {
        self.list(tempo::list_issue(issue, offset), offset, Some(issue))
            .await
    }

    async fn list_changed(&self, since: Timestamp, offset: u64) -> Result<Page<Worklog>, SiteError> {
        self.list(tempo::list_changed(since, offset), offset, None).await
    }

    async fn list_dates(
        &self,
        from: Date,
        to: Option<Date>,
        offset: u64,
    ) -> Result<Page<Worklog>, SiteError> {
        self.list(tempo::list_dates(from, to, offset), offset, None).await
    }

    async fn worklog(&self, id: WorklogId) -> Result<Option<Worklog>, SiteError> {
        match found(self.send(tempo::worklog(id)).await)? {
            Some(answered) => answered.read(tempo_wire::worklog).map(Some),
            None => Ok(None),
        }
    }

    async fn create(
        &self,
        issue: IssueId,
        content: &Content,
        remaining: Option<u64>,
    ) -> Result<Worklog, SiteError> {
        let answered = self.send(tempo::create(issue, content, remaining)).await?;
        // A listing without worklogs does not tell whose it is: this is the first that does then.
        self.is_ours(&answered)?;
        answered.read(|body| tempo_wire::written(body, content))
    }

    async fn create_bulk(&self, issue: IssueId, contents: &[Content]) -> Result<Vec<Worklog>, SiteError> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let call = tempo::create_bulk(issue, contents);
        at_most(&call, contents.len(), tempo::BULK_ROWS_MAX)?;
        let answered = self.send(call).await?;
        self.is_ours(&answered)?;
        answered.read(|body| tempo_wire::bulk(body, issue, contents))
    }

    async fn update(
        &self,
        id: WorklogId,
        content: &Content,
        remaining: Option<u64>,
    ) -> Result<Worklog, SiteError> {
        let answered = self.send(tempo::update(id, content, remaining)).await?;
        self.is_ours(&answered)?;
        answered.read(|body| tempo_wire::written(body, content))
    }

    async fn delete(&self, id: WorklogId) -> Result<bool, SiteError> {
        let Some(answered) = found(self.send(tempo::delete(id)).await)? else {
            return Ok(false);
        };
        // Tempo says nothing, by 204. A page of something in between is not its word.
        answered.read(|body| match body.iter().all(u8::is_ascii_whitespace) {
            true => Ok(true),
            false => json::<serde::de::IgnoredAny>(body).map(|_| true),
        })
    }

    async fn jira_ids(
        &self,
        ids: &[WorklogId],
    ) -> Result<(Vec<(WorklogId, JiraWorklogId)>, bool), SiteError> {
        if ids.is_empty() {
            return Ok((Vec::new(), false));
        }
        let call = tempo::jira_ids(ids);
        at_most(&call, ids.len(), tempo::MAPPER_IDS_MAX)?;
        self.send(call)
            .await?
            .read(|body| tempo_wire::id_pairs(body, ids.len()))
    }

    async fn tempo_ids(&self, ids: &[JiraWorklogId]) -> Result<Vec<(JiraWorklogId, WorklogId)>, SiteError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = tempo::tempo_ids(ids);
        at_most(&call, ids.len(), tempo::MAPPER_IDS_MAX)?;
        let (pairs, _) = self
            .send(call)
            .await?
            .read(|body| tempo_wire::id_pairs(body, ids.len()))?;
        Ok(pairs.into_iter().map(|(tempo, jira)| (jira, tempo)).collect())
    }

    async fn shadows(&self, issue: IssueId, offset: u64) -> Result<Page<Shadow>, SiteError> {
        let page = self.jira_worklogs(issue, offset).await?;
        let shadow = |row: crate::jira::admin::JiraWorklog| Shadow {
            id: row.id,
            worklog: row.tempo_id,
            time_spent_secs: row.time_spent_secs,
            updated_at: row.updated,
        };
        Ok(Page {
            rows: page.rows.into_iter().map(shadow).collect(),
            next: page.next,
            bad: Vec::new(),
        })
    }

    async fn papertrail_deleted(
        &self,
        from: Timestamp,
        cursor: Option<String>,
    ) -> Result<FeedPage<WorklogId, String>, SiteError> {
        let cursor = cursor.as_deref();
        let answered = self.send(tempo::papertrail_deleted(from, cursor)).await?;
        answered.read(|body| tempo_wire::papertrail(body, cursor))
    }

    async fn jira_deleted(&self, since: Timestamp) -> Result<FeedPage<JiraWorklogId, Timestamp>, SiteError> {
        self.send(jira::deleted(since))
            .await?
            .read(|body| jira_wire::feed(body, since))
    }

    async fn jira_changed(&self, since: Timestamp) -> Result<FeedPage<WorklogId, Timestamp>, SiteError> {
        self.send(jira::changed(since))
            .await?
            .read(|body| jira_wire::changed(body, since))
    }

    async fn attributes(&self, offset: u64) -> Result<Page<AttributeDefinition>, SiteError> {
        let answered = self.send(tempo::attributes(offset)).await?;
        answered.read(|body| tempo_wire::attributes(body, &self.endpoints.tempo, offset))
    }

    async fn rules(&self) -> Result<SiteRules, SiteError> {
        self.send(tempo::global_configuration())
            .await?
            .read(tempo_wire::rules)
    }

    async fn issue(&self, issue: &IssueRef, fields: &[String]) -> Result<Option<JiraIssue>, SiteError> {
        let call = jira::issue(issue, fields);
        // An empty name would ask for another address.
        if jira::issue_name(issue).is_empty() {
            return Err(classify::unusable(&call, "an empty issue key"));
        }
        match found(self.send(call).await)? {
            Some(answered) => answered.read(|body| jira_wire::issue(body, fields)).map(Some),
            None => Ok(None),
        }
    }

    async fn issues(&self, issues: &[IssueRef], fields: &[String]) -> Result<Vec<JiraIssue>, SiteError> {
        if issues.is_empty() {
            return Ok(Vec::new());
        }
        let call = jira::issues(issues, fields);
        at_most(&call, issues.len(), jira::ISSUES_MAX)?;
        self.send(call)
            .await?
            .read(|body| jira_wire::issues(body, fields))
    }

    async fn search_issues(
        &self,
        jql: &str,
        fields: &[String],
        cursor: Option<String>,
    ) -> Result<(Vec<JiraIssue>, Option<String>), SiteError> {
        let cursor = cursor.as_deref();
        let answered = self.send(jira::search_issues(jql, fields, cursor)).await?;
        answered.read(|body| jira_wire::search(body, fields, cursor))
    }

    async fn match_jql(&self, jql: &str, issues: &[IssueId]) -> Result<Vec<IssueId>, SiteError> {
        if issues.is_empty() {
            return Ok(Vec::new());
        }
        let call = jira::match_jql(jql, issues);
        let answered = self.send(call.clone()).await?;
        match answered.read(jira_wire::matched)? {
            jira_wire::Matched::Issues(ids) => Ok(ids),
            jira_wire::Matched::Refused(said) => {
                let message = answered.message(&said);
                Err(classify::refused_inside(
                    &call,
                    answered.answer.status,
                    Reason::Rejected,
                    message,
                ))
            }
        }
    }

    async fn remote_links(&self, issue: IssueId) -> Result<Option<Vec<RemoteLink>>, SiteError> {
        match found(self.send(jira::remote_links(issue)).await)? {
            Some(answered) => answered.read(jira_wire::remote_links).map(Some),
            None => Ok(None),
        }
    }

    async fn user(&self, account: &AccountId) -> Result<Option<User>, SiteError> {
        match found(self.send(jira::user(account)).await)? {
            Some(answered) => answered.read(jira_wire::user).map(Some),
            None => Ok(None),
        }
    }

    async fn users(&self, accounts: &[AccountId], offset: u64) -> Result<Page<User>, SiteError> {
        if accounts.is_empty() {
            return Ok(Page::default());
        }
        let call = jira::users(accounts, offset);
        at_most(&call, accounts.len(), jira::USERS_MAX)?;
        match found(self.send(call).await)? {
            Some(answered) => answered.read(|body| jira_wire::users(body, offset)),
            None => Ok(Page::default()),
        }
    }

    async fn users_by_email(&self, email: &str) -> Result<Vec<User>, SiteError> {
        self.send(jira::users_by_email(email))
            .await?
            .read(|body| jira_wire::users_with_email(body, email))
    }

    async fn myself(&self) -> Result<User, SiteError> {
        self.send(jira::myself()).await?.read(jira_wire::user)
    }

    async fn permissions(
        &self,
        keys: &[&str],
        project: Option<&str>,
    ) -> Result<BTreeMap<String, bool>, SiteError> {
        self.send(jira::permissions(keys, project))
            .await?
            .read(|body| jira_wire::permissions(body, keys))
    }

    async fn server_info(&self) -> Result<ServerInfo, SiteError> {
        self.send(jira::server_info()).await?.read(jira_wire::server_info)
    }

    async fn credentials_digest(&self) -> Result<String, SiteError> {
        // Named after the cheapest call that the secret would be used for; none is made.
        self.fresh_digest()
            .await
            .map_err(|error| no_credentials(&tempo::global_configuration(), &error))
    }
}
