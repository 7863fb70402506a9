//! Consumer, share and streams groups, and where committed offsets are kept.

use super::key::config_keys;

config_keys! {
    /// Consumer, share and streams groups, and where committed offsets are kept.
    pub struct GroupSettings, keys KEYS {
        /// How long an empty classic group waits for more members before its first rebalance, ms.
        group_initial_rebalance_delay_ms: i32, "group.initial.rebalance.delay.ms" = 3000, ReadOnly, Any, Applied;
        /// Shortest session timeout a classic member may ask for, ms.
        group_min_session_timeout_ms: i32, "group.min.session.timeout.ms" = 6000, ReadOnly, Any, Applied;
        /// Longest session timeout a classic member may ask for, ms.
        group_max_session_timeout_ms: i32, "group.max.session.timeout.ms" = 1800000, ReadOnly, Any, Applied;
        /// Members a classic group may have.
        group_max_size: i32, "group.max.size" = 2147483647, ReadOnly, AtLeast(1), Applied;
        /// Group protocols that are served.
        group_coordinator_rebalance_protocols: Vec<String>, "group.coordinator.rebalance.protocols" = "classic,consumer,streams", ReadOnly, EachOf(&["consumer", "classic", "share", "streams"]), NoEffect;
        /// How long coordinator writes are gathered before they are appended, ms.
        group_coordinator_append_linger_ms: i32, "group.coordinator.append.linger.ms" = "-1", ReadOnly, AtLeast(-1), NoEffect;
        /// Session timeout of members of consumer groups (KIP-848), ms.
        group_consumer_session_timeout_ms: i32, "group.consumer.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), Applied;
        /// Smallest value a group may set for its session timeout, ms.
        group_consumer_min_session_timeout_ms: i32, "group.consumer.min.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), Applied;
        /// Largest value a group may set for its session timeout, ms.
        group_consumer_max_session_timeout_ms: i32, "group.consumer.max.session.timeout.ms" = 60000, ReadOnly, AtLeast(1), Applied;
        /// Heartbeat interval given to members of consumer groups, ms.
        group_consumer_heartbeat_interval_ms: i32, "group.consumer.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), Applied;
        /// Smallest value a group may set for its heartbeat interval, ms.
        group_consumer_min_heartbeat_interval_ms: i32, "group.consumer.min.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), Applied;
        /// Largest value a group may set for its heartbeat interval, ms.
        group_consumer_max_heartbeat_interval_ms: i32, "group.consumer.max.heartbeat.interval.ms" = 15000, ReadOnly, AtLeast(1), Applied;
        /// Members a consumer group may have.
        group_consumer_max_size: i32, "group.consumer.max.size" = 2147483647, ReadOnly, AtLeast(1), Applied;
        /// Server-side assignors, the first is the default.
        group_consumer_assignors: Vec<String>, "group.consumer.assignors" = "uniform,range", ReadOnly, Any, NoEffect;
        /// Which way a group may move between the classic and the consumer protocol.
        group_consumer_migration_policy: String, "group.consumer.migration.policy" = "bidirectional", ReadOnly, OneOfIgnoreCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), Applied;
        /// Partitions of __consumer_offsets; not to be changed once it exists.
        offsets_topic_num_partitions: i32, "offsets.topic.num.partitions" = 50, ReadOnly, AtLeast(1), Applied;
        /// Replicas of __consumer_offsets; never more than there are brokers.
        offsets_topic_replication_factor: i16, "offsets.topic.replication.factor" = 3, ReadOnly, AtLeast(1), Applied;
        /// Segment size of __consumer_offsets, bytes.
        offsets_topic_segment_bytes: i32, "offsets.topic.segment.bytes" = 104857600, ReadOnly, AtLeast(1), Applied;
        /// How long offsets of an empty group are kept, minutes.
        offsets_retention_minutes: i32, "offsets.retention.minutes" = 10080, ReadOnly, AtLeast(1), Applied;
        /// How often expired offsets are looked for, ms.
        offsets_retention_check_interval_ms: i64, "offsets.retention.check.interval.ms" = 600000, ReadOnly, AtLeast(1), Applied;
        /// Largest metadata string a client may store with an offset, bytes.
        offset_metadata_max_bytes: i32, "offset.metadata.max.bytes" = 4096, ReadOnly, Any, Applied;
        /// How long an offset commit may wait for replication, ms.
        offsets_commit_timeout_ms: i32, "offsets.commit.timeout.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
    }
    without_field {
        /// Coordinator threads; each coordinator partition is a task here.
        Int "group.coordinator.threads" = 4, ReadOnly, AtLeast(1), NoEffect;
        /// Assignors of share groups.
        List "group.share.assignors" = "simple", ReadOnly, Any, NoEffect;
        /// Deliveries after which a share group gives up on a record.
        Int "group.share.delivery.count.limit" = 5, ReadOnly, Between(2, 10), NoEffect;
        /// Heartbeat interval of share group members, ms.
        Int "group.share.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
        /// Smallest heartbeat interval of share group members, ms.
        Int "group.share.min.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
        /// Largest heartbeat interval of share group members, ms.
        Int "group.share.max.heartbeat.interval.ms" = 15000, ReadOnly, AtLeast(1), NoEffect;
        /// Session timeout of share group members, ms.
        Int "group.share.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), NoEffect;
        /// Smallest session timeout of share group members, ms.
        Int "group.share.min.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), NoEffect;
        /// Largest session timeout of share group members, ms.
        Int "group.share.max.session.timeout.ms" = 60000, ReadOnly, AtLeast(1), NoEffect;
        /// How long a record is locked for a share consumer, ms.
        Int "group.share.record.lock.duration.ms" = 30000, ReadOnly, Between(1_000, 3_600_000), NoEffect;
        /// Smallest lock duration a share group may set, ms.
        Int "group.share.min.record.lock.duration.ms" = 15000, ReadOnly, Between(1_000, 30_000), NoEffect;
        /// Largest lock duration a share group may set, ms.
        Int "group.share.max.record.lock.duration.ms" = 60000, ReadOnly, Between(30_000, 3_600_000), NoEffect;
        /// Share sessions kept by this broker.
        Int "group.share.max.share.sessions" = 2000, ReadOnly, AtLeast(1), NoEffect;
        /// Members a share group may have.
        Int "group.share.max.size" = 200, ReadOnly, Between(1, 1_000), NoEffect;
        /// Records of one partition that a share group may have locked.
        Int "group.share.partition.max.record.locks" = 2000, ReadOnly, Between(100, 10_000), NoEffect;
        /// Heartbeat interval of streams group members, ms.
        Int "group.streams.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
        /// Smallest heartbeat interval of streams group members, ms.
        Int "group.streams.min.heartbeat.interval.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
        /// Largest heartbeat interval of streams group members, ms.
        Int "group.streams.max.heartbeat.interval.ms" = 15000, ReadOnly, AtLeast(1), NoEffect;
        /// Session timeout of streams group members, ms.
        Int "group.streams.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), NoEffect;
        /// Smallest session timeout of streams group members, ms.
        Int "group.streams.min.session.timeout.ms" = 45000, ReadOnly, AtLeast(1), NoEffect;
        /// Largest session timeout of streams group members, ms.
        Int "group.streams.max.session.timeout.ms" = 60000, ReadOnly, AtLeast(1), NoEffect;
        /// Members a streams group may have.
        Int "group.streams.max.size" = 2147483647, ReadOnly, AtLeast(1), NoEffect;
        /// Standby replicas of a streams group.
        Int "group.streams.num.standby.replicas" = 0, ReadOnly, AtLeast(0), NoEffect;
        /// Largest number of standby replicas a streams group may set.
        Int "group.streams.max.standby.replicas" = 2, ReadOnly, AtLeast(0), NoEffect;
        /// Codec id of batches in __consumer_offsets.
        Int "offsets.topic.compression.codec" = 0, ReadOnly, Any, NoEffect;
        /// Batch size when offsets are loaded, bytes.
        Int "offsets.load.buffer.size" = 5242880, ReadOnly, AtLeast(1), NoEffect;
        /// How long share coordinator writes are gathered, ms.
        Int "share.coordinator.append.linger.ms" = "-1", ReadOnly, AtLeast(-1), NoEffect;
        /// Batch size when share state is loaded, bytes.
        Int "share.coordinator.load.buffer.size" = 5242880, ReadOnly, AtLeast(1), NoEffect;
        /// Updates between two share state snapshots.
        Int "share.coordinator.snapshot.update.records.per.snapshot" = 500, ReadOnly, Between(0, 500), NoEffect;
        /// Codec id of batches in __share_group_state.
        Int "share.coordinator.state.topic.compression.codec" = 0, ReadOnly, Any, NoEffect;
        /// min.insync.replicas of __share_group_state.
        Short "share.coordinator.state.topic.min.isr" = 2, ReadOnly, AtLeast(1), NoEffect;
        /// Partitions of __share_group_state.
        Int "share.coordinator.state.topic.num.partitions" = 50, ReadOnly, AtLeast(1), NoEffect;
        /// Replicas of __share_group_state.
        Short "share.coordinator.state.topic.replication.factor" = 3, ReadOnly, AtLeast(1), NoEffect;
        /// Segment size of __share_group_state, bytes.
        Int "share.coordinator.state.topic.segment.bytes" = 104857600, ReadOnly, AtLeast(1), NoEffect;
        /// Share coordinator threads.
        Int "share.coordinator.threads" = 1, ReadOnly, AtLeast(1), NoEffect;
        /// How long a share coordinator write may take, ms.
        Int "share.coordinator.write.timeout.ms" = 5000, ReadOnly, AtLeast(1), NoEffect;
        /// Shortest time between two assignments of a consumer group, ms.
        Int "group.consumer.assignment.interval.ms" = 1000, ClusterWide, AtLeast(0), NoEffect;
        /// Smallest value a group may set for its assignment interval, ms.
        Int "group.consumer.min.assignment.interval.ms" = 0, ReadOnly, AtLeast(0), NoEffect;
        /// Largest value a group may set for its assignment interval, ms.
        Int "group.consumer.max.assignment.interval.ms" = 15000, ReadOnly, AtLeast(0), NoEffect;
        /// Threads that compute assignments; the runtime sizes itself by the cores.
        Int "group.coordinator.background.threads" = 2, ReadOnly, AtLeast(1), NoEffect;
        /// Largest buffer a coordinator keeps for its writes, bytes.
        Int "group.coordinator.cached.buffer.max.bytes" = 1048588, ClusterWide, AtLeast(524_288), NoEffect;
        /// Shortest time between two assignments of a share group, ms.
        Int "group.share.assignment.interval.ms" = 1000, ClusterWide, AtLeast(0), NoEffect;
        /// Smallest assignment interval a share group may set, ms.
        Int "group.share.min.assignment.interval.ms" = 0, ReadOnly, AtLeast(0), NoEffect;
        /// Largest assignment interval a share group may set, ms.
        Int "group.share.max.assignment.interval.ms" = 15000, ReadOnly, AtLeast(0), NoEffect;
        /// Smallest delivery limit a share group may set.
        Int "group.share.min.delivery.count.limit" = 2, ReadOnly, Between(2, 5), NoEffect;
        /// Largest delivery limit a share group may set.
        Int "group.share.max.delivery.count.limit" = 10, ReadOnly, Between(5, 25), NoEffect;
        /// Smallest lock limit a share group may set.
        Int "group.share.min.partition.max.record.locks" = 100, ReadOnly, Between(100, 2_000), NoEffect;
        /// Largest lock limit a share group may set.
        Int "group.share.max.partition.max.record.locks" = 4000, ReadOnly, Between(2_000, 10_000), NoEffect;
        /// Shortest time between two assignments of a streams group, ms.
        Int "group.streams.assignment.interval.ms" = 1000, ClusterWide, AtLeast(0), NoEffect;
        /// Smallest assignment interval a streams group may set, ms.
        Int "group.streams.min.assignment.interval.ms" = 0, ReadOnly, AtLeast(0), NoEffect;
        /// Largest assignment interval a streams group may set, ms.
        Int "group.streams.max.assignment.interval.ms" = 15000, ReadOnly, AtLeast(0), NoEffect;
        /// How long an empty streams group waits for more members, ms.
        Int "group.streams.initial.rebalance.delay.ms" = 3000, ReadOnly, AtLeast(0), NoEffect;
        /// Largest buffer the share coordinator keeps for its writes, bytes.
        Int "share.coordinator.cached.buffer.max.bytes" = 1048588, ClusterWide, AtLeast(524_288), NoEffect;
    }
}
