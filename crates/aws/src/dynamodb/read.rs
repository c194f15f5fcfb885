//! Reading rows: one, many by key, or a range.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, Select, WriteRequest,
};
use futures::{StreamExt, TryStreamExt};
use tandem_engine::ports::StoreError;

use super::DynamoStore;
use super::failure::{failure, invalid};
use super::keys::Key;
use super::patience::Patience;
use super::row::{self, Item};
use super::schema::TABLE;
use super::write::collect_names;

/// The most keys in a BatchGetItem.
const GETS_MAX: usize = 100;

/// The most writes in a BatchWriteItem.
const PUTS_MAX: usize = 25;

/// How many batches are under way at a time.
const BATCHES_AT_ONCE: usize = 4;

/// The rows of a page, and where the next one begins.
pub(super) type Page<T> = (Vec<T>, Option<String>);

/// A range of rows.
#[derive(Clone, Debug)]
pub(super) struct Range {
    index: bool,
    partition: String,
    /// A condition on the sort key, with its value.
    sort: Option<(&'static str, String)>,
    filter: Option<&'static str>,
    values: HashMap<String, AttributeValue>,
    backward: bool,
    page_size: Option<i32>,
    count: bool,
}

impl Range {
    /// All rows of a partition of the table.
    pub(super) fn table(partition: String) -> Self {
        Self {
            index: false,
            partition,
            sort: None,
            filter: None,
            values: HashMap::new(),
            backward: false,
            page_size: None,
            count: false,
        }
    }

    /// All rows of a partition of the index.
    pub(super) fn index(partition: impl Into<String>) -> Self {
        Self {
            index: true,
            ..Self::table(partition.into())
        }
    }

    /// Only those that sort up to a value, itself included.
    pub(super) fn up_to(mut self, value: String) -> Self {
        self.sort = Some(("<=", value));
        self
    }

    /// Only those that a filter lets through.
    pub(super) fn filter(mut self, filter: &'static str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Gives a value to a placeholder of the filter.
    pub(super) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Last row first.
    pub(super) fn backward(mut self) -> Self {
        self.backward = true;
        self
    }

    /// Looks at no more than so many rows at once.
    pub(super) fn page_size(mut self, rows: usize) -> Self {
        self.page_size = Some(i32::try_from(rows.max(1)).unwrap_or(i32::MAX));
        self
    }

    /// Counts the rows without returning them.
    pub(super) fn counted(mut self) -> Self {
        self.count = true;
        self
    }
}

impl DynamoStore {
    /// Returns a row, consistently.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(row::bare(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("read a row", error))?;
        Ok(answer.item)
    }

    /// Returns the rows that there are, consistently and in no particular order.
    pub(super) async fn get_all(&self, keys: impl IntoIterator<Item = Key>) -> Result<Vec<Item>, StoreError> {
        // DynamoDB refuses a batch that names a row twice.
        let keys: Vec<Key> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let batches: Vec<Vec<Key>> = keys.chunks(GETS_MAX).map(<[Key]>::to_vec).collect();
        let items: Vec<Vec<Item>> = futures::stream::iter(batches)
            .map(|batch| self.get_batch(batch))
            .buffered(BATCHES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(items.into_iter().flatten().collect())
    }

    async fn get_batch(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        let mut left: Vec<Item> = keys.iter().map(row::bare).collect();
        let mut items = Vec::with_capacity(left.len());
        let mut patience = Patience::new();
        loop {
            let asked = left.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .build()
                .map_err(invalid)?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .send()
                .await
                .map_err(|error| failure("read rows", error))?;
            for (_, mut found) in answer.responses.unwrap_or_default() {
                items.append(&mut found);
            }
            left = answer
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect();
            if left.is_empty() {
                return Ok(items);
            }
            // Some keys left over just means that 16 MB were full; none answered means that we are throttled.
            if left.len() < asked {
                patience = Patience::new();
            }
            patience.wait("the table left keys of a batch unanswered").await?;
        }
    }

    /// Returns one page of a range. A cursor comes from an earlier page.
    pub(super) async fn page(&self, range: &Range, cursor: Option<String>) -> Result<Page<Item>, StoreError> {
        let (items, _, cursor) = self.query(range, cursor).await?;
        Ok((items, cursor))
    }

    /// Returns all rows of a range.
    pub(super) async fn all(&self, range: &Range) -> Result<Vec<Item>, StoreError> {
        self.first(range, usize::MAX).await
    }

    /// Returns the first so many rows of a range.
    pub(super) async fn first(&self, range: &Range, limit: usize) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut cursor = None;
        if limit == 0 {
            return Ok(items);
        }
        loop {
            let (mut page, next) = self.page(range, cursor).await?;
            items.append(&mut page);
            if items.len() >= limit || next.is_none() {
                items.truncate(limit);
                return Ok(items);
            }
            cursor = next;
        }
    }

    /// Counts the rows of a range, and stops once there are more than enough.
    pub(super) async fn count(&self, range: &Range, enough: usize) -> Result<usize, StoreError> {
        let range = range.clone().counted();
        let mut total = 0;
        let mut cursor = None;
        loop {
            let (_, count, next) = self.query(&range, cursor).await?;
            total += count;
            if total > enough || next.is_none() {
                return Ok(total);
            }
            cursor = next;
        }
    }

    async fn query(
        &self,
        range: &Range,
        cursor: Option<String>,
    ) -> Result<(Vec<Item>, usize, Option<String>), StoreError> {
        let (partition, sort) = match range.index {
            true => (TABLE.index_partition_key, TABLE.index_sort_key),
            false => (TABLE.partition_key, TABLE.sort_key),
        };
        let mut values = range.values.clone();
        values.insert(":partition".to_owned(), row::text(&range.partition));
        let mut condition = format!("#{partition} = :partition");
        if let Some((operator, value)) = &range.sort {
            condition.push_str(&format!(" AND #{sort} {operator} :sort"));
            values.insert(":sort".to_owned(), row::text(value));
        }
        let mut names = HashMap::new();
        collect_names(&condition, &HashMap::new(), &mut names);
        collect_names(range.filter.unwrap_or_default(), &HashMap::new(), &mut names);
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .set_filter_expression(range.filter.map(str::to_owned))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(!range.backward)
            .set_limit(range.page_size)
            .set_exclusive_start_key(cursor.as_deref().map(start_key).transpose()?);
        request = match range.index {
            true => request.index_name(TABLE.index),
            false => request.consistent_read(true),
        };
        if range.count {
            request = request.select(Select::Count);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| failure("list rows", error))?;
        let count = usize::try_from(answer.count).unwrap_or(0);
        let next = answer
            .last_evaluated_key
            .filter(|key| !key.is_empty())
            .map(|key| cursor_text(&key))
            .transpose()?;
        Ok((answer.items.unwrap_or_default(), count, next))
    }

    /// Puts and removes rows without conditions, in no particular order and not as one.
    pub(super) async fn write_all(&self, puts: Vec<Item>, deletes: Vec<Key>) -> Result<(), StoreError> {
        let mut requests = Vec::with_capacity(puts.len() + deletes.len());
        for item in puts {
            row::check_size(&item)?;
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(invalid)?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        for key in &deletes {
            let delete = DeleteRequest::builder()
                .set_key(Some(row::bare(key)))
                .build()
                .map_err(invalid)?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        for batch in requests.chunks(PUTS_MAX) {
            self.write_batch(batch.to_vec()).await?;
        }
        Ok(())
    }

    async fn write_batch(&self, mut left: Vec<WriteRequest>) -> Result<(), StoreError> {
        let mut patience = Patience::new();
        loop {
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.table, left)
                .send()
                .await
                .map_err(|error| failure("write rows", error))?;
            left = answer
                .unprocessed_items
                .unwrap_or_default()
                .into_values()
                .flatten()
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            patience.wait("the table left writes of a batch undone").await?;
        }
    }
}

/// Writes where a page ended as a text; all key attributes are texts themselves.
fn cursor_text(key: &Item) -> Result<String, StoreError> {
    let mut parts = std::collections::BTreeMap::new();
    for name in key.keys() {
        parts.insert(name, row::required(key, name)?);
    }
    serde_json::to_string(&parts).map_err(invalid)
}

fn start_key(cursor: &str) -> Result<Item, StoreError> {
    let parts: HashMap<String, String> = serde_json::from_str(cursor)
        .map_err(|_| StoreError::Corrupt("a cursor that no listing of this table gave".to_owned()))?;
    Ok(parts
        .into_iter()
        .map(|(name, value)| (name, row::text(value)))
        .collect())
}
