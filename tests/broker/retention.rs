//! Records that have expired or were deleted are out of sight at once, whatever happens next.

use std::path::Path;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DescribeLogDirsRequest, FetchRequest, IncrementalAlterConfigsRequest,
};
use ottla_tests::TestBroker;
use ottla_tests::client::{Client, fetch_request, topic_name};
use ottla_tests::process::BrokerProcess;
use ottla_tests::records;
use tempfile::TempDir;

const OUT_OF_RANGE: i16 = 1;
const HOUR_MS: i64 = 3_600_000;
const EARLIEST: i64 = -2;
/// So often is looked for what has expired.
const CHECKS: (&str, &str) = ("log.retention.check.interval.ms", "5");

/// Ask for the start of the log until it is `expected`. There is a next look, so this ends.
async fn wait_for_start(client: &mut Client, topic: &str, expected: i64) {
    loop {
        let found = client.list_offset(topic, 0, EARLIEST).await;
        assert_eq!(found.error_code, 0);
        assert!(found.offset <= expected, "{} is too far", found.offset);
        if found.offset == expected {
            return;
        }
    }
}

/// Delete below `offset`: error code and low watermark of each partition asked for.
async fn delete_records(
    client: &mut Client,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Vec<(i16, i64)> {
    let partitions = offsets.iter().map(|(index, offset)| {
        DeleteRecordsPartition::default()
            .with_partition_index(*index)
            .with_offset(*offset)
    });
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions.collect());
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let response = client.call(2, &request).await;
    let results = response.topics[0].partitions.iter();
    results
        .map(|result| (result.error_code, result.low_watermark))
        .collect()
}

async fn set_config(client: &mut Client, topic: &str, key: &str, value: &str) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let config = AlterableConfig::default()
        .with_name(text(key))
        .with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 0);
}

async fn size_on_disk(client: &mut Client, topic: &str) -> i64 {
    let response = client
        .call(4, &DescribeLogDirsRequest::default().with_topics(None))
        .await;
    let dir = &response.results[0];
    assert_eq!((response.error_code, dir.error_code), (0, 0));
    assert!(dir.total_bytes >= dir.usable_bytes && dir.usable_bytes > 0);
    let mut topics = dir.topics.iter();
    let found = topics.find(|found| found.name == topic_name(topic));
    found.expect("the topic").partitions[0].partition_size
}

#[tokio::test]
async fn expired_batches_go_one_by_one_and_a_consumer_goes_on_from_the_earliest() {
    let mut broker = TestBroker::start_with(&[CHECKS]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[("retention.ms", "-1")]).await;
    let now = records::max_timestamp(&records::batch(&["now"]));
    for (at, values) in [
        (now - 5 * HOUR_MS, "a"),
        (now - 4 * HOUR_MS, "b"),
        (now - HOUR_MS, "c"),
        (now, "d"),
    ] {
        client
            .produce("t", 0, records::at(&[(at, values), (at, values)]))
            .await;
    }
    assert_eq!(client.list_offset("t", 0, EARLIEST).await.offset, 0);
    set_config(&mut client, "t", "retention.ms", &(2 * HOUR_MS).to_string()).await;
    wait_for_start(&mut client, "t", 4).await;
    for gone in 0..4 {
        let data = client.fetch("t", 0, gone, 1 << 20).await;
        assert_eq!(
            (data.error_code, data.records.map_or(0, |r| r.len())),
            (OUT_OF_RANGE, 0)
        );
    }
    let earliest = client.list_offset("t", 0, EARLIEST).await.offset;
    let data = client.fetch("t", 0, earliest, 1 << 20).await;
    assert_eq!((data.error_code, data.log_start_offset), (0, 4));
    assert_eq!(
        records::values(&data.records.unwrap()),
        ["c", "c", "d", "d"]
    );
    broker.restart().await;
    let mut client = broker.client().await;
    assert_eq!(client.list_offset("t", 0, EARLIEST).await.offset, 4);
    // Everything: the active segment too, and what comes next is kept.
    let old = records::at(&[(now - 3 * HOUR_MS, "late")]);
    set_config(&mut client, "t", "retention.bytes", "0").await;
    wait_for_start(&mut client, "t", 8).await;
    set_config(&mut client, "t", "retention.bytes", "-1").await;
    assert_eq!(
        client
            .produce("t", 0, records::batch(&["e"]))
            .await
            .base_offset,
        8
    );
    assert_eq!(client.produce("t", 0, old).await.base_offset, 9);
    assert_eq!(client.list_offset("t", 0, EARLIEST).await.offset, 8);
}

#[tokio::test]
async fn size_is_kept_to_the_batch() {
    let broker = TestBroker::start_with(&[CHECKS]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let batch = records::batch(&["0123456789"]);
    for _ in 0..10 {
        client.produce("t", 0, batch.clone()).await;
    }
    let size = batch.len() as i64;
    for (batches, kept) in [
        (10 * size, 10),
        (9 * size + 1, 10),
        (4 * size, 4),
        (3 * size + 1, 4),
        (0, 0),
    ] {
        set_config(&mut client, "t", "retention.bytes", &batches.to_string()).await;
        wait_for_start(&mut client, "t", 10 - kept).await;
    }
    while size_on_disk(&mut client, "t").await > 0 {}
}

#[tokio::test]
async fn a_log_that_is_only_compacted_keeps_its_records() {
    let broker = TestBroker::start_with(&[CHECKS]).await;
    let mut client = broker.client().await;
    for (topic, policy) in [("compacted", "compact"), ("both", "compact,delete")] {
        let configs = [
            ("cleanup.policy", policy),
            ("retention.bytes", "0"),
            ("min.compaction.lag.ms", "1000000000"),
        ];
        client.create_topic(topic, 1, &configs).await;
    }
    let keyed = |value: &str| records::keyed(&[("k", value)]);
    assert_eq!(
        client.produce("compacted", 0, keyed("v")).await.error_code,
        0
    );
    assert_eq!(client.produce("both", 0, keyed("v")).await.error_code, 0);
    wait_for_start(&mut client, "both", 1).await;
    assert_eq!(client.list_offset("compacted", 0, EARLIEST).await.offset, 0);
    let refused = delete_records(&mut client, "compacted", &[(0, 1)]).await;
    assert_eq!(refused, [(44, -1)], "POLICY_VIOLATION");
    assert_eq!(
        delete_records(&mut client, "both", &[(0, 1)]).await,
        [(0, 1)]
    );
}

#[tokio::test]
async fn delete_records_moves_the_start_within_the_log_and_tells_it() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 2, &[]).await;
    for value in ["a", "b", "c", "d"] {
        client
            .produce("t", 0, records::batch(&[value, value]))
            .await;
    }
    let cases = [
        ((0, 3), (0, 3)),
        ((0, 2), (0, 3)),
        ((0, 9), (OUT_OF_RANGE, -1)),
        ((0, -2), (OUT_OF_RANGE, -1)),
        ((5, 0), (3, -1)),
        ((1, 0), (0, 0)),
        ((1, 1), (OUT_OF_RANGE, -1)),
        ((0, 8), (0, 8)),
        ((0, -1), (0, 8)),
    ];
    for (asked, answered) in cases {
        let result = delete_records(&mut client, "t", &[asked]).await;
        assert_eq!(result, [answered], "{asked:?}");
        if asked == (0, 3) {
            let data = client.fetch("t", 0, 3, 1 << 20).await;
            assert_eq!(data.log_start_offset, 3);
            // The batch that holds the offset comes as a whole; the client skips what lies below.
            assert_eq!(
                records::values(&data.records.unwrap()),
                ["b", "b", "c", "c", "d", "d"]
            );
            assert_eq!(
                client.fetch("t", 0, 2, 1 << 20).await.error_code,
                OUT_OF_RANGE
            );
        }
    }
    assert_eq!(
        delete_records(&mut client, "nothing", &[(0, 0)]).await,
        [(3, -1)]
    );
    assert_eq!(
        client
            .produce("t", 0, records::batch(&["e"]))
            .await
            .base_offset,
        8
    );
}

#[tokio::test]
async fn a_waiting_fetch_learns_that_its_records_are_gone() {
    let broker = TestBroker::start().await;
    let (mut client, mut consumer) = (broker.client().await, broker.client().await);
    client.create_topic("t", 1, &[]).await;
    client
        .produce("t", 0, records::batch(&["too little"]))
        .await;
    let request = fetch_request("t", &[(0, 0)], 1 << 20)
        .with_min_bytes(1 << 20)
        .with_max_wait_ms(60_000);
    let id = consumer.send(12, &request).await;
    // Whether the fetch has come to wait by then or not, it must not wait for what is gone.
    assert_eq!(delete_records(&mut client, "t", &[(0, -1)]).await, [(0, 1)]);
    let response = consumer.receive::<FetchRequest>(12, id).await;
    assert_eq!(response.responses[0].partitions[0].error_code, OUT_OF_RANGE);
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back_after_sigkill() {
    let dir = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
    for round in 0..5 {
        let mut broker = BrokerProcess::start(program, dir.path());
        let mut client = Client::connect(broker.addr()).await;
        if round == 0 {
            client
                .create_topic("t", 1, &[("segment.bytes", "1048576")])
                .await;
        }
        assert_eq!(
            client.list_offset("t", 0, EARLIEST).await.offset,
            round * 30
        );
        for _ in 0..40 {
            client
                .produce("t", 0, records::batch(&["x".repeat(60_000).as_str()]))
                .await;
        }
        let start = (round + 1) * 30;
        assert_eq!(
            delete_records(&mut client, "t", &[(0, start)]).await,
            [(0, start)]
        );
        broker.kill();
    }
    let broker = BrokerProcess::start(program, dir.path());
    let mut client = Client::connect(broker.addr()).await;
    assert_eq!(client.list_offset("t", 0, EARLIEST).await.offset, 150);
    let data = client.fetch("t", 0, 150, 1 << 20).await;
    assert_eq!((data.error_code, data.high_watermark), (0, 200));
}
