//! What a refused or unanswered request means.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;
use tandem_engine::ports::StoreError;

use crate::chain::chain;
use crate::key;

/// The error type with which the embedded table says that its file is of no use.
pub(crate) const EMBEDDED_UNUSABLE: &str = "EmbeddedTableUnusable";

/// Sorts a failure into: again later, a bug, or a person has to act.
pub(super) fn failure<E, R>(doing: &str, error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let SdkError::ServiceError(service) = &error else {
        let text = format!("could not {doing}: {}", chain(&error));
        return match error {
            SdkError::ConstructionFailure(_) => StoreError::Unusable(text),
            _ => StoreError::Unavailable(format!(
                "{text}. See whether DynamoDB can be reached from here: the region, a proxy, AWS_ENDPOINT_URL"
            )),
        };
    };
    let code = service.err().code().unwrap_or("no code");
    let message = service.err().message().unwrap_or("no message");
    sorted(doing, code, message)
}

fn sorted(doing: &str, code: &str, message: &str) -> StoreError {
    let text = format!("could not {doing}: {code}: {message}");
    match code {
        EMBEDDED_UNUSABLE => StoreError::Unusable(message.to_owned()),
        _ if key::is_refused(code, message) => StoreError::Unusable(format!("{text}. {}", key::ALLOW)),
        "ResourceNotFoundException" => StoreError::Unusable(format!(
            "{text}. Check the table's name, the region and the deployment"
        )),
        "AccessDeniedException" => StoreError::Unusable(format!(
            "{text}. Allow this role the operation on the table and its index"
        )),
        "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => {
            StoreError::Unusable(format!("{text}. Check the AWS credentials"))
        }
        "ValidationException" if text.contains("maximum allowed size") => StoreError::TooLarge(text),
        "ValidationException"
        | "SerializationException"
        | "ItemCollectionSizeLimitExceededException"
        | "IdempotentParameterMismatchException" => StoreError::Corrupt(text),
        _ => StoreError::Unavailable(text),
    }
}

/// A request that could not even be built: a bug.
pub(super) fn invalid(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a request could not be built: {error}"))
}

/// Says whether two requests met at one row, so that the same request may go through in a moment.
pub(super) fn is_conflict<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(service) = error else {
        return false;
    };
    matches!(
        service.err().code(),
        Some("TransactionConflictException" | "TransactionInProgressException")
    )
}

/// Says whether a row would have outgrown 400 KB.
pub(super) fn is_too_large(error: &StoreError) -> bool {
    match error {
        StoreError::TooLarge(_) => true,
        // A transaction says so in its own words.
        StoreError::Corrupt(text) => text.contains("maximum allowed size"),
        StoreError::Unavailable(_) | StoreError::Unusable(_) => false,
    }
}

/// How a transaction was cancelled.
pub(super) enum Cancelled {
    /// Conditions no longer held; one entry per write.
    Refused(Vec<Option<CancellationReason>>),
    /// Met another request, or was throttled.
    Again(String),
    /// Anything else.
    Failed(StoreError),
}

/// Sorts the failure of a transaction.
pub(super) fn cancelled<R>(error: SdkError<TransactWriteItemsError, R>) -> Cancelled
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if is_conflict(&error) {
        return Cancelled::Again("another transaction is in progress".to_owned());
    }
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons().to_vec()
        }
        _ => return Cancelled::Failed(failure("write a transaction", error)),
    };
    let is = |reason: &CancellationReason, code: &str| reason.code() == Some(code);
    // A bug outranks a lost condition: it would show itself again, and should be seen at once.
    let other = reasons.iter().find(|reason| {
        !matches!(
            reason.code(),
            None | Some(
                "None"
                    | "ConditionalCheckFailed"
                    | "TransactionConflict"
                    | "ThrottlingError"
                    | "ProvisionedThroughputExceeded"
                    | "RequestLimitExceeded"
            )
        )
    });
    if let Some(reason) = other {
        let code = reason.code().unwrap_or_default();
        let message = reason.message().unwrap_or("no message");
        return Cancelled::Failed(StoreError::Corrupt(format!(
            "could not write a transaction: {code}: {message}"
        )));
    }
    if reasons.iter().any(|reason| is(reason, "ConditionalCheckFailed")) {
        let refused = reasons
            .into_iter()
            .map(|reason| is(&reason, "ConditionalCheckFailed").then_some(reason));
        return Cancelled::Refused(refused.collect());
    }
    let codes: Vec<_> = reasons
        .iter()
        .filter_map(CancellationReason::code)
        .filter(|code| *code != "None")
        .collect();
    Cancelled::Again(format!("the transaction met others: {}", codes.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_it_is_the_table_the_key_or_who_asks() {
        let told = |code: &str, message: &str| match sorted("read rows", code, message) {
            StoreError::Unusable(text) => text,
            other => panic!("{other:?}"),
        };
        let key = "perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/0a1b";
        for (code, message, remedy) in [
            ("AccessDeniedException", key, "lacks the use of the KMS key"),
            ("KMSAccessDeniedException", "", "lacks the use of the KMS key"),
            (
                "AccessDeniedException",
                "perform: dynamodb:Query",
                "the operation on the table",
            ),
            ("ExpiredTokenException", "", "Check the AWS credentials"),
        ] {
            let text = told(code, message);
            for one in [
                "lacks the use of the KMS key",
                "the operation on the table",
                "Check the AWS credentials",
            ] {
                assert_eq!(text.contains(one), one == remedy, "{text}");
            }
        }
    }
}
