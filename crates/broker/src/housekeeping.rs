//! What a broker does from time to time: flushes that are due, recovery points, retention, compaction, files whose time
//! has come.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::partition::manager::PartitionManager;

pub mod cleaner;
pub mod scheduler;

/// How often logs are asked whether a flush is due, unless `log.flush.scheduler.interval.ms` says.
const FLUSH_PERIOD: Duration = Duration::from_secs(1);
/// How often data directories are looked at: their space, and whether they have failed.
const DIRS_PERIOD: Duration = Duration::from_secs(1);
/// How often files are looked for that have outlived `file.delete.delay.ms`.
const DELETE_PERIOD: Duration = Duration::from_secs(5);
/// How often idle producers are looked for (`producer.id.expiration.check.interval.ms`).
const EXPIRY_PERIOD: Duration = Duration::from_secs(600);

/// Start all jobs but compaction, which waits until all logs are open: [`cleaner::start`]. They end when the broker is
/// asked to stop.
pub fn start(broker: &Arc<Broker>) {
    let checkpoint_ms = broker.config().log.log_flush_offset_checkpoint_interval_ms;
    let checkpoint_period =
        Duration::from_millis(u64::try_from(checkpoint_ms).unwrap_or(0).max(1000));
    let retention_ms = broker.config().log.log_retention_check_interval_ms;
    let retention_period = Duration::from_millis(u64::try_from(retention_ms).unwrap_or(0).max(1));
    let job = |name: &'static str, period: Duration, work: fn(&PartitionManager)| {
        let partitions = Arc::clone(broker.partitions());
        scheduler::every(name, period, broker.shutdown(), move || work(&partitions));
    };
    job(
        "flush",
        flush_period(broker.config().log.log_flush_scheduler_interval_ms),
        PartitionManager::flush_due,
    );
    let (partitions, shutdown) = (Arc::clone(broker.partitions()), broker.shutdown().clone());
    scheduler::every(
        "data directories",
        DIRS_PERIOD,
        broker.shutdown(),
        move || {
            if let Err(fatal) = partitions.check_dirs() {
                tracing::error!("{fatal}");
                shutdown.request();
            }
        },
    );
    job(
        "checkpoint",
        checkpoint_period,
        PartitionManager::checkpoint,
    );
    job(
        "retention",
        retention_period,
        PartitionManager::apply_retention,
    );
    job(
        "delete files",
        DELETE_PERIOD,
        PartitionManager::delete_files,
    );
    job(
        "expire producers",
        EXPIRY_PERIOD,
        PartitionManager::expire_producers,
    );
}

/// Apache Kafka never looks by default, which makes `flush.ms` of a topic an empty promise there.
fn flush_period(scheduler_interval_ms: i64) -> Duration {
    match u64::try_from(scheduler_interval_ms) {
        Ok(ms) if scheduler_interval_ms < i64::MAX => Duration::from_millis(ms.max(1)),
        _ => FLUSH_PERIOD,
    }
}
