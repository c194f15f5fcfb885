//! Recorded payloads are read as what they are.

use serde_json::Value;
use tandem_atlassian::webhook::{JiraEvent, TempoEvent, WorklogChange, parse_jira, parse_tempo};
use tandem_atlassian::{jira, tempo};
use tandem_core::{AccountId, IssueId, JiraWorklogId, Reason, WorklogId};
use url::Url;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_page_without_attribute_values_is_read() {
    let body = fixture("tempo/tempo-get-worklogs-page.json");
    let base = Url::parse("https://example.com").unwrap();
    let page = tempo::wire::page(&body, &base, 0, None).unwrap();
    assert_eq!(
        page.rows
            .iter()
            .map(|row| (row.id.0, row.issue.0))
            .collect::<Vec<_>>(),
        [(123, 12345), (456, 12346)]
    );
    let first = &page.rows[0];
    assert_eq!(
        (first.content.time_spent_secs, first.content.billable_secs),
        (61, Some(60))
    );
    assert_eq!(first.content.start_time, Some(jiff::civil::time(0, 0, 0, 0)));
    assert!(first.content.attributes.is_empty());
    assert_eq!(
        page.next,
        Some(1),
        "its `count` says 1: reading a row twice is better than skipping one"
    );
    let elsewhere = Url::parse("https://api.tempo.io").unwrap();
    let page = tempo::wire::page(&body, &elsewhere, 0, None).unwrap();
    assert_eq!(
        page.next,
        Some(1),
        "only that there is more is taken from another host"
    );
}

#[test]
fn tempo_errors_have_their_reasons() {
    let errors: Vec<Value> = serde_json::from_slice(&fixture("tempo/errors.json")).unwrap();
    let mut reasons = Vec::new();
    for error in &errors {
        let body = match &error["body"] {
            Value::Null => error["message"].as_str().unwrap().to_owned(),
            body => body.to_string(),
        };
        let said = tempo::errors::text(body.as_bytes());
        assert!(!said.is_empty(), "{error}");
        let status = error["status"].as_u64().unwrap() as u16;
        reasons.push(tempo::errors::reason(
            http::StatusCode::from_u16(status).unwrap(),
            &said,
        ));
    }
    assert_eq!(
        reasons,
        [
            Reason::AttributeRequired,
            Reason::Rejected,
            Reason::Rejected,
            Reason::AttributeRequired,
            Reason::PeriodClosed,
            Reason::PermissionMissing,
            Reason::Rejected,
        ]
    );
}

#[test]
fn tempo_webhooks_are_read() {
    for (name, expected) in [
        ("created", WorklogChange::Created),
        ("updated", WorklogChange::Updated),
        ("deleted", WorklogChange::Deleted),
    ] {
        let event = parse_tempo(&fixture(&format!("tempo/webhook-worklog-{name}.json"))).unwrap();
        let TempoEvent::Worklog {
            kind,
            id,
            issue,
            author,
            updater,
            start_date,
            start_time,
            billable_secs,
            updated_at,
            ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(
            (kind, id, issue),
            (expected, WorklogId(9105), Some(IssueId(20417)))
        );
        assert_ne!(author, updater);
        assert_eq!(start_date, Some(jiff::civil::date(2026, 3, 2)));
        assert_eq!(start_time, Some(jiff::civil::time(8, 30, 0, 0)));
        assert_eq!(billable_secs, Some(if name == "deleted" { 0 } else { 5400 }));
        assert!(updated_at.is_some());
    }
}

#[test]
fn jira_webhooks_are_read() {
    let read = |name: &str| match parse_jira(&fixture(&format!("jira/{name}.json"))).unwrap() {
        JiraEvent::Worklog {
            kind,
            jira_id,
            issue,
            author_is_app,
            updated,
            comment,
            ..
        } => (
            kind,
            jira_id.0,
            issue.map(|issue| issue.0),
            author_is_app,
            updated.map(|at| at.to_string()),
            comment,
        ),
        other => panic!("{name}: {other:?}"),
    };
    use WorklogChange::{Created, Deleted, Updated};
    let at = |text: &str| Some(text.to_owned());
    let first = at("2021-03-05T22:35:54.173Z");
    let second = at("2021-03-05T22:52:34.173Z");
    let edited = || "1m comment, edited".to_owned();
    assert_eq!(
        read("jira-webhook-worklog-created"),
        (
            Created,
            10320,
            Some(12463),
            Some(false),
            first.clone(),
            "1m comment".into()
        )
    );
    assert_eq!(
        read("jira-webhook-worklog-created-no-comment"),
        (
            Created,
            10146,
            Some(10531),
            Some(false),
            at("2021-08-11T17:10:39.609Z"),
            String::new()
        )
    );
    assert_eq!(
        read("derived-jira-webhook-worklog-created-by-tempo"),
        (
            Created,
            10320,
            Some(12463),
            Some(true),
            first,
            "Working on issue AB-12".into()
        )
    );
    assert_eq!(
        read("derived-jira-webhook-worklog-updated"),
        (Updated, 10320, Some(12463), Some(false), second.clone(), edited())
    );
    assert_eq!(
        read("derived-jira-webhook-worklog-deleted"),
        (Deleted, 10320, Some(12463), Some(false), second, edited())
    );
    assert_eq!(
        read("derived-jira-webhook-worklog-deleted-minimal"),
        (Deleted, 10100, Some(10001), None, None, String::new())
    );
    assert_eq!(
        parse_jira(&fixture("jira/webhook-issue-moved.json")).unwrap(),
        JiraEvent::IssueMoved {
            issue: IssueId(20417),
            key: "DEV-9".into()
        }
    );
}

#[test]
fn jira_answers_are_read() {
    let feed = fixture("jira/jira-v3-worklog-deleted-feed.json");
    let since = jiff::Timestamp::from_millisecond(1_438_013_671_562).unwrap();
    let page = jira::wire::feed(&feed, since).unwrap();
    assert_eq!(
        page.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [103, 104, 105].map(JiraWorklogId)
    );
    assert_eq!(
        (page.next, page.until.unwrap().as_millisecond()),
        (None, 1_438_013_693_136)
    );
    assert!(jira::wire::feed(&fixture("jira/jira-v3-worklog-updated-feed.json"), since).is_ok());

    let info = jira::wire::server_info(&fixture("jira/jira-v3-serverInfo.json")).unwrap();
    assert_eq!(info.server_time.unwrap().to_string(), "2020-03-31T16:43:50Z");

    let held =
        jira::wire::permissions(&fixture("jira/jira-v3-mypermissions.json"), &["EDIT_ISSUES", "X"]).unwrap();
    assert_eq!(
        held.into_iter().collect::<Vec<_>>(),
        [("EDIT_ISSUES".to_owned(), true)]
    );

    let matched = jira::wire::matched(&fixture("jira/jira-v3-jql-match.json")).unwrap();
    assert_eq!(
        matched,
        jira::wire::Matched::Issues(vec![IssueId(10000), IssueId(10004)])
    );

    let worklogs = jira::admin::read_worklogs(&fixture("jira/jira-v3-issue-worklog-page.json"), 0).unwrap();
    assert_eq!((worklogs.rows.len(), worklogs.next), (1, None));
    assert_eq!(
        worklogs.rows[0].author,
        Some(AccountId::new("5b10a2844c20165700ede21g"))
    );
    assert_eq!(worklogs.rows[0].time_spent_secs, 12000);
}
