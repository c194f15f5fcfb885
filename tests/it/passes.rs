//! Scheduled passes, of which one at a time takes up work.

use std::time::Duration;

use jiff::SignedDuration;
use tandem_runtime::lambda::pass::{Pass, Report, run_alone};
use tandem_runtime::wiring::Tandem;
use tandem_sim::{Fault, Matcher};

use crate::world::{Setup, Webhooks, World};

async fn pass(tandem: &Tandem, pass: Pass) -> Report {
    let engine = &tandem.engine;
    let deadline = engine.clock.now() + SignedDuration::from_secs(900);
    run_alone(engine, pass, deadline).await.unwrap()
}

/// A world in which whatever is asked takes twenty seconds.
async fn slow() -> World {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    world.sweep().await;
    for site in ["acme", "globex"] {
        let slow = Fault::Slow(Duration::from_secs(20));
        world.sim.fail_next(site, Matcher::any().times(1000), slow);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_pass_keeps_others_out_for_as_long_as_it_takes_and_no_longer() {
    let world = slow().await;
    let rival = world.another("rival");
    let begun = world.now();
    let long = async {
        let report = pass(&world.tandem, Pass::Sweep).await;
        (report, world.now().duration_since(begun).as_secs())
    };
    // Longer than any lease that is not prolonged.
    let meanwhile = async {
        world.wait(75).await;
        pass(&rival, Pass::Sweep).await
    };
    let ((first, took), second) = tokio::join!(long, meanwhile);
    assert!(took > 90, "{took} s are too few to show anything");
    assert!(!first.skipped && second.skipped, "{first:?} {second:?}");
    assert!(!pass(&rival, Pass::Sweep).await.skipped);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_died_is_followed_within_the_minute() {
    let world = slow().await;
    let rival = world.another("rival");
    // Wherever it was when it died.
    let died = tokio::time::timeout(Duration::from_secs(25), pass(&world.tandem, Pass::Sweep)).await;
    assert!(died.is_err());
    assert!(pass(&rival, Pass::Sweep).await.skipped);
    world.wait(60).await;
    assert!(!pass(&rival, Pass::Sweep).await.skipped);
}
