//! ElectLeaders: make the preferred replica lead, or any replica where there is no leader.
//!
//! Versions 0-2. v1: unclean elections. With one broker there is nothing to elect, and the answer says so: partitions
//! named get ELECTION_NOT_NEEDED, and the answer to "all partitions" leaves them out.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct ElectLeaders;

impl Handler for ElectLeaders {
    type Request = ElectLeadersRequest;
    const NAME: &'static str = "ElectLeaders";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: ElectLeadersRequest,
    ) -> ElectLeadersResponse {
        answer(broker.metadata(), request).await
    }
}

/// Answer a request.
async fn answer(metadata: &MetadataService, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let stopped =
        || ElectLeadersResponse::default().with_error_code(ResponseError::NotController.code());
    metadata
        .controller
        .elect_leaders(request)
        .await
        .unwrap_or_else(|_| stopped())
}
