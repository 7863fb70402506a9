//! The one table of metrics: name, type, labels, help.
//!
//! Names, types and labels are those of the stock Grafana dashboards for Kafka (the JMX exporter's dialect, and
//! kafka_exporter's), so that they work unchanged; `ottla_` are our own, in seconds and bytes.

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles, sum and count.
    Summary,
}

impl Kind {
    /// As the `# TYPE` line names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

/// One entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name of the series.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Names of its labels, in the order in which samples give their values.
    pub labels: &'static [&'static str],
    /// What it counts, with its unit.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($( $id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal; )*) => {
        /// A metric of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name {
            $( #[doc = $help] $id, )*
        }

        /// All metrics, in the order in which they are shown.
        pub const CATALOGUE: &[Metric] = &[
            $( Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }, )*
        ];

        /// The names in the order of [`CATALOGUE`].
        pub const NAMES: &[Name] = &[$( Name::$id, )*];
    };
}

impl Name {
    /// Its entry.
    pub const fn metric(self) -> &'static Metric {
        &CATALOGUE[self as usize]
    }

    /// Whether it has a series a partition, which `/metrics?scope=broker` leaves out.
    pub fn is_per_partition(self) -> bool {
        self.metric().labels.contains(&"partition")
    }
}

catalogue! {
    MessagesIn Counter "kafka_server_brokertopicmetrics_messagesin_total" ["topic"] "Messages appended";
    BytesIn Counter "kafka_server_brokertopicmetrics_bytesin_total" ["topic"] "Bytes appended from clients";
    BytesOut Counter "kafka_server_brokertopicmetrics_bytesout_total" ["topic"] "Bytes fetched by consumers";
    BytesRejected Counter "kafka_server_brokertopicmetrics_bytesrejected_total" ["topic"] "Bytes refused because their batch is too large";
    TotalProduceRequests Counter "kafka_server_brokertopicmetrics_totalproducerequests_total" ["topic"] "Produce requests that touched the topic";
    TotalFetchRequests Counter "kafka_server_brokertopicmetrics_totalfetchrequests_total" ["topic"] "Fetch requests that touched the topic";
    FailedProduceRequests Counter "kafka_server_brokertopicmetrics_failedproducerequests_total" ["topic"] "Produce requests that failed for the topic";
    FailedFetchRequests Counter "kafka_server_brokertopicmetrics_failedfetchrequests_total" ["topic"] "Fetch requests that failed for the topic";
    InvalidMessageCrc Counter "kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total" ["topic"] "Record batches refused for a bad CRC";
    InvalidMagicNumber Counter "kafka_server_brokertopicmetrics_invalidmagicnumberrecords_total" ["topic"] "Record batches refused for a bad magic byte";
    InvalidOffsetOrSequence Counter "kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords_total" ["topic"] "Record batches refused for a bad offset or sequence";
    NoKeyCompactedTopic Counter "kafka_server_brokertopicmetrics_nokeycompactedtopicrecords_total" ["topic"] "Records without key refused on a compacted topic";
    TopicsFolded Gauge "ottla_metrics_topics_folded" [] "Topics counted together as __other__ because of metrics.topic.series.max";

    LeaderCount Gauge "kafka_server_replicamanager_leadercount" [] "Partitions this broker leads";
    PartitionCount Gauge "kafka_server_replicamanager_partitioncount" [] "Partitions this broker holds";
    OfflineReplicaCount Gauge "kafka_server_replicamanager_offlinereplicacount" [] "Replicas on failed log directories";
    UnderReplicatedPartitions Gauge "kafka_server_replicamanager_underreplicatedpartitions" [] "Led partitions with fewer in-sync replicas than replicas";
    UnderMinIsrPartitionCount Gauge "kafka_server_replicamanager_underminisrpartitioncount" [] "Led partitions below min.insync.replicas";
    AtMinIsrPartitionCount Gauge "kafka_server_replicamanager_atminisrpartitioncount" [] "Led partitions exactly at min.insync.replicas";
    ReassigningPartitions Gauge "kafka_server_replicamanager_reassigningpartitions" [] "Led partitions being reassigned";
    PartitionUnderReplicated Gauge "kafka_cluster_partition_underreplicated" ["topic", "partition"] "1 if under-replicated";
    PartitionUnderMinIsr Gauge "kafka_cluster_partition_underminisr" ["topic", "partition"] "1 if below min.insync.replicas";
    PartitionAtMinIsr Gauge "kafka_cluster_partition_atminisr" ["topic", "partition"] "1 if at min.insync.replicas";
    PartitionInSyncReplicas Gauge "kafka_cluster_partition_insyncreplicascount" ["topic", "partition"] "In-sync replicas";
    PartitionReplicas Gauge "kafka_cluster_partition_replicascount" ["topic", "partition"] "Assigned replicas";
    PartitionLastStableOffsetLag Gauge "kafka_cluster_partition_laststableoffsetlag" ["topic", "partition"] "High watermark minus last stable offset";

    LogSize Gauge "kafka_log_log_size" ["topic", "partition"] "Bytes on local disk";
    LogStartOffset Gauge "kafka_log_log_logstartoffset" ["topic", "partition"] "Log start offset";
    LogEndOffset Gauge "kafka_log_log_logendoffset" ["topic", "partition"] "Log end offset";
    LogSegments Gauge "kafka_log_log_numlogsegments" ["topic", "partition"] "Segments";
    LogFlushTime Summary "kafka_log_logflushstats_logflushrateandtimems" [] "Flushing a log that somebody waits for, ms";
    OfflineLogDirectoryCount Gauge "kafka_log_logmanager_offlinelogdirectorycount" [] "Failed log directories";
    CleanerUncleanablePartitions Gauge "kafka_log_logcleanermanager_uncleanablepartitionscount" ["logDirectory"] "Partitions that cannot be compacted";
    CleanerTimeSinceLastRun Gauge "kafka_log_logcleanermanager_timesincelastrunms" [] "Milliseconds since the cleaner last looked for a log to compact";
    LogDirFreeBytes Gauge "ottla_log_dir_free_bytes" ["path"] "Space left on the file system of a data directory";
    LogDirFull Gauge "ottla_log_dir_full" ["path"] "1 while producers are refused because the disk is full up to ottla.disk.reserve.bytes";
    LogDirRefused Counter "ottla_log_dir_full_refused_batches_total" ["path"] "Batches of producers refused for want of space";
    LogDirTotalBytes Gauge "ottla_log_dir_total_bytes" ["path"] "Size of the file system of a data directory";

    ActiveController Gauge "kafka_controller_kafkacontroller_activecontrollercount" [] "1 on the active controller, else 0";
    OfflinePartitions Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" [] "Partitions without leader; 0 except on the active controller";
    PreferredReplicaImbalance Gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" [] "Partitions not led by their preferred replica";
    GlobalTopicCount Gauge "kafka_controller_kafkacontroller_globaltopiccount" [] "Topics in the cluster";
    GlobalPartitionCount Gauge "kafka_controller_kafkacontroller_globalpartitioncount" [] "Partitions in the cluster";
    ActiveBrokerCount Gauge "kafka_controller_kafkacontroller_activebrokercount" [] "Unfenced brokers";
    FencedBrokerCount Gauge "kafka_controller_kafkacontroller_fencedbrokercount" [] "Fenced brokers";
    MetadataErrorCount Gauge "kafka_controller_kafkacontroller_metadataerrorcount" [] "Metadata records that failed to apply";
    ControllerLastAppliedOffset Gauge "kafka_controller_kafkacontroller_lastappliedrecordoffset" [] "Last metadata offset applied";

    BrokerState Gauge "kafka_server_kafkaserver_brokerstate" [] "0 not running, 1 starting, 2 recovering, 3 running, 6 controlled shutdown, 7 shutting down";
    DiskReadBytes Counter "kafka_server_kafkaserver_linux_disk_read_bytes" [] "Bytes this process caused to be read from disks";
    DiskWriteBytes Counter "kafka_server_kafkaserver_linux_disk_write_bytes" [] "Bytes this process caused to be written to disks";

    Requests Counter "kafka_network_requestmetrics_requests_total" ["request", "version"] "Requests by API and version";
    Errors Counter "kafka_network_requestmetrics_errors_total" ["request", "error"] "Errors in responses by API and code, NONE included";
    TotalTime Summary "kafka_network_requestmetrics_totaltimems" ["request"] "From the request read to the response sent, ms";
    RequestQueueTime Summary "kafka_network_requestmetrics_requestqueuetimems" ["request"] "Waiting to be handled, ms";
    LocalTime Summary "kafka_network_requestmetrics_localtimems" ["request"] "Being handled, ms";
    RemoteTime Summary "kafka_network_requestmetrics_remotetimems" ["request"] "Waiting for records, replicas or the controller, ms";
    ThrottleTime Summary "kafka_network_requestmetrics_throttletimems" ["request"] "Held back by a quota, ms";
    ResponseQueueTime Summary "kafka_network_requestmetrics_responsequeuetimems" ["request"] "The response waiting for the ones before it, ms";
    ResponseSendTime Summary "kafka_network_requestmetrics_responsesendtimems" ["request"] "The response being written to the socket, ms";
    RequestBytes Summary "kafka_network_requestmetrics_requestbytes" ["request"] "Size of requests, bytes";
    NetworkIdle Gauge "kafka_network_socketserver_networkprocessoravgidle_percent" [] "Idle share of the runtime's workers, 0 to 1";
    HandlerIdle Gauge "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent" [] "Idle share of the runtime's workers, 0 to 1";
    RequestQueueSize Gauge "kafka_network_requestchannel_requestqueuesize" [] "Requests waiting for a worker; they wait in the socket, so 0";
    ResponseQueueSize Gauge "kafka_network_requestchannel_responsequeuesize" [] "Responses waiting to be sent; a connection sends its own, so 0";

    ConnectionCount Gauge "kafka_server_socket_server_metrics_connection_count" ["listener", "networkProcessor"] "Open connections";
    ConnectionsCreated Counter "kafka_server_socket_server_metrics_connection_creation_total" ["listener", "networkProcessor"] "Connections accepted";
    ConnectionsClosed Counter "kafka_server_socket_server_metrics_connection_close_total" ["listener", "networkProcessor"] "Connections closed";
    ConnectionCreationRate Gauge "kafka_server_socket_server_metrics_connection_creation_rate" ["listener", "networkProcessor"] "Connections accepted a second";
    ConnectionCloseRate Gauge "kafka_server_socket_server_metrics_connection_close_rate" ["listener", "networkProcessor"] "Connections closed a second";
    ExpiredConnections Gauge "kafka_server_socket_server_metrics_expired_connections_killed_count" ["listener", "networkProcessor"] "Connections closed because their authentication ran out";
    ConnectionsRefused Counter "ottla_connections_refused_total" ["listener"] "Connections closed at once because of a connection limit";
    ConnectionsIdleClosed Counter "ottla_connections_idle_closed_total" ["listener"] "Connections closed because of connections.max.idle.ms";
    SendfileBytes Counter "ottla_sendfile_bytes_total" ["tls"] "Record bytes that left by sendfile";
    CopiedBytes Counter "ottla_fetch_copied_bytes_total" [] "Record bytes that left through a buffer";
    ColdReads Counter "ottla_page_cache_miss_reads_total" [] "Reads of records that were not in the page cache";
    QuotaByteRate Gauge "kafka_server_quota_byte_rate" ["resource", "user", "clientId"] "Rate that a quota sees, bytes/s; the busiest entities that have one";
    QuotaThrottleTime Gauge "kafka_server_quota_throttle_time" ["resource", "user", "clientId"] "Average time that a quota holds requests back, ms";

    PurgatorySize Gauge "kafka_server_delayedoperationpurgatory_purgatorysize" ["delayedOperation"] "Requests parked";
    FetchSessions Gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions" [] "Incremental fetch sessions";
    FetchSessionEvictions Counter "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total" [] "Incremental fetch sessions evicted";

    RaftCurrentLeader Gauge "kafka_server_raftmetrics_current_leader" [] "Node id of the quorum leader, -1 if unknown";
    RaftCurrentVote Gauge "kafka_server_raftmetrics_current_vote" [] "Node id voted for in this epoch, -1 if none";
    RaftCurrentEpoch Gauge "kafka_server_raftmetrics_current_epoch" [] "Quorum epoch";
    RaftHighWatermark Gauge "kafka_server_raftmetrics_high_watermark" [] "High watermark of the metadata log";
    RaftLogEndOffset Gauge "kafka_server_raftmetrics_log_end_offset" [] "End offset of the metadata log";
    RaftVoters Gauge "kafka_server_raftmetrics_number_of_voters" [] "Voters of the quorum";
    RaftCurrentState Gauge "kafka_server_raftmetrics_current_state" ["current_state"] "1 for the state named in the label";
    MetadataLastAppliedOffset Gauge "kafka_server_brokermetadatametrics_last_applied_record_offset" [] "Last metadata offset this broker applied";
    MetadataLastAppliedTimestamp Gauge "kafka_server_brokermetadatametrics_last_applied_record_timestamp" [] "Time of the last metadata record applied, ms since the epoch";
    MetadataLoadErrors Gauge "kafka_server_brokermetadatametrics_metadata_load_error_count" [] "Errors while metadata was read";
    MetadataApplyErrors Gauge "kafka_server_brokermetadatametrics_metadata_apply_error_count" [] "Errors while metadata was applied";

    Brokers Gauge "kafka_brokers" [] "Brokers in the cluster; only on the active controller";
    BrokerInfo Gauge "kafka_broker_info" ["id", "address"] "1 for each broker; only on the active controller";
    TopicPartitions Gauge "kafka_topic_partitions" ["topic"] "Partitions of the topic; only on the active controller";
    PartitionCurrentOffset Gauge "kafka_topic_partition_current_offset" ["topic", "partition"] "Log end offset; only on the leader";
    PartitionOldestOffset Gauge "kafka_topic_partition_oldest_offset" ["topic", "partition"] "Log start offset; only on the leader";
    PartitionInSync Gauge "kafka_topic_partition_in_sync_replica" ["topic", "partition"] "In-sync replicas; only on the leader";
    PartitionLeader Gauge "kafka_topic_partition_leader" ["topic", "partition"] "Node id of the leader; only on the leader";
    PartitionLeaderIsPreferred Gauge "kafka_topic_partition_leader_is_preferred" ["topic", "partition"] "1 if led by the preferred replica; only on the leader";
    PartitionReplicaCount Gauge "kafka_topic_partition_replicas" ["topic", "partition"] "Replicas; only on the leader";
    PartitionUnderReplicatedExporter Gauge "kafka_topic_partition_under_replicated_partition" ["topic", "partition"] "1 if under-replicated; only on the leader";

    ConsumerGroupCurrentOffset Gauge "kafka_consumergroup_current_offset" ["consumergroup", "topic", "partition"] "Committed offset";
    ConsumerGroupLag Gauge "kafka_consumergroup_lag" ["consumergroup", "topic", "partition"] "Records not yet consumed: high watermark minus committed offset, or minus log start where the offset is before it";
    ConsumerGroupLagSeconds Gauge "kafka_consumergroup_lag_seconds" ["consumergroup", "topic", "partition"] "Age of the oldest record not yet consumed, to the batch; 0 without lag";
    ConsumerGroupCurrentOffsetSum Gauge "kafka_consumergroup_current_offset_sum" ["consumergroup", "topic"] "Sum of the committed offsets";
    ConsumerGroupLagSum Gauge "kafka_consumergroup_lag_sum" ["consumergroup", "topic"] "Records of the topic not yet consumed";
    ConsumerGroupMembers Gauge "kafka_consumergroup_members" ["consumergroup"] "Members";
    Groups Gauge "kafka_coordinator_group_groupmetadatamanager_numgroups" [] "Groups coordinated here, of both protocols";
    GroupsEmpty Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsempty" [] "Groups without members";
    GroupsStable Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsstable" [] "Groups whose members all have what they shall have";
    GroupsPreparing Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance" [] "Groups whose members are joining; consumer groups without an assignment";
    GroupsCompleting Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance" [] "Groups that wait for their leader's assignment; consumer groups whose members are on their way to it";
    GroupsDead Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsdead" [] "Groups about to vanish; they vanish at once, so 0";
    GroupOffsets Gauge "kafka_coordinator_group_groupmetadatamanager_numoffsets" [] "Committed offsets of all groups";
    GroupsByProtocol Gauge "kafka_server_group_coordinator_metrics_group_count" ["protocol"] "Groups by the protocol of their members: classic or consumer";
    ConsumerGroupsByState Gauge "kafka_server_group_coordinator_metrics_consumer_group_count" ["state"] "Groups of the consumer protocol by state";
    CoordinatorPartitions Gauge "kafka_server_group_coordinator_metrics_num_partitions" ["state"] "Partitions of __consumer_offsets: loading, active or failed";
    OffsetCommits Counter "kafka_server_group_coordinator_metrics_offset_commit_count" [] "Offsets committed outside of transactions";
    OffsetExpirations Counter "kafka_server_group_coordinator_metrics_offset_expiration_count" [] "Offsets deleted because of offsets.retention.minutes";
    ClassicRebalances Counter "kafka_server_group_coordinator_metrics_group_completed_rebalance_count" [] "Rebalances of classic groups that came to an assignment";
    ConsumerRebalances Counter "kafka_server_group_coordinator_metrics_consumer_group_rebalance_count" [] "Changes of members, subscriptions or topics of consumer groups";

    BuildInfo Gauge "ottla_build_info" ["version"] "1, with the version of this broker";
    ProcessCpuSeconds Counter "process_cpu_seconds_total" [] "Processor time in user and system mode";
    ProcessOpenFds Gauge "process_open_fds" [] "Open file descriptors";
    ProcessMaxFds Gauge "process_max_fds" [] "Limit of open file descriptors";
    ProcessVirtualMemory Gauge "process_virtual_memory_bytes" [] "Virtual memory";
    ProcessVirtualMemoryMax Gauge "process_virtual_memory_max_bytes" [] "Limit of virtual memory";
    ProcessResidentMemory Gauge "process_resident_memory_bytes" [] "Resident memory";
    ProcessStartTime Gauge "process_start_time_seconds" [] "Start of the process, seconds since the epoch";
    ProcessThreads Gauge "process_threads" [] "Threads";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_stand_once_and_are_legal() {
        let mut seen = HashSet::new();
        for metric in CATALOGUE {
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(metric.name.chars().all(legal), "{}", metric.name);
            assert!(
                !metric.help.is_empty() && !metric.help.contains('\n'),
                "{}",
                metric.name
            );
        }
        for (index, name) in NAMES.iter().enumerate() {
            assert_eq!(*name as usize, index);
        }
    }
}
