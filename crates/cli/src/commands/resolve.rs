//! `resolve`: say which side counts, or which worklog is the twin.

use clap::{Args, ValueEnum};
use serde::Serialize;
use tandem_core::rules::{ConflictPolicy, DeletePolicy, DeleteVsEdit};
use tandem_core::{Content, LinkKey, Pair, PairId, Reason, Side, Sides, WorklogId};
use tandem_engine::Engine;
use tandem_engine::operator::{Decision, QueueId, QueueItem, Resolved};

use crate::args::Global;
use crate::ending::{Ending, Failure};
use crate::select::Only;
use crate::who::Who;
use crate::{open, output, resolve, select, words};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem resolve pair:acme-globex:10001:20001:a500001-10001 --data ./data             look at both sides first
  tandem resolve pair:acme-globex:10001:20001:a500001-10001 --data ./data --take b    side b counts
  tandem resolve pair:acme-globex:10001:20001:a500001-10001 --data ./data --twin 77   worklog 77 is the one
  tandem resolve --worklog 500001 --data ./data --take b                              the same item, by its worklog or its twin's

A decision rests on what was seen when the item was set aside: what was changed after that is a change like any other,
and waits again if it has to. The value that gives way is kept in the history. Of a worklog that is missing, --take the
side where it is missing says that it is deleted.")]
#[command(group = select::which())]
pub(crate) struct Arguments {
    /// The item, by its id in `tandem queue`; or say with a filter which one is meant
    #[arg(value_name = "ID", conflicts_with_all = ["connection", "issue", "worklog", "person"])]
    id: Option<String>,
    #[command(flatten)]
    only: Only,
    /// The side that counts
    #[arg(long, value_name = "SIDE", conflicts_with = "twin")]
    take: Option<Taken>,
    /// For ambiguous-create: the worklog that is the twin
    #[arg(long, value_name = "WORKLOG")]
    twin: Option<u64>,
    /// Only if the item is still at this revision, as looked at
    #[arg(long, value_name = "NUMBER")]
    rev: Option<u64>,
    #[command(flatten)]
    who: Who,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Taken {
    A,
    B,
}

/// An item as a person looks at it.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    rev: u64,
    reason: Option<Reason>,
    detail: Option<String>,
    ignored: bool,
    worklogs: Sides<Option<WorklogId>>,
    /// What both sides said when it was set aside.
    seen: Sides<Option<Content>>,
    /// What both sides last agreed on.
    base: Option<Sides<Content>>,
    policy: Policy,
}

#[derive(Debug, Serialize)]
struct Policy {
    conflict: &'static str,
    delete: &'static str,
    delete_vs_edit: &'static str,
}

/// Reads the id of an item that a decision can be made about.
pub(crate) fn item(text: &str) -> Result<(LinkKey, PairId), Failure> {
    match text.parse().map_err(|error| Failure::usage(format!("{error}")))? {
        QueueId::Pair { link, pair } => Ok((link, pair)),
        QueueId::Link(_) | QueueId::Issue { .. } => Err(Failure::usage(
            "this item is a whole link or issue, about which there is nothing to decide: `tandem retry` tries it again, and `tandem link rm` takes a link away",
        )),
    }
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    let named = arguments.id.as_deref().map(item).transpose()?;
    let opened = open::open(global).await?;
    let engine = opened.engine();
    let ((link, pair), about) = match named {
        Some(named) => (named, None),
        None => {
            let (item, of_item) = the_one(engine, &arguments.only).await?;
            (of_item, Some(item))
        }
    };
    let id = QueueId::Pair {
        link: link.clone(),
        pair: pair.clone(),
    };
    let decision = match (arguments.take, arguments.twin) {
        (Some(Taken::A), _) => Decision::Take(Side::A),
        (Some(Taken::B), _) => Decision::Take(Side::B),
        (None, Some(worklog)) => Decision::Twin(WorklogId(worklog)),
        (None, None) => return show(global, engine, &link, &pair).await,
    };
    let by = arguments.who.name();
    match engine.decide(&link, &pair, decision, &by, arguments.rev).await? {
        Resolved::Done(what) if global.json => {
            output::json(&serde_json::json!({ "id": id, "decided": what, "by": by }))?;
        }
        Resolved::Done(what) => output::say(format!(
            "{}{what}; `tandem serve` acts on it at once, or the next `tandem reconcile` does",
            about
                .map(|item| format!("{}: ", select::named(&item)))
                .unwrap_or_default()
        )),
        Resolved::Not(why) => {
            let id = output::plain(&id.to_string());
            return Err(Failure::usage(format!("`{id}` cannot be resolved so: {why}")));
        }
    }
    Ok(Ending::Done)
}

/// The one item of a selection that a decision can be made about: of several, a person has to say which.
async fn the_one(engine: &Engine, only: &Only) -> Result<(QueueItem, (LinkKey, PairId)), Failure> {
    let waiting = only.pick(engine, engine.queue().await?).await?;
    let pairs: Vec<_> = waiting
        .into_iter()
        .filter_map(|item| match item.id.clone() {
            QueueId::Pair { link, pair } => Some((item, (link, pair))),
            QueueId::Link(_) | QueueId::Issue { .. } => None,
        })
        .collect();
    match pairs.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            only.has_link(engine).await?;
            Err(Failure::usage(
                "no worklog of that is parked or missing; `tandem queue` shows what waits, and with --all what was set aside, which `tandem retry ID` takes back",
            ))
        }
        several => Err(Failure::usage(format!(
            "{} items of that wait, and a decision is about one: `tandem queue` with the same filter shows their ids",
            several.len()
        ))),
    }
}

async fn show(global: &Global, engine: &Engine, link: &LinkKey, id: &PairId) -> Result<Ending, Failure> {
    let pair = engine.store.pair(link, id).await?;
    let connection = engine.connection(&link.connection);
    let (Some(pair), Some(connection)) = (pair, connection) else {
        return Err(Failure::usage(
            "it is not in the queue; `tandem queue` shows what is",
        ));
    };
    let policy = &connection.settings.rules.policy;
    let shown = Shown {
        id: QueueId::Pair {
            link: link.clone(),
            pair: id.clone(),
        }
        .to_string(),
        rev: pair.rev,
        reason: pair.wait.as_ref().map(|wait| wait.reason),
        detail: pair.wait.as_ref().map(|wait| wait.detail.clone()),
        ignored: pair.is_ignored(),
        worklogs: pair.ids,
        seen: pair
            .wait
            .as_ref()
            .map(|wait| wait.tried.clone())
            .unwrap_or_default(),
        base: pair.base.clone(),
        policy: Policy {
            conflict: match policy.conflict {
                ConflictPolicy::Newest => "newest",
                ConflictPolicy::Side(Side::A) => "a",
                ConflictPolicy::Side(Side::B) => "b",
                ConflictPolicy::Park => "park",
            },
            delete: match policy.delete {
                DeletePolicy::Mirror => "mirror",
                DeletePolicy::Keep => "keep",
                DeletePolicy::Park => "park",
            },
            delete_vs_edit: match policy.delete_vs_edit {
                DeleteVsEdit::Edit => "edit",
                DeleteVsEdit::Delete => "delete",
                DeleteVsEdit::Park => "park",
            },
        },
    };
    if global.json {
        output::json(&shown)?;
    } else {
        let row = engine.store.link(link).await?;
        let names = row
            .as_ref()
            .map_or_else(|| (link.a.to_string(), link.b.to_string()), resolve::shown);
        output::data(text(&shown, &pair, &Sides::new(names.0, names.1)))?;
    }
    Ok(Ending::Done)
}

fn text(shown: &Shown, pair: &Pair, names: &Sides<String>) -> String {
    let mut lines = match (shown.reason, &shown.detail) {
        (Some(reason), Some(detail)) => vec![format!("{reason}: {}", output::plain(detail))],
        _ => vec!["it does not wait any more".to_owned()],
    };
    let say = |content: Option<&Content>| {
        content.map_or_else(
            || "nothing".to_owned(),
            |content| output::plain(&words::content(content)),
        )
    };
    for side in Side::BOTH {
        let worklog = pair.ids[side].map_or_else(|| "no worklog".to_owned(), |id| format!("worklog {id}"));
        lines.push(format!("side {side}, {} {worklog}", names[side]));
        lines.push(format!("    seen:   {}", say(shown.seen[side].as_ref())));
        lines.push(format!(
            "    agreed: {}",
            say(shown.base.as_ref().map(|base| &base[side]))
        ));
    }
    let policy = &shown.policy;
    lines.push(format!(
        "policy: conflict = {}, delete = {}, delete_vs_edit = {}; revision {}",
        policy.conflict, policy.delete, policy.delete_vs_edit, shown.rev
    ));
    if let Some(reason) = shown.reason {
        lines.push(reason.advice().to_owned());
    }
    lines.join("\n")
}
