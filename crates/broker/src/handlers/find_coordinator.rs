//! FindCoordinator: which broker looks after a group or a transactional id.
//!
//! Versions 0-6. The first question after a group creates `__consumer_offsets`, the first after a transactional id
//! `__transaction_state`. v1: transactional ids. v4: several keys at
//! once. v6: share groups, which this broker does not have: INVALID_REQUEST, as Kafka answers where they are off.

use std::ops::RangeInclusive;

use super::Handler;
use super::internal_topics;
use super::nodes::{Node, nodes};
use crate::broker::Broker;
use crate::metadata::controller::error_text;
use crate::network::request::RequestContext;
use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

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
            GROUP => internal_topics::start_groups(broker).await,
            TRANSACTION => internal_topics::start_transactions(broker).await,
            _ => Err(ResponseError::InvalidRequest),
        };
        let found = found.and_then(|()| this_broker(broker, context));
        answer(version, &request, &found)
    }
}

/// This broker: it coordinates every group and every transactional id.
fn this_broker(broker: &Broker, context: &RequestContext<'_>) -> Result<Node, ResponseError> {
    let metadata = broker.metadata();
    let mut nodes = nodes(metadata, &metadata.image(), context.connection, true).into_iter();
    nodes
        .find(|node| node.id == metadata.node_id())
        .ok_or(ResponseError::CoordinatorNotAvailable)
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
