//! Transactions end to end, in both versions.

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::*;
use ottla_tests::TestBroker;
use ottla_tests::client::Client;
use ottla_tests::transactions::{
    TransactionalProducer, Version, committed_values, fetch_committed,
};

const TIMEOUT_MS: i32 = 60_000;

async fn producer(broker: &TestBroker, id: &str, version: Version) -> TransactionalProducer {
    TransactionalProducer::begin(broker.client().await, id, version, TIMEOUT_MS).await
}

async fn group_offset(client: &mut Client, group: &str, require_stable: bool) -> (i16, i64) {
    let find = FindCoordinatorRequest::default()
        .with_coordinator_keys(vec![StrBytes::from_string(group.to_owned())]);
    client.call(4, &find).await;
    let topic = OffsetFetchRequestTopics::default()
        .with_name(StrBytes::from_static_str("t").into())
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(StrBytes::from_string(group.to_owned()).into())
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(require_stable);
    loop {
        let response = client.call(8, &request).await;
        let group = &response.groups[0];
        // COORDINATOR_LOAD_IN_PROGRESS passes.
        if group.error_code != 14 {
            assert_eq!(group.error_code, 0);
            let partition = &group.topics[0].partitions[0];
            return (partition.error_code, partition.committed_offset);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn readers_of_committed_data_see_whole_transactions_and_nothing_else() {
    for version in Version::ALL {
        let broker = TestBroker::start().await;
        let mut client = broker.client().await;
        client.create_topic("t", 1, &[]).await;
        let mut one = producer(&broker, "one", version).await;
        let mut two = producer(&broker, "two", version).await;
        assert_eq!(one.write("t", 0, &["a1", "a2"]).await, (0, 0));
        assert_eq!(two.write("t", 0, &["b1"]).await, (0, 2));
        let open = fetch_committed(&mut client, "t", 0, 0).await;
        assert_eq!((open.last_stable_offset, open.high_watermark), (0, 3));
        assert_eq!(two.end(false).await, 0);
        assert_eq!(committed_values(&mut client, "t").await, [""; 0]);
        assert_eq!(one.write("t", 0, &["a3"]).await, (0, 4));
        assert_eq!(one.end(true).await, 0);
        assert_eq!(
            committed_values(&mut client, "t").await,
            ["a1", "a2", "a3"],
            "{version:?}"
        );
        for round in 0..20 {
            let value = round.to_string();
            assert_eq!(one.write("t", 0, &[&value]).await.0, 0);
            assert_eq!(one.end(round % 3 != 0).await, 0, "{version:?} {round}");
        }
        let committed = (0..20).filter(|round| round % 3 != 0);
        let expected: Vec<_> = committed.map(|round: i32| round.to_string()).collect();
        assert_eq!(committed_values(&mut client, "t").await[3..], expected);
    }
}

/// What a transaction costs beyond its records is mostly flushes.
#[tokio::test]
async fn a_transaction_asks_for_no_flush_that_nobody_waits_for() {
    const ROUNDS: u32 = 20;
    // The partition joins, the batch, the outcome, the marker; that all is complete goes with what comes next.
    const EACH: u32 = 4;
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut one = producer(&broker, "one", Version::V2).await;
    let before = flushes(&broker).await;
    for _ in 0..ROUNDS {
        assert_eq!(one.write("t", 0, &["a"]).await.0, 0);
        assert_eq!(one.end(true).await, 0);
    }
    let taken = flushes(&broker).await - before;
    // A flush is counted a little after those who waited for it go on.
    let expected = f64::from(EACH * ROUNDS - 1)..=f64::from(EACH * ROUNDS + 1);
    assert!(expected.contains(&taken), "{taken} flushes");
}

async fn flushes(broker: &TestBroker) -> f64 {
    let series = "kafka_log_logflushstats_logflushrateandtimems_count ";
    broker.metric(series).await.expect("the series")
}

#[tokio::test]
async fn a_second_producer_with_the_id_fences_the_first() {
    for version in Version::ALL {
        let broker = TestBroker::start().await;
        broker.client().await.create_topic("t", 1, &[]).await;
        let mut zombie = producer(&broker, "id", version).await;
        assert_eq!(zombie.write("t", 0, &["zombie"]).await.0, 0);
        let mut new = producer(&broker, "id", version).await;
        assert_eq!(new.producer_id, zombie.producer_id);
        assert!(new.epoch > zombie.epoch);
        // INVALID_PRODUCER_EPOCH to writers of data, PRODUCER_FENCED to others.
        let version_of_produce = if version == Version::V1 { 11 } else { 12 };
        let written = zombie.produce(version_of_produce, "t", 0, &["again"]).await;
        assert_eq!(written.0, 47);
        assert_eq!(zombie.end(true).await, 90);
        assert_eq!(
            zombie.commit_offset("g", "t", 1).await,
            if version == Version::V1 { 90 } else { 47 }
        );
        assert_eq!(new.write("t", 0, &["new"]).await.0, 0);
        assert_eq!(new.end(true).await, 0);
        let mut client = broker.client().await;
        assert_eq!(committed_values(&mut client, "t").await, ["new"]);
    }
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted() {
    for version in Version::ALL {
        let broker = TestBroker::start().await;
        let mut client = broker.client().await;
        client.create_topic("t", 1, &[]).await;
        let connection = broker.client().await;
        let mut slow = TransactionalProducer::begin(connection, "id", version, 300).await;
        assert_eq!(slow.write("t", 0, &["late"]).await.0, 0);
        // The marker lets readers of committed data go on.
        let data = fetch_committed(&mut client, "t", 0, 20_000).await;
        assert_eq!(data.last_stable_offset, 2);
        assert_eq!(committed_values(&mut client, "t").await, [""; 0]);
        let commit = slow.end(true).await;
        assert_eq!(commit, if version == Version::V1 { 90 } else { 48 });
        if version == Version::V2 {
            // The producer learns its new epoch by aborting, and goes on.
            assert_eq!(slow.end(false).await, 0);
            assert_eq!(slow.write("t", 0, &["next"]).await.0, 0);
            assert_eq!(slow.end(true).await, 0);
            assert_eq!(committed_values(&mut client, "t").await, ["next"]);
        }
    }
}

#[tokio::test]
async fn offsets_of_a_transaction_count_from_its_commit_on() {
    for version in Version::ALL {
        let broker = TestBroker::start().await;
        let mut client = broker.client().await;
        client.create_topic("t", 1, &[]).await;
        assert_eq!(group_offset(&mut client, "g", true).await, (0, -1));
        let mut producer = producer(&broker, "id", version).await;
        assert_eq!(producer.commit_offset("g", "t", 7).await, 0);
        assert_eq!(group_offset(&mut client, "g", false).await, (0, -1));
        // UNSTABLE_OFFSET_COMMIT
        assert_eq!(group_offset(&mut client, "g", true).await, (88, -1));
        assert_eq!(producer.end(true).await, 0);
        assert_eq!(group_offset(&mut client, "g", true).await, (0, 7));
        assert_eq!(producer.commit_offset("g", "t", 9).await, 0);
        assert_eq!(producer.end(false).await, 0);
        assert_eq!(group_offset(&mut client, "g", true).await, (0, 7));
    }
}

#[tokio::test]
async fn open_transactions_outlive_a_restart() {
    for version in Version::ALL {
        let mut broker = TestBroker::start().await;
        broker.client().await.create_topic("t", 1, &[]).await;
        let mut before = producer(&broker, "id", version).await;
        assert_eq!(before.write("t", 0, &["kept"]).await.0, 0);
        assert_eq!(before.end(true).await, 0);
        assert_eq!(before.write("t", 0, &["open"]).await.0, 0);
        assert_eq!(before.commit_offset("g", "t", 3).await, 0);
        broker.restart().await;
        before.client = broker.client().await;
        let mut client = broker.client().await;
        assert_eq!(committed_values(&mut client, "t").await, ["kept"]);
        assert_eq!(group_offset(&mut client, "g", true).await, (88, -1));
        assert_eq!(before.end(true).await, 0, "{version:?}");
        assert_eq!(committed_values(&mut client, "t").await, ["kept", "open"]);
        assert_eq!(group_offset(&mut client, "g", true).await, (0, 3));
        // What is decided stays so.
        assert_eq!(before.commit_offset("g", "t", 4).await, 0);
        assert_eq!(before.end(false).await, 0);
        broker.restart().await;
        let mut client = broker.client().await;
        assert_eq!(committed_values(&mut client, "t").await, ["kept", "open"]);
        assert_eq!(group_offset(&mut client, "g", true).await, (0, 3));
    }
}

#[tokio::test]
async fn a_write_outside_of_the_transaction_is_refused() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut producer = producer(&broker, "id", Version::V1).await;
    // INVALID_TXN_STATE to old clients, TRANSACTION_ABORTABLE to newer ones.
    assert_eq!(producer.produce(10, "t", 0, &["x"]).await.0, 48);
    assert_eq!(producer.produce(11, "t", 0, &["x"]).await.0, 120);
    assert_eq!(producer.add_partition("t", 0).await, 0);
    assert_eq!(producer.add_partition("none", 0).await, 3);
    assert_eq!(producer.produce(10, "t", 0, &["x"]).await.0, 0);
    assert_eq!(producer.end(true).await, 0);
    assert_eq!(producer.produce(11, "t", 0, &["y"]).await.0, 120);
    producer.epoch += 1;
    assert_eq!(producer.produce(11, "t", 0, &["y"]).await.0, 47);
    producer.producer_id += 1000;
    // INVALID_PRODUCER_ID_MAPPING
    assert_eq!(producer.produce(11, "t", 0, &["y"]).await.0, 49);
    assert_eq!(producer.end(true).await, 49);
    assert_eq!(committed_values(&mut client, "t").await, ["x"]);
}

#[tokio::test]
async fn timeouts_have_a_limit() {
    let broker = TestBroker::start_with(&[("transaction.max.timeout.ms", "5000")]).await;
    let mut producer =
        TransactionalProducer::begin(broker.client().await, "id", Version::V1, 5000).await;
    // INVALID_TRANSACTION_TIMEOUT
    assert_eq!(producer.initialize(5001).await, 50);
    assert_eq!(producer.initialize(0).await, 50);
}

#[tokio::test]
async fn a_coordinator_whose_topic_is_deleted_begins_anew() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    for round in 0..2 {
        let mut one = producer(&broker, "one", Version::V2).await;
        assert_eq!(one.write("t", 0, &["a"]).await.0, 0);
        assert_eq!(one.end(true).await, 0);
        // It gets its epoch once the markers are written.
        producer(&broker, "one", Version::V2).await;
        assert_eq!(committed_values(&mut client, "t").await.len(), round + 1);
        client.delete_topic("__transaction_state").await;
    }
}
