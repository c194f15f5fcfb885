//! What is personal or secret is planted, and looked for in what `serve` logs at its most talkative level.

use std::collections::BTreeSet;

use tandem_sim::{Content, Fault, FaultOutcome, Matcher, UserSpec};

use crate::bench::{Bench, wait};

const ACCOUNT: &str = "5f0a-plantagenet";

fn entry(text: &str) -> Content {
    Content::new(ACCOUNT, "2026-03-02", "13:30:00", 3600).text(text)
}

#[test]
fn serve_logs_no_person_no_text_and_no_secret() {
    let bench = Bench::new();
    let person = || {
        UserSpec::new(ACCOUNT, "Zedekiah Plantagenet").visible_email("zedekiah.plantagenet@initech.example")
    };
    bench.acme().put_user(person());
    bench.globex().put_user(person());
    let log = bench.path("log");
    let serving = bench.serve_logging("trace", &log);
    let read = || std::fs::read_to_string(&log).unwrap();

    let id = bench.acme().log_time("SUP-1", entry("the merger")).unwrap();
    wait("it crosses", || bench.alike("SUP-1", "DEV-1", 1));
    bench.globex().set_workers("DEV", Some(BTreeSet::new()));
    bench.sim.fail_next(
        "globex",
        Matcher::any(),
        Fault::LostBefore(FaultOutcome::Status(500)),
    );
    bench
        .acme()
        .log_time("SUP-1", entry("the merger, refused"))
        .unwrap();
    wait("it is refused", || read().contains("refused"));
    let detail = bench.run(&["queue"]).out;
    assert!(
        detail.contains("plantagenet"),
        "the site named nobody, so nothing is shown by this: {detail}"
    );
    bench.acme().expire_tempo_tokens();
    bench.acme().delete(id).unwrap();
    wait("the token is rejected", || {
        read().contains("paused") || read().contains("401")
    });
    assert_eq!(serving.stop(), Some(0));

    let log = read();
    for planted in [
        "plantagenet",
        "Plantagenet",
        "Zedekiah",
        "merger",
        "tempo-acme",
        "tempo-globex",
        "jira-acme",
        "jira-globex",
        "secret-of-the-test",
        "tandem@acme.example",
    ] {
        let line = log.lines().find(|line| line.contains(planted));
        assert_eq!(line, None, "serve logs {planted}");
    }
}
