//! A fetch that finds too little waits, without polling, for exactly what it asked.

use std::time::Duration;

use ottla_tests::TestBroker;
use ottla_tests::client::fetch_request;
use ottla_tests::records;
use tokio::time::Instant;

/// Far more than any of these tests takes.
const LONG_MS: i32 = 60_000;

#[tokio::test]
async fn an_append_wakes_a_waiting_fetch() {
    let broker = TestBroker::start().await;
    let (mut producer, mut consumer) = (broker.client().await, broker.client().await);
    producer.create_topic("t", 3, &[]).await;
    let request = fetch_request("t", &[(0, 0), (1, 0), (2, 0)], 1 << 20).with_max_wait_ms(LONG_MS);
    let started = Instant::now();
    let id = consumer.send(12, &request).await;
    producer.produce("t", 1, records::batch(&["woken"])).await;
    let response = consumer
        .receive::<ottla_protocol::messages::FetchRequest>(12, id)
        .await;
    assert!(started.elapsed() < Duration::from_millis(LONG_MS as u64) / 2);
    let partitions = &response.responses[0].partitions;
    assert_eq!(
        records::values(partitions[1].records.as_ref().unwrap()),
        ["woken"]
    );
    for empty in [&partitions[0], &partitions[2]] {
        assert_eq!(
            empty.records.as_ref().map(|records| records.len()),
            Some(0),
            "empty, never null"
        );
    }
}

#[tokio::test]
async fn min_bytes_are_waited_for() {
    let broker = TestBroker::start().await;
    let (mut producer, mut consumer) = (broker.client().await, broker.client().await);
    producer.create_topic("t", 1, &[]).await;
    let one = records::batch(&["0123456789"]);
    let request = fetch_request("t", &[(0, 0)], 1 << 20)
        .with_max_wait_ms(LONG_MS)
        .with_min_bytes(3 * one.len() as i32);
    let id = consumer.send(12, &request).await;
    for _ in 0..3 {
        producer.produce("t", 0, one.clone()).await;
    }
    let response = consumer
        .receive::<ottla_protocol::messages::FetchRequest>(12, id)
        .await;
    assert_eq!(
        response.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .len(),
        3 * one.len()
    );
}

#[tokio::test]
async fn the_deadline_ends_the_wait_with_an_empty_answer() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let request = fetch_request("t", &[(0, 0)], 1 << 20).with_max_wait_ms(30);
    let started = Instant::now();
    let response = client.call(12, &request).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
}

#[tokio::test]
async fn errors_and_unreachable_minima_do_not_wait() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let unknown = fetch_request("nothing", &[(0, 0)], 1 << 20).with_max_wait_ms(LONG_MS);
    assert_eq!(
        client.call(12, &unknown).await.responses[0].partitions[0].error_code,
        3
    );
    let out_of_range = fetch_request("t", &[(0, 5)], 1 << 20).with_max_wait_ms(LONG_MS);
    assert_eq!(
        client.call(12, &out_of_range).await.responses[0].partitions[0].error_code,
        1
    );
    // One batch is more than the partition's limit lets through, and less than min_bytes.
    client
        .produce("t", 0, records::batch(&["0123456789"]))
        .await;
    let trap = fetch_request("t", &[(0, 0)], 20)
        .with_max_wait_ms(LONG_MS)
        .with_min_bytes(1 << 20);
    let response = client.call(12, &trap).await;
    assert_eq!(
        records::values(
            response.responses[0].partitions[0]
                .records
                .as_ref()
                .unwrap()
        ),
        ["0123456789"]
    );
    let nothing = fetch_request("t", &[], 1 << 20).with_max_wait_ms(LONG_MS);
    assert!(client.call(12, &nothing).await.responses.is_empty());
}
