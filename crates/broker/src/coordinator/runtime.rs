//! The group coordinator of this broker: the shards of `__consumer_offsets` and the way to them.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use uuid::Uuid;

use super::group::config::{ConsumerTimings, DynamicConfigs, GroupConfig, MigrationPolicy};
use super::group::message::{GroupRequest, GroupResponse};
use super::group::topics::Topics;
use super::group::{self, GroupShard, partition_for};
use super::shards::{CurrentShards, Outside, Shards};
use crate::clock::Clock;
use crate::config::{BrokerConfig, GroupSettings, dynamic_group};
use crate::metadata::delta::MetadataDelta;
use crate::metadata::image::{MetadataImage, TopicImage};
use crate::metadata::publisher::MetadataPublisher;
use crate::partition::manager::PartitionManager;
use crate::partition::topic::Topic;
use crate::shutdown::Shutdown;

/// Where groups and offsets are kept (`Topic.GROUP_METADATA_TOPIC_NAME`).
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The group coordinator of this broker.
pub struct GroupCoordinator {
    config: Arc<GroupConfig>,
    max_content: usize,
    view: Arc<ImageView>,
    partitions: Arc<PartitionManager>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    runtime: tokio::runtime::Handle,
    shards: CurrentShards<GroupShard>,
}

/// What the broker's configuration says about groups.
fn group_config(settings: &GroupSettings) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        min_session_timeout_ms: settings.group_min_session_timeout_ms,
        max_session_timeout_ms: settings.group_max_session_timeout_ms,
        max_size: usize::try_from(settings.group_max_size).unwrap_or(usize::MAX),
        consumer_max_size: usize::try_from(settings.group_consumer_max_size).unwrap_or(usize::MAX),
        migration_policy: MigrationPolicy::by_name(&settings.group_consumer_migration_policy)
            .unwrap_or(MigrationPolicy::Bidirectional),
        offset_metadata_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        ..GroupConfig::default()
    }
}

impl GroupCoordinator {
    /// A coordinator without shards: [`Self::start`] makes them. To be called within the runtime.
    pub fn new(
        config: &BrokerConfig,
        max_content: usize,
        image: &MetadataImage,
        partitions: Arc<PartitionManager>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            config: Arc::new(group_config(&config.groups)),
            max_content,
            view: Arc::new(ImageView {
                image: ArcSwap::from_pointee(image.clone()),
                config: config.clone(),
            }),
            partitions,
            clock,
            shutdown,
            runtime: tokio::runtime::Handle::current(),
            shards: CurrentShards::default(),
        }
    }

    /// Start the shards if the topic exists; whether it does.
    pub fn start(&self) -> bool {
        self.shards().is_some()
    }

    /// The shards of the topic that there is now.
    fn shards(&self) -> Option<Arc<Shards<GroupShard>>> {
        let topic = self.partitions.topic(OFFSETS_TOPIC);
        self.shards
            .of(topic.as_deref(), |topic| self.start_shards(topic))
    }

    /// Ask the shard that looks after `group`.
    ///
    /// # Errors
    /// NOT_COORDINATOR where there is no shard or it has stopped, COORDINATOR_LOAD_IN_PROGRESS while it is loaded.
    pub async fn ask(
        &self,
        group: &str,
        request: GroupRequest,
    ) -> Result<GroupResponse, ResponseError> {
        let shard = self.shard_of(group).ok_or(ResponseError::NotCoordinator)?;
        self.ask_shard(shard, request).await
    }

    /// Which shard looks after `group`; `None` while there are none.
    pub fn shard_of(&self, group: &str) -> Option<usize> {
        Some(partition_for(group, self.shards()?.len()))
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shards().map_or(0, |shards| shards.len())
    }

    /// Ask one shard; errors as of [`Self::ask`].
    pub async fn ask_shard(
        &self,
        shard: usize,
        request: GroupRequest,
    ) -> Result<GroupResponse, ResponseError> {
        let shards = self.shards().ok_or(ResponseError::NotCoordinator)?;
        shards.ask(shard, request).await
    }

    /// How many shards are being loaded, are at work, and could not be loaded.
    pub fn shard_states(&self) -> [usize; 3] {
        let shards = self.shards.at_work();
        shards.map(|shards| shards.states()).unwrap_or_default()
    }

    fn start_shards(&self, topic: &Topic) -> Shards<GroupShard> {
        let (config, view) = (self.config.clone(), self.view.clone());
        let make = move || {
            let new_id = Box::new(Uuid::new_v4);
            GroupShard::new(config.clone(), view.clone(), view.clone(), new_id)
        };
        let outside = Outside {
            clock: Arc::clone(&self.clock),
            max_content: self.max_content,
            shutdown: self.shutdown.clone(),
            runtime: self.runtime.clone(),
            start: Arc::new(|_, never| match never {}),
        };
        Shards::start(topic, &outside, make)
    }
}

impl fmt::Debug for GroupCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCoordinator")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Offsets go with the partitions they are of.
impl MetadataPublisher for GroupCoordinator {
    fn publish(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        self.view.image.store(Arc::clone(image));
        let gone: Vec<(Arc<str>, i32)> = delta
            .deleted_topics()
            .flat_map(|topic| {
                let indexes = topic.partitions().map(|(index, _)| index.0);
                indexes
                    .map(|index| (Arc::clone(topic.name()), index))
                    .collect::<Vec<_>>()
            })
            .collect();
        let Some(shards) = self.shards.at_work().filter(|_| !gone.is_empty()) else {
            return;
        };
        // The metadata must not wait for a shard that is busy or being loaded.
        for shard in 0..shards.len() {
            shards.tell(shard, GroupRequest::PartitionsDeleted(gone.clone()));
        }
    }
}

/// The topics and the groups' configs of the latest image.
struct ImageView {
    image: ArcSwap<MetadataImage>,
    config: BrokerConfig,
}

impl fmt::Debug for ImageView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageView").finish_non_exhaustive()
    }
}

impl DynamicConfigs for ImageView {
    fn consumer(&self, group: &str) -> ConsumerTimings {
        let image = self.image.load();
        let config = dynamic_group::effective(image.configs.group(group), &self.config);
        ConsumerTimings {
            session_timeout_ms: config.consumer_session_timeout_ms,
            heartbeat_interval_ms: config.consumer_heartbeat_interval_ms,
        }
    }
}

impl Topics for ImageView {
    fn by_name(&self, name: &str) -> Option<group::topics::Topic> {
        self.image.load().topics.by_name(name).map(topic_view)
    }

    fn by_id(&self, id: TopicId) -> Option<group::topics::Topic> {
        self.image.load().topics.get(id).map(topic_view)
    }

    fn names(&self) -> Vec<Arc<str>> {
        let image = self.image.load();
        let names = image.topics.iter().map(|topic| topic.name());
        names.filter(|name| !is_internal(name)).cloned().collect()
    }

    fn version(&self) -> i64 {
        self.image.load().provenance.last_contained_offset.0
    }
}

fn topic_view(topic: &TopicImage) -> group::topics::Topic {
    group::topics::Topic {
        id: topic.id(),
        name: Arc::clone(topic.name()),
        partitions: i32::try_from(topic.partition_count()).unwrap_or(i32::MAX),
    }
}

/// `Topic.isInternal`.
fn is_internal(name: &str) -> bool {
    matches!(
        name,
        OFFSETS_TOPIC | "__transaction_state" | "__share_group_state"
    )
}
