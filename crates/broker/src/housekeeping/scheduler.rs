//! Periodic jobs: one task each, its work on the blocking pool, never twice at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::shutdown::Shutdown;

/// Run `work` once a `period`, the first time a period from now, until `shutdown` is requested. A stop waits for work
/// that is under way. A panic in it is logged, and the next period comes all the same.
pub fn every(
    name: &'static str,
    period: Duration,
    shutdown: &Shutdown,
    work: impl Fn() + Send + Sync + 'static,
) {
    let (shutdown, busy) = (shutdown.clone(), shutdown.busy());
    let work = Arc::new(work);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = ticks.tick() => {}
            }
            let work = Arc::clone(&work);
            if let Err(error) = tokio::task::spawn_blocking(move || work()).await {
                tracing::error!(job = name, %error, "a periodic job has failed");
            }
        }
        drop(work);
        drop(busy);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runs_once_a_period_until_the_stop_and_survives_a_panic() {
        let shutdown = Shutdown::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        every("test", Duration::from_secs(10), &shutdown, move || {
            assert!(
                counter.fetch_add(1, Ordering::SeqCst) != 1,
                "the second run panics"
            );
        });
        while runs.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        shutdown.request();
        shutdown.drained().await;
        let ended_with = runs.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(runs.load(Ordering::SeqCst), ended_with);
    }
}
