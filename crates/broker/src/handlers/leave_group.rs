//! LeaveGroup, versions 0-5: members leave a classic group.
//!
//! *Versions*: 3 names several members, so that an operator can take static ones out (KIP-345); 5 a reason (KIP-800).

use std::ops::RangeInclusive;

use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Handler;
use super::group_request::{ask, origin};
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct LeaveGroup;

impl Handler for LeaveGroup {
    type Request = LeaveGroupRequest;
    const NAME: &'static str = "LeaveGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        let group = request.group_id.to_string();
        let request = GroupRequest::LeaveGroup(origin(context, version), request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::LeaveGroup(response) => Some(response),
            _ => None,
        });
        answer
            .await
            .unwrap_or_else(|error| LeaveGroupResponse::default().with_error_code(error.code()))
    }
}
