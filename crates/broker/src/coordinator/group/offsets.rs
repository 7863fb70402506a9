//! Committed offsets: the store, OffsetCommit, OffsetFetch and OffsetDelete.
//!
//! Offsets of an open transaction are kept aside until its marker comes; only then do they count, and only where no
//! later commit is in the log (`OffsetMetadataManager`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, ProducerId, Timestamp, TopicId};
use ottla_protocol::kafka_protocol::protocol::Message;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};

use super::config::GroupConfig;
use super::core::text;
use super::records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use crate::answer_room::AnswerRoom;

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Offset of the next record to consume.
    pub offset: Offset,
    /// Leader epoch of the last record consumed, -1 when the client did not say.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: Box<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it expires, where the client asked for a time of its own.
    pub expires_at: Option<Timestamp>,
    /// Id of the topic, zero when not known.
    pub topic_id: TopicId,
    /// Where the commit stands in the log.
    pub position: Offset,
}

/// Offsets by topic and partition.
pub type TopicOffsets = BTreeMap<Arc<str>, BTreeMap<i32, CommittedOffset>>;

/// The offsets of all groups of a shard.
#[derive(Debug, Default, PartialEq)]
pub struct Offsets {
    by_group: HashMap<Arc<str>, TopicOffsets>,
    /// Offsets of open transactions, by producer and group.
    pending: BTreeMap<i64, HashMap<Arc<str>, TopicOffsets>>,
}

impl Offsets {
    /// The offsets of a group.
    pub fn of(&self, group: &str) -> Option<&TopicOffsets> {
        self.by_group.get(group)
    }

    /// One offset.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.by_group.get(group)?.get(topic)?.get(&partition)
    }

    /// How many offsets there are.
    pub fn len(&self) -> usize {
        let topics = self.by_group.values().flat_map(BTreeMap::values);
        topics.map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_group.is_empty()
    }

    /// Whether an open transaction holds an offset of the partition.
    pub fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.pending.values().any(|groups| {
            let topics = groups.get(group).and_then(|topics| topics.get(topic));
            topics.is_some_and(|partitions| partitions.contains_key(&partition))
        })
    }

    /// Whether an open transaction holds an offset of the group.
    pub fn has_open_transaction(&self, group: &str) -> bool {
        self.pending
            .values()
            .any(|groups| groups.contains_key(group))
    }

    /// The partitions of the group that have an offset, committed or in an open transaction.
    pub fn partitions(&self, group: &str) -> BTreeSet<(Arc<str>, i32)> {
        let committed = self.by_group.get(group);
        let pending = self.pending.values().filter_map(|groups| groups.get(group));
        committed
            .into_iter()
            .chain(pending)
            .flatten()
            .flat_map(|(topic, partitions)| partitions.keys().map(|index| (topic.clone(), *index)))
            .collect()
    }

    /// The groups that have offsets of any kind.
    pub fn groups(&self) -> BTreeSet<Arc<str>> {
        let pending = self.pending.values().flat_map(HashMap::keys);
        self.by_group.keys().chain(pending).cloned().collect()
    }

    /// Take a commit of the log.
    pub fn replay(
        &mut self,
        position: Offset,
        producer_id: ProducerId,
        key: &OffsetCommitKey,
        value: OffsetCommitValue,
    ) {
        let committed = CommittedOffset {
            offset: Offset(value.offset),
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            committed_at: Timestamp(value.commit_timestamp),
            expires_at: Some(Timestamp(value.expire_timestamp)).filter(|at| *at != Timestamp::NONE),
            topic_id: value.topic_id,
            position,
        };
        let groups = match producer_id {
            ProducerId::NONE => &mut self.by_group,
            ProducerId(id) => self.pending.entry(id).or_default(),
        };
        put(groups, key, committed);
    }

    /// Take a tombstone of the log: the offset is gone, also from open transactions.
    pub fn replay_tombstone(&mut self, key: &OffsetCommitKey) {
        remove(&mut self.by_group, key);
        for groups in self.pending.values_mut() {
            remove(groups, key);
        }
        self.pending.retain(|_, groups| !groups.is_empty());
    }

    /// Take a transaction marker of the log.
    pub fn replay_end_transaction(&mut self, producer_id: ProducerId, committed: bool) {
        let Some(groups) = self.pending.remove(&producer_id.0) else {
            return;
        };
        if !committed {
            return;
        }
        for (group, topics) in groups {
            let group = self.by_group.entry(group).or_default();
            for (topic, partitions) in topics {
                let topic = group.entry(topic).or_default();
                for (partition, offset) in partitions {
                    let known = topic.get(&partition);
                    if known.is_none_or(|known| known.position < offset.position) {
                        topic.insert(partition, offset);
                    }
                }
            }
        }
    }

    /// Answer an OffsetFetch. A group nobody has heard of has no offsets, which is no error.
    pub fn fetch(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
        mut room: AnswerRoom,
    ) -> Result<OffsetFetchResponseGroup, ResponseError> {
        let group: &str = &request.group_id;
        let look_up = |topic: &str, partition: i32| {
            if require_stable && self.is_pending(group, topic, partition) {
                let code = ResponseError::UnstableOffsetCommit.code();
                return no_offset(partition).with_error_code(code);
            }
            match self.get(group, topic, partition) {
                None => no_offset(partition),
                Some(committed) => OffsetFetchResponsePartitions::default()
                    .with_partition_index(partition)
                    .with_committed_offset(committed.offset.0)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(&committed.metadata))),
            }
        };
        let version = OffsetFetchResponsePartitions::VERSIONS.max;
        let mut answer = |topic: &str, partition| room.put(version, || look_up(topic, partition));
        let topic = |name: TopicName, partitions: Vec<OffsetFetchResponsePartitions>| {
            OffsetFetchResponseTopics::default()
                .with_name(name)
                .with_partitions(partitions)
        };
        let topics = match &request.topics {
            Some(topics) => (topics.iter())
                .map(|wanted| {
                    let indexes = wanted.partition_indexes.iter();
                    let partitions = indexes.map(|index| answer(&wanted.name, *index));
                    Ok(topic(
                        wanted.name.clone(),
                        partitions.collect::<Result<_, _>>()?,
                    ))
                })
                .collect::<Result<_, _>>()?,
            None => (self.by_group.get(group).into_iter().flatten())
                .map(|(name, partitions)| {
                    let partitions = partitions.keys().map(|index| answer(name, *index));
                    Ok(topic(
                        text(name).into(),
                        partitions.collect::<Result<_, _>>()?,
                    ))
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(OffsetFetchResponseGroup::default()
            .with_group_id(request.group_id.clone())
            .with_topics(topics))
    }
}

fn no_offset(partition: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(partition)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(text("")))
}

fn put(
    groups: &mut HashMap<Arc<str>, TopicOffsets>,
    key: &OffsetCommitKey,
    committed: CommittedOffset,
) {
    // Names are looked up before they are copied: a group commits the same partitions over and over.
    if !groups.contains_key(&*key.group) {
        groups.insert(key.group.as_str().into(), TopicOffsets::new());
    }
    let Some(topics) = groups.get_mut(&*key.group) else {
        return;
    };
    match topics.get_mut(&*key.topic) {
        Some(partitions) => {
            partitions.insert(key.partition, committed);
        }
        None => {
            let partitions = BTreeMap::from([(key.partition, committed)]);
            topics.insert(key.topic.as_str().into(), partitions);
        }
    }
}

fn remove(groups: &mut HashMap<Arc<str>, TopicOffsets>, key: &OffsetCommitKey) {
    let Some(topics) = groups.get_mut(&*key.group) else {
        return;
    };
    if let Some(partitions) = topics.get_mut(&*key.topic) {
        partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&*key.topic);
        }
    }
    if topics.is_empty() {
        groups.remove(&*key.group);
    }
}

/// The records of a commit that is taken, and its answer.
pub(super) fn commit(
    config: &GroupConfig,
    now: Timestamp,
    request: &OffsetCommitRequest,
) -> (Vec<GroupRecord>, OffsetCommitResponse) {
    let expires_at = match request.retention_time_ms {
        -1 => Timestamp::NONE,
        retention_ms => Timestamp(now.0.saturating_add(retention_ms)),
    };
    let mut records = Vec::new();
    let mut respond = |topic: &OffsetCommitRequestTopic,
                       partition: &OffsetCommitRequestPartition| {
        let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
        let error = match is_too_long(metadata, config.offset_metadata_max) {
            true => ResponseError::OffsetMetadataTooLarge.code(),
            false => 0,
        };
        if error == 0 {
            let key = OffsetCommitKey {
                group: request.group_id.to_string(),
                topic: topic.name.to_string(),
                partition: partition.partition_index,
            };
            let value = OffsetCommitValue {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: metadata.to_owned(),
                commit_timestamp: now.0,
                expire_timestamp: expires_at.0,
                topic_id: TopicId(topic.topic_id),
            };
            records.push(GroupRecord::OffsetCommit(key, Some(value)));
        }
        OffsetCommitResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(error)
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions
            .map(|partition| respond(topic, partition))
            .collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions)
    });
    let response = OffsetCommitResponse::default().with_topics(topics.collect());
    (records, response)
}

/// Java counts UTF-16 units; a text never has more of them than bytes.
fn is_too_long(metadata: &str, max: usize) -> bool {
    metadata.len() > max && metadata.encode_utf16().count() > max
}

/// An answer that says the same of every partition.
pub(super) fn refuse_commit(
    request: &OffsetCommitRequest,
    error: ResponseError,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// The record that deletes an offset.
pub(super) fn tombstone(group: &str, topic: &str, partition: i32) -> GroupRecord {
    let key = OffsetCommitKey {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition,
    };
    GroupRecord::OffsetCommit(key, None)
}
