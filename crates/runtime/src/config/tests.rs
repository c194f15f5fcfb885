//! The configuration as a whole: what is right is understood, and what is wrong gets its line and advice.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;
use tandem_core::rules::{
    AttributeRule, ConflictPolicy, DeletePolicy, DeleteVsEdit, Policy, Rules, UnknownAuthor,
};
use tandem_core::{Side, Sides};
use url::Url;

use super::*;

/// The example of the design, word for word but for the public address.
const EXAMPLE: &str = r#"
[engine]                       # all optional
settle = "2s"                  # a burst of hints is one run
sweep = "5m"
audit = "24h"                  # locally: period; on AWS: the schedule
retry_min = "5s"               # first backoff; doubles up to retry_max, with jitter
retry_max = "15m"
history = "400d"
create_grace = "30s"           # how long a lost create may take to show itself
park_retry = "15m"
public_url = "https://tandem.example.com"

[sites.acme]
jira   = "https://acme.atlassian.net"
tempo  = "https://api.tempo.io"          # default
secret = "aws:tandem/acme"               # aws:ID | env:NAME | file:PATH
requests_per_second = 5

[sites.globex]
jira   = "https://globex.atlassian.net"
secret = "env:TANDEM_GLOBEX"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "2026-01-01"
scope = { a = "project = SUP", b = "" }   # JQL per side; empty = every linked issue

[connections.links]                       # where an issue's twin is found; first hit wins
from  = ["table", "remote-link", "field"]
table = [["SUP-1", "DEV-9"]]              # keys or ids
field = { a = "customfield_10042", b = "customfield_10077" }

[connections.authors]
map = [["5f0a-on-acme", "60c1-on-globex"]]
unknown = "park"

[connections.attributes]
map = [{ a = "_Account_", b = "_Customer_", values = [["ACME1", "GLX7"]] }]
default = { b = { "_Activity_" = "Support" } }   # for a required attribute with no source

[connections.policy]
conflict = "newest"
delete = "mirror"
delete_vs_edit = "edit"
mass_delete = { max = 20, within = "1h" }
"#;

/// The least that is a configuration: 12 lines, to which mistakes are added.
const SMALL: &str = r#"[sites.acme]
jira = "https://acme.atlassian.net"
secret = "env:ACME"

[sites.globex]
jira = "https://globex.atlassian.net"
secret = "env:GLOBEX"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "etc/tandem.toml", &ConfigEnv::default())
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.into(), b.into())
}

#[track_caller]
fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => panic!("no mistake was found in:\n{text}"),
        Err(error) => error.problems().to_vec(),
    }
}

/// Expects exactly one mistake, on that line, whose text has all these words.
#[track_caller]
fn check(text: &str, line: usize, words: &[&str]) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "in:\n{text}\nfound: {problems:#?}");
    let shown = problems[0].to_string();
    assert!(
        shown.starts_with(&format!("etc/tandem.toml:{line}:")),
        "expected line {line}:\n{shown}"
    );
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in:\n{shown}");
    }
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let word = source
        .split([' ', '=', '[', ']'])
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    assert!(
        problems[0].excerpt.contains(word),
        "the source line is not in:\n{shown}"
    );
}

/// Expects one mistake in a line that is added to a connection, which is then line 13.
#[track_caller]
fn check_connection(added: &str, words: &[&str]) {
    check(&format!("{SMALL}{added}\n"), 13, words);
}

/// Expects one mistake on the line after the header of a part of the connection.
#[track_caller]
fn check_part(header: &str, added: &str, words: &[&str]) {
    check(&format!("{SMALL}[connections.{header}]\n{added}\n"), 14, words);
}

/// Expects one mistake in a line of `[engine]`.
#[track_caller]
fn check_engine(added: &str, words: &[&str]) {
    check(&format!("{SMALL}[engine]\n{added}\n"), 14, words);
}

/// Expects one mistake in a line that takes the place of a line of the small configuration.
#[track_caller]
fn check_instead(line: usize, instead: &str, words: &[&str]) {
    let lines: Vec<&str> = SMALL
        .lines()
        .enumerate()
        .map(|(i, old)| if i + 1 == line { instead } else { old })
        .collect();
    check(&lines.join("\n"), line, words);
}

#[test]
fn the_designs_example_says_exactly_this() {
    let config = parse(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
    let site = |name: &str, jira: &str, secret| SiteConfig {
        name: name.into(),
        jira: url(jira),
        tempo: url("https://api.tempo.io"),
        secret,
        requests_per_second: 5.0,
    };
    let acme = site(
        "acme",
        "https://acme.atlassian.net",
        SecretRef::Aws("tandem/acme".into()),
    );
    let globex = site(
        "globex",
        "https://globex.atlassian.net",
        SecretRef::Env("TANDEM_GLOBEX".into()),
    );
    let connection = ConnectionConfig {
        name: "acme-globex".into(),
        sites: Sides::new("acme".into(), "globex".into()),
        since: Some(date(2026, 1, 1)),
        scope: Sides::new(Some("project = SUP".into()), None),
        links: LinksConfig {
            from: vec![LinkSource::Table, LinkSource::RemoteLink, LinkSource::Field],
            table: vec![pair("SUP-1", "DEV-9")],
            field: Sides::new(Some("customfield_10042".into()), Some("customfield_10077".into())),
        },
        rules: Rules {
            authors: vec![("5f0a-on-acme".into(), "60c1-on-globex".into())],
            unknown_author: UnknownAuthor::Park,
            attributes: vec![AttributeRule {
                keys: Sides::new("_Account_".into(), "_Customer_".into()),
                values: vec![pair("ACME1", "GLX7")],
            }],
            defaults: Sides::new(BTreeMap::new(), BTreeMap::from([pair("_Activity_", "Support")])),
            policy: Policy {
                conflict: ConflictPolicy::Newest,
                delete: DeletePolicy::Mirror,
                delete_vs_edit: DeleteVsEdit::Edit,
            },
        },
        mass_delete: MassDelete {
            max: 20,
            within: Duration::from_secs(3600),
        },
    };
    let expected = Config {
        engine: EngineConfig {
            settle: Duration::from_secs(2),
            sweep: Duration::from_secs(300),
            audit: Duration::from_secs(86_400),
            retry_min: Duration::from_secs(5),
            retry_max: Duration::from_secs(900),
            history: Duration::from_secs(400 * 86_400),
            create_grace: Duration::from_secs(30),
            park_retry: Duration::from_secs(900),
            public_url: Some(url("https://tandem.example.com")),
        },
        sites: BTreeMap::from([("acme".into(), acme), ("globex".into(), globex)]),
        connections: vec![connection],
        alerts: AlertsConfig::default(),
        digest: config.digest.clone(),
    };
    assert_eq!(config, expected);
}

#[test]
fn what_the_example_spells_out_is_also_the_default() {
    let config = parse(SMALL).unwrap();
    let spelled_out = parse(EXAMPLE).unwrap();
    assert_eq!(
        config.engine,
        EngineConfig {
            public_url: None,
            ..spelled_out.engine.clone()
        }
    );
    assert_eq!(config.engine, EngineConfig::default());
    let (small, full) = (&config.connections[0], &spelled_out.connections[0]);
    assert_eq!(small.links.from, full.links.from);
    assert_eq!(small.rules, Rules::default());
    assert_eq!(small.rules.policy, full.rules.policy);
    assert_eq!(small.mass_delete, full.mass_delete);
    assert_eq!((small.since, &small.scope), (None, &Sides::default()));
    for site in config.sites.values() {
        assert_eq!(site.tempo, url("https://api.tempo.io"));
        assert_eq!(site.requests_per_second, DEFAULT_REQUESTS_PER_SECOND);
    }
}

#[test]
fn every_word_of_the_policy_is_understood() {
    let policy = |line: &str| {
        parse(&format!("{SMALL}[connections.policy]\n{line}\n"))
            .unwrap()
            .connections[0]
            .rules
            .policy
    };
    for (word, conflict) in [
        ("newest", ConflictPolicy::Newest),
        ("a", ConflictPolicy::Side(Side::A)),
        ("b", ConflictPolicy::Side(Side::B)),
        ("park", ConflictPolicy::Park),
    ] {
        assert_eq!(policy(&format!("conflict = \"{word}\"")).conflict, conflict);
    }
    for (word, delete) in [
        ("mirror", DeletePolicy::Mirror),
        ("keep", DeletePolicy::Keep),
        ("park", DeletePolicy::Park),
    ] {
        assert_eq!(policy(&format!("delete = \"{word}\"")).delete, delete);
    }
    for (word, wins) in [
        ("edit", DeleteVsEdit::Edit),
        ("delete", DeleteVsEdit::Delete),
        ("park", DeleteVsEdit::Park),
    ] {
        assert_eq!(
            policy(&format!("delete_vs_edit = \"{word}\"")).delete_vs_edit,
            wins
        );
    }
}

#[test]
fn other_ways_to_write_the_same_are_fine() {
    let config = parse(&format!(
        "{SMALL}since = 2026-01-01\nscope.a = \" project = SUP \"\nlinks.from = [\"remote-link\"]\n\
         authors.unknown = \"account:557058:5f0a\"\npolicy.mass_delete.max = 0\n\
         [sites.third]\njira = \"https://third.atlassian.net\"\nsecret = \"file:third.json\"\nrequests_per_second = 0.5\n"
    ))
    .unwrap_or_else(|error| panic!("{error}"));
    let connection = &config.connections[0];
    assert_eq!(connection.since, Some(date(2026, 1, 1)));
    assert_eq!(connection.scope, Sides::new(Some("project = SUP".into()), None));
    assert_eq!(connection.links.from, [LinkSource::RemoteLink]);
    assert_eq!(
        connection.rules.unknown_author,
        UnknownAuthor::Account("557058:5f0a".into())
    );
    assert_eq!(
        connection.mass_delete,
        MassDelete {
            max: 0,
            within: Duration::from_secs(3600)
        }
    );
    let third = &config.sites[&SiteName::new("third")];
    assert_eq!(third.secret, SecretRef::File("etc/third.json".into()));
    assert_eq!(third.requests_per_second, 0.5);
}

#[test]
fn parts_belong_to_the_connection_above_them() {
    let config = parse(&format!(
        "{SMALL}[[connections]]\nname = \"back\"\na = \"globex\"\nb = \"acme\"\n[connections.links]\nfrom = [\"remote-link\"]\n"
    ))
    .unwrap();
    assert_eq!(config.connections[0].links, LinksConfig::default());
    assert_eq!(config.connections[1].links.from, [LinkSource::RemoteLink]);
    let back = config.connection(&"back".into()).unwrap();
    assert_eq!(back.side_of(&"acme".into()), Some(Side::B));
    assert_eq!(back.side_of(&"third".into()), None);
    assert!(config.connection(&"gone".into()).is_none());
}

#[test]
fn the_digest_names_the_text() {
    let digest = |text: &str| parse(text).unwrap().digest;
    assert_eq!(digest(SMALL), digest(SMALL));
    assert_ne!(digest(SMALL), digest(&format!("{SMALL}\n")));
    assert_eq!(digest(SMALL).len(), 2 * DIGEST_BYTES);
}

#[test]
fn loopback_is_allowed_by_the_environment_alone() {
    let text = SMALL.replace("https://acme.atlassian.net", "http://127.0.0.1:8080/acme");
    check(&text, 2, &["TANDEM_ALLOW_LOOPBACK=1"]);
    let allowed = ConfigEnv::from_vars([("HOME", "/"), (ConfigEnv::ALLOW_LOOPBACK, "1")]);
    assert!(Config::parse(&text, "tandem.toml", &allowed).is_ok());
    for other in ["", "0", "true"] {
        assert_eq!(
            ConfigEnv::from_vars([(ConfigEnv::ALLOW_LOOPBACK, other)]),
            ConfigEnv::default()
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    check_engine(
        "swep = \"5m\"",
        &[
            "unknown key `swep`",
            "did you mean `sweep`?",
            "settle, sweep, audit",
        ],
    );
    check_engine(
        "colour = 1",
        &["unknown key `colour`", "the keys of [engine] are: settle"],
    );
    check(
        &format!("{SMALL}[site.x]\n"),
        13,
        &["unknown key `site`", "did you mean `sites`?"],
    );
    check_instead(
        4,
        "url = \"x\"",
        &[
            "unknown key `url` in [sites.acme]",
            "jira, tempo, secret, requests_per_second",
        ],
    );
    check_connection("sicne = \"2026-01-01\"", &["did you mean `since`?"]);
    check_connection("scope = { c = \"\" }", &["unknown key `c` in `scope`", "a, b"]);
    check_part("links", "form = []", &["did you mean `from`?"]);
    check_part("authors", "maps = []", &["did you mean `map`?"]);
    check_part("attributes", "defaults = {}", &["did you mean `default`?"]);
    check_part("attributes", "default = { c = {} }", &["unknown key `c`"]);
    check_part(
        "attributes",
        "map = [{ a = \"x\", b = \"y\", value = [] }]",
        &["did you mean `values`?"],
    );
    check_part("policy", "conflicts = \"a\"", &["did you mean `conflict`?"]);
    check_part(
        "policy",
        "mass_delete = { maximum = 1 }",
        &["unknown key `maximum`", "max, within"],
    );
}

#[test]
fn a_wrong_type_is_told_with_the_right_one() {
    check_engine(
        "sweep = 5",
        &[
            "`sweep` is a whole number",
            "text in quotes",
            "30s, 5m, 24h, 400d",
        ],
    );
    check(
        &format!("engine = 5\n{SMALL}"),
        1,
        &["`engine` is a whole number", "a table", "write [engine]"],
    );
    check_instead(
        2,
        "jira = true",
        &["`jira` is true or false", "https://YOUR-SITE.atlassian.net"],
    );
    check_instead(10, "name = [\"x\"]", &["`name` is a list"]);
    check_instead(11, "a = 1.5", &["`a` is a number", "the sites are: acme, globex"]);
    check_connection("since = 2026", &["`since` is a whole number, where a day"]);
    check_connection(
        "scope = \"project = SUP\"",
        &["`scope` is a text, where a table", "{ a = \"…\", b = \"…\" }"],
    );
    check_connection("scope = { a = 1 }", &["`a` is a whole number"]);
    check_connection("links = 1", &["write [connections.links]"]);
    check_part(
        "links",
        "from = \"table\"",
        &["`from` is a text, where a list", "table | remote-link | field"],
    );
    check_part(
        "links",
        "field = \"customfield_1\"",
        &["`field` is a text, where a table"],
    );
    check_part(
        "attributes",
        "map = [[\"_A_\", \"_B_\"]]",
        &["`map` is a list, where a table", "values ="],
    );
    check_part(
        "attributes",
        "default = { b = { \"_A_\" = 1 } }",
        &["`_A_` is a whole number", "_Activity_"],
    );
    check_part(
        "policy",
        "conflict = 1",
        &["`conflict` is a whole number", "newest | a | b | park"],
    );
    check_part(
        "policy",
        "mass_delete = 20",
        &["`mass_delete` is a whole number", "{ max = 20, within = \"1h\" }"],
    );
    check_part("policy", "mass_delete = { max = \"20\" }", &["`max` is a text"]);
}

#[test]
fn a_time_that_is_none_is_told_how_times_are_written() {
    for text in ["5", "5 minutes", "", "-5m", "9999999999d", "1.5h"] {
        check_engine(
            &format!("sweep = \"{text}\""),
            &[&format!("`{text}`"), "like 30s, 5m, 24h, 400d"],
        );
    }
    check_part("policy", "mass_delete = { within = \"0h\" }", &["no time at all"]);
    check_engine(
        "create_grace = \"0s\"",
        &["`create_grace` is no time at all", "make a second worklog"],
    );
    check_engine(
        "retry_min = \"1h\"\nretry_max = \"1m\"",
        &["`retry_min` is longer than `retry_max`", "doubles up to"],
    );
}

#[test]
fn a_burst_need_not_settle() {
    let engine = parse(&format!("[engine]\nsettle = \"0s\"\n{SMALL}"))
        .unwrap()
        .engine;
    assert!(engine.settle.is_zero());
}

#[test]
fn a_backoff_that_is_said_bounds_the_one_that_is_not() {
    let backoff = |said: &str| {
        let engine = parse(&format!("[engine]\n{said}\n{SMALL}")).unwrap().engine;
        (engine.retry_min.as_secs(), engine.retry_max.as_secs())
    };
    assert_eq!(backoff("retry_max = \"1s\""), (1, 1));
    assert_eq!(backoff("retry_min = \"1h\""), (3600, 3600));
}

#[test]
fn a_day_that_does_not_exist_is_refused() {
    for text in [
        "2026-02-30",
        "01.02.2026",
        "2026-1-1",
        "20260101",
        "2026-01-01T10:00",
        "",
        "yesterday",
    ] {
        check_connection(
            &format!("since = \"{text}\""),
            &["is not a day", "like \"2026-01-01\""],
        );
    }
    check_connection("since = 2026-01-01T10:00:00Z", &["is not a day"]);
}

#[test]
fn a_bad_address_is_told_what_would_be_right() {
    check_instead(
        2,
        "jira = \"http://acme.atlassian.net\"",
        &["`http` is not https", "https://YOUR-SITE.atlassian.net"],
    );
    check_instead(
        2,
        "jira = \"https://jira.example.com\"",
        &["`jira.example.com` is not a Jira Cloud site"],
    );
    check_instead(2, "jira = \"acme\"", &["not an address"]);
    check_instead(
        4,
        "tempo = \"https://tempo.example.com\"",
        &["not a host of Tempo", "https://api.eu.tempo.io"],
    );
    check_engine(
        "public_url = \"http://tandem.example.com\"",
        &["not https", "https://tandem.example.com"],
    );
    check_engine(
        "public_url = \"https://tandem.example.com?x=1\"",
        &["`?` and `#`"],
    );
}

#[test]
fn a_rate_has_to_be_possible() {
    for rate in [
        "0",
        "-1",
        "0.0009",
        "10001",
        "nan",
        "inf",
        "1e-300",
        "99999999999999999999",
    ] {
        check_instead(
            4,
            &format!("requests_per_second = {rate}"),
            &["from 0.001 up to 10000"],
        );
    }
    check_instead(4, "requests_per_second = \"5\"", &["is a text, where a number"]);
}

#[test]
fn a_site_may_be_asked_as_much_as_it_allows() {
    for rate in ["0.001", "50", "51", "10000"] {
        let text = format!(
            "{}\n[sites.third]\njira = \"https://third.atlassian.net\"\nsecret = \"file:third.json\"\nrequests_per_second = {rate}\n",
            SMALL
        );
        let site = parse(&text).unwrap().sites[&SiteName::new("third")].clone();
        assert_eq!(site.requests_per_second.to_string(), rate);
    }
}

#[test]
fn an_issue_of_the_table_may_be_a_number() {
    let text = format!("{SMALL}\n[connections.links]\ntable = [[10_001, \"DEV-9\"], [0x2713, 20009]]\n");
    let table = parse(&text).unwrap().connections[0].links.table.clone();
    let rows = [("10001", "DEV-9"), ("10003", "20009")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(table, rows);
    check_part(
        "links",
        "table = [[-1, 20009]]",
        &["`-1` is not the id of an issue"],
    );
    check_part(
        "links",
        "table = [[10001, 20009], [\"10001\", 20008]]",
        &["has two twins"],
    );
    check_part(
        "links",
        "table = [[1.5, 20009]]",
        &["is a number, where text in quotes"],
    );
}

#[test]
fn a_bad_reference_to_a_secret_is_told_without_showing_it() {
    for value in [
        "\"hunter2\"",
        "\"vault:hunter2\"",
        "\"env:hunter-2\"",
        "{ tempo_token = \"hunter2\" }",
        "[\"hunter2\"]",
    ] {
        check_instead(
            3,
            &format!("secret = {value}"),
            &["aws:ID | env:NAME | file:PATH", "never the secret itself"],
        );
    }
    let instead = |line: &str| SMALL.replace("secret = \"env:ACME\"", line);
    for text in [
        instead("secret = \"hunter2\""),
        instead("secret = \"hunter2"),
        instead("secret = \"hunter2\" \"hunter2\""),
        instead("secret = '''\n{\"tempo_token\":\"hunter2\"}''"),
        instead("secret.tempo_token = \"hunter2\""),
        instead("tempo_token = hunter2"),
        instead("tempo_token = \"hunter2\""),
        instead("tokens = [{ tempo = \"hunter2\" }]"),
        instead("secret = \"env:A\"\ntempo = { x = \"hunter2\" }"),
        SMALL.replace("https://acme", "https://me:hunter2@acme"),
        format!("sites.x.secret = \"hunter2\"\n{SMALL}"),
        format!("sites.x = \"hunter2\"\n{SMALL}"),
        format!("site.x.secret = \"hunter2\"\n{SMALL}"),
        format!("site = {{ x = {{ secret = \"hunter2\" }} }}\n{SMALL}"),
        format!("{SMALL}[engine]\ntoken = \"hunter2\""),
    ] {
        let shown = parse(&text).expect_err(&text).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn what_is_missing_is_told_where_it_belongs() {
    check(
        &SMALL.replace("jira = \"https://acme.atlassian.net\"\n", ""),
        1,
        &["[sites.acme] has no `jira`"],
    );
    check(
        &SMALL.replace("secret = \"env:GLOBEX\"\n", ""),
        5,
        &["[sites.globex] has no `secret`", "env:NAME"],
    );
    check(
        &SMALL.replace("name = \"acme-globex\"\n", ""),
        9,
        &["a connection has no `name`"],
    );
    check(
        &SMALL.replace("b = \"globex\"\n", ""),
        9,
        &["a connection has no `b`", "the sites are: acme, globex"],
    );
    check_part(
        "attributes",
        "map = [{ a = \"_A_\" }]",
        &["an entry of `map` has no `b`"],
    );
    let sites = SMALL.split("[[").next().unwrap();
    check(sites, 1, &["no `connections`", "write [[connections]]"]);
    check(
        &format!("connections = []\n{sites}"),
        1,
        &["there is no connection"],
    );
    let shown: Vec<String> = problems("").iter().map(Problem::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].contains("no `sites`") && shown[1].contains("no `connections`"),
        "{shown:?}"
    );
}

#[test]
fn connections_have_to_be_a_list_of_tables() {
    check(
        &SMALL.replace("[[connections]]", "[connections]"),
        9,
        &["`connections` is a table", "write [[connections]]"],
    );
}

#[test]
fn a_connection_names_two_different_sites_that_exist() {
    let all = "the sites are: acme, globex";
    check_instead(
        12,
        "b = \"globx\"",
        &["there is no site `globx`", "did you mean `globex`?", all],
    );
    check_instead(12, "b = \"initech\"", &["there is no site `initech`", all]);
    check_instead(
        12,
        "b = \"acme\"",
        &["`a` and `b` are both `acme`", "two different sites", all],
    );
}

#[test]
fn a_broken_site_does_not_make_its_connections_wrong_as_well() {
    check_instead(2, "jira = \"\"", &["not an address"]);
}

#[test]
fn a_site_that_no_connection_uses_is_fine() {
    let third = "[sites.third]\njira = \"https://third.atlassian.net\"\nsecret = \"env:X\"\n";
    assert_eq!(parse(&format!("{SMALL}{third}")).unwrap().sites.len(), 3);
}

#[test]
fn names_are_unique_and_fit_into_an_address() {
    check(
        &format!("{SMALL}[[connections]]\nname = \"acme-globex\"\na = \"globex\"\nb = \"acme\"\n"),
        14,
        &["two connections are called `acme-globex`", "line 10"],
    );
    check_instead(
        10,
        "name = \"a b\"",
        &["`a b` cannot be the name of a connection", "letters, digits"],
    );
    let site =
        |name: &str, jira: &str| format!("{SMALL}[sites.{name}]\njira = \"{jira}\"\nsecret = \"env:X\"\n");
    check(
        &site("\"a/b\"", "https://x.atlassian.net"),
        13,
        &["`a/b` cannot be the name of a site"],
    );
    check(
        &site("third", "https://acme.atlassian.net/"),
        14,
        &["[sites.third] and [sites.acme] are the same Jira"],
    );
}

#[test]
fn words_of_a_choice_are_listed() {
    check_part(
        "policy",
        "conflict = \"newst\"",
        &["`newst`", "did you mean `newest`?", "newest | a | b | park"],
    );
    check_part("policy", "delete = \"yes\"", &["`yes`", "mirror | keep | park"]);
    check_part("policy", "delete_vs_edit = \"newest\"", &["edit | delete | park"]);
    check_part(
        "links",
        "from = [\"table\", \"remote\"]",
        &["`remote`", "table | remote-link | field"],
    );
    check_part(
        "links",
        "from = [\"table\", \"table\"]",
        &["the same place twice"],
    );
    check_part("links", "from = []", &["`from` is empty"]);
    check_part(
        "links",
        "from = [\"field\"]",
        &["names the custom field alone, and none is given", "customfield_"],
    );
    check_part(
        "authors",
        "unknown = \"skip\"",
        &["`skip`", "park | account:<accountId"],
    );
    check_part(
        "authors",
        "unknown = \"account:\"",
        &["no account id after `account:`", "park | account:<accountId"],
    );
    check_part("policy", "mass_delete = { max = -1 }", &["`max` is not a count"]);
}

#[test]
fn rows_have_to_be_pairs() {
    for (header, key) in [("links", "table"), ("authors", "map")] {
        check_part(
            header,
            &format!("{key} = [[\"A-1\"]]"),
            &["is a list of 1, where a pair is needed", "[["],
        );
        check_part(
            header,
            &format!("{key} = [[\"A-1\", \"B-1\", \"C-1\"]]"),
            &["is a list of 3"],
        );
        check_part(
            header,
            &format!("{key} = [\"A-1\", [\"A-2\", \"B-2\"]]"),
            &["is a text, where a pair is needed"],
        );
        check_part(
            header,
            &format!("{key} = [[\"A-1\", true]]"),
            &["is true or false, where text in quotes"],
        );
        check_part(header, &format!("{key} = [[\"A-1\", \"\"]]"), &["is empty"]);
    }
    check_part(
        "attributes",
        "map = [{ a = \"x\", b = \"y\", values = [[\"A\"]] }]",
        &["`values` is a list of 1"],
    );
    check_part(
        "links",
        "table = [[\"SUP-1\", \"the other\"]]",
        &["`the other` is neither the key nor the id"],
    );
    check_part(
        "authors",
        "map = [[\"a b\", \"c\"]]",
        &["`a b` is not an account id"],
    );
}

#[test]
fn nothing_is_paired_twice_on_one_side() {
    let links = |rows: &str| format!("{SMALL}[connections.links]\ntable = [\n{rows}\n]\n");
    check(
        &links("[\"SUP-1\", \"DEV-9\"],\n[\"sup-1\", \"DEV-8\"],"),
        16,
        &[
            "`sup-1` on side a has two twins: `DEV-9` (line 15) and `DEV-8`",
            "at most one twin",
        ],
    );
    let both = ["`DEV-9` on side b", "`SUP-1`", "`SUP-2`"];
    check(
        &links("[\"SUP-1\", \"DEV-9\"],\n[\"SUP-2\", \"DEV-9\"],"),
        16,
        &both,
    );
    let authors = |rows: &str| format!("{SMALL}[connections.authors]\nmap = [\n{rows}\n]\n");
    check(
        &authors("[\"x\", \"y\"],\n[\"x\", \"z\"],"),
        16,
        &[
            "`x` on side a is mapped twice: to `y` (line 15) and to `z`",
            "one account on each side",
        ],
    );
    check(
        &authors("[\"x\", \"y\"],\n[\"w\", \"y\"],"),
        16,
        &["`y` on side b is mapped twice", "`x`", "`w`"],
    );
    let attributes = "map = [\n{ a = \"_A_\", b = \"_B_\" },\n{ a = \"_C_\", b = \"_B_\" },\n]";
    check(
        &format!("{SMALL}[connections.attributes]\n{attributes}\n"),
        16,
        &["the attribute `_B_` of side b is mapped twice", "line 15"],
    );
}

#[test]
fn the_same_name_on_different_sides_is_no_clash() {
    let text = format!(
        "{SMALL}[connections.links]\ntable = [[\"A-1\", \"A-2\"], [\"A-2\", \"A-1\"]]\n\
         [connections.authors]\nmap = [[\"x\", \"x\"]]\n\
         [connections.attributes]\nmap = [{{ a = \"_A_\", b = \"_A_\" }}]\n"
    );
    assert!(parse(&text).is_ok());
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    check(&format!("{SMALL}x = \n"), 13, &["https://toml.io"]);
    check(&format!("{SMALL}since = 2026-13-99\n"), 13, &["https://toml.io"]);
    check(&format!("{SMALL}[sites.acme]\n"), 13, &["duplicate key", "once"]);
    check_instead(2, "jira \"x\"", &["TOML"]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_files_order() {
    let text = SMALL
        .replace("acme.atlassian", "acme.example")
        .replace("b = \"globex\"", "b = \"x\"");
    let found = problems(&format!("{text}sinc = 1\n[engine]\nsweep = \"x\"\n"));
    assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 12, 13, 15]);
    let many: String = (0..50).map(|i| format!("x{i} = 1\n")).collect();
    let error = parse(&format!("{many}{SMALL}")).unwrap_err();
    assert_eq!(error.problems().len(), 20);
    assert!(error.to_string().ends_with("and 30 more"), "{error}");
}

#[test]
fn an_error_reads_like_this() {
    let error = parse(&SMALL.replace("b = \"globex\"", "b = \"globx\"")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "etc/tandem.toml:12:5: there is no site `globx`\n  \
         12 | b = \"globx\"\n     |     ^^^^^^^\n  \
         right: did you mean `globex`? the sites are: acme, globex"
    );
}

#[test]
fn a_log_learns_where_a_mistake_is_and_not_what_is_written_there() {
    let account = "5f0a-plantagenet";
    let unsaid = |more: &str| {
        let error = parse(&format!("{SMALL}{more}")).unwrap_err();
        assert!(
            error.to_string().contains(account),
            "nothing is shown by this: {error}"
        );
        let unsaid = error.unsaid().to_string();
        assert!(!unsaid.contains("plantagenet"), "{unsaid}");
        unsaid
    };
    let twice = format!("[connections.authors]\nmap = [\n[\"{account}\", \"x\"],\n[\"{account}\", \"y\"]]\n");
    let line = SMALL.lines().count();
    assert_eq!(
        unsaid(&twice),
        format!("etc/tandem.toml, line {}, column 1, at `map`", line + 4)
    );
    // Whoever makes keys of accounts has them in the message alone.
    let strange = format!("[connections.authors]\n\"{account}\" = \"x\"\n");
    assert_eq!(
        unsaid(&strange),
        format!("etc/tandem.toml, line {}, column 1", line + 2)
    );
    let default = format!("[connections.attributes]\ndefault.a = {{ \"{account}\" = \"\" }}\n");
    assert!(unsaid(&default).starts_with(&format!("etc/tandem.toml, line {}", line + 2)));
    let unknown = format!("[connections.authors]\nunknown = \"{account}\"\n");
    assert!(unsaid(&unknown).ends_with("at `unknown`"));
    let broken = format!("[connections.authors]\nmap = [[\"{account}\", \"x\"\n");
    unsaid(&broken);
}

#[test]
fn a_file_is_read_and_its_folder_is_where_secrets_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, SMALL.replace("env:ACME", "file:acme.json")).unwrap();
    let config = Config::load(&path, &ConfigEnv::default()).unwrap();
    assert_eq!(
        config.sites[&SiteName::new("acme")].secret,
        SecretRef::File(folder.path().join("acme.json"))
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(folder.path().join("gone.toml"), &ConfigEnv::default()).unwrap_err();
    assert!(error.problems().is_empty());
    let shown = error.to_string();
    assert!(
        shown.contains("gone.toml") && shown.contains("--config"),
        "{shown}"
    );
}

/// Parses, and shows the error if there is one: neither may panic.
fn survives(text: &str) {
    for allow_loopback in [false, true] {
        if let Err(error) = Config::parse(text, "tandem.toml", &ConfigEnv { allow_loopback }) {
            assert!(
                error
                    .problems()
                    .iter()
                    .all(|p| p.line >= 1 && p.column >= 1 && !p.right.is_empty())
            );
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Pieces that mean something to the syntax or to a value.
const PIECES: [&str; 24] = [
    "\"",
    "\"\"",
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\t",
    "1",
    "-1",
    "nan",
    "2026-01-01",
    "true",
    "ä€😀",
    "\u{0}",
    "\u{feff}",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_text_of_the_examples_pieces_makes_it_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(PIECES.to_vec()),
                proptest::sample::select(EXAMPLE.split_inclusive([' ', '\n']).collect::<Vec<_>>()),
            ],
            0..60,
        )
    ) {
        survives(&pieces.concat());
    }

    #[test]
    fn no_change_of_the_example_makes_it_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, 0..PIECES.len()), 1..6)
    ) {
        let mut letters: Vec<char> = EXAMPLE.chars().collect();
        for (at, removed, piece) in changes {
            let at = at.index(letters.len() + 1);
            let end = (at + removed).min(letters.len());
            letters.splice(at..end, PIECES[piece].chars());
        }
        survives(&letters.into_iter().collect::<String>());
    }

    #[test]
    fn no_exchange_of_values_makes_it_panic(line in any::<prop::sample::Index>(), piece in 0..PIECES.len()) {
        let lines: Vec<&str> = EXAMPLE.lines().filter(|line| line.contains('=')).collect();
        let line = lines[line.index(lines.len())];
        let key = line.split('=').next().unwrap_or_default();
        survives(&EXAMPLE.replace(line, &format!("{key}= {}", PIECES[piece])));
    }

    #[test]
    fn no_exchange_of_lines_makes_it_panic(
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8)
    ) {
        let mut lines: Vec<&str> = EXAMPLE.lines().collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        survives(&lines.join("\n"));
    }
}
