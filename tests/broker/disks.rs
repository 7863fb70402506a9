//! Disks that fail and disks that are full, below a whole broker.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ResponseError;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest};
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_storage::{Fs, OsFs};
use ottla_tests::TestBroker;
use ottla_tests::client::{Client, topic_name};
use ottla_tests::records;
use ottla_tests::transactions::{
    TransactionalProducer, Version, committed_values, fetch_committed,
};
use tempfile::TempDir;
use tokio::time::Instant;

const OFFLINE: &str = "kafka_log_logmanager_offlinelogdirectorycount ";

fn storage_error() -> i16 {
    ResponseError::KafkaStorageError.code()
}

/// Two data directories, of which the second is on a disk that fails when told to.
async fn two_dirs(fault: Fault) -> (TempDir, FaultFs, TestBroker) {
    let dirs = TempDir::new().expect("a temporary directory");
    let (first, second) = (dirs.path().join("first"), dirs.path().join("second"));
    let fs = FaultFs::new(Arc::new(OsFs), fault);
    fs.only_below(&second);
    let log_dirs = format!("{},{}", first.display(), second.display());
    let broker = TestBroker::start_on(Arc::new(fs.clone()), &[("log.dirs", &log_dirs)]).await;
    (dirs, fs, broker)
}

/// A data directory on a disk that, when told to, has no room for the second half of a write.
async fn dir_that_fills_up() -> (TempDir, FaultFs, TestBroker) {
    let dir = TempDir::new().expect("a temporary directory");
    let torn = Fault::TornWrite(io::ErrorKind::StorageFull);
    let fs = FaultFs::new(Arc::new(OsFs), torn);
    let log_dirs = dir.path().display().to_string();
    let broker = TestBroker::start_on(Arc::new(fs.clone()), &[("log.dirs", &log_dirs)]).await;
    (dir, fs, broker)
}

/// Produce a record to each of four partitions; which of them took it.
async fn produce_to_all(client: &mut Client, value: &str) -> Vec<bool> {
    let mut taken = Vec::new();
    for partition in 0..4 {
        let answer = client
            .produce("t", partition, records::batch(&[value]))
            .await;
        assert!([0, storage_error()].contains(&answer.error_code));
        taken.push(answer.error_code == 0);
    }
    taken
}

async fn values_of(client: &mut Client, partition: i32) -> Vec<String> {
    let data = client.fetch("t", partition, 0, 1 << 20).await;
    assert_eq!(data.error_code, 0);
    records::values(&data.records.expect("records, if empty ones"))
}

/// Wait for what housekeeping does once a second.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_directory_whose_disk_fails_takes_its_partitions_offline_and_no_others() {
    for fault in [
        Fault::Error(io::ErrorKind::Other),
        Fault::FailedSync(io::ErrorKind::Other),
    ] {
        let (_dirs, fs, mut broker) = two_dirs(fault).await;
        let mut client = broker.client().await;
        client.create_topic("t", 4, &[]).await;
        assert_eq!(produce_to_all(&mut client, "one").await, [true; 4]);
        fs.fail_at(0, u64::MAX);
        let taken = produce_to_all(&mut client, "two").await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 2, "{fault:?}");
        assert_eq!(produce_to_all(&mut client, "three").await, taken);
        for (partition, online) in (0..4).zip(&taken) {
            let data = client.fetch("t", partition, 0, 1 << 20).await;
            let expected = if *online { 0 } else { storage_error() };
            assert_eq!(data.error_code, expected, "partition {partition}");
        }
        assert_eq!(broker.metric(OFFLINE).await, Some(1.0));
        let replicas = broker
            .metric("kafka_server_replicamanager_offlinereplicacount ")
            .await;
        assert_eq!(replicas, Some(2.0));
        // New partitions go where there is a disk.
        client.create_topic("new", 2, &[]).await;
        for partition in 0..2 {
            let answer = client
                .produce("new", partition, records::batch(&["v"]))
                .await;
            assert_eq!(answer.error_code, 0);
        }
        fs.heal();
        assert_eq!(
            produce_to_all(&mut client, "four").await,
            taken,
            "a disk that failed is not trusted again"
        );
        drop(client);
        broker.restart_after_failure().await;
        let mut client = broker.client().await;
        for (partition, online) in (0..4).zip(&taken) {
            let values = values_of(&mut client, partition).await;
            match online {
                true => assert_eq!(values, ["one", "two", "three", "four"]),
                false => assert_eq!(values[0], "one", "acknowledged before it failed"),
            }
        }
        assert_eq!(produce_to_all(&mut client, "five").await, [true; 4]);
    }
}

#[tokio::test]
async fn without_its_metadata_directory_or_its_last_one_the_broker_stops() {
    let dir = TempDir::new().unwrap();
    let fs = FaultFs::new(Arc::new(OsFs), Fault::FailedSync(io::ErrorKind::Other));
    let log_dirs = dir.path().display().to_string();
    let mut broker = TestBroker::start_on(Arc::new(fs.clone()), &[("log.dirs", &log_dirs)]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    fs.fail_at(0, u64::MAX);
    let answer = client.produce("t", 0, records::batch(&["v"])).await;
    assert_eq!(answer.error_code, storage_error());
    drop(client);
    assert!(
        broker.stopped_by_itself().await.is_err(),
        "not a clean stop"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_opened_costs_its_own_partitions_and_nothing_is_begun_anew() {
    let (dirs, _, mut broker) = two_dirs(Fault::ShortWrite).await;
    let mut client = broker.client().await;
    client.create_topic("t", 4, &[]).await;
    assert_eq!(produce_to_all(&mut client, "one").await, [true; 4]);
    drop(client);
    broker.stop().await;
    let (second, away) = (dirs.path().join("second"), dirs.path().join("away"));
    std::fs::rename(&second, &away).unwrap();
    std::fs::write(&second, "no directory").unwrap();
    broker.run().await;
    assert_eq!(broker.metric(OFFLINE).await, Some(1.0));
    let mut client = broker.client().await;
    let taken = produce_to_all(&mut client, "two").await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 2);
    drop(client);
    broker.stop().await;
    std::fs::remove_file(&second).unwrap();
    std::fs::rename(&away, &second).unwrap();
    broker.run().await;
    let mut client = broker.client().await;
    for (partition, online) in (0..4).zip(&taken) {
        let values = values_of(&mut client, partition).await;
        assert_eq!(values.len(), if *online { 2 } else { 1 });
    }
}

#[tokio::test]
async fn appends_that_find_no_space_are_refused_and_the_log_goes_on_when_there_is() {
    let (dir, fs, broker) = dir_that_fills_up().await;
    let log_dirs = dir.path().display().to_string();
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let first = client.produce("t", 0, records::batch(&["one"])).await;
    assert_eq!(first.error_code, 0);
    fs.only_below(&dir.path().join("t-0"));
    // Half of the batch is written, then nothing; what undoes that works.
    fs.fail_at(0, 2);
    let refused = client.produce("t", 0, records::batch(&["two"])).await;
    assert_eq!(refused.error_code, storage_error());
    assert_eq!(values_of(&mut client, 0).await, ["one"]);
    // Nothing is tried before the space was looked at, which is once a second.
    let series = format!("ottla_log_dir_full{{path=\"{log_dirs}\"}} ");
    let mut answer = refused;
    let deadline = Instant::now() + Duration::from_secs(20);
    while answer.error_code != 0 {
        assert!(
            Instant::now() < deadline,
            "producers are never served again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = client.produce("t", 0, records::batch(&["three"])).await;
    }
    assert_eq!(
        answer.base_offset, 1,
        "nothing of what was refused is there"
    );
    assert_eq!(values_of(&mut client, 0).await, ["one", "three"]);
    assert_eq!(broker.metric(&series).await, Some(0.0));
    let refused = format!("ottla_log_dir_full_refused_batches_total{{path=\"{log_dirs}\"}} ");
    assert!(
        broker
            .metric(&refused)
            .await
            .is_some_and(|count| count >= 1.0)
    );
}

/// Without it the partition would have an open transaction for ever.
#[tokio::test]
async fn a_marker_that_finds_no_space_is_written_when_there_is() {
    for (version, committed) in [
        (Version::V1, true),
        (Version::V2, true),
        (Version::V2, false),
    ] {
        let (dir, fs, broker) = dir_that_fills_up().await;
        let mut client = broker.client().await;
        client.create_topic("t", 2, &[]).await;
        let connection = broker.client().await;
        let mut producer = TransactionalProducer::begin(connection, "id", version, 60_000).await;
        for partition in [0, 1] {
            assert_eq!(producer.write("t", partition, &["v"]).await.0, 0);
        }
        fs.only_below(&dir.path().join("t-0"));
        fs.fail_at(0, 2);
        assert_eq!(producer.end(committed).await, 0);
        eventually("the end of the transaction", async || {
            let data = fetch_committed(&mut client, "t", 0, 0).await;
            data.last_stable_offset == 2
        })
        .await;
        let expected: &[&str] = if committed { &["v"] } else { &[] };
        assert_eq!(committed_values(&mut client, "t").await, expected);
    }
}

/// A file system of its own, of a few MiB; gone with this.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(mib: u32) -> Option<Self> {
        let dir = TempDir::new().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]);
        let mounted = mount.arg(dir.path()).output();
        let worked = mounted.is_ok_and(|output| output.status.success());
        worked.then_some(Self(dir))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn available(dir: &Path) -> u64 {
    OsFs.available(dir).expect("a file system")
}

async fn commit_offset(client: &mut Client, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let response = client.call(8, &request).await;
    response.topics[0].partitions[0].error_code
}

async fn find_coordinator(client: &mut Client) {
    let request = FindCoordinatorRequest::default()
        .with_key(StrBytes::from_static_str("g"))
        .with_key_type(0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.call(3, &request).await.error_code != 0 || commit_offset(client, 0).await != 0 {
        assert!(Instant::now() < deadline, "no coordinator");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fill a small disk until producers are refused, use the rest, make room, go on; with and without a reserve.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_serves_all_but_producers() {
    for reserve in ["4194304", "0"] {
        let Some(disk) = SmallDisk::mount(96) else {
            eprintln!("skipped: this process may not mount a tmpfs");
            return;
        };
        let log_dirs = disk.path().display().to_string();
        let mut broker = TestBroker::start_with(&[
            ("log.dirs", &log_dirs),
            ("ottla.disk.reserve.bytes", reserve),
            ("offsets.topic.num.partitions", "1"),
            ("log.segment.delete.delay.ms", "0"),
        ])
        .await;
        let mut client = broker.client().await;
        client.create_topic("t", 2, &[]).await;
        client.create_topic("filler", 1, &[]).await;
        find_coordinator(&mut client).await;
        let value = "x".repeat(900_000);
        let mut stored = 0;
        let full = format!("ottla_log_dir_full{{path=\"{log_dirs}\"}} ");
        let deadline = Instant::now() + Duration::from_secs(60);
        // Space that was reserved ahead is given back at first, so the first refusal need not be the last.
        while broker.metric(&full).await != Some(1.0) {
            let topic = if stored < 40 { "filler" } else { "t" };
            let answer = client.produce(topic, 0, records::batch(&[&value])).await;
            match answer.error_code {
                0 => stored += 1,
                code => {
                    assert_eq!(code, storage_error());
                    assert!(Instant::now() < deadline, "the disk is never full");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        let stored_in_t = stored - 40;
        if reserve != "0" {
            assert!(available(&disk.path()) >= 3 << 20, "the reserve is there");
            for offset in 1..20 {
                assert_eq!(commit_offset(&mut client, offset).await, 0);
            }
            client.create_topic("small", 1, &[]).await;
        }
        let data = client.fetch("t", 0, 0, 8 << 20).await;
        assert_eq!((data.error_code, data.high_watermark), (0, stored_in_t));
        client.delete_topic("filler").await;
        let deadline = Instant::now() + Duration::from_secs(30);
        let again = loop {
            let answer = client.produce("t", 0, records::batch(&[&value])).await;
            if answer.error_code == 0 {
                break answer;
            }
            assert!(
                Instant::now() < deadline,
                "producers are never served again"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(
            again.base_offset, stored_in_t,
            "nothing lost, nothing twice"
        );
        eventually("the broker says so", async || {
            broker.metric(&full).await == Some(0.0)
        })
        .await;
        drop(client);
        broker.restart().await;
        let mut client = broker.client().await;
        let latest = client.list_offset("t", 0, -1).await;
        assert_eq!(latest.offset, stored_in_t + 1);
        broker.stop().await;
    }
}
