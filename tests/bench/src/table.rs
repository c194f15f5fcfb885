//! A table whose links and pairs are made up when they are asked for, behind DynamoDB's own requests.
//!
//! The store and the SDK above it are the real ones. Everything else - cursors, a site's state, its bucket - goes on
//! to an embedded table in memory: a few rows, however many worklogs there are.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_aws::dynamodb::keys::{self, Key};
use tandem_aws::{DynamoStore, Embedded};
use tandem_core::{ConnectionName, Side};
use tandem_engine::ports::store::LinkRow;
use tandem_engine::ports::{Clock, StoreError};

use crate::scale::{CONNECTION, SITES, Scale, pair};

/// DynamoDB ends a page after this much.
const PAGE_BYTES: usize = 1024 * 1024;

/// Returns the store on such a table.
///
/// # Errors
/// When the embedded table cannot be made.
pub async fn made_up_table(scale: Scale, clock: Arc<dyn Clock>) -> Result<DynamoStore, StoreError> {
    let wrap = move |client: SharedHttpClient| {
        http_client_fn(move |settings, components| {
            let others = client.http_connector(settings, components);
            SharedHttpConnector::new(MadeUp { scale, others })
        })
    };
    Ok(Embedded::in_memory(clock).await?.store_through(wrap))
}

#[derive(Debug)]
struct MadeUp {
    scale: Scale,
    others: SharedHttpConnector,
}

impl HttpConnector for MadeUp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if target.ends_with(".Query")
            && let Some(answer) = request.body().bytes().and_then(|body| self.query(body))
        {
            return HttpConnectorFuture::ready(respond(&answer));
        }
        if target.ends_with(".BatchGetItem")
            && let Some(answer) = request.body().bytes().and_then(|body| self.issues(body))
        {
            return HttpConnectorFuture::ready(respond(&answer));
        }
        self.others.call(request)
    }
}

fn respond(answer: &Value) -> Result<HttpResponse, ConnectorError> {
    let status = 200_u16
        .try_into()
        .map_err(|_| ConnectorError::other("no status".into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(answer.to_string())))
}

impl MadeUp {
    /// Answers a query for links or for a link's pairs; `None` for any other.
    fn query(&self, body: &[u8]) -> Option<Value> {
        let request: Value = serde_json::from_slice(body).ok()?;
        let partition = request["ExpressionAttributeValues"][":partition"]["S"].as_str()?;
        let after = request["ExclusiveStartKey"]["sk"]["S"].as_str();
        if partition == keys::links(&ConnectionName::new(CONNECTION)) {
            let first = after.map_or(Some(0), |after| Some(self.link_of(after)? + 1))?;
            let limit = request["Limit"].as_u64().unwrap_or(u64::MAX);
            let end = self.scale.links().min(first.saturating_add(limit));
            let mut answer = self.answer(first..end, |number| {
                let row = LinkRow {
                    key: self.scale.link(number),
                    a_key: Some(format!("SUP-{number}")),
                    b_key: Some(format!("DEV-{number}")),
                    found_by: "table".into(),
                    since: Timestamp::UNIX_EPOCH,
                    outside: None,
                };
                (Key::link(&row.key), serde_json::to_string(&row))
            });
            // Where the limit ends a page, there is another one to ask for.
            if end < self.scale.links() && answer["LastEvaluatedKey"].is_null() {
                let last = Key::link(&self.scale.link(end.saturating_sub(1)));
                answer["LastEvaluatedKey"] = json!({ "pk": { "S": last.pk }, "sk": { "S": last.sk } });
            }
            return Some(answer);
        }
        let issues = partition.strip_prefix(&format!("PAIRS#{CONNECTION}#"))?;
        let link = self.scale.link(self.link_of(issues)?);
        let numbers = self.scale.of_link(self.scale.link_with(Side::A, link.a));
        // A link's pairs fit on one page here, so none is ever asked for after another.
        after.is_none().then(|| {
            self.answer(numbers, |number| {
                let pair = pair(&link, number);
                (Key::pair(&link, &pair.id), serde_json::to_string(&pair))
            })
        })
    }

    /// Answers a batch of issues; `None` for any other.
    fn issues(&self, body: &[u8]) -> Option<Value> {
        let request: Value = serde_json::from_slice(body).ok()?;
        let (table, asked) = request["RequestItems"].as_object()?.iter().next()?;
        let mut items = Vec::new();
        for key in asked["Keys"].as_array()? {
            let pk = key["pk"]["S"].as_str()?;
            let (site, issue) = pk.strip_prefix("ISSUE#")?.split_once('#')?;
            let side = Side::BOTH.into_iter().find(|side| SITES[*side] == site)?;
            let link = self.scale.link(self.scale.link_with(side, issue.parse().ok()?));
            let mut item = json!({
                "pk": { "S": pk }, "sk": { "S": "ISSUE" }, "site": { "S": site }, "issue": { "N": issue },
            });
            item[keys::link_attribute(&link.connection)] = json!({ "S": format!("{}~{}", link.a, link.b) });
            items.push(item);
        }
        Some(json!({ "Responses": { table: items }, "UnprocessedKeys": {} }))
    }

    /// Returns the number of the link in `a~b`.
    fn link_of(&self, issues: &str) -> Option<u64> {
        let (a, _) = issues.split_once('~')?;
        Some(self.scale.link_with(Side::A, a.parse().ok()?))
    }

    /// Makes a page of rows, no larger than DynamoDB's.
    fn answer(
        &self,
        numbers: std::ops::Range<u64>,
        row: impl Fn(u64) -> (Key, serde_json::Result<String>),
    ) -> Value {
        let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
        for number in numbers {
            if bytes > PAGE_BYTES {
                break;
            }
            last = None;
            let (key, Ok(body)) = row(number) else { continue };
            bytes += key.pk.len() + key.sk.len() + body.len() + "pkskbody".len();
            if bytes > PAGE_BYTES {
                last = Some(json!({ "pk": { "S": &key.pk }, "sk": { "S": &key.sk } }));
            }
            items.push(json!({ "pk": { "S": key.pk }, "sk": { "S": key.sk }, "body": { "S": body } }));
        }
        let mut answer = json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items });
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = last;
        }
        answer
    }
}
