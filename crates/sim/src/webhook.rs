//! Webhooks on their way out: who asked for them, what is queued, what happens when nobody answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::delivery::{Delivery, DeliveryKind, Flow, hmac_hex};
use crate::dice::Dice;
use crate::fault::{Vendor, WebhookFaults};
use crate::jql::Jql;
use crate::spec::{JiraWebhookSpec, SubscriptionSpec};
use crate::time::iso_millis;

/// Tempo sends a delivery up to this many times, then deactivates the subscription.
pub const TEMPO_ATTEMPTS_MAX: u32 = 10;
/// Jira sends a delivery once and again up to this many times.
pub const JIRA_RETRIES_MAX: u32 = 5;

/// A Tempo subscription.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) url: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) shared_secret: String,
    pub(crate) active: bool,
    pub(crate) verified: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A Jira admin webhook.
#[derive(Debug, Clone)]
pub(crate) struct JiraWebhook {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) spec: JiraWebhookSpec,
    pub(crate) jql: Option<Jql>,
}

#[derive(Debug, Clone)]
enum Sender {
    Tempo {
        subscription: String,
        handshake: Option<String>,
    },
    Jira {
        identifier: String,
        flow: Flow,
    },
}

#[derive(Debug, Clone)]
struct Queued {
    sender: Sender,
    kind: DeliveryKind,
    event: String,
    url: String,
    secret: Option<String>,
    body: Vec<u8>,
    attempts: u32,
    first_sent: Option<Timestamp>,
}

/// A site's registrations and its queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    /// In the order they were made, which is the order they are listed in.
    pub(crate) subscription_order: Vec<String>,
    pub(crate) jira_webhooks: BTreeMap<u64, JiraWebhook>,
    pub(crate) tempo_muted: bool,
    queue: BTreeMap<u64, Queued>,
    due: BTreeSet<(Timestamp, u64)>,
    next_id: u64,
    client_key: String,
    tenant: String,
    dice: Dice,
    fault_dice: Dice,
}

impl Outbox {
    pub(crate) fn new(site_index: u64, mut dice: Dice) -> Self {
        Self {
            subscriptions: BTreeMap::new(),
            subscription_order: Vec::new(),
            jira_webhooks: BTreeMap::new(),
            tempo_muted: false,
            queue: BTreeMap::new(),
            due: BTreeSet::new(),
            // The site's number stands in front, so that ids are unique over all sites.
            next_id: site_index << 40 | 1,
            client_key: dice.uuid(),
            tenant: dice.uuid(),
            fault_dice: Dice::new(dice.roll(), "webhook faults"),
            dice,
        }
    }

    pub(crate) fn subscribe_verified(&mut self, now: Timestamp, id: String, spec: SubscriptionSpec) {
        self.subscription_order.push(id.clone());
        self.subscriptions.insert(
            id.clone(),
            Subscription {
                id,
                event: spec.event,
                url: spec.url,
                name: None,
                description: None,
                shared_secret: spec.shared_secret,
                active: true,
                verified: true,
                created_at: now,
                updated_at: now,
            },
        );
    }

    /// Makes a subscription that is inactive until its handshake is answered.
    pub(crate) fn subscribe(
        &mut self,
        now: Timestamp,
        event: String,
        url: String,
        name: Option<String>,
        description: Option<String>,
    ) -> Subscription {
        let subscription = Subscription {
            id: self.dice.uuid(),
            event,
            url,
            name,
            description,
            shared_secret: self.dice.hex(128),
            active: false,
            verified: false,
            created_at: now,
            updated_at: now,
        };
        self.subscription_order.push(subscription.id.clone());
        self.subscriptions
            .insert(subscription.id.clone(), subscription.clone());
        self.shake_hands(now, &subscription);
        subscription
    }

    pub(crate) fn unsubscribe(&mut self, id: &str) -> bool {
        self.subscription_order.retain(|known| known != id);
        self.subscriptions.remove(id).is_some()
    }

    /// Makes a subscription active again; one that was never verified is asked once more.
    pub(crate) fn refresh(&mut self, now: Timestamp, id: &str) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return false;
        };
        subscription.updated_at = now;
        if subscription.verified {
            subscription.active = true;
        } else {
            let subscription = subscription.clone();
            self.shake_hands(now, &subscription);
        }
        true
    }

    fn shake_hands(&mut self, now: Timestamp, subscription: &Subscription) {
        let random = self.dice.hex(32);
        let separator = if subscription.url.contains('?') { '&' } else { '?' };
        let queued = Queued {
            url: format!("{}{separator}randomString={random}", subscription.url),
            sender: Sender::Tempo {
                subscription: subscription.id.clone(),
                handshake: Some(random),
            },
            kind: DeliveryKind::Handshake,
            event: String::new(),
            secret: None,
            body: Vec::new(),
            attempts: 0,
            first_sent: None,
        };
        self.enqueue(now, queued);
    }

    pub(crate) fn register(&mut self, id: u64, name: &str, spec: JiraWebhookSpec) {
        let jql = spec
            .jql
            .as_deref()
            .filter(|text| !text.trim().is_empty())
            .map(|text| Jql::parse(text).expect("the JQL of a webhook was checked when it was registered"));
        self.jira_webhooks.insert(
            id,
            JiraWebhook {
                id,
                name: name.to_owned(),
                spec,
                jql,
            },
        );
    }

    /// Queues a Tempo event for each active subscription to it.
    pub(crate) fn tell_tempo(
        &mut self,
        now: Timestamp,
        event: &str,
        payload: &Value,
        faults: &WebhookFaults,
    ) {
        if self.tempo_muted {
            return;
        }
        let targets: Vec<Subscription> = self
            .subscription_order
            .iter()
            .filter_map(|id| self.subscriptions.get(id))
            .filter(|subscription| subscription.active && subscription.event == event)
            .cloned()
            .collect();
        for subscription in targets {
            let body = json!({"eventId": self.dice.uuid(), "eventType": event, "payload": payload});
            let queued = Queued {
                sender: Sender::Tempo {
                    subscription: subscription.id,
                    handshake: None,
                },
                kind: DeliveryKind::Event,
                event: event.to_owned(),
                url: subscription.url,
                secret: Some(subscription.shared_secret),
                body: body.to_string().into_bytes(),
                attempts: 0,
                first_sent: None,
            };
            self.send(now, queued, faults);
        }
    }

    /// Queues a Jira event for each webhook that asked for it.
    pub(crate) fn tell_jira(
        &mut self,
        now: Timestamp,
        event: &str,
        body: &Value,
        flow: Flow,
        faults: &WebhookFaults,
        matches: impl Fn(&Jql) -> bool,
    ) {
        let targets: Vec<JiraWebhookSpec> = self
            .jira_webhooks
            .values()
            .filter(|webhook| webhook.spec.events.iter().any(|wanted| wanted == event))
            .filter(|webhook| webhook.jql.as_ref().is_none_or(&matches))
            .map(|webhook| webhook.spec.clone())
            .collect();
        for webhook in targets {
            let queued = Queued {
                sender: Sender::Jira {
                    identifier: self.dice.uuid(),
                    flow,
                },
                kind: DeliveryKind::Event,
                event: event.to_owned(),
                url: webhook.url,
                secret: webhook.secret,
                body: body.to_string().into_bytes(),
                attempts: 0,
                first_sent: None,
            };
            self.send(now, queued, faults);
        }
    }

    fn send(&mut self, now: Timestamp, queued: Queued, faults: &WebhookFaults) {
        if self.fault_dice.chance(faults.forged) {
            let forged = Queued {
                kind: DeliveryKind::Forged,
                secret: Some(self.fault_dice.hex(64)),
                ..queued.clone()
            };
            self.enqueue(now, forged);
        }
        if self.fault_dice.chance(faults.lost) {
            return;
        }
        let copies = if self.fault_dice.chance(faults.doubled) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut delay = Duration::ZERO;
            if self.fault_dice.chance(faults.late) {
                delay += self.fault_dice.span(faults.late_by);
            }
            if self.fault_dice.chance(faults.reordered) {
                delay += self.fault_dice.span(Duration::from_secs(10));
            }
            self.enqueue(now + delay, queued.clone());
        }
    }

    fn enqueue(&mut self, due: Timestamp, queued: Queued) {
        let id = self.next_id;
        self.next_id += 1;
        self.queue.insert(id, queued);
        self.due.insert((due, id));
    }

    /// Queues an event that nobody's secret signed.
    pub(crate) fn forge(&mut self, now: Timestamp, vendor: Vendor, url: &str, event: &str, body: &Value) {
        let sender = match vendor {
            Vendor::Tempo => Sender::Tempo {
                subscription: self.dice.uuid(),
                handshake: None,
            },
            Vendor::Jira => Sender::Jira {
                identifier: self.dice.uuid(),
                flow: Flow::Primary,
            },
        };
        let queued = Queued {
            sender,
            kind: DeliveryKind::Forged,
            event: event.to_owned(),
            url: url.to_owned(),
            secret: Some(self.fault_dice.hex(64)),
            body: body.to_string().into_bytes(),
            attempts: 0,
            first_sent: None,
        };
        self.enqueue(now, queued);
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|&(due, _)| due)
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Throws away what is queued or under way.
    pub(crate) fn drop_queue(&mut self) -> usize {
        self.due.clear();
        let dropped = self.queue.len();
        self.queue.clear();
        dropped
    }

    /// Takes what is due; each delivery stays under way until [`Self::answered`] is called for it.
    pub(crate) fn take_due(&mut self, site: &str, now: Timestamp) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            if let Some(delivery) = self.prepare(site, id, now) {
                taken.push(delivery);
            } else {
                self.queue.remove(&id);
            }
        }
        taken
    }

    fn prepare(&mut self, site: &str, id: u64, now: Timestamp) -> Option<Delivery> {
        let queued = self.queue.get_mut(&id)?;
        if let Sender::Tempo {
            subscription,
            handshake: None,
        } = &queued.sender
            && queued.kind == DeliveryKind::Event
            && !self
                .subscriptions
                .get(subscription)
                .is_some_and(|subscription| subscription.active)
        {
            // Deactivated or deleted meanwhile: what was still queued for it is never sent.
            return None;
        }
        queued.attempts += 1;
        let first_sent = *queued.first_sent.get_or_insert(now);
        let mut headers = Vec::new();
        let mut header = |name: &str, value: String| headers.push((name.to_owned(), value));
        let vendor = match &queued.sender {
            Sender::Tempo { handshake, .. } => {
                header("User-Agent", "Tempo-Webhooks/1.0".into());
                if handshake.is_none() {
                    let timestamp = iso_millis(first_sent);
                    header("Content-Type", "application/json".into());
                    if let Some(secret) = &queued.secret {
                        header(
                            "Tempo-Signature",
                            hmac_hex(secret, &[&queued.body, timestamp.as_bytes()]),
                        );
                    }
                    header("Tempo-Timestamp", timestamp);
                    header("Tempo-Jira-Client-Key", self.client_key.clone());
                    header("Tempo-Tenant-ID", self.tenant.clone());
                }
                Vendor::Tempo
            }
            Sender::Jira { identifier, flow } => {
                header("User-Agent", "Atlassian Webhook HTTP Client".into());
                header("Content-Type", "application/json; charset=UTF-8".into());
                header("X-Atlassian-Webhook-Identifier", identifier.clone());
                header("X-Atlassian-Webhook-Flow", format!("{flow:?}"));
                if queued.attempts > 1 {
                    header("X-Atlassian-Webhook-Retry", (queued.attempts - 1).to_string());
                }
                if let Some(secret) = &queued.secret {
                    header(
                        "X-Hub-Signature",
                        format!("sha256={}", hmac_hex(secret, &[&queued.body])),
                    );
                }
                Vendor::Jira
            }
        };
        Some(Delivery {
            id,
            site: site.to_owned(),
            vendor,
            kind: queued.kind,
            event: queued.event.clone(),
            method: if queued.kind == DeliveryKind::Handshake {
                "GET"
            } else {
                "POST"
            },
            url: queued.url.clone(),
            headers,
            body: queued.body.clone(),
            attempt: queued.attempts,
        })
    }

    /// Takes note of the answer to a delivery: done, again later, or given up.
    pub(crate) fn answered(&mut self, now: Timestamp, id: u64, status: Option<u16>, body: &[u8]) {
        let Some(queued) = self.queue.get(&id) else { return };
        let ok = status.is_some_and(|status| (200..300).contains(&status));
        let again = match (&queued.sender, queued.kind) {
            (_, DeliveryKind::Forged) => false,
            (
                Sender::Tempo {
                    subscription,
                    handshake: Some(random),
                },
                _,
            ) => {
                if status == Some(200)
                    && body == random.as_bytes()
                    && let Some(subscription) = self.subscriptions.get_mut(subscription)
                {
                    subscription.verified = true;
                    subscription.active = true;
                    subscription.updated_at = now;
                }
                false
            }
            (Sender::Tempo { subscription, .. }, _) => {
                // Tempo counts every status from 400 on as a failure.
                let failed = status.is_none_or(|status| status >= 400);
                if failed
                    && queued.attempts >= TEMPO_ATTEMPTS_MAX
                    && let Some(subscription) = self.subscriptions.get_mut(subscription)
                {
                    subscription.active = false;
                    subscription.updated_at = now;
                }
                failed && queued.attempts < TEMPO_ATTEMPTS_MAX
            }
            (Sender::Jira { .. }, _) => {
                let transient = status.is_none_or(|s| matches!(s, 408 | 409 | 425 | 429 | 500..=599));
                !ok && transient && queued.attempts <= JIRA_RETRIES_MAX
            }
        };
        if again {
            let wait = Duration::from_secs(self.dice.between(5 * 60, 15 * 60));
            self.due.insert((now + wait, id));
        } else {
            self.queue.remove(&id);
        }
    }
}
