//! What the functions may do on AWS, held against what they do.
//!
//! The table of these tests knows who asks, and answers by the template's own policies: a permission that is missing
//! fails whichever test needs it. Here is the other half, a permission that nothing makes use of.
//!
//! The use of a customer's key is not held by this: with one, it is DynamoDB, Secrets Manager and SNS that use it, in a
//! function's name, and the table of these tests has none. That each role has it by way of those services alone that its
//! function calls is seen in the template, below.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_template::{Allowed, index_arn, list, parse, repository};

use crate::alerts::somebody_unknown;
use crate::rotate::Rotator;
use crate::world::{STACK, World, hour};

/// What AWS does in a function's name, so that no request of ours shows it.
const IN_OUR_NAME: [(&str, &str, &str); 8] = [
    (
        "*",
        "logs:CreateLogStream",
        "Lambda writes what a function prints",
    ),
    ("*", "logs:PutLogEvents", "Lambda writes what a function prints"),
    (
        "worker",
        "dynamodb:DescribeStream",
        "its mapping reads the stream",
    ),
    ("worker", "dynamodb:GetRecords", "its mapping reads the stream"),
    (
        "worker",
        "dynamodb:GetShardIterator",
        "its mapping reads the stream",
    ),
    (
        "worker",
        "dynamodb:ListStreams",
        "Lambda asks for it when it makes the mapping, though on an ARN it grants nothing",
    ),
    (
        "worker",
        "sqs:SendMessage",
        "its mapping puts aside what it gave up",
    ),
    (
        "reconcile",
        "sqs:SendMessage",
        "Lambda puts an event aside that failed twice",
    ),
];

/// How often something is tried that becomes due within seconds.
const TRIES_MAX: usize = 100;

fn is_in_our_name(function: &str, allowed: &Allowed) -> bool {
    IN_OUR_NAME
        .iter()
        .any(|(who, action, _)| (*who == "*" || *who == function) && allowed.action == *action)
}

/// Worklogs are created, edited and deleted, told by webhooks: `webhook` and `worker` have it all to do.
async fn told(world: &World) {
    world.pass("sweep").await;
    let mut ids = Vec::new();
    for text in ["kept", "edited", "deleted"] {
        ids.push(world.acme().log_time("SUP-1", hour(text)).unwrap());
    }
    ids.push(
        world
            .globex()
            .log_time("DEV-1", hour("from the other side"))
            .unwrap(),
    );
    world.settle().await;
    world
        .acme()
        .edit(ids[1], |worklog| worklog.time_spent_secs = 1800)
        .unwrap();
    world.acme().delete(ids[2]).unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
}

/// The ids that Jira gave to what was created are learned a few seconds later. A record of the stream that is
/// late finds them to be learned.
async fn learned(world: &World) {
    let index = Allowed {
        action: "dynamodb:Query".to_owned(),
        resource: index_arn(),
    };
    let late: Vec<_> = ["acme", "globex"]
        .map(|site| {
            let pk = format!("DUE#LEARN#{site}");
            json!({
                "eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
                "awsRegion": "eu-central-1",
                "dynamodb": {
                    "Keys": {"pk": {"S": pk}, "sk": {"S": "DUE"}},
                    "NewImage": {"pk": {"S": pk}, "sk": {"S": "DUE"}, "hint_at": {"S": "x"}},
                    "SequenceNumber": "1", "SizeBytes": 10, "StreamViewType": "NEW_IMAGE",
                },
            })
        })
        .into();
    for _ in 0..TRIES_MAX {
        world.wake(&late).await;
        if world.table.used("worker").contains(&index) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing was to be learned");
}

/// So many long texts are announced on one issue that the row has no room for them.
async fn more_than_a_row_holds(world: &World) {
    let (started, text) = ("2024-03-05T09:00:00Z".parse().unwrap(), "x".repeat(30_000));
    for _ in 0..16 {
        world
            .acme()
            .jira_log_time("SUP-1", "ann", started, 600, &text)
            .unwrap();
    }
    let mut left = 16;
    while left > 0 {
        for delivery in world.deliveries().await {
            // 204 is what an earlier write of our own gets that only now comes back.
            match world.hand_over(&delivery).await.status {
                Some(202) => left -= i32::from(delivery.url.contains("/jira/")),
                status => assert_eq!(status, Some(204)),
            }
        }
    }
}

/// The same without webhooks: `reconcile` has it all to do.
async fn untold(world: &World) {
    world.settle().await;
    let ids: Vec<_> = ["edited", "deleted"]
        .map(|text| world.globex().log_time("DEV-1", hour(text)).unwrap())
        .into();
    world.sim.drop_deliveries();
    world.pass("sweep").await;
    world
        .globex()
        .edit(ids[0], |worklog| worklog.time_spent_secs = 900)
        .unwrap();
    world.globex().delete(ids[1]).unwrap();
    world.sim.drop_deliveries();
    world.pass("sweep").await;
    world.pass("audit").await;
    world.pass("due").await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
}

#[tokio::test]
async fn a_function_makes_use_of_each_permission_that_it_has_and_needs_no_other() {
    let world = World::with_oauth().await;
    told(&world).await;
    learned(&world).await;
    more_than_a_row_holds(&world).await;
    untold(&world).await;
    somebody_unknown(&world, "is told of");
    world.pass("sweep").await;
    let rotator = Rotator::start(&world).await;
    for secret in ["tandem/acme", "tandem/globex"] {
        rotator.rotate(&world, secret).await;
    }
    world.assert_well_behaved();
    for function in ["webhook", "worker", "reconcile", "rotate"] {
        let (used, allowed) = (world.table.used(function), STACK.allowed(function));
        assert!(!used.is_empty());
        let unused: BTreeSet<_> = allowed
            .difference(&used)
            .filter(|one| !is_in_our_name(function, one))
            .collect();
        assert_eq!(
            unused,
            BTreeSet::new(),
            "{function} never makes use of this; take it away in template.yaml"
        );
    }
}

/// The templates of this repository, with the short forms written out.
fn templates() -> Vec<Value> {
    let files = ["template.yaml", "infra/stateful.yaml", "infra/observability.yaml"];
    files.map(|file| parse(&repository().join(file))).into()
}

#[test]
fn whoever_deploys_finds_each_type_of_resource_among_the_permissions() {
    let page = std::fs::read_to_string(repository().join("docs/deploy.md")).unwrap();
    let (_, part) = page
        .split_once("## Permissions in AWS of who deploys")
        .expect("docs/deploy.md has that part");
    let part = part.split("\n## ").next().unwrap_or_default();
    let types: BTreeSet<String> = templates()
        .iter()
        .flat_map(|template| template["Resources"].as_object().unwrap().values())
        .map(|resource| resource["Type"].as_str().unwrap().to_owned())
        .collect();
    let missing: Vec<_> = types
        .iter()
        .filter(|one| !part.contains(&format!("`{}`", one.trim_start_matches("AWS::"))))
        .collect();
    assert_eq!(
        missing, [""; 0],
        "docs/deploy.md does not say that these are made"
    );
}

#[test]
fn a_function_has_the_customers_key_by_way_of_those_services_that_it_calls() {
    let template = templates().remove(0);
    let mut by_way_of: BTreeSet<(String, String)> = BTreeSet::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        if resource["Type"] != "AWS::IAM::ManagedPolicy" {
            continue;
        }
        let properties = &resource["Properties"];
        for statement in list(&properties["PolicyDocument"]["Statement"]) {
            for service in list(&statement["Condition"]["StringEquals"]["kms:ViaService"]) {
                let service = service["Fn::Sub"].as_str().unwrap().split('.').next().unwrap();
                for role in list(&properties["Roles"]) {
                    let role = role["Ref"].as_str().unwrap();
                    let function = role.trim_end_matches("Role").to_lowercase();
                    by_way_of.insert((function, service.to_owned()));
                }
            }
        }
    }
    let encrypted = ["dynamodb", "secretsmanager", "sns"];
    let called: BTreeSet<(String, String)> = ["webhook", "worker", "reconcile", "rotate"]
        .iter()
        .flat_map(|function| {
            STACK
                .allowed(function)
                .into_iter()
                .map(move |one| (*function, one))
        })
        .filter_map(|(function, one)| {
            let service = one.action.split(':').next()?.to_owned();
            encrypted
                .contains(&service.as_str())
                .then(|| (function.to_owned(), service))
        })
        .collect();
    assert_eq!(by_way_of, called);
}
