//! `ottla log` as a process, on files that a broker's log has written: what it prints, how it ends, and what it leaves.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchBuilder, EndTxnMarker};
use ottla_storage::{AppendOrigin, Fs, Log, LogConfig, Opening, OsFs};
use serde_json::Value;

/// Exit code, standard output, standard error.
fn ottla(args: &[&str], path: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    let output = command
        .arg("log")
        .args(args)
        .arg(path)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// A data directory of one log, stopped cleanly: a transaction that was aborted, then a record with key and header.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("meta.properties", "version=1\ncluster.id=c\nnode.id=1\n");
    write(".kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":1}");
    write("recovery-point-offset-checkpoint", "0\n1\nt 0 3\n");
    let config = LogConfig {
        index_interval_bytes: 1,
        ..LogConfig::default()
    };
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let path = dir.path().join("t-0");
    let (mut log, _) = Log::open(fs, &path, None, config, Opening::UNKNOWN, Timestamp(0)).unwrap();
    let (id, epoch) = (ProducerId(5), ProducerEpoch(2));
    let mut first = BatchBuilder::new()
        .producer(id, epoch, Sequence(0))
        .transactional();
    first.append(Timestamp(100), None, Some(b"lost"));
    let marker = EndTxnMarker {
        committed: false,
        coordinator_epoch: 3,
    };
    let marker = marker.batch(id, epoch, Timestamp(101)).unwrap();
    let mut last = BatchBuilder::new();
    last.append_with_headers(
        Timestamp(102),
        Some(b"k"),
        Some(b"hello"),
        &[(b"h", Some(b"v"))],
    );
    for (batch, origin) in [
        (first.build().unwrap(), AppendOrigin::Client),
        (marker, AppendOrigin::Coordinator),
        (last.build().unwrap(), AppendOrigin::Client),
    ] {
        log.append(batch, LeaderEpoch(4), origin, Timestamp(0))
            .unwrap();
    }
    assert_eq!(log.log_end_offset(), Offset(3));
    log.close().unwrap();
    dir
}

#[test]
fn dump_prints_batches_and_records_as_kafka_does() {
    let dir = data_dir();
    let file = dir.path().join("t-0/00000000000000000000.log");
    let (code, out, err) = ottla(&["dump", "--print-data-log"], &file);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("Dumping {}", file.display()));
    assert_eq!(lines[1], "Log starting offset: 0");
    assert!(
        lines[2].starts_with("baseOffset: 0 lastOffset: 0 count: 1 baseSequence: 0 lastSequence: 0 producerId: 5 producerEpoch: 2 partitionLeaderEpoch: 4 isTransactional: true isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 100 size: 72 magic: 2 compresscodec: none crc: "),
        "{}", lines[2]
    );
    assert!(lines[2].ends_with(" isvalid: true"));
    assert_eq!(
        lines[3],
        "| offset: 0 CreateTime: 100 keySize: -1 valueSize: 4 sequence: 0 headerKeys: [] payload: lost"
    );
    assert!(
        lines[5].ends_with("endTxnMarker: ABORT coordinatorEpoch: 3"),
        "{}",
        lines[5]
    );
    assert_eq!(
        lines[7],
        "| offset: 2 CreateTime: 102 keySize: 1 valueSize: 5 sequence: -1 headerKeys: [h] key: k payload: hello"
    );
    let (_, short, _) = ottla(&["dump"], &file);
    assert_eq!(short.lines().count(), 5, "without records: {short}");
}

#[test]
fn dump_prints_every_kind_of_file_and_json() {
    let dir = data_dir();
    let (code, out, err) = ottla(
        &["dump", "--json", "--print-data-log"],
        &dir.path().join("t-0"),
    );
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        lines
            .iter()
            .filter(|line| line["kind"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("batch").len(), 3);
    assert_eq!(of("record")[2]["payload"], "hello");
    assert_eq!(of("index")[0]["offset"], 1);
    assert_eq!(of("timeindex").last().unwrap()["timestamp"], 102);
    assert_eq!(of("txnindex")[0]["producerId"], 5);
    assert_eq!(of("txnindex")[0]["lastOffset"], 1);
    assert_eq!(of("producer")[0]["producerEpoch"], 2);
    assert_eq!(of("checkpoint")[0]["epoch"], 4);
    let (_, out, _) = ottla(
        &["dump"],
        &dir.path().join("recovery-point-offset-checkpoint"),
    );
    assert!(out.contains("topic: t partition: 0 offset: 3"), "{out}");
    let (code, _, err) = ottla(&["dump"], &dir.path().join("nothing"));
    assert_eq!(code, 74, "{err}");
}

#[test]
fn dump_decodes_committed_offsets() {
    use ottla_broker::coordinator::group::records::{
        GroupRecord, OffsetCommitKey, OffsetCommitValue,
    };
    use ottla_broker::coordinator::record::CoordinatorRecord as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("__consumer_offsets-0");
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let config = LogConfig::default();
    let (mut log, _) = Log::open(fs, &path, None, config, Opening::UNKNOWN, Timestamp(0)).unwrap();
    let key = OffsetCommitKey {
        group: "g".to_owned(),
        topic: "t".to_owned(),
        partition: 7,
    };
    let value = OffsetCommitValue {
        offset: 42,
        ..OffsetCommitValue::default()
    };
    let record = GroupRecord::OffsetCommit(key, Some(value))
        .encode()
        .unwrap();
    let mut batch = BatchBuilder::new();
    batch.append(Timestamp(1), Some(&record.key), record.value.as_deref());
    batch.append(Timestamp(1), Some(&record.key), None);
    log.append(
        batch.build().unwrap(),
        LeaderEpoch(0),
        AppendOrigin::Coordinator,
        Timestamp(0),
    )
    .unwrap();
    log.close().unwrap();
    let (code, out, err) = ottla(
        &["dump", "--print-data-log"],
        &path.join("00000000000000000000.log"),
    );
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains(r#"key: {"data":{"group":"g","partition":7,"topic":"t"},"type":"1"}"#),
        "{out}"
    );
    assert!(out.contains(r#""offset":42"#), "{out}");
    assert!(out.contains("payload: <DELETE>"), "{out}");
}

#[test]
fn verify_tells_what_is_wrong_and_repair_mends_it_only_when_told_to() {
    let dir = data_dir();
    let (code, out, err) = ottla(&["verify"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("1 logs, 1 segments, 3 batches, 3 records"),
        "{out}"
    );

    let file = dir.path().join("t-0/00000000000000000000.log");
    let sound = fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    for path in [dir.path(), &dir.path().join("t-0")] {
        let (code, out, _) = ottla(&["verify", "--json"], path);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &report["sound"]), (1, &Value::from(false)), "{out}");
        assert_eq!(report["findings"][0]["severity"], "error");
        assert_eq!(report["findings"][0]["position"], 150);
    }
    let (code, out, _) = ottla(&["repair"], dir.path());
    assert_eq!(code, 1);
    assert!(out.contains("--yes would do this"), "{out}");
    assert_eq!(fs::read(&file).unwrap(), bytes, "a dry run changes nothing");
    assert!(dir.path().join(".kafka_cleanshutdown").exists());

    let (code, out, err) = ottla(&["repair", "--yes"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(fs::read(&file).unwrap(), sound[..150]);
    let kept = dir
        .path()
        .join("t-0/00000000000000000000.log.at-150.removed");
    assert_eq!(fs::read(kept).unwrap(), bytes[150..]);
    let (_, out, _) = ottla(&["repair"], dir.path());
    assert!(
        out.contains("the noted recovery point is 3"),
        "what is lost stays told: {out}"
    );
}

#[test]
fn a_directory_in_use_is_read_with_a_warning_and_not_repaired() {
    let dir = data_dir();
    let held = OsFs.lock(&dir.path().join(".lock")).unwrap();
    let pid = std::process::id().to_string();
    for args in [&["verify"][..], &["dump"], &["repair"]] {
        let (code, _, err) = ottla(args, dir.path());
        assert_eq!(code, 0, "{args:?}: {err}");
        assert!(
            err.contains(&format!("in use by process {pid}")),
            "{args:?}: {err}"
        );
    }
    let (code, out, err) = ottla(&["repair", "--yes"], dir.path());
    assert_eq!((code, out.as_str()), (75, ""), "{err}");
    drop(held);
    let (code, _, err) = ottla(&["repair", "--yes"], dir.path());
    assert_eq!((code, err.as_str()), (0, ""));
}
