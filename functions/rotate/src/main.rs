//! The function behind Secrets Manager's rotation: create, set, test, finish.

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tandem_runtime::lambda;
use tandem_runtime::lambda::rotate::{Request, Rotation};
use tracing::error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let rotation = Rotation::new(lambda::start(lambda::Work::Tokens, std::env::vars()).await?);
    run(service_fn(async |event| {
        rotate(&rotation, event)
            .await
            .inspect_err(|problem| error!("Failed: {problem}"))
    }))
    .await
}

async fn rotate(rotation: &Rotation, event: LambdaEvent<Request>) -> Result<(), Error> {
    let deadline = lambda::deadline(event.context.deadline, Timestamp::now());
    Ok(rotation.step(&event.payload, deadline).await?)
}
