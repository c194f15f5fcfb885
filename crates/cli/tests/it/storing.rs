//! `secrets put`, against a Secrets Manager of a few lines.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::{Ran, config_at, fed, run, tandem};

const CONFIG: &str = r#"[sites.acme]
jira = "https://acme.atlassian.net"
secret = "aws:tandem/acme"

[sites.globex]
jira = "https://globex.atlassian.net"
secret = "env:TANDEM_TEST_GLOBEX"

[sites.initech]
jira = "https://initech.atlassian.net"
secret = "file:initech.json"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
"#;

const STATIC: &str = r#"{"tempo_token":"hush-t","tempo_expires_at":"2027-01-31T00:00:00Z","jira_email":"x@acme.example",
    "jira_token":"hush-j","jira_expires_at":"2027-11-30T00:00:00Z","jira_webhook_secrets":["hush-w"],"tempo_webhook_secrets":["hush-v"]}"#;

/// What was asked: operation and body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A secret whose rotation has stored new tokens, or not.
#[derive(Clone, Default)]
struct Manager {
    asked: Asked,
    pending: bool,
    missing: bool,
}

async fn answer(State(manager): State<Manager>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit_once('.').unwrap().1.to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap();
    manager
        .asked
        .lock()
        .unwrap()
        .push((operation.clone(), body.clone()));
    let not_there = (
        StatusCode::BAD_REQUEST,
        json!({"__type": "ResourceNotFoundException", "message": "not there"}),
    );
    let (status, answer) = match operation.as_str() {
        _ if manager.missing => not_there,
        "DescribeSecret" => (
            StatusCode::OK,
            json!({"ARN": "arn", "Name": "tandem/acme", "VersionIdsToStages": {"one": ["AWSCURRENT"], "two": ["AWSPENDING"]}}),
        ),
        "GetSecretValue" if manager.pending && body["VersionId"] == "two" => (
            StatusCode::OK,
            json!({"SecretString": STATIC, "VersionId": "two"}),
        ),
        "GetSecretValue" => not_there,
        _ => (StatusCode::OK, json!({})),
    };
    (status, answer.to_string())
}

/// Runs `secrets put` with this on stdin. Returns what became of it, and what Secrets Manager was asked.
fn put(manager: &Manager, stdin: &str, arguments: &[&str]) -> (Ran, Vec<(String, Value)>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(manager.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    let directory = TempDir::new().unwrap();
    let mut command = tandem();
    command
        .args(["secrets", "put"])
        .args(arguments)
        .arg("--config")
        .arg(config_at(directory.path(), CONFIG))
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "hush-key")
        .env("AWS_ENDPOINT_URL", url);
    let ran = fed(&mut command, stdin);
    assert!(
        !ran.err.contains("hush") && !ran.out.contains("hush"),
        "a secret is shown: {ran:?}"
    );
    (ran, std::mem::take(&mut manager.asked.lock().unwrap()))
}

fn operations(asked: &[(String, Value)]) -> Vec<&str> {
    asked.iter().map(|(operation, _)| operation.as_str()).collect()
}

#[test]
fn a_secret_from_stdin_or_a_file_is_stored_as_it_stands() {
    let manager = Manager::default();
    let (ran, asked) = put(&manager, STATIC, &["acme", "--json"]);
    let stored = ran.ended(0).json();
    assert_eq!(stored["secret"], "tandem/acme");
    assert_eq!(
        operations(&asked),
        ["DescribeSecret", "GetSecretValue", "PutSecretValue"]
    );
    let body = &asked[2].1;
    // The day of a static token is kept with it.
    assert_eq!(body["SecretString"], STATIC);
    assert_eq!(body["ClientRequestToken"], stored["version"]);
    assert_eq!(
        body.get("VersionStages"),
        None,
        "Secrets Manager then puts it into use"
    );

    let directory = TempDir::new().unwrap();
    let file = directory.path().join("acme.json");
    std::fs::write(&file, STATIC).unwrap();
    let (ran, asked) = put(&manager, "", &["acme", "--file", file.to_str().unwrap()]);
    let ran = ran.ended(0).says("stored as tandem/acme");
    assert!(!ran.err.contains("note:"), "{ran:?}");
    assert_eq!(asked[2].1["SecretString"], STATIC);
}

#[test]
fn what_is_missing_is_said_before_anything_is_asked_or_written() {
    let manager = Manager::default();
    for (text, says) in [
        ("", "is not JSON"),
        ("hush", "is not JSON at line 1, column 1"),
        (
            r#"{"tempo_token":"hush","jira_email":"e"}"#,
            "has no `jira_token`",
        ),
        (
            &STATIC.replace("2027-01-31", "soon"),
            "`tempo_expires_at` that is no time",
        ),
        (
            &STATIC.replacen('{', r#"{"tempo_client_id":"c","#, 1),
            "has no `tempo_client_secret`",
        ),
        (&"x".repeat(70_000), "more than 65536 bytes"),
    ] {
        let (ran, asked) = put(&manager, text, &["acme"]);
        ran.ended(2).says(says);
        assert_eq!(operations(&asked), Vec::<&str>::new(), "{says}");
    }
    let (ran, asked) = put(&manager, "", &["acme", "--file", "no-such-file.json"]);
    ran.ended(2).says("no-such-file.json cannot be read");
    assert_eq!(asked, []);

    let bare = r#"{"tempo_token":"hush-t","jira_email":"e","jira_token":"hush-j","tempo_tokn":"x"}"#;
    let (ran, _) = put(&manager, bare, &["acme"]);
    ran.ended(0)
        .says("no jira_webhook_secrets")
        .says("no tempo_expires_at")
        .says("no jira_expires_at")
        .says("`tempo_tokn` is no field");
}

#[test]
fn a_secret_that_is_not_in_aws_is_not_stored_there() {
    let manager = Manager::default();
    for (site, says) in [
        ("globex", "set the variable TANDEM_TEST_GLOBEX"),
        ("initech", "initech.json: write the JSON into it"),
        (
            "nobody",
            "there is no site `nobody`; there are: acme, globex, initech",
        ),
    ] {
        let (ran, asked) = put(&manager, STATIC, &[site]);
        ran.ended(2).says(says);
        assert_eq!(asked, []);
    }
    let missing = Manager {
        missing: true,
        ..Manager::default()
    };
    let (ran, asked) = put(&missing, STATIC, &["acme"]);
    ran.ended(1)
        .says("there is no secret tandem/acme in this account and region");
    assert_eq!(operations(&asked), ["DescribeSecret"]);
    let directory = TempDir::new().unwrap();
    let mut command = tandem();
    command.args(["secrets", "put", "acme", "--config"]);
    run(command
        .arg(config_at(directory.path(), CONFIG))
        .stdin(Stdio::null()))
    .ended(2)
    .says("AWS_REGION is not set");
}

#[test]
fn new_tokens_of_a_rotation_are_given_up_only_on_request() {
    let manager = Manager {
        pending: true,
        ..Manager::default()
    };
    let (ran, asked) = put(&manager, STATIC, &["acme"]);
    ran.ended(1)
        .says("a rotation of tandem/acme is under way")
        .says("--end-rotation");
    assert_eq!(operations(&asked), ["DescribeSecret", "GetSecretValue"]);
    let (ran, asked) = put(&manager, STATIC, &["acme", "--end-rotation"]);
    ran.ended(0);
    assert_eq!(
        operations(&asked)[2..],
        ["PutSecretValue", "UpdateSecretVersionStage"]
    );
    let body = &asked[3].1;
    assert_eq!(
        (&body["VersionStage"], &body["RemoveFromVersionId"]),
        (&json!("AWSPENDING"), &json!("two"))
    );
}
