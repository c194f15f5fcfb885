//! The sites on loopback, with an ear at the door: what comes in is counted, told to the observer, and may spring a trap.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tandem_sim::{Answered, ConnectionReset, Deliverer, Sender, Sim};
use tokio::net::TcpListener;

use crate::observer::Observer;
use crate::process::Victim;
use crate::world::{RECEIVER, SITES, sites};

/// An answer that took longer came late on purpose.
const LATE: Duration = Duration::from_millis(100);

/// When a trap kills.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// The request has arrived and had no effect yet.
    Before,
    /// It had its effect; the answer is not on its way yet.
    After,
    /// So long after it arrived.
    Later(Duration),
}

/// Kills a process when the n-th write from now arrives.
#[derive(Debug)]
pub(crate) struct Trap {
    pub(crate) writes: usize,
    pub(crate) moment: Moment,
    pub(crate) victim: Arc<Victim>,
}

/// What the sites gave for an answer, and what became of webhooks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    pub(crate) refused_429: AtomicUsize,
    pub(crate) reset: AtomicUsize,
    pub(crate) half: AtomicUsize,
    pub(crate) late: AtomicUsize,
    pub(crate) given_up: AtomicUsize,
    pub(crate) webhooks: AtomicUsize,
    pub(crate) webhooks_refused: AtomicUsize,
    /// The most that this machine let a sleeper oversleep, in milliseconds.
    pub(crate) late_ms: AtomicUsize,
}

impl Counts {
    /// Answers that were made to go wrong.
    pub(crate) fn faults(&self) -> usize {
        [
            &self.failed,
            &self.refused_429,
            &self.reset,
            &self.half,
            &self.late,
            &self.given_up,
        ]
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .sum()
    }
}

fn one(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) sim: Sim,
    pub(crate) counts: Counts,
    observer: Mutex<Observer>,
    /// One for `serve`, one for whatever runs beside it.
    pub(crate) traps: Mutex<[Option<Trap>; 2]>,
    /// Where webhooks go at present.
    pub(crate) receiver: Mutex<Option<String>>,
}

/// Locks, whoever panicked before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(sim: Sim, observer: Observer) -> Arc<Self> {
        Arc::new(Self {
            sim,
            counts: Counts::default(),
            observer: Mutex::new(observer),
            traps: Mutex::new([None, None]),
            receiver: Mutex::new(None),
        })
    }

    pub(crate) fn observer(&self) -> MutexGuard<'_, Observer> {
        lock(&self.observer)
    }

    pub(crate) fn broken(&self) -> bool {
        !self.observer().violations().is_empty()
    }

    /// Serves Tempo for each site and the Jira of each, and returns their addresses.
    pub(crate) async fn serve(self: &Arc<Self>) -> Result<([String; 2], [String; 2])> {
        let mut tempo = [String::new(), String::new()];
        let mut jira = [String::new(), String::new()];
        for (side, site) in SITES.into_iter().enumerate() {
            tempo[side] = self.listen(side, self.sim.tempo_router()).await?;
            jira[side] = self.listen(side, self.sim.jira_router(site)).await?;
            sites(&self.sim)[side].set_jira_base(&jira[side]);
        }
        Ok((tempo, jira))
    }

    async fn listen(self: &Arc<Self>, side: usize, router: axum::Router) -> Result<String> {
        let hub = Arc::clone(self);
        let app = router.layer(from_fn(move |request: Request, next: Next| {
            let hub = Arc::clone(&hub);
            async move { hub.pass(side, request, next).await }
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(url)
    }

    async fn pass(self: &Arc<Self>, side: usize, request: Request, next: Next) -> Response {
        one(&self.counts.requests);
        let method = request.method().as_str().to_owned();
        let path = request.uri().path().to_owned();
        let write = is_write(&method, &path);
        let mut after = Vec::new();
        if write {
            one(&self.counts.writes);
            after = self.spring(&format!("{method} {path} on {}", SITES[side]));
        }
        let (at, begun) = (self.sim.now(), Instant::now());
        let mut waiting = GivenUp(Some(self));
        let response = next.run(request).await;
        waiting.0 = None;
        for victim in after {
            victim.kill(self, &format!("after the effect of {method} {path}"));
        }
        let half = response.body().size_hint().exact().is_none();
        let status = response.status().as_u16();
        if response.extensions().get::<ConnectionReset>().is_some() {
            one(&self.counts.reset);
        } else if half {
            one(&self.counts.half);
        } else if status == 429 {
            one(&self.counts.refused_429);
        } else if status >= 500 {
            one(&self.counts.failed);
        } else if begun.elapsed() > LATE {
            one(&self.counts.late);
        }
        let mut observer = self.observer();
        let wrong = response.extensions().get::<ConnectionReset>().is_some() || half || status >= 500;
        if write && (wrong || begun.elapsed() > LATE) {
            observer.missed();
        }
        if status == 200
            && !half
            && let Some(reading) = reading(&method, &path)
        {
            match reading {
                Reading::Issue(issue) => observer.listed(side, issue, at),
                Reading::Worklog(worklog) => observer.fetched(side, worklog, at),
            }
        }
        observer.look();
        response
    }

    /// A write has arrived. Returns whom to kill once it had its effect.
    fn spring(self: &Arc<Self>, what: &str) -> Vec<Arc<Victim>> {
        let mut sprung = Vec::new();
        for place in lock(&self.traps).iter_mut() {
            if let Some(trap) = place {
                trap.writes = trap.writes.saturating_sub(1);
                if trap.writes == 0 {
                    sprung.extend(place.take());
                }
            }
        }
        let mut after = Vec::new();
        for trap in sprung {
            match trap.moment {
                Moment::Before => trap.victim.kill(self, &format!("before the effect of {what}")),
                Moment::After => after.push(trap.victim),
                Moment::Later(wait) => {
                    let (hub, what) = (Arc::clone(self), what.to_owned());
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        trap.victim
                            .kill(&hub, &format!("{} ms after {what}", wait.as_millis()));
                    });
                }
            }
        }
        after
    }

    /// Sends webhooks to the process that runs at the time.
    pub(crate) fn deliver(self: &Arc<Self>) -> Deliverer {
        let (hub, sender) = (Arc::clone(self), Sender::default());
        self.sim.spawn_deliverer_with(move |mut delivery| {
            let (hub, sender) = (Arc::clone(&hub), sender.clone());
            async move {
                one(&hub.counts.webhooks);
                let receiver = lock(&hub.receiver).clone();
                let answered = match receiver {
                    Some(url) => {
                        delivery.url = delivery.url.replacen(RECEIVER, &url, 1);
                        sender.send(delivery).await
                    }
                    None => Answered::default(),
                };
                if answered.status.is_none() {
                    one(&hub.counts.webhooks_refused);
                }
                answered
            }
        })
    }
}

/// Counts a request whose caller went away before the answer.
struct GivenUp<'h>(Option<&'h Arc<Hub>>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(hub) = self.0 {
            one(&hub.counts.given_up);
        }
    }
}

enum Reading {
    Issue(u64),
    Worklog(u64),
}

fn reading(method: &str, path: &str) -> Option<Reading> {
    let rest = path.strip_prefix("/4/worklogs/").filter(|_| method == "GET")?;
    match rest.strip_prefix("issue/") {
        Some(issue) => issue.parse().ok().map(Reading::Issue),
        None => rest.parse().ok().map(Reading::Worklog),
    }
}

fn is_write(method: &str, path: &str) -> bool {
    match method {
        "POST" => path == "/4/worklogs" || path.ends_with("/bulk"),
        "PUT" | "DELETE" => path.starts_with("/4/worklogs/"),
        _ => false,
    }
}
