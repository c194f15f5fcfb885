//! The function behind Secrets Manager's rotation: create, set, test, finish.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tandem_runtime::lambda;
use tandem_runtime::lambda::rotate::{Request, Rotation};
use tracing::error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let published = lambda::start(lambda::Work::Tokens, std::env::vars()).await?;
    let rotation = Rotation::new(Arc::clone(&published));
    run(service_fn(async |event| {
        let answer = rotate(&rotation, event).await;
        lambda::write_metrics(&published);
        answer.inspect_err(|problem| error!("Failed: {problem}"))
    }))
    .await
}

async fn rotate(rotation: &Rotation, event: LambdaEvent<Request>) -> Result<(), Error> {
    let deadline = lambda::deadline(event.context.deadline, Timestamp::now());
    Ok(rotation.step(&event.payload, deadline).await?)
}
