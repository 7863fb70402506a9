//! The power goes at every single change that a workload with compaction makes to its files. What the next start finds
//! must show readers of committed data the last value of each key, as of the end that it finds, and nothing that was
//! aborted or deleted; it must know the producers, and must take another round.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{ProducerId, Timestamp};
use ottla_storage::cleaner::CleanerLimits;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::{Fs, LogCleaner, PartitionLog};

use super::DIR;
use super::oracle::{Bench, LIMITS, Oracle, config, partition, start, view};
use crate::crash::{Plant, Planted};
use crate::support::Random;

/// What must be on disk.
#[derive(Clone, Copy, Default)]
struct Promise {
    /// The log was created.
    begun: bool,
    /// Everything below it.
    flushed: i64,
}

fn workload(bench: &mut Bench, promise: &Mutex<Promise>, seed: u64, steps: usize) {
    let mut random = Random(seed);
    bench.manager.checkpoint().unwrap();
    promise.lock().unwrap().begun = true;
    for _ in 0..steps {
        let end = bench.oracle.end;
        let flushed = match random.below(100) {
            0..50 => bench.append(&mut random).is_err(),
            50..64 => bench.end_txn(&mut random).is_err(),
            64..68 => bench.log.lock().roll(Timestamp(bench.now)).is_err(),
            68..74 => {
                bench.now += random.below(900) as i64;
                false
            }
            74..88 => {
                let map_bytes = if random.chance(30) { 120 } else { 1 << 20 };
                let limits = CleanerLimits {
                    map_bytes,
                    ..LIMITS
                };
                bench.clean(&limits).unwrap().is_some()
            }
            88..92 => bench.manager.housekeeping(Timestamp(i64::MAX)).is_err(),
            92..95 => bench.log.flush().is_ok(),
            95..97 => bench.manager.checkpoint().is_ok(),
            _ => {
                let clean = random.chance(50);
                bench.reopen(clean);
                clean
            }
        };
        if flushed {
            promise.lock().unwrap().flushed = end;
        }
    }
}

/// Start on what the power cut left, and compare; then compact that, and compare again.
fn check(image: &CrashFs, oracle: &Oracle, promise: Promise) {
    let fs: Arc<dyn Fs> = Arc::new(image.clone());
    let manager = start(&fs, Path::new(DIR), &config());
    let Some(log) = manager.get(&partition()) else {
        assert!(!promise.begun, "the log is gone");
        return;
    };
    let end = log.reader().log_end_offset();
    assert!(
        end.0 >= promise.flushed,
        "the log ends at {end}, flushed was {}",
        promise.flushed
    );
    if has_hole(&log, promise.flushed) {
        return;
    }
    check_content(&log, oracle);
    check_producers(&log, oracle);
    let cleaner = LogCleaner::new(&manager);
    log.lock().roll(Timestamp(i64::MAX)).unwrap();
    let stable = || log.reader().first_unstable_offset().unwrap_or(end);
    // Tombstones may all go by now, whatever their time was.
    let late = Timestamp(i64::MAX / 2);
    for _ in 0..2 {
        let target = cleaner.next([(Arc::clone(&log), stable())].into_iter(), late);
        let Some(target) = target else { break };
        let done = cleaner.clean(&manager, &target, &LIMITS, late, &|_| true);
        done.unwrap();
        check_content(&log, oracle);
    }
    drop((log, cleaner, manager));
    let manager = start(&fs, Path::new(DIR), &config());
    let log = manager.get(&partition()).expect("the log is there");
    assert_eq!(log.reader().log_end_offset(), end, "after another start");
    check_content(&log, oracle);
    check_producers(&log, oracle);
}

/// Of what was not flushed a whole segment may be missing: in a compacted log, recovery takes that for compaction's work.
fn has_hole(log: &PartitionLog, flushed: i64) -> bool {
    let end = log.reader().log_end_offset();
    let mut next = 0;
    for header in view(log, end, 900).headers {
        if header.base_offset().0 > next.max(flushed) {
            return true;
        }
        next = header.next_offset().0;
    }
    end.0 > next.max(flushed)
}

fn check_content(log: &PartitionLog, oracle: &Oracle) {
    let end = log.reader().log_end_offset();
    log.lock().on_high_watermark(end);
    let stable = log.reader().first_unstable_offset().unwrap_or(end);
    for (offset, content) in &view(log, end, 900).all {
        assert_eq!(*content, oracle.records[offset].content, "at {offset}");
    }
    let committed = |txn: Option<usize>| match txn {
        None => true,
        Some(txn) => oracle.outcomes[txn].is_some_and(|(yes, at)| yes && at < end.0),
    };
    let mut expected = BTreeMap::new();
    for record in oracle.records.range(..stable.0).map(|(_, record)| record) {
        if committed(record.txn) {
            let (key, value, _) = &record.content;
            expected.insert(key, value.as_ref());
        }
    }
    let seen = view(log, stable, 900).committed;
    let mut found = BTreeMap::new();
    for (offset, (key, value, _)) in &seen {
        assert!(
            committed(oracle.records[offset].txn),
            "{offset} was aborted"
        );
        found.insert(key, value.as_ref());
    }
    expected.retain(|_, value| value.is_some());
    found.retain(|_, value| value.is_some());
    assert_eq!(found, expected, "the last values, below {stable}");
}

/// The log knows what each producer said last.
fn check_producers(log: &PartitionLog, oracle: &Oracle) {
    let end = log.reader().log_end_offset().0;
    let mut last = BTreeMap::new();
    for word in oracle.words.iter().filter(|word| word.end <= end) {
        let entry = last.entry(word.producer).or_insert((word.epoch, None));
        match word.sequence {
            Some(sequence) => *entry = (word.epoch, Some(sequence)),
            None if entry.0 != word.epoch => *entry = (word.epoch, None),
            None => {}
        }
    }
    let log = log.lock();
    for (producer, (epoch, sequence)) in last {
        let known = log.producers().get(ProducerId(producer));
        let known = known.map(|entry| (entry.epoch.0, entry.last_sequence().0));
        let expected = (epoch, sequence.unwrap_or(-1));
        assert_eq!(known, Some(expected), "producer {producer}");
    }
}

/// Walk the crash point through one workload; how many points there were.
fn walk(seed: u64, steps: usize, plant: Option<Plant>) -> usize {
    let disk = CrashFs::default();
    let fs: Arc<dyn Fs> = match plant {
        None => Arc::new(disk.clone()),
        Some(plant) => Arc::new(Planted {
            disk: disk.clone(),
            plant,
        }),
    };
    let mut bench = Bench::new(fs, Path::new(DIR), config());
    let promise = Arc::new(Mutex::new(Promise::default()));
    let points = Arc::new(Mutex::new(0));
    let (ahead, seen, count) = (bench.ahead.clone(), promise.clone(), points.clone());
    disk.observe(Box::new(move |disk| {
        let point = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count as u64
        };
        let percent = [0, 30, 60, 90, 100][(point % 5) as usize];
        let image = disk.crash(seed ^ point << 20, percent);
        let (oracle, promise) = (ahead.lock().unwrap().clone(), *seen.lock().unwrap());
        let checked = catch_unwind(AssertUnwindSafe(|| check(&image, &oracle, promise)));
        if checked.is_err() {
            panic!("seed {seed}, power cut at change {point}, {percent} % kept");
        }
    }));
    workload(&mut bench, &promise, seed, steps);
    points.lock().map(|points| *points).unwrap()
}

#[test]
fn a_power_cut_at_any_change_leaves_every_last_value() {
    let mut points = 0;
    for seed in 0..10 {
        println!("seed {seed}");
        points += walk(seed, 80, None);
    }
    println!("{points} points");
    assert!(points > 2000, "{points}");
}

#[test]
fn planted_bugs_are_found() {
    for plant in [
        Plant::NoDirSync,
        Plant::NoFileSync,
        Plant::HalfOfTheSyncs,
        Plant::NoRename,
    ] {
        let found = (0..12)
            .any(|seed| catch_unwind(AssertUnwindSafe(|| walk(seed, 80, Some(plant)))).is_err());
        assert!(found, "{plant:?} was not found");
    }
}
