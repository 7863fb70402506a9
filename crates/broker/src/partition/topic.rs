//! A topic and its partitions, as they stood at one moment.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use ottla_protocol::ResponseError;
use ottla_protocol::ids::{LeaderEpoch, PartitionIndex, TopicId};

use crate::partition::Partition;
use crate::partition::topic_rules::TopicRules;
use crate::telemetry::TopicCounters;

/// A topic and its partitions.
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
    /// Its configuration, for partitions to come.
    pub(super) rules: ArcSwap<TopicRules>,
    /// By index.
    pub(super) slots: Vec<Arc<Slot>>,
}

impl Topic {
    /// The partition with that index.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION when there is none, KAFKA_STORAGE_ERROR when its log could not be opened or its data
    /// directory has failed, NOT_LEADER_OR_FOLLOWER, upon which every client tries again, while its log is being opened.
    pub fn partition(&self, index: PartitionIndex) -> Result<&Arc<Partition>, ResponseError> {
        let slot = self.slot(index);
        let slot = slot.ok_or(ResponseError::UnknownTopicOrPartition)?;
        match slot.partition.get() {
            Some(Some(partition)) if !partition.is_offline() => Ok(partition),
            Some(_) => Err(ResponseError::KafkaStorageError),
            None => Err(ResponseError::NotLeaderOrFollower),
        }
    }

    /// Whether the log of that partition is there and not open yet.
    pub fn is_opening(&self, index: PartitionIndex) -> bool {
        self.slot(index).is_some_and(|slot| slot.is_opening())
    }

    /// How many partitions are offline.
    pub fn offline_count(&self) -> usize {
        let slots = self.slots.iter().filter_map(|slot| slot.partition.get());
        slots
            .filter(|slot| slot.as_ref().is_none_or(|partition| partition.is_offline()))
            .count()
    }

    /// How many partitions there are, whether their logs could be opened or not.
    pub fn partition_count(&self) -> usize {
        self.slots.len()
    }

    /// The partitions whose logs are open.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        let slots = self.slots.iter().filter_map(|slot| slot.partition.get());
        slots.flatten()
    }

    pub(super) fn slot(&self, index: PartitionIndex) -> Option<&Arc<Slot>> {
        self.slots.get(usize::try_from(index.0).ok()?)
    }
}

/// The place of a partition in its topic; the topic that follows this one in a later image has the same.
#[derive(Debug)]
pub(super) struct Slot {
    /// Epoch in which this broker leads the partition, for a log that is yet to be opened.
    leader_epoch: AtomicI32,
    /// Not set while the log is being opened; `None` where it could not be, or the partition is not here.
    partition: OnceLock<Option<Arc<Partition>>>,
}

impl Slot {
    /// The place of a partition whose log is being opened.
    pub(super) fn opening(leader_epoch: LeaderEpoch) -> Self {
        Self {
            leader_epoch: AtomicI32::new(leader_epoch.0),
            partition: OnceLock::new(),
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        self.partition.get().is_none()
    }

    /// True when the log could not be opened, or the partition is not here.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.partition.get(), Some(None))
    }

    /// The log was opened, or not; only the first word counts.
    pub(super) fn fill(&self, partition: Option<Arc<Partition>>) {
        let _first = self.partition.set(partition);
    }

    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// Lead in `epoch` from now on.
    pub(super) fn set_leader_epoch(&self, epoch: LeaderEpoch) {
        self.leader_epoch.fetch_max(epoch.0, Ordering::AcqRel);
        if let Some(Some(partition)) = self.partition.get() {
            partition.set_leader_epoch(epoch);
        }
    }
}
