//! What surrounds the Lambda functions on AWS, small enough for a test: the Runtime API that a function asks for
//! its next event ([`Function`]), DynamoDB over HTTP with its stream and the sites' secrets beside it, both behind the
//! permissions of whoever asks ([`Table`]), and the events that API Gateway and event source mappings make ([`event`]).
//!
//! Deliberately not here: anything that decides. What a function does with an event is what the tests look at.

#![expect(
    clippy::expect_used,
    reason = "a double that cannot do its part is the end of the test"
)]

pub mod event;
mod function;
mod manager;
mod table;
mod topic;

pub use function::{Failed, Function};
pub use manager::Writes;
pub use table::{Request, Table, Units, covered};
pub use topic::Published;

/// Serves a router on a loopback port of its own; it stops when the task is aborted.
async fn serve(router: axum::Router) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let task = tokio::spawn(async move {
        // Ends only with the task.
        let _ = axum::serve(listener, router).await;
    });
    (address, task)
}
