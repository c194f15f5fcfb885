//! What each answer of a site means to the engine.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tandem_atlassian::{CredentialsError, TransportError, is_estimate_required};
use tandem_core::{AccountId, IssueId, JiraWorklogId, Reason, WorklogId};
use tandem_engine::ports::site::{IssueRef, Outcome, SiteClient, SiteErrorKind};

use crate::doubles::{
    JIRA_TOKEN, Secrets, TEMPO_TOKEN, World, answer, answer_with, content, credentials, ok, page, shown,
    world, world_with,
};

const ISSUE: IssueId = IssueId(20417);
const UNREACHABLE: SiteErrorKind = SiteErrorKind::Unreachable { retry_after: None };

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn listings_ask_for_full_pages_and_go_on_by_offset() {
    let row = shown(7, 20417, &content());
    let next = "https://api.tempo.io/4/worklogs/issue/20417?offset=5000&limit=5000";
    let world = world([
        ok(page(vec![row.clone()], Some(next))),
        ok(page(
            vec![row.clone()],
            Some("https://api.eu.tempo.io/4/worklogs/search"),
        )),
        ok(page(vec![row], None)),
        ok(page(vec![], Some("https://api.tempo.io/4/worklogs?offset=99"))),
    ]);
    let first = world.site.list_issue(ISSUE, 0).await.unwrap();
    assert_eq!((first.rows.len(), first.next), (1, Some(5000)));
    assert_eq!(first.rows[0].content, content());
    let changed = world
        .site
        .list_changed(at("2026-01-01T00:00:00.9Z"), 10)
        .await
        .unwrap();
    assert_eq!(changed.next, Some(11), "counted where the address tells nothing");
    let date = jiff::civil::date(2026, 1, 1);
    assert_eq!(
        world.site.list_dates(date, Some(date), 0).await.unwrap().next,
        None
    );
    assert_eq!(
        world.site.list_issue(ISSUE, 99).await.unwrap().next,
        None,
        "an empty page is the last"
    );
    assert_eq!(
        world.asked()[..3],
        [
            "GET /4/worklogs/issue/20417?offset=0&limit=5000",
            "POST /4/worklogs/search?offset=10&limit=5000",
            "POST /4/worklogs/search?offset=0&limit=5000",
        ]
    );
    assert_eq!(
        world.body(1),
        json!({"updatedFrom": "2026-01-01T00:00:00Z", "orderBy": [{"field": "UPDATED", "order": "ASC"}]})
    );
    assert_eq!(
        world.body(2),
        json!({"from": "2026-01-01", "to": "2026-01-01", "orderBy": [{"field": "ID", "order": "ASC"}]})
    );
}

#[tokio::test]
async fn an_odd_row_does_not_hide_the_others() {
    let good = shown(7, 20417, &content());
    let mut odd = shown(8, 20417, &content());
    odd["startDate"] = json!("Ann's day");
    let mut nowhere = shown(9, 20417, &content());
    nowhere["issue"] = json!({});
    let rows = vec![odd, good, nowhere];
    let world = world([ok(page(rows.clone(), None)), ok(page(rows, None))]);
    let found = world.site.list_changed(Timestamp::UNIX_EPOCH, 0).await.unwrap();
    assert_eq!(found.rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [7]);
    assert_eq!(
        found.bad.iter().map(|bad| bad.id).collect::<Vec<_>>(),
        [Some(WorklogId(8)), Some(WorklogId(9))]
    );
    assert!(found.bad[0].text.starts_with("not a date: {"), "{:?}", found.bad);
    assert!(
        found.bad[1].text.starts_with("the worklog names no issue: {"),
        "{:?}",
        found.bad
    );
    let texts = format!("{:?}", found.bad);
    assert!(!texts.contains("Ann") && !texts.contains("Pairing"), "{texts}");
    let found = world.site.list_issue(ISSUE, 0).await.unwrap();
    assert_eq!(
        (found.rows.len(), found.bad.len()),
        (2, 1),
        "the listing of an issue says which it is"
    );
}

#[tokio::test]
async fn a_next_page_backwards_is_malformed() {
    for next in ["?offset=0", "https://api.tempo.io/4/worklogs?offset=0"] {
        let world = world([ok(page(vec![shown(7, 1, &content())], Some(next)))]);
        let error = world.site.list_issue(ISSUE, 0).await.unwrap_err();
        assert_eq!(error.kind, SiteErrorKind::Malformed, "{next}");
        assert!(!error.message.contains("Pairing"), "{error}");
    }
}

#[tokio::test]
async fn writes_send_everything_that_a_put_would_wipe() {
    let shown = shown(7, 20417, &content());
    let world = world([ok(shown.clone()), ok(shown.clone()), ok(shown), answer(204, "")]);
    let mut bare = content();
    bare.billable_secs = None;
    bare.start_time = None;
    bare.description.clear();
    bare.attributes.clear();
    world.site.create(ISSUE, &content(), Some(60)).await.unwrap();
    world.site.update(WorklogId(7), &content(), None).await.unwrap();
    world.site.update(WorklogId(7), &bare, None).await.unwrap();
    assert!(world.site.delete(WorklogId(7)).await.unwrap());
    let full = json!({
        "authorAccountId": "712020:a", "startDate": "2026-03-02", "startTime": "08:30:00", "timeSpentSeconds": 5400,
        "billableSeconds": 0, "description": "Pairing", "attributes": [{"key": "_Account_", "value": "ACME1"}],
    });
    let mut create = full.clone();
    create["issueId"] = json!(20417);
    create["remainingEstimateSeconds"] = json!(60);
    assert_eq!(world.body(0), create);
    assert_eq!(world.body(1), full);
    assert_eq!(
        world.body(2),
        json!({"authorAccountId": "712020:a", "startDate": "2026-03-02", "startTime": "00:00:00", "timeSpentSeconds": 5400,
            "description": "", "attributes": []})
    );
    assert_eq!(
        *world.counter.0.lock().unwrap(),
        [
            "Tempo POST /4/worklogs 200",
            "Tempo PUT /4/worklogs/{id} 200",
            "Tempo PUT /4/worklogs/{id} 200",
            "Tempo DELETE /4/worklogs/{id} 204",
        ]
    );
}

#[tokio::test]
async fn bulk_rows_are_put_to_their_contents() {
    let mut other = content();
    other.time_spent_secs = 60;
    let contents = [content(), other.clone(), content()];
    let answers = json!([
        shown(1, 20417, &other),
        shown(2, 20417, &content()),
        shown(3, 20417, &content())
    ]);
    let world = world([ok(answers), ok(json!([]))]);
    let made = world.site.create_bulk(ISSUE, &contents).await.unwrap();
    assert_eq!(made.iter().map(|row| row.id.0).collect::<Vec<_>>(), [2, 1, 3]);
    assert!(
        made.iter()
            .zip(&contents)
            .all(|(row, content)| row.content == *content)
    );
    let error = world.site.create_bulk(ISSUE, &contents).await.unwrap_err();
    assert_eq!(
        (error.kind, error.outcome),
        (SiteErrorKind::Malformed, Outcome::Unknown)
    );
    let error = world
        .site
        .create_bulk(ISSUE, &vec![content(); 51])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.outcome),
        (SiteErrorKind::Unusable, Outcome::NothingDone)
    );
    assert!(world.site.create_bulk(ISSUE, &[]).await.unwrap().is_empty());
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn a_status_means_the_same_for_reads_and_writes_but_for_its_outcome() {
    use Outcome::{NothingDone, Unknown};
    let wait = |secs| Some(Duration::from_secs(secs));
    for (status, headers, kind, written) in [
        (401, vec![], SiteErrorKind::CredentialsRejected, NothingDone),
        (
            403,
            vec![],
            SiteErrorKind::Refused(Reason::PermissionMissing),
            NothingDone,
        ),
        (400, vec![], SiteErrorKind::Refused(Reason::Rejected), NothingDone),
        (413, vec![], SiteErrorKind::Refused(Reason::Rejected), NothingDone),
        (404, vec![], SiteErrorKind::NotFound, NothingDone),
        (409, vec![], SiteErrorKind::Busy, NothingDone),
        (425, vec![], UNREACHABLE, NothingDone),
        (408, vec![], UNREACHABLE, Unknown),
        (500, vec![], UNREACHABLE, Unknown),
        (
            503,
            vec![("retry-after", "7")],
            SiteErrorKind::Unreachable { retry_after: wait(7) },
            Unknown,
        ),
        (
            302,
            vec![("location", "https://evil.example/")],
            UNREACHABLE,
            Unknown,
        ),
        (
            429,
            vec![("retry-after", "2")],
            SiteErrorKind::RateLimited { retry_after: wait(2) },
            NothingDone,
        ),
    ] {
        let world = world([
            answer_with(status, &headers, "x"),
            answer_with(status, &headers, "x"),
        ]);
        let error = world
            .site
            .list_changed(Timestamp::UNIX_EPOCH, 0)
            .await
            .unwrap_err();
        assert_eq!(
            (&error.kind, error.outcome, error.status),
            (&kind, NothingDone, Some(status)),
            "{error}"
        );
        let error = world.site.create(ISSUE, &content(), None).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, written), "{status}");
        assert_eq!(error.call, "POST /4/worklogs");
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_only_a_write_uncertain() {
    use Outcome::{NothingDone, Unknown};
    for (cause, kind, written) in [
        (
            TransportError::NotSent("refused".into()),
            UNREACHABLE,
            NothingDone,
        ),
        (TransportError::Unknown("reset".into()), UNREACHABLE, Unknown),
        (TransportError::TooLarge, SiteErrorKind::Malformed, Unknown),
    ] {
        let world = world([Err(cause.clone()), Err(cause.clone()), Err(cause)]);
        let error = world.site.list_issue(ISSUE, 0).await.unwrap_err();
        assert_eq!(
            (&error.kind, error.outcome, error.status),
            (&kind, NothingDone, None)
        );
        let error = world.site.delete(WorklogId(1)).await.unwrap_err();
        assert_eq!((&error.kind, error.outcome), (&kind, written));
        let error = world
            .site
            .update(WorklogId(1), &content(), None)
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, written));
        assert_eq!(world.counter.0.lock().unwrap()[2], "Tempo PUT /4/worklogs/{id} ");
    }
}

#[tokio::test]
async fn an_unreadable_success_is_malformed_and_shows_no_content() {
    let world = world([
        answer(
            200,
            r#"{"tempoWorklogId":"x","description":"met Ann","displayName":"Ann"}"#,
        ),
        answer(200, "<html>Log in</html>"),
    ]);
    let error = world.site.create(ISSUE, &content(), None).await.unwrap_err();
    assert_eq!(
        (&error.kind, error.outcome, error.status),
        (&SiteErrorKind::Malformed, Outcome::Unknown, Some(200))
    );
    assert!(
        error
            .message
            .starts_with(r#"{"tempoWorklogId":"…","description":"…""#),
        "{error}"
    );
    assert!(!error.to_string().contains("Ann"));
    let error = world.site.worklog(WorklogId(1)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.outcome),
        (SiteErrorKind::Malformed, Outcome::NothingDone)
    );
}

#[tokio::test]
async fn what_is_gone_is_none() {
    let gone = || answer(404, r#"{"errorMessages":["gone"]}"#);
    let world = world([gone(), gone(), gone(), gone(), gone(), gone()]);
    assert_eq!(world.site.worklog(WorklogId(1)).await.unwrap(), None);
    assert!(!world.site.delete(WorklogId(1)).await.unwrap());
    assert_eq!(
        world.site.issue(&IssueRef::Key("A-1".into()), &[]).await.unwrap(),
        None
    );
    assert_eq!(world.site.remote_links(ISSUE).await.unwrap(), None);
    assert_eq!(world.site.user(&"x".into()).await.unwrap(), None);
    assert_eq!(
        world.site.list_issue(ISSUE, 0).await.unwrap_err().kind,
        SiteErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_changed_secret_is_tried_once_after_a_401() {
    let secrets = || Secrets {
        all: Mutex::new([credentials("1"), credentials("2")].into()),
        pending: None,
        broken: None,
    };
    let rotated = world_with([answer(401, ""), ok(page(vec![], None))], secrets());
    assert!(rotated.site.list_issue(ISSUE, 0).await.is_ok());
    let tokens: Vec<_> = rotated
        .script
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|request| request.headers()["authorization"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        tokens,
        [format!("Bearer {TEMPO_TOKEN}1"), format!("Bearer {TEMPO_TOKEN}2")]
    );

    // A rotation has refreshed the token, and not yet put the new one into use.
    let tokens = |world: &World| -> Vec<String> {
        let asked = world.script.asked.lock().unwrap();
        let token =
            |request: &http::Request<_>| request.headers()["authorization"].to_str().unwrap().to_owned();
        asked
            .iter()
            .map(|request| token(request).replace(TEMPO_TOKEN, ""))
            .collect()
    };
    let pending = |digest| Secrets {
        pending: Some(credentials(digest)),
        ..secrets()
    };
    let refreshed = world_with(
        [answer(401, ""), answer(401, ""), ok(page(vec![], None))],
        pending("3"),
    );
    assert!(refreshed.site.list_issue(ISSUE, 0).await.is_ok());
    assert_eq!(tokens(&refreshed), ["Bearer 1", "Bearer 2", "Bearer 3"]);
    let known = world_with([answer(401, ""), answer(401, "")], pending("2"));
    assert!(known.site.list_issue(ISSUE, 0).await.is_err());
    assert_eq!(tokens(&known), ["Bearer 1", "Bearer 2"]);
    // What is pending is Tempo's; Jira's token is what it was.
    let of_jira = world_with([answer(401, ""), answer(401, "")], pending("3"));
    assert!(of_jira.site.myself().await.is_err());
    assert_eq!(of_jira.asked().len(), 2);

    let still = world_with([answer(401, ""), answer(401, "")], secrets());
    assert_eq!(
        still.site.myself().await.unwrap_err().kind,
        SiteErrorKind::CredentialsRejected
    );

    let unchanged = world([answer(401, "no")]);
    let error = unchanged.site.create(ISSUE, &content(), None).await.unwrap_err();
    assert_eq!(
        (error.kind, error.outcome),
        (SiteErrorKind::CredentialsRejected, Outcome::NothingDone)
    );
    assert_eq!(unchanged.asked().len(), 1);
}

#[tokio::test]
async fn an_expired_jira_token_does_not_look_like_missing_issues() {
    let failed = [("x-seraph-loginreason", "AUTHENTICATED_FAILED")];
    let world = world([
        answer_with(200, &failed, r#"{"issues":[]}"#),
        answer_with(404, &failed, "{}"),
    ]);
    let error = world.site.issues(&[IssueRef::Id(ISSUE)], &[]).await.unwrap_err();
    assert_eq!(error.kind, SiteErrorKind::CredentialsRejected);
    let error = world.site.issue(&IssueRef::Id(ISSUE), &[]).await.unwrap_err();
    assert_eq!(error.kind, SiteErrorKind::CredentialsRejected);
}

#[tokio::test]
async fn without_a_usable_secret_nothing_is_sent() {
    for (broken, kind) in [
        (CredentialsError::Unavailable("throttled".into()), UNREACHABLE),
        (
            CredentialsError::Unusable("not JSON".into()),
            SiteErrorKind::NoCredentials,
        ),
    ] {
        let world = world_with(
            [],
            Secrets {
                all: Mutex::default(),
                pending: None,
                broken: Some(broken),
            },
        );
        let error = world.site.create(ISSUE, &content(), None).await.unwrap_err();
        assert_eq!((&error.kind, error.outcome), (&kind, Outcome::NothingDone));
        assert_eq!(world.site.credentials_digest().await.unwrap_err().kind, kind);
    }
    let world = world([ok(
        json!({"baseUrl": "https://acme.atlassian.net", "serverTime": "2020-03-31T16:43:50.000+0000"}),
    )]);
    assert_eq!(world.site.credentials_digest().await.unwrap(), "1");
    let info = world.site.server_info().await.unwrap();
    assert_eq!(info.server_time, Some(at("2020-03-31T16:43:50Z")));
    assert!(
        !world.script.asked.lock().unwrap()[0]
            .headers()
            .contains_key("authorization")
    );
}

#[tokio::test]
async fn refusals_keep_the_words_that_the_engine_looks_for() {
    let world = world([
        answer(
            400,
            r#"{"errors":[{"message":"Estimated remaining time must not be empty."}]}"#,
        ),
        answer_with(429, &[("RateLimit-Reason", "jira-burst-based")], "slow down"),
        answer(
            400,
            format!("token {TEMPO_TOKEN}1 of bot@acme.example; {JIRA_TOKEN}"),
        ),
    ]);
    let error = world.site.create(ISSUE, &content(), None).await.unwrap_err();
    assert!(is_estimate_required(&error), "{error}");
    assert_eq!(error.message, "Estimated remaining time must not be empty.");
    let error = world.site.myself().await.unwrap_err();
    assert_eq!(error.message, "jira-burst-based: slow down");
    let error = world.site.create(ISSUE, &content(), None).await.unwrap_err();
    assert_eq!(error.message, "token … of …; …");
}

#[tokio::test]
async fn ids_are_mapped_both_ways_in_one_page() {
    let pairs = json!({"self": "x", "metadata": {"count": 1, "offset": 0, "limit": 5000},
        "results": [{"tempoWorklogId": 7, "jiraWorklogId": "70"}]});
    let world = world([ok(pairs.clone()), ok(pairs)]);
    assert_eq!(
        world.site.jira_ids(&[WorklogId(7), WorklogId(8)]).await.unwrap(),
        (vec![(WorklogId(7), JiraWorklogId(70))], false)
    );
    assert_eq!(
        world.site.tempo_ids(&[JiraWorklogId(70)]).await.unwrap(),
        [(JiraWorklogId(70), WorklogId(7))]
    );
    assert!(world.site.jira_ids(&[]).await.unwrap().0.is_empty());
    assert_eq!(world.body(0), json!({"tempoWorklogIds": [7, 8]}));
    assert_eq!(world.asked()[1], "POST /4/worklogs/jira-to-tempo?limit=5000");
}

#[tokio::test]
async fn an_id_mapper_that_answers_in_pages_is_asked_again_for_the_rest() {
    let pairs = json!({"self": "x", "metadata": {"count": 1, "offset": 0, "limit": 1, "next": "https://api.tempo.io/4?offset=1"},
        "results": [{"tempoWorklogId": 7, "jiraWorklogId": 70}]});
    let world = world([ok(pairs)]);
    let (known, more) = world.site.jira_ids(&[WorklogId(7), WorklogId(8)]).await.unwrap();
    assert_eq!((known, more), (vec![(WorklogId(7), JiraWorklogId(70))], true));
}

#[tokio::test]
async fn a_next_page_at_an_address_of_somebody_else_is_asked_for_at_our_own() {
    let row = shown(7, 20417, &content());
    for foreign in [
        "https://evil.example/4/worklogs/issue/20417?offset=900&limit=50",
        "http://api.tempo.io.evil.example/?offset=2",
    ] {
        let world = world([
            ok(page(vec![row.clone()], Some(foreign))),
            ok(page(vec![row.clone()], None)),
        ]);
        let first = world.site.list_issue(ISSUE, 0).await.unwrap();
        assert_eq!(first.next, Some(1), "counted, not taken from that address");
        world.site.list_issue(ISSUE, 1).await.unwrap();
        assert_eq!(
            world.asked()[1],
            "GET /4/worklogs/issue/20417?offset=1&limit=5000"
        );
    }
}

#[tokio::test]
async fn what_the_answer_to_a_write_leaves_out_stands_as_it_was_sent() {
    let mut short = shown(7, 20417, &content());
    short.as_object_mut().unwrap().remove("description");
    short["attributes"] = json!({"self": "https://api.tempo.io/4/worklogs/7/work-attribute-values"});
    let mut empty = short.clone();
    empty["attributes"]["values"] = json!([]);
    empty["description"] = json!("");
    let world = world([
        ok(short.clone()),
        ok(short.clone()),
        ok(json!([short])),
        ok(empty),
    ]);
    let sent = content();
    assert_eq!(world.site.create(ISSUE, &sent, None).await.unwrap().content, sent);
    assert_eq!(
        world
            .site
            .update(WorklogId(7), &sent, None)
            .await
            .unwrap()
            .content,
        sent
    );
    let many = world
        .site
        .create_bulk(ISSUE, std::slice::from_ref(&sent))
        .await
        .unwrap();
    assert_eq!(many[0].content, sent);
    let told = world
        .site
        .update(WorklogId(7), &sent, None)
        .await
        .unwrap()
        .content;
    assert!(told.description.is_empty() && told.attributes.is_empty());
}

#[tokio::test]
async fn what_jira_does_not_say_of_a_permission_or_a_person_is_not_taken_for_a_no() {
    let world = world([
        ok(json!({"permissions": {"BROWSE_PROJECTS": {"havePermission": true}}})),
        ok(json!({"accountId": "5f0a", "displayName": "Ann"})),
    ]);
    let asked = ["BROWSE_PROJECTS", "WORK_ON_ISSUES"];
    let held = world.site.permissions(&asked, None).await.unwrap();
    assert_eq!(
        held.into_iter().collect::<Vec<_>>(),
        [("BROWSE_PROJECTS".to_owned(), true)]
    );
    assert!(world.site.myself().await.unwrap().active);
}

#[tokio::test]
async fn only_deleted_worklogs_are_read_from_the_papertrail() {
    let row = |action: &str, kind: &str, id: &str| {
        json!({"action": action, "entityType": kind, "entityId": id, "author": "a", "parentId": "", "changes": [],
            "timestamp": "2026-03-02T09:15:20.118Z"})
    };
    let rows = vec![
        row("Deleted", "worklog", "7"),
        row("Updated", "worklog", "8"),
        row("Deleted", "team", "9"),
        row("Deleted", "worklog", "bulk-1"),
        json!({"action": null, "entityType": "worklog", "entityId": "10", "timestamp": null}),
        json!({"action": "Deleted", "entityType": "worklog", "entityId": 11, "timestamp": null}),
    ];
    let body = json!({"self": "x", "metadata": {"limit": 1000, "nextPageToken": "t2"}, "results": rows});
    let world = world([ok(body.clone()), ok(body)]);
    let from = at("2026-03-01T00:00:00Z");
    let found = world
        .site
        .papertrail_deleted(from, Some("t1".into()))
        .await
        .unwrap();
    assert_eq!(found.rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [7, 11]);
    assert_eq!(found.next.as_deref(), Some("t2"));
    assert_eq!(
        world.asked(),
        ["POST /4/papertrail/search?limit=1000&nextPageToken=t1"]
    );
    let error = world
        .site
        .papertrail_deleted(from, Some("t2".into()))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        SiteErrorKind::Malformed,
        "a cursor that does not move would be read for ever"
    );
}

#[tokio::test]
async fn the_feed_of_changes_tells_what_tempo_left_its_id_on() {
    let left = json!([{"key": "other"}, {"key": "tempo", "value": {"tempo_id": 501, "more": true}}]);
    let world = world([ok(json!({
        "values": [
            {"worklogId": 103, "updatedTime": 1_438_013_671_562_i64, "properties": left},
            {"worklogId": 104, "updatedTime": 1_438_013_671_563_i64, "properties": []},
            {"worklogId": 105, "updatedTime": 1_438_013_671_564_i64},
        ],
        "until": 1_438_013_693_136_i64, "lastPage": true,
    }))]);
    let since = Timestamp::from_millisecond(1_438_013_671_000).unwrap();
    let page = world.site.jira_changed(since).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|row| row.id).collect();
    assert_eq!((ids, page.next), (vec![WorklogId(501)], None));
}

#[tokio::test]
async fn the_feed_of_deletes_goes_on_at_until() {
    let feed = |until: i64, last: bool| {
        json!({"values": [{"worklogId": 103, "updatedTime": 1_438_013_671_562_i64}], "until": until,
            "lastPage": last, "nextPage": "https://elsewhere.example/?since=9"})
    };
    let world = world([
        ok(feed(1_438_013_693_136, false)),
        ok(feed(1_438_013_693_136, true)),
        ok(feed(1_438_013_671_562, false)),
        ok(feed(5, false)),
    ]);
    let since = Timestamp::from_millisecond(1_438_013_671_562).unwrap();
    let until = Timestamp::from_millisecond(1_438_013_693_136).unwrap();
    let first = world.site.jira_deleted(since).await.unwrap();
    assert_eq!((first.next, first.until), (Some(until), Some(until)));
    assert_eq!(first.rows[0].at, since);
    assert_eq!(world.site.jira_deleted(since).await.unwrap().next, None);
    // More of one moment than a page holds must not stop it there.
    let next = Timestamp::from_millisecond(1_438_013_671_563).unwrap();
    assert_eq!(world.site.jira_deleted(since).await.unwrap().next, Some(next));
    assert_eq!(
        world.site.jira_deleted(since).await.unwrap_err().kind,
        SiteErrorKind::Malformed
    );
    assert_eq!(
        world.asked()[0],
        "GET /rest/api/3/worklog/deleted?since=1438013671562"
    );
}

#[tokio::test]
async fn issues_bring_their_project_estimate_and_the_fields_asked_for() {
    let body = json!({"id": "20417", "key": "SUP-1", "self": "x", "fields": {
        "project": {"key": "SUP"}, "timetracking": {"remainingEstimateSeconds": 3600}, "customfield_1": "DEV-9"}});
    let bare = json!({"issues": [{"id": 5, "key": "A-B-1"}], "issueErrors": []});
    let found = json!({"issues": [], "isLast": false, "nextPageToken": "n"});
    let world = world([ok(body), ok(bare), ok(found)]);
    let fields = ["timetracking".to_owned(), "customfield_1".to_owned()];
    let issue = world
        .site
        .issue(&IssueRef::Key(" SUP-1 ".into()), &fields)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (issue.id, issue.project.as_str(), issue.remaining_estimate_secs),
        (ISSUE, "SUP", Some(3600))
    );
    assert_eq!(
        issue.fields.keys().collect::<Vec<_>>(),
        ["customfield_1", "timetracking"]
    );
    assert_eq!(
        world.asked()[0],
        "GET /rest/api/3/issue/SUP-1?fields=project%2Ctimetracking%2Ccustomfield_1"
    );
    let issues = world.site.issues(&[IssueRef::Id(IssueId(5))], &[]).await.unwrap();
    assert_eq!(
        (issues[0].project.as_str(), issues[0].remaining_estimate_secs),
        ("A-B", None)
    );
    let (rows, cursor) = world
        .site
        .search_issues("project = A", &[], Some("c".into()))
        .await
        .unwrap();
    assert_eq!((rows.len(), cursor.as_deref()), (0, Some("n")));
    assert_eq!(
        world.body(2),
        json!({"jql": "project = A", "fields": ["project"], "maxResults": 1000, "nextPageToken": "c"})
    );
}

#[tokio::test]
async fn a_bad_jql_is_refused_inside_a_200() {
    let world = world([
        ok(json!({"matches": [{"matchedIssues": [10000], "errors": []}]})),
        ok(json!({"matches": [{"matchedIssues": [], "errors": ["Invalid JQL: broken = value"]}]})),
    ]);
    assert_eq!(
        world
            .site
            .match_jql("a", &[IssueId(10000), IssueId(2)])
            .await
            .unwrap(),
        [IssueId(10000)]
    );
    let error = world
        .site
        .match_jql("broken", &[IssueId(2), IssueId(2)])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SiteErrorKind::Refused(Reason::Rejected));
    assert_eq!(
        (error.message.as_str(), error.status),
        ("Invalid JQL: broken = value", Some(200))
    );
    assert_eq!(world.body(1), json!({"issueIds": [2], "jqls": ["broken"]}));
}

#[tokio::test]
async fn people_are_found_by_their_exact_address() {
    let user = |id: &str, email: serde_json::Value, kind: &str| json!({"accountId": id, "displayName": "N", "emailAddress": email, "active": true, "accountType": kind});
    let world = world([ok(json!([
        user("1", json!("Ann@acme.example"), "atlassian"),
        user("2", json!("ann@acme.example.org"), "atlassian"),
        user("3", json!(null), "atlassian"),
        user("4", json!("ann@acme.example"), "customer"),
    ]))]);
    let found = world.site.users_by_email("ann@ACME.example").await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|user| user.account_id.as_str())
            .collect::<Vec<_>>(),
        ["1"]
    );
    assert!(world.asked()[0].starts_with("GET /rest/api/3/user/search?query=ann%40ACME.example"));
}

#[tokio::test]
async fn many_people_are_asked_for_at_once_and_whoever_is_not_told_is_left_out() {
    let accounts: Vec<AccountId> = ["712020:a", "b", "c", "d"].map(AccountId::new).to_vec();
    let user = |id: &str| json!({"accountId": id, "displayName": "N", "active": true});
    let world = world([
        ok(json!({"values": [user("712020:a"), {"displayName": 7}], "isLast": false, "total": 3})),
        ok(json!({"values": [user("c")], "isLast": true, "total": 3})),
        answer(404, "{}"),
    ]);
    let first = world.site.users(&accounts, 0).await.unwrap();
    assert_eq!(first.rows[0].account_id, accounts[0]);
    assert_eq!((first.rows.len(), first.next), (1, Some(2)));
    let second = world.site.users(&accounts, 2).await.unwrap();
    assert_eq!((second.rows.len(), second.next), (1, None));
    assert_eq!(world.site.users(&accounts[..1], 0).await.unwrap().rows, []);
    assert_eq!(
        world.asked()[1..],
        [
            "GET /rest/api/3/user/bulk?startAt=2&maxResults=50&accountId=712020%3Aa&accountId=b&accountId=c&accountId=d",
            "GET /rest/api/3/user/bulk?startAt=0&maxResults=50&accountId=712020%3Aa",
        ]
    );
    // Nobody is asked for without a request, and no more than fit.
    assert_eq!(world.site.users(&[], 0).await.unwrap().rows, []);
    let many = vec![AccountId::new("a"); 51];
    let error = world.site.users(&many, 0).await.unwrap_err();
    assert_eq!(error.kind, SiteErrorKind::Unusable);
    assert_eq!(world.asked().len(), 3);
}

#[tokio::test]
async fn permissions_are_asked_for_by_project_and_told_as_jira_tells_them() {
    let world = world([ok(
        json!({"permissions": {"A": {"havePermission": true}, "B": {"havePermission": false}}}),
    )]);
    let held = world
        .site
        .permissions(&["A", "B", "C"], Some("SUP"))
        .await
        .unwrap();
    assert_eq!(
        held.into_iter().collect::<Vec<_>>(),
        [("A".into(), true), ("B".into(), false)]
    );
    assert_eq!(
        world.asked(),
        ["GET /rest/api/3/mypermissions?permissions=A%2CB%2CC&projectKey=SUP"]
    );
}

#[tokio::test]
async fn rules_and_attributes_are_read() {
    let attribute = json!({"self": "x", "key": "_A_", "name": "A", "required": true, "type": "STATIC_LIST",
        "values": ["u1", "u2"], "names": {"u1": "One"}});
    let world = world([
        ok(
            json!({"remainingEstimateOptional": false, "startAndEndTimesEnabled": true, "maxHoursPerDayPerUser": 24}),
        ),
        ok(
            json!({"self": "x", "metadata": {"count": 1, "offset": 0, "limit": 5000}, "results": [attribute]}),
        ),
    ]);
    let rules = world.site.rules().await.unwrap();
    assert_eq!(
        (rules.remaining_estimate_optional, rules.max_hours_per_day),
        (false, Some(24))
    );
    let attributes = world.site.attributes(0).await.unwrap().rows;
    assert_eq!(attributes[0].names["u1"], "One");
    assert_eq!(attributes[0].names["u2"], "u2");
    assert!(attributes[0].required);
}

#[tokio::test]
async fn a_webhook_secret_that_is_echoed_is_not_shown() {
    let secret = "webhook-secret-0123456789";
    let world = world([
        answer(400, format!(r#"{{"errorMessages":["bad value {secret}"]}}"#)),
        answer(201, format!("made with {secret}")),
    ]);
    for shown in ["bad value …", "made with … (not JSON at line 1 column 1)"] {
        let error = world
            .site
            .create_jira_webhook("t", "https://h.example", "", &secret.to_owned().into())
            .await
            .unwrap_err();
        assert_eq!(error.message, shown);
    }
}

#[tokio::test]
async fn webhooks_are_set_up_and_removed() {
    let subscription = json!({"id": "s1", "event": "worklog.created", "url": "https://h.example/t", "active": false,
        "sharedSecret": "k", "self": "x", "createdAt": "x", "updatedAt": "x"});
    let hook = json!({"name": "t", "url": "https://h.example/j", "events": ["worklog_created"], "enabled": true,
        "self": "https://acme.atlassian.net/rest/webhooks/1.0/webhook/72", "isSigned": true});
    let world = world([
        ok(json!({"results": [subscription.clone()], "metadata": {"count": 1}, "self": "x"})),
        ok(subscription),
        answer(204, ""),
        answer(404, ""),
        ok(json!([hook])),
        answer(204, ""),
        answer(409, r#"{"errors":[{"message":"exists"}]}"#),
    ]);
    assert!(!world.site.tempo_webhooks().await.unwrap()[0].active);
    let made = world
        .site
        .create_tempo_webhook("worklog.created", "https://h.example/t", "Tandem")
        .await
        .unwrap();
    assert!(made.shared_secret.is_some() && !format!("{made:?}").contains("\"k\""));
    world.site.refresh_tempo_webhook("s1").await.unwrap();
    assert!(!world.site.delete_tempo_webhook("s1").await.unwrap());
    let hooks = world.site.jira_webhooks().await.unwrap();
    assert_eq!((hooks[0].id.as_str(), hooks[0].is_signed), ("72", Some(true)));
    assert!(world.site.delete_jira_webhook("72").await.unwrap());
    let error = world
        .site
        .create_tempo_webhook("worklog.created", "https://h.example/t", "Tandem")
        .await
        .unwrap_err();
    assert_eq!(error.kind, SiteErrorKind::Busy);
    assert_eq!(world.asked()[2], "PATCH /4/webhooks/subscriptions/s1/refresh");
    assert_eq!(world.asked()[5], "DELETE /rest/webhooks/1.0/webhook/72");
}

#[tokio::test]
async fn what_a_write_answers_tells_that_the_token_is_another_sites() {
    let mut foreign = shown(7, 20417, &content());
    foreign["issue"]["self"] = json!("https://other.atlassian.net/rest/api/2/issue/20417");
    let answers = [ok(foreign.clone()), ok(foreign.clone()), ok(json!([foreign]))];
    let World { site, .. } = world(answers);
    let site = site.beside(["https://other.atlassian.net".to_owned()]);
    let said = content();
    let failures = [
        site.create(ISSUE, &said, None).await.map(drop),
        site.update(WorklogId(7), &said, None).await.map(drop),
        site.create_bulk(ISSUE, std::slice::from_ref(&said))
            .await
            .map(drop),
    ];
    for failure in failures {
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, SiteErrorKind::CredentialsRejected, "{failure}");
        assert!(failure.message.contains("is another site's"), "{failure}");
    }
}
