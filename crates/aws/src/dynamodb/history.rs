//! The history.

use tandem_core::{ConnectionName, LinkKey};
use tandem_engine::ports::StoreError;
use tandem_engine::ports::store::HistoryRow;

use super::DynamoStore;
use super::keys::{self, Key};
use super::read::Range;
use super::row;

impl DynamoStore {
    pub(super) async fn history_newest(
        &self,
        connections: &[ConnectionName],
        link: Option<&LinkKey>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let ranges: Vec<Range> = match link {
            Some(link) => vec![Range::index(keys::link_history(link))],
            None => connections
                .iter()
                .map(|connection| Range::table(keys::history(connection)))
                .collect(),
        };
        let now = self.now();
        let mut lines: Vec<HistoryRow> = Vec::new();
        for range in ranges {
            let range = range.backward().page_size(limit.saturating_add(1).min(1_000));
            for item in self.first(&range, limit).await? {
                // The end of a line's time is the end of those before it, near enough; they just shorten the list.
                if !row::is_expired(&item, now) {
                    lines.push(row::body(&item)?);
                }
            }
        }
        lines.sort_by(|left, right| (left.time, &left.id).cmp(&(right.time, &right.id)));
        lines.drain(..lines.len().saturating_sub(limit));
        Ok(lines)
    }

    pub(super) async fn history_of(
        &self,
        connection: &ConnectionName,
        id: &str,
    ) -> Result<Option<HistoryRow>, StoreError> {
        let item = self.get(&Key::history(connection, id)).await?;
        let item = item.filter(|item| !row::is_expired(item, self.now()));
        item.map(|item| row::body(&item)).transpose()
    }
}
