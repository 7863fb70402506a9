//! Connections by listener, and record bytes by the way they left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::catalogue::Name;
use super::page::Page;

/// Kafka labels connections by network thread; there are none here, so the label is always this.
const PROCESSOR: &str = "0";

/// Counters of one listener.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    idle_closed: AtomicU64,
    rates: Mutex<Rates>,
}

/// Counts at the last scrape but one window, for rates.
#[derive(Debug, Default)]
struct Rates {
    at: Duration,
    opened: u64,
    closed: u64,
}

impl ListenerMetrics {
    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was accepted is closed, by whomever.
    pub fn connection_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was turned away because of a limit; it counts as neither accepted nor closed.
    pub fn connection_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is being closed because nothing came for connections.max.idle.ms.
    pub fn idle_connection_closed(&self) {
        self.idle_closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.opened
            .load(Ordering::Relaxed)
            .saturating_sub(self.closed.load(Ordering::Relaxed))
    }

    fn collect(&self, listener: &str, page: &mut Page) {
        let labels = [listener, PROCESSOR];
        let (opened, closed) = (
            self.opened.load(Ordering::Relaxed),
            self.closed.load(Ordering::Relaxed),
        );
        page.whole(
            Name::ConnectionCount,
            &labels,
            opened.saturating_sub(closed),
        );
        page.whole(Name::ConnectionsCreated, &labels, opened);
        page.whole(Name::ConnectionsClosed, &labels, closed);
        page.whole(Name::ExpiredConnections, &labels, 0);
        page.whole(
            Name::ConnectionsRefused,
            &[listener],
            self.refused.load(Ordering::Relaxed),
        );
        page.whole(
            Name::ConnectionsIdleClosed,
            &[listener],
            self.idle_closed.load(Ordering::Relaxed),
        );
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = page
            .monotonic
            .saturating_sub(rates.at)
            .as_secs_f64()
            .max(1.0);
        page.fraction(
            Name::ConnectionCreationRate,
            &labels,
            per_second(opened - rates.opened, seconds),
        );
        page.fraction(
            Name::ConnectionCloseRate,
            &labels,
            per_second(closed - rates.closed, seconds),
        );
        if page.monotonic.saturating_sub(rates.at) >= RATE_WINDOW {
            *rates = Rates {
                at: page.monotonic,
                opened,
                closed,
            };
        }
    }
}

/// Rates are taken over at least this much time.
const RATE_WINDOW: Duration = Duration::from_secs(30);

#[expect(clippy::cast_precision_loss, reason = "shown, not counted with")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Counters of all listeners.
#[derive(Debug, Default)]
pub struct NetworkMetrics {
    listeners: Mutex<BTreeMap<String, Arc<ListenerMetrics>>>,
    sendfile_bytes: AtomicU64,
    copied_bytes: AtomicU64,
    cold_reads: AtomicU64,
}

impl NetworkMetrics {
    /// The counters of a listener, to be kept.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(listeners.entry(name.to_owned()).or_default())
    }

    /// Record bytes left by sendfile.
    pub fn bytes_sent_by_sendfile(&self, bytes: u64) {
        self.sendfile_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Record bytes left through a buffer.
    pub fn bytes_sent_by_copy(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A range of records was not in the page cache and had to be read in first.
    pub fn cold_read(&self) {
        self.cold_reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn collect(&self, page: &mut Page) {
        for (name, metrics) in self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            metrics.collect(name, page);
        }
        page.whole(
            Name::SendfileBytes,
            &["false"],
            self.sendfile_bytes.load(Ordering::Relaxed),
        );
        page.whole(
            Name::CopiedBytes,
            &[],
            self.copied_bytes.load(Ordering::Relaxed),
        );
        page.whole(
            Name::ColdReads,
            &[],
            self.cold_reads.load(Ordering::Relaxed),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;

    #[test]
    fn connections_are_counted_and_rated() {
        let network = NetworkMetrics::default();
        let listener = network.listener("PLAINTEXT");
        let at = |seconds| {
            let mut page = Page::new(Duration::from_secs(seconds), Timestamp(0), true);
            network.collect(&mut page);
            page.finish()
        };
        (0..60).for_each(|_| listener.connection_opened());
        network.listener("PLAINTEXT").connection_closed();
        let labels = "{listener=\"PLAINTEXT\",networkProcessor=\"0\"}";
        let text = at(30);
        assert!(
            text.contains(&format!("connection_count{labels} 59")),
            "{text}"
        );
        assert!(
            text.contains(&format!("connection_creation_rate{labels} 2\n")),
            "{text}"
        );
        assert!(at(60).contains(&format!("connection_creation_rate{labels} 0\n")));
        assert_eq!(listener.open(), 59);
    }
}
