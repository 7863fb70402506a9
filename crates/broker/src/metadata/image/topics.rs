//! Topics and their partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use uuid::Uuid;

use super::ReplayError;
use crate::metadata::record::{
    ClearElrRecord, DIRECTORY_MIGRATING, MetadataRecord, NO_LEADER, NO_LEADER_CHANGE,
    NO_RECOVERY_STATE_CHANGE, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord,
    TopicRecord,
};

/// Whether a partition lost records by an unclean election and has not yet settled (`LeaderRecoveryState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecoveryState {
    /// All is well.
    #[default]
    Recovered,
    /// The leader was not in sync when it was elected, and has not reported back yet.
    Recovering,
}

impl LeaderRecoveryState {
    fn from_record(value: i8) -> Result<Self, ReplayError> {
        match value {
            0 => Ok(Self::Recovered),
            1 => Ok(Self::Recovering),
            other => Err(ReplayError::Meaningless {
                field: "leaderRecoveryState",
                value: i64::from(other),
            }),
        }
    }

    fn to_record(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }
}

/// One partition (`PartitionRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// Replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// Replicas in sync with the leader.
    pub isr: Vec<BrokerId>,
    /// Replicas that leave when the reassignment is done.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that the reassignment added.
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas that may lead though no longer in sync (KIP-966).
    pub eligible_leader_replicas: Vec<BrokerId>,
    /// The last known leader while there is nobody who may lead (KIP-966).
    pub last_known_elr: Vec<BrokerId>,
    /// The leader, or `NO_LEADER`.
    pub leader: BrokerId,
    /// Whether the leader's records can be trusted to be all.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Counts the changes of leader.
    pub leader_epoch: LeaderEpoch,
    /// Counts the changes of this state.
    pub partition_epoch: i32,
}

impl PartitionRegistration {
    /// A new partition, all of whose active replicas are in sync. `isr` is not empty.
    pub fn new(replicas: Vec<BrokerId>, directories: Vec<Uuid>, isr: Vec<BrokerId>) -> Self {
        Self {
            leader: isr.first().copied().unwrap_or(NO_LEADER),
            replicas,
            directories,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            eligible_leader_replicas: Vec::new(),
            last_known_elr: Vec::new(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        }
    }

    /// Whether somebody leads.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// Whether its replicas are being moved.
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    /// Whether `broker` holds a replica.
    pub fn is_replica(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
    }

    /// The log directory assigned to `broker`'s replica.
    pub fn directory(&self, broker: BrokerId) -> Option<Uuid> {
        let index = self
            .replicas
            .iter()
            .position(|replica| *replica == broker)?;
        self.directories.get(index).copied()
    }

    /// The record that states all this.
    pub fn to_record(&self, topic_id: TopicId, partition_id: PartitionIndex) -> PartitionRecord {
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader,
            leader_recovery_state: self.leader_recovery_state.to_record(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: non_empty(&self.eligible_leader_replicas),
            last_known_elr: non_empty(&self.last_known_elr),
        }
    }

    fn from_record(record: &PartitionRecord) -> Result<Self, ReplayError> {
        let registration = Self {
            replicas: record.replicas.clone(),
            directories: directories(&record.directories, record.replicas.len())?,
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            eligible_leader_replicas: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: record.leader,
            leader_recovery_state: LeaderRecoveryState::from_record(record.leader_recovery_state)?,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        };
        Ok(registration)
    }

    /// This with a change applied. Each change counts the partition epoch up, and one that names a leader, even the
    /// same, the leader epoch too (`PartitionRegistration.merge`).
    fn merge(&self, change: &PartitionChangeRecord) -> Result<Self, ReplayError> {
        let or_same =
            |new: &Option<Vec<BrokerId>>, old: &Vec<BrokerId>| new.as_ref().unwrap_or(old).clone();
        let replicas = or_same(&change.replicas, &self.replicas);
        let new_directories = match &change.directories {
            Some(new) => directories(new, replicas.len())?,
            None if change.replicas.is_none() => self.directories.clone(),
            None => directories(&[], replicas.len())?,
        };
        let (leader, leader_epoch) = match change.leader {
            NO_LEADER_CHANGE => (self.leader, self.leader_epoch),
            leader => (leader, LeaderEpoch(self.leader_epoch.0.saturating_add(1))),
        };
        let leader_recovery_state = match change.leader_recovery_state {
            NO_RECOVERY_STATE_CHANGE => self.leader_recovery_state,
            new => LeaderRecoveryState::from_record(new)?,
        };
        Ok(Self {
            directories: new_directories,
            isr: or_same(&change.isr, &self.isr),
            removing_replicas: or_same(&change.removing_replicas, &self.removing_replicas),
            adding_replicas: or_same(&change.adding_replicas, &self.adding_replicas),
            eligible_leader_replicas: or_same(
                &change.eligible_leader_replicas,
                &self.eligible_leader_replicas,
            ),
            last_known_elr: or_same(&change.last_known_elr, &self.last_known_elr),
            replicas,
            leader,
            leader_recovery_state,
            leader_epoch,
            partition_epoch: self.partition_epoch.saturating_add(1),
        })
    }
}

fn non_empty(brokers: &[BrokerId]) -> Option<Vec<BrokerId>> {
    (!brokers.is_empty()).then(|| brokers.to_vec())
}

/// One directory for each replica. A record from before directories had ids names none.
fn directories(named: &[Uuid], replicas: usize) -> Result<Vec<Uuid>, ReplayError> {
    match named.len() {
        0 => Ok(vec![DIRECTORY_MIGRATING; replicas]),
        len if len == replicas => Ok(named.to_vec()),
        len => Err(ReplayError::Directories {
            replicas,
            directories: len,
        }),
    }
}

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    name: Arc<str>,
    id: TopicId,
    partitions: RedBlackTreeMapSync<PartitionIndex, PartitionRegistration>,
}

impl TopicImage {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its id.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// One partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionRegistration> {
        self.partitions.get(&index)
    }

    /// All partitions, by index.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &PartitionRegistration)> {
        self.partitions
            .iter()
            .map(|(index, partition)| (*index, partition))
    }

    /// Number of partitions.
    pub fn partition_count(&self) -> usize {
        self.partitions.size()
    }
}

/// All topics, by name and by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicsImage {
    ids: RedBlackTreeMapSync<Arc<str>, TopicId>,
    topics: HashTrieMapSync<TopicId, TopicImage>,
    /// Names that contain `.` or `_`, by the name with all of these turned to `_`.
    colliding: HashTrieMapSync<String, BTreeSet<Arc<str>>>,
    partition_count: usize,
}

impl TopicsImage {
    /// A topic by its id.
    pub fn get(&self, id: TopicId) -> Option<&TopicImage> {
        self.topics.get(&id)
    }

    /// A topic by its name.
    pub fn by_name(&self, name: &str) -> Option<&TopicImage> {
        self.ids.get(name).and_then(|id| self.topics.get(id))
    }

    /// One partition.
    pub fn partition(&self, id: TopicId, index: PartitionIndex) -> Option<&PartitionRegistration> {
        self.get(id)?.partition(index)
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = &TopicImage> {
        self.ids.values().filter_map(|id| self.topics.get(id))
    }

    /// The topics whose names are not below `name`, by name.
    pub fn from_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a TopicImage> {
        let range = self
            .ids
            .range::<str, _>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded));
        range.filter_map(|(_, id)| self.topics.get(id))
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.topics.size()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Number of partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// A topic whose name is the same as `name` once `.` and `_` are not told apart, as in names of metrics
    /// (`Topic.hasCollision`).
    pub fn collision(&self, name: &str) -> Option<&Arc<str>> {
        self.colliding.get(&collision_key(name)?)?.first()
    }

    pub(super) fn create_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        if self.ids.contains_key(record.name.as_str()) || self.topics.contains_key(&record.topic_id)
        {
            return Err(ReplayError::DuplicateTopic {
                name: record.name.clone(),
                id: record.topic_id,
            });
        }
        let name: Arc<str> = record.name.as_str().into();
        if let Some(key) = collision_key(&name) {
            let mut names = self.colliding.get(&key).cloned().unwrap_or_default();
            names.insert(name.clone());
            self.colliding.insert_mut(key, names);
        }
        self.ids.insert_mut(name.clone(), record.topic_id);
        let topic = TopicImage {
            name,
            id: record.topic_id,
            partitions: RedBlackTreeMapSync::new_sync(),
        };
        self.topics.insert_mut(record.topic_id, topic);
        Ok(())
    }

    /// Remove a topic; its name.
    pub(super) fn remove_topic(
        &mut self,
        record: &RemoveTopicRecord,
    ) -> Result<Arc<str>, ReplayError> {
        let topic = self
            .topics
            .get(&record.topic_id)
            .ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        let name = topic.name.clone();
        self.partition_count -= topic.partition_count();
        self.topics.remove_mut(&record.topic_id);
        self.ids.remove_mut(&name);
        if let Some(key) = collision_key(&name)
            && let Some(mut names) = self.colliding.get(&key).cloned()
        {
            names.remove(&name);
            if names.is_empty() {
                self.colliding.remove_mut(&key);
            } else {
                self.colliding.insert_mut(key, names);
            }
        }
        Ok(name)
    }

    pub(super) fn set_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let registration = PartitionRegistration::from_record(record)?;
        let topic = self
            .topics
            .get_mut(&record.topic_id)
            .ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        let before = topic.partition_count();
        topic
            .partitions
            .insert_mut(record.partition_id, registration);
        self.partition_count += topic.partition_count() - before;
        Ok(())
    }

    pub(super) fn change_partition(
        &mut self,
        record: &PartitionChangeRecord,
    ) -> Result<(), ReplayError> {
        let (id, index) = (record.topic_id, record.partition_id);
        let topic = self
            .topics
            .get_mut(&id)
            .ok_or(ReplayError::UnknownTopic(id))?;
        let partition = topic
            .partition(index)
            .ok_or(ReplayError::UnknownPartition(id, index))?;
        let merged = partition.merge(record)?;
        topic.partitions.insert_mut(index, merged);
        Ok(())
    }

    pub(super) fn clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), ReplayError> {
        let ids: Vec<TopicId> = if record.topic_name.is_empty() {
            self.ids.values().copied().collect()
        } else {
            let id = self.ids.get(record.topic_name.as_str());
            vec![*id.ok_or_else(|| ReplayError::UnknownTopicName(record.topic_name.clone()))?]
        };
        for id in ids {
            let topic = self
                .topics
                .get_mut(&id)
                .ok_or(ReplayError::UnknownTopic(id))?;
            let has_elr = |partition: &PartitionRegistration| {
                !partition.eligible_leader_replicas.is_empty()
                    || !partition.last_known_elr.is_empty()
            };
            let affected = topic
                .partitions()
                .filter(|(_, partition)| has_elr(partition));
            let affected: Vec<_> = affected
                .map(|(index, partition)| (index, partition.clone()))
                .collect();
            for (index, partition) in affected {
                let cleared = PartitionRegistration {
                    eligible_leader_replicas: Vec::new(),
                    last_known_elr: Vec::new(),
                    ..partition
                };
                topic.partitions.insert_mut(index, cleared);
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, records: &mut Vec<MetadataRecord>) {
        for topic in self.iter() {
            records.push(
                TopicRecord {
                    name: topic.name.to_string(),
                    topic_id: topic.id,
                }
                .into(),
            );
            let partitions = topic.partitions();
            records.extend(
                partitions.map(|(index, partition)| partition.to_record(topic.id, index).into()),
            );
        }
    }
}

/// What names that collide have in common; `None` for a name that cannot.
fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
