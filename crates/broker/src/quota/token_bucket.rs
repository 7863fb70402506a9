//! A bucket that a quota fills with tokens and that mutations empty (`TokenBucket`, KIP-599).
//!
//! It is refilled at the quota's rate, up to what is allowed in all windows together. It may go below zero: a request that
//! finds it at zero or above takes what it needs, and what comes after waits until the debt is refilled.

use super::rate::Windows;

/// Tokens left, and when that was so. Times are milliseconds of any clock that does not go back.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    tokens: f64,
    refilled_ms: i64,
}

impl TokenBucket {
    /// A full one.
    pub fn full(now_ms: i64) -> Self {
        Self {
            tokens: f64::INFINITY,
            refilled_ms: now_ms,
        }
    }

    /// Take `tokens` (more).
    pub fn take(&mut self, windows: &Windows, rate: f64, tokens: f64, now_ms: i64) {
        let left = self.refill(windows, rate, now_ms);
        self.tokens = left - tokens;
    }

    /// Tokens left after the bucket was refilled at `rate` tokens a second.
    pub fn refill(&mut self, windows: &Windows, rate: f64, now_ms: i64) -> f64 {
        let refilled = self.tokens + rate * (now_ms - self.refilled_ms) as f64 / 1000.0;
        self.tokens = refilled.min(windows.seconds() * rate);
        self.refilled_ms = now_ms;
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::throttle::bucket_throttle_ms;

    /// Take, and tell what is left and how long to wait; as `TokenBucket` of Kafka 4.1.2 does.
    fn check(count: u32, rate: f64, steps: &[(i64, f64, f64, i32)]) {
        let windows = Windows {
            count,
            size_ms: 1000,
        };
        let mut bucket = TokenBucket::full(steps[0].0);
        for (now, taken, left, throttle) in steps.iter().copied() {
            bucket.take(&windows, rate, taken, now);
            let got = bucket.refill(&windows, rate, now);
            assert!((got - left).abs() < 1e-9, "{now}: {got} {left}");
            assert_eq!(bucket_throttle_ms(got, rate), throttle, "{now}");
        }
    }

    #[test]
    fn a_debt_is_refilled_at_the_rate() {
        // The example of `TokenBucket`: 560 of 500 tokens are taken, and at 5 a second 60 take 12 s to come back.
        let steps = [
            (1_000_000, 560.0, -60.0, 12_000),
            (1_006_000, 0.0, -30.0, 6_000),
            (1_012_000, 0.0, 0.0, 0),
            (1_012_001, 1.0, -0.995, 199),
        ];
        check(100, 5.0, &steps);
    }

    #[test]
    fn a_bucket_holds_what_all_windows_allow() {
        let steps = [
            (1_000_000, 20.0, 2.0, 0),
            (1_000_000, 5.0, -3.0, 1_500),
            (1_000_500, 0.0, -2.0, 1_000),
            (1_001_000, 3.0, -4.0, 2_000),
            (2_000_000, 0.0, 22.0, 0),
        ];
        check(11, 2.0, &steps);
    }
}
