//! Clients that go over their quotas are answered at once and then not read for as long as they were told.

use std::time::Duration;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::Request;
use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::*;
use ottla_tests::client::{Client, fetch_request, produce_request, topic_name};
use ottla_tests::{TestBroker, records};
use tokio::time::Instant;

const ME: (&str, Option<&str>) = ("client-id", Some("ottla-test"));

fn ms(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).expect("a throttle time"))
}

/// Send `first`, and a request behind it that nothing limits: how long the first is told to wait by its answer, how long that
/// took, and how long the other one took.
async fn pipelined<R: Request>(
    client: &mut Client,
    version: i16,
    first: &R,
) -> (R::Response, Duration, Duration) {
    let began = Instant::now();
    let id = client.send(version, first).await;
    let next = client.send(3, &ApiVersionsRequest::default()).await;
    let response = client.receive::<R>(version, id).await;
    let answered = began.elapsed();
    client.receive::<ApiVersionsRequest>(3, next).await;
    (response, answered, began.elapsed())
}

fn record_of(bytes: usize) -> bytes::Bytes {
    records::batch(&[&"x".repeat(bytes)])
}

#[tokio::test]
async fn a_producer_is_answered_and_then_not_read() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    broker
        .set_quota(ME, "producer_byte_rate", Some(100_000.0))
        .await;
    // 10 windows of nothing and the one that begins: 1,000,000 bytes come at once. 1,040,000 are 0.4 s too many.
    let produce = produce_request("t", 0, record_of(1_040_000), -1);
    let (response, answered, read) = pipelined(&mut client, 9, &produce).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    let throttle = response.throttle_time_ms;
    assert!((400..=410).contains(&throttle), "{throttle}");
    assert!(read >= ms(throttle), "{read:?} of {throttle} ms");
    assert!(answered < read);

    // Others are not held back, and neither is the one whose quota is gone.
    broker.set_quota(ME, "producer_byte_rate", None).await;
    let response = client.call(9, &produce).await;
    assert_eq!(response.throttle_time_ms, 0);
    let count = "kafka_network_requestmetrics_throttletimems_count{request=\"Produce\"}";
    let sum = "kafka_network_requestmetrics_throttletimems_sum{request=\"Produce\"}";
    assert_eq!(broker.metric(count).await, Some(2.0));
    assert_eq!(broker.metric(sum).await, Some(f64::from(throttle)));
}

#[tokio::test]
async fn a_producer_that_waits_for_no_answer_is_not_read_either() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    broker
        .set_quota(
            ("user", Some("ANONYMOUS")),
            "producer_byte_rate",
            Some(100_000.0),
        )
        .await;
    let began = Instant::now();
    client
        .send(9, &produce_request("t", 0, record_of(1_030_000), 0))
        .await;
    client.call(3, &ApiVersionsRequest::default()).await;
    assert!(began.elapsed() >= ms(300), "{:?}", began.elapsed());
    let series =
        "kafka_server_quota_throttle_time{resource=\"Produce\",user=\"ANONYMOUS\",clientId=\"\"}";
    let shown = broker.metric(series).await.expect("an entity with a quota");
    assert!((300.0..=310.0).contains(&shown), "{shown}");
}

#[tokio::test]
async fn a_consumer_over_its_quota_gets_no_records_and_gets_them_later() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    for _ in 0..3 {
        client.produce("t", 0, record_of(30_000)).await;
    }
    broker
        .set_quota(("client-id", None), "consumer_byte_rate", Some(7_000.0))
        .await;
    // 70,000 bytes come at once: two batches fit the window, although the client wants all three.
    let fetch = fetch_request("t", &[(0, 0)], 1 << 20);
    let response = client.call(12, &fetch).await;
    assert_eq!(response.throttle_time_ms, 0);
    let got = response.responses[0].partitions[0]
        .records
        .as_ref()
        .unwrap()
        .len();
    assert!((60_000..70_000).contains(&got), "{got}");

    // The third is 20,000 too many: no records, and no partition, but a time.
    let fetch = fetch_request("t", &[(0, 2)], 1 << 20);
    let (response, answered, read) = pipelined(&mut client, 12, &fetch).await;
    let throttle = response.throttle_time_ms;
    assert!((2_500..=3_500).contains(&throttle), "{throttle}");
    assert_eq!((response.error_code, response.responses.len()), (0, 0));
    assert!(
        answered < read && read >= ms(throttle),
        "{read:?} of {throttle} ms"
    );

    // What was not sent was not used.
    broker
        .set_quota(("client-id", None), "consumer_byte_rate", Some(9_500.0))
        .await;
    let response = client.call(12, &fetch).await;
    assert_eq!(
        (response.throttle_time_ms, response.responses.len()),
        (0, 1)
    );
}

#[tokio::test]
async fn a_batch_larger_than_any_window_arrives_all_the_same() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, record_of(50_000)).await;
    broker
        .set_quota(ME, "consumer_byte_rate", Some(4_900.0))
        .await;
    let response = client
        .call(12, &fetch_request("t", &[(0, 0)], 1 << 20))
        .await;
    assert_eq!(response.responses.len(), 1);
    assert!(
        (1..500).contains(&response.throttle_time_ms),
        "{}",
        response.throttle_time_ms
    );
}

fn create(name: &str, partitions: i32) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    CreateTopicsRequest::default().with_topics(vec![topic])
}

#[tokio::test]
async fn mutations_beyond_the_quota_are_refused_or_slowed_down() {
    let quota_exceeded = ResponseError::ThrottlingQuotaExceeded.code();
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("old", 1, &[]).await;
    broker
        .set_quota(ME, "controller_mutation_rate", Some(5.0))
        .await;
    // 55 tokens: who finds any takes all it needs, and is not held back.
    let response = client.call(7, &create("first", 65)).await;
    assert_eq!(
        (response.topics[0].error_code, response.throttle_time_ms),
        (0, 0)
    );

    let (response, _, read) = pipelined(&mut client, 6, &create("second", 1)).await;
    let refused = &response.topics[0];
    assert_eq!(refused.error_code, quota_exceeded);
    assert_eq!(
        refused.error_message.as_deref(),
        Some("The throttling quota has been exceeded.")
    );
    let throttle = response.throttle_time_ms;
    assert!(
        (1..=2000).contains(&throttle) && read >= ms(throttle),
        "{throttle}"
    );

    // Versions that do not know the error get what they ask for, and then wait.
    let response = client.call(5, &create("third", 120)).await;
    assert_eq!(response.topics[0].error_code, 0);
    let mut client = broker.client().await;
    let grow = CreatePartitionsTopic::default()
        .with_name(topic_name("old"))
        .with_count(2)
        .with_assignments(None);
    let grow = CreatePartitionsRequest::default().with_topics(vec![grow]);
    let by_name = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("third")]);
    let response = client.call(3, &grow).await;
    assert_eq!(response.results[0].error_code, quota_exceeded);
    assert!(response.throttle_time_ms > 0);
    let mut client = broker.client().await;
    let response = client.call(5, &by_name).await;
    assert_eq!(response.responses[0].error_code, quota_exceeded);
    let mut client = broker.client().await;
    let response = client.call(4, &by_name).await;
    assert_eq!(response.responses[0].error_code, 0);
    assert!(response.throttle_time_ms > 0);
}

/// As if the client had asked for the topic itself; what it is told is what it is told of any topic that is not there yet.
#[tokio::test]
async fn topics_created_by_the_way_count_as_well() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker
        .set_quota(ME, "controller_mutation_rate", Some(1.0))
        .await;
    let response = client.call(7, &create("first", 60)).await;
    assert_eq!(response.topics[0].error_code, 0);
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("by-the-way")));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    let response = client.call(9, &request).await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(response.topics[0].error_code, unknown);
    broker.set_quota(ME, "controller_mutation_rate", None).await;
    let response = client.call(9, &request).await;
    assert_eq!(response.topics[0].error_code, 0);
}

#[tokio::test]
async fn time_on_threads_is_limited_whatever_is_asked() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    // A tenth of a microsecond a second: any request is too much, and none waits for longer than a window.
    broker
        .set_quota(ME, "request_percentage", Some(0.00001))
        .await;
    let began = Instant::now();
    let response = client.call(12, &MetadataRequest::default()).await;
    assert_eq!(response.throttle_time_ms, 1000);
    broker.set_quota(ME, "request_percentage", None).await;
    client.call(12, &MetadataRequest::default()).await;
    assert!(began.elapsed() >= ms(1000));
    let response = client.call(12, &MetadataRequest::default()).await;
    assert_eq!(response.throttle_time_ms, 0);
}

#[tokio::test]
async fn an_address_that_connects_too_often_waits_and_is_closed() {
    // Long windows, so that a slow machine does not make the connections rare enough.
    let broker = TestBroker::start_with(&[("quota.window.size.seconds", "2")]).await;
    broker
        .set_quota(
            ("ip", Some("127.0.0.1")),
            "connection_creation_rate",
            Some(1.0),
        )
        .await;
    let mut served = Vec::new();
    for _ in 0..20 {
        served.push(broker.client().await);
    }
    for client in &mut served {
        client.call(3, &ApiVersionsRequest::default()).await;
    }
    let began = Instant::now();
    let mut refused = broker.client().await;
    let answer = refused.try_call(3, &ApiVersionsRequest::default()).await;
    assert!(answer.is_none(), "not served");
    assert!(began.elapsed() >= ms(100), "{:?}", began.elapsed());
    broker
        .set_quota(("ip", Some("127.0.0.1")), "connection_creation_rate", None)
        .await;
    broker
        .client()
        .await
        .call(3, &ApiVersionsRequest::default())
        .await;
}
