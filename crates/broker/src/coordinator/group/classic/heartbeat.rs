//! Heartbeat: a member is alive, and learns whether it has to join again.

use ottla_protocol::ResponseError;
use ottla_protocol::messages::HeartbeatRequest;

use super::group::ClassicGroup;
use super::state::State;
use crate::coordinator::group::core::Core;

impl ClassicGroup {
    /// Take a Heartbeat.
    pub(in crate::coordinator::group) fn heartbeat(
        &mut self,
        core: &mut Core,
        request: &HeartbeatRequest,
    ) -> Result<(), ResponseError> {
        let id = &*request.member_id;
        self.check_member(id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = self.members.get(id) {
            self.touch(member, core);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance { .. } => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }
}
