//! Looks at what is in memory only: they find what a read finds, or say that the disk is needed, and never wait.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, ProducerId, Timestamp};
use ottla_storage::error::ReadError;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::fs::{Fs, Source};
use ottla_storage::read::AbortedTransaction;
use ottla_storage::{Log, LogConfig, LogReader};

use crate::support::{Opening, Random, end_txn, open, produce, small_config};

/// More reads from memory than any look takes.
const ENOUGH: u64 = 100;

/// Position and length of each range, where the next read begins, and the aborted transactions.
type Found = (Vec<(u64, u32)>, Offset, Vec<AbortedTransaction>);

fn look(
    reader: &LogReader,
    source: Source,
    from: Offset,
    below: Offset,
    max_bytes: u32,
) -> Result<Found, ReadError> {
    let slice = reader.read_via(source, from, below, max_bytes, true)?;
    let aborted = reader.aborted_transactions_via(source, &slice)?;
    let ranges = slice.ranges.iter().map(|range| (range.position, range.len));
    Ok((ranges.collect(), slice.next_offset, aborted))
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 3000,
        index_interval_bytes: 200,
        ..small_config()
    }
}

fn open_on(fs: &FaultFs) -> Log {
    let opening = Opening {
        clean: true,
        ..Opening::UNKNOWN
    };
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    Log::open(fs, Path::new("/t-0"), None, config(), opening, Timestamp(0))
        .unwrap()
        .0
}

/// A log of several segments, with transactions of which every other one was aborted.
fn fill(log: &mut Log) {
    for round in 0..12 {
        let id = ProducerId(round % 3);
        for _ in 0..5 {
            let known = log.producers().get(id);
            let next = known.map_or(0, |entry| entry.last_sequence().0 + 1);
            produce(log, id.0, next, true).unwrap();
        }
        end_txn(log, id.0, round % 2 == 0);
    }
    assert!(log.segment_metas().unwrap().len() > 3);
}

#[test]
fn a_look_into_memory_finds_what_a_read_finds_or_asks_for_the_disk() {
    let disk = CrashFs::default();
    let fs = FaultFs::new(Arc::new(disk), Fault::Error(io::ErrorKind::Other));
    let mut log = open_on(&fs);
    fill(&mut log);
    let end = log.log_end_offset();
    let mut random = Random(5);
    let mut refused = 0;
    for _ in 0..600 {
        let from = Offset(random.below(end.0 as u64) as i64);
        let below = Offset(from.0 + random.below(30) as i64);
        let max_bytes = [1, 300, 900, 1 << 20][random.below(4) as usize];
        if random.chance(20) {
            log.close_idle_files();
        }
        // An open log soon knows where every batch begins.
        if random.chance(20) {
            log.close().unwrap();
            drop(log);
            log = open_on(&fs);
        }
        let look = |source| look(&log.reader(), source, from, below, max_bytes);
        let mut cached = 0;
        let found = loop {
            fs.cache(cached);
            let waits = fs.waits();
            let found = look(Source::PageCache);
            assert_eq!(fs.waits(), waits, "it waited");
            match found {
                Ok(found) => break found,
                Err(error) => assert!(error.needs_disk(), "{error}"),
            }
            refused += 1;
            cached += 1;
            if cached == ENOUGH {
                // No file is open, or an index was not read yet.
                cached = 0;
                look(Source::Disk).unwrap();
            }
        };
        assert_eq!(found, look(Source::Disk).unwrap(), "{from:?} {below:?}");
    }
    assert!(refused > 600, "{refused}");
}

#[test]
fn a_log_that_was_just_opened_needs_the_disk() {
    let fs = FaultFs::new(
        Arc::new(CrashFs::default()),
        Fault::Error(io::ErrorKind::Other),
    );
    let mut log = open_on(&fs);
    fill(&mut log);
    log.close().unwrap();
    drop(log);
    let log = open_on(&fs);
    let waits = fs.waits();
    for offset in 0..log.log_end_offset().0 {
        let from = Offset(offset);
        let found = look(
            &log.reader(),
            Source::PageCache,
            from,
            Offset(i64::MAX),
            1000,
        );
        assert!(found.unwrap_err().needs_disk(), "{offset}");
    }
    assert_eq!(fs.waits(), waits);
}

#[test]
fn what_was_appended_just_now_is_found_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config(), Opening::UNKNOWN);
    fill(&mut log);
    let active = log.segment_metas().unwrap().last().unwrap().base_offset;
    for offset in active.0..log.log_end_offset().0 {
        look(
            &log.reader(),
            Source::PageCache,
            Offset(offset),
            Offset(i64::MAX),
            1000,
        )
        .unwrap();
    }
}
