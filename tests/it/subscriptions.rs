//! Tempo switches off whom it could not reach, and tells nobody.

use std::sync::Arc;

use tandem_engine::ports::Store;
use tandem_runtime::subscriptions::{self, Seen};

use crate::world::{Setup, Webhooks, World, hour};

const PATH: &str = "/4/webhooks/subscriptions";

/// Requests about subscriptions, by site.
fn asked(world: &World) -> Vec<String> {
    let all = world.sim.requests();
    let about = all.iter().filter(|request| request.path_template.contains(PATH));
    about
        .map(|request| format!("{} {}", request.site, request.method))
        .collect()
}

async fn look(world: &World) {
    subscriptions::look(&world.tandem).await.unwrap();
}

async fn seen(world: &World, site: &str) -> Seen {
    let seen = subscriptions::seen(&*world.tandem.engine.store, &site.into()).await;
    seen.unwrap().expect("it was looked at")
}

fn active(world: &World) -> usize {
    let all = world.acme().subscriptions();
    all.iter().filter(|(_, _, active)| *active).count()
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_switched_off_is_on_again_within_the_hour_and_an_audit_follows() {
    let mut world = Setup::two(2).build().await;
    world.sweep().await;
    look(&world).await;
    assert_eq!(seen(&world, "acme").await.switched_on, Vec::<String>::new());

    world.lose_webhooks();
    for event in ["worklog.created", "worklog.updated"] {
        world.acme().switch_off(event);
    }
    world.acme().log_time("SUP-1", hour("ann", "untold")).unwrap();
    world.deliver();
    world.wait(3600).await;
    look(&world).await;
    assert_eq!(active(&world), 3);
    assert_eq!(
        seen(&world, "acme").await.switched_on,
        ["worklog.created", "worklog.updated"]
    );
    // No sweep has looked meanwhile: the audit alone finds what Tempo did not tell.
    assert_eq!(world.tandem.engine.audit_wanted().await.unwrap().hinted, 1);
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    // Once is enough.
    world.sim.reset_requests();
    assert_eq!(world.tandem.engine.audit_wanted().await.unwrap().hinted, 0);
    assert_eq!(world.sim.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_dies_before_switching_it_on_leaves_it_to_the_next_hour_and_the_audit_is_wanted_by_then() {
    let world = Setup::two(1).webhooks(Webhooks::TempoOnly).build().await;
    world.sweep().await;
    world.wait(60).await;
    world.acme().switch_off("worklog.deleted");
    let refresh = tandem_sim::Matcher::tempo("PATCH", "/4/webhooks/subscriptions/{id}/refresh");
    let lost = tandem_sim::Fault::LostBefore(tandem_sim::FaultOutcome::Status(502));
    world.acme().fail_next(refresh, lost);
    look(&world).await;
    assert_eq!(seen(&world, "acme").await.off, ["worklog.deleted"]);
    world.sim.reset_requests();
    world.tandem.engine.audit_wanted().await.unwrap();
    assert!(
        !world.sim.requests().is_empty(),
        "nobody audits what may be missed"
    );
    world.wait(3601).await;
    look(&world).await;
    assert_eq!(active(&world), 3);
    assert_eq!(seen(&world, "acme").await.off, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_tempo_says_is_on_again_and_lists_as_off_is_told_as_off() {
    let world = Setup::two(1).webhooks(Webhooks::TempoOnly).build().await;
    world.wait(60).await;
    world.acme().switch_off("worklog.deleted");
    let refresh = tandem_sim::Matcher::tempo("PATCH", "/4/webhooks/subscriptions/{id}/refresh");
    let for_nothing = tandem_sim::Fault::LostBefore(tandem_sim::FaultOutcome::Status(204));
    world.acme().fail_next(refresh, for_nothing);
    look(&world).await;
    let told = seen(&world, "acme").await;
    assert_eq!(
        (told.off.as_slice(), told.switched_on.len()),
        (["worklog.deleted".to_owned()].as_slice(), 0)
    );
    world.wait(3600).await;
    look(&world).await;
    assert_eq!(seen(&world, "acme").await.switched_on, ["worklog.deleted"]);
    assert_eq!(active(&world), 3);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_takes_nothing_for_an_hour_holds_up_no_sweep() {
    let world = Setup::two(1).build().await;
    let begun = world.now();
    let until = begun + jiff::SignedDuration::from_hours(1);
    world.store.hold(&"acme".into(), until).await.unwrap();
    look(&world).await;
    let took = world.now().duration_since(begun).as_secs();
    assert!(took <= 120, "it took {took} s");
    assert_eq!(seen(&world, "globex").await.missing, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn all_runners_together_ask_once_an_hour_and_sweeps_cost_what_they_did() {
    let world = Setup::two(1).build().await;
    world.sweep().await;
    let runners = [
        Arc::clone(&world.tandem),
        world.another("second"),
        world.another("third"),
    ];
    let begun = world.now();
    world.sim.reset_requests();
    let mut sweeps = 0;
    while world.tandem.engine.clock.now().duration_since(begun).as_hours() < 4 {
        let looks = runners.iter().map(|runner| subscriptions::look(runner));
        for looked in futures::future::join_all(looks).await {
            looked.unwrap();
        }
        world.sweep().await;
        sweeps += 1;
        world.wait(300).await;
    }
    let asked = asked(&world);
    assert_eq!(
        asked.iter().filter(|one| *one == "acme GET").count(),
        4,
        "{asked:?}"
    );
    assert_eq!(asked.len(), 2 * 4, "{asked:?}");
    // Jira's feed of deletes is read once an hour besides, on each site.
    let all = world.sim.requests().len() - 2 * 4;
    assert!(
        all <= sweeps * 6 + asked.len(),
        "{all} requests in {sweeps} sweeps"
    );
    assert_eq!(world.sim.violations().len(), 0, "{:?}", world.sim.violations());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told_where_webhooks_are_wanted() {
    let setup = || Setup::two(1).webhooks(Webhooks::None);
    let unwanted = setup().build().await;
    look(&unwanted).await;
    assert_eq!(seen(&unwanted, "acme").await.missing, Vec::<String>::new());
    let mut wanted = setup().build().await;
    wanted.restart(|config| format!("engine.public_url = \"http://127.0.0.1:2\"\n{config}"));
    look(&wanted).await;
    assert_eq!(seen(&wanted, "acme").await.missing.len(), 3);
    // A token without the right is told as that, and ends nothing.
    wanted.wait(3600).await;
    let lost = tandem_sim::Fault::LostBefore(tandem_sim::FaultOutcome::Status(403));
    wanted
        .acme()
        .fail_next(tandem_sim::Matcher::tempo("GET", PATH), lost);
    look(&wanted).await;
    assert!(seen(&wanted, "acme").await.not_allowed);
    assert_eq!(seen(&wanted, "globex").await.missing.len(), 3);
}
