//! A histogram that costs two atomic additions a sample, and the quantiles of the last minute or two at a scrape.
//!
//! Buckets are log-linear: eight to a power of two, so a value is known to within 1/16 of itself. A histogram takes
//! about 2 KiB, and twice that again once it is scraped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Buckets to a power of two.
const SUB: u64 = 8;
/// Buckets in all: values up to 2^34 microseconds are above four hours.
const BUCKETS: usize = 8 * 32;
/// The quantiles that are shown: those of JMX.
const QUANTILES: [(&str, f64); 6] = [
    ("0.5", 0.5),
    ("0.75", 0.75),
    ("0.95", 0.95),
    ("0.98", 0.98),
    ("0.99", 0.99),
    ("0.999", 0.999),
];
/// Quantiles cover at least this much time, and at most twice as much when scraped more often.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts samples by size.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum: AtomicU64,
    window: Mutex<Window>,
}

/// Counts at the last two turns of the window.
#[derive(Debug, Default)]
struct Window {
    older: Option<Box<[u64; BUCKETS]>>,
    newer: Option<Box<[u64; BUCKETS]>>,
    turned: Duration,
}

/// What a summary shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// Quantile and value.
    pub values: Vec<(&'static str, f64)>,
    /// Sum of all samples since the start.
    pub sum: f64,
    /// Number of all samples since the start.
    pub count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum: AtomicU64::new(0),
            window: Mutex::default(),
        }
    }
}

impl Histogram {
    /// Counts one sample.
    pub fn record(&self, value: u64) {
        self.buckets[bucket(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts one sample, in microseconds.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The samples, each multiplied by `scale`, as of `now` on the monotonic clock. `zeros` more samples of size zero
    /// were not recorded, to save their cost.
    pub fn quantiles(&self, now: Duration, scale: f64, zeros: u64) -> Quantiles {
        let mut current: [u64; BUCKETS] =
            std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed));
        current[0] += zeros;
        let recent = self
            .window
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recent(&current, now);
        let total: u64 = recent.iter().sum();
        let value = |share: f64| {
            if total == 0 {
                0.0
            } else {
                at_share(&recent, total, share) * scale
            }
        };
        Quantiles {
            values: QUANTILES
                .iter()
                .map(|(label, share)| (*label, value(*share)))
                .collect(),
            sum: to_f64(self.sum.load(Ordering::Relaxed)) * scale,
            count: current.iter().sum(),
        }
    }

    /// Number of samples recorded.
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }
}

impl Window {
    /// The samples since the older turn; turns when the newer one is old enough.
    fn recent(&mut self, current: &[u64; BUCKETS], now: Duration) -> [u64; BUCKETS] {
        let base = self.older.as_deref().unwrap_or(&[0; BUCKETS]);
        let recent = std::array::from_fn(|index| current[index].saturating_sub(base[index]));
        if now.saturating_sub(self.turned) >= WINDOW {
            self.older = self.newer.replace(Box::new(*current));
            self.turned = now;
        }
        recent
    }
}

/// The bucket of a value: below eight the value itself, above by its highest four bits.
fn bucket(value: u64) -> usize {
    if value < SUB {
        return usize::try_from(value).unwrap_or(0);
    }
    let octave = u64::from(value.ilog2()) - 3;
    let sub = (value >> octave) - SUB;
    usize::try_from((octave + 1) * SUB + sub).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The middle of a bucket.
fn middle(index: usize) -> f64 {
    let index = index as u64;
    if index < SUB {
        return to_f64(index);
    }
    let (octave, sub) = (index / SUB - 1, index % SUB);
    to_f64((SUB + sub) << octave) + to_f64(1 << octave) / 2.0
}

fn at_share(counts: &[u64; BUCKETS], total: u64, share: f64) -> f64 {
    let mut left = to_f64(total) * share;
    for (index, count) in counts.iter().enumerate() {
        left -= to_f64(*count);
        if left <= 0.0 && *count > 0 {
            return middle(index);
        }
    }
    middle(BUCKETS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "shown, not counted with")]
const fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(quantiles: &Quantiles, label: &str) -> f64 {
        quantiles
            .values
            .iter()
            .find(|(name, _)| *name == label)
            .unwrap()
            .1
    }

    #[test]
    fn a_value_is_known_to_within_a_sixteenth() {
        let mut last = 0;
        for value in (0..100)
            .chain((7..33).map(|bits| (1 << bits) - 1))
            .chain((7..33).map(|bits| 3 << bits))
        {
            let error = (middle(bucket(value)) - to_f64(value)).abs();
            assert!(
                error <= to_f64(value) / 16.0 + 0.5,
                "{value}: off by {error}"
            );
        }
        for value in 0..100_000 {
            assert!(
                bucket(value) >= last,
                "buckets grow with values, at {value}"
            );
            last = bucket(value);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_known_samples() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        let quantiles = histogram.quantiles(Duration::ZERO, 1.0, 0);
        for (label, expected) in [("0.5", 500.0), ("0.95", 950.0), ("0.99", 990.0)] {
            let value: f64 = quantile(&quantiles, label);
            assert!(
                (value - expected).abs() <= expected / 16.0,
                "{label}: {value}"
            );
        }
        assert_eq!((quantiles.count, quantiles.sum), (1000, 500_500.0));
        let with_zeros = histogram.quantiles(Duration::ZERO, 1.0, 9_000);
        assert_eq!(
            (with_zeros.count, quantile(&with_zeros, "0.5")),
            (10_000, 0.0)
        );
    }

    #[test]
    fn old_samples_leave_the_quantiles_and_stay_in_the_count() {
        let histogram = Histogram::default();
        histogram.record(1_000_000);
        let at = |seconds| histogram.quantiles(Duration::from_secs(seconds), 1.0, 0);
        assert!(quantile(&at(60), "0.5") > 900_000.0);
        histogram.record(1);
        assert!(quantile(&at(61), "0.999") > 900_000.0);
        at(120);
        let later = at(121);
        assert_eq!((quantile(&later, "0.999"), later.count), (1.0, 2));
        at(181);
        at(241);
        assert_eq!(
            quantile(&at(242), "0.5"),
            0.0,
            "nothing happened in the window"
        );
    }
}
