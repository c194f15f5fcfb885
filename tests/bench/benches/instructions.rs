//! Instructions of what runs most often, counted under Callgrind.
//!
//! Inputs are made before the count begins, and dropped after it ended.
#![allow(missing_docs, reason = "the macros make items without any")]

use std::hint::black_box;

use gungraun::prelude::*;
use tandem_atlassian::signature::{verify_jira, verify_tempo};
use tandem_atlassian::webhook::{JiraEvent, TempoEvent, parse_jira, parse_tempo};
use tandem_bench::subjects::{
    EchoedWebhook, Planned, Webhook, echoed_jira_webhook, echoed_webhook, jira_webhook, link_in_step,
    link_with_one_change, tempo_webhook,
};
use tandem_core::plan::{Plan, plan};
use tandem_engine::echo::{is_jira_echo, is_tempo_echo, jira_mark, tempo_mark};

#[library_benchmark]
#[bench::of_tempo(tempo_webhook())]
fn verify_webhook_of_tempo(webhook: Webhook) -> (bool, Webhook) {
    let verified = verify_tempo(
        black_box(&webhook.body),
        &webhook.signature,
        &webhook.timestamp,
        &webhook.secrets,
        webhook.now,
    );
    assert!(verified);
    (verified, webhook)
}

#[library_benchmark]
#[bench::of_jira(jira_webhook())]
fn verify_webhook_of_jira(webhook: Webhook) -> (bool, Webhook) {
    let verified = verify_jira(black_box(&webhook.body), &webhook.signature, &webhook.secrets);
    assert!(verified);
    (verified, webhook)
}

#[library_benchmark]
#[bench::one_change(link_with_one_change())]
fn plan_50_worklogs_with_one_change(planned: Planned) -> (Plan, Planned) {
    let plan = plan(black_box(&planned.observed), &planned.settings);
    assert_eq!(plan.steps.len(), 1);
    (plan, planned)
}

#[library_benchmark]
#[bench::no_change(link_in_step(5000))]
fn plan_5000_worklogs_without_a_change(planned: Planned) -> (Plan, Planned) {
    let plan = plan(black_box(&planned.observed), &planned.settings);
    assert!(plan.steps.is_empty());
    (plan, planned)
}

// From the verified body to "this is what we wrote ourselves".
#[library_benchmark]
#[bench::own_write(echoed_webhook())]
fn recognise_an_echo(webhook: EchoedWebhook) -> (bool, EchoedWebhook) {
    let echoed = match parse_tempo(black_box(&webhook.body)) {
        Ok(TempoEvent::Worklog {
            id,
            issue: Some(issue),
            author: Some(author),
            start_date: Some(start_date),
            time_spent_secs: Some(time_spent_secs),
            description,
            updated_at: Some(updated_at),
            ..
        }) => {
            let mark = tempo_mark(issue, &author, start_date, time_spent_secs, &description);
            mark == webhook.echo.mark && is_tempo_echo(&webhook.echo, id, updated_at)
        }
        _ => false,
    };
    assert!(echoed);
    (echoed, webhook)
}

#[library_benchmark]
#[bench::own_write(echoed_jira_webhook())]
fn recognise_an_echo_of_jira(webhook: EchoedWebhook) -> (bool, EchoedWebhook) {
    let echoed = match parse_jira(black_box(&webhook.body)) {
        Ok(JiraEvent::Worklog {
            issue: Some(issue),
            author,
            author_is_app,
            time_spent_secs: Some(time_spent_secs),
            comment,
            ..
        }) => {
            let mark = jira_mark(issue, time_spent_secs, &comment);
            mark == webhook.echo.mark && is_jira_echo(&webhook.echo, author.as_ref(), author_is_app)
        }
        _ => false,
    };
    assert!(echoed);
    (echoed, webhook)
}

library_benchmark_group!(
    name = instructions,
    benchmarks = [
        verify_webhook_of_tempo,
        verify_webhook_of_jira,
        plan_50_worklogs_with_one_change,
        plan_5000_worklogs_without_a_change,
        recognise_an_echo,
        recognise_an_echo_of_jira
    ]
);

main!(library_benchmark_groups = instructions);
