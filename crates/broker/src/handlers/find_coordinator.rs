//! FindCoordinator: which broker looks after a group or a transactional id.
//!
//! Versions 0-6. There are no coordinators yet, so that every key gets COORDINATOR_NOT_AVAILABLE, upon which
//! clients ask again later. v1: transactional ids. v4: several keys at once. v6: share groups, which this broker does
//! not have: INVALID_REQUEST, as Kafka answers where they are off.

use std::ops::RangeInclusive;

use super::Handler;
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
        _: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        answer(version, &request)
    }
}

/// Answer a request.
pub(crate) fn answer(version: i16, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let text = |error| Some(StrBytes::from_string(error_text(error)));
    if version < 4 {
        let error = coordinator(request.key_type);
        return FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_error_message(text(error))
            .with_node_id(BrokerId(NO_NODE))
            .with_port(NO_NODE);
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        let error = coordinator(request.key_type);
        // Kafka explains itself only when the whole request is wrong.
        let is_known = (GROUP..=SHARE).contains(&request.key_type);
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(BrokerId(NO_NODE))
            .with_port(NO_NODE)
            .with_error_code(error.code())
            .with_error_message(if is_known { None } else { text(error) })
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn coordinator(key_type: i8) -> ResponseError {
    match key_type {
        GROUP | TRANSACTION => ResponseError::CoordinatorNotAvailable,
        _ => ResponseError::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_answered_for_itself() {
        let keys = ["g", "", "h"].map(StrBytes::from_static_str).to_vec();
        let request = FindCoordinatorRequest::default()
            .with_key_type(GROUP)
            .with_coordinator_keys(keys);
        let response = answer(4, &request);
        let answers: Vec<_> = response
            .coordinators
            .iter()
            .map(|found| (found.key.as_str(), found.error_code, found.node_id.0))
            .collect();
        assert_eq!(answers, [("g", 15, -1), ("", 15, -1), ("h", 15, -1)]);
    }

    #[test]
    fn old_versions_ask_for_one_key() {
        for (key_type, key, code) in [
            (GROUP, "g", 15),
            (TRANSACTION, "t", 15),
            (GROUP, "", 15),
            (2, "s", 42),
            (9, "x", 42),
        ] {
            let request = FindCoordinatorRequest::default()
                .with_key_type(key_type)
                .with_key(StrBytes::from_static_str(key));
            let response = answer(3, &request);
            assert_eq!(
                (response.error_code, response.node_id.0, response.port),
                (code, -1, -1),
                "{key_type} {key}"
            );
        }
    }
}
