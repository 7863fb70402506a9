//! Acknowledged with acks=all means on disk, and what that costs nobody: order, pipelining, visibility.

use ottla_protocol::messages::{MetadataRequest, ProduceRequest};
use ottla_tests::TestBroker;
use ottla_tests::client::{Client, produce_request};
use ottla_tests::records;

/// More than a connection may have waiting for the disk.
const PIPELINED: usize = 60;

async fn pipeline(broker: &TestBroker, topic: &str, acks: impl Fn(usize) -> i16) {
    let mut client = broker.client().await;
    client.create_topic(topic, 3, &[]).await;
    let mut sent = Vec::new();
    for i in 0..PIPELINED {
        let batch = records::batch(&[&format!("{i}")]);
        let request = produce_request(topic, i as i32 % 3, batch, acks(i));
        sent.push(client.send(9, &request).await);
    }
    let asked = client.send(9, &MetadataRequest::default()).await;
    for (i, id) in sent.into_iter().enumerate() {
        if acks(i) == 0 {
            continue;
        }
        let response = client.receive::<ProduceRequest>(9, id).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, i as i64 / 3),
            "request {i}"
        );
    }
    client.receive::<MetadataRequest>(9, asked).await;
    check_all_there(&mut client, topic).await;
}

async fn check_all_there(client: &mut Client, topic: &str) {
    for partition in 0..3 {
        let data = client.fetch(topic, partition, 0, 1 << 20).await;
        let values = records::values(&data.records.expect("records"));
        let expected: Vec<String> = (0..PIPELINED)
            .filter(|i| i % 3 == partition as usize)
            .map(|i| i.to_string())
            .collect();
        assert_eq!(values, expected);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_whatever_they_wait_for() {
    for flush in ["true", "false"] {
        let broker = TestBroker::start_with(&[("ottla.flush.on.acks.all", flush)]).await;
        pipeline(&broker, "all", |_| -1).await;
        pipeline(&broker, "mixed", |i| [-1, 1, 0, -1, -1][i % 5]).await;
    }
}

#[tokio::test]
async fn what_was_sent_before_the_client_hung_up_is_stored_and_answered() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let id = client
        .send(9, &produce_request("t", 0, records::batch(&["v"]), -1))
        .await;
    client.end_sending().await;
    let response = client.receive::<ProduceRequest>(9, id).await;
    assert_eq!(
        response.responses[0].partition_responses[0].error_code, 0,
        "answered although nothing more comes"
    );
    assert!(client.receive_raw().await.is_none());
}

#[tokio::test]
async fn flush_messages_holds_for_every_acks() {
    let broker = TestBroker::start_with(&[("ottla.flush.on.acks.all", "false")]).await;
    let mut client = broker.client().await;
    client
        .create_topic("t", 1, &[("flush.messages", "1")])
        .await;
    for (offset, acks) in [(0, -1), (1, 1), (2, 1)] {
        let request = produce_request("t", 0, records::batch(&["v"]), acks);
        let response = client.call(9, &request).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
        // Committed before it is acknowledged.
        let latest = client.list_offset("t", 0, -1).await;
        assert_eq!(latest.offset, offset + 1);
    }
}
