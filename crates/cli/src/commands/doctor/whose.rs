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
    /// Whether the site answered.
    is_answered: bool,
    /// The Jira of which Tempo tells with it.
    leads_to: Option<String>,
    /// What the site's own Jira calls itself.
    jira: Option<String>,
}

/// Compares the sites' tokens with each other, and each with what its own Jira calls itself.
pub(super) async fn look(look: &Look<'_>) -> Vec<Finding> {
    let mut tokens = BTreeMap::new();
    for site in &look.sites {
        tokens.insert(site.clone(), read(look, site).await);
    }
    tokens
        .iter()
        .filter_map(|(site, token)| {
            let others = || tokens.iter().filter(|(other, _)| *other != site);
            found(site, token, others)
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
        is_answered: leads_to.is_ok() && jira.is_ok(),
        leads_to: leads_to.ok().flatten().map(|address| bare(&address)),
        jira: jira.ok().map(|info| bare(&info.base_url)),
    }
}

/// Says what is wrong where a token is, or seems to be, another site's. Nothing is said where the site gave no answer.
fn found<'t, O>(site: &SiteName, token: &Token, others: impl Fn() -> O) -> Option<Finding>
where
    O: Iterator<Item = (&'t SiteName, &'t Token)>,
{
    let make = || {
        format!(
            "make a token in Tempo on {site} itself (Settings, API Integration) and put it into that site's secret, before anything is synchronised"
        )
    };
    if token.leads_to.is_some() && token.leads_to == token.jira {
        return Some(Finding::ok(CHECK, site, "Tempo's token is this site's"));
    }
    if let Some((other, _)) = others().find(|(_, theirs)| token.is_same(theirs)) {
        let what = format!("{other} has the very same Tempo token; one of the two is the other's");
        return Some(Finding::fail(CHECK, site, what, make()));
    }
    match &token.leads_to {
        Some(leads_to) => {
            let theirs = others().find(|(_, theirs)| theirs.jira.as_ref() == Some(leads_to));
            Some(match theirs {
                Some((other, _)) => {
                    let what = format!("its Tempo token leads to the worklogs of {other}");
                    Finding::fail(CHECK, site, what, make())
                }
                // What it calls itself, it did not tell.
                None if token.jira.is_none() => return None,
                None => Finding::unknown(
                    CHECK,
                    site,
                    format!(
                        "its Tempo token leads to worklogs of {leads_to}, and the site calls itself otherwise"
                    ),
                    format!("if that is not an earlier name of the site, {}", make()),
                ),
            })
        }
        None if token.is_answered => Some(Finding::unknown(
            CHECK,
            site,
            "Tempo shows no worklog yet, and nothing else says whose its token is",
            "compare the token with Tempo's Settings, API Integration on the site",
        )),
        None => None,
    }
}

impl Token {
    fn is_same(&self, other: &Token) -> bool {
        match (&self.held, &other.held) {
            (Some((tempo, token)), Some((their_tempo, theirs))) => {
                tempo == their_tempo && token.expose_secret() == theirs.expose_secret()
            }
            _ => false,
        }
    }
}

fn bare(address: &str) -> String {
    address.trim_end_matches('/').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::look::State;
    use super::*;

    fn token(held: &str, leads_to: Option<&str>, jira: &str) -> Token {
        Token {
            held: Some(("https://api.tempo.io".into(), held.into())),
            is_answered: true,
            leads_to: leads_to.map(str::to_owned),
            jira: Some(jira.to_owned()),
        }
    }

    #[test]
    fn a_token_is_told_by_where_it_leads_to_and_by_who_else_has_it() {
        let (acme, globex) = (SiteName::new("acme"), SiteName::new("globex"));
        let says = |token: &Token, other: &Token| {
            found(&acme, token, || [(&globex, other)].into_iter()).map(|finding| finding.state)
        };
        let theirs = token("theirs", Some("globex"), "globex");
        assert_eq!(
            says(&token("ours", Some("acme"), "acme"), &theirs),
            Some(State::Ok)
        );
        assert_eq!(
            says(&token("ours", Some("globex"), "acme"), &theirs),
            Some(State::Fail)
        );
        // Of two that are the same, it is the one's whose it is.
        assert_eq!(
            says(&token("theirs", Some("globex"), "acme"), &theirs),
            Some(State::Fail)
        );
        assert_eq!(
            says(&theirs, &token("theirs", Some("globex"), "acme")),
            Some(State::Ok)
        );
        assert_eq!(
            says(&token("theirs", None, "acme"), &token("theirs", None, "globex")),
            Some(State::Fail)
        );
        // A third site's, or an earlier name.
        assert_eq!(
            says(&token("ours", Some("sandbox"), "acme"), &theirs),
            Some(State::Unknown)
        );
        assert_eq!(says(&token("ours", None, "acme"), &theirs), Some(State::Unknown));
        let mut nameless = token("ours", Some("sandbox"), "acme");
        nameless.jira = None;
        assert_eq!(says(&nameless, &theirs), None);
        let mut silent = token("ours", None, "acme");
        silent.is_answered = false;
        assert_eq!(says(&silent, &theirs), None);
    }
}
