//! `demo`: two simulated sites, the whole of Tandem between them, and people logging time.
//!
//! Everything is real but the sites: HTTP on loopback, the webhook endpoint and the loops of `serve`, the
//! adapters, the table. Webhooks get lost and requests fail on purpose.

mod books;
mod people;
mod post;
mod practice;
mod show;
mod world;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tandem_engine::Engine;
use tandem_engine::operator::ItemState;
use tandem_engine::verify::Verdict;
use tokio::sync::watch;
use tokio::time::Instant;

use self::people::Done;
use self::post::Post;
use self::show::Show;
use self::world::{LINKS, World};
use crate::args::Global;
use crate::commands::serve;
use crate::ending::{Ending, Failure};
use crate::{output, words};

/// How long the world may take to come to rest once nobody changes anything any more.
const REST_MAX: Duration = Duration::from_secs(90);

/// How long webhooks on their way are waited for.
const POST_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tandem demo
  tandem demo --seconds 60 --seed 7 --keep
  tandem demo --practice                     the sites alone, to follow docs/first-sync.md on")]
pub(crate) struct Arguments {
    /// Go on afterwards, with the addresses printed, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// What people do is drawn from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How long people log time, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Only the two sites, with years of worklogs and no Tandem, to practise a first sync on; until Ctrl-C. Leaves their
    /// secrets and a list of twins in this folder
    #[arg(long, conflicts_with_all = ["keep", "seed", "seconds"])]
    practice: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Summary {
    /// Whether both sites say the same, by `verify` and by the sites' own books.
    equal: bool,
    /// What each side adds up to.
    totals: tandem_core::Sides<tandem_engine::verify::Totals>,
    /// Worklogs that stand on one site more than once.
    duplicates: usize,
    /// Worklogs that the sites' own books show on one side only, or differently.
    unlike: usize,
    /// What people did.
    people: Done,
    /// Webhooks sent on their way.
    webhooks: usize,
    /// Webhooks lost on purpose.
    webhooks_lost: usize,
    /// Tandem's writes to the sites.
    writes: usize,
    /// Items that still wait.
    waiting: usize,
    /// Requests per site and second at most, and those answered 429.
    requests: Vec<Requests>,
}

#[derive(Debug, Serialize)]
struct Requests {
    site: String,
    tempo: usize,
    peak_per_second: usize,
    answered_429: usize,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> Result<Ending, Failure> {
    if global.table.is_some() {
        return Err(Failure::usage(
            "demo keeps its table in memory, or in an empty directory with --data DIR",
        ));
    }
    if arguments.practice {
        return practice::run(global).await;
    }
    let show = Show::new(global.json);
    let world = World::build(global, arguments.seed).await?;
    let (stop, stopped) = watch::channel(false);
    let tandem = Arc::clone(&world.tandem);
    let (embedded, listener) = (world.embedded.clone(), world.listener()?);
    let serving = serve::everything(tandem, Some(embedded), listener, stopped);
    let performing = async {
        let ended = perform(global, arguments, &world, &show).await;
        // Nobody listens any more when serving has failed by itself.
        let _ = stop.send(true);
        ended
    };
    let (served, ended) = tokio::join!(serving, performing);
    let ended = ended?;
    served?;
    Ok(ended)
}

/// All that happens while Tandem serves.
async fn perform(
    global: &Global,
    arguments: &Arguments,
    world: &World,
    show: &Show,
) -> Result<Ending, Failure> {
    let post = Post::start(world, arguments.seed, show.clone())?;
    show.say(world.addresses());
    let watching = show.watch(world);
    let told = tokio::select! {
        summary = play(arguments, world, &post, show) => Some(summary),
        _ = serve::interrupted() => None,
    };
    watching.abort();
    show.end();
    let Some(summary) = told else {
        return Err(Failure::failed("interrupted"));
    };
    let summary = summary?;
    tell(global, world, &summary)?;
    if arguments.keep {
        output::say(world.hints(global));
        output::say("going on until Ctrl-C");
        serve::interrupted().await;
    }
    let good = summary.equal && summary.duplicates == 0 && summary.waiting == 0;
    Ok(Ending::differs_if(!good))
}

/// The play itself: people act, the world comes to rest, the books are compared.
async fn play(arguments: &Arguments, world: &World, post: &Post, show: &Show) -> Result<Summary, Failure> {
    let people = people::act(
        world,
        show,
        arguments.seed,
        Duration::from_secs(arguments.seconds),
    )
    .await;
    show.tell(
        "demo",
        "people stop; what is still on its way arrives, and a sweep finds what no webhook told",
    );
    world.sim.calm();
    let verdict = rest(world, show).await?;
    let engine = &world.tandem.engine;
    let books = books::compare(world);
    let names: Vec<_> = engine.connections.iter().map(|one| one.name.clone()).collect();
    let history = engine.store.history(&names, None, usize::MAX >> 1).await?;
    let writes = history
        .iter()
        .filter(|row| matches!(row.op.as_str(), "create" | "update" | "delete" | "move"));
    let (webhooks, webhooks_lost) = post.counts();
    Ok(Summary {
        equal: verdict.equal && books.unlike == 0,
        totals: verdict.totals,
        duplicates: books.duplicates,
        unlike: books.unlike,
        people,
        webhooks,
        webhooks_lost,
        writes: writes
            .filter(|row| row.op != "move" || row.before.is_some())
            .count(),
        waiting: engine
            .queue()
            .await?
            .iter()
            .filter(|item| item.is_stuck())
            .count(),
        requests: world
            .sim
            .site_names()
            .into_iter()
            .map(|site| {
                let rate = world.sim.site(&site).tempo_rate();
                let (peak_per_second, answered_429) = (rate.peak, rate.answered_429);
                Requests {
                    site,
                    tempo: rate.requests,
                    peak_per_second,
                    answered_429,
                }
            })
            .collect(),
    })
}

/// Waits until nothing is left to do, with the passes that `reconcile` makes.
async fn rest(world: &World, show: &Show) -> Result<Verdict, Failure> {
    let engine = &world.tandem.engine;
    let connections: Vec<_> = engine.connections.iter().collect();
    let begun = Instant::now();
    while begun.elapsed() < POST_MAX && world.sim.next_delivery_at().is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    loop {
        engine.sweep_pass().await?;
        engine.run_due(None).await?;
        let quiet = is_quiet(engine).await?;
        let over = begun.elapsed() > REST_MAX;
        if quiet || over {
            let verdict = engine.verify(&connections, None, None).await;
            match verdict {
                Ok(verdict) if verdict.equal || over => return Ok(verdict),
                Ok(verdict) => show.tell(
                    "demo",
                    format!(
                        "not equal yet: {}",
                        words::count(verdict.differences.len(), "difference")
                    ),
                ),
                // The bucket may be empty after all that.
                Err(error) if over => return Err(error.into()),
                Err(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn is_quiet(engine: &Engine) -> Result<bool, Failure> {
    let items = engine.queue().await?;
    Ok(!items
        .iter()
        .any(|item| matches!(item.state, ItemState::Due | ItemState::Running)))
}

/// Prints the result.
fn tell(global: &Global, world: &World, summary: &Summary) -> Result<(), Failure> {
    if global.json {
        return output::json(summary);
    }
    output::data(show::ledger(world))?;
    let totals = |name: &str, totals: &tandem_engine::verify::Totals| {
        let (worked, billable) = (words::hours(totals.seconds), words::hours(totals.billable));
        vec![name.to_owned(), totals.worklogs.to_string(), worked, billable]
    };
    output::data("")?;
    output::data(output::table(
        &["SITE", "WORKLOGS", "WORKED", "BILLABLE"],
        vec![
            totals("acme", &summary.totals.a),
            totals("globex", &summary.totals.b),
        ],
    ))?;
    let Done {
        logged,
        edited,
        moved,
        deleted,
        refused: _,
    } = summary.people;
    output::data(format!(
        "\npeople: {logged} logged, {edited} edited, {moved} moved, {deleted} deleted on {} linked issues\n\
         webhooks: {} sent, {} lost on purpose\n\
         tandem: {} writes, {} duplicates, {} waiting",
        LINKS.len(),
        summary.webhooks,
        summary.webhooks_lost,
        summary.writes,
        summary.duplicates,
        summary.waiting,
    ))?;
    for site in &summary.requests {
        output::data(format!(
            "requests to {}: {} to Tempo, at most {} in a second, {} answered 429",
            site.site, site.tempo, site.peak_per_second, site.answered_429
        ))?;
    }
    if summary.equal {
        output::data("both sides are equal")
    } else {
        output::data(format!(
            "NOT EQUAL: {} on one side only, or different",
            words::count(summary.unlike, "worklog")
        ))
    }
}
