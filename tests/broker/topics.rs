//! Creating, describing and deleting topics.

use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_tests::TestBroker;
use ottla_tests::client::topic_name;
use ottla_tests::records;

fn metadata(name: &str, create: bool) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(create)
}

#[tokio::test]
async fn metadata_creates_at_once_and_names_an_address_this_client_reaches() {
    let broker = TestBroker::start_with(&[("num.partitions", "4")]).await;
    let mut client = broker.client().await;
    let response = client.call(9, &metadata("fresh", true)).await;
    let topic = &response.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 4));
    assert!(
        topic
            .partitions
            .iter()
            .all(|partition| partition.leader_id == response.brokers[0].node_id)
    );
    assert_eq!(&*response.brokers[0].host, "127.0.0.1");
    assert_eq!(response.brokers[0].port, i32::from(broker.addr().port()));
    assert_eq!(
        client
            .produce("fresh", 3, records::batch(&["at the first try"]))
            .await
            .error_code,
        0
    );
}

#[tokio::test]
async fn metadata_does_not_create_when_either_side_says_no() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    assert_eq!(
        client.call(9, &metadata("no", false)).await.topics[0].error_code,
        3
    );
    assert_eq!(
        client.call(9, &metadata("bad name!", true)).await.topics[0].error_code,
        17
    );
    let broker = TestBroker::start_with(&[("auto.create.topics.enable", "false")]).await;
    let mut client = broker.client().await;
    assert_eq!(
        client.call(9, &metadata("no", true)).await.topics[0].error_code,
        3
    );
}

#[tokio::test]
async fn a_topic_made_again_is_another_topic() {
    let mut broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let first = client.create_topic("again", 1, &[]).await;
    client.produce("again", 0, records::batch(&["old"])).await;
    client.delete_topic("again").await;
    assert_eq!(
        client
            .produce("again", 0, records::batch(&["nowhere"]))
            .await
            .error_code,
        3
    );
    let second = client.create_topic("again", 1, &[]).await;
    assert_ne!(first, second);
    assert_eq!(client.fetch("again", 0, 0, 1 << 20).await.high_watermark, 0);
    broker.restart().await;
    let mut client = broker.client().await;
    assert_eq!(client.fetch("again", 0, 0, 1 << 20).await.high_watermark, 0);
    assert_eq!(
        client
            .produce("again", 0, records::batch(&["new"]))
            .await
            .base_offset,
        0
    );
}
