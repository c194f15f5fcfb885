//! `plan`: what would be written. Nothing is, anywhere.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;
use tandem_core::{AccountId, Content, LinkKey, Side};
use tandem_engine::Engine;
use tandem_engine::operator::{Guesses, Proposal, ProposedOp, Stranger, Strangers};

use crate::args::Global;
use crate::by_name::{ByName, People};
use crate::ending::{Ending, Failure};
use crate::{open, output, resolve, strangers, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem plan --data ./data
  tandem plan --issue SUP-1 --issue SUP-2 --data ./data
  tandem plan --json --data ./data | jq '.steps[] | select(.op == \"delete\")'

Exit code 3 when something would be written or set aside. Nothing is written, on either site or in Tandem's own table
(except, while others are at work on a site, the count of its requests that all share). What is listed is what
`reconcile` then does; what cannot be foreseen is in docs/operate.md.")]
pub(crate) struct Arguments {
    /// Only this issue, by its key or id on either side; may be given several times
    #[arg(long, value_name = "KEY", value_parser = crate::values::some)]
    issue: Vec<String>,
    #[command(flatten)]
    by_name: ByName,
}

#[derive(Debug, Serialize)]
struct Steps {
    steps: Vec<Step>,
    /// Whose creates would wait, since the other site does not know them.
    unknown_authors: Vec<Stranger>,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    proposal: Proposal,
    /// The key of the issue, or its id where the key is not known.
    issue: String,
    /// What the people in it are called, by account.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<BTreeMap<AccountId, String>>,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    open::remark_on_memory(global);
    preview(global, arguments).await
}

/// The same for a table that is empty because nothing has begun yet.
pub(crate) async fn preview(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    open::look_ahead(global, async |engine| planned(global, arguments, engine).await).await
}

async fn planned(global: &Global, arguments: &Arguments, engine: &Engine) -> Result<Ending, Failure> {
    engine.deletes_ahead().await?;
    let links = links(engine, &arguments.issue).await?;
    let mut proposals = Vec::new();
    let mut failed = 0;
    for link in &links {
        let Some(connection) = engine.connection(&link.connection) else {
            continue;
        };
        match engine.proposals(connection, link, &links).await {
            Ok(more) => proposals.extend(more),
            Err(error) => {
                failed += 1;
                let rejected = open::rejected(engine, &error).await;
                let why = rejected.unwrap_or_else(|| error.to_string());
                output::say(format!("error: {link} cannot be planned: {why}"));
            }
        }
    }
    let strangers = strangers(engine, &proposals).await?;
    let people = people(engine, arguments.by_name, &proposals).await;
    let mut rows = Vec::new();
    for connection in &engine.connections {
        rows.extend(resolve::links(engine, connection).await?);
    }
    let steps: Vec<Step> = proposals
        .into_iter()
        .map(|proposal| {
            let issue = {
                let link = &proposal.link;
                resolve::issue_name(&rows, &link.connection, Some(link), proposal.side, proposal.issue)
            };
            let authors = proposal.contents().map(|(side, content)| (side, &content.author));
            Step {
                names: people.names(&proposal.connection, authors),
                proposal,
                issue,
            }
        })
        .collect();
    let open = !steps.is_empty();
    let not_asked = strangers::not_asked(&strangers.iter().collect::<Vec<_>>());
    let unknown_authors: Vec<Stranger> = strangers.into_iter().flat_map(|one| one.found).collect();
    let unknown = strangers::warning(engine, &unknown_authors);
    if global.json {
        output::json(&Steps {
            steps,
            unknown_authors,
        })?;
    } else if open {
        for step in &steps {
            output::data(shown(engine, step, &people))?;
        }
        output::say(format!("{}; nothing was written", totals(&steps)));
        if let Some(warning) = copied(&steps) {
            output::say(warning);
        }
    } else {
        output::say("nothing would be written");
    }
    for told in [unknown, not_asked].into_iter().flatten() {
        output::say(told);
    }
    match failed {
        0 => Ok(Ending::differs_if(open)),
        _ => Ok(Ending::Failed),
    }
}

/// Asks whether the other site knows those whose worklogs would be made. The steps stay what a run would do: it writes first, and
/// asks when it is refused.
async fn strangers(engine: &Engine, proposals: &[Proposal]) -> Result<Vec<Strangers>, Failure> {
    let mut found = Vec::new();
    for connection in &engine.connections {
        let mut guesses = Guesses::default();
        for proposal in proposals.iter().filter(|one| one.connection == connection.name) {
            if let Some(author) = &proposal.guess {
                let of_side = &mut guesses[proposal.side.other()];
                *of_side.entry(author.clone()).or_default() += 1;
            }
        }
        found.push(engine.strangers(connection, &guesses).await?);
    }
    Ok(found)
}

/// Asks what the people in the steps are called.
async fn people(engine: &Engine, by_name: ByName, proposals: &[Proposal]) -> People {
    let mut seen = by_name.seen(engine);
    for proposal in proposals {
        for (side, content) in proposal.contents() {
            seen.add(&proposal.connection, side, &content.author);
        }
    }
    seen.ask().await
}

async fn links(engine: &Engine, issues: &[String]) -> Result<BTreeSet<LinkKey>, Failure> {
    let mut links = BTreeSet::new();
    if issues.is_empty() {
        for connection in &engine.connections {
            links.extend(engine.links_ahead(connection).await?);
        }
        return Ok(links);
    }
    for name in issues {
        let known = resolve::in_scope(engine, name, resolve::links_of(engine, name).await?)?;
        links.extend(known.iter().map(|row| row.key.clone()));
        if !known.is_empty() {
            continue;
        }
        let found = resolve::ask_sites(engine, name).await?;
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "there is no issue `{}` on any site",
                output::plain(name)
            )));
        }
        let mut new = BTreeSet::new();
        for (site, issue) in found {
            for (connection, side) in engine.connections_of(&site) {
                new.extend(engine.link_ahead(connection, side, issue).await?);
            }
        }
        if new.is_empty() {
            return Err(Failure::usage(format!(
                "{} has no twin, so there is nothing to plan; `tandem link add` gives it one",
                output::plain(name)
            )));
        }
        links.extend(new);
    }
    Ok(links)
}

fn shown(engine: &Engine, step: &Step, people: &People) -> String {
    let proposal = &step.proposal;
    let told =
        |side: Side, content: &Content| output::plain(&people.content(&proposal.connection, side, content));
    let site = engine
        .connection(&proposal.connection)
        .map(|one| one.sites[proposal.side].to_string());
    let worklog = proposal.worklog.map(|id| format!(" {id}")).unwrap_or_default();
    let mut text = format!(
        "{} on {} {}{worklog}: {}",
        proposal.op.as_str(),
        site.unwrap_or_default(),
        step.issue,
        output::plain(&proposal.reason)
    );
    if let Some(policy) = proposal.policy {
        text.push_str(&format!(" (policy: {policy})"));
    }
    match (&proposal.before, &proposal.after) {
        // Nothing would be written: these are what the two sides say.
        (Some(this), Some(other)) if proposal.op == ProposedOp::Park => {
            for (side, content) in [(proposal.side, this), (proposal.side.other(), other)] {
                text.push_str(&format!("\n  {side} says {}", told(side, content)));
            }
        }
        (Some(before), Some(after)) => {
            text.push_str(&format!("\n  {}", told(proposal.before_on, before)));
            let author =
                |content: &Content| people.person(&proposal.connection, proposal.side, &content.author);
            for (field, before, after) in changes(before, after, author) {
                text.push_str(&format!(
                    "\n    {field}: {} -> {}",
                    output::plain(&before),
                    output::plain(&after)
                ));
            }
        }
        (Some(gone), None) => text.push_str(&format!("\n  - {}", told(proposal.before_on, gone))),
        (None, Some(new)) => text.push_str(&format!("\n  + {}", told(proposal.after_on(), new))),
        (None, None) => {}
    }
    if !proposal.looks_like.is_empty() {
        let ids: Vec<String> = proposal.looks_like.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "\n    looks like {}, as another tool copies",
            ids.join(", ")
        ));
    }
    for lost in &proposal.loses {
        text.push_str(&format!("\n    loses {}", output::plain(lost)));
    }
    text
}

/// Warns of worklogs that would be there twice.
fn copied(steps: &[Step]) -> Option<String> {
    let alike = steps.iter().filter(|step| !step.proposal.looks_like.is_empty());
    let days = alike.clone().filter_map(|step| step.proposal.after.as_ref());
    let since = days.map(|content| content.start_date).min()?;
    Some(format!(
        "warning: {} as if another tool had copied it already, and would be there twice: before `tandem reconcile` or `tandem serve` runs, `tandem backfill --since {since} --adopt` pairs those that are clear, and has the others wait for a person",
        match alike.count() {
            1 => "1 of these creates looks".to_owned(),
            many => format!("{many} of these creates look"),
        }
    ))
}

/// What an update changes: field, before, after.
fn changes(
    before: &Content,
    after: &Content,
    author: impl Fn(&Content) -> String,
) -> Vec<(String, String, String)> {
    let mut changes = Vec::new();
    let mut add = |field: &str, before: String, after: String| {
        if before != after {
            changes.push((field.to_owned(), before, after));
        }
    };
    let none = || "none".to_owned();
    let time = |content: &Content| content.start_time.map_or_else(none, |time| time.to_string());
    let billable = |content: &Content| content.billable_secs.map_or_else(none, words::hours);
    let text = |content: &Content| format!("\"{}\"", content.description);
    add("author", author(before), author(after));
    add(
        "start date",
        before.start_date.to_string(),
        after.start_date.to_string(),
    );
    add("start time", time(before), time(after));
    add(
        "time spent",
        words::hours(before.time_spent_secs),
        words::hours(after.time_spent_secs),
    );
    add("billable", billable(before), billable(after));
    add("description", text(before), text(after));
    let keys: BTreeSet<&String> = before.attributes.keys().chain(after.attributes.keys()).collect();
    for key in keys {
        let value = |content: &Content| content.attributes.get(key).cloned().unwrap_or_else(none);
        add(key, value(before), value(after));
    }
    changes
}

/// `2 creates, 1 update; 1 would be set aside`
fn totals(steps: &[Step]) -> String {
    let count = |op: ProposedOp| steps.iter().filter(|step| step.proposal.op == op).count();
    let writes = [ProposedOp::Create, ProposedOp::Update, ProposedOp::Delete].into_iter();
    let mut parts: Vec<String> = writes
        .map(|op| (count(op), op))
        .filter(|(count, _)| *count > 0)
        .map(|(number, op)| words::count(number, op.as_str()))
        .collect();
    let parks = count(ProposedOp::Park);
    if parks > 0 {
        parts.push(format!("{parks} would be set aside"));
    }
    parts.join(", ")
}
