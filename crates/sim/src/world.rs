//! All sites together, and how a request finds its way into one of them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::fault::{Fault, RequestFaults, Vendor, broken, take_scripted};
use crate::http::{Reply, Request};
use crate::rate::RateMeter;
use crate::route::{Call, Found, Route, find};
use crate::site::Site;
use crate::{jira, tempo};

/// A demo may run for days, so the oldest requests are forgotten beyond this many.
const REQUESTS_KEPT_MAX: usize = 1_000_000;

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// When.
    pub at: Timestamp,
    /// For which site; empty when the credentials named none.
    pub site: String,
    /// To which service.
    pub vendor: Vendor,
    /// The method.
    pub method: String,
    /// The path with its parameters' names, such as `/4/worklogs/{id}`.
    pub path_template: String,
    /// The path and query as they came.
    pub path: String,
    /// The body as it came; empty when there was none.
    pub body: String,
    /// The status of the answer, or of the fault that took its place.
    pub status: u16,
}

/// Something a client got away with here, but should not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// On which site.
    pub site: String,
    /// In which request.
    pub request: String,
    /// What it was.
    pub what: String,
}

/// The whole simulated world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) sites: BTreeMap<String, Site>,
    pub(crate) requests: Vec<RequestRecord>,
    pub(crate) violations: Vec<Violation>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            sites: BTreeMap::new(),
            requests: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Lets time have its effect.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        for site in self.sites.values_mut() {
            site.settle(now);
        }
    }

    /// Answers a request to Tempo; the token says for which site.
    pub(crate) fn tempo(&mut self, now: Timestamp, request: &Request) -> Reply {
        self.settle(now);
        let found = find(tempo::ROUTES, &request.method, &request.segments());
        if matches!(&found, Found::Route(route, _) if route.template == tempo::oauth::TEMPLATE) {
            return self.tempo_oauth(now, request, &found);
        }
        let token = request
            .authorization
            .as_deref()
            .and_then(|text| text.strip_prefix("Bearer "));
        let tenant = token.and_then(|token| {
            self.sites.iter().find_map(|(name, site)| {
                let spec = site
                    .spec
                    .service
                    .tempo_tokens
                    .iter()
                    .find(|spec| spec.token == token)?;
                Some((name.clone(), spec.clone()))
            })
        });
        let Some((name, token)) = tenant else {
            let reply = Reply::html(401, "<html><body><h1>401 Unauthorized</h1></body></html>");
            self.log(now, "", Vendor::Tempo, request, &found, reply.status);
            return reply;
        };
        let site = self
            .sites
            .get_mut(&name)
            .expect("the tenant was found among the sites");
        let refusal = || {
            if token.expires.is_some_and(|expires| expires <= now) {
                return Some(Reply::html(
                    401,
                    "<html><body><h1>401 Unauthorized</h1></body></html>",
                ));
            }
            let Found::Route(route, _) = &found else {
                return None;
            };
            let needed = tempo::scopes(route.method, route.template);
            let covered = token
                .scopes
                .as_ref()
                .is_none_or(|had| needed.iter().any(|s| had.contains(s)));
            (!covered).then(|| tempo::error(403, &["The token does not have the required scope"]))
        };
        let (reply, violations) = serve(site, Vendor::Tempo, now, request, &found, refusal);
        self.log(now, &name, Vendor::Tempo, request, &found, reply.status);
        self.note(now, &name, request, violations);
        reply
    }

    /// Answers a request for tokens; the client says for which site.
    fn tempo_oauth(&mut self, now: Timestamp, request: &Request, found: &Found) -> Reply {
        let client = tempo::oauth::client(request);
        let site = self.sites.iter_mut().find(|(_, site)| {
            let oauth = site.spec.service.tempo_oauth.as_ref();
            oauth.is_some_and(|oauth| Some(&oauth.client_id) == client.as_ref())
        });
        let Some((name, site)) = site else {
            let reply = tempo::oauth::error(401, "invalid_client", request);
            self.log(now, "", Vendor::Tempo, request, found, reply.status);
            return reply;
        };
        let name = name.clone();
        let (reply, violations) = serve(site, Vendor::Tempo, now, request, found, || None);
        self.log(now, &name, Vendor::Tempo, request, found, reply.status);
        self.note(now, &name, request, violations);
        reply
    }

    /// Answers a request to the Jira of a site.
    pub(crate) fn jira(&mut self, now: Timestamp, name: &str, request: &Request) -> Reply {
        self.settle(now);
        let found = find(jira::ROUTES, &request.method, &request.segments());
        let Some(site) = self.sites.get_mut(name) else {
            return Reply::html(
                404,
                "<html><body>Your Atlassian Cloud site is currently unavailable.</body></html>",
            );
        };
        let login = format!(
            "{}:{}",
            site.spec.service.user.email, site.spec.service.jira_token
        );
        let given = request
            .authorization
            .as_deref()
            .and_then(|text| text.strip_prefix("Basic "));
        let given = given.and_then(|text| STANDARD.decode(text).ok());
        let anonymous = matches!(&found, Found::Route(route, _) if route.template.ends_with("/serverInfo"));
        let known = anonymous && given.is_none() || given.is_some_and(|given| given == login.as_bytes());
        let refusal =
            || (!known).then(|| Reply::text(401, "Client must be authenticated to access this resource."));
        let (reply, violations) = serve(site, Vendor::Jira, now, request, &found, refusal);
        self.log(now, name, Vendor::Jira, request, &found, reply.status);
        self.note(now, name, request, violations);
        reply
    }

    fn log(
        &mut self,
        at: Timestamp,
        site: &str,
        vendor: Vendor,
        request: &Request,
        found: &Found,
        status: u16,
    ) {
        let path = match request.query.is_empty() {
            true => request.path.clone(),
            false => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(&request.query)
                    .finish();
                format!("{}?{query}", request.path)
            }
        };
        if self.requests.len() >= REQUESTS_KEPT_MAX {
            self.requests.drain(..REQUESTS_KEPT_MAX / 2);
        }
        self.requests.push(RequestRecord {
            at,
            site: site.to_owned(),
            vendor,
            method: request.method.clone(),
            path_template: template(found).to_owned(),
            path,
            body: String::from_utf8_lossy(&request.body).into_owned(),
            status,
        });
    }

    fn note(&mut self, at: Timestamp, site: &str, request: &Request, violations: Vec<String>) {
        let request = format!("{} {}", request.method, request.path);
        self.violations
            .extend(violations.into_iter().map(|what| Violation {
                at,
                site: site.to_owned(),
                request: request.clone(),
                what,
            }));
    }
}

fn template(found: &Found) -> &'static str {
    match found {
        Found::Route(route, _) => route.template,
        Found::OtherMethod | Found::Nothing => "",
    }
}

/// Runs a request through a site's limits and faults, and through the endpoint between them.
fn serve(
    site: &mut Site,
    vendor: Vendor,
    now: Timestamp,
    request: &Request,
    found: &Found,
    refusal: impl Fn() -> Option<Reply>,
) -> (Reply, Vec<String>) {
    let (meter, faults): (&mut RateMeter, &RequestFaults) = match vendor {
        Vendor::Tempo => (&mut site.tempo_meter, &site.faults.tempo),
        Vendor::Jira => (&mut site.jira_meter, &site.faults.jira),
    };
    if !meter.admit(now) {
        meter.count.answered_429 += 1;
        return (too_many(vendor, now, Some(1)), Vec::new());
    }
    let scripted = take_scripted(&mut site.scripted, vendor, request, template(found));
    let fault = scripted.or_else(|| faults.draw(&mut site.fault_dice));
    match fault {
        Some(Fault::RateLimited(retry_after)) => {
            meter.count.answered_429 += 1;
            return (too_many(vendor, now, retry_after), Vec::new());
        }
        Some(Fault::LostBefore(outcome)) => return (broken(outcome), Vec::new()),
        _ => {}
    }
    if let Some(refused) = refusal() {
        return (refused, Vec::new());
    }
    let (mut reply, violations) = dispatch(site, vendor, now, request, found);
    match fault {
        Some(Fault::LostAfter(outcome)) => reply = broken(outcome),
        Some(Fault::Slow(delay)) => reply.delay = delay,
        Some(Fault::OddRow) => reply = with_odd_row(reply),
        Some(Fault::HalfBody) => reply.half = !reply.body.is_empty(),
        _ => {}
    }
    (reply, violations)
}

fn with_odd_row(mut reply: Reply) -> Reply {
    let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if let Some(first) = body.pointer_mut("/results/0/timeSpentSeconds") {
        *first = Value::from("an hour or so");
        reply.body = body.to_string().into_bytes();
    }
    reply
}

fn dispatch(
    site: &mut Site,
    vendor: Vendor,
    now: Timestamp,
    request: &Request,
    found: &Found,
) -> (Reply, Vec<String>) {
    let (route, params): (&Route, _) = match found {
        Found::Route(route, params) => (route, params.clone()),
        Found::OtherMethod => return (Reply::text(405, "Method Not Allowed"), Vec::new()),
        Found::Nothing => {
            let reply = match vendor {
                Vendor::Tempo => tempo::error(404, &["HTTP 404 Not Found"]),
                Vendor::Jira => jira::error(404, &["The requested resource does not exist."]),
            };
            return (reply, vec!["there is no such endpoint".to_owned()]);
        }
    };
    site.client = Some(request.agent.clone());
    let mut call = Call {
        site,
        now,
        request,
        params,
        violations: Vec::new(),
    };
    let reply = (route.answer)(&mut call).unwrap_or_else(|refused| refused);
    let violations = call.violations;
    site.client = None;
    (reply, violations)
}

fn too_many(vendor: Vendor, now: Timestamp, retry_after: Option<u64>) -> Reply {
    let mut reply = match vendor {
        Vendor::Tempo => tempo::error(429, &["Too many requests"]),
        Vendor::Jira => {
            let reset = now + std::time::Duration::from_secs(retry_after.unwrap_or(1));
            jira::error(429, &["Rate limit exceeded"])
                .header("RateLimit-Reason", "jira-burst-based")
                .header("X-RateLimit-Limit", "350")
                .header("X-RateLimit-Remaining", "0")
                .header("X-RateLimit-Reset", crate::time::iso_secs(reset))
        }
    };
    if let Some(secs) = retry_after {
        reply = reply.header("Retry-After", secs.to_string());
    }
    reply
}
