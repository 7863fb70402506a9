//! One file per API, and [`APIS`], the only list of them: dispatch, ApiVersions and metric labels read it.

use std::future::Future;
use std::ops::RangeInclusive;

use ottla_protocol::kafka_protocol::protocol::Request;

use crate::broker::Broker;
use crate::network::request::RequestContext;

pub mod alter_configs;
pub mod authorized_operations;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod find_coordinator;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod nodes;
mod partition_view;

/// One Kafka API whose answer is a plain message.
pub trait Handler {
    /// The request message.
    type Request: Request;
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
