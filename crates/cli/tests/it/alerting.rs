//! People are told what needs them: once, in a line with what to do, and without harm when they cannot be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::bench::{Bench, hour, wait};

/// Somebody's chat, which keeps what it is told.
struct Chat {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Chat {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/services/hush", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                ears.lock()
                    .unwrap()
                    .push(body["text"].as_str().unwrap().to_owned());
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                    .unwrap();
            }
        });
        Self { url, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn alerts(how: &str) -> Bench {
    Bench::with(&format!("[alerts]\n{how}\n"))
}

#[test]
fn what_waits_is_told_once_and_again_when_it_comes_again() {
    let chat = Chat::open();
    let bench = alerts(&format!("webhook = \"{}\"", chat.url));
    bench.reconcile();
    assert!(chat.heard().is_empty(), "{:?}", chat.heard());
    let zoes = bench
        .acme()
        .log_time("SUP-1", hour("zoe", "private words"))
        .unwrap();
    for _ in 0..3 {
        bench.run(&["reconcile"]).ended(3);
    }
    let heard = chat.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("acme-globex: 1 item waits as author-unmapped → Add the pair of accounts"));
    assert!(!heard[0].contains("private words"));
    // One more of them is no news; twice as many are, and another reason is.
    bench.acme().log_time("SUP-2", hour("zoe", "more")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(chat.heard().len(), 2);
    assert!(chat.heard()[1].contains("2 items wait"));
    bench.acme().delete(zoes).unwrap();
    let other = bench.acme().worklogs_of("SUP-2")[0].id;
    bench.acme().delete(other).unwrap();
    bench.reconcile();
    bench.acme().log_time("SUP-1", hour("zoe", "again")).unwrap();
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(chat.heard().len(), 3);
}

#[test]
fn a_paused_site_and_a_token_that_runs_out_are_told_in_one_message() {
    let chat = Chat::open();
    let bench = alerts(&format!("webhook = \"{}\"", chat.url));
    let path = bench.path("globex.json");
    let mut secret: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(60);
    secret["tempo_expires_at"] = soon.to_string().into();
    std::fs::write(&path, secret.to_string()).unwrap();
    bench.acme().expire_tempo_tokens();
    bench.run(&["reconcile"]);
    bench.run(&["reconcile"]);
    let status = bench.run(&["status"]).ended(3).out;
    assert!(
        status.contains("paused") && status.contains("\nacme: "),
        "no advice: {status}"
    );
    let heard = chat.heard().join("\n");
    assert!(heard.contains("acme is paused since"), "{heard}");
    assert!(
        heard.contains("Tempo's token of globex ends on") && heard.contains("in 2 days"),
        "{heard}"
    );
    assert_eq!(heard.matches("is paused since").count(), 1, "{heard}");
    assert_eq!(heard.matches("ends on").count(), 1, "{heard}");
}

#[test]
fn a_chat_that_is_down_fails_nothing_and_hears_of_it_later() {
    let bench = alerts("webhook = \"file:chat.txt\"");
    std::fs::write(bench.path("chat.txt"), "http://127.0.0.1:9/services/hush\n").unwrap();
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    let ran = bench.run(&["reconcile"]).ended(3).says("Could not send an alert");
    assert!(
        !ran.err.contains("hush") && !ran.err.contains("127.0.0.1:9"),
        "the address is as good as a password: {ran:?}"
    );
    let chat = Chat::open();
    std::fs::write(bench.path("chat.txt"), &chat.url).unwrap();
    bench.run(&["reconcile"]).ended(3);
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(chat.heard().len(), 1);
}

#[test]
fn an_address_that_is_not_where_it_should_be_is_told_as_that_of_the_alerts() {
    let bench = alerts("webhook = \"env:NO_SUCH_CHAT\"");
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    bench
        .run(&["reconcile"])
        .ended(3)
        .says("the secret of [alerts] (env:NO_SUCH_CHAT) cannot be read");
}

#[cfg(unix)]
#[test]
fn a_program_gets_the_text_and_may_fail_without_harm() {
    let bench = alerts("command = [\"/bin/sh\", \"-c\", \"cat >> heard.txt; exit 0\"]");
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    let mut command = bench.command(&["reconcile"]);
    crate::bench::run(command.current_dir(bench.directory.path())).ended(3);
    let heard = std::fs::read_to_string(bench.path("heard.txt")).unwrap();
    assert!(heard.contains("1 item waits as author-unmapped"), "{heard}");

    let bench = alerts("command = [\"/bin/sh\", \"-c\", \"exit 7\"]");
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    bench
        .run(&["reconcile"])
        .ended(3)
        .says("Could not hand an alert to `/bin/sh`");
}

#[cfg(unix)]
#[test]
fn a_program_that_is_called_does_not_learn_what_the_environment_holds_in_secret() {
    let bench = alerts(
        "webhook = \"env:CHAT_OF_THE_TEST\"\ncommand = [\"/bin/sh\", \"-c\", \"echo $CHAT_OF_THE_TEST,$KEPT > heard.txt\"]",
    );
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    let mut command = bench.command(&["reconcile"]);
    command
        .env("CHAT_OF_THE_TEST", "http://127.0.0.1:9/planted")
        .env("KEPT", "kept");
    crate::bench::run(command.current_dir(bench.directory.path())).ended(3);
    let heard = std::fs::read_to_string(bench.path("heard.txt")).unwrap();
    assert_eq!(heard, ",kept\n");
}

#[test]
fn serve_tells_people_after_its_sweep() {
    let chat = Chat::open();
    let bench = alerts(&format!("webhook = \"{}\"", chat.url));
    bench.acme().log_time("SUP-1", hour("zoe", "waits")).unwrap();
    let serving = bench.serve_quietly();
    wait("an alert", || {
        chat.heard().iter().any(|text| text.contains("author-unmapped"))
    });
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn what_an_audit_alone_finds_is_told_once_however_much_it_is() {
    let chat = Chat::open();
    let bench = alerts(&format!("webhook = \"{}\"", chat.url));
    bench.reconcile();
    // More than the last two hundred lines of the history.
    for number in 0..230 {
        let issue = format!("SUP-{}", 1 + number % 2);
        bench
            .acme()
            .log_time(&issue, hour("ann", &format!("untold {number}")))
            .unwrap();
    }
    bench.run(&["reconcile", "--pass", "audit"]).ended(0);
    bench.reconcile();
    let heard = chat.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].contains("an audit found and repaired 230 differences"),
        "{heard:?}"
    );
    // What a sweep finds is no drift.
    bench.next_second();
    bench.acme().log_time("SUP-1", hour("ann", "swept")).unwrap();
    bench.reconcile();
    assert!(bench.alike("SUP-1", "DEV-1", 116));
    assert_eq!(chat.heard().len(), 1, "{:?}", chat.heard());
}

#[test]
fn webhooks_that_nobody_has_registered_are_told_once() {
    let chat = Chat::open();
    let bench = alerts(&format!("webhook = \"{}\"", chat.url));
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let with_url = text.replace("[engine]\n", "[engine]\npublic_url = \"http://127.0.0.1:9\"\n");
    std::fs::write(&path, with_url).unwrap();
    // A token that may not see any, either.
    let lost = Fault::LostBefore(FaultOutcome::Status(403));
    bench
        .globex()
        .fail_next(Matcher::tempo("GET", "/4/webhooks/subscriptions"), lost);
    bench.run(&["reconcile"]).ended(0);
    bench.run(&["reconcile"]).ended(0);
    let heard = chat.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].contains("Tempo tells of no worklog.created, worklog.updated, worklog.deleted on acme"),
        "{heard:?}"
    );
    assert!(
        heard[0].contains("Tempo's token of globex may not see its subscriptions"),
        "{heard:?}"
    );
}
