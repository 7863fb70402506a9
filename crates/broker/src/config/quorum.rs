//! The metadata quorum: voters, timing, the metadata log.

use super::key::config_keys;

config_keys! {
    /// The metadata quorum: voters, timing, the metadata log.
    pub struct QuorumSettings, keys KEYS {
        /// Controllers that vote, as `id@host:port`, separated by commas; empty is this node alone.
        controller_quorum_voters: Vec<String>, "controller.quorum.voters" = "", ReadOnly, Any, Applied;
        /// Addresses at which a dynamic quorum is found; empty is this node alone.
        controller_quorum_bootstrap_servers: Vec<String>, "controller.quorum.bootstrap.servers" = "", ReadOnly, Any, Applied;
        /// Listener names that belong to the controller.
        controller_listener_names: Option<Vec<String>>, "controller.listener.names" = null, ReadOnly, Any, Applied;
        /// Directory of the metadata log; the first of log.dirs when not set.
        metadata_log_dir: Option<String>, "metadata.log.dir" = null, ReadOnly, Any, Applied;
        /// Bytes of metadata records after which a snapshot is taken.
        metadata_log_max_record_bytes_between_snapshots: i64, "metadata.log.max.record.bytes.between.snapshots" = 20971520, ReadOnly, AtLeast(1), Applied;
        /// Time after which a snapshot of the metadata is taken, ms; 0 is never.
        metadata_log_max_snapshot_interval_ms: i64, "metadata.log.max.snapshot.interval.ms" = 3600000, ReadOnly, AtLeast(0), Applied;
        /// Segment size of the metadata log, bytes.
        metadata_log_segment_bytes: i32, "metadata.log.segment.bytes" = 1073741824, ReadOnly, AtLeast(8_388_608), Applied;
        /// Age at which a metadata segment is closed, ms.
        metadata_log_segment_ms: i64, "metadata.log.segment.ms" = 604800000, ReadOnly, Any, Applied;
        /// Size of metadata log and snapshots above which old ones are deleted, bytes.
        metadata_max_retention_bytes: i64, "metadata.max.retention.bytes" = 104857600, ReadOnly, Any, Applied;
        /// Age above which old metadata segments and snapshots are deleted, ms.
        metadata_max_retention_ms: i64, "metadata.max.retention.ms" = 604800000, ReadOnly, Any, Applied;
    }
    without_field {
        /// How long a voter waits for votes, ms.
        Int "controller.quorum.election.timeout.ms" = 1000, ReadOnly, AtLeast(0), NoEffect;
        /// How long a voter goes without the leader before it stands for election, ms.
        Int "controller.quorum.fetch.timeout.ms" = 2000, ReadOnly, AtLeast(0), NoEffect;
        /// Longest pause between two elections, ms.
        Int "controller.quorum.election.backoff.max.ms" = 1000, ReadOnly, AtLeast(0), NoEffect;
        /// How long metadata writes are gathered, ms.
        Int "controller.quorum.append.linger.ms" = 25, ReadOnly, AtLeast(0), NoEffect;
        /// How long a quorum request may take, ms.
        Int "controller.quorum.request.timeout.ms" = 2000, ReadOnly, AtLeast(0), NoEffect;
        /// Pause before a quorum request is repeated, ms.
        Int "controller.quorum.retry.backoff.ms" = 20, ReadOnly, AtLeast(0), NoEffect;
        /// How often a broker reports to the controller, ms.
        Int "broker.heartbeat.interval.ms" = 2000, ReadOnly, Any, NoEffect;
        /// A broker silent for this long is fenced, ms.
        Int "broker.session.timeout.ms" = 9000, ReadOnly, Any, NoEffect;
        /// How often an idle controller writes a no-op record, ms.
        Int "metadata.max.idle.interval.ms" = 500, ReadOnly, AtLeast(0), NoEffect;
        /// Whether a controller joins a dynamic quorum by itself.
        Boolean "controller.quorum.auto.join.enable" = false, ReadOnly, Any, NoEffect;
        /// Bytes of metadata records asked for in one fetch.
        Int "controller.quorum.fetch.max.bytes" = 1048576, ReadOnly, AtLeast(1), NoEffect;
        /// Bytes of a snapshot asked for in one fetch.
        Int "controller.quorum.fetch.snapshot.max.bytes" = 1048576, ReadOnly, AtLeast(1), NoEffect;
    }
}
