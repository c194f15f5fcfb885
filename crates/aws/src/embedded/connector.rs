//! The AWS SDK's way to the table inside this process: an HTTP connector without HTTP.
//!
//! The SDK builds, signs and retries its requests as ever; this takes them before they would reach a socket.
//! So what runs locally is the code that runs on AWS, no port is open, and time can be paused in tests.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dynamodb::EMBEDDED_UNUSABLE;

/// Where the table's rows are, which decides how a call may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In memory: a call takes microseconds and runs where it is made, so that the order of things under paused
    /// time depends on nothing but the tests.
    Memory,
    /// In a file: a call waits for the disk, and for another process up to seconds, so it runs on a thread for
    /// blocking work. (Tokio doesn't move paused time on while such a thread works.)
    File,
}

/// Answers requests from a database.
#[derive(Clone)]
struct Connector {
    database: Database,
    home: Home,
}

/// Makes a client of the SDK talk to a database.
pub(super) fn connect(database: Database, home: Home) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector { database, home });
    http_client_fn(move |_, _| connector.clone())
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            match this.home {
                Home::Memory => respond(&this.database, &operation, &body),
                Home::File => tokio::task::spawn_blocking(move || respond(&this.database, &operation, &body))
                    .await
                    .map_err(|error| ConnectorError::other(error.into(), None))?,
            }
        })
    }
}

fn respond(database: &Database, operation: &str, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
    let (status, text) = answered(database, operation, body);
    let status = status
        .try_into()
        .map_err(|_| ConnectorError::other("no status".into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(text));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// Answers a request: the status and the JSON.
pub(super) fn answered(database: &Database, operation: &str, body: &[u8]) -> (u16, String) {
    match call(database, operation, body) {
        Ok(text) => (200, text),
        Err(error) => match unusable(&error) {
            // No 5xx: the SDK would repeat what only a person can mend.
            Some(text) => (
                400,
                serde_json::json!({"__type": EMBEDDED_UNUSABLE, "message": text}).to_string(),
            ),
            None => (error.status_code(), error.to_json()),
        },
    }
}

fn call(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    match operation {
        "PutItem" => answer(body, |request| database.put_item(request)),
        "GetItem" => answer(body, |request| database.get_item(request)),
        "UpdateItem" => answer(body, |request| database.update_item(request)),
        "DeleteItem" => answer(body, |request| database.delete_item(request)),
        "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => answer(body, |request| database.batch_write_item(request)),
        "Query" => answer(body, |request| database.query(request)),
        "Scan" => answer(body, |request| database.scan(request)),
        "TransactWriteItems" => answer(body, |request| database.transact_write_items(request)),
        "TransactGetItems" => answer(body, |request| database.transact_get_items(request)),
        "CreateTable" => answer(body, |request| database.create_table(request)),
        "DescribeTable" => answer(body, |request| database.describe_table(request)),
        "UpdateTimeToLive" => answer(body, |request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => answer(body, |request| database.describe_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!(
            "the embedded table has no `{other}`"
        ))),
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    call: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| {
        // The engine's own reading marks with such a prefix what DynamoDB calls invalid.
        let text = error.to_string();
        let text = text
            .trim_start_matches("VALIDATION_REQUEST:")
            .trim_start_matches("VALIDATION:");
        DynoxideError::ValidationException(text.to_owned())
    })?;
    let answer = call(request)?;
    serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// What SQLite says of a file that no repetition makes usable, and what a person can do.
const UNUSABLE: [(&str, &str); 8] = [
    (
        "readonly",
        "Make the data directory and the files in it writable.",
    ),
    (
        "unable to open",
        "Make the data directory and the files in it readable and writable.",
    ),
    (
        "permission denied",
        "Make the data directory and the files in it readable and writable.",
    ),
    ("disk is full", "Make room on the disk."),
    ("I/O error", "Check the disk; then restart."),
    ("malformed", CORRUPT_ADVICE),
    ("not a database", CORRUPT_ADVICE),
    ("not a valid", CORRUPT_ADVICE),
];

const CORRUPT_ADVICE: &str = "Restore `tandem.db` from a backup, or move it away and begin anew: worklogs that \
                              say the same on both sides are taken over as pairs.";

/// Says what is wrong with the file, if the file is what's wrong.
pub(super) fn unusable(error: &DynoxideError) -> Option<String> {
    if error.status_code() < 500 {
        return None;
    }
    let text = error.to_string();
    let (_, advice) = UNUSABLE.iter().find(|(sign, _)| text.contains(sign))?;
    Some(format!("{text}. {advice}"))
}

/// How long the SDK waits before it repeats a request to a busy file, at first.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(50);
