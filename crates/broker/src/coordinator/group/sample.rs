//! What a shard tells a scrape: its groups, and how far each has come.

use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::records::GroupRecord;
use super::{Group, GroupShard};

/// One shard at the time of a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardSample {
    /// Its groups, in no order.
    pub groups: Vec<GroupView>,
    /// What it has done since it was loaded.
    pub counts: Counts,
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// Its id.
    pub id: Arc<str>,
    /// Which protocol its members speak, as ListGroups tells it, in lower case.
    pub protocol: &'static str,
    /// Its state as ListGroups tells it.
    pub state: String,
    /// How many members it has.
    pub members: usize,
    /// What it has committed, by topic and partition.
    pub offsets: Vec<(Arc<str>, i32, Offset)>,
}

/// What a shard has done since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Offsets committed, transactional ones left out.
    pub offset_commits: u64,
    /// Offsets whose time was over.
    pub offset_expirations: u64,
    /// Generations of classic groups whose assignment was stored.
    pub classic_rebalances: u64,
    /// Epochs of consumer groups.
    pub consumer_rebalances: u64,
}

impl Counts {
    /// Count what is about to be written.
    pub(super) fn decided(&mut self, records: &[GroupRecord]) {
        for record in records {
            match record {
                GroupRecord::OffsetCommit(_, Some(_)) => self.offset_commits += 1,
                GroupRecord::ConsumerGroupMetadata(_, Some(_)) => self.consumer_rebalances += 1,
                _ => {}
            }
        }
    }

    /// Add those of another shard.
    pub fn add(&mut self, other: Self) {
        self.offset_commits += other.offset_commits;
        self.offset_expirations += other.offset_expirations;
        self.classic_rebalances += other.classic_rebalances;
        self.consumer_rebalances += other.consumer_rebalances;
    }
}

impl GroupShard {
    /// The shard as it is now. Takes time in proportion to its groups and offsets.
    pub(super) fn sample(&self) -> ShardSample {
        let groups = self.groups.iter().map(|(id, group)| GroupView {
            id: id.clone(),
            protocol: match group {
                Group::Classic(_) => "classic",
                Group::Consumer(_) => "consumer",
            },
            state: group.state_name(),
            members: group.member_count(),
            offsets: (self.offsets.of(id).into_iter().flatten())
                .flat_map(|(topic, partitions)| {
                    let partitions = partitions.iter();
                    partitions.map(|(index, at)| (topic.clone(), *index, at.offset))
                })
                .collect(),
        });
        ShardSample {
            groups: groups.collect(),
            counts: self.core.counts,
        }
    }
}
