//! Every command on a table as AWS has them: requests that are signed and sent, and answered as DynamoDB does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;

use tandem_sim::{Content, UserSpec};

use crate::bench::{Bench, Ran, fed, hour, run, tandem};

/// Commands that have nothing to do with a table.
const WITHOUT_A_TABLE: [&str; 6] = ["completions", "demo", "help", "init", "man", "secrets"];

/// A bench, and which commands were run on it.
struct Story {
    bench: Bench,
    told: RefCell<BTreeSet<String>>,
}

impl Story {
    fn run(&self, arguments: &[&str]) -> Ran {
        self.told.borrow_mut().insert(arguments[0].to_owned());
        self.bench.run(arguments)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.bench.path(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path.display().to_string()
    }

    #[track_caller]
    fn reconcile(&self, code: i32) {
        self.run(&["reconcile"]).ended(code);
    }

    /// The id of the only thing that waits.
    #[track_caller]
    fn waiting(&self, reason: &str) -> String {
        let queue = self.run(&["queue", "--json"]).ended(3).json();
        assert_eq!(queue.as_array().unwrap().len(), 1, "{queue}");
        assert_eq!(queue[0]["reason"], reason, "{queue}");
        queue[0]["id"].as_str().unwrap().to_owned()
    }
}

/// What `--help` names.
fn commands() -> BTreeSet<String> {
    let help = run(tandem().arg("--help")).ended(0).out;
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    listed
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// What the deployment's guide has an operator's policy allow on the table.
fn documented() -> BTreeSet<String> {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, policy) = guide.split_once("## Permissions in AWS").unwrap();
    let (_, policy) = policy.split_once("```json\n").unwrap();
    let (policy, _) = policy.split_once("\n```").unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let table = statements.iter().find(|one| one["Sid"] == "Table").unwrap();
    let actions = table["Action"].as_array().unwrap();
    actions
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

fn saying(text: &str) -> impl Fn(&mut Content) {
    move |content| content.description = Some(text.to_owned())
}

#[test]
fn every_command_works_on_a_table_in_aws() {
    let policy = "[connections.policy]\nconflict = \"park\"\nmass_delete = { max = 2, within = \"1h\" }\n";
    let story = Story {
        bench: Bench::on_a_table(policy),
        told: RefCell::default(),
    };
    let bench = &story.bench;

    // A configuration, a second one, and back.
    assert_eq!(story.run(&["publish"]).ended(0).out, "version 1\n");
    let config = bench.path("tandem.toml");
    let first = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{first}# another\n")).unwrap();
    assert_eq!(story.run(&["publish"]).ended(0).out, "version 2\n");
    assert_eq!(story.run(&["rollback", "1"]).ended(0).out, "version 3\n");
    assert_eq!(story.run(&["versions", "--show", "3"]).ended(0).out, first);

    // What belongs together.
    story.run(&["link", "add", "SUP-3", "DEV-3"]).ended(0);
    let links = story.file("links.csv", "SUP-4,DEV-4\nSUP-99,DEV-99\n");
    story.run(&["link", "import", &links]).ended(3);
    story.run(&["link", "rm", "SUP-3", "DEV-3"]).ended(0);
    let listed = story.run(&["link", "list", "--json"]).ended(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    story.run(&["link", "discover"]).ended(0);
    bench.globex().put_user(UserSpec::new("zoe-there", "Zoe There"));
    let people = story.file("people.csv", "zoe,zoe-there\n");
    story.run(&["users", "import", &people]).ended(0);

    // A look, a first sync, and the books.
    let old = Content::new("ann", "2024-05-06", "09:00:00", 3600).text("years ago");
    bench.acme().log_time("SUP-1", old).unwrap();
    let zoes = bench.acme().log_time("SUP-1", hour("zoe", "of zoe")).unwrap();
    let planned = story.run(&["plan", "--json"]).ended(3).json();
    assert_eq!(planned["steps"].as_array().unwrap().len(), 1, "{planned}");
    assert!(bench.said("globex", "DEV-1").is_empty());
    story.run(&["backfill", "--since", "2024-01-01"]).ended(0);
    story.reconcile(0);
    assert!(bench.alike("SUP-1", "DEV-1", 2));
    story.run(&["verify", "--from", "2024-01-01"]).ended(0);
    assert_eq!(bench.globex().worklogs_of("DEV-1").len(), 2);
    let created = story.run(&["history", "SUP-1", "--json"]).ended(0).json();
    assert!(created.as_array().unwrap().len() >= 2, "{created}");
    let doctor = story.run(&["doctor", "--json"]).ended(0).json();
    assert!(!doctor.as_array().unwrap().is_empty(), "{doctor}");

    // A conflict that a person decides.
    let twin = bench
        .globex()
        .worklogs_of("DEV-1")
        .into_iter()
        .find(|worklog| worklog.author == "zoe-there")
        .unwrap();
    bench.acme().edit(zoes, saying("from a")).unwrap();
    bench.globex().edit(twin.id, saying("from b")).unwrap();
    story.reconcile(3);
    let item = story.waiting("conflict");
    story.run(&["resolve", &item, "--take", "b"]).ended(0);
    story.reconcile(0);
    let said = bench.said("acme", "SUP-1");
    assert!(said.iter().any(|(text, ..)| text == "from b"), "{said:?}");

    // Something that waits, is tried again, and is set aside.
    bench.globex().put_user(UserSpec::new("pat-there", "Pat There"));
    bench
        .globex()
        .log_time("DEV-2", hour("pat-there", "of pat"))
        .unwrap();
    story.reconcile(3);
    let item = story.waiting("author-unmapped");
    story.run(&["retry", &item]).ended(0);
    story.reconcile(3);
    story.run(&["ignore", &item]).ended(0);
    story.run(&["queue"]).ended(0);
    story.run(&["status"]).ended(0);

    // Deletes, the brake, and one back.
    let ids: Vec<u64> = (0..4)
        .map(|n| {
            let content = hour("ann", &format!("one of {n}"));
            bench.acme().log_time("SUP-2", content).unwrap()
        })
        .collect();
    story.reconcile(0);
    for id in ids {
        bench.acme().delete(id).unwrap();
    }
    story.reconcile(3);
    story.run(&["release", "mass-delete"]).ended(0);
    story.reconcile(0);
    let deletes = story.run(&["history", "SUP-2", "--json"]).ended(0).json();
    let deleted = deletes.as_array().unwrap().iter().rev();
    let delete = deleted.into_iter().find(|line| line["op"] == "delete").unwrap();
    let delete = delete["id"].as_str().unwrap();
    story.run(&["undelete", delete]).ended(0);
    story.reconcile(0);
    assert_eq!(bench.said("acme", "SUP-2").len(), 1);

    // Webhooks, a process that stays, and a person who leaves.
    story
        .run(&["connect", "--list", "--url", "https://tandem.example.org"])
        .ended(0);
    story.told.borrow_mut().insert("serve".into());
    let serving = bench.serve();
    bench
        .acme()
        .log_time("SUP-1", hour("bob", "told at once"))
        .unwrap();
    crate::bench::wait("what a webhook told", || bench.alike("SUP-1", "DEV-1", 3));
    drop(serving);
    let forgotten = fed(&mut bench.command(&["forget", "nobody", "--yes"]), "");
    story.told.borrow_mut().insert("forget".into());
    forgotten.ended(0);

    // Whoever runs all this is to need what the guide says, and no more.
    assert_eq!(bench.amazon().needed(), documented(), "docs/deploy.md");

    let mut told = story.told.take();
    told.extend(WITHOUT_A_TABLE.map(str::to_owned));
    assert_eq!(
        told,
        commands(),
        "commands that are run here, and those that there are"
    );
}
