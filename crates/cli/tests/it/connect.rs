//! Registering webhooks: made once, finished after a death, and by hand where the rights are missing.

use serde_json::{Value, json};
use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::bench::{Bench, Ran, run, wait};

const URL: &str = "http://127.0.0.1:9";
const SUBSCRIPTIONS: &str = "/4/webhooks/subscriptions";
const WEBHOOKS: &str = "/rest/webhooks/1.0/webhook";

/// A bench whose sites' secrets hold no secrets of webhooks.
fn fresh() -> Bench {
    let bench = Bench::new();
    for site in ["acme", "globex"] {
        let mut secret = secret(&bench, site);
        for field in ["jira_webhook_secrets", "tempo_webhook_secrets"] {
            secret[field] = json!([]);
        }
        std::fs::write(bench.path(&format!("{site}.json")), secret.to_string()).unwrap();
    }
    bench
}

fn secret(bench: &Bench, site: &str) -> Value {
    let text = std::fs::read_to_string(bench.path(&format!("{site}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn held(bench: &Bench, site: &str, field: &str) -> Vec<String> {
    serde_json::from_value(secret(bench, site)[field].clone()).unwrap()
}

/// Jira's webhooks, by address and secret; Tempo's subscriptions, by event, address, and whether they are active.
type Registered = (Vec<(String, String)>, Vec<(String, String, bool)>);

/// What is registered on acme.
fn registered(bench: &Bench) -> Registered {
    let jira = bench.acme().jira_webhooks();
    let jira = jira.into_iter().map(|(_, url, secret)| (url, secret.unwrap()));
    (jira.collect(), bench.acme().subscriptions())
}

fn connect(bench: &Bench, more: &[&str]) -> Ran {
    let mut arguments = vec!["connect", "--site", "acme", "--url", URL];
    arguments.extend(more);
    let ran = bench.run(&arguments);
    let shown = |text: &str| ran.out.contains(text) || ran.err.contains(text);
    for site in ["acme", "globex"] {
        assert!(!shown(&format!("tempo-{site}")), "a token is shown: {ran:?}");
        let mut secrets = held(bench, site, "jira_webhook_secrets");
        secrets.extend(held(bench, site, "tempo_webhook_secrets"));
        let is_shown = secrets.iter().any(|secret| shown(secret));
        assert!(
            !is_shown || more.contains(&"--show-secret"),
            "a secret is shown: {ran:?}"
        );
    }
    ran
}

fn lost(status: u16) -> Fault {
    Fault::LostBefore(FaultOutcome::Status(status))
}

#[test]
fn webhooks_are_made_found_working_and_left_alone() {
    let bench = fresh();
    // Nobody answers yet, so that Tempo's handshake fails; all the rest is done.
    let first = connect(&bench, &[]).ended(3);
    let first = first.says("does not answer from here").says("not active");
    first.says("Jira, http://127.0.0.1:9/hooks/jira/acme: made");
    let (jira, tempo) = registered(&bench);
    let of_jira = held(&bench, "acme", "jira_webhook_secrets");
    assert_eq!(jira, [(format!("{URL}/hooks/jira/acme"), of_jira[0].clone())]);
    assert!(of_jira[0].len() >= 64, "it is easy to guess");
    let events: Vec<&str> = tempo.iter().map(|(event, ..)| event.as_str()).collect();
    assert_eq!(events, ["worklog.created", "worklog.updated", "worklog.deleted"]);
    assert_eq!(held(&bench, "acme", "tempo_webhook_secrets").len(), 3);
    assert_eq!(secret(&bench, "acme")["tempo_token"], "tempo-acme");
    assert!(bench.globex().subscriptions().is_empty(), "it was not asked for");

    let serving = bench.serve_quietly();
    let url = ["connect", "--site", "acme", "--json", "--url", &serving.url];
    let made = bench.run(&url).ended(0).json();
    assert_eq!(
        (&made[0]["jira"]["did"], &made[0]["tempo"]["did"]),
        (&json!("made"), &json!("made"))
    );
    let before = (secret(&bench, "acme"), registered(&bench));
    let again = bench.run(&url).ended(0).json();
    assert_eq!(again[0]["jira"]["did"], "nothing");
    assert_eq!(again[0]["tempo"]["did"], "nothing");
    assert_eq!(again[0]["endpoint"]["handshake"], "right");
    assert_eq!(again[0]["endpoint"]["jira"], "right");
    assert_eq!((secret(&bench, "acme"), registered(&bench)), before);

    // One that Tempo has switched off is on again, and nothing else changes.
    bench.acme().switch_off("worklog.updated");
    let mended = bench.run(&url).ended(0).json();
    assert_eq!(mended[0]["tempo"]["did"], "repaired");
    assert_eq!((secret(&bench, "acme"), registered(&bench)), before);

    let listed = bench
        .run(&["connect", "--list", "--json", "--url", &serving.url])
        .ended(0);
    assert!(!listed.out.contains(&of_jira[0]), "{listed:?}");
    let listed = listed.json();
    let ours = |one: &&Value| one["ours"] == true && one["active"] == true;
    let listed = listed.as_array().unwrap();
    assert_eq!((listed.iter().filter(ours).count(), listed.len()), (4, 8));

    // Those of the address at which nobody was go, and no others.
    connect(&bench, &["--remove"]).ended(0).says("removed");
    let (jira, tempo) = registered(&bench);
    assert_eq!((jira.len(), tempo.len()), (1, 3));
    assert!(
        tempo
            .iter()
            .all(|(_, url, active)| url.starts_with(&serving.url) && *active)
    );
    connect(&bench, &["--remove"]).ended(0).says("nothing to do");
}

#[test]
fn a_death_at_any_call_leaves_what_the_next_one_finishes() {
    let after = Fault::LostAfter(FaultOutcome::Status(504));
    for (vendor, method, path, fault) in [
        ("jira", "POST", WEBHOOKS, lost(500)),
        ("jira", "POST", WEBHOOKS, after),
        ("tempo", "POST", SUBSCRIPTIONS, lost(500)),
        ("tempo", "POST", SUBSCRIPTIONS, after),
        ("tempo", "GET", SUBSCRIPTIONS, lost(502)),
    ] {
        let bench = fresh();
        let matcher = match vendor {
            "jira" => Matcher::jira(method, path),
            _ => Matcher::tempo(method, path),
        };
        bench.acme().fail_next(matcher, fault);
        connect(&bench, &[]).ended(1);
        connect(&bench, &[]).ended(3);
        let (jira, tempo) = registered(&bench);
        let of_jira = held(&bench, "acme", "jira_webhook_secrets");
        assert_eq!((jira.len(), tempo.len()), (1, 3), "{vendor} {method} {fault:?}");
        assert_eq!(of_jira, [jira[0].1.clone()], "{vendor} {method} {fault:?}");
        let of_tempo = held(&bench, "acme", "tempo_webhook_secrets");
        assert_eq!(of_tempo.len(), 3, "{vendor} {method} {fault:?}");
        assert!(!bench.path(".acme.json.new").exists());
    }
}

#[test]
fn what_is_held_no_more_is_made_anew() {
    let bench = fresh();
    connect(&bench, &[]).ended(3);
    let before = registered(&bench);
    let mut lost = secret(&bench, "acme");
    lost["jira_webhook_secrets"] = json!([]);
    lost["tempo_webhook_secrets"] = json!([]);
    std::fs::write(bench.path("acme.json"), lost.to_string()).unwrap();
    connect(&bench, &[]).ended(3).says("repaired");
    let (jira, tempo) = registered(&bench);
    assert_ne!(jira, before.0, "nobody knows what the webhook was signed with");
    assert_eq!(held(&bench, "acme", "jira_webhook_secrets"), [jira[0].1.clone()]);
    assert_eq!(tempo, before.1, "Tempo shows its secrets");
    assert_eq!(held(&bench, "acme", "tempo_webhook_secrets").len(), 3);

    connect(&bench, &["--renew"]).ended(3).says("made anew");
    let (renewed, _) = registered(&bench);
    assert_eq!(renewed.len(), 1);
    let of_jira = held(&bench, "acme", "jira_webhook_secrets");
    assert_eq!(
        of_jira,
        [jira[0].1.clone(), renewed[0].1.clone()],
        "the old one is good for a while"
    );
    assert_eq!(held(&bench, "acme", "tempo_webhook_secrets").len(), 6);
}

#[test]
fn without_the_rights_it_says_what_to_enter_where() {
    let bench = fresh();
    bench.acme().configure(|spec| spec.service.admin = false);
    bench
        .acme()
        .fail_next(Matcher::tempo("GET", SUBSCRIPTIONS), lost(403));
    let ran = connect(&bench, &[]).ended(3);
    let ran = ran
        .says("Administer Jira")
        .says("/plugins/servlet/webhooks")
        .says("http://127.0.0.1:9/hooks/jira/acme")
        .says("Worklog: created, updated, deleted")
        .says("--show-secret");
    let ran = ran
        .says("Tempo's token may not manage webhooks")
        .says(r#"/4/webhooks/subscriptions {"event":"worklog.created","url":"http://127.0.0.1:9/hooks/tempo/acme"}"#);
    assert_eq!(ran.out, "");
    assert!(registered(&bench).0.is_empty());
    // The secret to enter is there, and stays the same.
    let of_jira = held(&bench, "acme", "jira_webhook_secrets");
    assert_eq!(of_jira.len(), 1);
    let shown = connect(&bench, &["--show-secret"]).ended(3);
    assert_eq!(shown.out, format!("acme jira_webhook_secrets {}\n", of_jira[0]));
    assert_eq!(held(&bench, "acme", "jira_webhook_secrets"), of_jira);
    connect(&bench, &["--remove"])
        .ended(3)
        .says("delete the webhook with the URL");
}

#[test]
fn a_secret_in_the_environment_is_told_what_to_hold() {
    let bench = fresh();
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("file:acme.json", "env:TANDEM_TEST_ACME")).unwrap();
    let connect = |secret: &Value, more: &[&str]| {
        let arguments = ["connect", "--site", "acme", "--url", URL];
        let mut command = bench.command(&arguments);
        run(command.args(more).env("TANDEM_TEST_ACME", secret.to_string()))
    };
    let mut secret = secret(&bench, "acme");
    let ran = connect(&secret, &[]).ended(3);
    assert_eq!(ran.out, "", "a secret is shown unasked");
    ran.says("env:TANDEM_TEST_ACME holds no `jira_webhook_secrets`")
        .says("does not hold the secrets of Tempo's subscriptions");
    assert!(
        registered(&bench).0.is_empty(),
        "nobody could check what it signs"
    );
    assert_eq!(registered(&bench).1.len(), 3);

    let ran = connect(&secret, &["--show-secret"]).ended(3);
    let shown = |field: &str| -> Vec<String> {
        let lines = ran
            .out
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("acme {field} ")));
        lines.map(str::to_owned).collect()
    };
    for field in ["jira_webhook_secrets", "tempo_webhook_secrets"] {
        secret[field] = json!(shown(field));
    }
    assert_eq!(shown("tempo_webhook_secrets").len(), 3);
    connect(&secret, &[]).ended(3).says("hooks/jira/acme: made");
    assert_eq!(registered(&bench).0[0].1, shown("jira_webhook_secrets")[0]);
}

#[test]
fn where_the_webhooks_arrive_has_to_be_known() {
    let bench = fresh();
    bench
        .run(&["connect"])
        .ended(2)
        .says("public_url = \"https://YOUR-HOST\"");
    bench
        .run(&["connect", "--url", "http://tandem.example.com"])
        .ended(2)
        .says("is not https");
    bench
        .run(&["connect", "--url", URL, "--site", "nobody"])
        .ended(2)
        .says("there are: acme, globex");
    bench
        .run(&["connect", "--list", "--remove", "--url", URL])
        .ended(2);
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[engine]\n", "[engine]\npublic_url = \"http://127.0.0.1:9/\"\n"),
    )
    .unwrap();
    bench.run(&["connect", "--list"]).ended(0);
    assert!(registered(&bench).0.is_empty());
}

#[test]
fn status_tells_what_tempo_does_not_tell_of() {
    let bench = fresh();
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let with_url = text.replace("[engine]\n", "[engine]\npublic_url = \"http://127.0.0.1:9\"\n");
    std::fs::write(&path, with_url).unwrap();
    bench.run(&["reconcile"]).ended(0);
    let status = bench.run(&["status"]).ended(3);
    assert!(
        status
            .out
            .contains("none for worklog.created, worklog.updated, worklog.deleted: `tandem connect`"),
        "{status:?}"
    );
    let status = bench.run(&["status", "--json"]).ended(3).json();
    let missing = &status["sites"][0]["subscriptions"]["missing"];
    assert_eq!(
        missing,
        &json!(["worklog.created", "worklog.updated", "worklog.deleted"])
    );
}

#[test]
fn a_reconcile_switches_on_what_tempo_has_switched_off() {
    let bench = Bench::new();
    bench
        .acme()
        .add_tempo_webhooks("http://127.0.0.1:9/hooks/tempo/acme", "secret-of-the-test");
    bench.acme().switch_off("worklog.created");
    bench.run(&["reconcile"]).ended(0);
    assert!(bench.acme().subscriptions().iter().all(|(_, _, active)| *active));
    let status = bench.run(&["status"]).ended(0);
    assert!(
        status.out.contains("were off, on again: worklog.created"),
        "{status:?}"
    );
}

#[test]
fn what_a_subscription_that_was_off_did_not_tell_is_audited() {
    let bench = Bench::new();
    bench
        .acme()
        .add_tempo_webhooks(&format!("{URL}/hooks/tempo/acme"), "secret-of-the-test");
    bench.run(&["reconcile", "--pass", "audit"]).ended(0);
    bench.next_second();
    connect(&bench, &[]);
    let looked = || run(bench.command(&["reconcile"]).env("TANDEM_LOG", "info"));
    let quiet = looked();
    assert!(!quiet.err.contains("out of turn"), "nothing was off: {quiet:?}");
    bench.acme().switch_off("worklog.created");
    bench.next_second();
    connect(&bench, &[]);
    assert!(bench.acme().subscriptions().iter().all(|(_, _, active)| *active));
    looked().says("Auditing acme-globex out of turn");
}

#[test]
fn what_a_subscription_did_not_tell_before_it_was_made_anew_is_audited() {
    let bench = Bench::new();
    bench.run(&["reconcile", "--pass", "audit"]).ended(0);
    // Where somebody answers, a new one is on at once.
    let serving = bench.serve_quietly();
    let looked = || !bench.run(&["status", "--json"]).json()["sites"][0]["subscriptions"].is_null();
    wait("its first look at the subscriptions", looked);
    let url = format!("{}/hooks/tempo/acme", serving.url);
    bench.acme().add_tempo_webhooks(&url, "secret-of-the-test");
    bench.acme().switch_off("worklog.created");
    bench.next_second();
    let renew = ["connect", "--site", "acme", "--renew", "--url", &serving.url];
    bench.run(&renew).ended(0);
    assert!(bench.acme().subscriptions().iter().all(|(_, _, active)| *active));
    assert_eq!(serving.stop(), Some(0));
    run(bench.command(&["reconcile"]).env("TANDEM_LOG", "info")).says("Auditing acme-globex out of turn");
}
