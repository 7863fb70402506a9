//! A topic's configuration, worked out once per change into what the append path asks for.

use ottla_protocol::ids::Timestamp;
use ottla_protocol::record::validate::{BatchRules, TimestampType, TopicCodec};
use ottla_storage::log_config::LogConfig;

use crate::config::{self, BrokerConfig, CompressionType, TopicConfig};

/// What a topic's configuration says about its batches and its log.
#[derive(Debug, Clone)]
pub struct TopicRules {
    /// How the log is kept.
    pub log: LogConfig,
    /// Records are compacted by key.
    pub compact: bool,
    /// What batches are stored as (`compression.type`).
    pub codec: TopicCodec,
    /// What is acknowledged with acks=all is on disk (`ottla.flush.on.acks.all`).
    pub flush_on_acks_all: bool,
    max_message_bytes: usize,
    max_decompressed_bytes: usize,
    timestamp_type: TimestampType,
    timestamp_before_max_ms: i64,
    timestamp_after_max_ms: i64,
}

impl TopicRules {
    /// The rules that follow from a topic's effective configuration and from the broker's.
    pub fn new(topic: &TopicConfig, broker: &BrokerConfig) -> Self {
        Self {
            log: log_config(topic, broker.log.producer_id_expiration_ms.into()),
            compact: topic.cleanup_policy.compact,
            codec: codec(topic),
            flush_on_acks_all: broker.ottla.ottla_flush_on_acks_all,
            max_message_bytes: bytes(topic.max_message_bytes) as usize,
            max_decompressed_bytes: bytes(broker.ottla.ottla_max_decompressed_message_bytes)
                as usize,
            timestamp_type: match topic.message_timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
            timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
        }
    }

    /// Whether a coordinator's records must be on disk before it answers: they are written as if with acks=all.
    pub fn coordinator_flushes(&self) -> bool {
        self.flush_on_acks_all || self.log.flush_messages < i64::MAX
    }

    /// The rules for a batch that comes in at `now` by a Produce request of `version`.
    pub fn batch_rules(&self, version: i16, now: Timestamp) -> BatchRules {
        BatchRules {
            max_message_bytes: self.max_message_bytes,
            max_decompressed_bytes: self.max_decompressed_bytes,
            timestamp_type: self.timestamp_type,
            timestamp_before_max_ms: self.timestamp_before_max_ms,
            timestamp_after_max_ms: self.timestamp_after_max_ms,
            // A record without a key cannot be compacted.
            require_keys: self.compact,
            codec: self.codec,
            now,
            produce_version: version,
        }
    }

    /// Are batches stored with zstd, which old fetch versions cannot carry (KIP-110)?
    pub fn is_zstd(&self) -> bool {
        matches!(self.codec, TopicCodec::Zstd { .. })
    }
}

fn log_config(topic: &TopicConfig, producer_id_expiration_ms: i64) -> LogConfig {
    LogConfig {
        segment_bytes: bytes(topic.segment_bytes),
        segment_ms: segment_ms(topic),
        segment_jitter_ms: topic.segment_jitter_ms,
        index_interval_bytes: bytes(topic.index_interval_bytes),
        segment_index_bytes: bytes(topic.segment_index_bytes),
        preallocate: topic.preallocate,
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        file_delete_delay_ms: topic.file_delete_delay_ms,
        compact: topic.cleanup_policy.compact,
        delete: topic.cleanup_policy.delete,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        producer_id_expiration_ms,
    }
}

/// Records in the active segment cannot be compacted, so it is rolled in time (`LogConfig.maxSegmentMs`).
fn segment_ms(topic: &TopicConfig) -> i64 {
    match topic.cleanup_policy.compact && topic.max_compaction_lag_ms > 0 {
        true => topic.segment_ms.min(topic.max_compaction_lag_ms),
        false => topic.segment_ms,
    }
}

fn codec(topic: &TopicConfig) -> TopicCodec {
    match topic.compression_type {
        CompressionType::Producer => TopicCodec::Producer,
        CompressionType::Uncompressed => TopicCodec::Uncompressed,
        CompressionType::Gzip => TopicCodec::Gzip {
            level: topic.compression_gzip_level,
        },
        CompressionType::Snappy => TopicCodec::Snappy,
        CompressionType::Lz4 => TopicCodec::Lz4 {
            level: topic.compression_lz4_level,
        },
        CompressionType::Zstd => TopicCodec::Zstd {
            level: topic.compression_zstd_level,
        },
    }
}

/// The configuration table allows no negative value here.
fn bytes(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}
