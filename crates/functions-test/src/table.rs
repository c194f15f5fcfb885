//! The embedded table as DynamoDB is reached from a function: over HTTP, with a stream. Behind the same address are the
//! sites' secrets, and in front of both the permissions of whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_aws::dynamodb::schema::TABLE;
use tandem_aws::{DynamoStore, Embedded};
use tandem_template::{Allowed, index_arn, secret_arn, table_arn};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

use crate::manager::{Manager, Writes};
use crate::topic::{Form, Published};

/// A request that reached the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who signed it: an access key id.
    pub by: String,
    /// The operation, such as `UpdateItem`.
    pub operation: String,
    /// Its body.
    pub body: Value,
}

struct Shared {
    embedded: Embedded,
    requests: Mutex<Vec<Request>>,
    units: Mutex<Units>,
    stream: Mutex<Vec<Value>>,
    sequence: AtomicU64,
    down: AtomicBool,
    hangs: AtomicBool,
    secrets: Mutex<Manager>,
    published: Mutex<Vec<Published>>,
    topics_down: AtomicBool,
    allowed: Mutex<BTreeMap<String, BTreeSet<Allowed>>>,
    used: Mutex<BTreeMap<String, BTreeSet<Allowed>>>,
    denied: Mutex<Vec<(String, Allowed)>>,
    /// Held around each write, so that the stream shows exactly what it left.
    writing: AsyncMutex<()>,
    taken: Mutex<Vec<(Instant, Duration)>>,
}

/// What requests cost, in the units that DynamoDB charges.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Read request units.
    pub read: f64,
    /// Write request units, those of the index included.
    pub write: f64,
}

/// A table in memory behind an address.
pub struct Table {
    shared: Arc<Shared>,
    url: String,
    server: JoinHandle<()>,
}

impl Table {
    /// The name under which functions find it.
    pub const NAME: &str = tandem_template::TABLE_NAME;

    /// Makes a new table and serves it.
    pub async fn serve() -> Self {
        let shared = Arc::new(Shared {
            embedded: Embedded::open(None).await.expect("memory can be opened"),
            requests: Mutex::default(),
            units: Mutex::default(),
            stream: Mutex::default(),
            sequence: AtomicU64::new(1),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            secrets: Mutex::default(),
            published: Mutex::default(),
            topics_down: AtomicBool::new(false),
            allowed: Mutex::default(),
            used: Mutex::default(),
            denied: Mutex::default(),
            writing: AsyncMutex::default(),
            taken: Mutex::default(),
        });
        let router = Router::new()
            .route("/", post(timed))
            .with_state(Arc::clone(&shared));
        let (address, server) = crate::serve(router).await;
        Self {
            shared,
            url: format!("http://{address}"),
            server,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a store on the same table that is neither counted nor streamed.
    pub fn store(&self) -> DynamoStore {
        self.shared.embedded.store()
    }

    /// Takes the requests that came since the last time.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(
            &mut self
                .shared
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Takes when each request came since the last time, those for secrets included, and how long its answer took.
    pub fn take_times(&self) -> Vec<(Instant, Duration)> {
        std::mem::take(&mut *locked(&self.shared.taken))
    }

    /// Takes what all requests cost since the last time.
    pub fn take_units(&self) -> Units {
        std::mem::take(&mut *locked(&self.shared.units))
    }

    /// Takes the stream's records since the last time, unfiltered and in order.
    pub fn take_stream(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.stream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a secret's text, or replaces it.
    pub fn put_secret(&self, name: &str, text: String) {
        locked(&self.shared.secrets).put(name, text);
    }

    /// Begins the rotation of a secret as Secrets Manager does, with a version that has no text yet. Returns its
    /// name.
    pub fn begin_rotation(&self, name: &str) -> String {
        locked(&self.shared.secrets).begin_rotation(name)
    }

    /// Returns a secret's text under a label, such as `AWSCURRENT`.
    pub fn secret(&self, name: &str, label: &str) -> Option<String> {
        locked(&self.shared.secrets).text(name, label)
    }

    /// Returns the labels of a secret's version.
    pub fn labels(&self, name: &str, version: &str) -> BTreeSet<String> {
        locked(&self.shared.secrets).labels(name, version)
    }

    /// Returns how many writes of secrets were lost.
    pub fn lost_secret_writes(&self) -> usize {
        locked(&self.shared.secrets).lost
    }

    /// Returns how often the text of a secret was asked for.
    pub fn secrets_read(&self) -> usize {
        locked(&self.shared.secrets).read
    }

    /// Says what becomes of writes of secrets from now on.
    pub fn set_secret_writes(&self, writes: Writes) {
        locked(&self.shared.secrets).writes = writes;
    }

    /// Takes what was published to topics since the last time.
    pub fn take_published(&self) -> Vec<Published> {
        std::mem::take(&mut *locked(&self.shared.published))
    }

    /// Lets every publication fail, or no longer.
    pub fn set_topics_down(&self, down: bool) {
        self.shared.topics_down.store(down, Ordering::Relaxed);
    }

    /// Holds whoever signs with this access key id to these permissions from now on. Others may do everything.
    pub fn allow(&self, by: &str, allowed: BTreeSet<Allowed>) {
        locked(&self.shared.allowed).insert(by.to_owned(), allowed);
    }

    /// Returns which permissions somebody has made use of.
    pub fn used(&self, by: &str) -> BTreeSet<Allowed> {
        locked(&self.shared.used).get(by).cloned().unwrap_or_default()
    }

    /// Returns what was refused for want of a permission, and to whom.
    pub fn denied(&self) -> Vec<(String, Allowed)> {
        locked(&self.shared.denied).clone()
    }

    /// Lets every request fail, or no longer.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::Relaxed);
    }

    /// Leaves every request without an effect and without an answer, or no longer.
    pub fn set_hanging(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Ordering::Relaxed);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn timed(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let came = Instant::now();
    let response = answer(&shared, headers, body).await;
    locked(&shared.taken).push((came, came.elapsed()));
    response
}

async fn answer(shared: &Shared, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let (service, operation) = target.rsplit_once('.').unwrap_or_default();
    let operation = operation.to_owned();
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    let by = signer(&headers);
    if let Some(form) = Form::read(&headers, &body) {
        return publish(shared, &by, &form);
    }
    if let Some(missing) = refused(shared, &by, permissions(service, &operation, &read)) {
        let problem = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException",
            "message": format!("{by} is not authorized to perform: {} on resource: {}", missing.action, missing.resource),
        });
        return respond(400, problem.to_string());
    }
    if service == "secretsmanager" {
        return secret(shared, &operation, &read).await;
    }
    let request = Request {
        by,
        operation: operation.clone(),
        body: read.clone(),
    };
    shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    if shared.hangs.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    if shared.down.load(Ordering::Relaxed) {
        let problem =
            json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "down"});
        return respond(500, problem.to_string());
    }
    let mut counted = read.clone();
    counted["ReturnConsumedCapacity"] = json!("TOTAL");
    let body = counted.to_string();
    let keys = written(&operation, &read);
    if keys.is_empty() {
        let (status, text) = shared
            .embedded
            .answer(&operation, body.as_bytes())
            .await
            .expect("memory answers");
        count(shared, &operation, &text);
        return respond(status, text);
    }
    let _writing = shared.writing.lock().await;
    let mut before = Vec::new();
    for key in &keys {
        before.push(item(shared, key).await);
    }
    let (status, text) = shared
        .embedded
        .answer(&operation, body.as_bytes())
        .await
        .expect("memory answers");
    count(shared, &operation, &text);
    if status == 200 {
        for (key, before) in keys.into_iter().zip(before) {
            let after = item(shared, &key).await;
            if before != after {
                record(shared, key, before.is_some(), after);
            }
        }
    }
    respond(status, text)
}

/// Answers as SNS does.
fn publish(shared: &Shared, by: &str, form: &Form) -> Response {
    let error = |status: u16, code: &str| {
        respond(
            status,
            format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"),
        )
    };
    if refused(shared, by, [form.permission()].into()).is_some() {
        return error(403, "AuthorizationError");
    }
    if shared.topics_down.load(Ordering::Relaxed) {
        return error(500, "InternalError");
    }
    match form.publication() {
        Some(publication) => {
            locked(&shared.published).push(publication);
            respond(200, "<PublishResponse/>".to_owned())
        }
        None => error(400, "InvalidParameter"),
    }
}

/// Adds up what an answer says that it cost.
fn count(shared: &Shared, operation: &str, answer: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let consumed = match &answer["ConsumedCapacity"] {
        Value::Array(of_tables) => of_tables.clone(),
        of_table => vec![of_table.clone()],
    };
    let sum: f64 = consumed
        .iter()
        .filter_map(|one| one["CapacityUnits"].as_f64())
        .sum();
    let mut units = locked(&shared.units);
    match operation {
        "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => units.read += sum,
        _ => units.write += sum,
    }
}

/// Returns the access key id that a request is signed with.
fn signer(headers: &HeaderMap) -> String {
    let signature = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let credential = signature.split_once("Credential=").unwrap_or_default().1;
    credential.split('/').next().unwrap_or_default().to_owned()
}

/// Returns the permissions that AWS asks for before it carries a request out.
///
/// A transaction needs what each of its writes would need alone. An index has an ARN of its own.
fn permissions(service: &str, operation: &str, body: &Value) -> BTreeSet<Allowed> {
    let allowed = |action: String, resource: String| Allowed { action, resource };
    if service == "secretsmanager" {
        let id = body["SecretId"].as_str().unwrap_or_default();
        let resource = if id.starts_with("arn:") {
            id.to_owned()
        } else {
            secret_arn(id)
        };
        return [allowed(format!("secretsmanager:{operation}"), resource)].into();
    }
    let on_table = |operation: &str| allowed(format!("dynamodb:{operation}"), table_arn());
    match operation {
        "TransactWriteItems" => body["TransactItems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|write| write.keys())
            .map(|kind| match kind.as_str() {
                "ConditionCheck" => on_table("ConditionCheckItem"),
                kind => on_table(&format!("{kind}Item")),
            })
            .collect(),
        "TransactGetItems" => [on_table("GetItem")].into(),
        _ if body.get("IndexName").is_some() => {
            [allowed(format!("dynamodb:{operation}"), index_arn())].into()
        }
        _ => [on_table(operation)].into(),
    }
}

/// Notes what is asked for, and returns what of it is not allowed.
fn refused(shared: &Shared, by: &str, asked: BTreeSet<Allowed>) -> Option<Allowed> {
    let allowed = locked(&shared.allowed).get(by).cloned();
    let missing = allowed.and_then(|allowed| asked.iter().find(|one| !allowed.contains(one)).cloned());
    if let Some(missing) = &missing {
        locked(&shared.denied).push((by.to_owned(), missing.clone()));
    }
    locked(&shared.used)
        .entry(by.to_owned())
        .or_default()
        .extend(asked);
    missing
}

/// Answers for Secrets Manager.
async fn secret(shared: &Shared, operation: &str, body: &Value) -> Response {
    let answer = locked(&shared.secrets).answer(operation, body);
    match answer {
        Some((status, answer)) => respond(status, answer.to_string()),
        None => std::future::pending().await,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn respond(status: u16, text: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/x-amz-json-1.0")],
        text,
    )
        .into_response()
}

/// Returns the keys of the rows that a request may write.
fn written(operation: &str, body: &Value) -> Vec<Value> {
    let of_item = |item: &Value| json!({TABLE.partition_key: item[TABLE.partition_key], TABLE.sort_key: item[TABLE.sort_key]});
    match operation {
        "PutItem" => vec![of_item(&body["Item"])],
        "UpdateItem" | "DeleteItem" => vec![body["Key"].clone()],
        "TransactWriteItems" => body["TransactItems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|write| {
                let put = write.get("Put").map(|put| of_item(&put["Item"]));
                put.or_else(|| {
                    write
                        .get("Update")
                        .or_else(|| write.get("Delete"))
                        .map(|write| write["Key"].clone())
                })
            })
            .collect(),
        "BatchWriteItem" => body["RequestItems"][Table::NAME]
            .as_array()
            .into_iter()
            .flatten()
            .map(|write| match write.get("PutRequest") {
                Some(put) => of_item(&put["Item"]),
                None => write["DeleteRequest"]["Key"].clone(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

async fn item(shared: &Shared, key: &Value) -> Option<Value> {
    let request = json!({"TableName": Table::NAME, "Key": key, "ConsistentRead": true}).to_string();
    let (_, text) = shared
        .embedded
        .answer("GetItem", request.as_bytes())
        .await
        .expect("memory answers");
    serde_json::from_str::<Value>(&text).ok()?.get("Item").cloned()
}

/// Writes a stream record as Lambda delivers it.
fn record(shared: &Shared, keys: Value, was_there: bool, after: Option<Value>) {
    let sequence = shared.sequence.fetch_add(1, Ordering::Relaxed);
    let name = match (was_there, &after) {
        (_, None) => "REMOVE",
        (true, Some(_)) => "MODIFY",
        (false, Some(_)) => "INSERT",
    };
    let mut change = json!({
        "ApproximateCreationDateTime": Timestamp::now().as_second() as f64,
        "Keys": keys,
        "SequenceNumber": format!("{sequence:021}"),
        "SizeBytes": after.as_ref().map_or(0, |after| after.to_string().len()),
        "StreamViewType": TABLE.stream_view,
    });
    if let Some(after) = after {
        change["NewImage"] = after;
    }
    let record = json!({
        "eventID": format!("{sequence:032x}"),
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/tandem/stream/2026-01-01T00:00:00.000",
    });
    shared
        .stream
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(record);
}

/// How long anything was under way before a moment: what was so at the same time counts once.
pub fn covered(times: &[(Instant, Duration)], end: Instant) -> Duration {
    let mut spans: Vec<_> = times
        .iter()
        .map(|(came, took)| (*came, (*came + *took).min(end)))
        .filter(|(from, to)| from < to)
        .collect();
    spans.sort();
    let (mut total, mut until) = (Duration::ZERO, None);
    for (from, to) in spans {
        let from = until.map_or(from, |until: Instant| until.max(from));
        total += to.saturating_duration_since(from);
        until = until.max(Some(to));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_at_the_same_time_counts_once() {
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let at = |after: u64, took: u64| (begin + ms(after), ms(took));
        let covered = |times: &[_], end: u64| covered(times, begin + ms(end));
        assert_eq!(covered(&[], 9), ms(0));
        assert_eq!(covered(&[at(1, 2), at(5, 2)], 9), ms(4));
        assert_eq!(covered(&[at(5, 3), at(1, 6), at(2, 1)], 9), ms(7));
        // Of what goes on beyond the end, the part before it.
        assert_eq!(covered(&[at(1, 4), at(2, 100), at(10, 1)], 9), ms(8));
    }
}
