//! A clean stop of many logs: they are synced together, or one by one where that is not to be trusted.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
};
use ottla_storage::fs::Fs;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::{AppendOrigin, Disposition, LogDir, LogManager};

use crate::support::{Random, batch, small_config};

const DIR: &str = "/data";
const LOGS: i32 = 40;

fn tp(index: i32) -> TopicPartition {
    TopicPartition {
        topic: "t".to_owned(),
        partition: PartitionIndex(index),
    }
}

fn start(fs: &Arc<dyn Fs>) -> LogManager {
    let dir = LogDir::open(Arc::clone(fs), Path::new(DIR)).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(small_config(), id);
    let opened = LogManager::open(Arc::clone(fs), vec![dir], &decide, 2, Timestamp(0));
    let (manager, loaded) = opened.unwrap();
    assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
    manager
}

/// So many batches in each log, a new epoch with each.
fn fill(manager: &LogManager, batches: i32) -> Offset {
    let mut end = Offset(0);
    for index in 0..LOGS {
        let id = TopicId(uuid::Uuid::from_u128(7));
        let log = manager
            .create(&tp(index), Some(id), small_config(), Timestamp(0))
            .unwrap();
        for epoch in 0..batches {
            let batch = batch(&mut Random(epoch as u64), 2, 50, 0);
            let mut log = log.lock();
            log.append(
                batch,
                LeaderEpoch(epoch),
                AppendOrigin::Client,
                Timestamp(0),
            )
            .unwrap();
        }
        end = log.reader().log_end_offset();
    }
    end
}

/// After a power cut, when the marker tells that the stop was clean, all is there and nothing is scanned.
fn check(after: CrashFs, end: Offset, epochs: i32) {
    let fs: Arc<dyn Fs> = Arc::new(after);
    let dir = LogDir::open(Arc::clone(&fs), Path::new(DIR)).unwrap();
    if dir.clean_shutdown().is_none() {
        return;
    }
    drop(dir);
    let manager = start(&fs);
    for index in 0..LOGS {
        let log = manager.get(&tp(index)).unwrap();
        let log = log.lock();
        assert_eq!(log.log_end_offset(), end);
        assert_eq!(log.recovery_point(), end);
        let latest = log.epochs().latest().unwrap().epoch;
        assert_eq!(latest, LeaderEpoch(epochs - 1));
    }
}

#[test]
fn many_logs_are_synced_together_and_all_is_there_after_a_power_cut() {
    let disk = CrashFs::default();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let manager = start(&fs);
    let end = fill(&manager, 6);
    let changes = Arc::new(AtomicUsize::new(0));
    let (seen, cuts) = (Arc::clone(&changes), Arc::new(AtomicUsize::new(0)));
    let cut = Arc::clone(&cuts);
    disk.observe(Box::new(move |disk| {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        if number % 7 == 0 {
            cut.fetch_add(1, Ordering::Relaxed);
            check(disk.crash(number as u64, 50), end, 6);
        }
    }));
    manager.close(1).unwrap();
    disk.observe(Box::new(|_| {}));
    assert!(cuts.load(Ordering::Relaxed) > 20);
    drop((manager, fs));
    let after = disk.crash(1, 0);
    let marker = Path::new(DIR).join(".kafka_cleanshutdown");
    assert!(after.stat(&marker).unwrap().is_some());
    check(after, end, 6);
}

#[test]
fn a_sync_of_the_whole_that_fails_leaves_it_to_the_logs_themselves() {
    // How many syncs fail, and whether the stop is clean all the same: first the one of the whole fails, which may be
    // for another program's writes; then also one of a log.
    for (failures, clean) in [(1, true), (2, false)] {
        let disk = CrashFs::default();
        let fault = FaultFs::new(
            Arc::new(disk.clone()),
            Fault::FailedSync(ErrorKind::StorageFull),
        );
        let fs: Arc<dyn Fs> = Arc::new(fault.clone());
        let manager = start(&fs);
        let end = fill(&manager, 3);
        // The changes up to the first sync of the stop: nothing else is told of a failing sync.
        fault.fail_syncs(failures);
        assert_eq!(manager.close(1).is_ok(), clean);
        drop((manager, fs));
        check(disk.crash(1, 0), end, 3);
        let marker = Path::new(DIR).join(".kafka_cleanshutdown");
        assert_eq!(disk.stat(&marker).unwrap().is_some(), clean);
    }
}
