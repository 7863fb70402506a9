//! Time: the only place that reads the system's clocks. Everything else is told what time it is.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_protocol::ids::Timestamp;

/// A source of time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since the Unix epoch; may jump when the system's clock is set.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment in the past; never goes back. For durations and deadlines.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clocks"
)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        START.elapsed()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clocks"
)]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that moves only when it is told to; for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    start_ms: i64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            wall_ms: AtomicI64::new(now.0),
            start_ms: now.0,
        }
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.wall_ms.fetch_add(
            i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let elapsed = self.wall_ms.load(Ordering::SeqCst) - self.start_ms;
        Duration::from_millis(u64::try_from(elapsed).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::new(Timestamp(1_000));
        assert_eq!(
            (clock.now(), clock.monotonic()),
            (Timestamp(1_000), Duration::ZERO)
        );
        clock.advance(Duration::from_millis(5));
        assert_eq!(
            (clock.now(), clock.monotonic()),
            (Timestamp(1_005), Duration::from_millis(5))
        );
    }

    #[test]
    fn the_system_clock_shows_this_century_and_goes_forward() {
        let (wall, before) = (SystemClock.now(), SystemClock.monotonic());
        assert!(wall > Timestamp(1_700_000_000_000));
        assert!(SystemClock.monotonic() >= before);
    }
}
