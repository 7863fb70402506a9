//! The tasks that run the shards of the group coordinator, one for each partition of `__consumer_offsets`.
//!
//! A task owns its shard. It takes requests from a bounded mailbox, fires deadlines, and carries out effects: append
//! the records to the partition, replay them, tell the shard. With one replica what is appended is committed, so that
//! answers leave right after the records they wait for. A shard that is being loaded answers
//! COORDINATOR_LOAD_IN_PROGRESS, one that could not be loaded NOT_COORDINATOR.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, PartitionIndex, TopicId};
use ottla_protocol::record::builder::BatchBuilder;
use ottla_storage::append::AppendOrigin;
use ottla_storage::error::AppendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::group::config::GroupConfig;
use super::group::message::{GroupRequest, GroupResponse};
use super::group::records::GroupRecord;
use super::group::topics::Topics;
use super::group::{self, GroupShard, partition_for};
use super::loader;
use super::shard::{AppendFailure, Deadline, Effect, Now, RecordOrigin, ReplyTo, Shard};
use crate::clock::Clock;
use crate::config::GroupSettings;
use crate::metadata::delta::MetadataDelta;
use crate::metadata::image::{MetadataImage, TopicImage};
use crate::metadata::publisher::MetadataPublisher;
use crate::partition::Partition;
use crate::partition::manager::{PartitionManager, Topic};
use crate::shutdown::Shutdown;

/// Where groups and offsets are kept (`Topic.GROUP_METADATA_TOPIC_NAME`).
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Requests that wait for one shard; more have to wait to get in.
const MAILBOX: usize = 1024;
/// Shards that are loaded at once.
const LOADERS: usize = 2;

const LOADING: u8 = 0;
const ACTIVE: u8 = 1;
const FAILED: u8 = 2;

type Call = (GroupRequest, oneshot::Sender<GroupResponse>);

/// The group coordinator of this broker.
pub struct GroupCoordinator {
    config: Arc<GroupConfig>,
    max_content: usize,
    topics: Arc<ImageTopics>,
    partitions: Arc<PartitionManager>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    runtime: tokio::runtime::Handle,
    /// Set once the topic exists.
    shards: OnceLock<Vec<ShardHandle>>,
}

/// What the broker's configuration says about groups.
pub fn group_config(settings: &GroupSettings) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        min_session_timeout_ms: settings.group_min_session_timeout_ms,
        max_session_timeout_ms: settings.group_max_session_timeout_ms,
        max_size: usize::try_from(settings.group_max_size).unwrap_or(usize::MAX),
        consumer_session_timeout_ms: settings.group_consumer_session_timeout_ms,
        consumer_heartbeat_interval_ms: settings.group_consumer_heartbeat_interval_ms,
        consumer_max_size: usize::try_from(settings.group_consumer_max_size).unwrap_or(usize::MAX),
        offset_metadata_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        ..GroupConfig::default()
    }
}

/// The way to one shard.
struct ShardHandle {
    mailbox: mpsc::Sender<Call>,
    state: Arc<AtomicU8>,
}

impl GroupCoordinator {
    /// A coordinator without shards: [`Self::start`] makes them. To be called within the runtime.
    pub fn new(
        config: GroupConfig,
        max_content: usize,
        image: &MetadataImage,
        partitions: Arc<PartitionManager>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            config: Arc::new(config),
            max_content,
            topics: Arc::new(ImageTopics(ArcSwap::from_pointee(image.clone()))),
            partitions,
            clock,
            shutdown,
            runtime: tokio::runtime::Handle::current(),
            shards: OnceLock::new(),
        }
    }

    /// Start the shards if the topic exists; whether it does.
    pub fn start(&self) -> bool {
        if self.shards.get().is_some() {
            return true;
        }
        let Some(topic) = self.partitions.topic(OFFSETS_TOPIC) else {
            return false;
        };
        self.shards.get_or_init(|| self.start_shards(&topic));
        true
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
        self.start();
        Some(partition_for(group, self.shards.get()?.len()))
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.start();
        self.shards.get().map_or(0, Vec::len)
    }

    /// Ask one shard; errors as of [`Self::ask`].
    pub async fn ask_shard(
        &self,
        shard: usize,
        request: GroupRequest,
    ) -> Result<GroupResponse, ResponseError> {
        let shard = (self.shards.get()).and_then(|shards| shards.get(shard));
        let shard = shard.ok_or(ResponseError::NotCoordinator)?;
        match shard.state.load(Ordering::Acquire) {
            LOADING => return Err(ResponseError::CoordinatorLoadInProgress),
            FAILED => return Err(ResponseError::NotCoordinator),
            _ => {}
        }
        let (answer, answered) = oneshot::channel();
        let sent = shard.mailbox.send((request, answer)).await;
        sent.map_err(|_| ResponseError::NotCoordinator)?;
        answered.await.map_err(|_| ResponseError::NotCoordinator)
    }

    fn start_shards(&self, topic: &Topic) -> Vec<ShardHandle> {
        let loaders = Arc::new(Semaphore::new(LOADERS));
        (0..topic.partition_count())
            .map(|index| {
                let (mailbox, calls) = mpsc::channel(MAILBOX);
                let index = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
                let Ok(partition) = topic.partition(index) else {
                    let state = Arc::new(AtomicU8::new(FAILED));
                    return ShardHandle { mailbox, state };
                };
                let state = Arc::new(AtomicU8::new(LOADING));
                let task = ShardTask {
                    shard: GroupShard::new(
                        self.config.clone(),
                        self.topics.clone(),
                        Box::new(Uuid::new_v4),
                    ),
                    partition: Arc::clone(partition),
                    clock: Arc::clone(&self.clock),
                    max_content: self.max_content,
                    waiting: HashMap::new(),
                    next_reply: 0,
                };
                let (loading, loaders) = (Arc::clone(&state), Arc::clone(&loaders));
                let shutdown = self.shutdown.clone();
                self.runtime.spawn(async move {
                    let Some(task) = task.load(&loaders, &loading).await else {
                        return;
                    };
                    // Dropping the task answers those who still wait with NOT_COORDINATOR.
                    tokio::select! {
                        () = task.run(calls) => {}
                        () = shutdown.requested() => {}
                    }
                });
                ShardHandle { mailbox, state }
            })
            .collect()
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
        self.topics.0.store(Arc::clone(image));
        let gone: Vec<(Arc<str>, i32)> = delta
            .deleted_topics()
            .flat_map(|topic| {
                let indexes = topic.partitions().map(|(index, _)| index.0);
                indexes
                    .map(|index| (Arc::clone(topic.name()), index))
                    .collect::<Vec<_>>()
            })
            .collect();
        let Some(shards) = self.shards.get().filter(|_| !gone.is_empty()) else {
            return;
        };
        for shard in shards {
            let (mailbox, gone) = (shard.mailbox.clone(), gone.clone());
            // The metadata must not wait for a shard that is busy or being loaded.
            self.runtime.spawn(async move {
                let (answer, _) = oneshot::channel();
                let _ = mailbox
                    .send((GroupRequest::PartitionsDeleted(gone), answer))
                    .await;
            });
        }
    }
}

/// The topics of the latest image.
struct ImageTopics(ArcSwap<MetadataImage>);

impl fmt::Debug for ImageTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImageTopics").finish_non_exhaustive()
    }
}

impl Topics for ImageTopics {
    fn by_name(&self, name: &str) -> Option<group::topics::Topic> {
        self.0.load().topics.by_name(name).map(topic_view)
    }

    fn by_id(&self, id: TopicId) -> Option<group::topics::Topic> {
        self.0.load().topics.get(id).map(topic_view)
    }

    fn names(&self) -> Vec<Arc<str>> {
        let image = self.0.load();
        let names = image.topics.iter().map(|topic| topic.name());
        names.filter(|name| !is_internal(name)).cloned().collect()
    }

    fn version(&self) -> i64 {
        self.0.load().provenance.last_contained_offset.0
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

/// What one task owns.
struct ShardTask {
    shard: GroupShard,
    partition: Arc<Partition>,
    clock: Arc<dyn Clock>,
    max_content: usize,
    waiting: HashMap<u64, oneshot::Sender<GroupResponse>>,
    next_reply: u64,
}

impl ShardTask {
    /// Load the shard on a thread that may block.
    async fn load(mut self, loaders: &Semaphore, state: &AtomicU8) -> Option<Self> {
        let _permit = loaders.acquire().await.ok()?;
        let id = self.partition.id.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = loader::load(&mut self.shard, &self.partition, self.max_content);
            loaded.map(|loaded| (self, loaded))
        });
        match loading.await {
            Ok(Ok((mut task, loaded))) => {
                if loaded != loader::Loaded::default() {
                    tracing::info!(partition = %id, records = loaded.records, unknown = loaded.unknown, groups = task.shard.group_count(), "groups loaded");
                }
                task.shard.handle_loaded(task.now());
                task.settle();
                state.store(ACTIVE, Ordering::Release);
                Some(task)
            }
            Ok(Err(error)) => {
                tracing::error!(partition = %id, %error, "groups cannot be loaded: this partition has no coordinator");
                state.store(FAILED, Ordering::Release);
                None
            }
            Err(_) => {
                state.store(FAILED, Ordering::Release);
                None
            }
        }
    }

    async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        loop {
            let now = self.now();
            if self.shard.poll_timeout().is_some_and(|at| at <= now.steady) {
                self.shard.handle_timeout(now);
                self.settle();
                continue;
            }
            let deadline = self.shard.poll_timeout();
            let wait_ms = deadline.map_or(u64::MAX / 2, |at| at.0 - now.steady.0);
            tokio::select! {
                call = calls.recv() => match call {
                    Some((request, answer)) => self.handle(request, answer),
                    None => return,
                },
                // A deadline a year ahead is soon enough looked at again.
                () = tokio::time::sleep(Duration::from_millis(wait_ms.min(86_400_000))) => {}
            }
        }
    }

    fn handle(&mut self, request: GroupRequest, answer: oneshot::Sender<GroupResponse>) {
        self.next_reply += 1;
        self.waiting.insert(self.next_reply, answer);
        let reply_to = ReplyTo(self.next_reply);
        self.shard.handle_request(self.now(), request, reply_to);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Append { records, then } => {
                    let outcome = self.append(records);
                    self.shard.handle_append(self.now(), then, outcome);
                }
                Effect::Reply { to, response } => {
                    if let Some(answer) = self.waiting.remove(&to.0) {
                        // The client may have gone.
                        let _ = answer.send(response);
                    }
                }
            }
        }
    }

    /// Append the records as one batch and replay them.
    fn append(&mut self, records: Vec<GroupRecord>) -> Result<(), AppendFailure> {
        let now = self.clock.now();
        let mut builder = BatchBuilder::new();
        for record in &records {
            let encoded = record.encode().map_err(|_| AppendFailure::TooLarge)?;
            builder.append(now, Some(&encoded.key), encoded.value.as_deref());
        }
        let batch = builder.build().map_err(|_| AppendFailure::Storage)?;
        let max_message_bytes = self.partition.rules().batch_rules(0, now).max_message_bytes;
        if batch.size() > max_message_bytes {
            return Err(AppendFailure::TooLarge);
        }
        let appended = self.partition.append(batch, AppendOrigin::Coordinator, now);
        let first = match appended {
            Ok(info) => info.base_offset,
            Err(error) => {
                tracing::error!(partition = %self.partition.id, %error, "groups cannot be written");
                return Err(failure(&error));
            }
        };
        for (at, record) in (0..).zip(records) {
            let offset = Offset(first.0 + at);
            self.shard.replay(RecordOrigin::at(offset), record);
        }
        Ok(())
    }

    fn now(&self) -> Now {
        let steady = self.clock.monotonic().as_millis();
        Now {
            wall: self.clock.now(),
            steady: Deadline(u64::try_from(steady).unwrap_or(u64::MAX)),
        }
    }
}

fn failure(error: &AppendError) -> AppendFailure {
    match error {
        AppendError::BatchTooLarge { .. } => AppendFailure::TooLarge,
        _ => AppendFailure::Storage,
    }
}
