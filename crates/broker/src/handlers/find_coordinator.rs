//! FindCoordinator: which broker looks after a group or a transactional id.
//!
//! Versions 0-6. The first question after a group creates `__consumer_offsets`. There is no transaction coordinator
//! yet: COORDINATOR_NOT_AVAILABLE, upon which clients ask again later. v1: transactional ids. v4: several keys at
//! once. v6: share groups, which this broker does not have: INVALID_REQUEST, as Kafka answers where they are off.

use std::ops::RangeInclusive;

use super::Handler;
use super::nodes::{Node, nodes};
use crate::broker::Broker;
use crate::coordinator::runtime::OFFSETS_TOPIC;
use crate::metadata::controller::error_text;
use crate::network::request::RequestContext;
use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{
    BrokerId, CreateTopicsRequest, FindCoordinatorRequest, FindCoordinatorResponse,
};

/// `CoordinatorType.GROUP`.
const GROUP: i8 = 0;
/// `CoordinatorType.TRANSACTION`.
const TRANSACTION: i8 = 1;
/// `CoordinatorType.SHARE`.
const SHARE: i8 = 2;
/// `Node.noNode`.
const NO_NODE: i32 = -1;

/// The API.
#[derive(Debug)]
pub struct FindCoordinator;

impl Handler for FindCoordinator {
    type Request = FindCoordinatorRequest;
    const NAME: &'static str = "FindCoordinator";
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let found = match request.key_type {
            GROUP => group_coordinator(broker, context).await,
            TRANSACTION => Err(ResponseError::CoordinatorNotAvailable),
            _ => Err(ResponseError::InvalidRequest),
        };
        answer(version, &request, &found)
    }
}

/// Every group's coordinator is this broker.
async fn group_coordinator(
    broker: &Broker,
    context: &RequestContext<'_>,
) -> Result<Node, ResponseError> {
    if !broker.groups().start() {
        create_offsets_topic(broker).await?;
        if !broker.groups().start() {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
    }
    let metadata = broker.metadata();
    let mut nodes = nodes(metadata, &metadata.image(), context.connection, true).into_iter();
    nodes
        .find(|node| node.id == metadata.node_id())
        .ok_or(ResponseError::CoordinatorNotAvailable)
}

/// Two clients may ask at once: the second is told that the topic exists, which is as good.
async fn create_offsets_topic(broker: &Broker) -> Result<(), ResponseError> {
    let settings = &broker.config().groups;
    let brokers = broker.metadata().image().cluster.brokers().len();
    let replicas = usize::try_from(settings.offsets_topic_replication_factor).unwrap_or(1);
    let config = |name: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(StrBytes::from_static_str(OFFSETS_TOPIC).into())
        .with_num_partitions(settings.offsets_topic_num_partitions)
        .with_replication_factor(i16::try_from(replicas.min(brokers)).unwrap_or(1))
        .with_configs(vec![
            config("cleanup.policy", "compact".into()),
            config("compression.type", "producer".into()),
            config(
                "segment.bytes",
                settings.offsets_topic_segment_bytes.to_string(),
            ),
        ]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let response = broker.metadata().controller.create_topics(request).await;
    let response = response.map_err(|_| ResponseError::CoordinatorNotAvailable)?;
    let code = response.topics.first().map_or(0, |topic| topic.error_code);
    if code == 0 || code == ResponseError::TopicAlreadyExists.code() {
        return Ok(());
    }
    tracing::error!(
        code,
        "{OFFSETS_TOPIC} cannot be created: groups are not served"
    );
    Err(ResponseError::CoordinatorNotAvailable)
}

/// Answer a request: all keys of one kind have the same coordinator.
pub(crate) fn answer(
    version: i16,
    request: &FindCoordinatorRequest,
    found: &Result<Node, ResponseError>,
) -> FindCoordinatorResponse {
    let error = found.as_ref().err();
    let code = error.map_or(0, ResponseError::code);
    // Kafka explains itself only when the whole request is wrong; to old clients it says "NONE" of what went well.
    let is_known = (GROUP..=SHARE).contains(&request.key_type);
    let message = match error {
        Some(error) => Some(error_text(*error)),
        None => Some("NONE".to_owned()),
    };
    let message = message.filter(|_| version < 4 || !is_known);
    let message = message.map(StrBytes::from_string);
    let (id, host, port) = match found {
        Ok(node) => (node.id.0, node.host.clone(), node.port),
        Err(_) => (NO_NODE, StrBytes::default(), NO_NODE),
    };
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_node_id(BrokerId(id))
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(BrokerId(id))
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code)
            .with_error_message(message.clone())
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node {
            id: ottla_protocol::ids::BrokerId(7),
            host: StrBytes::from_static_str("h"),
            port: 9092,
            rack: None,
            is_fenced: false,
        }
    }

    #[test]
    fn every_key_is_answered_for_itself() {
        let keys = ["g", "h"].map(StrBytes::from_static_str).to_vec();
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
        for (found, expected) in [
            (Ok(node()), [("g", 0, 7), ("h", 0, 7)]),
            (
                Err(ResponseError::CoordinatorNotAvailable),
                [("g", 15, -1), ("h", 15, -1)],
            ),
        ] {
            let response = answer(4, &request, &found);
            let answers: Vec<_> = (response.coordinators.iter())
                .map(|found| (found.key.as_str(), found.error_code, found.node_id.0))
                .collect();
            assert_eq!(answers, expected);
        }
    }

    #[test]
    fn old_versions_ask_for_one_key() {
        let request = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
        let response = answer(3, &request, &Ok(node()));
        let found = (
            response.error_code,
            response.node_id.0,
            &*response.host,
            response.port,
        );
        assert_eq!(found, (0, 7, "h", 9092));
        let response = answer(0, &request, &Err(ResponseError::InvalidRequest));
        let found = (response.error_code, response.node_id.0, response.port);
        assert_eq!(found, (42, -1, -1));
    }
}
