//! Groups for a scrape: every shard is asked for its groups, and every partition they have committed to for its ends.
//!
//! A scrape takes time in proportion to the groups and to the partitions with commits. The log is looked into only where
//! there is lag, for one batch header each. All shards are asked at once; the groups of one that is being loaded, or is
//! too busy to answer soon, are left out, and its counters stand where they stood.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use ottla_protocol::ids::PartitionIndex;
use tokio::runtime::Handle;

use super::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::group::sample::{Counts, GroupView, ShardSample};
use crate::coordinator::runtime::GroupCoordinator;
use crate::partition::Partition;
use crate::partition::manager::PartitionManager;
use crate::partition::topic::Topic;
use crate::telemetry::sample::group::{GroupTotals, Lag, OffsetSample, age_seconds, write_group};
use crate::telemetry::{Collect, Name, Page};

/// How long a scrape waits for all shards together.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asked at each scrape, on a thread that may block.
pub(super) struct GroupSamples {
    runtime: Handle,
    /// Weak, because the partitions hold the counters that hold this.
    groups: Weak<GroupCoordinator>,
    partitions: Weak<PartitionManager>,
    counts: LastCounts,
}

impl GroupSamples {
    /// Samples of the groups of `broker`.
    pub(super) fn new(broker: &Broker) -> Self {
        Self {
            runtime: Handle::current(),
            groups: Arc::downgrade(&broker.groups),
            partitions: Arc::downgrade(&broker.partitions),
            counts: LastCounts::default(),
        }
    }
}

/// What each shard had done when it last answered: a counter that fell would look like a restart.
#[derive(Default)]
struct LastCounts(Mutex<Vec<Counts>>);

impl LastCounts {
    /// Note what the shards that have answered have done; the sum over all.
    fn note(&self, shards: &[Option<ShardSample>]) -> Counts {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The topic, and with it the shards, may come after the first scrape.
        last.resize(shards.len(), Counts::default());
        let mut sum = Counts::default();
        for (last, shard) in last.iter_mut().zip(shards) {
            if let Some(shard) = shard {
                *last = shard.counts;
            }
            sum.add(*last);
        }
        sum
    }
}

impl Collect for GroupSamples {
    fn collect(&self, page: &mut Page) {
        let (Some(groups), Some(partitions)) = (self.groups.upgrade(), self.partitions.upgrade())
        else {
            return;
        };
        let shards = self.runtime.block_on(ask_all(&groups));
        let mut topics = Topics {
            partitions: &partitions,
            known: HashMap::new(),
        };
        let counts = self.counts.note(&shards);
        let mut totals = GroupTotals::default();
        for group in shards.iter().flatten().flat_map(|shard| &shard.groups) {
            totals.add(group.protocol, &group.state, group.offsets.len() as u64);
            write_view(group, &mut topics, page);
        }
        totals.write(page);
        let states = groups.shard_states();
        for (state, count) in ["loading", "active", "failed"].into_iter().zip(states) {
            page.whole(Name::CoordinatorPartitions, &[state], count as u64);
        }
        page.whole(Name::OffsetCommits, &[], counts.offset_commits);
        page.whole(Name::OffsetExpirations, &[], counts.offset_expirations);
        page.whole(Name::ClassicRebalances, &[], counts.classic_rebalances);
        page.whole(Name::ConsumerRebalances, &[], counts.consumer_rebalances);
    }
}

/// A sample of each shard that answers in time.
async fn ask_all(groups: &GroupCoordinator) -> Vec<Option<ShardSample>> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let asked = (0..groups.shard_count()).map(|shard| async move {
        let asked = groups.ask_shard(shard, GroupRequest::Sample);
        match tokio::time::timeout_at(deadline, asked).await {
            Ok(Ok(GroupResponse::Sample(sample))) => Some(sample),
            Ok(_) => None,
            Err(_) => {
                tracing::debug!(shard, "a shard of groups is too busy for a scrape");
                None
            }
        }
    });
    join_all(asked).await
}

/// The topics that groups have committed to, each looked up once a scrape.
struct Topics<'a> {
    partitions: &'a PartitionManager,
    known: HashMap<Arc<str>, Option<Arc<Topic>>>,
}

impl Topics<'_> {
    fn partition(&mut self, topic: &Arc<str>, index: i32) -> Option<&Arc<Partition>> {
        let topic = (self.known.entry(topic.clone()))
            .or_insert_with_key(|name| self.partitions.topic(name));
        topic.as_ref()?.partition(PartitionIndex(index)).ok()
    }
}

fn write_view(group: &GroupView, topics: &mut Topics<'_>, page: &mut Page) {
    let offsets = group.offsets.iter().map(|(topic, index, committed)| {
        let partition = topics.partition(topic, *index);
        let lag = partition.map(|partition| {
            let offsets = partition.offsets();
            Lag::of(*committed, offsets.log_start, offsets.high_watermark)
        });
        let lag_seconds = (partition.zip(lag))
            .filter(|_| page.wants(Name::ConsumerGroupLagSeconds))
            .and_then(|(partition, lag)| lag_seconds(partition, lag, page));
        OffsetSample {
            topic,
            partition: *index,
            committed: committed.0,
            lag: lag.map(|lag| lag.records),
            lag_seconds,
        }
    });
    let offsets: Vec<_> = offsets.collect();
    write_group(&group.id, group.members as u64, &offsets, page);
}

/// Not known where the log cannot be read, or the records have no timestamp.
fn lag_seconds(partition: &Partition, lag: Lag, page: &Page) -> Option<f64> {
    let Some(oldest) = lag.oldest else {
        return Some(0.0);
    };
    match partition.reader().timestamp_at(oldest) {
        Ok(Some(written)) if written.0 >= 0 => Some(age_seconds(written, page.now)),
        // Compaction may leave no record behind the offset.
        Ok(None) => Some(0.0),
        Ok(Some(_)) => None,
        Err(error) => {
            tracing::debug!(partition = %partition.id, %error, "no time lag: the log cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_a_shard_that_does_not_answer_stand() {
        let shard = |offset_commits| {
            let counts = Counts {
                offset_commits,
                ..Counts::default()
            };
            let groups = Vec::new();
            Some(ShardSample { groups, counts })
        };
        let last = LastCounts::default();
        assert_eq!(last.note(&[]).offset_commits, 0);
        assert_eq!(last.note(&[None, shard(2)]).offset_commits, 2);
        assert_eq!(last.note(&[shard(5), None]).offset_commits, 7);
        assert_eq!(last.note(&[None, None]).offset_commits, 7);
        assert_eq!(last.note(&[shard(6), shard(3)]).offset_commits, 9);
    }
}
