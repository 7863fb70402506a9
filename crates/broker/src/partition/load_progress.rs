//! Tells in the log, every few seconds, how far the opening of the logs has come. A short one is not worth a line.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Do `work`, which opens `total` logs and counts each one in `begun` when it comes to it.
pub(super) fn told<T>(begun: &AtomicUsize, total: usize, work: impl FnOnce() -> T) -> T {
    every(INTERVAL, work, || {
        let begun = begun.load(Ordering::Relaxed);
        tracing::info!(begun, total, "opening the logs");
    })
}

fn every<T>(interval: Duration, work: impl FnOnce() -> T, tell: impl Fn() + Send) -> T {
    let (working, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                tell();
            }
        });
        let done = work();
        drop(working);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_while_the_work_lasts_and_ends_with_it() {
        let (told, lines) = channel();
        let result = every(
            Duration::from_millis(1),
            || {
                lines.recv().unwrap();
                lines.recv().unwrap();
                7
            },
            move || told.send(()).unwrap_or(()),
        );
        assert_eq!(result, 7);
        // Ends only when the teller is gone.
        lines.iter().for_each(drop);
        assert_eq!(every(Duration::from_secs(3600), || 8, || ()), 8);
    }
}
