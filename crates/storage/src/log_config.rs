//! What the log needs to know of a topic's configuration: plain values. The broker knows the keys.

/// Settings of one log. The names are those of Kafka's topic configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: largest size of a segment file. At most `i32::MAX`.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a record is this much later than its first one.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_ms`, so that not all logs roll at once.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: bytes of batches between two index entries.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: largest size of an index file.
    pub segment_index_bytes: u32,
    /// `preallocate`: reserve the whole segment when it is created.
    pub preallocate: bool,
    /// `flush.messages`: flush when this many records are unflushed.
    pub flush_messages: i64,
    /// `flush.ms`: flush when a record has been unflushed for this long.
    pub flush_ms: i64,
    /// `retention.ms`: delete segments whose last record is older; -1 for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: delete the oldest segments of a larger log; -1 for no limit.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: how long files outlive their removal from the log.
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy` contains `compact`: offsets may be missing.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `min.cleanable.dirty.ratio`: a log is compacted when more than this share of it is dirty.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: younger records are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: older records are compacted, however small the dirty share.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long tombstones, and markers of nothing, outlive what they delete.
    pub delete_retention_ms: i64,
    /// `producer.id.expiration.ms`: idle idempotent producers are forgotten after this time.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            preallocate: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            compact: false,
            delete: true,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            producer_id_expiration_ms: 24 * 60 * 60 * 1000,
        }
    }
}
