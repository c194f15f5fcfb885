//! `doctor`: everything that fails silently elsewhere, looked at on both sites, each with its fix.
//!
//! Each probe fails alone: one that cannot be made becomes a line of its own. Nothing is written anywhere.

mod address;
mod alerts;
mod links;
mod look;
mod people;
mod periods;
mod permissions;
mod rules;
mod settings;
mod sight;
mod tokens;
mod trail;
mod webhooks;
mod whose;

use std::collections::BTreeMap;

use clap::Args;
use tandem_core::SiteName;
use tandem_runtime::wiring::Tandem;

use self::look::{Finding, Look, State};
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::words::count;
use crate::{open, output, select};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem doctor --data ./data
  tandem doctor --site acme --data ./data
  tandem doctor --json --data ./data | jq '.[] | select(.state == \"fail\")'

Exit code 3 when something needs a person (`warn` or `fail`); `unknown` is what could not be found out, and says how a person can.")]
pub(crate) struct Arguments {
    /// Only this site
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Only the two sites of this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open_to_look(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    let mut sites: Vec<SiteName> = engine
        .sites
        .keys()
        .filter(|site| connections.iter().any(|one| one.side(site).is_some()))
        .cloned()
        .collect();
    if let Some(name) = &arguments.site {
        let known: Vec<_> = sites.iter().map(ToString::to_string).collect();
        sites.retain(|site| site.as_str() == name);
        if sites.is_empty() {
            return Err(Failure::usage(format!(
                "there is no site `{}` here; there are: {}",
                output::plain(name),
                known.join(", ")
            )));
        }
    }
    let look = Look::new(&opened.tandem, connections, sites);
    let mut findings = all(&look).await?;
    engine.rest().await?;
    // They are of no site, and so not of one that was asked for.
    if arguments.site.is_none() && arguments.connection.is_none() {
        findings.extend(alerts::look(&opened.tandem).await);
    }
    if global.json {
        output::json(&findings)?;
    } else {
        output::data(shown(&findings))?;
    }
    let of = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    if !look.was_answered() {
        output::say("error: no site gave any answer; there is nothing to say about them");
        return Ok(Ending::Failed);
    }
    let (failed, warned) = (of(State::Fail), of(State::Warn));
    if failed + warned > 0 {
        let wrong = count(failed, "thing");
        output::say(format!("{wrong} wrong, {} to look at", count(warned, "thing")));
    }
    Ok(Ending::differs_if(failed + warned > 0))
}

async fn all(look: &Look<'_>) -> Result<Vec<Finding>, Failure> {
    let table = links::read(look).await?;
    let mut findings = Vec::new();
    let mut recents = BTreeMap::new();
    // Of all sites first: what one looks up on another is not to meet a token that is known to be rejected.
    let mut first = BTreeMap::new();
    for site in &look.sites {
        let mut of_site = address::look(look, site).await;
        of_site.extend(tokens::look(look, site).await);
        first.insert(site, of_site);
    }
    for site in &look.sites {
        findings.extend(first.remove(site).unwrap_or_default());
        findings.extend(permissions::look(look, site, &table).await);
        let recent = sight::recent(look, site, &table).await;
        findings.extend(sight::look(look, site, &table, &recent).await);
        findings.push(trail::look(look, site).await);
        findings.extend(people::look(look, site, &recent).await);
        findings.extend(webhooks::look(look, site).await);
        findings.extend(links::look(look, site, &table).await);
        findings.extend(settings::look(look, site).await);
        recents.insert(site.clone(), recent);
    }
    findings.extend(whose::look(look).await);
    findings.extend(rules::look(look).await);
    findings.extend(periods::look(look, &mut recents, &table).await);
    Ok(findings)
}

/// What is wrong with addresses and credentials.
pub(super) struct Wrong {
    /// In lines, for people.
    pub(super) text: String,
    /// Whether a site cannot be used at all.
    pub(super) fatal: bool,
    /// Whether something needs a person.
    pub(super) failed: bool,
}

impl Wrong {
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// Looks at addresses, credentials and permissions alone, for a configuration that is just being made.
pub(super) async fn credentials(tandem: &Tandem) -> Result<Wrong, Failure> {
    let connections = tandem.engine.connections.iter().collect();
    let look = Look::new(tandem, connections, tandem.engine.sites.keys().cloned().collect());
    let table = links::read(&look).await?;
    let mut findings = Vec::new();
    for site in &look.sites {
        let mut of_site = address::look(&look, site).await;
        of_site.extend(tokens::look(&look, site).await);
        let fatal = of_site.iter().any(|finding| finding.state == State::Fail);
        findings.extend(of_site);
        if !fatal {
            findings.extend(permissions::look(&look, site, &table).await);
            findings.extend(settings::look(&look, site).await);
        }
    }
    findings.extend(whose::look(&look).await);
    // What a project lacks can be given later, and a setting corrected in the file; without an address or a token nothing can be done.
    let fatal = findings
        .iter()
        .filter(|finding| finding.check != "permissions" && !settings::CHECKS.contains(&finding.check))
        .any(|finding| finding.state == State::Fail || finding.is_unanswered());
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    // What a person can do nothing about is no news here.
    findings.retain(|finding| finding.fix.is_some());
    Ok(Wrong {
        failed,
        text: shown(&findings),
        fatal,
    })
}

/// The columns that are left for what was found, at least; in a narrower terminal it goes below what was looked at.
const FOUND_MIN: usize = 40;

/// Lays findings out for people: a row each, and the fix below what was found.
fn shown(findings: &[Finding]) -> String {
    laid_out(findings, output::columns())
}

fn laid_out(findings: &[Finding], columns: Option<u16>) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let place = |finding: &Finding| match (&finding.site, &finding.connection) {
        (Some(site), Some(connection)) => format!("{site} ({connection})"),
        (Some(site), None) => site.to_string(),
        (None, _) => "the file".to_owned(),
    };
    let widest = |of: &dyn Fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or(0);
    let before = widest(&|finding| finding.check.len()) + widest(&|finding| place(finding).len());
    // The state, and two blanks between columns.
    let needed = "unknown".len() + before + 3 * 2 + FOUND_MIN;
    let is_narrow = columns.is_some_and(|columns| usize::from(columns) < needed);
    let mut rows = Vec::new();
    for finding in findings {
        let state = finding.state.as_str().to_owned();
        let fix = finding.fix.as_ref().map(|fix| format!("fix: {fix}"));
        let blank = String::new;
        if is_narrow {
            rows.push(vec![state, format!("{}, {}", finding.check, place(finding))]);
            rows.push(vec![blank(), finding.what.clone()]);
            rows.extend(fix.map(|fix| vec![blank(), fix]));
        } else {
            rows.push(vec![
                state,
                finding.check.to_string(),
                place(finding),
                finding.what.clone(),
            ]);
            rows.extend(fix.map(|fix| vec![blank(), blank(), blank(), fix]));
        }
    }
    match is_narrow {
        true => output::fitting(&["STATE", "CHECK, WHERE"], rows, columns),
        false => output::fitting(&["STATE", "CHECK", "WHERE", ""], rows, columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_narrow_terminal_what_was_looked_at_stays_whole() {
        let site = SiteName::new("acme");
        let findings = [
            Finding::ok("tempo-token", &site, "Tempo accepts the token"),
            Finding::unknown(
                "jira-token-expiry",
                &site,
                "when Jira's token ends is not recorded, so that nobody is warned (after a year at most)",
                "write jira_expires_at, such as \"2027-01-31T00:00:00Z\", into the site's secret",
            ),
        ];
        for columns in [60, 40] {
            let text = laid_out(&findings, Some(columns));
            assert!(output::fits(&text, Some(columns)), "{columns}:\n{text}");
            assert!(
                text.contains("unknown  jira-token-expiry, acme\n"),
                "{columns}:\n{text}"
            );
        }
        let wide = laid_out(&findings, Some(200));
        assert_eq!(wide, laid_out(&findings, None));
        assert_eq!(wide.lines().count(), 4, "{wide}");
    }
}
