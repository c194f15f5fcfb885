//! The embedded table as DynamoDB is reached from a function: over HTTP, with a stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

/// A request that reached the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The operation, such as `UpdateItem`.
    pub operation: String,
    /// Its body.
    pub body: Value,
}

struct Shared {
    embedded: Embedded,
    requests: Mutex<Vec<Request>>,
    stream: Mutex<Vec<Value>>,
    sequence: AtomicU64,
    down: AtomicBool,
    /// Held around each write, so that the stream shows exactly what it left.
    writing: AsyncMutex<()>,
}

/// A table in memory behind an address.
pub struct Table {
    shared: Arc<Shared>,
    url: String,
    server: JoinHandle<()>,
}

impl Table {
    /// The name under which functions find it.
    pub const NAME: &str = "tandem";

    /// Makes a new table and serves it.
    pub async fn serve() -> Self {
        let shared = Arc::new(Shared {
            embedded: Embedded::open(None).await.expect("memory can be opened"),
            requests: Mutex::default(),
            stream: Mutex::default(),
            sequence: AtomicU64::new(1),
            down: AtomicBool::new(false),
            writing: AsyncMutex::default(),
        });
        let router = Router::new()
            .route("/", post(answer))
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

    /// Takes the stream's records since the last time, unfiltered and in order.
    pub fn take_stream(&self) -> Vec<Value> {
        std::mem::take(&mut self.shared.stream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets every request fail, or no longer.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::Relaxed);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    let request = Request {
        operation: operation.clone(),
        body: read.clone(),
    };
    shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    if shared.down.load(Ordering::Relaxed) {
        let problem =
            json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "down"});
        return respond(500, problem.to_string());
    }
    let keys = written(&operation, &read);
    if keys.is_empty() {
        let (status, text) = shared
            .embedded
            .answer(&operation, &body)
            .await
            .expect("memory answers");
        return respond(status, text);
    }
    let _writing = shared.writing.lock().await;
    let mut before = Vec::new();
    for key in &keys {
        before.push(item(&shared, key).await);
    }
    let (status, text) = shared
        .embedded
        .answer(&operation, &body)
        .await
        .expect("memory answers");
    if status == 200 {
        for (key, before) in keys.into_iter().zip(before) {
            let after = item(&shared, &key).await;
            if before != after {
                record(&shared, key, before.is_some(), after);
            }
        }
    }
    respond(status, text)
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
