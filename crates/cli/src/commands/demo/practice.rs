//! Two sites to practise a first sync on: years of worklogs on both, and no Tandem yet.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tandem_sim::{Content, IssueSpec, Running, Sim, SiteSpec, UserSpec};

use crate::args::Global;
use crate::commands::init::store::create;
use crate::commands::serve;
use crate::ending::{Ending, Failure};
use crate::output;

/// Worklogs on each issue.
const EACH: i64 = 60;

/// Issues that nothing but a list says are twins.
const LINKS: &str = "SUP-1,DEV-1\nSUP-2,DEV-2\n";

/// Serves the sites until Ctrl-C, with what the guide needs of them beside the configuration that is to be made.
pub(super) async fn run(global: &Global) -> Result<Ending, Failure> {
    if global.data.is_some() || global.table.is_some() {
        return Err(Failure::usage(
            "there is no Tandem in --practice yet, and so no table: say --data with the commands that follow",
        ));
    }
    let sim = Sim::new(1, Arc::new(tandem_sim::SystemClock));
    for (site, project) in [("acme", "SUP"), ("globex", "DEV")] {
        let spec = SiteSpec::new(site)
            .user(UserSpec::new("ann", "Ann Archer"))
            .user(UserSpec::new("bob", "Bob Baker"));
        sim.add_site(spec.issues(project, 2));
    }
    let running = sim.serve().await.map_err(|error| Failure::Failed(error.into()))?;
    let jira = |site: &str| running.jira_urls.get(site).cloned().unwrap_or_default();
    let twin = format!("{}/browse/DEV-9", jira("globex"));
    sim.site("acme")
        .add_issue(IssueSpec::new("SUP-9").remote_link("", twin, "DEV-9"));
    sim.site("globex").add_issue(IssueSpec::new("DEV-9"));
    fill(&sim).map_err(|refused| Failure::failed(format!("{refused:?}")))?;
    let folder = global.config.parent().unwrap_or(Path::new(""));
    leave(folder)?;
    let files = ["acme.json", "globex.json", "links.csv"].map(|name| folder.join(name));
    if global.json {
        output::json(&serde_json::json!({
            "acme": jira("acme"), "globex": jira("globex"), "tempo": running.tempo_url,
            "files": files,
        }))?;
    } else {
        output::data(told(&running, &jira("acme"), &jira("globex")))?;
    }
    serve::interrupted().await;
    Ok(Ending::Done)
}

/// Two years of work, and a little of today.
fn fill(sim: &Sim) -> Result<(), tandem_sim::Refused> {
    for n in 0..EACH {
        let day = format!("{}-{:02}-{:02}", 2024 + n / 30, 1 + n % 12, 1 + n % 28);
        let work = |author: &str, text: &str| {
            Content::new(author, &day, "09:15:00", 1800 + n * 60).text(format!("{text} {n}"))
        };
        let log = |site: &str, issue: &str, content| sim.site(site).log_time(issue, content).map(drop);
        log("acme", "SUP-1", work("ann", "from acme"))?;
        log("globex", "DEV-2", work("bob", "from globex").billable(0))?;
        log("acme", "SUP-9", work("ann", "on both"))?;
        log("globex", "DEV-9", work("ann", "on both"))?;
    }
    for (site, issue) in [("acme", "SUP-2"), ("globex", "DEV-1"), ("acme", "SUP-9")] {
        let today = super::world::today(sim.now()).to_string();
        let content = Content::new("bob", &today, "13:30:00", 3600).text("today");
        sim.site(site).log_time(issue, content)?;
    }
    Ok(())
}

/// Leaves the secrets and the list of twins. What is there is not replaced.
fn leave(folder: &Path) -> Result<(), Failure> {
    let secret = |site: &str| {
        serde_json::json!({
            "tempo_token": format!("tempo-{site}"),
            "tempo_expires_at": "2099-01-31T00:00:00Z",
            "jira_email": format!("tandem@{site}.example"),
            "jira_token": format!("jira-{site}"),
            "jira_expires_at": "2099-01-31T00:00:00Z",
        })
        .to_string()
    };
    let files = [
        ("acme.json", secret("acme"), 0o600),
        ("globex.json", secret("globex"), 0o600),
        ("links.csv", LINKS.to_owned(), 0o644),
    ];
    if let Some((name, ..)) = files.iter().find(|(name, ..)| folder.join(name).exists()) {
        return Err(Failure::usage(format!(
            "{} is there already; go to an empty folder to practise in",
            folder.join(name).display()
        )));
    }
    for (name, text, mode) in files {
        let path = folder.join(name);
        create(&path, mode)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(())
}

fn told(running: &Running, acme: &str, globex: &str) -> String {
    let tempo = &running.tempo_url;
    format!(
        "two simulated sites with two years of worklogs:\n\nacme's Jira    {acme}\nglobex's Jira  {globex}\nTempo of both  {tempo}\n\nTheir secrets are in acme.json and globex.json, and links.csv names twins. In another terminal, in this folder:\n\n  export TANDEM_ALLOW_LOOPBACK=1\n  tandem init --a {acme} --a-name acme --a-secret file:acme.json --a-tempo {tempo} \\\n              --b {globex} --b-name globex --b-secret file:globex.json --b-tempo {tempo} \\\n              --links table,remote-link --unknown park --since 2026-01-01\n\nThen go on with step 3 of docs/first-sync.md. The sites are there until Ctrl-C."
    )
}
