//! A Secrets Manager that keeps what it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Secrets by their ids, as they stand.
type Kept = Arc<Mutex<BTreeMap<String, String>>>;

/// Secrets Manager on loopback, with secrets that exist and hold nothing of use yet.
pub struct Vault {
    pub url: String,
    kept: Kept,
    _runtime: Runtime,
}

impl Vault {
    pub fn with(ids: &[&str]) -> Self {
        let kept: BTreeMap<String, String> =
            ids.iter().map(|id| ((*id).to_owned(), "{}".to_owned())).collect();
        let kept = Arc::new(Mutex::new(kept));
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/", post(answer))
            .with_state(Arc::clone(&kept));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            kept,
            _runtime: runtime,
        }
    }

    /// What a secret holds.
    pub fn holds(&self, id: &str) -> Value {
        serde_json::from_str(&self.kept.lock().unwrap()[id]).unwrap()
    }
}

async fn answer(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let id = body["SecretId"].as_str().unwrap().to_owned();
    let mut kept = kept.lock().unwrap();
    let Some(text) = kept.get_mut(&id) else {
        let error = json!({"__type": "ResourceNotFoundException", "message": "not there"});
        return (StatusCode::BAD_REQUEST, error.to_string());
    };
    let answer = match target.rsplit_once('.').unwrap().1 {
        "DescribeSecret" => {
            json!({"ARN": "arn", "Name": id, "VersionIdsToStages": {"one": ["AWSCURRENT"]}})
        }
        "GetSecretValue" => json!({"Name": id, "SecretString": text, "VersionId": "one"}),
        "PutSecretValue" => {
            *text = body["SecretString"].as_str().unwrap().to_owned();
            json!({"Name": id, "VersionId": body["ClientRequestToken"]})
        }
        other => panic!("{other} is not known here"),
    };
    (StatusCode::OK, answer.to_string())
}
