//! Two issues and what is logged on them, in memory.
#![allow(dead_code, reason = "each file of tests takes some of these")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_core::observed::{Observed, Proof, Settings};
use tandem_core::plan::{Action, Plan, plan};
use tandem_core::{Content, IssueId, LinkKey, Pair, Side, Sides, Worklog, WorklogId, check};

pub(crate) const A: WorklogId = WorklogId(1);
pub(crate) const B: WorklogId = WorklogId(2);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

pub(crate) fn said(text: &str, secs: u64) -> Content {
    Content {
        author: "ann".into(),
        start_date: "2026-03-02".parse().unwrap(),
        start_time: Some("09:00:00".parse().unwrap()),
        time_spent_secs: secs,
        billable_secs: Some(secs),
        description: text.into(),
        attributes: BTreeMap::new(),
    }
}

pub(crate) fn link() -> LinkKey {
    LinkKey {
        connection: "a-b".into(),
        a: IssueId(10),
        b: IssueId(20),
    }
}

pub(crate) fn put(world: &mut Observed, side: Side, id: WorklogId, content: Content, updated: i64) {
    let worklog = Worklog {
        id,
        issue: world.link.issue(side),
        content,
        created_at: at(0),
        updated_at: at(updated),
    };
    world.listings[side].insert(id, worklog);
}

/// Two worklogs that agreed on an hour of "base".
pub(crate) fn twins() -> Observed {
    let mut world = Observed::empty(link(), at(1000));
    put(&mut world, Side::A, A, said("base", 3600), 0);
    put(&mut world, Side::B, B, said("base", 3600), 0);
    let mut pair = Pair::half("a1-10".into(), link(), Side::A, A);
    pair.ids.b = Some(B);
    pair.base = Some(Sides::new(said("base", 3600), said("base", 3600)));
    pair.seen = Sides::new(Some(at(0)), Some(at(0)));
    pair.rev = 1;
    world.pairs.push(pair);
    world
}

pub(crate) fn deleted_on(world: &mut Observed, side: Side, id: WorklogId) {
    world.listings[side].remove(&id);
    let proof = Proof {
        source: "tempo-webhook".into(),
        at: at(900),
        moved_to: None,
    };
    world.proofs[side].insert(id, proof);
}

/// Plans, has the checker look, and does what the steps say, rows and sites, until nothing is left to do.
pub(crate) fn run(world: &mut Observed, settings: &Settings) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..8 {
        let planned: Plan = plan(world, settings);
        check::check(&planned, world, settings).unwrap();
        if planned.steps.is_empty() {
            return done;
        }
        for mut step in planned.steps {
            // Upon what an earlier step of the same plan left of the pair.
            let known = world.pairs.iter().find(|pair| pair.id == step.pair.id);
            let row = match known.filter(|known| known.rev > step.pair.rev).cloned() {
                Some(row) => {
                    let twin = step
                        .side()
                        .map(Side::other)
                        .and_then(|side| world.worklog(side, row.ids[side]?));
                    if let Some(twin) = twin.map(|twin| twin.content.clone()) {
                        step.upon(&twin);
                    }
                    row
                }
                None => step.pair.clone(),
            };
            let mut answer = None;
            match &step.action {
                Action::Record(recorded) => done.push(format!("{recorded:?}").to_lowercase()),
                Action::Create { side, body, .. } => {
                    let id = WorklogId(100 + done.len() as u64);
                    put(world, *side, id, body.clone(), 2000);
                    answer = world.listings[*side].get(&id).cloned();
                    done.push(format!("create {side}"));
                }
                Action::Update {
                    side, worklog, body, ..
                } => {
                    put(world, *side, *worklog, body.clone(), 2000);
                    answer = world.listings[*side].get(worklog).cloned();
                    done.push(format!("update {side}"));
                }
                Action::Delete { side, worklog, .. } => {
                    world.listings[*side].remove(worklog);
                    done.push(format!("delete {side}"));
                }
            }
            let mut next = match step.action {
                Action::Record(_) => step.pair.clone(),
                _ => step.done(&row, answer.as_ref(), world.now, world.now, &settings.rules),
            };
            next.rev += 1;
            world.pairs.retain(|pair| !next.takes_in(pair));
            match world.pairs.iter_mut().find(|pair| pair.id == next.id) {
                Some(pair) => *pair = next,
                None => world.pairs.push(next),
            }
        }
    }
    panic!("it does not come to rest: {done:?}");
}
