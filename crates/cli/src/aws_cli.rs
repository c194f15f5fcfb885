//! AWS's own command line, which is asked for credentials where the environment has none.
//!
//! It knows profiles, single sign-on, roles and instances, and renews what it can: nothing of that is repeated here.
//! What it answers is kept until shortly before its end. What it says to people on stderr goes to them as it is, and what it
//! writes to stdout is in no error and no log.

use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

/// What it is asked.
const QUESTION: [&str; 4] = ["configure", "export-credentials", "--format", "process"];

/// How long it may take: time enough to type the code of a second factor.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long its answer may be, in bytes. A session's token has one or two thousand.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How long before their end credentials are renewed, while requests still go out with them.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// How long before their end nothing is sent with them any more.
const LAST_USED_BEFORE: Duration = Duration::from_secs(10);

/// How soon it is asked again, at the earliest: after it failed, or gave what ends soon.
const AGAIN_AFTER: Duration = Duration::from_secs(20);

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AwsCliError {
    /// It isn't installed.
    #[error("there is no `aws` on the PATH that could be asked for credentials")]
    NotThere,
    /// It could not be started, or its answer not be read.
    #[error("`aws` could not be run: {0}")]
    NotRun(std::io::ErrorKind),
    /// It has none to give.
    #[error("`aws configure export-credentials` ended with {0}; what it says itself is above")]
    Refused(ExitStatus),
    /// It did not answer.
    #[error("`aws configure export-credentials` has not answered within {} s", .0.as_secs())]
    TooLate(Duration),
    /// It answered something else.
    #[error("`aws configure export-credentials` answered what makes no sense: {0}")]
    Senseless(String),
    /// What it gave is over.
    #[error("`aws configure export-credentials` gave credentials that have run out")]
    Over,
    /// This process is ending.
    #[error("`aws` was not asked, since this process is ending")]
    Ending,
}

/// Whether somebody waits for an answer, and so is told what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Somebody,
    Nobody,
}

/// Asks AWS's command line for credentials, and keeps them. Clones share what is kept.
#[derive(Clone)]
pub(crate) struct AwsCli(Arc<Inner>);

struct Inner {
    program: PathBuf,
    deadline: Duration,
    again_after: Duration,
    kept: Mutex<Option<Credentials>>,
    /// When it was last asked, and what went wrong then. Held while it is asked, so that one question is enough for all.
    asked: tokio::sync::Mutex<Option<(Instant, Option<AwsCliError>)>>,
}

// By hand: credentials are nobody's to read.
impl fmt::Debug for AwsCli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwsCli").field(&self.0.program).finish()
    }
}

impl Default for AwsCli {
    fn default() -> Self {
        Self::new("aws", DEADLINE, AGAIN_AFTER)
    }
}

impl AwsCli {
    fn new(program: impl Into<PathBuf>, deadline: Duration, again_after: Duration) -> Self {
        Self(Arc::new(Inner {
            program: program.into(),
            deadline,
            again_after,
            kept: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }))
    }

    /// Returns credentials that can be used now.
    pub(crate) async fn credentials(&self) -> Result<Credentials, AwsCliError> {
        match self.0.kept() {
            Some(kept) if left(&kept) > RENEWED_BEFORE => Ok(kept),
            Some(kept) if left(&kept) > LAST_USED_BEFORE => {
                drop(self.renewed(Waits::Nobody));
                Ok(kept)
            }
            _ => self
                .renewed(Waits::Somebody)
                .await
                .unwrap_or(Err(AwsCliError::Ending)),
        }
    }

    /// Renews them in a task of its own: a request that gives up waiting does not end it, so that the next one finds them.
    fn renewed(&self, waits: Waits) -> JoinHandle<Result<Credentials, AwsCliError>> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.in_turn(waits).await })
    }
}

impl Inner {
    fn kept(&self) -> Option<Credentials> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks, unless somebody else has while this waited for its turn.
    async fn in_turn(&self, waits: Waits) -> Result<Credentials, AwsCliError> {
        let mut asked = self.asked.lock().await;
        let kept = self.kept();
        if let Some(kept) = &kept
            && left(kept) > RENEWED_BEFORE
        {
            return Ok(kept.clone());
        }
        if let Some((at, problem)) = &*asked
            && at.elapsed() < self.again_after
        {
            match (problem, kept) {
                (Some(problem), _) => return Err(problem.clone()),
                (None, Some(kept)) if left(&kept) > LAST_USED_BEFORE => return Ok(kept),
                (None, _) => {}
            }
        }
        let answer = self.ask().await;
        match &answer {
            Ok(credentials) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
            }
            Err(problem) if waits == Waits::Nobody => {
                warn!("The credentials for AWS end soon and were not renewed: {problem}");
            }
            Err(_) => {}
        }
        *asked = Some((Instant::now(), answer.as_ref().err().cloned()));
        answer
    }

    async fn ask(&self) -> Result<Credentials, AwsCliError> {
        let not_run = |error: std::io::Error| AwsCliError::NotRun(error.kind());
        let mut child = Command::new(&self.program)
            .args(QUESTION)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => AwsCliError::NotThere,
                _ => not_run(error),
            })?;
        let answered = async {
            let mut answer = Vec::new();
            if let Some(out) = child.stdout.take() {
                out.take(ANSWER_BYTES_MAX + 1)
                    .read_to_end(&mut answer)
                    .await
                    .map_err(not_run)?;
            }
            if answer.len() as u64 > ANSWER_BYTES_MAX {
                return Err(AwsCliError::Senseless("it goes on and on".to_owned()));
            }
            let status = child.wait().await.map_err(not_run)?;
            if !status.success() {
                return Err(AwsCliError::Refused(status));
            }
            read(&answer)
        };
        tokio::time::timeout(self.deadline, answered)
            .await
            .unwrap_or(Err(AwsCliError::TooLate(self.deadline)))
    }
}

impl ProvideCredentials for AwsCli {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            self.credentials().await.map_err(CredentialsError::provider_error)
        })
    }
}

/// How long credentials can still be used. Those that say no end have none.
fn left(credentials: &Credentials) -> Duration {
    credentials.expiry().map_or(Duration::MAX, |end| {
        end.duration_since(SystemTime::now()).unwrap_or_default()
    })
}

/// What it answers: a text that AWS describes for programs that give credentials.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u32,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    expiration: Option<String>,
}

fn read(answer: &[u8]) -> Result<Credentials, AwsCliError> {
    let senseless = |what: String| AwsCliError::Senseless(what);
    // Not the error's own words: they may show what stands there.
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        senseless(format!(
            "it is not as it should be at line {line}, column {column}"
        ))
    })?;
    if answer.version != 1 {
        return Err(senseless(format!("it is of version {}, not 1", answer.version)));
    }
    let needed = |name: &str, value: Option<String>| {
        let value = value.filter(|value| !value.is_empty());
        value.ok_or_else(|| senseless(format!("it has no {name}")))
    };
    let end = answer.expiration.map(|end| end.parse::<jiff::Timestamp>());
    let end = end
        .transpose()
        .map_err(|_| senseless("its Expiration is no time".to_owned()))?;
    let credentials = Credentials::new(
        needed("AccessKeyId", answer.access_key_id)?,
        needed("SecretAccessKey", answer.secret_access_key)?,
        answer.session_token.filter(|token| !token.is_empty()),
        end.map(SystemTime::from),
        "aws-cli",
    );
    if left(&credentials).is_zero() {
        return Err(AwsCliError::Over);
    }
    Ok(credentials)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::{SignedDuration, Timestamp};
    use tempfile::TempDir;

    use super::*;

    /// A folder with an `aws` that does what a script says; `$HERE` is that folder.
    fn fake(script: &str) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("aws");
        let here = folder.path().display();
        let text = format!("#!/bin/sh\nHERE='{here}'\necho \"$*\" >>\"$HERE/asked\"\n{script}\n");
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, program)
    }

    fn asked(folder: &TempDir) -> usize {
        let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap_or_default();
        assert!(
            asked
                .lines()
                .all(|line| line == "configure export-credentials --format process")
        );
        asked.lines().count()
    }

    /// Has the next answer give this key, until so many seconds from now.
    fn answers(folder: &TempDir, key: &str, secs: i64) {
        let end = Timestamp::now() + SignedDuration::from_secs(secs);
        let answer = serde_json::json!({
            "Version": 1, "AccessKeyId": key, "SecretAccessKey": "hush-key", "SessionToken": "hush-token",
            "Expiration": end.to_string().replace('Z', "+00:00"),
        });
        std::fs::write(folder.path().join("answer"), answer.to_string()).unwrap();
    }

    #[tokio::test]
    async fn what_is_given_is_used_until_shortly_before_its_end_and_then_renewed() {
        let (folder, program) = fake("cat \"$HERE/answer\"");
        let cli = AwsCli::new(program, DEADLINE, Duration::ZERO);
        let key = async || cli.credentials().await.unwrap().access_key_id().to_owned();
        answers(&folder, "first", 3_600);
        assert_eq!(
            (key().await, key().await, asked(&folder)),
            ("first".into(), "first".into(), 1)
        );
        assert_eq!(
            cli.credentials().await.unwrap().session_token(),
            Some("hush-token")
        );

        // These end within minutes: they are still used, while others are asked for.
        let cli = AwsCli::new(cli.0.program.clone(), DEADLINE, Duration::ZERO);
        let key = async || cli.credentials().await.unwrap().access_key_id().to_owned();
        answers(&folder, "second", 60);
        assert_eq!(key().await, "second");
        answers(&folder, "third", 3_600);
        assert_eq!(key().await, "second");
        let renewed = async {
            while key().await != "third" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed)
            .await
            .expect("they are renewed in the background");

        // These are as good as over, so that the next request waits for new ones.
        let cli = AwsCli::new(cli.0.program.clone(), DEADLINE, AGAIN_AFTER);
        let key = async || cli.credentials().await.unwrap().access_key_id().to_owned();
        answers(&folder, "fourth", 5);
        assert_eq!(key().await, "fourth");
        answers(&folder, "fifth", 3_600);
        assert_eq!(key().await, "fifth");
    }

    #[tokio::test]
    async fn one_question_is_enough_for_all_who_wait_and_keys_without_an_end_are_kept() {
        let answer = r#"{"Version":1,"AccessKeyId":"id","SecretAccessKey":"hush-key"}"#;
        let (folder, program) = fake(&format!("echo '{answer}'"));
        let cli = AwsCli::new(program, DEADLINE, Duration::ZERO);
        let all = (0..8).map(|_| cli.credentials());
        for credentials in futures::future::join_all(all).await {
            let credentials = credentials.unwrap();
            assert_eq!((credentials.expiry(), credentials.session_token()), (None, None));
        }
        assert_eq!(asked(&folder), 1);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_without_anything_that_was_answered() {
        let said = async |script: &str, deadline| {
            let (folder, program) = fake(script);
            let cli = AwsCli::new(program, deadline, AGAIN_AFTER);
            let problem = cli.credentials().await.unwrap_err();
            // It fails for all who ask meanwhile.
            assert_eq!(cli.credentials().await.unwrap_err(), problem);
            assert_eq!(asked(&folder), 1, "{script}");
            let text = format!("{problem} {problem:?} {cli:?}");
            assert!(!text.contains("hush"), "{text}");
            problem.to_string()
        };
        let over = r#"echo '{"Version":1,"AccessKeyId":"i","SecretAccessKey":"hush","Expiration":"2020-01-01T00:00:00Z"}'"#;
        for (script, words) in [
            ("exit 253", "ended with exit status: 253"),
            ("echo hush", "at line 1, column"),
            (
                r#"echo '{"Version":1,"AccessKeyId":"i","SecretAccessKey":["hush"]}'"#,
                "at line 1, column",
            ),
            (r#"echo '{"Version":2}'"#, "of version 2, not 1"),
            (
                r#"echo '{"Version":1,"AccessKeyId":"hush"}'"#,
                "no SecretAccessKey",
            ),
            (
                r#"echo '{"Version":1,"AccessKeyId":"i","SecretAccessKey":"hush","Expiration":"hush"}'"#,
                "Expiration is no time",
            ),
            (over, "have run out"),
            ("while :; do echo hush; done", "goes on and on"),
        ] {
            let text = said(script, DEADLINE).await;
            assert!(text.contains(words), "{script}: {text}");
        }
        // Long enough for a shell to begin on a machine that is busy with other things.
        let text = said("echo hush; exec sleep 60", Duration::from_secs(5)).await;
        assert!(text.contains("has not answered within 5 s"), "{text}");
        let nowhere = AwsCli::new("/nowhere/aws", DEADLINE, AGAIN_AFTER);
        assert_eq!(nowhere.credentials().await.unwrap_err(), AwsCliError::NotThere);
    }
}
