//! [`Store`] on DynamoDB: each method of the trait, and where it lives.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem_core::{
    AccountId, ConnectionName, IssueId, JiraWorklogId, LinkKey, Pair, PairId, Sides, SiteName, WorklogId,
};
use tandem_engine::ports::store::{
    Claim, Committed, ConfigVersion, Cursor, DueKey, DueRow, Evidence, EvidenceId, Finish, Hint, HistoryRow,
    IssueRow, LinkRow, Linked, Lookup, LookupQuery, Op, Origin, PersonRow, Root, SiteState, Slot,
    Whereabouts,
};
use tandem_engine::ports::{Store, StoreError};

use super::DynamoStore;
use super::keys::Key;
use super::row;

#[async_trait]
impl Store for DynamoStore {
    async fn issues(&self, issues: &[(SiteName, IssueId)]) -> Result<Vec<IssueRow>, StoreError> {
        self.issue_rows(issues).await
    }

    async fn put_unlinked(
        &self,
        site: &SiteName,
        issue: IssueId,
        key: Option<&str>,
        connection: &ConnectionName,
        look_again: Timestamp,
    ) -> Result<(), StoreError> {
        self.issue_put_unlinked(site, issue, key, connection, look_again)
            .await
    }

    async fn put_link(&self, link: &LinkRow, sites: &Sides<SiteName>) -> Result<Linked, StoreError> {
        self.link_put(link, sites).await
    }

    async fn drop_link(&self, key: &LinkKey, sites: &Sides<SiteName>) -> Result<bool, StoreError> {
        self.link_drop(key, sites).await
    }

    async fn note_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        self.link_note(link).await
    }

    async fn link(&self, key: &LinkKey) -> Result<Option<LinkRow>, StoreError> {
        self.link_get(key).await
    }

    async fn links(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<LinkRow>, Option<String>), StoreError> {
        self.links_page(connection, cursor).await
    }

    async fn count_links(&self, connection: &ConnectionName) -> Result<u64, StoreError> {
        self.links_count(connection).await
    }

    async fn first_run(&self, connection: &ConnectionName, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.first_run_of(connection, now).await
    }

    async fn ran_first(&self, connection: &ConnectionName) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(&Key::first_run(connection)).await?;
        item.map(|item| row::required_time(&item, "at")).transpose()
    }

    async fn lookup(&self, query: &LookupQuery<'_>) -> Result<Lookup, StoreError> {
        self.lookup_all(query).await
    }

    async fn hint(&self, hints: &[Hint], extra: &[Op], now: Timestamp) -> Result<(), StoreError> {
        self.hint_all(hints, extra, now).await
    }

    async fn ready(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        self.due_ready(now, limit).await
    }

    async fn due(&self, cursor: Option<String>) -> Result<(Vec<DueRow>, Option<String>), StoreError> {
        self.due_page(cursor).await
    }

    async fn due_row(&self, key: &DueKey) -> Result<Option<DueRow>, StoreError> {
        self.due_get(key).await
    }

    async fn take(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<DueRow>, StoreError> {
        self.due_take(key, owner, now, lease).await
    }

    async fn renew(
        &self,
        key: &DueKey,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        self.due_renew(key, owner, now, lease).await
    }

    async fn finish(
        &self,
        taken: &DueRow,
        owner: &str,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.due_finish(taken, owner, finish, now).await
    }

    async fn pairs(&self, link: &LinkKey) -> Result<Vec<Pair>, StoreError> {
        self.pairs_of(link).await
    }

    async fn pair(&self, link: &LinkKey, id: &PairId) -> Result<Option<Pair>, StoreError> {
        self.pair_get(link, id).await
    }

    async fn commit(&self, ops: Vec<Op>) -> Result<Committed, StoreError> {
        self.commit_all(&ops).await
    }

    async fn whereabouts(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<Whereabouts>, StoreError> {
        self.whereabouts_of(connection, site, worklogs).await
    }

    async fn origins(
        &self,
        worklogs: &[(SiteName, WorklogId)],
    ) -> Result<Vec<((SiteName, WorklogId), Origin)>, StoreError> {
        self.origins_of(worklogs).await
    }

    async fn claims(&self, site: &SiteName, roots: &[Root]) -> Result<Vec<(Root, Claim)>, StoreError> {
        self.claims_of(site, roots).await
    }

    async fn evidence(&self, site: &SiteName, ids: &[EvidenceId]) -> Result<Vec<Evidence>, StoreError> {
        self.evidence_of(site, ids).await
    }

    async fn jira_ids(
        &self,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<(WorklogId, JiraWorklogId)>, StoreError> {
        self.jira_ids_of(site, worklogs).await
    }

    async fn tempo_ids(
        &self,
        site: &SiteName,
        jira: &[JiraWorklogId],
    ) -> Result<Vec<(JiraWorklogId, WorklogId)>, StoreError> {
        self.tempo_ids_of(site, jira).await
    }

    async fn to_learn(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<(WorklogId, Timestamp)>, StoreError> {
        self.learn_list(site, limit).await
    }

    async fn drop_learn(&self, site: &SiteName, worklogs: &[WorklogId]) -> Result<(), StoreError> {
        self.learn_drop(site, worklogs).await
    }

    async fn waiting(
        &self,
        connection: &ConnectionName,
        cursor: Option<String>,
    ) -> Result<(Vec<Pair>, Option<String>), StoreError> {
        self.pairs_waiting(connection, cursor).await
    }

    async fn brake(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        now: Timestamp,
        enough: usize,
    ) -> Result<usize, StoreError> {
        self.brake_count(connection, deletes, since, now, enough).await
    }

    async fn brake_ahead(
        &self,
        connection: &ConnectionName,
        deletes: &[(SiteName, WorklogId)],
        since: Timestamp,
        enough: usize,
    ) -> Result<(usize, Vec<(SiteName, WorklogId)>), StoreError> {
        self.brake_count_ahead(connection, deletes, since, enough).await
    }

    async fn release_brake(&self, connection: &ConnectionName, now: Timestamp) -> Result<(), StoreError> {
        self.brake_release(connection, now).await
    }

    async fn history(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.history_newest(connections, link, limit).await
    }

    async fn history_line(
        &self,
        connection: &ConnectionName,
        id: &str,
    ) -> Result<Option<HistoryRow>, StoreError> {
        self.history_of(connection, id).await
    }

    async fn reserve(
        &self,
        site: &SiteName,
        now: Timestamp,
        interval: Duration,
        patience: Duration,
    ) -> Result<Slot, StoreError> {
        self.slot(site, now, interval, patience).await
    }

    async fn free_at(&self, site: &SiteName) -> Result<Option<Timestamp>, StoreError> {
        self.bucket_free_at(site).await
    }

    async fn hold(&self, site: &SiteName, until: Timestamp) -> Result<(), StoreError> {
        self.bucket_hold(site, until).await
    }

    async fn begin(
        &self,
        what: &str,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        self.lease_begin(what, owner, now, lease).await
    }

    async fn end(&self, what: &str, owner: &str) -> Result<(), StoreError> {
        self.lease_end(what, owner).await
    }

    async fn site(&self, site: &SiteName) -> Result<SiteState, StoreError> {
        self.site_get(site).await
    }

    async fn put_site(&self, site: &SiteName, state: &SiteState) -> Result<Committed, StoreError> {
        self.site_put(site, state).await
    }

    async fn people(
        &self,
        from: &SiteName,
        to: &SiteName,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<Vec<PersonRow>, StoreError> {
        self.people_of(from, to, accounts, now).await
    }

    async fn put_person(&self, from: &SiteName, to: &SiteName, person: &PersonRow) -> Result<(), StoreError> {
        self.person_put(from, to, person).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        self.cursor_get(name).await
    }

    async fn put_cursor(&self, name: &str, cursor: &Cursor) -> Result<(), StoreError> {
        self.cursor_put(name, cursor).await
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.note_get(name).await
    }

    async fn put_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.note_put(name, text).await
    }

    async fn config(&self) -> Result<Option<ConfigVersion>, StoreError> {
        Ok(self.config_list(1).await?.pop())
    }

    async fn put_config(&self, text: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.config_put(text, now).await
    }

    async fn configs(&self, limit: usize) -> Result<Vec<ConfigVersion>, StoreError> {
        self.config_list(limit).await
    }
}
