//! How long a client that went over its quota is held back, and what one request was held back for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::entity::QuotaKind;

/// Time until a rate of `value` over `window_ms` has come down to `bound`, if nothing more is recorded: the window is to
/// grow by `(value - bound) / bound` of itself (`QuotaUtils.throttleTime`). 0 when the rate is within the bound.
pub fn rate_throttle_ms(value: f64, bound: f64, window_ms: i64) -> i32 {
    if value <= bound {
        return 0;
    }
    round((value - bound) / bound * window_ms as f64)
}

/// Time until a bucket with a debt of tokens is refilled to zero at `bound` tokens a second
/// (`ControllerMutationQuotaManager.throttleTimeMs`). 0 when there is no debt.
pub fn bucket_throttle_ms(tokens: f64, bound: f64) -> i32 {
    if tokens >= 0.0 {
        return 0;
    }
    round(-tokens / bound * 1000.0)
}

/// To the nearest, halves up; no less than 0 and no more than the protocol's field holds.
fn round(ms: f64) -> i32 {
    (ms + 0.5).floor().clamp(0.0, f64::from(i32::MAX)) as i32
}

/// What one request is held back for: the longest of the times that its quotas ask for.
#[derive(Debug, Default)]
pub struct Throttle(AtomicU64);

impl Throttle {
    /// `kind` asks for `ms`.
    pub fn raise(&self, kind: QuotaKind, ms: i32) {
        if let Some(ms) = u64::try_from(ms).ok().filter(|ms| *ms > 0) {
            self.0.fetch_max(ms << 8 | kind as u64, Ordering::Relaxed);
        }
    }

    /// `throttle_time_ms` of the response.
    pub fn ms(&self) -> i32 {
        i32::try_from(self.0.load(Ordering::Relaxed) >> 8).unwrap_or(i32::MAX)
    }

    /// How long no further request is read, and which quota asks for it; `None` when none does.
    pub fn mute(&self) -> Option<(QuotaKind, Duration)> {
        let packed = self.0.load(Ordering::Relaxed);
        let kind = QuotaKind::ALL
            .into_iter()
            .find(|kind| *kind as u64 == packed & 0xff)?;
        (packed > 0).then(|| (kind, Duration::from_millis(packed >> 8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_and_fit_the_field() {
        assert_eq!(rate_throttle_ms(10.0, 10.0, 1000), 0);
        assert_eq!(rate_throttle_ms(10.0005, 10.0, 10_000), 1, "half up");
        assert_eq!(rate_throttle_ms(10.0004, 10.0, 10_000), 0);
        assert_eq!(rate_throttle_ms(1e300, 1e-9, 10_000), i32::MAX);
        assert_eq!(rate_throttle_ms(1.0, 0.0, 10_000), i32::MAX);
        assert_eq!(bucket_throttle_ms(0.0, 5.0), 0);
        assert_eq!(bucket_throttle_ms(-60.0, 5.0), 12_000);
        assert_eq!(bucket_throttle_ms(-1.0, 0.0), i32::MAX);
    }

    #[test]
    fn the_longest_time_counts() {
        let throttle = Throttle::default();
        assert_eq!((throttle.ms(), throttle.mute()), (0, None));
        throttle.raise(QuotaKind::Produce, 0);
        assert_eq!(throttle.mute(), None);
        throttle.raise(QuotaKind::Request, 5);
        throttle.raise(QuotaKind::Produce, 7);
        throttle.raise(QuotaKind::Request, 6);
        assert_eq!(throttle.ms(), 7);
        let mute = (QuotaKind::Produce, Duration::from_millis(7));
        assert_eq!(throttle.mute(), Some(mute));
        throttle.raise(QuotaKind::Fetch, i32::MAX);
        assert_eq!(throttle.ms(), i32::MAX);
    }
}
