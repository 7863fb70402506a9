//! The rate of a value over the last windows of time (`Rate` over `WindowedSum`, `SampledStat` of Apache Kafka 4.1).
//!
//! What is recorded is summed up in samples, each a window long. The rate is the sum of all samples that overlap the last
//! `count` windows, divided by the time since the oldest of them began; windows of which nothing is known count as empty,
//! so that a first burst may use what would have been allowed in them.

/// Which windows a quota is measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many, the one under way included (`quota.window.num`).
    pub count: u32,
    /// Length of one, ms (`quota.window.size.seconds`).
    pub size_ms: i64,
}

impl Windows {
    /// Length of all windows together, seconds.
    pub fn seconds(&self) -> f64 {
        f64::from(self.count) * self.size_ms as f64 / 1000.0
    }

    /// Length of the windows that are complete, seconds. What is allowed in them may come at once.
    pub fn complete_seconds(&self) -> f64 {
        f64::from(self.count - 1) * self.size_ms as f64 / 1000.0
    }
}

/// Sums by window, and how many values they are of. Times are milliseconds of any clock that does not go back.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// A ring: one sample more than there are windows, because the oldest overlaps the first of them.
    samples: Vec<Sample>,
    current: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    start_ms: i64,
    last_ms: i64,
    sum: f64,
    values: u64,
}

impl Rate {
    /// Record `value` at `now_ms`; a negative one takes back what was recorded.
    pub fn record(&mut self, windows: &Windows, value: f64, now_ms: i64) {
        match self.samples.get(self.current) {
            None => self.samples.push(Sample::new(now_ms)),
            Some(sample) if now_ms - sample.start_ms >= windows.size_ms => {
                self.advance(windows, now_ms);
            }
            Some(_) => {}
        }
        let sample = &mut self.samples[self.current];
        sample.sum += value;
        sample.values += 1;
        sample.last_ms = now_ms;
    }

    /// What was recorded, a second.
    pub fn measure(&mut self, windows: &Windows, now_ms: i64) -> f64 {
        let seconds = self.window_ms(windows, now_ms) as f64 / 1000.0;
        self.samples.iter().map(|sample| sample.sum).sum::<f64>() / seconds
    }

    /// Average of what was recorded, 0 when nothing was.
    pub fn average(&mut self, windows: &Windows, now_ms: i64) -> f64 {
        self.purge(windows, now_ms);
        let values: u64 = self.samples.iter().map(|sample| sample.values).sum();
        match values {
            0 => 0.0,
            values => self.samples.iter().map(|sample| sample.sum).sum::<f64>() / values as f64,
        }
    }

    /// The time that [`Self::measure`] divides by, ms.
    pub fn window_ms(&mut self, windows: &Windows, now_ms: i64) -> i64 {
        self.purge(windows, now_ms);
        let oldest = self.samples.iter().map(|sample| sample.start_ms).min();
        let elapsed = now_ms - oldest.unwrap_or(now_ms);
        let missing = (i64::from(windows.count) - 1 - elapsed / windows.size_ms).max(0);
        (elapsed + missing * windows.size_ms).max(1)
    }

    fn advance(&mut self, windows: &Windows, now_ms: i64) {
        self.current = (self.current + 1) % (windows.count as usize + 1);
        match self.samples.get_mut(self.current) {
            Some(sample) => *sample = Sample::new(now_ms),
            None => self.samples.push(Sample::new(now_ms)),
        }
    }

    /// Empty the samples that nothing was recorded in since the first window began.
    fn purge(&mut self, windows: &Windows, now_ms: i64) {
        let age = i64::from(windows.count) * windows.size_ms;
        for sample in &mut self.samples {
            if now_ms - sample.last_ms >= age {
                *sample = Sample::new(now_ms);
            }
        }
    }
}

impl Sample {
    fn new(now_ms: i64) -> Self {
        Self {
            start_ms: now_ms,
            last_ms: now_ms,
            sum: 0.0,
            values: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::throttle::rate_throttle_ms;

    fn windows(count: u32) -> Windows {
        Windows {
            count,
            size_ms: 1000,
        }
    }

    /// Record, and tell rate, window and throttle time; as `Rate`, `WindowedSum` and `QuotaUtils` of Kafka 4.1.2 do.
    fn check(count: u32, bound: f64, steps: &[(i64, f64, f64, i64, i32)]) {
        let (windows, mut rate) = (windows(count), Rate::default());
        for (now, value, measured, window, throttle) in steps.iter().copied() {
            rate.record(&windows, value, now);
            let got = rate.measure(&windows, now);
            assert!((got - measured).abs() < 1e-9, "{now}: {got} {measured}");
            assert_eq!(rate.window_ms(&windows, now), window, "{now}");
            assert_eq!(rate_throttle_ms(got, bound, window), throttle, "{now}");
        }
    }

    #[test]
    fn a_burst_may_use_the_windows_before_it() {
        // 12 MB over 10 empty seconds and a beginning one, 1 MB/s allowed: 2 MB too many, 2 s to wait.
        let steps = [
            (0, 12e6, 1.2e6, 10_000, 2_000),
            (2_000, 16_384.0, 1_201_638.4, 10_000, 2_016),
            (12_000, 16_384.0, 3_276.8, 10_000, 0),
        ];
        check(11, 1e6, &steps);
    }

    #[test]
    fn samples_begin_with_a_record_and_go_when_all_of_them_is_old() {
        let steps = [
            (100_000, 5000.0, 500.0, 10_000, 0),
            (100_500, 4000.0, 9_000.0 / 10.5, 10_500, 0),
            (101_200, 3000.0, 12_000.0 / 10.2, 10_200, 1_800),
            (101_200, -3000.0, 9_000.0 / 10.2, 10_200, 0),
            (109_000, 2000.0, 1_100.0, 10_000, 1_000),
            (112_000, 1000.0, 3_000.0 / 10.8, 10_800, 0),
            (112_999, 100.0, 3_100.0 / 10.999, 10_999, 0),
            (130_000, 20_000.0, 2_000.0, 10_000, 10_000),
            (135_000, 1.0, 2_000.1, 10_000, 10_001),
            (141_500, 1.0, 2.0 / 10.5, 10_500, 0),
        ];
        check(11, 1000.0, &steps);
        let steps = [
            (0, 5.0, 5.0, 1000, 0),
            (999, 6.0, 11.0 / 1.999, 1999, 0),
            (1000, 7.0, 18.0, 1000, 800),
            (1999, 30.0, 48.0 / 1.999, 1999, 2801),
            (2500, 1.0, 19.6, 2500, 2400),
            (3100, 1.0, 39.0 / 2.1, 2100, 1800),
            (4100, 1.0, 1.875, 1600, 0),
            (4500, 0.0, 1.5, 2000, 0),
        ];
        check(2, 10.0, &steps);
    }

    /// The sums that Kafka 4.1.2 comes to over a long series.
    #[test]
    fn a_long_series_comes_out_as_in_kafka() {
        let (windows, mut rate) = (windows(11), Rate::default());
        let (mut now, mut rates, mut lengths, mut throttled) = (5, 0.0, 0, 0_i64);
        for i in 0..200_i64 {
            now += if i % 23 == 0 {
                i * 137 % 13_000
            } else {
                i * 91 % 450
            };
            rate.record(&windows, (i * 7919 % 5000) as f64, now);
            let measured = rate.measure(&windows, now);
            let window = rate.window_ms(&windows, now);
            throttled += i64::from(rate_throttle_ms(measured, 800.0, window));
            (rates, lengths) = (rates + measured, lengths + window);
        }
        assert!((rates - 928_073.357_927_890_1).abs() < 1e-6, "{rates}");
        assert_eq!((lengths, throttled), (2_155_051, 10_452_629));
    }

    #[test]
    fn an_average_is_of_the_values() {
        let (windows, mut rate) = (windows(2), Rate::default());
        assert_eq!(rate.average(&windows, 0), 0.0);
        rate.record(&windows, 10.0, 0);
        rate.record(&windows, 30.0, 1500);
        assert_eq!(rate.average(&windows, 1500), 20.0);
        assert_eq!(rate.average(&windows, 2500), 30.0);
        assert_eq!(rate.average(&windows, 9000), 0.0);
    }
}
