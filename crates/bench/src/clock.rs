//! The only readers of clocks: wall time, and the CPU time of a whole process.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::error::{Doing, Result};

/// Now, on the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock module of a measuring tool"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// User plus system CPU time of a process with all its threads, ended ones too, in nanoseconds.
///
/// The same sum as `getrusage`, but of any process and without the 10 ms ticks of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    /// The clock of process `pid`.
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        Ok(Self(
            clock_getcpuclockid(pid).doing(format!("CPU clock of process {pid}"))?,
        ))
    }

    /// CPU time used so far.
    pub(crate) fn read(self) -> Result<Duration> {
        Ok(Duration::from(self.0.now().doing("reading a CPU clock")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_on_the_clock_and_sleep_does_not() {
        let clock = CpuClock::of(Pid::this()).unwrap();
        let before = clock.read().unwrap();
        let mut sum = 0u64;
        while clock.read().unwrap() - before < Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }
}
