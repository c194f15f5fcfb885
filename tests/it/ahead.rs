//! What `plan` lists is what `reconcile` then does, request for request: method, address and every field of the body, in
//! the order of each link, with the same reads before them; and what it sets aside is what waits then.
//!
//! Where worklogs move, links bear on each other, and less is true, here and in `docs/operate.md`. All that is listed is
//! done, and nothing else, but it may take several looks: one that another link's run overtook begins anew, and a pair
//! whose twin was deleted meanwhile may first wait as missing. Of the reads it is true then that a look reads nothing of a
//! worklog that the plan did not read. What becomes of twins that went to different linked issues is not foreseen at all,
//! nor what a site refuses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tandem_core::{AccountId, Content, LinkKey, PairId, Side, Wait, WorklogId};
use tandem_engine::operator::{Proposal, ProposedOp};
use tandem_engine::ports::store::{DueKey, Store};
use tandem_sim::{AttributeKind, AttributeSpec, SiteHandle};

use crate::world::{Setup, Webhooks, World, hour, is_write};

/// One attribute is kept the same on both sites; each site has one that the other knows nothing of.
const ATTRIBUTES: &str = "[connections.attributes]\nmap = [{ a = \"_Task_\", b = \"_Work_\" }]\n";

const POLICY: &str =
    "[connections.policy]\nconflict = \"park\"\nmass_delete = { max = 2, within = \"1h\" }\n";

const KNOWN: [[&str; 2]; 2] = [["_Task_", "_Desk_"], ["_Work_", "_Room_"]];

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

/// A request that changes a worklog, as its site gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    site: String,
    method: String,
    path: String,
    body: BTreeMap<String, String>,
}

/// What became of a worklog: none before where it is new, none after where it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    site: String,
    issue: u64,
    worklog: Option<u64>,
    before: Option<Content>,
    after: Option<Content>,
}

/// A worklog that is set aside, with the reason code and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aside {
    side: Side,
    worklog: Option<WorklogId>,
    why: String,
}

fn site_of(step: &Proposal) -> String {
    let site = if step.side == Side::A { "acme" } else { "globex" };
    site.to_owned()
}

fn is_write_step(step: &&Proposal) -> bool {
    step.op != ProposedOp::Park
}

/// The request that a step of a plan stands for, down to the last field of its body.
fn request_of(step: &Proposal) -> Asked {
    let (method, path) = match (step.op, step.worklog) {
        (ProposedOp::Create, None) => ("POST", "/4/worklogs".to_owned()),
        (ProposedOp::Update, Some(id)) => ("PUT", format!("/4/worklogs/{id}")),
        (ProposedOp::Delete, Some(id)) => ("DELETE", format!("/4/worklogs/{id}")),
        _ => panic!("{step:?}"),
    };
    let mut body = Map::new();
    if let Some(after) = &step.after {
        let attributes = after.attributes.iter();
        let attributes: Vec<Value> = attributes
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        body.insert("authorAccountId".into(), json!(after.author));
        body.insert("startDate".into(), json!(after.start_date));
        body.insert("startTime".into(), json!(after.start_time.unwrap()));
        body.insert("timeSpentSeconds".into(), json!(after.time_spent_secs));
        body.insert("billableSeconds".into(), json!(after.billable_secs.unwrap()));
        body.insert("description".into(), json!(after.description));
        body.insert("attributes".into(), json!(attributes));
    }
    if step.op == ProposedOp::Create {
        body.insert("issueId".into(), json!(step.issue));
    }
    Asked {
        site: site_of(step),
        method: method.to_owned(),
        path,
        body: fields(body),
    }
}

fn fields(body: Map<String, Value>) -> BTreeMap<String, String> {
    body.into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}

/// The requests to change worklogs that the sites got, in order; all of them were granted.
fn asked(world: &World) -> Vec<Asked> {
    let requests = world.sim.requests().into_iter().filter(is_write);
    requests
        .map(|request| {
            assert!((200..300).contains(&request.status), "{request:?}");
            let body = match request.body.as_str() {
                "" => Map::new(),
                body => serde_json::from_str(body).unwrap(),
            };
            Asked {
                site: request.site,
                method: request.method,
                path: request.path,
                body: fields(body),
            }
        })
        .collect()
}

/// What a step of a plan is to make of a worklog.
fn change_of(step: &Proposal) -> Change {
    Change {
        site: site_of(step),
        issue: step.issue.0,
        worklog: step.worklog.map(|id| id.0),
        before: step.before.clone(),
        after: step.after.clone(),
    }
}

fn as_told(worklog: &tandem_sim::Content) -> Content {
    Content {
        author: AccountId::new(worklog.author.clone()),
        start_date: worklog.start_date,
        start_time: Some(worklog.start_time),
        time_spent_secs: worklog.time_spent_secs as u64,
        billable_secs: Some(worklog.billable_secs as u64),
        description: worklog.description.clone().unwrap_or_default(),
        attributes: worklog.attributes.clone(),
    }
}

/// What became of worklogs by requests, in order, as the sites remember it.
fn done(world: &World) -> Vec<Change> {
    let journal = world.sim.take_journal().into_iter();
    journal
        .filter(|change| change.client.is_some())
        .map(|change| {
            // Where it stood: a move would show in the issue of an update.
            let worklog = change.before.as_ref().or(change.after.as_ref()).unwrap();
            Change {
                site: change.site,
                issue: worklog.issue,
                worklog: change.before.is_some().then_some(worklog.id),
                before: change.before.as_ref().map(|worklog| as_told(&worklog.content)),
                after: change.after.as_ref().map(|worklog| as_told(&worklog.content)),
            }
        })
        .collect()
}

/// What the plan sets aside.
fn asides_of<'s>(steps: impl Iterator<Item = &'s Proposal>) -> Vec<Aside> {
    let parks = steps.filter(|step| step.op == ProposedOp::Park);
    sorted(parks.map(|step| Aside {
        side: step.side,
        worklog: step.worklog,
        why: step.reason.clone(),
    }))
}

/// What waits in the table, by its pair.
async fn waits(world: &World) -> BTreeMap<PairId, (Aside, Wait)> {
    let waiting = world.waiting().await.into_iter();
    waiting
        .map(|pair| {
            let wait = pair.wait.unwrap();
            let aside = Aside {
                side: wait.side,
                worklog: pair.ids[wait.side].or(pair.ids[wait.side.other()]),
                why: format!("{}: {}", wait.reason, wait.detail),
            };
            (pair.id, (aside, wait))
        })
        .collect()
}

/// The requests that only read, in order.
fn reads(world: &World) -> Vec<String> {
    let requests = world.sim.requests().into_iter();
    requests
        // Definitions are remembered from then on.
        .filter(|request| !is_write(request) && !request.path.starts_with("/4/work-attributes"))
        .map(|request| {
            format!(
                "{} {} {} {}",
                request.site, request.method, request.path, request.body
            )
        })
        .collect()
}

/// What people do in a life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acts {
    /// They log time, edit it and delete it.
    InPlace,
    /// They also move it to other issues, of which some have no twin.
    WithMoves,
}

/// The twins of a round's beginning, and which worklogs were moved since. That both twins are moved to different issues is
/// kept out of the lives: which of the two moves counts is decided by the run that comes first.
struct Twins {
    of: BTreeMap<u64, u64>,
    moved: BTreeSet<u64>,
}

impl Twins {
    async fn now(world: &World) -> Self {
        let connection = &world.tandem.engine.connections[0].name;
        let (links, next) = world.store.links(connection, None).await.unwrap();
        assert_eq!(next, None);
        let mut of = BTreeMap::new();
        for link in links {
            for pair in world.store.pairs(&link.key).await.unwrap() {
                if let (Some(a), Some(b)) = (pair.ids.a, pair.ids.b) {
                    of.extend([(a.0, b.0), (b.0, a.0)]);
                }
            }
        }
        let moved = BTreeSet::new();
        Self { of, moved }
    }

    /// Notes that a worklog is moved, unless its twin was.
    fn may_move(&mut self, id: u64) -> bool {
        let twin_moved = self.of.get(&id).is_some_and(|twin| self.moved.contains(twin));
        if !twin_moved {
            self.moved.insert(id);
        }
        !twin_moved
    }
}

/// Somebody does something on one of the sites.
fn act(world: &World, dice: &mut Dice, acts: Acts, twins: &mut Twins) {
    let on_acme = dice.next(2) == 0;
    let (site, project): (SiteHandle, &str) = match on_acme {
        true => (world.acme(), "SUP"),
        false => (world.globex(), "DEV"),
    };
    let issue = format!("{project}-{}", 1 + dice.next(4));
    let known: Vec<u64> = site.worklogs().iter().map(|worklog| worklog.id).collect();
    let [shared, own] = KNOWN[usize::from(!on_acme)];
    let kinds = match acts {
        Acts::InPlace => 9,
        Acts::WithMoves => 10,
    };
    match dice.next(kinds) {
        0..=2 => {
            let author = *dice.of(&["ann", "bob"]);
            let day = format!("2026-02-{:02}", 1 + dice.next(20));
            let time = format!("{:02}:30:00", 8 + dice.next(9));
            let text = format!("text {}", dice.next(1000));
            let secs = 900 * (1 + dice.next(8) as i64);
            let mut content = tandem_sim::Content::new(author, &day, &time, secs)
                .text(text)
                .billable(900 * dice.next(2) as i64);
            if dice.next(2) == 0 {
                content = content.attribute(shared, format!("task {}", dice.next(3)));
            }
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
                6 => site.delete(id),
                7 => site.edit(id, |content| {
                    content.attributes.insert(own.to_owned(), format!("own {number}"));
                }),
                8 => site.edit(id, |content| match number % 3 {
                    0 => drop(content.attributes.remove(shared)),
                    _ => drop(
                        content
                            .attributes
                            .insert(shared.to_owned(), format!("task {number}")),
                    ),
                }),
                _ if twins.may_move(id) => site.move_to_issue(id, &issue),
                _ => Ok(()),
            }
            .unwrap();
        }
        _ => {}
    }
}

/// A link, what the plan lists for it, and what was read for that.
struct Planned {
    link: LinkKey,
    steps: Vec<Proposal>,
    reads: Vec<String>,
}

/// What `plan` lists, link by link.
async fn plan(world: &World) -> Vec<Planned> {
    let tandem = world.only_reading();
    let engine = &tandem.engine;
    engine.deletes_ahead().await.unwrap();
    let connection = &engine.connections[0];
    let mut all = Vec::new();
    let links = engine.links_ahead(connection).await.unwrap();
    for link in links.clone() {
        world.sim.reset_requests();
        let steps = engine.proposals(connection, &link, &links).await.unwrap();
        assert_eq!(asked(world), []);
        let reads = reads(world);
        all.push(Planned { link, steps, reads });
    }
    engine.rest().await.unwrap();
    all
}

fn sorted<T: Ord>(of: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = of.into_iter().collect();
    all.sort();
    all
}

async fn a_random_life(seed: u64, extra: &str, acts: Acts) -> usize {
    let moves = acts == Acts::WithMoves;
    let mut setup = Setup::two(3)
        .extra(ATTRIBUTES)
        .extra(extra)
        .webhooks(Webhooks::None);
    for (spec, known) in setup.sites.iter_mut().zip(KNOWN) {
        for key in known {
            *spec = spec
                .clone()
                .attribute(AttributeSpec::new(key, key, AttributeKind::InputField));
        }
    }
    let world = setup.build().await;
    world.sim.keep_journal();
    let mut dice = Dice(seed);
    let mut compared = 0;
    for round in 0..5 {
        let mut twins = Twins::now(&world).await;
        for _ in 0..(4 + dice.next(12)) {
            act(&world, &mut dice, acts, &mut twins);
            world.wait(dice.next(4) as u64).await;
        }
        // Until what is refused by a brake or a person is looked at again, and no listing lags.
        world.wait(400).await;
        world.sim.take_journal();
        let told = format!("seed {seed}, round {round}");
        let before = (world.rows().await, waits(&world).await);
        let plans = plan(&world).await;
        assert_eq!(done(&world), [], "{told}: planning wrote to a site");
        assert_eq!(
            world.rows().await,
            before.0,
            "{told}: planning wrote to the table"
        );
        let steps = || plans.iter().flat_map(|planned| &planned.steps);
        let expected: Vec<Change> = steps().filter(is_write_step).map(change_of).collect();
        let requests: Vec<Asked> = steps().filter(is_write_step).map(request_of).collect();

        world.tandem.engine.sweep_pass().await.unwrap();
        if round % 2 == 0 {
            // One link after the other, in the order of the plan.
            let mut sent = Vec::new();
            for planned in &plans {
                world.sim.reset_requests();
                let link = DueKey::Link(planned.link.clone());
                // Of a worklog that has moved while its twin was deleted, the first look takes the pair in, and the second
                // looks for the proof.
                for _ in 0..(1 + usize::from(moves)) {
                    world.tandem.engine.look(&link).await.unwrap();
                }
                sent.extend(asked(&world));
                let found = reads(&world);
                if moves {
                    // What another link has taken in by now is looked for no more, and the twins of issues that worklogs
                    // went to were searched for before the links were planned.
                    for read in found.iter().filter(|read| read.contains(" /4/")) {
                        assert!(planned.reads.contains(read), "{told}: {read}");
                    }
                } else if !found.is_empty() {
                    // A link where nothing changed is none to be looked at.
                    assert_eq!(found, planned.reads, "{told}");
                }
            }
            assert_eq!(done(&world), expected, "{told}");
            assert_eq!(sent, requests, "{told}");
        } else {
            // As `reconcile` does it, with links beside each other.
            world.sim.reset_requests();
            world.tandem.engine.audit_wanted().await.unwrap();
            world.tandem.engine.run_due(None).await.unwrap();
            if moves {
                // A run that another link's overtook, by taking a pair away from it, begins anew a moment later, and what
                // is missing is looked at again after five minutes.
                world.settle().await;
                world.wait(400).await;
                world.settle().await;
            }
            let sent = asked(&world);
            for planned in &plans {
                let steps = planned.steps.iter().filter(is_write_step);
                let own: Vec<Asked> = steps.map(request_of).collect();
                let found = sent.iter().filter(|request| own.contains(request));
                assert_eq!(
                    found.cloned().collect::<Vec<_>>(),
                    own,
                    "{told}: the order within a link"
                );
            }
            assert_eq!(sorted(done(&world)), sorted(expected.clone()), "{told}");
            assert_eq!(sorted(sent), sorted(requests), "{told}");
        }
        compared += expected.len();
        // What waited before and is set aside again, since it was edited, has another wait.
        let mut new = waits(&world).await;
        new.retain(|pair, waits| before.1.get(pair) != Some(waits));
        let new = new.into_values().map(|(aside, _)| aside);
        assert_eq!(sorted(new), asides_of(steps()), "{told}");
        world.settle().await;
        world.sim.take_journal();
    }
    compared
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done() {
    let mut compared = 0;
    for seed in 0..6 {
        compared += a_random_life(seed, "", Acts::InPlace).await;
    }
    assert!(compared > 100, "{compared} writes were compared");
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done_where_policies_set_things_aside() {
    for seed in 10..14 {
        a_random_life(seed, POLICY, Acts::InPlace).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_is_what_is_done_when_worklogs_move() {
    // In 343, two worklogs are made anew of which the proof of one is only found by the second look.
    for seed in (20..28).chain([343]) {
        a_random_life(seed, "", Acts::WithMoves).await;
    }
    for seed in 40..44 {
        a_random_life(seed, POLICY, Acts::WithMoves).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_whole_however_long_it_is() {
    let world = Setup::two(1).webhooks(Webhooks::None).build().await;
    for n in 0..1100 {
        let content =
            tandem_sim::Content::new("ann", "2026-02-02", "09:00:00", 60 + n).text(format!("entry {n}"));
        world.acme().log_time("SUP-1", content).unwrap();
    }
    let plans = plan(&world).await;
    assert_eq!(plans[0].steps.len(), 1100);
}

#[tokio::test(start_paused = true)]
async fn where_the_issue_that_a_worklog_moved_to_is_not_planned_the_other_one_says_that_it_is_missing() {
    let world = Setup::two(2).webhooks(Webhooks::None).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.sweep().await;
    world.wait(400).await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    let tandem = world.only_reading();
    let engine = &tandem.engine;
    engine.deletes_ahead().await.unwrap();
    let connection = &engine.connections[0];
    let links = engine.links_ahead(connection).await.unwrap();
    let left = links.first().unwrap();
    let alone = BTreeSet::from([left.clone()]);
    let said = engine.proposals(connection, left, &alone).await.unwrap();
    assert!(
        said[0].op == ProposedOp::Park && said[0].reason.starts_with("missing"),
        "{said:#?}"
    );
    assert_eq!(engine.proposals(connection, left, &links).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn the_delete_of_a_twin_is_planned_also_when_the_worklog_has_moved_meanwhile() {
    // Whether the link that it left is looked at first, or the one that it came to.
    for (from, to) in [(1, 2), (2, 1)] {
        for edited in [false, true] {
            let world = Setup::two(2).webhooks(Webhooks::None).build().await;
            let id = world
                .acme()
                .log_time(&format!("SUP-{from}"), hour("ann", "work"))
                .unwrap();
            world.sweep().await;
            world.wait(400).await;
            world.sim.keep_journal();
            world.globex().delete(world.globex().worklogs()[0].id).unwrap();
            if edited {
                world
                    .acme()
                    .edit(id, |content| content.time_spent_secs = 1800)
                    .unwrap();
            }
            world.acme().move_to_issue(id, &format!("SUP-{to}")).unwrap();
            world.wait(400).await;
            world.sim.take_journal();
            let plans = plan(&world).await;
            let steps: Vec<&Proposal> = plans.iter().flat_map(|planned| &planned.steps).collect();
            let [step] = steps.as_slice() else {
                panic!("{from} to {to}: {steps:#?}")
            };
            let op = if edited {
                ProposedOp::Create
            } else {
                ProposedOp::Delete
            };
            assert_eq!(step.op, op, "{from} to {to}: {step:#?}");
            world.sweep().await;
            world.wait(400).await;
            world.settle().await;
            assert_eq!(done(&world), [change_of(step)], "{from} to {to}");
            assert_eq!(world.reasons().await, Vec::<&str>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twins_that_went_to_different_issues_are_planned_as_missing_since_the_first_run_decides() {
    let world = Setup::two(3).webhooks(Webhooks::None).build().await;
    let id = world.acme().log_time("SUP-1", hour("ann", "work")).unwrap();
    world.sweep().await;
    world.wait(400).await;
    world.acme().move_to_issue(id, "SUP-2").unwrap();
    let twin = world.globex().worklogs()[0].id;
    world.globex().move_to_issue(twin, "DEV-3").unwrap();
    world.wait(400).await;
    let plans = plan(&world).await;
    let steps = || plans.iter().flat_map(|planned| &planned.steps);
    let [aside] = <[Aside; 1]>::try_from(asides_of(steps())).unwrap();
    assert!(aside.why.starts_with("missing"), "{aside:?}");
    assert_eq!(steps().count(), 1);
    // A run goes on from there: one of the two issues has both in the end.
    world.sweep().await;
    world.wait(400).await;
    world.settle().await;
    assert_eq!(world.reasons().await, Vec::<&str>::new());
    let both = [("SUP-2", "DEV-2"), ("SUP-3", "DEV-3")].map(|(acme, globex)| {
        let (here, there) = (world.said("acme", acme), world.said("globex", globex));
        assert_eq!(here, there);
        here.len()
    });
    assert_eq!(both.iter().sum::<usize>(), 1);
}
