//! The template says what the code says: each function has its package, the table is the code's table, schedules ask for
//! passes that there are, variables are read, alarms and dashboard know only metrics that are told of.
//!
//! What the functions may do is held against what they do in `crates/functions-test/tests/it/permissions.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};
use tandem_aws::dynamodb::schema::TABLE;
use tandem_core::Reason;
use tandem_runtime::lambda::pass::Pass;
use tandem_template::{Stack, TABLE_NAME, list, repository, secret_arn};

/// Actions that only make sense on everything, each with the reason. There is none.
const STARS: [(&str, &str); 0] = [];

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The same deployment with every parameter that switches something on.
fn with_everything() -> Stack {
    Stack::deployed(&[
        ("SiteA", "acme"),
        ("SiteB", "globex"),
        ("SiteC", "initech"),
        ("SiteD", "hooli"),
        ("RotateSiteA", "yes"),
        ("RotateSiteB", "yes"),
        ("RotateSiteC", "yes"),
        ("RotateSiteD", "yes"),
        ("Paused", "yes"),
        ("AlarmEmail", "ops@example.com"),
        ("KmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:key/0a1b"),
        ("PermissionsBoundaryArn", "arn:aws:iam::123456789012:policy/bound"),
        ("ReconcileConcurrency", "2"),
        ("StreamParallelism", "4"),
    ])
}

/// All stacks of a deployment.
fn stacks(root: &Stack) -> Vec<&Stack> {
    std::iter::once(root).chain(root.nested.values()).collect()
}

#[test]
fn every_value_in_the_templates_can_be_made() {
    for deployment in [Stack::of_two_sites(), with_everything()] {
        for stack in stacks(&deployment) {
            for (name, resource) in stack.template["Resources"].as_object().unwrap() {
                let kind = resource["Type"].as_str().unwrap();
                if stack.of_type(kind).contains(name) {
                    stack.properties(name);
                }
            }
            assert!(!stack.outputs().is_empty());
        }
    }
}

#[test]
fn what_is_measured_is_built_as_what_is_deployed() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let of = |text: &str, profile: &str| {
        let after = text.split_once(profile).unwrap().1;
        let lines = after.lines().skip(1).take_while(|line| !line.is_empty());
        lines
            .map(str::to_owned)
            .filter(|line| !line.starts_with("inherits"))
            .collect::<Vec<_>>()
    };
    let measured = of(&read("Cargo.toml"), "[profile.deploy]");
    assert_eq!(measured.len(), 3);
    assert_eq!(
        measured,
        of(&read("functions/.cargo/config.toml"), "[profile.release]")
    );
    // cargo-lambda would set it otherwise, and nothing in functions/.cargo would count.
    let release = of(&read("Cargo.toml"), "[profile.release]");
    for said in ["lto", "panic", "strip"] {
        assert!(release.iter().any(|line| line.starts_with(said)), "{said}");
    }
}

#[test]
fn each_function_has_a_package_that_makes_its_bootstrap() {
    let stack = Stack::of_two_sites();
    let functions = stack.functions();
    let folders: BTreeSet<String> = std::fs::read_dir(repository().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(folders, functions.keys().cloned().collect());
    for (name, properties) in &functions {
        assert_eq!(properties["Runtime"], "provided.al2023", "{name}");
        assert_eq!(properties["Handler"], "bootstrap", "{name}");
        assert_eq!(properties["Architectures"], json!(["arm64"]), "{name}");
        assert_eq!(properties["FunctionName"], json!(format!("tandem-{name}")));
    }
    for name in stack.of_type("AWS::Serverless::Function") {
        let metadata = &stack.template["Resources"][&name]["Metadata"];
        assert_eq!(metadata["BuildMethod"], "rust-cargolambda", "{name}");
        // SAM takes the package's only binary; a second one would leave it guessing.
        assert!(metadata.get("BuildProperties").is_none(), "{name}");
    }
    for folder in &folders {
        let manifest = read(&format!("functions/{folder}/Cargo.toml"));
        assert!(manifest.contains(&format!("name = \"{folder}\"")), "{folder}");
        assert!(
            !manifest.contains("[[bin]]") && !manifest.contains("[lib]"),
            "{folder}"
        );
        assert!(
            repository()
                .join(format!("functions/{folder}/src/main.rs"))
                .is_file()
        );
        assert!(!repository().join(format!("functions/{folder}/src/bin")).exists());
    }
    let arm = Stack::deployed(&[("SiteA", "a"), ("SiteB", "b"), ("Architecture", "x86_64")]);
    assert_eq!(arm.functions()["worker"]["Architectures"], json!(["x86_64"]));
}

#[test]
fn the_table_is_the_codes_table_and_outlives_its_stack() {
    let root = Stack::of_two_sites();
    let stack = &root.nested["Stateful"];
    let names = stack.of_type("AWS::DynamoDB::Table");
    assert_eq!(names, ["Table"]);
    let table = stack.properties("Table");
    let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    let attributes: BTreeMap<&str, &str> = table["AttributeDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["AttributeName"].as_str().unwrap(),
                one["AttributeType"].as_str().unwrap(),
            )
        })
        .collect();
    let keys = [
        TABLE.partition_key,
        TABLE.sort_key,
        TABLE.index_partition_key,
        TABLE.index_sort_key,
    ];
    assert_eq!(attributes, keys.map(|name| (name, "S")).into());
    assert_eq!(table["KeySchema"], key(TABLE.partition_key, TABLE.sort_key));
    assert_eq!(
        table["GlobalSecondaryIndexes"],
        json!([{
            "IndexName": TABLE.index,
            "KeySchema": key(TABLE.index_partition_key, TABLE.index_sort_key),
            "Projection": {"ProjectionType": "ALL"},
        }])
    );
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({"AttributeName": TABLE.ttl, "Enabled": true})
    );
    assert_eq!(
        table["StreamSpecification"],
        json!({"StreamViewType": TABLE.stream_view.unwrap()})
    );
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(
        table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        true
    );
    assert!(table.get("SSESpecification").is_none());
    let keyed = with_everything();
    let encryption = &keyed.nested["Stateful"].properties("Table")["SSESpecification"];
    assert_eq!(
        encryption["KMSMasterKeyId"],
        "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
    );

    let resource = &stack.template["Resources"]["Table"];
    assert_eq!(resource["DeletionPolicy"], "Retain");
    assert_eq!(resource["UpdateReplacePolicy"], "Retain");
}

/// Its name can't be taken twice, so an empty one that a failed first deployment left would be in the way of the next.
#[test]
fn a_secret_outlives_its_stack_but_not_the_attempt_that_made_it() {
    let root = with_everything();
    let stack = &root.nested["Stateful"];
    let secrets = stack.of_type("AWS::SecretsManager::Secret");
    assert_eq!(secrets.len(), 4);
    for name in secrets {
        let resource = &stack.template["Resources"][&name];
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn the_worker_is_woken_by_hints_alone_and_gives_up_in_bounds() {
    let stack = Stack::of_two_sites();
    let mapping = stack.properties("StreamToWorker");
    let filters = mapping["FilterCriteria"]["Filters"].as_array().unwrap();
    assert_eq!(filters.len(), 1);
    let pattern: Value = serde_json::from_str(filters[0]["Pattern"].as_str().unwrap()).unwrap();
    let expected = json!({"dynamodb": {"NewImage": {TABLE.wake: {"S": [{"exists": true}]}}}});
    assert_eq!(pattern, expected);
    assert_eq!(
        mapping["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    assert_eq!(mapping["StartingPosition"], "TRIM_HORIZON");
    // What is told of it counts the first attempt, too.
    assert_eq!(mapping["MaximumRetryAttempts"], 3);
    for (page, words) in [
        ("stream-failures", "A batch failed four times"),
        ("stream-behind", "given up after four attempts"),
    ] {
        let text = read(&format!("docs/runbooks/{page}.md"));
        assert!(text.contains(words), "{page} does not say: {words}");
    }
    // The stream keeps a record for a day; a paused stack's are not failures.
    assert_eq!(mapping["MaximumRecordAgeInSeconds"], 86_400);
    assert!(mapping["DestinationConfig"]["OnFailure"]["Destination"].is_string());
    assert_eq!(mapping["Enabled"], true);
    // A new account has ten concurrent executions for everything.
    assert_eq!(mapping["ParallelizationFactor"], 1);
    let more = with_everything().properties("StreamToWorker");
    assert_eq!(
        (&more["Enabled"], &more["ParallelizationFactor"]),
        (&json!(false), &json!("4"))
    );
}

#[test]
fn each_schedule_asks_for_a_pass_that_there_is() {
    let stack = Stack::of_two_sites();
    let mut passes = BTreeMap::new();
    for name in stack.of_type("AWS::Scheduler::Schedule") {
        let schedule = stack.properties(&name);
        let target = &schedule["Target"];
        let input: BTreeMap<String, Value> = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
        assert_eq!(Vec::from_iter(input.keys()), ["pass"]);
        let pass: Pass = serde_json::from_value(input["pass"].clone()).unwrap();
        let named = json!(pass).as_str().map(|pass| json!(format!("tandem-{pass}")));
        assert_eq!(
            Some(&schedule["Name"]),
            named.as_ref(),
            "a schedule is named after its stack and its pass"
        );
        assert_eq!(
            target["Arn"],
            stack.properties("ReconcileRetries")["FunctionName"]
                .as_str()
                .map_or(Value::Null, |name| json!(format!(
                    "arn:aws:serverless:eu-central-1:123456789012:{name}"
                )))
        );
        assert!(target["RetryPolicy"]["MaximumRetryAttempts"].as_i64().unwrap() <= 3);
        assert!(
            target["RetryPolicy"]["MaximumEventAgeInSeconds"]
                .as_i64()
                .unwrap()
                <= 3600
        );
        assert!(target["DeadLetterConfig"]["Arn"].is_string());
        assert_eq!(schedule["State"], "ENABLED");
        assert_eq!(with_everything().properties(&name)["State"], "DISABLED");
        passes.insert(
            format!("{pass:?}"),
            schedule["ScheduleExpression"].as_str().unwrap().to_owned(),
        );
    }
    let expected = [
        ("Due", "rate(1 minute)"),
        ("Sweep", "rate(5 minutes)"),
        ("Audit", "cron(17 4 * * ? *)"),
    ];
    assert_eq!(
        passes,
        expected
            .map(|(pass, when)| (pass.to_owned(), when.to_owned()))
            .into()
    );
}

/// What AWS wants once in an account and region. Of a schedule that is its name by itself: CloudFormation knows it by
/// nothing else, whichever group it is in.
#[test]
fn a_second_deployment_in_the_account_takes_no_name_of_the_first() {
    const NAMES: [&str; 10] = [
        "AlarmName",
        "DashboardName",
        "FunctionName",
        "LogGroupName",
        "ManagedPolicyName",
        "Name",
        "QueueName",
        "RoleName",
        "TableName",
        "TopicName",
    ];
    let root = Stack::of_two_sites();
    let mut seen = 0;
    for stack in stacks(&root) {
        for (resource, cut) in stack.template["Resources"].as_object().unwrap() {
            for name in NAMES {
                let Some(given) = cut["Properties"].get(name) else {
                    continue;
                };
                // A reference to another resource, whose own name is looked at where it is made.
                if given.get("Ref").is_some() {
                    continue;
                }
                let text = given["Fn::Sub"].as_str().unwrap_or_default();
                let own = ["${AWS::StackName}", "${StackName}", "${SecretPrefix}"];
                assert!(
                    own.iter().any(|own| text.contains(own)),
                    "{resource}: {name} is {given}, in each deployment"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} names were found");
}

/// A clock that is put forward leaves an hour out, in most zones between midnight and three, and the Scheduler leaves out
/// what lies in it: that would be two days without an audit, and `audit-age` rings after one and a half.
#[test]
fn the_audits_time_is_on_every_clock_every_day() {
    let stack = Stack::of_two_sites();
    let schedule = stack.properties("NightlySchedule");
    let when = schedule["ScheduleExpression"].as_str().unwrap();
    let fields = when.strip_prefix("cron(").unwrap().split(' ').collect::<Vec<_>>();
    let hour: u8 = fields[1].parse().unwrap();
    assert!(hour > 3, "{when}");
    let said = &stack.template["Parameters"]["AuditSchedule"]["Description"];
    assert!(
        said.as_str().unwrap().contains("between midnight and 3 o'clock"),
        "{said}"
    );
}

#[test]
fn each_route_is_one_that_the_router_has() {
    let stack = Stack::of_two_sites();
    let routes: BTreeSet<String> = stack
        .of_type("AWS::ApiGatewayV2::Route")
        .iter()
        .map(|name| stack.properties(name)["RouteKey"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "POST /hooks/jira/{site}",
        "POST /hooks/tempo/{site}",
        "GET /hooks/tempo/{site}",
        "GET /healthz",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());
    let router = read("crates/runtime/src/router.rs");
    for route in routes {
        let path = route.split_once(' ').unwrap().1;
        assert!(router.contains(&format!(".route(\"{path}\"")), "{path}");
    }
}

#[test]
fn the_access_log_holds_nothing_of_what_was_sent() {
    let stack = Stack::of_two_sites();
    let stage = stack.properties("ApiStage");
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    let fields: BTreeMap<String, String> = serde_json::from_str(format).unwrap();
    let shown: BTreeSet<&str> = fields.values().map(String::as_str).collect();
    // `path` is without the query: the handshake's value is in that.
    let allowed = [
        "$context.requestId",
        "$context.requestTime",
        "$context.httpMethod",
        "$context.routeKey",
        "$context.path",
        "$context.status",
        "$context.responseLength",
        "$context.responseLatency",
        "$context.integration.status",
        "$context.integrationLatency",
        "$context.error.message",
        "$context.integrationErrorMessage",
    ];
    assert_eq!(shown, allowed.into());
    assert!(
        stage["DefaultRouteSettings"]["ThrottlingRateLimit"]
            .as_f64()
            .unwrap()
            >= 1.0
    );
    assert!(
        stage["DefaultRouteSettings"]["ThrottlingBurstLimit"]
            .as_i64()
            .unwrap()
            >= 1
    );
}

#[test]
fn each_variable_is_one_that_the_functions_read() {
    let sources = [
        "crates/runtime/src/lambda.rs",
        "crates/runtime/src/lambda/people.rs",
        "crates/runtime/src/config/mod.rs",
    ];
    let mut read_by_code = BTreeSet::new();
    for source in sources {
        let text = read(source);
        for after in text.split("\"TANDEM_").skip(1) {
            let name = after.split_once('"').unwrap().0;
            if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                read_by_code.insert(format!("TANDEM_{name}"));
            }
        }
    }
    let stack = Stack::of_two_sites();
    for (function, properties) in stack.functions() {
        let variables = properties["Environment"]["Variables"]
            .as_object()
            .unwrap()
            .clone();
        assert_eq!(variables["TANDEM_TABLE"], TABLE_NAME, "{function}");
        for name in variables.keys() {
            assert!(read_by_code.contains(name), "nobody reads {name}");
            // It lets a configuration name addresses of the machine itself: for tests alone.
            assert_ne!(name, "TANDEM_ALLOW_LOOPBACK");
        }
    }
}

#[test]
fn alerts_go_to_the_topic_of_the_alarms_and_one_function_alone_may_publish() {
    for stack in [Stack::of_two_sites(), with_everything()] {
        let topic = stack.outputs()["AlarmTopic"].clone();
        for (function, properties) in stack.functions() {
            let named = properties["Environment"]["Variables"].get("TANDEM_ALERTS_TOPIC");
            let allowed = stack.allowed(&function);
            let publishes = allowed.iter().filter(|one| one.action == "sns:Publish");
            let publishes: Vec<&str> = publishes.map(|one| one.resource.as_str()).collect();
            if function == "reconcile" {
                assert_eq!(named, Some(&topic));
                assert_eq!(publishes, [topic.as_str().unwrap()]);
            } else {
                assert!(named.is_none() && publishes.is_empty(), "{function}");
            }
        }
    }
}

#[test]
fn secrets_are_made_empty_and_one_for_each_site() {
    for (deployment, sites) in [
        (Stack::of_two_sites(), vec!["acme", "globex"]),
        (with_everything(), vec!["acme", "globex", "initech", "hooli"]),
    ] {
        let stack = &deployment.nested["Stateful"];
        let mut names = BTreeSet::new();
        for name in stack.of_type("AWS::SecretsManager::Secret") {
            let secret = stack.properties(&name);
            assert!(secret.get("SecretString").is_none() && secret.get("GenerateSecretString").is_none());
            names.insert(secret["Name"].as_str().unwrap().to_owned());
        }
        let expected: BTreeSet<String> = sites.iter().map(|site| format!("tandem/{site}")).collect();
        assert_eq!(names, expected);
        let outputs = deployment.outputs();
        for (letter, site) in ["A", "B", "C", "D"].iter().zip(&sites) {
            let url = |vendor| {
                json!(format!(
                    "https://Api.execute-api.eu-central-1.amazonaws.com/hooks/{vendor}/{site}"
                ))
            };
            assert_eq!(outputs[&format!("JiraWebhookSite{letter}")], url("jira"));
            assert_eq!(outputs[&format!("TempoWebhookSite{letter}")], url("tempo"));
            assert_eq!(
                outputs[&format!("SecretSite{letter}")],
                json!(format!("tandem/{site}"))
            );
        }
        assert_eq!(outputs["Table"], TABLE_NAME);
        for function in deployment.functions().keys() {
            let readable: BTreeSet<String> = deployment
                .allowed(function)
                .into_iter()
                .filter(|one| one.action == "secretsmanager:GetSecretValue")
                .map(|one| one.resource)
                .collect();
            let all: BTreeSet<String> = expected.iter().map(|name| secret_arn(name)).collect();
            assert_eq!(readable, all, "{function}");
        }
    }
    let rotated = with_everything();
    assert_eq!(rotated.of_type("AWS::SecretsManager::RotationSchedule").len(), 4);
    assert_eq!(
        Stack::of_two_sites().of_type("AWS::SecretsManager::RotationSchedule"),
        Vec::<String>::new()
    );
}

// What rests while nothing is meant to run has to turn to ring once it is.
#[test]
fn silence_alarms_unless_the_stack_is_paused() {
    let silence = |stack: &Stack| {
        let watching = &stack.nested["Observability"];
        watching.properties("SweepAgeAlarm")["TreatMissingData"].clone()
    };
    assert_eq!(silence(&Stack::of_two_sites()), "breaching");
    assert_eq!(silence(&with_everything()), "notBreaching");
}

#[test]
fn the_schedules_may_start_the_passes_and_leave_what_failed_and_nothing_else() {
    let stack = Stack::of_two_sites();
    let role = stack.properties("SchedulesRole");
    let trust = role["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap();
    assert_eq!(trust.len(), 1);
    assert_eq!(
        trust[0]["Principal"],
        json!({"Service": "scheduler.amazonaws.com"})
    );
    // Nobody else's schedules may take the role.
    assert!(trust[0]["Condition"]["StringEquals"]["aws:SourceArn"].is_string());
    let policies = role["Policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1);
    let statements = policies[0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let allowed: BTreeMap<&str, &Value> = statements
        .iter()
        .map(|one| (one["Action"].as_str().unwrap(), &one["Resource"]))
        .collect();
    assert_eq!(
        Vec::from_iter(allowed.keys().copied()),
        ["lambda:InvokeFunction", "sqs:SendMessage"]
    );
    for name in stack.of_type("AWS::Scheduler::Schedule") {
        let target = &stack.properties(&name)["Target"];
        assert_eq!(&target["Arn"], allowed["lambda:InvokeFunction"], "{name}");
        assert_eq!(
            &target["DeadLetterConfig"]["Arn"], allowed["sqs:SendMessage"],
            "{name}"
        );
    }
}

#[test]
fn no_role_reaches_further_than_what_it_names() {
    for deployment in [Stack::of_two_sites(), with_everything()] {
        let mut roles = BTreeSet::new();
        for (function, properties) in deployment.functions() {
            assert!(
                roles.insert(properties["Role"].to_string()),
                "{function} shares its role"
            );
            for allowed in deployment.allowed(&function) {
                let reasoned = STARS.iter().any(|(action, _)| *action == allowed.action);
                let text = format!("{} on {}", allowed.action, allowed.resource);
                assert!(reasoned || !text.contains('*'), "{function}: {text}");
            }
        }
        for name in deployment.of_type("AWS::IAM::Role") {
            let role = deployment.properties(&name);
            let bound = role.get("PermissionsBoundary").is_some();
            assert_eq!(
                bound,
                !deployment.of_type("AWS::IAM::ManagedPolicy").is_empty(),
                "{name}"
            );
            for policy in list(&role["Policies"]) {
                assert!(!policy.to_string().contains('*'), "{name}: {policy}");
            }
        }
    }
}

#[test]
fn each_function_writes_to_a_log_group_that_forgets() {
    let stack = Stack::of_two_sites();
    for (function, properties) in stack.functions() {
        let group = properties["LoggingConfig"]["LogGroup"].as_str().unwrap();
        let group = stack.properties(group);
        assert_eq!(
            group["LogGroupName"],
            json!(format!("/aws/lambda/tandem-{function}"))
        );
        assert_eq!(group["RetentionInDays"], 30);
        assert_eq!(properties["LoggingConfig"]["LogFormat"], "JSON");
        let seconds = properties["Timeout"].as_i64().unwrap();
        let expected = match function.as_str() {
            "webhook" => 5..=29,
            "worker" => 120..=900,
            "reconcile" => 900..=900,
            _ => 1..=900,
        };
        assert!(expected.contains(&seconds), "{function}: {seconds} s");
        assert!(
            properties.get("ReservedConcurrentExecutions").is_none(),
            "{function}"
        );
    }
    assert_eq!(
        stack.of_type("AWS::Logs::LogGroup").len(),
        1 + stack.functions().len()
    );
}

/// The metrics of `infra/metrics.md`, with their dimensions beside `service`.
fn metrics() -> BTreeMap<String, Vec<String>> {
    let text = read("infra/metrics.md");
    let code = |cell: &str| cell.trim().split('`').nth(1).map(str::to_owned);
    // What follows a name and a colon are its values.
    let names = |cell: &str| {
        cell.split(':')
            .next()
            .unwrap_or_default()
            .split(',')
            .filter_map(code)
            .collect()
    };
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (code(cells[1]).unwrap(), names(cells[3]))
        })
        .collect()
}

/// Every metric of ours that is named anywhere in a value, with the names of its dimensions.
fn ours(value: &Value, found: &mut Vec<(String, BTreeMap<String, String>)>) {
    match value {
        Value::Object(entries) => {
            if entries.get("Namespace") == Some(&json!("Tandem")) {
                let dimensions = list(&value["Dimensions"]).into_iter().map(|one| {
                    let text = |name: &str| one[name].as_str().unwrap().to_owned();
                    (text("Name"), text("Value"))
                });
                found.push((
                    value["MetricName"].as_str().unwrap().to_owned(),
                    dimensions.collect(),
                ));
            }
            entries.values().for_each(|value| ours(value, found));
        }
        Value::Array(items) => {
            if items.first() == Some(&json!("Tandem")) {
                let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                let dimensions = texts[2..]
                    .chunks(2)
                    .map(|pair| (pair[0].to_owned(), pair[1].to_owned()));
                found.push((texts[1].to_owned(), dimensions.collect()));
            }
            items.iter().for_each(|value| ours(value, found));
        }
        Value::String(text) if text.starts_with("SEARCH('{Tandem,") => {
            let (names, rest) = text["SEARCH('{Tandem,".len()..].split_once('}').unwrap();
            let quoted = |after: &str| {
                rest.split_once(after)
                    .unwrap()
                    .1
                    .split('"')
                    .nth(1)
                    .unwrap()
                    .to_owned()
            };
            let mut dimensions: BTreeMap<String, String> = names
                .split(',')
                .map(|name| (name.to_owned(), String::new()))
                .collect();
            dimensions.insert("service".to_owned(), quoted("service="));
            found.push((quoted("MetricName="), dimensions));
        }
        _ => {}
    }
}

#[test]
fn alarms_and_dashboard_read_metrics_as_they_are_told() {
    let metrics = metrics();
    assert_eq!(metrics.len(), 17, "{metrics:?}");
    let root = Stack::of_two_sites();
    let stack = &root.nested["Observability"];
    let mut found = Vec::new();
    for name in stack.of_type("AWS::CloudWatch::Alarm") {
        ours(&stack.properties(&name), &mut found);
    }
    let of_alarms = found.len();
    assert!(of_alarms >= 10, "{found:?}");
    let dashboard = stack.properties("Dashboard");
    let dashboard: Value = serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
    ours(&dashboard, &mut found);
    let shown: BTreeSet<&String> = found[of_alarms..].iter().map(|(name, _)| name).collect();
    assert_eq!(shown, metrics.keys().collect(), "the dashboard shows each metric");
    for (name, dimensions) in &found {
        let told = metrics.get(name).unwrap_or_else(|| panic!("nobody tells {name}"));
        assert_eq!(dimensions["service"], TABLE_NAME, "{name}");
        let named: Vec<&String> = dimensions.keys().filter(|one| *one != "service").collect();
        // It is told for all of them together, or for each.
        assert!(
            named.is_empty() || named == told.iter().collect::<Vec<_>>(),
            "{name}: {named:?}"
        );
        if let Some(reason) = dimensions.get("reason").filter(|reason| !reason.is_empty()) {
            let known: Result<Reason, _> = serde_json::from_value(json!(reason));
            assert!(known.is_ok(), "there is no reason {reason}");
        }
    }
    // Is it in sync?
    let first: Vec<&Value> = dashboard["widgets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|widget| widget["y"] == 0)
        .collect();
    let mut in_sync = Vec::new();
    first.iter().for_each(|widget| ours(widget, &mut in_sync));
    let in_sync: BTreeSet<&str> = in_sync.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "LagSeconds",
        "Waiting",
        "HeldDeletes",
        "Failing",
        "PausedSites",
        "SweepAgeSeconds",
        "AuditAgeSeconds",
        "DriftFound",
        "DriftRepaired",
    ];
    assert_eq!(in_sync, expected.into());
    let width: i64 = first.iter().map(|widget| widget["width"].as_i64().unwrap()).sum();
    assert_eq!(width, 24);
}

/// DynamoDB counts what an index turns away apart from its table.
#[test]
fn what_the_table_and_its_index_turn_away_is_watched_and_shown() {
    let root = Stack::of_two_sites();
    let stack = &root.nested["Observability"];
    let alarms: Vec<Value> = stack
        .of_type("AWS::CloudWatch::Alarm")
        .iter()
        .map(|name| stack.properties(name))
        .filter(|alarm| alarm["Namespace"] == "AWS/DynamoDB")
        .collect();
    let dashboard = stack.properties("Dashboard");
    let dashboard = dashboard["DashboardBody"].as_str().unwrap();
    let table = [("TableName", TABLE_NAME)];
    let index = [
        ("TableName", TABLE_NAME),
        ("GlobalSecondaryIndexName", TABLE.index),
    ];
    for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
        for place in [&table[..], &index[..]] {
            let dimensions: Vec<Value> = place
                .iter()
                .map(|(name, value)| json!({"Name": name, "Value": value}))
                .collect();
            let watch = alarms
                .iter()
                .filter(|alarm| alarm["MetricName"] == metric && alarm["Dimensions"] == json!(dimensions));
            assert_eq!(watch.count(), 1, "{metric} of {place:?}");
            let named: Vec<String> = place
                .iter()
                .map(|(name, value)| format!("\"{name}\", \"{value}\", "))
                .collect();
            let shown = format!("[\"AWS/DynamoDB\", \"{metric}\", {}{{", named.concat());
            assert!(dashboard.contains(&shown), "the dashboard does not show {shown}");
        }
    }
    assert_eq!(alarms.len(), 4);
}

/// Nothing but the access log tells what was turned away from what was refused.
#[test]
fn webhooks_that_the_endpoint_turns_away_are_counted_and_watched() {
    let root = Stack::of_two_sites();
    let stage = root.properties("ApiStage");
    let fields: BTreeMap<String, String> =
        serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().unwrap()).unwrap();
    assert_eq!(fields["status"], "$context.status");
    let stack = &root.nested["Observability"];
    let filter = stack.properties("EndpointThrottled");
    // All of the log's values are texts.
    assert_eq!(filter["FilterPattern"], "{ $.status = \"429\" }");
    let inside = root.properties("Observability");
    assert_eq!(filter["LogGroupName"], inside["Parameters"]["ApiLogName"]);
    assert_eq!(
        stage["AccessLogSettings"]["DestinationArn"],
        root.resolve(&json!({"Fn::GetAtt": "ApiLog.Arn"})).unwrap()
    );
    let made = list(&filter["MetricTransformations"]);
    assert_eq!(made.len(), 1);
    let (namespace, name) = (&made[0]["MetricNamespace"], &made[0]["MetricName"]);
    assert_eq!(
        namespace, "Tandem/tandem",
        "another deployment's are not counted with them"
    );
    let alarm = stack.properties("EndpointThrottledAlarm");
    assert_eq!((&alarm["Namespace"], &alarm["MetricName"]), (namespace, name));
    let dashboard = stack.properties("Dashboard");
    let shown = format!("[{namespace}, {name}, {{");
    assert!(
        dashboard["DashboardBody"].as_str().unwrap().contains(&shown),
        "the dashboard does not show {shown}"
    );
}

#[test]
fn each_alarm_has_its_page_and_each_page_its_alarm() {
    let root = Stack::of_two_sites();
    let stack = &root.nested["Observability"];
    let mut pages = BTreeSet::new();
    let mut names = BTreeSet::new();
    for name in stack.of_type("AWS::CloudWatch::Alarm") {
        let alarm = stack.properties(&name);
        let own = alarm["AlarmName"]
            .as_str()
            .unwrap()
            .strip_prefix("tandem-")
            .unwrap()
            .to_owned();
        let description = alarm["AlarmDescription"].as_str().unwrap();
        let page = description.rsplit_once(" docs/runbooks/").unwrap().1.to_owned();
        let title = read(&format!("docs/runbooks/{page}"))
            .lines()
            .next()
            .unwrap()
            .to_owned();
        let told_of = title.trim_start_matches("# ").split_once(": ").unwrap().0;
        assert!(
            told_of.split(", ").any(|name| name == own),
            "{page} is not about {own}"
        );
        assert_eq!(alarm["AlarmActions"], alarm["OKActions"]);
        assert_eq!(list(&alarm["AlarmActions"]).len(), 1);
        pages.insert(page);
        names.insert(own);
    }
    let there: BTreeSet<String> = std::fs::read_dir(repository().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, pages);
    for page in &there {
        let text = read(&format!("docs/runbooks/{page}"));
        for part in ["**Means.**", "**Look here", "**Do"] {
            assert!(text.contains(part), "{page} has no {part}");
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let target = link.0;
            assert!(
                Path::new(target).extension().is_some() && there.contains(target),
                "{page}: {target}"
            );
        }
    }
    // The dashboard shows all of them.
    let dashboard = stack.properties("Dashboard")["DashboardBody"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown: BTreeSet<String> = dashboard
        .split(":alarm:tandem-")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.to_owned())
        .collect();
    assert_eq!(shown, names);
}

#[test]
fn each_control_that_security_md_tells_of_is_in_the_templates() {
    let root = Stack::of_two_sites();
    let known: BTreeSet<&String> = stacks(&root)
        .into_iter()
        .flat_map(|stack| ["Resources", "Parameters"].map(|part| &stack.template[part]))
        .flat_map(|part| part.as_object().unwrap().keys())
        .collect();
    let page = read("SECURITY.md");
    let (_, table) = page.split_once("| control | resource |").unwrap();
    let mut told = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let resources = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = resources.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(known.contains(&name.to_owned()), "{name} is nowhere: {row}");
            told += 1;
        }
    }
    assert!(told > 10, "the table was not found: {told}");
}

#[test]
fn what_a_deployment_is_configured_with_holds_no_secret() {
    let config = read("samconfig.toml");
    let stack = Stack::of_two_sites();
    let parameters = stack.template["Parameters"].as_object().unwrap();
    for line in config.lines().filter(|line| !line.starts_with('#')) {
        // `sam deploy --guided` keeps the template's parameters there; none of them is a secret, as is seen below.
        if let Some((_, given)) = line.split_once("parameter_overrides = ") {
            for name in given
                .split('=')
                .rev()
                .skip(1)
                .filter_map(|part| part.split([' ', '"']).next_back())
            {
                assert!(parameters.contains_key(name), "{name} is no parameter: {line}");
            }
            continue;
        }
        let line = line.to_lowercase();
        for word in ["token", "password", "secret", "parameter_overrides"] {
            assert!(!line.contains(word), "{line}");
        }
    }
    for (name, parameter) in parameters {
        assert!(parameter["Description"].is_string(), "{name}");
        assert!(
            parameter.get("NoEcho").is_none(),
            "{name}: a secret has no business in a parameter"
        );
    }
}

/// CloudFormation itself refuses what is missing or does not fit its pattern, and shows the words beside it.
#[test]
fn what_cannot_be_deployed_is_refused_before_anything_is_made() {
    let stack = Stack::of_two_sites();
    for (name, parameter) in stack.template["Parameters"].as_object().unwrap() {
        let needed = parameter.get("Default").is_none();
        assert_eq!(needed, ["SiteA", "SiteB"].contains(&name.as_str()), "{name}");
        if parameter.get("AllowedPattern").is_some() {
            let words = parameter["ConstraintDescription"].as_str().unwrap_or_default();
            assert!(words.contains(name), "{name}: {words:?} does not name it");
        }
    }
    let pattern = |name: &str| {
        let pattern = stack.template["Parameters"][name]["AllowedPattern"].as_str();
        Regex::new(pattern.unwrap_or_else(|| panic!("{name} takes everything"))).unwrap()
    };
    for (name, parameter) in stack.template["Parameters"].as_object().unwrap() {
        if parameter.get("AllowedPattern").is_some()
            && let Some(default) = parameter["Default"].as_str()
        {
            assert!(pattern(name).is_match(default), "{name}: {default:?}");
        }
    }
    let texts: [(&str, &[&str], &[&str]); 3] = [
        (
            "AuditSchedule",
            &[
                "rate(1 day)",
                "rate(12 hours)",
                "cron(0 3 ? * MON-FRI *)",
                "cron(0/30 1,13 * * ? 2027)",
            ],
            &[
                "",
                "17 2 * * *",
                "cron(17 2 * * *)",
                "cron(17 2 * * ? * *)",
                "rate(daily)",
                "rate(1 week)",
                "at(2027-01-01T02:17:00)",
            ],
        ),
        (
            "AuditTimezone",
            &[
                "UTC",
                "Europe/Berlin",
                "America/Argentina/Buenos_Aires",
                "Etc/GMT+5",
            ],
            &["", "+01:00", "Europe/", "Europe/Berlin ", "Central European Time"],
        ),
        (
            "KmsKeyArn",
            &[
                "",
                "arn:aws:kms:eu-central-1:123456789012:key/0a1b-2c",
                "arn:aws:kms:us-east-1:123456789012:key/mrk-0a1b",
            ],
            &[
                "alias/tandem",
                "arn:aws:kms:eu-central-1:123456789012:alias/tandem",
                "arn:aws-cn:kms:cn-north-1:123456789012:key/0a1b",
            ],
        ),
    ];
    for (name, fits, does_not) in texts {
        for (texts, taken) in [(fits, true), (does_not, false)] {
            for text in texts {
                assert_eq!(pattern(name).is_match(text), taken, "{name}: {text:?}");
            }
        }
    }
    let refused = |more: &[(&str, &str)]| {
        let mut given = vec![("SiteA", "acme")];
        if more.iter().all(|(name, _)| *name != "SiteB") {
            given.push(("SiteB", "globex"));
        }
        Stack::deployed(&[&given, more].concat()).refusals()
    };
    assert_eq!(refused(&[]), [""; 0]);
    assert_eq!(
        refused(&[("SiteC", "initech"), ("SiteD", "hooli"), ("RotateSiteC", "yes")]),
        [""; 0]
    );
    for (given, told) in [
        (vec![("SiteB", "acme")], "SiteA and SiteB have the same name"),
        (vec![("SiteC", "globex")], "SiteC has the name of SiteA or SiteB"),
        (vec![("SiteD", "acme")], "SiteD has the name of SiteA or SiteB"),
        (
            vec![("SiteC", "x"), ("SiteD", "x")],
            "SiteC and SiteD have the same name",
        ),
        (
            vec![("RotateSiteC", "yes")],
            "RotateSiteC is yes, but SiteC is empty",
        ),
        (
            vec![("RotateSiteD", "yes")],
            "RotateSiteD is yes, but SiteD is empty",
        ),
    ] {
        let refusals = refused(&given);
        assert_eq!(refusals.len(), 1, "{given:?}: {refusals:?}");
        assert!(refusals[0].starts_with(told), "{refusals:?}");
    }
}
