//! Groups of consumers: one shard for each partition of `__consumer_offsets`, with the groups whose id hashes to it
//! and all the offsets they committed.
//!
//! This file is the shard: what comes in, deadlines, replay. `membership` takes what members send to the group they name and
//! moves groups from one protocol to the other; what a group does is in `classic` and `consumer`, what happens to offsets in
//! `offsets` and `offset_expiration`, what operators ask in `describe`.

pub mod assignor;
pub mod config;
pub mod consumer_protocol;
pub mod message;
pub mod offsets;
pub mod records;
pub mod sample;
pub mod topics;
pub mod transactional_offsets;

mod classic;
mod consumer;
mod core;
mod describe;
mod kind;
mod membership;
mod offset_expiration;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::ProducerId;
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use ottla_protocol::messages::{HeartbeatResponse, OffsetCommitRequest, OffsetDeleteResponse};

use self::classic::ClassicGroup;
use self::config::{DynamicConfigs, GroupConfig};
use self::consumer::ConsumerGroup;
use self::core::Core;
pub use self::core::{GroupEffect, NewId, TimerKey};
use self::kind::Group;
use self::membership::check_group_id;
use self::message::{GroupRequest, GroupResponse, Origin, Then, append_error};
use self::offsets::Offsets;
use self::records::{GroupMetadataKey, GroupMetadataValue, GroupRecord, OffsetCommitValue};
use self::topics::Topics;
use super::shard::{AppendFailure, Deadline, Now, RecordOrigin, ReplyTo, Shard, TimerTable};
use crate::answer_room::AnswerRoom;

/// One shard of the group coordinator.
#[derive(Debug)]
pub struct GroupShard {
    core: Core,
    groups: HashMap<Arc<str>, Group>,
    offsets: Offsets,
}

impl GroupShard {
    /// A shard that knows nothing yet: replay the log, then call [`Shard::handle_loaded`].
    pub fn new(
        config: Arc<GroupConfig>,
        dynamic: Arc<dyn DynamicConfigs>,
        topics: Arc<dyn Topics>,
        new_id: NewId,
    ) -> Self {
        Self {
            core: Core {
                config,
                dynamic,
                now: Now::default(),
                timers: TimerTable::default(),
                effects: VecDeque::new(),
                new_id,
                topics,
                counts: sample::Counts::default(),
            },
            groups: HashMap::new(),
            offsets: Offsets::default(),
        }
    }

    /// The offsets of all groups.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The group as a classic one, with what it works with.
    fn classic(&mut self, id: &str) -> Option<(&mut ClassicGroup, &mut Core)> {
        match self.groups.get_mut(id)? {
            Group::Classic(group) => Some((group, &mut self.core)),
            Group::Consumer(_) => None,
        }
    }

    fn fetch(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
        room: AnswerRoom,
    ) -> OffsetFetchResponseGroup {
        let refused = match self.groups.get(&**request.group_id) {
            Some(Group::Consumer(group)) => group
                .check_offset_fetch(request.member_id.as_deref(), request.member_epoch)
                .err(),
            _ => None,
        };
        let fetched = match refused {
            Some(error) => Err(error),
            None => self.offsets.fetch(request, require_stable, room),
        };
        fetched.unwrap_or_else(|error| {
            OffsetFetchResponseGroup::default()
                .with_group_id(request.group_id.clone())
                .with_error_code(error.code())
        })
    }

    /// A record of a consumer group. Tombstones of groups that are gone say nothing.
    fn replay_consumer(&mut self, group_id: &str, is_tombstone: bool, record: GroupRecord) {
        if let GroupRecord::ConsumerGroupMetadata(_, None) = record {
            self.groups.remove(group_id);
            return;
        }
        if !matches!(self.groups.get(group_id), Some(Group::Consumer(_))) {
            if is_tombstone {
                return;
            }
            let id: Arc<str> = group_id.into();
            let group = Box::new(ConsumerGroup::new(id.clone()));
            self.groups.insert(id, Group::Consumer(group));
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(group_id) {
            group.replay(record);
        }
    }

    fn commit(&mut self, origin: &Origin, request: &OffsetCommitRequest, reply_to: ReplyTo) {
        if let Err(error) = self.check_commit(origin, request) {
            let refusal = offsets::refuse_commit(request, error);
            self.core.reply(reply_to, refusal);
            return;
        }
        if let Some((group, core)) = self.classic(&request.group_id) {
            group.touch_on_commit(&request.member_id, core);
        }
        let (records, response) = offsets::commit(&self.core.config, self.core.now.wall, request);
        let then = Then::Reply(reply_to, Box::new(response.into()));
        self.core.append(records, then);
    }

    /// A commit without generation to a group that does not exist makes one that only commits offsets.
    fn check_commit(
        &self,
        origin: &Origin,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let generation = request.generation_id_or_member_epoch;
        match self.groups.get(&**request.group_id) {
            Some(Group::Classic(group)) => {
                let instance_id = request.group_instance_id.as_deref();
                group.check_offset_commit(&request.member_id, instance_id, generation, false)
            }
            Some(Group::Consumer(group)) => {
                group.check_offset_commit(&request.member_id, generation, origin.version)
            }
            None if generation < 0 => Ok(()),
            None if origin.version >= 9 => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    fn replay_group(&mut self, key: GroupMetadataKey, value: Option<GroupMetadataValue>) {
        let Some(value) = value else {
            self.groups.remove(&*key.group);
            return;
        };
        let id: Arc<str> = key.group.into();
        if let Some(Group::Classic(group)) = self.groups.get_mut(&id) {
            group.replay(value);
            return;
        }
        let mut group = Box::new(ClassicGroup::simple(id.clone()));
        group.replay(value);
        self.groups.insert(id, Group::Classic(group));
    }

    fn replay_offset(
        &mut self,
        origin: RecordOrigin,
        key: &records::OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    ) {
        let Some(value) = value else {
            self.offsets.replay_tombstone(key);
            return;
        };
        if !self.groups.contains_key(&*key.group) {
            let id: Arc<str> = Arc::from(&*key.group);
            let group = Group::Classic(Box::new(ClassicGroup::simple(id.clone())));
            self.groups.insert(id, group);
        }
        (self.offsets).replay(origin.offset, origin.producer_id, key, value);
    }
}

impl Shard for GroupShard {
    type Request = GroupRequest;
    type Response = GroupResponse;
    type Record = GroupRecord;
    type Then = Then;
    type Work = Infallible;
    const KIND: &'static str = "groups";

    fn handle_request(&mut self, now: Now, request: GroupRequest, reply_to: ReplyTo) {
        self.core.now = now;
        match request {
            GroupRequest::ConsumerGroupDescribe(ids, room) => {
                let response = self.describe_consumers(&ids, room);
                self.core.reply(reply_to, response);
            }
            GroupRequest::ConsumerGroupHeartbeat(origin, request) => {
                self.consumer_heartbeat(&origin, &request, reply_to);
            }
            GroupRequest::DeleteGroups(ids) => self.delete_groups(&ids, reply_to),
            GroupRequest::DescribeGroups(origin, ids, room) => {
                let response = self.describe(origin.version, &ids, room);
                self.core.reply(reply_to, response);
            }
            GroupRequest::EndTransaction(producer, marker) => {
                self.end_transaction(producer, marker, reply_to);
            }
            GroupRequest::Heartbeat(request) => {
                let refused = self.heartbeat(&request).err();
                let code = refused.map_or(0, |error| error.code());
                let response = HeartbeatResponse::default().with_error_code(code);
                self.core.reply(reply_to, response);
            }
            GroupRequest::JoinGroup(origin, request) => self.join(origin, request, reply_to),
            GroupRequest::LeaveGroup(origin, request) => self.leave(&origin, request, reply_to),
            GroupRequest::ListGroups(filter) => {
                let response = self.list(&filter);
                self.core.reply(reply_to, response);
            }
            GroupRequest::OffsetCommit(origin, request) => self.commit(&origin, &request, reply_to),
            GroupRequest::OffsetDelete(request) => match check_group_id(&request.group_id) {
                Ok(()) => self.delete_offsets(&request, reply_to),
                Err(error) => {
                    let refusal = OffsetDeleteResponse::default().with_error_code(error.code());
                    self.core.reply(reply_to, refusal);
                }
            },
            GroupRequest::OffsetFetch(request, require_stable, room) => {
                let response = self.fetch(&request, require_stable, room);
                self.core.reply(reply_to, response);
            }
            GroupRequest::PartitionsDeleted(gone) => self.delete_partitions(&gone, reply_to),
            GroupRequest::Sample => {
                let response = self.sample();
                self.core.reply(reply_to, response);
            }
            GroupRequest::SyncGroup(request) => self.sync(&request, reply_to),
            GroupRequest::TxnOffsetCommit(producer, request) => {
                self.commit_transactional(producer, &request, reply_to);
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.core.now = now;
        let Some(key) = self.core.timers.pop(now.steady) else {
            return;
        };
        match key {
            TimerKey::ConsumerExpressions(id) => self.resolve_expressions(&id),
            TimerKey::ConsumerRebalance(id, member) => {
                if matches!(self.groups.get(&id), Some(Group::Consumer(group)) if group.is_revoking(&member))
                {
                    self.remove_consumer(&id, &member);
                }
            }
            TimerKey::ConsumerJoin(id, member)
            | TimerKey::ConsumerSession(id, member)
            | TimerKey::ConsumerSync(id, member) => self.remove_consumer(&id, &member),
            TimerKey::ExpireOffsets => self.expire_offsets(),
            TimerKey::Heartbeat(id, member) => {
                if let Some((group, core)) = self.classic(&id) {
                    group.heartbeat_timeout(core, &member);
                }
            }
            TimerKey::Join(id) => {
                if let Some((group, core)) = self.classic(&id) {
                    group.join_timeout(core);
                }
            }
            TimerKey::Sync(id) => {
                if let Some((group, core)) = self.classic(&id) {
                    group.sync_timeout(core);
                }
            }
        }
    }

    fn handle_append(&mut self, now: Now, then: Then, outcome: Result<(), AppendFailure>) {
        self.core.now = now;
        let outcome = outcome.map_err(append_error);
        match then {
            Then::Downgraded(downgrade) => self.downgraded(*downgrade, outcome),
            Then::Nothing => {}
            Then::Reply(to, response) => {
                let response = match outcome {
                    Ok(()) => *response,
                    Err(error) => response.failed(error),
                };
                self.core.reply(to, response);
            }
            Then::Join(request, reply_to) => match outcome {
                Ok(()) => self.join(request.0, request.1, reply_to),
                Err(error) => {
                    let refusal = classic::join_refusal(&request.1.member_id, error);
                    self.core.reply(reply_to, refusal);
                }
            },
            Then::StaticMemberReplaced {
                group,
                member,
                old_leader,
                version,
            } => {
                if let Some((group, core)) = self.classic(&group) {
                    let old_leader = old_leader.as_ref();
                    group.static_member_replaced(core, &member, old_leader, version, outcome);
                }
            }
            Then::Synced { group, generation } => {
                if let Some((group, core)) = self.classic(&group) {
                    group.synced(core, generation, outcome);
                }
            }
            Then::Upgraded(upgrade) => self.upgraded(*upgrade, outcome),
        }
    }

    fn handle_loaded(&mut self, now: Now) {
        self.core.now = now;
        let interval_ms = self.core.config.offsets_retention_check_interval_ms;
        self.core.set_timer(TimerKey::ExpireOffsets, interval_ms);
        for group in self.groups.values_mut() {
            match group {
                Group::Classic(group) => {
                    group.handle_loaded(&mut self.core);
                    if group.awaits_rebalance() {
                        group.prepare_rebalance(&mut self.core);
                    }
                }
                Group::Consumer(group) => group.handle_loaded(&mut self.core),
            }
        }
    }

    fn replay(&mut self, origin: RecordOrigin, record: GroupRecord) {
        match record {
            GroupRecord::GroupMetadata(key, value) => self.replay_group(key, value),
            GroupRecord::OffsetCommit(key, value) => self.replay_offset(origin, &key, value),
            GroupRecord::LegacyOffsetCommit(key, value) => {
                let value = value.map(|value| OffsetCommitValue {
                    offset: value.offset,
                    metadata: value.metadata,
                    commit_timestamp: value.commit_timestamp,
                    ..OffsetCommitValue::default()
                });
                self.replay_offset(origin, &key, value);
            }
            record => {
                if let Some((group, is_tombstone)) = record.consumer_group() {
                    let group = group.to_owned();
                    self.replay_consumer(&group, is_tombstone, record);
                }
            }
        }
    }

    fn replay_end_transaction(&mut self, producer_id: ProducerId, committed: bool) {
        self.offsets.replay_end_transaction(producer_id, committed);
    }

    fn entry_count(&self) -> usize {
        self.groups.len()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.core.timers.next()
    }

    fn poll_effect(&mut self) -> Option<GroupEffect> {
        self.core.effects.pop_front()
    }
}

/// The partition of `__consumer_offsets` that looks after a group, of `count`: Java's `String.hashCode` and
/// `Utils.abs`.
pub fn partition_for(group: &str, count: usize) -> usize {
    let hash = (group.encode_utf16()).fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    });
    let positive = hash.checked_abs().unwrap_or(0);
    usize::try_from(positive).unwrap_or(0) % count.max(1)
}

#[cfg(test)]
mod tests;
