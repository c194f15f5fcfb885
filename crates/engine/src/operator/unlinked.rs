//! Links that are no more. What was done under one is in the history under it, and its issues may have other twins now.

use tandem_core::{ConnectionName, IssueId, Side};

use crate::error::EngineError;
use crate::options::Engine;
use crate::ports::store::LinkRow;

/// Former links of an issue that are remembered, at most; the oldest are forgotten first.
const FORMER_MAX: usize = 100;

impl Engine {
    /// Remembers a link that is about to be taken away, for the history of its issues.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn remember_unlinked(&self, row: &LinkRow) -> Result<(), EngineError> {
        for side in Side::BOTH {
            let (connection, issue) = (&row.key.connection, row.key.issue(side));
            let mut rows = self.unlinked(connection, side, issue).await?;
            rows.retain(|one| one.key != row.key);
            rows.push(row.clone());
            rows.drain(..rows.len().saturating_sub(FORMER_MAX));
            let text = serde_json::Value::from_iter(rows.iter().map(|row| serde_json::json!(row)));
            let name = note(connection, side, issue);
            self.store.put_note(&name, &text.to_string()).await?;
        }
        Ok(())
    }

    /// Returns the links that an issue once had in a connection, the newest last.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn unlinked(
        &self,
        connection: &ConnectionName,
        side: Side,
        issue: IssueId,
    ) -> Result<Vec<LinkRow>, EngineError> {
        let text = self.store.note(&note(connection, side, issue)).await?;
        // One that cannot be read tells of nothing.
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }
}

fn note(connection: &ConnectionName, side: Side, issue: IssueId) -> String {
    format!("unlinked:{connection}:{side}:{issue}")
}
