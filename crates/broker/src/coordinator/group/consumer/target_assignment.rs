//! The target assignment of an epoch: what the assignor says, as the records of what has changed.

use std::collections::BTreeMap;

use ottla_protocol::ids::TopicId;

use super::group::ConsumerGroup;
use super::member::target_record;
use crate::coordinator::group::assignor::{AssignorMember, AssignorMembers};
use crate::coordinator::group::records::{
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue,
    GroupRecord,
};
use crate::coordinator::group::topics::Topics;

impl ConsumerGroup {
    /// The records that bring the target assignment up to the group's epoch.
    pub(super) fn target_records(&self, topics: &dyn Topics) -> Vec<GroupRecord> {
        let mut sizes: BTreeMap<TopicId, i32> = BTreeMap::new();
        let mut members = AssignorMembers::new();
        for (id, member) in &self.members {
            let subscribed = self.topics_of(member, topics);
            sizes.extend(subscribed.iter().map(|topic| (topic.id, topic.partitions)));
            let member = AssignorMember {
                topics: subscribed.iter().map(|topic| topic.id).collect(),
                previous: self.target.get(id).cloned().unwrap_or_default(),
            };
            members.insert(id.clone(), member);
        }
        let mut records = Vec::new();
        for (id, assignment) in self.assignor().assign(&members, &sizes) {
            if self.target.get(&id) != Some(&assignment) {
                let value = ConsumerGroupTargetAssignmentMemberValue {
                    topic_partitions: target_record(&assignment),
                };
                let key = self.member_key(&id);
                records.push(GroupRecord::ConsumerGroupTargetAssignmentMember(
                    key,
                    Some(value),
                ));
            }
        }
        let value = ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: self.epoch,
            assignment_timestamp: 0,
        };
        let record = GroupRecord::ConsumerGroupTargetAssignmentMetadata(self.key(), Some(value));
        records.push(record);
        records
    }
}
