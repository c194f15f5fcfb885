//! A table behind an address, as DynamoDB's is: what the binary meets with `--table`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tandem_aws::Embedded;
use tokio::runtime::Runtime;

/// The name of the table.
const TABLE: &str = "tandem";

/// An address under which a table answers.
pub struct Amazon {
    url: String,
    asked: Arc<Asked>,
}

/// What was asked of it so far.
#[derive(Default)]
struct Asked {
    units: Mutex<f64>,
    needed: Mutex<BTreeSet<String>>,
    signed_by: Mutex<BTreeSet<String>>,
    stalled: AtomicBool,
}

impl Amazon {
    /// Has the table answer for as long as the runtime is there.
    pub fn serve(runtime: &Runtime, embedded: Embedded) -> Self {
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Asked>::default();
        let router = Router::new()
            .route("/", post(answer))
            .with_state((embedded, Arc::clone(&asked)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    /// Has a command use the table.
    pub fn used_by(&self, command: &mut std::process::Command) {
        command
            .args(["--table", TABLE])
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", &self.url);
    }

    /// Has the table give no more answers, and be no further away than before.
    pub fn stall(&self) {
        self.asked.stalled.store(true, Ordering::Relaxed);
    }

    /// Takes the read units that were asked of it so far, as DynamoDB charges them.
    pub fn take_units(&self) -> f64 {
        std::mem::take(&mut *self.asked.units.lock().unwrap())
    }

    /// Whose access keys signed what was asked of it so far.
    pub fn signed_by(&self) -> BTreeSet<String> {
        self.asked.signed_by.lock().unwrap().clone()
    }

    /// The actions that a policy has to allow for what was asked of it so far.
    pub fn needed(&self) -> BTreeSet<String> {
        self.asked.needed.lock().unwrap().clone()
    }
}

/// The actions that IAM asks for before a request is carried out: a transaction's are those of its parts.
fn actions(operation: &str, body: &Value) -> BTreeSet<String> {
    let parts = body["TransactItems"].as_array().into_iter().flatten();
    let mut actions: BTreeSet<String> = parts
        .flat_map(|part| part.as_object().unwrap().keys())
        .map(|part| match part.as_str() {
            "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
            part => format!("dynamodb:{part}Item"),
        })
        .collect();
    if actions.is_empty() {
        actions.insert(format!("dynamodb:{operation}"));
    }
    actions
}

async fn answer(
    State((embedded, asked)): State<(Embedded, Arc<Asked>)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    while asked.stalled.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let signature = headers["authorization"].to_str().unwrap();
    let (_, key) = signature.split_once("Credential=").unwrap();
    let key = key.split('/').next().unwrap().to_owned();
    asked.signed_by.lock().unwrap().insert(key);
    let target = headers["x-amz-target"].to_str().unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body["ReturnConsumedCapacity"] = json!("TOTAL");
    let operation = target.rsplit_once('.').unwrap().1;
    asked.needed.lock().unwrap().extend(actions(operation, &body));
    let (status, text) = embedded
        .answer(operation, body.to_string().as_bytes())
        .await
        .unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let consumed = match &told["ConsumedCapacity"] {
        Value::Array(of_tables) => of_tables.clone(),
        of_table => vec![of_table.clone()],
    };
    if status == 200 && ["GetItem", "BatchGetItem", "Query", "Scan"].contains(&operation) {
        let of_tables = consumed.iter().map(|one| one["CapacityUnits"].as_f64());
        *asked.units.lock().unwrap() += of_tables.sum::<Option<f64>>().unwrap();
    }
    (StatusCode::from_u16(status).unwrap(), text)
}
