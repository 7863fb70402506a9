//! The controller's decisions: a request and the latest image in, records and a response out. No I/O.
//!
//! What is decided here becomes true when its records are in the log and replayed; who calls these functions sees to
//! that (`publisher.rs`). Rules and messages are those of Apache Kafka's controller (`ControllerApis`,
//! `ReplicationControlManager`, `ConfigurationControlManager`, `ClusterControlManager`); each file names its source.

mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
mod error_text;
mod partition_change;
mod placement;
mod producer_ids;
mod registration;
pub mod topic_name;
mod update_features;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{BrokerId, Offset};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::image::MetadataImage;
use super::record::MetadataRecord;
use crate::config::BrokerConfig;
use crate::config::dynamic::{Layers, Overrides};

pub use alter_client_quotas::failed_alterations;
pub use error_text::error_text;
pub use producer_ids::PRODUCER_ID_BLOCK_LEN;
pub use registration::{REGISTERED_FEATURES, ShutdownKind};
pub use update_features::KRAFT_VERSION_FEATURE;

/// Records that one request may lead to (`QuorumController.MAX_RECORDS_PER_USER_OP`).
const MAX_RECORDS_PER_REQUEST: usize = 10_000;

/// Longest name or value that a record holds, bytes.
const MAX_TEXT_LEN: usize = super::record::MAX_STRING_LEN;

/// What is to be written, and what is to be answered once it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R> {
    /// The records; none when nothing changes.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub response: R,
}

impl<R> Decision<R> {
    /// Nothing to write.
    pub fn answer(response: R) -> Self {
        Self {
            records: Vec::new(),
            response,
        }
    }
}

/// An error of one topic or resource of a request (`ApiError`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The error.
    pub error: ResponseError,
    /// What it says beyond the code; `None` when there is nothing to add.
    pub message: Option<String>,
}

impl ApiError {
    fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: Some(message.into()),
        }
    }

    /// With the general text of the code as its message.
    fn general(error: ResponseError) -> Self {
        Self {
            error,
            message: Some(error_text(error)),
        }
    }

    /// Without a message, as Kafka answers where an exception says no more than its code.
    fn bare(error: ResponseError) -> Self {
        Self {
            error,
            message: None,
        }
    }

    fn text(&self) -> Option<StrBytes> {
        self.message.clone().map(StrBytes::from_string)
    }
}

/// What the controller looks at when it decides.
#[derive(Clone, Copy)]
pub struct Controller<'a> {
    /// The latest image, with all records that are decided but not yet published.
    pub image: &'a MetadataImage,
    /// Configuration of this node.
    pub config: &'a BrokerConfig,
    /// Offset that the next record will have; an epoch for whoever registers now.
    pub next_offset: Offset,
    /// Level of `kraft.version`, which the metadata log keeps outside of its records.
    pub kraft_version: i16,
    /// A source of ids that were never used before.
    pub new_id: &'a dyn Fn() -> Uuid,
    /// Whether the caller's quota lets so many partitions be created or deleted; asked once for each change.
    pub may_change_partitions: &'a dyn Fn(usize) -> bool,
}

impl Controller<'_> {
    /// The layers of configuration for a topic whose own configs are `topic`.
    fn layers<'b>(&'b self, topic: &'b dyn Overrides) -> Layers<'b> {
        Layers {
            topic,
            broker: self.image.configs.broker(self.config.node_id()),
            cluster: self.image.configs.all_brokers(),
            fixed: self.config,
        }
    }

    fn check_quota(&self, partitions: usize) -> Result<(), ApiError> {
        match (self.may_change_partitions)(partitions) {
            true => Ok(()),
            false => Err(ApiError::general(ResponseError::ThrottlingQuotaExceeded)),
        }
    }

    fn active_of(&self, replicas: &[BrokerId]) -> Vec<BrokerId> {
        replicas
            .iter()
            .copied()
            .filter(|broker| self.image.cluster.is_active(*broker))
            .collect()
    }
}

/// Check `decided`, the number of records one request leads to.
fn check_record_count(decided: usize) -> Result<(), ApiError> {
    if decided <= MAX_RECORDS_PER_REQUEST {
        return Ok(());
    }
    Err(ApiError::new(
        ResponseError::PolicyViolation,
        "Unable to perform excessively large batch operation.",
    ))
}

fn ids(brokers: &[ottla_protocol::messages::BrokerId]) -> Vec<BrokerId> {
    brokers.iter().map(|broker| BrokerId(broker.0)).collect()
}

#[cfg(test)]
mod tests;
