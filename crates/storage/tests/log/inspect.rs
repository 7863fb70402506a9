//! What is wrong with a log is found and told with its place, and repair mends it without losing what it takes away.

use std::fs;
use std::path::Path;

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchBuilder, EndTxnMarker};
use ottla_storage::inspect::repair::plan;
use ottla_storage::inspect::verify::dir::verify_dir;
use ottla_storage::inspect::verify::{LogReport, Severity, verify_log};
use ottla_storage::{AppendOrigin, Log, OsFs};

use crate::support::{Opening, Random, open, read_on, small_config};

const CLEAN: Opening = Opening {
    clean: true,
    ..Opening::UNKNOWN
};

/// Three segments or more: idempotent batches, committed and aborted transactions, two leader epochs.
fn sound_log(dir: &Path) -> Log {
    let mut log = open(dir, small_config(), Opening::UNKNOWN);
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    for round in 0..24 {
        let leader = LeaderEpoch(round / 12);
        let at = Timestamp(100 + i64::from(round) * 10);
        let mut data = BatchBuilder::new()
            .producer(id, epoch, Sequence(2 * round))
            .transactional();
        data.append(at, Some(b"k"), Some(&[round as u8; 300]));
        data.append(Timestamp(at.0 + 1), None, Some(b"v"));
        let marker = EndTxnMarker {
            committed: round % 4 != 0,
            coordinator_epoch: 0,
        };
        let marker = marker.batch(id, epoch, Timestamp(at.0 + 2)).unwrap();
        for (batch, origin) in [
            (data.build().unwrap(), AppendOrigin::Client),
            (marker, AppendOrigin::Coordinator),
        ] {
            log.append(batch, leader, origin, Timestamp(0)).unwrap();
        }
    }
    assert!(log.reader().segments() >= 3);
    log
}

fn closed_log(dir: &Path) {
    sound_log(dir).close().unwrap();
}

fn check(dir: &Path) -> LogReport {
    verify_log(&OsFs, dir, &CLEAN).unwrap()
}

fn first(dir: &Path, suffix: &str) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let is = |path: &&std::path::PathBuf| path.extension().is_some_and(|kind| kind == suffix);
    files.iter().find(is).expect(suffix).clone()
}

/// Do what repair plans, and check again.
fn repair(dir: &Path) -> LogReport {
    let report = check(dir);
    for step in plan(report.findings.iter(), &OsFs, None).unwrap() {
        println!("{step}");
        step.perform(&OsFs).unwrap();
    }
    check(dir)
}

#[test]
fn a_sound_log_has_no_findings_open_or_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = sound_log(dir.path());
    log.flush().unwrap();
    let unclean = Opening {
        recovery_point: log.recovery_point(),
        ..Opening::UNKNOWN
    };
    let report = verify_log(&OsFs, dir.path(), &unclean).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    log.close().unwrap();
    let report = check(dir.path());
    assert_eq!(report.findings, [], "after a clean stop");
    assert_eq!(report.end, log.log_end_offset());
    assert_eq!((report.batches, report.records), (48, 72));
    assert_eq!(report.segments, log.reader().segments());
}

/// A way to damage a file, the words that tell of it, and the kind of file.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

#[test]
fn each_kind_of_damage_is_told_and_mended() {
    let table: [Damage; 10] = [
        (
            "log",
            |bytes| bytes[200] ^= 1,
            "the checksum of the batch with offsets 0 to 1",
        ),
        (
            "log",
            |bytes| bytes.truncate(bytes.len() - 5),
            "bytes, of which",
        ),
        (
            "log",
            |bytes| bytes.extend([0; 100]),
            "zeros where a batch must be",
        ),
        ("log", |bytes| bytes[16] = 1, "magic 1"),
        ("index", |bytes| bytes[7] ^= 1, "where no batch begins"),
        (
            "index",
            |bytes| bytes[3] = 0,
            "where a batch with base offset",
        ),
        (
            "timeindex",
            |bytes| bytes[7] += 9,
            "but the largest so far is",
        ),
        (
            "txnindex",
            |bytes| bytes[9] ^= 1,
            "where no abort marker of it is",
        ),
        ("snapshot", |bytes| bytes[12] ^= 1, "checksum"),
        (
            "leader-epoch-checkpoint",
            |bytes| bytes.extend(b"junk"),
            "lines where",
        ),
    ];
    for (kind, damage, words) in table {
        let dir = tempfile::tempdir().unwrap();
        closed_log(dir.path());
        let path = match kind {
            "leader-epoch-checkpoint" => dir.path().join(kind),
            suffix => first(dir.path(), suffix),
        };
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let report = check(dir.path());
        let found = report
            .findings
            .iter()
            .find(|found| found.what.contains(words));
        let found = found.unwrap_or_else(|| panic!("{kind}, {words}: {report:#?}"));
        assert_eq!(found.severity, Severity::Error, "{kind}, {words}");
        assert_eq!(found.path, path, "{words}");
        assert!(!report.is_sound());
        let mended = repair(dir.path());
        assert!(mended.is_sound(), "{kind}, {words}: {:#?}", mended.findings);
        let kept = fs::read_dir(dir.path()).unwrap();
        let kept = kept.map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(
            kept.into_iter().any(|name| name.contains(".removed")),
            "{words}"
        );
        let mut log = open(dir.path(), small_config(), CLEAN);
        read_on(&log.reader(), log.log_start_offset(), 1000);
        log.close().unwrap();
        assert_eq!(
            check(dir.path()).findings.len(),
            mended_remains(&mended),
            "{words}"
        );
    }
}

/// What a repair leaves for good: the gap where a cut segment ended.
fn mended_remains(report: &LogReport) -> usize {
    let gaps = report
        .findings
        .iter()
        .filter(|found| found.what.contains("no records between"));
    gaps.count()
}

#[test]
fn a_damaged_batch_is_taken_out_and_kept_and_those_around_it_stay() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path());
    let path = first(dir.path(), "log");
    let before = fs::read(&path).unwrap();
    let all = {
        let log = open(dir.path(), small_config(), CLEAN);
        read_on(&log.reader(), Offset(0), 1000)
    };
    let victim = &all[2];
    let at = all[..2].iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let mut bytes = before.clone();
    bytes[at + 100] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    let report = repair(dir.path());
    assert!(report.is_sound(), "{report:#?}");
    let kept = fs::read(dir.path().join(format!("{:020}.log.at-{at}.removed", 0))).unwrap();
    assert_eq!(kept, bytes[at..at + victim.1.len()]);
    let log = open(dir.path(), small_config(), CLEAN);
    let mut expected = all.clone();
    expected.remove(2);
    assert_eq!(read_on(&log.reader(), Offset(0), 1000), expected);
}

#[test]
fn damage_behind_the_recovery_point_is_for_the_next_start_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = sound_log(dir.path());
    log.flush().unwrap();
    let recovery_point = log.recovery_point();
    crate::support::append(&mut log, crate::support::batch(&mut Random(1), 3, 20, 500));
    let end = log.log_end_offset();
    drop(log);
    let mut logs: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    logs.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    let last = logs.iter().max().unwrap();
    let len = fs::metadata(last).unwrap().len();
    fs::File::options()
        .write(true)
        .open(last)
        .unwrap()
        .set_len(len - 3)
        .unwrap();
    let unclean = Opening {
        recovery_point,
        ..Opening::UNKNOWN
    };
    let report = verify_log(&OsFs, dir.path(), &unclean).unwrap();
    let torn = report
        .findings
        .iter()
        .find(|found| found.what.contains("of which"))
        .unwrap();
    assert_eq!(torn.severity, Severity::Warning);
    assert!(report.is_sound(), "{report:#?}");
    let flushed = Opening {
        recovery_point: end,
        ..Opening::UNKNOWN
    };
    let report = verify_log(&OsFs, dir.path(), &flushed).unwrap();
    assert!(!report.is_sound());
    assert!(
        report
            .findings
            .iter()
            .any(|found| found.what.contains("recovery point is"))
    );
}

#[test]
fn segments_that_overlap_or_leave_a_gap_are_told() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path());
    let path = first(dir.path(), "log");
    for suffix in ["log", "index", "timeindex", "txnindex"] {
        let from = first(dir.path(), suffix);
        fs::copy(from, dir.path().join(format!("{:020}.{suffix}", 1))).unwrap();
    }
    let report = check(dir.path());
    let overlap = report
        .findings
        .iter()
        .find(|found| found.what.contains("ends at"));
    assert_eq!(overlap.unwrap().severity, Severity::Error, "{report:#?}");
    for suffix in ["log", "index", "timeindex", "txnindex"] {
        fs::remove_file(dir.path().join(format!("{:020}.{suffix}", 1))).unwrap();
    }
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    for suffix in ["index", "timeindex", "txnindex"] {
        fs::File::create(path.with_extension(suffix)).unwrap();
    }
    let report = check(dir.path());
    assert!(
        report
            .findings
            .iter()
            .any(|found| found.what.contains("no records between"))
    );
}

#[test]
fn a_data_directory_is_checked_with_all_its_logs() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("meta.properties", "version=1\ncluster.id=c\nnode.id=1\n");
    for name in ["a-0", "b-1"] {
        closed_log(&dir.path().join(name));
    }
    write(".kafka_cleanshutdown", "{}");
    write("recovery-point-offset-checkpoint", "0\n2\na 0 72\nb 1 72\n");
    let report = verify_dir(&OsFs, dir.path(), 2).unwrap();
    assert!(report.clean && report.is_sound(), "{report:#?}");
    assert_eq!(report.all_findings().count(), 0, "{report:#?}");
    assert_eq!(report.logs.len(), 2);
    write("log-start-offset-checkpoint", "0\n1\na 0 99\n");
    write("recovery-point-offset-checkpoint", "no checkpoint\n");
    write("meta.properties", "");
    fs::create_dir(dir.path().join("nobody")).unwrap();
    let report = verify_dir(&OsFs, dir.path(), 2).unwrap();
    let all: Vec<_> = report.all_findings().map(|found| &*found.what).collect();
    for words in [
        "version is missing",
        "version \"no checkpoint\"",
        "belongs to no topic",
        "log start offset is 99",
    ] {
        assert!(
            all.iter().any(|what| what.contains(words)),
            "{words}: {all:#?}"
        );
    }
    assert!(!report.is_sound());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Any bytes in any file: every reader gives an answer, and a repair can be planned and done.
    #[test]
    fn arbitrary_bytes_in_one_file_are_told_and_do_no_harm(
        kind in 0usize..6,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        splice in proptest::num::usize::ANY,
        seed in proptest::num::u64::ANY,
    ) {
        let dir = tempfile::tempdir().unwrap();
        closed_log(dir.path());
        let path = match kind {
            5 => dir.path().join("leader-epoch-checkpoint"),
            kind => first(dir.path(), ["log", "index", "timeindex", "txnindex", "snapshot"][kind]),
        };
        let mut content = fs::read(&path).unwrap();
        let at = splice % (content.len() + 1);
        content.splice(at.., bytes);
        fs::write(&path, &content).unwrap();
        for _ in 0..3 {
            repair(dir.path());
        }
        let report = check(dir.path());
        proptest::prop_assert!(report.is_sound(), "{:#?}", report.findings);
        let mut log = open(dir.path(), small_config(), CLEAN);
        read_on(&log.reader(), log.log_start_offset(), 1 + Random(seed).below(2000) as u32);
        log.close().unwrap();
    }

    #[test]
    fn texts_are_understood_or_refused(text in "\\PC{0,80}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        use ottla_storage::{LeaderEpochs, MetaProperties, checkpoint, partition_metadata, producer_state::snapshot};
        let _ = checkpoint::parse_offsets(&bytes);
        let _ = checkpoint::parse_offsets(text.as_bytes());
        let _ = LeaderEpochs::parse(format!("0\n1\n{text}\n").as_bytes());
        if let Ok(meta) = MetaProperties::parse(&format!("version=1\nnode.id=1\ncluster.id={text}")) {
            proptest::prop_assert_eq!(MetaProperties::parse(&meta.format()), Ok(meta));
        }
        let _ = partition_metadata::parse(&text);
        let _ = snapshot::decode(&bytes);
    }
}
