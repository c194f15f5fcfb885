//! A small world, and short ways to talk to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tandem_sim::{
    AttributeKind, AttributeSpec, Content, IssueSpec, ManualClock, Sim, SiteHandle, SiteSpec, UserSpec,
};
use tower::ServiceExt;

pub(crate) const ANN: &str = "5f0a:ann";
pub(crate) const BEA: &str = "5f0a:bea";

/// Two sites, of which most tests use the first.
pub(crate) struct Stage {
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) acme: SiteHandle,
    pub(crate) globex: SiteHandle,
}

/// An answer with its body read as far as it goes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) broken: bool,
}

pub(crate) fn spec(name: &str) -> SiteSpec {
    SiteSpec::new(name)
        .user(
            UserSpec::new(ANN, "Ann Archer")
                .visible_email("ann@people.example")
                .time_zone("America/New_York"),
        )
        .user(UserSpec::new(BEA, "Bea Baker"))
        .user(UserSpec::new("5f0a:gone", "Gone Person").inactive())
        .attribute(AttributeSpec::new("_Account_", "Account", AttributeKind::Account))
        .attribute(
            AttributeSpec::new("_Activity_", "Activity", AttributeKind::StaticList)
                .value("11-22", "Support")
                .value("33-44", "Travel"),
        )
        .account("ACME1", true)
        .account("OLD", false)
        .issue(
            IssueSpec::new("SUP-1")
                .remaining(7200)
                .field("customfield_10042", "DEV-9")
                .remote_link(
                    "tandem:globex:DEV-9",
                    "https://globex.atlassian.net/browse/DEV-9",
                    "DEV-9",
                ),
        )
        .issues("DEV", 3)
}

pub(crate) fn stage() -> Stage {
    stage_of(1, |spec| spec)
}

pub(crate) fn stage_of(seed: u64, change: impl Fn(SiteSpec) -> SiteSpec) -> Stage {
    let clock = Arc::new(ManualClock::new("2026-03-02T09:30:00.123Z".parse().unwrap()));
    let sim = Sim::new(seed, clock.clone());
    let quiet = |mut spec: SiteSpec| {
        // The clock stands still in most tests, so a second never passes.
        spec.tempo_rate.enforced = false;
        spec.jira_rate.enforced = false;
        spec
    };
    let acme = sim.add_site(change(quiet(spec("acme"))));
    let globex = sim.add_site(change(quiet(spec("globex"))));
    Stage {
        sim,
        clock,
        acme,
        globex,
    }
}

pub(crate) fn hour() -> Content {
    Content::new(ANN, "2026-03-02", "09:00:00", 3600)
}

impl Stage {
    pub(crate) fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Calls acme's Tempo.
    pub(crate) async fn tempo(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.tempo_as("tempo-acme", method, path, body).await
    }

    pub(crate) async fn tempo_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let url = path_of("https://api.tempo.io", path);
        call(
            self.sim.tempo_router(),
            method,
            &url,
            &format!("Bearer {token}"),
            body,
        )
        .await
    }

    /// Asks Tempo for tokens, with a form.
    pub(crate) async fn tokens(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::post(path_of("https://api.tempo.io", path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        let answer = self.sim.tempo_router().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Calls acme's Jira.
    pub(crate) async fn jira(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        use base64::Engine;
        let login = base64::engine::general_purpose::STANDARD.encode("tandem@acme.example:jira-acme");
        let url = path_of("https://acme.atlassian.net", path);
        call(
            self.sim.jira_router("acme"),
            method,
            &url,
            &format!("Basic {login}"),
            body,
        )
        .await
    }
}

fn path_of(base: &str, path: &str) -> String {
    if path.starts_with("http") {
        path.to_owned()
    } else {
        format!("{base}{path}")
    }
}

pub(crate) async fn call(
    router: Router,
    method: &str,
    url: &str,
    authorization: &str,
    body: Option<Value>,
) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", authorization);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let (bytes, broken) = match body.collect().await {
        Ok(body) => (body.to_bytes().to_vec(), false),
        Err(_) => (Vec::new(), true),
    };
    let text = String::from_utf8(bytes).unwrap();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        broken,
    }
}
