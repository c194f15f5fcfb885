//! Delivers the webhooks, and loses some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tandem_atlassian::{ReqwestTransport, Transport};
use tandem_sim::{Answered, Deliverer, Delivery};

use super::show::Show;
use super::world::World;
use crate::ending::Failure;

/// How many of them are lost.
const LOST: f64 = 0.2;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The deliverer; it stops when this is dropped.
pub(super) struct Post {
    counts: Arc<Counts>,
    _deliverer: Deliverer,
}

#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    lost: AtomicUsize,
}

impl Post {
    pub(super) fn start(world: &World, seed: u64, show: Show) -> Result<Self, Failure> {
        let counts = Arc::new(Counts::default());
        let transport = ReqwestTransport::new().map_err(|error| Failure::Failed(error.into()))?;
        let counted = Arc::clone(&counts);
        let deliverer = world.sim.spawn_deliverer_with(move |delivery| {
            let (counts, transport, show) = (Arc::clone(&counted), transport.clone(), show.clone());
            async move {
                counts.sent.fetch_add(1, Ordering::Relaxed);
                // From seed and id, so that the order of deliveries does not matter.
                let mut dice =
                    SmallRng::seed_from_u64(seed ^ delivery.id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                if dice.random_bool(LOST) {
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                    show.tell(
                        "lost",
                        format!("a webhook of {}: {}", delivery.site, delivery.event),
                    );
                    // The sender takes it for delivered: it will not try again.
                    return Answered {
                        status: Some(200),
                        body: Vec::new(),
                    };
                }
                send(&transport, delivery).await
            }
        });
        Ok(Self {
            counts,
            _deliverer: deliverer,
        })
    }

    /// How many were sent on their way, and how many of these were lost.
    pub(super) fn counts(&self) -> (usize, usize) {
        (
            self.counts.sent.load(Ordering::Relaxed),
            self.counts.lost.load(Ordering::Relaxed),
        )
    }
}

async fn send(transport: &ReqwestTransport, delivery: Delivery) -> Answered {
    let mut request = http::Request::builder()
        .method(delivery.method)
        .uri(&delivery.url);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(Bytes::from(delivery.body)) else {
        return Answered::default();
    };
    match transport.send(request, PATIENCE).await {
        Ok(answer) => Answered {
            status: Some(answer.status().as_u16()),
            body: answer.into_body().to_vec(),
        },
        Err(_) => Answered::default(),
    }
}
