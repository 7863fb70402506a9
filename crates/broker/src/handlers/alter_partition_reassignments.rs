//! AlterPartitionReassignments: move partitions to other replicas, or stop doing so.
//!
//! Versions 0-1. v1: a change of the replication factor can be forbidden (KIP-860).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::Handler;
use crate::broker::Broker;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct AlterPartitionReassignments;

impl Handler for AlterPartitionReassignments {
    type Request = AlterPartitionReassignmentsRequest;
    const NAME: &'static str = "AlterPartitionReassignments";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: AlterPartitionReassignmentsRequest,
    ) -> AlterPartitionReassignmentsResponse {
        let controller = &broker.metadata().controller;
        let answer = controller.alter_partition_reassignments(request).await;
        answer.unwrap_or_else(|_| {
            AlterPartitionReassignmentsResponse::default()
                .with_error_code(ResponseError::NotController.code())
                .with_error_message(None)
        })
    }
}
