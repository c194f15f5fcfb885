//! Whether each site's Tempo token is that site's: Tempo's address is the same for all, and nothing but the token says
//! whose time it gives access to. With the other site's, worklogs would be read from and written to issues that happen to
//! have the same ids there.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look};

const CHECK: &str = "whose-token";

/// What is known of one site's token.
struct Token {
    /// Tempo's address and the token itself.
    held: Option<(String, SecretString)>,
    /// The Jira of which Tempo tells with it.
    leads_to: Option<String>,
    /// What the site's own Jira calls itself.
    jira: Option<String>,
}

/// Compares the sites' tokens. Of a site whose token shows no worklog yet, only that nobody else has the same one can be
/// told.
pub(super) async fn look(look: &Look<'_>) -> Vec<Finding> {
    let mut tokens = BTreeMap::new();
    for site in &look.sites {
        tokens.insert(site.clone(), read(look, site).await);
    }
    tokens
        .iter()
        .filter_map(|(site, token)| {
            let wrong = tokens
                .iter()
                .filter(|(other, _)| *other != site)
                .find_map(|(other, theirs)| mistaken(token, other, theirs));
            let is_own = token.leads_to.is_some() && token.leads_to == token.jira;
            match wrong {
                Some(what) => Some(Finding::fail(
                    CHECK,
                    site,
                    what,
                    format!(
                        "make a token in Tempo on {site} itself (Settings, API Integration) and put it into that site's secret, before anything is synchronised"
                    ),
                )),
                None => is_own.then(|| Finding::ok(CHECK, site, "Tempo's token is this site's")),
            }
        })
        .collect()
}

async fn read(look: &Look<'_>, site: &SiteName) -> Token {
    let held = match (look.tandem.secrets.get(site), look.tandem.config.sites.get(site)) {
        (Some(secrets), Some(configured)) => secrets
            .current(false)
            .await
            .ok()
            .map(|secret| (configured.tempo.to_string(), secret.tempo_token.clone())),
        _ => None,
    };
    // What cannot be asked, the other checks tell of.
    let leads_to = look
        .ask(site, Vendor::Tempo, async |client| {
            client.tempo_jira_address().await
        })
        .await;
    let jira = look
        .ask(site, Vendor::Jira, async |client| client.server_info().await)
        .await;
    Token {
        held,
        leads_to: leads_to.ok().flatten().map(|address| bare(&address)),
        jira: jira.ok().map(|info| bare(&info.base_url)),
    }
}

/// Says what is wrong where a token is, or seems to be, the other site's.
fn mistaken(token: &Token, other: &SiteName, theirs: &Token) -> Option<String> {
    let held = |token: &Token| {
        let (tempo, token) = token.held.as_ref()?;
        Some((tempo.clone(), token.expose_secret().to_owned()))
    };
    if held(token).is_some() && held(token) == held(theirs) {
        return Some(format!(
            "{other} has the very same Tempo token; one of the two is the other's"
        ));
    }
    let leads_to = token.leads_to.as_ref()?;
    (token.jira.as_ref() != Some(leads_to) && theirs.jira.as_ref() == Some(leads_to))
        .then(|| format!("its Tempo token leads to the worklogs of {other}"))
}

fn bare(address: &str) -> String {
    address.trim_end_matches('/').to_lowercase()
}
