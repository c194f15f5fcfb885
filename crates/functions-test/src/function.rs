//! A function as a process, and the Runtime API that it asks for its next event.
//!
//! As on Lambda, one process has one event at a time; further ones wait.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How often a log is looked at, and how often it has to look the same.
const GLANCE: Duration = Duration::from_millis(20);
const QUIET: u32 = 15;

/// How much longer than its deadline an event is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// What a function reported instead of an answer, or a sentence of our own when it said nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed(pub Value);

type Outcome = Result<Value, Failed>;

struct Invocation {
    id: String,
    payload: Value,
    timeout: Duration,
}

struct Api {
    next: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    open: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    /// When it was first asked for an event.
    asked: OnceLock<Instant>,
}

/// A running function. Its process ends with this.
pub struct Function {
    name: String,
    child: Mutex<Child>,
    log: Arc<Mutex<String>>,
    readers: Mutex<Vec<std::thread::JoinHandle<()>>>,
    events: mpsc::UnboundedSender<Invocation>,
    api: Arc<Api>,
    server: JoinHandle<()>,
    count: AtomicU64,
    begun: Instant,
}

impl Function {
    /// Starts a function with this environment and nothing else of ours.
    pub async fn start(name: &str, binary: &Path, environment: &[(String, String)]) -> Self {
        let (events, next) = mpsc::unbounded_channel();
        let api = Arc::new(Api {
            next: AsyncMutex::new(next),
            open: Mutex::default(),
            asked: OnceLock::new(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_event))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .with_state(Arc::clone(&api));
        let (address, server) = crate::serve(router).await;
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", name)
            .env("AWS_LAMBDA_LOG_STREAM_NAME", name)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary.display()));
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            keep(child.stdout.take().expect("it is piped"), &log),
            keep(child.stderr.take().expect("it is piped"), &log),
        ];
        Self {
            name: name.to_owned(),
            child: Mutex::new(child),
            log,
            readers: Mutex::new(readers),
            events,
            api,
            server,
            count: AtomicU64::new(0),
            begun,
        }
    }

    /// Hands the function an event with a minute to its deadline, and waits for its answer.
    pub async fn invoke(&self, payload: Value) -> Outcome {
        self.invoke_within(payload, Duration::from_secs(60)).await
    }

    /// Hands the function an event with this long to its deadline, and waits for its answer.
    pub async fn invoke_within(&self, payload: Value, timeout: Duration) -> Outcome {
        let id = format!("{}-{}", self.name, self.count.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.api
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), answer);
        self.events
            .send(Invocation { id, payload, timeout })
            .expect("the Runtime API lives as long as the function");
        match tokio::time::timeout(timeout + GRACE, answered).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err(Failed(Value::String(format!(
                "{} did not answer; its log:\n{}",
                self.name,
                self.log()
            )))),
        }
    }

    /// Returns what it has written so far. What it wrote before it answered is in the pipe by then, but on a busy machine not
    /// yet read: so this waits until no more comes.
    pub fn log(&self) -> String {
        let read = || self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let begun = Instant::now();
        let mut log = read();
        let mut quiet = 0;
        while quiet < QUIET && begun.elapsed() < GRACE {
            std::thread::sleep(GLANCE);
            let next = read();
            quiet = if next.len() == log.len() { quiet + 1 } else { 0 };
            log = next;
        }
        log
    }

    /// Returns when its process was started.
    pub fn begun_at(&self) -> Instant {
        self.begun
    }

    /// Returns when it asked for its first event, once it has.
    pub fn asked_at(&self) -> Option<Instant> {
        self.api.asked.get().copied()
    }

    /// Returns the most memory that it has had resident so far, in KiB, where the system tells.
    pub fn peak_resident_kib(&self) -> Option<u64> {
        let id = self.child.lock().unwrap_or_else(PoisonError::into_inner).id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Waits for the process to end by itself, and for the end of its log.
    ///
    /// # Panics
    /// When it still runs after ten seconds.
    pub async fn ended(&self) -> ExitStatus {
        for _ in 0..200 {
            let ended = self
                .child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_wait();
            if let Ok(Some(status)) = ended {
                // Its last words may still be in the pipes.
                let readers =
                    std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
                readers.into_iter().for_each(|reader| drop(reader.join()));
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} still runs; its log:\n{}", self.name, self.log());
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails when it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Reads a pipe to its end, so that the process never waits for a reader.
fn keep(pipe: impl Read + Send + 'static, log: &Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    })
}

async fn next_event(State(api): State<Arc<Api>>) -> impl IntoResponse {
    api.asked.get_or_init(Instant::now);
    let Some(Invocation { id, payload, timeout }) = api.next.lock().await.recv().await else {
        return Err(StatusCode::GONE);
    };
    let deadline = Timestamp::now() + timeout;
    let headers = [
        (HeaderName::from_static("lambda-runtime-aws-request-id"), id),
        (
            HeaderName::from_static("lambda-runtime-deadline-ms"),
            deadline.as_millisecond().to_string(),
        ),
        (
            HeaderName::from_static("lambda-runtime-invoked-function-arn"),
            "arn:aws:lambda:eu-central-1:123456789012:function:test".to_owned(),
        ),
    ];
    Ok((headers, payload.to_string()))
}

async fn answered(State(api): State<Arc<Api>>, Segment(id): Segment<String>, body: Bytes) -> StatusCode {
    let read = serde_json::from_slice(&body);
    close(
        &api,
        &id,
        read.map_err(|error| Failed(Value::String(format!("an answer that is not JSON: {error}")))),
    )
}

async fn failed(State(api): State<Arc<Api>>, Segment(id): Segment<String>, body: Bytes) -> StatusCode {
    close(
        &api,
        &id,
        Err(Failed(serde_json::from_slice(&body).unwrap_or_default())),
    )
}

fn close(api: &Api, id: &str, outcome: Outcome) -> StatusCode {
    match api.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
        Some(waiting) => {
            // Whoever asked may have given up.
            let _ = waiting.send(outcome);
            StatusCode::ACCEPTED
        }
        None => StatusCode::NOT_FOUND,
    }
}
