//! A classic group: its members, its generation, and what is stored of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;

use super::member::{Member, Protocol};
use super::state::State;
use crate::coordinator::group::consumer_protocol;
use crate::coordinator::group::core::{Core, TimerKey, text};
use crate::coordinator::group::records::{GroupMetadataKey, GroupMetadataValue, GroupRecord};

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::coordinator::group) struct ClassicGroup {
    pub(super) id: Arc<str>,
    pub(super) state: State,
    /// When it came into the state; unknown in old records.
    pub(super) state_since: Option<Timestamp>,
    /// Counts the rebalances.
    pub(super) generation: i32,
    /// `None` for a group that only commits offsets.
    pub(super) protocol_type: Option<Arc<str>>,
    /// The protocol of the generation.
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Member id by `group.instance.id`.
    pub(super) static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were given out by MEMBER_ID_REQUIRED and have not come back (KIP-394).
    pub(super) pending_joins: BTreeSet<Arc<str>>,
    /// Members that have not sent SyncGroup in this generation.
    pub(super) pending_syncs: BTreeSet<Arc<str>>,
    /// Topics the consumers subscribe to; `None` when it cannot be told.
    pub(super) subscribed_topics: Option<BTreeSet<String>>,
}

impl ClassicGroup {
    /// A group without members that only commits offsets.
    pub(in crate::coordinator::group) fn simple(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            subscribed_topics: None,
        }
    }

    /// The record of a group that has just come into being.
    pub(in crate::coordinator::group) fn creation_record(id: &str, now: Timestamp) -> GroupRecord {
        let key = GroupMetadataKey {
            group: id.to_owned(),
        };
        let value = GroupMetadataValue {
            current_state_timestamp: now.0,
            ..Default::default()
        };
        GroupRecord::GroupMetadata(key, Some(value))
    }

    /// What is stored of the group, each member with the assignment that `assignment` tells.
    pub(super) fn to_record<'a>(
        &'a self,
        assignment: impl Fn(&'a Member) -> &'a [u8],
    ) -> GroupRecord {
        let protocol = self.protocol.as_deref();
        let members = self.members.values();
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default().to_owned(),
            generation: self.generation,
            protocol: protocol.map(str::to_owned),
            leader: self.leader.as_deref().map(str::to_owned),
            current_state_timestamp: self.state_since.map_or(-1, |since| since.0),
            members: members
                .map(|member| member.to_record(protocol.unwrap_or_default(), assignment(member)))
                .collect(),
        };
        let key = GroupMetadataKey {
            group: self.id.to_string(),
        };
        GroupRecord::GroupMetadata(key, Some(value))
    }

    /// What is stored of the group now.
    pub(in crate::coordinator::group) fn stored(&self) -> GroupRecord {
        self.to_record(|member| &member.assignment)
    }

    /// Take a stored generation. A member that is known as it is stored keeps its parked requests and all the protocols
    /// it offers.
    pub(in crate::coordinator::group) fn replay(&mut self, value: GroupMetadataValue) {
        let some = |text: String| Some(Arc::<str>::from(text)).filter(|text| !text.is_empty());
        self.state = match value.members.is_empty() {
            true => State::Empty,
            false => State::Stable,
        };
        self.state_since = Some(Timestamp(value.current_state_timestamp))
            .filter(|since| *since != Timestamp::NONE);
        self.generation = value.generation;
        self.protocol_type = some(value.protocol_type);
        self.protocol = value.protocol.map(Arc::from);
        self.leader = value.leader.map(Arc::from);
        let protocol = self.protocol.clone().unwrap_or_default();
        let mut known = std::mem::take(&mut self.members);
        for record in value.members {
            let known = known.remove(&*record.member_id);
            let is_same = known
                .as_ref()
                .is_some_and(|known| known.to_record(&protocol, &record.assignment.0) == record);
            let stored = Member::from_record(record, &protocol);
            let member = match known {
                Some(known) if is_same => Member {
                    assignment: stored.assignment,
                    ..known
                },
                // Of an older record of the log that is being loaded.
                Some(known) => Member {
                    awaiting_join: known.awaiting_join,
                    awaiting_sync: known.awaiting_sync,
                    ..stored
                },
                None => stored,
            };
            self.members.insert(member.id.clone(), member);
        }
        self.static_members = (self.members.values())
            .filter_map(|member| Some((member.instance_id.clone()?, member.id.clone())))
            .collect();
        self.subscribed_topics = self.compute_subscribed_topics();
    }

    /// Set the deadlines of a group that was loaded.
    pub(in crate::coordinator::group) fn handle_loaded(&mut self, core: &mut Core) {
        for member in self.members.values() {
            let key = TimerKey::Heartbeat(self.id.clone(), member.id.clone());
            core.set_timer(key, member.session_timeout_ms.into());
        }
        if self.members.len() > core.config.max_size {
            // The limit was lowered: let the members sort out who stays.
            self.prepare_rebalance(core);
        }
    }

    /// Whether it was a consumer group and has had no leader since, so that nobody may have what those had who left it.
    pub(in crate::coordinator::group) fn awaits_rebalance(&self) -> bool {
        self.state == State::Stable && !self.members.is_empty() && self.leader.is_none()
    }

    /// Enter a state.
    pub(super) fn transition(&mut self, state: State, core: &Core) {
        self.state = state;
        self.state_since = Some(core.now.wall);
    }

    /// Whether it has no members.
    pub(in crate::coordinator::group) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Class of protocols, empty for a group that only commits offsets.
    pub(in crate::coordinator::group) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// Its state as the APIs tell it.
    pub(in crate::coordinator::group) fn state_name(&self) -> String {
        self.state.to_string()
    }

    /// Whether the blobs of its members are those of consumers.
    pub(in crate::coordinator::group) fn is_consumers(&self) -> bool {
        self.protocol_type() == consumer_protocol::PROTOCOL_TYPE
    }

    /// Whether a member consumes the topic; yes when it cannot be told.
    pub(in crate::coordinator::group) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumers(),
        }
    }

    /// From when the retention of a committed offset counts: `Some(None)` from its commit, `Some(Some(t))` from `t`,
    /// `None` when it does not expire (KIP-211).
    pub(in crate::coordinator::group) fn offset_expiry_base(&self) -> Option<Option<Timestamp>> {
        if self.protocol_type.is_none() {
            return Some(None);
        }
        match self.state {
            State::Empty => Some(self.state_since),
            State::Stable if self.is_consumers() && self.subscribed_topics.is_some() => Some(None),
            _ => None,
        }
    }

    /// Whether the member is who it says it is.
    pub(super) fn check_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(known) if **known != *id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(id) {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Whether a commit may be taken (`ClassicGroup.validateOffsetCommit`).
    pub(in crate::coordinator::group) fn check_offset_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.is_empty() {
            // An admin client, or a consumer that assigns itself.
            return Ok(());
        }
        if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.check_member(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !transactional {
            return Err(ResponseError::UnknownMemberId);
        }
        match self.state {
            State::CompletingRebalance if !transactional => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A commit shows that the member is alive.
    pub(in crate::coordinator::group) fn touch_on_commit(&self, member_id: &str, core: &mut Core) {
        let keeps_alive = self.state == State::Stable || self.state.is_preparing();
        if let Some(member) = self.members.get(member_id).filter(|_| keeps_alive) {
            self.touch(member, core);
        }
    }

    /// Begin the member's session anew.
    pub(super) fn touch(&self, member: &Member, core: &mut Core) {
        let key = TimerKey::Heartbeat(self.id.clone(), member.id.clone());
        core.set_timer(key, member.session_timeout_ms.into());
    }

    /// Whether a member with these protocols can be in the group: in a group with members, one of them is offered by
    /// all.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type() == protocol_type
            && (protocols.iter()).any(|protocol| {
                self.members
                    .values()
                    .all(|member| member.offers(&protocol.name))
            })
    }

    /// The protocol most members prefer among those all of them offer.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut members = self.members.values();
        let first = members.next()?;
        let mut candidates: Vec<&Arc<str>> = first
            .protocols
            .iter()
            .map(|offered| &offered.name)
            .collect();
        candidates.retain(|name| members.clone().all(|member| member.offers(name)));
        let mut votes = vec![0_usize; candidates.len()];
        for member in self.members.values() {
            let preferred = (member.protocols.iter())
                .find_map(|offered| candidates.iter().position(|name| **name == offered.name));
            if let Some(at) = preferred {
                votes[at] += 1;
            }
        }
        let most = votes.iter().max()?;
        let at = votes.iter().position(|count| count == most)?;
        Some(candidates[at].clone())
    }

    /// The topics of all subscriptions.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(consumer_protocol::subscribed_topics(
                &member.metadata(protocol),
            )?);
        }
        Some(topics)
    }

    /// What the leader is told about the members.
    pub(super) fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values();
        members
            .map(|member| member.to_join_response(protocol))
            .collect()
    }

    /// What DescribeGroups tells.
    pub(in crate::coordinator::group) fn describe(&self) -> DescribedGroup {
        let protocol = match self.state {
            State::Stable => self.protocol.as_deref(),
            _ => None,
        };
        let members = self.members.values();
        DescribedGroup::default()
            .with_group_id(text(&self.id).into())
            .with_group_state(text(&self.state_name()))
            .with_protocol_type(text(self.protocol_type()))
            .with_protocol_data(text(protocol.unwrap_or_default()))
            .with_members(members.map(|member| member.describe(protocol)).collect())
    }
}
