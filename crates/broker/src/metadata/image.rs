//! The state of the cluster at one offset of the metadata log: immutable, shared by all handlers.
//!
//! An image is a handful of persistent maps: a clone costs a few reference counts, and a changed copy shares all that
//! did not change with its origin, so one change among 50,000 partitions costs a few tree nodes. Images change in
//! one way only, by [`MetadataImage::replay`] of a record. What writes and orders the records is not its business
//! (`publisher.rs`), nor are metadata transactions (`loader.rs`).

mod cluster;
mod configs;
mod features;
mod quotas;
mod security;
mod topics;

use ottla_protocol::ids::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, Timestamp, TopicId,
};
use thiserror::Error;

use super::record::{MetadataRecord, ProducerIdsRecord};

pub use cluster::{BrokerRegistration, ClusterImage};
pub use configs::{ConfigResource, ConfigResourceType, ConfigurationsImage};
pub use features::FeaturesImage;
pub use quotas::{ClientQuotaEntity, ClientQuotasImage};
pub use security::{AclsImage, DelegationTokensImage, ScramImage};
pub use topics::{LeaderRecoveryState, PartitionRegistration, TopicImage, TopicsImage};

/// Which part of the metadata log an image stands for (`MetadataProvenance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataProvenance {
    /// Offset of the last record that is part of the image; -1 when there is none.
    pub last_contained_offset: Offset,
    /// Quorum epoch of that record; -1 when there is none.
    pub last_contained_epoch: LeaderEpoch,
    /// When that record was appended.
    pub last_contained_log_time: Timestamp,
}

impl MetadataProvenance {
    /// Of the image of an empty log.
    pub const EMPTY: Self = Self {
        last_contained_offset: Offset(-1),
        last_contained_epoch: LeaderEpoch::NONE,
        last_contained_log_time: Timestamp::NONE,
    };
}

impl Default for MetadataProvenance {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Everything the metadata log says, up to one offset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataImage {
    /// Which part of the log this is.
    pub provenance: MetadataProvenance,
    /// Finalized features.
    pub features: FeaturesImage,
    /// Brokers and controllers.
    pub cluster: ClusterImage,
    /// Topics and partitions.
    pub topics: TopicsImage,
    /// Dynamic configs.
    pub configs: ConfigurationsImage,
    /// Client quotas.
    pub client_quotas: ClientQuotasImage,
    /// Producer ids that have been handed out.
    pub producer_ids: ProducerIdsImage,
    /// ACLs.
    pub acls: AclsImage,
    /// SCRAM credentials.
    pub scram: ScramImage,
    /// Delegation tokens.
    pub delegation_tokens: DelegationTokensImage,
}

/// A record that does not fit the state it is to change. The log is damaged, or was written by faulty software.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The broker is not registered.
    #[error("the record is about broker {0}, which is not registered")]
    UnknownBroker(BrokerId),
    /// The broker is registered under another epoch.
    #[error(
        "the record is about epoch {found} of broker {broker}, which is registered with epoch {registered}"
    )]
    StaleBrokerEpoch {
        /// The broker.
        broker: BrokerId,
        /// Epoch of its registration.
        registered: i64,
        /// Epoch in the record.
        found: i64,
    },
    /// The topic does not exist.
    #[error("the record is about topic {0}, which does not exist")]
    UnknownTopic(TopicId),
    /// The topic does not exist.
    #[error("the record is about topic {0:?}, which does not exist")]
    UnknownTopicName(String),
    /// The partition does not exist.
    #[error("the record is about partition {1} of topic {0}, which does not exist")]
    UnknownPartition(TopicId, PartitionIndex),
    /// Two topics with one name or one id.
    #[error("topic {name:?} with id {id} exists already, by its name or by its id")]
    DuplicateTopic {
        /// The name.
        name: String,
        /// The id.
        id: TopicId,
    },
    /// A field holds a value that means nothing.
    #[error("field {field} holds {value}, which has no meaning")]
    Meaningless {
        /// Name of the field.
        field: &'static str,
        /// The value.
        value: i64,
    },
    /// The number of replicas and that of their directories differ.
    #[error("{directories} directories for {replicas} replicas")]
    Directories {
        /// Replicas of the partition.
        replicas: usize,
        /// Directories named.
        directories: usize,
    },
    /// Begin, end or abort of a metadata transaction at a place where there can be none.
    #[error("{0} where no metadata transaction can be")]
    Transaction(&'static str),
}

impl MetadataImage {
    /// Take over what one record says.
    ///
    /// # Errors
    /// The record does not fit the image, which is then as it was. Markers of metadata transactions never fit.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::RegisterBroker(record) => self.cluster.register_broker(record),
            R::UnregisterBroker(record) => self.cluster.unregister_broker(record)?,
            R::FenceBroker(record) => self.cluster.fence_broker(record)?,
            R::UnfenceBroker(record) => self.cluster.unfence_broker(record)?,
            R::BrokerRegistrationChange(record) => self.cluster.change_registration(record)?,
            R::RegisterController(record) => self.cluster.register_controller(record),
            R::Topic(record) => self.topics.create_topic(record)?,
            R::RemoveTopic(record) => {
                let name = self.topics.remove_topic(record)?;
                self.configs.remove(&ConfigResource::topic(&name));
            }
            R::Partition(record) => self.topics.set_partition(record)?,
            R::PartitionChange(record) => self.topics.change_partition(record)?,
            R::ClearElr(record) => self.topics.clear_elr(record)?,
            R::Config(record) => self.configs.replay(record),
            R::FeatureLevel(record) => self.features.replay(record),
            R::ClientQuota(record) => self.client_quotas.replay(record),
            R::ProducerIds(record) => self.producer_ids.replay(record),
            R::AccessControlEntry(record) => self.acls.add(record),
            R::RemoveAccessControlEntry(record) => self.acls.remove(record),
            R::UserScramCredential(record) => self.scram.add(record),
            R::RemoveUserScramCredential(record) => self.scram.remove(record),
            R::DelegationToken(record) => self.delegation_tokens.add(record),
            R::RemoveDelegationToken(record) => self.delegation_tokens.remove(record),
            R::NoOp(_) | R::ZkMigrationState(_) => {}
            R::BeginTransaction(_) | R::EndTransaction(_) | R::AbortTransaction(_) => {
                return Err(ReplayError::Transaction(record.name()));
            }
        }
        Ok(())
    }

    /// The records of a snapshot: replayed into an empty image they make this one. In the order of
    /// `MetadataImage.write`, which has the metadata version first as it decides how the others are read.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records =
            Vec::with_capacity(self.topics.len() + self.topics.partition_count() + 64);
        self.features.write(&mut records);
        self.cluster.write(&mut records);
        self.topics.write(&mut records);
        self.configs.write(&mut records);
        self.client_quotas.write(&mut records);
        self.producer_ids.write(&mut records);
        self.acls.write(&mut records);
        self.scram.write(&mut records);
        self.delegation_tokens.write(&mut records);
        records
    }
}

/// Which producer ids have been handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerIdsImage {
    /// The last record; `None` when no id was ever handed out.
    last: Option<(BrokerId, i64, ProducerId)>,
}

impl ProducerIdsImage {
    /// The first id that has not been handed out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.last.map_or(ProducerId(0), |(_, _, next)| next)
    }

    fn replay(&mut self, record: &ProducerIdsRecord) {
        self.last = Some((
            record.broker_id,
            record.broker_epoch,
            record.next_producer_id,
        ));
    }

    fn write(&self, records: &mut Vec<MetadataRecord>) {
        if let Some((broker_id, broker_epoch, next_producer_id)) = self.last {
            records.push(
                ProducerIdsRecord {
                    broker_id,
                    broker_epoch,
                    next_producer_id,
                }
                .into(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
