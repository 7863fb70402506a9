//! JoinGroup, versions 0-9: become or stay a member of a classic group; answered when all members have joined.
//!
//! *Versions*: 1 brings the rebalance timeout; 4 asks new members to come back with an id (KIP-394); 5 static members
//! (KIP-345); 7 the protocol type in the answer; 8 a reason (KIP-800); 9 `skip_assignment` (KIP-814).

use std::ops::RangeInclusive;

use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::Handler;
use super::group_request::{ask, origin};
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct JoinGroup;

impl Handler for JoinGroup {
    type Request = JoinGroupRequest;
    const NAME: &'static str = "JoinGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=9;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: JoinGroupRequest,
    ) -> JoinGroupResponse {
        let group = request.group_id.to_string();
        let member_id = request.member_id.clone();
        let request = GroupRequest::JoinGroup(origin(context, version), request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::JoinGroup(response) => Some(response),
            _ => None,
        });
        let mut response = answer.await.unwrap_or_else(|error| {
            JoinGroupResponse::default()
                .with_error_code(error.code())
                .with_member_id(member_id)
                .with_protocol_name(None)
        });
        if version < 7 && response.protocol_name.is_none() {
            response.protocol_name = Some(Default::default());
        }
        response
    }
}
