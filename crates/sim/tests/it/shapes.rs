//! Every answer against the vendors' OpenAPI files, which are not in this repository.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use tandem_sim::Permission;

use crate::harness::{ANN, Reply, Stage, hour, stage_of};

/// The folder of the OpenAPI files and samples, or a loud word that there is none.
fn specs(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TANDEM_SPECS").map(PathBuf::from);
    if folder.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
        {
            eprintln!("SKIPPED: {test} needs the vendors' OpenAPI files in the folder TANDEM_SPECS");
        }
    }
    folder
}

fn read(folder: &std::path::Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// An OpenAPI file whose schemas admit nothing they don't name.
struct Api {
    file: Value,
    seen: BTreeSet<(String, String, u16)>,
}

impl Api {
    fn load(folder: &std::path::Path, name: &str) -> Self {
        let mut file = read(folder, name);
        tighten(&mut file["components"]["schemas"]);
        Self {
            file,
            seen: BTreeSet::new(),
        }
    }

    fn check(&mut self, method: &str, template: &str, reply: &Reply) {
        let what = format!("{method} {template} -> {}", reply.status);
        let operation = &self.file["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{what}: not in the file");
        let response = &operation["responses"][reply.status.to_string()];
        assert!(
            response.is_object(),
            "{what}: status not in the file; {}",
            reply.text
        );
        self.seen
            .insert((method.to_owned(), template.to_owned(), reply.status));
        if let Some(schema) = response["content"]
            .get("application/json")
            .map(|media| &media["schema"])
            && schema.as_object().is_some_and(|schema| !schema.is_empty())
        {
            self.check_schema(&what, schema.clone(), &reply.body);
        } else if reply.status == 204 {
            assert_eq!(reply.text, "", "{what}");
        }
    }

    fn check_schema(&self, what: &str, mut schema: Value, body: &Value) {
        schema["components"] = self.file["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(body)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{body:#}");
    }
}

/// Turns OpenAPI 3.0 into JSON Schema, and refuses properties that aren't named.
fn tighten(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("nullable") == Some(&json!(true))
                && let Some(Value::String(kind)) = map.get("type").cloned()
            {
                map.insert("type".into(), json!([kind, "null"]));
            }
            let open = map
                .get("additionalProperties")
                .is_none_or(|allowed| *allowed == json!(true));
            if map.get("properties").is_some_and(Value::is_object) && open {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(tighten);
        }
        Value::Array(list) => list.iter_mut().for_each(tighten),
        _ => {}
    }
}

fn full_stage() -> Stage {
    let stage = stage_of(1, |spec| {
        spec.tempo_webhooks("http://127.0.0.1:9/t", "s3cret")
            .jira_webhook("http://127.0.0.1:9/j", "s3cret")
    });
    for text in ["one", "two", ""] {
        stage
            .acme
            .log_time(
                "SUP-1",
                hour().text(text).billable(0).attribute("_Activity_", "11-22"),
            )
            .unwrap();
    }
    stage
}

#[tokio::test]
async fn tempo_answers_fit_the_openapi_file() {
    let Some(folder) = specs("tempo_answers_fit_the_openapi_file") else {
        return;
    };
    let mut api = Api::load(&folder, "tempo-v4-worklogs-cut.json");
    let stage = full_stage();
    let id = stage.acme.worklogs()[0].id;
    let jira_id = stage.acme.worklogs()[0].jira_id;
    let issue = stage.acme.issue_id("SUP-1");
    let write = json!({
        "issueId": issue, "authorAccountId": ANN, "startDate": "2026-03-02", "startTime": "10:00:00",
        "timeSpentSeconds": 60, "attributes": [{"key": "_Account_", "value": "ACME1"}],
    });
    let mut update = write.clone();
    update.as_object_mut().unwrap().remove("issueId");
    let subscription = json!({"event": "worklog.created", "url": "https://hooks.example/x", "name": "n"});
    let from = "2026-03-01T00:00:00Z";
    let calls: Vec<(&str, &str, String, Option<Value>)> = vec![
        ("GET", "/4/worklogs", "/4/worklogs?limit=2&offset=1".into(), None),
        (
            "GET",
            "/4/worklogs",
            "/4/worklogs?limit=1&orderBy=UPDATED".into(),
            None,
        ),
        ("GET", "/4/worklogs", "/4/worklogs?issueId=1".into(), None),
        (
            "POST",
            "/4/worklogs/search",
            "/4/worklogs/search".into(),
            Some(json!({"orderBy": [{"field": "UPDATED", "order": "ASC"}]})),
        ),
        (
            "GET",
            "/4/worklogs/issue/{issueId}",
            format!("/4/worklogs/issue/{issue}"),
            None,
        ),
        (
            "GET",
            "/4/worklogs/issue/{issueId}",
            "/4/worklogs/issue/1".into(),
            None,
        ),
        (
            "GET",
            "/4/worklogs/project/{projectId}",
            "/4/worklogs/project/10000".into(),
            None,
        ),
        (
            "GET",
            "/4/worklogs/user/{accountId}",
            "/4/worklogs/user/5f0a%3Aann".into(),
            None,
        ),
        ("GET", "/4/worklogs/{id}", format!("/4/worklogs/{id}"), None),
        ("GET", "/4/worklogs/{id}", "/4/worklogs/1".into(), None),
        ("POST", "/4/worklogs", "/4/worklogs".into(), Some(write.clone())),
        (
            "POST",
            "/4/worklogs",
            "/4/worklogs".into(),
            Some(json!({"issueId": issue})),
        ),
        (
            "PUT",
            "/4/worklogs/{id}",
            format!("/4/worklogs/{id}"),
            Some(update.clone()),
        ),
        (
            "POST",
            "/4/worklogs/issue/{issueId}/bulk",
            format!("/4/worklogs/issue/{issue}/bulk"),
            Some(json!([update])),
        ),
        (
            "POST",
            "/4/worklogs/issue/{issueId}/bulk",
            format!("/4/worklogs/issue/{issue}/bulk"),
            Some(json!([])),
        ),
        (
            "POST",
            "/4/worklogs/jira-to-tempo",
            "/4/worklogs/jira-to-tempo".into(),
            Some(json!({"jiraWorklogIds": [jira_id]})),
        ),
        (
            "POST",
            "/4/worklogs/tempo-to-jira",
            "/4/worklogs/tempo-to-jira".into(),
            Some(json!({"tempoWorklogIds": [id, 1]})),
        ),
        (
            "GET",
            "/4/worklogs/{id}/work-attribute-values",
            format!("/4/worklogs/{id}/work-attribute-values"),
            None,
        ),
        (
            "GET",
            "/4/worklogs/{id}/work-attribute-values/{key}",
            format!("/4/worklogs/{id}/work-attribute-values/_Account_"),
            None,
        ),
        (
            "POST",
            "/4/worklogs/work-attribute-values/search",
            "/4/worklogs/work-attribute-values/search".into(),
            Some(json!({"tempoWorklogIds": [id]})),
        ),
        (
            "POST",
            "/4/worklogs/work-attribute-values",
            "/4/worklogs/work-attribute-values".into(),
            Some(
                json!([{"tempoWorklogId": id, "attributeValues": [{"key": "_Activity_", "value": "33-44"}]}]),
            ),
        ),
        (
            "POST",
            "/4/worklogs/work-attribute-values",
            "/4/worklogs/work-attribute-values".into(),
            Some(
                json!([{"tempoWorklogId": id, "attributeValues": [{"key": "_Activity_", "value": "33-44"}]}]),
            ),
        ),
        ("GET", "/4/work-attributes", "/4/work-attributes".into(), None),
        (
            "GET",
            "/4/work-attributes/{key}",
            "/4/work-attributes/_Activity_".into(),
            None,
        ),
        (
            "GET",
            "/4/globalconfiguration",
            "/4/globalconfiguration".into(),
            None,
        ),
        (
            "GET",
            "/4/periods",
            "/4/periods?from=2026-03-02&to=2026-03-20".into(),
            None,
        ),
        (
            "GET",
            "/4/timesheet-approvals/user/{accountId}",
            format!("/4/timesheet-approvals/user/{ANN}?from=2026-03-02"),
            None,
        ),
        (
            "POST",
            "/4/webhooks/subscriptions",
            "/4/webhooks/subscriptions".into(),
            Some(subscription.clone()),
        ),
        (
            "POST",
            "/4/webhooks/subscriptions",
            "/4/webhooks/subscriptions".into(),
            Some(subscription),
        ),
        (
            "GET",
            "/4/webhooks/subscriptions",
            "/4/webhooks/subscriptions".into(),
            None,
        ),
        ("DELETE", "/4/worklogs/{id}", format!("/4/worklogs/{id}"), None),
        ("DELETE", "/4/worklogs/{id}", format!("/4/worklogs/{id}"), None),
        (
            "POST",
            "/4/papertrail/search",
            "/4/papertrail/search?limit=1".into(),
            Some(json!({"from": from})),
        ),
        (
            "GET",
            "/papertrail/1/events/deleted/types/worklog",
            format!("/papertrail/1/events/deleted/types/worklog?updatedFrom={from}"),
            None,
        ),
        (
            "GET",
            "/papertrail/1/events/deleted/types/worklog",
            "/papertrail/1/events/deleted/types/worklog?updatedFrom=2026-03-01".into(),
            None,
        ),
    ];
    for (method, template, path, body) in calls {
        let reply = stage.tempo(method, &path, body).await;
        api.check(method, template, &reply);
    }
    let listed = stage.tempo("GET", "/4/webhooks/subscriptions", None).await;
    let id = listed.body["results"][0]["id"].as_str().unwrap().to_owned();
    for (method, template) in [
        ("GET", "/4/webhooks/subscriptions/{id}"),
        ("PATCH", "/4/webhooks/subscriptions/{id}/refresh"),
        ("DELETE", "/4/webhooks/subscriptions/{id}"),
        ("GET", "/4/webhooks/subscriptions/{id}"),
    ] {
        let reply = stage.tempo(method, &template.replace("{id}", &id), None).await;
        api.check(method, template, &reply);
    }
    stage.acme.configure(|spec| spec.papertrail = false);
    let refused = stage
        .tempo("POST", "/4/papertrail/search", Some(json!({"from": from})))
        .await;
    api.check("POST", "/4/papertrail/search", &refused);
    assert_eq!(refused.status, 403);
    // Each call above is here to see one particular status.
    assert_eq!(api.seen.len(), 39, "{:#?}", api.seen);
}

#[tokio::test]
async fn jira_answers_fit_the_openapi_file() {
    let Some(folder) = specs("jira_answers_fit_the_openapi_file") else {
        return;
    };
    let mut api = Api::load(&folder, "jira-cloud-v3-cut.json");
    let stage = full_stage();
    stage.pass(120);
    let issue = stage.acme.issue_id("SUP-1");
    let shadow = stage.acme.worklogs()[0].jira_id.unwrap();
    let worklog = "/rest/api/3/issue/{issueIdOrKey}/worklog/{id}";
    let properties = "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties";
    let property = "/rest/api/3/issue/{issueIdOrKey}/worklog/{worklogId}/properties/{propertyKey}";
    let links = "/rest/api/3/issue/{issueIdOrKey}/remotelink";
    let adf = json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": "x"}]}]});
    let entry = json!({"timeSpentSeconds": 3600, "started": "2026-03-02T10:00:00.000+0000", "comment": adf});
    let link = json!({"globalId": "g", "object": {"url": "https://x.example", "title": "X"}});
    let at = |path: &str| {
        path.replace("{issueIdOrKey}", "SUP-1")
            .replace("{id}", &shadow.to_string())
            .replace("{worklogId}", &shadow.to_string())
    };
    let calls: Vec<(&str, &str, String, Option<Value>)> = vec![
        (
            "GET",
            "/rest/api/3/serverInfo",
            "/rest/api/3/serverInfo".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/configuration",
            "/rest/api/3/configuration".into(),
            None,
        ),
        ("GET", "/rest/api/3/myself", "/rest/api/3/myself".into(), None),
        (
            "GET",
            "/rest/api/3/user",
            format!("/rest/api/3/user?accountId={ANN}"),
            None,
        ),
        (
            "GET",
            "/rest/api/3/user",
            "/rest/api/3/user?accountId=nobody".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/user/bulk",
            format!("/rest/api/3/user/bulk?accountId={ANN}&accountId=x"),
            None,
        ),
        (
            "GET",
            "/rest/api/3/user/search",
            "/rest/api/3/user/search?query=ann".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/mypermissions",
            "/rest/api/3/mypermissions?permissions=BROWSE_PROJECTS,ADMINISTER&projectKey=SUP".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/mypermissions",
            "/rest/api/3/mypermissions".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/permissions",
            "/rest/api/3/permissions".into(),
            None,
        ),
        (
            "POST",
            "/rest/api/3/permissions/check",
            "/rest/api/3/permissions/check".into(),
            Some(
                json!({"globalPermissions": ["ADMINISTER"], "projectPermissions": [{"permissions": ["EDIT_ALL_WORKLOGS"], "issues": [issue], "projects": [10000]}]}),
            ),
        ),
        (
            "GET",
            "/rest/api/3/issue/{issueIdOrKey}",
            "/rest/api/3/issue/SUP-1".into(),
            None,
        ),
        (
            "GET",
            "/rest/api/3/issue/{issueIdOrKey}",
            "/rest/api/3/issue/SUP-99".into(),
            None,
        ),
        (
            "POST",
            "/rest/api/3/issue/bulkfetch",
            "/rest/api/3/issue/bulkfetch".into(),
            Some(json!({"issueIdsOrKeys": ["SUP-1", "SUP-99"], "fields": ["summary"]})),
        ),
        (
            "GET",
            "/rest/api/3/search/jql",
            "/rest/api/3/search/jql?jql=project%20%3D%20DEV&maxResults=2&fields=key,customfield_10042".into(),
            None,
        ),
        (
            "POST",
            "/rest/api/3/search/jql",
            "/rest/api/3/search/jql".into(),
            Some(json!({"jql": "key in (SUP-1)"})),
        ),
        (
            "POST",
            "/rest/api/3/search/jql",
            "/rest/api/3/search/jql".into(),
            Some(json!({"jql": "oops"})),
        ),
        (
            "POST",
            "/rest/api/3/jql/match",
            "/rest/api/3/jql/match".into(),
            Some(json!({"issueIds": [issue], "jqls": ["project = SUP", "oops = 1"]})),
        ),
        ("POST", links, at(links), Some(link.clone())),
        ("POST", links, at(links), Some(link)),
        ("GET", links, format!("{}?globalId=g", at(links)), None),
        ("DELETE", links, format!("{}?globalId=g", at(links)), None),
        (
            "GET",
            "/rest/api/3/issue/{issueIdOrKey}/worklog",
            "/rest/api/3/issue/SUP-1/worklog?expand=properties".into(),
            None,
        ),
        (
            "POST",
            "/rest/api/3/issue/{issueIdOrKey}/worklog",
            "/rest/api/3/issue/SUP-1/worklog".into(),
            Some(entry.clone()),
        ),
        (
            "POST",
            "/rest/api/3/issue/{issueIdOrKey}/worklog",
            "/rest/api/3/issue/SUP-1/worklog".into(),
            Some(json!({"timeSpentSeconds": 0})),
        ),
        ("GET", worklog, at(worklog), None),
        ("PUT", worklog, at(worklog), Some(entry)),
        ("GET", properties, at(properties), None),
        (
            "GET",
            property,
            at(property).replace("{propertyKey}", "tempo"),
            None,
        ),
        (
            "PUT",
            property,
            at(property).replace("{propertyKey}", "mine"),
            Some(json!({"a": 1})),
        ),
        (
            "PUT",
            property,
            at(property).replace("{propertyKey}", "mine"),
            Some(json!({"a": 2})),
        ),
        (
            "DELETE",
            property,
            at(property).replace("{propertyKey}", "mine"),
            None,
        ),
        (
            "POST",
            "/rest/api/3/worklog/list",
            "/rest/api/3/worklog/list?expand=properties".into(),
            Some(json!({"ids": [shadow, 1]})),
        ),
        (
            "GET",
            "/rest/api/3/worklog/updated",
            "/rest/api/3/worklog/updated?since=0&expand=properties".into(),
            None,
        ),
        ("DELETE", worklog, at(worklog), None),
        ("GET", worklog, at(worklog), None),
        (
            "GET",
            "/rest/api/3/worklog/deleted",
            "/rest/api/3/worklog/deleted?since=0".into(),
            None,
        ),
    ];
    for (method, template, path, body) in calls {
        let reply = stage.jira(method, &path, body).await;
        api.check(method, template, &reply);
    }
    let listed = stage.jira("GET", &at(links), None).await;
    let one = json!({"$ref": "#/components/schemas/RemoteIssueLink"});
    api.check_schema("a remote link", one, &listed.body[0]);
    stage.acme.set_permission(None, Permission::Browse, false);
    let hidden = stage.jira("GET", "/rest/api/3/issue/SUP-1", None).await;
    api.check("GET", "/rest/api/3/issue/{issueIdOrKey}", &hidden);
    assert_eq!(hidden.status, 404);
    assert_eq!(api.seen.len(), 37, "{:#?}", api.seen);
}

/// Returns an object's keys, those of its objects included.
fn keys(value: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, inner) in value.as_object().into_iter().flatten() {
        keys.insert(key.clone());
        keys.extend(
            self::keys(inner)
                .into_iter()
                .map(|inner| format!("{key}.{inner}")),
        );
    }
    keys
}

#[tokio::test]
async fn webhook_bodies_have_exactly_the_keys_of_the_samples() {
    let Some(folder) = specs("webhook_bodies_have_exactly_the_keys_of_the_samples") else {
        return;
    };
    let api = Api::load(&folder, "tempo-v4-worklogs-cut.json");
    let stage = full_stage();
    let [one, two, _] = stage.acme.worklogs().try_into().unwrap();
    stage
        .acme
        .edit(one.id, |content| content.time_spent_secs = 60)
        .unwrap();
    stage.acme.delete(two.id).unwrap();
    let sample = |name: &str| keys(&read(&folder, &format!("samples/{name}.json")));
    let mut checked = BTreeSet::new();
    for delivery in stage.sim.take_deliveries(stage.sim.now()) {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        let name = match delivery.event.as_str() {
            "worklog.created" if body["payload"].get("description").is_some() => {
                "tempo-webhook-worklog-created"
            }
            "worklog.updated" => "tempo-webhook-worklog-updated",
            "worklog.deleted" => "tempo-webhook-worklog-deleted",
            "worklog_created" if body["worklog"].get("comment").is_none() => {
                "jira-webhook-worklog-created-no-comment"
            }
            "worklog_created" => "derived-jira-webhook-worklog-created-by-tempo",
            "worklog_updated" => "derived-jira-webhook-worklog-updated",
            "worklog_deleted" => "derived-jira-webhook-worklog-deleted",
            _ => continue,
        };
        assert_eq!(keys(&body), sample(name), "{name}");
        if delivery.event.starts_with("worklog.") {
            let payload = json!({"$ref": "#/components/schemas/Worklog1"});
            api.check_schema(name, payload, &body["payload"]);
        }
        checked.insert(name);
    }
    assert_eq!(checked.len(), 7, "{checked:?}");
}
