//! Sites' secrets from the environment and from files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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
