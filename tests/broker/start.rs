//! Start: each partition is served as soon as its own log is open.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};
use ottla_storage::fs::OsFs;
use ottla_storage::fs::fault::{Fault, FaultFs};
use ottla_tests::client::{Client, topic_name};
use ottla_tests::{TestBroker, records};

/// A broker with the topics `fast` and `slow` of one partition and one record each, and one `gone`, which starts again
/// while the log of `slow` cannot be opened yet.
async fn start_with_a_slow_log() -> (TestBroker, FaultFs) {
    let fs = FaultFs::new(
        Arc::new(OsFs),
        Fault::Error(std::io::ErrorKind::StorageFull),
    );
    let mut broker = TestBroker::start_on(Arc::new(fs.clone()), &[]).await;
    let mut client = broker.client().await;
    for topic in ["fast", "slow"] {
        client.create_topic(topic, 1, &[]).await;
        client.produce(topic, 0, records::batch(&["before"])).await;
    }
    drop(client);
    broker.stop().await;
    fs.hold(&broker.data_dir().join("slow-0"));
    broker.run_loading().await;
    (broker, fs)
}

async fn leader(client: &mut Client, topic: &str) -> (i16, i32) {
    let metadata: MetadataResponse = client
        .call(12, &MetadataRequest::default().with_topics(None))
        .await;
    let topic = metadata
        .topics
        .iter()
        .find(|of| of.name == Some(topic_name(topic)));
    let partition = &topic.expect("the topic").partitions[0];
    (partition.error_code, partition.leader_id.0)
}

/// Ask for the leader until there is one.
async fn await_leader(client: &mut Client, topic: &str) {
    while leader(client, topic).await.0 != 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn produce(client: &mut Client, topic: &str) -> (i16, i64) {
    let produced = client.produce(topic, 0, records::batch(&["after"])).await;
    (produced.error_code, produced.base_offset)
}

#[tokio::test]
async fn a_partition_waits_for_its_own_log_only() {
    let (broker, fs) = start_with_a_slow_log().await;
    let mut client = broker.client().await;
    await_leader(&mut client, "fast").await;
    assert_eq!(produce(&mut client, "fast").await, (0, 1));

    let no_leader = (ResponseError::LeaderNotAvailable.code(), -1);
    assert_eq!(leader(&mut client, "slow").await, no_leader);
    let retriable = ResponseError::NotLeaderOrFollower.code();
    assert_eq!(produce(&mut client, "slow").await.0, retriable);
    assert_eq!(
        client.fetch("slow", 0, 0, 1 << 20).await.error_code,
        retriable
    );
    assert!(!broker.is_ready());
    // A configuration that changes meanwhile counts for the partition.
    client
        .alter_topic("slow", &[("max.message.bytes", "60")])
        .await;

    fs.release();
    broker.loaded().await;
    assert!(broker.is_ready());
    assert_eq!(leader(&mut client, "slow").await, (0, 1));
    let too_large = ResponseError::MessageTooLarge.code();
    assert_eq!(produce(&mut client, "slow").await.0, too_large);
    let data = client.fetch("slow", 0, 0, 1 << 20).await;
    assert_eq!(records::values(&data.records.unwrap()), ["before"]);
}

#[tokio::test]
async fn a_topic_that_is_deleted_while_its_log_is_opened_makes_room_for_the_next() {
    let (broker, fs) = start_with_a_slow_log().await;
    let mut client = broker.client().await;
    await_leader(&mut client, "fast").await;
    client.delete_topic("slow").await;
    fs.release();
    client.create_topic("slow", 1, &[]).await;
    await_leader(&mut client, "slow").await;
    assert_eq!(produce(&mut client, "slow").await, (0, 0));
    broker.loaded().await;
    assert_eq!(produce(&mut client, "slow").await, (0, 1));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_logs_that_are_not_open() {
    let (mut broker, fs) = start_with_a_slow_log().await;
    // It waits for the one that is being opened, and for no other.
    fs.release();
    broker.stop().await;
    broker.run().await;
    let mut client = broker.client().await;
    for topic in ["fast", "slow"] {
        assert_eq!(produce(&mut client, topic).await, (0, 1));
    }
}
