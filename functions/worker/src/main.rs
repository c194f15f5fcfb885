//! The function behind the table's stream: looks at the links that were hinted at.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_dynamo::AttributeValue;
use tandem_runtime::current::{CurrentError, Published};
use tandem_runtime::lambda;
use tandem_runtime::lambda::wake::{DueKey, TABLE, due_key, wake};
use tracing::{error, warn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let published = lambda::start(lambda::Work::Sites, std::env::vars()).await?;
    run(service_fn(async |event| {
        let answer = work(&published, event).await;
        lambda::write_metrics(&published);
        answer.inspect_err(|problem| error!("Failed: {problem}"))
    }))
    .await
}

async fn work(published: &Published, event: LambdaEvent<Event>) -> Result<DynamoDbEventResponse, Error> {
    let deadline = lambda::deadline(event.context.deadline, Timestamp::now());
    let mut answer = DynamoDbEventResponse::default();
    let tandem = match published.current().await {
        Ok(tandem) => tandem,
        // Any other error makes Lambda bring the batch again.
        Err(problem @ CurrentError::NotPublished) => {
            warn!(
                "Left {} records to the schedule: {problem}",
                event.payload.records.len()
            );
            return Ok(answer);
        }
        Err(problem) => return Err(problem.into()),
    };
    let mut records: BTreeMap<DueKey, Vec<String>> = BTreeMap::new();
    for record in event.payload.records {
        if let Some(key) = key(&record) {
            records
                .entry(key)
                .or_default()
                .push(record.change.sequence_number.unwrap_or_default());
        }
    }
    let failed = wake(
        &tandem.engine,
        BTreeSet::from_iter(records.keys().cloned()),
        deadline,
    )
    .await;
    for sequence_number in failed
        .keys()
        .flat_map(|key| records.remove(key).unwrap_or_default())
    {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(sequence_number);
        answer.batch_item_failures.push(failure);
    }
    Ok(answer)
}

/// Returns the due row that a record is about; `None` for one that the mapping's filter should have left out.
fn key(record: &EventRecord) -> Option<DueKey> {
    let text = |attribute| match record.change.keys.get(attribute)? {
        AttributeValue::S(text) => Some(text.as_str()),
        _ => None,
    };
    record.change.new_image.get(TABLE.wake)?;
    due_key(text(TABLE.partition_key)?)
}
