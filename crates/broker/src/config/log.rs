//! Where partition logs live and how they are cut, kept and cleaned.
//!
//! Most keys here have no field: they are the defaults of topic configs and are read through `TopicConfig`.

use super::key::config_keys;

config_keys! {
    /// Where partition logs live and how they are cut, kept and cleaned.
    pub struct LogSettings, keys KEYS {
        /// Directories that hold the partitions, separated by commas.
        log_dirs: Option<Vec<String>>, "log.dirs" = null, ReadOnly, Any, Applied;
        /// One data directory; log.dirs wins.
        log_dir: Vec<String>, "log.dir" = "./ottla-data", ReadOnly, Any, Applied;
        /// Logs of one data directory that are opened at the same time.
        num_recovery_threads_per_data_dir: i32, "num.recovery.threads.per.data.dir" = 2, ClusterWide, AtLeast(1), Applied;
        /// How often retention looks for segments to delete, ms.
        log_retention_check_interval_ms: i64, "log.retention.check.interval.ms" = 300000, ReadOnly, AtLeast(1), Applied;
        /// How often logs due for a flush by time are looked for, ms; once a second when it is not set.
        log_flush_scheduler_interval_ms: i64, "log.flush.scheduler.interval.ms" = 9223372036854775807, ReadOnly, Any, Applied;
        /// How often recovery points are written, ms.
        log_flush_offset_checkpoint_interval_ms: i32, "log.flush.offset.checkpoint.interval.ms" = 60000, ReadOnly, AtLeast(0), Applied;
        /// How often log start offsets are written, ms.
        log_flush_start_offset_checkpoint_interval_ms: i32, "log.flush.start.offset.checkpoint.interval.ms" = 60000, ReadOnly, AtLeast(0), NoEffect;
        /// Whether compacted topics are cleaned.
        log_cleaner_enable: bool, "log.cleaner.enable" = true, ReadOnly, Any, Applied;
        /// Logs that are compacted at the same time, at most 64.
        log_cleaner_threads: i32, "log.cleaner.threads" = 1, ClusterWide, AtLeast(0), Applied;
        /// Memory for the cleaner's key tables, bytes.
        log_cleaner_dedupe_buffer_size: i64, "log.cleaner.dedupe.buffer.size" = 134217728, ClusterWide, Any, Applied;
        /// Memory for the cleaner's reads and writes, bytes.
        log_cleaner_io_buffer_size: i32, "log.cleaner.io.buffer.size" = 524288, ClusterWide, AtLeast(0), Applied;
        /// Rate at which the cleaner may read and write, bytes a second.
        log_cleaner_io_max_bytes_per_second: f64, "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308", ClusterWide, Any, Applied;
        /// How full the cleaner's key table may become.
        log_cleaner_io_buffer_load_factor: f64, "log.cleaner.io.buffer.load.factor" = "0.9", ClusterWide, Any, Applied;
        /// How long the cleaner sleeps when there is nothing to clean, ms.
        log_cleaner_backoff_ms: i64, "log.cleaner.backoff.ms" = 15000, ClusterWide, AtLeast(0), Applied;
        /// How long the state of an idle producer is kept, ms.
        producer_id_expiration_ms: i32, "producer.id.expiration.ms" = 86400000, ClusterWide, AtLeast(1), Applied;
    }
    without_field {
        /// How long a broker may stay up when it cannot report a failed data directory, ms.
        Long "log.dir.failure.timeout.ms" = 30000, ReadOnly, AtLeast(1), NoEffect;
        /// Size at which a segment is closed and a new one begun, bytes.
        Int "log.segment.bytes" = 1073741824, ClusterWide, AtLeast(1_048_576), Applied;
        /// Age at which a segment is closed even when small, ms.
        Long "log.roll.ms" = null, ClusterWide, Any, Applied, from [hours("log.roll.hours")];
        /// As log.roll.ms, in hours.
        Int "log.roll.hours" = 168, ReadOnly, AtLeast(1), Applied;
        /// Random part taken off log.roll.ms so that segments do not all roll together, ms.
        Long "log.roll.jitter.ms" = null, ClusterWide, Any, Applied, from [hours("log.roll.jitter.hours")];
        /// As log.roll.jitter.ms, in hours.
        Int "log.roll.jitter.hours" = 0, ReadOnly, AtLeast(0), Applied;
        /// Age at which a segment is deleted, ms; -1 keeps all.
        Long "log.retention.ms" = null, ClusterWide, Any, Applied, from [minutes("log.retention.minutes"), hours("log.retention.hours")];
        /// As log.retention.ms, in minutes.
        Int "log.retention.minutes" = null, ReadOnly, Any, Applied;
        /// As log.retention.ms, in hours.
        Int "log.retention.hours" = 168, ReadOnly, Any, Applied;
        /// Size of a partition above which old segments are deleted, bytes; -1 is no limit.
        Long "log.retention.bytes" = "-1", ClusterWide, Any, Applied;
        /// What happens to old records: `delete`, `compact` or both.
        List "log.cleanup.policy" = "delete", ClusterWide, EachOf(&["compact", "delete"]), Applied;
        /// Largest size of an index file, bytes.
        Int "log.index.size.max.bytes" = 10485760, ClusterWide, AtLeast(4), Applied;
        /// Bytes of records between two entries of an index.
        Int "log.index.interval.bytes" = 4096, ClusterWide, AtLeast(0), Applied;
        /// Whether a new segment is given its full size at once.
        Boolean "log.preallocate" = false, ClusterWide, Any, Applied;
        /// How long a deleted file is kept under another name, ms.
        Long "log.segment.delete.delay.ms" = 60000, ClusterWide, AtLeast(0), Applied;
        /// Records after which a log is flushed to disk.
        Long "log.flush.interval.messages" = 9223372036854775807, ClusterWide, AtLeast(1), Applied;
        /// Time after which a log is flushed to disk, ms.
        Long "log.flush.interval.ms" = null, ClusterWide, Any, Applied, from [same("log.flush.scheduler.interval.ms")];
        /// Largest record batch accepted, bytes, as it stands on the wire.
        Int "message.max.bytes" = 1048588, ClusterWide, AtLeast(0), Applied;
        /// Codec of stored batches; `producer` keeps what the producer chose.
        String "compression.type" = "producer", ClusterWide, OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Applied;
        /// Level used when compression.type is gzip.
        Int "compression.gzip.level" = "-1", ClusterWide, GzipLevel, Applied;
        /// Level used when compression.type is lz4.
        Int "compression.lz4.level" = 9, ClusterWide, Between(1, 17), Applied;
        /// Level used when compression.type is zstd.
        Int "compression.zstd.level" = 3, ClusterWide, Between(-131_072, 22), Applied;
        /// Whether a record keeps the producer's time or gets the time of the append.
        String "log.message.timestamp.type" = "CreateTime", ClusterWide, OneOf(&["CreateTime", "LogAppendTime"]), Applied;
        /// How far in the past a producer's timestamp may lie, ms.
        Long "log.message.timestamp.before.max.ms" = 9223372036854775807, ClusterWide, AtLeast(0), Applied;
        /// How far in the future a producer's timestamp may lie, ms.
        Long "log.message.timestamp.after.max.ms" = 3600000, ClusterWide, AtLeast(0), Applied;
        /// In-sync replicas without which acks=all is refused.
        Int "min.insync.replicas" = 1, ClusterWide, AtLeast(1), Applied;
        /// Whether a replica that is not in sync may become leader, losing records.
        Boolean "unclean.leader.election.enable" = false, ClusterWide, Any, NoEffect;
        /// Age up to which segments stay on local disk once they are tiered, ms; -2 takes retention.ms.
        Long "log.local.retention.ms" = "-2", ClusterWide, AtLeast(-2), NoEffect;
        /// Size up to which segments stay on local disk once they are tiered, bytes; -2 takes retention.bytes.
        Long "log.local.retention.bytes" = "-2", ClusterWide, AtLeast(-2), NoEffect;
        /// Share of a log that must be dirty before it is cleaned.
        Double "log.cleaner.min.cleanable.ratio" = "0.5", ClusterWide, Share(0.0, 1.0), Applied;
        /// How long a tombstone is kept after cleaning, ms.
        Long "log.cleaner.delete.retention.ms" = 86400000, ClusterWide, AtLeast(0), Applied;
        /// Age below which a record is not compacted, ms.
        Long "log.cleaner.min.compaction.lag.ms" = 0, ClusterWide, AtLeast(0), Applied;
        /// Age above which a record must be compacted, ms.
        Long "log.cleaner.max.compaction.lag.ms" = 9223372036854775807, ClusterWide, AtLeast(1), Applied;
    }
}
