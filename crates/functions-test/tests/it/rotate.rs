//! A rotation as Secrets Manager asks for it, step by step, with what may come between.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_functions_test::{Failed, Function, Writes};
use tandem_sim::{Fault, FaultOutcome, Matcher};
use tandem_template::{Allowed, secret_arn};

use crate::world::{STACK, World, assert_tells_no_secret, hour};

const ACME: &str = "tandem/acme";
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// The function, and Secrets Manager's way to ask it.
pub struct Rotator {
    function: Function,
}

impl Rotator {
    pub async fn start(world: &World) -> Self {
        Self {
            function: World::start(&world.table, "rotate").await,
        }
    }

    async fn ask_within(
        &self,
        secret: &str,
        version: &str,
        step: &str,
        timeout: Duration,
    ) -> Result<(), String> {
        let event = json!({
            "Step": step,
            "SecretId": secret_arn(secret),
            "ClientRequestToken": version,
            "RotationToken": "rotation-token-of-the-test",
        });
        let answer = self.function.invoke_within(event, timeout).await;
        assert_tells_no_secret(&self.function.log());
        match answer {
            Ok(_) => Ok(()),
            Err(Failed(told)) => {
                assert_tells_no_secret(&told.to_string());
                Err(told["errorMessage"].as_str().unwrap_or_default().to_owned())
            }
        }
    }

    async fn ask(&self, secret: &str, version: &str, step: &str) -> Result<(), String> {
        self.ask_within(secret, version, step, Duration::from_secs(60))
            .await
    }

    /// Goes through all four steps and returns the version.
    pub async fn rotate(&self, world: &World, secret: &str) -> String {
        let version = world.table.begin_rotation(secret);
        for step in STEPS {
            assert_eq!(self.ask(secret, &version, step).await, Ok(()), "{step}");
        }
        version
    }
}

/// How often Tempo was asked for tokens.
fn refreshes(world: &World) -> usize {
    let requests = world.sim.requests();
    requests
        .iter()
        .filter(|one| one.path_template == "/oauth/token/")
        .count()
}

/// A secret's fields under a label.
fn fields(world: &World, secret: &str, label: &str) -> Option<Value> {
    Some(serde_json::from_str(&world.table.secret(secret, label)?).unwrap())
}

#[tokio::test]
async fn work_goes_on_while_tokens_are_rotated_however_often_each_step_is_asked_for() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    world.globex().log_time("DEV-1", hour("before")).unwrap();
    world.settle().await;
    let before = fields(&world, ACME, "AWSCURRENT").unwrap();

    let version = world.table.begin_rotation(ACME);
    for _ in 0..2 {
        assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    }
    // The old pair has ended, and the new one is not in use yet: the worker finds it.
    assert!(!world.acme().tempo_tokens().contains(&"tempo-acme".to_owned()));
    assert_eq!(fields(&world, ACME, "AWSCURRENT").unwrap(), before);
    world.globex().log_time("DEV-1", hour("during")).unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1").len(), 2);

    for step in &STEPS[1..] {
        for _ in 0..2 {
            assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
        }
    }
    // A step that comes late, after its successors.
    assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    assert_eq!(refreshes(&world), 1);
    assert_eq!(
        world.table.labels(ACME, &version),
        ["AWSCURRENT".to_owned()].into()
    );
    let after = fields(&world, ACME, "AWSCURRENT").unwrap();
    assert_eq!(
        world.acme().tempo_tokens(),
        [after["tempo_token"].as_str().unwrap()]
    );
    assert_ne!(after["tempo_refresh_token"], before["tempo_refresh_token"]);
    let expires: Timestamp = after["tempo_expires_at"].as_str().unwrap().parse().unwrap();
    let days = expires.duration_since(Timestamp::now()).as_hours() / 24;
    assert!((59..=60).contains(&days), "{days}");
    for kept in [
        "jira_email",
        "jira_token",
        "jira_webhook_secrets",
        "tempo_client_secret",
    ] {
        assert_eq!(after[kept], before[kept]);
    }

    world.globex().log_time("DEV-1", hour("after")).unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1").len(), 3);
    rotator.rotate(&world, ACME).await;
    assert_eq!(refreshes(&world), 2);
    world.assert_well_behaved();
}

#[tokio::test]
async fn killed_between_refresh_and_storing_it_needs_a_person_and_says_so() {
    let world = World::with_oauth().await;
    let version = world.table.begin_rotation(ACME);
    world.table.set_secret_writes(Writes::PendingLost);
    {
        let rotator = Rotator::start(&world).await;
        // Only then is it certain that none is on its way that comes after the kill.
        let lost = async {
            while world.table.lost_secret_writes() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = rotator.ask(ACME, &version, "createSecret") => panic!("it cannot have stored anything"),
            () = lost => {}
        }
    }
    assert_eq!(refreshes(&world), 1);
    world.table.set_secret_writes(Writes::Done);
    let rotator = Rotator::start(&world).await;
    for step in STEPS {
        let told = rotator.ask(ACME, &version, step).await.unwrap_err();
        let expected = match step {
            "createSecret" => "authorize again in Tempo",
            "testSecret" => "the current token could not be tested",
            _ => "has not been written yet",
        };
        assert!(told.contains(expected), "{step}: {told}");
    }
    assert_eq!(world.table.secret(ACME, "AWSPENDING"), None);

    // A person does as told; the same rotation then ends well.
    let mut secret = fields(&world, ACME, "AWSCURRENT").unwrap();
    secret["tempo_token"] = json!("tempo-acme-anew");
    secret["tempo_refresh_token"] = json!("refresh-acme-anew");
    world.acme().replace_tempo_token("tempo-acme-anew");
    world.acme().configure(|spec| {
        let oauth = spec.service.tempo_oauth.as_mut().unwrap();
        oauth.access_token = "tempo-acme-anew".to_owned();
        oauth.refresh_token = "refresh-acme-anew".to_owned();
    });
    world.table.put_secret(ACME, secret.to_string());
    for step in STEPS {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }
    world.assert_well_behaved();
}

#[tokio::test]
async fn a_pair_that_cannot_be_stored_is_tried_again_and_outlives_the_attempt() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    world.table.set_secret_writes(Writes::PendingRefused(1));
    assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    assert_eq!(refreshes(&world), 1);
    for step in &STEPS[1..] {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }

    let version = world.table.begin_rotation(ACME);
    world.table.set_secret_writes(Writes::PendingRefused(usize::MAX));
    let short = Duration::from_millis(2800);
    let told = rotator.ask_within(ACME, &version, "createSecret", short).await;
    assert!(
        told.unwrap_err()
            .starts_with("TEMPO'S NEW TOKENS COULD NOT BE STORED")
    );
    assert_eq!(refreshes(&world), 2);
    world.table.set_secret_writes(Writes::Done);
    for step in STEPS {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }
    assert_eq!(refreshes(&world), 2);
    let stored = fields(&world, ACME, "AWSCURRENT").unwrap();
    assert_eq!(
        world.acme().tempo_tokens(),
        [stored["tempo_token"].as_str().unwrap()]
    );
    world.assert_well_behaved();
}

#[tokio::test]
async fn nothing_is_refreshed_that_could_not_be_stored() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    let mut allowed = STACK.allowed("rotate");
    assert!(allowed.remove(&Allowed {
        action: "secretsmanager:PutSecretValue".to_owned(),
        resource: secret_arn(ACME),
    }));
    world.table.allow("rotate", allowed);
    let told = rotator.ask(ACME, &version, "createSecret").await.unwrap_err();
    assert!(told.contains("AccessDeniedException"), "{told}");
    assert_eq!(
        (refreshes(&world), world.acme().tempo_tokens()),
        (0, vec!["tempo-acme".to_owned()])
    );
}

#[tokio::test]
async fn a_static_token_is_copied_and_its_rotation_ends_well() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let before = world.table.secret("tandem/globex", "AWSCURRENT");
    let version = rotator.rotate(&world, "tandem/globex").await;
    assert_eq!(world.table.secret("tandem/globex", "AWSCURRENT"), before);
    assert_eq!(
        world.table.labels("tandem/globex", &version),
        ["AWSCURRENT".to_owned()].into()
    );
    assert_eq!(refreshes(&world), 0);

    // What a person stores meanwhile stays, and does not hold up the next rotation.
    let version = world.table.begin_rotation("tandem/globex");
    assert_eq!(
        rotator.ask("tandem/globex", &version, "createSecret").await,
        Ok(())
    );
    let stored = before.unwrap().replace("tempo-globex", "tempo-globex-2");
    world.table.put_secret("tandem/globex", stored.clone());
    let told = rotator
        .ask("tandem/globex", &version, "finishSecret")
        .await
        .unwrap_err();
    assert!(told.contains("was changed while it was rotated"), "{told}");
    assert_eq!(world.table.secret("tandem/globex", "AWSCURRENT"), Some(stored));
    world.globex().replace_tempo_token("tempo-globex-2");
    rotator.rotate(&world, "tandem/globex").await;
    world.assert_well_behaved();
}

// With `RotateImmediatelyOnUpdate: false`, switching a rotation on begins with this, as the guide to Secrets Manager says.
#[tokio::test]
async fn switching_a_rotation_on_tests_the_token_in_use_and_changes_nothing() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let before = world.table.secret(ACME, "AWSCURRENT");
    let version = world.table.begin_rotation(ACME);
    assert_eq!(rotator.ask(ACME, &version, "testSecret").await, Ok(()));
    assert_eq!(world.table.secret(ACME, "AWSPENDING"), None);
    world.acme().replace_tempo_token("another");
    let told = rotator.ask(ACME, &version, "testSecret").await.unwrap_err();
    assert!(told.contains("the current token could not be tested"), "{told}");
    assert_eq!(world.table.secret(ACME, "AWSCURRENT"), before);
    assert_eq!(refreshes(&world), 0);
}

#[tokio::test]
async fn what_was_stored_meanwhile_is_not_undone_by_a_new_pair() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    let mut secret = fields(&world, ACME, "AWSCURRENT").unwrap();
    secret["jira_token"] = json!("jira-acme-2");
    world.table.put_secret(ACME, secret.to_string());
    let told = rotator.ask(ACME, &version, "finishSecret").await.unwrap_err();
    assert!(told.contains("--end-rotation"), "{told}");
    assert_eq!(fields(&world, ACME, "AWSCURRENT"), Some(secret));
    // The new pair is still there to be found.
    assert!(world.table.secret(ACME, "AWSPENDING").is_some());
}

#[tokio::test]
async fn a_secret_that_is_none_is_left_alone_and_told_apart() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let good = world.table.secret(ACME, "AWSCURRENT").unwrap();
    for (text, says) in [
        (good.replace("jira_token", "jira_tocken"), "has no `jira_token`"),
        (
            good.replace("tempo_refresh_token", "x"),
            "has no `tempo_refresh_token`",
        ),
        (
            "client-secret, but no JSON".to_owned(),
            "is not JSON at line 1, column 1",
        ),
    ] {
        world.table.put_secret(ACME, text);
        let version = world.table.begin_rotation(ACME);
        let told = rotator.ask(ACME, &version, "createSecret").await.unwrap_err();
        assert!(
            told.contains(says) && told.contains("tandem secrets put"),
            "{told}"
        );
        // A person does as told, and the same rotation ends well.
        world.table.put_secret(ACME, good.clone());
        for step in STEPS {
            assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()));
        }
        back_to(&world, &good);
    }
    assert_eq!(refreshes(&world), 3);

    // Its role reaches no such secret; neither would what it does if it did.
    let mut allowed = STACK.allowed("rotate");
    allowed.insert(Allowed {
        action: "secretsmanager:DescribeSecret".to_owned(),
        resource: secret_arn("tandem/other"),
    });
    world.table.allow("rotate", allowed);
    world.table.put_secret("tandem/other", good);
    let version = world.table.begin_rotation("tandem/other");
    let told = rotator
        .ask("tandem/other", &version, "createSecret")
        .await
        .unwrap_err();
    assert!(
        told.contains("no site of the published configuration has the secret tandem/other"),
        "{told}"
    );
    let told = rotator
        .ask(ACME, "an-old-version", "finishSecret")
        .await
        .unwrap_err();
    assert!(told.contains("is not the pending one"), "{told}");
}

/// Puts site and secret back to where they were.
fn back_to(world: &World, good: &str) {
    world.table.put_secret(ACME, good.to_owned());
    world.acme().replace_tempo_token("tempo-acme");
    world.acme().configure(|spec| {
        let oauth = spec.service.tempo_oauth.as_mut().unwrap();
        oauth.access_token = "tempo-acme".to_owned();
        oauth.refresh_token = "refresh-acme".to_owned();
    });
}

#[tokio::test]
async fn an_answer_of_tempo_that_is_lost_is_told_as_what_it_may_mean() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    let token = || Matcher::tempo("POST", "/oauth/token/");
    let cases = [
        (Fault::LostBefore(FaultOutcome::Status(503)), "is not known"),
        (
            Fault::RateLimited(Some(1)),
            "The old tokens are as good as before",
        ),
    ];
    for (fault, says) in cases {
        world.sim.fail_next("acme", token(), fault);
        let told = rotator.ask(ACME, &version, "createSecret").await.unwrap_err();
        assert!(told.contains(says), "{told}");
        assert_eq!(world.acme().tempo_tokens(), ["tempo-acme"]);
    }
    assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    world.sim.fail_next(
        "acme",
        Matcher::tempo("GET", "/4/globalconfiguration"),
        Fault::LostBefore(FaultOutcome::Status(502)),
    );
    let told = rotator.ask(ACME, &version, "testSecret").await.unwrap_err();
    assert!(
        told.contains("could not be tested: Tempo GET /4/globalconfiguration: 502"),
        "{told}"
    );
    let log = rotator.function.log();
    assert!(
        !told.contains("upstream") && !log.contains("upstream"),
        "Tempo's own words: {log}"
    );
    for step in &STEPS[2..] {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }

    let version = world.table.begin_rotation(ACME);
    world.sim.fail_next("acme", token(), Fault::HalfBody);
    let told = rotator.ask(ACME, &version, "createSecret").await.unwrap_err();
    assert!(told.contains("is not known"), "{told}");
    let told = rotator.ask(ACME, &version, "createSecret").await.unwrap_err();
    assert!(
        told.contains("invalid_grant") && told.contains("authorize again"),
        "{told}"
    );
    world.assert_well_behaved();
}

#[tokio::test]
async fn two_sandboxes_that_are_asked_for_the_same_step_end_with_one_pair() {
    let world = World::with_oauth().await;
    let (first, second) = (Rotator::start(&world).await, Rotator::start(&world).await);
    let version = world.table.begin_rotation(ACME);
    // The first one's pair is made at once, and comes late: the second finds no text yet, and a token that is spent.
    let slow = Fault::Slow(Duration::from_millis(700));
    world
        .sim
        .fail_next("acme", Matcher::tempo("POST", "/oauth/token/"), slow);
    let after_it = async {
        while refreshes(&world) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        second.ask(ACME, &version, "createSecret").await
    };
    let both = tokio::join!(first.ask(ACME, &version, "createSecret"), after_it);
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(refreshes(&world), 2, "the second had to be refused");
    for step in &STEPS[1..] {
        assert_eq!(second.ask(ACME, &version, step).await, Ok(()), "{step}");
    }
    let stored = fields(&world, ACME, "AWSCURRENT").unwrap();
    assert_eq!(
        world.acme().tempo_tokens(),
        [stored["tempo_token"].as_str().unwrap()]
    );
    world.assert_well_behaved();
}

#[tokio::test]
async fn what_tempo_says_of_a_token_that_may_not_look_is_in_no_log() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    assert_eq!(rotator.ask(ACME, &version, "createSecret").await, Ok(()));
    let look = Matcher::tempo("GET", "/4/globalconfiguration");
    let refused = Fault::LostBefore(FaultOutcome::Status(403));
    world.sim.fail_next("acme", look, refused);
    assert_eq!(rotator.ask(ACME, &version, "testSecret").await, Ok(()));
    let log = rotator.function.log();
    assert!(log.contains("takes the pending token, but not for this"), "{log}");
    assert!(!log.contains("upstream"), "Tempo's own words: {log}");
}

#[tokio::test]
async fn a_step_is_known_by_either_of_its_names() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    for step in ["create_secret", "set_secret", "test_secret", "finish_secret"] {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }
    assert_eq!(
        world.table.labels(ACME, &version),
        ["AWSCURRENT".to_owned()].into()
    );
}

#[tokio::test]
async fn what_a_rotation_asks_of_a_site_is_counted_with_the_rest() {
    let world = World::with_oauth().await;
    let rotator = Rotator::start(&world).await;
    let version = world.table.begin_rotation(ACME);
    let token = Matcher::tempo("POST", "/oauth/token/");
    world.sim.fail_next("acme", token, Fault::RateLimited(Some(1)));
    assert!(rotator.ask(ACME, &version, "createSecret").await.is_err());
    for step in STEPS {
        assert_eq!(rotator.ask(ACME, &version, step).await, Ok(()), "{step}");
    }
    let sums = crate::metrics::sums(&crate::metrics::embedded(&rotator.function.log()));
    let of = |metric: &str| sums.get(&(metric.to_owned(), Some("acme".to_owned()))).copied();
    // A pair that was not to be had, one that was, and the test of it.
    assert_eq!((of("Requests"), of("RateLimited")), (Some(3), Some(1)));
}
