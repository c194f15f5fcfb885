//! What the doctor finds: a world in which each thing is wrong, and one in which nothing is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tandem_sim::{
    AttributeKind, AttributeSpec, Fault, FaultOutcome, Matcher, Permission, SimClock, SystemClock, UserSpec,
};

use crate::bench::{Bench, Ran, Serving, config_at, hour, run, tandem};

/// Findings, as `(site, check, state)` and what was said.
fn found(ran: &Ran) -> Vec<((String, String, String), String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let json = ran.json();
    let findings = json.as_array().unwrap().iter();
    findings
        .map(|one| {
            let what = format!("{} | {}", text(one, "what"), text(one, "fix"));
            ((text(one, "site"), text(one, "check"), text(one, "state")), what)
        })
        .collect()
}

/// Says whether there is such a line, with these words in it and a fix.
#[track_caller]
fn tells(ran: &Ran, site: &str, check: &str, state: &str, words: &str) {
    let key = (site.to_owned(), check.to_owned(), state.to_owned());
    let fits = |(of, what): &((String, String, String), String)| {
        *of == key && what.contains(words) && !what.ends_with("| ")
    };
    let found = found(ran);
    assert!(
        found.iter().any(fits),
        "no {key:?} with {words:?} in {found:#?}\n{}",
        ran.err
    );
}

/// Both sites with people's time on them, linked, and with the last day of each token known.
fn lived_in() -> Bench {
    let bench = Bench::new();
    live(&bench);
    bench
}

fn live(bench: &Bench) {
    let today = Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
        .to_string();
    for issue in ["SUP-1", "SUP-2"] {
        let mut content = hour("ann", "work");
        content.start_date = today.parse().unwrap();
        bench.acme().log_time(issue, content).unwrap();
    }
    bench.reconcile();
    for site in ["acme", "globex"] {
        secret(bench, site, |secret| {
            secret["tempo_expires_at"] = "2099-01-31T00:00:00Z".into();
            secret["jira_expires_at"] = "2099-01-31T00:00:00Z".into();
        });
    }
}

fn secret(bench: &Bench, site: &str, change: impl FnOnce(&mut Value)) {
    let path = bench.path(&format!("{site}.json"));
    let mut secret: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut secret);
    std::fs::write(path, secret.to_string()).unwrap();
}

fn public(bench: &Bench, url: &str) {
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        path,
        text.replacen("[engine]\n", &format!("[engine]\npublic_url = \"{url}\"\n"), 1),
    )
    .unwrap();
}

fn doctor(bench: &Bench) -> Ran {
    bench.run(&["doctor", "--json"])
}

/// A healthy world, with webhooks that arrive.
fn healthy() -> (Bench, Serving) {
    let bench = lived_in();
    let serving = bench.serve();
    public(&bench, &serving.url);
    (bench, serving)
}

#[test]
fn a_healthy_world_needs_nobody() {
    let (bench, _serving) = healthy();
    let ran = doctor(&bench).ended(0);
    for (key, what) in found(&ran) {
        assert_eq!(key.2, "ok", "{key:?}: {what}");
    }
    for check in [
        "address",
        "clock",
        "tempo-token",
        "token-expiry",
        "jira-token",
        "permissions",
        "others-time",
        "authors",
        "reachable",
        "jira-webhook",
        "tempo-webhooks",
        "links",
        "attributes",
        "rules",
        "audit-trail",
        "periods",
    ] {
        for site in ["acme", "globex"] {
            let key = (site.to_owned(), check.to_owned(), "ok".to_owned());
            assert!(
                found(&ran).iter().any(|(of, _)| *of == key),
                "{check} of {site} was not looked at"
            );
        }
    }
    let shown = bench.run(&["doctor", "--site", "acme"]).ended(0);
    let sites: Vec<_> = shown
        .out
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    assert!(
        sites.len() > 10 && sites.iter().all(|site| *site == "acme"),
        "{shown:?}"
    );
    bench
        .run(&["doctor", "--site", "nobody"])
        .ended(2)
        .says("acme, globex");
    bench
        .run(&["doctor", "--connection", "nobody"])
        .ended(2)
        .says("acme-globex");
}

#[test]
fn secrets_that_say_nothing_of_their_end_on_sites_that_are_well_need_nobody() {
    let (bench, _serving) = healthy();
    for site in ["acme", "globex"] {
        secret(&bench, site, |secret| {
            let fields = secret.as_object_mut().unwrap();
            fields.retain(|field, _| !field.ends_with("_expires_at"));
        });
    }
    // A stand-in on this machine calls itself as the site does.
    bench.globex().set_jira_base("https://globex.atlassian.net");
    let ran = doctor(&bench).ended(0);
    for (token, field) in [
        ("token-expiry", "tempo_expires_at"),
        ("jira-token-expiry", "jira_expires_at"),
    ] {
        tells(&ran, "acme", token, "unknown", field);
    }
    let address = ("globex".to_owned(), "address".to_owned(), "ok".to_owned());
    assert!(found(&ran).iter().any(|(of, _)| *of == address), "{ran:?}");
}

#[test]
fn webhooks_that_are_missing_switched_off_or_lead_nowhere_are_told() {
    let (bench, serving) = healthy();
    let url = serving.url.clone();
    drop(serving);
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "reachable", "fail", "public_url");
    public(&bench, "https://nowhere.invalid");
    // Two lines of the same key would be no TOML.
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&format!("public_url = \"{url}\"\n"), "")).unwrap();
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "reachable", "fail", "nowhere.invalid");
    tells(&ran, "acme", "jira-webhook", "fail", "tandem connect");
    tells(
        &ran,
        "globex",
        "tempo-webhooks",
        "fail",
        "worklog.created, worklog.updated, worklog.deleted",
    );
    bench.globex().configure(|spec| spec.service.admin = false);
    secret(&bench, "acme", |secret| {
        secret["jira_webhook_secrets"] = serde_json::json!([])
    });
    let ran = doctor(&bench).ended(3);
    tells(&ran, "globex", "jira-webhook", "unknown", "administers Jira");
    tells(&ran, "acme", "webhook-secrets", "fail", "jira_webhook_secrets");
}

#[test]
fn a_token_that_ended_is_told_once_and_what_it_hides_is_unknown() {
    let bench = lived_in();
    bench.acme().expire_tempo_tokens();
    bench.globex().replace_jira_token("another");
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "tempo-token", "fail", "API integration");
    tells(&ran, "globex", "jira-token", "fail", "id.atlassian.com");
    let unknown = |site: &str, check: &str| {
        let key = (site.to_owned(), check.to_owned(), "unknown".to_owned());
        found(&ran).iter().any(|(of, _)| *of == key)
    };
    assert!(unknown("acme", "others-time") && unknown("acme", "rules") && unknown("globex", "links"));
    // The rest is looked at all the same.
    let ok = ("globex".to_owned(), "tempo-token".to_owned(), "ok".to_owned());
    assert!(found(&ran).iter().any(|(of, _)| *of == ok), "{ran:?}");
    // Nobody else is to meet that token again and again for it.
    let rejected = bench
        .sim
        .requests()
        .iter()
        .filter(|asked| asked.status == 401)
        .count();
    assert!(rejected <= 2, "{rejected} requests with rejected credentials");
    assert!(
        !ran.out.contains("calls itself otherwise") && !ran.out.contains("could not be looked at"),
        "{}",
        ran.out
    );
}

#[test]
fn secrets_and_their_last_days_are_looked_at() {
    let bench = lived_in();
    let soon = Timestamp::now() + SignedDuration::from_hours(5 * 24);
    secret(&bench, "acme", |secret| {
        secret["tempo_expires_at"] = soon.to_string().into()
    });
    secret(&bench, "globex", |secret| {
        drop(secret.as_object_mut().unwrap().remove("tempo_expires_at"));
        secret["jira_expires_at"] = soon.to_string().into();
    });
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "token-expiry", "warn", "tempo_expires_at");
    let fine = ("acme".to_owned(), "jira-token-expiry".to_owned(), "ok".to_owned());
    assert!(found(&ran).iter().any(|(of, _)| *of == fine), "{ran:?}");
    tells(&ran, "globex", "token-expiry", "unknown", "not recorded");
    tells(&ran, "globex", "jira-token-expiry", "warn", "jira_expires_at");
    secret(&bench, "globex", |secret| {
        drop(secret.as_object_mut().unwrap().remove("jira_expires_at"))
    });
    let ran = doctor(&bench).ended(3);
    tells(&ran, "globex", "jira-token-expiry", "unknown", "not recorded");
    std::fs::remove_file(bench.path("globex.json")).unwrap();
    let ran = doctor(&bench).ended(3);
    tells(&ran, "globex", "secret", "fail", "globex.json");
    tells(&ran, "acme", "token-expiry", "warn", "days");
}

#[test]
fn permissions_that_are_missing_are_named_by_project() {
    let bench = lived_in();
    bench
        .globex()
        .set_permission(Some("DEV"), Permission::EditAll, false);
    bench
        .globex()
        .set_permission(Some("DEV"), Permission::SetBillable, false);
    bench
        .acme()
        .set_permission(Some("SUP"), Permission::ViewAll, false);
    let ran = doctor(&bench).ended(3);
    tells(
        &ran,
        "globex",
        "permissions",
        "fail",
        "lacks Edit All Worklogs, Set Billable Hours in project DEV",
    );
    tells(
        &ran,
        "acme",
        "permissions",
        "fail",
        "lacks View All Worklogs in project SUP",
    );
    // Seen, not believed: Jira shows what Tempo does not.
    tells(
        &ran,
        "acme",
        "others-time",
        "fail",
        "Jira shows 1 worklog where Tempo shows 0",
    );
    bench
        .globex()
        .set_permission(Some("DEV"), Permission::Browse, false);
    let ran = doctor(&bench).ended(3);
    tells(&ran, "globex", "links", "fail", "DEV-1");
    tells(
        &ran,
        "globex",
        "permissions",
        "fail",
        "Browse Projects in project DEV",
    );
}

#[test]
fn attributes_and_rules_that_will_refuse_a_write_are_told() {
    let bench = Bench::with(
        "[connections.attributes]\nmap = [{ a = \"_Activity_\", b = \"_Gone_\" }, { a = \"_Kind_\", b = \"_Type_\", values = [[\"dev\", \"nope\"]] }]\n",
    );
    bench.acme().configure(|spec| {
        spec.attributes.push(AttributeSpec::new(
            "_Activity_",
            "Activity",
            AttributeKind::InputField,
        ));
        spec.attributes
            .push(AttributeSpec::new("_Kind_", "Kind", AttributeKind::InputField));
    });
    bench.globex().configure(|spec| {
        spec.attributes
            .push(AttributeSpec::new("_Customer_", "Customer", AttributeKind::InputField).required());
        spec.attributes.push(
            AttributeSpec::new("_Type_", "Type", AttributeKind::StaticList)
                .required()
                .value("1", "Development"),
        );
        spec.configuration.max_hours_per_day = Some(8);
        spec.configuration.description_optional = false;
        spec.configuration.days_into_future = Some(1);
        spec.configuration.start_times_enabled = false;
    });
    let ran = doctor(&bench).ended(3);
    tells(
        &ran,
        "globex",
        "attributes",
        "fail",
        "_Customer_ (Customer) is required and not mapped",
    );
    tells(
        &ran,
        "globex",
        "attributes",
        "fail",
        "_Gone_ is mapped, but the site has no such attribute",
    );
    tells(
        &ran,
        "globex",
        "attributes",
        "warn",
        "_Type_ (Type) is required, and what it is mapped from may be empty",
    );
    tells(
        &ran,
        "globex",
        "attributes",
        "fail",
        "`nope` is no value of _Type_",
    );
    for words in [
        "more than 8 hours a day",
        "at most 1 days ahead",
        "demands a description",
        "no start times",
    ] {
        tells(&ran, "globex", "rules", "warn", words);
    }
}

#[test]
fn authors_whom_the_other_site_does_not_know_and_issues_that_are_gone_are_told() {
    let bench = lived_in();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut content = hour("zoe", "alone");
    content.start_date = today;
    bench.acme().log_time("SUP-1", content).unwrap();
    bench.globex().delete_issue("bob", "DEV-2").unwrap();
    let ran = doctor(&bench).ended(3);
    tells(
        &ran,
        "acme",
        "authors",
        "fail",
        "Zoe Zimmer (zoe); their time waits",
    );
    tells(
        &ran,
        "globex",
        "links",
        "fail",
        "1 linked issue gone or cannot be seen by the service user: DEV-2",
    );
    // The same address on both sites makes them one.
    bench
        .acme()
        .put_user(UserSpec::new("zoe", "Zoe Zimmer").visible_email("zoe@people.example"));
    bench
        .globex()
        .put_user(UserSpec::new("z2", "Z. Zimmer").visible_email("zoe@people.example"));
    let ran = doctor(&bench).ended(3);
    assert!(
        found(&ran)
            .iter()
            .any(|(of, what)| of.1 == "authors" && of.2 == "ok" && what.contains("by e-mail")),
        "{ran:?}"
    );
}

#[test]
fn timesheets_that_are_closed_on_one_side_alone_and_a_hidden_audit_trail_are_told() {
    let bench = lived_in();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let long_ago = today.saturating_sub(jiff::Span::new().days(60));
    bench.globex().close_period(long_ago, today);
    bench.globex().configure(|spec| spec.papertrail = false);
    let ran = doctor(&bench).ended(3);
    tells(
        &ran,
        "globex",
        "periods",
        "warn",
        "closed here, but open on acme: Ann Archer",
    );
    tells(&ran, "globex", "audit-trail", "warn", "Jira's feed alone");
    let ok = |ran: &Ran, site: &str, check: &str| {
        let key = (site.to_owned(), check.to_owned(), "ok".to_owned());
        found(ran).iter().any(|(of, _)| *of == key)
    };
    assert!(
        ok(&ran, "acme", "periods") && ok(&ran, "acme", "audit-trail"),
        "{ran:?}"
    );
    // One site alone needs the other's people all the same.
    let alone = bench.run(&["doctor", "--json", "--site", "globex"]).ended(3);
    tells(&alone, "globex", "periods", "warn", "open on acme");
    // Closed on both sides, nothing comes from there.
    bench.acme().close_period(long_ago, today);
    let ran = doctor(&bench).ended(3);
    assert!(ok(&ran, "globex", "periods"), "{ran:?}");
}

#[test]
fn somebody_without_a_timesheet_hides_nobody_elses() {
    let bench = lived_in();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut content = hour("bob", "has no timesheet");
    content.start_date = today;
    bench.acme().log_time("SUP-1", content).unwrap();
    let long_ago = today.saturating_sub(jiff::Span::new().days(60));
    bench.globex().close_period(long_ago, today);
    // Of the two who logged today, Bob is asked for first.
    bench.globex().fail_next(
        Matcher::tempo("GET", "/4/timesheet-approvals/user/{accountId}"),
        Fault::LostBefore(FaultOutcome::Status(404)),
    );
    let ran = doctor(&bench).ended(3);
    tells(&ran, "globex", "periods", "warn", "open on acme: Ann Archer");
    assert!(
        !found(&ran)
            .iter()
            .any(|(of, what)| of.1 == "periods" && what.contains("Bob")),
        "{ran:?}"
    );
}

#[test]
fn alerts_that_would_reach_nobody_are_told() {
    let with = |how: &str| {
        let bench = Bench::with(&format!("[alerts]\n{how}\n"));
        live(&bench);
        bench
    };
    let tells = |ran: &Ran, state: &str, words: &str| {
        let found = found(ran);
        let of = |(of, what): &&((String, String, String), String)| of.1 == "alerts" && what.contains(words);
        let said = found.iter().find(of);
        assert!(
            said.is_some_and(|(of, _)| of.2 == state),
            "no {state} with {words:?}: {found:#?}"
        );
    };
    let bench = with("webhook = \"env:NO_SUCH_CHAT\"\ncommand = [\"no-such-program\", \"-x\"]");
    let ran = doctor(&bench).ended(3);
    tells(
        &ran,
        "fail",
        "the secret of [alerts] (env:NO_SUCH_CHAT) cannot be read: the variable is not set",
    );
    tells(&ran, "fail", "there is no program `no-such-program`");
    let shown = bench.run(&["doctor"]).ended(3).out;
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("FAIL") && line.contains("alerts")),
        "{shown}"
    );
    let of_a_site = bench.run(&["doctor", "--json", "--site", "acme"]).ended(0);
    assert!(!of_a_site.out.contains("alerts"), "{of_a_site:?}");

    let bench = with("webhook = \"file:chat.txt\"");
    std::fs::write(bench.path("chat.txt"), "ftp://hush.example\n").unwrap();
    let ran = doctor(&bench).ended(3);
    tells(&ran, "fail", "the secret of [alerts]: this address is not https");
    assert!(
        !ran.out.contains("hush"),
        "the address is as good as a password: {ran:?}"
    );
    std::fs::write(bench.path("chat.txt"), "http://127.0.0.1:9/hush\n").unwrap();
    tells(&doctor(&bench).ended(0), "ok", "nothing was sent");
}

#[cfg(unix)]
#[test]
fn a_program_for_alerts_that_nobody_may_run_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::with("[alerts]\ncommand = [\"PROGRAM\"]\n");
    live(&bench);
    let program = bench.path("notify");
    let file = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("PROGRAM", program.to_str().unwrap())).unwrap();
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let says = |mode: u32, code: i32, words: &str| {
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        let ran = doctor(&bench).ended(code);
        assert!(ran.out.contains(words), "no {words:?} in {ran:?}");
    };
    says(0o644, 3, "notify is not executable");
    says(0o755, 0, "it was not run");
}

/// A clock beside the machine's.
struct Beside(SignedDuration);

impl SimClock for Beside {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

#[test]
fn clocks_that_differ_are_told() {
    let bench = Bench::at(Arc::new(Beside(SignedDuration::from_mins(7))), "");
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "clock", "fail", "ahead of ours");
}

#[test]
fn a_probe_that_fails_is_a_line_and_ends_nothing() {
    let bench = lived_in();
    let down = Fault::LostBefore(FaultOutcome::Status(503));
    bench
        .acme()
        .fail_next(Matcher::tempo("GET", "/4/globalconfiguration"), down);
    bench
        .acme()
        .fail_next(Matcher::jira("GET", "/rest/api/3/permissions"), down);
    let ran = doctor(&bench).ended(3);
    tells(&ran, "acme", "tempo-token", "warn", "could not be looked at");
    tells(
        &ran,
        "acme",
        "tempo-permissions",
        "warn",
        "run `tandem doctor` again",
    );
    let ok = ("acme".to_owned(), "permissions".to_owned(), "ok".to_owned());
    assert!(found(&ran).iter().any(|(of, _)| *of == ok), "{ran:?}");
}

#[test]
fn nothing_to_be_seen_at_all_is_a_failure() {
    let directory = tempfile::TempDir::new().unwrap();
    let config = config_at(
        directory.path(),
        "[sites.acme]\njira = \"http://127.0.0.1:1\"\ntempo = \"http://127.0.0.1:1\"\nsecret = \"env:NOT_SET_A\"\n[sites.globex]\njira = \"http://127.0.0.1:2\"\ntempo = \"http://127.0.0.1:2\"\nsecret = \"env:NOT_SET_B\"\n[[connections]]\nname = \"x\"\na = \"acme\"\nb = \"globex\"\n",
    );
    let ran = run(tandem()
        .args(["doctor", "--json", "--config"])
        .arg(config)
        .env("TANDEM_ALLOW_LOOPBACK", "1"));
    tells(&ran, "acme", "address", "fail", "does not answer");
    tells(&ran, "globex", "secret", "fail", "NOT_SET_B");
    ran.ended(1).says("no site gave any answer");
}

#[test]
fn what_the_configuration_names_and_is_not_there_is_told() {
    let bench = Bench::with("[connections.authors]\nunknown = \"account:nope\"\n");
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "since = \"2026-01-01\"\n",
        "since = \"2026-01-01\"\nscope = { a = \"project = NOWHERE\", b = \"project = DEV\" }\n",
    );
    let text = text.replace(
        "from = [\"table\"]",
        "from = [\"table\", \"field\"]\nfield = { a = \"customfield_99\" }",
    );
    std::fs::write(&path, text).unwrap();
    let found = bench.run(&["doctor", "--json"]).ended(3).json();
    let state = |check: &str, site: &str| {
        let all = found.as_array().unwrap().iter();
        let mut of = all.filter(|one| one["check"] == check && one["site"] == site);
        of.next().unwrap_or_else(|| panic!("{check} of {site}: {found}"))["state"].clone()
    };
    assert_ne!(state("scope", "acme"), "ok");
    assert_eq!(state("scope", "globex"), "ok");
    assert_ne!(state("link-field", "acme"), "ok");
    assert_eq!(state("stand-in", "acme"), "fail");
}

#[test]
fn what_was_not_read_of_a_large_site_is_told() {
    let bench = lived_in();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for number in 0..12 {
        let mut content = hour("ann", &format!("entry {number}"));
        content.start_date = today;
        bench.acme().log_time("SUP-1", content).unwrap();
    }
    bench.acme().configure(|spec| spec.page_max = 1);
    let ran = doctor(&bench);
    for check in ["others-time", "authors"] {
        tells(&ran, "acme", check, "unknown", "than the 10 pages that were read");
    }
}

#[test]
fn strangers_on_a_site_on_which_nothing_is_linked_are_no_failure() {
    let bench = Bench::new();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut content = hour("zoe", "alone");
    content.start_date = today;
    bench.acme().log_time("SUP-4", content).unwrap();
    let ran = doctor(&bench);
    tells(
        &ran,
        "acme",
        "authors",
        "unknown",
        "1 author of late on the whole site (nothing is linked yet) not known on globex: Zoe Zimmer (zoe)",
    );
}
