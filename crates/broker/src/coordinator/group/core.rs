//! What every part of a group shard works with: the time, the settings, deadlines and effects.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::config::{DynamicConfigs, GroupConfig};
use super::message::{GroupResponse, Then};
use super::records::GroupRecord;
use super::sample::Counts;
use super::topics::Topics;
use crate::coordinator::shard::{Effect, Now, ReplyTo, TimerTable};

/// An effect of a group shard.
pub type GroupEffect = Effect<GroupRecord, Then, GroupResponse>;

/// Where new member ids come from.
pub type NewId = Box<dyn FnMut() -> Uuid + Send>;

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// What the expressions of a consumer group's members match is to be looked up: group.
    ConsumerExpressions(Arc<str>),
    /// A classic member of a consumer group has not joined again: group, member.
    ConsumerJoin(Arc<str>, Arc<str>),
    /// A member of a consumer group has not given up partitions in time: group, member.
    ConsumerRebalance(Arc<str>, Arc<str>),
    /// A member of a consumer group has been silent too long: group, member.
    ConsumerSession(Arc<str>, Arc<str>),
    /// A classic member of a consumer group has joined and not sent SyncGroup: group, member.
    ConsumerSync(Arc<str>, Arc<str>),
    /// Look for expired offsets.
    ExpireOffsets,
    /// A classic member, or one that has been given an id only, has been silent too long: group, member.
    Heartbeat(Arc<str>, Arc<str>),
    /// The members of a classic group have had the time to join.
    Join(Arc<str>),
    /// The members of a classic group have had the time to send SyncGroup.
    Sync(Arc<str>),
}

/// See the module's documentation.
pub(super) struct Core {
    pub(super) config: Arc<GroupConfig>,
    pub(super) dynamic: Arc<dyn DynamicConfigs>,
    /// The time of what is being handled.
    pub(super) now: Now,
    pub(super) timers: TimerTable<TimerKey>,
    pub(super) effects: VecDeque<GroupEffect>,
    pub(super) new_id: NewId,
    pub(super) topics: Arc<dyn Topics>,
    pub(super) counts: Counts,
}

impl Core {
    /// Answer a request.
    pub(super) fn reply(&mut self, to: ReplyTo, response: impl Into<GroupResponse>) {
        let response = response.into();
        self.effects.push_back(Effect::Reply { to, response });
    }

    /// Append records, which may be none.
    pub(super) fn append(&mut self, records: Vec<GroupRecord>, then: Then) {
        if records.is_empty() {
            if let Then::Reply(to, response) = then {
                self.reply(to, *response);
            }
            return;
        }
        self.counts.decided(&records);
        self.effects.push_back(Effect::Append { records, then });
    }

    /// Set a deadline `delay_ms` from now.
    pub(super) fn set_timer(&mut self, key: TimerKey, delay_ms: i64) {
        self.timers.set(key, self.now.steady.after_ms(delay_ms));
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("now", &self.now)
            .field("timers", &self.timers)
            .field("effects", &self.effects)
            .finish_non_exhaustive()
    }
}

/// A string of a message.
pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A string of a message that may be null.
pub(super) fn optional_text(value: Option<&Arc<str>>) -> Option<StrBytes> {
    value.map(|value| text(value))
}
