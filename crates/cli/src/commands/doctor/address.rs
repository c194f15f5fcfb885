//! Where a site is, and what its clock says.

use jiff::{SignedDuration, Timestamp};
use tandem_core::SiteName;
use tandem_engine::ports::site::{SiteClient, Vendor};

use super::look::{Finding, Look, Trouble};

/// More than this between two clocks is worth a look: what changed is read from a moment on, with hours of overlap,
/// but a certificate or a signature with a time in it is not as patient.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);

pub(super) async fn look(look: &Look<'_>, site: &SiteName) -> Vec<Finding> {
    let Some(configured) = look.tandem.config.sites.get(site).map(|site| site.jira.clone()) else {
        return Vec::new();
    };
    let before = look.now();
    let answer = look
        .ask(site, Vendor::Jira, async |client| client.server_info().await)
        .await;
    let info = match answer {
        Ok(info) => info,
        Err(Trouble::Failed(said) | Trouble::Refused(said)) => {
            return vec![Finding::fail(
                "address",
                site,
                format!("{configured} does not answer as a Jira does: {said}"),
                format!(
                    "compare `jira` in [sites.{site}] with the site's address in a browser, and look whether it can be reached from here"
                ),
            )];
        }
        Err(trouble @ Trouble::Rejected) => {
            return vec![Finding::trouble("address", site, &trouble, "")];
        }
    };
    let after = look.now();
    vec![
        address(site, configured.as_str(), &info.base_url),
        clock(site, info.server_time, before, after),
    ]
}

fn address(site: &SiteName, configured: &str, told: &str) -> Finding {
    let bare = |address: &str| address.trim_end_matches('/').to_lowercase();
    // Scoped tokens work at Atlassian's own host, below the site's id. Without TLS it is this machine, in a test: a
    // stand-in for a site, which calls itself as the site does.
    let is_other = ["https://api.atlassian.com/", "http://"]
        .iter()
        .any(|start| configured.starts_with(start));
    if bare(configured) == bare(told) || is_other {
        return Finding::ok("address", site, format!("{configured} answers"));
    }
    Finding::warn(
        "address",
        site,
        format!("{configured} answers, but calls itself {told}"),
        format!(
            "write jira = \"{told}\" in [sites.{site}]; remote links and fields that name an issue are recognised by that address"
        ),
    )
}

fn clock(site: &SiteName, theirs: Option<Timestamp>, before: Timestamp, after: Timestamp) -> Finding {
    let Some(theirs) = theirs else {
        return Finding::unknown(
            "clock",
            site,
            "the site does not tell the time",
            "compare this machine's clock with another by hand",
        );
    };
    // Jira's time has whole seconds in places.
    let ahead = (theirs - SignedDuration::from_secs(1)).duration_since(after);
    let behind = before.duration_since(theirs + SignedDuration::from_secs(1));
    let skew = ahead.max(behind).max(SignedDuration::ZERO);
    if skew <= SKEW_MAX {
        return Finding::ok("clock", site, "its clock and ours agree");
    }
    let way = if ahead > behind { "ahead of" } else { "behind" };
    Finding::fail(
        "clock",
        site,
        format!("its clock is {} s {way} ours", skew.as_secs()),
        "set this machine's clock by NTP; if it is right, the site's is wrong, and Atlassian has to know",
    )
}

#[cfg(test)]
mod tests {
    use super::super::look::State;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_that_is_minutes_away_is_told_with_its_direction() {
        let site = SiteName::new("acme");
        let says = |theirs: i64| clock(&site, Some(at(theirs)), at(1000), at(1002));
        assert_eq!(says(1001).state, State::Ok);
        assert_eq!(says(1060).state, State::Ok);
        assert!(says(1302).what.contains("299 s ahead of"), "{:?}", says(1302));
        assert!(says(700).what.contains("299 s behind"), "{:?}", says(700));
        assert_eq!(clock(&site, None, at(1), at(1)).state, State::Unknown);
    }

    #[test]
    fn a_site_that_calls_itself_otherwise_is_told() {
        let site = SiteName::new("acme");
        let says = |configured, told| address(&site, configured, told).state;
        let real = "https://acme.atlassian.net";
        assert_eq!(says("https://Acme.atlassian.net/", real), State::Ok);
        assert_eq!(says("https://api.atlassian.com/ex/jira/1-2", real), State::Ok);
        assert_eq!(says("http://127.0.0.1:8080/", real), State::Ok);
        assert_eq!(says("https://old-acme.atlassian.net/", real), State::Warn);
    }
}
