//! The real transport, on loopback.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tandem_atlassian::{ReqwestTransport, Transport, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Serves one connection: reads the request's head, writes `answer`, then keeps it open or closes it.
async fn serve(answer: &'static [u8], then_hang: bool) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?q=1", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let read = stream.read(&mut head).await.unwrap();
        stream.write_all(answer).await.unwrap();
        if then_hang {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    (url, task)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_answer_comes_back_whole_and_redirects_stay() {
    let transport = ReqwestTransport::new().unwrap();
    let (url, task) = serve(
        b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 2\r\n\r\nhi",
        false,
    )
    .await;
    let response = transport.send(get(&url), DEADLINE).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (302, &b"hi"[..])
    );
    assert_eq!(response.headers()["location"], "/y");
    let head = task.await.unwrap().to_lowercase();
    assert!(head.starts_with("get /x?q=1 http/1.1"), "{head}");
    assert!(
        head.contains(concat!("user-agent: tandem/", env!("CARGO_PKG_VERSION"))),
        "{head}"
    );
    assert!(head.contains("accept-encoding: gzip"), "{head}");
}

#[tokio::test]
async fn nothing_listening_is_not_sent() {
    let transport = ReqwestTransport::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = transport
        .send(get(&format!("http://{free}/secret")), DEADLINE)
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&format!("no connection to {free}")), "{said}");
    assert!(!said.contains("secret"));
}

#[tokio::test]
async fn silence_and_half_answers_are_unknown() {
    let transport = ReqwestTransport::new().unwrap();
    for (answer, hang) in [
        (&b""[..], true),
        (b"", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
            false,
        ),
        (b"what?\r\n\r\n", false),
    ] {
        let (url, task) = serve(answer, hang).await;
        let begun = Instant::now();
        let error = transport
            .send(get(&url), Duration::from_millis(300))
            .await
            .unwrap_err();
        assert!(matches!(error, TransportError::Unknown(_)), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        task.abort();
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let transport = ReqwestTransport::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            .await;
        let block = vec![b'x'; 1 << 20];
        while stream.write_all(&block).await.is_ok() {}
    });
    let error = transport
        .send(get(&url), Duration::from_secs(60))
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::TooLarge);
    task.abort();
}
