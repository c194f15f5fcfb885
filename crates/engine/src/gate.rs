//! How calls to a site are paced and paused.
//!
//! Every request passes here first. The slots are handed out by the table, so that all runners together stay
//! under the site's limit; the lane says how long one is worth waiting for. Who would wait longer comes back
//! later instead of sleeping.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tandem_core::{Reason, SiteName};
use tracing::{error, warn};

use crate::error::EngineError;
use crate::options::{Engine, Site};
use crate::ports::SiteClient;
use crate::ports::site::{SiteError, SiteErrorKind, Vendor};
use crate::ports::store::{Committed, DueKey, Hint, Lane, Pause, SiteState, Slot};

/// How long a slot is worth waiting for. A lower lane gives way when more than a little is waiting. Whoever is alone waits for
/// the next slot, however few a site has: a run needs several.
fn patience(lane: Lane, site: &Site) -> Duration {
    let (millis, slots) = match lane {
        Lane::Live => (3000, 4.0),
        Lane::Sweep => (1500, 2.0),
        Lane::Backfill => (300, 1.25),
    };
    let for_slots = interval(site).mul_f64(slots).min(PATIENCE_MAX);
    Duration::from_millis(millis).max(for_slots)
}

/// However few slots a site has: a lease has to outlast the wait.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// How long a run of a backfill waits for its turn before it gives up its place.
const GIVE_WAY: SignedDuration = SignedDuration::from_secs(5);

/// How soon it asks again at the soonest.
const TURN: SignedDuration = SignedDuration::from_millis(10);

/// How much later than another a request may take to reach the site. Two requests sent a second apart may
/// arrive closer together by this much, and the site counts arrivals.
const JITTER: SignedDuration = SignedDuration::from_millis(50);

/// How long a pass waits in line for one call, and a person for a site that has no room.
const IN_LINE: SignedDuration = SignedDuration::from_secs(60);

/// How long it waits at least before it asks again.
const IN_LINE_STEP: SignedDuration = SignedDuration::from_millis(200);

/// How long what is known of a site's state is good for.
const STATE_AGE: SignedDuration = SignedDuration::from_secs(2);

/// The moments at which this process sent its last requests, per site.
///
/// The table spaces slots evenly. A process that wakes late for one slot and on time for a later one would still
/// squeeze them together, so it looks back over its own last second as well.
#[derive(Default)]
pub(crate) struct Pace {
    sent: Mutex<BTreeMap<SiteName, Sent>>,
}

/// The last requests of this process to one site, and how many there were in all.
#[derive(Default)]
struct Sent {
    recent: VecDeque<Timestamp>,
    count: u64,
}

impl Pace {
    /// Returns when the next request may be sent, and counts it as sent then.
    fn next(&self, site: &Site, now: Timestamp) -> Timestamp {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let Sent { recent, count } = sent.entry(site.name.clone()).or_default();
        let burst = (site.requests_per_second.floor() as usize).max(1);
        let window = SignedDuration::from_secs_f64((burst as f64 / site.requests_per_second).max(1.0));
        while recent.len() > burst {
            recent.pop_front();
        }
        let at = match recent.front() {
            Some(oldest) if recent.len() == burst => now.max(*oldest + window + JITTER),
            _ => now,
        };
        recent.push_back(at);
        *count += 1;
        at
    }

    /// Returns how many requests were sent so far.
    fn counts(&self) -> BTreeMap<SiteName, u64> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter()
            .map(|(site, sent)| (site.clone(), sent.count))
            .collect()
    }
}

/// How often something is asked again where a site did not answer, and after how long the first time.
const AGAIN_MAX: u32 = 3;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Attempts to change a site's row upon what others have changed.
const CHANGES_MAX: usize = 20;

/// How far back a paused site is asked for changes, to see whether it answers and whose they are: so far that a site on which
/// time is logged at all has some. One page is read of them.
const PROBED: SignedDuration = SignedDuration::from_hours(24 * 400);

/// How soon a paused site that did not answer is asked again.
const PROBED_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// However long a site asks to be left alone.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// Says after how long to try again what so many tries have failed at before, where the site did not answer.
fn again_after<T>(tried: &Result<T, EngineError>, tries: u32) -> Option<Duration> {
    let Err(EngineError::Site { error, .. }) = tried else {
        return None;
    };
    match error.kind {
        SiteErrorKind::Unreachable { retry_after } if tries < AGAIN_MAX => {
            let wait = retry_after.unwrap_or(AGAIN_AFTER * (tries + 1));
            Some(wait.min(AGAIN_AFTER_MAX))
        }
        _ => None,
    }
}

/// How something is asked: in which lane, and whether it is worth waiting for.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    lane: Lane,
    patient: bool,
}

impl Asking {
    /// As a run asks, which comes back later.
    pub(crate) fn once(lane: Lane) -> Self {
        Self { lane, patient: false }
    }

    /// As for a person who waits: one hiccup among hundreds of requests must not cost all that was read.
    pub fn patiently(lane: Lane) -> Self {
        Self { lane, patient: true }
    }
}

/// The time between two slots: a little more than the limit asks for, so that jitter on the way does not break it.
fn interval(site: &Site) -> Duration {
    Duration::from_secs_f64(1.05 / site.requests_per_second)
}

/// How long a site is left alone after a 429.
fn rest_after(retry_after: Option<Duration>) -> SignedDuration {
    let wait = retry_after
        .unwrap_or(Duration::from_secs(1))
        .max(Duration::from_secs(1));
    SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)
}

impl Engine {
    /// Waits for the right to send one request to a site.
    ///
    /// # Errors
    /// `Deferred` when the wait is longer than the lane's patience, `Paused` when the site is.
    pub async fn pass(&self, site: &Site, lane: Lane) -> Result<(), EngineError> {
        self.unpaused(site, Some(lane)).await?;
        self.slot(site, lane).await
    }

    /// The same whether the site is paused or not: for what may end the pause.
    ///
    /// # Errors
    /// `Deferred` when the wait is longer than the lane's patience.
    pub async fn slot(&self, site: &Site, lane: Lane) -> Result<(), EngineError> {
        let begun = self.clock.now();
        loop {
            let slot = self
                .store
                .reserve(&site.name, self.clock.now(), interval(site), patience(lane, site))
                .await?;
            match slot {
                Slot::At(at) => {
                    self.sleep_until(at).await;
                    return Ok(());
                }
                // Gives way to more urgent calls, but not so much that all it has read would have to be read again.
                Slot::NotBefore(until) if lane == Lane::Backfill && until < begun + GIVE_WAY => {
                    self.sleep_until(until.max(self.clock.now() + TURN)).await;
                }
                Slot::NotBefore(until) => {
                    return Err(EngineError::Deferred {
                        site: site.name.clone(),
                        until,
                    });
                }
            }
        }
    }

    /// Waits out the last slots that were taken. For whoever took slots that the table knows nothing of, before it
    /// ends: the next process may begin at once.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn rest(&self) -> Result<(), EngineError> {
        for site in self.sites.values() {
            let free_at = self.store.free_at(&site.name).await?;
            let longest = self.clock.now() + signed(patience(Lane::Live, site));
            if let Some(at) = free_at.filter(|at| *at < longest) {
                self.sleep_until(at).await;
            }
        }
        Ok(())
    }

    /// Returns when the moment has come.
    pub(crate) async fn sleep_until(&self, at: Timestamp) {
        let wait = at.duration_since(self.clock.now());
        if let Ok(wait) = Duration::try_from(wait)
            && !wait.is_zero()
        {
            self.clock.sleep(wait).await;
        }
    }

    /// Makes one paced call to a site.
    pub async fn call<T, F>(&self, site: &Site, lane: Lane, request: F) -> Result<T, EngineError>
    where
        F: AsyncFnOnce(&dyn crate::ports::SiteClient) -> Result<T, SiteError>,
    {
        self.pass(site, lane).await?;
        self.sent(site, request)
            .await
            .map_err(|error| EngineError::site(&site.name, error))
    }

    /// Looks at something for a person who waits, and again while a site has no room for it: whoever else uses up a
    /// site's limit must not make a command fail that only reads. Gives up a minute after the first refusal.
    ///
    /// # Errors
    /// As the look does.
    pub async fn unhurried<T>(
        &self,
        mut look: impl AsyncFnMut() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut end = None;
        loop {
            let looked = look().await;
            let now = self.clock.now();
            let until = match &looked {
                Err(EngineError::Deferred { until, .. }) => *until,
                Err(EngineError::Site { error, .. }) => match error.kind {
                    SiteErrorKind::RateLimited { retry_after } => now + rest_after(retry_after),
                    _ => return looked,
                },
                _ => return looked,
            };
            if until > *end.get_or_insert(now + IN_LINE) {
                return looked;
            }
            self.sleep_until(until.max(now + IN_LINE_STEP)).await;
        }
    }

    /// Looks at something for a person who waits, as [`Engine::unhurried`] does, and a few times more where the site does
    /// not answer.
    ///
    /// # Errors
    /// As the look does.
    pub async fn persistently<T>(
        &self,
        mut look: impl AsyncFnMut() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut tries = 0;
        loop {
            let looked = self.unhurried(&mut look).await;
            let Some(wait) = again_after(&looked, tries) else {
                return looked;
            };
            tries += 1;
            self.clock.sleep(wait).await;
        }
    }

    /// Makes one paced call, with as much patience as is asked for.
    pub(crate) async fn ask<T>(
        &self,
        site: &Site,
        asking: Asking,
        request: impl AsyncFn(&dyn crate::ports::SiteClient) -> Result<T, SiteError>,
    ) -> Result<T, EngineError> {
        if !asking.patient {
            return self.call(site, asking.lane, &request).await;
        }
        self.persistently(async || self.call(site, asking.lane, &request).await)
            .await
    }

    /// Returns how many requests this process has sent to each site so far.
    pub fn requests_so_far(&self) -> BTreeMap<SiteName, u64> {
        self.pace.counts()
    }

    /// Makes one paced call for a pass: it has no row that could be due later, and the next pass is minutes away, so
    /// it waits in line for as long as a minute, also where the site asks for it.
    pub(crate) async fn call_in_turn<T, F>(
        &self,
        site: &Site,
        lane: Lane,
        request: F,
    ) -> Result<T, EngineError>
    where
        F: AsyncFn(&dyn crate::ports::SiteClient) -> Result<T, SiteError>,
    {
        let end = self.clock.now() + IN_LINE;
        loop {
            let (until, error) = match self.pass(site, lane).await {
                Ok(()) => match self.sent(site, &request).await {
                    Err(error) => match error.kind {
                        SiteErrorKind::RateLimited { retry_after } => {
                            let until = self.clock.now() + rest_after(retry_after);
                            (until, EngineError::site(&site.name, error))
                        }
                        _ => return Err(EngineError::site(&site.name, error)),
                    },
                    Ok(answer) => return Ok(answer),
                },
                Err(EngineError::Deferred { site, until }) => (until, EngineError::Deferred { site, until }),
                Err(error) => return Err(error),
            };
            if until >= end {
                return Err(error);
            }
            // At least a moment, so that a slot that somebody else gets each time is not asked for without end.
            self.sleep_until(until.max(self.clock.now() + IN_LINE_STEP)).await;
        }
    }

    /// Makes one call for which a slot was already had, and draws the site-wide conclusions from its failure.
    pub(crate) async fn sent<T, F>(&self, site: &Site, request: F) -> Result<T, SiteError>
    where
        F: AsyncFnOnce(&dyn crate::ports::SiteClient) -> Result<T, SiteError>,
    {
        let at = self.pace.next(site, self.clock.now());
        self.sleep_until(at).await;
        let answer = request(site.client.as_ref()).await;
        if let Err(error) = &answer {
            self.conclude(site, error).await;
        }
        answer
    }

    async fn conclude(&self, site: &Site, failure: &SiteError) {
        let now = self.clock.now();
        let noted = match &failure.kind {
            SiteErrorKind::RateLimited { retry_after } => {
                warn!(site.name = %site.name, "{} answered 429; this is a bug of ours or a foreign user of the same limit", site.name);
                let until = now + rest_after(*retry_after);
                self.store
                    .hold(&site.name, until)
                    .await
                    .map_err(EngineError::from)
            }
            SiteErrorKind::CredentialsRejected | SiteErrorKind::NoCredentials => {
                self.pause(site, failure, now).await
            }
            _ => Ok(()),
        };
        if let Err(error) = noted {
            // The next call meets the same answer and notes it then.
            warn!(site.name = %site.name, "Could not note how {} fares: {}", site.name, error.unsaid());
        }
    }

    async fn pause(&self, site: &Site, failure: &SiteError, now: Timestamp) -> Result<(), EngineError> {
        // A secret that could not be used has no digest, and any that can be is another: it may be whole again by now.
        let credentials = match failure.kind {
            SiteErrorKind::NoCredentials => None,
            _ => site.client.credentials_digest().await.ok(),
        };
        let before = self
            .change_site(&site.name, |state| {
                let before = state.paused.take();
                let since = before.as_ref().map_or(now, |pause| pause.since);
                let mut by = before.map_or_else(Vec::new, |pause| pause.by);
                if !by.contains(&failure.vendor) {
                    by.push(failure.vendor);
                }
                state.paused = Some(Pause {
                    since,
                    detail: failure.to_string(),
                    credentials: credentials.clone(),
                    probe_at: now + signed(self.options.park_retry),
                    by,
                });
            })
            .await?;
        match (&before.paused, &failure.kind) {
            (Some(_), _) => {}
            // Our own words, and no value out of the secret.
            (None, SiteErrorKind::NoCredentials) => {
                error!(site.name = %site.name, "{}: {}; it is paused until that is mended", site.name, failure.message);
            }
            (None, _) => {
                error!(site.name = %site.name, "{} rejects our {} credentials; it is paused until the secret changes", site.name, failure.vendor);
            }
        }
        Ok(())
    }

    /// Returns how a site fares, from memory when that is fresh.
    pub(crate) async fn site_state(&self, site: &Site) -> Result<SiteState, EngineError> {
        let now = self.clock.now();
        if let Some(state) = self.memory.sites.get(&site.name, now - STATE_AGE) {
            return Ok(state);
        }
        let state = self.store.site(&site.name).await?;
        self.memory.sites.set(&site.name, now, &state);
        Ok(state)
    }

    /// Changes what is known of a site, upon what the table says by then: others may have changed something else of it. Returns
    /// what was known before.
    pub(crate) async fn change_site(
        &self,
        site: &SiteName,
        mut change: impl FnMut(&mut SiteState),
    ) -> Result<SiteState, EngineError> {
        for _ in 0..CHANGES_MAX {
            let before = self.store.site(site).await?;
            let mut state = before.clone();
            change(&mut state);
            let is_known = state == before;
            if is_known || self.store.put_site(site, &state).await? == Committed::Yes {
                state.rev += u64::from(!is_known);
                self.memory.sites.set(site, self.clock.now(), &state);
                return Ok(before);
            }
        }
        Err(EngineError::Lost)
    }

    /// Refuses while a site is paused. A changed secret resumes it; otherwise it is asked once in a while whether it takes the
    /// one that it rejected, before a call is made in that lane.
    pub(crate) async fn unpaused(&self, site: &Site, to_call: Option<Lane>) -> Result<(), EngineError> {
        let state = self.site_state(site).await?;
        let Some(pause) = state.paused.clone() else {
            return Ok(());
        };
        let digest = site.client.credentials_digest().await.ok();
        let changed = digest.is_some() && digest != pause.credentials;
        let now = self.clock.now();
        if !changed {
            let refused = |pause: Pause| EngineError::Paused {
                site: site.name.clone(),
                detail: pause.detail,
                until: pause.probe_at,
            };
            let Some(lane) = to_call.filter(|_| pause.probe_at <= now) else {
                return Err(refused(pause));
            };
            if !self.takes_our_credentials(site, lane, &pause).await? {
                let state = self.site_state(site).await?;
                return Err(refused(state.paused.unwrap_or(pause)));
            }
        }
        // What another call has met meanwhile stands.
        let is_over = |known: &Pause| match changed {
            true => digest != known.credentials,
            false => (known.since, &known.by) == (pause.since, &pause.by),
        };
        let resume = |state: &mut SiteState| {
            state.paused.take_if(|known| is_over(known));
        };
        let before = self.change_site(&site.name, resume).await?;
        match before.paused {
            // Somebody else has resumed it while this one was in line.
            None => Ok(()),
            Some(known) if is_over(&known) => self.wake_reason(Reason::CredentialsRejected).await,
            Some(known) => Err(EngineError::Paused {
                site: site.name.clone(),
                detail: known.detail,
                until: known.probe_at,
            }),
        }
    }

    /// Asks a paused site whether it takes the credentials by now that it rejected: each of its services that did. What
    /// another of them answers, or somebody else's call, says nothing of that.
    async fn takes_our_credentials(
        &self,
        site: &Site,
        lane: Lane,
        pause: &Pause,
    ) -> Result<bool, EngineError> {
        let both = [Vendor::Tempo, Vendor::Jira];
        let by = match pause.by.as_slice() {
            [] => &both,
            by => by,
        };
        for (nth, vendor) in by.iter().enumerate() {
            self.slot(site, lane).await?;
            let now = self.clock.now();
            // Somebody asks while this one was in line.
            let is_asked = |pause: &Pause| nth == 0 && now < pause.probe_at;
            // Noted first, so that others do not ask as well.
            let ask = |state: &mut SiteState| {
                if let Some(pause) = state.paused.as_mut().filter(|pause| !is_asked(pause)) {
                    pause.probe_at = now + signed(self.options.park_retry);
                }
            };
            match self.change_site(&site.name, ask).await?.paused {
                None => return Ok(true),
                Some(pause) if is_asked(&pause) => return Ok(false),
                Some(_) => {}
            }
            let answer = match vendor {
                // A listing tells whose the token is.
                Vendor::Tempo => {
                    let list = async |client: &dyn SiteClient| client.list_changed(now - PROBED, 0).await;
                    self.sent(site, list).await.map(drop)
                }
                Vendor::Jira => {
                    let ask = async |client: &dyn SiteClient| client.myself().await;
                    self.sent(site, ask).await.map(drop)
                }
            };
            let Err(error) = answer else { continue };
            match error.kind {
                // What is refused for want of a permission is refused to somebody who is known.
                SiteErrorKind::Refused(_) => {}
                // It lasts, and has been noted.
                SiteErrorKind::CredentialsRejected | SiteErrorKind::NoCredentials => return Ok(false),
                // Nobody knows.
                _ => {
                    let soon = self.clock.now() + PROBED_AGAIN;
                    let ask_again = |state: &mut SiteState| {
                        if let Some(pause) = &mut state.paused {
                            pause.probe_at = soon;
                        }
                    };
                    self.change_site(&site.name, ask_again).await?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Looks whether paused sites may be resumed, and resumes them.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn resume_sites(&self) -> Result<(), EngineError> {
        for site in self.sites.values() {
            match self.unpaused(site, None).await {
                Ok(()) | Err(EngineError::Paused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes due rows that wait for a reason ready now.
    pub(crate) async fn wake_reason(&self, reason: Reason) -> Result<(), EngineError> {
        let mut cursor = None;
        loop {
            let (rows, next) = self.store.due(cursor).await?;
            let waiting: Vec<DueKey> = rows
                .into_iter()
                .filter(|row| row.reason == Some(reason))
                .map(|row| row.key)
                .collect();
            self.hint_all(waiting, Lane::Live, true).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Hints at several keys, ready now.
    ///
    /// # Errors
    /// When the table fails; hints stored so far stay.
    pub async fn hint_all(&self, keys: Vec<DueKey>, lane: Lane, force: bool) -> Result<(), EngineError> {
        self.hint_traced(keys, lane, force, None).await
    }

    /// The same, with a trace.
    ///
    /// # Errors
    /// When the table fails; hints stored so far stay.
    pub(crate) async fn hint_traced(
        &self,
        keys: Vec<DueKey>,
        lane: Lane,
        force: bool,
        trace: Option<&str>,
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        let hints: Vec<Hint> = keys
            .into_iter()
            .map(|key| Hint {
                key,
                lane,
                ready_at: now,
                announced: Vec::new(),
                force,
                trace: trace.map(str::to_owned),
            })
            .collect();
        for hints in hints.chunks(50) {
            self.store.hint(hints, &[], now).await?;
        }
        Ok(())
    }
}

/// Converts a configured duration for arithmetic with moments.
pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
