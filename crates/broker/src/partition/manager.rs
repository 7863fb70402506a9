//! The partitions this broker leads, found by topic name and by topic id. They follow the metadata image: what it says
//! exists is opened or created, what it no longer names is deleted, and changed configs take effect at once.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, TopicId, TopicPartition};
use ottla_storage::fs::Fs;
use ottla_storage::log_dir::LogDir;
use ottla_storage::log_manager::{Disposition, Loaded, LogManager};

use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::config::dynamic::{Layers, topic_config};
use crate::metadata::delta::{ChangedTopic, MetadataDelta};
use crate::metadata::image::{ConfigResource, MetadataImage, PartitionRegistration, TopicImage};
use crate::metadata::publisher::MetadataPublisher;
use crate::partition::Partition;
use crate::partition::flusher::Flusher;
use crate::partition::load_progress;
use crate::partition::log_dirs::{Fatal, LogDirs};
use crate::partition::topic_rules::TopicRules;
use crate::telemetry::{Telemetry, TopicCounters};

/// Topics that only the broker itself writes to (`Topic.INTERNAL_TOPICS`).
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// A topic and its partitions as they stood at one moment.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: TopicId,
    /// Written by the broker itself, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its counters.
    pub counters: Arc<TopicCounters>,
    /// By index; `None` where the log could not be opened.
    partitions: Vec<Option<Arc<Partition>>>,
}

impl Topic {
    /// The partition with that index.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION when there is none, KAFKA_STORAGE_ERROR when its log could not be opened or its data
    /// directory has failed.
    pub fn partition(&self, index: PartitionIndex) -> Result<&Arc<Partition>, ResponseError> {
        let slot = usize::try_from(index.0)
            .ok()
            .and_then(|index| self.partitions.get(index));
        match slot {
            Some(Some(partition)) if !partition.is_offline() => Ok(partition),
            Some(_) => Err(ResponseError::KafkaStorageError),
            None => Err(ResponseError::UnknownTopicOrPartition),
        }
    }

    /// How many partitions are offline.
    pub fn offline_count(&self) -> usize {
        let is_offline = |slot: &&Option<Arc<Partition>>| {
            slot.as_ref().is_none_or(|partition| partition.is_offline())
        };
        self.partitions.iter().filter(is_offline).count()
    }

    /// The partition with that index, offline or not; `None` where its log could not be opened, or there is none.
    fn slot(&self, index: PartitionIndex) -> Option<&Option<Arc<Partition>>> {
        (self.partitions).get(usize::try_from(index.0).ok()?)
    }

    /// How many partitions there are, whether their logs could be opened or not.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The partitions whose logs could be opened.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().flatten()
    }
}

/// All partitions of this broker.
pub struct PartitionManager {
    config: Arc<BrokerConfig>,
    pub(super) clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    logs: LogManager,
    flusher: Arc<Flusher>,
    dirs: LogDirs,
    /// All partitions that existed at the start were looked for: what comes from now on is new.
    is_open: AtomicBool,
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl PartitionManager {
    /// Open the logs in `dirs` that `image` says are this broker's. Nobody knows what was in `lost_dirs`.
    ///
    /// # Errors
    /// When a data directory cannot be used. A log that cannot be opened costs its own partition only.
    pub fn open(
        config: Arc<BrokerConfig>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        fs: Arc<dyn Fs>,
        dirs: Vec<LogDir>,
        lost_dirs: Vec<PathBuf>,
        image: &MetadataImage,
    ) -> io::Result<Self> {
        let threads =
            usize::try_from(config.log.num_recovery_threads_per_data_dir).unwrap_or(1) * dirs.len();
        let begun = AtomicUsize::new(0);
        let decide = |partition: &TopicPartition, id: Option<TopicId>| {
            begun.fetch_add(1, Ordering::Relaxed);
            disposition(&config, image, partition, id)
        };
        let now = clock.now();
        let open = || LogManager::open(fs, dirs, &decide, threads, now);
        let (logs, loaded) = load_progress::told(&begun, image.topics.partition_count(), open)?;
        report(&loaded);
        let flush_threads = usize::try_from(config.ottla.ottla_flush_threads).unwrap_or(1);
        let flusher = Flusher::start(flush_threads, Arc::clone(&clock))?;
        telemetry.add(Arc::clone(flusher.times()) as _);
        let dirs = LogDirs::new(&config, &logs, lost_dirs);
        dirs.check(&logs, clock.now()).map_err(io::Error::other)?;
        let manager = Self {
            config,
            clock,
            telemetry,
            logs,
            flusher: Arc::new(flusher),
            dirs,
            is_open: AtomicBool::new(false),
            topics: RwLock::default(),
        };
        for topic in image.topics.iter() {
            manager.put(manager.build(topic, image, None));
        }
        manager.is_open.store(true, Ordering::Release);
        Ok(manager)
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().by_name.get(name).cloned()
    }

    /// The topic with that id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.read().by_id.get(&id).cloned()
    }

    /// All topics, in no order.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.read().by_id.values().cloned().collect()
    }

    /// The logs, for housekeeping.
    pub fn logs(&self) -> &LogManager {
        &self.logs
    }

    /// The data directories as they fare.
    pub fn dirs(&self) -> &LogDirs {
        &self.dirs
    }

    /// Look at the data directories.
    ///
    /// # Errors
    /// The broker must stop.
    pub fn check_dirs(&self) -> Result<(), Fatal> {
        self.dirs.check(&self.logs, self.clock.now())
    }

    /// Flush the logs for which `flush.ms` asks for it.
    pub fn flush_due(&self) {
        self.logs.flush_due(self.clock.now());
    }

    /// Note how far each log is on disk.
    pub fn checkpoint(&self) {
        if let Err(error) = self.logs.checkpoint() {
            tracing::error!(%error, "recovery points cannot be written");
        }
    }

    /// Remove the files that have outlived `file.delete.delay.ms`.
    pub fn delete_files(&self) {
        if let Err(error) = self.logs.housekeeping(self.clock.now()) {
            tracing::error!(%error, "files of deleted segments cannot be removed");
        }
    }

    /// Forget the idempotent producers that have been idle for too long.
    pub fn expire_producers(&self) {
        self.logs.expire_producers(self.clock.now());
    }

    /// Follow a change of the image. When this returns, what is new can be used, and what is gone cannot.
    fn apply(&self, delta: &MetadataDelta) {
        for topic in delta.deleted_topics() {
            self.delete(topic);
        }
        for ChangedTopic { after, .. } in delta.changed_topics() {
            let existing = self.topic_by_id(after.id());
            self.put(self.build(after, delta.image(), existing.as_deref()));
        }
        let configs = delta.changed_configs();
        let broker = ConfigResource::broker(self.config.node_id());
        let for_all = configs.contains(&broker) || configs.contains(&ConfigResource::all_brokers());
        for topic in self.topics() {
            if for_all || configs.contains(&ConfigResource::topic(&topic.name)) {
                let rules = Arc::new(rules(&self.config, delta.image(), &topic.name));
                topic
                    .partitions()
                    .for_each(|partition| partition.set_rules(Arc::clone(&rules)));
            }
        }
    }

    /// The topic as the image has it, with the partitions that `existing` has already.
    fn build(&self, topic: &TopicImage, image: &MetadataImage, existing: Option<&Topic>) -> Topic {
        let rules = Arc::new(rules(&self.config, image, topic.name()));
        let mut partitions = Vec::with_capacity(topic.partition_count());
        for (index, registration) in topic.partitions() {
            // Where a directory was lost, what cannot be found may be in it: a new log in its place would be an empty one.
            let partition = match existing.and_then(|topic| topic.slot(index)) {
                Some(known) if known.is_some() || self.dirs.any_lost() => known.clone(),
                _ => self.open_partition(topic, index, registration, &rules),
            };
            if let Some(partition) = &partition {
                partition.set_leader_epoch(registration.leader_epoch);
            }
            partitions.push(partition);
        }
        Topic {
            name: Arc::clone(topic.name()),
            id: topic.id(),
            internal: INTERNAL_TOPICS.contains(&&**topic.name()),
            counters: self.telemetry.topics.topic(topic.name()),
            partitions,
        }
    }

    /// A partition on its log, which is created where there is none.
    fn open_partition(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        registration: &PartitionRegistration,
        rules: &Arc<TopicRules>,
    ) -> Option<Arc<Partition>> {
        if !registration.is_replica(self.config.node_id()) {
            return None;
        }
        let id = TopicPartition {
            topic: topic.name().to_string(),
            partition: index,
        };
        let is_new = self.is_open.load(Ordering::Acquire);
        if !is_new && self.dirs.any_lost() && self.logs.get(&id).is_none() {
            tracing::error!(partition = %id, "the partition is offline: a data directory has failed, and it is in no other");
            return None;
        }
        match self
            .logs
            .create(&id, Some(topic.id()), rules.log.clone(), self.clock.now())
        {
            Ok(log) => {
                let epoch = registration.leader_epoch;
                let space = Arc::clone(self.dirs.space(log.dir_index()));
                Some(Arc::new(Partition::new(
                    id,
                    topic.id(),
                    log,
                    epoch,
                    Arc::clone(rules),
                    Arc::clone(&self.flusher),
                    space,
                )))
            }
            Err(error) => {
                tracing::error!(partition = %id, %error, "the partition is offline: its log cannot be opened");
                None
            }
        }
    }

    fn put(&self, topic: Topic) {
        let topic = Arc::new(topic);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics
            .by_name
            .insert(Arc::clone(&topic.name), Arc::clone(&topic));
        topics.by_id.insert(topic.id, topic);
    }

    fn delete(&self, image: &TopicImage) {
        let removed = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            let removed = topics.by_id.remove(&image.id());
            // A topic of the same name may have been created by the same change.
            if topics
                .by_name
                .get(image.name())
                .is_some_and(|topic| topic.id == image.id())
            {
                topics.by_name.remove(image.name());
            }
            removed
        };
        let Some(topic) = removed else { return };
        for partition in topic.partitions() {
            if let Err(error) = self.logs.delete(&partition.id, self.clock.now()) {
                tracing::error!(partition = %partition.id, %error, "the log of a deleted topic cannot be set aside");
            }
            // Parked fetches are to find out at once.
            partition.waiters().wake_all();
        }
        self.telemetry.topics.remove(&topic.name);
    }

    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetadataPublisher for PartitionManager {
    fn publish(&self, delta: &MetadataDelta, _: &Arc<MetadataImage>) {
        self.apply(delta);
    }
}

impl std::fmt::Debug for PartitionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionManager")
            .field("topics", &self.read().by_id.len())
            .finish_non_exhaustive()
    }
}

/// The rules for a topic by all layers of configuration.
fn rules(config: &BrokerConfig, image: &MetadataImage, topic: &str) -> TopicRules {
    let layers = Layers {
        topic: image.configs.topic(topic),
        broker: image.configs.broker(config.node_id()),
        cluster: image.configs.all_brokers(),
        fixed: config,
    };
    TopicRules::new(&topic_config(&layers), config)
}

/// A directory whose topic is gone, or is another one of the same name, is set aside.
fn disposition(
    config: &BrokerConfig,
    image: &MetadataImage,
    partition: &TopicPartition,
    id: Option<TopicId>,
) -> Disposition {
    let is_ours = |topic: &&TopicImage| {
        let registration = topic.partition(partition.partition);
        id.is_none_or(|id| id == topic.id())
            && registration.is_some_and(|p| p.is_replica(config.node_id()))
    };
    match image.topics.by_name(&partition.topic).filter(is_ours) {
        Some(topic) => {
            Disposition::Open(rules(config, image, &partition.topic).log, Some(topic.id()))
        }
        None => Disposition::Stray,
    }
}

fn report(loaded: &Loaded) {
    let bytes: u64 = loaded
        .recovered
        .iter()
        .map(|(_, recovered)| recovered.bytes_scanned)
        .sum();
    if bytes > 0 {
        tracing::info!(
            logs = loaded.recovered.len(),
            bytes,
            "recovered after an unclean stop"
        );
    }
    for name in &loaded.strays {
        tracing::warn!(directory = name, "no topic owns this directory: set aside");
    }
}
