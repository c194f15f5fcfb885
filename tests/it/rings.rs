//! Chains and rings of connections.

use std::pin::pin;
use std::time::Duration;

use tandem_engine::ports::store::{DueKey, Store};
use tandem_sim::{Fault, FaultOutcome, IssueSpec, Matcher, Permission, ProjectSpec, SiteSpec, UserSpec};

use crate::world::{Setup, Webhooks, World, hour};

fn site(name: &str, project: &str, issues: usize) -> SiteSpec {
    SiteSpec::new(name)
        .user(UserSpec::new("ann", "Ann"))
        .user(UserSpec::new("bob", "Bob"))
        .project(ProjectSpec::new(project))
        .issues(project, issues)
}

async fn sites(ring: bool, webhooks: Webhooks) -> World {
    many(ring, webhooks, 2).await
}

/// Three sites with this many linked issues each, and one more that has no twin.
async fn many(ring: bool, webhooks: Webhooks, issues: usize) -> World {
    three(ring, webhooks, issues).build().await
}

fn three(ring: bool, webhooks: Webhooks, issues: usize) -> Setup {
    let mut config = String::new();
    for name in ["acme", "globex", "initech"] {
        config.push_str(&format!(
            "[sites.{name}]\njira = \"http://127.0.0.1:1/jira/{name}\"\ntempo = \"http://127.0.0.1:1/tempo\"\nsecret = \"env:{}\"\n",
            name.to_uppercase()
        ));
    }
    let mut pairs = vec![
        ("acme", "SUP", "globex", "DEV"),
        ("globex", "DEV", "initech", "OPS"),
    ];
    if ring {
        pairs.push(("initech", "OPS", "acme", "SUP"));
    }
    for (a, a_key, b, b_key) in pairs {
        let table: Vec<_> = (1..=issues)
            .map(|n| format!("[\"{a_key}-{n}\", \"{b_key}-{n}\"]"))
            .collect();
        config.push_str(&format!(
            "[[connections]]\nname = \"{a}-{b}\"\na = \"{a}\"\nb = \"{b}\"\nsince = \"2026-01-01\"\n\
             [connections.links]\ntable = [{}]\n",
            table.join(", ")
        ));
    }
    let sites = [("acme", "SUP"), ("globex", "DEV"), ("initech", "OPS")];
    let sites = sites
        .map(|(name, project)| site(name, project, issues + 1))
        .to_vec();
    Setup {
        sites,
        config,
        webhooks,
    }
}

const PLACES: [(&str, &str); 3] = [("acme", "SUP"), ("globex", "DEV"), ("initech", "OPS")];

fn same_everywhere(world: &World, number: u8, count: usize) {
    let said = world.said("acme", &format!("SUP-{number}"));
    assert_eq!(said.len(), count, "{said:?}");
    for (site, project) in PLACES {
        assert_eq!(world.said(site, &format!("{project}-{number}")), said, "{site}");
    }
}

async fn rest(world: &World) {
    for _ in 0..4 {
        world.settle().await;
        world.wait(300).await;
        world.sweep().await;
    }
}

async fn every_change_goes_round_once(ring: bool, webhooks: Webhooks) {
    let world = sites(ring, webhooks).await;
    let first = world.acme().log_time("SUP-1", hour("ann", "from acme")).unwrap();
    world
        .sim
        .site("initech")
        .log_time("OPS-1", hour("bob", "from initech"))
        .unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 2);

    let twin = world
        .globex()
        .worklogs_of("DEV-1")
        .iter()
        .find(|one| one.author == "ann")
        .unwrap()
        .id;
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 2);
    assert!(world.said("acme", "SUP-1").iter().any(|said| said.3 == 60));

    world.acme().move_to_issue(first, "SUP-2").unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    same_everywhere(&world, 2, 1);

    world.acme().delete(first).unwrap();
    rest(&world).await;
    same_everywhere(&world, 2, 0);
    same_everywhere(&world, 1, 1);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_along_a_chain_of_three_sites() {
    every_change_goes_round_once(false, Webhooks::Both).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_along_a_chain_of_three_sites_unheard() {
    every_change_goes_round_once(false, Webhooks::None).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_round_a_ring_of_three_sites_once() {
    every_change_goes_round_once(true, Webhooks::Both).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_round_a_ring_of_three_sites_once_unheard() {
    every_change_goes_round_once(true, Webhooks::None).await;
}

#[tokio::test(start_paused = true)]
async fn different_edits_on_a_ring_come_to_rest_on_the_newest() {
    let world = sites(true, Webhooks::Both).await;
    let first = world.acme().log_time("SUP-1", hour("ann", "text")).unwrap();
    rest(&world).await;
    let third = world.sim.site("initech").worklogs_of("OPS-1")[0].id;
    world
        .acme()
        .edit(first, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.wait(2).await;
    world
        .sim
        .site("initech")
        .edit(third, |worklog| worklog.time_spent_secs = 120)
        .unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    assert_eq!(world.said("globex", "DEV-1")[0].3, 120);
    world.sim.reset_requests();
    world.settle().await;
    let writes = world
        .sim
        .requests()
        .iter()
        .filter(|request| request.method == "PUT")
        .count();
    assert_eq!(writes, 0, "the ring does not come to rest");
}

#[tokio::test(start_paused = true)]
async fn what_another_connection_is_making_is_nobodys_own_and_what_a_person_logs_later_is() {
    use tandem_sim::{Fault, FaultOutcome, Matcher};
    let world = sites(true, Webhooks::Both).await;
    world.globex().log_time("DEV-1", hour("ann", "standup")).unwrap();
    let lost = Fault::LostAfter(FaultOutcome::Status(500));
    let creates = || Matcher::tempo("POST", "/4/worklogs");
    world.sim.fail_next("acme", creates(), lost);
    world.sim.fail_next("initech", creates(), lost);
    rest(&world).await;
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    // The same again, by hand and an hour later.
    world.wait(3600).await;
    world.acme().log_time("SUP-1", hour("ann", "standup")).unwrap();
    world.settle().await;
    world.wait(60).await;
    world.settle().await;
    same_everywhere(&world, 1, 2);
}

#[tokio::test(start_paused = true)]
async fn two_connections_do_not_write_to_one_issue_at_the_same_time() {
    use tandem_core::{IssueId, LinkKey};
    use tandem_engine::ports::store::{Committed, Op, Store};
    let world = sites(true, Webhooks::Both).await;
    let issue = IssueId(world.acme().issue_id("SUP-1"));
    let other = LinkKey {
        connection: "initech-acme".into(),
        a: IssueId(1),
        b: issue,
    };
    let hold = |until| Op::Hold {
        site: "acme".into(),
        issue,
        link: other.clone(),
        now: world.now(),
        until,
    };
    let long = world.now() + jiff::SignedDuration::from_hours(3);
    assert_eq!(
        world.store.commit(vec![hold(long)]).await.unwrap(),
        Committed::Yes
    );
    world.globex().log_time("DEV-1", hour("ann", "work")).unwrap();
    world.wait(3).await;
    let soon = world.now() + jiff::SignedDuration::from_secs(60);
    world.tandem.engine.run_due(Some(soon)).await.unwrap();
    assert_eq!(world.said("acme", "SUP-1"), []);
    assert_eq!(world.said("initech", "OPS-1").len(), 1);
    let now = world.now();
    assert_eq!(world.store.commit(vec![hold(now)]).await.unwrap(), Committed::Yes);
    rest(&world).await;
    same_everywhere(&world, 1, 1);
}

#[tokio::test(start_paused = true)]
async fn dozens_of_worklogs_gathered_from_as_many_issues_is_carried_over() {
    let mut world = many(false, Webhooks::Both, 46).await;
    let ids: Vec<u64> = (2..=46)
        .map(|n| {
            let text = format!("from {n}");
            world
                .acme()
                .log_time(&format!("SUP-{n}"), hour("ann", &text))
                .unwrap()
        })
        .collect();
    rest(&world).await;
    // For a while no old twin can be taken away, and more and more come in.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}").times(40);
    let lost = Fault::LostBefore(FaultOutcome::Status(500));
    world.sim.fail_next("globex", deletes, lost);
    for wave in ids.chunks(33) {
        for id in wave {
            world.acme().move_to_issue(*id, "SUP-1").unwrap();
        }
        world.lose_webhooks();
        world.sweep().await;
        world.wait(120).await;
    }
    // A link that fails is looked at less and less often.
    for _ in 0..6 {
        rest(&world).await;
    }
    same_everywhere(&world, 1, 45);
    for n in 2..=46 {
        same_everywhere(&world, n, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_deletes_of_one_work_on_three_sites_one_is_undone_and_brings_it_back_everywhere() {
    for ring in [false, true] {
        let world = sites(ring, Webhooks::Both).await;
        let first = world.acme().log_time("SUP-1", hour("ann", "precious")).unwrap();
        let second = world.acme().log_time("SUP-1", hour("bob", "too")).unwrap();
        rest(&world).await;
        for id in [first, second] {
            world.acme().delete(id).unwrap();
        }
        rest(&world).await;
        same_everywhere(&world, 1, 0);
        let engine = &world.tandem.engine;
        let names: Vec<_> = engine.connections.iter().map(|one| one.name.clone()).collect();
        let mut lines = world.store.history(&names, None, 1_000).await.unwrap();
        lines.retain(|line| line.op == "delete");
        assert!(lines.len() > 2, "ring {ring}: {lines:#?}");
        let lines = engine.one_for_each(lines).await.unwrap();
        assert_eq!(lines.len(), 2, "ring {ring}: {lines:#?}");
        for line in &lines {
            engine.undelete(line).await.unwrap();
        }
        rest(&world).await;
        same_everywhere(&world, 1, 2);
    }
}

/// One hour on a chain, whose middle copy is about to go while others are edited.
async fn middle_deleted(edited: &[(&str, u64)], lost: Option<Fault>) -> World {
    let mut world = sites(false, Webhooks::Both).await;
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.acme().log_time("SUP-1", hour("bob", "beside it")).unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 2);
    world.lose_webhooks();
    let of = |site: &str| {
        let all = world.sim.site(site).worklogs();
        all.into_iter().find(|one| one.author == "ann").unwrap().id
    };
    for (site, secs) in edited {
        let edit = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = *secs as i64;
        world.sim.site(site).edit(of(site), edit).unwrap();
    }
    world.globex().delete(of("globex")).unwrap();
    world.sim.drop_deliveries();
    if let Some(fault) = lost {
        // What acme's connection does about it, nobody hears of.
        let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}");
        world.sim.fail_next("acme", deletes, fault);
    }
    for _ in 0..4 {
        rest(&world).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn whoever_was_edited_brings_the_middle_of_a_chain_back_and_holds_up_nobody() {
    for edited in [
        &[("initech", 7200)][..],
        &[("acme", 7200), ("initech", 10800)],
        &[("acme", 7200)],
    ] {
        let world = middle_deleted(edited, None).await;
        let others = |site: &str| world.sim.site(site).worklogs().len();
        assert_eq!(
            (others("acme"), others("globex"), others("initech")),
            (2, 2, 2),
            "{edited:?}"
        );
        same_everywhere(&world, 1, 2);
        assert_eq!(world.reasons().await, Vec::<&str>::new(), "{edited:?}");
        assert!(world.due().await.is_empty(), "{edited:?}");
        // And what is logged after it goes everywhere.
        world.acme().log_time("SUP-1", hour("bob", "later")).unwrap();
        rest(&world).await;
        same_everywhere(&world, 1, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_nobody_heard_of_does_not_outlive_the_edit_that_brings_its_cause_back() {
    for lost in [
        Fault::LostBefore(FaultOutcome::Reset),
        Fault::LostAfter(FaultOutcome::Reset),
    ] {
        let world = middle_deleted(&[("initech", 7200)], Some(lost)).await;
        same_everywhere(&world, 1, 2);
        assert!(
            world.said("acme", "SUP-1").iter().any(|one| one.3 == 7200),
            "{lost:?}"
        );
        assert_eq!(world.reasons().await, Vec::<&str>::new(), "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_back_in_the_middle_is_the_twin_of_what_stayed_at_the_end() {
    let world = sites(false, Webhooks::None).await;
    let id = world
        .sim
        .site("initech")
        .log_time("OPS-1", hour("ann", "work"))
        .unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    let end = world.acme().worklogs()[0].id;
    // Of the two connections, only one can look.
    world.acme().break_listing("SUP-1", 500);
    let two_hours = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 7200;
    world.sim.site("initech").edit(id, two_hours).unwrap();
    world.globex().delete(world.globex().worklogs()[0].id).unwrap();
    rest(&world).await;
    assert_eq!(world.said("globex", "DEV-1")[0].3, 7200);
    world.acme().mend_listings();
    world.wait(900).await;
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    assert_eq!(
        world.acme().worklogs()[0].id,
        end,
        "it was taken away and made anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_by_another_name_makes_again_what_the_old_one_had_made() {
    let mut world = Setup::two(2).webhooks(Webhooks::None).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    let moving = world.acme().log_time("SUP-1", hour("ann", "moves")).unwrap();
    rest(&world).await;
    world.restart(|config| config.replace("name = \"acme-globex\"", "name = \"renamed\""));
    rest(&world).await;
    world.audit().await;
    rest(&world).await;
    assert_eq!(world.globex().worklogs().len(), 2);
    let twins = world.globex().worklogs();
    let twin = twins
        .iter()
        .find(|one| one.description.as_deref() == Some("work"))
        .unwrap();
    world.globex().delete(twin.id).unwrap();
    let two_hours = |worklog: &mut tandem_sim::Content| worklog.time_spent_secs = 7200;
    world.acme().edit(id, two_hours).unwrap();
    world.acme().move_to_issue(moving, "SUP-2").unwrap();
    rest(&world).await;
    // And nothing waits behind them.
    world.acme().log_time("SUP-1", hour("bob", "later")).unwrap();
    rest(&world).await;
    for number in [1, 2] {
        let said = world.said("acme", &format!("SUP-{number}"));
        assert_eq!(said.len(), 3 - number);
        assert_eq!(world.said("globex", &format!("DEV-{number}")), said);
    }
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_from_an_issue_without_a_twin_goes_along_the_chain_again() {
    for (began, project) in [PLACES[0], PLACES[2]] {
        let world = sites(false, Webhooks::Both).await;
        let issue = format!("{project}-1");
        let began = world.sim.site(began);
        began.log_time(&issue, hour("ann", "work")).unwrap();
        rest(&world).await;
        same_everywhere(&world, 1, 1);
        // The original, or the copy at the far end.
        let far = world.sim.site("initech");
        let id = far.worklogs()[0].id;
        far.move_to_issue(id, "OPS-3").unwrap();
        rest(&world).await;
        assert!(world.globex().worklogs().is_empty());
        far.move_to_issue(id, "OPS-1").unwrap();
        rest(&world).await;
        same_everywhere(&world, 1, 1);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_moves_to_an_issue_that_is_linked_at_one_end_alone_leaves_no_copy_at_the_other() {
    for began in [PLACES[0], PLACES[2]] {
        let mut setup = three(false, Webhooks::Both, 2);
        setup.config = setup.config.replace(
            "[\"SUP-2\", \"DEV-2\"]",
            "[\"SUP-2\", \"DEV-2\"], [\"SUP-3\", \"DEV-3\"]",
        );
        let world = setup.build().await;
        let (site, project) = began;
        let issue = format!("{project}-1");
        world
            .sim
            .site(site)
            .log_time(&issue, hour("ann", "work"))
            .unwrap();
        rest(&world).await;
        same_everywhere(&world, 1, 1);
        let id = world.acme().worklogs()[0].id;
        world.acme().move_to_issue(id, "SUP-3").unwrap();
        rest(&world).await;
        assert_eq!(
            world.said("globex", "DEV-3"),
            world.said("acme", "SUP-3"),
            "{site}"
        );
        assert_eq!(world.globex().worklogs().len(), 1, "{site}");
        assert_eq!(world.sim.site("initech").worklogs(), [], "{site}");
        assert_eq!(world.reasons().await, Vec::<&str>::new(), "{site}");
        // And back.
        world.acme().move_to_issue(id, "SUP-1").unwrap();
        rest(&world).await;
        same_everywhere(&world, 1, 1);
        // Or it is deleted there, before anybody has looked.
        world.acme().move_to_issue(id, "SUP-3").unwrap();
        let link = |link: &tandem_core::LinkKey| link.connection.as_str() == "acme-globex";
        run_some(&world, link).await;
        world.acme().delete(id).unwrap();
        run_some(&world, link).await;
        rest(&world).await;
        let left = PLACES.map(|(site, _)| world.sim.site(site).worklogs().len());
        assert_eq!(left, [0, 0, 0], "{site}");
        assert_eq!(world.reasons().await, Vec::<&str>::new(), "{site}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_moves_on_before_the_far_connection_has_looked_is_nobodys_delete() {
    let mut setup = three(false, Webhooks::Both, 2);
    setup.config = setup.config.replace(
        "[\"SUP-2\", \"DEV-2\"]",
        "[\"SUP-2\", \"DEV-2\"], [\"SUP-3\", \"DEV-3\"]",
    );
    let world = setup.build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    let near = |link: &tandem_core::LinkKey| link.connection.as_str() == "acme-globex";
    world.acme().move_to_issue(id, "SUP-3").unwrap();
    run_some(&world, near).await;
    // It goes on; what stands in the middle is taken away, and whoever does so dies before it is made anew.
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    {
        let mut run = pin!(run_some(&world, near));
        while !world.globex().worklogs().is_empty() {
            let moment = tokio::time::sleep(Duration::from_millis(1));
            tokio::select! {
                () = &mut run => panic!("it was never taken away"),
                () = moment => {}
            }
        }
    }
    run_some(&world, |link| !near(link)).await;
    let far = world.sim.site("initech");
    assert_eq!(far.worklogs().len(), 1);
    rest(&world).await;
    same_everywhere(&world, 2, 1);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

/// Looks at what is due of some links alone.
async fn run_some(world: &World, which: impl Fn(&tandem_core::LinkKey) -> bool) {
    world.wait(30).await;
    let engine = &world.tandem.engine;
    for _ in 0..5 {
        let (rows, _) = engine.store.due(None).await.unwrap();
        for row in rows {
            if matches!(&row.key, DueKey::Link(link) if which(link)) {
                engine.look(&row.key).await.unwrap();
            }
        }
        world.wait(10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_copied_again_though_its_connection_had_another_name_when_it_was_first() {
    let mut world = Setup::two(1).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    rest(&world).await;
    world.restart(|config| config.replace("name = \"acme-globex\"", "name = \"renamed\""));
    rest(&world).await;
    world.audit().await;
    rest(&world).await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    rest(&world).await;
    assert!(world.globex().worklogs().is_empty());
    world.acme().move_to_issue(id, "SUP-1").unwrap();
    rest(&world).await;
    assert_eq!(world.said("globex", "DEV-1"), world.said("acme", "SUP-1"));
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn what_moves_from_one_connection_of_two_sites_to_another_of_the_same_two_is_copied_there() {
    let mut world = Setup::two(1).build().await;
    let another = "[[connections]]\nname = \"operations\"\na = \"acme\"\nb = \"globex\"\nsince = \"2026-01-01\"\n\n\
                   [connections.links]\ntable = [[\"SUP-2\", \"DEV-2\"]]\n";
    world.restart(|config| format!("{config}\n{another}"));
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    rest(&world).await;
    for issue in [2, 1, 2] {
        world.acme().move_to_issue(id, &format!("SUP-{issue}")).unwrap();
        rest(&world).await;
        world.audit().await;
        rest(&world).await;
        let there = world.said("globex", &format!("DEV-{issue}"));
        assert_eq!(there, world.said("acme", &format!("SUP-{issue}")));
        assert_eq!(world.globex().worklogs().len(), 1);
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_of_unknown_outcome_is_taken_over_by_its_connections_new_name() {
    for fault in [
        Fault::LostAfter(FaultOutcome::Hang),
        Fault::LostBefore(FaultOutcome::Hang),
    ] {
        let mut world = Setup::two(1).webhooks(Webhooks::None).build().await;
        let creates = Matcher::tempo("POST", "/4/worklogs");
        world.sim.fail_next("globex", creates, fault);
        world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world.sweep().await;
        world.tandem.engine.run_due(None).await.unwrap();
        world.restart(|config| config.replace("name = \"acme-globex\"", "name = \"renamed\""));
        rest(&world).await;
        world.audit().await;
        rest(&world).await;
        let counts = (world.acme().worklogs().len(), world.globex().worklogs().len());
        assert_eq!(counts, (1, 1), "{fault:?}");
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_far_copy_that_moves_is_made_anew_in_the_middle_though_its_run_ended_in_between() {
    let world = many(false, Webhooks::None, 2).await;
    for site in ["acme", "globex", "initech"] {
        world.sim.site(site).configure(|spec| spec.papertrail = false);
    }
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    rest(&world).await;
    same_everywhere(&world, 1, 1);
    let far = world.sim.site("initech");
    let copy = far.worklogs()[0].id;
    far.move_to_issue(copy, "OPS-2").unwrap();
    // The old one in the middle is taken away, and nobody hears that it was.
    let deletes = Matcher::tempo("DELETE", "/4/worklogs/{id}").times(1);
    world
        .sim
        .fail_next("globex", deletes, Fault::LostAfter(FaultOutcome::Status(504)));
    for _ in 0..3 {
        rest(&world).await;
    }
    world.audit().await;
    rest(&world).await;
    same_everywhere(&world, 2, 1);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn what_jira_called_deleted_in_the_middle_of_a_chain_goes_along_it_once_it_is_seen_where_it_stands() {
    let mut setup = three(false, Webhooks::None, 2);
    setup.sites[1] = setup.sites[1]
        .clone()
        .project(ProjectSpec::new("HID"))
        .issue(IssueSpec::new("HID-1"));
    setup.config = setup.config.replace("\"DEV-2\"", "\"HID-1\"");
    let world = setup.build().await;
    let middle = world.sim.site("globex");
    middle.configure(|spec| spec.papertrail = false);
    let id = middle.log_time("DEV-1", hour("ann", "moves")).unwrap();
    middle.log_time("DEV-1", hour("bob", "stays")).unwrap();
    world.sweep().await;
    world.settle().await;
    let ends = [("acme", "SUP-1"), ("initech", "OPS-1")];
    for (site, issue) in ends {
        assert_eq!(world.said(site, issue).len(), 2, "{site}");
    }
    world.wait(120).await;
    middle.set_permission(Some("HID"), Permission::Browse, false);
    middle.move_to_issue(id, "HID-1").unwrap();
    for _ in 0..3 {
        world.wait(300).await;
        world.sweep().await;
        world.settle().await;
    }
    for (site, issue) in ends {
        assert_eq!(world.said(site, issue).len(), 1, "{site}");
    }
    middle.restore_permissions();
    for _ in 0..2 {
        world.wait(600).await;
        world.sweep().await;
        world.audit().await;
        world.settle().await;
    }
    for (site, issue) in [("acme", "SUP-2"), ("initech", "OPS-2")] {
        assert_eq!(world.said(site, issue).len(), 1, "{site}");
    }
}
