//! How the world misbehaves: by chance, drawn from the seed, or by script.

use std::time::Duration;

use crate::dice::Dice;
use crate::http::{Reply, Request};
use crate::ledger::ListingLag;

/// Which of a site's two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Tempo.
    Tempo,
    /// Jira.
    Jira,
}

/// What the caller sees of a request that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOutcome {
    /// An answer with this status.
    Status(u16),
    /// The connection breaks: the answer's head says 502 and its body fails at once, which is as near as a
    /// server library lets us come. The response carries [`ConnectionReset`](crate::ConnectionReset) for
    /// callers without a socket.
    Reset,
    /// No answer for ten minutes, then 504.
    Hang,
}

/// One thing going wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is lost before it has any effect.
    LostBefore(FaultOutcome),
    /// The request has its effect, the answer is lost.
    LostAfter(FaultOutcome),
    /// 429, with `Retry-After` in seconds or without.
    RateLimited(Option<u64>),
    /// The request has its effect at once, the answer comes late.
    Slow(Duration),
    /// The body of the answer breaks off in the middle.
    HalfBody,
    /// The first worklog of a listing is told in a way that nobody understands; the others are as ever.
    OddRow,
}

/// Chances of a request going wrong, each from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestFaults {
    /// Lost before it has an effect.
    pub lost_before: f64,
    /// Has its effect, but the answer is lost.
    pub lost_after: f64,
    /// Answered 429.
    pub rate_limited: f64,
    /// Answered late.
    pub slow: f64,
    /// How late at most.
    pub slow_by: Duration,
    /// Answered with a body that breaks off.
    pub half_body: f64,
    /// What a lost request never looks like to its caller.
    pub never: Vec<FaultOutcome>,
    /// Whether `Retry-After` is told with a 429; `None` for now and then.
    pub retry_after: Option<bool>,
}

impl FaultOutcome {
    /// All that a lost request can look like to its caller.
    pub const ALL: [Self; 5] = [
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Reset,
        Self::Hang,
    ];
}

impl RequestFaults {
    pub(crate) fn draw(&self, dice: &mut Dice) -> Option<Fault> {
        if dice.chance(self.rate_limited) {
            let told = dice.chance(0.5);
            let told = self.retry_after.unwrap_or(told);
            return Some(Fault::RateLimited(told.then(|| dice.between(1, 5))));
        }
        if dice.chance(self.lost_before) {
            return self.outcome(dice).map(Fault::LostBefore);
        }
        if dice.chance(self.lost_after) {
            return self.outcome(dice).map(Fault::LostAfter);
        }
        if dice.chance(self.half_body) {
            return Some(Fault::HalfBody);
        }
        dice.chance(self.slow)
            .then(|| Fault::Slow(dice.span(self.slow_by)))
    }

    /// The one that is drawn, or the next of those that may be.
    fn outcome(&self, dice: &mut Dice) -> Option<FaultOutcome> {
        let drawn = dice.between(0, 4) as usize;
        let from_drawn = FaultOutcome::ALL.iter().cycle().skip(drawn);
        from_drawn
            .take(FaultOutcome::ALL.len())
            .find(|outcome| !self.never.contains(outcome))
            .copied()
    }
}

/// Chances of a webhook going wrong, each from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookFaults {
    /// Never sent.
    pub lost: f64,
    /// Sent twice.
    pub doubled: f64,
    /// Sent late.
    pub late: f64,
    /// How late at most.
    pub late_by: Duration,
    /// Sent out of order: held back while later ones pass.
    pub reordered: f64,
    /// Accompanied by one that somebody else made up and could not sign.
    pub forged: f64,
}

/// Everything that may go wrong on a site; by default nothing does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Tempo's requests.
    pub tempo: RequestFaults,
    /// Jira's requests.
    pub jira: RequestFaults,
    /// Tempo's webhooks.
    pub tempo_webhooks: WebhookFaults,
    /// Jira's webhooks.
    pub jira_webhooks: WebhookFaults,
    /// How far Tempo's listings run behind.
    pub listing_lag: ListingLag,
}

/// Which requests a scripted fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    vendor: Option<Vendor>,
    method: Option<String>,
    template: Option<String>,
    body: Option<String>,
    skip: usize,
    times: usize,
}

impl Matcher {
    /// Any request to either service.
    pub fn any() -> Self {
        Self {
            vendor: None,
            method: None,
            template: None,
            body: None,
            skip: 0,
            times: 1,
        }
    }

    /// Requests to Tempo by method and path template, such as `("PUT", "/4/worklogs/{id}")`.
    pub fn tempo(method: &str, template: &str) -> Self {
        Self {
            vendor: Some(Vendor::Tempo),
            method: Some(method.to_owned()),
            template: Some(template.to_owned()),
            ..Self::any()
        }
    }

    /// Requests to Jira by method and path template, such as `("GET", "/rest/api/3/myself")`.
    pub fn jira(method: &str, template: &str) -> Self {
        Self {
            vendor: Some(Vendor::Jira),
            ..Self::tempo(method, template)
        }
    }

    /// Any request to one service.
    pub fn vendor(vendor: Vendor) -> Self {
        Self {
            vendor: Some(vendor),
            ..Self::any()
        }
    }

    /// Only requests whose body holds this text.
    pub fn body_contains(mut self, text: impl Into<String>) -> Self {
        self.body = Some(text.into());
        self
    }

    /// Lets the first `n` matching requests pass.
    pub fn skip(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Hits `n` matching requests instead of one.
    pub fn times(mut self, n: usize) -> Self {
        self.times = n.max(1);
        self
    }

    fn matches(&self, vendor: Vendor, request: &Request, template: &str) -> bool {
        self.vendor.is_none_or(|wanted| wanted == vendor)
            && self
                .method
                .as_deref()
                .is_none_or(|wanted| request.method == wanted)
            && self.template.as_deref().is_none_or(|wanted| wanted == template)
            && self
                .body
                .as_deref()
                .is_none_or(|wanted| String::from_utf8_lossy(&request.body).contains(wanted))
    }
}

/// A fault waiting for its request.
#[derive(Debug)]
pub(crate) struct ScriptedFault {
    pub(crate) matcher: Matcher,
    pub(crate) fault: Fault,
}

/// Takes the first scripted fault that is for this request.
pub(crate) fn take_scripted(
    scripted: &mut Vec<ScriptedFault>,
    vendor: Vendor,
    request: &Request,
    template: &str,
) -> Option<Fault> {
    let index = scripted
        .iter()
        .position(|s| s.matcher.matches(vendor, request, template))?;
    let entry = &mut scripted[index];
    if entry.matcher.skip > 0 {
        entry.matcher.skip -= 1;
        return None;
    }
    let fault = entry.fault;
    entry.matcher.times -= 1;
    if entry.matcher.times == 0 {
        scripted.remove(index);
    }
    Some(fault)
}

/// Turns what the caller is to see into an answer.
pub(crate) fn broken(outcome: FaultOutcome) -> Reply {
    match outcome {
        FaultOutcome::Status(status) => Reply::text(status, "upstream connect error or disconnect"),
        FaultOutcome::Reset => Reply {
            reset: true,
            ..Reply::text(502, "")
        },
        FaultOutcome::Hang => Reply {
            delay: Duration::from_secs(600),
            ..Reply::text(504, "upstream request timeout")
        },
    }
}
