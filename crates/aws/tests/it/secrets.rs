//! Sites' secrets from the environment and from files.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use secrecy::ExposeSecret;
use tandem_aws::secrets::Stage;
use tandem_aws::{SecretError, SecretSource, Secrets};

use crate::world::*;

fn json(tempo: &str) -> String {
    format!(r#"{{"tempo_token":"{tempo}","jira_email":"bot@acme.example","jira_token":"hush-jira"}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_kept_for_a_moment_and_read_anew_when_asked() {
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    let secrets = Secrets::new(None, move |name| {
        assert_eq!(name, "TANDEM_ACME");
        Some(json(&format!("hush-{}", counted.fetch_add(1, Ordering::SeqCst))))
    });
    let source: SecretSource = "env:TANDEM_ACME".parse().unwrap();
    let first = secrets.get(&acme(), &source).await.unwrap();
    let second = secrets.get(&acme(), &source).await.unwrap();
    assert_eq!(
        first.tempo_token.expose_secret(),
        second.tempo_token.expose_secret()
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    let third = secrets.get(&acme(), &source).await.unwrap();
    assert_ne!(first.credentials_digest(), third.credentials_digest());
    secrets.reload(&acme(), &source).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 3);
    assert!(
        secrets
            .stage(&acme(), &source, Stage::Pending)
            .await
            .unwrap()
            .is_none()
    );
}

/// Lambda freezes a function between two events, for an hour or more, and the process's own clock may stand still then.
#[tokio::test(start_paused = true)]
async fn a_secret_from_before_a_freeze_is_read_anew_though_the_processs_clock_stood_still() {
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    let wall = Arc::new(AtomicU64::new(1_800_000_000));
    let shown = Arc::clone(&wall);
    let secrets = Secrets::new(None, move |_| {
        Some(json(&format!("hush-{}", counted.fetch_add(1, Ordering::SeqCst))))
    })
    .wall_clock(move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::SeqCst)));
    let source: SecretSource = "env:TANDEM_ACME".parse().unwrap();
    let read = async || {
        secrets.get(&acme(), &source).await.unwrap();
        reads.load(Ordering::SeqCst)
    };
    let doubted = async |secs| {
        let age = Duration::from_secs(secs);
        secrets.not_older(&acme(), &source, age).await.unwrap();
        reads.load(Ordering::SeqCst)
    };
    assert_eq!((read().await, read().await), (1, 1));
    wall.fetch_add(29, Ordering::SeqCst);
    assert_eq!((read().await, doubted(29).await), (1, 1));
    wall.fetch_add(3_600, Ordering::SeqCst);
    assert_eq!((read().await, read().await), (2, 2));
    wall.fetch_add(10, Ordering::SeqCst);
    assert_eq!((doubted(10).await, doubted(9).await), (2, 3));
    // A clock that was set back tells nothing of how old anything is.
    wall.fetch_sub(1, Ordering::SeqCst);
    assert_eq!((read().await, read().await), (4, 4));
    wall.fetch_sub(1, Ordering::SeqCst);
    assert_eq!(doubted(3_600).await, 5);
}

#[tokio::test]
async fn an_error_names_the_site_and_the_source_and_never_the_text() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.json");
    std::fs::write(&file, r#"{"tempo_token":"hush-hush","jira_email":"e"}"#).unwrap();
    let secrets = Secrets::new(None, |_| Some("hush-hush, no JSON".to_owned()));
    let read = async |text: &str| {
        let error = secrets.get(&acme(), &text.parse().unwrap()).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("acme") && told.contains(text), "{told}");
        assert!(!told.contains("hush"), "{told}");
        error
    };
    let in_file = read(&format!("file:{}", file.display())).await;
    assert!(in_file.to_string().contains("`jira_token`"));
    let in_environment = read("env:TANDEM_ACME").await;
    assert!(in_environment.to_string().contains("line 1, column"));
    assert!(matches!(
        read("aws:tandem/acme").await,
        SecretError::Unreadable { .. }
    ));
    assert!(matches!(
        read("file:missing.json").await,
        SecretError::Unreadable { .. }
    ));
}

/// A Secrets Manager that answers each request as the list says, the last answer for ever.
#[derive(Clone, Debug)]
struct Manager {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn new(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
        }
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
}

impl HttpConnector for Manager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        self.asked.lock().unwrap().push(asked);
        let mut answers = self.answers.lock().unwrap();
        let (status, body) = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        }
        .unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status.try_into().unwrap(),
            SdkBody::from(body),
        )))
    }
}

fn found(tempo: &str) -> (u16, String) {
    let answer = serde_json::json!({"ARN": "arn", "Name": "tandem/acme", "SecretString": json(tempo)});
    (200, answer.to_string())
}

fn refused(kind: &str) -> (u16, String) {
    (
        400,
        serde_json::json!({"__type": kind, "message": "told so"}).to_string(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_secret_manager_that_falls_silent_stops_nothing_for_a_while() {
    let manager = Manager::new([found("hush-1"), refused("ThrottlingException")]);
    let secrets = manager.secrets();
    let source: SecretSource = "aws:tandem/acme".parse().unwrap();
    let first = secrets.get(&acme(), &source).await.unwrap();
    assert!(manager.asked.lock().unwrap()[0].contains("AWSCURRENT"));
    tokio::time::advance(Duration::from_secs(60)).await;
    let second = secrets.get(&acme(), &source).await.unwrap();
    assert_eq!(first.credentials_digest(), second.credentials_digest());
    let forced = secrets.reload(&acme(), &source).await;
    assert!(matches!(forced, Err(SecretError::Unreachable { .. })));
    tokio::time::advance(Duration::from_secs(700)).await;
    assert!(matches!(
        secrets.get(&acme(), &source).await,
        Err(SecretError::Unreachable { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once_and_a_pending_version_may_be_missing() {
    let source: SecretSource = "aws:tandem/acme".parse().unwrap();
    let manager = Manager::new([refused("ResourceNotFoundException")]);
    let secrets = manager.secrets();
    assert!(
        secrets
            .stage(&acme(), &source, Stage::Pending)
            .await
            .unwrap()
            .is_none()
    );
    assert!(manager.asked.lock().unwrap()[0].contains("AWSPENDING"));
    let error = secrets.get(&acme(), &source).await.unwrap_err();
    assert!(matches!(&error, SecretError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("`tandem secrets put acme`"), "{error}");
    let manager = Manager::new([found("hush-1"), refused("AccessDeniedException")]);
    let secrets = manager.secrets();
    secrets.get(&acme(), &source).await.unwrap();
    let error = secrets.reload(&acme(), &source).await.unwrap_err();
    assert!(error.to_string().contains("AccessDeniedException"), "{error}");
}
