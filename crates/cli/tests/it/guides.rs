//! What the guides show is what happens: each command of each page, as written.

use std::collections::BTreeSet;

use tandem_sim::{Content, IssueSpec, UserSpec};

use crate::bench::{Bench, hour, wait};
use crate::guide::{Guide, commands, root};
use crate::vault::Vault;

/// Each page with commands, and the test that follows it.
const PAGES: [(&str, fn()); 7] = [
    ("README.md", the_readme_shows_what_can_be_started),
    ("docs/backfill.md", the_page_of_old_worklogs_leads_to_equal_books),
    (
        "docs/deploy.md",
        the_deployment_stores_secrets_publishes_and_connects,
    ),
    ("docs/doctor.md", the_doctors_page_finds_what_is_wrong),
    (
        "docs/first-sync.md",
        the_guide_to_a_first_sync_leads_to_equal_books,
    ),
    ("docs/operate.md", every_hand_that_the_daily_page_names_works),
    ("docs/verify.md", the_page_of_the_ledger_check_leaves_its_report),
];

/// The folder of the bench's table, where a page says `DIR`.
const DATA: (&str, &str) = ("--data DIR", "--data data");

#[test]
fn each_page_with_commands_is_followed_by_a_test() {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let pages = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let with_commands: BTreeSet<String> = pages
        .filter(|page| page.ends_with(".md"))
        .chain(["README.md".to_owned()])
        .filter(|page| !commands(&std::fs::read_to_string(root().join(page)).unwrap()).is_empty())
        .collect();
    let followed: BTreeSet<String> = PAGES.iter().map(|(page, _)| (*page).to_owned()).collect();
    assert_eq!(with_commands, followed);
}

/// What ended otherwise than with 0, as written here.
#[track_caller]
fn ended(codes: Vec<(String, i32)>, otherwise: &[(&str, i32)]) {
    let codes: Vec<(&str, i32)> = codes.iter().map(|(line, code)| (line.as_str(), *code)).collect();
    assert_eq!(codes, otherwise);
}

/// Two years of worklogs on both sites, on two pairs of issues that nothing says belong together and on one that a
/// remote link names.
fn with_years(bench: &Bench) {
    let url = format!("{}/browse/DEV-9", bench.jira("globex"));
    bench
        .acme()
        .add_issue(IssueSpec::new("SUP-9").remote_link("", url, "twin"));
    bench.globex().add_issue(IssueSpec::new("DEV-9"));
    for n in 0..60 {
        let (year, month, day) = (2024 + n / 30, 1 + n % 12, 1 + n % 28);
        let content = |author, text: &str| {
            let date = format!("{year}-{month:02}-{day:02}");
            Content::new(author, &date, "09:15:00", 1800 + i64::from(n) * 60).text(text)
        };
        bench
            .acme()
            .log_time("SUP-1", content("ann", "from here"))
            .unwrap();
        bench
            .globex()
            .log_time("DEV-2", content("bob", "from there").billable(0))
            .unwrap();
        bench
            .acme()
            .log_time("SUP-9", content("ann", "the same"))
            .unwrap();
        bench
            .globex()
            .log_time("DEV-9", content("ann", "the same"))
            .unwrap();
    }
    for (site, issue) in [("acme", "SUP-2"), ("globex", "DEV-1"), ("acme", "SUP-9")] {
        bench
            .sim
            .site(site)
            .log_time(issue, hour("bob", "this year"))
            .unwrap();
    }
}

/// Follows the guide to a first sync from an empty folder. Returns what did not end with 0.
fn first_sync(bench: &Bench) -> Vec<(String, i32)> {
    for file in ["tandem.toml", "acme.json", "globex.json"] {
        std::fs::remove_file(bench.path(file)).unwrap();
    }
    // All that is not as written: whose the sites are, and where.
    let (acme, globex, tempo) = (bench.jira("acme"), bench.jira("globex"), bench.tempo());
    let placeholders = [
        ("https://acme.atlassian.net", acme.trim_end_matches('/')),
        ("https://globex.atlassian.net", globex.trim_end_matches('/')),
        ("https://api.tempo.io", tempo.trim_end_matches('/')),
        ("127.0.0.1:8484", "127.0.0.1:0"),
        ("LAST-DAY", "2099-01-31"),
        DATA,
    ];
    let mut guide = Guide::open(bench, "docs/first-sync.md", &placeholders);
    for site in ["acme", "globex"] {
        let secret = guide
            .block("json")
            .replace("TEMPO-TOKEN", &format!("tempo-{site}"))
            .replace("EMAIL", &format!("tandem@{site}.example"))
            .replace("JIRA-TOKEN", &format!("jira-{site}"));
        std::fs::write(bench.path(&format!("{site}.json")), secret).unwrap();
    }
    std::fs::write(bench.path("links.csv"), guide.block("csv")).unwrap();
    guide.up_to("tandem serve");
    let books = std::fs::read_to_string(bench.path("books.html")).unwrap();
    assert!(books.contains("Ledger check: equal"), "{books}");
    // From here on it is kept so.
    guide.one();
    let before = bench.said("globex", "DEV-1").len();
    bench
        .acme()
        .log_time("SUP-1", hour("ann", "while it serves"))
        .unwrap();
    wait("what is logged while it serves", || {
        bench.sim.requests().len() > 1
            && bench.run(&["reconcile"]).code == 0
            && bench.said("globex", "DEV-1").len() == before + 1
    });
    guide.finish()
}

#[test]
fn the_guide_can_be_practised_on_sites_that_the_demo_makes() {
    let bench = Bench::new();
    for file in ["tandem.toml", "acme.json", "globex.json"] {
        std::fs::remove_file(bench.path(file)).unwrap();
    }
    let placeholders = [("127.0.0.1:8484", "127.0.0.1:0"), DATA];
    let mut guide = Guide::open(&bench, "docs/first-sync.md", &placeholders);
    let said = guide.beside("tandem demo --practice", "until Ctrl-C");
    for (sign, placeholder) in [
        ("acme's Jira", "https://acme.atlassian.net"),
        ("globex's Jira", "https://globex.atlassian.net"),
        ("Tempo of both", "https://api.tempo.io"),
    ] {
        let line = said.lines().find_map(|line| line.strip_prefix(sign)).unwrap();
        guide.fill(placeholder, line.trim());
    }
    guide.up_to("tandem serve");
    let books = std::fs::read_to_string(bench.path("books.html")).unwrap();
    assert!(books.contains("Ledger check: equal"), "{books}");
    ended(
        guide.codes(),
        &[
            ("tandem plan --data DIR", 3),
            ("tandem backfill --since 2024-01-01 --dry-run --data DIR", 3),
        ],
    );
    // Who practises again, does it in another folder: nothing is written over.
    let again = bench.run_without_data(&["demo", "--practice"]);
    again.ended(2).says("acme.json is there already");
}

#[test]
fn the_guide_to_a_first_sync_leads_to_equal_books() {
    let bench = Bench::new();
    with_years(&bench);
    ended(
        first_sync(&bench),
        &[
            ("tandem plan --data DIR", 3),
            ("tandem backfill --since 2024-01-01 --dry-run --data DIR", 3),
        ],
    );
    assert!(bench.alike("SUP-1", "DEV-1", 62));
    assert!(bench.alike("SUP-2", "DEV-2", 61));
    assert!(bench.alike("SUP-9", "DEV-9", 61));
}

#[test]
fn the_guide_to_a_first_sync_makes_no_second_copy_of_what_another_tool_copied() {
    let bench = Bench::new();
    for day in 1..=9 {
        let date = format!("2025-06-0{day}");
        let content = Content::new("ann", &date, "09:00:00", 3600).text("copied before");
        let original = content.clone().billable(1800);
        bench.acme().log_time("SUP-1", original).unwrap();
        let mut copy = content;
        copy.start_time = "12:00:00".parse().unwrap();
        bench.globex().log_time("DEV-1", copy).unwrap();
    }
    ended(
        first_sync(&bench),
        &[
            ("tandem backfill --since 2024-01-01 --dry-run --data DIR", 3),
            ("tandem backfill --since 2024-01-01 --data DIR", 2),
        ],
    );
    // What was copied, in its original's words, and what was logged at the end.
    assert!(bench.alike("SUP-1", "DEV-1", 10));
}

#[test]
fn the_page_of_old_worklogs_leads_to_equal_books() {
    let bench = Bench::new();
    for day in 1..=3 {
        let content = Content::new("ann", &format!("2024-03-0{day}"), "09:00:00", 3600).text("old");
        bench.acme().log_time("SUP-1", content).unwrap();
    }
    let guide = Guide::open(&bench, "docs/backfill.md", &[DATA]);
    ended(
        guide.finish(),
        &[("tandem backfill --since 2024-01-01 --dry-run --data DIR", 3)],
    );
    assert!(bench.alike("SUP-1", "DEV-1", 3));
}

#[test]
fn the_page_of_the_ledger_check_leaves_its_report() {
    let bench = Bench::new();
    bench.acme().log_time("SUP-1", hour("ann", "kept")).unwrap();
    bench.reconcile();
    std::fs::write(bench.path("books.csv"), "rows\n# sha256\n").unwrap();
    ended(Guide::open(&bench, "docs/verify.md", &[DATA]).finish(), &[]);
    let report = std::fs::read_to_string(bench.path("books.html")).unwrap();
    assert!(report.contains("Ledger check: equal"), "{report}");
}

#[test]
fn the_doctors_page_finds_what_is_wrong() {
    let bench = Bench::new();
    bench.acme().expire_tempo_tokens();
    let mut guide = Guide::open(&bench, "docs/doctor.md", &[DATA]);
    guide.up_to("tandem doctor --json");
    let found = guide.one().json();
    let of_acme = |check: &str| {
        let findings = found.as_array().unwrap();
        let one = findings
            .iter()
            .find(|one| one["site"] == "acme" && one["check"] == check);
        one.unwrap()["state"].clone()
    };
    assert_eq!(
        (of_acme("tempo-token"), of_acme("jira-token")),
        ("fail".into(), "ok".into())
    );
    let codes = guide.finish();
    assert!(
        codes.len() == 4 && codes.iter().all(|(_, code)| *code == 3),
        "{codes:?}"
    );
}

#[test]
fn the_readme_shows_what_can_be_started() {
    let bench = Bench::new();
    let placeholders = [
        ("cargo run -p tandem --", "tandem"),
        ("127.0.0.1:8484", "127.0.0.1:0"),
    ];
    // Both stay until the page is closed.
    ended(Guide::open(&bench, "README.md", &placeholders).finish(), &[]);
}

/// Says where webhooks arrive.
fn public(bench: &Bench, url: &str) {
    change(
        bench,
        "[engine]\n",
        &format!("[engine]\npublic_url = \"{url}\"\n"),
    );
}

/// Changes the bench's configuration in one place.
fn change(bench: &Bench, from: &str, to: &str) {
    let path = bench.path("tandem.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_deployment_stores_secrets_publishes_and_connects() {
    let bench = Bench::new();
    let vault = Vault::with(&["tandem/acme", "tandem/globex"]);
    let secret = |site: &str| std::fs::read_to_string(bench.path(&format!("{site}.json"))).unwrap();
    let secrets = [secret("acme"), secret("globex")];
    for site in ["acme", "globex"] {
        change(
            &bench,
            &format!("file:{site}.json"),
            &format!("aws:tandem/{site}"),
        );
    }
    // The table is in a folder, as every command can have it.
    let mut guide = Guide::open(&bench, "docs/deploy.md", &[("--table TABLE", "--data data")]);
    for (name, value) in [
        ("AWS_ENDPOINT_URL", vault.url.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
    ] {
        guide.variable(name, value);
    }
    for (site, secret) in ["acme", "globex"].into_iter().zip(secrets) {
        guide.up_to(&format!("tandem secrets put {site}"));
        guide.feed(secret);
        guide.one().ended(0);
        assert_eq!(
            vault.holds(&format!("tandem/{site}"))["tempo_token"],
            format!("tempo-{site}")
        );
    }
    let serving = guide.beside("tandem serve --listen 127.0.0.1:0 --data data", "listening on ");
    public(&bench, serving.trim().rsplit(' ').next().unwrap());
    guide.up_to("tandem --table TABLE publish");
    assert_eq!(guide.one().ended(0).out, "version 1\n");
    ended(guide.finish(), &[]);
    let hears = |site: &str| bench.sim.site(site).subscriptions().len();
    assert_eq!((hears("acme"), hears("globex")), (3, 3));
    let secrets = vault.holds("tandem/acme")["tempo_webhook_secrets"].clone();
    assert!(secrets.as_array().unwrap().len() >= 3, "{secrets}");
}

#[test]
fn every_hand_that_the_daily_page_names_works() {
    let bench =
        Bench::with("[connections.policy]\nconflict = \"park\"\nmass_delete = { max = 2, within = \"1h\" }");
    bench.run(&["publish"]).ended(0);
    bench
        .acme()
        .put_user(UserSpec::new("5f0a-on-acme", "Somebody Else"));
    // A conflict about the first worklog of all, and somebody whom the other site does not know.
    let a = bench.acme().log_time("SUP-1", hour("ann", "agreed")).unwrap();
    assert_eq!(a, 500_001);
    bench.reconcile();
    let b = bench.globex().worklogs_of("DEV-1")[0].id;
    bench.next_second();
    for (site, id) in [("acme", a), ("globex", b)] {
        let edit = |content: &mut Content| content.description = Some(format!("from {site}"));
        bench.sim.site(site).edit(id, edit).unwrap();
    }
    bench
        .acme()
        .log_time("SUP-1", hour("5f0a-on-acme", "alone"))
        .unwrap();
    bench.run(&["reconcile"]).ended(3);
    // By the id of either side.
    let twin = format!("{b}");
    bench.run(&["queue", "--worklog", &twin]).ended(3);
    let done = bench.run(&["history", "--worklog", "500001", "--json"]).json();
    assert_eq!(done, bench.run(&["history", "--worklog", &twin, "--json"]).json());
    assert_eq!(done.as_array().unwrap().len(), 2, "{done}");
    std::fs::write(bench.path("links.csv"), "SUP-4,DEV-4\n").unwrap();
    std::fs::write(bench.path("people.csv"), "5f0a-on-acme,bob\n").unwrap();

    let mut guide = Guide::open(&bench, "docs/operate.md", &[DATA]);
    guide.up_to("tandem ignore ID");
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(bench.said("acme", "SUP-1")[1].0, "from globex");
    let queue = bench.run(&["queue", "--json"]).ended(3).json();
    let unknown = queue[0]["id"].as_str().unwrap().to_owned();
    guide.fill("ignore ID", &format!("ignore {unknown}"));
    guide.fill("retry ID", &format!("retry {unknown}"));
    guide.up_to("tandem retry ID");
    bench.run(&["queue"]).ended(0);
    // More deletes than the brake lets through.
    let many = (0..4).map(|n| bench.acme().log_time("SUP-2", hour("ann", &format!("old {n}"))));
    let many: Vec<u64> = many.map(Result::unwrap).collect();
    bench.run(&["reconcile"]);
    for id in many {
        bench.acme().delete(id).unwrap();
    }
    bench.run(&["reconcile"]).ended(3);
    assert_eq!(bench.said("globex", "DEV-2").len(), 4);
    guide.up_to("tandem undelete WAS-ID");
    assert_eq!(bench.said("globex", "DEV-2").len(), 0);
    let history = bench.run(&["history", "SUP-2", "--json"]).json();
    let mut lines = history.as_array().unwrap().iter();
    let delete = lines.find(|line| line["op"] == "delete").unwrap();
    guide.fill("WAS-ID", delete["id"].as_str().unwrap());
    guide.up_to("tandem connect");
    bench.run(&["reconcile"]);
    assert!(
        bench.alike("SUP-2", "DEV-2", 4),
        "{:?}",
        bench.said("globex", "DEV-2")
    );
    // Whom the other site did not know is somebody there by now.
    assert!(
        bench.alike("SUP-1", "DEV-1", 2),
        "{:?}",
        bench.said("globex", "DEV-1")
    );
    let links = bench.run(&["link", "list", "--json"]).json();
    let twin = |link: &serde_json::Value| link["a_issue"].as_str().unwrap().to_owned();
    let links: Vec<String> = links.as_array().unwrap().iter().map(twin).collect();
    assert_eq!(links, ["SUP-1", "SUP-2", "SUP-4"]);
    let serving = bench.serve_quietly();
    public(&bench, &serving.url);
    guide.up_to("tandem connect --remove");
    assert_eq!(bench.acme().subscriptions().len(), 3);
    guide.up_to("tandem publish");
    assert_eq!(bench.acme().subscriptions().len(), 0);
    guide.up_to("tandem completions");
    let versions = bench.run(&["versions", "--json"]).json();
    assert_eq!(
        (&versions[0]["version"], &versions[0]["same_as"]),
        (&3.into(), &1.into())
    );
    ended(
        guide.finish(),
        &[
            // A conflict, and somebody unknown:
            ("tandem status --data DIR", 3),
            ("tandem queue --data DIR", 3),
            ("tandem queue --issue SUP-1 --data DIR", 3),
            ("tandem queue --worklog 500001 --data DIR", 3),
            ("tandem queue --person 5f0a-on-acme --data DIR", 3),
            ("tandem queue --all --data DIR", 3),
            ("tandem status --issue SUP-1 --data DIR", 3),
            ("tandem queue --names --data DIR", 3),
            ("tandem reconcile --data DIR", 3),
            // Of more than 90 days ago, too.
            ("tandem users list --since 2024-01-01 --data DIR", 3),
            // Their worklog is still there.
            ("tandem forget 5f0a-on-acme --data DIR", 3),
            ("tandem forget 5f0a-on-acme --yes --data DIR", 3),
        ],
    );
    assert!(bench.path("man1/tandem-queue.1").exists() && bench.path("tandem.bash").exists());
}
