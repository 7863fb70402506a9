//! JoinGroup: a member comes, comes back, or comes in another process.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};

use super::group::ClassicGroup;
use super::member::{Member, Protocol};
use super::state::State;
use crate::coordinator::group::core::{Core, TimerKey, optional_text, text};
use crate::coordinator::group::message::{Origin, Then};
use crate::coordinator::shard::ReplyTo;

/// First version that must come with a member id (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// First version whose leader can be told not to assign again (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// An answer that says only what is wrong.
pub(in crate::coordinator::group) fn refusal(
    member_id: &str,
    error: ResponseError,
) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_member_id(text(member_id))
        .with_protocol_name(None)
}

impl ClassicGroup {
    /// Take a JoinGroup.
    pub(in crate::coordinator::group) fn join(
        &mut self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
        reply_to: ReplyTo,
    ) {
        let member_id = &*request.member_id;
        if !self.has_room_for(member_id, core.config.max_size) {
            self.remove(member_id, core);
            core.reply(reply_to, refusal("", ResponseError::GroupMaxSizeReached));
            return;
        }
        let protocols = Protocol::list(&request.protocols);
        if !self.supports(&request.protocol_type, &protocols) {
            core.reply(
                reply_to,
                refusal(member_id, ResponseError::InconsistentGroupProtocol),
            );
            return;
        }
        if member_id.is_empty() {
            self.join_unknown(core, origin, request, protocols, reply_to);
        } else if self.pending_joins.contains(member_id) {
            self.join_pending(core, origin, request, protocols, reply_to);
        } else {
            self.rejoin(core, request, protocols, reply_to);
        }
    }

    /// Whether the limit of members lets it in. While members join, those that wait count: who comes back late may
    /// find the group full when the limit was lowered.
    fn has_room_for(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance { .. } => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_joins() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_unknown(
        &mut self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        reply_to: ReplyTo,
    ) {
        let instance_id = request.group_instance_id.as_deref();
        let prefix = instance_id.unwrap_or(&origin.client_id);
        let id: Arc<str> = format!("{prefix}-{}", (core.new_id)()).into();
        let replaced = instance_id.and_then(|instance| self.static_members.get(instance).cloned());
        if let Some(old_id) = replaced {
            self.replace_static_member(core, origin, request, protocols, (&old_id, id), reply_to);
        } else if instance_id.is_none() && origin.version >= MEMBER_ID_REQUIRED_FROM {
            // The member has to come back with its id, so that one that never got it leaves nothing behind.
            let key = TimerKey::Heartbeat(self.id.clone(), id.clone());
            core.set_timer(key, request.session_timeout_ms.into());
            core.reply(reply_to, refusal(&id, ResponseError::MemberIdRequired));
            self.pending_joins.insert(id);
        } else {
            self.add_member(core, origin, request, protocols, id, reply_to);
        }
    }

    fn join_pending(
        &mut self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        reply_to: ReplyTo,
    ) {
        if request.group_instance_id.is_some() {
            // Ids are given out in advance to dynamic members only.
            let refused = refusal(&request.member_id, ResponseError::UnknownMemberId);
            core.reply(reply_to, refused);
            return;
        }
        let id = Arc::from(&*request.member_id);
        self.add_member(core, origin, request, protocols, id, reply_to);
    }

    fn add_member(
        &mut self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        id: Arc<str>,
        reply_to: ReplyTo,
    ) {
        let instance_id: Option<Arc<str>> = request.group_instance_id.as_deref().map(Arc::from);
        if let State::PreparingRebalance {
            initial: Some(delay),
        } = &mut self.state
        {
            delay.new_member = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::from(&*request.protocol_type));
        }
        if let Some(instance_id) = &instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_joins.remove(&id);
        // It cannot send heartbeats before it is answered, and a closed connection is not seen while a request is
        // parked. So that repeated attempts of one client do not pile up, this one is given up after a while.
        let key = TimerKey::Heartbeat(self.id.clone(), id.clone());
        core.set_timer(key, core.config.new_member_join_timeout_ms.into());
        let member = Member {
            id: id.clone(),
            instance_id,
            client_id: origin.client_id.clone(),
            client_host: origin.client_host.clone(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols,
            assignment: Arc::default(),
            awaiting_join: Some(reply_to),
            awaiting_sync: None,
            is_new: true,
        };
        self.members.insert(id, member);
        self.rebalance_or_complete_join(core);
    }

    /// A member that knows its id joins again.
    fn rejoin(
        &mut self,
        core: &mut Core,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        reply_to: ReplyTo,
    ) {
        let id = &*request.member_id;
        if let Err(error) = self.check_member(id, request.group_instance_id.as_deref()) {
            core.reply(reply_to, refusal(id, error));
            return;
        }
        let unchanged = self
            .members
            .get(id)
            .is_some_and(|member| member.protocols == protocols);
        let is_leader = self.is_leader(id);
        match self.state {
            // It may not have got the answer.
            State::CompletingRebalance if unchanged => {
                let response = self.join_response(id);
                core.reply(reply_to, response);
            }
            // The leader asks for a rebalance by joining: the topics may have changed.
            State::Stable if unchanged && !is_leader => {
                let mut response = self.join_response(id);
                response.members.clear();
                core.reply(reply_to, response);
            }
            State::Empty => core.reply(reply_to, refusal(id, ResponseError::UnknownMemberId)),
            _ => {
                self.update_member(core, request, protocols, id, reply_to);
                self.rebalance_or_complete_join(core);
            }
        }
    }

    fn update_member(
        &mut self,
        core: &mut Core,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        id: &str,
        reply_to: ReplyTo,
    ) {
        let Some(member) = self.members.get_mut(id) else {
            core.reply(reply_to, refusal(id, ResponseError::UnknownMemberId));
            return;
        };
        member.protocols = protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        if let Some(earlier) = member.awaiting_join.replace(reply_to) {
            // The client has given up on its first request and sent another one.
            core.reply(earlier, refusal(id, ResponseError::RebalanceInProgress));
        }
    }

    /// A process with the name of a static member takes its place (KIP-345). The old one is fenced; there is no
    /// rebalance as long as the assignment of the generation still holds.
    fn replace_static_member(
        &mut self,
        core: &mut Core,
        origin: &Origin,
        request: &JoinGroupRequest,
        protocols: Vec<Protocol>,
        (old_id, id): (&str, Arc<str>),
        reply_to: ReplyTo,
    ) {
        let Some(mut member) = self.members.remove(old_id) else {
            core.reply(reply_to, refusal("", ResponseError::UnknownMemberId));
            return;
        };
        self.fence(core, &mut member);
        let old_leader = self.leader.clone();
        if self.is_leader(old_id) {
            self.leader = Some(id.clone());
        }
        self.pending_syncs.remove(old_id);
        core.timers
            .cancel(&TimerKey::Heartbeat(self.id.clone(), old_id.into()));
        member.id = id.clone();
        member.protocols = protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        member.awaiting_join = Some(reply_to);
        self.touch(&member, core);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                let then = Then::StaticMemberReplaced {
                    group: self.id.clone(),
                    member: id,
                    old_leader,
                    version: origin.version,
                };
                core.append(vec![self.stored()], then);
            }
            // While the leader assigns, it does so for the old id.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(core),
            State::PreparingRebalance { .. } | State::Empty => self.maybe_complete_join(core),
        }
    }

    /// Answer the parked requests of a process whose place was taken.
    fn fence(&self, core: &mut Core, member: &mut Member) {
        let error = ResponseError::FencedInstanceId;
        if let Some(to) = member.awaiting_join.take() {
            core.reply(to, refusal(&member.id, error));
        }
        if let Some(to) = member.awaiting_sync.take() {
            core.reply(
                to,
                SyncGroupResponse::default().with_error_code(error.code()),
            );
        }
    }

    /// The new id of a static member is stored, or cannot be.
    pub(in crate::coordinator::group) fn static_member_replaced(
        &mut self,
        core: &mut Core,
        member_id: &str,
        old_leader: Option<&Arc<str>>,
        version: i16,
        outcome: Result<(), ResponseError>,
    ) {
        let mut response = self.join_response(member_id);
        if let Err(error) = outcome {
            response.members.clear();
            response.member_id = text("");
            response.error_code = error.code();
        } else if version >= SKIP_ASSIGNMENT_FROM {
            response.skip_assignment = self.is_leader(member_id);
        } else {
            // An old client that finds itself the leader would assign, without a rebalance to do it in.
            response.members.clear();
            response.leader = optional_text(old_leader).unwrap_or_default();
        }
        let member = self.members.get_mut(member_id);
        if let Some(to) = member.and_then(|member| member.awaiting_join.take()) {
            core.reply(to, response);
        }
    }

    /// The answer that tells a member its generation; the leader is told about the members too.
    pub(super) fn join_response(&self, member_id: &str) -> JoinGroupResponse {
        let members = match self.is_leader(member_id) {
            true => self.members_for_leader(),
            false => Vec::new(),
        };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(optional_text(self.protocol_type.as_ref()))
            .with_protocol_name(optional_text(self.protocol.as_ref()))
            .with_leader(optional_text(self.leader.as_ref()).unwrap_or_default())
            .with_member_id(text(member_id))
            .with_members(members)
    }
}
