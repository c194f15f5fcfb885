//! Sending webhooks for real, over loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::delivery::Delivery;
use crate::sim::Sim;

/// How often to look for webhooks that have become due.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After this long a delivery has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running deliverer; it stops when this is dropped.
#[derive(Debug)]
pub struct Deliverer(JoinHandle<()>);

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a delivery was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// The status; `None` is a refused connection or a time-out.
    pub status: Option<u16>,
    /// The body, by which a handshake is judged.
    pub body: Vec<u8>,
}

impl Sim {
    /// Sends webhooks by HTTP as they become due.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn_deliverer(&self) -> Deliverer {
        let sender = Sender::default();
        self.spawn_deliverer_with(move |delivery| {
            let sender = sender.clone();
            async move { sender.send(delivery).await }
        })
    }

    /// Hands webhooks to a function as they become due, for receivers without a socket.
    ///
    /// It looks on tokio's clock, so paused time works.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn_deliverer_with<F, Fut>(&self, send: F) -> Deliverer
    where
        F: Fn(Delivery) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answered> + Send + 'static,
    {
        let (sim, send) = (self.clone(), Arc::new(send));
        Deliverer(tokio::spawn(async move {
            let mut under_way = JoinSet::new();
            loop {
                for delivery in sim.take_deliveries(sim.now()) {
                    let (sim, send) = (sim.clone(), Arc::clone(&send));
                    under_way.spawn(async move {
                        let id = delivery.id;
                        let answered = send(delivery).await;
                        sim.delivered_with_body(id, answered.status, &answered.body);
                    });
                }
                while under_way.try_join_next().is_some() {}
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }
}

fn client() -> reqwest::Client {
    // Receivers are on loopback and speak plain HTTP, but the client wants to know its roots all the same. They
    // are given, since the machine's own may be missing.
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client with these settings can be built")
}

/// Sends single deliveries by HTTP, for a deliverer whose receiver changes its address; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender(reqwest::Client);

impl Default for Sender {
    fn default() -> Self {
        Self(client())
    }
}

impl Sender {
    /// Sends a delivery once and returns how it was answered.
    pub async fn send(&self, delivery: Delivery) -> Answered {
        let mut request = if delivery.method == "GET" {
            self.0.get(&delivery.url)
        } else {
            self.0.post(&delivery.url)
        };
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        match request.body(delivery.body).send().await {
            Ok(response) => {
                let status = Some(response.status().as_u16());
                let body = response
                    .bytes()
                    .await
                    .map(|bytes| bytes.to_vec())
                    .unwrap_or_default();
                Answered { status, body }
            }
            Err(error) => {
                tracing::debug!(%error, webhook.url = %delivery.url, "A webhook could not be delivered");
                Answered::default()
            }
        }
    }
}
