//! Chance that repeats itself.

use std::time::Duration;

/// A stream of pseudo-random numbers (SplitMix64).
///
/// Not from a crate: a seed quoted in a bug report has to mean the same next year, and the generators of `rand`
/// may change with its version. Each purpose has its own dice, so that switching one fault on doesn't shift
/// what the others draw.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a over the purpose, so that the streams of one seed differ.
        let label = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed ^ label)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns true with the given probability; draws nothing when it is certain either way.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        if probability >= 1.0 {
            return true;
        }
        let unit = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// Returns a number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high.saturating_sub(low) + 1)
    }

    /// Returns a span of time up to `max`, in milliseconds.
    pub(crate) fn span(&mut self, max: Duration) -> Duration {
        Duration::from_millis(self.between(0, max.as_millis() as u64))
    }

    /// Returns `n` lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self, n: usize) -> String {
        let mut text = String::with_capacity(n + 16);
        while text.len() < n {
            text.push_str(&format!("{:016x}", self.roll()));
        }
        text.truncate(n);
        text
    }

    /// Returns something that reads like a random UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &h[0..8],
            &h[8..12],
            &h[13..16],
            &h[17..20],
            &h[20..32]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn same_seed_and_purpose_give_the_same_stream() {
        let draw = |seed, purpose| Dice::new(seed, purpose).hex(64);
        assert_eq!(draw(7, "ids"), draw(7, "ids"));
        assert_ne!(draw(7, "ids"), draw(7, "faults"));
        assert_ne!(draw(7, "ids"), draw(8, "ids"));
    }
}
