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
    /// What is in use, where something is.
    current: Option<String>,
    /// Whether a rotation comes and goes after the first look.
    rotates: bool,
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
    let asked = manager.asked.lock().unwrap().clone();
    let looks = operations(&asked)
        .into_iter()
        .filter(|one| *one == "DescribeSecret")
        .count();
    let not_there = (
        StatusCode::BAD_REQUEST,
        json!({"__type": "ResourceNotFoundException", "message": "not there"}),
    );
    let (status, answer) = match operation.as_str() {
        _ if manager.missing => not_there,
        "DescribeSecret" if manager.rotates && looks > 1 => (
            StatusCode::OK,
            json!({"ARN": "arn", "Name": "tandem/acme", "VersionIdsToStages": {"two": ["AWSCURRENT", "AWSPENDING"], "one": ["AWSPREVIOUS"]}}),
        ),
        "DescribeSecret" => (
            StatusCode::OK,
            json!({"ARN": "arn", "Name": "tandem/acme", "VersionIdsToStages": {"one": ["AWSCURRENT"], "two": ["AWSPENDING"]}}),
        ),
        "GetSecretValue" if manager.pending && body["VersionId"] == "two" => (
            StatusCode::OK,
            json!({"SecretString": STATIC, "VersionId": "two"}),
        ),
        "GetSecretValue" => match manager.current.filter(|_| body["VersionId"] == "one") {
            Some(text) => (StatusCode::OK, json!({"SecretString": text, "VersionId": "one"})),
            None => not_there,
        },
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
        [
            "DescribeSecret",
            "GetSecretValue",
            "GetSecretValue",
            "DescribeSecret",
            "PutSecretValue"
        ]
    );
    let body = &asked[4].1;
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
    assert_eq!(asked[4].1["SecretString"], STATIC);
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
        operations(&asked)[4..],
        ["PutSecretValue", "UpdateSecretVersionStage"]
    );
    let body = &asked[5].1;
    assert_eq!(
        (&body["VersionStage"], &body["RemoveFromVersionId"]),
        (&json!("AWSPENDING"), &json!("two"))
    );
}

/// The same secret with OAuth, whose refresh token is this one.
fn with_oauth(refresh_token: &str) -> String {
    let mut secret: Value = serde_json::from_str(STATIC).unwrap();
    for (field, value) in [
        ("tempo_client_id", "c"),
        ("tempo_client_secret", "hush-c"),
        ("tempo_redirect_uri", "https://acme.example"),
        ("tempo_refresh_token", refresh_token),
    ] {
        secret[field] = json!(value);
    }
    secret.to_string()
}

#[test]
fn a_file_from_before_a_rotation_does_not_bury_the_tokens_in_use() {
    let manager = Manager {
        current: Some(with_oauth("hush-2")),
        ..Manager::default()
    };
    for old in [&with_oauth("hush-1"), STATIC] {
        let (ran, asked) = put(&manager, old, &["acme"]);
        ran.ended(1)
            .says("Nothing was stored")
            .says("aws secretsmanager get-secret-value --secret-id tandem/acme")
            .says("--replace-oauth");
        assert!(!operations(&asked).contains(&"PutSecretValue"), "{asked:?}");
    }
    // A fresh copy with another token of Jira's, and a pair that somebody has just authorized.
    for (text, more) in [
        (with_oauth("hush-2").replace("hush-j", "hush-j2"), None),
        (with_oauth("hush-3"), Some("--replace-oauth")),
    ] {
        let arguments: Vec<&str> = ["acme"].into_iter().chain(more).collect();
        let (ran, asked) = put(&manager, &text, &arguments);
        ran.ended(0)
            .says("aws secretsmanager rotate-secret --secret-id tandem/acme");
        assert_eq!(asked[4].1["SecretString"], text);
    }
}

#[test]
fn what_a_rotation_stored_while_somebody_was_asked_is_not_written_over() {
    let manager = Manager {
        current: Some(STATIC.to_owned()),
        rotates: true,
        ..Manager::default()
    };
    let (ran, asked) = put(&manager, STATIC, &["acme"]);
    ran.ended(1)
        .says("was changed meanwhile")
        .says("Nothing was stored");
    assert!(!operations(&asked).contains(&"PutSecretValue"), "{asked:?}");
}

#[test]
fn secrets_of_webhooks_that_a_file_does_not_name_stay() {
    let manager = Manager {
        current: Some(STATIC.to_owned()),
        ..Manager::default()
    };
    let mut file: Value = serde_json::from_str(STATIC).unwrap();
    file["jira_token"] = json!("hush-new");
    file["tempo_webhook_secrets"] = json!([]);
    file.as_object_mut().unwrap().remove("jira_webhook_secrets");
    let (ran, asked) = put(&manager, &file.to_string(), &["acme"]);
    ran.ended(0)
        .says("kept the present jira_webhook_secrets")
        .says("there are no tempo_webhook_secrets");
    let stored: Value = serde_json::from_str(asked[4].1["SecretString"].as_str().unwrap()).unwrap();
    file["jira_webhook_secrets"] = json!(["hush-w"]);
    assert_eq!(stored, file);
}
