//! Simulated Jira Cloud sites with Tempo, believable enough to develop and test against.
//!
//! The world is plain state behind one lock; people act on it through plain methods ([`SiteHandle`]), and thin
//! HTTP over it speaks as the vendors do, so that the real adapters run against it. Start with [`Sim`]: describe a
//! site with [`SiteSpec`], add it, let people log time, ask [`Sim::tempo_router`] and [`Sim::jira_router`], and
//! take the webhooks from [`Sim::take_deliveries`] or let [`Sim::spawn_deliverer`] send them.
//!
//! Everything left to chance comes from the seed and everything timed from the clock: the same seed and the same
//! actions give the same bytes. What goes wrong is in [`Faults`], [`Fault`] and the methods of [`SiteHandle`].
//!
//! Deliberately not here: anything of the product. Identifiers are plain numbers and texts as on the wire, since a
//! mix-up of two of them is what tests against this crate are to find. OAuth, teams, plans and approvals beyond
//! reading are left out.

mod change;
mod clock;
mod control;
mod deliverer;
mod delivery;
mod dice;
mod event;
mod fault;
mod handle;
mod http;
mod jira;
mod journal;
mod jql;
mod ledger;
mod papertrail;
mod person;
mod rate;
mod route;
mod rules;
mod shadow;
mod sim;
mod site;
mod spec;
mod tempo;
mod time;
mod webhook;
mod worklog;
mod world;

pub use clock::{ManualClock, SimClock, SystemClock, TokioClock};
pub use deliverer::{Answered, Deliverer, Sender};
pub use delivery::{Delivery, DeliveryKind};
pub use fault::{Fault, FaultOutcome, Faults, Matcher, RequestFaults, Vendor, WebhookFaults};
pub use handle::SiteHandle;
pub use http::ConnectionReset;
pub use journal::LedgerChange;
pub use ledger::ListingLag;
pub use person::Refused;
pub use rate::{RateCount, RateRule};
pub use rules::{AttributeKind, AttributeSpec, GlobalConfiguration, Permission, Scope};
pub use sim::{Running, Sim};
pub use spec::{
    IssueSpec, JiraWebhookSpec, OauthSpec, ProjectSpec, ServiceSpec, SiteSpec, SubscriptionSpec,
    TEMPO_APP_ACCOUNT, TokenSpec, UserSpec,
};
pub use webhook::{JIRA_RETRIES_MAX, TEMPO_ATTEMPTS_MAX};
pub use worklog::{Content, JiraWorklog, Worklog};
pub use world::{RequestRecord, Violation};
