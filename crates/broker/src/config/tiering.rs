//! Old segments in remote storage.

use super::key::config_keys;

config_keys! {
    /// Old segments in remote storage.
    pub struct TieringSettings, keys KEYS {
        /// Whether topics may keep old segments in remote storage.
        remote_log_storage_system_enable: bool, "remote.log.storage.system.enable" = false, ReadOnly, Any, Unsupported("tiered storage does not exist yet");
    }
    without_field {
        /// Java class that talks to remote storage.
        String "remote.log.storage.manager.class.name" = null, ReadOnly, NonEmpty, Unsupported("tiered storage does not exist yet");
        /// Class path of the remote storage class.
        String "remote.log.storage.manager.class.path" = null, ReadOnly, Any, NoEffect;
        /// Prefix of the remote storage class's own keys.
        String "remote.log.storage.manager.impl.prefix" = "rsm.config.", ReadOnly, NonEmpty, NoEffect;
        /// Java class that keeps the metadata of remote segments.
        String "remote.log.metadata.manager.class.name" = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", ReadOnly, NonEmpty, NoEffect;
        /// Class path of the remote metadata class.
        String "remote.log.metadata.manager.class.path" = null, ReadOnly, Any, NoEffect;
        /// Prefix of the remote metadata class's own keys.
        String "remote.log.metadata.manager.impl.prefix" = "rlmm.config.", ReadOnly, NonEmpty, NoEffect;
        /// Listener over which remote metadata is read and written.
        String "remote.log.metadata.manager.listener.name" = null, ReadOnly, NonEmpty, NoEffect;
        /// Largest metadata a storage class may attach to a segment, bytes.
        Int "remote.log.metadata.custom.metadata.max.bytes" = 128, ReadOnly, AtLeast(0), NoEffect;
        /// Disk space for indexes of remote segments, bytes.
        Long "remote.log.index.file.cache.total.size.bytes" = 1073741824, ClusterWide, AtLeast(1), NoEffect;
        /// How often segments to copy are looked for, ms.
        Long "remote.log.manager.task.interval.ms" = 30000, ReadOnly, AtLeast(1), NoEffect;
        /// Threads for follower tasks of tiered topics.
        Int "remote.log.manager.thread.pool.size" = 2, ReadOnly, AtLeast(1), NoEffect;
        /// Threads that copy segments to remote storage.
        Int "remote.log.manager.copier.thread.pool.size" = 10, ClusterWide, AtLeast(1), NoEffect;
        /// Threads that delete expired remote segments.
        Int "remote.log.manager.expiration.thread.pool.size" = 10, ClusterWide, AtLeast(1), NoEffect;
        /// Rate at which segments are copied, bytes a second.
        Long "remote.log.manager.copy.max.bytes.per.second" = 9223372036854775807, ClusterWide, AtLeast(1), NoEffect;
        /// Windows kept to measure copying.
        Int "remote.log.manager.copy.quota.window.num" = 11, ReadOnly, AtLeast(1), NoEffect;
        /// Length of a copying window, seconds.
        Int "remote.log.manager.copy.quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), NoEffect;
        /// Rate at which remote segments are read, bytes a second.
        Long "remote.log.manager.fetch.max.bytes.per.second" = 9223372036854775807, ClusterWide, AtLeast(1), NoEffect;
        /// Windows kept to measure remote reads.
        Int "remote.log.manager.fetch.quota.window.num" = 11, ReadOnly, AtLeast(1), NoEffect;
        /// Length of a remote read window, seconds.
        Int "remote.log.manager.fetch.quota.window.size.seconds" = 1, ReadOnly, AtLeast(1), NoEffect;
        /// Threads that read remote segments.
        Int "remote.log.reader.threads" = 10, ClusterWide, AtLeast(1), NoEffect;
        /// Remote reads that may wait for a thread.
        Int "remote.log.reader.max.pending.tasks" = 100, ReadOnly, AtLeast(1), NoEffect;
        /// Longest wait of a fetch for remote storage, ms.
        Int "remote.fetch.max.wait.ms" = 500, ClusterWide, AtLeast(1), NoEffect;
        /// Longest wait of ListOffsets for remote storage, ms.
        Long "remote.list.offsets.request.timeout.ms" = 30000, ClusterWide, AtLeast(1), NoEffect;
        /// Threads for follower tasks of tiered topics.
        Int "remote.log.manager.follower.thread.pool.size" = 2, ClusterWide, AtLeast(1), NoEffect;
    }
}
