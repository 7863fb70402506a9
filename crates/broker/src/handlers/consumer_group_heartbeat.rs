//! ConsumerGroupHeartbeat, versions 0-1: the whole consumer group protocol in one request (KIP-848).
//!
//! *Behaviour*: UNSUPPORTED_VERSION where the cluster's `group.version` is 0.
//!
//! *Versions*: 1 brings regular expressions, and member ids that the client makes (KIP-1082).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::Handler;
use super::group_request::{ask, origin, serves_consumer_protocol};
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct ConsumerGroupHeartbeat;

impl Handler for ConsumerGroupHeartbeat {
    type Request = ConsumerGroupHeartbeatRequest;
    const NAME: &'static str = "ConsumerGroupHeartbeat";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let refused = |error: ResponseError| {
            ConsumerGroupHeartbeatResponse::default().with_error_code(error.code())
        };
        if !serves_consumer_protocol(broker) {
            return refused(ResponseError::UnsupportedVersion);
        }
        let group = request.group_id.to_string();
        let request = GroupRequest::ConsumerGroupHeartbeat(origin(context, version), request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::ConsumerGroupHeartbeat(response) => Some(response),
            _ => None,
        });
        answer.await.unwrap_or_else(refused)
    }
}
