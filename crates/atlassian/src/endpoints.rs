//! Where a site's two services are, and which addresses are allowed at all.
//!
//! The tokens go wherever these addresses point, so only the vendors' own hosts pass.

use tandem_core::SiteName;
use url::{Host, Url};

/// Tempo's hosts: the global gateway and the regional ones.
const TEMPO_HOSTS: [&str; 3] = ["api.tempo.io", "api.eu.tempo.io", "api.us.tempo.io"];
/// Where scoped and service-account tokens work, below `/ex/jira/{cloudId}`.
const ATLASSIAN_API_HOST: &str = "api.atlassian.com";
/// The domain of the sites themselves.
const SITE_DOMAIN: &str = ".atlassian.net";

const JIRA_RIGHT: &str =
    "write https://YOUR-SITE.atlassian.net, or https://api.atlassian.com/ex/jira/CLOUD-ID";
const TEMPO_RIGHT: &str = "write https://api.tempo.io, https://api.eu.tempo.io or https://api.us.tempo.io";

/// An address that is not allowed. The text says what would be right; it quotes no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}; {right}")]
pub struct UrlError {
    /// The configuration's field: `jira` or `tempo`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub right: &'static str,
}

/// Where a site's two services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteEndpoints {
    /// The site's name in the configuration.
    pub site: SiteName,
    /// Jira's base address; may have a path.
    pub jira: Url,
    /// Tempo's base address; may have a path on loopback alone.
    pub tempo: Url,
}

impl SiteEndpoints {
    /// Checks the two addresses against the rules: `https`, a host of the vendor, no user, query, fragment or
    /// port. With `allow_loopback` also `http` to this machine itself, with any port and path.
    ///
    /// # Errors
    /// [`UrlError`] for the first address that breaks a rule.
    pub fn parse(site: SiteName, jira: &str, tempo: &str, allow_loopback: bool) -> Result<Self, UrlError> {
        Ok(Self {
            site,
            jira: check("jira", jira, JIRA_RIGHT, allow_loopback, jira_host)?,
            tempo: check("tempo", tempo, TEMPO_RIGHT, allow_loopback, tempo_host)?,
        })
    }
}

fn check(
    field: &'static str,
    text: &str,
    right: &'static str,
    allow_loopback: bool,
    host_rule: fn(&str, &str) -> Result<(), String>,
) -> Result<Url, UrlError> {
    let error = |problem: String| UrlError {
        field,
        problem,
        right,
    };
    let url = Url::parse(text.trim()).map_err(|_| error("this is not an address".into()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error(
            "a user or password in the address is not allowed; credentials belong in the secret".into(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(error("`?` and `#` are not allowed in it".into()));
    }
    if is_loopback(&url) {
        return match (allow_loopback, url.scheme()) {
            (true, "http" | "https") => Ok(url),
            (true, scheme) => Err(error(format!("`{scheme}` is not http"))),
            (false, _) => Err(error(
                "addresses of this machine are only for tests and the demo, with TANDEM_ALLOW_LOOPBACK=1"
                    .into(),
            )),
        };
    }
    if url.scheme() != "https" {
        return Err(error(format!("`{}` is not https", url.scheme())));
    }
    if url.port().is_some() {
        return Err(error("a port is not allowed".into()));
    }
    match url.host() {
        Some(Host::Domain(host)) => host_rule(host, url.path().trim_end_matches('/')).map_err(error)?,
        _ => return Err(error("a bare IP address is not allowed".into())),
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn jira_host(host: &str, path: &str) -> Result<(), String> {
    if host == ATLASSIAN_API_HOST {
        return match path.strip_prefix("/ex/jira/") {
            Some(cloud)
                if !cloud.is_empty() && cloud.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
            {
                Ok(())
            }
            _ => Err(format!("`{host}` needs the path /ex/jira/CLOUD-ID")),
        };
    }
    match host.strip_suffix(SITE_DOMAIN) {
        Some(name) if !name.is_empty() && !name.contains('.') => match path {
            "" => Ok(()),
            _ => Err(format!("the path `{path}` does not belong there")),
        },
        _ => Err(format!("`{host}` is not a Jira Cloud site")),
    }
}

fn tempo_host(host: &str, path: &str) -> Result<(), String> {
    match (TEMPO_HOSTS.contains(&host), path) {
        (false, _) => Err(format!("`{host}` is not a host of Tempo")),
        (true, "") => Ok(()),
        (true, path) => Err(format!("the path `{path}` does not belong there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JIRA: &str = "https://acme.atlassian.net";
    const TEMPO: &str = "https://api.tempo.io";

    fn parse(jira: &str, tempo: &str, loopback: bool) -> Result<SiteEndpoints, UrlError> {
        SiteEndpoints::parse("acme".into(), jira, tempo, loopback)
    }

    #[test]
    fn the_vendors_own_hosts_pass() {
        for jira in [
            JIRA,
            "https://acme-2.atlassian.net/",
            "https://api.atlassian.com/ex/jira/1f-2",
            "HTTPS://ACME.atlassian.net:443",
        ] {
            assert!(parse(jira, TEMPO, false).is_ok(), "{jira}");
        }
        for tempo in [TEMPO, "https://api.eu.tempo.io", "https://api.us.tempo.io/"] {
            assert!(parse(JIRA, tempo, false).is_ok(), "{tempo}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_advice() {
        for jira in [
            "",
            "acme.atlassian.net",
            "http://acme.atlassian.net",
            "https://acme.atlassian.net.evil.example",
            "https://atlassian.net",
            "https://.atlassian.net",
            "https://a.b.atlassian.net",
            "https://evilatlassian.net",
            "https://acme.atlassian.net:8443",
            "https://acme.atlassian.net/jira",
            "https://acme.atlassian.net?x=1",
            "https://acme.atlassian.net#x",
            "https://api.atlassian.com",
            "https://api.atlassian.com/ex/jira/",
            "https://api.atlassian.com/ex/jira/a/b",
            "https://169.254.169.254",
            "https://[fe80::1]",
            "ftp://acme.atlassian.net",
            "http://127.0.0.1:1",
            "http://localhost",
            "https://127.1",
        ] {
            let error = parse(jira, TEMPO, false).expect_err(jira);
            assert!(
                error.to_string().contains("https://YOUR-SITE.atlassian.net"),
                "{error}"
            );
        }
        for tempo in [
            "https://api.tempo.io/4",
            "https://tempo.io",
            "https://api.ap.tempo.io",
            "https://app.tempo.io",
        ] {
            let error = parse(JIRA, tempo, false).expect_err(tempo);
            assert!(error.to_string().contains("https://api.eu.tempo.io"), "{error}");
        }
        let error = parse("https://me:hunter2@acme.atlassian.net", TEMPO, true).expect_err("a user");
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn loopback_passes_only_when_allowed() {
        for base in [
            "http://127.0.0.1:8080/jira/a",
            "http://localhost:1",
            "http://[::1]:3/x",
            "http://127.9.9.9",
        ] {
            assert!(parse(base, base, true).is_ok(), "{base}");
            assert!(parse(base, base, false).is_err(), "{base}");
        }
        for base in [
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "http://0.0.0.0",
            "file:///etc",
        ] {
            assert!(parse(base, base, true).is_err(), "{base}");
        }
    }
}
