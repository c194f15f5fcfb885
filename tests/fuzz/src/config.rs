//! The text of `tandem.toml`, and what is made of it.

use tandem_aws::Embedded;
use tandem_core::observed::Observed;
use tandem_core::plan::plan;
use tandem_core::{Content, IssueId, LinkKey, Side, Worklog, WorklogId, check};
use tandem_runtime::config::{Config, ConfigEnv, ConfigError};

use crate::world::{self, NOW};

/// The shortest secret that counts as shown.
const SHOWN_CHARS_MIN: usize = 8;

thread_local! {
    static TABLE: Embedded = world::runtime().block_on(world::table());
}

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for allow_loopback in [false, true] {
        let env = ConfigEnv { allow_loopback };
        match Config::parse(&text, "folder/tandem.toml", &env) {
            Err(error) => refused(&text, &error),
            Ok(config) => {
                assert!(!config.connections.is_empty());
                let again = Config::parse(&text, "folder/tandem.toml", &env).unwrap();
                assert_eq!(config, again);
                wired(config);
            }
        }
    }
}

/// An error names file, line and what would be right, and shows nothing that may be a secret.
fn refused(text: &str, error: &ConfigError) {
    let lines = text.split('\n').count();
    let shown = error.to_string();
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        let place = format!("folder/tandem.toml:{}:{}: ", problem.line, problem.column);
        assert!(shown.contains(&place), "{shown} does not say {place}");
        assert!(
            !problem.message.is_empty() && !problem.right.is_empty(),
            "{problem}"
        );
        assert!(
            problem.marked.end <= problem.excerpt.chars().count().max(problem.marked.start),
            "{problem}"
        );
    }
    for secret in misplaced(text) {
        assert!(!shown.contains(&secret), "{secret:?} is shown:\n{shown}");
    }
}

/// Texts that somebody put where only a secret's place belongs, and that stand nowhere else.
fn misplaced(text: &str) -> Vec<String> {
    let Ok(document) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let sites = document.get("sites").and_then(toml::Value::as_table);
    sites
        .into_iter()
        .flat_map(|sites| sites.values())
        .filter_map(|site| site.get("secret")?.as_str())
        .filter(|secret| secret.chars().count() >= SHOWN_CHARS_MIN && text.matches(secret).count() == 1)
        .filter(|secret| {
            !["aws:", "env:", "file:"]
                .iter()
                .any(|kind| secret.starts_with(kind))
        })
        // The words of the errors themselves.
        .filter(|secret| secret.chars().any(|c| c.is_ascii_digit()) && !secret.contains('`'))
        .map(str::to_owned)
        .collect()
}

/// What is read can be wired, and what is wired can plan.
fn wired(config: Config) {
    let tandem = TABLE.with(|table| world::wired(config, table));
    let now = NOW.parse().unwrap();
    for connection in &tandem.engine.connections {
        let link = LinkKey {
            connection: connection.name.clone(),
            a: IssueId(1),
            b: IssueId(2),
        };
        let mut observed = Observed::empty(link, now);
        for (side, id) in [(Side::A, 1), (Side::B, 2)] {
            let worklog = worklog(id, now);
            observed.listings[side].insert(worklog.id, worklog);
        }
        let planned = plan(&observed, &connection.settings);
        check::check(&planned, &observed, &connection.settings).unwrap();
        assert!(planned.steps.len() <= 2);
    }
}

fn worklog(id: u64, now: jiff::Timestamp) -> Worklog {
    Worklog {
        id: WorklogId(id),
        issue: IssueId(id),
        content: Content {
            author: "5f0a-on-acme".into(),
            start_date: jiff::civil::date(2026, 3, 2),
            start_time: None,
            time_spent_secs: 60 * id,
            billable_secs: Some(0),
            description: "text".into(),
            attributes: [("_Account_".to_owned(), "ACME1".to_owned())].into(),
        },
        created_at: now,
        updated_at: now,
    }
}
