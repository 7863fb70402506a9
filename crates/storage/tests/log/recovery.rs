//! What opening finds after a stop that was not clean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::BatchBuilder;
use ottla_storage::{Fs, Log, LogConfig};

use crate::support::{
    Opening, Random, append, batch, bytes, end_txn, open, produce, read_on, small_config,
};

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The content of every file of a directory but the snapshots.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|e| {
            (
                e.file_name().into_string().unwrap(),
                fs::read(e.path()).unwrap(),
            )
        })
        .filter(|(name, _)| !name.ends_with(".snapshot"))
        .collect()
}

/// The `.log` file with the highest base offset.
fn active_file(dir: &Path) -> std::path::PathBuf {
    let paths = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max()
        .unwrap()
}

fn filled(dir: &Path, batches: usize) -> Log {
    let mut random = Random(7);
    let mut log = open(dir, small_config(), Opening::UNKNOWN);
    for at in 0..batches {
        let count = 1 + random.below(4) as usize;
        append(&mut log, batch(&mut random, count, 40, at as i64));
    }
    log
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_batch_wherever_it_was_torn() {
    let whole = tempfile::tempdir().unwrap();
    let log = filled(whole.path(), 90);
    let all = read_on(&log.reader(), Offset(0), 1 << 20);
    drop(log);
    let path = active_file(whole.path());
    let name = path.file_name().unwrap();
    let len = fs::metadata(&path).unwrap().len();
    let last: u64 = all
        .iter()
        .rev()
        .take(3)
        .map(|(_, bytes)| bytes.len() as u64)
        .sum();
    for cut in len.saturating_sub(last)..=len {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(whole.path(), dir.path());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(dir.path().join(name))
            .unwrap();
        file.set_len(cut).unwrap();
        let (mut log, recovered) = Log::open(
            crate::support::os_fs(),
            dir.path(),
            None,
            small_config(),
            Opening::UNKNOWN,
            Timestamp(0),
        )
        .unwrap();
        let mut size = len;
        let expected = all.iter().rev().skip_while(|(_, bytes)| {
            let torn = size > cut;
            size -= if torn { bytes.len() as u64 } else { 0 };
            torn
        });
        let expected = expected.count();
        assert_eq!(
            read_on(&log.reader(), Offset(0), 1 << 20),
            all[..expected],
            "cut at {cut}"
        );
        assert_eq!(recovered.bytes_cut, cut - size);
        let end = log.log_end_offset();
        assert_eq!(
            append(&mut log, batch(&mut Random(1), 1, 10, 0)).base_offset,
            end
        );
    }
}

#[test]
fn a_flipped_bit_cuts_the_log_there_and_what_comes_behind_goes() {
    let whole = tempfile::tempdir().unwrap();
    let log = filled(whole.path(), 90);
    let all = read_on(&log.reader(), Offset(0), 1 << 20);
    assert!(log.reader().segments() > 3);
    drop(log);
    let mut random = Random(3);
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(whole.path(), dir.path());
        let victim = random.below(all.len() as u64) as usize;
        let header = all[victim].0;
        let logs = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let mut logs: Vec<_> = logs
            .filter(|p| p.extension().is_some_and(|e| e == "log"))
            .collect();
        logs.sort();
        let base = |p: &Path| {
            p.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse::<i64>()
                .unwrap()
        };
        let path = logs
            .iter()
            .rev()
            .find(|p| base(p) <= header.base_offset().0)
            .unwrap();
        let mut content = fs::read(path).unwrap();
        let in_segment = all.iter().filter(|(h, _)| h.base_offset().0 >= base(path));
        let before = in_segment.take_while(|(h, _)| h.base_offset() < header.base_offset());
        let at: usize = before.map(|(_, bytes)| bytes.len()).sum();
        // Behind the leader epoch, which no checksum covers.
        let byte = at + 16 + random.below(all[victim].1.len() as u64 - 16) as usize;
        content[byte] ^= 1 << random.below(8);
        fs::write(path, content).unwrap();
        let log = open(dir.path(), small_config(), Opening::UNKNOWN);
        assert_eq!(
            read_on(&log.reader(), Offset(0), 1 << 20),
            all[..victim],
            "batch {victim}"
        );
    }
}

#[test]
fn batches_behind_a_cut_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let same_size = |fill: u8| {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(0), None, Some(&[fill; 50]));
        builder.build().unwrap()
    };
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    for fill in 0..3 {
        append(&mut log, same_size(fill));
    }
    drop(log);
    // The second of three batches is broken; another one of its size takes its place before the third, which is whole.
    let path = active_file(dir.path());
    let mut content = fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).unwrap();
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    assert_eq!(log.log_end_offset(), Offset(1));
    append(&mut log, same_size(9));
    drop(log);
    let log = open(dir.path(), small_config(), Opening::UNKNOWN);
    assert_eq!(log.log_end_offset(), Offset(2));
}

#[test]
fn a_segment_that_was_only_begun_outlives_a_clean_stop_and_a_power_cut() {
    use ottla_storage::fs::crash::CrashFs;
    let disk = CrashFs::default();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let path = Path::new("/t-0");
    let open = |fs: &Arc<dyn Fs>, clean, recovery_point| {
        let opening = Opening {
            clean,
            recovery_point,
            log_start_offset: Offset(0),
        };
        let fs = Arc::clone(fs);
        Log::open(fs, path, None, small_config(), opening, Timestamp(0))
            .unwrap()
            .0
    };
    let mut log = open(&fs, false, Offset(0));
    append(&mut log, batch(&mut Random(1), 1, 10, 0));
    log.close().unwrap();
    let mut log = open(&fs, true, Offset(1));
    log.roll(Timestamp(0)).unwrap();
    log.close().unwrap();
    let mut log = open(&fs, true, Offset(1));
    append(&mut log, batch(&mut Random(1), 1, 10, 0));
    log.flush().unwrap();
    let found: Arc<dyn Fs> = Arc::new(disk.crash(1, 0));
    assert_eq!(open(&found, false, Offset(1)).log_end_offset(), Offset(2));
}

#[test]
fn rebuilt_indexes_are_those_that_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), 200);
    assert!(log.reader().segments() > 5);
    log.close().unwrap();
    drop(log);
    let written = content(dir.path());
    for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with("index") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    log.close().unwrap();
    assert_eq!(content(dir.path()), written);
}

#[test]
fn after_a_clean_stop_and_below_the_recovery_point_nothing_is_scanned() {
    let dir = tempfile::tempdir().unwrap();
    let opening = |log: &Log, clean| Opening {
        clean,
        recovery_point: log.recovery_point(),
        log_start_offset: Offset(0),
    };
    let reopen = |opening| {
        let config = small_config();
        let opened = Log::open(
            crate::support::os_fs(),
            dir.path(),
            None,
            config,
            opening,
            Timestamp(0),
        );
        opened.unwrap()
    };
    let mut log = filled(dir.path(), 90);
    log.close().unwrap();
    let clean = opening(&log, true);
    drop(log);
    let (mut log, recovered) = reopen(clean);
    assert_eq!(recovered, Default::default());
    // Two batches behind a checkpoint are all that is looked at after a kill, give or take an index interval.
    let mut random = Random(1);
    append(&mut log, batch(&mut random, 3, 40, 0));
    let plan = log.checkpoint_plan().unwrap().unwrap();
    log.flushed(&plan, plan.run()).unwrap();
    append(&mut log, batch(&mut random, 3, 40, 0));
    append(&mut log, batch(&mut random, 3, 40, 0));
    let killed = opening(&log, false);
    drop(log);
    let (_, recovered) = reopen(killed);
    assert_eq!(
        (recovered.segments_scanned, recovered.producer_batches),
        (1, 2)
    );
    assert!(recovered.bytes_scanned < 1500, "{recovered:?}");
}

#[test]
fn producers_are_remembered_after_every_kind_of_stop() {
    for (clean, lose_snapshots) in [(true, false), (false, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            segment_bytes: 1000,
            producer_id_expiration_ms: i64::MAX,
            ..small_config()
        };
        let mut log = open(dir.path(), config.clone(), Opening::UNKNOWN);
        for sequence in 0..20 {
            produce(&mut log, 1, sequence, false).unwrap();
            produce(&mut log, 2, sequence, true).unwrap();
        }
        end_txn(&mut log, 2, false);
        produce(&mut log, 3, 0, true).unwrap();
        let opening = Opening {
            clean,
            recovery_point: if lose_snapshots {
                Offset(0)
            } else {
                Offset(20)
            },
            log_start_offset: Offset(0),
        };
        if clean {
            log.close().unwrap();
        }
        drop(log);
        if lose_snapshots {
            for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
                if entry.path().extension().is_some_and(|e| e == "snapshot") {
                    fs::write(entry.path(), b"garbage").unwrap();
                }
            }
        }
        let mut log = open(dir.path(), config.clone(), opening);
        // A producer may have had five batches under way, and sends them all again.
        for sequence in 15..20 {
            let known = produce(&mut log, 1, sequence, false);
            assert_eq!(known.unwrap(), Offset(2 * i64::from(sequence)), "a repeat");
        }
        assert!(produce(&mut log, 1, 14, false).is_err(), "too long ago");
        assert!(produce(&mut log, 1, 25, false).is_err(), "a gap");
        assert_eq!(produce(&mut log, 1, 20, false).unwrap(), Offset(42));
        assert_eq!(log.producers().producers().len(), 3);
        log.on_high_watermark(log.log_end_offset());
        assert_eq!(log.reader().first_unstable_offset(), Some(Offset(41)));
        let reader = log.reader();
        let slice = reader
            .read(Offset(0), Offset(i64::MAX), 1 << 20, true)
            .unwrap();
        let aborted = reader.aborted_transactions(&slice).unwrap();
        assert!(aborted.iter().all(|txn| txn.producer_id == ProducerId(2)));
        assert_eq!(
            aborted
                .iter()
                .map(|txn| txn.first_offset)
                .collect::<Vec<_>>(),
            [Offset(1)]
        );
    }
}

#[test]
fn aborted_transactions_are_those_that_overlap_the_slice() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 1000,
        ..small_config()
    };
    let mut log = open(dir.path(), config, Opening::UNKNOWN);
    // Offsets: 0-9 producer 1 aborted with the marker at 10, then 11-20 producer 2 committed, 22-31 producer 1 again.
    for (id, committed) in [(1, false), (2, true), (1, false)] {
        for _ in 0..10 {
            let known = log.producers().get(ProducerId(id));
            let next = known.map_or(0, |entry| entry.last_sequence().0 + 1);
            produce(&mut log, id, next, true).unwrap();
        }
        end_txn(&mut log, id, committed);
    }
    let reader = log.reader();
    let table = [
        (0, 5, vec![0]),
        (5, 11, vec![0]),
        (10, 11, vec![0]),
        (11, 22, vec![]),
        (10, 23, vec![0, 22]),
        (12, 33, vec![22]),
    ];
    for (from, below, expected) in table {
        let mut next = Offset(from);
        let mut found = Vec::new();
        while next < Offset(below) {
            let slice = reader.read(next, Offset(below), 1 << 20, true).unwrap();
            assert!(!bytes(&slice).is_empty());
            next = slice.next_offset;
            found.extend(reader.aborted_transactions(&slice).unwrap());
        }
        let mut firsts: Vec<i64> = found.iter().map(|txn| txn.first_offset.0).collect();
        firsts.dedup();
        assert_eq!(firsts, expected, "{from} to {below}");
    }
}

#[test]
fn what_compaction_left_half_done_is_finished_or_undone() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 90);
    let all = read_on(&log.reader(), Offset(0), 1 << 20);
    let bases: Vec<i64> = log
        .segment_metas()
        .unwrap()
        .iter()
        .map(|m| m.base_offset.0)
        .collect();
    drop(log);
    let name = |base: i64, suffix: &str| dir.path().join(format!("{base:020}{suffix}"));
    // A finished one: the first two segments cleaned into one that keeps a single batch.
    fs::write(
        name(bases[0], ".log.swap"),
        [&all[0].1[..], &last_of(&all, bases[2])].concat(),
    )
    .unwrap();
    // An unfinished one, and something on its way out.
    fs::write(name(bases[2], ".log.cleaned"), b"half").unwrap();
    fs::write(name(bases[2], ".index.cleaned"), b"half").unwrap();
    fs::write(name(bases[1], ".log.deleted"), b"old").unwrap();
    fs::write(dir.path().join("leader-epoch-checkpoint.tmp"), b"0").unwrap();
    let config = LogConfig {
        compact: true,
        ..small_config()
    };
    let log = open(dir.path(), config, Opening::UNKNOWN);
    let found = read_on(&log.reader(), Offset(0), 1 << 20);
    let kept = all.iter().filter(|(header, bytes)| {
        header.base_offset().0 >= bases[2]
            || *bytes == all[0].1
            || header.next_offset().0 == bases[2]
    });
    assert!(found.iter().eq(kept));
    let names: Vec<String> = content(dir.path()).into_keys().collect();
    let left: Vec<&String> = names
        .iter()
        .filter(|n| {
            [".swap", ".cleaned", ".deleted", ".tmp"]
                .iter()
                .any(|s| n.ends_with(s))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn last_of(all: &[(ottla_protocol::record::BatchHeader, Vec<u8>)], below: i64) -> Vec<u8> {
    let mut before = all
        .iter()
        .filter(|(header, _)| header.base_offset().0 < below);
    before.next_back().unwrap().1.clone()
}

#[test]
fn a_log_that_ends_below_its_start_begins_anew_there() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 20);
    let end = log.log_end_offset();
    drop(log);
    let opening = Opening {
        clean: false,
        recovery_point: Offset(0),
        log_start_offset: end.plus(100),
    };
    let mut log = open(dir.path(), small_config(), opening);
    assert_eq!(log.log_start_offset(), end.plus(100));
    assert_eq!(
        append(&mut log, batch(&mut Random(1), 1, 10, 0)).base_offset,
        end.plus(100)
    );
    assert_eq!(log.reader().segments(), 1);
}

/// Each batch has a segment of its own: the last five of a producer are recognised all the same.
#[test]
fn retries_are_recognised_however_small_the_segments_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    let batch = |producer, sequence| {
        let mut builder = BatchBuilder::new().producer(
            ProducerId(producer),
            ProducerEpoch(0),
            Sequence(sequence),
        );
        builder.append(Timestamp(0), None, Some(b"v"));
        builder.build().unwrap()
    };
    for sequence in 0..8 {
        for producer in 0..3 {
            append(&mut log, batch(producer, sequence));
            log.roll(Timestamp(0)).unwrap();
        }
    }
    drop(log);
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    for producer in 0..3 {
        for sequence in 3..8 {
            let info = append(&mut log, batch(producer, sequence));
            assert!(info.duplicate, "producer {producer}, sequence {sequence}");
        }
        assert!(!append(&mut log, batch(producer, 8)).duplicate);
    }
}
