//! Which addresses are allowed. The tokens go wherever these point, so only the vendors' own hosts pass.

use url::{Host, Url};

use super::ConfigEnv;
use super::document::Value;

/// Tempo's hosts: the global gateway and the regional ones.
const TEMPO_HOSTS: [&str; 3] = ["api.tempo.io", "api.eu.tempo.io", "api.us.tempo.io"];
/// Where scoped tokens work, below `/ex/jira/{cloudId}`.
const ATLASSIAN_API_HOST: &str = "api.atlassian.com";
/// The domain of the Jira Cloud sites themselves.
const SITE_DOMAIN: &str = ".atlassian.net";

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A site's Jira.
    Jira,
    /// A site's Tempo.
    Tempo,
    /// Where the webhooks arrive.
    Public,
}

impl Purpose {
    /// What would be right.
    pub(super) fn right(self) -> &'static str {
        match self {
            Self::Jira => {
                "write https://YOUR-SITE.atlassian.net, or https://api.atlassian.com/ex/jira/CLOUD-ID"
            }
            Self::Tempo => "write https://api.tempo.io, https://api.eu.tempo.io or https://api.us.tempo.io",
            Self::Public => {
                "write the https address where the webhooks arrive, like https://tandem.example.com"
            }
        }
    }
}

/// Reads a value that is an address.
pub(super) fn read(value: Value<'_>, purpose: Purpose, env: &ConfigEnv) -> Option<Url> {
    let text = value.text(purpose.right());
    if text.is_none_or(|text| text.contains('@')) {
        // There may be a password in it.
        value.hide();
    }
    let text = text?;
    parse(purpose, text, env.allow_loopback)
        .map_err(|message| value.wrong(message, purpose.right()))
        .ok()
}

/// Reads an address and checks it against the rules for its purpose, or says what is wrong with it. The
/// message quotes no user and no password.
pub(super) fn parse(purpose: Purpose, text: &str, allow_loopback: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "this is not an address".to_owned())?;
    if has_user(&url) {
        return Err(
            "a user or password in an address is not allowed; credentials belong in the secret".into(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`?` and `#` are not allowed in this address".into());
    }
    if is_loopback(&url) {
        return match (allow_loopback, url.scheme()) {
            (true, "http" | "https") => Ok(url),
            (true, scheme) => Err(format!("`{scheme}` is not http")),
            (false, _) => Err(
                "addresses of this machine are for tests and the demo, with TANDEM_ALLOW_LOOPBACK=1".into(),
            ),
        };
    }
    if url.scheme() != "https" {
        return Err(format!("`{}` is not https", url.scheme()));
    }
    if purpose == Purpose::Public {
        return Ok(url);
    }
    if let Some(port) = url.port() {
        return Err(format!("the port {port} does not belong there"));
    }
    let Some(Host::Domain(host)) = url.host() else {
        return Err("a bare IP address is not allowed".into());
    };
    let path = url.path().trim_end_matches('/');
    match purpose {
        Purpose::Jira => jira(host, path)?,
        Purpose::Tempo => tempo(host, path)?,
        Purpose::Public => {}
    }
    Ok(url)
}

/// Returns whether the address is one of this machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn jira(host: &str, path: &str) -> Result<(), String> {
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
        Some(name) if !name.is_empty() && !name.contains('.') => no_path(path),
        _ => Err(format!("`{host}` is not a Jira Cloud site")),
    }
}

fn tempo(host: &str, path: &str) -> Result<(), String> {
    if TEMPO_HOSTS.contains(&host) {
        no_path(path)
    } else {
        Err(format!("`{host}` is not a host of Tempo"))
    }
}

fn no_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        Ok(())
    } else {
        Err(format!("the path `{path}` does not belong there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_own_hosts_pass() {
        for text in [
            "https://acme.atlassian.net",
            "https://acme-2.atlassian.net/",
            "HTTPS://ACME.atlassian.net:443",
            "https://api.atlassian.com/ex/jira/1f-2",
        ] {
            assert!(parse(Purpose::Jira, text, false).is_ok(), "{text}");
        }
        for host in TEMPO_HOSTS {
            assert!(
                parse(Purpose::Tempo, &format!("https://{host}"), false).is_ok(),
                "{host}"
            );
        }
    }

    #[test]
    fn other_hosts_and_shapes_are_refused() {
        for text in [
            "",
            "acme.atlassian.net",
            "http://acme.atlassian.net",
            "ftp://acme.atlassian.net",
            "https://acme.atlassian.net.example.com",
            "https://atlassian.net",
            "https://.atlassian.net",
            "https://a.b.atlassian.net",
            "https://otheratlassian.net",
            "https://acme.atlassian.net:8443",
            "https://acme.atlassian.net/jira",
            "https://acme.atlassian.net?x=1",
            "https://acme.atlassian.net#x",
            "https://api.atlassian.com",
            "https://api.atlassian.com/ex/jira/",
            "https://api.atlassian.com/ex/jira/a/b",
            "https://api.tempo.io",
            "https://169.254.169.254",
            "https://[fe80::1]",
            "file:///etc/passwd",
        ] {
            assert!(parse(Purpose::Jira, text, true).is_err(), "{text}");
        }
        for text in [
            "https://api.tempo.io/4",
            "https://tempo.io",
            "https://acme.atlassian.net",
        ] {
            assert!(parse(Purpose::Tempo, text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_passes_only_when_it_is_allowed() {
        for purpose in [Purpose::Jira, Purpose::Tempo, Purpose::Public] {
            for text in [
                "http://127.0.0.1:8080/jira/a",
                "http://localhost:1",
                "http://[::1]:3/x",
                "https://127.0.0.1",
            ] {
                assert!(parse(purpose, text, true).is_ok(), "{text}");
                assert!(
                    parse(purpose, text, false)
                        .unwrap_err()
                        .contains("TANDEM_ALLOW_LOOPBACK"),
                    "{text}"
                );
            }
            for text in [
                "http://10.0.0.1",
                "http://localhost.example.com",
                "http://0.0.0.0",
                "ws://localhost",
            ] {
                assert!(parse(purpose, text, true).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn the_public_address_may_be_anywhere_over_https() {
        for text in ["https://tandem.example.com", "https://x.example.com:8443/prod/"] {
            assert!(parse(Purpose::Public, text, false).is_ok(), "{text}");
        }
        assert!(parse(Purpose::Public, "http://tandem.example.com", true).is_err());
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = parse(Purpose::Jira, "https://me:hunter2@acme.atlassian.net", true).unwrap_err();
        assert!(
            error.contains("user or password") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
