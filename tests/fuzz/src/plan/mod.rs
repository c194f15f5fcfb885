//! Random plans at the checker, and the planner at random observations.
//!
//! The checker has to refuse whatever breaks a promise in the eyes of [`oracle`], which knows neither the
//! planner nor the checker. Of an observation that the table's own conditions allow, the planner's plan has to
//! please both.

mod draw;
mod oracle;

use tandem_core::check::{self, check};
use tandem_core::plan::{Plan, plan};
use tandem_core::{Side, Worklog, WorklogId};

use crate::bytes_of::Bytes;

pub(crate) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let kind = bytes.below(3);
    let settings = draw::settings(&mut bytes);
    let mut observed = draw::observed(&mut bytes);
    if kind < 2 {
        draw::mend(&mut observed);
    }
    let planned = plan(&observed, &settings);
    if kind < 2 {
        if let Err(violation) = check(&planned, &observed, &settings) {
            panic!("the planner's own plan: {violation}: {planned:#?}\n{observed:#?}");
        }
        let broken = oracle::broken(&planned, &observed, &settings);
        assert!(
            broken.is_empty(),
            "the planner's own plan {broken:?}: {planned:#?}\n{observed:#?}"
        );
    }
    carry_out(&planned, &mut bytes, &settings);
    if kind == 0 {
        return;
    }
    let mut wild = planned;
    draw::derail(&mut bytes, &mut wild, &observed);
    let broken = oracle::broken(&wild, &observed, &settings);
    let refused = check(&wild, &observed, &settings);
    assert!(
        broken.is_empty() || refused.is_err(),
        "{broken:?} is let through: {wild:#?}\n{observed:#?}"
    );
    let writes = check::writes(&wild);
    let counted = wild.steps.iter().filter(|step| step.side().is_some()).count();
    assert_eq!(writes.a + writes.b, counted);
    carry_out(&wild, &mut bytes, &settings);
}

/// What a step leaves in its row can be said whatever the site answers.
fn carry_out(plan: &Plan, bytes: &mut Bytes<'_>, settings: &tandem_core::observed::Settings) {
    let now = draw::now();
    let later = now + settings.grace;
    for step in &plan.steps {
        let begun = step.begun(&step.pair, now, later, &settings.rules);
        assert_eq!(begun.id, step.pair.id);
        assert_eq!(
            begun.intent.is_some(),
            step.side().is_some(),
            "a write without an intent"
        );
        let answer = (!bytes.once_in(4)).then(|| Worklog {
            id: WorklogId(99),
            issue: begun.link.issue(Side::A),
            content: draw::content(bytes),
            created_at: now,
            updated_at: now,
        });
        let done = step.done(&begun, answer.as_ref(), now, later, &settings.rules);
        assert!(done.intent.is_none(), "an intent stays after its write");
        let reason = tandem_core::Reason::Rejected;
        let refused = step.refused(&begun, reason, "no".into(), now, later, &settings.rules);
        assert!(refused.intent.is_none() && refused.wait.is_some());
    }
}
