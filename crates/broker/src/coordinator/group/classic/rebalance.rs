//! The rebalance: from the first member that joins to the generation they all know.

use std::sync::Arc;

use ottla_protocol::ResponseError;

use super::group::ClassicGroup;
use super::join::refusal;
use super::state::{InitialDelay, State};
use crate::coordinator::group::core::{Core, TimerKey};
use crate::coordinator::group::message::Then;

impl ClassicGroup {
    /// Whether it leads the group.
    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// How many members wait for the others to join.
    pub(super) fn awaiting_joins(&self) -> usize {
        let members = self.members.values();
        members
            .filter(|member| member.awaiting_join.is_some())
            .count()
    }

    /// Longest time a member asked for to finish its work and join.
    fn rebalance_timeout_ms(&self) -> i32 {
        let timeouts = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0).max(0)
    }

    fn has_all_joined(&self) -> bool {
        self.pending_joins.is_empty()
            && (self.members.values()).all(|member| member.awaiting_join.is_some())
    }

    /// Start a rebalance, or see whether the running one can go on.
    pub(super) fn rebalance_or_complete_join(&mut self, core: &mut Core) {
        match self.state {
            State::PreparingRebalance { .. } => self.maybe_complete_join(core),
            _ => self.prepare_rebalance(core),
        }
    }

    /// Let the members join. An empty group waits a while for more of them, the others until all have come back.
    pub(in crate::coordinator::group) fn prepare_rebalance(&mut self, core: &mut Core) {
        if self.state == State::CompletingRebalance {
            self.reset_assignment(core, ResponseError::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        core.timers.cancel(&TimerKey::Sync(self.id.clone()));
        if self.is_empty() {
            let delay_ms = core.config.initial_rebalance_delay_ms;
            let initial = InitialDelay {
                new_member: false,
                delay_ms,
                remaining_ms: self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0),
            };
            core.set_timer(TimerKey::Join(self.id.clone()), delay_ms.into());
            let initial = Some(initial);
            self.transition(State::PreparingRebalance { initial }, core);
            return;
        }
        self.transition(State::PreparingRebalance { initial: None }, core);
        if self.has_all_joined() {
            self.complete_join(core);
        } else {
            let timeout_ms = self.rebalance_timeout_ms();
            core.set_timer(TimerKey::Join(self.id.clone()), timeout_ms.into());
        }
    }

    /// Go on when all members have joined, unless the initial delay runs.
    pub(super) fn maybe_complete_join(&mut self, core: &mut Core) {
        if self.state == (State::PreparingRebalance { initial: None }) && self.has_all_joined() {
            self.complete_join(core);
        }
    }

    /// The time to join is over.
    pub(in crate::coordinator::group) fn join_timeout(&mut self, core: &mut Core) {
        match &mut self.state {
            State::PreparingRebalance {
                initial: Some(delay),
            } if delay.new_member && delay.remaining_ms > 0 => {
                // Somebody came meanwhile, so more may come.
                let next = core
                    .config
                    .initial_rebalance_delay_ms
                    .min(delay.remaining_ms);
                *delay = InitialDelay {
                    new_member: false,
                    delay_ms: next,
                    remaining_ms: delay.remaining_ms.saturating_sub(delay.delay_ms).max(0),
                };
                core.set_timer(TimerKey::Join(self.id.clone()), next.into());
            }
            State::PreparingRebalance { .. } => self.complete_join(core),
            _ => {}
        }
    }

    /// The next generation begins with who is there. Dynamic members that have not come are out; static ones keep
    /// their place until their session ends.
    fn complete_join(&mut self, core: &mut Core) {
        core.timers.cancel(&TimerKey::Join(self.id.clone()));
        let late: Vec<Arc<str>> = (self.members.values())
            .filter(|member| member.awaiting_join.is_none() && !member.is_static())
            .map(|member| member.id.clone())
            .collect();
        for id in late {
            self.remove(&id, core);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members, and none of them has come: wait for their sessions to end.
            let timeout_ms = self.rebalance_timeout_ms();
            core.set_timer(TimerKey::Join(self.id.clone()), timeout_ms.into());
            return;
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        self.protocol = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_syncs.clear();
        if self.members.is_empty() {
            self.leader = None;
            self.transition(State::Empty, core);
            core.append(vec![self.stored()], Then::Nothing);
        } else {
            self.transition(State::CompletingRebalance, core);
            self.answer_joins(core);
        }
    }

    /// The leader has to be one who has joined.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &Arc<str>| {
            let member = self.members.get(id);
            member.is_some_and(|member| member.awaiting_join.is_some())
        };
        if !self.leader.as_ref().is_some_and(joined) {
            let Some(next) = self.members.keys().find(|id| joined(id)).cloned() else {
                return false;
            };
            self.leader = Some(next);
        }
        true
    }

    fn answer_joins(&mut self, core: &mut Core) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            let response = self.join_response(id);
            let Some(member) = self.members.get_mut(id) else {
                continue;
            };
            member.is_new = false;
            if let Some(to) = member.awaiting_join.take() {
                core.reply(to, response);
            }
            let key = TimerKey::Heartbeat(self.id.clone(), id.clone());
            core.set_timer(key, member.session_timeout_ms.into());
        }
        self.pending_syncs.extend(ids);
        let timeout_ms = self.rebalance_timeout_ms();
        core.set_timer(TimerKey::Sync(self.id.clone()), timeout_ms.into());
    }

    /// The time to send SyncGroup is over: who has not is out.
    pub(in crate::coordinator::group) fn sync_timeout(&mut self, core: &mut Core) {
        let is_synced = self.pending_syncs.is_empty();
        if is_synced || !matches!(self.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.remove(&id, core);
        }
        self.prepare_rebalance(core);
    }

    /// A member, or one that was given an id only, has been silent for too long.
    pub(in crate::coordinator::group) fn heartbeat_timeout(&mut self, core: &mut Core, id: &str) {
        match self.members.get(id) {
            Some(member) if member.is_waiting() => {}
            None if !self.pending_joins.contains(id) => {}
            _ => {
                self.remove(id, core);
                self.member_gone(core);
            }
        }
    }

    /// What follows when a member is no more.
    pub(super) fn member_gone(&mut self, core: &mut Core) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(core),
            State::PreparingRebalance { .. } => self.maybe_complete_join(core),
            State::Empty => {}
        }
    }

    /// Take a member out, with its parked requests and its session. The caller decides what follows.
    pub(super) fn remove(&mut self, id: &str, core: &mut Core) {
        if let Some(member) = self.members.remove(id) {
            if let Some(to) = member.awaiting_join {
                core.reply(to, refusal("", ResponseError::UnknownMemberId));
            }
            if let Some(to) = member.awaiting_sync {
                core.reply(to, super::sync::refusal(ResponseError::UnknownMemberId));
            }
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let key = TimerKey::Heartbeat(self.id.clone(), id.into());
        core.timers.cancel(&key);
    }
}
