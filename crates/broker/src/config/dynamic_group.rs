//! What can be set for one group (`GroupConfig`, KIP-848 and KIP-1142): the table, and what holds for a group.
//!
//! A value that is not set for the group is the broker's `group.consumer.*`. The keys of share and streams groups are
//! checked and kept as Kafka does, for a directory that goes there: such groups do not exist here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::BrokerConfig;
use super::dynamic::Layers;
use super::key::{Key, config_keys};
use super::value::Value;

config_keys! {
    /// The values that hold for one group.
    pub struct DynamicGroupConfig, keys KEYS {
        /// The timeout to detect client failures when using the consumer group protocol, ms.
        consumer_session_timeout_ms: i32, "consumer.session.timeout.ms" = 45000, ClusterWide, AtLeast(1), Applied, from [same("group.consumer.session.timeout.ms")];
        /// The heartbeat interval given to the members of a consumer group, ms.
        consumer_heartbeat_interval_ms: i32, "consumer.heartbeat.interval.ms" = 5000, ClusterWide, AtLeast(1), Applied, from [same("group.consumer.heartbeat.interval.ms")];
    }
    without_field {
        /// The timeout to detect client failures when using the share group protocol, ms.
        Int "share.session.timeout.ms" = 45000, ClusterWide, AtLeast(1), NoEffect, from [same("group.share.session.timeout.ms")];
        /// The heartbeat interval given to the members of a share group, ms.
        Int "share.heartbeat.interval.ms" = 5000, ClusterWide, AtLeast(1), NoEffect, from [same("group.share.heartbeat.interval.ms")];
        /// How long a record is locked for a share consumer, ms.
        Int "share.record.lock.duration.ms" = 30000, ClusterWide, AtLeast(1_000), NoEffect, from [same("group.share.record.lock.duration.ms")];
        /// Where a share group begins to read.
        String "share.auto.offset.reset" = "latest", ClusterWide, OneOf(&["earliest", "latest"]), NoEffect;
        /// Whether a share group reads records of open and aborted transactions.
        String "share.isolation.level" = "read_uncommitted", ClusterWide, OneOf(&["read_committed", "read_uncommitted"]), NoEffect;
        /// The timeout to detect client failures when using the streams group protocol, ms.
        Int "streams.session.timeout.ms" = 45000, ClusterWide, AtLeast(1), NoEffect, from [same("group.streams.session.timeout.ms")];
        /// The heartbeat interval given to the members of a streams group, ms.
        Int "streams.heartbeat.interval.ms" = 5000, ClusterWide, AtLeast(1), NoEffect, from [same("group.streams.heartbeat.interval.ms")];
        /// The number of standby replicas of each task of a streams group.
        Int "streams.num.standby.replicas" = 0, ClusterWide, AtLeast(0), NoEffect, from [same("group.streams.num.standby.replicas")];
    }
}

/// All keys, ordered by name.
pub static GROUP_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = KEYS.to_vec();
    keys.sort_by_key(|key| key.name);
    keys
});

/// The limits an operator has set, in the order in which Kafka looks at them: the key, and the broker's keys of the
/// smallest and the largest value.
const LIMITS: [(&str, Option<&str>, &str); 8] = [
    (
        "consumer.heartbeat.interval.ms",
        Some("group.consumer.min.heartbeat.interval.ms"),
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "consumer.session.timeout.ms",
        Some("group.consumer.min.session.timeout.ms"),
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "share.heartbeat.interval.ms",
        Some("group.share.min.heartbeat.interval.ms"),
        "group.share.max.heartbeat.interval.ms",
    ),
    (
        "share.session.timeout.ms",
        Some("group.share.min.session.timeout.ms"),
        "group.share.max.session.timeout.ms",
    ),
    (
        "share.record.lock.duration.ms",
        Some("group.share.min.record.lock.duration.ms"),
        "group.share.max.record.lock.duration.ms",
    ),
    (
        "streams.heartbeat.interval.ms",
        Some("group.streams.min.heartbeat.interval.ms"),
        "group.streams.max.heartbeat.interval.ms",
    ),
    (
        "streams.session.timeout.ms",
        Some("group.streams.min.session.timeout.ms"),
        "group.streams.max.session.timeout.ms",
    ),
    (
        "streams.num.standby.replicas",
        None,
        "group.streams.max.standby.replicas",
    ),
];

/// What holds for a group for which `overrides` are set.
pub fn effective(overrides: &BTreeMap<String, String>, fixed: &BrokerConfig) -> DynamicGroupConfig {
    let mut config = DynamicGroupConfig::default();
    for key in KEYS {
        let text = super::dynamic::effective_text(key, &layers(overrides, fixed));
        if let Some(value) = text.and_then(|text| Value::parse(key, &text).ok()) {
            config.assign(key.name, Some(&value));
        }
    }
    config
}

/// Check all that is set for a group (`GroupConfigManager.validate`): names, types, and the limits of the broker. The
/// message is for INVALID_CONFIG.
pub fn validate_group(
    overrides: &BTreeMap<String, String>,
    fixed: &BrokerConfig,
) -> Result<(), String> {
    let is_known = |name: &&String| KEYS.iter().any(|key| key.name == **name);
    if let Some(name) = overrides.keys().find(|name| !is_known(name)) {
        return Err(format!("Unknown group config name: {name}"));
    }
    let mut numbers = BTreeMap::new();
    for key in KEYS {
        // What is not set is judged as well: the broker's value for consumer groups, the default for the others.
        let is_of_consumers = key.name.starts_with("consumer.");
        let text = match overrides.get(key.name) {
            None if is_of_consumers => {
                super::dynamic::effective_text(key, &layers(&NOTHING, fixed))
            }
            None => key.default.map(str::to_owned),
            Some(text) => Some(text.clone()),
        };
        let value =
            Value::parse(key, &text.unwrap_or_default()).map_err(|error| error.to_string())?;
        numbers.extend(value.as_i64().map(|number| (key.name, number)));
    }
    check_limits(&numbers, fixed)
}

static NOTHING: BTreeMap<String, String> = BTreeMap::new();

fn layers<'a>(overrides: &'a BTreeMap<String, String>, fixed: &'a BrokerConfig) -> Layers<'a> {
    Layers {
        topic: overrides,
        ..Layers::of(fixed)
    }
}

fn check_limits(numbers: &BTreeMap<&str, i64>, fixed: &BrokerConfig) -> Result<(), String> {
    let of_broker = |name: &str| fixed.get(name).and_then(|text| text.parse::<i64>().ok());
    for (name, min, max) in LIMITS {
        let number = numbers.get(name).copied();
        let least = min.and_then(of_broker);
        if number < least {
            let min = min.unwrap_or_default();
            return Err(format!("{name} must be greater than or equal to {min}"));
        }
        if number
            .zip(of_broker(max))
            .is_some_and(|(number, most)| number > most)
        {
            return Err(format!("{name} must be less than or equal to {max}"));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) = (
            format!("{kind}.session.timeout.ms"),
            format!("{kind}.heartbeat.interval.ms"),
        );
        if numbers.get(&*session) <= numbers.get(&*heartbeat) {
            return Err(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for key in KEYS {
            Value::parse(key, key.default.unwrap()).unwrap();
        }
        assert_eq!(
            validate_group(&BTreeMap::new(), &BrokerConfig::default()),
            Ok(())
        );
    }

    #[test]
    fn the_group_wins_over_the_broker_and_the_broker_over_the_default() {
        let broker = [
            ("group.consumer.session.timeout.ms", "50000"),
            ("group.consumer.heartbeat.interval.ms", "6000"),
        ];
        let broker = BrokerConfig::with_overrides(broker).unwrap();
        let config = effective(&set(&[("consumer.session.timeout.ms", "55000")]), &broker);
        assert_eq!(config.consumer_session_timeout_ms, 55_000);
        assert_eq!(config.consumer_heartbeat_interval_ms, 6_000);
        let defaults = effective(&BTreeMap::new(), &BrokerConfig::default());
        assert_eq!(defaults, DynamicGroupConfig::default());
        // What a Kafka with other checks has let in is not taken.
        let config = effective(&set(&[("consumer.session.timeout.ms", "0")]), &broker);
        assert_eq!(config.consumer_session_timeout_ms, 45_000);
    }

    #[test]
    fn values_are_checked_one_by_one_against_the_limits_and_together() {
        let table: [(&[(&str, &str)], &str); 10] = [
            (&[("nope", "1")], "Unknown group config name: nope"),
            (
                &[("consumer.session.timeout.ms", "x")],
                "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT",
            ),
            (
                &[("consumer.heartbeat.interval.ms", "0")],
                "Invalid value 0 for configuration consumer.heartbeat.interval.ms: Value must be at least 1",
            ),
            (
                &[("consumer.heartbeat.interval.ms", "4999")],
                "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms",
            ),
            (
                &[("consumer.heartbeat.interval.ms", "15001")],
                "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
            ),
            (
                &[("consumer.session.timeout.ms", "44999")],
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                &[("consumer.session.timeout.ms", "60001")],
                "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (
                &[("streams.num.standby.replicas", "3")],
                "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
            ),
            (&[("consumer.session.timeout.ms", "60000")], ""),
            (&[("consumer.heartbeat.interval.ms", "15000")], ""),
        ];
        for (pairs, expected) in table {
            let found = validate_group(&set(pairs), &BrokerConfig::default());
            assert_eq!(found.err().unwrap_or_default(), expected, "{pairs:?}");
        }
        let wide = [
            ("group.consumer.min.session.timeout.ms", "1"),
            ("group.consumer.min.heartbeat.interval.ms", "1"),
        ];
        let wide = BrokerConfig::with_overrides(wide).unwrap();
        let same = set(&[
            ("consumer.session.timeout.ms", "5000"),
            ("consumer.heartbeat.interval.ms", "5000"),
        ]);
        assert_eq!(
            validate_group(&same, &wide),
            Err(
                "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"
                    .into()
            )
        );
    }
}
