//! What `plan` lists is what `reconcile` then does, request for request.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{LinkKey, Side};
use tandem_engine::operator::{Proposal, ProposedOp};
use tandem_engine::ports::store::DueKey;
use tandem_sim::{Content, SiteHandle};

use crate::world::{Setup, Webhooks, World};

/// Draws the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn of<'t, T>(&mut self, some: &'t [T]) -> &'t T {
        &some[self.next(some.len())]
    }
}

/// One write: what, where, to which worklog, and what it says then (or said, for a delete).
type Written = (String, String, u64, Option<u64>, String);

fn line(author: &str, day: impl ToString, time: String, secs: u64, billable: u64, text: &str) -> String {
    format!("{author} {} {time} {secs} {billable} {text}", day.to_string())
}

fn core_line(content: &tandem_core::Content) -> String {
    let time = content
        .start_time
        .map(|time| time.to_string())
        .unwrap_or_default();
    let billable = content.billable_secs.unwrap_or_default();
    let text = &content.description;
    line(
        content.author.as_str(),
        content.start_date,
        time,
        content.time_spent_secs,
        billable,
        text,
    )
}

fn sim_line(worklog: &Content) -> String {
    let text = worklog.description.as_deref().unwrap_or_default();
    let (secs, billable) = (worklog.time_spent_secs as u64, worklog.billable_secs as u64);
    line(
        &worklog.author,
        worklog.start_date,
        worklog.start_time.to_string(),
        secs,
        billable,
        text,
    )
}

/// How many requests of each kind change worklogs: one for each step, and none besides.
fn asked(world: &World) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for write in world.writes() {
        let method = write.split(' ').next().unwrap().to_owned();
        *kinds.entry(method).or_default() += 1;
    }
    kinds
}

fn requests(written: &[Written]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (op, ..) in written {
        let method = match op.as_str() {
            "create" => "POST",
            "update" => "PUT",
            _ => "DELETE",
        };
        *kinds.entry(method.to_owned()).or_default() += 1;
    }
    kinds
}

/// A delete names its worklog alone, which a person may have moved since.
fn named(op: &str, issue: u64) -> u64 {
    if op == "delete" { 0 } else { issue }
}

fn planned(proposals: &[Proposal]) -> Vec<Written> {
    let site = |side: Side| if side == Side::A { "acme" } else { "globex" };
    let writes = proposals.iter().filter(|one| one.op != ProposedOp::Park);
    writes
        .map(|one| {
            let said = one.after.as_ref().or(one.before.as_ref()).unwrap();
            (
                one.op.as_str().to_owned(),
                site(one.side).to_owned(),
                named(one.op.as_str(), one.issue.0),
                one.worklog.map(|id| id.0),
                core_line(said),
            )
        })
        .collect()
}

fn done(world: &World) -> Vec<Written> {
    let journal = world.sim.take_journal().into_iter();
    journal
        .filter(|change| change.client.is_some())
        .map(|change| {
            let op = match (&change.before, &change.after) {
                (None, _) => "create",
                (_, None) => "delete",
                _ => "update",
            };
            let worklog = change.after.as_ref().or(change.before.as_ref()).unwrap();
            let id = change.before.is_some().then_some(worklog.id);
            (
                op.to_owned(),
                change.site,
                named(op, worklog.issue),
                id,
                sim_line(&worklog.content),
            )
        })
        .collect()
}

/// Somebody does something on one of the sites.
fn act(world: &World, dice: &mut Dice, moves: bool) {
    let on_acme = dice.next(2) == 0;
    let (site, project): (SiteHandle, &str) = match on_acme {
        true => (world.acme(), "SUP"),
        false => (world.globex(), "DEV"),
    };
    let issue = format!("{project}-{}", 1 + dice.next(4));
    let known: Vec<u64> = site.worklogs().iter().map(|worklog| worklog.id).collect();
    let kinds = if moves { 8 } else { 7 };
    match dice.next(kinds) {
        0..=2 => {
            let author = *dice.of(&["ann", "bob"]);
            let day = format!("2026-02-{:02}", 1 + dice.next(20));
            let time = format!("{:02}:30:00", 8 + dice.next(9));
            let text = format!("text {}", dice.next(1000));
            let secs = 900 * (1 + dice.next(8) as i64);
            let content = Content::new(author, &day, &time, secs)
                .text(text)
                .billable(900 * dice.next(2) as i64);
            site.log_time(&issue, content).unwrap();
        }
        kind if !known.is_empty() => {
            let id = *dice.of(&known);
            let number = dice.next(1000);
            match kind {
                3 | 4 => site.edit(id, |content| {
                    content.description = Some(format!("edited {number}"))
                }),
                5 => site.edit(id, |content| content.time_spent_secs = 60 + number as i64),
                // One that is deleted on one side and moved on the other is settled between several runs.
                6 if !moves => site.delete(id),
                6 => Ok(()),
                _ => site.move_to_issue(id, &issue),
            }
            .unwrap();
        }
        _ => {}
    }
}

/// What `plan` lists, link by link.
async fn plan(world: &World) -> Vec<(LinkKey, Vec<Proposal>)> {
    let tandem = world.only_reading();
    let engine = &tandem.engine;
    engine.deletes_ahead().await.unwrap();
    let connection = &engine.connections[0];
    let mut all = Vec::new();
    for link in engine.links_ahead(connection).await.unwrap() {
        let proposals = engine.proposals(connection, &link).await.unwrap();
        all.push((link, proposals));
    }
    all
}

fn sorted(mut written: Vec<Written>) -> Vec<Written> {
    written.sort();
    written
}

async fn a_random_life(seed: u64, extra: &str, moves: bool) -> usize {
    let world = Setup::two(3).extra(extra).webhooks(Webhooks::None).build().await;
    world.sim.keep_journal();
    let mut dice = Dice(seed);
    let mut compared = 0;
    for round in 0..5 {
        for _ in 0..(4 + dice.next(12)) {
            act(&world, &mut dice, moves);
            world.wait(dice.next(4) as u64).await;
        }
        // Until what is refused by a brake or a person is looked at again, and no listing lags.
        world.wait(400).await;
        world.sim.take_journal();
        let before: BTreeSet<_> = world.waiting().await.into_iter().map(|pair| pair.id).collect();
        let plans = plan(&world).await;
        assert_eq!(done(&world), [], "planning wrote");
        let expected: Vec<Written> = plans.iter().flat_map(|(_, steps)| planned(steps)).collect();

        world.sim.reset_requests();
        world.tandem.engine.sweep_pass().await.unwrap();
        // Of links between which a worklog moves, the order in which they are run decides who does what.
        if moves || round % 2 == 0 {
            // One link after the other, in the order of the plan.
            for (link, _) in &plans {
                world
                    .tandem
                    .engine
                    .look(&DueKey::Link(link.clone()))
                    .await
                    .unwrap();
            }
            assert_eq!(done(&world), expected, "seed {seed}, round {round}: {plans:#?}");
        } else {
            world.tandem.engine.run_due(None).await.unwrap();
            assert_eq!(
                sorted(done(&world)),
                sorted(expected.clone()),
                "seed {seed}, round {round}"
            );
        }
        assert_eq!(asked(&world), requests(&expected), "seed {seed}, round {round}");
        compared += expected.len();
        if !moves {
            let mut parks: BTreeMap<String, usize> = BTreeMap::new();
            for step in plans.iter().flat_map(|(_, steps)| steps) {
                if step.op == ProposedOp::Park {
                    let reason = step.reason.split(':').next().unwrap().to_owned();
                    *parks.entry(reason).or_default() += 1;
                }
            }
            let mut waits: BTreeMap<String, usize> = BTreeMap::new();
            for pair in world
                .waiting()
                .await
                .iter()
                .filter(|pair| !before.contains(&pair.id))
            {
                let reason = pair.wait.as_ref().unwrap().reason.as_str().to_owned();
                *waits.entry(reason).or_default() += 1;
            }
            assert_eq!(parks, waits, "seed {seed}, round {round}");
        }
        world.settle().await;
        world.sim.take_journal();
    }
    compared
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done() {
    let mut compared = 0;
    for seed in 0..6 {
        compared += a_random_life(seed, "", false).await;
    }
    assert!(compared > 100, "{compared} writes were compared");
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done_where_policies_set_things_aside() {
    let policy = "[connections.policy]\nconflict = \"park\"\nmass_delete = { max = 2, within = \"1h\" }\n";
    for seed in 10..14 {
        a_random_life(seed, policy, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done_when_worklogs_move() {
    for seed in 20..26 {
        a_random_life(seed, "", true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_whole_however_long_it_is() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    for n in 0..1100 {
        let content = Content::new("ann", "2026-02-02", "09:00:00", 60 + n).text(format!("entry {n}"));
        world.acme().log_time("SUP-1", content).unwrap();
    }
    let plans = plan(&world).await;
    assert_eq!(plans[0].1.len(), 1100);
}
