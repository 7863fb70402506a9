//! Offsets that are committed within a transaction (KIP-98, KIP-447): TxnOffsetCommit, and the marker that makes them
//! visible or forgets them.

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use ottla_protocol::record::EndTxnMarker;
use uuid::Uuid;

use super::message::{GroupResponse, Then};
use super::{Group, GroupShard, offsets};
use crate::coordinator::shard::{Effect, ReplyTo, TransactionalProducer};

impl GroupShard {
    /// Take a commit into the producer's transaction.
    pub(super) fn commit_transactional(
        &mut self,
        producer: TransactionalProducer,
        request: &TxnOffsetCommitRequest,
        reply_to: ReplyTo,
    ) {
        if let Err(error) = self.check_transactional_commit(request) {
            let refusal = refuse(request, error);
            self.core.reply(reply_to, refusal);
            return;
        }
        if let Some((group, core)) = self.classic(&request.group_id) {
            group.touch_on_commit(&request.member_id, core);
        }
        let plain = plain_commit(request);
        let (records, response) = offsets::commit(&self.core.config, self.core.now.wall, &plain);
        let response = GroupResponse::from(transactional_answer(&response));
        if records.is_empty() {
            self.core.reply(reply_to, response);
            return;
        }
        self.core.effects.push_back(Effect::AppendTransactional {
            producer,
            records,
            then: Then::Reply(reply_to, Box::new(response)),
        });
    }

    /// End a producer's transaction in this partition.
    pub(super) fn end_transaction(
        &mut self,
        producer: TransactionalProducer,
        marker: EndTxnMarker,
        reply_to: ReplyTo,
    ) {
        self.core.effects.push_back(Effect::AppendMarker {
            producer,
            marker,
            then: Then::Reply(reply_to, Box::new(GroupResponse::EndTransaction(Ok(())))),
        });
    }

    /// As of a plain commit, but a member epoch that is out of date is an illegal generation to producers.
    fn check_transactional_commit(
        &self,
        request: &TxnOffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let generation = request.generation_id;
        match self.groups.get(&**request.group_id) {
            Some(Group::Classic(group)) => {
                let instance_id = request.group_instance_id.as_deref();
                group.check_offset_commit(&request.member_id, instance_id, generation, true)
            }
            // Before version 3 the request names no member.
            Some(Group::Consumer(_)) if generation < 0 && request.member_id.is_empty() => Ok(()),
            Some(Group::Consumer(group)) => group
                .check_offset_commit(&request.member_id, generation, i16::MAX)
                .map_err(|error| match error {
                    ResponseError::StaleMemberEpoch => ResponseError::IllegalGeneration,
                    error => error,
                }),
            None if generation < 0 => Ok(()),
            None => Err(ResponseError::IllegalGeneration),
        }
    }
}

fn plain_commit(request: &TxnOffsetCommitRequest) -> OffsetCommitRequest {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_committed_metadata(partition.committed_metadata.clone())
        });
        OffsetCommitRequestTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(Uuid::nil())
            .with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_group_id(request.group_id.clone())
        .with_member_id(StrBytes::default())
        .with_retention_time_ms(-1)
        .with_topics(topics.collect())
}

fn transactional_answer(response: &OffsetCommitResponse) -> TxnOffsetCommitResponse {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(partition.error_code)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

/// An answer that says the same of every partition.
pub fn refuse(request: &TxnOffsetCommitRequest, error: ResponseError) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
