//! Which version of a record may be written at which level of the feature `metadata.version`.
//!
//! A cluster finalizes one level, and everyone who reads the log understands the records of that level. The
//! levels and what they bring are those of Kafka's `MetadataVersion`.

use std::fmt;

use super::MetadataRecord;

/// Name of the feature.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

/// A level of the feature `metadata.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(pub i16);

/// The levels by Kafka's names, from the lowest that 4.x still reads.
const NAMES: [&str; 24] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];

/// The levels that brought records or fields of records (`MetadataVersion.didMetadataChange`).
const CHANGED: [i16; 9] = [7, 8, 11, 13, 14, 15, 17, 23, 30];

impl MetadataVersion {
    /// Lowest level (`MetadataVersion.MINIMUM_VERSION` of Kafka 4.x).
    pub const MINIMUM: Self = Self(7);
    /// SCRAM credentials have records.
    pub const IBP_3_5_IV2: Self = Self(11);
    /// Metadata transactions.
    pub const IBP_3_6_IV1: Self = Self(13);
    /// Delegation tokens have records.
    pub const IBP_3_6_IV2: Self = Self(14);
    /// Controllers register.
    pub const IBP_3_7_IV0: Self = Self(15);
    /// Replicas have log directories.
    pub const IBP_3_7_IV2: Self = Self(17);
    /// Eligible leader replicas.
    pub const IBP_4_0_IV1: Self = Self(23);
    /// What Kafka 4.0 finalizes.
    pub const IBP_4_0_IV3: Self = Self(25);
    /// What Kafka 4.1 finalizes.
    pub const IBP_4_1_IV1: Self = Self(27);
    /// What Kafka 4.2 finalizes.
    pub const IBP_4_2_IV1: Self = Self(29);
    /// What Kafka 4.3 finalizes. Log directories can be cordoned.
    pub const IBP_4_3_IV0: Self = Self(30);
    /// Highest level whose records this module knows.
    pub const MAXIMUM: Self = Self::IBP_4_3_IV0;

    /// Whether records have changed between `older` and this level (`MetadataVersion.checkIfMetadataChanged`).
    pub fn changed_since(self, older: Self) -> bool {
        CHANGED
            .iter()
            .any(|level| (older.0 < *level) && (*level <= self.0))
    }

    /// Kafka's name of the level, e.g. `4.1-IV1`; `None` beyond the known range.
    pub fn name(self) -> Option<&'static str> {
        let index = usize::try_from(i32::from(self.0) - i32::from(Self::MINIMUM.0)).ok()?;
        NAMES.get(index).copied()
    }

    /// The level Kafka names so; a release such as `4.1` means its last level.
    pub fn from_name(name: &str) -> Option<Self> {
        let index = NAMES.iter().rposition(|known| {
            known
                .split_once("-IV")
                .is_some_and(|(release, _)| *known == name || release == name)
        })?;
        Some(Self(Self::MINIMUM.0 + index as i16))
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "level {}", self.0),
        }
    }
}

impl MetadataRecord {
    /// The version in which to write this record when `level` is finalized.
    ///
    /// A record that sets a field which that version lacks fails to encode, rather than lose the field.
    pub fn version_at(&self, level: MetadataVersion) -> i16 {
        match self {
            Self::RegisterBroker(_) if level >= MetadataVersion::IBP_4_3_IV0 => 4,
            Self::RegisterBroker(_) if level >= MetadataVersion::IBP_3_7_IV2 => 3,
            Self::RegisterBroker(_) if level > MetadataVersion::MINIMUM => 2,
            Self::RegisterBroker(_) => 1,
            Self::Partition(_) | Self::PartitionChange(_)
                if level >= MetadataVersion::IBP_4_0_IV1 =>
            {
                2
            }
            Self::Partition(_) | Self::PartitionChange(_)
                if level >= MetadataVersion::IBP_3_7_IV2 =>
            {
                1
            }
            // Kafka's controllers write the lowest version that can say what changed.
            Self::BrokerRegistrationChange(change) if change.cordoned_log_dirs.is_some() => 3,
            Self::BrokerRegistrationChange(change) if !change.log_dirs.is_empty() => 2,
            Self::BrokerRegistrationChange(change) if change.in_controlled_shutdown != 0 => 1,
            _ => 0,
        }
    }
}
