//! Members that go: what is stored of it, and the way back to a classic group when none but classic members stay.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::group::ConsumerGroup;
use super::member::Member;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::consumer_protocol::{
    self, PROTOCOL_TYPE, TopicIndexes, subscription_version,
};
use crate::coordinator::group::core::Core;
use crate::coordinator::group::records::{
    Blob, ClassicProtocol, GroupMetadataKey, GroupMetadataValue, GroupRecord, MemberMetadata,
};
use crate::coordinator::group::topics::Topics;

impl ConsumerGroup {
    /// The records that take a member out. When only members that speak the classic protocol stay, the group becomes a
    /// classic one, if the policy lets it.
    pub(in crate::coordinator::group) fn removal(&self, core: &Core, id: &str) -> Vec<GroupRecord> {
        if !self.members.contains_key(id) {
            return Vec::new();
        }
        if let Some(records) = self.downgrade(core, Some(id)) {
            return records;
        }
        self.removal_of(core, &[id])
    }

    /// The records that take members out of a group that stays what it is.
    pub(super) fn removal_of(&self, core: &Core, ids: &[&str]) -> Vec<GroupRecord> {
        let mut draft = Draft::new(self);
        for id in ids {
            draft.remove_member(id);
        }
        draft.drop_expressions();
        let hash = draft.group.compute_metadata_hash(&*core.topics);
        draft.bump_epoch(hash);
        draft.records
    }

    /// The records that make it a classic group without `leaving` (`validateOnlineDowngradeWithFencedMembers`,
    /// `ClassicGroup.fromConsumerGroup`); `None` when it has to stay what it is.
    pub(super) fn downgrade(&self, core: &Core, leaving: Option<&str>) -> Option<Vec<GroupRecord>> {
        let staying: Vec<&Member> = (self.members.values())
            .filter(|member| Some(&*member.id) != leaving)
            .collect();
        let is_allowed = core.config.migration_policy.allows_downgrade()
            && !staying.is_empty()
            && staying.len() <= core.config.max_size
            && staying.iter().all(|member| member.classic.is_some());
        if !is_allowed {
            return None;
        }
        let protocol = select_protocol(&staying)?;
        let members = staying
            .iter()
            .map(|member| self.to_classic(member, &protocol, &*core.topics));
        let value = GroupMetadataValue {
            protocol_type: PROTOCOL_TYPE.to_owned(),
            generation: self.epoch,
            protocol: Some(protocol.clone()),
            leader: None,
            current_state_timestamp: core.now.wall.0,
            members: members.collect::<Option<_>>()?,
        };
        let key = GroupMetadataKey {
            group: self.id.to_string(),
        };
        let mut records = self.tombstones();
        records.push(GroupRecord::GroupMetadata(key, Some(value)));
        Some(records)
    }

    /// A member as a classic group stores it: with what it may own now, whatever it was to own. Kafka stores the target,
    /// of which the member may not have heard; when the group turns again at once, others get what it still owns.
    fn to_classic(
        &self,
        member: &Member,
        protocol: &str,
        topics: &dyn Topics,
    ) -> Option<MemberMetadata> {
        let classic = member.classic.as_ref()?;
        let subscription = offered(&classic.supported_protocols, protocol)?;
        let version = subscription_version(&subscription.metadata.0)?;
        let mut held = member.assigned.clone();
        for (topic, indexes) in &member.pending_revocation {
            held.entry(*topic).or_default().extend(indexes);
        }
        let assignment = consumer_protocol::encode_assignment(version, &by_name(&held, topics));
        Some(MemberMetadata {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: classic.session_timeout_ms,
            subscription: subscription.metadata.clone(),
            assignment: Blob(assignment.into()),
        })
    }
}

/// An assignment with names in place of ids, as clients of the classic protocol read it.
pub(super) fn by_name(assignment: &Assignment, topics: &dyn Topics) -> Vec<TopicIndexes> {
    let named = assignment.iter().filter_map(|(id, indexes)| {
        let topic = topics.by_id(*id)?;
        Some((topic.name.to_string(), indexes.iter().copied().collect()))
    });
    named.collect()
}

fn offered<'a>(protocols: &'a [ClassicProtocol], name: &str) -> Option<&'a ClassicProtocol> {
    protocols.iter().find(|protocol| protocol.name == name)
}

/// The protocol most members prefer among those all of them offer.
fn select_protocol(members: &[&Member]) -> Option<String> {
    let lists: Vec<&[ClassicProtocol]> = (members.iter())
        .filter_map(|member| Some(&*member.classic.as_ref()?.supported_protocols))
        .collect();
    let by_all = |name: &str| lists.iter().all(|list| offered(list, name).is_some());
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for list in &lists {
        if let Some(preferred) = list.iter().find(|protocol| by_all(&protocol.name)) {
            *votes.entry(&preferred.name).or_default() += 1;
        }
    }
    let (name, _) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    Some(name.to_owned())
}
