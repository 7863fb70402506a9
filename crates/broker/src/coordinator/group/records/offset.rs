//! Committed offsets: record types 0 and 1.

use ottla_protocol::ids::TopicId;

use super::field::{Encoding, Field, read_tags, structs, write_tags};
use super::{DecodeError, EncodeError};

structs! {
    /// Whose offset it is.
    OffsetCommitKey {
        /// Group id.
        group: String [0],
        /// Name of the topic.
        topic: String [0],
        /// Index within the topic.
        partition: i32 [0],
    }

    /// The offset.
    OffsetCommitValue {
        /// Offset of the next record to consume.
        offset: i64 [0],
        /// Leader epoch of the last record consumed, -1 when the client did not say.
        leader_epoch: i32 [3] = -1,
        /// The client's own words about the commit.
        metadata: String [0],
        /// When it was committed, ms since the Unix epoch.
        commit_timestamp: i64 [0],
        /// When it expires, ms since the Unix epoch; -1 for the group's usual retention.
        expire_timestamp: i64 [1 - 1] = -1,
        /// Id of the topic, zero when the client did not say.
        topic_id: TopicId [4] tag 0,
    }

    /// The offset as releases before 0.9 wrote it.
    LegacyOffsetCommitValue {
        /// Offset of the next record to consume.
        offset: i64 [0],
        /// The client's own words about the commit.
        metadata: String [0],
        /// When it was committed, ms since the Unix epoch.
        commit_timestamp: i64 [0],
    }
}
