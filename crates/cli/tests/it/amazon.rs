//! A table behind an address, as DynamoDB's is: what the binary meets with `--table`.

use std::sync::{Arc, Mutex};

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
    units: Arc<Mutex<f64>>,
}

impl Amazon {
    /// Has the table answer for as long as the runtime is there.
    pub fn serve(runtime: &Runtime, embedded: Embedded) -> Self {
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let units = Arc::new(Mutex::new(0.0));
        let router = Router::new()
            .route("/", post(answer))
            .with_state((embedded, Arc::clone(&units)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, units }
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

    /// Takes the read units that were asked of it so far, as DynamoDB charges them.
    pub fn take_units(&self) -> f64 {
        std::mem::take(&mut *self.units.lock().unwrap())
    }
}

async fn answer(
    State((embedded, units)): State<(Embedded, Arc<Mutex<f64>>)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body["ReturnConsumedCapacity"] = json!("TOTAL");
    let operation = target.rsplit_once('.').unwrap().1;
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
        *units.lock().unwrap() += of_tables.sum::<Option<f64>>().unwrap();
    }
    (StatusCode::from_u16(status).unwrap(), text)
}
