//! Offsets that nobody needs any more (KIP-211): expired ones, and those of deleted partitions.
//!
//! An offset expires `offsets.retention.minutes` after its group became empty, after its commit when the group only
//! commits offsets or no longer subscribes to the topic, or when the client said so itself. A group goes with its
//! last offset.

use std::sync::Arc;

use super::core::TimerKey;
use super::message::{GroupResponse, Then};
use super::offsets::{CommittedOffset, tombstone};
use super::records::GroupRecord;
use super::{Group, GroupShard};
use crate::coordinator::shard::ReplyTo;
use ottla_protocol::ids::Timestamp;

/// How many bytes of tombstones are appended as one batch, so that it stays below `max.message.bytes`.
const BATCH_BYTES: usize = 256 * 1024;

impl GroupShard {
    /// Look for expired offsets, now and every so often.
    pub(super) fn expire_offsets(&mut self) {
        let interval_ms = self.core.config.offsets_retention_check_interval_ms;
        self.core.set_timer(TimerKey::ExpireOffsets, interval_ms);
        let mut records = Vec::new();
        let mut ids: Vec<&Arc<str>> = self.groups.keys().collect();
        ids.sort();
        for id in ids {
            let group = &self.groups[id];
            if self.expired_offsets(id, group, &mut records) && group.is_empty() {
                records.extend(group.tombstones(id));
            }
        }
        let expired = records.iter();
        let expired = expired.filter(|record| matches!(record, GroupRecord::OffsetCommit(..)));
        self.core.counts.offset_expirations += expired.count() as u64;
        self.append_in_batches(records, Then::Nothing);
    }

    /// Collect the tombstones of a group's expired offsets; whether none of its offsets is left.
    fn expired_offsets(&self, id: &str, group: &Group, records: &mut Vec<GroupRecord>) -> bool {
        let Some(topics) = self.offsets.of(id) else {
            return !self.offsets.has_open_transaction(id);
        };
        let Some(base) = group.offset_expiry_base() else {
            return false;
        };
        let mut all = true;
        for (topic, partitions) in topics {
            let subscribed = group.is_subscribed(topic);
            for (partition, committed) in partitions {
                let expired = !subscribed
                    && self.is_expired(base, committed)
                    && !self.offsets.is_pending(id, topic, *partition);
                if expired {
                    records.push(tombstone(id, topic, *partition));
                }
                all &= expired;
            }
        }
        all && !self.offsets.has_open_transaction(id)
    }

    fn is_expired(&self, base: Option<Timestamp>, committed: &CommittedOffset) -> bool {
        let now = self.core.now.wall;
        match committed.expires_at {
            Some(at) => now >= at,
            None => {
                let since = base.unwrap_or(committed.committed_at);
                now.0.saturating_sub(since.0) >= self.core.config.offsets_retention_ms
            }
        }
    }

    /// Partitions are gone: so are their offsets.
    pub(super) fn delete_partitions(&mut self, partitions: &[(Arc<str>, i32)], reply_to: ReplyTo) {
        let mut records = Vec::new();
        for group in self.offsets.groups() {
            let with_offset = self.offsets.partitions(&group);
            let gone = partitions.iter().filter(|gone| with_offset.contains(gone));
            records.extend(gone.map(|(topic, partition)| tombstone(&group, topic, *partition)));
        }
        let response = Box::new(GroupResponse::PartitionsDeleted);
        self.append_in_batches(records, Then::Reply(reply_to, response));
    }

    /// Append tombstones that need not be in one batch. What comes then, comes after the last of them.
    pub(super) fn append_in_batches(&mut self, records: Vec<GroupRecord>, then: Then) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for record in records {
            bytes += key_bytes(&record);
            if bytes > BATCH_BYTES && !batch.is_empty() {
                self.core.append(std::mem::take(&mut batch), Then::Nothing);
                bytes = key_bytes(&record);
            }
            batch.push(record);
        }
        self.core.append(batch, then);
    }
}

/// About how many bytes a tombstone takes.
fn key_bytes(record: &GroupRecord) -> usize {
    let names = match record {
        GroupRecord::OffsetCommit(key, _) => key.group.len() + key.topic.len(),
        GroupRecord::GroupMetadata(key, _) => key.group.len(),
        _ => 0,
    };
    names + 32
}
