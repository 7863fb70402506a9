//! All logs of a node: created, stopped cleanly and not, deleted, and left without an owner.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
};
use ottla_storage::fs::Fs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::log_manager::Outcome;
use ottla_storage::{AppendOrigin, Disposition, Loaded, LogConfig, LogDir, LogManager, OpenError};

use crate::support::{Random, batch, os_fs, read_on, small_config};

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.to_owned(),
        partition: PartitionIndex(partition),
    }
}

fn id(number: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(number))
}

fn start(dirs: &[&Path]) -> (LogManager, Loaded) {
    start_with(dirs, &|_, id| Disposition::Open(small_config(), id))
}

fn start_with(
    dirs: &[&Path],
    decide: &(dyn Fn(&TopicPartition, Option<TopicId>) -> Disposition + Sync),
) -> (LogManager, Loaded) {
    let dirs = dirs.iter().map(|dir| LogDir::open(os_fs(), dir).unwrap());
    LogManager::open(os_fs(), dirs.collect(), decide, 3, Timestamp(0)).unwrap()
}

fn fill(manager: &LogManager, partition: &TopicPartition, batches: usize) -> Offset {
    let log = manager.get(partition).unwrap();
    for at in 0..batches {
        let batch = batch(&mut Random(at as u64), 2, 50, at as i64);
        let mut log = log.lock();
        log.append(batch, LeaderEpoch(0), AppendOrigin::Client, Timestamp(0))
            .unwrap();
    }
    log.reader().log_end_offset()
}

#[test]
fn logs_are_there_again_after_every_kind_of_stop() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dirs = [one.path(), two.path()];
    let (manager, _) = start(&dirs);
    for index in 0..6 {
        let created = manager.create(&tp("t", index), Some(id(9)), small_config(), Timestamp(0));
        assert_eq!(
            created.unwrap().dir_index(),
            index as usize % 2,
            "spread over the directories"
        );
        fill(&manager, &tp("t", index), 20 + index as usize);
    }
    manager
        .get(&tp("t", 3))
        .unwrap()
        .lock()
        .delete_before(Offset(33))
        .unwrap();
    manager.close(17).unwrap();
    drop(manager);

    let check = |manager: &LogManager, more: i64| {
        assert_eq!(manager.list().len(), 6);
        for index in 0..6 {
            let log = manager.get(&tp("t", index)).unwrap();
            let start = log.reader().log_start_offset();
            assert_eq!(start.0, if index == 3 { 33 } else { 0 });
            assert_eq!(
                log.reader().log_end_offset().0,
                40 + i64::from(index) * 2 + more
            );
            assert_eq!(log.lock().topic_id(), Some(id(9)));
            let all = read_on(log.reader(), start, 1 << 20);
            assert_eq!(
                all.last().unwrap().0.next_offset(),
                log.reader().log_end_offset()
            );
        }
    };
    let (manager, loaded) = start(&dirs);
    assert!(
        loaded.recovered.is_empty() && loaded.failed.is_empty(),
        "{loaded:?}"
    );
    check(&manager, 0);
    manager.checkpoint().unwrap();
    for index in 0..6 {
        fill(&manager, &tp("t", index), 1);
    }
    // Killed: the marker of the clean stop is gone since the start.
    drop(manager);
    let (manager, loaded) = start(&dirs);
    assert_eq!(loaded.recovered.len(), 6);
    let scanned = loaded
        .recovered
        .iter()
        .map(|(_, recovered)| recovered.segments_scanned);
    assert!(scanned.max() <= Some(2), "{loaded:?}");
    check(&manager, 2);
}

#[test]
fn a_checkpoint_bounds_what_is_scanned_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[dir.path()]);
    manager
        .create(&tp("t", 0), None, small_config(), Timestamp(0))
        .unwrap();
    fill(&manager, &tp("t", 0), 200);
    manager.checkpoint().unwrap();
    let end = fill(&manager, &tp("t", 0), 1);
    let text =
        std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
    assert_eq!(text, format!("0\n1\nt 0 {}\n", end.0 - 2));
    drop(manager);
    let (_, loaded) = start(&[dir.path()]);
    let recovered = &loaded.recovered[0].1;
    assert!(
        recovered.segments_scanned <= 2 && recovered.bytes_scanned < 1500,
        "{recovered:?}"
    );
    assert_eq!(recovered.producer_batches, 1);
}

#[test]
fn a_deleted_log_goes_when_its_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[dir.path()]);
    let config = LogConfig {
        file_delete_delay_ms: 100,
        ..small_config()
    };
    let doomed = manager
        .create(&tp("t", 0), Some(id(1)), config.clone(), Timestamp(0))
        .unwrap();
    fill(&manager, &tp("t", 0), 3);
    let reader = doomed.reader().clone();
    let slice = reader
        .read(Offset(0), Offset(i64::MAX), 1 << 20, true)
        .unwrap();
    assert!(manager.delete(&tp("t", 0), Timestamp(1000)).unwrap());
    assert!(!manager.delete(&tp("t", 0), Timestamp(1000)).unwrap());
    assert!(manager.get(&tp("t", 0)).is_none());
    let next = batch(&mut Random(1), 1, 1, 1);
    let refused = doomed
        .lock()
        .append(next, LeaderEpoch(0), AppendOrigin::Client, Timestamp(0));
    assert!(
        refused.is_err(),
        "a handle that is still held takes no more"
    );
    // Created again, with another id, while the old one is still there.
    manager
        .create(&tp("t", 0), Some(id(2)), config.clone(), Timestamp(0))
        .unwrap();
    let other = manager
        .create(&tp("t", 0), Some(id(3)), config, Timestamp(0))
        .map(|_| ());
    assert!(matches!(other, Err(OpenError::TopicId { .. })));
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap());
        let names = entries.map(|e| e.file_name().into_string().unwrap());
        names.filter(|name| name.ends_with("-delete")).count()
    };
    manager.housekeeping(Timestamp(1099)).unwrap();
    assert_eq!(names(), 1);
    manager.housekeeping(Timestamp(1100)).unwrap();
    assert_eq!(names(), 0);
    assert!(
        !crate::support::bytes(&slice).is_empty(),
        "what was read before can still be sent"
    );
    // One that a killed process left behind goes at the first opportunity.
    std::fs::create_dir(
        dir.path()
            .join("t-5.0123456789abcdef0123456789abcdef-delete"),
    )
    .unwrap();
    drop(manager);
    let (manager, _) = start(&[dir.path()]);
    manager.housekeeping(Timestamp(0)).unwrap();
    assert_eq!(names(), 0);
}

#[test]
fn logs_without_an_owner_are_set_aside_and_broken_ones_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[dir.path()]);
    for topic in ["good", "stray", "wrong"] {
        manager
            .create(&tp(topic, 0), Some(id(1)), small_config(), Timestamp(0))
            .unwrap();
    }
    drop(manager);
    std::fs::create_dir(dir.path().join("__cluster_metadata-0")).unwrap();
    std::fs::create_dir(dir.path().join("something else")).unwrap();
    let (manager, loaded) = start_with(&[dir.path()], &|partition, found| {
        assert_eq!(found, Some(id(1)));
        match partition.topic.as_str() {
            "stray" => Disposition::Stray,
            "wrong" => Disposition::Open(small_config(), Some(id(2))),
            _ => Disposition::Open(small_config(), found),
        }
    });
    assert_eq!(manager.list().len(), 1);
    assert_eq!(loaded.failed.len(), 1);
    assert!(matches!(loaded.failed[0].1, OpenError::TopicId { .. }));
    assert_eq!(loaded.strays.len(), 1);
    assert!(dir.path().join(&loaded.strays[0]).is_dir());
    assert!(loaded.strays[0].starts_with("stray-0.") && loaded.strays[0].ends_with("-stray"));
}

#[test]
fn notes_of_a_deleted_log_do_not_count_for_the_next_one_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let partition = tp("again", 0);
    let (manager, _) = start(&[dir.path()]);
    let create = |manager: &LogManager, number| {
        manager
            .create(&partition, Some(id(number)), small_config(), Timestamp(0))
            .unwrap()
    };
    let old = create(&manager, 1);
    fill(&manager, &partition, 40);
    old.lock().advance_start(Offset(50)).unwrap();
    manager.checkpoint().unwrap();
    assert!(manager.delete(&partition, Timestamp(0)).unwrap());
    create(&manager, 2);
    let end = fill(&manager, &partition, 3);
    drop((old, manager));

    let (manager, _) = start(&[dir.path()]);
    let log = manager.get(&partition).unwrap();
    assert_eq!(log.reader().log_start_offset(), Offset(0));
    assert_eq!(log.reader().log_end_offset(), end);
    assert_eq!(log.lock().recovery_point(), Offset(0));
}

#[test]
fn a_log_created_again_begins_anew_whatever_was_noted_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[dir.path()]);
    let create = |manager: &LogManager, number| {
        manager
            .create(&tp("t", 0), Some(id(number)), small_config(), Timestamp(0))
            .unwrap()
    };
    let old = create(&manager, 1);
    fill(&manager, &tp("t", 0), 200);
    old.lock().advance_start(Offset(300)).unwrap();
    manager.note_starts(&[Arc::clone(&old)]).unwrap();
    manager.checkpoint().unwrap();
    manager.delete(&tp("t", 0), Timestamp(0)).unwrap();
    create(&manager, 2);
    let end = fill(&manager, &tp("t", 0), 5);
    // Too late: the log is another one by now.
    manager.note_starts(&[old]).unwrap();
    // Killed.
    drop(manager);
    let (manager, loaded) = start(&[dir.path()]);
    assert!(loaded.failed.is_empty());
    let log = manager.get(&tp("t", 0)).unwrap();
    let reader = log.reader();
    assert_eq!(
        (reader.log_start_offset(), reader.log_end_offset()),
        (Offset(0), end)
    );
    assert_eq!(read_on(reader, Offset(0), 1 << 20).len(), 5);
}

#[test]
fn the_start_of_a_log_that_cannot_be_opened_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[dir.path()]);
    for index in 0..2 {
        manager
            .create(&tp("t", index), Some(id(1)), small_config(), Timestamp(0))
            .unwrap();
        fill(&manager, &tp("t", index), 50);
    }
    let log = manager.get(&tp("t", 0)).unwrap();
    log.lock().advance_start(Offset(7)).unwrap();
    manager.close(1).unwrap();
    drop((manager, log));
    let (manager, loaded) = start_with(&[dir.path()], &|partition, found| {
        let other = (partition.partition.0 == 0).then_some(id(2));
        Disposition::Open(small_config(), other.or(found))
    });
    assert_eq!(loaded.failed.len(), 1);
    fill(&manager, &tp("t", 1), 1);
    manager.checkpoint().unwrap();
    drop(manager);
    let (manager, _) = start(&[dir.path()]);
    let log = manager.get(&tp("t", 0)).unwrap();
    assert_eq!(log.reader().log_start_offset(), Offset(7));
}

/// Logs `t-0` to `t-3`, each with as many records and a start of 7, and a stop that was clean or not.
fn four_logs(dir: &Path, clean: bool) -> Offset {
    let (manager, _) = start(&[dir]);
    let mut end = Offset(0);
    for index in 0..4 {
        manager
            .create(&tp("t", index), Some(id(1)), small_config(), Timestamp(0))
            .unwrap();
        end = fill(&manager, &tp("t", index), 50);
        let log = manager.get(&tp("t", index)).unwrap();
        log.lock().advance_start(Offset(7)).unwrap();
    }
    manager.checkpoint().unwrap();
    if clean {
        manager.close(1).unwrap();
    }
    end
}

fn find(dir: &Path) -> LogManager {
    let dirs = vec![LogDir::open(os_fs(), dir).unwrap()];
    LogManager::find(os_fs(), dirs, 2, Timestamp(0)).unwrap()
}

fn load(manager: &LogManager, wanted: &[i32]) -> Vec<TopicPartition> {
    let done = std::sync::Mutex::new(Vec::new());
    manager.load(
        &|partition| wanted.contains(&partition.partition.0),
        &|_, id| Disposition::Open(small_config(), id),
        &|partition, outcome| {
            assert!(matches!(outcome, Outcome::Open(_)));
            assert!(manager.get(partition).is_some(), "others can have it");
            done.lock().unwrap().push(partition.clone());
        },
        Timestamp(0),
    );
    let mut done = done.into_inner().unwrap();
    done.sort();
    done
}

#[test]
fn what_is_noted_of_logs_stays_while_they_wait_to_be_opened() {
    for clean in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let end = four_logs(dir.path(), clean);
        let manager = find(dir.path());
        assert_eq!((manager.waiting(), manager.list().len()), (4, 0));
        assert_eq!(load(&manager, &[2, 0]), [tp("t", 0), tp("t", 2)]);
        assert!(manager.is_waiting(&tp("t", 1)) && !manager.is_waiting(&tp("t", 2)));
        fill(&manager, &tp("t", 2), 1);
        manager.checkpoint().unwrap();
        manager.close(2).unwrap();
        assert_eq!(
            load(&manager, &[1, 3]),
            [],
            "nothing is opened behind a stop"
        );
        drop(manager);

        let manager = find(dir.path());
        let marker = dir.path().join(".kafka_cleanshutdown");
        assert!(!marker.exists());
        load(&manager, &[0, 1, 2, 3]);
        for index in 0..4 {
            let log = manager.get(&tp("t", index)).unwrap();
            let appended = if index == 2 { 2 } else { 0 };
            assert_eq!(log.reader().log_start_offset(), Offset(7));
            assert_eq!(log.lock().log_end_offset(), end.plus(appended));
            assert_eq!(log.lock().recovery_point(), end.plus(appended));
        }
    }
}

#[test]
fn a_directory_with_logs_that_nobody_looked_at_is_as_clean_as_before() {
    for clean in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        four_logs(dir.path(), clean);
        let manager = find(dir.path());
        load(&manager, &[3]);
        manager.close(5).unwrap();
        let marker = dir.path().join(".kafka_cleanshutdown");
        assert_eq!(marker.exists(), clean);
    }
}

#[test]
fn a_log_is_deleted_before_anybody_has_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    four_logs(dir.path(), false);
    let manager = find(dir.path());
    assert!(manager.delete(&tp("t", 1), Timestamp(0)).unwrap());
    assert!(!manager.delete(&tp("t", 1), Timestamp(0)).unwrap());
    let again = manager.create(&tp("t", 1), Some(id(2)), small_config(), Timestamp(0));
    let again = again.unwrap();
    assert_eq!(
        again.reader().log_start_offset(),
        Offset(0),
        "not the old one's"
    );
    assert_eq!(load(&manager, &[0, 1]), [tp("t", 0)]);
    manager.housekeeping(Timestamp(1)).unwrap();
    let names: Vec<_> = (std::fs::read_dir(dir.path()).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("t-") || name.ends_with("-delete"))
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_log_that_is_created_while_it_waits_is_the_one_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let end = four_logs(dir.path(), false);
    let manager = find(dir.path());
    let log = manager.create(&tp("t", 1), Some(id(1)), small_config(), Timestamp(0));
    let log = log.unwrap();
    assert_eq!(log.lock().log_end_offset(), end);
    assert_eq!(
        log.lock().recovery_point(),
        end,
        "it is not scanned from its beginning"
    );
}

#[test]
fn a_log_that_is_deleted_while_it_is_opened_goes_then() {
    let dir = tempfile::tempdir().unwrap();
    four_logs(dir.path(), false);
    let fs = FaultFs::new(os_fs(), Fault::Error(std::io::ErrorKind::Other));
    let fs_of_logs: Arc<dyn Fs> = Arc::new(fs.clone());
    let dirs = vec![LogDir::open(os_fs(), dir.path()).unwrap()];
    let manager = LogManager::find(fs_of_logs, dirs, 2, Timestamp(0)).unwrap();
    fs.hold(&dir.path().join("t-1"));
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&manager, &[0, 1]));
        while manager.waiting() != 2 || manager.get(&tp("t", 0)).is_none() {
            std::thread::yield_now();
        }
        assert!(manager.delete(&tp("t", 1), Timestamp(0)).unwrap());
        let created = scope.spawn(|| {
            let log = manager.create(&tp("t", 1), Some(id(2)), small_config(), Timestamp(0));
            log.unwrap().lock().log_end_offset()
        });
        fs.release();
        assert_eq!(created.join().unwrap(), Offset(0));
        assert_eq!(loading.join().unwrap(), [tp("t", 0)]);
    });
    let log = manager.get(&tp("t", 1)).unwrap();
    assert_eq!(log.lock().topic_id(), Some(id(2)));
}
