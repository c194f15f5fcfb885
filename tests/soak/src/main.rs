//! The shipped binary under fire: `tandem serve` and other commands as real processes on one table on disk, killed
//! with SIGKILL at random and at the worst moments, between two simulated sites that misbehave over real HTTP.
//!
//! People, faults and the moments of the kills come from a seed, but time is real: the same seed gives the same
//! kind of run, not the same run. What stands in `events.log` is what happened.
//!
//! Deliberately not here: Tandem's own code. It is met as a process, and judged by an [`observer`] which knows what
//! people did and what the sites hold. Start with `soak`.

mod observer;
mod people;
mod process;
mod said;
mod servers;
mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::observer::Observer;
use crate::people::{People, Weather};
use crate::process::{Lives, Stable, Victim};
use crate::servers::Hub;
use crate::world::sites;

/// How often the journal is read when nobody else gives cause to.
const LOOK: Duration = Duration::from_millis(20);

/// How late processes may wake so that none of them need ever send a sixth request within a second: slots are 210 ms
/// apart. On a machine that is busier than that, requests of two processes bunch whatever Tandem does.
const PUNCTUAL: Duration = Duration::from_millis(50);

/// How often progress is shown.
const SHOW: Duration = Duration::from_secs(10);

/// How long both sides may take to be the same, once people and faults have stopped: what a killed process held
/// is free after a minute, what it had begun is decided some seconds later, and a sweep comes every 8 s.
const CONVERGE_WITHIN: Duration = Duration::from_secs(150);

/// How long the queue may take to be empty after that.
const EMPTY_WITHIN: Duration = Duration::from_secs(60);

/// Why a link may stay in the queue for ten minutes.
const ANNOUNCED: &str = "a change was announced that the site does not show yet";

/// Kills `tandem` at random between two misbehaving sites, and sees that no promise is broken.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long people act and processes are killed
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Where chance begins; drawn when left out
    #[arg(long)]
    seed: Option<u64>,
    /// The binary (default: `tandem` beside this program)
    #[arg(long)]
    tandem: Option<PathBuf>,
    /// Where table and logs are kept (default: `soak/SEED` beside the build's folder)
    #[arg(long)]
    keep: Option<PathBuf>,
    /// No process is killed
    #[arg(long)]
    spare: bool,
}

fn say(text: impl std::fmt::Display) {
    // Whoever closed the pipe does not want to know.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    say(format!("seed {seed}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(soak(&arguments, seed)));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns the folder of the build and the binary in it.
fn places(arguments: &Arguments, seed: u64) -> Result<(PathBuf, PathBuf)> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = own.parent().context("this program is in no folder")?;
    let program = arguments.tandem.clone().unwrap_or_else(|| beside.join("tandem"));
    if !program.is_file() {
        bail!(
            "{} is not there; build it: cargo build --release -p tandem",
            program.display()
        );
    }
    let target = beside.parent().unwrap_or(beside);
    let keep = arguments
        .keep
        .clone()
        .unwrap_or_else(|| target.join("soak").join(seed.to_string()));
    Ok((program.canonicalize()?, keep))
}

/// Makes an empty folder.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        if !folder.join("events.log").is_file() && folder.read_dir()?.next().is_some() {
            bail!("{} holds something else", folder.display());
        }
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder.join("logs")).with_context(|| format!("cannot make {}", folder.display()))
}

/// Runs it all. Returns whether every promise was kept.
async fn soak(arguments: &Arguments, seed: u64) -> Result<bool> {
    let (program, folder) = places(arguments, seed)?;
    empty(&folder)?;
    say(format!(
        "{} for {} min; logs and table in {}",
        program.display(),
        arguments.minutes,
        folder.display()
    ));
    say("time is real: the same seed gives the same kind of run, not the same run");
    let sim = world::make(seed);
    let observer = Observer::new(&sim, observer::log(&folder.join("events.log"))?);
    let hub = Hub::new(sim, observer);
    let (tempo, jira) = hub.serve().await?;
    world::configure(&folder.join("tandem.toml"), &tempo, &jira)?;
    let _deliverer = hub.deliver();
    let stable = Arc::new(Stable {
        program,
        directory: folder.clone(),
        hub: Arc::clone(&hub),
        lives: Lives::default(),
        over: AtomicBool::new(false),
    });
    let begun = Instant::now();
    let scripted = Arc::new(AtomicUsize::new(0));
    let watch = tokio::spawn(watch(Arc::clone(&stable), begun));
    let ended = fire(arguments, seed, &stable, &scripted).await;
    let rested = match ended {
        Ok(serve) => rest(&stable, &serve).await,
        Err(error) => Err(error),
    };
    watch.abort();
    if let Err(error) = rested {
        hub.observer().violate(None, format!("{error:#}"));
    }
    // Written last, so that it is whole.
    let requests = hub.sim.requests();
    let text: Vec<String> = requests
        .iter()
        .map(|one| {
            format!(
                "{:.3} {} {:?} {} {} {}\n",
                one.at, one.site, one.vendor, one.method, one.path, one.status
            )
        })
        .collect();
    std::fs::write(folder.join("requests.log"), text.concat())?;
    Ok(report(arguments, seed, &stable, &scripted, begun))
}

/// Shows how it goes.
async fn watch(stable: Arc<Stable>, begun: Instant) {
    let mut shown = Instant::now();
    loop {
        let asleep = Instant::now();
        tokio::time::sleep(LOOK).await;
        let late = asleep.elapsed().saturating_sub(LOOK).as_millis();
        let late = usize::try_from(late).unwrap_or(usize::MAX);
        stable.hub.counts.late_ms.fetch_max(late, Ordering::Relaxed);
        stable.hub.observer().look();
        if shown.elapsed() >= SHOW {
            shown = Instant::now();
            say(format!(
                "[{:4} s] {}",
                begun.elapsed().as_secs(),
                progress(&stable)
            ));
        }
    }
}

fn progress(stable: &Stable) -> String {
    let observer = stable.hub.observer();
    let (seen, lives, counts) = (&observer.seen, &stable.lives, &stable.hub.counts);
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    format!(
        "people {}, requests {} ({} writes), faults {}, kills {} + {}, worklogs {:?}, not yet the same {}, violations {}",
        seen.logged + seen.edited + seen.moved + seen.deleted,
        load(&counts.requests),
        load(&counts.writes),
        counts.faults(),
        load(&lives.serve_kills),
        load(&lives.beside_kills),
        observer.worklogs(),
        observer.unequal().len(),
        observer.violations().len(),
    )
}

/// Lets people act, sites misbehave and processes die. Returns the `serve` that is left.
async fn fire(
    arguments: &Arguments,
    seed: u64,
    stable: &Arc<Stable>,
    scripted: &Arc<AtomicUsize>,
) -> Result<Arc<Victim>> {
    let hub = &stable.hub;
    // Each purpose has its own dice, so that one does not shift what the others draw.
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut people = People::new(hub, dice.random());
    let mut weather = Weather::new(hub, dice.random());
    weather.scripted = Arc::clone(scripted);
    let (serve_dice, beside_dice) = (
        SmallRng::seed_from_u64(dice.random()),
        SmallRng::seed_from_u64(dice.random()),
    );
    if arguments.spare {
        stable.over.store(true, Ordering::SeqCst);
    }
    let serve = tokio::spawn({
        let stable = Arc::clone(stable);
        async move { stable.serve(serve_dice).await }
    });
    let beside = tokio::spawn({
        let stable = Arc::clone(stable);
        async move { stable.beside(beside_dice).await }
    });
    let end = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
    let (mut next_act, mut next_weather) = (Instant::now(), Instant::now());
    while Instant::now() < end && !hub.broken() && (arguments.spare || !serve.is_finished()) {
        if Instant::now() >= next_act {
            next_act = Instant::now() + people.act();
        }
        if Instant::now() >= next_weather {
            next_weather = Instant::now() + weather.change();
        }
        let next = next_act.min(next_weather).min(end);
        tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
    }
    stable.over.store(true, Ordering::SeqCst);
    hub.sim.calm();
    hub.observer().tell(None, "people and faults stop");
    beside.await.context("the commands beside serve")??;
    serve.await.context("serve")?
}

/// Waits until both sides are the same, then asks Tandem itself.
async fn rest(stable: &Stable, serve: &Victim) -> Result<()> {
    let hub = &stable.hub;
    let begun = Instant::now();
    while !hub.broken() && !hub.observer().unequal().is_empty() {
        if begun.elapsed() > CONVERGE_WITHIN {
            let mut observer = hub.observer();
            for number in observer.unequal() {
                observer.violate(Some(number), format!("not the same within {CONVERGE_WITHIN:?}"));
            }
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    say(format!(
        "both sides the same after {} s",
        begun.elapsed().as_secs()
    ));
    let waited = Instant::now();
    let mut round = 0;
    let mut announced = false;
    loop {
        round += 1;
        let queue = stable
            .run(&format!("end-queue-{round}"), &["queue", "--json"])
            .await?;
        let items: serde_json::Value =
            serde_json::from_str(&queue.out).with_context(|| format!("queue --json: {queue:?}"))?;
        let Some(items) = items.as_array() else {
            bail!("queue --json is no list: {items}");
        };
        if items.is_empty() {
            let waited = waited.elapsed().as_secs();
            say(format!("the queue empty after {waited} s more"));
            break;
        }
        if waited.elapsed() > EMPTY_WITHIN {
            // Its webhook came, and somebody moved or deleted the worklog before Tandem saw it. The link waits for
            // ten minutes, which is longer than a run should be for it.
            announced = items.iter().all(|item| item["detail"] == ANNOUNCED);
            if !announced {
                bail!("the queue is not empty: {items:#?}");
            }
            let links = items.len();
            say(format!(
                "{links} links still wait for what a webhook announced; all else is done"
            ));
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (name, arguments) in [
        ("end-audit", &["reconcile", "--pass", "audit"][..]),
        ("end-verify", &["verify"][..]),
        ("end-status", &["status"][..]),
    ] {
        let ran = stable.run(name, arguments).await?;
        // 3 says that something waits, which is known by then. `verify` has no such excuse.
        let excused = ran.code == 3 && announced && name != "end-verify";
        if ran.code != 0 && !excused {
            bail!(
                "{} ended with {}: {}{}",
                arguments.join(" "),
                ran.code,
                ran.out,
                ran.err
            );
        }
    }
    stable.stop(serve).await?;
    stable.scan_table()?;
    for side in sites(&hub.sim) {
        for (vendor, rate) in [("Tempo", side.tempo_rate()), ("Jira", side.jira_rate())] {
            if rate.over_limit == 0 {
                continue;
            }
            let what = format!(
                "{vendor} of {} got {} requests above its limit, {} in the worst second",
                side.name(),
                rate.over_limit,
                rate.peak
            );
            let late = hub.counts.late_ms.load(Ordering::Relaxed);
            if Duration::from_millis(late as u64) <= PUNCTUAL {
                bail!("{what}: a 429 is a bug of ours");
            }
            say(format!("{what}; the machine woke sleepers up to {late} ms late"));
        }
    }
    Ok(())
}

/// Says what came of it.
fn report(arguments: &Arguments, seed: u64, stable: &Stable, scripted: &AtomicUsize, begun: Instant) -> bool {
    let mut observer = stable.hub.observer();
    observer.look();
    let revived = if observer.violations().is_empty() {
        observer.judge_end()
    } else {
        0
    };
    for violation in stable.hub.sim.violations() {
        observer.violate(None, format!("a request that should not be: {violation:?}"));
    }
    let (seen, lives, counts) = (observer.seen.clone(), &stable.lives, &stable.hub.counts);
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    say(format!(
        "\nran {} s\nkills: {} of serve, {} of {} commands beside it; {} processes started",
        begun.elapsed().as_secs(),
        load(&lives.serve_kills),
        load(&lives.beside_kills),
        load(&lives.beside),
        load(&lives.started),
    ));
    say(format!(
        "people: {} logged, {} edited, {} moved, {} deleted; Tandem: {} created, {} updated, {} deleted",
        seen.logged, seen.edited, seen.moved, seen.deleted, seen.created, seen.updated, seen.removed,
    ));
    say(format!(
        "requests: {} ({} writes); gone wrong: {} failed, {} answered 429, {} reset, {} half, {} late, {} given up; {} answers to writes lost on purpose",
        load(&counts.requests),
        load(&counts.writes),
        load(&counts.failed),
        load(&counts.refused_429),
        load(&counts.reset),
        load(&counts.half),
        load(&counts.late),
        load(&counts.given_up),
        load(scripted),
    ));
    let peaks: Vec<String> = sites(&stable.hub.sim)
        .iter()
        .map(|site| {
            format!(
                "{} {} at most, {} over",
                site.name(),
                site.tempo_rate().peak,
                site.tempo_rate().over_limit
            )
        })
        .collect();
    say(format!("Tempo's requests in any second: {}", peaks.join("; ")));
    say(format!(
        "webhooks: {} sent, {} of them to nobody",
        load(&counts.webhooks),
        load(&counts.webhooks_refused),
    ));
    say(format!(
        "raced: {} changes of people came between reading and writing, at most {} ms before the write; {revived} deletes undone by what went on at the same time; {} findings about what was changed before Tandem had heard of its own write",
        seen.raced,
        seen.raced_window.as_millis(),
        seen.unheard,
    ));
    say(format!(
        "secrets: none looked for was found in {} processes' output and {} scans of the table's files",
        load(&lives.started),
        load(&lives.table_scans)
    ));
    say(format!(
        "worklogs at the end: {:?}; logs and table in {}",
        observer.worklogs(),
        stable.directory.display()
    ));
    let violations = observer.violations();
    if violations.is_empty() {
        say("no promise was broken");
        return true;
    }
    for violation in violations {
        say(format!("\nVIOLATION {violation}"));
    }
    say(format!(
        "{} broken; the same kind of run again: cargo run -p tandem-soak --release -- --minutes {} --seed {seed}",
        violations.len(),
        arguments.minutes
    ));
    false
}
