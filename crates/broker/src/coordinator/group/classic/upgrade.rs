//! What a classic group hands over when it becomes a consumer group.

use super::group::ClassicGroup;
use super::join;
use super::sync;
use crate::coordinator::group::core::{Core, TimerKey};
use crate::coordinator::group::records::{Blob, ClassicProtocol, MemberMetadata};
use ottla_protocol::ResponseError;

impl ClassicGroup {
    /// Counts the rebalances.
    pub(in crate::coordinator::group) fn generation(&self) -> i32 {
        self.generation
    }

    /// How many members it has.
    pub(in crate::coordinator::group) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Whether it has that member.
    #[cfg(test)]
    pub(in crate::coordinator::group) fn has_member(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// Its members as they are stored, each with all the protocols it offers.
    pub(in crate::coordinator::group) fn offers(
        &self,
    ) -> impl Iterator<Item = (MemberMetadata, Vec<ClassicProtocol>)> {
        self.members.values().map(|member| {
            let offered = member.protocols.iter().map(|protocol| ClassicProtocol {
                name: protocol.name.to_string(),
                metadata: Blob((*protocol.metadata).into()),
            });
            let first = member.protocols.first().map(|protocol| &*protocol.name);
            let protocol = self.protocol.as_deref().or(first).unwrap_or_default();
            let stored = member.to_record(protocol, &member.assignment);
            (stored, offered.collect())
        })
    }

    /// Send everyone who waits away: they come back to the group that it becomes.
    pub(in crate::coordinator::group) fn interrupt(&mut self, core: &mut Core) {
        let error = ResponseError::RebalanceInProgress;
        for (id, member) in &mut self.members {
            if let Some(to) = member.awaiting_join.take() {
                core.reply(to, join::refusal(id, error));
            }
            if let Some(to) = member.awaiting_sync.take() {
                core.reply(to, sync::refusal(error));
            }
        }
    }

    /// Every deadline that it may have set.
    pub(in crate::coordinator::group) fn timer_keys(&self) -> Vec<TimerKey> {
        let members = self.members.keys().chain(&self.pending_joins);
        let heartbeats = members.map(|member| TimerKey::Heartbeat(self.id.clone(), member.clone()));
        let group = [
            TimerKey::Join(self.id.clone()),
            TimerKey::Sync(self.id.clone()),
        ];
        heartbeats.chain(group).collect()
    }
}
