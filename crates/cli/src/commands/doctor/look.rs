//! Asking a site for the doctor: paced like everybody else, but also while the site is paused, and without drawing
//! conclusions for the engine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tandem_atlassian::AtlassianSite;
use tandem_core::{ConnectionName, Side, SiteName};
use tandem_engine::ports::site::{SiteError, SiteErrorKind, Vendor};
use tandem_engine::ports::store::Lane;
use tandem_engine::{Connection, Engine, EngineError};
use tandem_runtime::wiring::Tandem;

/// What to do where a probe gave no answer.
const AGAIN: &str = "run `tandem doctor` again; if it stays so, that site or the way to it has a problem";

/// How often a slot is asked for before the probe is given up.
const WAITS_MAX: usize = 20;

/// How far back the doctor looks at worklogs.
const REACH: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, but a person should look at it.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be found out.
    Unknown,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
            State::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<ConnectionName>,
    /// `None` where it is about no site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<SiteName>,
    pub(super) state: State,
    /// What was found, in a sentence.
    pub(super) what: String,
    /// What a person can do about it.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn new(
        check: &'static str,
        site: Option<&SiteName>,
        state: State,
        what: String,
        fix: Option<String>,
    ) -> Self {
        Self {
            check,
            connection: None,
            site: site.cloned(),
            state,
            what,
            fix,
        }
    }

    pub(super) fn ok(check: &'static str, site: &SiteName, what: impl Into<String>) -> Self {
        Self::new(check, Some(site), State::Ok, what.into(), None)
    }

    pub(super) fn warn(
        check: &'static str,
        site: &SiteName,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Some(site), State::Warn, what.into(), Some(fix.into()))
    }

    pub(super) fn fail(
        check: &'static str,
        site: &SiteName,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Some(site), State::Fail, what.into(), Some(fix.into()))
    }

    pub(super) fn unknown(
        check: &'static str,
        site: &SiteName,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Some(site), State::Unknown, what.into(), Some(fix.into()))
    }

    /// For a probe that gave no answer. `by_hand` says how a person finds out what the token may not see.
    pub(super) fn trouble(check: &'static str, site: &SiteName, trouble: &Trouble, by_hand: &str) -> Self {
        match trouble {
            Trouble::Rejected => Self::new(
                check,
                Some(site),
                State::Unknown,
                "not looked at, since the credentials are not accepted".to_owned(),
                None,
            ),
            Trouble::Refused(said) => Self::unknown(
                check,
                site,
                format!("the service user may not look: {said}"),
                by_hand,
            ),
            Trouble::Failed(said) => {
                Self::warn(check, site, format!("could not be looked at: {said}"), AGAIN)
            }
        }
    }

    /// Says whether the probe gave no answer at all: what it looks at may be right or wrong.
    pub(super) fn is_unanswered(&self) -> bool {
        self.fix.as_deref() == Some(AGAIN)
    }

    pub(super) fn of(mut self, connection: &Connection) -> Self {
        self.connection = Some(connection.name.clone());
        self
    }
}

/// Why a probe gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The credentials are not accepted, or there are none.
    Rejected,
    /// The service user may not ask this.
    Refused(String),
    /// There was no usable answer.
    Failed(String),
}

/// What the doctor looks with.
pub(super) struct Look<'t> {
    pub(super) tandem: &'t Tandem,
    pub(super) connections: Vec<&'t Connection>,
    pub(super) sites: Vec<SiteName>,
    sent: RefCell<BTreeMap<SiteName, Timestamp>>,
    /// Vendors that did not accept the credentials: not asked again.
    rejected: RefCell<Vec<(SiteName, Vendor)>>,
    answered: Cell<bool>,
}

impl<'t> Look<'t> {
    pub(super) fn new(tandem: &'t Tandem, connections: Vec<&'t Connection>, sites: Vec<SiteName>) -> Self {
        Self {
            tandem,
            connections,
            sites,
            sent: RefCell::default(),
            rejected: RefCell::default(),
            answered: Cell::new(false),
        }
    }

    pub(super) fn engine(&self) -> &'t Engine {
        &self.tandem.engine
    }

    pub(super) fn now(&self) -> Timestamp {
        self.engine().clock.now()
    }

    /// The first day that is looked at.
    pub(super) fn since(&self) -> jiff::civil::Date {
        (self.now() - REACH).to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Says whether any site gave any answer.
    pub(super) fn was_answered(&self) -> bool {
        self.answered.get()
    }

    /// Makes one request, in its turn.
    pub(super) async fn ask<T>(
        &self,
        site: &SiteName,
        vendor: Vendor,
        request: impl AsyncFnOnce(&AtlassianSite) -> Result<T, SiteError>,
    ) -> Result<T, Trouble> {
        let key = (site.clone(), vendor);
        if self.is_rejected(site, vendor) {
            return Err(Trouble::Rejected);
        }
        let client = self
            .tandem
            .clients
            .get(site)
            .ok_or_else(|| Trouble::Failed(format!("{site} is not configured")))?;
        self.wait_in_line(site).await?;
        let answer = request(client).await;
        if answer.is_ok() || answer.as_ref().is_err_and(|error| error.status.is_some()) {
            self.answered.set(true);
        }
        answer.map_err(|error| {
            let said = error.to_string();
            match error.kind {
                SiteErrorKind::CredentialsRejected => {
                    self.rejected.borrow_mut().push(key);
                    Trouble::Rejected
                }
                SiteErrorKind::NoCredentials | SiteErrorKind::Unusable => Trouble::Rejected,
                SiteErrorKind::Refused(_) | SiteErrorKind::NotFound => Trouble::Refused(said),
                _ => Trouble::Failed(said),
            }
        })
    }

    /// What it means that the engine could not look.
    pub(super) fn failed(error: &EngineError) -> Trouble {
        match error {
            EngineError::Paused { .. } => Trouble::Rejected,
            EngineError::Site { error, .. }
                if matches!(
                    error.kind,
                    SiteErrorKind::CredentialsRejected | SiteErrorKind::NoCredentials
                ) =>
            {
                Trouble::Rejected
            }
            error => Trouble::Failed(error.to_string()),
        }
    }

    /// Says whether a site has rejected the credentials for one of its services: they are not sent again.
    pub(super) fn is_rejected(&self, site: &SiteName, vendor: Vendor) -> bool {
        self.rejected.borrow().contains(&(site.clone(), vendor))
    }

    /// Says whether people cannot be looked up on both sides of a connection.
    pub(super) fn knows_nobody(&self, connection: &Connection) -> bool {
        Side::BOTH
            .into_iter()
            .any(|side| self.is_rejected(&connection.sites[side], Vendor::Jira))
    }

    async fn wait_in_line(&self, name: &SiteName) -> Result<(), Trouble> {
        let engine = self.engine();
        let site = engine
            .sites
            .get(name)
            .ok_or_else(|| Trouble::Failed(format!("{name} is not configured")))?;
        for _ in 0..WAITS_MAX {
            match engine.slot(site, Lane::Live).await {
                Ok(()) => {
                    // A slot that was woken for late is not to meet the next one.
                    let gap = SignedDuration::from_secs_f64(1.05 / site.requests_per_second);
                    let last = self.sent.borrow().get(name).copied();
                    if let Some(last) = last {
                        self.sleep_until(last + gap).await;
                    }
                    self.sent.borrow_mut().insert(name.clone(), self.now());
                    return Ok(());
                }
                Err(EngineError::Deferred { until, .. }) => self.sleep_until(until).await,
                Err(error) => return Err(Trouble::Failed(error.to_string())),
            }
        }
        Err(Trouble::Failed(
            "others use up all the requests that the site allows".to_owned(),
        ))
    }

    async fn sleep_until(&self, at: Timestamp) {
        if let Ok(wait) = Duration::try_from(at.duration_since(self.now())) {
            self.engine().clock.sleep(wait).await;
        }
    }
}

/// Lists names in a sentence, the first few of them.
pub(super) fn some(names: impl IntoIterator<Item = String>, max: usize) -> String {
    let names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(max);
    let mut text = names.into_iter().take(max).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
