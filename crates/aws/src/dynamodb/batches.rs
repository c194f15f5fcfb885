//! What is known of many worklogs, fetched by key.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::ReturnValue;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tandem_core::{ConnectionName, JiraWorklogId, SiteName, WorklogId};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::{
    Claim, Echo, Evidence, EvidenceId, Lookup, LookupQuery, Origin, Root, Whereabouts,
};

use super::DynamoStore;
use super::keys::{self, Key};
use super::links::issue_row;
use super::read::Range;
use super::row::{self, Item};
use super::write::Write;

/// How many single writes are under way at a time.
const WRITES_AT_ONCE: usize = 8;

impl DynamoStore {
    pub(super) async fn lookup_all(&self, query: &LookupQuery<'_>) -> Result<Lookup, StoreError> {
        let site = query.site;
        let issue = query.issue.map(|issue| Key::issue(site, issue));
        let jira = query.jira.map(|jira| Key::jira(site, jira));
        let echoes: BTreeSet<Key> = query.marks.iter().map(|mark| Key::echo(site, mark)).collect();
        let whereabouts: BTreeSet<Key> = query
            .worklog
            .iter()
            .flat_map(|worklog| query.connections.iter().map(|connection| (connection, *worklog)))
            .map(|(connection, worklog)| Key::whereabouts(connection, site, worklog))
            .collect();
        let keys = issue
            .iter()
            .chain(&jira)
            .chain(&echoes)
            .chain(&whereabouts)
            .cloned()
            .collect();
        let mut lookup = Lookup::default();
        for item in self.looked_up(keys, query.now).await? {
            let key = row::key(&item)?;
            if issue.as_ref() == Some(&key) {
                lookup.issue = Some(issue_row(&item)?);
            } else if jira.as_ref() == Some(&key) {
                lookup.worklog = Some(worklog(&item)?);
            } else if whereabouts.contains(&key) {
                lookup.whereabouts.push(row::body(&item)?);
            } else {
                let echo: Echo = row::body(&item)?;
                // DynamoDB may take two days to remove it.
                if echo.expires > query.now {
                    lookup.echoes.push(echo);
                }
            }
        }
        Ok(lookup)
    }

    pub(super) async fn whereabouts_of(
        &self,
        connection: &ConnectionName,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<Whereabouts>, StoreError> {
        let keys = worklogs
            .iter()
            .map(|worklog| Key::whereabouts(connection, site, *worklog));
        self.get_all(keys).await?.iter().map(row::body).collect()
    }

    pub(super) async fn origins_of(
        &self,
        worklogs: &[(SiteName, WorklogId)],
    ) -> Result<Vec<((SiteName, WorklogId), Origin)>, StoreError> {
        self.asked_for(worklogs, |(site, worklog)| Key::origin(site, *worklog), row::body)
            .await
    }

    pub(super) async fn claims_of(
        &self,
        site: &SiteName,
        roots: &[Root],
    ) -> Result<Vec<(Root, Claim)>, StoreError> {
        self.asked_for(roots, |root| Key::claim(root, site), row::body)
            .await
    }

    pub(super) async fn evidence_of(
        &self,
        site: &SiteName,
        ids: &[EvidenceId],
    ) -> Result<Vec<Evidence>, StoreError> {
        let now = self.now();
        let items = self.get_all(ids.iter().map(|id| Key::evidence(site, id))).await?;
        items
            .iter()
            .filter(|item| !row::is_expired(item, now))
            .map(row::body)
            .collect()
    }

    pub(super) async fn jira_ids_of(
        &self,
        site: &SiteName,
        worklogs: &[WorklogId],
    ) -> Result<Vec<(WorklogId, JiraWorklogId)>, StoreError> {
        let found = self
            .asked_for(
                worklogs,
                |worklog| Key::tempo(site, *worklog),
                |item| row::optional_number(item, "jira"),
            )
            .await?;
        Ok(found
            .into_iter()
            .filter_map(|(worklog, jira)| Some((worklog, JiraWorklogId(jira?))))
            .collect())
    }

    pub(super) async fn tempo_ids_of(
        &self,
        site: &SiteName,
        jira: &[JiraWorklogId],
    ) -> Result<Vec<(JiraWorklogId, WorklogId)>, StoreError> {
        self.asked_for(jira, |jira| Key::jira(site, *jira), worklog).await
    }

    pub(super) async fn learn_list(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<(WorklogId, Timestamp)>, StoreError> {
        // A request that came after the answer stays in the index, and is passed over.
        let range = Range::index(keys::learn(site))
            .filter("attribute_not_exists(#jira)")
            .page_size(limit.saturating_add(10).min(1_000));
        let items = self.first(&range, limit).await?;
        items
            .iter()
            .map(|item| Ok((worklog(item)?, row::required_time(item, "asked_at")?)))
            .collect()
    }

    pub(super) async fn learn_drop(&self, site: &SiteName, worklogs: &[WorklogId]) -> Result<(), StoreError> {
        // One by one, with a condition: an id that another runner learned meanwhile stays.
        let keys: Vec<Key> = worklogs
            .iter()
            .map(|worklog| Key::tempo(site, *worklog))
            .collect();
        futures::stream::iter(keys)
            .map(|key| {
                let write = Write::delete(key).when("attribute_not_exists(#jira)");
                self.send("forget to learn an id", write, ReturnValue::None)
            })
            .buffer_unordered(WRITES_AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Fetches rows by what they were asked for.
    async fn asked_for<K: Clone, V>(
        &self,
        asked: &[K],
        key: impl Fn(&K) -> Key,
        read: impl Fn(&Item) -> Result<V, StoreError>,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let by_key: BTreeMap<Key, &K> = asked.iter().map(|one| (key(one), one)).collect();
        let items = self.get_all(by_key.keys().cloned()).await?;
        let mut found = Vec::with_capacity(items.len());
        for item in &items {
            if let Some(asked) = by_key.get(&row::key(item)?) {
                found.push(((*asked).clone(), read(item)?));
            }
        }
        Ok(found)
    }
}

fn worklog(item: &Item) -> Result<WorklogId, StoreError> {
    row::optional_number(item, "worklog")?
        .map(WorklogId)
        .ok_or_else(|| row::corrupt(item, "worklog", "is missing"))
}
