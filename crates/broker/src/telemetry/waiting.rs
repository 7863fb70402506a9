//! Requests that wait for something to happen (Kafka's purgatory).

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use super::sample::WaitingSample;

/// How many wait now.
#[derive(Debug, Default)]
pub struct WaitingMetrics {
    fetches: AtomicU64,
    produces: AtomicU64,
}

/// Held while a request waits.
#[derive(Debug)]
pub struct Parked<'a>(&'a AtomicU64);

impl WaitingMetrics {
    /// A fetch begins to wait for records.
    pub fn park_fetch(&self) -> Parked<'_> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        Parked(&self.fetches)
    }

    /// A produce request begins to wait for the disk; [`Self::produces_ended`] must follow.
    pub fn produce_begun(&self) {
        self.produces.fetch_add(1, Ordering::Relaxed);
    }

    /// This many produce requests no longer wait.
    pub fn produces_ended(&self, count: usize) {
        self.produces.fetch_sub(count as u64, Ordering::Relaxed);
    }

    pub(super) fn collect(&self, page: &mut Page) {
        WaitingSample {
            fetches: self.fetches.load(Ordering::Relaxed),
            produces: self.produces.load(Ordering::Relaxed),
            ..WaitingSample::default()
        }
        .write(page);
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_fetch_counts_while_it_waits() {
        let waiting = WaitingMetrics::default();
        let shown = || {
            let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
            waiting.collect(&mut page);
            page.finish()
        };
        let parked = waiting.park_fetch();
        assert!(shown().contains("purgatorysize{delayedOperation=\"Fetch\"} 1"));
        drop(parked);
        assert!(shown().contains("purgatorysize{delayedOperation=\"Fetch\"} 0"));
    }
}
