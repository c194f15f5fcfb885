//! How soon a function answers its first event, counted from when its process is started, and how much memory it has
//! then. `tests/stack/cold-start` builds what is compared and calls this with `NAME=PATH` for each.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tandem_atlassian::signature::sign_jira;
use tandem_engine::ports::Store;
use tandem_functions_test::event::{self, Carried};
use tandem_functions_test::{Function, Table};
use tandem_template::Stack;

/// Starts of each function. They take turns, so that whatever else the machine does is the same for all.
const ROUNDS: usize = 15;

const SECRET: &str = "jira-webhook-secret-of-the-measurement";

const BODY: &str =
    r#"{"webhookEvent":"worklog_created","worklog":{"id":"7","issueId":"10001","timeSpentSeconds":3600}}"#;

const CONFIG: &str = r#"
[sites.acme]
jira = "https://acme.atlassian.net"
secret = "aws:tandem/acme"

[sites.globex]
jira = "https://globex.atlassian.net"
secret = "aws:tandem/globex"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "2026-01-01"
"#;

/// What was seen of one function.
#[derive(Default)]
struct Seen {
    started: Vec<f64>,
    answered: Vec<f64>,
    kib: Vec<u64>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut functions: Vec<(String, PathBuf)> = Vec::new();
    for argument in std::env::args().skip(1) {
        let (name, path) = argument.split_once('=').ok_or("each argument is NAME=PATH")?;
        functions.push((name.to_owned(), path.into()));
    }
    let stack = Stack::deployed(&[("SiteA", "acme"), ("SiteB", "globex")]);
    let table = Table::serve().await;
    let secret = json!({
        "tempo_token": "t", "jira_email": "a@b.example", "jira_token": "j",
        "jira_webhook_secrets": [SECRET], "tempo_webhook_secrets": ["x"],
    });
    table.put_secret("tandem/acme", secret.to_string());
    table.store().put_config(CONFIG, Timestamp::now()).await?;
    let headers = [
        ("Content-Type".to_owned(), "application/json".to_owned()),
        (
            "X-Hub-Signature".to_owned(),
            sign_jira(BODY.as_bytes(), &SECRET.into()),
        ),
    ];
    let webhook = event::http(
        "POST",
        "/hooks/jira/acme",
        &headers,
        BODY.as_bytes(),
        Carried::Text,
    );

    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for round in 0..=ROUNDS {
        for (name, binary) in &functions {
            table.allow(name, stack.allowed("webhook"));
            let environment = [
                ("TANDEM_TABLE", Table::NAME),
                ("RIVAL_SECRET", "tandem/acme"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", name),
                ("AWS_SECRET_ACCESS_KEY", "key"),
                ("AWS_SESSION_TOKEN", "token"),
                ("AWS_ENDPOINT_URL", table.url()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let begun = Instant::now();
            let function = Function::start(name, binary, &environment).await;
            let answer = function
                .invoke_within(webhook.clone(), Duration::from_secs(30))
                .await;
            let elapsed = begun.elapsed();
            let status = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer["statusCode"].as_u64());
            if status != Some(202) {
                return Err(format!("{name} answered {answer:?}\n{}", function.log()).into());
            }
            // The first round warms the machine's caches, and counts for nobody.
            if round > 0 {
                let seen = seen.entry(name).or_default();
                let millis = |time: Duration| time.as_secs_f64() * 1000.0;
                seen.started.extend(function.started_in().map(millis));
                seen.answered.push(millis(elapsed));
                seen.kib.extend(function.peak_resident_kib());
            }
        }
    }
    let median = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let Some((first, _)) = functions.first() else {
        return Err("nothing to compare".into());
    };
    let (start, answer) = (
        median(&seen[first.as_str()].started),
        median(&seen[first.as_str()].answered),
    );
    let mut out = std::io::stdout();
    writeln!(
        out,
        "Medians of {ROUNDS} starts, from the start of the process; x is against {first}.\n"
    )?;
    writeln!(
        out,
        "| function | first asks for an event | x | first answer | x | resident |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    for (name, _) in &functions {
        let seen = &seen[name.as_str()];
        let (asks, answers) = (median(&seen.started), median(&seen.answered));
        let mib = seen.kib.iter().max().copied().unwrap_or(0) as f64 / 1024.0;
        writeln!(
            out,
            "| {name} | {asks:.1} ms | {:.2} | {answers:.1} ms | {:.2} | {mib:.1} MiB |",
            asks / start,
            answers / answer,
        )?;
    }
    Ok(())
}
