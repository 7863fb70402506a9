//! What members send: JoinGroup, SyncGroup, Heartbeat, LeaveGroup and ConsumerGroupHeartbeat, taken to the group they
//! name; and the way of a group with members from one protocol to the other, while they go on consuming (KIP-848).
//!
//! A classic group becomes a consumer group when a member of the consumer protocol joins it, as far as the migration
//! policy allows; its members go on with the classic protocol and are served by `consumer`. It becomes a classic group
//! again when the last member of the consumer protocol is gone. Either way all of it is one batch of the log.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
};

use super::GroupShard;
use super::classic::{self, ClassicGroup};
use super::consumer::{self, ConsumerGroup};
use super::kind::Group;
use super::message::{Answer, Downgrade, Origin, Then, Upgrade};
use super::records::GroupRecord;
use crate::coordinator::shard::ReplyTo;

/// Protocols that a classic member may offer: each is looked for among those of all others. Clients have one for each
/// assignor, rarely more than two.
const MAX_PROTOCOLS: usize = 100;

impl GroupShard {
    /// Take a JoinGroup.
    pub(super) fn join(
        &mut self,
        origin: Origin,
        mut request: JoinGroupRequest,
        reply_to: ReplyTo,
    ) {
        if let Err(error) = self.check_join(&origin, &mut request) {
            let refusal = classic::join_refusal(&request.member_id, error);
            self.core.reply(reply_to, refusal);
            return;
        }
        if let Some((group, core)) = self.classic(&request.group_id) {
            group.join(core, &origin, &request, reply_to);
            return;
        }
        let mut records = match self.groups.get(&**request.group_id) {
            Some(Group::Consumer(group)) if !group.is_empty() => {
                self.join_consumer_group(&origin, &request, reply_to);
                return;
            }
            // A consumer group without members becomes a classic one; its offsets stay.
            Some(group) => group.tombstones(&request.group_id),
            None => Vec::new(),
        };
        let now = self.core.now.wall;
        records.push(ClassicGroup::creation_record(&request.group_id, now));
        let then = Then::Join(Box::new((origin, request)), reply_to);
        self.core.append(records, then);
    }

    /// Take a heartbeat of the consumer protocol.
    pub(super) fn consumer_heartbeat(
        &mut self,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
        reply_to: ReplyTo,
    ) {
        if let Err(refusal) = consumer::check(origin.version, request) {
            self.core.reply(reply_to, refusal.response());
            return;
        }
        let id: &str = &request.group_id;
        let upgrades = request.member_epoch == 0
            && matches!(self.groups.get(id), Some(Group::Classic(group)) if !group.is_empty());
        let decided = match upgrades {
            true => self.decide_upgrade(origin, request),
            false => self.decide_heartbeat(origin, request),
        };
        let (records, response) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                self.core.reply(reply_to, refusal.response());
                return;
            }
        };
        let answer = (reply_to, Box::new(response.into()));
        let then = match upgrades {
            true => self.begin_upgrade(id, answer),
            false => self.after_removal(id, &records, Some(answer)),
        };
        self.core.append(records, then);
    }

    /// A classic group with members becomes a consumer group, which the member then joins.
    fn decide_upgrade(
        &mut self,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(Vec<GroupRecord>, ConsumerGroupHeartbeatResponse), consumer::Refusal> {
        let id: &str = &request.group_id;
        let Some(Group::Classic(classic)) = self.groups.get(id) else {
            return self.decide_heartbeat(origin, request);
        };
        let (group, made) = ConsumerGroup::from_classic(id, classic, &self.core)?;
        let (joined, response) = group.heartbeat(&mut self.core, origin, request)?;
        let mut records = Group::classic_tombstone(id);
        records.extend(made);
        records.extend(joined);
        Ok((records, response))
    }

    fn begin_upgrade(&mut self, id: &str, answer: Answer) -> Then {
        let mut stale_timers = Vec::new();
        if let Some((group, core)) = self.classic(id) {
            group.interrupt(core);
            stale_timers = group.timer_keys();
        }
        Then::Upgraded(Box::new(Upgrade {
            group: id.into(),
            stale_timers,
            answer,
        }))
    }

    /// The records of an upgrade are in the log, or cannot be, and the group is what it was.
    pub(super) fn upgraded(&mut self, upgrade: Upgrade, outcome: Result<(), ResponseError>) {
        if outcome.is_ok() {
            for key in &upgrade.stale_timers {
                self.core.timers.cancel(key);
            }
            if let Some(Group::Consumer(group)) = self.groups.get(&upgrade.group) {
                tracing::info!(
                    group = &*upgrade.group,
                    "a classic group became a consumer group"
                );
                group.handle_loaded(&mut self.core);
            }
        }
        self.answer(upgrade.answer, outcome);
    }

    /// What follows the removal of a consumer: when the records make the group a classic one, a rebalance.
    fn after_removal(&self, id: &str, records: &[GroupRecord], answer: Option<Answer>) -> Then {
        let is_downgrade =
            (records.iter()).any(|record| matches!(record, GroupRecord::GroupMetadata(_, Some(_))));
        match (is_downgrade, answer) {
            (true, answer) => self.begin_downgrade(id, true, answer),
            (false, Some((reply_to, response))) => Then::Reply(reply_to, response),
            (false, None) => Then::Nothing,
        }
    }

    fn begin_downgrade(&self, id: &str, rebalance: bool, answer: Option<Answer>) -> Then {
        let stale_timers = match self.groups.get(id) {
            Some(Group::Consumer(group)) => group.timer_keys(),
            _ => Vec::new(),
        };
        Then::Downgraded(Box::new(Downgrade {
            group: id.into(),
            rebalance,
            stale_timers,
            answer,
        }))
    }

    /// The records of a downgrade are in the log, or cannot be, and the group is what it was.
    pub(super) fn downgraded(&mut self, downgrade: Downgrade, outcome: Result<(), ResponseError>) {
        if outcome.is_ok() {
            for key in &downgrade.stale_timers {
                self.core.timers.cancel(key);
            }
            if let Some((group, core)) = self.classic(&downgrade.group) {
                tracing::info!(
                    group = &*downgrade.group,
                    "a consumer group became a classic group"
                );
                group.handle_loaded(core);
                if downgrade.rebalance {
                    group.prepare_rebalance(core);
                }
            }
        }
        if let Some(answer) = downgrade.answer {
            self.answer(answer, outcome);
        }
    }

    fn answer(&mut self, (to, response): Answer, outcome: Result<(), ResponseError>) {
        let response = match outcome {
            Ok(()) => *response,
            Err(error) => response.failed(error),
        };
        self.core.reply(to, response);
    }

    /// A member that speaks the classic protocol joins a consumer group.
    fn join_consumer_group(
        &mut self,
        origin: &Origin,
        request: &JoinGroupRequest,
        reply_to: ReplyTo,
    ) {
        let id: &str = &request.group_id;
        let Some(Group::Consumer(group)) = self.groups.get(id) else {
            return;
        };
        let joined = match group.classic_join(&mut self.core, origin, request) {
            Ok(joined) => joined,
            Err((error, member)) => {
                let refusal = classic::join_refusal(&member, error);
                self.core.reply(reply_to, refusal);
                return;
            }
        };
        let answer = (reply_to, Box::new(joined.response.into()));
        let then = match joined.downgrade {
            Some(rebalance) => self.begin_downgrade(id, rebalance, Some(answer)),
            None => Then::Reply(answer.0, answer.1),
        };
        self.core.append(joined.records, then);
    }

    fn decide_heartbeat(
        &mut self,
        origin: &Origin,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(Vec<GroupRecord>, ConsumerGroupHeartbeatResponse), consumer::Refusal> {
        let id: &str = &request.group_id;
        let joins = request.member_epoch == 0;
        let mut records = match self.groups.get(id) {
            Some(Group::Consumer(group)) => {
                return group.heartbeat(&mut self.core, origin, request);
            }
            // A classic group without members becomes a consumer group; its offsets stay.
            Some(group) if joins && group.is_empty() => group.tombstones(id),
            None if joins => Vec::new(),
            Some(_) => {
                return Err(consumer::Refusal::not_found(format!(
                    "Group {id} is not a consumer group."
                )));
            }
            None => {
                let kind = match request.member_epoch > 0 {
                    true => "Consumer group",
                    false => "Group",
                };
                return Err(consumer::Refusal::not_found(format!(
                    "{kind} {id} not found."
                )));
            }
        };
        let group = ConsumerGroup::new(Arc::from(id));
        let (more, response) = group.heartbeat(&mut self.core, origin, request)?;
        records.extend(more);
        Ok((records, response))
    }

    /// Take a member out whose time is over.
    pub(super) fn remove_consumer(&mut self, id: &str, member: &str) {
        if let Some(Group::Consumer(group)) = self.groups.get(id) {
            let records = group.removal(&self.core, member);
            let then = self.after_removal(id, &records, None);
            self.core.append(records, then);
        }
    }

    /// Look up what the expressions of a consumer group match. Should the records not be stored, the next heartbeat asks
    /// for it again.
    pub(super) fn resolve_expressions(&mut self, id: &str) {
        if let Some(Group::Consumer(group)) = self.groups.get(id) {
            let records = group.resolved_expressions(&self.core);
            self.core.append(records, Then::Nothing);
        }
    }

    /// What can be told of a JoinGroup without a group, or without members in it.
    fn check_join(
        &self,
        origin: &Origin,
        request: &mut JoinGroupRequest,
    ) -> Result<(), ResponseError> {
        check_group_id(&request.group_id)?;
        let config = &self.core.config;
        let timeouts = config.min_session_timeout_ms..=config.max_session_timeout_ms;
        if !timeouts.contains(&request.session_timeout_ms) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        if origin.version == 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        if request.protocols.len() > MAX_PROTOCOLS {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.groups.contains_key(&**request.group_id) {
            return Ok(());
        }
        // A group is made also for a member that it then refuses, as in Kafka.
        match request.member_id.is_empty() {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Take a SyncGroup.
    pub(super) fn sync(&mut self, request: &SyncGroupRequest, reply_to: ReplyTo) {
        if let Err(error) = check_group_id(&request.group_id) {
            self.core.reply(reply_to, classic::sync_refusal(error));
        } else if let Some((group, core)) = self.classic(&request.group_id) {
            group.sync(core, request, reply_to);
        } else {
            let response = match self.groups.get(&**request.group_id) {
                Some(Group::Consumer(group)) => group.classic_sync(&mut self.core, request),
                _ => Err(ResponseError::UnknownMemberId),
            };
            let response = response.unwrap_or_else(classic::sync_refusal);
            self.core.reply(reply_to, response);
        }
    }

    /// Take a Heartbeat.
    pub(super) fn heartbeat(&mut self, request: &HeartbeatRequest) -> Result<(), ResponseError> {
        check_group_id(&request.group_id)?;
        match self.groups.get_mut(&**request.group_id) {
            Some(Group::Classic(group)) => group.heartbeat(&mut self.core, request),
            Some(Group::Consumer(group)) => group.classic_heartbeat(&mut self.core, request),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Before version 3 a request names one member, and the answer has no list.
    pub(super) fn leave(
        &mut self,
        origin: &Origin,
        mut request: LeaveGroupRequest,
        reply_to: ReplyTo,
    ) {
        if let Err(error) = check_group_id(&request.group_id) {
            let refusal = LeaveGroupResponse::default().with_error_code(error.code());
            self.core.reply(reply_to, refusal);
            return;
        }
        let one = origin.version < 3;
        if one {
            let member_id = std::mem::take(&mut request.member_id);
            request.members = vec![MemberIdentity::default().with_member_id(member_id)];
        }
        let (records, members) = match self.groups.get_mut(&**request.group_id) {
            Some(Group::Classic(group)) => {
                (Vec::new(), group.leave(&mut self.core, &request.members))
            }
            Some(Group::Consumer(group)) => group.classic_leave(&self.core, &request.members),
            None => (Vec::new(), unknown_members(&request.members)),
        };
        let response = match one {
            true => {
                let code = members.first().map_or(0, |member| member.error_code);
                LeaveGroupResponse::default().with_error_code(code)
            }
            false => LeaveGroupResponse::default().with_members(members),
        };
        let then = Then::Reply(reply_to, Box::new(response.into()));
        self.core.append(records, then);
    }
}

/// The empty group id commits offsets, for the sake of old clients, but has no members.
pub(super) fn check_group_id(id: &str) -> Result<(), ResponseError> {
    match id.is_empty() {
        true => Err(ResponseError::InvalidGroupId),
        false => Ok(()),
    }
}

fn unknown_members(members: &[MemberIdentity]) -> Vec<MemberResponse> {
    let members = members.iter().map(|member| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(ResponseError::UnknownMemberId.code())
    });
    members.collect()
}
