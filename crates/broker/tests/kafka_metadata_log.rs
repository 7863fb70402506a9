//! Our metadata log under Apache Kafka's own tools, and theirs under our reader.
//!
//! Ignored unless asked for, because it needs Kafka's jars and Java:
//! `OTTLA_KAFKA_LIBS=<kafka>/libs cargo test -p ottla-broker --test kafka_metadata_log -- --ignored`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; helpers of tests are not seen as such"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ottla_broker::metadata::dump::dump;
use ottla_broker::metadata::format::{
    BOOTSTRAP_FILE, METADATA_DIR, activation_records, feature_records, format, read_bootstrap,
};
use ottla_broker::metadata::quorum::Identity;
use ottla_broker::metadata::raft_log::{LogReplay, MetadataLogConfig};
use ottla_broker::metadata::record::control::VoterEndpoint;
use ottla_broker::metadata::record::{
    BrokerEndpoint, ConfigRecord, MetadataRecord, MetadataVersion, PartitionRecord,
    RegisterBrokerRecord, Secret, TopicRecord, UserScramCredentialRecord,
};
use ottla_protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, Timestamp, TopicId};
use ottla_storage::fs::{Fs, OsFs};
use serde_json::Value;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LEVEL: MetadataVersion = MetadataVersion::IBP_4_1_IV1;

#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS, a directory with Apache Kafka's jars, and Java"]
fn kafka_reads_our_log_and_snapshots() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(METADATA_DIR);
    write_log(root.path());
    let mut files = vec![root.path().join(BOOTSTRAP_FILE)];
    files.extend(files_of(&dir, ".checkpoint"));
    files.extend(files_of(&dir, ".log"));
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let theirs = kafka_dump(&file);
        assert_eq!(theirs, our_dump(&file), "{}", file.display());
        assert!(!theirs.is_empty());
    }
}

#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS, a directory with Apache Kafka's jars, and Java"]
fn we_read_what_kafka_formats() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let properties = root.path().join("server.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=7\nlisteners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n\
         controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=127.0.0.1:2\nlog.dirs={}\n",
        data.display()
    );
    std::fs::write(&properties, text).unwrap();
    let output = java("kafka.tools.StorageTool")
        .args([
            "format",
            "--standalone",
            "--release-version",
            "4.1",
            "-t",
            "MkU3OEVBNTcwNTJENDM2Qg",
            "-c",
        ])
        .arg(&properties)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    assert_eq!(
        read_bootstrap(&OsFs, &data).unwrap(),
        feature_records(LEVEL)
    );
    let properties = std::fs::read_to_string(data.join("meta.properties")).unwrap();
    let directory = properties
        .lines()
        .find_map(|line| line.strip_prefix("directory.id="))
        .unwrap();
    let directory_id = uuid_from(directory);
    let identity = Identity {
        node_id: BrokerId(7),
        directory_id,
        endpoints: Vec::new(),
    };
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let config = MetadataLogConfig::default();
    let log = LogReplay::open(fs, &data.join(METADATA_DIR), identity, config, NOW)
        .unwrap()
        .lead(NOW)
        .unwrap();
    assert_eq!(log.epoch(), LeaderEpoch(1));
}

/// `OTTLA_KAFKA_METADATA_DIR` is the `__cluster_metadata-0` of a stopped Kafka node, best one that has seen topics,
/// configs, users and a restart.
#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS and OTTLA_KAFKA_METADATA_DIR, a metadata log that Apache Kafka wrote"]
fn we_read_what_a_kafka_node_wrote() {
    let dir = PathBuf::from(
        std::env::var_os("OTTLA_KAFKA_METADATA_DIR").expect("OTTLA_KAFKA_METADATA_DIR"),
    );
    let files = [files_of(&dir, ".checkpoint"), files_of(&dir, ".log")].concat();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(our_dump(&file), kafka_dump(&file), "{}", file.display());
    }
}

/// Format `root`, start twice, write records of many kinds and a snapshot.
fn write_log(root: &Path) {
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let identity = Identity {
        node_id: BrokerId(1),
        directory_id: Uuid::from_u128(0x1234),
        endpoints: vec![VoterEndpoint {
            name: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        }],
    };
    format(&fs, root, &identity, &feature_records(LEVEL), NOW).unwrap();
    let dir = root.join(METADATA_DIR);
    let config = MetadataLogConfig::default();
    let open = || LogReplay::open(Arc::clone(&fs), &dir, identity.clone(), config, NOW).unwrap();
    let mut log = open().lead(NOW).unwrap();
    log.append(
        &activation_records(read_bootstrap(&*fs, root).unwrap(), 1),
        NOW,
    )
    .unwrap();
    log.append(&sample_records(), NOW).unwrap();
    log.snapshot([feature_records(LEVEL), sample_records()].concat(), NOW)
        .unwrap();
    log.close().unwrap();
    let mut log = open().lead(NOW).unwrap();
    log.append(
        &[TopicRecord {
            name: "after".into(),
            topic_id: TopicId(Uuid::from_u128(9)),
        }
        .into()],
        NOW,
    )
    .unwrap();
    log.close().unwrap();
}

fn sample_records() -> Vec<MetadataRecord> {
    let broker = BrokerId(1);
    let topic_id = TopicId(Uuid::from_u128(0xabcdef));
    let end_point = BrokerEndpoint {
        name: "PLAINTEXT".into(),
        host: "localhost".into(),
        port: 65_535,
        security_protocol: 0,
    };
    let log_dirs = vec![Uuid::from_u128(0x1234)];
    vec![
        RegisterBrokerRecord {
            broker_id: broker,
            broker_epoch: 10,
            end_points: vec![end_point],
            log_dirs: log_dirs.clone(),
            ..Default::default()
        }
        .into(),
        TopicRecord {
            name: "alpha".into(),
            topic_id,
        }
        .into(),
        PartitionRecord {
            partition_id: PartitionIndex(0),
            topic_id,
            replicas: vec![broker],
            isr: vec![broker],
            leader: broker,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            directories: log_dirs,
            eligible_leader_replicas: Some(vec![]),
            ..Default::default()
        }
        .into(),
        ConfigRecord {
            resource_type: 2,
            resource_name: "alpha".into(),
            name: "retention.ms".into(),
            value: Some("1000".into()),
        }
        .into(),
        UserScramCredentialRecord {
            name: "bob".into(),
            mechanism: 1,
            salt: Secret(vec![1, 2]),
            stored_key: Secret(vec![3]),
            server_key: Secret(vec![4]),
            iterations: 4096,
        }
        .into(),
    ]
}

/// Type, version and data of each metadata record, and the data of each control record.
fn our_dump(file: &Path) -> Vec<String> {
    let mut out = Vec::new();
    dump(&OsFs, file, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let records = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .map(|record| describe(&record["offset"], &record, record["control"] == true))
        .collect()
}

/// The same from `DumpLogSegments`, which must find every batch valid.
fn kafka_dump(file: &Path) -> Vec<String> {
    // The tool moved to another package with 4.2.
    let old = java("kafka.tools.DumpLogSegments")
        .args(dump_arguments(file))
        .output()
        .unwrap();
    let output = if old.status.success() {
        old
    } else {
        java("org.apache.kafka.tools.DumpLogSegments")
            .args(dump_arguments(file))
            .output()
            .unwrap()
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for complaint in [
        "isvalid: false",
        "Could not decode",
        "Found",
        "Error",
        "mismatch",
    ] {
        assert!(!text.contains(complaint), "{text}");
    }
    let records = text
        .lines()
        .filter_map(|line| line.strip_prefix("| offset: "));
    records.map(kafka_record).collect()
}

fn kafka_record(line: &str) -> String {
    let (offset, _) = line.split_once(' ').unwrap();
    let offset = Value::from(offset.parse::<i64>().unwrap());
    let (head, json) = line.split_at(line.find('{').unwrap_or_else(|| panic!("{line}")));
    let json: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {line}"));
    describe(&offset, &json, !head.contains("payload"))
}

/// One line that both sides can be brought to.
fn describe(offset: &Value, record: &Value, control: bool) -> String {
    if !control {
        return format!(
            "{offset} {} {} {}",
            record["type"], record["version"], record["data"]
        );
    }
    // Kafka prints the message alone, with its version inside.
    let mut data = record.get("data").unwrap_or(record).clone();
    data.as_object_mut().unwrap().remove("version");
    format!("{offset} control {} {data}", record["version"])
}

fn dump_arguments(file: &Path) -> [String; 4] {
    let file = file.to_str().unwrap().to_owned();
    [
        "--cluster-metadata-decoder".into(),
        "--print-data-log".into(),
        "--files".into(),
        file,
    ]
}

fn java(class: &str) -> Command {
    let libs = std::env::var("OTTLA_KAFKA_LIBS").expect("OTTLA_KAFKA_LIBS");
    let mut command = Command::new("java");
    command.args([
        "-Xmx256m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
    ]);
    command.arg(format!("{libs}/*")).arg(class);
    command
}

fn files_of(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().ends_with(suffix))
        .collect();
    paths.sort();
    paths
}

/// The id that Kafka prints as URL-safe base64.
fn uuid_from(text: &str) -> Uuid {
    use base64::Engine as _;
    Uuid::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .unwrap(),
    )
    .unwrap()
}
