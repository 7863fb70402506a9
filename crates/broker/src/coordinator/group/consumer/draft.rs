//! A group that is being changed, and the records that make the same of the group itself.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;

use super::current_assignment::Step;
use super::group::ConsumerGroup;
use super::heartbeat::{Refusal, refuse};
use super::member::{LEAVE_STATIC, Member, target_record};
use super::subscription::resolve;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::core::Core;
use crate::coordinator::group::records::{ConsumerGroupTargetAssignmentMemberValue, GroupRecord};

/// Each record is noted and taken into the copy at once, so that what comes next is decided on what will be.
pub(super) struct Draft {
    pub(super) group: ConsumerGroup,
    pub(super) records: Vec<GroupRecord>,
}

impl Draft {
    /// Of a group as it is.
    pub(super) fn new(group: &ConsumerGroup) -> Self {
        Self {
            group: group.clone(),
            records: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, record: GroupRecord) {
        self.group.replay(record.clone());
        self.records.push(record);
    }

    /// Who has the name of a static member, unless it is `id` itself.
    pub(super) fn holder(&self, instance_id: Option<&str>, id: &str) -> Option<Arc<str>> {
        let holder = self.group.static_members.get(instance_id?)?;
        Some(holder.clone()).filter(|holder| **holder != *id)
    }

    /// The member as it is, or one that has just come.
    pub(super) fn member_or_new(&self, id: &Arc<str>) -> Member {
        let new = || Member {
            id: id.clone(),
            ..Member::default()
        };
        self.group.members.get(id).cloned().unwrap_or_else(new)
    }

    /// Take a member out, whose partitions are then free.
    pub(super) fn remove_member(&mut self, id: &str) {
        for record in self.group.member_tombstones(id) {
            self.push(record);
        }
    }

    /// A process takes the place of a static member: one that has left for a while, or, when either of them speaks the
    /// classic protocol, which knows no such leave, any.
    pub(super) fn replace_static_member(
        &mut self,
        holder: &str,
        id: &Arc<str>,
        is_classic: bool,
    ) -> Result<Member, Refusal> {
        let Some(old) = self.group.members.get(holder).cloned() else {
            return refuse(ResponseError::UnknownMemberId, "The static member is gone.");
        };
        if !is_classic && old.classic.is_none() && old.epoch != LEAVE_STATIC {
            let why = format!("The instance id is owned by member {holder}.");
            return refuse(ResponseError::UnreleasedInstanceId, why);
        }
        let target = self.group.target.get(holder).cloned().unwrap_or_default();
        self.remove_member(holder);
        let member = Member {
            id: id.clone(),
            epoch: 0,
            previous_epoch: 0,
            ..old
        };
        let key = self.group.member_key(id);
        let metadata = member.metadata_record();
        self.push(GroupRecord::ConsumerGroupMemberMetadata(
            key.clone(),
            Some(metadata),
        ));
        let target = ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: target_record(&target),
        };
        self.push(GroupRecord::ConsumerGroupTargetAssignmentMember(
            key,
            Some(target),
        ));
        let current = self.group.current_record(&member);
        self.push(current);
        Ok(member)
    }

    /// Note what the member wants now; a change of what is wanted, or of the topics, is a new epoch.
    pub(super) fn update_member(&mut self, core: &Core, member: &Member, updated: &Member) {
        let is_known = self.group.members.contains_key(&member.id);
        let mut bump =
            !is_known || updated.topics != member.topics || updated.regex != member.regex;
        if !is_known || updated != member {
            let key = self.group.member_key(&member.id);
            let metadata = updated.metadata_record();
            self.push(GroupRecord::ConsumerGroupMemberMetadata(
                key,
                Some(metadata),
            ));
        }
        self.drop_expressions();
        let hash = self.group.compute_metadata_hash(&*core.topics);
        bump |= hash != self.group.metadata_hash;
        if bump {
            self.bump_epoch(hash);
        }
    }

    /// What is wanted has changed.
    pub(super) fn bump_epoch(&mut self, metadata_hash: i64) {
        let epoch = self.group.epoch.saturating_add(1);
        self.push(self.group.epoch_record(epoch, metadata_hash));
    }

    /// Bring the target assignment up to the epoch.
    pub(super) fn update_target(&mut self, core: &Core) {
        if self.group.epoch > self.group.target_epoch {
            for record in self.group.target_records(&*core.topics) {
                self.push(record);
            }
        }
    }

    /// Look up what is new or may have changed; other topics than before are a new epoch.
    pub(super) fn resolve_expressions(&mut self, core: &Core) {
        let version = core.topics.version();
        for regex in self.group.expressions() {
            let known = self.group.regexes.get(&regex);
            if known.is_some_and(|known| known.version == version) {
                continue;
            }
            let resolved = resolve(&regex, &*core.topics, core.now.wall);
            let record = self.group.regex_record(&regex, Some(resolved));
            self.push(record);
        }
        let hash = self.group.compute_metadata_hash(&*core.topics);
        if hash != self.group.metadata_hash {
            self.bump_epoch(hash);
        }
    }

    /// Forget what nobody uses.
    pub(super) fn drop_expressions(&mut self) {
        let used = self.group.expressions();
        let unused: Vec<Arc<str>> = (self.group.regexes.keys())
            .filter(|regex| !used.contains(*regex))
            .cloned()
            .collect();
        for regex in unused {
            self.push(self.group.regex_record(&regex, None));
        }
    }

    /// Lead the member one step towards its target.
    pub(super) fn reconcile(&mut self, id: &str, owned: Option<&Assignment>) -> Member {
        let nothing = Assignment::new();
        let Some(member) = self.group.members.get(id).cloned() else {
            return Member::default();
        };
        let step = Step {
            target_epoch: self.group.target_epoch,
            target: self.group.target.get(id).unwrap_or(&nothing),
            owned,
            is_taken: &|topic: TopicId, index| self.group.is_taken(topic, index),
        };
        let next = step.take(&member);
        if next != member {
            let record = self.group.current_record(&next);
            self.push(record);
        }
        next
    }
}
