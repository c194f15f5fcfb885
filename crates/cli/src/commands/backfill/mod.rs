//! `backfill`: the first sync of old worklogs.

mod ask;
mod progress;
mod show;

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr, stdin};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;
use tandem_core::{AccountId, LinkKey, Reason, Side, Sides};
use tandem_engine::backfill::{Estimate, Order, Ran, Standing};
use tandem_engine::operator::{self, Stranger, Strangers};
use tandem_engine::{Connection, Engine};

use self::progress::Progress;
use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{open, output, resolve, select, strangers, values, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem backfill --since 2024-01-01 --dry-run                       how much it is; writes nothing
  tandem backfill --since 2024-01-01 --data ./data                   the first sync; the same command goes on after a kill
  tandem backfill --since 2024-01-01 --data ./data --adopt --heal    take over what another tool copied, and put right what it lost
  tandem backfill --since 2024-01-01 --data ./data --adopt=ask       the same, asking before copies that differ are taken over")]
pub(crate) struct Arguments {
    /// From this day on
    #[arg(long, value_name = "DATE", value_parser = values::day)]
    since: Date,
    /// Up to this day, included (default: no end)
    #[arg(long, value_name = "DATE", value_parser = values::day)]
    until: Option<Date>,
    /// Only this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only this issue, by its key or id on either side; may be given several times
    #[arg(long, value_name = "KEY", value_parser = values::some)]
    issue: Vec<String>,
    /// Pair what another tool copied, rather than copy it again
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "yes")]
    adopt: Option<Adopt>,
    /// Put right what copies of another tool lost: start time, billable hours, attributes
    #[arg(long)]
    heal: bool,
    /// The account under which the other tool logs where it does not know the author
    #[arg(long, value_name = "ACCOUNT", value_parser = values::some)]
    copied_by: Option<String>,
    /// Say how much it is, and write nothing
    #[arg(long, visible_alias = "estimate")]
    dry_run: bool,
    /// Do not ask whether to begin
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    who: Who,
}

impl Arguments {
    /// Says whether nothing is changed.
    pub(crate) fn only_looks(&self) -> bool {
        self.dry_run
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Adopt {
    /// What is certainly or likely a copy
    Yes,
    /// What is likely one only after a person has seen it
    Ask,
    /// Not at all: what differs is copied, even if it looks like a copy
    No,
}

/// How long what is in hand may take to end after Ctrl-C: a request and what records it.
const GRACE: Duration = Duration::from_secs(30);

/// What is to be done in one connection.
struct Work<'e> {
    connection: &'e Connection,
    order: Order,
    estimate: Estimate,
    strangers: Strangers,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    estimate: Vec<show::Shown>,
    /// Links that were looked at.
    links: usize,
    /// Of these, links that are done.
    done: usize,
    /// Writes of worklogs that went through.
    written: u64,
    /// Beside these, changes of other links that were due and were carried over meanwhile.
    meanwhile: u64,
    /// Worklogs that wait, by reason code.
    waiting: std::collections::BTreeMap<&'static str, usize>,
    /// Pairs that stay as they are, since nothing tells which of the two is the copy.
    unhealed: usize,
    /// Links that are not done, and why.
    left: Vec<Left>,
}

#[derive(Debug, Serialize)]
struct Left {
    link: String,
    reason: Option<Reason>,
    detail: String,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let progress = OnceCell::new();
    let begun = Cell::new(false);
    let early = async {
        // Once it has begun, it hears of it itself: of two listeners, either may be the first.
        match tokio::signal::ctrl_c().await {
            Ok(()) if progress.get().is_none() => {}
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = work(global, arguments, &begun, &progress) => ended,
        () = early => Err(Failure::failed(match begun.get() {
            true => "stopped while it was recorded what is to be done; the same command goes on from there",
            false => "stopped; nothing was written",
        })),
    }
}

/// Says how far it came, and where it goes on.
fn stopped(progress: &Progress) -> Ending {
    output::say(format!(
        "stopped after {}; the same command goes on from there, and so does `tandem serve`",
        progress.place()
    ));
    Ending::Failed
}

async fn work(
    global: &Global,
    arguments: &Arguments,
    begun: &Cell<bool>,
    progress: &OnceCell<Progress>,
) -> Result<Ending, Failure> {
    check(arguments)?;
    if arguments.dry_run {
        return open::look_ahead(global, async |engine| {
            let (works, _) = works(engine, arguments).await?;
            shown(global, engine, &works).await
        })
        .await;
    }
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let (mut works, only) = open::telling(engine, works(engine, arguments)).await?;
    if arguments.adopt.is_none() {
        refuse_to_guess(&works)?;
    }
    if arguments.adopt == Some(Adopt::Ask) {
        for work in &mut works {
            work.order.apart = ask::apart(engine, work.connection, &work.estimate)?;
            if !work.order.apart.is_empty() {
                let again = engine.estimate_backfill(work.connection, &work.order, only.as_ref());
                work.estimate = open::telling(engine, again).await?;
            }
        }
    }
    if !global.json {
        output::say(show::text(engine, &works));
    }
    warn_of_strangers(engine, &works);
    let open: usize = works.iter().map(|work| work.estimate.open).sum();
    let may_ask = stdin().is_terminal() && stderr().is_terminal();
    if open > 0 && may_ask && !arguments.yes && !ask::yes("Begin?")? {
        output::say("nothing was written");
        return Ok(Ending::Done);
    }
    let mut links = Vec::new();
    begun.set(true);
    for work in &works {
        let ordered = engine.order_backfill(&work.estimate.links, &work.order).await?;
        if !ordered.is_empty() {
            let told = format!(
                "{}: {}",
                arguments.who.name(),
                asked_for(&work.order, ordered.len())
            );
            let name = std::slice::from_ref(&work.connection.name);
            engine.tell_act(name, "backfill", &[told]).await?;
        }
        links.extend(ordered);
    }
    let before = engine.backfill_standing(&links).await?;
    let progress = progress.get_or_init(|| Progress::new(expected(&works, &links), &before));
    // What waited before this command waits still, and a second call is not to pass for the end of it.
    let scope = |link: &LinkKey| {
        let within = works.iter().any(|work| work.connection.name == link.connection);
        within && only.as_ref().is_none_or(|only| only.contains(link))
    };
    let mut run = pin!(engine.run_backfill(&links, |standing| progress.tell(standing)));
    let ran = tokio::select! {
        ran = &mut run => ran,
        Ok(()) = tokio::signal::ctrl_c() => {
            // What is in hand ends and says how far it came, so that the next command can go on at once.
            engine.stop_soon();
            let ended = tokio::select! {
                ran = tokio::time::timeout(GRACE, &mut run) => ran.ok(),
                Ok(()) = tokio::signal::ctrl_c() => None,
            };
            progress.stop();
            ended.transpose()?;
            return Ok(stopped(progress));
        }
    };
    progress.stop();
    ended(global, engine, &works, &links, scope, (&before, &ran?)).await
}

/// What there is to do on each connection, and the links of the issues that were named; `None` for all.
async fn works<'a>(
    engine: &'a Engine,
    arguments: &Arguments,
) -> Result<(Vec<Work<'a>>, Option<BTreeSet<LinkKey>>), Failure> {
    let connections = select::connections(engine, arguments.connection.as_deref())?;
    if let Some(account) = &arguments.copied_by {
        is_somebody(engine, &connections, account).await?;
    }
    engine.prepare().await?;
    let only = only(engine, &connections, &arguments.issue).await?;
    let mut works = Vec::new();
    for connection in connections {
        let order = order(arguments);
        let estimate = engine
            .estimate_backfill(connection, &order, only.as_ref())
            .await?;
        let strangers = engine.strangers(connection, &estimate.guesses).await?;
        works.push(Work {
            connection,
            order,
            estimate,
            strangers,
        });
    }
    Ok((works, only))
}

/// What a person asked for, in words for the history.
fn asked_for(order: &Order, links: usize) -> String {
    let mut text = format!(
        "first sync of {} with worklogs from {}",
        words::count(links, "link"),
        order.since
    );
    if let Some(until) = order.until {
        text.push_str(&format!(" to {until}"));
    }
    if order.adopt {
        text.push_str(", taking over what another tool copied");
        if !order.apart.is_empty() {
            let pairs: Vec<String> = order.apart.iter().map(|(a, b)| format!("{a} and {b}")).collect();
            text.push_str(&format!(" but not as twins {}", pairs.join(", ")));
        }
    }
    if order.heal {
        text.push_str(" and putting right what it lost");
    }
    text
}

fn check(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(until) = arguments.until.filter(|until| *until < arguments.since) {
        return Err(Failure::usage(format!(
            "--since {} is after --until {until}",
            arguments.since
        )));
    }
    let may_ask = stdin().is_terminal() && stderr().is_terminal();
    if arguments.adopt == Some(Adopt::Ask) && !may_ask && !arguments.dry_run {
        return Err(Failure::usage(
            "--adopt=ask needs a terminal to ask on; look at them with --dry-run --json, then say --adopt to take over all that are likely copies, or --adopt=no",
        ));
    }
    if arguments.copied_by.is_some() && !matches!(arguments.adopt, Some(Adopt::Yes | Adopt::Ask)) {
        return Err(Failure::usage(
            "--copied-by says whose copies are taken over, which --adopt or --adopt=ask does",
        ));
    }
    if arguments.adopt == Some(Adopt::No) && arguments.heal {
        return Err(Failure::usage("--heal has nothing to put right with --adopt=no"));
    }
    Ok(())
}

/// Refuses an account that no site knows: copies under another one would not be recognised, and be copied again.
async fn is_somebody(engine: &Engine, connections: &[&Connection], account: &str) -> Result<(), Failure> {
    for connection in connections {
        for side in Side::BOTH {
            let standing = engine
                .standing(connection, side, &AccountId::new(account))
                .await?;
            if standing != operator::Standing::Unknown {
                return Ok(());
            }
        }
    }
    Err(Failure::usage(format!(
        "no site has an account {} under which another tool could have logged; it is the last part of the address of a profile in Jira; nothing was written",
        output::plain(account)
    )))
}

fn order(arguments: &Arguments) -> Order {
    let account = arguments.copied_by.as_deref().map(AccountId::new);
    Order {
        since: arguments.since,
        until: arguments.until,
        adopt: matches!(arguments.adopt, Some(Adopt::Yes | Adopt::Ask)),
        heal: arguments.heal,
        accounts: Sides::new(account.clone(), account),
        apart: Vec::new(),
    }
}

/// The links of the issues that were named; `None` for all.
async fn only(
    engine: &Engine,
    connections: &[&Connection],
    names: &[String],
) -> Result<Option<BTreeSet<LinkKey>>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let wanted = |link: &LinkKey| connections.iter().any(|one| one.name == link.connection);
    let mut links = BTreeSet::new();
    for name in names {
        let known = resolve::in_scope(engine, name, resolve::links_of(engine, name).await?)?;
        let mut found: BTreeSet<LinkKey> = known.into_iter().map(|row| row.key).collect();
        if found.is_empty() {
            let issues = resolve::ask_sites(engine, name).await?;
            if issues.is_empty() {
                return Err(Failure::usage(format!(
                    "there is no issue `{}` on any site",
                    output::plain(name)
                )));
            }
            for (site, issue) in issues {
                for (connection, side) in engine.connections_of(&site) {
                    found.extend(engine.link_ahead(connection, side, issue).await?);
                }
            }
        }
        found.retain(wanted);
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "{} has no twin; `tandem link add` says which issues are twins",
                output::plain(name)
            )));
        }
        links.extend(found);
    }
    Ok(Some(links))
}

/// A second copy of what another tool copied is not to be had by leaving out an option.
fn refuse_to_guess(works: &[Work<'_>]) -> Result<(), Failure> {
    let links = || works.iter().flat_map(|work| &work.estimate.links);
    let likely: usize = links().map(|link| link.likely.len()).sum();
    let ambiguous: usize = links().map(|link| link.ambiguous.len()).sum();
    let creates: usize = links().map(|link| link.creates.a + link.creates.b).sum();
    if creates == 0 || likely + ambiguous == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "some of it looks as if another tool had copied it before ({}, {} that cannot be told apart); say --adopt to take it over, --adopt=ask to see it first, or --adopt=no to copy it all the same; nothing was written",
        words::count(likely, "worklog"),
        words::count(ambiguous, "group")
    )))
}

async fn shown(global: &Global, engine: &Engine, works: &[Work<'_>]) -> Result<Ending, Failure> {
    if global.json {
        output::json(&Estimates {
            estimate: works.iter().map(show::Shown::of).collect(),
        })?;
    } else {
        output::data(show::text(engine, works))?;
        output::say("nothing was written");
    }
    warn_of_strangers(engine, works);
    Ok(Ending::differs_if(
        works.iter().any(|work| work.estimate.open > 0),
    ))
}

/// Warns of those whose time would wait.
fn warn_of_strangers(engine: &Engine, works: &[Work<'_>]) {
    let all: Vec<&Strangers> = works.iter().map(|work| &work.strangers).collect();
    let found: Vec<Stranger> = all.iter().flat_map(|one| one.found.iter().cloned()).collect();
    let told = [strangers::warning(engine, &found), strangers::not_asked(&all)];
    for told in told.into_iter().flatten() {
        output::say(told);
    }
}

#[derive(Debug, Serialize)]
struct Estimates {
    estimate: Vec<show::Shown>,
}

/// How many worklogs each link's part is.
fn expected(works: &[Work<'_>], links: &[LinkKey]) -> Vec<u64> {
    let all = || works.iter().flat_map(|work| &work.estimate.links);
    let of = |link: &LinkKey| {
        let one = all().find(|one| one.link == *link)?;
        let writes = |side: Side| one.creates[side] + one.updates[side];
        Some((writes(Side::A) + writes(Side::B)) as u64)
    };
    links.iter().map(|link| of(link).unwrap_or(0)).collect()
}

async fn ended(
    global: &Global,
    engine: &Engine,
    works: &[Work<'_>],
    links: &[LinkKey],
    scope: impl Fn(&LinkKey) -> bool,
    (before, ran): (&[Standing], &Ran),
) -> Result<Ending, Failure> {
    let total = |standing: &[Standing]| standing.iter().map(Standing::written).sum::<u64>();
    let written = total(&ran.standing).saturating_sub(total(before));
    let mut report = Report {
        estimate: works.iter().map(show::Shown::of).collect(),
        links: links.len(),
        done: 0,
        written,
        meanwhile: ran.written.saturating_sub(written),
        waiting: Default::default(),
        unhealed: match works.first() {
            Some(work) if work.order.heal => works.iter().map(show::undecided).sum(),
            _ => 0,
        },
        left: Vec::new(),
    };
    for (link, standing) in links.iter().zip(&ran.standing) {
        let (reason, detail) = match standing {
            Standing::Done { .. } => {
                report.done += 1;
                continue;
            }
            Standing::Due { reason, detail, .. } => (*reason, detail.clone().unwrap_or_default()),
            Standing::Forgotten { .. } => (None, String::new()),
        };
        report.left.push(Left {
            link: link.to_string(),
            reason,
            detail,
        });
    }
    for work in works {
        let mut cursor = None;
        loop {
            let (pairs, next) = engine.store.waiting(&work.connection.name, cursor).await?;
            for pair in pairs
                .iter()
                .filter(|pair| scope(&pair.link) && !pair.is_ignored())
            {
                if let Some(wait) = &pair.wait {
                    *report.waiting.entry(wait.reason.as_str()).or_default() += 1;
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    if global.json {
        output::json(&report)?;
    } else {
        output::data(show::ended(&report))?;
    }
    if report.meanwhile > 0 {
        output::say(format!(
            "{} of other links that were due went across meanwhile; `tandem history` tells which",
            words::count(report.meanwhile as usize, "change")
        ));
    }
    let failed = report.left.iter().any(|left| left.reason.is_none());
    if failed {
        output::say("some of it is not done; the same command goes on from here, and so does `tandem serve`");
        return Ok(Ending::Failed);
    }
    if report.unhealed > 0 {
        output::say(format!(
            "{} stay as they are: nothing tells which of the two is the copy; edit the one that is wrong, and the other follows",
            words::count(report.unhealed, "pair")
        ));
    }
    let waits = !report.waiting.is_empty() || !report.left.is_empty();
    if waits {
        output::say("some of it waits; `tandem queue` says what, why, and what to do");
    }
    Ok(Ending::differs_if(waits || report.unhealed > 0))
}
