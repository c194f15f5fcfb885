//! What fails each time, and is never set aside.

use jiff::SignedDuration;
use tandem_runtime::lambda::gauges;
use tandem_runtime::lambda::pass::{Pass, Report};
use tandem_sim::{Fault, FaultOutcome, Matcher};

use crate::world::{Setup, World, hour};

/// How much fails for so long that a person should look, as a sweep tells it.
async fn failing(world: &World) -> i64 {
    let report = Report {
        pass: Pass::Sweep,
        ..Report::default()
    };
    gauges::read_after(
        &world.tandem,
        &report,
        world.now() + SignedDuration::from_secs(60),
    )
    .await;
    let lines = world.tandem.metrics.lines(world.now());
    let told = lines.iter().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["Failing"].as_i64()
    });
    told.expect("it is told, however little fails")
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_each_time_is_told_after_an_hour_until_it_goes_through() {
    let world = Setup::two(2).build().await;
    world.sweep().await;
    let minutes = async |count: usize| {
        for _ in 0..count {
            world.wait(60).await;
            world.tandem.engine.run_due(None).await.unwrap();
        }
    };
    let fails = Fault::LostBefore(FaultOutcome::Status(500));
    let create = Matcher::tempo("POST", "/4/worklogs").times(20);
    world.globex().fail_next(create, fails);
    world.acme().log_time("SUP-1", hour("ann", "choked on")).unwrap();
    minutes(50).await;
    let tried = world.writes().len();
    assert!(tried >= 3, "it is hardly tried: {tried}");
    assert_eq!(failing(&world).await, 0, "it may pass by itself");
    // The others go on, and what has just begun to fail is not told with it.
    world.acme().log_time("SUP-2", hour("ann", "late")).unwrap();
    minutes(20).await;
    assert_eq!(failing(&world).await, 1, "{:?}", world.writes());
    assert_eq!(
        world.reasons().await,
        Vec::<&str>::new(),
        "it is set aside after all"
    );
    while world.said("globex", "DEV-1").is_empty() {
        assert!(world.writes().len() < 40, "{:?}", world.writes());
        minutes(10).await;
    }
    minutes(20).await;
    assert_eq!(failing(&world).await, 0);
    world.assert_equal().await;
}
