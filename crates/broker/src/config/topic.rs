//! Topic configs: the table, and `TopicConfig`, the values that hold for one topic after all layers are applied.
//!
//! Which layer wins is decided in `dynamic.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::key::{ConfigType, Key, config_keys};
use super::value::{Field, InvalidValue, Value};

config_keys! {
    /// The values that hold for one topic.
    pub struct TopicConfig, keys KEYS {
        /// What happens to old records: `delete` drops segments by age and size, `compact` keeps the last record of each key.
        cleanup_policy: CleanupPolicy, "cleanup.policy" = "delete", ClusterWide, EachOf(&["compact", "delete"]), Applied, from [same("log.cleanup.policy")];
        /// Codec of stored batches; `producer` keeps what the producer chose.
        compression_type: CompressionType, "compression.type" = "producer", ClusterWide, OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Applied, from [same("compression.type")];
        /// Level used when compression.type is gzip.
        compression_gzip_level: i32, "compression.gzip.level" = "-1", ClusterWide, GzipLevel, Applied, from [same("compression.gzip.level")];
        /// Level used when compression.type is lz4.
        compression_lz4_level: i32, "compression.lz4.level" = 9, ClusterWide, Between(1, 17), Applied, from [same("compression.lz4.level")];
        /// Level used when compression.type is zstd.
        compression_zstd_level: i32, "compression.zstd.level" = 3, ClusterWide, Between(-131_072, 22), Applied, from [same("compression.zstd.level")];
        /// How long a tombstone is kept after cleaning, ms.
        delete_retention_ms: i64, "delete.retention.ms" = 86400000, ClusterWide, AtLeast(0), Applied, from [same("log.cleaner.delete.retention.ms")];
        /// How long a deleted file is kept under another name, ms.
        file_delete_delay_ms: i64, "file.delete.delay.ms" = 60000, ClusterWide, AtLeast(0), Applied, from [same("log.segment.delete.delay.ms")];
        /// Records after which the log is flushed to disk.
        flush_messages: i64, "flush.messages" = 9223372036854775807, ClusterWide, AtLeast(1), Applied, from [same("log.flush.interval.messages")];
        /// Time after which the log is flushed to disk, ms.
        flush_ms: i64, "flush.ms" = 9223372036854775807, ClusterWide, AtLeast(0), Applied, from [same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")];
        /// Bytes of records between two entries of an index.
        index_interval_bytes: i32, "index.interval.bytes" = 4096, ClusterWide, AtLeast(0), Applied, from [same("log.index.interval.bytes")];
        /// Age above which a record must be compacted, ms.
        max_compaction_lag_ms: i64, "max.compaction.lag.ms" = 9223372036854775807, ClusterWide, AtLeast(1), Applied, from [same("log.cleaner.max.compaction.lag.ms")];
        /// Largest record batch accepted, bytes, as it stands on the wire.
        max_message_bytes: i32, "max.message.bytes" = 1048588, ClusterWide, AtLeast(0), Applied, from [same("message.max.bytes")];
        /// How far in the future a producer's timestamp may lie, ms.
        message_timestamp_after_max_ms: i64, "message.timestamp.after.max.ms" = 3600000, ClusterWide, AtLeast(0), Applied, from [same("log.message.timestamp.after.max.ms")];
        /// How far in the past a producer's timestamp may lie, ms.
        message_timestamp_before_max_ms: i64, "message.timestamp.before.max.ms" = 9223372036854775807, ClusterWide, AtLeast(0), Applied, from [same("log.message.timestamp.before.max.ms")];
        /// Whether a record keeps the producer's time or gets the time of the append.
        message_timestamp_type: TimestampType, "message.timestamp.type" = "CreateTime", ClusterWide, OneOf(&["CreateTime", "LogAppendTime"]), Applied, from [same("log.message.timestamp.type")];
        /// Share of the log that must be dirty before it is cleaned.
        min_cleanable_dirty_ratio: f64, "min.cleanable.dirty.ratio" = "0.5", ClusterWide, Share(0.0, 1.0), Applied, from [same("log.cleaner.min.cleanable.ratio")];
        /// Age below which a record is not compacted, ms.
        min_compaction_lag_ms: i64, "min.compaction.lag.ms" = 0, ClusterWide, AtLeast(0), Applied, from [same("log.cleaner.min.compaction.lag.ms")];
        /// In-sync replicas without which acks=all is refused.
        min_insync_replicas: i32, "min.insync.replicas" = 1, ClusterWide, AtLeast(1), Applied, from [same("min.insync.replicas")];
        /// Whether a new segment is given its full size at once.
        preallocate: bool, "preallocate" = false, ClusterWide, Any, Applied, from [same("log.preallocate")];
        /// Size of a partition above which old segments are deleted, bytes; -1 is no limit.
        retention_bytes: i64, "retention.bytes" = "-1", ClusterWide, Any, Applied, from [same("log.retention.bytes")];
        /// Age at which a segment is deleted, ms; -1 keeps all.
        retention_ms: i64, "retention.ms" = 604800000, ClusterWide, AtLeast(-1), Applied, from [same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")];
        /// Size at which a segment is closed and a new one begun, bytes.
        segment_bytes: i32, "segment.bytes" = 1073741824, ClusterWide, AtLeast(1_048_576), Applied, from [same("log.segment.bytes")];
        /// Largest size of an index file, bytes.
        segment_index_bytes: i32, "segment.index.bytes" = 10485760, ClusterWide, AtLeast(4), Applied, from [same("log.index.size.max.bytes")];
        /// Random part taken off segment.ms so that segments do not all roll together, ms.
        segment_jitter_ms: i64, "segment.jitter.ms" = 0, ClusterWide, AtLeast(0), Applied, from [same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")];
        /// Age at which a segment is closed even when small, ms.
        segment_ms: i64, "segment.ms" = 604800000, ClusterWide, AtLeast(1), Applied, from [same("log.roll.ms"), hours("log.roll.hours")];
        /// Whether a replica that is not in sync may become leader, losing records.
        unclean_leader_election_enable: bool, "unclean.leader.election.enable" = false, ClusterWide, Any, NoEffect, from [same("unclean.leader.election.enable")];
    }
    without_field {
        /// Replicas whose catching up is slowed down, as `partition:broker`, or `*`.
        List "follower.replication.throttled.replicas" = "", ClusterWide, ThrottledReplicas, NoEffect;
        /// Replicas whose leaders send slower, as `partition:broker`, or `*`.
        List "leader.replication.throttled.replicas" = "", ClusterWide, ThrottledReplicas, NoEffect;
        /// Size up to which segments stay on local disk once they are tiered, bytes; -2 takes retention.bytes.
        Long "local.retention.bytes" = "-2", ClusterWide, AtLeast(-2), NoEffect, from [same("log.local.retention.bytes")];
        /// Age up to which segments stay on local disk once they are tiered, ms; -2 takes retention.ms.
        Long "local.retention.ms" = "-2", ClusterWide, AtLeast(-2), NoEffect, from [same("log.local.retention.ms")];
        /// Whether a tiered topic stops copying and keeps reading what was copied.
        Boolean "remote.log.copy.disable" = false, ClusterWide, Any, NoEffect;
        /// Whether what was copied is deleted when tiering is switched off.
        Boolean "remote.log.delete.on.disable" = false, ClusterWide, Any, NoEffect;
        /// Whether old segments of the topic are kept in remote storage.
        Boolean "remote.storage.enable" = false, ClusterWide, Any, Unsupported("tiered storage does not exist yet");
    }
}

/// All topic configs, ordered by name.
pub static TOPIC_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = KEYS.to_vec();
    keys.sort_by_key(|key| key.name);
    keys
});

/// The topic config called `name`.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS
        .binary_search_by(|key| key.name.cmp(name))
        .ok()
        .map(|index| &TOPIC_KEYS[index])
}

/// Checks a topic's own configs as CreateTopics and AlterConfigs must (`LogConfig.validate`): names, types, bounds, and
/// those that contradict each other. `effective` is what holds for the topic with them; the message is for
/// `INVALID_CONFIG`.
pub fn validate_topic(
    overrides: &BTreeMap<String, String>,
    effective: &TopicConfig,
) -> Result<(), String> {
    for (name, text) in overrides {
        validate_topic_value(name, text)?;
    }
    let (min, max) = (
        effective.min_compaction_lag_ms,
        effective.max_compaction_lag_ms,
    );
    if effective.cleanup_policy.compact && min > max {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        ));
    }
    Ok(())
}

/// Checks one topic config by itself.
pub fn validate_topic_value(name: &str, text: &str) -> Result<(), String> {
    let key = topic_key(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
    let value = Value::parse(key, text).map_err(|error: InvalidValue| error.to_string())?;
    if name == "remote.storage.enable" && value == Value::Boolean(true) {
        return Err("Tiered Storage functionality is disabled in the broker. \
                    Topic cannot be configured with remote log storage."
            .into());
    }
    Ok(())
}

/// What happens to old records (`cleanup.policy`); neither is legal and keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Whole segments are deleted by age and size.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

impl Field for CleanupPolicy {
    const KIND: ConfigType = ConfigType::List;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        let items = Vec::<String>::from_value(value)?;
        let has = |name: &str| items.iter().any(|item| item == name);
        Some(Self {
            delete: has("delete"),
            compact: has("compact"),
        })
    }
}

/// Codec of stored batches (`compression.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionType {
    /// What the producer chose.
    #[default]
    Producer,
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Field for CompressionType {
    const KIND: ConfigType = ConfigType::String;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        Some(match String::from_value(value)?.as_str() {
            "producer" => Self::Producer,
            "uncompressed" => Self::Uncompressed,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// Whose time a record carries (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

impl Field for TimestampType {
    const KIND: ConfigType = ConfigType::String;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        Some(match String::from_value(value)?.as_str() {
            "CreateTime" => Self::CreateTime,
            "LogAppendTime" => Self::LogAppendTime,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check() {
        for key in TOPIC_KEYS.iter() {
            let default = key
                .default
                .unwrap_or_else(|| panic!("{} has no default", key.name));
            Value::parse(key, default).unwrap();
            assert!(!key.doc().is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn the_table_has_the_topic_configs_of_apache_kafka() {
        // LogConfig.configKeys of 4.3, the internal one left out.
        assert_eq!(TOPIC_KEYS.len(), 33);
        assert_eq!(topic_key("retention.ms").unwrap().synonyms.len(), 3);
        assert!(topic_key("retention.m").is_none());
    }

    #[test]
    fn topic_configs_are_checked_one_by_one_and_together() {
        let check = |pairs: &[(&str, &str)]| {
            let overrides: BTreeMap<String, String> = pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect();
            let mut effective = TopicConfig::default();
            for (name, text) in &overrides {
                if let Some(value) = topic_key(name).and_then(|key| Value::parse(key, text).ok()) {
                    effective.assign(name, Some(&value));
                }
            }
            validate_topic(&overrides, &effective)
        };
        assert_eq!(
            check(&[
                ("cleanup.policy", "compact,delete"),
                ("segment.bytes", "1048576")
            ]),
            Ok(())
        );
        assert_eq!(
            check(&[("segment.bytes", "1")]),
            Err(
                "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"
                    .into()
            )
        );
        assert_eq!(
            check(&[("segment.byte", "1")]),
            Err("Unknown topic config name: segment.byte".into())
        );
        assert!(check(&[("remote.storage.enable", "true")]).is_err());
        let lags = [
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", "5"),
            ("max.compaction.lag.ms", "4"),
        ];
        assert!(
            check(&lags)
                .unwrap_err()
                .starts_with("conflict topic config setting")
        );
    }
}
