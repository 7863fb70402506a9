//! SyncGroup, versions 0-5: the leader hands in the assignment, every member gets its part.
//!
//! *Versions*: 3 brings static members (KIP-345); 5 the protocol type and name (KIP-559), which must then be there.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::Handler;
use super::group_request::ask;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct SyncGroup;

impl Handler for SyncGroup {
    type Request = SyncGroupRequest;
    const NAME: &'static str = "SyncGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: SyncGroupRequest,
    ) -> SyncGroupResponse {
        if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            let code = ResponseError::InconsistentGroupProtocol.code();
            return SyncGroupResponse::default().with_error_code(code);
        }
        let group = request.group_id.to_string();
        let request = GroupRequest::SyncGroup(request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::SyncGroup(response) => Some(response),
            _ => None,
        });
        answer
            .await
            .unwrap_or_else(|error| SyncGroupResponse::default().with_error_code(error.code()))
    }
}
