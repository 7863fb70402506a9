//! A consumer group: its epochs, its members, and what is stored of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::consumer_group_describe_response::DescribedGroup;

use super::member::Member;
use crate::coordinator::group::assignor::{Assignment, Assignor};
use crate::coordinator::group::core::{Core, TimerKey, text};
use crate::coordinator::group::records::{
    ConsumerGroupKey, ConsumerGroupMemberKey, ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue, GroupRecord,
};

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::coordinator::group) struct ConsumerGroup {
    pub(super) id: Arc<str>,
    /// Counts the changes of members, subscriptions and topics.
    pub(super) epoch: i32,
    /// Of the subscribed topics as they were at that epoch.
    pub(super) metadata_hash: i64,
    /// The epoch that the target assignment is of.
    pub(super) target_epoch: i32,
    pub(super) target: BTreeMap<Arc<str>, Assignment>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Member id by `group.instance.id`.
    pub(super) static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// The topics that the members' expressions match.
    pub(super) regexes: BTreeMap<Arc<str>, ConsumerGroupRegularExpressionValue>,
    /// Who has a partition, or has not yet given it up.
    owners: HashMap<(TopicId, i32), Arc<str>>,
}

impl ConsumerGroup {
    /// A group that nobody has joined.
    pub(in crate::coordinator::group) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Take a record of this group, which must not be the tombstone of the group itself.
    pub(in crate::coordinator::group) fn replay(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::ConsumerGroupMetadata(_, Some(value)) => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)) => {
                let member = self.member_entry(key.member_id);
                member.replay_metadata(value);
                if let Some(instance_id) = member.instance_id.clone() {
                    let id = member.id.clone();
                    self.static_members.insert(instance_id, id);
                }
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, None) => {
                self.remove_member(&key.member_id)
            }
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
                self.target_epoch = value.map_or(-1, |value| value.assignment_epoch);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, Some(value)) => {
                let topics = value.topic_partitions.into_iter();
                let target =
                    topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect()));
                self.target.insert(key.member_id.into(), target.collect());
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, None) => {
                self.target.remove(&*key.member_id);
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => {
                self.release(&key.member_id);
                match value {
                    Some(value) => {
                        self.member_entry(key.member_id.clone())
                            .replay_current(&value);
                        self.occupy(&key.member_id);
                    }
                    None => {
                        if let Some(member) = self.members.get_mut(&*key.member_id) {
                            member.epoch = super::member::LEAVE;
                            member.previous_epoch = super::member::LEAVE;
                            member.assigned.clear();
                            member.pending_revocation.clear();
                        }
                    }
                }
            }
            GroupRecord::ConsumerGroupRegularExpression(key, Some(value)) => {
                self.regexes.insert(key.regular_expression.into(), value);
            }
            GroupRecord::ConsumerGroupRegularExpression(key, None) => {
                self.regexes.remove(&*key.regular_expression);
            }
            // What 4.0 wrote of the topics is made anew from the topics themselves.
            _ => {}
        }
    }

    fn member_entry(&mut self, id: String) -> &mut Member {
        let id: Arc<str> = id.into();
        (self.members.entry(id.clone())).or_insert_with(|| Member {
            id,
            ..Member::default()
        })
    }

    fn remove_member(&mut self, id: &str) {
        self.release(id);
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance_id) = member.instance_id {
            // Another process may have taken the name over.
            if self
                .static_members
                .get(&instance_id)
                .is_some_and(|known| **known == *id)
            {
                self.static_members.remove(&instance_id);
            }
        }
    }

    /// Forget that the member has any partition.
    fn release(&mut self, id: &str) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        for partition in partitions(member) {
            if self
                .owners
                .get(&partition)
                .is_some_and(|owner| **owner == *id)
            {
                self.owners.remove(&partition);
            }
        }
    }

    fn occupy(&mut self, id: &str) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        for partition in partitions(member) {
            self.owners.insert(partition, member.id.clone());
        }
    }

    /// Whether somebody has the partition, or has not yet given it up.
    pub(super) fn is_taken(&self, topic: TopicId, index: i32) -> bool {
        self.owners.contains_key(&(topic, index))
    }

    /// Whether the member may still hold what it was told to give up.
    pub(in crate::coordinator::group) fn is_revoking(&self, id: &str) -> bool {
        let member = self.members.get(id);
        member.is_some_and(|member| member.state == super::member::MemberState::UnrevokedPartitions)
    }

    /// Set the deadlines of a group that was loaded.
    pub(in crate::coordinator::group) fn handle_loaded(&self, core: &mut Core) {
        for member in self.members.values() {
            self.set_timers(core, member);
        }
    }

    /// Begin the member's session anew; and while it has to give up partitions, the time it has for that.
    pub(super) fn set_timers(&self, core: &mut Core, member: &Member) {
        let session_ms = match &member.classic {
            Some(classic) => classic.session_timeout_ms,
            None => core.dynamic.consumer(&self.id).session_timeout_ms,
        };
        let key = TimerKey::ConsumerSession(self.id.clone(), member.id.clone());
        core.set_timer(key, session_ms.into());
        let key = TimerKey::ConsumerRebalance(self.id.clone(), member.id.clone());
        // A member that speaks the classic protocol has a deadline to join instead.
        let is_revoking = member.state == super::member::MemberState::UnrevokedPartitions;
        if !is_revoking || member.classic.is_some() {
            core.timers.cancel(&key);
        } else if core.timers.get(&key).is_none() {
            core.set_timer(key, member.rebalance_timeout_ms.into());
        }
    }

    /// Every deadline that it may have set.
    pub(in crate::coordinator::group) fn timer_keys(&self) -> Vec<TimerKey> {
        let keys = self.members.keys().flat_map(|member| {
            let ids = || (self.id.clone(), member.clone());
            let all = [
                TimerKey::ConsumerJoin,
                TimerKey::ConsumerRebalance,
                TimerKey::ConsumerSession,
                TimerKey::ConsumerSync,
            ];
            all.map(|key| key(ids().0, ids().1))
        });
        keys.chain([TimerKey::ConsumerExpressions(self.id.clone())])
            .collect()
    }

    /// Whether it has no members.
    pub(in crate::coordinator::group) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members it has.
    pub(in crate::coordinator::group) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Whether it has that member.
    #[cfg(test)]
    pub(in crate::coordinator::group) fn has_member(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// The epoch of a member, and the one before.
    #[cfg(test)]
    pub(in crate::coordinator::group) fn epochs_of(&self, id: &str) -> Option<(i32, i32)> {
        let member = self.members.get(id)?;
        Some((member.epoch, member.previous_epoch))
    }

    /// Whether every member has all that it shall have.
    pub(super) fn is_reconciled(&self) -> bool {
        let mut members = self.members.values();
        members.all(|member| member.is_reconciled_to(self.target_epoch))
    }

    /// Its state as the APIs tell it.
    pub(in crate::coordinator::group) fn state_name(&self) -> &'static str {
        if self.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.is_reconciled() {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether a member consumes the topic.
    pub(in crate::coordinator::group) fn is_subscribed(&self, topic: &str) -> bool {
        let by_regex = |regex: &Arc<str>| {
            let resolved = self.regexes.get(regex);
            resolved.is_some_and(|resolved| resolved.topics.iter().any(|name| name == topic))
        };
        (self.members.values()).any(|member| {
            member.topics.iter().any(|name| **name == *topic)
                || member.regex.as_ref().is_some_and(by_regex)
        })
    }

    /// Whether a commit may be taken (`ConsumerGroup.validateOffsetCommit`).
    pub(in crate::coordinator::group) fn check_offset_commit(
        &self,
        member_id: &str,
        epoch: i32,
        version: i16,
    ) -> Result<(), ResponseError> {
        if epoch < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self
            .members
            .get(member_id)
            .ok_or(ResponseError::UnknownMemberId)?;
        if member.classic.is_none() && version < 9 {
            return Err(ResponseError::UnsupportedVersion);
        }
        member.check_epoch(epoch)
    }

    /// Whether offsets may be read (`ConsumerGroup.validateOffsetFetch`).
    pub(in crate::coordinator::group) fn check_offset_fetch(
        &self,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ResponseError> {
        let Some(member_id) = member_id.filter(|id| !id.is_empty() || epoch >= 0) else {
            return Ok(());
        };
        let member = self
            .members
            .get(member_id)
            .ok_or(ResponseError::UnknownMemberId)?;
        member.check_epoch(epoch)
    }

    /// What ConsumerGroupDescribe tells.
    pub(in crate::coordinator::group) fn describe(&self, core: &Core) -> DescribedGroup {
        let assignor = self.assignor().name();
        let members = self.members.values();
        let members =
            members.map(|member| member.describe(self.target.get(&member.id), &*core.topics));
        DescribedGroup::default()
            .with_group_id(text(&self.id).into())
            .with_group_state(text(self.state_name()))
            .with_group_epoch(self.epoch)
            .with_assignment_epoch(self.target_epoch)
            .with_assignor_name(text(assignor))
            .with_members(members.collect())
    }

    /// The assignor most members prefer.
    pub(super) fn assignor(&self) -> Assignor {
        let votes = |assignor: &Assignor| {
            let members = self.members.values();
            members
                .filter(|member| member.server_assignor.as_deref() == Some(assignor.name()))
                .count()
        };
        // Of equals, `max_by_key` takes the last one.
        let assignors = Assignor::ALL.into_iter().rev();
        assignors.max_by_key(votes).unwrap_or(Assignor::Uniform)
    }

    /// The records that delete the group.
    pub(in crate::coordinator::group) fn tombstones(&self) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for id in self.members.keys() {
            records.extend(self.member_tombstones(id));
        }
        for regex in self.regexes.keys() {
            records.push(self.regex_record(regex, None));
        }
        records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(
            self.key(),
            None,
        ));
        records.push(GroupRecord::ConsumerGroupMetadata(self.key(), None));
        records
    }

    /// The records that delete a member.
    pub(super) fn member_tombstones(&self, id: &str) -> [GroupRecord; 3] {
        [
            GroupRecord::ConsumerGroupCurrentMemberAssignment(self.member_key(id), None),
            GroupRecord::ConsumerGroupTargetAssignmentMember(self.member_key(id), None),
            GroupRecord::ConsumerGroupMemberMetadata(self.member_key(id), None),
        ]
    }

    /// The record of an epoch.
    pub(super) fn epoch_record(&self, epoch: i32, metadata_hash: i64) -> GroupRecord {
        let value = ConsumerGroupMetadataValue {
            epoch,
            metadata_hash,
        };
        GroupRecord::ConsumerGroupMetadata(self.key(), Some(value))
    }

    /// The record of what an expression matches.
    pub(super) fn regex_record(
        &self,
        regex: &str,
        value: Option<ConsumerGroupRegularExpressionValue>,
    ) -> GroupRecord {
        let key = ConsumerGroupRegularExpressionKey {
            group_id: self.id.to_string(),
            regular_expression: regex.to_owned(),
        };
        GroupRecord::ConsumerGroupRegularExpression(key, value)
    }

    pub(super) fn key(&self) -> ConsumerGroupKey {
        ConsumerGroupKey {
            group_id: self.id.to_string(),
        }
    }

    pub(super) fn member_key(&self, id: &str) -> ConsumerGroupMemberKey {
        ConsumerGroupMemberKey {
            group_id: self.id.to_string(),
            member_id: id.to_owned(),
        }
    }
}

impl Member {
    fn check_epoch(&self, epoch: i32) -> Result<(), ResponseError> {
        match (epoch == self.epoch, &self.classic) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(ResponseError::IllegalGeneration),
            (false, None) => Err(ResponseError::StaleMemberEpoch),
        }
    }
}

fn partitions(member: &Member) -> Vec<(TopicId, i32)> {
    (member.assigned.iter())
        .chain(&member.pending_revocation)
        .flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
        .collect()
}
