//! An image in the making, and what is different in it: the previous image, the records replayed since, the new image.
//!
//! Listeners are told of a change by the delta, so that they look at what changed only. Records that have no effect
//! visible to a listener (producer ids, ACLs, ...) are in the new image but are not listed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::ids::{BrokerId, PartitionIndex, TopicId};

use super::image::{
    ConfigResource, ConfigResourceType, MetadataImage, MetadataProvenance, ReplayError, TopicImage,
};
use super::record::MetadataRecord;

/// What became of one topic.
#[derive(Clone, Debug)]
pub struct ChangedTopic<'a> {
    /// The topic as it was; `None` if it is new.
    pub before: Option<&'a TopicImage>,
    /// The topic as it is now.
    pub after: &'a TopicImage,
    /// The partitions that are new or changed, by index. Partitions never disappear alone.
    pub partitions: &'a BTreeSet<PartitionIndex>,
}

/// Records applied to an image, and what they changed.
#[derive(Clone, Debug)]
pub struct MetadataDelta {
    previous: Arc<MetadataImage>,
    image: MetadataImage,
    topics: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    configs: BTreeSet<ConfigResource>,
    brokers: BTreeSet<BrokerId>,
    features: bool,
    client_quotas: bool,
    records: usize,
}

impl MetadataDelta {
    /// No change yet to `previous`.
    pub fn new(previous: Arc<MetadataImage>) -> Self {
        Self {
            image: MetadataImage::clone(&previous),
            previous,
            topics: BTreeMap::new(),
            configs: BTreeSet::new(),
            brokers: BTreeSet::new(),
            features: false,
            client_quotas: false,
            records: 0,
        }
    }

    /// Take over what one record says.
    ///
    /// # Errors
    /// The record does not fit the image; nothing has changed.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        self.image.replay(record)?;
        self.records += 1;
        self.note(record);
        Ok(())
    }

    /// From now on the new image stands for that part of the log.
    pub fn set_provenance(&mut self, provenance: MetadataProvenance) {
        self.image.provenance = provenance;
    }

    /// Number of records replayed.
    pub fn record_count(&self) -> usize {
        self.records
    }

    /// The image before the change.
    pub fn previous(&self) -> &Arc<MetadataImage> {
        &self.previous
    }

    /// The image after the change.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The topics that are gone, as they were. A topic that was deleted and created again has a new id and is listed
    /// here by its old one.
    pub fn deleted_topics(&self) -> impl Iterator<Item = &TopicImage> {
        let gone = self
            .topics
            .keys()
            .filter(|id| self.image.topics.get(**id).is_none());
        gone.filter_map(|id| self.previous.topics.get(*id))
    }

    /// The topics that are new or have partitions that are.
    pub fn changed_topics(&self) -> impl Iterator<Item = ChangedTopic<'_>> {
        self.topics.iter().filter_map(|(id, partitions)| {
            let after = self.image.topics.get(*id)?;
            Some(ChangedTopic {
                before: self.previous.topics.get(*id),
                after,
                partitions,
            })
        })
    }

    /// Everything for which a config was set or removed. A deleted topic is not listed for losing its configs.
    pub fn changed_configs(&self) -> &BTreeSet<ConfigResource> {
        &self.configs
    }

    /// Brokers that registered, left, or changed their registration.
    pub fn changed_brokers(&self) -> &BTreeSet<BrokerId> {
        &self.brokers
    }

    /// Whether a feature was finalized at another level.
    pub fn features_changed(&self) -> bool {
        self.features
    }

    /// Whether a client quota was set or removed.
    pub fn client_quotas_changed(&self) -> bool {
        self.client_quotas
    }

    fn note(&mut self, record: &MetadataRecord) {
        use MetadataRecord as R;
        match record {
            R::Topic(record) => self.topic(record.topic_id),
            R::RemoveTopic(record) => self.topic(record.topic_id),
            R::Partition(record) => self.partition(record.topic_id, record.partition_id),
            R::PartitionChange(record) => self.partition(record.topic_id, record.partition_id),
            R::Config(record) => {
                self.configs.insert(ConfigResource {
                    resource_type: ConfigResourceType(record.resource_type),
                    name: record.resource_name.clone(),
                });
            }
            R::RegisterBroker(record) => self.broker(record.broker_id),
            R::UnregisterBroker(record) => self.broker(record.broker_id),
            R::FenceBroker(record) => self.broker(record.id),
            R::UnfenceBroker(record) => self.broker(record.id),
            R::BrokerRegistrationChange(record) => self.broker(record.broker_id),
            R::FeatureLevel(_) => self.features = true,
            R::ClientQuota(_) => self.client_quotas = true,
            _ => {}
        }
    }

    fn topic(&mut self, id: TopicId) {
        self.topics.entry(id).or_default();
    }

    fn partition(&mut self, id: TopicId, index: PartitionIndex) {
        self.topics.entry(id).or_default().insert(index);
    }

    fn broker(&mut self, id: BrokerId) {
        self.brokers.insert(id);
    }
}
