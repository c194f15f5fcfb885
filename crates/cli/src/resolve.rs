//! From an issue's key or id, as a person writes it, to its links.

use std::collections::BTreeSet;
use std::time::Duration;

use tandem_core::{ConnectionName, IssueId, LinkKey, Side, SiteName};
use tandem_engine::discover::issue_ref;
use tandem_engine::ports::SiteClient;
use tandem_engine::ports::site::{IssueRef, JiraIssue};
use tandem_engine::ports::store::{HistoryRow, Lane, LinkRow};
use tandem_engine::{Connection, Engine, EngineError};

use crate::ending::Failure;
use crate::output;

/// Lists a connection's links.
pub(crate) async fn links(engine: &Engine, connection: &Connection) -> Result<Vec<LinkRow>, Failure> {
    let mut links = Vec::new();
    let mut cursor = None;
    loop {
        let (rows, next) = engine.store.links(&connection.name, cursor).await?;
        links.extend(rows);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(links),
        }
    }
}

/// Lists the links of all connections.
pub(crate) async fn all_links(engine: &Engine) -> Result<Vec<LinkRow>, Failure> {
    let mut all = Vec::new();
    for connection in &engine.connections {
        all.extend(links(engine, connection).await?);
    }
    Ok(all)
}

/// How long Jira may take to tell an issue's id, before all links are read instead.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Returns the links of an issue, on either side of any connection: by its id, which Jira tells of a key. Where Jira tells
/// nothing, or has no such issue any more, all links are read.
pub(crate) async fn links_of(engine: &Engine, name: &str) -> Result<Vec<LinkRow>, Failure> {
    if let Some(issues) = ids_of(engine, name).await {
        let found = linked(engine, &issues).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let mut found = all_links(engine).await?;
    found.retain(|row| Side::BOTH.into_iter().any(|side| is(row, side, name)));
    Ok(found)
}

/// Returns the issues that may be meant by a name, on each site; `None` where a site does not tell.
async fn ids_of(engine: &Engine, name: &str) -> Option<Vec<(SiteName, IssueId)>> {
    let asked = issue_ref(name);
    let mut found = Vec::new();
    for site in engine.sites.values() {
        if let IssueRef::Id(id) = asked {
            found.push((site.name.clone(), id));
            continue;
        }
        let told = async {
            // The one call that shows whether a pause is over is for those who end it.
            let state = engine.store.site(&site.name).await.ok()?;
            if state.paused.is_some() {
                return None;
            }
            engine.pass(site, Lane::Live).await.ok()?;
            // Whoever only looks does not pause a site.
            match site.client.issue(&asked, &[]).await {
                Ok(issue) => Some(issue),
                Err(error) if error.status == Some(404) => Some(None),
                Err(_) => None,
            }
        };
        let issue = tokio::time::timeout(TOLD_WITHIN, told).await.ok().flatten()?;
        found.extend(issue.map(|issue| (site.name.clone(), issue.id)));
    }
    Some(found)
}

/// Returns the links of issues, by their rows.
async fn linked(engine: &Engine, issues: &[(SiteName, IssueId)]) -> Result<Vec<LinkRow>, Failure> {
    let rows = engine.store.issues(issues).await?;
    let links: BTreeSet<LinkKey> = rows.into_iter().flat_map(|row| row.links.into_values()).collect();
    let mut found = Vec::new();
    for link in links {
        if engine.connection(&link.connection).is_some() {
            found.extend(engine.store.link(&link).await?);
        }
    }
    Ok(found)
}

/// Leaves those of an issue's links that are in the scope of their connections.
///
/// # Errors
/// When there are links, but none of these is.
pub(crate) fn in_scope(engine: &Engine, name: &str, links: Vec<LinkRow>) -> Result<Vec<LinkRow>, Failure> {
    let (outside, within): (Vec<_>, Vec<_>) = links.into_iter().partition(|row| row.outside.is_some());
    let Some((row, side)) = outside.first().and_then(|row| Some((row, row.outside?))) else {
        return Ok(within);
    };
    if !within.is_empty() {
        return Ok(within);
    }
    let connection = &row.key.connection;
    let site = engine
        .connection(connection)
        .map(|one| one.sites[side].to_string());
    let rows = std::slice::from_ref(row);
    let issue = issue_name(rows, connection, Some(&row.key), side, row.key.issue(side));
    Err(Failure::usage(format!(
        "{} is left alone: {issue} on {} is outside the scope of {connection}; that is looked at with each audit, and at once with `tandem retry --issue {issue}`",
        output::plain(name),
        site.unwrap_or_default(),
    )))
}

/// Says whether a side of a link is the issue of that name.
pub(crate) fn is(row: &LinkRow, side: Side, name: &str) -> bool {
    let name = name.trim();
    key(row, side)
        .as_deref()
        .is_some_and(|key| key.eq_ignore_ascii_case(name))
        || row.key.issue(side).to_string() == name
}

/// Returns the key of a side's issue when last seen.
pub(crate) fn key(row: &LinkRow, side: Side) -> &Option<String> {
    match side {
        Side::A => &row.a_key,
        Side::B => &row.b_key,
    }
}

/// Asks each site for an issue, for names that the table does not know: an issue that has moved, or has no twin.
pub(crate) async fn ask_sites(engine: &Engine, name: &str) -> Result<BTreeSet<(SiteName, IssueId)>, Failure> {
    let mut found = BTreeSet::new();
    for site in engine.sites.keys() {
        if let Some(issue) = ask(engine, site, name).await? {
            found.insert((site.clone(), issue.id));
        }
    }
    Ok(found)
}

/// Asks a site for an issue.
pub(crate) async fn ask(engine: &Engine, site: &SiteName, name: &str) -> Result<Option<JiraIssue>, Failure> {
    let site = engine
        .sites
        .get(site)
        .ok_or_else(|| Failure::failed(format!("site {site} is not configured")))?;
    let asked = issue_ref(name);
    let ask = async |client: &dyn SiteClient| client.issue(&asked, &[]).await;
    match engine
        .unhurried(async || engine.call(site, Lane::Live, ask).await)
        .await
    {
        Ok(issue) => Ok(issue),
        // The one at which a name does not exist says so in various ways.
        Err(EngineError::Site { error, .. }) if error.status == Some(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Shows a link as its two keys.
pub(crate) fn shown(row: &LinkRow) -> (String, String) {
    let name = |key: &Option<String>, id: IssueId| key.clone().unwrap_or_else(|| id.to_string());
    (name(&row.a_key, row.key.a), name(&row.b_key, row.key.b))
}

/// Names the issue that a line of the history is about, if it is about one.
pub(crate) fn line_issue(rows: &[LinkRow], line: &HistoryRow) -> Option<String> {
    let issue = line.issue?;
    Some(issue_name(
        rows,
        &line.connection,
        line.link.as_ref(),
        line.side,
        issue,
    ))
}

/// Shows one side of a link, when it is known.
pub(crate) fn issue_name(
    rows: &[LinkRow],
    connection: &ConnectionName,
    link: Option<&LinkKey>,
    side: Side,
    issue: IssueId,
) -> String {
    let is_of = |row: &&LinkRow| row.key.connection == *connection && row.key.issue(side) == issue;
    let row = rows.iter().filter(is_of).find(|row| Some(&row.key) == link);
    let row = row.or_else(|| rows.iter().find(is_of));
    match row.map(shown) {
        Some((a, _)) if side == Side::A => a,
        Some((_, b)) => b,
        None => issue.to_string(),
    }
}
