//! The partitions this broker leads, found by topic name and by topic id. They follow the metadata image: what it says
//! exists is opened or created, what it no longer names is deleted, and changed configs take effect at once.
//!
//! At the start the logs of the coordinators are opened first, before anybody is served. All others are opened by
//! [`PartitionManager::load`] while the broker serves: each partition is there as soon as its log is open.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use ottla_protocol::ids::{LeaderEpoch, PartitionIndex, TopicId, TopicPartition};
use ottla_storage::fs::Fs;
use ottla_storage::log_dir::LogDir;
use ottla_storage::log_manager::{Disposition, Loaded, LogManager, Outcome, PartitionLog};

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
use crate::partition::topic::{Slot, Topic};
use crate::partition::topic_rules::TopicRules;
use crate::telemetry::Telemetry;

/// Topics that only the broker itself writes to (`Topic.INTERNAL_TOPICS`).
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

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
    /// The logs of all of them were opened, or could not be.
    is_loaded: AtomicBool,
    /// Held while the image is followed, and while a log that was opened takes its place.
    following: Mutex<()>,
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl PartitionManager {
    /// Find the logs in `dirs` that `image` says are this broker's, and open those of the coordinators. Nobody knows what
    /// was in `lost_dirs`.
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
        let logs = LogManager::find(fs, dirs, threads, clock.now())?;
        let flush_threads = usize::try_from(config.ottla.ottla_flush_threads).unwrap_or(1);
        let flusher = Flusher::start(flush_threads, Arc::clone(&clock))?;
        telemetry.add(Arc::clone(flusher.times()) as _);
        let dirs = LogDirs::new(&config, &logs, lost_dirs);
        let manager = Self {
            config,
            clock,
            telemetry,
            logs,
            flusher: Arc::new(flusher),
            dirs,
            is_open: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
            following: Mutex::new(()),
            topics: RwLock::default(),
        };
        for topic in image.topics.iter() {
            manager.put(manager.build(topic, image, None));
        }
        manager.is_open.store(true, Ordering::Release);
        manager.load_logs(&|partition| INTERNAL_TOPICS.contains(&&*partition.topic));
        manager.check_dirs().map_err(io::Error::other)?;
        Ok(manager)
    }

    /// Open the logs that were found and are not open. Returns when all are, or when the logs are closed.
    pub fn load(&self) {
        self.load_logs(&|_| true);
        self.is_loaded.store(true, Ordering::Release);
    }

    /// Whether [`Self::load`] has come to its end.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    fn load_logs(&self, wanted: &dyn Fn(&TopicPartition) -> bool) {
        let (begun, total) = (AtomicUsize::new(0), self.logs.waiting());
        let decide = |partition: &TopicPartition, id: Option<TopicId>| {
            begun.fetch_add(1, Ordering::Relaxed);
            self.disposition(partition, id)
        };
        let done = |partition: &TopicPartition, outcome| self.opened(partition, outcome);
        let load = || self.logs.load(wanted, &decide, &done, self.clock.now());
        report(&load_progress::told(&begun, total, load));
    }

    /// A directory whose topic is gone, or is another one of the same name, is set aside.
    fn disposition(&self, partition: &TopicPartition, id: Option<TopicId>) -> Disposition {
        let topic = self.topic(&partition.topic);
        let is_ours = |topic: &Arc<Topic>| {
            id.is_none_or(|id| id == topic.id) && topic.is_opening(partition.partition)
        };
        match topic.filter(is_ours) {
            Some(topic) => Disposition::Open(topic.rules.load().log.clone(), Some(topic.id)),
            None => Disposition::Stray,
        }
    }

    /// A log that was found was opened, or not: its partition is there from now on.
    fn opened(&self, id: &TopicPartition, outcome: Outcome) {
        let _in_step = self.follow();
        let topic = self.topic(&id.topic);
        let Some((topic, slot)) = topic
            .as_deref()
            .and_then(|topic| Some((topic, topic.slot(id.partition)?)))
            .filter(|(_, slot)| slot.is_opening())
        else {
            return;
        };
        let rules = topic.rules.load_full();
        let epoch = slot.leader_epoch();
        slot.fill(match outcome {
            Outcome::Open(log) => {
                log.lock().set_config(rules.log.clone());
                Some(self.partition(id, topic.id, log, epoch, &rules))
            }
            Outcome::SetAside if !self.dirs.any_lost() => {
                self.create_partition(id, topic.id, epoch, &rules)
            }
            Outcome::SetAside | Outcome::Failed => None,
        });
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
        let _in_step = self.follow();
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
                topic.rules.store(Arc::clone(&rules));
                topic
                    .partitions()
                    .for_each(|partition| partition.set_rules(Arc::clone(&rules)));
            }
        }
    }

    /// The topic as the image has it, with the partitions that `existing` has already.
    fn build(&self, topic: &TopicImage, image: &MetadataImage, existing: Option<&Topic>) -> Topic {
        let rules = Arc::new(rules(&self.config, image, topic.name()));
        let mut slots = Vec::with_capacity(topic.partition_count());
        for (index, registration) in topic.partitions() {
            // Where a directory was lost, what cannot be found may be in it: a new log in its place would be an empty one.
            let keeps = |slot: &&Arc<Slot>| !slot.is_empty() || self.dirs.any_lost();
            let known = existing.and_then(|topic| topic.slot(index));
            let slot = match known.filter(keeps) {
                Some(known) => Arc::clone(known),
                None => self.open_slot(topic, index, registration, &rules),
            };
            slot.set_leader_epoch(registration.leader_epoch);
            slots.push(slot);
        }
        Topic {
            name: Arc::clone(topic.name()),
            id: topic.id(),
            internal: INTERNAL_TOPICS.contains(&&**topic.name()),
            counters: self.telemetry.topics.topic(topic.name()),
            rules: ArcSwap::new(rules),
            slots,
        }
    }

    /// The place of a partition, with a new log where there is none.
    fn open_slot(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        registration: &PartitionRegistration,
        rules: &Arc<TopicRules>,
    ) -> Arc<Slot> {
        let slot = Arc::new(Slot::opening(registration.leader_epoch));
        let id = TopicPartition {
            topic: topic.name().to_string(),
            partition: index,
        };
        let is_new = self.is_open.load(Ordering::Acquire);
        if !registration.is_replica(self.config.node_id()) {
            slot.fill(None);
        } else if !is_new && self.logs.is_waiting(&id) {
            // It takes its place when its log is open.
        } else if !is_new && self.dirs.any_lost() {
            tracing::error!(partition = %id, "the partition is offline: a data directory has failed, and it is in no other");
            slot.fill(None);
        } else {
            let epoch = registration.leader_epoch;
            slot.fill(self.create_partition(&id, topic.id(), epoch, rules));
        }
        slot
    }

    /// A partition on a new log.
    fn create_partition(
        &self,
        id: &TopicPartition,
        topic_id: TopicId,
        epoch: LeaderEpoch,
        rules: &Arc<TopicRules>,
    ) -> Option<Arc<Partition>> {
        let now = self.clock.now();
        match (self.logs).create(id, Some(topic_id), rules.log.clone(), now) {
            Ok(log) => Some(self.partition(id, topic_id, log, epoch, rules)),
            Err(error) => {
                tracing::error!(partition = %id, %error, "the partition is offline: its log cannot be opened");
                None
            }
        }
    }

    /// A partition on its log.
    fn partition(
        &self,
        id: &TopicPartition,
        topic_id: TopicId,
        log: Arc<PartitionLog>,
        epoch: LeaderEpoch,
        rules: &Arc<TopicRules>,
    ) -> Arc<Partition> {
        let space = Arc::clone(self.dirs.space(log.dir_index()));
        Arc::new(Partition::new(
            id.clone(),
            topic_id,
            log,
            epoch,
            Arc::clone(rules),
            Arc::clone(&self.flusher),
            space,
        ))
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
        for (index, _) in image.partitions() {
            let id = TopicPartition {
                topic: topic.name.to_string(),
                partition: index,
            };
            if let Err(error) = self.logs.delete(&id, self.clock.now()) {
                tracing::error!(partition = %id, %error, "the log of a deleted topic cannot be set aside");
            }
        }
        // Parked fetches are to find out at once.
        (topic.partitions()).for_each(|partition| partition.waiters().wake_all());
        self.telemetry.topics.remove(&topic.name);
    }

    fn follow(&self) -> MutexGuard<'_, ()> {
        (self.following.lock()).unwrap_or_else(PoisonError::into_inner)
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
