//! What a site can be asked beyond the engine's port: set-up, webhooks, checks. One request each.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use secrecy::SecretString;
use serde_json::Value;
use tandem_core::{AccountId, IssueId, JiraWorklogId, WorklogId};
use tandem_engine::ports::site::{SiteError, SiteErrorKind};

use crate::jira::admin::{self as jira, AdminWebhook, JiraWorklogPage};
use crate::send::AtlassianSite;
use crate::tempo::admin::{self as tempo, Period, Subscription};
use crate::{classify, tempo as tempo_api};

impl AtlassianSite {
    /// Returns Tempo's global configuration as it is. Also the cheapest probe of a token.
    pub async fn global_configuration(&self) -> Result<Value, SiteError> {
        self.send(tempo_api::request::global_configuration())
            .await?
            .read(crate::answer::json)
    }

    /// Returns the address of the Jira whose time Tempo's token gives access to, as any worklog tells it: a token is one
    /// site's, and nothing but its worklogs says which. `None` where it shows no worklog.
    pub async fn tempo_jira_address(&self) -> Result<Option<String>, SiteError> {
        self.send(tempo::any_worklog())
            .await?
            .read(tempo::read_jira_address)
    }

    /// Returns the attribute values of up to 500 worklogs. Unknown ids are left out.
    pub async fn attribute_values(
        &self,
        ids: &[WorklogId],
    ) -> Result<HashMap<WorklogId, BTreeMap<String, String>>, SiteError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let call = tempo::attribute_values(ids);
        if ids.len() > tempo::VALUE_IDS_MAX {
            return Err(classify::unusable(
                &call,
                format!("more than {} ids", tempo::VALUE_IDS_MAX),
            ));
        }
        self.send(call).await?.read(tempo_api::wire::attribute_values)
    }

    /// Returns the timesheet periods that touch a span of days.
    pub async fn periods(&self, from: Date, to: Date) -> Result<Vec<Period>, SiteError> {
        self.send(tempo::periods(from, to))
            .await?
            .read(tempo::read_periods)
    }

    /// Returns how a person's timesheet of a period stands, such as `OPEN` or `APPROVED`.
    pub async fn timesheet_status(&self, account: &AccountId, period: Period) -> Result<String, SiteError> {
        self.send(tempo::timesheet(account, period))
            .await?
            .read(tempo::read_timesheet)
    }

    /// Lists Tempo's webhook subscriptions.
    pub async fn tempo_webhooks(&self) -> Result<Vec<Subscription>, SiteError> {
        self.send(tempo::list_subscriptions())
            .await?
            .read(tempo::read_subscriptions)
    }

    /// Creates a Tempo webhook subscription; its secret is in the answer. The same event and address twice is
    /// [`SiteErrorKind::Busy`] (409).
    pub async fn create_tempo_webhook(
        &self,
        event: &str,
        url: &str,
        name: &str,
    ) -> Result<Subscription, SiteError> {
        self.send(tempo::create_subscription(event, url, name))
            .await?
            .read(tempo::read_subscription)
    }

    /// Returns a Tempo webhook subscription. An unknown one is [`SiteErrorKind::NotFound`].
    pub async fn tempo_webhook(&self, id: &str) -> Result<Subscription, SiteError> {
        self.send(tempo::subscription(id))
            .await?
            .read(tempo::read_subscription)
    }

    /// Deletes a Tempo webhook subscription. Already gone is `Ok(false)`.
    pub async fn delete_tempo_webhook(&self, id: &str) -> Result<bool, SiteError> {
        gone(self.send(tempo::delete_subscription(id)).await.map(drop))
    }

    /// Makes a switched-off Tempo webhook subscription active again.
    pub async fn refresh_tempo_webhook(&self, id: &str) -> Result<(), SiteError> {
        self.send(tempo::refresh_subscription(id)).await.map(drop)
    }

    /// Lists Jira's admin webhooks.
    pub async fn jira_webhooks(&self) -> Result<Vec<AdminWebhook>, SiteError> {
        self.send(jira::list_webhooks()).await?.read(jira::read_webhooks)
    }

    /// Creates a Jira admin webhook for the events that Tandem wants, limited by a JQL (empty: all issues).
    pub async fn create_jira_webhook(
        &self,
        name: &str,
        url: &str,
        jql: &str,
        secret: &SecretString,
    ) -> Result<AdminWebhook, SiteError> {
        self.send(jira::create_webhook(name, url, jql, secret))
            .await?
            .read(jira::read_webhook)
    }

    /// Deletes a Jira admin webhook. Already gone is `Ok(false)`.
    pub async fn delete_jira_webhook(&self, id: &str) -> Result<bool, SiteError> {
        gone(self.send(jira::delete_webhook(id)).await.map(drop))
    }

    /// Lists an issue's worklogs as Jira has them, up to 5,000 from `start_at`.
    pub async fn jira_worklogs(&self, issue: IssueId, start_at: u64) -> Result<JiraWorklogPage, SiteError> {
        self.send(jira::list_worklogs(issue, start_at))
            .await?
            .read(|body| jira::read_worklogs(body, start_at))
    }

    /// Returns the keys of all permissions that Jira knows.
    pub async fn jira_permission_keys(&self) -> Result<Vec<String>, SiteError> {
        self.send(jira::all_permissions())
            .await?
            .read(jira::read_all_permissions)
    }

    /// Returns a property of a Jira worklog, or `None` where the site answers 404.
    pub async fn worklog_property(
        &self,
        issue: IssueId,
        worklog: JiraWorklogId,
        key: &str,
    ) -> Result<Option<Value>, SiteError> {
        match self.send(jira::property(issue, worklog, key)).await {
            Ok(answered) => answered.read(jira::read_property).map(Some),
            Err(error) if error.kind == SiteErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a property of a Jira worklog.
    pub async fn put_worklog_property(
        &self,
        issue: IssueId,
        worklog: JiraWorklogId,
        key: &str,
        value: Value,
    ) -> Result<(), SiteError> {
        self.send(jira::put_property(issue, worklog, key, value))
            .await
            .map(drop)
    }
}

/// Turns the 404 of a delete into `false`.
fn gone(result: Result<(), SiteError>) -> Result<bool, SiteError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind == SiteErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
