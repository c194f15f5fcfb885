//! Tokens, their end, and whether the engine has paused the site.

use jiff::{SignedDuration, Timestamp};
use tandem_aws::SiteSecret;
use tandem_aws::secrets::Token;
use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look, Trouble};

/// From how long before its end a token is warned of.
const WARNED_FROM: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The host that works for every region.
const EVERY_REGION: &str = "https://api.tempo.io";

/// The hosts that know the tokens of one region.
const REGIONS: [&str; 2] = ["api.eu.tempo.io", "api.us.tempo.io"];

pub(super) async fn look(look: &Look<'_>, site: &SiteName) -> Vec<Finding> {
    let mut findings = Vec::new();
    let secret = match look.tandem.secrets.get(site) {
        Some(secrets) => secrets.current(true).await,
        None => return findings,
    };
    let secret = match secret {
        Ok(secret) => secret,
        Err(error) => {
            return vec![Finding::fail(
                "secret",
                site,
                error.to_string(),
                format!(
                    "store it as the guide says, or correct `secret` in [sites.{site}]; in AWS: `tandem secrets put {site}`"
                ),
            )];
        }
    };
    let tempo = look
        .ask(site, Vendor::Tempo, async |client| {
            client.global_configuration().await
        })
        .await;
    findings.push(match tempo {
        Ok(_) => Finding::ok("tempo-token", site, "Tempo accepts the token"),
        Err(Trouble::Rejected) => {
            let host = look.tandem.config.sites.get(site).map(|site| site.tempo.clone());
            let region = match host {
                Some(host) if host.host_str().is_some_and(|name| REGIONS.contains(&name)) => format!(
                    "; {host} is one region's address, and a token of another region is rejected there: tempo = \"{EVERY_REGION}\" works for all"
                ),
                _ => String::new(),
            };
            Finding::fail(
                "tempo-token",
                site,
                "Tempo does not accept the token: it has expired, was revoked, or is mistyped",
                format!("make a new one in Tempo (Settings, API integration) and put it into the site's secret{region}"),
            )
        }
        // A token that may not read the configuration is accepted all the same.
        Err(trouble) => Finding::trouble(
            "tempo-token",
            site,
            &trouble,
            "give the token full access, or all scopes for worklogs, audit and webhooks",
        ),
    });
    findings.push(expiry(site, &secret, Token::Tempo, look.now()));
    let myself = look
        .ask(site, Vendor::Jira, async |client| client.myself().await)
        .await;
    findings.push(match myself {
        Ok(user) => Finding::ok(
            "jira-token",
            site,
            format!("Jira knows the service user as {}", user.display_name),
        ),
        Err(Trouble::Rejected) => Finding::fail(
            "jira-token",
            site,
            "Jira does not accept the login: jira_email and jira_token do not belong together, or the token has ended",
            "make a new API token at id.atlassian.com as that user and put both into the site's secret; a scoped token works only with jira = \"https://api.atlassian.com/ex/jira/CLOUD-ID\"",
        ),
        Err(trouble) => Finding::trouble("jira-token", site, &trouble, "log in as the service user in a browser"),
    });
    findings.push(expiry(site, &secret, Token::Jira, look.now()));
    findings.extend(paused(look, site).await);
    findings
}

fn expiry(site: &SiteName, secret: &SiteSecret, token: Token, now: Timestamp) -> Finding {
    let (check, name, field, make, lives) = match token {
        Token::Tempo => (
            "token-expiry",
            "Tempo's token",
            "tempo_expires_at",
            "in Tempo",
            "by default after 30 days",
        ),
        Token::Jira => (
            "jira-token-expiry",
            "Jira's token",
            "jira_expires_at",
            "at id.atlassian.com",
            "after a year at most",
        ),
    };
    let renews = secret.renews(token);
    let renew = if renews {
        "see why the rotation did not renew it: docs/runbooks/rotation-failed.md".to_owned()
    } else {
        format!("make a new token {make} now and put it, with its {field}, into the site's secret")
    };
    // Nothing demands that it be recorded, and a site where all is well is to need nobody.
    let Some(at) = secret.end_of(token) else {
        return Finding::unknown(
            check,
            site,
            format!("when {name} ends is not recorded, so that nobody is warned ({lives})"),
            format!("write {field}, such as \"2027-01-31T00:00:00Z\", into the site's secret"),
        );
    };
    let left = at.duration_since(now);
    let day = at.strftime("%Y-%m-%d");
    if left <= SignedDuration::ZERO {
        Finding::fail(check, site, format!("{name} ended on {day}"), renew)
    } else if left < WARNED_FROM && !renews {
        Finding::warn(
            check,
            site,
            format!("{name} ends on {day}, in {} days", left.as_hours() / 24),
            renew,
        )
    } else {
        Finding::ok(check, site, format!("{name} is good until {day}"))
    }
}

async fn paused(look: &Look<'_>, site: &SiteName) -> Option<Finding> {
    match look.engine().store.site(site).await {
        Ok(state) => state.paused.map(|pause| {
            Finding::fail(
                "paused",
                site,
                format!("nothing is sent to the site since {}: {}", pause.since, pause.detail),
                "put valid credentials into the site's secret; work goes on by itself, or at once with `tandem retry`",
            )
        }),
        Err(error) => Some(Finding::trouble(
            "paused",
            site,
            &Trouble::Failed(error.to_string()),
            "",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::State;
    use super::*;

    #[test]
    fn a_token_is_warned_of_from_thirty_days_on_unless_it_renews_itself() {
        let site = SiteName::new("acme");
        let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let says = |token: Token, days: Option<i64>, oauth: bool| {
            let mut secret = serde_json::json!({"tempo_token": "t", "jira_email": "e", "jira_token": "j"});
            if let Some(days) = days {
                let at = now + SignedDuration::from_hours(days * 24);
                secret[format!("{}_expires_at", token.as_str())] = at.to_string().into();
            }
            if oauth {
                for field in ["tempo_client_id", "tempo_client_secret", "tempo_refresh_token"] {
                    secret[field] = "x".into();
                }
            }
            let secret = SiteSecret::parse(&secret.to_string()).unwrap();
            expiry(&site, &secret, token, now).state
        };
        for token in Token::ALL {
            assert_eq!(says(token, Some(31), false), State::Ok);
            assert_eq!(says(token, Some(29), false), State::Warn);
            assert_eq!(says(token, None, false), State::Unknown);
            assert_eq!(says(token, Some(-1), true), State::Fail);
        }
        assert_eq!(says(Token::Tempo, Some(29), true), State::Ok);
        assert_eq!(
            says(Token::Jira, Some(29), true),
            State::Warn,
            "Tempo's OAuth renews no token of Jira"
        );
    }
}
