//! LeaveGroup: members go, or an operator takes static members out.

use ottla_protocol::ResponseError;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;

use super::group::ClassicGroup;
use crate::coordinator::group::core::Core;

impl ClassicGroup {
    /// Take the members of a LeaveGroup out, and say of each how it went.
    pub(in crate::coordinator::group) fn leave(
        &mut self,
        core: &mut Core,
        members: &[MemberIdentity],
    ) -> Vec<MemberResponse> {
        let mut any_left = false;
        let mut responses = Vec::with_capacity(members.len());
        for identity in members {
            let outcome = self.leave_one(core, identity);
            any_left |= outcome.is_ok();
            responses.push(
                MemberResponse::default()
                    .with_member_id(identity.member_id.clone())
                    .with_group_instance_id(identity.group_instance_id.clone())
                    .with_error_code(outcome.err().map_or(0, |error| error.code())),
            );
        }
        if any_left {
            self.member_gone(core);
        }
        responses
    }

    /// An operator names a static member by its instance id alone.
    fn leave_one(
        &mut self,
        core: &mut Core,
        identity: &MemberIdentity,
    ) -> Result<(), ResponseError> {
        let instance_id = identity.group_instance_id.as_deref();
        if identity.member_id.is_empty() {
            let id = instance_id.and_then(|instance_id| self.static_members.get(instance_id));
            let id = id.cloned().ok_or(ResponseError::UnknownMemberId)?;
            self.remove(&id, core);
            return Ok(());
        }
        if !self.pending_joins.contains(&*identity.member_id) {
            self.check_member(&identity.member_id, instance_id)?;
        }
        self.remove(&identity.member_id, core);
        Ok(())
    }
}
