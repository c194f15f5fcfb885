//! People at work on both sites, and the weather: what goes wrong while they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, ToSpan};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tandem_sim::{
    Content, Fault, FaultOutcome, Faults, ListingLag, Matcher, RequestFaults, SiteHandle, WebhookFaults,
    Worklog,
};

use crate::servers::Hub;
use crate::world::{ACCOUNTS, LAG_MAX_MS, LINKS, MAPPED, OWN, PEOPLE, TEXT_MARK, key, sites};

/// How long before an edit a worklog was changed last, for the edit to be likely to meet another.
const HOT: Duration = Duration::from_secs(4);

/// How long nobody moves a worklog that Tandem made. Where the answer to its create was lost, or whoever sent it was
/// killed, it is looked for on the issue on which it was made: after the lease of the killed, with a moment to spare.
/// Moved away before that, it is a worklog of that person's own, and the interrupted create is made again.
const UNHEARD: SignedDuration = SignedDuration::from_secs(90);

/// People who act at random.
pub(crate) struct People {
    hub: Arc<Hub>,
    sites: [SiteHandle; 2],
    dice: SmallRng,
    number: u32,
    nonce: i64,
}

impl People {
    pub(crate) fn new(hub: &Arc<Hub>, seed: u64) -> Self {
        Self {
            hub: Arc::clone(hub),
            sites: sites(&hub.sim),
            dice: SmallRng::seed_from_u64(seed),
            number: 0,
            nonce: 0,
        }
    }

    /// Acts once, then says how long to wait.
    pub(crate) fn act(&mut self) -> Duration {
        let side = self.dice.random_range(0..2);
        let chosen = self.choose(side);
        let kind = self.dice.random_range(0..100);
        // Whatever a site refuses did not happen.
        match (kind, chosen) {
            (30..=74, Some(worklog)) => {
                self.edit(side, worklog.id);
                if self.dice.random_bool(0.3) {
                    self.contest(side, &worklog);
                }
            }
            (75..=83, Some(worklog)) => self.relocate(side, &worklog),
            (84..=95, Some(worklog)) => {
                let _ = self.sites[side].delete(worklog.id);
                if self.dice.random_bool(0.2) {
                    self.contest(side, &worklog);
                }
            }
            (96.., _) => self.log_in_jira(side),
            _ => self.log(side),
        }
        self.hub.observer().look();
        Duration::from_millis(if self.dice.random_bool(0.15) {
            self.dice.random_range(0..50)
        } else {
            self.dice.random_range(200..1_400)
        })
    }

    /// Chooses a worklog on a linked issue, rather one that was changed just now.
    fn choose(&mut self, side: usize) -> Option<Worklog> {
        let site = &self.sites[side];
        let elsewhere = site.issue_id(&key(side, LINKS));
        let mut worklogs = site.worklogs();
        // What was made in Jira's screen is left alone: Tempo learns of it late, and a change meanwhile would keep
        // its link waiting for what was announced.
        worklogs.retain(|worklog| {
            worklog.issue != elsewhere
                && !worklog
                    .description
                    .as_deref()
                    .unwrap_or_default()
                    .ends_with("jira")
        });
        let now = self.hub.sim.now();
        let hot: Vec<Worklog> = worklogs
            .iter()
            .filter(|worklog| worklog.updated_at + HOT > now)
            .cloned()
            .collect();
        let from = if self.dice.random_bool(0.4) && !hot.is_empty() {
            hot
        } else {
            worklogs
        };
        from.choose(&mut self.dice).cloned()
    }

    fn fresh(&mut self) -> i64 {
        self.nonce += 1;
        self.nonce
    }

    fn text(&mut self) -> String {
        self.number += 1;
        format!("#{} {TEXT_MARK}", self.number)
    }

    fn log(&mut self, side: usize) {
        let text = self.text();
        let nonce = self.fresh();
        let day = self.hub.sim.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let secs = 7_200 + nonce;
        let mut attributes = BTreeMap::new();
        if self.dice.random_bool(0.5) {
            let account = ACCOUNTS.choose(&mut self.dice).unwrap_or(&ACCOUNTS[0]);
            attributes.insert(MAPPED[side].to_owned(), account[side].to_owned());
        }
        if self.dice.random_bool(0.3) {
            attributes.insert(OWN.to_owned(), format!("room {nonce}"));
        }
        let content = Content {
            author: PEOPLE[self.dice.random_range(0..PEOPLE.len())][side].to_owned(),
            start_date: day.saturating_sub(self.dice.random_range(0..14).days()),
            start_time: time(nonce),
            time_spent_secs: secs,
            billable_secs: if self.dice.random_bool(0.2) { 0 } else { secs },
            description: Some(text),
            attributes,
        };
        let link = self.dice.random_range(0..LINKS);
        let _ = self.sites[side].log_time(&key(side, link), content);
    }

    /// In Jira's own screen, which Tempo sees later.
    fn log_in_jira(&mut self, side: usize) {
        let text = format!("{} jira", self.text());
        let nonce = self.fresh();
        let person = PEOPLE[self.dice.random_range(0..PEOPLE.len())][side];
        let link = self.dice.random_range(0..LINKS);
        let now = self.hub.sim.now();
        let _ = self.sites[side].jira_log_time(&key(side, link), person, now, 7_200 + nonce, &text);
    }

    fn edit(&mut self, side: usize, id: u64) {
        let nonce = self.fresh();
        let what = self.dice.random_range(0..8);
        let day = self.dice.random_range(0..14);
        let today = self.hub.sim.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let account = *ACCOUNTS.choose(&mut self.dice).unwrap_or(&ACCOUNTS[0]);
        let _ = self.sites[side].edit(id, |content| match what {
            0 => content.start_time = time(nonce),
            1 => content.start_date = today.saturating_sub(day.days()),
            2 => content.billable_secs = if content.billable_secs == 0 { nonce } else { 0 },
            3 => {
                content
                    .attributes
                    .insert(MAPPED[side].to_owned(), account[side].to_owned());
            }
            4 => {
                content.attributes.insert(OWN.to_owned(), format!("room {nonce}"));
            }
            5 | 6 => {
                let tag = content
                    .description
                    .as_deref()
                    .unwrap_or_default()
                    .split(' ')
                    .next();
                content.description = Some(format!("{} {TEXT_MARK} {nonce}", tag.unwrap_or_default()));
            }
            _ => content.time_spent_secs = 7_200 + nonce,
        });
    }

    /// Changes the twin at the same time, before it can be the same.
    fn contest(&mut self, side: usize, worklog: &Worklog) {
        let tag = |worklog: &Worklog| {
            let text = worklog.description.as_deref().unwrap_or_default();
            text.split(' ').next().map(str::to_owned)
        };
        let twins = self.sites[1 - side].worklogs();
        if let Some(twin) = twins.iter().find(|twin| tag(twin) == tag(worklog)) {
            self.edit(1 - side, twin.id);
        }
    }

    fn relocate(&mut self, side: usize, worklog: &Worklog) {
        // Now and then to the issue without a twin.
        let link = if self.dice.random_bool(0.1) {
            LINKS
        } else {
            self.dice.random_range(0..LINKS)
        };
        let to = key(side, link);
        let known = !self.hub.observer().is_made_within(side, worklog.id, UNHEARD);
        if known && self.sites[side].issue_id(&to) != worklog.issue {
            let _ = self.sites[side].move_to_issue(worklog.id, &to);
        }
    }
}

/// A time of day that no two edits share.
fn time(nonce: i64) -> jiff::civil::Time {
    let secs = i32::try_from((nonce * 37) % (10 * 3600)).unwrap_or_default();
    jiff::civil::Time::midnight().saturating_add((6 * 3600 + secs).seconds())
}

/// What goes wrong, changing every few seconds.
pub(crate) struct Weather {
    hub: Arc<Hub>,
    dice: SmallRng,
    /// Faults that were told to hit one certain request.
    pub(crate) scripted: Arc<AtomicUsize>,
}

impl Weather {
    pub(crate) fn new(hub: &Arc<Hub>, seed: u64) -> Self {
        Self {
            hub: Arc::clone(hub),
            dice: SmallRng::seed_from_u64(seed),
            scripted: Arc::default(),
        }
    }

    fn up_to(&mut self, most: f64, chance: f64) -> f64 {
        if self.dice.random_bool(chance) {
            self.dice.random_range(0.0..most)
        } else {
            0.0
        }
    }

    fn requests(&mut self) -> RequestFaults {
        RequestFaults {
            lost_before: self.up_to(0.1, 0.5),
            lost_after: self.up_to(0.15, 0.5),
            rate_limited: self.up_to(0.08, 0.3),
            slow: self.up_to(0.3, 0.4),
            slow_by: Duration::from_millis(1_500),
            half_body: self.up_to(0.08, 0.4),
            ..RequestFaults::default()
        }
    }

    fn webhooks(&mut self) -> WebhookFaults {
        WebhookFaults {
            lost: self.up_to(0.8, 0.6),
            doubled: self.up_to(0.5, 0.5),
            late: self.up_to(0.5, 0.5),
            late_by: Duration::from_secs(10),
            reordered: self.up_to(0.5, 0.5),
            forged: self.up_to(0.3, 0.3),
        }
    }

    /// Changes the weather on one site, then says how long it stays.
    pub(crate) fn change(&mut self) -> Duration {
        let side = self.dice.random_range(0..2);
        let site = sites(&self.hub.sim)[side].clone();
        let faults = if self.dice.random_bool(0.2) {
            Faults::default()
        } else {
            let lag = |dice: &mut SmallRng| match dice.random_bool(0.4) {
                true => Duration::from_millis(dice.random_range(0..LAG_MAX_MS)),
                false => Duration::ZERO,
            };
            Faults {
                tempo: self.requests(),
                jira: self.requests(),
                tempo_webhooks: self.webhooks(),
                jira_webhooks: self.webhooks(),
                listing_lag: ListingLag {
                    create: lag(&mut self.dice),
                    update: lag(&mut self.dice),
                    delete: lag(&mut self.dice),
                },
            }
        };
        site.faults(|present| *present = faults);
        site.mend_listings();
        if self.dice.random_bool(0.2) {
            let status = [500, 503, 404][self.dice.random_range(0..3)];
            site.break_listing(&key(side, self.dice.random_range(0..LINKS)), status);
        }
        // The worst of all: it was done, and the answer says that it failed.
        for (method, template) in [
            ("POST", "/4/worklogs"),
            ("PUT", "/4/worklogs/{id}"),
            ("DELETE", "/4/worklogs/{id}"),
        ] {
            if self.dice.random_bool(0.3) {
                let outcome = match self.dice.random_range(0..4) {
                    0 => FaultOutcome::Hang,
                    1 => FaultOutcome::Reset,
                    _ => FaultOutcome::Status(500),
                };
                site.fail_next(Matcher::tempo(method, template), Fault::LostAfter(outcome));
                self.scripted.fetch_add(1, Ordering::Relaxed);
            }
        }
        Duration::from_millis(self.dice.random_range(2_000..7_000))
    }
}
