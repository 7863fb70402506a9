//! A compacted topic keeps the last value of each key, across restarts and kills, while it is written to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ids::{Offset, Timestamp};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_protocol::messages::{
    FindCoordinatorRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest,
};
use ottla_protocol::record::BatchBuilder;
use ottla_protocol::record::batch::HEADER_LEN;
use ottla_protocol::record::{BatchHeader, RecordReader};
use ottla_tests::TestBroker;
use ottla_tests::client::{Client, topic_name};
use ottla_tests::process::BrokerProcess;
use ottla_tests::records;

const TOPIC: &str = "compacted";
const CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.01"),
];
/// How long a test waits for the cleaner at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Values by key.
type Table = BTreeMap<String, String>;

/// Write `rounds` values of 2 kB for each of 50 keys, and note the last ones.
async fn write(client: &mut Client, table: &mut Table, from: usize, rounds: usize) {
    for round in from..from + rounds {
        let mut builder = BatchBuilder::new();
        for key in 0..50 {
            let key = format!("key {key}");
            let value = format!("{round} {}", "x".repeat(2000));
            builder.append(
                Timestamp(records::now_ms()),
                Some(key.as_bytes()),
                Some(value.as_bytes()),
            );
            table.insert(key, value);
        }
        let batch = builder.build().expect("a batch").to_bytes();
        let answer = client.produce(TOPIC, 0, batch).await;
        assert_eq!(answer.error_code, 0);
    }
}

/// Read all there is: the last value of each key, and how many records there are.
async fn read(client: &mut Client) -> (Table, usize) {
    let (mut table, mut count, mut next) = (Table::new(), 0, 0);
    loop {
        let data = client.fetch(TOPIC, 0, next, 1 << 20).await;
        assert_eq!(data.error_code, 0);
        let mut records = data.records.unwrap_or_default();
        if records.is_empty() {
            return (table, count);
        }
        while let Some(header) = BatchHeader::read(&records) {
            let size = header.size().expect("a batch");
            if size > records.len() {
                break;
            }
            let batch: Bytes = records.split_to(size);
            next = header.next_offset().0;
            let mut reader = RecordReader::new(&header, &batch[HEADER_LEN..], 1 << 20)
                .expect("a batch of the log");
            while let Some(record) = reader.next().expect("a whole record") {
                let text = |bytes: Option<&[u8]>| {
                    String::from_utf8(bytes.expect("keys and values").to_vec())
                };
                table.insert(
                    text(record.key).expect("UTF-8"),
                    text(record.value).expect("UTF-8"),
                );
                count += 1;
            }
        }
    }
}

/// Wait until the cleaner has noted that it has come to `offset` or further.
async fn cleaned_up_to(data_dir: &Path, offset: i64) {
    noted_up_to(data_dir, TOPIC, offset).await;
}

/// The same for any topic.
async fn noted_up_to(data_dir: &Path, topic: &str, offset: i64) {
    let noted = || {
        let text = std::fs::read(data_dir.join("cleaner-offset-checkpoint")).unwrap_or_default();
        let noted = ottla_storage::checkpoint::parse_offsets(&text).expect("a whole file");
        noted
            .into_iter()
            .find(|(tp, _)| tp.topic == topic)
            .map_or(Offset(0), |(_, offset)| offset)
    };
    let wait = async {
        while noted() < Offset(offset) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(
        waited.is_ok(),
        "the cleaner came to {}, not to {offset}",
        noted()
    );
}

#[tokio::test]
async fn the_last_values_stay_and_the_rest_goes() {
    let mut broker = TestBroker::start_with(&[("log.cleaner.backoff.ms", "50")]).await;
    let mut client = broker.client().await;
    client.create_topic(TOPIC, 1, CONFIGS).await;
    let mut table = Table::new();
    write(&mut client, &mut table, 0, 60).await;
    // Segments hold some ten rounds each; all but the active one are cleaned.
    cleaned_up_to(broker.data_dir(), 40 * 50).await;
    let (found, count) = read(&mut client).await;
    assert!(found == table, "a last value is missing");
    assert!(count < 30 * 50, "{count} records are left");
    assert_eq!(client.list_offset(TOPIC, 0, -1).await.offset, 60 * 50);

    broker.restart().await;
    let mut client = broker.client().await;
    // The cleaner may have gone on meanwhile.
    assert!(read(&mut client).await.0 == table, "after a restart");
    write(&mut client, &mut table, 60, 30).await;
    cleaned_up_to(broker.data_dir(), 70 * 50).await;
    let (found, count) = read(&mut client).await;
    assert!(found == table, "a last value is missing");
    assert!(count < 30 * 50, "{count} records are left");
    assert_eq!(client.list_offset(TOPIC, 0, -1).await.offset, 90 * 50);
}

#[tokio::test]
async fn settings_of_a_topic_take_effect_at_once() {
    let broker = TestBroker::start_with(&[("log.cleaner.backoff.ms", "50")]).await;
    let mut client = broker.client().await;
    client
        .create_topic(TOPIC, 1, &[("segment.bytes", "1048576")])
        .await;
    let mut table = Table::new();
    write(&mut client, &mut table, 0, 40).await;
    assert_eq!(read(&mut client).await.1, 40 * 50, "not compacted");
    client
        .alter_topic(TOPIC, &[("cleanup.policy", "compact")])
        .await;
    cleaned_up_to(broker.data_dir(), 20 * 50).await;
    let (found, count) = read(&mut client).await;
    assert!(found == table, "a last value is missing");
    assert!(count < 30 * 50, "{count} records are left");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_compaction_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
    let backoff = ["log.cleaner.backoff.ms=1"];
    let mut table = Table::new();
    for round in 0..5 {
        let mut broker = BrokerProcess::start_with(program, dir.path(), &backoff);
        let mut client = Client::connect(broker.addr()).await;
        match round {
            0 => drop(client.create_topic(TOPIC, 1, CONFIGS).await),
            _ => assert_eq!(read(&mut client).await.0, table, "after kill {round}"),
        }
        write(&mut client, &mut table, 25 * round, 25).await;
        broker.kill();
    }
    let broker = BrokerProcess::start_with(program, dir.path(), &backoff);
    let mut client = Client::connect(broker.addr()).await;
    cleaned_up_to(dir.path(), 100 * 50).await;
    let (found, count) = read(&mut client).await;
    assert!(found == table, "a last value is missing");
    assert!(count < 30 * 50, "{count} records are left");
}

/// Offsets that a group has committed are there after compaction of its log and a restart.
#[tokio::test]
async fn a_group_s_offsets_are_reloaded_from_a_compacted_log() {
    let mut broker = TestBroker::start_with(&[
        ("log.cleaner.backoff.ms", "50"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
    ])
    .await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut next = 0;
    // The first requests find the coordinator still loading.
    while next < 700 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(next)
            .with_committed_metadata(Some(StrBytes::from_string("m".repeat(4000))));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str("g")))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let response = client.call(8, &request).await;
        match response.topics[0].partitions[0].error_code {
            0 => next += 1,
            14..=16 => {
                let find =
                    FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
                client.call(3, &find).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            code => panic!("error {code}"),
        }
    }
    noted_up_to(broker.data_dir(), "__consumer_offsets", 400).await;
    broker.restart().await;
    let mut client = broker.client().await;
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_topics(Some(vec![topic]));
    loop {
        let response = client.call(7, &request).await;
        match response.error_code {
            0 => break assert_eq!(response.topics[0].partitions[0].committed_offset, 699),
            14..=16 => tokio::time::sleep(Duration::from_millis(20)).await,
            code => panic!("error {code}"),
        }
    }
}
