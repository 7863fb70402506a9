//! SyncGroup: the leader hands in the assignment, everyone takes their part.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::group::ClassicGroup;
use super::state::State;
use crate::coordinator::group::core::{Core, TimerKey, optional_text};
use crate::coordinator::group::message::Then;
use crate::coordinator::shard::ReplyTo;

/// An answer that says only what is wrong.
pub(in crate::coordinator::group) fn refusal(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}

impl ClassicGroup {
    /// Take a SyncGroup.
    pub(in crate::coordinator::group) fn sync(
        &mut self,
        core: &mut Core,
        request: &SyncGroupRequest,
        reply_to: ReplyTo,
    ) {
        if let Err(error) = self.check_sync(request) {
            core.reply(reply_to, refusal(error));
            return;
        }
        let id = &*request.member_id;
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            core.timers.cancel(&TimerKey::Sync(self.id.clone()));
        }
        if self.state == State::Stable {
            let response = self.sync_response(id);
            core.reply(reply_to, response);
            return;
        }
        let is_leader = self.is_leader(id);
        if let Some(member) = self.members.get_mut(id)
            && let Some(earlier) = member.awaiting_sync.replace(reply_to)
        {
            // The client has given up on its first request and sent another one.
            core.reply(earlier, refusal(ResponseError::RebalanceInProgress));
        }
        if is_leader {
            self.store_assignment(core, request);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        if self.is_empty() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if differs(request.protocol_type.as_ref(), self.protocol_type.as_ref())
            || differs(request.protocol_name.as_ref(), self.protocol.as_ref())
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.state.is_preparing() {
            true => Err(ResponseError::RebalanceInProgress),
            false => Ok(()),
        }
    }

    /// Write the generation with what the leader assigned; a member it left out gets nothing.
    fn store_assignment(&mut self, core: &mut Core, request: &SyncGroupRequest) {
        let assigned: HashMap<&str, &[u8]> = (request.assignments.iter())
            .map(|assignment| (&*assignment.member_id, &*assignment.assignment))
            .collect();
        // The group is in the record's state once the record is in the log.
        self.state_since = Some(core.now.wall);
        let record =
            self.to_record(|member| assigned.get(&*member.id).copied().unwrap_or_default());
        let then = Then::Synced {
            group: self.id.clone(),
            generation: self.generation,
        };
        core.append(vec![record], then);
    }

    /// The assignment is stored and replayed, or cannot be stored.
    pub(in crate::coordinator::group) fn synced(
        &mut self,
        core: &mut Core,
        generation: i32,
        outcome: Result<(), ResponseError>,
    ) {
        if generation != self.generation {
            return;
        }
        match (outcome, self.state) {
            (Ok(()), State::Stable) => {
                core.counts.classic_rebalances += 1;
                self.answer_syncs(core);
            }
            (Err(error), State::CompletingRebalance) => {
                self.reset_assignment(core, error);
                self.prepare_rebalance(core);
            }
            _ => {}
        }
    }

    fn answer_syncs(&mut self, core: &mut Core) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.sync_response(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            if let Some(to) = member.awaiting_sync.take() {
                core.reply(to, response);
                // Its session may have ended while it waited, which was forgiven.
                let key = TimerKey::Heartbeat(self.id.clone(), id.clone());
                core.set_timer(key, member.session_timeout_ms.into());
            }
        }
    }

    /// Forget the assignments and send everyone who waits for one away.
    pub(super) fn reset_assignment(&mut self, core: &mut Core, error: ResponseError) {
        for (id, member) in &mut self.members {
            member.assignment = Arc::default();
            if let Some(to) = member.awaiting_sync.take() {
                core.reply(to, refusal(error));
                let key = TimerKey::Heartbeat(self.id.clone(), id.clone());
                core.set_timer(key, member.session_timeout_ms.into());
            }
        }
    }

    fn sync_response(&self, member_id: &str) -> SyncGroupResponse {
        let assignment = self
            .members
            .get(member_id)
            .map(|member| member.assignment.to_vec());
        SyncGroupResponse::default()
            .with_protocol_type(optional_text(self.protocol_type.as_ref()))
            .with_protocol_name(optional_text(self.protocol.as_ref()))
            .with_assignment(assignment.unwrap_or_default().into())
    }
}

/// Whether both are known and not the same.
fn differs(sent: Option<&StrBytes>, known: Option<&Arc<str>>) -> bool {
    matches!((sent, known), (Some(sent), Some(known)) if **sent != **known)
}
