//! What the configuration names on the sites: fields that hold twins, scopes, the stand-in for unknown authors. A mistake
//! in one of them is told by nobody: issues just have no twins, or time waits.

use tandem_core::SiteName;
use tandem_engine::Connection;
use tandem_engine::options::LinkSource;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look, Trouble};

/// What is looked at.
pub(super) const CHECKS: [&str; 3] = [SCOPE, LINK_FIELD, STAND_IN];

const SCOPE: &str = "scope";
const LINK_FIELD: &str = "link-field";
const STAND_IN: &str = "stand-in";

pub(super) async fn look(look: &Look<'_>, site: &SiteName) -> Vec<Finding> {
    let mut findings = Vec::new();
    for connection in &look.connections {
        let Some(side) = connection.side(site) else {
            continue;
        };
        let of = |finding: Finding| finding.of(connection);
        if let Some(jql) = &connection.scope[side] {
            findings.push(of(scope(look, site, jql).await));
        }
        let by_field = connection.links.from.contains(&LinkSource::Field);
        if let Some(field) = connection.links.field[side].as_ref().filter(|_| by_field) {
            findings.push(of(link_field(look, site, field).await));
        }
        findings.extend(stand_in(look, site, connection).await.map(of));
    }
    findings
}

/// Asks whether any issue matches a query. One page is enough to know.
async fn finds(look: &Look<'_>, site: &SiteName, jql: &str) -> Result<bool, Trouble> {
    let found = look.ask(site, Vendor::Jira, async |client| {
        client.search_issues(jql, &[], None).await
    });
    Ok(!found.await?.0.is_empty())
}

async fn scope(look: &Look<'_>, site: &SiteName, jql: &str) -> Finding {
    const CHECK: &str = SCOPE;
    match finds(look, site, jql).await {
        Ok(true) => Finding::ok(CHECK, site, format!("there are issues in the scope {jql:?}")),
        Ok(false) => Finding::warn(
            CHECK,
            site,
            format!("no issue that the service user sees is in the scope {jql:?}"),
            "correct `scope` of the connection, or give the service user Browse Projects",
        ),
        Err(Trouble::Refused(said)) => Finding::fail(
            CHECK,
            site,
            format!("Jira does not take the scope {jql:?}: {said}"),
            "correct `scope` of the connection: until then no issue is in it, and what is linked waits",
        ),
        Err(trouble) => Finding::trouble(CHECK, site, &trouble, "try the query in Jira's issue search"),
    }
}

async fn link_field(look: &Look<'_>, site: &SiteName, field: &str) -> Finding {
    const CHECK: &str = LINK_FIELD;
    // As the sweep looks for issues that point at their twin.
    let number = field.trim_start_matches("customfield_");
    match finds(look, site, &format!("cf[{number}] is not EMPTY")).await {
        Ok(true) => Finding::ok(
            CHECK,
            site,
            format!("{field} is there, and issues have a value in it"),
        ),
        Ok(false) => Finding::warn(
            CHECK,
            site,
            format!("no issue that the service user sees has a value in {field}"),
            "see whether it is the field that holds the twin's key or address",
        ),
        Err(Trouble::Refused(said)) => Finding::fail(
            CHECK,
            site,
            format!("Jira knows no field {field}: {said}"),
            "correct `field` in [connections.links]: its id stands in the address of the field's page in Jira's settings",
        ),
        Err(trouble) => Finding::trouble(CHECK, site, &trouble, "look among Jira's custom fields"),
    }
}

async fn stand_in(look: &Look<'_>, site: &SiteName, connection: &Connection) -> Option<Finding> {
    const CHECK: &str = STAND_IN;
    let account = connection.settings.rules.fallback()?;
    let found = look
        .ask(site, Vendor::Jira, async |client| client.user(account).await)
        .await;
    Some(match found {
        Ok(Some(user)) if user.active => Finding::ok(
            CHECK,
            site,
            format!("time of unknown authors goes to {}", user.display_name),
        ),
        Ok(_) => Finding::fail(
            CHECK,
            site,
            format!("there is no active account {account} to stand in for unknown authors"),
            "correct `unknown` in [connections.authors]: until then their time waits",
        ),
        Err(trouble) => Finding::trouble(CHECK, site, &trouble, "look for the account among Jira's users"),
    })
}
