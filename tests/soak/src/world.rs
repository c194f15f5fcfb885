//! The two sites, what is planted in them, and the configuration that Tandem gets.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan};
use tandem_sim::{AttributeKind, AttributeSpec, Sim, SiteHandle, SiteSpec, SystemClock, TokenSpec, UserSpec};

/// The sites: A's, then B's.
pub(crate) const SITES: [&str; 2] = ["acme", "globex"];

/// The projects: A's, then B's.
const PROJECTS: [&str; 2] = ["SUP", "DEV"];

/// How many issues are linked: SUP-1 with DEV-1 and so on.
pub(crate) const LINKS: usize = 16;

/// The number of an issue on each side that has no twin.
const UNLINKED: usize = LINKS + 1;

/// People by their accounts on A and on B. The last has another account there.
pub(crate) const PEOPLE: [[&str; 2]; 3] = [["ann", "ann"], ["bob", "bob"], ["cay-on-acme", "cay-on-globex"]];

/// What an attribute's values are called on A and on B.
pub(crate) const ACCOUNTS: [[&str; 2]; 4] = [["K1", "C1"], ["K2", "C2"], ["K3", "C3"], ["K4", "C4"]];

/// The attribute that is kept the same, as it is called on A and on B.
pub(crate) const MAPPED: [&str; 2] = ["_Account_", "_Customer_"];

/// An attribute that each side has for itself.
pub(crate) const OWN: &str = "_Room_";

/// Stands in every text that people write. No log may hold it.
pub(crate) const TEXT_MARK: &str = "plantedtext";

/// How far listings may run behind. Below `create_grace`, as the design demands.
pub(crate) const LAG_MAX_MS: u64 = 2_000;

/// The limit that both Tempos enforce, in requests a second.
const RATE: usize = 5;

/// Where webhooks are addressed to; the sender puts the address of the process that runs then in its place.
pub(crate) const RECEIVER: &str = "http://tandem.invalid";

/// Returns an issue's key. The link after the last one is the issue without a twin.
pub(crate) fn key(side: usize, link: usize) -> String {
    format!("{}-{}", PROJECTS[side], link + 1)
}

/// Makes the two sites.
pub(crate) fn make(seed: u64) -> Sim {
    let sim = Sim::new(seed, Arc::new(SystemClock));
    for (side, name) in SITES.into_iter().enumerate() {
        let mut spec = SiteSpec::new(name)
            .issues(PROJECTS[side], UNLINKED)
            .attribute(AttributeSpec::new(
                MAPPED[side],
                "Account",
                AttributeKind::InputField,
            ))
            .attribute(AttributeSpec::new(OWN, "Room", AttributeKind::InputField))
            .tempo_webhooks(
                &format!("{RECEIVER}/hooks/tempo/{name}"),
                &planted("tempo-hook", side),
            )
            .jira_webhook(
                &format!("{RECEIVER}/hooks/jira/{name}"),
                &planted("jira-hook", side),
            );
        for person in PEOPLE {
            spec = spec.user(UserSpec::new(person[side], format!("Person {}", person[side])));
        }
        spec.service.tempo_tokens = vec![TokenSpec {
            token: planted("tempo", side),
            scopes: None,
            expires: None,
        }];
        spec.service.jira_token = planted("jira", side);
        spec.jira_to_tempo_lag = std::time::Duration::from_secs(2);
        spec.tempo_rate.per_second = RATE;
        sim.add_site(spec);
    }
    sim.keep_journal();
    sim
}

/// Returns both sites' handles.
pub(crate) fn sites(sim: &Sim) -> [SiteHandle; 2] {
    SITES.map(|name| sim.site(name))
}

/// A secret that can be recognised wherever it turns up.
fn planted(what: &str, side: usize) -> String {
    format!("PLANTED-{what}-{}-5a7e01c3", SITES[side])
}

/// Returns everything that must not be found anywhere, also as it goes over the wire.
pub(crate) fn secrets() -> Vec<String> {
    let mut all = Vec::new();
    for (side, site) in SITES.into_iter().enumerate() {
        for what in ["tempo", "jira", "tempo-hook", "jira-hook"] {
            all.push(planted(what, side));
        }
        all.push(STANDARD.encode(format!("tandem@{site}.example:{}", planted("jira", side))));
    }
    all
}

/// Returns the environment variable that holds a site's secret, and its content.
pub(crate) fn secret(side: usize) -> (String, String) {
    let site = SITES[side];
    let content = serde_json::json!({
        "tempo_token": planted("tempo", side),
        "jira_email": format!("tandem@{site}.example"),
        "jira_token": planted("jira", side),
        "jira_webhook_secrets": [planted("jira-hook", side)],
        "tempo_webhook_secrets": [planted("tempo-hook", side)],
    });
    (format!("SOAK_{}", site.to_uppercase()), content.to_string())
}

/// Writes `tandem.toml`: periods of seconds where the defaults are minutes.
pub(crate) fn configure(path: &Path, tempo: &[String; 2], jira: &[String; 2]) -> Result<()> {
    let since = Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
        .checked_sub(60.days())
        .context("today is far from the first day")?;
    let mut text = String::from(
        "[engine]\nsettle = \"300ms\"\nsweep = \"8s\"\naudit = \"45s\"\nretry_min = \"500ms\"\nretry_max = \"4s\"\n\
         create_grace = \"6s\"\npark_retry = \"10s\"\n\n",
    );
    for (side, site) in SITES.into_iter().enumerate() {
        let (variable, _) = secret(side);
        text.push_str(&format!(
            "[sites.{site}]\njira = \"{}\"\ntempo = \"{}\"\nsecret = \"env:{variable}\"\nrequests_per_second = {RATE}\n\n",
            jira[side], tempo[side]
        ));
    }
    let links: Vec<String> = (0..LINKS)
        .map(|link| format!("[\"{}\", \"{}\"]", key(0, link), key(1, link)))
        .collect();
    let people: Vec<String> = PEOPLE
        .iter()
        .filter(|person| person[0] != person[1])
        .map(|person| format!("[\"{}\", \"{}\"]", person[0], person[1]))
        .collect();
    let accounts: Vec<String> = ACCOUNTS
        .iter()
        .map(|value| format!("[\"{}\", \"{}\"]", value[0], value[1]))
        .collect();
    text.push_str(&format!(
        "[[connections]]\nname = \"acme-globex\"\na = \"acme\"\nb = \"globex\"\nsince = \"{since}\"\n\n\
         [connections.links]\nfrom = [\"table\"]\ntable = [{}]\n\n\
         [connections.authors]\nmap = [{}]\n\n\
         [connections.attributes]\nmap = [{{ a = \"{}\", b = \"{}\", values = [{}] }}]\n\n\
         [connections.policy]\nmass_delete = {{ max = 100000, within = \"1h\" }}\n",
        links.join(", "),
        people.join(", "),
        MAPPED[0],
        MAPPED[1],
        accounts.join(", "),
    ));
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
