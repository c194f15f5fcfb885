//! How bad things are in one run: which faults, and how often.

use std::time::Duration;

use tandem_sim::{Faults, ListingLag, RequestFaults, WebhookFaults};

use crate::chance::Chance;
use crate::faults::{Allowed, Fault, LIMITED_AS, LOST_AS};

/// Probabilities per occasion; all zero when it is calm.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Whether it storms at all.
    pub storm: bool,
    /// That a life ends early.
    pub kill: f64,
    /// That a process stands still for longer than its lease.
    pub stall: f64,
    /// How far a runner's clock may be off, in milliseconds.
    pub skew_ms: u64,
    /// That the table refuses a call.
    pub throttled: f64,
    /// That a transaction is cancelled by another.
    pub cancelled: f64,
    /// That the answer to a write of the table is lost.
    pub table_answer_lost: f64,
    /// That a query of the index lags.
    pub index_lag: f64,
    /// That a request takes effect late.
    pub slow_request: f64,
    /// That a stream record is lost.
    pub stream_lost: f64,
    /// That it comes twice.
    pub stream_doubled: f64,
    /// That a scheduled pass is skipped.
    pub schedule_skipped: f64,
    /// That it runs twice at once.
    pub schedule_overlap: f64,
    /// What goes wrong at the sites.
    pub sites: Faults,
}

impl Weather {
    /// Draws how bad it gets: about each second kind of fault occurs at all in a run.
    pub fn draw(chance: &mut Chance, allowed: &Allowed) -> Self {
        let mut rate = |fault: Fault, most: f64| match allowed.has(fault) && chance.yes(0.5) {
            true => most * (1.0 + chance.between(0, 9) as f64) / 10.0,
            false => 0.0,
        };
        let mut requests = RequestFaults {
            lost_before: rate(Fault::LostBefore, 0.2),
            lost_after: rate(Fault::LostAfter, 0.2),
            rate_limited: rate(Fault::RateLimited, 0.15),
            slow: rate(Fault::SlowAnswer, 0.1),
            slow_by: Duration::from_secs(20),
            half_body: rate(Fault::HalfAnswer, 0.1),
            never: LOST_AS
                .into_iter()
                .filter(|(kind, _)| !allowed.has(*kind))
                .map(|(_, outcome)| outcome)
                .collect(),
            retry_after: match LIMITED_AS.map(|(kind, told)| (allowed.has(kind), told)) {
                [(true, _), (true, _)] => None,
                [(told, _), _] => Some(told),
            },
        };
        if LIMITED_AS.iter().all(|(kind, _)| !allowed.has(*kind)) {
            requests.rate_limited = 0.0;
        }
        if LOST_AS.iter().all(|(kind, _)| !allowed.has(*kind)) {
            (requests.lost_before, requests.lost_after) = (0.0, 0.0);
        }
        let webhooks = WebhookFaults {
            lost: rate(Fault::WebhookLost, 1.0),
            doubled: rate(Fault::WebhookDoubled, 0.3),
            late: rate(Fault::WebhookLate, 0.3),
            late_by: Duration::from_secs(2 * 3600),
            reordered: rate(Fault::WebhookReordered, 0.5),
            forged: rate(Fault::WebhookForged, 0.2),
        };
        let lag = rate(Fault::ListingLag, 15_000.0);
        Self {
            storm: true,
            kill: rate(Fault::Kill, 0.5),
            stall: rate(Fault::Stall, 0.15),
            skew_ms: rate(Fault::ClockSkew, 5_000.0) as u64,
            throttled: rate(Fault::TableThrottled, 0.05),
            cancelled: rate(Fault::TableCancelled, 0.05),
            table_answer_lost: rate(Fault::TableAnswerLost, 0.05),
            index_lag: rate(Fault::IndexLag, 0.5),
            slow_request: rate(Fault::SlowRequest, 0.2),
            stream_lost: rate(Fault::StreamLost, 1.0),
            stream_doubled: rate(Fault::StreamDoubled, 0.4),
            schedule_skipped: rate(Fault::ScheduleSkipped, 0.5),
            schedule_overlap: rate(Fault::ScheduleOverlap, 0.5),
            sites: Faults {
                tempo: requests.clone(),
                jira: requests,
                tempo_webhooks: webhooks.clone(),
                jira_webhooks: webhooks,
                listing_lag: ListingLag::all(Duration::from_millis(lag as u64)),
            },
        }
    }
}
