//! What the vendors are known to do, one sentence each.

use serde_json::{Value, json};
use tandem_sim::{AttributeKind, AttributeSpec, Permission, Scope, TEMPO_APP_ACCOUNT};

use crate::harness::{ANN, BEA, hour, stage, stage_of};

fn write(issue: u64) -> Value {
    json!({
        "issueId": issue, "authorAccountId": ANN, "startDate": "2026-03-02", "startTime": "10:00:00",
        "timeSpentSeconds": 3600, "billableSeconds": 0, "description": "text",
        "attributes": [{"key": "_Account_", "value": "ACME1"}],
    })
}

fn messages(body: &Value) -> Vec<&str> {
    body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn put_wipes_what_it_does_not_name() {
    let stage = stage();
    let made = stage
        .tempo("POST", "/4/worklogs", Some(write(stage.acme.issue_id("SUP-1"))))
        .await;
    assert_eq!(made.status, 200);
    assert_eq!(made.body["billableSeconds"], 0);
    assert_eq!(made.body["attributes"]["values"][0]["value"], "ACME1");
    let path = format!("/4/worklogs/{}", made.body["tempoWorklogId"]);
    let bare = json!({"authorAccountId": ANN, "startDate": "2026-03-02", "timeSpentSeconds": 60});
    let put = stage.tempo("PUT", &path, Some(bare)).await.body;
    assert_eq!(put.get("description"), None);
    assert_eq!(put["attributes"].get("values"), None);
    assert_eq!(put["billableSeconds"], 60);
    assert_eq!(put["startTime"], "08:00:00");
    assert!(
        stage
            .sim
            .violations()
            .iter()
            .any(|violation| violation.what.contains("startTime"))
    );
}

#[tokio::test]
async fn lists_page_by_fifty_and_say_next_only_while_there_is_more() {
    let stage = stage();
    for _ in 0..120 {
        stage.acme.log_time("SUP-1", hour()).unwrap();
    }
    let mut url = Some("/4/worklogs?from=2026-03-01&to=2026-03-31".to_owned());
    let mut counts = Vec::new();
    while let Some(next) = url {
        let page = stage.tempo("GET", &next, None).await.body;
        counts.push(page["metadata"]["count"].as_u64().unwrap());
        url = page["metadata"]
            .get("next")
            .map(|next| next.as_str().unwrap().to_owned());
        if let Some(url) = &url {
            assert!(
                url.starts_with("https://api.tempo.io/4/worklogs?from=2026-03-01&to=2026-03-31&offset="),
                "{url}"
            );
        }
    }
    assert_eq!(counts, [50, 50, 20]);
    let ids: Vec<u64> = stage.acme.worklogs().iter().map(|worklog| worklog.id).collect();
    let mapped = stage
        .tempo(
            "POST",
            "/4/worklogs/tempo-to-jira",
            Some(json!({"tempoWorklogIds": ids})),
        )
        .await;
    assert_eq!(
        mapped.body["results"].as_array().unwrap().len(),
        50,
        "the mapper pages too"
    );
}

#[tokio::test]
async fn order_by_descends_unless_the_search_says_otherwise() {
    let stage = stage();
    for _ in 0..3 {
        stage.acme.log_time("SUP-1", hour()).unwrap();
        stage.pass(5);
    }
    let first = stage.acme.worklogs()[0].id;
    stage
        .acme
        .edit(first, |content| content.time_spent_secs = 60)
        .unwrap();
    let ids = |body: &Value| -> Vec<u64> {
        body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["tempoWorklogId"].as_u64().unwrap())
            .collect()
    };
    let listed = stage.tempo("GET", "/4/worklogs?orderBy=UPDATED", None).await.body;
    assert_eq!(ids(&listed), [first, first + 2, first + 1]);
    let ascending = json!({"orderBy": [{"field": "UPDATED", "order": "ASC"}]});
    let searched = stage
        .tempo("POST", "/4/worklogs/search", Some(ascending))
        .await
        .body;
    assert_eq!(ids(&searched), [first + 1, first + 2, first]);
}

#[tokio::test]
async fn updated_from_includes_the_whole_second() {
    let stage = stage();
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let count = async |from: &str| {
        stage
            .tempo("GET", &format!("/4/worklogs?updatedFrom={from}"), None)
            .await
            .body["metadata"]["count"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count("2026-03-02T09:30:00Z").await, 1);
    assert_eq!(count("2026-03-02T09:30:01Z").await, 0);
    assert_eq!(count("2026-03-02").await, 1);
    assert_eq!(count("2026-03-03").await, 0);
}

#[tokio::test]
async fn the_same_issue_id_twice_is_a_404() {
    let stage = stage();
    let id = stage.acme.issue_id("SUP-1");
    assert_eq!(
        stage
            .tempo("GET", &format!("/4/worklogs?issueId={id}"), None)
            .await
            .status,
        200
    );
    assert_eq!(
        stage
            .tempo("GET", &format!("/4/worklogs?issueId={id}&issueId={id}"), None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_once_and_ends_the_old_one_at_once() {
    let stage = stage_of(1, tandem_sim::SiteSpec::tempo_oauth);
    let form = |refresh: &'static str| {
        [
            ("grant_type", "refresh_token"),
            ("client_id", "client-acme"),
            ("client_secret", "client-secret-acme"),
            ("redirect_uri", "https://tandem.example/acme"),
            ("refresh_token", refresh),
        ]
    };
    assert_eq!(stage.tempo("GET", "/4/worklogs", None).await.status, 200);
    let (status, pair) = stage.tokens("/oauth/token/", &form("refresh-acme")).await;
    assert_eq!((status, &pair["expires_in"]), (200, &json!(60 * 24 * 3600)));
    assert_eq!(stage.tempo("GET", "/4/worklogs", None).await.status, 401);
    let token = pair["access_token"].as_str().unwrap().to_owned();
    let with_new = stage.tempo_as(&token, "GET", "/4/worklogs", None).await;
    assert_eq!(with_new.status, 200);
    assert_eq!(stage.acme.tempo_tokens(), [token]);

    let (status, again) = stage.tokens("/oauth/token/", &form("refresh-acme")).await;
    assert_eq!((status, &again["error"]), (400, &json!("invalid_grant")));
    let mut stranger = form("refresh-acme");
    stranger[2].1 = "guessed";
    let (status, refused) = stage.tokens("/oauth/token/", &stranger).await;
    assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
    assert_eq!(stage.sim.violations(), []);

    let refresh = pair["refresh_token"].as_str().unwrap().to_owned();
    let bare = [
        ("grant_type", "refresh_token"),
        ("client_id", "client-acme"),
        ("client_secret", "client-secret-acme"),
        ("refresh_token", &refresh),
    ];
    assert_eq!(stage.tokens("/oauth/token", &bare).await.0, 200);
    let noted = stage.sim.violations();
    assert!(noted[0].what.contains("slash") && noted[1].what.contains("redirect_uri"));
}

#[tokio::test]
async fn the_token_selects_the_tenant() {
    let stage = stage();
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let of_globex = stage.tempo_as("tempo-globex", "GET", "/4/worklogs", None).await;
    assert_eq!(of_globex.body["metadata"]["count"], 0);
    let unknown = stage.tempo_as("wrong", "GET", "/4/worklogs", None).await;
    assert_eq!(unknown.status, 401);
    assert!(
        unknown.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    stage
        .acme
        .configure(|spec| spec.service.tempo_tokens[0].scopes = Some([Scope::WorklogsView].into()));
    assert_eq!(stage.tempo("GET", "/4/worklogs", None).await.status, 200);
    let refused = stage
        .tempo("POST", "/4/worklogs", Some(write(stage.acme.issue_id("SUP-1"))))
        .await;
    assert_eq!(refused.status, 403);
    stage.acme.expire_tempo_tokens();
    assert_eq!(stage.tempo("GET", "/4/worklogs", None).await.status, 401);
    stage.acme.replace_tempo_token("fresh");
    assert_eq!(
        stage.tempo_as("fresh", "GET", "/4/worklogs", None).await.status,
        200
    );
}

#[tokio::test]
async fn closed_period_refuses_unless_create_or_delete_bypass_it() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    stage
        .acme
        .close_period("2026-03-01".parse().unwrap(), "2026-03-31".parse().unwrap());
    let mut body = write(stage.acme.issue_id("SUP-1"));
    let refused = stage.tempo("POST", "/4/worklogs", Some(body.clone())).await;
    assert_eq!(
        (refused.status, refused.text.as_str()),
        (403, r#"{"errors":[{"message":"Period is closed"}]}"#)
    );
    body["bypassPeriodClosuresAndApprovals"] = json!(true);
    assert_eq!(
        stage
            .tempo("POST", "/4/worklogs", Some(body.clone()))
            .await
            .status,
        200
    );
    body.as_object_mut().unwrap().remove("issueId");
    assert_eq!(
        stage
            .tempo("PUT", &format!("/4/worklogs/{id}"), Some(body))
            .await
            .status,
        403
    );
    assert_eq!(
        stage
            .tempo("DELETE", &format!("/4/worklogs/{id}"), None)
            .await
            .status,
        403
    );
    let path = format!("/4/worklogs/{id}?bypassPeriodClosuresAndApprovals=true");
    assert_eq!(stage.tempo("DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn every_broken_rule_of_a_write_is_named() {
    let stage = stage_of(1, |spec| {
        spec.attribute(AttributeSpec::new("_Type_", "Activity type", AttributeKind::InputField).required())
    });
    stage.acme.configure(|spec| {
        spec.attributes[0].required = true;
        spec.configuration.remaining_estimate_optional = false;
    });
    let issue = stage.acme.issue_id("SUP-1");
    let mut body = write(issue);
    body["attributes"] = json!([]);
    let refused = stage.tempo("POST", "/4/worklogs", Some(body.clone())).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        messages(&refused.body),
        [
            "Estimated remaining time must not be empty.",
            "Work attribute Account (_Account_) is required",
            "Work attribute 'Activity type' (_Type_) is required",
        ]
    );
    body["attributes"] = json!([{"key": "_Account_", "value": "ACME1"}, {"key": "_Type_", "value": "x"}]);
    body["remainingEstimateSeconds"] = json!(1800);
    assert_eq!(stage.tempo("POST", "/4/worklogs", Some(body)).await.status, 200);
    assert_eq!(stage.acme.remaining_estimate("SUP-1"), Some(1800));
}

#[tokio::test]
async fn a_write_needs_an_author_who_may_work_there_and_values_that_exist() {
    let stage = stage();
    let issue = stage.acme.issue_id("SUP-1");
    let refused = async |field: &str, value: Value| {
        let mut body = write(issue);
        body[field] = value;
        let reply = stage.tempo("POST", "/4/worklogs", Some(body)).await;
        assert_eq!(reply.status, 400, "{field}: {}", reply.text);
    };
    refused("authorAccountId", json!("nobody")).await;
    refused("authorAccountId", json!("5f0a:gone")).await;
    refused("issueId", json!(null)).await;
    refused("issueId", json!(1)).await;
    refused("startTime", json!("10:00")).await;
    refused("startDate", json!("2026-3-2")).await;
    refused("timeSpentSeconds", json!(0)).await;
    refused("attributes", json!([{"key": "_Activity_", "value": "Support"}])).await;
    refused("attributes", json!([{"key": "_Account_", "value": "NONE"}])).await;
    refused("attributes", json!([{"key": "_Account_", "value": "OLD"}])).await;
    refused("attributes", json!([{"key": "_Nothing_", "value": "x"}])).await;
    stage.acme.set_workers("SUP", Some([BEA.to_owned()].into()));
    refused("startTime", json!("10:00:00")).await;
    assert!(stage.acme.worklogs().is_empty());
}

#[tokio::test]
async fn caps_of_the_day_and_of_the_future_hold() {
    let stage = stage();
    stage.acme.configure(|spec| {
        spec.configuration.max_hours_per_day = Some(8);
        spec.configuration.days_into_future = Some(7);
    });
    let mut body = write(stage.acme.issue_id("SUP-1"));
    body["timeSpentSeconds"] = json!(8 * 3600);
    let made = stage.tempo("POST", "/4/worklogs", Some(body.clone())).await;
    assert_eq!(made.status, 200);
    assert_eq!(
        stage
            .tempo("POST", "/4/worklogs", Some(body.clone()))
            .await
            .status,
        400
    );
    let path = format!("/4/worklogs/{}", made.body["tempoWorklogId"]);
    body.as_object_mut().unwrap().remove("issueId");
    assert_eq!(
        stage.tempo("PUT", &path, Some(body.clone())).await.status,
        200,
        "its own hours don't count twice"
    );
    body["issueId"] = json!(stage.acme.issue_id("SUP-1"));
    body["startDate"] = json!("2026-03-20");
    assert_eq!(stage.tempo("POST", "/4/worklogs", Some(body)).await.status, 400);
}

#[tokio::test]
async fn a_bulk_is_one_to_fifty_and_all_or_nothing() {
    let stage = stage();
    let path = format!("/4/worklogs/issue/{}/bulk", stage.acme.issue_id("SUP-1"));
    let mut good = write(1);
    good.as_object_mut().unwrap().remove("issueId");
    assert_eq!(
        stage
            .tempo("POST", &path, Some(json!(vec![good.clone(); 51])))
            .await
            .status,
        400
    );
    let mut bad = good.clone();
    bad["authorAccountId"] = json!("nobody");
    assert_eq!(
        stage.tempo("POST", &path, Some(json!([good, bad]))).await.status,
        400
    );
    assert!(stage.acme.worklogs().is_empty());
    assert_eq!(
        stage
            .tempo("POST", &path, Some(json!(vec![good.clone(); 50])))
            .await
            .status,
        200
    );
    assert_eq!(stage.acme.worklogs().len(), 50);
    stage.acme.set_bulk_busy("SUP-1", true);
    assert_eq!(stage.tempo("POST", &path, Some(json!([good]))).await.status, 409);
}

#[tokio::test]
async fn losing_permissions_leaves_lists_with_ones_own_worklogs() {
    let stage = stage();
    stage.acme.log_time("SUP-1", hour()).unwrap();
    let mut own = hour();
    own.author = stage.acme.service_account();
    let own = stage.acme.log_time("SUP-1", own).unwrap();
    stage.acme.lose_permissions();
    let listed = stage.tempo("GET", "/4/worklogs", None).await.body;
    assert_eq!(listed["metadata"]["count"], 1);
    assert_eq!(listed["results"][0]["tempoWorklogId"], own);
    let path = "/rest/api/3/mypermissions?permissions=BROWSE_PROJECTS,EDIT_ALL_WORKLOGS,io.tempo.jira__view-all-worklogs&projectKey=SUP";
    let mine = stage.jira("GET", path, None).await.body;
    assert_eq!(mine["permissions"]["EDIT_ALL_WORKLOGS"]["havePermission"], false);
    assert_eq!(mine["permissions"]["BROWSE_PROJECTS"]["havePermission"], true);
    assert_eq!(
        stage
            .jira("GET", "/rest/api/3/mypermissions?permissions=OOPS", None)
            .await
            .status,
        400
    );
    let view_all = &mine["permissions"]["io.tempo.jira__view-all-worklogs"];
    assert_eq!(view_all["havePermission"], false);
    stage.acme.set_permission(Some("SUP"), Permission::Browse, false);
    let path = format!("/4/worklogs/issue/{}", stage.acme.issue_id("SUP-1"));
    assert_eq!(stage.tempo("GET", &path, None).await.status, 404);
}

#[tokio::test]
async fn a_worklog_of_tempo_is_the_apps_in_jira() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour().text("did it")).unwrap();
    let listed = stage
        .jira("GET", "/rest/api/3/issue/SUP-1/worklog?expand=properties", None)
        .await
        .body;
    let shadow = &listed["worklogs"][0];
    assert_eq!(shadow["author"]["accountId"], TEMPO_APP_ACCOUNT);
    assert_eq!(shadow["author"]["accountType"], "app");
    assert_eq!(
        shadow["properties"],
        json!([{"key": "tempo", "value": {"tempo_id": id}}])
    );
    // Nine o'clock in New York, where Ann's profile says she is.
    assert_eq!(shadow["started"], "2026-03-02T14:00:00.000+0000");
    assert_eq!(shadow["comment"]["content"][0]["content"][0]["text"], "did it");
}

#[tokio::test]
async fn a_move_keeps_the_tempo_id_and_changes_the_jira_id() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    let before = stage.acme.worklog(id).unwrap().jira_id.unwrap();
    stage.acme.move_to_issue(id, "DEV-1").unwrap();
    let after = stage.acme.worklog(id).unwrap();
    assert_ne!(after.jira_id, Some(before));
    assert_eq!(after.issue, stage.acme.issue_id("DEV-1"));
    assert!(stage.acme.worklogs_of("SUP-1").is_empty());
    assert_eq!(stage.acme.jira_worklog(before), None);
    assert_eq!(stage.acme.tempo_id_of(after.jira_id.unwrap()), Some(id));
}

#[tokio::test]
async fn tempo_sees_what_was_done_in_jira_late_and_the_person_stays_the_author() {
    let stage = stage();
    let started = "2026-03-02T23:30:00Z".parse().unwrap();
    let jira_id = stage
        .acme
        .jira_log_time("SUP-1", ANN, started, 1800, "in Jira")
        .unwrap();
    assert!(stage.acme.worklogs().is_empty());
    let asked = json!({"jiraWorklogIds": [jira_id]});
    let mapped = stage
        .tempo("POST", "/4/worklogs/jira-to-tempo", Some(asked.clone()))
        .await;
    assert_eq!(
        (mapped.status, mapped.body["results"].as_array().unwrap().len()),
        (200, 0)
    );
    stage.pass(20);
    let [worklog] = stage.acme.worklogs().try_into().unwrap();
    assert_eq!((worklog.author.as_str(), worklog.time_spent_secs), (ANN, 1800));
    assert_eq!(worklog.start_time.to_string(), "18:30:00");
    assert_eq!(stage.acme.jira_worklog(jira_id).unwrap().author, ANN);
    stage
        .acme
        .jira_edit(BEA, jira_id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    stage.pass(20);
    let edited = stage.acme.worklog(worklog.id).unwrap();
    assert_eq!(
        (
            edited.time_spent_secs,
            edited.billable_secs,
            edited.updater.as_str()
        ),
        (60, 60, BEA)
    );
    stage.acme.jira_delete(jira_id).unwrap();
    assert!(stage.acme.worklog(worklog.id).is_some());
    stage.pass(20);
    assert_eq!(stage.acme.worklog(worklog.id), None);
}

#[tokio::test]
async fn deletes_show_in_the_feeds_alone_and_jiras_holds_the_last_minute_back() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    let jira_id = stage.acme.worklog(id).unwrap().jira_id.unwrap();
    stage.pass(10);
    stage.acme.delete(id).unwrap();
    assert_eq!(
        stage
            .tempo("GET", &format!("/4/worklogs/{id}"), None)
            .await
            .status,
        404
    );
    let listed = stage
        .tempo("GET", "/4/worklogs?updatedFrom=2026-03-01", None)
        .await;
    assert_eq!(listed.body["metadata"]["count"], 0);
    let asked = json!({"from": "2026-03-02T00:00:00Z", "entityType": ["worklog"], "action": ["Deleted"]});
    let trail = stage
        .tempo("POST", "/4/papertrail/search", Some(asked))
        .await
        .body;
    assert_eq!(trail["results"][0]["entityId"], id.to_string());
    assert_eq!(trail["results"][0]["worker"], ANN);
    let path = "/papertrail/1/events/deleted/types/worklog?updatedFrom=2026-03-02T00:00:00Z";
    let old_feed = stage.tempo("GET", path, None).await.body;
    assert_eq!(old_feed["results"][0]["jiraWorklogId"], jira_id.to_string());
    let feed = stage
        .jira("GET", "/rest/api/3/worklog/deleted?since=0", None)
        .await
        .body;
    assert_eq!(feed["values"], json!([]));
    stage.pass(61);
    let feed = stage
        .jira("GET", "/rest/api/3/worklog/deleted?since=0", None)
        .await
        .body;
    assert_eq!(feed["values"][0]["worklogId"], jira_id);
    assert_eq!(feed["lastPage"], true);
}

#[tokio::test]
async fn jiras_bulk_delete_leaves_tempo_an_orphan() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    stage
        .acme
        .jira_bulk_delete(stage.acme.worklog(id).unwrap().jira_id.unwrap())
        .unwrap();
    stage.pass(3600);
    assert_eq!(stage.acme.worklog(id).unwrap().jira_id, None);
    let asked = json!({"tempoWorklogIds": [id]});
    let mapped = stage
        .tempo("POST", "/4/worklogs/tempo-to-jira", Some(asked))
        .await
        .body;
    assert_eq!(mapped["results"], json!([]));
}

#[tokio::test]
async fn retention_purge_blames_the_last_updater() {
    let stage = stage();
    let id = stage.acme.log_time("SUP-1", hour()).unwrap();
    stage
        .acme
        .edit_as(BEA, id, |content| content.time_spent_secs = 60)
        .unwrap();
    assert_eq!(stage.acme.retention_purge("2026-03-03".parse().unwrap()), 1);
    let asked = json!({"from": "2026-03-02T00:00:00Z", "action": ["Deleted"]});
    let trail = stage
        .tempo("POST", "/4/papertrail/search", Some(asked))
        .await
        .body;
    assert_eq!(trail["results"][0]["author"], BEA);
}

#[tokio::test]
async fn an_issue_that_moves_keeps_its_id_and_answers_to_both_keys() {
    let stage = stage();
    let id = stage.acme.issue_id("SUP-1");
    assert_eq!(stage.acme.jira_move_issue(ANN, "SUP-1", "DEV").unwrap(), "DEV-4");
    for key in ["SUP-1", "DEV-4"] {
        let issue = stage
            .jira("GET", &format!("/rest/api/3/issue/{key}"), None)
            .await
            .body;
        assert_eq!(
            (&issue["id"], &issue["key"]),
            (&json!(id.to_string()), &json!("DEV-4"))
        );
    }
    stage.acme.delete_issue(ANN, "DEV-4").unwrap();
    assert_eq!(
        stage.jira("GET", "/rest/api/3/issue/SUP-1", None).await.status,
        404
    );
}

#[tokio::test]
async fn jira_wants_its_own_format_of_time_and_at_least_a_minute() {
    let stage = stage();
    let path = "/rest/api/3/issue/SUP-1/worklog?notifyUsers=false";
    let post = async |started: &str, secs: i64| {
        let body = json!({"started": started, "timeSpentSeconds": secs});
        stage.jira("POST", path, Some(body)).await.status
    };
    assert_eq!(post("2026-03-02T10:00:00.000+0000", 60).await, 201);
    assert_eq!(post("2026-03-02T10:00:00Z", 60).await, 400);
    assert_eq!(post("2026-03-02T10:00:00.000+00:00", 60).await, 400);
    assert_eq!(post("2026-03-02T10:00:00.000+0000", 0).await, 400);
    assert_eq!(stage.acme.jira_worklogs()[0].author, stage.acme.service_account());
}

#[tokio::test]
async fn searches_page_by_token_and_refuse_what_they_do_not_understand() {
    let stage = stage();
    let search = async |body: Value| stage.jira("POST", "/rest/api/3/search/jql", Some(body)).await;
    let first = search(json!({"jql": "project = DEV", "maxResults": 2}))
        .await
        .body;
    assert_eq!(first["issues"].as_array().unwrap().len(), 2);
    assert_eq!(
        first["issues"][0].as_object().unwrap().len(),
        1,
        "only the id by default"
    );
    let token = &first["nextPageToken"];
    let last = search(json!({"jql": "project = DEV", "maxResults": 2, "nextPageToken": token}))
        .await
        .body;
    assert_eq!(
        (last["issues"].as_array().unwrap().len(), &last["isLast"]),
        (1, &json!(true))
    );
    let linked = search(json!({"jql": "cf[10042] is not EMPTY", "fields": ["customfield_10042"]}))
        .await
        .body;
    assert_eq!(linked["issues"][0]["fields"]["customfield_10042"], "DEV-9");
    assert_eq!(search(json!({"jql": "projekt = DEV"})).await.status, 400);
    assert_eq!(search(json!({"jql": "project = NOPE"})).await.status, 400);
    assert_eq!(search(json!({"jql": ""})).await.status, 400);
    assert_eq!(
        stage.jira("GET", "/rest/api/3/search?jql=x", None).await.status,
        410
    );
    let asked = json!({"issueIds": [stage.acme.issue_id("SUP-1")], "jqls": ["project = SUP", "project = DEV", "oops = 1"]});
    let matched = stage.jira("POST", "/rest/api/3/jql/match", Some(asked)).await;
    assert_eq!(matched.status, 200);
    assert_eq!(
        matched.body["matches"][0]["matchedIssues"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        matched.body["matches"][1],
        json!({"matchedIssues": [], "errors": []})
    );
    assert_eq!(matched.body["matches"][2]["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_hidden_address_is_not_shown_and_not_searched() {
    let stage = stage();
    let find = async |query: &str| {
        let found = stage
            .jira("GET", &format!("/rest/api/3/user/search?query={query}"), None)
            .await
            .body;
        found.as_array().unwrap().len()
    };
    assert_eq!(find("ann@people").await, 1);
    assert_eq!(find("bea.baker@").await, 0);
    assert_eq!(find("Bea").await, 1);
    stage.acme.configure(|spec| spec.service.browse_users = false);
    assert_eq!(find("Bea").await, 0);
}

#[tokio::test]
async fn people_are_told_in_pages_to_whoever_names_their_accounts() {
    let stage = stage();
    // That they may not be searched for is another thing.
    stage.acme.configure(|spec| spec.service.browse_users = false);
    let page = async |rest: &str| {
        let path = format!("/rest/api/3/user/bulk?accountId={ANN}&accountId=nobody&accountId={BEA}{rest}");
        stage.jira("GET", &path, None).await.body
    };
    let names = |page: &serde_json::Value| -> Vec<String> {
        let users = page["values"].as_array().unwrap().iter();
        users
            .map(|user| user["displayName"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = page("&maxResults=1").await;
    assert_eq!((names(&first).len(), &first["isLast"]), (1, &false.into()));
    let second = page("&maxResults=1&startAt=1").await;
    assert_eq!(second["isLast"], true);
    let all = page("").await;
    assert_eq!(names(&all), [names(&first), names(&second)].concat());
}

#[tokio::test]
async fn jira_turns_strangers_away_but_tells_everybody_its_name() {
    let stage = stage();
    let ask = async |path: &str| {
        let url = format!("https://acme.atlassian.net{path}");
        crate::harness::call(stage.sim.jira_router("acme"), "GET", &url, "Basic bm86bm8=", None)
            .await
            .status
    };
    assert_eq!(ask("/rest/api/3/myself").await, 401);
    let request = http::Request::get("/rest/api/3/serverInfo")
        .body(axum::body::Body::empty())
        .unwrap();
    let reply = tower::ServiceExt::oneshot(stage.sim.jira_router("acme"), request)
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn sites_never_share_an_id() {
    let stage = stage();
    let here = stage.acme.log_time("SUP-1", hour()).unwrap();
    let there = stage.globex.log_time("SUP-1", hour()).unwrap();
    assert_ne!(here, there);
    assert_ne!(stage.acme.issue_id("SUP-1"), stage.globex.issue_id("SUP-1"));
    stage.acme.delete(here).unwrap();
    assert_ne!(
        stage.acme.log_time("SUP-1", hour()).unwrap(),
        here,
        "ids are never used again"
    );
}

#[tokio::test]
async fn twelve_thousand_worklogs_on_an_issue_are_listed_in_pages_of_five_thousand() {
    let stage = stage();
    for _ in 0..12_000 {
        stage.acme.log_time("SUP-1", hour()).unwrap();
    }
    let path = format!("/4/worklogs/issue/{}?limit=5000", stage.acme.issue_id("SUP-1"));
    let mut url = Some(path);
    let mut counts = Vec::new();
    while let Some(next) = url {
        let page = stage.tempo("GET", &next, None).await.body;
        counts.push(page["metadata"]["count"].as_u64().unwrap());
        url = page["metadata"]
            .get("next")
            .map(|next| next.as_str().unwrap().to_owned());
    }
    assert_eq!(counts, [5000, 5000, 2000]);
    let body = json!({"timeSpentSeconds": 60});
    let full = stage
        .jira(
            "POST",
            "/rest/api/3/issue/SUP-1/worklog?notifyUsers=false",
            Some(body),
        )
        .await;
    assert_eq!(full.status, 413, "only Jira minds how many there are");
}

#[tokio::test]
async fn everything_also_stands_behind_one_address_and_people_act_through_control() {
    let stage = stage();
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        let url = format!("http://127.0.0.1:8000{path}");
        crate::harness::call(stage.sim.router(), method, &url, "Bearer tempo-acme", body).await
    };
    let log = json!({"issue": "SUP-1", "author": ANN, "date": "2026-03-02", "seconds": 60, "billable": 0});
    for _ in 0..2 {
        assert_eq!(
            ask("POST", "/control/sites/acme/log", Some(log.clone()))
                .await
                .status,
            200
        );
    }
    let page = ask("GET", "/tempo/4/worklogs?limit=1", None).await.body;
    let next = page["metadata"]["next"].as_str().unwrap();
    assert!(
        next.starts_with("http://127.0.0.1:8000/tempo/4/worklogs?"),
        "{next}"
    );
    let id = stage.acme.worklogs()[0].id;
    let path = format!("/control/sites/acme/worklogs/{id}");
    assert_eq!(
        ask("POST", &format!("{path}/edit"), Some(json!({"seconds": 120})))
            .await
            .status,
        200
    );
    assert_eq!(
        ask("POST", &format!("{path}/move"), Some(json!({"issue": "DEV-1"})))
            .await
            .status,
        200
    );
    let state = ask("GET", "/control/state", None).await.body;
    let shown = &state["sites"]["acme"]["worklogs"][0];
    assert_eq!(
        (&shown["issueKey"], &shown["time_spent_secs"]),
        (&json!("DEV-1"), &json!(120))
    );
    assert_eq!(ask("POST", &format!("{path}/delete"), None).await.status, 200);
    let refused = ask("POST", &format!("{path}/delete"), None).await;
    assert_eq!(
        (refused.status, &refused.body["error"]),
        (400, &json!("there is no such worklog"))
    );
    assert_eq!(ask("GET", "/jira/acme/rest/api/3/myself", None).await.status, 401);
    assert_eq!(ask("GET", "/nothing", None).await.status, 404);
}
