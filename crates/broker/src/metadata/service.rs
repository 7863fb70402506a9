//! What request handlers work with to read and to change the state of the cluster.

use std::sync::Arc;

use arc_swap::Guard;
use ottla_protocol::ids::BrokerId;

use super::cache::MetadataCache;
use super::controller_client::{ControllerClient, PartitionChangeQuota};
use super::image::MetadataImage;
use super::producer_id_manager::ProducerIdManager;
use crate::config::BrokerConfig;
use crate::config::dynamic::{Layers, Overrides};

/// The state of the cluster, and the way to change it.
#[derive(Clone, Debug)]
pub struct MetadataService {
    /// The cluster's id, as in meta.properties.
    pub cluster_id: Arc<str>,
    /// This broker's configuration by file, environment and command line.
    pub config: Arc<BrokerConfig>,
    /// The latest image.
    pub cache: Arc<MetadataCache>,
    /// The way to the controller.
    pub controller: ControllerClient,
    /// Ids for producers.
    pub producer_ids: Arc<ProducerIdManager>,
}

impl MetadataService {
    /// Of this broker, which registered with `broker_epoch`.
    pub fn new(
        cluster_id: Arc<str>,
        config: Arc<BrokerConfig>,
        cache: Arc<MetadataCache>,
        controller: ControllerClient,
        broker_epoch: i64,
    ) -> Self {
        let producer_ids =
            ProducerIdManager::new(config.node_id(), broker_epoch, controller.clone());
        Self {
            cluster_id,
            config,
            cache,
            controller,
            producer_ids: Arc::new(producer_ids),
        }
    }

    /// The same with a controller that asks `quota` before it creates or deletes partitions.
    pub fn limited_by(&self, quota: PartitionChangeQuota) -> Self {
        Self {
            controller: self.controller.limited_by(quota),
            ..self.clone()
        }
    }

    /// Id of this broker.
    pub fn node_id(&self) -> BrokerId {
        self.config.node_id()
    }

    /// The latest image, for the length of one look.
    pub fn image(&self) -> Guard<Arc<MetadataImage>> {
        self.cache.load()
    }

    /// The layers of configuration for a topic whose own configs are `topic`, or with `&()` for this broker.
    pub fn layers<'a>(&'a self, image: &'a MetadataImage, topic: &'a dyn Overrides) -> Layers<'a> {
        Layers {
            topic,
            broker: image.configs.broker(self.node_id()),
            cluster: image.configs.all_brokers(),
            fixed: &self.config,
        }
    }
}

#[cfg(test)]
mod tests;
