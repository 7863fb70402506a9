//! One file per API, and [`APIS`], the only list of them: dispatch, ApiVersions and metric labels read it.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use bytes::Bytes;
use ottla_protocol::api::{self as wire, DecodeError, EncodeError, RequestPrefix};
use ottla_protocol::kafka_protocol::protocol::Request;
use ottla_protocol::messages::ApiKey;

use crate::broker::Broker;
use crate::network::request::RequestContext;
use crate::network::send::Part;
pub use response_errors::ResponseErrors;
pub use throttle_time::ThrottleTime;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod api_versions;
pub mod authorized_operations;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod error_code;
pub mod fetch;
pub mod find_coordinator;
pub mod group_request;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod internal_topics;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
mod mutation_quota;
pub mod nodes;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
mod partition_view;
pub mod produce;
mod response_errors;
pub mod sync_group;
mod throttle_time;
pub mod transaction_request;
pub mod txn_offset_commit;
pub mod update_features;
pub mod write_txn_markers;

/// One Kafka API whose answer is a plain message.
pub trait Handler {
    /// The request message.
    type Request: Request<Response: ResponseErrors + ThrottleTime + Send + Sync + 'static>
        + Send
        + 'static;
    /// The API's name as metrics and logs show it (`ApiKeys.name`).
    const NAME: &'static str;
    /// The versions that are announced and served.
    const VERSIONS: RangeInclusive<i16>;

    /// Answer one request. Whatever is wrong with it is said in the response, in Kafka's error codes.
    fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: Self::Request,
    ) -> impl Future<Output = <Self::Request as Request>::Response> + Send;
}

/// What goes back to the client.
#[derive(Debug)]
pub enum Reply {
    /// Nothing: the producer asked for no acknowledgement.
    None,
    /// A whole response, frame length and all.
    Bytes(Bytes),
    /// A response that waits for the disk, while later requests are taken.
    WhenFlushed(Box<produce::PendingProduce>),
    /// A response in pieces, some of which lie in segment files.
    Parts(Vec<Part>),
}

/// A request that gets no answer but a closed connection, because no answer could be one that the client understands.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Too short for API key, version and correlation id.
    #[error("the frame is too short for a request header")]
    NoHeader,
    /// No such API here.
    #[error("API key {0} is not served")]
    UnknownApi(i16),
    /// Not a version of this API that is served here.
    #[error("{name} version {version} is not served, only {min} to {max}")]
    UnsupportedVersion {
        /// Name of the API.
        name: &'static str,
        /// What was asked.
        version: i16,
        /// Lowest version served.
        min: i16,
        /// Highest version served.
        max: i16,
    },
    /// Header or body does not hold what its version says.
    #[error("undecodable request: {0}")]
    Undecodable(#[from] DecodeError),
    /// The answer could not be put into the version that was asked.
    #[error("unencodable response: {0}")]
    Unencodable(#[from] EncodeError),
    /// A producer that waits for no acknowledgement must learn of an error by other means (`KafkaApis.handleProduceRequest`).
    #[error("produce request with acks=0 failed: {0}")]
    UnacknowledgedFailure(String),
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>>;

/// An API as dispatch sees it.
#[derive(Debug)]
pub struct Api {
    /// Which one.
    pub key: ApiKey,
    /// Its name for metrics and logs.
    pub name: &'static str,
    /// Lowest version that ApiVersions announces; 0 for Produce, see [`produce`].
    pub announced_min: i16,
    /// Lowest version that is served.
    pub min: i16,
    /// Highest version that is announced and served.
    pub max: i16,
    /// Decode, handle, encode.
    pub run: for<'a> fn(&'a Broker, &'a RequestContext<'a>, i16, Bytes) -> Answer<'a>,
}

impl Api {
    /// Is `version` one that this API serves?
    pub fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// All APIs of this broker.
pub static APIS: &[Api] = &[
    produce::API,
    fetch::API,
    api::<list_offsets::ListOffsets>(ApiKey::ListOffsets),
    api::<metadata::Metadata>(ApiKey::Metadata),
    api::<offset_commit::OffsetCommit>(ApiKey::OffsetCommit),
    api::<offset_fetch::OffsetFetch>(ApiKey::OffsetFetch),
    api::<find_coordinator::FindCoordinator>(ApiKey::FindCoordinator),
    api::<join_group::JoinGroup>(ApiKey::JoinGroup),
    api::<heartbeat::Heartbeat>(ApiKey::Heartbeat),
    api::<leave_group::LeaveGroup>(ApiKey::LeaveGroup),
    api::<sync_group::SyncGroup>(ApiKey::SyncGroup),
    api::<describe_groups::DescribeGroups>(ApiKey::DescribeGroups),
    api::<list_groups::ListGroups>(ApiKey::ListGroups),
    api_versions::API,
    api::<create_topics::CreateTopics>(ApiKey::CreateTopics),
    api::<delete_topics::DeleteTopics>(ApiKey::DeleteTopics),
    api::<delete_records::DeleteRecords>(ApiKey::DeleteRecords),
    api::<init_producer_id::InitProducerId>(ApiKey::InitProducerId),
    api::<offset_for_leader_epoch::OffsetForLeaderEpoch>(ApiKey::OffsetForLeaderEpoch),
    api::<add_partitions_to_txn::AddPartitionsToTxn>(ApiKey::AddPartitionsToTxn),
    api::<add_offsets_to_txn::AddOffsetsToTxn>(ApiKey::AddOffsetsToTxn),
    api::<end_txn::EndTxn>(ApiKey::EndTxn),
    api::<write_txn_markers::WriteTxnMarkers>(ApiKey::WriteTxnMarkers),
    api::<txn_offset_commit::TxnOffsetCommit>(ApiKey::TxnOffsetCommit),
    api::<describe_configs::DescribeConfigs>(ApiKey::DescribeConfigs),
    api::<alter_configs::AlterConfigs>(ApiKey::AlterConfigs),
    api::<describe_log_dirs::DescribeLogDirs>(ApiKey::DescribeLogDirs),
    api::<create_partitions::CreatePartitions>(ApiKey::CreatePartitions),
    api::<delete_groups::DeleteGroups>(ApiKey::DeleteGroups),
    api::<elect_leaders::ElectLeaders>(ApiKey::ElectLeaders),
    api::<incremental_alter_configs::IncrementalAlterConfigs>(ApiKey::IncrementalAlterConfigs),
    api::<alter_partition_reassignments::AlterPartitionReassignments>(
        ApiKey::AlterPartitionReassignments,
    ),
    api::<list_partition_reassignments::ListPartitionReassignments>(
        ApiKey::ListPartitionReassignments,
    ),
    api::<describe_client_quotas::DescribeClientQuotas>(ApiKey::DescribeClientQuotas),
    api::<alter_client_quotas::AlterClientQuotas>(ApiKey::AlterClientQuotas),
    api::<describe_user_scram_credentials::DescribeUserScramCredentials>(
        ApiKey::DescribeUserScramCredentials,
    ),
    api::<describe_quorum::DescribeQuorum>(ApiKey::DescribeQuorum),
    api::<update_features::UpdateFeatures>(ApiKey::UpdateFeatures),
    api::<offset_delete::OffsetDelete>(ApiKey::OffsetDelete),
    api::<describe_cluster::DescribeCluster>(ApiKey::DescribeCluster),
    api::<describe_producers::DescribeProducers>(ApiKey::DescribeProducers),
    api::<describe_transactions::DescribeTransactions>(ApiKey::DescribeTransactions),
    api::<list_transactions::ListTransactions>(ApiKey::ListTransactions),
    api::<consumer_group_heartbeat::ConsumerGroupHeartbeat>(ApiKey::ConsumerGroupHeartbeat),
    api::<consumer_group_describe::ConsumerGroupDescribe>(ApiKey::ConsumerGroupDescribe),
    api::<list_config_resources::ListConfigResources>(ApiKey::ListConfigResources),
    api::<describe_topic_partitions::DescribeTopicPartitions>(ApiKey::DescribeTopicPartitions),
];

/// The API for a request, when its version is served.
///
/// An unknown version of ApiVersions finds its API all the same: it has an answer of its own.
pub fn find(prefix: RequestPrefix) -> Result<&'static Api, Refusal> {
    let api = APIS
        .iter()
        .find(|api| api.key as i16 == prefix.api_key)
        .ok_or(Refusal::UnknownApi(prefix.api_key))?;
    if api.serves(prefix.api_version) || api.key == ApiKey::ApiVersions {
        Ok(api)
    } else {
        let Api { name, min, max, .. } = *api;
        Err(Refusal::UnsupportedVersion {
            name,
            version: prefix.api_version,
            min,
            max,
        })
    }
}

/// Whether requests of this API count for no quota on time: what brokers ask of each other
/// (`RequestHandlerHelper.sendResponseExemptThrottle`). A Fetch of a follower and a Produce with acks=0 do not count either.
pub fn is_exempt(api_key: i16) -> bool {
    api_key == ApiKey::WriteTxnMarkers as i16
}

const fn api<H: Handler>(key: ApiKey) -> Api {
    Api {
        key,
        name: H::NAME,
        announced_min: *H::VERSIONS.start(),
        min: *H::VERSIONS.start(),
        max: *H::VERSIONS.end(),
        run: run::<H>,
    }
}

fn run<'a, H: Handler>(
    broker: &'a Broker,
    context: &'a RequestContext<'a>,
    version: i16,
    mut body: Bytes,
) -> Answer<'a> {
    Box::pin(async move {
        let request = wire::decode_request::<H::Request>(&mut body, version)?;
        let mut response = H::handle(broker, context, version, request).await;
        if !is_exempt(H::Request::KEY) {
            response.set_throttle_time_ms(context.throttle_time_ms(broker.quotas()));
        }
        let mut errors = broker.telemetry().requests.errors(H::Request::KEY, H::NAME);
        response.count_errors(&mut errors);
        drop(errors);
        Ok(Reply::Bytes(wire::encode_response(
            H::Request::KEY,
            version,
            context.correlation_id,
            &response,
        )?))
    })
}
