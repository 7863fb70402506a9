//! States as plain values, for those who know them; which metrics they become is said here alone.

pub mod group;

use super::catalogue::Name;
use super::page::Page;

/// One partition on this broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSample<'a> {
    /// Topic and partition.
    pub topic: &'a str,
    /// Number of the partition.
    pub partition: i32,
    /// First offset.
    pub log_start_offset: i64,
    /// Offset after the last.
    pub log_end_offset: i64,
    /// High watermark minus last stable offset.
    pub last_stable_offset_lag: i64,
    /// Bytes on disk.
    pub size: u64,
    /// Segments.
    pub segments: u64,
    /// What the leader knows; `None` on a follower.
    pub leader: Option<LeaderSample>,
}

/// What the leader of a partition knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaderSample {
    /// Node id of the leader, which is this broker.
    pub leader: i32,
    /// Whether the leader is the first replica.
    pub is_preferred: bool,
    /// Replicas assigned.
    pub replicas: u64,
    /// Replicas in sync.
    pub in_sync: u64,
    /// min.insync.replicas of the topic.
    pub min_in_sync: u64,
}

/// Sums over the partitions of a broker; [`PartitionTotals::add`] each, then [`PartitionTotals::write`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionTotals {
    partitions: u64,
    leaders: u64,
    under_replicated: u64,
    under_min_isr: u64,
    at_min_isr: u64,
}

impl PartitionSample<'_> {
    /// Writes the series of this partition.
    pub fn write(&self, page: &mut Page) {
        if !page.wants(Name::LogSize) {
            return;
        }
        let partition = self.partition.to_string();
        let labels = [self.topic, partition.as_str()];
        page.whole(Name::LogSize, &labels, self.size);
        page.signed(Name::LogStartOffset, &labels, self.log_start_offset);
        page.signed(Name::LogEndOffset, &labels, self.log_end_offset);
        page.whole(Name::LogSegments, &labels, self.segments);
        let Some(leader) = &self.leader else { return };
        page.signed(
            Name::PartitionLastStableOffsetLag,
            &labels,
            self.last_stable_offset_lag,
        );
        page.flag(
            Name::PartitionUnderReplicated,
            &labels,
            leader.is_under_replicated(),
        );
        page.flag(
            Name::PartitionUnderMinIsr,
            &labels,
            leader.in_sync < leader.min_in_sync,
        );
        page.flag(
            Name::PartitionAtMinIsr,
            &labels,
            leader.in_sync == leader.min_in_sync,
        );
        page.whole(Name::PartitionInSyncReplicas, &labels, leader.in_sync);
        page.whole(Name::PartitionReplicas, &labels, leader.replicas);
        page.signed(Name::PartitionCurrentOffset, &labels, self.log_end_offset);
        page.signed(Name::PartitionOldestOffset, &labels, self.log_start_offset);
        page.whole(Name::PartitionInSync, &labels, leader.in_sync);
        page.signed(Name::PartitionLeader, &labels, i64::from(leader.leader));
        page.flag(
            Name::PartitionLeaderIsPreferred,
            &labels,
            leader.is_preferred,
        );
        page.whole(Name::PartitionReplicaCount, &labels, leader.replicas);
        page.flag(
            Name::PartitionUnderReplicatedExporter,
            &labels,
            leader.is_under_replicated(),
        );
    }
}

impl LeaderSample {
    const fn is_under_replicated(&self) -> bool {
        self.in_sync < self.replicas
    }
}

impl PartitionTotals {
    /// Counts a partition.
    pub fn add(&mut self, sample: &PartitionSample<'_>) {
        self.partitions += 1;
        if let Some(leader) = &sample.leader {
            self.leaders += 1;
            self.under_replicated += u64::from(leader.is_under_replicated());
            self.under_min_isr += u64::from(leader.in_sync < leader.min_in_sync);
            self.at_min_isr += u64::from(leader.in_sync == leader.min_in_sync);
        }
    }

    /// Writes the sums.
    pub fn write(&self, page: &mut Page) {
        page.whole(Name::PartitionCount, &[], self.partitions);
        page.whole(Name::LeaderCount, &[], self.leaders);
        page.whole(Name::UnderReplicatedPartitions, &[], self.under_replicated);
        page.whole(Name::UnderMinIsrPartitionCount, &[], self.under_min_isr);
        page.whole(Name::AtMinIsrPartitionCount, &[], self.at_min_isr);
        page.whole(Name::ReassigningPartitions, &[], 0);
    }
}

/// A data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirSample<'a> {
    /// Its path as configured.
    pub path: &'a str,
    /// Bytes an unprivileged process may still write.
    pub free: u64,
    /// Size of its file system, bytes.
    pub total: u64,
}

impl LogDirSample<'_> {
    /// Writes it.
    pub fn write(&self, page: &mut Page) {
        page.whole(Name::LogDirFreeBytes, &[self.path], self.free);
        page.whole(Name::LogDirTotalBytes, &[self.path], self.total);
    }
}

/// Writes how many data directories have failed, and how many replicas are on them.
pub fn write_offline(dirs: u64, replicas: u64, page: &mut Page) {
    page.whole(Name::OfflineLogDirectoryCount, &[], dirs);
    page.whole(Name::OfflineReplicaCount, &[], replicas);
}

/// The cluster as its active controller sees it. On other nodes: `None`, and all gauges are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerSample<'a> {
    /// Topics and their number of partitions.
    pub topics: Vec<(&'a str, u64)>,
    /// Unfenced brokers, with the address of their first listener.
    pub brokers: Vec<(i32, String)>,
    /// Brokers that are fenced.
    pub fenced: u64,
    /// Partitions without leader.
    pub offline_partitions: u64,
    /// Partitions not led by their preferred replica.
    pub preferred_imbalance: u64,
    /// Records that failed to apply.
    pub errors: u64,
    /// Last metadata offset applied.
    pub last_applied_offset: i64,
}

/// Writes what the active controller knows, or zeros elsewhere, so that sums over brokers are right.
pub fn write_controller(sample: Option<&ControllerSample<'_>>, page: &mut Page) {
    page.flag(Name::ActiveController, &[], sample.is_some());
    let zero = ControllerSample::default();
    let active = sample.unwrap_or(&zero);
    page.whole(Name::OfflinePartitions, &[], active.offline_partitions);
    page.whole(
        Name::PreferredReplicaImbalance,
        &[],
        active.preferred_imbalance,
    );
    page.whole(Name::GlobalTopicCount, &[], active.topics.len() as u64);
    page.whole(
        Name::GlobalPartitionCount,
        &[],
        active.topics.iter().map(|(_, partitions)| partitions).sum(),
    );
    page.whole(Name::ActiveBrokerCount, &[], active.brokers.len() as u64);
    page.whole(Name::FencedBrokerCount, &[], active.fenced);
    page.whole(Name::MetadataErrorCount, &[], active.errors);
    page.signed(
        Name::ControllerLastAppliedOffset,
        &[],
        active.last_applied_offset,
    );
    if sample.is_none() {
        return;
    }
    page.whole(Name::Brokers, &[], active.brokers.len() as u64);
    for (id, address) in &active.brokers {
        page.whole(Name::BrokerInfo, &[&id.to_string(), address], 1);
    }
    for (topic, partitions) in &active.topics {
        page.whole(Name::TopicPartitions, &[topic], *partitions);
    }
}

/// This node in the metadata quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumSample {
    /// Node id of the leader, -1 if unknown.
    pub leader: i32,
    /// Node id voted for in this epoch, -1 if none.
    pub vote: i32,
    /// Epoch.
    pub epoch: i32,
    /// High watermark of the metadata log.
    pub high_watermark: i64,
    /// Its end.
    pub log_end_offset: i64,
    /// Voters.
    pub voters: u64,
    /// What this node is: `leader`, `follower`, `observer`, ...
    pub state: &'static str,
    /// Last offset this broker applied, -1 if none.
    pub last_applied_offset: i64,
    /// Time of that record, ms since the epoch, -1 if none.
    pub last_applied_timestamp: i64,
}

impl QuorumSample {
    /// Writes it.
    pub fn write(&self, page: &mut Page) {
        page.signed(Name::RaftCurrentLeader, &[], i64::from(self.leader));
        page.signed(Name::RaftCurrentVote, &[], i64::from(self.vote));
        page.signed(Name::RaftCurrentEpoch, &[], i64::from(self.epoch));
        page.signed(Name::RaftHighWatermark, &[], self.high_watermark);
        page.signed(Name::RaftLogEndOffset, &[], self.log_end_offset);
        page.whole(Name::RaftVoters, &[], self.voters);
        page.whole(Name::RaftCurrentState, &[self.state], 1);
        page.signed(
            Name::MetadataLastAppliedOffset,
            &[],
            self.last_applied_offset,
        );
        page.signed(
            Name::MetadataLastAppliedTimestamp,
            &[],
            self.last_applied_timestamp,
        );
        page.whole(Name::MetadataLoadErrors, &[], 0);
        page.whole(Name::MetadataApplyErrors, &[], 0);
    }
}

/// Requests that wait, and fetch sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingSample {
    /// Fetches waiting for records.
    pub fetches: u64,
    /// Produces waiting for the disk.
    pub produces: u64,
    /// Incremental fetch sessions.
    pub fetch_sessions: u64,
    /// Sessions evicted since the start.
    pub fetch_session_evictions: u64,
}

impl WaitingSample {
    /// Writes it.
    pub fn write(&self, page: &mut Page) {
        page.whole(Name::PurgatorySize, &["Fetch"], self.fetches);
        page.whole(Name::PurgatorySize, &["Produce"], self.produces);
        page.whole(Name::FetchSessions, &[], self.fetch_sessions);
        page.whole(
            Name::FetchSessionEvictions,
            &[],
            self.fetch_session_evictions,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_partition_is_shown_and_counted_as_its_leader_sees_it() {
        let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
        let mut totals = PartitionTotals::default();
        let leader = LeaderSample {
            leader: 1,
            is_preferred: true,
            replicas: 3,
            in_sync: 2,
            min_in_sync: 2,
        };
        let led = PartitionSample {
            topic: "a",
            partition: 4,
            log_end_offset: 9,
            leader: Some(leader),
            ..Default::default()
        };
        let followed = PartitionSample {
            topic: "b",
            ..Default::default()
        };
        for sample in [&led, &followed] {
            sample.write(&mut page);
            totals.add(sample);
        }
        totals.write(&mut page);
        let text = page.finish();
        for line in [
            "kafka_log_log_logendoffset{topic=\"a\",partition=\"4\"} 9",
            "kafka_topic_partition_current_offset{topic=\"a\",partition=\"4\"} 9",
            "kafka_cluster_partition_underreplicated{topic=\"a\",partition=\"4\"} 1",
            "kafka_cluster_partition_atminisr{topic=\"a\",partition=\"4\"} 1",
            "kafka_server_replicamanager_partitioncount 2",
            "kafka_server_replicamanager_leadercount 1",
            "kafka_server_replicamanager_underreplicatedpartitions 1",
            "kafka_server_replicamanager_underminisrpartitioncount 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(
            !text.contains("kafka_topic_partition_replicas{topic=\"b\""),
            "only leaders export it"
        );
    }

    #[test]
    fn only_the_active_controller_shows_the_cluster() {
        let render = |sample: Option<&ControllerSample<'_>>| {
            let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
            write_controller(sample, &mut page);
            page.finish()
        };
        let active = ControllerSample {
            topics: vec![("a", 3), ("b", 1)],
            brokers: vec![(1, "h:9".into())],
            ..Default::default()
        };
        let text = render(Some(&active));
        assert!(
            text.contains("activecontrollercount 1\n") && text.contains("globalpartitioncount 4\n")
        );
        assert!(text.contains("kafka_broker_info{id=\"1\",address=\"h:9\"} 1"));
        let text = render(None);
        assert!(text.contains("activecontrollercount 0\n") && !text.contains("kafka_brokers"));
    }
}
