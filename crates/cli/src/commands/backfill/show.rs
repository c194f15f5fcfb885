//! What a backfill would do, and what it did.

use serde::Serialize;
use tandem_core::{ConnectionName, Content, IssueId, Side, Sides, Worklog, WorklogId};
use tandem_engine::backfill::{Counted, Twins};
use tandem_engine::operator::Stranger;
use tandem_engine::{Connection, Engine};

use super::{Report, Work};
use crate::{output, words};

/// Likely copies and groups that are shown to a person; JSON has all.
const SHOWN_MAX: usize = 20;

/// One connection's estimate, for JSON.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    connection: ConnectionName,
    /// Links on which there is something to do.
    links: usize,
    /// Worklogs that would be made, per side.
    creates: Sides<usize>,
    /// Worklogs that would be put right, per side.
    updates: Sides<usize>,
    /// Worklogs that would be set aside.
    parks: usize,
    /// Worklogs that say the same on both sides and would be paired.
    certain: usize,
    /// Worklogs that differ only in what another tool is known to lose.
    likely: Vec<ShownTwins>,
    /// Worklogs that have a twin, but nobody can tell which.
    ambiguous: Vec<Sides<Vec<Entry>>>,
    /// Worklogs outside the range that were looked at as well, per side: any run of these links begins them.
    beyond: Sides<usize>,
    /// What stands on issues without a twin, and is left alone.
    unlinked: Sides<Counted>,
    /// What stands on linked issues outside the scope, and is left alone.
    outside: Sides<Counted>,
    /// Whose worklogs would wait, since the other site does not know them.
    unknown_authors: Vec<Stranger>,
    /// Requests to each side.
    requests: Sides<usize>,
    /// Of these, those that look for the twins of issues that are not linked.
    finding: Sides<usize>,
    /// Of these, those that write.
    writes: Sides<usize>,
    /// How long that takes at the sites' rates, in seconds.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct ShownTwins {
    a: Entry,
    b: Entry,
    lost: Vec<&'static str>,
    copy: Option<Side>,
}

#[derive(Debug, Serialize)]
struct Entry {
    issue: IssueId,
    worklog: WorklogId,
    #[serde(flatten)]
    content: Content,
}

fn entry(worklog: &Worklog) -> Entry {
    Entry {
        issue: worklog.issue,
        worklog: worklog.id,
        content: worklog.content.clone(),
    }
}

impl Shown {
    pub(super) fn of(work: &Work<'_>) -> Self {
        let estimate = &work.estimate;
        let links = || estimate.links.iter();
        let twins = |twins: &Twins| ShownTwins {
            a: entry(&twins.found.a),
            b: entry(&twins.found.b),
            lost: twins.lost.clone(),
            copy: twins.copy,
        };
        let group =
            |group: &Sides<Vec<Worklog>>| Sides::from_fn(|side| group[side].iter().map(entry).collect());
        Self {
            connection: work.connection.name.clone(),
            links: estimate.open,
            creates: Sides::from_fn(|side| links().map(|link| link.creates[side]).sum()),
            updates: Sides::from_fn(|side| links().map(|link| link.updates[side]).sum()),
            parks: links().map(|link| link.parks).sum(),
            certain: links().map(|link| link.certain).sum(),
            likely: links().flat_map(|link| link.likely.iter().map(twins)).collect(),
            ambiguous: links()
                .flat_map(|link| link.ambiguous.iter().map(group))
                .collect(),
            beyond: estimate.beyond,
            unlinked: estimate.unlinked,
            outside: estimate.outside,
            unknown_authors: work.strangers.found.clone(),
            requests: estimate.requests,
            finding: estimate.finding,
            writes: estimate.writes,
            seconds: (estimate.secs * 10.0).round() / 10.0,
        }
    }
}

/// Says what would be done.
pub(super) fn text(engine: &Engine, works: &[Work<'_>]) -> String {
    let parts: Vec<String> = works.iter().map(|work| one(engine, work)).collect();
    parts.join("\n\n")
}

fn one(engine: &Engine, work: &Work<'_>) -> String {
    let shown = Shown::of(work);
    let mut lines = vec![format!(
        "{}: {} with something to do",
        shown.connection,
        words::count(shown.links, "link")
    )];
    for side in Side::BOTH {
        let site = &work.connection.sites[side];
        if shown.creates[side] > 0 {
            lines.push(format!(
                "  {} to make on {site}",
                words::count(shown.creates[side], "worklog")
            ));
        }
        if shown.updates[side] > 0 {
            lines.push(format!(
                "  {} to put right on {site}",
                words::count(shown.updates[side], "worklog")
            ));
        }
    }
    let verb = if work.order.adopt { "to be paired" } else { "found" };
    if shown.certain > 0 {
        lines.push(format!(
            "  certain: {} the same on both sides, to be paired",
            shown.certain
        ));
    }
    if !shown.likely.is_empty() {
        lines.push(format!("  likely: {} copied before, {verb}", shown.likely.len()));
        let likely = work.estimate.links.iter().flat_map(|link| &link.likely);
        lines.extend(
            likely
                .take(SHOWN_MAX)
                .map(|one| indented(&twins(engine, work.connection, one))),
        );
        lines.extend(more(shown.likely.len()));
        let undecided = undecided(work);
        if undecided > 0 {
            lines.push(format!(
                "    of {undecided} nothing tells which of the two is the copy: paired, and not healed"
            ));
        }
    }
    if !shown.ambiguous.is_empty() {
        lines.push(format!(
            "  ambiguous: {} in which nobody can tell which is whose; they wait for a person",
            words::count(shown.ambiguous.len(), "group")
        ));
        let groups = work.estimate.links.iter().flat_map(|link| &link.ambiguous);
        lines.extend(
            groups
                .take(SHOWN_MAX)
                .map(|group| indented(&grouped(work.connection, group))),
        );
        lines.extend(more(shown.ambiguous.len()));
        if work.order.accounts == Sides::default() {
            lines.push(
                "    where the other tool logs under an account of its own, name it with --copied-by"
                    .to_owned(),
            );
        }
    }
    if shown.parks > 0 {
        lines.push(format!(
            "  {} to be set aside",
            words::count(shown.parks, "worklog")
        ));
    }
    let beyond = shown.beyond.a + shown.beyond.b;
    if beyond > 0 {
        lines.push(format!(
            "  counted in: {} of these links outside the dates, but dated from the connection's `since` on, which any run begins",
            words::count(beyond, "worklog")
        ));
    }
    for (counted, which) in [
        (shown.unlinked, "without a twin"),
        (shown.outside, "outside the scope"),
    ] {
        let worklogs = counted.a.worklogs + counted.b.worklogs;
        if worklogs > 0 {
            lines.push(format!(
                "  {} on {} {which} are left alone",
                words::count(worklogs, "worklog"),
                words::count(counted.a.issues + counted.b.issues, "issue")
            ));
        }
    }
    let finding = match shown.finding.a + shown.finding.b {
        0 => String::new(),
        number => format!(", {number} that look for twins"),
    };
    lines.push(format!(
        "  {} ({} that write{finding}), about {} at the allowed rate",
        words::count(shown.requests.a + shown.requests.b, "request"),
        shown.writes.a + shown.writes.b,
        words::secs(shown.seconds)
    ));
    lines.join("\n")
}

fn more(count: usize) -> Option<String> {
    (count > SHOWN_MAX).then(|| format!("    and {} more; --json shows all", count - SHOWN_MAX))
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Shows two worklogs, and what one of them lost.
pub(super) fn twins(_engine: &Engine, connection: &Connection, twins: &Twins) -> String {
    let mark = |side: Side| match twins.copy {
        Some(copy) if copy == side => " (the copy)",
        _ => "",
    };
    let line = |side: Side| format!("  {}{}", said(connection, side, &twins.found[side]), mark(side));
    format!(
        "but for {}:\n{}\n{}",
        twins.lost.join(", "),
        line(Side::A),
        line(Side::B)
    )
}

fn grouped(connection: &Connection, group: &Sides<Vec<Worklog>>) -> String {
    let mut lines = vec!["which is whose?".to_owned()];
    for side in Side::BOTH {
        lines.extend(
            group[side]
                .iter()
                .map(|worklog| format!("  {}", said(connection, side, worklog))),
        );
    }
    lines.join("\n")
}

fn said(connection: &Connection, side: Side, worklog: &Worklog) -> String {
    output::plain(&format!(
        "{} {}: {}",
        connection.sites[side],
        worklog.id,
        words::content(&worklog.content)
    ))
}

/// How many likely twins there are of which nothing tells which is the copy.
pub(super) fn undecided(work: &Work<'_>) -> usize {
    let likely = work.estimate.links.iter().flat_map(|link| &link.likely);
    likely.filter(|twins| twins.copy.is_none()).count()
}

/// Says what was done.
pub(super) fn ended(report: &Report) -> String {
    let mut text = format!(
        "{} written on {}",
        words::count(report.written as usize, "worklog"),
        words::count(report.done, "link")
    );
    for (reason, count) in &report.waiting {
        text.push_str(&format!("; {count} waiting: {reason}"));
    }
    if !report.left.is_empty() {
        text.push_str(&format!("; {} not done", words::count(report.left.len(), "link")));
    }
    for left in &report.left {
        let reason = left
            .reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        text.push_str(&format!(
            "\n  {}{reason}: {}",
            left.link,
            output::plain(&left.detail)
        ));
    }
    text
}
