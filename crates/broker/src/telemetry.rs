//! What the broker tells about itself: log, metrics, health, and the HTTP listener that serves them.
//!
//! Names, types, labels and help texts of metrics stand in one table (`catalogue.rs`); code names them by an enum,
//! so a name that is not in the table does not compile. What happens often is counted in plain atomics held by
//! whoever counts (`RequestMetrics`, `TopicCounters`, ...); what is a state is asked for at the scrape (`Collect`).
//! Nothing is sampled, drained or rendered between scrapes.
//!
//! `metrics-exporter-prometheus` writes the text, from a recorder that lives for one scrape (`page.rs`); quantiles are
//! our own (`histogram.rs`). A recorder that stayed would keep three sketches of up to 32,768 bins for each summary (tens
//! of MiB for fifteen APIs), wake an idle process for its upkeep, and show the series of a deleted topic until a timeout.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::BrokerConfig;

pub mod catalogue;
pub mod connection;
pub mod disk;
pub mod health;
pub mod histogram;
pub mod http;
pub mod log;
pub mod page;
pub mod process;
pub mod request;
pub mod sample;
pub mod topic;
pub mod waiting;

pub use catalogue::Name;
pub use connection::{ListenerMetrics, NetworkMetrics};
pub use health::Health;
pub use page::Page;
pub use request::{ErrorTally, RequestMetrics, RequestTimes};
pub use topic::{TopicCounters, TopicMetrics};
pub use waiting::WaitingMetrics;

/// Something that knows a state worth showing. Asked at each scrape, never in between.
pub trait Collect: Send + Sync {
    /// Writes its samples.
    fn collect(&self, page: &mut Page);
}

/// Where a broker is in its life, with the numbers of Kafka's `BrokerState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BrokerState {
    /// Not started.
    NotRunning = 0,
    /// Opening its data directories.
    Starting = 1,
    /// Recovering logs after an unclean stop.
    Recovery = 2,
    /// Serving.
    Running = 3,
    /// Asked to stop, finishing what it has begun.
    PendingControlledShutdown = 6,
    /// Closing its logs.
    ShuttingDown = 7,
}

/// All counters of a broker, and the list of those who are asked at a scrape.
pub struct Telemetry {
    /// Requests by API.
    pub requests: RequestMetrics,
    /// Traffic by topic.
    pub topics: TopicMetrics,
    /// Connections by listener, and bytes by the way they left.
    pub network: NetworkMetrics,
    /// Requests that wait.
    pub waiting: WaitingMetrics,
    /// Whether the broker should get traffic.
    pub health: Health,
    state: AtomicU8,
    collectors: Mutex<Vec<Arc<dyn Collect>>>,
    clock: Arc<dyn Clock>,
}

impl Telemetry {
    /// Counters at zero.
    pub fn new(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Self {
        let max_topics = usize::try_from(config.ottla.metrics_topic_series_max).unwrap_or(0);
        let collectors: Vec<Arc<dyn Collect>> = vec![
            Arc::new(process::ProcessMetrics::default()),
            Arc::new(disk::DiskMetrics::new(config.log_dirs())),
        ];
        Self {
            requests: RequestMetrics::default(),
            topics: TopicMetrics::new(max_topics),
            network: NetworkMetrics::default(),
            waiting: WaitingMetrics::default(),
            health: Health::default(),
            state: AtomicU8::new(BrokerState::NotRunning as u8),
            collectors: Mutex::new(collectors),
            clock,
        }
    }

    /// Adds someone to ask at each scrape.
    pub fn add(&self, collector: Arc<dyn Collect>) {
        self.collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(collector);
    }

    /// The broker has come to `state`.
    pub fn set_state(&self, state: BrokerState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Recovery has ended: the broker runs, unless it stops already.
    pub fn recovered(&self) {
        let (from, to) = (BrokerState::Recovery as u8, BrokerState::Running as u8);
        let _unless_stopping =
            (self.state).compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the broker serves requests for all its partitions.
    pub fn is_running(&self) -> bool {
        self.state.load(Ordering::Relaxed) == BrokerState::Running as u8
    }

    /// Everything there is to tell, in Prometheus' text format. `partitions`: also what has a series a partition.
    pub fn render(&self, partitions: bool) -> String {
        let mut page = Page::new(self.clock.monotonic(), self.clock.now(), partitions);
        page.whole(
            Name::BrokerState,
            &[],
            u64::from(self.state.load(Ordering::Relaxed)),
        );
        page.whole(Name::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1);
        self.requests.collect(&mut page);
        self.topics.collect(&mut page);
        self.network.collect(&mut page);
        self.waiting.collect(&mut page);
        let collectors = self
            .collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for collector in collectors {
            collector.collect(&mut page);
        }
        page.finish()
    }

    /// How long ago `since`, a reading of the monotonic clock, was.
    pub fn elapsed(&self, since: Duration) -> Duration {
        self.clock.monotonic().saturating_sub(since)
    }
}

#[cfg(test)]
mod tests;
