//! ElectLeaders: make the preferred replica lead, or any replica where there is no leader.
//!
//! Versions 0-2. v1: unclean elections. With one broker there is nothing to elect, and the answer says so: partitions
//! named get ELECTION_NOT_NEEDED, and the answer to "all partitions" leaves them out.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
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
        version: i16,
        request: ElectLeadersRequest,
    ) -> ElectLeadersResponse {
        answer(broker.metadata(), version, request).await
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let named = request.topic_partitions.clone().unwrap_or_default();
    let stopped =
        || ElectLeadersResponse::default().with_error_code(ResponseError::NotController.code());
    let response = metadata
        .controller
        .elect_leaders(request)
        .await
        .unwrap_or_else(|_| stopped());
    if version >= 1 || response.error_code == 0 {
        return response;
    }
    // Version 0 has no error for the whole request.
    let failure = |topic: TopicPartitions| {
        let partition = |id: &i32| {
            PartitionResult::default()
                .with_partition_id(*id)
                .with_error_code(response.error_code)
        };
        ReplicaElectionResult::default()
            .with_partition_result(topic.partitions.iter().map(partition).collect())
            .with_topic(topic.topic)
    };
    ElectLeadersResponse::default()
        .with_replica_election_results(named.into_iter().map(failure).collect())
}
