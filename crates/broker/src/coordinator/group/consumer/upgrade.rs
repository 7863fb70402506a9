//! A classic group with members becomes a consumer group (`ConsumerGroup.fromClassicGroup`).

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;

use super::draft::Draft;
use super::group::ConsumerGroup;
use super::heartbeat::{Refusal, refuse};
use super::member::{Member, MemberState, target_record};
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::classic::ClassicGroup;
use crate::coordinator::group::consumer_protocol::{Subscription, TopicIndexes, decode_assignment};
use crate::coordinator::group::core::Core;
use crate::coordinator::group::records::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue, GroupRecord, MemberMetadata,
};
use crate::coordinator::group::topics::Topics;

impl ConsumerGroup {
    /// The group that `classic` becomes, with the records that make it: every member in the generation's epoch, with
    /// what the leader gave it.
    pub(in crate::coordinator::group) fn from_classic(
        id: &str,
        classic: &ClassicGroup,
        core: &Core,
    ) -> Result<(Self, Vec<GroupRecord>), Refusal> {
        check(id, classic, core)?;
        let mut draft = Draft::new(&Self::new(Arc::from(id)));
        let epoch = classic.generation();
        let mut members = Vec::new();
        for (stored, offered) in classic.offers() {
            members.push(member(id, stored, offered, epoch, &*core.topics)?);
        }
        withhold(&mut members);
        for member in &members {
            let key = draft.group.member_key(&member.id);
            let value = member.metadata_record();
            draft.push(GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)));
        }
        let hash = draft.group.compute_metadata_hash(&*core.topics);
        draft.push(draft.group.epoch_record(epoch, hash));
        for member in &members {
            let key = draft.group.member_key(&member.id);
            let value = ConsumerGroupTargetAssignmentMemberValue {
                topic_partitions: target_record(&member.assigned),
            };
            draft.push(GroupRecord::ConsumerGroupTargetAssignmentMember(
                key,
                Some(value),
            ));
        }
        let value = ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: epoch,
            assignment_timestamp: 0,
        };
        let key = draft.group.key();
        draft.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(
            key,
            Some(value),
        ));
        for member in &members {
            draft.push(draft.group.current_record(member));
        }
        Ok((draft.group, draft.records))
    }
}

/// `GroupMetadataManager.validateOnlineUpgrade`.
fn check(id: &str, classic: &ClassicGroup, core: &Core) -> Result<(), Refusal> {
    let why = if !core.config.migration_policy.allows_upgrade() {
        "online upgrade is disabled"
    } else if !classic.is_consumers() {
        "the group does not use the consumer embedded protocol"
    } else if classic.member_count() > core.config.consumer_max_size {
        "the group size exceeds the consumer group maximum size"
    } else {
        return Ok(());
    };
    cannot(id, why)
}

fn cannot<T>(id: &str, why: &str) -> Result<T, Refusal> {
    let why = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
    refuse(ResponseError::GroupIdNotFound, why)
}

fn member(
    group: &str,
    stored: MemberMetadata,
    supported_protocols: Vec<ClassicProtocol>,
    epoch: i32,
    topics: &dyn Topics,
) -> Result<Member, Refusal> {
    let malformed = "the embedded consumer protocol is malformed";
    let Some(subscription) = Subscription::decode(&stored.subscription.0) else {
        return cannot(group, malformed);
    };
    let (assigned, has_user_data) = match &*stored.assignment.0 {
        // It has just joined.
        [] => (Vec::new(), false),
        assignment => match decode_assignment(assignment) {
            Some(decoded) => decoded,
            None => return cannot(group, malformed),
        },
    };
    if has_user_data {
        // What a custom assignor keeps there would be lost.
        return cannot(
            group,
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade",
        );
    }
    let assigned = by_id(assigned, topics);
    let owned = by_id(subscription.owned, topics);
    Ok(Member {
        id: stored.member_id.into(),
        instance_id: stored.group_instance_id.map(Arc::from),
        rack_id: subscription.rack_id.map(Arc::from),
        client_id: stored.client_id.into(),
        client_host: stored.client_host.into(),
        topics: subscription
            .topics
            .iter()
            .map(|name| Arc::from(&**name))
            .collect(),
        regex: None,
        rebalance_timeout_ms: stored.rebalance_timeout,
        server_assignor: None,
        classic: Some(ClassicMemberMetadata {
            session_timeout_ms: stored.session_timeout,
            supported_protocols,
        }),
        epoch,
        previous_epoch: epoch,
        state: MemberState::Stable,
        assigned,
        pending_revocation: owned,
    })
}

fn by_id(named: Vec<TopicIndexes>, topics: &dyn Topics) -> Assignment {
    let mut assignment = Assignment::new();
    for (name, indexes) in named {
        if let Some(topic) = topics.by_name(&name).filter(|_| !indexes.is_empty()) {
            assignment.entry(topic.id).or_default().extend(indexes);
        }
    }
    assignment
}

/// A cooperative consumer may not have heard yet that the generation takes partitions from it: what it said it owns and
/// nobody was given waits until it has given it up. `ConsumerGroup.fromClassicGroup` goes by the assignments alone;
/// the simulation with cooperative consumers finds partitions with two owners when this does.
fn withhold(members: &mut [Member]) {
    let given: BTreeSet<(TopicId, i32)> = (members.iter())
        .flat_map(|member| &member.assigned)
        .flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
        .collect();
    for member in members {
        member.pending_revocation.retain(|topic, indexes| {
            indexes.retain(|index| !given.contains(&(*topic, *index)));
            !indexes.is_empty()
        });
        if !member.pending_revocation.is_empty() {
            member.state = MemberState::UnrevokedPartitions;
        }
    }
}
