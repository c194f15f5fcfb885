//! Chance, drawn from the seed: the same seed draws the same.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Chance(SmallRng);

impl Chance {
    /// Starts a stream for one purpose, so that a draw more for one leaves the others as they are.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let purpose = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(SmallRng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose,
        ))
    }

    /// Draws yes with this probability.
    pub fn yes(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.random::<f64>() < probability
    }

    /// Draws a number, both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high.max(low))
    }

    /// Draws a duration up to this one, in whole milliseconds.
    pub fn span(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.between(0, u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Draws one of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        match from.len() {
            0 => None,
            len => from.get(self.0.random_range(0..len)),
        }
    }
}
