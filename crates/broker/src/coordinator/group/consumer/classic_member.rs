//! Members of a consumer group that still speak the classic protocol (KIP-848, online migration): JoinGroup, SyncGroup,
//! Heartbeat and LeaveGroup against a group whose assignments the coordinator makes.
//!
//! A member's generation is its epoch. When the group moves on, a heartbeat tells it to rebalance; its JoinGroup is the
//! step that a heartbeat of the consumer protocol would be, with what it says it owns; its SyncGroup fetches the result.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::draft::Draft;
use super::group::ConsumerGroup;
use super::heartbeat::Refusal;
use super::member::{Member, MemberState};
use super::removal::by_name;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::consumer_protocol::{
    PROTOCOL_TYPE, Subscription, encode_assignment, subscription_version,
};
use crate::coordinator::group::core::{Core, TimerKey, text};
use crate::coordinator::group::message::Origin;
use crate::coordinator::group::records::{
    Blob, ClassicMemberMetadata, ClassicProtocol, GroupRecord,
};
use crate::coordinator::group::topics::Topics;

/// First version of JoinGroup that must come with a member id (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// What a JoinGroup comes to.
#[derive(Debug)]
pub(in crate::coordinator::group) struct ClassicJoin {
    /// To be appended before the answer leaves.
    pub(in crate::coordinator::group) records: Vec<GroupRecord>,
    pub(in crate::coordinator::group) response: JoinGroupResponse,
    /// The records make the group a classic one; whether it then has to rebalance.
    pub(in crate::coordinator::group) downgrade: Option<bool>,
}

impl ConsumerGroup {
    /// Decide on a JoinGroup; the code and the member id of the answer when it is refused.
    pub(in crate::coordinator::group) fn classic_join(
        &self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
    ) -> Result<ClassicJoin, (ResponseError, Arc<str>)> {
        let is_unknown = request.member_id.is_empty();
        let id: Arc<str> = match is_unknown {
            true => (core.new_id)().to_string().into(),
            false => Arc::from(&*request.member_id),
        };
        let refuse = |error| (error, Arc::from(&*request.member_id));
        let is_full = self.members.len() >= core.config.consumer_max_size;
        if is_full && !self.members.contains_key(&id) {
            return Err(refuse(ResponseError::GroupMaxSizeReached));
        }
        if !self.supports(request) {
            return Err(refuse(ResponseError::InconsistentGroupProtocol));
        }
        let is_dynamic = request.group_instance_id.is_none();
        if is_unknown && is_dynamic && origin.version >= MEMBER_ID_REQUIRED_FROM {
            return Err((ResponseError::MemberIdRequired, id));
        }
        let first = request.protocols.first();
        let subscription = first.and_then(|protocol| Subscription::decode(&protocol.metadata));
        // Kafka fails on it too, with an exception that has no code of its own.
        let subscription = subscription.ok_or(refuse(ResponseError::UnknownServerError))?;
        let mut draft = Draft::new(self);
        let owned = by_id(&subscription, &*core.topics);
        let member = find_member(&mut draft, &id, request, &owned).map_err(refuse)?;
        let is_replacement = draft.records.iter().any(GroupRecord::is_tombstone);
        let updated = updated(&member, origin, request, &subscription);
        let has_changed = updated.topics != member.topics;
        draft.update_member(core, &member, &updated);
        draft.update_target(core);
        let member = draft.reconcile(&id, Some(&owned));
        let downgrade = is_replacement.then(|| draft.group.downgrade(core, None));
        let downgrade = downgrade.flatten();
        let is_downgrade = downgrade.is_some();
        if let Some(records) = downgrade {
            draft.records.extend(records);
        } else {
            self.begin_sync(core, &member);
        }
        let protocol = first.map(|protocol| protocol.name.clone());
        let response = JoinGroupResponse::default()
            .with_generation_id(member.epoch)
            .with_protocol_type(Some(text(PROTOCOL_TYPE)))
            .with_protocol_name(protocol)
            .with_member_id(text(&id));
        Ok(ClassicJoin {
            records: draft.records,
            response,
            // Who is on its way to its target gets there in another generation only.
            downgrade: is_downgrade.then(|| has_changed || !draft.group.is_reconciled()),
        })
    }

    /// The member has joined and has to send SyncGroup.
    fn begin_sync(&self, core: &mut Core, member: &Member) {
        self.set_timers(core, member);
        let key = TimerKey::ConsumerJoin(self.id.clone(), member.id.clone());
        core.timers.cancel(&key);
        let key = TimerKey::ConsumerSync(self.id.clone(), member.id.clone());
        core.set_timer(key, member.rebalance_timeout_ms.into());
    }

    /// Whether one of the protocols is offered by all classic members (`supportsClassicProtocols`).
    fn supports(&self, request: &JoinGroupRequest) -> bool {
        let by_all = |name: &str| {
            let mut classic = self
                .members
                .values()
                .filter_map(|member| member.classic.as_ref());
            classic.all(|classic| {
                let protocols = &classic.supported_protocols;
                protocols.iter().any(|protocol| protocol.name == name)
            })
        };
        *request.protocol_type == *PROTOCOL_TYPE
            && (request.protocols.iter()).any(|protocol| by_all(&protocol.name))
    }

    /// Take a SyncGroup.
    pub(in crate::coordinator::group) fn classic_sync(
        &self,
        core: &mut Core,
        request: &SyncGroupRequest,
    ) -> Result<SyncGroupResponse, ResponseError> {
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id)?;
        if request.generation_id != member.epoch {
            return Err(ResponseError::IllegalGeneration);
        }
        let classic = member.classic.as_ref();
        let protocol = classic.and_then(|classic| classic.supported_protocols.first());
        let protocol = protocol.ok_or(ResponseError::UnknownMemberId)?;
        let differs = |sent: Option<&str>, known: &str| sent.is_some_and(|sent| *sent != *known);
        if differs(request.protocol_type.as_deref(), PROTOCOL_TYPE)
            || differs(request.protocol_name.as_deref(), &protocol.name)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            // There is more to come; one that has to give up partitions does that first.
            self.ask_to_join(core, member);
            return Err(ResponseError::RebalanceInProgress);
        }
        let key = TimerKey::ConsumerSync(self.id.clone(), member.id.clone());
        core.timers.cancel(&key);
        self.set_timers(core, member);
        let version = subscription_version(&protocol.metadata.0).unwrap_or_default();
        let assignment = encode_assignment(version, &by_name(&member.assigned, &*core.topics));
        Ok(SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type.clone())
            .with_protocol_name(request.protocol_name.clone())
            .with_assignment(assignment.into()))
    }

    /// Take a Heartbeat.
    pub(in crate::coordinator::group) fn classic_heartbeat(
        &self,
        core: &mut Core,
        request: &HeartbeatRequest,
    ) -> Result<(), ResponseError> {
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id)?;
        if request.generation_id != member.epoch {
            return Err(ResponseError::IllegalGeneration);
        }
        self.set_timers(core, member);
        let has_to_join = match member.state {
            _ if member.epoch < self.epoch => true,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if has_to_join {
            self.ask_to_join(core, member);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether somebody else still has what the member shall get.
    fn waits_for_others(&self, member: &Member) -> bool {
        let Some(target) = self.target.get(&member.id) else {
            return false;
        };
        target.iter().any(|(topic, indexes)| {
            let owned = member.assigned.get(topic);
            indexes.iter().any(|index| {
                let is_own = owned.is_some_and(|owned| owned.contains(index));
                !is_own && self.is_taken(*topic, *index)
            })
        })
    }

    /// The member has its rebalance timeout to come back.
    fn ask_to_join(&self, core: &mut Core, member: &Member) {
        let key = TimerKey::ConsumerJoin(self.id.clone(), member.id.clone());
        if core.timers.get(&key).is_none() {
            core.set_timer(key, member.rebalance_timeout_ms.into());
        }
    }

    /// Decide on a LeaveGroup: the records, and an answer for each member.
    pub(in crate::coordinator::group) fn classic_leave(
        &self,
        core: &Core,
        identities: &[MemberIdentity],
    ) -> (Vec<GroupRecord>, Vec<MemberResponse>) {
        let mut leaving: Vec<&str> = Vec::new();
        let members = identities.iter().map(|identity| {
            let found = self.leaving_member(identity);
            let code = found.as_ref().err().map_or(0, |error| error.code());
            let response = MemberResponse::default()
                .with_group_instance_id(identity.group_instance_id.clone())
                .with_error_code(code);
            match found {
                Ok(member) => {
                    if !leaving.contains(&&*member.id) {
                        leaving.push(&member.id);
                    }
                    response.with_member_id(text(&member.id))
                }
                Err(_) => response.with_member_id(identity.member_id.clone()),
            }
        });
        let members = members.collect();
        match leaving.is_empty() {
            true => (Vec::new(), members),
            false => (self.removal_of(core, &leaving), members),
        }
    }

    /// An operator may name a static member without its id.
    fn leaving_member(&self, identity: &MemberIdentity) -> Result<&Member, ResponseError> {
        let instance_id = identity.group_instance_id.as_deref();
        match instance_id.filter(|_| identity.member_id.is_empty()) {
            None => self.classic_member(&identity.member_id, instance_id),
            Some(instance_id) => {
                let holder = self.static_members.get(instance_id);
                let holder = holder.ok_or(ResponseError::UnknownMemberId)?;
                self.classic_member(holder, None)
            }
        }
    }

    /// The member, if it is who it says it is and speaks the classic protocol.
    fn classic_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<&Member, ResponseError> {
        let member = self.known_member(id, instance_id);
        let member = member.map_err(|Refusal(error, _)| error)?;
        match member.classic {
            Some(_) => Ok(member),
            None => Err(ResponseError::UnknownMemberId),
        }
    }
}

/// The member as it is before it joins; a static member takes its name over from another process.
fn find_member(
    draft: &mut Draft,
    id: &Arc<str>,
    request: &JoinGroupRequest,
    owned: &Assignment,
) -> Result<Member, ResponseError> {
    let instance_id = request.group_instance_id.as_deref();
    let claims_id = !request.member_id.is_empty();
    if instance_id.is_some() && claims_id {
        let member = draft.group.known_member(id, instance_id);
        return member.cloned().map_err(|Refusal(error, _)| error);
    }
    match draft.holder(instance_id, id) {
        Some(holder) => {
            let replaced = draft.replace_static_member(&holder, id, true);
            replaced.map_err(|Refusal(error, _)| error)
        }
        // An id of MEMBER_ID_REQUIRED comes with nothing. Who owns partitions was a member and has been removed: others
        // may have them by now, and this code makes it drop them. Kafka takes it in as a new member.
        None if claims_id && !draft.group.members.contains_key(id) && !owned.is_empty() => {
            Err(ResponseError::UnknownMemberId)
        }
        None => Ok(draft.member_or_new(id)),
    }
}

fn updated(
    member: &Member,
    origin: &Origin,
    request: &JoinGroupRequest,
    subscription: &Subscription,
) -> Member {
    let optional = |value: Option<&str>| value.map(Arc::<str>::from);
    let protocols = request.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.to_string(),
        metadata: Blob((*protocol.metadata).into()),
    });
    let mut updated = member.clone();
    let instance_id = optional(request.group_instance_id.as_deref());
    updated.instance_id = instance_id.or(updated.instance_id);
    updated.rack_id = optional(subscription.rack_id.as_deref()).or(updated.rack_id);
    updated.topics = (subscription.topics.iter())
        .map(|name| Arc::from(&**name))
        .collect();
    updated.regex = None;
    if request.rebalance_timeout_ms != -1 {
        updated.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    updated.client_id = origin.client_id.clone();
    updated.client_host = origin.client_host.clone();
    updated.classic = Some(ClassicMemberMetadata {
        session_timeout_ms: request.session_timeout_ms,
        supported_protocols: protocols.collect(),
    });
    updated
}

/// What the member says it owns, as far as the topics exist.
fn by_id(subscription: &Subscription, topics: &dyn Topics) -> Assignment {
    let owned = subscription.owned.iter().filter_map(|(name, indexes)| {
        let topic: TopicId = topics.by_name(name)?.id;
        Some((topic, indexes.iter().copied().collect()))
    });
    owned
        .filter(|(_, indexes): &(_, BTreeSet<i32>)| !indexes.is_empty())
        .collect()
}
