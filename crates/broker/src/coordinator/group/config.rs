//! What an operator sets about groups: plain values, no key names.

use std::fmt;

/// Settings of all groups of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// How long an empty classic group waits for more members before its first rebalance, ms.
    pub initial_rebalance_delay_ms: i32,
    /// Shortest session timeout a classic member may ask for, ms.
    pub min_session_timeout_ms: i32,
    /// Longest session timeout a classic member may ask for, ms.
    pub max_session_timeout_ms: i32,
    /// Members a classic group may have.
    pub max_size: usize,
    /// How long a member that does not know its id yet stays without a word, ms.
    pub new_member_join_timeout_ms: i32,
    /// Members a consumer group may have.
    pub consumer_max_size: usize,
    /// Which way a group with members may move between the protocols.
    pub migration_policy: MigrationPolicy,
    /// Longest metadata of a committed offset, in UTF-16 units as Java counts.
    pub offset_metadata_max: usize,
    /// How long offsets outlive their group, ms.
    pub offsets_retention_ms: i64,
    /// How often expired offsets are looked for, ms.
    pub offsets_retention_check_interval_ms: i64,
}

/// What is set for single groups, which may change at any time (`GroupConfigManager`).
pub trait DynamicConfigs: fmt::Debug + Send + Sync {
    /// What holds for the members of a consumer group.
    fn consumer(&self, group: &str) -> ConsumerTimings;
}

/// The times of a consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTimings {
    /// How long a member may be silent, ms.
    pub session_timeout_ms: i32,
    /// How often a member is told to send a heartbeat, ms.
    pub heartbeat_interval_ms: i32,
}

/// `group.consumer.migration.policy` (`ConsumerGroupMigrationPolicy`). Groups without members move either way under any
/// policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither way.
    Disabled,
    /// From the consumer protocol to the classic one.
    Downgrade,
    /// From the classic protocol to the consumer one.
    Upgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    /// By its name, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "disabled" => Some(Self::Disabled),
            "downgrade" => Some(Self::Downgrade),
            "upgrade" => Some(Self::Upgrade),
            "bidirectional" => Some(Self::Bidirectional),
            _ => None,
        }
    }

    /// Whether a classic group may become a consumer group.
    pub fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether a consumer group may become a classic group.
    pub fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

impl Default for GroupConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: usize::MAX,
            new_member_join_timeout_ms: 300_000,
            consumer_max_size: usize::MAX,
            migration_policy: MigrationPolicy::Bidirectional,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}
