//! What is personal or secret is planted everywhere, and looked for in all that the functions write: at the most
//! talkative level that the template allows. (What `rotate` writes is looked through in its own tests.)

use std::time::Duration;

use serde_json::json;
use tandem_engine::ports::Store;
use tandem_functions_test::event::{self, Carried};
use tandem_functions_test::{Function, Table};
use tandem_sim::{Content, Fault, FaultOutcome, Matcher, SiteSpec, UserSpec};

use crate::world::{World, assert_tells_no_secret, environment};

/// Whole or in part, as account id, name, address or text.
const PLANTED: [&str; 4] = ["plantagenet", "Plantagenet", "Zedekiah", "merger"];

const ACCOUNT: &str = "5f0a-plantagenet";

fn with_person(site: SiteSpec) -> SiteSpec {
    site.user(
        UserSpec::new(ACCOUNT, "Zedekiah Plantagenet").visible_email("zedekiah.plantagenet@initech.example"),
    )
}

fn entry(text: &str) -> Content {
    Content::new(ACCOUNT, "2024-03-04", "13:30:00", 3600).text(text)
}

fn assert_hides(name: &str, log: &str) {
    assert!(
        !log.is_empty(),
        "{name} wrote nothing, so nothing is shown by this"
    );
    for planted in PLANTED {
        let line = log.lines().find(|line| line.contains(planted));
        assert_eq!(line, None, "{name} writes {planted}");
    }
    assert_tells_no_secret(log);
}

#[tokio::test]
async fn no_person_no_text_and_no_secret_is_in_a_log_whatever_goes_right_or_wrong() {
    let world = World::with_sites(with_person).await;
    world.pass("sweep").await;
    let text = "the merger with Initech, by Zedekiah";

    // It goes well.
    let id = world.acme().log_time("SUP-1", entry(text)).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1"), [(3600, text.to_owned())]);
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some(format!("{text}, again")))
        .unwrap();
    world.settle().await;

    // A signature is wrong, a body is no JSON, a handshake asks for nobody.
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    let told = world.deliveries().await;
    let mut forged = told[0].clone();
    forged.body.push(b' ');
    assert_eq!(world.hand_over(&forged).await.status, Some(401));
    for address in ["/hooks/tempo/plantagenet", "/plantagenet?merger"] {
        world
            .ask(event::http("POST", address, &[], text.as_bytes(), Carried::Text))
            .await;
    }
    for delivery in &told {
        world.hand_over(delivery).await;
    }
    world.settle().await;

    // The other site refuses, and names the person; then it demands too much, fails, and forgets our token.
    world.globex().set_workers("DEV", Some(["ann".to_owned()].into()));
    let refused = world.acme().log_time("SUP-1", entry("merger, refused")).unwrap();
    world.settle().await;
    let connection = "acme-globex".into();
    let (waiting, _) = world.table.store().waiting(&connection, None).await.unwrap();
    let detail = waiting[0].wait.as_ref().unwrap().detail.clone();
    assert!(
        detail.contains("plantagenet"),
        "the site named nobody, so nothing is shown by this: {detail:?}"
    );
    world.acme().delete(refused).unwrap();
    world.settle().await;
    world.globex().set_workers("DEV", None);
    for fault in [
        Fault::LostBefore(FaultOutcome::Status(500)),
        Fault::RateLimited(Some(1)),
        Fault::HalfBody,
    ] {
        world.sim.fail_next("globex", Matcher::any(), fault);
        world
            .acme()
            .edit(id, |worklog| worklog.time_spent_secs += 60)
            .unwrap();
        world.settle().await;
        world.pass("due").await;
    }
    world.globex().expire_tempo_tokens();
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs += 60)
        .unwrap();
    world.settle().await;
    world.pass("sweep").await;
    world.pass("audit").await;

    // Nothing can be stored.
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs += 60)
        .unwrap();
    let told = world.deliveries().await;
    world.table.set_down(true);
    assert_eq!(world.hand_over(&told[0]).await.status, Some(503));
    let _ = world.reconcile.invoke(json!({"pass": "due"})).await;
    world.table.set_down(false);

    assert_hides("webhook", &world.webhook.log());
    assert_hides("worker", &world.worker.log());
    assert_hides("reconcile", &world.reconcile.log());
}

#[tokio::test]
async fn a_published_configuration_with_a_mistake_beside_an_account_is_told_without_it() {
    let world = World::unpublished().await;
    let twice = format!("[connections.authors]\nmap = [[\"{ACCOUNT}\", \"a\"], [\"{ACCOUNT}\", \"b\"]]\n");
    // `publish` would not have let it through; an earlier release's might have.
    world.publish_with(&twice).await;
    let handshake = event::http("GET", "/hooks/tempo/acme?randomString=x", &[], b"", Carried::Text);
    assert_eq!(world.ask(handshake).await.status, Some(503));
    assert!(world.reconcile.invoke(json!({"pass": "due"})).await.is_err());
    assert!(world.worker.invoke(event::batch(&[])).await.is_err());
    let rotate = World::start(&world.table, "rotate").await;
    let step = json!({"Step": "createSecret", "SecretId": "tandem/acme", "ClientRequestToken": "v"});
    let failed = rotate.invoke(step).await.unwrap_err();
    assert!(!failed.0.to_string().contains("plantagenet"), "{failed:?}");
    for function in [&world.webhook, &world.worker, &world.reconcile, &rotate] {
        let log = function.log();
        assert!(
            log.contains("the published configuration has mistakes: version 1, line "),
            "{log}"
        );
        assert_hides("a function", &log);
    }
}

#[tokio::test]
async fn a_panic_says_where_it_was_and_not_what_it_fell_over() {
    let table = Table::serve().await;
    let environment: Vec<_> = environment("webhook", &table).into_iter().collect();
    let binary = env!("CARGO_BIN_EXE_function-panics").as_ref();
    let function = Function::start("webhook", binary, &environment).await;
    let answer = function
        .invoke(json!({"author": "Zedekiah Plantagenet", "text": "merger"}))
        .await;
    assert!(answer.is_err());
    // The log comes through a pipe of its own.
    let mut log = function.log();
    for _ in 0..100 {
        if log.contains("Panicked") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        log = function.log();
    }
    assert!(log.contains("Panicked at ") && log.contains("panics.rs"), "{log}");
    assert_hides("panics", &log);
}
