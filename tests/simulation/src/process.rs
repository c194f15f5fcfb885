//! A process of Tandem's: it takes time, it can stand still, and it can die between any two awaits.
//!
//! Every call to the table and to a site passes through [`Process::point`]. There the seed says how long the call
//! takes, and so who comes next, and whether the process lives to see it. What was sent before a death goes on
//! without it, as on a real network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem_engine::ports::Clock;
use tokio::sync::watch;

use crate::faults::Fault;
use crate::world::World;

/// How long a process stands still when it does: longer than any lease.
const STALL: Duration = Duration::from_secs(75);

/// One life of one process.
pub struct Process {
    /// Its name: unlike that of any other life.
    pub name: String,
    world: Arc<World>,
    skew: SignedDuration,
    /// Points left to live; negative for ever.
    fuse: AtomicI64,
    /// The fault that ends it then.
    death: Fault,
    /// Points until it stands still once; negative for never.
    stall: AtomicI64,
    dead: AtomicBool,
    died: watch::Sender<bool>,
    /// When the process last read an issue or a worklog, by site and path: the moment it took effect there.
    reads: Mutex<BTreeMap<(String, String), Timestamp>>,
}

impl Process {
    /// Begins a life.
    pub fn new(world: &Arc<World>, name: String) -> Arc<Self> {
        let (skew, fuse, stall) = world.draw(|chance, weather| {
            let skew = weather.skew_ms;
            let skew = match skew {
                0 => 0,
                most => chance.between(0, 2 * most) as i64 - most as i64,
            };
            let fuse = match chance.yes(weather.kill) {
                true => chance.between(0, 60) as i64,
                false => -1,
            };
            let stall = match chance.yes(weather.stall) {
                true => chance.between(3, 60) as i64,
                false => -1,
            };
            (SignedDuration::from_millis(skew), fuse, stall)
        });
        let (fuse, death) = match world.late_fuse(&name) {
            Some(late) if fuse < 0 => (late, Fault::LateKill),
            _ => (fuse, Fault::Kill),
        };
        Arc::new(Self {
            name,
            world: Arc::clone(world),
            skew,
            fuse: AtomicI64::new(fuse),
            death,
            stall: AtomicI64::new(stall),
            dead: AtomicBool::new(false),
            died: watch::Sender::new(false),
            reads: Mutex::default(),
        })
    }

    /// Returns the world that it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Says whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Lets time pass, and dies here if the seed says so. Says whether it stood still.
    pub async fn point(&self, takes: Duration) -> bool {
        let left = self.fuse.fetch_sub(1, Ordering::Relaxed);
        if left == 0 && self.world.stormy(self.death) {
            self.world.log(|| format!("{} dies", self.name));
            self.dead.store(true, Ordering::Relaxed);
            self.died.send_replace(true);
        }
        if !self.world.goes_on() {
            // Everything stops, so that the run ends.
            self.dead.store(true, Ordering::Relaxed);
            self.died.send_replace(true);
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let left = self.stall.fetch_sub(1, Ordering::Relaxed);
        let stalled = left == 0 && self.world.stormy(Fault::Stall);
        if stalled {
            self.world.log(|| format!("{} stands still", self.name));
        }
        match (takes.is_zero(), stalled) {
            (_, true) => tokio::time::sleep(STALL).await,
            (true, false) => tokio::task::yield_now().await,
            (false, false) => tokio::time::sleep(takes).await,
        }
        stalled
    }

    /// Runs something in this life. `None` when the process dies in it.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut died = self.died.subscribe();
        tokio::select! {
            biased;
            _ = died.wait_for(|dead| *dead) => None,
            done = work => Some(done),
        }
    }

    fn reads(&self) -> MutexGuard<'_, BTreeMap<(String, String), Timestamp>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that a reading request took effect.
    pub fn has_read(&self, site: &str, path: &str, at: Timestamp) {
        self.reads().insert((site.to_owned(), path.to_owned()), at);
    }

    /// Returns what it has read so far.
    pub fn all_reads(&self) -> BTreeMap<(String, String), Timestamp> {
        self.reads().clone()
    }
}

/// The clock of one process: the world's, askew.
#[async_trait]
impl Clock for Process {
    fn now(&self) -> Timestamp {
        self.world.now() + self.skew
    }

    async fn sleep(&self, duration: Duration) {
        match self.world.late_timer() {
            Some(late) => {
                self.point(duration + late).await;
            }
            None => tokio::time::sleep(duration).await,
        }
    }
}
