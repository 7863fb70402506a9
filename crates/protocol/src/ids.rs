//! The numbers that name things in Kafka, each with a type of its own so that they cannot be mixed up.

use std::fmt;

use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

number! {
    /// Position of a record in a partition, counted from 0.
    Offset(i64)
}
number! {
    /// Term of a partition's leader; goes up by at least one with every change of leader. -1 is "unknown".
    LeaderEpoch(i32)
}
number! {
    /// Id of an idempotent or transactional producer. -1 is "none".
    ProducerId(i64)
}
number! {
    /// Incarnation of a producer id; a higher one fences the lower. -1 is "none".
    ProducerEpoch(i16)
}
number! {
    /// Number of a record among those of one producer and partition; wraps from `i32::MAX` to 0. -1 is "none".
    Sequence(i32)
}
number! {
    /// Number of a partition within its topic, counted from 0.
    PartitionIndex(i32)
}
number! {
    /// Node id of a broker.
    BrokerId(i32)
}
number! {
    /// Milliseconds since the Unix epoch. -1 is "none".
    Timestamp(i64)
}

impl Offset {
    /// The offset `count` records further on. Stops at the largest offset, which no log reaches, so that a damaged
    /// header cannot make it overflow.
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl LeaderEpoch {
    /// Kafka's "no epoch known".
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// Kafka's "not an idempotent producer".
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// Kafka's "not an idempotent producer".
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// Kafka's "not an idempotent producer".
    pub const NONE: Self = Self(-1);

    /// The sequence `count` records further on, wrapping from `i32::MAX` to 0 as `DefaultRecordBatch.incrementSequence`.
    ///
    /// Negative values make no sense here; as they may stand in a damaged header, they wrap instead of overflowing.
    pub const fn plus(self, count: i32) -> Self {
        if self.0 > i32::MAX.wrapping_sub(count) {
            Self(
                count
                    .wrapping_sub(i32::MAX.wrapping_sub(self.0))
                    .wrapping_sub(1),
            )
        } else {
            Self(self.0.wrapping_add(count))
        }
    }
}

impl Timestamp {
    /// Kafka's `RecordBatch.NO_TIMESTAMP`.
    pub const NONE: Self = Self(-1);
}

/// Id of a topic (KIP-516): never reused, so that a topic created anew is not taken for the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// `Uuid.ZERO_UUID`: "not given".
    pub const ZERO: Self = Self(Uuid::nil());
    /// Topic id reserved for `__cluster_metadata`.
    pub const METADATA: Self = Self(Uuid::from_u128(1));
}

impl fmt::Display for TopicId {
    /// Kafka's text form: URL-safe base64 of the 16 bytes, without padding (22 characters).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = self.0.as_u128();
        // 128 bits are 21 groups of six and one of two, which is padded with zero bits on the right.
        for group in 0..21 {
            let digit = (value >> (122 - 6 * group)) & 63;
            write!(f, "{}", char::from(ALPHABET[digit as usize]))?;
        }
        write!(f, "{}", char::from(ALPHABET[((value & 3) << 4) as usize]))
    }
}

/// A partition of a topic, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: String,
    /// Index within the topic.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    /// The name of the partition's directory: `<topic>-<index>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(4), Sequence(2));
        assert_eq!(Sequence(5).plus(4), Sequence(9));
    }

    #[test]
    fn topic_id_prints_as_kafka_does() {
        // Uuid.METADATA_TOPIC_ID of Apache Kafka.
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let all = TopicId(Uuid::from_bytes([0xff; 16]));
        assert_eq!(all.to_string(), "_____________________w");
    }
}
