//! Storing the secrets of webhooks where others store tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tandem_aws::secrets::{KeepError, KeptSecrets, Stage};
use tandem_aws::{SecretSource, Secrets};

use crate::world::acme;

fn text(token: &str) -> String {
    json!({"tempo_token": token, "jira_email": "bot@acme.example", "jira_token": "hush-j", "note": 7})
        .to_string()
}

/// Versions with their texts and labels, and what somebody puts into use just before we do.
#[derive(Debug, Default)]
struct Vault {
    texts: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    slips_in: Vec<String>,
    writes: usize,
}

impl Vault {
    fn put_current(&mut self, version: &str, text: String) {
        self.texts.insert(version.to_owned(), text);
        if let Some(before) = self.labels.insert("AWSCURRENT".to_owned(), version.to_owned()) {
            self.labels.insert("AWSPREVIOUS".to_owned(), before);
        }
    }

    fn current(&self) -> Value {
        serde_json::from_str(&self.texts[&self.labels["AWSCURRENT"]]).unwrap()
    }

    fn answer(&mut self, operation: &str, body: &Value) -> (u16, Value) {
        let about = |mut more: Value| {
            more["ARN"] = "arn".into();
            more["Name"] = "tandem/acme".into();
            (200, more)
        };
        match operation {
            "DescribeSecret" => {
                let mut stages: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
                for (label, version) in &self.labels {
                    stages.entry(version).or_default().push(label);
                }
                about(json!({"VersionIdsToStages": stages}))
            }
            "GetSecretValue" => {
                let by_label = body["VersionStage"]
                    .as_str()
                    .and_then(|label| self.labels.get(label));
                let version = body["VersionId"]
                    .as_str()
                    .map(str::to_owned)
                    .or(by_label.cloned());
                match version.as_ref().and_then(|version| self.texts.get(version)) {
                    Some(text) => about(json!({"SecretString": text, "VersionId": version})),
                    None => (
                        400,
                        json!({"__type": "ResourceNotFoundException", "message": "no"}),
                    ),
                }
            }
            "PutSecretValue" => {
                self.writes += 1;
                if let Some(text) = self.slips_in.pop() {
                    self.put_current(&format!("theirs-{}", self.writes), text);
                }
                let version = body["ClientRequestToken"].as_str().unwrap();
                let text = body["SecretString"].as_str().unwrap();
                self.put_current(version, text.to_owned());
                about(json!({"VersionId": version}))
            }
            other => panic!("{other} was not expected"),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Manager(Arc<Mutex<Vault>>);

impl HttpConnector for Manager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit_once('.').unwrap().1.to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = self.0.lock().unwrap().answer(&operation, &body);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status.try_into().unwrap(),
            SdkBody::from(answer.to_string()),
        )))
    }
}

impl Manager {
    fn new() -> Self {
        let manager = Self::default();
        manager.0.lock().unwrap().put_current("one", text("hush-1"));
        manager
    }

    fn secrets(&self) -> Secrets {
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(aws_sdk_secretsmanager::config::Region::new("eu-central-1"))
            .credentials_provider(aws_credential_types::Credentials::new(
                "id", "key", None, None, "test",
            ))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Secrets::new(Some(aws_sdk_secretsmanager::Client::from_conf(config)), |_| None)
    }

    async fn add(&self) -> Result<KeptSecrets, KeepError> {
        let source: SecretSource = "aws:tandem/acme".parse().unwrap();
        add(&self.secrets(), &source).await
    }
}

async fn add(secrets: &Secrets, source: &SecretSource) -> Result<KeptSecrets, KeepError> {
    let new: SecretString = "hush-w".to_owned().into();
    secrets.add_webhook_secrets(&acme(), source, &[new], &[]).await
}

#[tokio::test]
async fn a_webhooks_secret_is_added_once_and_the_rest_stays() {
    let manager = Manager::new();
    assert_eq!(manager.add().await.unwrap(), KeptSecrets::Stored);
    let stored = manager.0.lock().unwrap().current();
    assert_eq!(stored["jira_webhook_secrets"], json!(["hush-w"]));
    assert_eq!(
        (&stored["tempo_token"], &stored["note"]),
        (&json!("hush-1"), &json!(7))
    );
    assert_eq!(manager.add().await.unwrap(), KeptSecrets::Already);
    assert_eq!(manager.0.lock().unwrap().writes, 1);
}

#[tokio::test]
async fn tokens_that_a_rotation_puts_into_use_at_that_moment_are_not_lost() {
    for times in 1..=3 {
        let manager = Manager::new();
        let tokens = (0..times).map(|n| text(&format!("hush-renewed-{n}")));
        manager.0.lock().unwrap().slips_in = tokens.collect();
        assert_eq!(manager.add().await.unwrap(), KeptSecrets::Stored);
        let stored = manager.0.lock().unwrap().current();
        assert_eq!(stored["tempo_token"], "hush-renewed-0", "{times} in between");
        assert_eq!(stored["jira_webhook_secrets"], json!(["hush-w"]));
    }
    // Whoever stores all the time is left the last word, by an error and not by luck.
    let manager = Manager::new();
    manager.0.lock().unwrap().slips_in = (0..9).map(|n| text(&format!("hush-{n}"))).collect();
    assert_eq!(manager.add().await.unwrap_err(), KeepError::Changing);
}

#[tokio::test]
async fn nothing_is_stored_beside_a_rotation_under_way() {
    let manager = Manager::new();
    {
        let mut vault = manager.0.lock().unwrap();
        vault.texts.insert("two".to_owned(), text("hush-2"));
        vault.labels.insert("AWSPENDING".to_owned(), "two".to_owned());
    }
    let error = manager.add().await.unwrap_err();
    assert_eq!(error, KeepError::Rotating("tandem/acme".to_owned()));
    assert_eq!(manager.0.lock().unwrap().writes, 0);
}

#[tokio::test]
async fn a_file_is_replaced_whole_and_stays_as_private_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real.json");
    let beside = directory.path().join(".real.json.new");
    std::fs::write(&real, text("hush-1")).unwrap();
    // What a call that died in the middle has left.
    std::fs::write(&beside, "{\"tempo_token\":\"hush").unwrap();
    let named = directory.path().join("acme.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &named).unwrap();
    }
    #[cfg(not(unix))]
    std::fs::hard_link(&real, &named).unwrap();
    let secrets = Secrets::new(None, |_| None);
    let source = SecretSource::File(named.clone());
    assert_eq!(add(&secrets, &source).await.unwrap(), KeptSecrets::Stored);
    let stored = std::fs::read_to_string(&named).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["jira_webhook_secrets"], json!(["hush-w"]));
    assert_eq!(stored["tempo_token"], "hush-1");
    assert!(!beside.exists(), "a file with a secret is left lying about");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&real).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&named).unwrap().is_symlink());
    }
    let before = std::fs::metadata(&real).unwrap().modified().unwrap();
    assert_eq!(add(&secrets, &source).await.unwrap(), KeptSecrets::Already);
    assert_eq!(std::fs::metadata(&real).unwrap().modified().unwrap(), before);
    // What was stored is used at once.
    let read = secrets.get(&acme(), &source).await.unwrap();
    assert_eq!(read.jira_webhook_secrets[0].expose_secret(), "hush-w");
}

#[tokio::test]
async fn the_environment_is_not_written_and_no_secret_is_told() {
    let secrets = Secrets::new(None, |_| Some(text("hush-1")));
    let source: SecretSource = "env:TANDEM_ACME".parse().unwrap();
    let error = add(&secrets, &source).await.unwrap_err();
    assert_eq!(error, KeepError::Environment("TANDEM_ACME".to_owned()));
    let missing: SecretSource = "file:missing.json".parse().unwrap();
    let broken = Secrets::new(None, |_| Some("hush".to_owned()));
    for error in [
        error,
        add(&secrets, &missing).await.unwrap_err(),
        add(&broken, &source).await.unwrap_err(),
    ] {
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    let held = Secrets::new(None, |_| {
        Some(text("hush-1").replacen('{', r#"{"jira_webhook_secrets":["hush-w"],"#, 1))
    });
    assert_eq!(add(&held, &source).await.unwrap(), KeptSecrets::Already);
    assert!(
        held.stage(&acme(), &source, Stage::Pending)
            .await
            .unwrap()
            .is_none()
    );
}
