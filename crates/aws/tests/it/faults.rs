//! A table that throttles, fails, or whose answers get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use tandem_aws::{DynamoStore, Embedded};
use tandem_engine::ports::store::{Committed, Linked, Op};
use tandem_engine::ports::{Store, StoreError};

use crate::world::*;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The request is refused with this status and error type.
    Refused(u16, &'static str),
    /// The request is carried out, and its answer lost.
    AnswerLost,
}

#[derive(Clone, Debug)]
struct Faulty {
    inner: SharedHttpConnector,
    fault: Fault,
    left: Arc<AtomicU32>,
}

impl HttpConnector for Faulty {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let strike = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            match (strike, this.fault) {
                (false, _) => this.inner.call(request).await,
                (true, Fault::Refused(status, kind)) => Ok(refusal(status, kind)),
                (true, Fault::AnswerLost) => {
                    this.inner.call(request).await?;
                    Ok(refusal(500, "InternalServerError"))
                }
            }
        })
    }
}

fn refusal(status: u16, kind: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"no"}}"#);
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

async fn faulty(fault: Fault, times: u32) -> (DynamoStore, Arc<AtomicU32>) {
    let left = Arc::new(AtomicU32::new(0));
    let wrap = {
        let left = Arc::clone(&left);
        move |client: SharedHttpClient| {
            http_client_fn(move |settings, components| {
                let inner = client.http_connector(settings, components);
                SharedHttpConnector::new(Faulty {
                    inner,
                    fault,
                    left: Arc::clone(&left),
                })
            })
        }
    };
    let store = Embedded::open(None).await.unwrap().store_through(wrap);
    left.store(times, Ordering::SeqCst);
    (store, left)
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_and_then_told() {
    for kind in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    ] {
        let (store, left) = faulty(Fault::Refused(400, kind), 3).await;
        store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
        assert_eq!(store.counts().total(), 4);
        left.store(100, Ordering::SeqCst);
        let error = store
            .hint(&[hint(due(1, 2), at(0))], &[], at(0))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable(text) if text.contains(kind)),
            "{error}"
        );
    }
    let (store, left) = faulty(Fault::Refused(500, "InternalServerError"), 3).await;
    store.pairs(&link(1, 2)).await.unwrap();
    left.store(100, Ordering::SeqCst);
    assert!(matches!(
        store.pairs(&link(1, 2)).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_a_transaction_is_waited_out() {
    let (store, left) = faulty(Fault::Refused(400, "TransactionConflictException"), 5).await;
    store.put_note("n", "text").await.unwrap();
    left.store(5, Ordering::SeqCst);
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    left.store(1_000, Ordering::SeqCst);
    assert!(matches!(
        store.put_note("n", "text").await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_is_told_so() {
    for kind in [
        "ResourceNotFoundException",
        "AccessDeniedException",
        "UnrecognizedClientException",
    ] {
        let (store, _) = faulty(Fault::Refused(400, kind), 100).await;
        let error = store.note("n").await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unusable(text) if text.contains(kind)),
            "{error}"
        );
        assert_eq!(store.counts().total(), 1, "nobody hammers at it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_a_lost_commit() {
    let (store, left) = faulty(Fault::AnswerLost, 1).await;
    let lose = || left.store(1, Ordering::SeqCst);
    let one = Op::PutPair(Box::new(pair(link(1, 2), 7)));
    assert_eq!(
        store.commit(vec![one.clone()]).await.unwrap(),
        Committed::Yes,
        "alone"
    );
    lose();
    assert_eq!(
        store.commit(vec![one]).await.unwrap(),
        Committed::Lost,
        "somebody else's"
    );
    lose();
    let two = vec![
        Op::PutPair(Box::new(pair(link(1, 2), 8))),
        Op::PutEcho(echo("m", at(9))),
    ];
    assert_eq!(
        store.commit(two.clone()).await.unwrap(),
        Committed::Yes,
        "together"
    );
    lose();
    assert_eq!(
        store.commit(two).await.unwrap(),
        Committed::Lost,
        "somebody else's"
    );
    lose();
    assert_eq!(
        store.put_link(&link_row(link(1, 2)), &sites()).await.unwrap(),
        Linked::New
    );
    lose();
    assert!(store.drop_link(&link(1, 2), &sites()).await.unwrap());
    lose();
    assert_eq!(store.put_config("text", at(0)).await.unwrap(), 1);
    let drop = Op::DropPair {
        link: link(1, 2),
        id: pair(link(1, 2), 7).id,
        rev: 1,
    };
    left.store(1, Ordering::SeqCst);
    assert_eq!(store.commit(vec![drop]).await.unwrap(), Committed::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_a_lost_lease() {
    let (store, left) = faulty(Fault::AnswerLost, 0).await;
    store.hint(&[hint(due(1, 2), at(0))], &[], at(0)).await.unwrap();
    left.store(1, Ordering::SeqCst);
    let taken = store
        .take(&due(1, 2), "me", at(1), LEASE)
        .await
        .unwrap()
        .expect("it is ours");
    assert_eq!(
        (taken.generation, taken.owner.as_deref(), taken.plain_hints),
        (1, Some("me"), 1)
    );
    left.store(1, Ordering::SeqCst);
    let done = tandem_engine::ports::store::Finish::Done;
    store.finish(&taken, "me", &done, at(2)).await.unwrap();
    assert!(store.due_row(&due(1, 2)).await.unwrap().is_none());
}
