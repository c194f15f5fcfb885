//! A function that starts as ours do and panics at each event, with the event in its message.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tandem_runtime::lambda::start(tandem_runtime::lambda::Work::Tokens, std::env::vars()).await?;
    run(service_fn(
        async |event: LambdaEvent<Value>| -> Result<Value, Error> { panic!("fell over {}", event.payload) },
    ))
    .await
}
