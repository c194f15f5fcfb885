//! One HTTP request, as data: built by pure functions, sent by [`AtlassianSite`](crate::AtlassianSite).

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tandem_engine::ports::site::Vendor;
use url::Url;

use crate::credentials::SiteCredentials;

/// Whether a call changes something at the site. After a lost answer only a write has an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing, whatever its method.
    Read,
    /// May change something.
    Write,
}

/// Whether a call carries the site's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Tempo's bearer token, or Jira's basic `email:token`.
    Token,
    /// None: the call is open to everybody.
    Anonymous,
}

/// One request to a vendor, free of host and credentials.
#[derive(Clone)]
pub struct Call {
    /// Which service it goes to.
    pub vendor: Vendor,
    /// The HTTP method.
    pub method: Method,
    /// The path with placeholders, such as `/4/worklogs/{id}`. The same for all ids: fit for counting.
    pub template: &'static str,
    /// The path's segments, not percent-encoded.
    pub path: Vec<String>,
    /// The query, not percent-encoded.
    pub query: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Option<Value>,
    /// Whether it changes something.
    pub effect: Effect,
    /// Whether it carries credentials.
    pub auth: Auth,
}

impl Call {
    fn new(vendor: Vendor, method: Method, template: &'static str, args: &[&str], effect: Effect) -> Self {
        let mut args = args.iter();
        let path = template
            .split('/')
            .skip(1)
            .map(|segment| match segment.starts_with('{') {
                true => args.next().copied().unwrap_or_default().to_owned(),
                false => segment.to_owned(),
            })
            .collect();
        Self {
            vendor,
            method,
            template,
            path,
            query: Vec::new(),
            body: None,
            effect,
            auth: Auth::Token,
        }
    }

    /// Begins a call that changes nothing. `args` take the places of the template's `{…}` in order.
    pub fn read(vendor: Vendor, method: Method, template: &'static str, args: &[&str]) -> Self {
        Self::new(vendor, method, template, args, Effect::Read)
    }

    /// Begins a call that changes something. `args` take the places of the template's `{…}` in order.
    pub fn write(vendor: Vendor, method: Method, template: &'static str, args: &[&str]) -> Self {
        Self::new(vendor, method, template, args, Effect::Write)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Sets the JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Leaves the credentials out.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.auth = Auth::Anonymous;
        self
    }

    /// Returns the call as errors name it, such as `GET /4/worklogs/7`: ids, but no query.
    pub fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }

    /// Returns the address at a base, which may have a path of its own.
    pub fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // `path_segments_mut` fails for addresses like `mailto:` alone, which no endpoint has.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    /// Builds the HTTP request.
    ///
    /// # Errors
    /// A sentence for a person when the secret holds something that no header can carry.
    pub fn to_http(
        &self,
        base: &Url,
        credentials: Option<&SiteCredentials>,
    ) -> Result<Request<Bytes>, String> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.url(base).as_str())
            .header(header::ACCEPT, "application/json")
            // Refusals are told apart by their English wording, and both sites would otherwise answer in the
            // service user's language.
            .header(header::ACCEPT_LANGUAGE, "en");
        if self.vendor == Vendor::Jira {
            request = request.header("X-Force-Accept-Language", "true");
        }
        if let (Auth::Token, Some(credentials)) = (self.auth, credentials) {
            request = request.header(header::AUTHORIZATION, authorization(self.vendor, credentials)?);
        }
        let body = match &self.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request
            .body(body)
            .map_err(|_| "the request could not be built".to_owned())
    }
}

// Without the body: it holds a worklog's text.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.vendor, self.name())
    }
}

fn authorization(vendor: Vendor, credentials: &SiteCredentials) -> Result<HeaderValue, String> {
    // A copied token often brings a line break along.
    let text = match vendor {
        Vendor::Tempo => {
            let token = credentials.tempo_token.expose_secret().trim();
            if token.is_empty() {
                return Err("the site's secret has no tempo_token".into());
            }
            format!("Bearer {token}")
        }
        Vendor::Jira => {
            let (email, token) = (
                credentials.jira_email.trim(),
                credentials.jira_token.expose_secret().trim(),
            );
            if email.is_empty() || token.is_empty() {
                return Err("the site's secret has no jira_email or no jira_token".into());
            }
            format!("Basic {}", basic(email, token))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| format!("the {vendor} token in the site's secret holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns what follows `Basic ` for an e-mail address and a token.
pub(crate) fn basic(email: &str, token: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{email}:{token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_order_and_encoded() {
        let call =
            Call::read(Vendor::Jira, Method::GET, "/rest/{a}/x/{b}", &["7", "a b/c:d"]).query("q", "x y&z");
        let base = Url::parse("http://127.0.0.1:9/prefix/").unwrap();
        assert_eq!(call.name(), "GET /rest/7/x/a b/c:d");
        assert_eq!(
            call.url(&base).as_str(),
            "http://127.0.0.1:9/prefix/rest/7/x/a%20b%2Fc:d?q=x+y%26z"
        );
        let bare = Url::parse("https://api.tempo.io").unwrap();
        assert_eq!(call.url(&bare).path(), "/rest/7/x/a%20b%2Fc:d");
    }

    #[test]
    fn authorization_differs_by_vendor() {
        let credentials = SiteCredentials {
            tempo_token: "tt\n".to_owned().into(),
            jira_email: "me@example.com".into(),
            jira_token: "jt".to_owned().into(),
            digest: "d".into(),
        };
        let base = Url::parse("https://api.tempo.io").unwrap();
        let tempo = Call::read(Vendor::Tempo, Method::GET, "/4/worklogs", &[]);
        let request = tempo.to_http(&base, Some(&credentials)).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer tt");
        assert!(request.headers()["authorization"].is_sensitive());
        let jira = Call::read(Vendor::Jira, Method::GET, "/rest/api/3/myself", &[]);
        let request = jira.clone().to_http(&base, Some(&credentials)).unwrap();
        assert_eq!(
            request.headers()["authorization"],
            "Basic bWVAZXhhbXBsZS5jb206anQ="
        );
        let request = jira.anonymous().to_http(&base, Some(&credentials)).unwrap();
        assert!(!request.headers().contains_key("authorization"));
    }
}
