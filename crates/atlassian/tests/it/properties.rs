//! Laws that hold for any input.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;
use tandem_atlassian::signature::{sign_jira, sign_tempo, verify_jira, verify_tempo};
use tandem_atlassian::webhook::{parse_jira, parse_tempo};
use tandem_atlassian::{MESSAGE_CHARS_MAX, SiteCredentials, excerpt, jira, message, tempo};
use tandem_core::{AccountId, Content, IssueId, WorklogId};
use url::Url;

use crate::doubles::{page, shown};

fn contents() -> impl Strategy<Value = Content> {
    let date = (1i16..=9999, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| Date::new(y, m, d).unwrap());
    let time = (0i8..24, 0i8..60, 0i8..60).prop_map(|(h, m, s)| Time::new(h, m, s, 0).unwrap());
    let attributes = proptest::collection::btree_map("_?[A-Za-z ]{1,12}_?", ".{0,12}", 0..4);
    (
        "[a-z0-9:-]{1,40}",
        date,
        proptest::option::of(time),
        1u64..=1_000_000,
        proptest::option::of(0u64..=1_000_000),
        ".{0,60}",
        attributes,
    )
        .prop_map(
            |(author, start_date, start_time, time_spent_secs, billable_secs, description, attributes)| {
                Content {
                    author: AccountId::new(author),
                    start_date,
                    start_time,
                    time_spent_secs,
                    billable_secs,
                    description,
                    attributes,
                }
            },
        )
}

/// What Tempo would show after a write with this body.
fn echoed(body: &Value) -> Content {
    Content {
        author: AccountId::new(body["authorAccountId"].as_str().unwrap()),
        start_date: body["startDate"].as_str().unwrap().parse().unwrap(),
        start_time: body
            .get("startTime")
            .map(|time| time.as_str().unwrap().parse().unwrap()),
        time_spent_secs: body["timeSpentSeconds"].as_u64().unwrap(),
        billable_secs: body.get("billableSeconds").map(|secs| secs.as_u64().unwrap()),
        description: body["description"].as_str().unwrap().to_owned(),
        attributes: body["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| {
                (
                    pair["key"].as_str().unwrap().to_owned(),
                    pair["value"].as_str().unwrap().to_owned(),
                )
            })
            .collect(),
    }
}

fn credentials(token: &str) -> SiteCredentials {
    SiteCredentials {
        tempo_token: token.to_owned().into(),
        jira_email: "bot@acme.example".into(),
        jira_token: token.chars().rev().collect::<String>().into(),
        digest: String::new(),
    }
}

fn leaks(text: &str, token: &str) -> bool {
    let token: Vec<char> = token.chars().collect();
    token
        .windows(10)
        .any(|piece| text.contains(&piece.iter().collect::<String>()))
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_read_back(content in contents(), id in 1u64.., issue in 1u64..) {
        let created = tempo::request::create(IssueId(issue), &content, None).body.unwrap();
        prop_assert_eq!(created["issueId"].as_u64(), Some(issue));
        let content = Content {
            start_time: content.start_time.or(Some(jiff::civil::Time::midnight())),
            ..content
        };
        prop_assert_eq!(&echoed(&created), &content);
        let updated = tempo::request::update(WorklogId(id), &content, Some(1)).body.unwrap();
        prop_assert_eq!(&echoed(&updated), &content);
        let read = tempo::wire::worklog(shown(id, issue, &content).to_string().as_bytes()).unwrap();
        prop_assert_eq!((read.id, read.issue), (WorklogId(id), IssueId(issue)));
        prop_assert_eq!(read.content, content);
    }

    #[test]
    fn a_bulk_keeps_each_content_with_its_worklog(
        contents in proptest::collection::vec(contents(), 1..8),
        turn in 0usize..8,
    ) {
        let mut rows: Vec<_> = contents.iter().enumerate().map(|(id, content)| shown(id as u64 + 1, 5, content)).collect();
        let len = rows.len();
        rows.rotate_left(turn % len);
        let made = tempo::wire::bulk(Value::from(rows).to_string().as_bytes(), IssueId(5), &contents).unwrap();
        let mut ids: Vec<_> = made.iter().map(|row| row.id.0).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, (1..=len as u64).collect::<Vec<_>>());
        for (row, content) in made.iter().zip(&contents) {
            prop_assert_eq!(row.content.time_spent_secs, content.time_spent_secs);
            prop_assert_eq!(&row.content.author, &content.author);
        }
    }

    #[test]
    fn pages_always_go_forward(offset in 0u64..1_000_000, rows in 0usize..3, next in proptest::option::of(prop_oneof![".{0,40}", "\\?offset=[0-9]{1,7}"])) {
        let content = crate::doubles::content();
        let rows = (0..rows).map(|id| shown(id as u64, 1, &content)).collect();
        let body = page(rows, next.as_deref()).to_string();
        let base = Url::parse("https://api.tempo.io").unwrap();
        if let Ok(page) = tempo::wire::page(body.as_bytes(), &base, offset, None) {
            prop_assert!(page.next.is_none_or(|next| next > offset));
        }
    }

    #[test]
    fn errors_never_leak_a_token(
        token in "[A-Za-z0-9_=-]{12,64}",
        before in ".{0,220}",
        after in ".{0,40}",
        wrapping in 0usize..6,
    ) {
        let said = format!("{before}{token}{after}");
        let body = match wrapping {
            0 => serde_json::json!({"errors": [{"message": said}]}).to_string(),
            1 => serde_json::json!({"errors": {"message": said}}).to_string(),
            2 => serde_json::json!({"errorMessages": [said], "errors": {"field": said}}).to_string(),
            3 => serde_json::json!({token.clone(): said, "x": [said]}).to_string(),
            4 => format!("<html><p>{said}</p></html>"),
            _ => said,
        };
        let credentials = credentials(&token);
        for text in [tempo::errors::text(body.as_bytes()), jira::errors::text(body.as_bytes())] {
            let shown = message(&text, Some(&credentials));
            prop_assert!(!leaks(&shown, &token), "{}", shown);
            prop_assert!(shown.chars().count() <= MESSAGE_CHARS_MAX);
        }
        let shown = excerpt(body.as_bytes(), Some(&credentials));
        prop_assert!(!leaks(&shown, &token), "{}", shown);
        prop_assert!(shown.chars().count() <= MESSAGE_CHARS_MAX);
    }

    #[test]
    fn excerpts_of_json_show_no_value(word in "[a-z]{6,12}[0-9]{3}", cut in 0usize..80) {
        let body = serde_json::json!({"description": word, word.clone(): 1, "n": [word]}).to_string();
        let shown = excerpt(&body.as_bytes()[..cut.min(body.len())], None);
        prop_assert!(!shown.contains(&word), "{}", shown);
    }

    #[test]
    fn nothing_panics_on_any_bytes(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        reads_anything(&body);
    }

    #[test]
    fn nothing_panics_on_any_json(body in json()) {
        reads_anything(body.to_string().as_bytes());
    }

    #[test]
    fn webhooks_of_any_shape_are_at_most_other_events(
        payload in json(),
        kind in prop_oneof!["worklog_(created|deleted)", "jira:issue_(updated|deleted)", "worklog\\.(created|deleted)"],
    ) {
        let body = serde_json::json!({
            "webhookEvent": kind, "eventType": kind, "worklog": payload, "payload": payload, "issue": payload,
            "changelog": {"items": payload},
        })
        .to_string();
        prop_assert!(parse_jira(body.as_bytes()).is_ok());
        prop_assert!(parse_tempo(body.as_bytes()).is_ok());
    }

    #[test]
    fn a_signature_fits_one_body_alone(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        secret in ".{1,40}",
        bit in any::<prop::sample::Index>(),
    ) {
        let secrets = [SecretString::from("another".to_owned()), SecretString::from(secret)];
        let mut other = body.clone();
        let bit = bit.index(body.len() * 8);
        other[bit / 8] ^= 1 << (bit % 8);

        let header = sign_jira(&body, &secrets[1]);
        prop_assert!(verify_jira(&body, &header, &secrets));
        prop_assert!(!verify_jira(&other, &header, &secrets));

        let now = Timestamp::from_second(1_772_445_600).unwrap();
        let signature = sign_tempo(&body, "2026-03-02T09:00:00Z", &secrets[1]);
        prop_assert!(verify_tempo(&body, &signature, "2026-03-02T09:00:00Z", &secrets, now));
        prop_assert!(!verify_tempo(&other, &signature, "2026-03-02T09:00:00Z", &secrets, now));
        prop_assert!(!verify_tempo(&body, &signature, "2026-03-02T09:00:01Z", &secrets, now));
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,10}".prop_map(Value::from),
        "[0-9]{1,25}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "id",
        "issueId",
        "key",
        "fields",
        "results",
        "metadata",
        "next",
        "errors",
        "message",
        "errorMessages",
        "values",
        "until",
        "comment",
        "content",
        "type",
        "text",
        "attrs",
        "author",
        "accountId",
        "matches",
        "issues",
        "[a-z]{1,5}",
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Reads the bytes as everything that a site may send. The results do not matter here.
fn reads_anything(body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    let base = Url::parse("https://api.tempo.io").unwrap();
    let credentials = credentials("tempo-token-0123456789");
    let _ = tempo::wire::page(&body, &base, 0, None);
    let _ = tempo::wire::worklog(&body);
    let _ = tempo::wire::bulk(&body, IssueId(1), &[]);
    let _ = tempo::wire::id_pairs(&body, 1);
    let _ = tempo::wire::papertrail(&body, None);
    let _ = tempo::wire::attributes(&body, &base, 0);
    let _ = tempo::wire::rules(&body);
    let _ = tempo::wire::attribute_values(&body);
    let _ = tempo::admin::read_subscriptions(&body);
    let _ = tempo::admin::read_periods(&body);
    let _ = tempo::admin::read_jira_address(&body);
    let _ = jira::wire::issue(&body, &[]);
    let _ = jira::wire::issues(&body, &[]);
    let _ = jira::wire::search(&body, &[], None);
    let _ = jira::wire::matched(&body);
    let _ = jira::wire::remote_links(&body);
    let _ = jira::wire::users_with_email(&body, "x@y");
    let _ = jira::wire::permissions(&body, &["A"]);
    let _ = jira::wire::server_info(&body);
    let _ = jira::wire::feed(&body, Timestamp::UNIX_EPOCH);
    let _ = jira::admin::read_webhooks(&body);
    let _ = jira::admin::read_worklogs(&body, 0);
    let _ = parse_jira(&body);
    let _ = parse_tempo(&body);
    let _ = excerpt(&body, Some(&credentials));
    for said in [tempo::errors::text(&body), jira::errors::text(&body)] {
        let _ = message(&said, Some(&credentials));
        for status in [400, 403, 422] {
            let _ = tempo::errors::reason(http::StatusCode::from_u16(status).unwrap(), &said);
        }
    }
}
