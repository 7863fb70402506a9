//! Heartbeat, versions 0-4: a member of a classic group is alive, and learns whether it has to join again.
//!
//! *Behaviour*: while the group is being loaded the answer is "all is well", so that nobody joins again for nothing.
//!
//! *Versions*: 3 brings static members (KIP-345).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Handler;
use super::group_request::ask;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct Heartbeat;

impl Handler for Heartbeat {
    type Request = HeartbeatRequest;
    const NAME: &'static str = "Heartbeat";
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: HeartbeatRequest,
    ) -> HeartbeatResponse {
        let group = request.group_id.to_string();
        let request = GroupRequest::Heartbeat(request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::Heartbeat(response) => Some(response),
            _ => None,
        });
        answer.await.unwrap_or_else(|error| match error {
            ResponseError::CoordinatorLoadInProgress => HeartbeatResponse::default(),
            error => HeartbeatResponse::default().with_error_code(error.code()),
        })
    }
}
