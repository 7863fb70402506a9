//! ElectLeaders: make the preferred replica lead, or any replica where there is no leader.
//!
//! Versions 0-2. v1: unclean elections. With one broker there is nothing to elect, and the answer says so: partitions
//! named get ELECTION_NOT_NEEDED, and the answer to "all partitions" leaves them out.

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::metadata::service::MetadataService;

/// Answer a request.
pub async fn answer(
    metadata: &MetadataService,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let stopped =
        || ElectLeadersResponse::default().with_error_code(ResponseError::NotController.code());
    metadata
        .controller
        .elect_leaders(request)
        .await
        .unwrap_or_else(|_| stopped())
}
