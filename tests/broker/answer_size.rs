//! Small requests whose answers would be huge: what does not fit is refused, what does is answered.

use bytes::Bytes;
use ottla_protocol::kafka_protocol::protocol::{Request, StrBytes};
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::*;
use ottla_tests::TestBroker;
use ottla_tests::client::{Client, topic_name};

const INVALID_REQUEST: i16 = 42;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
/// The limit, and the errors of what is beyond it.
const MOST: usize = 100_000_000 + 1_000_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The answer to a small request, which must not be larger than the limit.
async fn ask<R: Request>(client: &mut Client, version: i16, request: &R) -> R::Response {
    let id = client.send(version, request).await;
    let mut frame = client.receive_raw().await.expect("an answer");
    assert!(frame.len() < MOST, "{} bytes", frame.len());
    let decoded = ottla_protocol::api::decode_response::<R>(&mut frame, version);
    let (got, response) = decoded.expect("a decodable answer");
    assert_eq!(got, id);
    response
}

/// As many as fit are answered, then none.
fn check_codes(codes: impl Iterator<Item = i16>) {
    let codes: Vec<i16> = codes.collect();
    let answered = codes.iter().take_while(|code| **code == 0).count();
    assert!(answered > 100, "{answered} are answered");
    let refused = &codes[answered..];
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|code| *code == INVALID_REQUEST));
}

#[tokio::test]
async fn a_group_with_large_members_that_is_asked_for_again_and_again() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    client.call(4, &find).await;
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from(vec![0; 500_000]));
    let join = JoinGroupRequest::default()
        .with_group_id(text("g").into())
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let joined = loop {
        let joined = client.call(1, &join).await;
        if joined.error_code != COORDINATOR_LOAD_IN_PROGRESS {
            break joined;
        }
        tokio::task::yield_now().await;
    };
    let sync = SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    assert_eq!(client.call(1, &sync).await.error_code, 0);
    let describe = DescribeGroupsRequest::default().with_groups(vec![text("g").into(); 1000]);
    let described = ask(&mut client, 6, &describe).await;
    assert_eq!(described.groups.len(), 1000);
    check_codes(described.groups.iter().map(|group| group.error_code));
}

#[tokio::test]
async fn an_offset_with_much_metadata_that_is_asked_for_again_and_again() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    client.call(4, &find).await;
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_metadata(Some(text(&"m".repeat(4000))));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    loop {
        let committed = client.call(2, &commit).await;
        match committed.topics[0].partitions[0].error_code {
            COORDINATOR_LOAD_IN_PROGRESS => tokio::task::yield_now().await,
            code => break assert_eq!(code, 0),
        }
    }
    // Groups that name one partition 200 times each, and one that names it too often.
    let group = |times| {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0; times]);
        OffsetFetchRequestGroup::default()
            .with_group_id(text("g").into())
            .with_topics(Some(vec![topic]))
    };
    let fetch = OffsetFetchRequest::default().with_groups(vec![group(200); 200]);
    let fetched = ask(&mut client, 8, &fetch).await;
    check_codes(fetched.groups.iter().map(|group| group.error_code));
    let fetch = OffsetFetchRequest::default().with_groups(vec![group(50_000)]);
    let fetched = ask(&mut client, 8, &fetch).await;
    assert_eq!(fetched.groups[0].error_code, INVALID_REQUEST);
    assert!(fetched.groups[0].topics.is_empty());
}

#[tokio::test]
async fn configs_that_are_asked_for_again_and_again() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configuration_keys(None);
    let describe = DescribeConfigsRequest::default()
        .with_resources(vec![resource; 3000])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let described = ask(&mut client, 4, &describe).await;
    assert_eq!(described.results.len(), 3000);
    check_codes(described.results.iter().map(|result| result.error_code));
    let message = described.results[2999].error_message.as_deref();
    assert!(
        message.is_some_and(|text| text.contains("100 MB")),
        "{message:?}"
    );
}
