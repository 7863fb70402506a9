//! Several producers at a time on a disk that may lose power at any change: what was acknowledged with acks=all, and what
//! a consumer was shown, is there afterwards. And on a disk that fails: whoever waits is told.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
};
use ottla_protocol::record::{BatchBuilder, ValidBatch};
use ottla_storage::append::AppendOrigin;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::{Disposition, Fs, LogConfig, LogDir, LogManager, PartitionLog};

use super::*;
use crate::clock::SystemClock;
use crate::config::{BrokerConfig, TopicConfig};
use crate::partition::disk_space::DiskSpace;
use crate::partition::group_commit::FlushWait;
use crate::partition::topic_rules::TopicRules;

const PRODUCERS: usize = 3;
const BATCHES: usize = 25;

fn open(fs: &Arc<dyn Fs>) -> Arc<PartitionLog> {
    let config = LogConfig {
        segment_bytes: 1500,
        ..LogConfig::default()
    };
    let dir = LogDir::open(Arc::clone(fs), Path::new("/data")).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(config.clone(), id);
    let now = Timestamp(0);
    let (logs, _) = LogManager::open(Arc::clone(fs), vec![dir], &decide, 1, now).unwrap();
    let id = TopicPartition {
        topic: "t".to_owned(),
        partition: PartitionIndex(0),
    };
    logs.create(&id, None, config.clone(), now).unwrap()
}

fn lead(log: Arc<PartitionLog>) -> Arc<Partition> {
    let rules = TopicRules::new(&TopicConfig::default(), &BrokerConfig::default());
    assert!(rules.flush_on_acks_all);
    Arc::new(Partition::new(
        log.topic_partition().clone(),
        TopicId::METADATA,
        log,
        LeaderEpoch(0),
        Arc::new(rules),
        Arc::new(Flusher::start(2, Arc::new(SystemClock)).unwrap()),
        Arc::new(DiskSpace::new(0, u64::MAX)),
    ))
}

fn batch(size: usize) -> ValidBatch {
    let mut batch = BatchBuilder::new();
    batch.append(Timestamp(5), None, Some(&vec![7; size]));
    batch.build().unwrap()
}

/// Produce with acks=all as the handler does; the end of what is acknowledged, if it is.
async fn produce(partition: &Arc<Partition>, size: usize) -> Option<Offset> {
    let produced = partition
        .produce(batch(size), None, true, Timestamp(5))
        .ok()?;
    let upto = produced.flush_upto.expect("acks=all waits");
    let wait = FlushWait::default();
    partition.flush_upto(upto, &wait);
    wait.done().await;
    partition.is_flushed(upto).then_some(upto)
}

/// What the power cuts found missing; `early` acknowledges before the sync.
fn walk(seed: u64, early: bool) -> (usize, Vec<String>) {
    let disk = CrashFs::default();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let partition = lead(open(&fs));
    let promised = Arc::new(AtomicI64::new(0));
    let (points, missing) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let check = {
        let (partition, promised) = (Arc::clone(&partition), Arc::clone(&promised));
        let (points, missing) = (Arc::clone(&points), Arc::clone(&missing));
        move |disk: &CrashFs| {
            // What is promised later need not be there yet.
            let shown = partition.offsets().high_watermark.0;
            let promised = promised.load(Ordering::SeqCst).max(shown);
            let point = points.fetch_add(1, Ordering::SeqCst) as u64;
            let left: Arc<dyn Fs> =
                Arc::new(disk.crash(seed ^ point << 20, [0, 50][point as usize % 2]));
            let end = open(&left).reader().log_end_offset().0;
            if end < promised {
                let lost =
                    format!("seed {seed}, power cut {point}: {promised} promised, {end} there");
                missing.lock().unwrap().push(lost);
            }
        }
    };
    disk.observe(Box::new(check.clone()));
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let (partition, promised) = (&partition, &promised);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build().unwrap();
                for at in 0..BATCHES {
                    let size = (seed as usize * 31 + producer * 17 + at * 41) % 400;
                    let upto = if early {
                        let origin = AppendOrigin::Client;
                        let info = partition.append(batch(size), origin, Timestamp(5)).unwrap();
                        info.last_offset.plus(1)
                    } else {
                        runtime.block_on(produce(partition, size)).unwrap()
                    };
                    promised.fetch_max(upto.0, Ordering::SeqCst);
                }
            });
        }
    });
    check(&disk);
    disk.observe(Box::new(|_| {}));
    let missing = missing.lock().unwrap().clone();
    (points.load(Ordering::SeqCst), missing)
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged_or_shown() {
    let mut points = 0;
    for seed in 1..6 {
        println!("seed {seed}");
        let (tried, missing) = walk(seed, false);
        assert!(missing.is_empty(), "{missing:?}");
        points += tried;
    }
    println!("{points} power cuts");
    assert!(points > 500, "{points}");
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    let (_, missing) = walk(1, true);
    assert!(!missing.is_empty());
}

#[tokio::test]
async fn all_who_wait_for_a_sync_that_fails_are_told_and_only_what_is_durable_is_claimed() {
    let disk = CrashFs::default();
    let faulty = FaultFs::new(
        Arc::new(disk.clone()),
        Fault::FailedSync(io::ErrorKind::Other),
    );
    let fs: Arc<dyn Fs> = Arc::new(faulty.clone());
    let partition = lead(open(&fs));
    let acknowledged = produce(&partition, 10).await.unwrap();
    faulty.fail_at(0, u64::MAX);
    let producers: Vec<_> = (0..5)
        .map(|_| {
            let partition = Arc::clone(&partition);
            tokio::spawn(async move { produce(&partition, 10).await })
        })
        .collect();
    for producer in producers {
        assert_eq!(producer.await.unwrap(), None);
    }
    faulty.heal();
    assert_eq!(
        produce(&partition, 10).await,
        None,
        "not as if nothing had happened"
    );
    assert_eq!(partition.offsets().high_watermark, acknowledged);
    assert!(partition.is_offline());
    let left: Arc<dyn Fs> = Arc::new(disk.crash(1, 0));
    assert_eq!(open(&left).reader().log_end_offset(), acknowledged);
}
