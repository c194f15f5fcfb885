//! Our requests and our test doubles against the vendors' OpenAPI files.
//!
//! The files are not part of this repository. `TANDEM_SPECS` names a folder that holds them; without it the
//! tests pass and say loudly that they did nothing.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tandem_atlassian::{Call, jira, tempo};
use tandem_core::{AccountId, IssueId, JiraWorklogId, WorklogId};
use tandem_engine::ports::site::{IssueRef, Vendor};

use crate::doubles::{content, page, shown};

struct Spec(Value);

struct Specs {
    tempo: Spec,
    jira: Spec,
}

#[expect(
    clippy::print_stderr,
    reason = "a skipped test must not look like a passed one"
)]
fn specs(test: &str) -> Option<Specs> {
    let Ok(folder) = std::env::var("TANDEM_SPECS") else {
        eprintln!("SKIPPED: {test}: TANDEM_SPECS names no folder with the vendors' OpenAPI files");
        return None;
    };
    let read = |name: &str| {
        let path = std::path::Path::new(&folder).join(name);
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Spec(serde_json::from_slice(&text).unwrap())
    };
    Some(Specs {
        tempo: read("tempo-v4-worklogs-cut.json"),
        jira: read("jira-cloud-v3-cut.json"),
    })
}

impl Spec {
    fn operation(&self, call: &Call) -> Result<&Value, String> {
        let operation = &self.0["paths"][call.template][call.method.as_str().to_lowercase()];
        match operation.is_object() {
            true => Ok(operation),
            false => Err(format!("{} {} is not in the file", call.method, call.template)),
        }
    }

    /// Validates a value; `#/components/…` is resolved by taking the components along.
    fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .build(&whole)
            .map_err(|error| format!("the schema is unusable: {error}"))?;
        let problems: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.join("; ")),
        }
    }

    /// Checks path, query and body of a request.
    fn check(&self, call: &Call) -> Result<(), String> {
        let operation = self.operation(call)?;
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let named =
            |name: &str, place: &str| parameters.iter().find(|p| p["name"] == name && p["in"] == place);

        for (name, value) in &call.query {
            let parameter = named(name, "query").ok_or(format!("no query parameter `{name}`"))?;
            self.check_parameter(name, value, &parameter["schema"])?;
        }
        for (part, value) in call.template.split('/').skip(1).zip(&call.path) {
            if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                let parameter = named(name, "path").ok_or(format!("no path parameter `{name}`"))?;
                self.check_parameter(name, value, &parameter["schema"])?;
            }
        }
        for parameter in parameters
            .iter()
            .filter(|p| p["in"] == "query" && p["required"] == true)
        {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !call.query.iter().any(|(given, _)| *given == name) {
                return Err(format!("the required parameter `{name}` is missing"));
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        match (&call.body, schema.is_object()) {
            (None, false) => Ok(()),
            (None, true) => Err("a body is missing".into()),
            (Some(_), false) => Err("a body is not foreseen".into()),
            (Some(body), true) => self.validate(schema, body),
        }
    }

    fn check_parameter(&self, name: &str, value: &str, schema: &Value) -> Result<(), String> {
        let typed = match schema["type"].as_str() {
            Some("integer") => value
                .parse::<i64>()
                .map(Value::from)
                .map_err(|_| format!("{name}: not an integer"))?,
            Some("boolean") => value
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| format!("{name}: not a boolean"))?,
            // Jira takes comma-separated lists for its arrays.
            Some("array") => value.split(',').collect(),
            _ => value.into(),
        };
        self.validate(schema, &typed)
            .map_err(|problem| format!("{name}: {problem}"))
    }

    fn answer_schema<'a>(&'a self, call: &Call) -> &'a Value {
        let operation = self.operation(call).unwrap();
        &operation["responses"]["200"]["content"]["application/json"]["schema"]
    }
}

const ISSUE: IssueId = IssueId(20417);

fn tempo_calls() -> Vec<Call> {
    let now: Timestamp = "2026-03-02T09:15:20.118Z".parse().unwrap();
    let day = jiff::civil::date(2026, 3, 2);
    let mut bare = content();
    bare.start_time = None;
    bare.billable_secs = None;
    bare.attributes.clear();
    vec![
        tempo::request::list_issue(ISSUE, 0),
        tempo::request::list_changed(now, 5000),
        tempo::request::list_dates(day, None, 0),
        tempo::request::list_dates(day, Some(day), 0),
        tempo::request::worklog(WorklogId(7)),
        tempo::request::create(ISSUE, &content(), Some(0)),
        tempo::request::create(ISSUE, &bare, None),
        tempo::request::create_bulk(ISSUE, &vec![content(); 50]),
        tempo::request::update(WorklogId(7), &content(), Some(60)),
        tempo::request::update(WorklogId(7), &bare, None),
        tempo::request::delete(WorklogId(7)),
        tempo::request::jira_ids(&[WorklogId(7)]),
        tempo::request::tempo_ids(&[JiraWorklogId(7)]),
        tempo::request::papertrail_deleted(now, None),
        tempo::request::papertrail_deleted(now, Some("t")),
        tempo::request::attributes(0),
        tempo::request::global_configuration(),
        tempo::admin::list_subscriptions(),
        tempo::admin::create_subscription(
            tempo::admin::WORKLOG_EVENTS[0],
            "https://hooks.example/t",
            "Tandem",
        ),
        tempo::admin::subscription("s"),
        tempo::admin::delete_subscription("s"),
        tempo::admin::refresh_subscription("s"),
        tempo::admin::any_worklog(),
        tempo::admin::periods(day, day),
        tempo::admin::attribute_values(&[WorklogId(7)]),
    ]
}

fn jira_calls() -> Vec<Call> {
    let now = Timestamp::UNIX_EPOCH;
    let fields = ["timetracking".to_owned(), "customfield_10042".to_owned()];
    let key = IssueRef::Key("SUP-1".into());
    vec![
        jira::request::issue(&IssueRef::Id(ISSUE), &[]),
        jira::request::issue(&key, &fields),
        jira::request::issues(&[IssueRef::Id(ISSUE), key], &fields),
        jira::request::search_issues("project = SUP", &fields, None),
        jira::request::search_issues("project = SUP", &[], Some("t")),
        jira::request::match_jql("project = SUP", &[ISSUE, ISSUE]),
        jira::request::remote_links(ISSUE),
        jira::request::user(&AccountId::new("712020:a")),
        jira::request::users(&[AccountId::new("712020:a"), AccountId::new("712020:b")], 0),
        jira::request::users_by_email("ann@acme.example"),
        jira::request::myself(),
        jira::request::permissions(&["BROWSE_PROJECTS", "WORK_ON_ISSUES"], Some("SUP")),
        jira::request::permissions(&["BROWSE_PROJECTS"], None),
        jira::request::server_info(),
        jira::request::deleted(now),
        jira::request::changed(now),
        jira::admin::list_worklogs(ISSUE, 0),
        jira::admin::all_permissions(),
        jira::admin::property(ISSUE, JiraWorklogId(7), "tandem"),
        jira::admin::put_property(ISSUE, JiraWorklogId(7), "tandem", json!({"origin": 1})),
    ]
}

#[test]
fn requests_are_what_the_vendors_describe() {
    let Some(specs) = specs("requests_are_what_the_vendors_describe") else {
        return;
    };
    let mut problems = Vec::new();
    for call in tempo_calls().into_iter().chain(jira_calls()) {
        let spec = match call.vendor {
            Vendor::Tempo => &specs.tempo,
            Vendor::Jira => &specs.jira,
        };
        if let Err(problem) = spec.check(&call) {
            problems.push(format!("{call:?}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_check_itself_finds_faults() {
    let Some(specs) = specs("the_check_itself_finds_faults") else {
        return;
    };
    let mut wrong_time = tempo::request::update(WorklogId(7), &content(), None);
    wrong_time.body.as_mut().unwrap()["startTime"] = "8:30".into();
    let mut no_author = tempo::request::create(ISSUE, &content(), None);
    no_author
        .body
        .as_mut()
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("authorAccountId");
    let mut text_id = tempo::request::create(ISSUE, &content(), None);
    text_id.body.as_mut().unwrap()["issueId"] = "20417".into();
    let mut no_days = tempo::admin::periods(jiff::civil::date(2026, 1, 1), jiff::civil::date(2026, 1, 1));
    no_days.query.clear();
    let mut no_such_filter = tempo::request::list_issue(ISSUE, 0);
    no_such_filter.query.push(("since", "1".into()));
    let mut too_many = tempo::request::papertrail_deleted(Timestamp::UNIX_EPOCH, None);
    too_many.query = vec![("limit", "1001".into())];
    let bulk = tempo::request::create_bulk(ISSUE, &vec![content(); 51]);
    for call in [
        wrong_time,
        no_author,
        text_id,
        no_days,
        no_such_filter,
        too_many,
        bulk,
    ] {
        assert!(specs.tempo.check(&call).is_err(), "{call:?}");
    }
    let twice = jira::request::match_jql("a", &[]).json(json!({"issueIds": [1, 1], "jqls": ["a"]}));
    assert!(specs.jira.check(&twice).is_err());
    // Not in Jira's file: it is the older interface, the only one with worklog events for an API token.
    let webhook = jira::admin::create_webhook(
        "t",
        "https://hooks.example",
        "",
        &SecretString::from("s".to_owned()),
    );
    assert!(specs.jira.check(&webhook).is_err());
}

#[test]
fn our_doubles_answer_as_the_vendors_describe() {
    let Some(specs) = specs("our_doubles_answer_as_the_vendors_describe") else {
        return;
    };
    let schema = specs.tempo.answer_schema(&tempo::request::worklog(WorklogId(7)));
    specs
        .tempo
        .validate(schema, &shown(7, 20417, &content()))
        .unwrap();
    let schema = specs.tempo.answer_schema(&tempo::request::list_issue(ISSUE, 0));
    specs
        .tempo
        .validate(schema, &page(vec![shown(7, 20417, &content())], Some("x")))
        .unwrap();
}

/// Reads the examples that Jira's file gives for its answers.
#[test]
fn jira_examples_are_read() {
    let Some(specs) = specs("jira_examples_are_read") else {
        return;
    };
    let mut read = 0;
    for call in jira_calls() {
        let operation = specs.jira.operation(&call).unwrap();
        let Some(example) = operation["responses"]["200"]["content"]["application/json"]["example"].as_str()
        else {
            continue;
        };
        let body = example.as_bytes();
        let result = match call.template {
            "/rest/api/3/issue/{issueIdOrKey}" => jira::wire::issue(body, &[]).map(drop),
            "/rest/api/3/issue/bulkfetch" => jira::wire::issues(body, &[]).map(drop),
            "/rest/api/3/search/jql" => jira::wire::search(body, &[], None).map(drop),
            "/rest/api/3/jql/match" => jira::wire::matched(body).map(drop),
            "/rest/api/3/issue/{issueIdOrKey}/remotelink" => jira::wire::remote_links(body).map(drop),
            "/rest/api/3/user" | "/rest/api/3/myself" => jira::wire::user(body).map(drop),
            "/rest/api/3/user/bulk" => jira::wire::users(body, 0).map(|page| assert_eq!(page.rows.len(), 1)),
            "/rest/api/3/user/search" => jira::wire::users_with_email(body, "x").map(drop),
            "/rest/api/3/mypermissions" => jira::wire::permissions(body, &[]).map(drop),
            "/rest/api/3/serverInfo" => jira::wire::server_info(body).map(drop),
            "/rest/api/3/worklog/deleted" | "/rest/api/3/worklog/updated" => {
                jira::wire::feed(body, Timestamp::UNIX_EPOCH).map(drop)
            }
            "/rest/api/3/issue/{issueIdOrKey}/worklog" => jira::admin::read_worklogs(body, 0).map(drop),
            "/rest/api/3/permissions" => jira::admin::read_all_permissions(body).map(drop),
            _ => continue,
        };
        result.unwrap_or_else(|misread| panic!("{call:?}: {}", misread.0));
        read += 1;
    }
    assert!(read >= 13, "only {read} examples");
}
