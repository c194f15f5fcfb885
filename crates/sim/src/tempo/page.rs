//! Tempo's paging by offset.

use serde_json::{Value, json};

use super::error;
use crate::http::Reply;
use crate::route::Call;

/// Tempo's default page size.
const LIMIT_DEFAULT: usize = 50;
/// The largest page of worklogs.
pub(super) const LIMIT_MAX: usize = 5000;

/// The piece of a result that was asked for.
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Page {
    /// Reads `offset` and `limit`; a limit beyond the maximum is cut and noted.
    pub(super) fn asked(call: &mut Call<'_>) -> Result<Self, Reply> {
        let number = |name: &str, default: usize| match call.request.one(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| error(400, &[format!("Invalid value for '{name}'")])),
        };
        let offset = number("offset", 0)?;
        let mut limit = number("limit", LIMIT_DEFAULT)?;
        if limit == 0 {
            return Err(error(400, &["must be greater than or equal to 1"]));
        }
        if limit > LIMIT_MAX {
            call.violation(format!("limit={limit} is beyond {LIMIT_MAX}"));
            limit = LIMIT_MAX;
        }
        let limit = limit.min(call.site.spec.page_max.max(1));
        Ok(Self { offset, limit })
    }

    /// Writes the page of some rows; only its own rows are rendered.
    pub(super) fn of<T>(&self, call: &Call<'_>, rows: &[T], render: impl Fn(&T) -> Value) -> Reply {
        let start = self.offset.min(rows.len());
        let end = (start + self.limit).min(rows.len());
        let results: Vec<Value> = rows[start..end].iter().map(render).collect();
        let address = |offset: usize| {
            call.request
                .url_with(&[("offset", offset.to_string()), ("limit", self.limit.to_string())])
        };
        // `count` is the number of rows on this page: Tempo has no total.
        let mut metadata = json!({"count": results.len(), "offset": self.offset, "limit": self.limit});
        if end < rows.len() {
            metadata["next"] = json!(address(end));
        }
        if self.offset > 0 {
            metadata["previous"] = json!(address(self.offset.saturating_sub(self.limit)));
        }
        Reply::ok(&json!({"self": call.request.url(), "metadata": metadata, "results": results}))
    }
}
