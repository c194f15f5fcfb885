//! The vendors' rate limits.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// How many requests a vendor takes from one site's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateRule {
    /// Requests in any window of one second.
    pub per_second: usize,
    /// Whether more are answered 429; otherwise they are only counted.
    pub enforced: bool,
}

/// What came in, measured against a [`RateRule`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateCount {
    /// Requests so far.
    pub requests: usize,
    /// Requests that came when the second before already held as many as allowed.
    pub over_limit: usize,
    /// Requests answered 429, whether for the limit or by a fault.
    pub answered_429: usize,
    /// The most requests seen in any second.
    pub peak: usize,
}

#[derive(Debug)]
pub(crate) struct RateMeter {
    pub(crate) rule: RateRule,
    pub(crate) count: RateCount,
    recent: VecDeque<Timestamp>,
}

impl RateMeter {
    pub(crate) fn new(rule: RateRule) -> Self {
        Self {
            rule,
            count: RateCount::default(),
            recent: VecDeque::new(),
        }
    }

    /// Notes a request and says whether it is within the limit.
    ///
    /// Refused requests count as arrivals too: who goes on hammering goes on being refused.
    pub(crate) fn admit(&mut self, now: Timestamp) -> bool {
        while self
            .recent
            .front()
            .is_some_and(|&at| at + Duration::from_secs(1) <= now)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.count.requests += 1;
        self.count.peak = self.count.peak.max(self.recent.len());
        if self.recent.len() <= self.rule.per_second {
            return true;
        }
        self.count.over_limit += 1;
        !self.rule.enforced
    }
}
