//! What happens when there is very much of something: nothing is lost, nobody waits for it longer than is said here,
//! and memory stays within bounds.
//!
//! Waits are virtual time, so they are the same on every machine. The full sizes are `#[ignore]`d, since they take
//! minutes; `cargo test --profile bench -p tandem-it --test it limits:: -- --ignored --nocapture --test-threads 1`
//! runs them and prints their figures.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::future::join_all;
use http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tandem_core::{IssueId, LinkKey};
use tandem_engine::ports::store::{DueKey, Lane, Store};
use tandem_sim::{Content, Delivery, Fault, FaultOutcome, IssueSpec, Matcher};
use tower::ServiceExt;

use crate::world::{Setup, Webhooks, World, config, hour, site};

/// The time between two requests to a site: 5 a second, spaced 5 % wider.
const SLOT_SECS: f64 = 1.05 / 5.0;

/// Longer than any wait that is allowed here, in seconds. Who waits longer fails the test instead of hanging it.
const FOREVER_SECS: f64 = 600.0;

#[expect(clippy::print_stdout, reason = "figures of a run that somebody asked for")]
fn tell(figure: &str) {
    println!("{figure}");
}

/// How much memory this process needs from a moment on. It tells something only of a test that runs alone in it.
struct Memory {
    before: u64,
}

impl Memory {
    fn from_now() -> Self {
        // Has the system forget how much it ever was. One that cannot tells too much, never too little.
        let forgotten = std::fs::write("/proc/self/clear_refs", "5");
        if forgotten.is_err() {
            tell(
                "how much memory it took cannot be told here: the peak counts from the start of the process",
            );
        }
        Self {
            before: resident_mib("VmRSS:"),
        }
    }

    /// Returns by how many MiB it grew at most.
    fn grown(&self) -> u64 {
        resident_mib("VmHWM:").saturating_sub(self.before)
    }
}

/// Returns what the system tells of this process's memory, in MiB; 0 where it does not, and says so.
fn resident_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if kib.is_none() {
        tell("SKIPPED: this system does not tell how much memory a process has");
    }
    kib.unwrap_or(0) / 1024
}

fn secs_since(world: &World, start: Timestamp) -> f64 {
    world.now().duration_since(start).as_secs_f64()
}

fn link(world: &World, a: &str, b: &str) -> DueKey {
    DueKey::Link(LinkKey {
        connection: "acme-globex".into(),
        a: IssueId(world.acme().issue_id(a)),
        b: IssueId(world.globex().issue_id(b)),
    })
}

fn all_links(world: &World, count: usize) -> Vec<DueKey> {
    (1..=count)
        .map(|n| link(world, &format!("SUP-{n}"), &format!("DEV-{n}")))
        .collect()
}

/// Does something while Tandem runs as it does in a process of its own.
async fn meanwhile<T>(world: &World, work: impl Future<Output = T>) -> T {
    let audits = Duration::from_secs(86_400);
    tokio::select! {
        () = world.tandem.engine.run_forever(audits, std::future::pending()) => unreachable!("it runs forever"),
        done = work => done,
    }
}

/// Logs time on A's issue and returns how many seconds pass until B's has it.
async fn wait_of_a_person(world: &World, from: &str, to: &str, text: &str) -> f64 {
    let start = world.now();
    world.acme().log_time(from, hour("bob", text)).unwrap();
    loop {
        if world.said("globex", to).iter().any(|said| said.5 == text) {
            return secs_since(world, start);
        }
        assert!(secs_since(world, start) < FOREVER_SECS, "{text} never crossed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

// --- many webhooks at once ---

async fn post(router: axum::Router, delivery: &Delivery) -> StatusCode {
    let url: http::Uri = delivery.url.parse().unwrap();
    let mut request = Request::builder()
        .method(delivery.method)
        .uri(url.path_and_query().unwrap().as_str());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(delivery.body.clone())).unwrap();
    router.oneshot(request).await.unwrap().status()
}

/// Sends a webhook for each of so many links, all at once. Returns by how many MiB the process grew.
async fn webhooks_at_once(count: usize) -> u64 {
    let mut world = Setup::two(count).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    world.lose_webhooks();
    for n in 1..=count {
        world
            .acme()
            .log_time(&format!("SUP-{n}"), hour("ann", "x"))
            .unwrap();
    }
    world.wait(5).await;
    let deliveries = world.sim.take_deliveries(world.now());
    assert_eq!(deliveries.len(), count);

    world.store.counts().reset();
    let memory = Memory::from_now();
    let router = tandem_runtime::router::router(Arc::new(Arc::clone(&world.tandem)));
    let taken = join_all(deliveries.iter().map(|delivery| post(router.clone(), delivery))).await;
    assert!(
        taken.iter().all(|status| *status == StatusCode::ACCEPTED),
        "{taken:?}"
    );
    let table = world.store.counts().total();
    assert!(
        table <= 2 * count as u64,
        "{:?}",
        world.store.counts().by_operation()
    );

    // All of them are there within the time that their requests take.
    world.sim.reset_requests();
    let start = world.now();
    while world.globex().worklogs().len() < count {
        world.tandem.engine.run_due(None).await.unwrap();
        world.wait(1).await;
        assert!(secs_since(&world, start) < FOREVER_SECS);
    }
    let took = secs_since(&world, start);
    let busiest = world.globex().tempo_rate();
    let floor = busiest.requests as f64 * SLOT_SECS;
    assert!(took <= 1.15 * floor + 5.0, "{took} s, floor {floor} s");
    assert_eq!(world.acme().tempo_rate().answered_429 + busiest.answered_429, 0);
    let grown = memory.grown();
    world.assert_equal().await;
    tell(&format!(
        "{count} webhooks at once: {table} table requests, both sides equal after {took:.0} s; {grown} MiB more"
    ));
    grown
}

#[tokio::test(start_paused = true)]
async fn webhooks_at_once_are_all_taken_for_two_table_requests_each() {
    webhooks_at_once(50).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "the same with more of them"]
async fn two_hundred_webhooks_at_once_are_all_taken_for_two_table_requests_each() {
    let grown = webhooks_at_once(200).await;
    assert!(grown <= 32, "{grown} MiB more");
}

// --- a long queue ---

/// Lets all links be due in a lane, and a person log time while they are worked off. Returns the person's wait and
/// how long it took to work off the queue.
async fn behind_a_queue(links: usize, lane: Lane, last_hint: usize) -> (f64, f64) {
    let world = Setup::two(links).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    let keys = all_links(&world, links);
    world.tandem.engine.hint_all(keys, lane, false).await.unwrap();
    assert_eq!(world.due().await.len(), links);
    let start = world.now();
    let waited = meanwhile(&world, async {
        world.wait(5).await;
        let (from, to) = (format!("SUP-{last_hint}"), format!("DEV-{last_hint}"));
        let waited = wait_of_a_person(&world, &from, &to, "while the queue is long").await;
        while !world.due().await.is_empty() {
            world.wait(5).await;
            assert!(
                secs_since(&world, start) < FOREVER_SECS,
                "{:?}",
                world.due().await
            );
        }
        waited
    })
    .await;
    assert_eq!(world.acme().tempo_rate().answered_429, 0);
    world.assert_equal().await;
    (waited, secs_since(&world, start))
}

#[tokio::test(start_paused = true)]
async fn a_person_does_not_wait_for_what_a_sweep_found() {
    const LINKS: usize = 80;
    let (waited, all) = behind_a_queue(LINKS, Lane::Sweep, LINKS).await;
    let floor = LINKS as f64 * SLOT_SECS;
    tell(&format!(
        "behind {LINKS} swept links: {waited:.1} s; all after {all:.0} s (floor {floor:.0} s)"
    ));
    assert!(waited <= SWEPT_WAIT_SECS, "{waited} s");
    assert!(all <= 1.5 * floor + 10.0, "{all} s, floor {floor} s");
}

/// The longest that a person waits for their change while a process is busy with swept links, in seconds: settling, a
/// place among the runs, and the slots of three requests.
const SWEPT_WAIT_SECS: f64 = 12.0;

#[tokio::test(start_paused = true)]
async fn a_queue_of_people_is_served_in_the_order_in_which_they_came() {
    const LINKS: usize = 80;
    let world = Setup::two(LINKS + 1).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    let keys = all_links(&world, LINKS);
    world
        .tandem
        .engine
        .hint_all(keys, Lane::Live, false)
        .await
        .unwrap();
    let (from, to) = (format!("SUP-{}", LINKS + 1), format!("DEV-{}", LINKS + 1));
    let waited = meanwhile(&world, wait_of_a_person(&world, &from, &to, "last in line")).await;
    // One listing on each site for everybody before, the settling, and three requests.
    let floor = LINKS as f64 * SLOT_SECS;
    tell(&format!(
        "behind {LINKS} live links: {waited:.1} s (floor {floor:.0} s); behind 100,000 that makes {:.1} h",
        100_000.0 * waited / LINKS as f64 / 3600.0
    ));
    assert!(waited <= 1.25 * floor + 10.0, "{waited} s, floor {floor} s");
}

/// Fills the queue and works at it for so long. Returns the looks that went through, the requests to the table, and
/// how many MiB the process grew by.
async fn passes_over_a_queue(links: usize, secs: i64) -> (usize, u64, u64) {
    let world = Setup::two(links).webhooks(Webhooks::None).build().await;
    let queued = world.due().await.len();
    assert_eq!(queued, links);
    world.store.counts().reset();
    let memory = Memory::from_now();
    let deadline = world.now() + SignedDuration::from_secs(secs);
    let passed = world.tandem.engine.run_due(Some(deadline)).await.unwrap();
    let grown = memory.grown();
    let counts = world.store.counts().clone();
    tell(&format!(
        "{links} due links, {secs} s: {} looks, {} table requests ({:?}), {grown} MiB more",
        passed.looked,
        counts.total(),
        counts.by_operation()
    ));
    // A look that got no slot is given back. There may be about one of those for each that went through.
    let went_through = passed.looked - passed.troubled;
    assert!(passed.troubled <= 2 * went_through, "{passed:?}");
    (went_through, counts.total(), grown)
}

#[tokio::test(start_paused = true)]
async fn what_a_look_costs_does_not_depend_on_the_length_of_the_queue() {
    let (few, table_of_few, _) = passes_over_a_queue(60, 10).await;
    let (many, table_of_many, _) = passes_over_a_queue(300, 10).await;
    assert!(few >= 40 && many >= 40, "{few}, {many} looks in ten seconds");
    let each = |table: u64, looks: usize| table as f64 / looks as f64;
    assert!(
        each(table_of_many, many) <= 1.1 * each(table_of_few, few) && each(table_of_many, many) <= 25.0,
        "{table_of_few} table requests for {few} looks, {table_of_many} for {many}"
    );
}

#[tokio::test(start_paused = true)]
#[ignore = "some minutes, and a GiB for the simulated sites: a hundred thousand issues each"]
async fn a_hundred_thousand_due_links_are_worked_off_at_the_allowed_rate_in_bounded_memory() {
    const SECS: i64 = 600;
    let (looked, _, grown) = passes_over_a_queue(100_000, SECS).await;
    assert!(looked as f64 >= 0.9 * SECS as f64 / SLOT_SECS, "{looked} looks");
    assert!(grown <= 64, "{grown} MiB more");
}

#[tokio::test(start_paused = true)]
#[ignore = "some minutes, and a GiB for the simulated sites: a hundred thousand issues each"]
async fn a_person_does_not_wait_for_a_hundred_thousand_swept_links() {
    const LINKS: usize = 100_000;
    let world = Setup::two(LINKS).webhooks(Webhooks::TempoOnly).build().await;
    let memory = Memory::from_now();
    meanwhile(&world, async {
        for n in [1, LINKS / 2, LINKS] {
            world.wait(20).await;
            let (from, to) = (format!("SUP-{n}"), format!("DEV-{n}"));
            let waited = wait_of_a_person(&world, &from, &to, "while the queue is long").await;
            tell(&format!(
                "behind {} swept links: {waited:.1} s",
                world.due().await.len()
            ));
            assert!(waited <= SWEPT_WAIT_SECS, "{waited} s");
        }
    })
    .await;
    let grown = memory.grown();
    tell(&format!("beside {LINKS} swept links: {grown} MiB more"));
    assert!(grown <= 64, "{grown} MiB more");
}

// --- big links ---

/// Gives some links many worklogs on A and none on B, and has a person log time on a small link while the big ones are
/// first synced. Returns the person's longest wait, how many twins were made in how many seconds, and by how many MiB the
/// process grew.
async fn beside_big_links(big: usize, worklogs: i64, lane: Lane, times: usize) -> (f64, usize, f64, u64) {
    let world = Setup::two(big + 1).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    for n in 1..=big {
        for m in 0..worklogs {
            let day = format!("2026-02-{:02}", 1 + m % 28);
            let content = Content::new("ann", &day, "09:00:00", 60 + m).text(format!("entry {m}"));
            world.acme().log_time(&format!("SUP-{n}"), content).unwrap();
        }
    }
    world.sim.drop_deliveries();
    let keys = all_links(&world, big);
    world.tandem.engine.hint_all(keys, lane, false).await.unwrap();
    let memory = Memory::from_now();
    let start = world.now();
    let (from, to) = (format!("SUP-{}", big + 1), format!("DEV-{}", big + 1));
    let longest = meanwhile(&world, async {
        let mut longest = 0_f64;
        for n in 0..times {
            // Not in step with the runs' budget.
            world.wait(13).await;
            let waited = wait_of_a_person(&world, &from, &to, &format!("small {n}")).await;
            longest = longest.max(waited);
        }
        longest
    })
    .await;
    let took = secs_since(&world, start);
    let grown = memory.grown();
    let made = world.globex().worklogs().len() - times;
    assert_eq!(world.globex().tempo_rate().answered_429, 0);
    tell(&format!(
        "beside {big} links of {worklogs} worklogs ({lane:?}): at most {longest:.1} s; {made} twins made in {took:.0} s; {grown} MiB more"
    ));
    (longest, made, took, grown)
}

#[tokio::test(start_paused = true)]
async fn a_small_link_does_not_wait_for_the_first_sync_of_a_big_one() {
    let (longest, made, took, _) = beside_big_links(1, 200, Lane::Sweep, 2).await;
    assert!(longest <= SWEPT_WAIT_SECS, "{longest} s");
    // And the big one gets on.
    assert!(made as f64 >= 0.7 * took / SLOT_SECS, "{made} twins in {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_small_link_does_not_wait_for_a_big_one_that_people_changed_before() {
    let (longest, made, took, _) = beside_big_links(1, 200, Lane::Live, 2).await;
    assert!(longest <= SWEPT_WAIT_SECS, "{longest} s");
    assert!(made as f64 >= 0.5 * took / SLOT_SECS, "{made} twins in {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_small_link_does_not_wait_for_the_first_sync_of_many_big_ones() {
    let (longest, made, took, _) = beside_big_links(12, 40, Lane::Sweep, 2).await;
    assert!(longest <= SWEPT_WAIT_SECS, "{longest} s");
    assert!(made as f64 >= 0.7 * took / SLOT_SECS, "{made} twins in {took} s");
}

/// What a run may need that has the fifty thousand worklogs of its link in hand, each with its pair. It holds one link's
/// at a time, whatever else there is.
const LINK_OF_50_000_MIB: u64 = 256;

#[tokio::test(start_paused = true)]
#[ignore = "minutes: fifty thousand worklogs are listed again in every run"]
async fn a_small_link_does_not_wait_for_one_of_fifty_thousand_worklogs() {
    let (longest, made, took, grown) = beside_big_links(1, 50_000, Lane::Sweep, 6).await;
    assert!(longest <= SWEPT_WAIT_SECS, "{longest} s");
    assert!(made as f64 >= 0.5 * took / SLOT_SECS, "{made} twins in {took} s");
    assert!(grown <= LINK_OF_50_000_MIB, "{grown} MiB more");
}

#[tokio::test(start_paused = true)]
#[ignore = "minutes: fifty thousand pairs are adopted"]
async fn a_link_of_fifty_thousand_worklogs_is_kept_the_same() {
    let world = Setup::two(1).webhooks(Webhooks::TempoOnly).build().await;
    world.lose_and_fill(50_000);
    world.sweep().await;
    world.settle().await;
    assert!(world.due().await.is_empty());
    all_learned(&world).await;
    // Until no sweep sees the fifty thousand any more.
    world.wait(4 * 3600).await;
    world.sweep().await;
    world.wait(60).await;
    world.sim.reset_requests();
    world.store.counts().reset();
    let memory = Memory::from_now();
    let waited = wait_of_a_person_alone(&world).await;
    let grown = memory.grown();
    tell(&format!(
        "one more on a link of 50,000: {waited:.1} s, {} requests, {:?} table requests; {grown} MiB more",
        world.sim.requests().len(),
        world.store.counts().by_operation()
    ));
    assert!(grown <= LINK_OF_50_000_MIB, "{grown} MiB more");
    // Eleven pages on one side, ten on the other, the write, and learning its id; and the sweep that a process begins with.
    assert!(world.sim.requests().len() <= 25 + 6);
}

/// Sweeps until Jira's ids of all twins are known: each sweep asks for some thousands of them.
async fn all_learned(world: &World) {
    for site in ["acme", "globex"] {
        while !world.store.to_learn(&site.into(), 1).await.unwrap().is_empty() {
            world.sweep().await;
            world.wait(60).await;
        }
    }
}

async fn wait_of_a_person_alone(world: &World) -> f64 {
    meanwhile(world, async {
        world.wait(10).await;
        wait_of_a_person(world, "SUP-1", "DEV-1", "one more").await
    })
    .await
}

// --- many links ---

/// Two sites with linked issues whose keys are as long as Jira allows; each issue has one worklog, the same on both.
async fn many_links(links: usize) -> World {
    let (a, b) = ("SUPPLIERXX", "CUSTOMERXX");
    let table: Vec<_> = (1..=links)
        .map(|n| (format!("{a}-{n}"), format!("{b}-{n}")))
        .collect();
    let world = Setup {
        sites: vec![site("acme", a, links), site("globex", b, links)],
        config: config("", &table),
        webhooks: Webhooks::None,
    }
    .build()
    .await;
    for (from, to) in &table {
        world.acme().log_time(from, hour("ann", "the same")).unwrap();
        world.globex().log_time(to, hour("ann", "the same")).unwrap();
    }
    world
}

/// Brings many links together, and counts what a sweep and an audit without a change cost, and by how many MiB the
/// process grew for them.
async fn what_many_links_cost(links: usize) -> (usize, u64, usize, u64, u64) {
    let mut world = many_links(links).await;
    // There are none. Waiting for them is all that hours of nothing would cost.
    world.lose_webhooks();
    while !world.due().await.is_empty() {
        world.tandem.engine.run_due(None).await.unwrap();
        world.wait(60).await;
    }
    world.sweep().await;
    all_learned(&world).await;
    world.wait(4 * 3600).await;
    world.sweep().await;
    let cost = |world: &World| (world.sim.requests().len(), world.store.counts().total());
    let reset = |world: &World| {
        world.sim.reset_requests();
        world.store.counts().reset();
    };
    world.wait(300).await;
    reset(&world);
    let memory = Memory::from_now();
    world.tandem.engine.sweep_pass().await.unwrap();
    let (sweep, sweep_table) = cost(&world);
    reset(&world);
    let audited = world.tandem.engine.audit().await.unwrap();
    assert_eq!((audited.hinted, audited.failed), (0, 0));
    let (audit, audit_table) = cost(&world);
    let grown = memory.grown();
    tell(&format!(
        "{links} links: sweep {sweep} requests and {sweep_table} of the table, audit {audit} and {audit_table}; {grown} MiB more"
    ));
    (sweep, sweep_table, audit, audit_table, grown)
}

#[tokio::test(start_paused = true)]
async fn a_sweep_costs_the_same_whatever_the_number_of_links() {
    let (few_sweep, few_table, ..) = what_many_links_cost(10).await;
    let (sweep, sweep_table, audit, audit_table, _) = what_many_links_cost(60).await;
    assert_eq!((few_sweep, few_table), (sweep, sweep_table));
    assert_eq!(sweep, 6);
    // A page on each side, and both feeds of deletes on each side.
    assert!(audit <= 2 + 4, "{audit}");
    assert!(audit_table <= 60 + 40, "{audit_table}");
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_cannot_be_seen_does_not_have_all_other_links_looked_up_again() {
    // More than are asked for in one request.
    const LINKS: usize = 150;
    let mut setup = Setup::two(LINKS).webhooks(Webhooks::None);
    let table: Vec<_> = (0..LINKS)
        .map(|n| (format!("SUP-{}", n + 1), format!("DEV-{}", (n + 7) % LINKS + 1)))
        .map(|(a, b)| {
            if a == "SUP-110" {
                (a, "DEV-999".into())
            } else {
                (a, b)
            }
        })
        .collect();
    setup.config = config("", &table);
    let world = setup.build().await;
    let prepare = async || {
        world.sim.reset_requests();
        world.store.counts().reset();
        world.tandem.engine.prepare().await.unwrap();
        (world.sim.requests().len(), world.store.counts().total())
    };
    assert_eq!(world.due().await.len(), LINKS - 1);
    assert_eq!(prepare().await.0, 0, "not with each pass");
    world.wait(900).await;
    let (requests, table) = prepare().await;
    assert_eq!(requests, 3, "both sides, and what may have another key by now");
    assert!(table <= 8, "{:?}", world.store.counts().by_operation());
    world.globex().add_issue(IssueSpec::new("DEV-999"));
    world.wait(900).await;
    assert_eq!(prepare().await.0, 2);
    assert_eq!(world.due().await.len(), LINKS);
    world.wait(900).await;
    assert_eq!(prepare().await.0, 0);
}

#[tokio::test(start_paused = true)]
#[ignore = "minutes: ten thousand links are made and brought together"]
async fn ten_thousand_links_cost_a_sweep_three_requests_a_site() {
    let (sweep, sweep_table, audit, audit_table, grown) = what_many_links_cost(10_000).await;
    assert_eq!(sweep, 6);
    assert!(sweep_table <= 40, "{sweep_table}");
    assert!(audit <= 2 * 2 + 4, "{audit}");
    assert!(audit_table <= 10_000 + 60, "{audit_table}");
    assert!(grown <= 64, "{grown} MiB more");
}

#[tokio::test(start_paused = true)]
async fn a_site_that_answers_429_whatever_it_is_asked_is_asked_ever_more_rarely() {
    let world = Setup::two(1).build().await;
    let listings = Matcher::tempo("GET", "/4/worklogs/issue/{issueId}").times(10_000);
    world
        .sim
        .fail_next("acme", listings, Fault::LostBefore(FaultOutcome::Status(429)));
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    for _ in 0..10 {
        world.wait(360).await;
        world.tandem.engine.run_due(None).await.unwrap();
    }
    let requests = world.sim.requests();
    let asked = requests
        .iter()
        .filter(|one| one.path_template == "/4/worklogs/issue/{issueId}" && one.site == "acme");
    // Not once a second, and not as good as never.
    let asked = asked.count();
    assert!((8..40).contains(&asked), "{asked}");
    assert_eq!(world.due().await.len(), 1);
}
