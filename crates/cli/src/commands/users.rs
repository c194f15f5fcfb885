//! `users`: who logged time of late and who they are on the other site; and saying so for those whom nobody finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use tandem_core::{AccountId, ConnectionName, Side};
use tandem_engine::operator::{Assigned, How, Matched, Standing};
use tandem_engine::ports::SiteClient;
use tandem_engine::ports::site::SiteErrorKind;
use tandem_engine::ports::store::Lane;
use tandem_engine::{Connection, Engine, EngineError};
use tandem_runtime::pairs::{Kind, Line};

use crate::args::Global;
use crate::csv_file::{Imported, Progress, Stop, stopped};
use crate::ending::{Ending, Failure};
use crate::who::Who;
use crate::{csv_file, open, output, resolve, select, values, words};

/// How far back worklogs are looked at.
const REACH: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Pages of worklogs per site that are read: 100,000 rows.
const PAGES_MAX: usize = 20;

/// People who are taken in before the history is told of them, at most: of so many a death leaves it untold who said it.
const TOLD_AT_ONCE: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem users list --data ./data
  tandem users import people.csv --table tandem-table

A line of the file is two account ids: the one on side a, then the one on side b. What is imported is kept in the table
and never looked up again; a pair in [connections.authors] map of the configuration goes before it. A later import of
the same account replaces what an earlier one said.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The connection, where there are several
    #[arg(long, global = true, value_name = "NAME")]
    connection: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show who logged time on linked issues of late, and how they are known on the other site
    #[command(
        after_help = "Examples:\n  tandem users list --data ./data\n  tandem users list --since 2024-01-01 --data ./data      before a first sync of old worklogs"
    )]
    List {
        /// Who logged time from this day on (default: within 90 days)
        #[arg(long, value_name = "DATE", value_parser = values::day)]
        since: Option<Date>,
    },
    /// Say which accounts belong to the same person
    #[command(
        after_help = "Example:\n  tandem users import people.csv --data ./data\n\npeople.csv holds lines like 5f0a-on-acme,60c1-on-globex."
    )]
    Import {
        /// A CSV file of two columns: the account on side a, the account on side b
        file: PathBuf,
        #[command(flatten)]
        who: Who,
    },
}

impl Arguments {
    /// Says whether it is an import, which hears of Ctrl-C itself.
    pub(crate) fn imports(&self) -> bool {
        matches!(self.action, Some(Action::Import { .. }))
    }

    /// Says whether nothing is changed.
    pub(crate) fn only_looks(&self) -> bool {
        !matches!(self.action, Some(Action::Import { .. }))
    }
}

/// A person as shown.
#[derive(Debug, Serialize)]
struct Shown {
    connection: ConnectionName,
    side: Side,
    #[serde(flatten)]
    person: Matched,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let lines = match &arguments.action {
        Some(Action::Import { file, .. }) => csv_file::read(file, Kind::Accounts)?,
        _ => Vec::new(),
    };
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let name = arguments.connection.as_deref();
    match &arguments.action {
        Some(Action::Import { file, who }) => {
            let connection = select::connection(engine, name)?;
            import(global, engine, connection, (file, lines), &who.name()).await
        }
        Some(Action::List { since }) => {
            open::remark_on_memory(global);
            list(global, engine, select::connections(engine, name)?, *since).await
        }
        None => {
            open::remark_on_memory(global);
            list(global, engine, select::connections(engine, name)?, None).await
        }
    }
}

async fn list(
    global: &Global,
    engine: &Engine,
    connections: Vec<&Connection>,
    since: Option<Date>,
) -> Result<Ending, Failure> {
    let mut people = Vec::new();
    for connection in connections {
        for side in Side::BOTH {
            for account in authors(engine, connection, side, since).await? {
                let mut person = engine.match_person(connection, side, &account).await?;
                // Whom a person named, nobody had to ask for.
                if person.display_name.is_none() && person.how != How::Nobody {
                    person.display_name = name(engine, connection, side, &account).await?;
                }
                people.push(Shown {
                    connection: connection.name.clone(),
                    side,
                    person,
                });
            }
        }
    }
    let unmatched = people.iter().filter(|one| one.person.how == How::Nobody).count();
    if global.json {
        output::json(&people)?;
    } else if people.is_empty() {
        let when = since.map_or_else(|| "within 90 days".to_owned(), |day| format!("since {day}"));
        output::say(format!("nobody logged time on a linked issue {when}"));
    } else {
        let rows = people.iter().map(|one| {
            let person = &one.person;
            vec![
                one.connection.to_string(),
                one.side.to_string(),
                person.account.to_string(),
                person.display_name.clone().unwrap_or_default(),
                person
                    .other
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
                person.how.to_string(),
            ]
        });
        let header = [
            "CONNECTION",
            "SIDE",
            "ACCOUNT",
            "NAME",
            "ON THE OTHER SITE",
            "KNOWN BY",
        ];
        output::data(output::table(&header, rows.collect()))?;
        if unmatched > 0 {
            output::say(format!(
                "{} unknown on the other site: give them access there, or say who they are with `tandem users import FILE.csv` or [connections.authors] map",
                words::count(unmatched, "person")
            ));
        }
    }
    Ok(Ending::differs_if(unmatched > 0))
}

/// How an account is called on its site, where the site says.
async fn name(
    engine: &Engine,
    connection: &Connection,
    side: Side,
    account: &AccountId,
) -> Result<Option<String>, Failure> {
    let Some(site) = engine.sites.get(&connection.sites[side]) else {
        return Ok(None);
    };
    let ask = async |client: &dyn SiteClient| client.user(account).await;
    match engine
        .unhurried(async || engine.call(site, Lane::Live, ask).await)
        .await
    {
        Ok(user) => Ok(user.map(|user| user.display_name)),
        // The service user may not look at people; who they are on the other site is known all the same.
        Err(EngineError::Site { error, .. }) if matches!(error.kind, SiteErrorKind::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Who logged time on linked issues of a side of late.
async fn authors(
    engine: &Engine,
    connection: &Connection,
    side: Side,
    since: Option<Date>,
) -> Result<BTreeSet<AccountId>, Failure> {
    let links = resolve::links(engine, connection).await?;
    let issues: BTreeSet<_> = links.iter().map(|row| row.key.issue(side)).collect();
    let site = engine
        .sites
        .get(&connection.sites[side])
        .ok_or_else(|| Failure::failed("a site is not configured"))?;
    let of_late = || (engine.clock.now() - REACH).to_zoned(TimeZone::UTC).date();
    let since = since.unwrap_or_else(of_late);
    let mut authors = BTreeSet::new();
    let mut offset = 0;
    let mut pages = 0;
    while pages < PAGES_MAX {
        let page = engine
            .unhurried(async || {
                let list = async |client: &dyn SiteClient| client.list_dates(since, None, offset).await;
                engine.call(site, Lane::Live, list).await
            })
            .await?;
        pages += 1;
        let fits = page
            .rows
            .into_iter()
            .filter(|worklog| issues.is_empty() || issues.contains(&worklog.issue));
        authors.extend(fits.map(|worklog| worklog.content.author));
        match page.next {
            Some(next) if next > offset => offset = next,
            _ => return Ok(authors),
        }
    }
    output::say(format!(
        "note: only the first {PAGES_MAX} pages of side {side} were read: there may be others; a later --since DATE reads the rest"
    ));
    Ok(authors)
}

/// Says whether two accounts can be one person's.
async fn can_be_one(engine: &Engine, connection: &Connection, a: &str, b: &str) -> Result<Fit, EngineError> {
    let mut gone = Vec::new();
    let mut left = Vec::new();
    for (side, account) in [(Side::A, a), (Side::B, b)] {
        let standing = engine
            .standing(connection, side, &AccountId::new(account))
            .await?;
        let named = || format!("{} on {}", output::plain(account), connection.sites[side]);
        match standing {
            Standing::Active => {}
            Standing::Deactivated => {
                gone.push(named());
                left.push(side);
            }
            Standing::Unknown => {
                let site = &connection.sites[side];
                return Ok(Fit::Not(format!(
                    "{site} has no account {}",
                    output::plain(account)
                )));
            }
        }
    }
    Ok(match gone.as_slice() {
        [] => Fit::Both,
        // What a former colleague logged is copied all the same, as long as the copies can be somebody's.
        [one] => Fit::Noted(
            left,
            format!(
                "{one} is deactivated: time goes from there to the other account, and none the other way"
            ),
        ),
        several => Fit::Not(format!(
            "{} are deactivated: neither can have the other's time",
            several.join(" and ")
        )),
    })
}

/// Whether two accounts can be one person's.
enum Fit {
    /// They can.
    Both,
    /// They can, for time of these sides alone, with something that a person should know.
    Noted(Vec<Side>, String),
    /// They cannot, and why.
    Not(String),
}

/// Has the history say who said who is who.
async fn note(engine: &Engine, connection: &Connection, told: &mut Vec<String>) -> Result<(), EngineError> {
    let told = std::mem::take(told);
    let name = std::slice::from_ref(&connection.name);
    engine.tell_act(name, "users", &told).await
}

async fn import(
    global: &Global,
    engine: &Engine,
    connection: &Connection,
    (file, lines): (&Path, Vec<Line>),
    by: &str,
) -> Result<Ending, Failure> {
    let (mut imported, good) = Imported::begin(lines);
    // A person has one account on each side: the first line that says so counts.
    let mut seen: BTreeMap<(Side, String), u64> = BTreeMap::new();
    let mut failed: Option<Failure> = None;
    let mut told = Vec::new();
    let stop = Stop::listen();
    let all = good.len();
    let mut progress = Progress::begin(all);
    for (done, (number, (a, b))) in good.into_iter().enumerate() {
        progress.tell(done);
        let earlier = [(Side::A, &a), (Side::B, &b)]
            .into_iter()
            .find_map(|(side, account)| seen.get(&(side, account.clone())).map(|line| (account, *line)));
        if let Some((account, first)) = earlier {
            let message =
                format!("{account} is on line {first} already; a person has one account on each side");
            imported.refuse(number, message);
            continue;
        }
        let mut of = Side::BOTH.to_vec();
        match stop.or(can_be_one(engine, connection, &a, &b)).await {
            Some(Ok(Fit::Both)) => {}
            Some(Ok(Fit::Noted(sides, note))) => {
                output::say(format!("note: {}:{number}: {note}", file.display()));
                of = sides;
            }
            Some(Ok(Fit::Not(message))) => {
                imported.refuse(number, message);
                continue;
            }
            Some(Err(error)) => {
                failed = Some(error.into());
                break;
            }
            None => {
                failed = Some(stopped(all - done));
                break;
            }
        }
        seen.insert((Side::A, a.clone()), number);
        seen.insert((Side::B, b.clone()), number);
        let cause = format!(
            "{by}: {a} on {} and {b} on {} are the same person",
            connection.sites.a, connection.sites.b
        );
        match engine
            .assign_person(connection, &AccountId::new(a), &AccountId::new(b), &of)
            .await
        {
            Ok(Assigned::New) => {
                imported.new += 1;
                told.push(cause);
                if told.len() == TOLD_AT_ONCE {
                    failed = note(engine, connection, &mut told).await.err().map(Failure::from);
                }
            }
            Ok(Assigned::Already) => imported.already += 1,
            Ok(Assigned::Not(why)) => imported.refuse(number, why),
            Err(error) => failed = Some(error.into()),
        }
        if failed.is_some() {
            break;
        }
    }
    if imported.new > 0 {
        // What waited for them goes on.
        let woken = engine.wake_parked().await;
        failed = failed.or(woken.err().map(Failure::from));
        let noted = note(engine, connection, &mut told).await;
        failed = failed.or(noted.err().map(Failure::from));
    }
    let people = match imported.new {
        1 => "1 person taken in".to_owned(),
        number => format!("{number} people taken in"),
    };
    let told = imported.tell(global, file, &people, "known so already");
    match failed {
        Some(failure) => Err(failure),
        None => told,
    }
}
