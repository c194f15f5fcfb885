//! What cannot be written waits with its reason, holds up nobody, and goes on by itself.

use std::collections::BTreeSet;

use tandem_core::{IssueId, Reason};
use tandem_engine::EngineError;
use tandem_engine::operator::QueueId;
use tandem_engine::ports::Store;
use tandem_sim::{
    AttributeKind, AttributeSpec, Content, Fault, FaultOutcome, IssueSpec, Matcher, Permission,
};

use crate::world::{Setup, Webhooks, World, hour};

#[tokio::test(start_paused = true)]
async fn an_author_unknown_on_the_other_site_waits_and_the_others_go_on() {
    let mut world = Setup::two(1).build().await;
    world
        .acme()
        .log_time("SUP-1", hour("eve-acme", "of eve"))
        .unwrap();
    world.acme().log_time("SUP-1", hour("ann", "of ann")).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, ["author-unmapped"]);

    // Once the map names her, hers goes on by itself.
    world.restart(|config| {
        format!("{config}\n[connections.authors]\nmap = [[\"eve-acme\", \"eve-globex\"]]\n")
    });
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 2);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn an_author_is_found_by_a_visible_address() {
    let mut setup = Setup::two(1);
    for (index, account) in ["ida-1", "ida-2"].iter().enumerate() {
        let user = tandem_sim::UserSpec::new(*account, "Ida").visible_email("ida@example.org");
        setup.sites[index] = setup.sites[index].clone().user(user);
    }
    let world = setup.build().await;
    let id = world.acme().log_time("SUP-1", hour("ida-1", "of ida")).unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1")[0].0, "ida-2");
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("globex", "DEV-1")[0].3, 60);
    assert_eq!(world.said("acme", "SUP-1")[0].0, "ida-1");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_author_may_go_to_a_fallback_account_with_the_name_in_the_text() {
    let setup = Setup::two(1).extra("[connections.authors]\nunknown = \"account:bob\"\n");
    let world = setup.build().await;
    world
        .acme()
        .log_time("SUP-1", hour("eve-acme", "debugging"))
        .unwrap();
    world.settle().await;
    let said = world.said("globex", "DEV-1");
    assert_eq!(
        (said[0].0.as_str(), said[0].5.as_str()),
        ("bob", "[Eve Moor] debugging")
    );
    let twin = world.globex().worklogs()[0].id;
    world
        .globex()
        .edit(twin, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    let said = world.said("acme", "SUP-1");
    assert_eq!(
        (said[0].0.as_str(), said[0].3, said[0].5.as_str()),
        ("eve-acme", 60, "debugging")
    );
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_people_up_has_the_fallback_account_all_the_same() {
    let setup = Setup::two(1).extra("[connections.authors]\nunknown = \"account:bob\"\n");
    let world = setup.build().await;
    for site in ["acme", "globex"] {
        for path in ["/rest/api/3/user", "/rest/api/3/user/search"] {
            let users = Matcher::jira("GET", path).times(100);
            let refused = Fault::LostBefore(FaultOutcome::Status(403));
            world.sim.fail_next(site, users, refused);
        }
    }
    world
        .acme()
        .log_time("SUP-1", hour("eve-acme", "debugging"))
        .unwrap();
    world.settle().await;
    let said = world.said("globex", "DEV-1");
    assert_eq!(
        (said[0].0.as_str(), said[0].5.as_str()),
        ("bob", "[eve-acme] debugging")
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_in_front_of_a_text_stays_whoever_is_known_later() {
    let edits = [
        // The look-up's row has grown old and was removed.
        |_: &mut World| {},
        // Eve is mapped by now: what was written before keeps its author.
        |world: &mut World| {
            world.restart(|config| {
                let authors = "unknown = \"account:bob\"\nmap = [[\"eve-acme\", \"ann\"]]\n";
                config.replace("unknown = \"account:bob\"\n", authors)
            });
        },
        // Nobody stands for unknown authors any more.
        |world: &mut World| world.restart(|config| config.replace("unknown = \"account:bob\"\n", "")),
    ];
    for (number, change) in edits.into_iter().enumerate() {
        let setup = Setup::two(1).extra("[connections.authors]\nunknown = \"account:bob\"\n");
        let mut world = setup.build().await;
        let id = world
            .acme()
            .log_time("SUP-1", hour("eve-acme", "debugging"))
            .unwrap();
        world.settle().await;
        world.wait(4000).await;
        world.table.sweep_expired().await.unwrap();
        change(&mut world);
        let twin = world.globex().worklogs()[0].id;
        let says = |text: &'static str| move |content: &mut Content| content.description = Some(text.into());
        world.acme().edit(id, says("debugged")).unwrap();
        world.sweep().await;
        world.settle().await;
        let said = world.said("globex", "DEV-1");
        assert_eq!(
            (said[0].0.as_str(), said[0].5.as_str()),
            ("bob", "[Eve Moor] debugged"),
            "{number}"
        );
        world.globex().edit(twin, says("[Eve Moor] done")).unwrap();
        world.settle().await;
        let said = world.said("acme", "SUP-1");
        assert_eq!(
            (said[0].0.as_str(), said[0].5.as_str()),
            ("eve-acme", "done"),
            "{number}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_always_fail_do_not_hold_up_the_others_of_their_issue() {
    let world = Setup::two(1).build().await;
    let says = |text: String| move |content: &mut Content| content.description = Some(text.clone());
    let log = |text: &str| world.acme().log_time("SUP-1", hour("ann", text)).unwrap();
    let poisoned: Vec<u64> = (0..4).map(|n| log(&format!("fine {n}"))).collect();
    let healthy = log("healthy");
    world.settle().await;
    let lost = Fault::LostBefore(FaultOutcome::Status(500));
    let updates = Matcher::tempo("PUT", "/4/worklogs/{id}").body_contains("poison");
    world.sim.fail_next("globex", updates.times(usize::MAX), lost);
    for (n, id) in poisoned.into_iter().enumerate() {
        world.acme().edit(id, says(format!("poison {n}"))).unwrap();
    }
    world.settle().await;
    world.wait(600).await;
    world.acme().edit(healthy, says("in time".into())).unwrap();
    log("new");
    for _ in 0..4 {
        world.settle().await;
        world.wait(600).await;
        world.sweep().await;
    }
    // Nobody is asked the same again and again meanwhile.
    let refused = world
        .sim
        .requests()
        .into_iter()
        .filter(|request| request.status == 500);
    let refused = refused.count();
    assert!(
        refused < 150,
        "{refused} requests that failed in {} s",
        3000 + 5 * 30
    );
    let texts: Vec<String> = world
        .said("globex", "DEV-1")
        .into_iter()
        .map(|said| said.5)
        .collect();
    assert!(texts.contains(&"in time".to_owned()), "{texts:?}");
    assert!(texts.contains(&"new".to_owned()), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn values_of_an_attribute_that_a_site_has_no_more_are_not_cleared_on_the_other() {
    let mut setup = Setup::two(1)
        .extra("[connections.attributes]\nmap = [{ a = \"_Account_\", b = \"_Customer_\" }, { a = \"_Kind_\", b = \"_Kind_\" }]\n");
    for (site, key) in [(0, "_Account_"), (0, "_Kind_"), (1, "_Customer_"), (1, "_Kind_")] {
        let attribute = AttributeSpec::new(key, key, AttributeKind::InputField);
        setup.sites[site] = setup.sites[site].clone().attribute(attribute);
    }
    let world = setup.build().await;
    let content = hour("ann", "work")
        .attribute("_Account_", "ACME1")
        .attribute("_Kind_", "travel");
    let id = world.acme().log_time("SUP-1", content).unwrap();
    world.settle().await;
    let kept = |key: &str| world.globex().worklogs()[0].attributes.get(key).cloned();
    assert_eq!(kept("_Customer_").as_deref(), Some("ACME1"));
    let other = world.another("other");
    world
        .acme()
        .edit(id, |content| content.time_spent_secs = 600)
        .unwrap();
    world.wait(5).await;
    other.engine.run_due(None).await.unwrap();
    assert_eq!(world.said("globex", "DEV-1")[0].3, 600);
    world.acme().remove_attribute("_Account_");
    world.audit().await;
    world.settle().await;
    world
        .acme()
        .edit(id, |content| content.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    assert_eq!(kept("_Customer_").as_deref(), Some("ACME1"));
    assert_eq!(world.reasons().await, ["attribute-unmapped"]);
    // Nor by a process that knows the attribute from before, and tries again what waits.
    world.wait(1000).await;
    other.engine.run_due(None).await.unwrap();
    assert_eq!(kept("_Customer_").as_deref(), Some("ACME1"));
    assert_eq!(world.reasons().await, ["attribute-unmapped"]);
    // Nor where the site has none at all any more.
    world.acme().remove_attribute("_Kind_");
    world.wait(1000).await;
    world.audit().await;
    world.settle().await;
    assert_eq!(kept("_Customer_").as_deref(), Some("ACME1"));
    assert_eq!(kept("_Kind_").as_deref(), Some("travel"));

    // One that somebody cleared is another matter.
    let world = {
        let mut setup =
            Setup::two(1).extra("[connections.attributes]\nmap = [{ a = \"_Kind_\", b = \"_Kind_\" }]\n");
        for site in 0..2 {
            let attribute = AttributeSpec::new("_Kind_", "Kind", AttributeKind::InputField);
            setup.sites[site] = setup.sites[site].clone().attribute(attribute);
        }
        setup.build().await
    };
    let id = world
        .acme()
        .log_time("SUP-1", hour("ann", "work").attribute("_Kind_", "travel"))
        .unwrap();
    world.settle().await;
    world
        .acme()
        .edit(id, |content| content.attributes.clear())
        .unwrap();
    world.settle().await;
    assert!(world.globex().worklogs()[0].attributes.is_empty());
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_closed_period_waits_until_it_is_opened() {
    let world = Setup::two(1).build().await;
    world
        .globex()
        .close_period("2026-03-01".parse().unwrap(), "2026-03-31".parse().unwrap());
    world.acme().log_time("SUP-1", hour("ann", "march")).unwrap();
    let april = tandem_sim::Content::new("ann", "2026-04-02", "13:30:00", 600).text("april");
    world.acme().log_time("SUP-1", april).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, ["period-closed"]);
    world.globex().open_periods();
    world.wait(1000).await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 2);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_site_refuses_again_and_again_waits_since_the_first_time() {
    let world = Setup::two(1).build().await;
    world
        .globex()
        .close_period("2026-03-01".parse().unwrap(), "2026-03-31".parse().unwrap());
    world.acme().log_time("SUP-1", hour("ann", "march")).unwrap();
    world.settle().await;
    let engine = &world.tandem.engine;
    let first = engine.queue().await.unwrap().remove(0);
    assert_eq!(first.attempts, 1);
    world.wait(1000).await;
    world.settle().await;
    world.wait(1000).await;
    world.settle().await;
    let again = engine.queue().await.unwrap().remove(0);
    assert_eq!((again.since, again.attempts), (first.since, 3));
    // Who its author is is asked in between, and the intent taken back for that.
    world
        .globex()
        .set_permission(None, Permission::LogForOthers, false);
    world.globex().open_periods();
    world.wait(1000).await;
    world.settle().await;
    let refused = engine.queue().await.unwrap().remove(0);
    assert_eq!((refused.since, refused.attempts), (first.since, 4));
}

#[tokio::test(start_paused = true)]
async fn what_a_site_does_not_take_stays_decided_whatever_else_is_edited_meanwhile() {
    // Refused for the edit, and for the billable hours in it.
    for permission in [Permission::EditAll, Permission::SetBillable] {
        let world = Setup::two(1).build().await;
        let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
        world.settle().await;
        let twin = world.globex().worklogs()[0].id;
        world.globex().set_permission(None, permission, false);
        let billing = |secs| move |content: &mut Content| content.billable_secs = secs;
        world.globex().edit(twin, billing(1800)).unwrap();
        world.wait(5).await;
        world.acme().edit(id, billing(2700)).unwrap();
        world.settle().await;
        assert_eq!(world.reasons().await, ["permission-missing"], "{permission:?}");
        // This makes the worklog with the older of the two values the one that was edited last.
        let describe = |content: &mut Content| content.description = Some("described".into());
        world.globex().edit(twin, describe).unwrap();
        world.settle().await;
        world.globex().restore_permissions();
        world.wait(4000).await;
        world.sweep().await;
        world.settle().await;
        for (site, issue) in [("acme", "SUP-1"), ("globex", "DEV-1")] {
            let (_, _, _, _, billable, text) = world.said(site, issue).remove(0);
            assert_eq!(
                (billable, text.as_str()),
                (2700, "described"),
                "{permission:?}, {site}"
            );
        }
        assert_eq!(world.reasons().await, Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_attribute_without_a_source_waits_until_it_has_a_default() {
    let mut setup = Setup::two(1);
    let kind = AttributeSpec::new("_Activity_", "Activity", AttributeKind::InputField).required();
    setup.sites[1] = setup.sites[1].clone().attribute(kind);
    let mut world = setup.build().await;
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    assert_eq!(world.reasons().await, ["attribute-required"]);
    world.restart(|config| {
        format!(
            "{config}\n[connections.attributes]\ndefault = {{ b = {{ \"_Activity_\" = \"Support\" }} }}\n"
        )
    });
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_pause_the_site_without_hammering_and_resume_with_a_new_token() {
    let world = Setup::two(1).build().await;
    world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    world.settle().await;
    world.globex().expire_tempo_tokens();
    world.sim.reset_requests();
    world.acme().log_time("SUP-1", hour("ann", "during")).unwrap();
    world.settle().await;
    world.wait(300).await;
    world.sweep().await;
    let refused = world
        .sim
        .requests()
        .iter()
        .filter(|request| request.status == 401)
        .count();
    assert!(refused <= 3, "{refused} calls with a rejected token");
    assert_eq!(world.globex().worklogs().len(), 1);
    world.globex().replace_tempo_token("tempo-globex");
    world.wait(1000).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 2);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_lacks_something_pauses_its_site_until_it_is_whole_again() {
    let mut world = Setup::two(2).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    world.settle().await;
    world.spoil_secret(Some("globex"));
    let longer = |content: &mut tandem_sim::Content| content.time_spent_secs = 7200;
    world.acme().edit(id, longer).unwrap();
    world.acme().log_time("SUP-2", hour("ann", "during")).unwrap();
    world.settle().await;
    world.sweep().await;
    let pause = world.store.site(&"globex".into()).await.unwrap().paused.unwrap();
    assert!(pause.detail.contains("tempo_token"), "{pause:?}");
    // It is the site that waits, and nothing is said of the worklogs.
    let queue = world.tandem.engine.queue().await.unwrap();
    let reasons: BTreeSet<_> = queue.iter().map(|item| item.reason).collect();
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        [Some(Reason::CredentialsRejected)],
        "{queue:#?}"
    );
    // Not after the quarter of an hour in which a rejected token is not tried again, but with the next pass.
    assert_eq!(pause.credentials, None);
    world.spoil_secret(None);
    world.sweep().await;
    world.settle().await;
    assert!(world.store.site(&"globex".into()).await.unwrap().paused.is_none());
    assert_eq!(world.globex().worklogs().len(), 2);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_takes_the_same_token_again_goes_on_whoever_asks_first() {
    let mut setup = Setup::two(1).webhooks(Webhooks::None);
    // A row that names an issue which is not there is looked up with each pass.
    setup.config = setup
        .config
        .replace("table = [", "table = [[\"SUP-99\", \"DEV-99\"], ");
    for by_audits in [true, false] {
        let world = setup.clone().build().await;
        world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
        world.sweep().await;
        world.settle().await;
        world.globex().expire_tempo_tokens();
        world.acme().log_time("SUP-1", hour("ann", "during")).unwrap();
        world.wait(60).await;
        world.sweep().await;
        assert!(world.store.site(&"globex".into()).await.unwrap().paused.is_some());
        world.globex().replace_tempo_token("tempo-globex");
        for _ in 0..2 {
            world.wait(1000).await;
            match by_audits {
                true => world.audit().await,
                false => world.sweep().await,
            }
        }
        assert!(world.store.site(&"globex".into()).await.unwrap().paused.is_none());
        world.settle().await;
        assert_eq!(world.globex().worklogs().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_site_is_asked_once_in_a_while_however_many_links_wait_for_it() {
    let mut setup = Setup::two(12).webhooks(Webhooks::None);
    setup.config = setup
        .config
        .replace("[sites.acme]\n", "[sites.acme]\nrequests_per_second = 50\n")
        .replace("[sites.globex]\n", "[sites.globex]\nrequests_per_second = 2\n");
    let world = setup.build().await;
    world.sweep().await;
    world.globex().expire_tempo_tokens();
    for number in 1..=12 {
        let issue = format!("SUP-{number}");
        world.acme().log_time(&issue, hour("ann", &issue)).unwrap();
    }
    world.wait(60).await;
    world.sweep().await;
    world.settle().await;
    world.wait(1000).await;
    world.sim.reset_requests();
    // Whoever comes first has to wait, and the others come meanwhile.
    let second = std::time::Duration::from_secs(1);
    world
        .store
        .reserve(&"globex".into(), world.now(), second, second)
        .await
        .unwrap();
    let deadline = world.now() + jiff::SignedDuration::from_secs(60);
    world.tandem.engine.run_due(Some(deadline)).await.unwrap();
    let requests = world.sim.requests();
    let refused = requests.iter().filter(|request| request.status == 401).count();
    assert_eq!(refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_paused_site_that_does_not_answer_when_it_is_asked_is_asked_again_soon() {
    for fault in [
        Fault::LostBefore(FaultOutcome::Status(503)),
        Fault::RateLimited(Some(20)),
    ] {
        let world = Setup::two(1).webhooks(Webhooks::None).build().await;
        world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
        world.sweep().await;
        world.settle().await;
        world.globex().expire_tempo_tokens();
        world.acme().log_time("SUP-1", hour("ann", "during")).unwrap();
        world.wait(60).await;
        world.sweep().await;
        let pause = async || world.store.site(&"globex".into()).await.unwrap().paused;
        assert!(pause().await.is_some());
        world.globex().replace_tempo_token("tempo-globex");
        world.wait(1000).await;
        let listing = Matcher::tempo("POST", "/4/worklogs/search");
        world.sim.fail_next("globex", listing, fault);
        world.sweep().await;
        assert!(pause().await.is_some(), "{fault:?}");
        world.wait(70).await;
        world.sweep().await;
        assert!(pause().await.is_none(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_tempo_answers_ends_no_pause_over_jiras_token() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    world.sweep().await;
    world.settle().await;
    world.globex().replace_jira_token("another");
    let pause = async || world.store.site(&"globex".into()).await.unwrap().paused;
    for _ in 0..3 {
        world.wait(1000).await;
        world.audit().await;
        world.sweep().await;
    }
    let first = pause().await.expect("Jira rejects the token");
    for _ in 0..8 {
        world.wait(1000).await;
        world.sweep().await;
    }
    assert_eq!(pause().await.expect("it still does").since, first.since);
    world.globex().replace_jira_token("jira-globex");
    world.wait(1000).await;
    world.sweep().await;
    assert_eq!(pause().await, None);
}

#[tokio::test(start_paused = true)]
async fn looks_at_a_paused_site_leave_its_next_probe_to_a_pass() {
    let world = Setup::two(1).build().await;
    world.acme().log_time("SUP-1", hour("ann", "before")).unwrap();
    world.settle().await;
    world.globex().expire_tempo_tokens();
    world.acme().log_time("SUP-1", hour("ann", "during")).unwrap();
    world.settle().await;
    world.wait(1000).await;
    let pause = async || world.store.site(&"globex".into()).await.unwrap().paused.unwrap();
    let before = pause().await;
    assert!(before.probe_at < world.now());

    world.sim.reset_requests();
    for _ in 0..3 {
        world.tandem.engine.resume_sites().await.unwrap();
        world.tandem.engine.queue().await.unwrap();
        let called = world
            .tandem
            .engine
            .called(&"globex".into(), &BTreeSet::from(["ann".into()]))
            .await;
        assert!(
            matches!(called.error, Some(EngineError::Paused { .. })),
            "{called:?}"
        );
    }
    assert_eq!(world.sim.requests().len(), 0);
    assert_eq!(pause().await, before);
    // Who looks ahead asks the site, and takes nothing from others by that.
    let ahead = world.only_reading();
    let connection = &ahead.engine.connections[0];
    let planned = ahead.engine.links_ahead(connection).await;
    assert!(planned.is_err(), "{planned:?}");
    assert_eq!(pause().await, before);

    // The same token as before: the probe alone finds that it is taken again.
    world.globex().replace_tempo_token("tempo-globex");
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_demands_a_remaining_estimate_gets_the_one_that_the_issue_has() {
    let mut setup = Setup::two(1);
    setup.sites[1].configuration.remaining_estimate_optional = false;
    let world = setup.build().await;
    let before = world.globex().remaining_estimate("DEV-1");
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    assert_eq!(world.said("acme", "SUP-1"), world.said("globex", "DEV-1"));
    assert_eq!(
        world.globex().remaining_estimate("DEV-1").unwrap_or(0),
        before.unwrap_or(0)
    );
}

#[tokio::test(start_paused = true)]
async fn attributes_that_are_not_mapped_survive_an_edit_from_the_other_side() {
    let mut setup = Setup::two(1);
    let kind = AttributeSpec::new("_Local_", "Local", AttributeKind::InputField);
    setup.sites[1] = setup.sites[1].clone().attribute(kind);
    let world = setup.build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    let twin = world.globex().worklogs()[0].id;
    world
        .globex()
        .edit(twin, |worklog| {
            worklog.attributes.insert("_Local_".into(), "keep me".into());
        })
        .unwrap();
    world.settle().await;
    world
        .acme()
        .edit(id, |worklog| worklog.time_spent_secs = 60)
        .unwrap();
    world.settle().await;
    let twin = world.globex().worklog(twin).unwrap();
    assert_eq!(twin.time_spent_secs, 60);
    assert_eq!(
        twin.attributes.get("_Local_").map(String::as_str),
        Some("keep me")
    );
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing_waits_and_heals() {
    let world = Setup::two(1).build().await;
    world
        .globex()
        .set_permission(None, Permission::LogForOthers, false);
    world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 0);
    assert_eq!(world.reasons().await, ["permission-missing"]);
    world
        .globex()
        .set_permission(None, Permission::LogForOthers, true);
    world.wait(1000).await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn billable_hours_that_a_site_silently_keeps_are_not_called_done() {
    let world = Setup::two(1).build().await;
    world
        .globex()
        .set_permission(None, Permission::SetBillable, false);
    world
        .acme()
        .log_time("SUP-1", hour("ann", "free of charge").billable(0))
        .unwrap();
    world.settle().await;
    let verdict = world.verify().await;
    assert!(!verdict.equal);
    assert_eq!(world.reasons().await, ["permission-missing"]);
    world.globex().set_permission(None, Permission::SetBillable, true);
    world.wait(1000).await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_in_a_forced_look_still_has_its_time() {
    let world = Setup::two(1).build().await;
    world
        .globex()
        .close_period("2026-03-01".parse().unwrap(), "2026-03-31".parse().unwrap());
    world.acme().log_time("SUP-1", hour("ann", "march")).unwrap();
    world.settle().await;
    world.audit().await;
    world.settle().await;
    world.globex().open_periods();
    world.wait(1000).await;
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issue_that_a_person_asks_for_again_is_in_the_history_with_their_name() {
    let mut world = Setup::two(1).webhooks(Webhooks::TempoOnly).build().await;
    world.settle().await;
    world.acme().add_issue(IssueSpec::new("SUP-9"));
    world
        .acme()
        .log_time("SUP-9", hour("ann", "no twin yet"))
        .unwrap();
    world.wait(5).await;
    world.deliver();
    let engine = &world.tandem.engine;
    let issue = IssueId(world.acme().issue_id("SUP-9"));
    let id = QueueId::Issue {
        site: "acme".into(),
        issue,
    };
    let queue = engine.queue().await.unwrap();
    assert!(queue.iter().any(|item| item.id == id), "{queue:?}");
    let retried = engine.retry_for(&[id], Some("Ann")).await.unwrap();
    assert_eq!(retried.hinted, 1);
    let names = ["acme-globex".into()];
    let lines = world.store.history(&names, None, 10).await.unwrap();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!((line.op.as_str(), line.issue), ("retry", Some(issue)));
    assert_eq!(line.cause, "Ann: it is to be tried again");
}

#[tokio::test(start_paused = true)]
async fn of_very_many_items_that_are_tried_again_the_history_tells_the_first_thousand_and_how_many_more() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    for n in 0..1010 {
        let content = Content::new("eve-acme", "2026-03-02", "09:00:00", 60 + n).text(format!("entry {n}"));
        world.acme().log_time("SUP-1", content).unwrap();
    }
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.waiting().await.len(), 1010);
    let engine = &world.tandem.engine;
    engine.retry_for(&[], Some("Ann")).await.unwrap();
    let names = ["acme-globex".into()];
    let lines = world.store.history(&names, None, 1_000_000).await.unwrap();
    let told: Vec<_> = lines.iter().filter(|line| line.op == "retry").collect();
    assert_eq!(told.len(), 1001);
    let whole = told.iter().find(|line| line.link.is_none()).unwrap();
    assert_eq!(whole.cause, "Ann: 10 more items that wait are to be tried again");
}

#[tokio::test(start_paused = true)]
async fn who_may_log_no_time_on_a_project_there_has_the_fallback_account_there_and_there_alone() {
    let mut setup = Setup::two(2).extra("[connections.authors]\nunknown = \"account:bob\"\n");
    // Of globex's two projects, ann may work in one.
    let closed = setup.sites[1].projects[0].clone();
    let open = tandem_sim::ProjectSpec {
        key: "OPEN".into(),
        ..closed
    };
    setup.sites[1].projects.push(open);
    setup.sites[1].projects[0].workers = Some(["bob".to_owned()].into());
    setup.sites[1].issues[1] = IssueSpec::new("OPEN-1");
    setup.config = setup.config.replace("DEV-2", "OPEN-1");
    let world = setup.build().await;
    for issue in ["SUP-1", "SUP-2"] {
        world.acme().log_time(issue, hour("ann", "work")).unwrap();
    }
    world.settle().await;
    let said = |issue: &str| {
        let said = world.said("globex", issue);
        (said[0].0.clone(), said[0].5.clone())
    };
    assert_eq!(said("DEV-1"), ("bob".into(), "[Ann Archer] work".into()));
    assert_eq!(said("OPEN-1"), ("ann".into(), "work".into()));
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    // And that is no difference in the books.
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn of_several_in_one_request_the_one_that_the_site_does_not_take_alone_has_the_fallback_account() {
    let fallback = "[connections.authors]\nunknown = \"account:bob\"\n";
    let mut setup = Setup::two(1).extra(fallback).webhooks(Webhooks::None);
    setup.sites[1]
        .users
        .push(tandem_sim::UserSpec::new("eve-acme", "Eve Moor"));
    setup.sites[1].projects[0].workers = Some(["ann".to_owned(), "bob".to_owned()].into());
    let world = setup.build().await;
    for n in 0..30 {
        world
            .acme()
            .log_time("SUP-1", hour("ann", &format!("ann {n}")))
            .unwrap();
    }
    world.acme().log_time("SUP-1", hour("eve-acme", "eve")).unwrap();
    for _ in 0..3 {
        world.sweep().await;
        world.settle().await;
    }
    let twins = world.globex().worklogs();
    let of = |author: &str| twins.iter().filter(|one| one.author == author).count();
    assert_eq!((of("ann"), of("bob"), twins.len()), (30, 1, 31));
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    world.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_puts_one_row_on_a_page_keeps_nothing_back() {
    let rules = "[connections.attributes]\nmap = [{ a = \"_Z_\", b = \"_Z_\" }]\n";
    let mut setup = Setup::two(1).extra(rules).webhooks(Webhooks::None);
    for (spec, value) in setup.sites.iter_mut().zip(["uuid-on-acme", "uuid-on-globex"]) {
        spec.page_max = 1;
        let other = AttributeSpec::new("_A_", "A", AttributeKind::InputField);
        let list = AttributeSpec::new("_Z_", "Z", AttributeKind::StaticList);
        spec.attributes = vec![other, list.value(value, "Travel")];
    }
    let world = setup.build().await;
    for n in 0..50 {
        let content = hour("ann", &format!("work {n}")).attribute("_Z_", "uuid-on-acme");
        world.acme().log_time("SUP-1", content).unwrap();
    }
    world.sweep().await;
    world.settle().await;
    let twins = world.globex().worklogs();
    assert_eq!(twins.len(), 50);
    let is_translated = |twin: &tandem_sim::Worklog| twin.attributes["_Z_"] == "uuid-on-globex";
    assert!(twins.iter().all(is_translated));
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_may_not_search_finds_out_why() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    let engine = &world.tandem.engine;
    world.sweep().await;
    let search = Matcher::tempo("POST", "/4/worklogs/search").times(100);
    world
        .sim
        .fail_next("globex", search, Fault::LostBefore(FaultOutcome::Status(403)));
    world.globex().set_permission(None, Permission::EditAll, false);
    let swept = engine.sweep().await.unwrap();
    assert_eq!(swept.failed, 1);
    let state = engine.store.site(&"globex".into()).await.unwrap();
    assert!(!state.missing_permissions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_a_text_too_long_for_a_row_waits_and_holds_up_nobody_else() {
    let world = Setup::two(1).build().await;
    let long = "時".repeat(30_000);
    let id = world.acme().log_time("SUP-1", hour("ann", &long)).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 1);
    let longer = format!("{long}間");
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some(longer.clone()))
        .unwrap();
    world.acme().log_time("SUP-1", hour("bob", "another")).unwrap();
    world.settle().await;
    assert_eq!(world.globex().worklogs().len(), 2);
    assert_eq!(world.reasons().await, ["rejected"]);
    // A shorter one goes across.
    world
        .acme()
        .edit(id, |worklog| worklog.description = Some("short".into()))
        .unwrap();
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
}
