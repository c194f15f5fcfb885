//! The function behind the schedules: due, sweep, audit.

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_runtime::current::{CurrentError, Published};
use tandem_runtime::lambda::people::People;
use tandem_runtime::lambda::{self, gauges, pass, pass::Pass};
use tracing::{error, warn};

/// What EventBridge sends: the Scheduler our own payload, a rule an event with it under `detail`.
#[derive(Deserialize)]
struct Schedule {
    pass: Option<Pass>,
    detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    pass: Option<Pass>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let published = lambda::start(lambda::Work::Sites, std::env::vars()).await?;
    let people =
        People::from_vars(std::env::vars()).inspect_err(|problem| error!("Cannot start: {problem}"))?;
    run(service_fn(async |event| {
        let answer = reconcile(&published, &people, event).await;
        lambda::write_metrics(&published);
        answer.inspect_err(|problem| error!("Failed: {problem}"))
    }))
    .await
}

async fn reconcile(
    published: &Published,
    people: &People,
    event: LambdaEvent<Schedule>,
) -> Result<Value, Error> {
    let deadline = lambda::deadline(event.context.deadline, Timestamp::now());
    let Schedule { pass, detail } = event.payload;
    let pass = pass.or(detail.and_then(|detail| detail.pass)).unwrap_or_default();
    match published.current().await {
        Ok(tandem) => {
            gauges::read(&tandem, pass).await;
            pass::beforehand(&tandem, pass, deadline).await?;
            let report = pass::run_alone(&tandem.engine, pass, deadline).await?;
            if !report.skipped {
                gauges::read_after(&tandem, &report, deadline).await;
            }
            // With the time at which it is so, whatever else takes until the deadline.
            lambda::write_metrics(published);
            if pass == Pass::Sweep {
                people.tell(published, &tandem, deadline).await;
            }
            if !report.skipped {
                pass::afterwards(&tandem.engine, pass, deadline).await?;
            }
            Ok(serde_json::to_value(report)?)
        }
        // Not an alarm: a new deployment's schedules run before its first `tandem publish`.
        Err(problem @ CurrentError::NotPublished) => {
            warn!("Nothing to do: {problem}");
            Ok(json!({"pass": pass, "waits_for": problem.to_string()}))
        }
        Err(problem) => Err(problem.into()),
    }
}
