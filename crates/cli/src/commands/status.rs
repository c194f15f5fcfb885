//! `status`: health at a glance.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tandem_core::{ConnectionName, Reason, SiteName, WorklogId};
use tandem_engine::operator::ItemState;
use tandem_engine::ports::store::LinkRow;
use tandem_engine::{self as engine, Engine};
use tandem_runtime::subscriptions::{self, Seen};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::{self, Only};
use crate::{open, output, words};

/// How long ago the last sweep of a site may be at least. They are mostly minutes apart.
const UNSWEPT: SignedDuration = SignedDuration::from_hours(2);

/// How many of its own periods the last sweep may be ago.
const PERIODS: i32 = 3;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem status --data ./data
  tandem status --issue SUP-1 --data ./data

With a filter the queue's totals are those of the selection, and LINKS those of the issue or worklog; sites and audits are
told as ever, since everything rests on them. Exit code 3 when something is parked or missing, or a site is in trouble:
paused, without a permission, not swept for two hours and three periods, or with a subscription of Tempo's that is
missing or off.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    only: Only,
}

#[derive(Debug, Serialize)]
struct Status {
    sites: Vec<Site>,
    connections: Vec<Connection>,
    queue: Queue,
    /// What was asked for, where not everything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<Only>,
}

#[derive(Debug, Serialize)]
struct Site {
    name: SiteName,
    paused: Option<Paused>,
    missing_permissions: Vec<String>,
    /// Whether Tempo's audit trail may be read; `null` while unknown.
    papertrail: Option<bool>,
    last_sweep: Option<Timestamp>,
    /// When that is too long ago; `null` for a site that no sweep looks at.
    #[serde(skip)]
    sweep_due: Option<Timestamp>,
    /// Whether any connection is with it.
    #[serde(skip)]
    is_connected: bool,
    /// What the last look at Tempo's subscriptions found; `null` before the first.
    subscriptions: Option<Seen>,
}

#[derive(Debug, Serialize)]
struct Paused {
    since: Timestamp,
    detail: String,
    next_attempt: Timestamp,
}

#[derive(Debug, Serialize)]
struct Connection {
    name: ConnectionName,
    links: u64,
    last_audit: Option<Timestamp>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Queue {
    due: usize,
    running: usize,
    parked: usize,
    missing: usize,
    ignored: usize,
    reasons: BTreeMap<&'static str, usize>,
}

/// What is wrong with a site.
enum Trouble<'s> {
    Paused(&'s Paused),
    Lacks(&'s [String]),
    NotSwept,
}

impl Trouble<'_> {
    fn advice(&self) -> Option<&'static str> {
        match self {
            Trouble::Paused(_) => Some(Reason::CredentialsRejected.advice()),
            Trouble::Lacks(_) => Some(Reason::PermissionMissing.advice()),
            Trouble::NotSwept => Some(
                "the last sweep that reached it is long ago: see whether `tandem serve` or the schedule runs, and what its log says",
            ),
        }
    }
}

impl Site {
    /// The worst that is wrong. A site that was never swept is new.
    fn trouble(&self, now: Timestamp) -> Option<Trouble<'_>> {
        match (&self.paused, self.sweep_due) {
            (Some(paused), _) => Some(Trouble::Paused(paused)),
            (None, _) if !self.missing_permissions.is_empty() => {
                Some(Trouble::Lacks(&self.missing_permissions))
            }
            (None, Some(due)) if now > due => Some(Trouble::NotSwept),
            (None, _) => None,
        }
    }
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let opened = open::open(global).await?;
    open::remark_on_memory(global);
    let engine = opened.engine();
    let every = SignedDuration::try_from(opened.tandem.config.engine.sweep).unwrap_or(UNSWEPT);
    let status = status(engine, &arguments.only, every).await?;
    let now = engine.clock.now();
    if global.json {
        output::json(&status)?;
    } else {
        output::data(shown(&status, now))?;
    }
    let paused = status.sites.iter().any(|site| {
        let untold = site
            .subscriptions
            .as_ref()
            .is_some_and(|seen| !seen.missing.is_empty() || !seen.off.is_empty());
        site.trouble(now).is_some() || untold
    });
    Ok(Ending::differs_if(
        paused || status.queue.parked + status.queue.missing > 0,
    ))
}

async fn status(engine: &Engine, only: &Only, every: SignedDuration) -> Result<Status, Failure> {
    let named = only.has_link(engine).await?;
    let mut sites = Vec::new();
    for name in engine.sites.keys() {
        let state = engine.store.site(name).await?;
        let last_sweep = engine.store.cursor(&format!("changes:{name}")).await?;
        let last_sweep = last_sweep.map(|cursor| cursor.at);
        let is_connected = engine.connections_of(name).next().is_some();
        sites.push(Site {
            sweep_due: last_sweep.filter(|_| is_connected).map(|at| due_after(at, every)),
            is_connected,
            last_sweep,
            name: name.clone(),
            paused: state.paused.map(|pause| Paused {
                since: pause.since,
                detail: pause.detail,
                next_attempt: pause.probe_at,
            }),
            missing_permissions: state.missing_permissions,
            papertrail: state.papertrail,
            subscriptions: subscriptions::seen(&*engine.store, name).await?,
        });
    }
    let mut connections = Vec::new();
    for connection in select::connections(engine, only.connection.as_deref())? {
        connections.push(Connection {
            name: connection.name.clone(),
            links: links(engine, connection, only, &named).await?,
            last_audit: engine
                .store
                .cursor(&format!("audited:{}", connection.name))
                .await?
                .map(|cursor| cursor.at),
        });
    }
    let mut queue = Queue::default();
    let items = engine.whole_queue().await?;
    for item in only.pick(engine, items).await? {
        if item.ignored {
            queue.ignored += 1;
            continue;
        }
        match item.state {
            ItemState::Due => queue.due += 1,
            ItemState::Running => queue.running += 1,
            ItemState::Parked => queue.parked += 1,
            ItemState::Missing => queue.missing += 1,
        }
        if let Some(reason) = item.reason {
            *queue.reasons.entry(reason.as_str()).or_default() += 1;
        }
    }
    if queue == Queue::default() {
        only.is_known(engine).await?;
    }
    Ok(Status {
        sites,
        connections,
        queue,
        only: only.is_some().then(|| only.clone()),
    })
}

/// When a site that was last swept then is in trouble, swept every so often.
fn due_after(swept: Timestamp, every: SignedDuration) -> Timestamp {
    swept + UNSWEPT.max(every * PERIODS)
}

/// Counts a connection's links: all of them, or those of the issue or worklog that is asked for; `named` are the issue's.
async fn links(
    engine: &Engine,
    connection: &engine::Connection,
    only: &Only,
    named: &[LinkRow],
) -> Result<u64, Failure> {
    if only.issue.is_none() && only.worklog.is_none() {
        return Ok(engine.store.count_links(&connection.name).await?);
    }
    let mut found: BTreeSet<_> = named.iter().map(|row| row.key.clone()).collect();
    if let Some(id) = only.worklog {
        let mut places = BTreeSet::new();
        for site in [&connection.sites.a, &connection.sites.b] {
            let known = engine
                .store
                .whereabouts(&connection.name, site, &[WorklogId(id)])
                .await?;
            places.extend(known.into_iter().map(|place| place.link));
        }
        match only.issue {
            Some(_) => found.retain(|link| places.contains(link)),
            None => found = places,
        }
    }
    Ok(found
        .iter()
        .filter(|link| link.connection == connection.name)
        .count() as u64)
}

/// Says what the last look at a site's subscriptions found.
fn subscribed(seen: &Seen) -> String {
    if !seen.missing.is_empty() {
        return format!("none for {}: `tandem connect`", seen.missing.join(", "));
    }
    if !seen.off.is_empty() {
        return format!("off: {}; `tandem connect`", seen.off.join(", "));
    }
    if !seen.switched_on.is_empty() {
        return format!("were off, on again: {}", seen.switched_on.join(", "));
    }
    if seen.none {
        return "none: changes wait for the sweep; `tandem connect`".to_owned();
    }
    match (seen.not_allowed, seen.several) {
        (true, _) => "the token may not see them".to_owned(),
        (_, true) => "several addresses; `public_url` says which".to_owned(),
        _ => "ok".to_owned(),
    }
}

fn shown(status: &Status, now: Timestamp) -> String {
    let age = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| words::ago(at, now));
    let sites = status.sites.iter().map(|site| {
        let health = match site.trouble(now) {
            Some(Trouble::Paused(paused)) => {
                format!("paused {}: {}", words::ago(paused.since, now), paused.detail)
            }
            Some(Trouble::Lacks(missing)) => format!("lacks {}", missing.join(", ")),
            Some(Trouble::NotSwept) => "not looked at any more".to_owned(),
            None if !site.is_connected => "in no connection".to_owned(),
            None if site.last_sweep.is_none() => "not looked at yet".to_owned(),
            None => "ok".to_owned(),
        };
        let proof = match site.papertrail {
            Some(true) => "Tempo's audit trail",
            Some(false) => "Jira's feed",
            None => "not known yet",
        };
        vec![
            site.name.to_string(),
            health,
            age(site.last_sweep),
            proof.to_owned(),
            site.subscriptions
                .as_ref()
                .map_or_else(|| "not known yet".to_owned(), subscribed),
        ]
    });
    let sites = output::table(
        &[
            "SITE",
            "HEALTH",
            "LAST SWEEP",
            "DELETES ARE READ FROM",
            "TEMPO'S WEBHOOKS",
        ],
        sites.collect(),
    );
    let connections = status
        .connections
        .iter()
        .map(|one| vec![one.name.to_string(), one.links.to_string(), age(one.last_audit)])
        .collect();
    let connections = output::table(&["CONNECTION", "LINKS", "LAST AUDIT"], connections);
    let queue = &status.queue;
    let reasons: Vec<String> = queue
        .reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    let ignored = match queue.ignored {
        0 => String::new(),
        number => format!("; {number} ignored"),
    };
    let of = status
        .only
        .as_ref()
        .map(|only| format!(" of {}", only.words()))
        .unwrap_or_default();
    let advice: String = status
        .sites
        .iter()
        .filter_map(|site| Some((&site.name, site.trouble(now)?.advice()?)))
        .map(|(name, advice)| format!("\n{name}: {advice}"))
        .collect();
    format!(
        "{sites}{advice}\n\n{connections}\n\nqueue{of}: {} due, {} running, {} parked, {} missing{reasons}{ignored}",
        queue.due, queue.running, queue.parked, queue.missing
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_is_swept_no_more_is_in_trouble_and_one_that_never_was_is_new() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let swept = |ago: Option<SignedDuration>| Site {
            name: "acme".into(),
            paused: None,
            missing_permissions: Vec::new(),
            papertrail: None,
            last_sweep: ago.map(|ago| now - ago),
            sweep_due: ago.map(|ago| due_after(now - ago, SignedDuration::from_mins(5))),
            subscriptions: None,
            is_connected: true,
        };
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        assert!(swept(None).trouble(now).is_none());
        assert!(swept(hours(2)).trouble(now).is_none());
        assert!(matches!(swept(hours(3)).trouble(now), Some(Trouble::NotSwept)));
        // Where sweeps are seldom, one that is hours old is no trouble.
        let seldom = SignedDuration::from_hours(6);
        assert!(due_after(now - SignedDuration::from_hours(17), seldom) > now);
        assert!(due_after(now - SignedDuration::from_hours(19), seldom) < now);
        // What is known of why goes before that.
        let lacks = Site {
            missing_permissions: vec!["WORK_ON_ISSUES".to_owned()],
            ..swept(hours(3))
        };
        assert!(matches!(lacks.trouble(now), Some(Trouble::Lacks(_))));
    }
}
