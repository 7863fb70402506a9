//! Compaction of the partitions this broker leads (`LogCleaner.java`): when, by how many threads, at what rate.
//!
//! A pass begins `log.cleaner.backoff.ms` after the last one has ended: `log.cleaner.threads` threads of the blocking pool
//! clean the dirtiest log that is due, again and again until none is. They share the memory for key maps and the
//! rate. All settings but `log.cleaner.enable` are read anew for each pass, those of topics by the log itself.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ottla_storage::{CleanError, CleanStats, CleanerLimits, LogCleaner, LogToClean};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::config::dynamic::{Layers, broker_config};
use crate::partition::manager::PartitionManager;
use crate::telemetry::{Collect, Name, Page};

/// The threads sleep no shorter than this, lest they do it for every few kilobytes.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);
/// The configuration is looked at again after this long, however long the backoff.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// Most threads that clean at a time.
const MAX_THREADS: usize = 64;
/// Bytes read and written at once, at the least.
const MIN_IO_BUFFER: usize = 4096;

/// Start the cleaner, unless `log.cleaner.enable` is false. It ends when the broker is asked to stop.
pub fn start(broker: &Arc<Broker>) {
    if !broker.config().log.log_cleaner_enable {
        return;
    }
    let cleaner = Arc::new(LogCleaner::new(broker.partitions().logs()));
    broker.telemetry().add(Arc::new(CleanerMetrics {
        cleaner: Arc::clone(&cleaner),
        partitions: Arc::downgrade(broker.partitions()),
    }));
    let (broker, busy) = (Arc::clone(broker), broker.shutdown().busy());
    tokio::spawn(async move {
        while rest(&broker).await {
            pass(&broker, &cleaner).await;
        }
        drop(broker);
        drop(busy);
    });
}

/// Wait until the next pass; false when the broker stops instead. A backoff that is made shorter meanwhile counts.
async fn rest(broker: &Broker) -> bool {
    let began = Instant::now();
    loop {
        let backoff = u64::try_from(current_config(broker).log.log_cleaner_backoff_ms).unwrap_or(0);
        let left = Duration::from_millis(backoff.max(1)).saturating_sub(began.elapsed());
        if left.is_zero() {
            return true;
        }
        tokio::select! {
            () = broker.shutdown().requested() => return false,
            () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
        }
    }
}

/// Clean until no log is due.
async fn pass(broker: &Arc<Broker>, cleaner: &Arc<LogCleaner>) {
    let config = current_config(broker);
    let threads = threads(&config);
    let throttle = Arc::new(Throttle::new(
        config.log.log_cleaner_io_max_bytes_per_second,
    ));
    let mut workers = JoinSet::new();
    for _ in 0..threads {
        let worker = Worker {
            broker: Arc::clone(broker),
            cleaner: Arc::clone(cleaner),
            limits: limits(&config, threads),
            throttle: Arc::clone(&throttle),
            runtime: Handle::current(),
        };
        workers.spawn_blocking(move || worker.run());
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a cleaner thread has failed");
        }
    }
}

/// The settings as they stand, dynamic ones included.
fn current_config(broker: &Broker) -> BrokerConfig {
    let image = broker.metadata().cache.image();
    broker_config(&Layers {
        topic: &(),
        broker: image.configs.broker(broker.config().node_id()),
        cluster: image.configs.all_brokers(),
        fixed: broker.config(),
    })
}

/// Threads of a pass. Each takes one of the blocking pool, which others need, too.
fn threads(config: &BrokerConfig) -> usize {
    let threads = usize::try_from(config.log.log_cleaner_threads).unwrap_or(0);
    threads.min(MAX_THREADS)
}

/// What each of `threads` threads may take.
fn limits(config: &BrokerConfig, threads: usize) -> CleanerLimits {
    let share = |bytes: i64| usize::try_from(bytes).unwrap_or(0) / threads.max(1);
    CleanerLimits {
        map_bytes: share(config.log.log_cleaner_dedupe_buffer_size).min(i32::MAX as usize),
        map_load_factor: config.log.log_cleaner_io_buffer_load_factor,
        // One half to read, one to write.
        io_buffer_bytes: (share(config.log.log_cleaner_io_buffer_size.into()) / 2)
            .max(MIN_IO_BUFFER),
        max_content: usize::try_from(config.ottla.ottla_max_decompressed_message_bytes)
            .unwrap_or(0),
    }
}

/// One thread of a pass.
struct Worker {
    broker: Arc<Broker>,
    cleaner: Arc<LogCleaner>,
    limits: CleanerLimits,
    throttle: Arc<Throttle>,
    runtime: Handle,
}

impl Worker {
    fn run(&self) {
        while !self.broker.shutdown().is_requested() {
            let Some(target) = self.next() else { return };
            let began = self.broker.clock().monotonic();
            let outcome = self.cleaner.clean(
                self.broker.partitions().logs(),
                &target,
                &self.limits,
                self.broker.now(),
                &|bytes| self.pace(bytes),
            );
            match outcome {
                Ok(cleaned) => {
                    let took = self.broker.clock().monotonic().saturating_sub(began);
                    report(&target, &cleaned.stats, took);
                    if cleaned.upto <= target.cleanable.first_dirty {
                        return;
                    }
                }
                Err(error) if error.is_transient() => {
                    if !matches!(error, CleanError::GivenUp | CleanError::Offline(_)) {
                        tracing::warn!(partition = %target.log.topic_partition(), %error, "not compacted this time");
                    }
                    // The same log would be the dirtiest again.
                    return;
                }
                Err(error) => {
                    tracing::error!(partition = %target.log.topic_partition(), %error, "the partition is not compacted any more: look at the file, then restart the broker");
                }
            }
        }
    }

    /// The dirtiest log that is due.
    fn next(&self) -> Option<LogToClean> {
        let topics = self.broker.partitions().topics();
        let partitions = topics.iter().flat_map(|topic| topic.partitions());
        let compacted = partitions.filter(|partition| partition.rules().compact);
        let logs = compacted.map(|partition| {
            let stable = partition.offsets().last_stable;
            (Arc::clone(partition.log()), stable)
        });
        self.cleaner.next(logs, self.broker.now())
    }

    /// Wait as long as the rate demands; false when the broker stops.
    fn pace(&self, bytes: u64) -> bool {
        let shutdown = self.broker.shutdown();
        let wait = self.throttle.charge(bytes, self.broker.clock().monotonic());
        if wait >= SHORTEST_SLEEP {
            let asleep = tokio::time::timeout(wait, shutdown.requested());
            // It is over when the time is, or earlier because of a stop.
            let _ = self.runtime.block_on(asleep);
        }
        !shutdown.is_requested()
    }
}

fn report(target: &LogToClean, stats: &CleanStats, took: Duration) {
    tracing::info!(
        partition = %target.log.topic_partition(),
        from = %target.cleanable.first_dirty,
        keys = stats.keys,
        bytes_before = stats.bytes_before,
        bytes_after = stats.bytes_after,
        segments_before = stats.segments_before,
        segments_after = stats.segments_after,
        ms = took.as_millis() as u64,
        "compacted"
    );
}

/// Keeps what all threads of a pass read and write below a rate.
struct Throttle {
    bytes_per_second: f64,
    /// When all that was charged so far will have been paid for.
    paid_at: Mutex<Duration>,
}

impl Throttle {
    fn new(bytes_per_second: f64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1.0),
            paid_at: Mutex::default(),
        }
    }

    /// So many bytes were read or written; how long to wait before the next ones.
    fn charge(&self, bytes: u64, now: Duration) -> Duration {
        let cost = Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        *paid_at = (*paid_at)
            .max(now)
            .saturating_add(cost.unwrap_or(Duration::MAX));
        paid_at.saturating_sub(now)
    }
}

/// States of the cleaner for a scrape.
struct CleanerMetrics {
    cleaner: Arc<LogCleaner>,
    /// Weak, because the partitions hold the counters that hold this.
    partitions: Weak<PartitionManager>,
}

impl Collect for CleanerMetrics {
    fn collect(&self, page: &mut Page) {
        // Before its first look the time counts from the start, as in Kafka; that is a moment ago.
        let last_run = self.cleaner.last_run().unwrap_or(page.now);
        let since = page.now.0.saturating_sub(last_run.0).max(0);
        page.signed(Name::CleanerTimeSinceLastRun, &[], since);
        let Some(partitions) = self.partitions.upgrade() else {
            return;
        };
        for (dir, count) in self.cleaner.uncleanable(partitions.logs()) {
            let labels = [&*dir.to_string_lossy()];
            page.whole(Name::CleanerUncleanablePartitions, &labels, count as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_idle_time_is_not_saved_up() {
        let throttle = Throttle::new(1000.0);
        let at = Duration::from_millis;
        assert_eq!(throttle.charge(500, at(0)), at(500));
        assert_eq!(throttle.charge(500, at(0)), at(1000), "another thread");
        assert_eq!(throttle.charge(100, at(1000)), at(100));
        assert_eq!(throttle.charge(100, at(60_000)), at(100));
        assert_eq!(Throttle::new(f64::MAX).charge(1 << 40, at(5)), at(0));
        Throttle::new(0.0).charge(u64::MAX, Duration::MAX);
    }

    #[test]
    fn threads_are_few_whatever_is_configured() {
        for (configured, expected) in [("0", 0), ("1", 1), ("64", 64), ("2147483647", 64)] {
            let config = BrokerConfig::with_overrides([("log.cleaner.threads", configured)]);
            assert_eq!(threads(&config.unwrap()), expected);
        }
    }

    #[test]
    fn threads_share_the_memory() {
        let config = BrokerConfig::with_overrides([
            ("log.cleaner.dedupe.buffer.size", "1000000"),
            ("log.cleaner.io.buffer.size", "200000"),
            ("log.cleaner.io.buffer.load.factor", "0.5"),
        ]);
        let limits = limits(&config.unwrap(), 4);
        assert_eq!(limits.map_bytes, 250_000);
        assert_eq!(limits.io_buffer_bytes, 25_000);
        assert_eq!(limits.map_load_factor, 0.5);
    }
}
