//! Calls that fail: what was acknowledged stays, what failed is not there, and nothing is appended on doubtful ground.

use std::io;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::{AppendError, AppendOrigin, Fs, Log, LogConfig};

use crate::support::{Opening, Random, batch, read_on, small_config};

fn open(fs: &Arc<dyn Fs>) -> Log {
    let config = LogConfig {
        segment_bytes: 2500,
        ..small_config()
    };
    let dir = std::path::Path::new("/data/t-0");
    Log::open(
        Arc::clone(fs),
        dir,
        None,
        config,
        Opening::UNKNOWN,
        Timestamp(0),
    )
    .unwrap()
    .0
}

fn append(log: &mut Log, random: &mut Random) -> Result<Offset, AppendError> {
    let batch = batch(random, 2, 60, 0);
    let info = log.append(batch, LeaderEpoch(0), AppendOrigin::Client, Timestamp(0))?;
    Ok(info.base_offset)
}

/// A log on a disk in memory with some batches in it, and the switch for its faults.
fn prepared(fault: Fault) -> (Arc<dyn Fs>, FaultFs, Log, Random) {
    let disk: Arc<dyn Fs> = Arc::new(CrashFs::default());
    let faulty = FaultFs::new(Arc::clone(&disk), fault);
    let fs: Arc<dyn Fs> = Arc::new(faulty.clone());
    let mut log = open(&fs);
    let mut random = Random(1);
    for _ in 0..5 {
        append(&mut log, &mut random).unwrap();
    }
    log.flush().unwrap();
    (disk, faulty, log, random)
}

/// Everything that the log holds is what another start finds.
fn check_reopened(disk: &Arc<dyn Fs>, log: Log) {
    let expected = read_on(&log.reader(), Offset(0), 1 << 20);
    let end = log.log_end_offset();
    drop(log);
    let log = open(disk);
    assert_eq!(log.log_end_offset(), end);
    assert_eq!(read_on(&log.reader(), Offset(0), 1 << 20), expected);
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    for n in 0..40 {
        let (disk, faulty, mut log, mut random) =
            prepared(Fault::TornWrite(io::ErrorKind::StorageFull));
        // Some of the calls are writes, some belong to a roll; the one that undoes the torn write must succeed.
        faulty.fail_at(n, 1 + n % 2);
        let mut refused = 0;
        for _ in 0..20 {
            let end = log.log_end_offset();
            let before = read_on(&log.reader(), Offset(0), 1 << 20);
            match append(&mut log, &mut random) {
                Ok(base) => assert_eq!(base, end),
                Err(AppendError::NoSpace(_)) => {
                    refused += 1;
                    assert_eq!(log.log_end_offset(), end, "call {n}");
                    assert_eq!(read_on(&log.reader(), Offset(0), 1 << 20), before);
                }
                Err(error) => panic!("call {n}: {error}"),
            }
        }
        assert!(refused <= 2, "call {n}: {refused} refused");
        check_reopened(&disk, log);
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_appended() {
    for n in 0..40 {
        for fault in [
            Fault::Error(io::ErrorKind::Other),
            Fault::TornWrite(io::ErrorKind::Other),
        ] {
            let (disk, faulty, mut log, mut random) = prepared(fault);
            faulty.fail_at(n, 2);
            let mut acknowledged = read_on(&log.reader(), Offset(0), 1 << 20).len();
            for _ in 0..20 {
                match append(&mut log, &mut random) {
                    Ok(_) => acknowledged += 1,
                    Err(AppendError::Storage(_)) => break,
                    Err(error) => panic!("call {n}: {error}"),
                }
            }
            if log.failure().is_some() {
                faulty.heal();
                assert!(matches!(
                    append(&mut log, &mut random),
                    Err(AppendError::Storage(_))
                ));
                assert!(log.flush().is_err());
                assert!(log.roll(Timestamp(0)).is_err());
                assert!(log.close().is_err());
            }
            let found = read_on(&log.reader(), Offset(0), 1 << 20);
            assert_eq!(found.len(), acknowledged, "call {n}");
            drop(log);
            let log = open(&disk);
            let again = read_on(&log.reader(), Offset(0), 1 << 20);
            assert_eq!(
                again[..acknowledged],
                found,
                "call {n}: what was acknowledged is there"
            );
        }
    }
}

#[test]
fn a_short_write_is_completed() {
    let (disk, faulty, mut log, mut random) = prepared(Fault::ShortWrite);
    faulty.fail_at(0, u64::MAX);
    for _ in 0..30 {
        append(&mut log, &mut random).unwrap();
    }
    check_reopened(&disk, log);
}

#[test]
fn a_failed_sync_is_never_taken_for_a_good_one() {
    let (_, faulty, mut log, mut random) = prepared(Fault::Error(io::ErrorKind::Other));
    let flushed = log.recovery_point();
    append(&mut log, &mut random).unwrap();
    let plan = log.flush_plan().unwrap();
    append(&mut log, &mut random).unwrap();
    faulty.fail_at(0, 1);
    let outcome = plan.run();
    assert!(outcome.is_err());
    assert!(matches!(
        log.flushed(&plan, outcome),
        Err(AppendError::Storage(_))
    ));
    assert_eq!(log.recovery_point(), flushed);
    // The disk is well again, but the kernel may have dropped what it could not write.
    assert!(log.flush().is_err());
    assert!(append(&mut log, &mut random).is_err());
    assert!(log.truncate_to(Offset(0), Timestamp(0)).is_err());
    assert_eq!(log.recovery_point(), flushed);
    assert!(
        !read_on(&log.reader(), Offset(0), 1 << 20).is_empty(),
        "it can still be read"
    );
}

#[test]
fn appends_during_a_flush_wait_for_the_next_one() {
    let (_, _, mut log, mut random) = prepared(Fault::ShortWrite);
    let plan = log.flush_plan().unwrap();
    assert!(plan.is_empty());
    append(&mut log, &mut random).unwrap();
    let plan = log.flush_plan().unwrap();
    let upto = log.log_end_offset();
    append(&mut log, &mut random).unwrap();
    log.flushed(&plan, plan.run()).unwrap();
    assert_eq!((plan.upto(), log.recovery_point()), (upto, upto));
    assert!(log.recovery_point() < log.log_end_offset());
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), log.log_end_offset());
}

#[test]
fn flushes_are_due_by_count_and_by_time() {
    let (_, _, mut log, mut random) = prepared(Fault::ShortWrite);
    let mut config = log.config().clone();
    (config.flush_messages, config.flush_ms) = (5, 100);
    log.set_config(config);
    assert!(!log.flush_due(Timestamp(0)), "nothing is unflushed");
    append(&mut log, &mut random).unwrap();
    for (now, due) in [(0, false), (99, false), (100, true)] {
        assert_eq!(log.flush_due(Timestamp(now)), due, "at {now}");
    }
    log.flush().unwrap();
    assert!(!log.flush_due(Timestamp(200)));
    for reached in [false, false, true] {
        append(&mut log, &mut random).unwrap();
        assert_eq!(log.flush_messages_reached(), reached, "two records each");
    }
    assert!(!log.flush_due(Timestamp(200)), "by time it is not due yet");
    // What is appended during a flush counts for the next one.
    let plan = log.flush_plan().unwrap();
    append(&mut log, &mut random).unwrap();
    log.flushed(&plan, plan.run()).unwrap();
    for reached in [false, true] {
        assert_eq!(log.flush_messages_reached(), reached);
        append(&mut log, &mut random).unwrap();
        append(&mut log, &mut random).unwrap();
    }
}
