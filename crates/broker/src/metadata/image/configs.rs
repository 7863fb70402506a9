//! Dynamic configs of topics, brokers, client groups and client metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ottla_protocol::ids::BrokerId;
use rpds::RedBlackTreeMapSync;

use crate::metadata::record::{ConfigRecord, MetadataRecord};

/// What kind of thing a config belongs to, by its number on the wire and in records (`ConfigResource.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResourceType(pub i8);

impl ConfigResourceType {
    /// A topic.
    pub const TOPIC: Self = Self(2);
    /// A broker, or with an empty name all brokers.
    pub const BROKER: Self = Self(4);
    /// The loggers of a broker. On the wire only: never in a record.
    pub const BROKER_LOGGER: Self = Self(8);
    /// A client metrics subscription.
    pub const CLIENT_METRICS: Self = Self(16);
    /// A group.
    pub const GROUP: Self = Self(32);
}

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// Kind of thing.
    pub resource_type: ConfigResourceType,
    /// Name of the topic or group, id of the broker, or empty for all brokers.
    pub name: String,
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: &str) -> Self {
        Self {
            resource_type: ConfigResourceType::TOPIC,
            name: name.to_owned(),
        }
    }

    /// A group.
    pub fn group(name: &str) -> Self {
        Self {
            resource_type: ConfigResourceType::GROUP,
            name: name.to_owned(),
        }
    }

    /// One broker.
    pub fn broker(id: BrokerId) -> Self {
        Self {
            resource_type: ConfigResourceType::BROKER,
            name: id.to_string(),
        }
    }

    /// The default of all brokers.
    pub fn all_brokers() -> Self {
        Self {
            resource_type: ConfigResourceType::BROKER,
            name: String::new(),
        }
    }
}

/// The dynamic configs of all things. What none was set for is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigurationsImage {
    resources: RedBlackTreeMapSync<ConfigResource, Arc<BTreeMap<String, String>>>,
}

impl ConfigurationsImage {
    /// The configs set for `resource`, by key; empty when there are none.
    pub fn get(&self, resource: &ConfigResource) -> &BTreeMap<String, String> {
        static NONE: LazyLock<BTreeMap<String, String>> = LazyLock::new(BTreeMap::new);
        self.resources.get(resource).map_or(&NONE, Arc::as_ref)
    }

    /// The configs set for a topic.
    pub fn topic(&self, name: &str) -> &BTreeMap<String, String> {
        self.get(&ConfigResource::topic(name))
    }

    /// The configs set for a group.
    pub fn group(&self, name: &str) -> &BTreeMap<String, String> {
        self.get(&ConfigResource::group(name))
    }

    /// The configs set for one broker.
    pub fn broker(&self, id: BrokerId) -> &BTreeMap<String, String> {
        self.get(&ConfigResource::broker(id))
    }

    /// The configs set as the default of all brokers.
    pub fn all_brokers(&self) -> &BTreeMap<String, String> {
        self.get(&ConfigResource::all_brokers())
    }

    /// Everything for which a config is set.
    pub fn resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.resources.keys()
    }

    pub(super) fn replay(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource {
            resource_type: ConfigResourceType(record.resource_type),
            name: record.resource_name.clone(),
        };
        let mut configs = self
            .resources
            .get(&resource)
            .map(|configs| BTreeMap::clone(configs))
            .unwrap_or_default();
        match &record.value {
            Some(value) => configs.insert(record.name.clone(), value.clone()),
            None => configs.remove(&record.name),
        };
        if configs.is_empty() {
            self.resources.remove_mut(&resource);
        } else {
            self.resources.insert_mut(resource, Arc::new(configs));
        }
    }

    pub(super) fn remove(&mut self, resource: &ConfigResource) {
        self.resources.remove_mut(resource);
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        for (resource, configs) in self.resources.iter() {
            records.extend(configs.iter().map(|(name, value)| {
                MetadataRecord::from(ConfigRecord {
                    resource_type: resource.resource_type.0,
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                })
            }));
        }
    }
}
