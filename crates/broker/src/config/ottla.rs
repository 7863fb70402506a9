//! Keys of our own, which Apache Kafka does not know. All begin with `ottla.` or `metrics.topic.`.

use super::key::config_keys;

config_keys! {
    /// Keys of our own, which Apache Kafka does not know.
    pub struct OttlaSettings, keys KEYS {
        /// Address of metrics and health over HTTP, as `host:port`; empty switches it off.
        ottla_http_listener: String, "ottla.http.listener" = "127.0.0.1:9404", ReadOnly, Any, Applied;
        /// Id that new data directories are given; empty makes a new one. Directories of another cluster are refused.
        ottla_cluster_id: String, "ottla.cluster.id" = "", ReadOnly, Any, Applied;
        /// Whether a replication factor above the number of brokers is lowered instead of refused.
        ottla_replication_factor_clamp: bool, "ottla.replication.factor.clamp" = false, ReadOnly, Any, Applied;
        /// Largest size of one batch once decompressed, bytes.
        ottla_max_decompressed_message_bytes: i32, "ottla.max.decompressed.message.bytes" = 104857600, ReadOnly, AtLeast(1_024), Applied;
        /// Memory that request frames being received may take in all, bytes.
        ottla_receive_memory_bytes: i64, "ottla.receive.memory.bytes" = 268435456, ReadOnly, AtLeast(1_048_576), Applied;
        /// Threads that read cold segments, so that no runtime worker waits for a disk.
        ottla_io_threads: i32, "ottla.io.threads" = 4, ReadOnly, Between(1, 512), Applied;
        /// Whether records are on disk before they are acknowledged with acks=all, and offset commits too; otherwise they are in the page cache, as in Apache Kafka. Worth its price while there is no other replica.
        ottla_flush_on_acks_all: bool, "ottla.flush.on.acks.all" = true, ReadOnly, Any, Applied;
        /// Space of a data directory's file system that is kept from producers, bytes: for group offsets, metadata, compaction and deletions when the disk is full. No more than a twentieth of the file system is kept.
        ottla_disk_reserve_bytes: i64, "ottla.disk.reserve.bytes" = 268435456, ReadOnly, AtLeast(0), Applied;
        /// Threads that flush partitions whose producers wait for the disk.
        ottla_flush_threads: i32, "ottla.flush.threads" = 8, ReadOnly, Between(1, 512), Applied;
        /// How long a controlled stop may take before the rest is cut off, ms.
        ottla_shutdown_timeout_ms: i64, "ottla.shutdown.timeout.ms" = 30000, ReadOnly, AtLeast(0), Applied;
        /// Topics that get metric series of their own; the rest are counted together as `__other__`.
        metrics_topic_series_max: i32, "metrics.topic.series.max" = 2000, ReadOnly, AtLeast(0), Applied;
        /// Form of the log on standard error: `text` or `json`.
        ottla_log_format: String, "ottla.log.format" = "text", ReadOnly, OneOf(&["text", "json"]), Applied;
        /// Level of the log, or filter directives such as `info,ottla_broker::network=debug`; RUST_LOG wins.
        ottla_log_level: String, "ottla.log.level" = "info", ReadOnly, NonEmpty, Applied;
    }
}
