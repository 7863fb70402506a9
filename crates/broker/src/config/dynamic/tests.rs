use super::*;
use crate::config::{key, topic_key};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

#[test]
fn the_nearest_layer_holds() {
    let fixed = BrokerConfig::with_overrides([("log.retention.hours", "1")]).unwrap();
    let (topic, broker, cluster) = (
        map(&[("retention.ms", "4")]),
        map(&[("log.retention.ms", "3")]),
        map(&[("log.retention.ms", "2")]),
    );
    let none: &dyn Overrides = &();
    type Layer<'a> = &'a dyn Overrides;
    let cases: [(Layer, Layer, Layer, i64, ConfigSource, usize); 4] = [
        (&topic, &broker, &cluster, 4, ConfigSource::DynamicTopic, 5),
        (none, &broker, &cluster, 3, ConfigSource::DynamicBroker, 4),
        (
            none,
            none,
            &cluster,
            2,
            ConfigSource::DynamicDefaultBroker,
            3,
        ),
        (none, none, none, 3_600_000, ConfigSource::StaticBroker, 2),
    ];
    for (topic, broker, cluster, expected, source, synonyms) in cases {
        let layers = Layers {
            topic,
            broker,
            cluster,
            fixed: &fixed,
        };
        assert_eq!(topic_config(&layers).retention_ms, expected);
        let entry = describe_topic(topic_key("retention.ms").unwrap(), &layers);
        assert_eq!(
            (entry.value.as_deref(), entry.source),
            (Some(expected.to_string().as_str()), source)
        );
        assert_eq!(entry.synonyms.len(), synonyms, "{entry:?}");
    }
    let default = BrokerConfig::default();
    let entry = describe_topic(topic_key("retention.ms").unwrap(), &Layers::of(&default));
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("604800000"), ConfigSource::Default)
    );
}

#[test]
fn the_finer_unit_wins_within_a_layer() {
    let hold = |pairs: &[(&str, &str)]| {
        BrokerConfig::with_overrides(pairs.iter().copied())
            .unwrap()
            .topic_defaults()
    };
    assert_eq!(
        hold(&[("log.retention.hours", "1"), ("log.retention.minutes", "1")]).retention_ms,
        60_000
    );
    assert_eq!(
        hold(&[("log.retention.minutes", "1"), ("log.retention.ms", "5")]).retention_ms,
        5
    );
    assert_eq!(hold(&[("log.retention.hours", "-1")]).retention_ms, -1);
    assert_eq!(
        hold(&[("log.roll.hours", "2"), ("log.roll.jitter.hours", "1")]).segment_ms,
        7_200_000
    );
    assert_eq!(
        hold(&[("log.flush.scheduler.interval.ms", "9")]).flush_ms,
        9
    );
}

#[test]
fn a_value_that_does_not_parse_counts_as_not_set() {
    let fixed = BrokerConfig::default();
    let broker = map(&[("log.segment.bytes", "1"), ("message.max.bytes", "many")]);
    let config = topic_config(&Layers {
        broker: &broker,
        ..Layers::of(&fixed)
    });
    assert_eq!(
        (config.segment_bytes, config.max_message_bytes),
        (1_073_741_824, 1_048_588)
    );
}

#[test]
fn broker_settings_follow_their_dynamic_values() {
    let fixed =
        BrokerConfig::with_overrides([("max.connections", "10"), ("num.partitions", "3")]).unwrap();
    let cluster = map(&[("max.connections", "20"), ("num.partitions", "9")]);
    let layers = Layers {
        cluster: &cluster,
        ..Layers::of(&fixed)
    };
    let config = broker_config(&layers);
    assert_eq!(
        (config.network.max_connections, config.node.num_partitions),
        (20, 3),
        "read-only keys stay"
    );
    let entry = describe_broker(key("max.connections").unwrap(), &layers);
    let sources: Vec<_> = entry
        .synonyms
        .iter()
        .map(|synonym| synonym.source)
        .collect();
    assert_eq!(
        sources,
        [
            ConfigSource::DynamicDefaultBroker,
            ConfigSource::StaticBroker,
            ConfigSource::Default
        ]
    );
    assert_eq!(entry.value.as_deref(), Some("20"));
}

#[test]
fn a_secret_is_described_without_its_value() {
    let fixed = BrokerConfig::with_overrides([("ssl.keystore.password", "s3cret")]).unwrap();
    let entry = describe_broker(key("ssl.keystore.password").unwrap(), &Layers::of(&fixed));
    assert_eq!(
        (entry.value, entry.source),
        (None, ConfigSource::StaticBroker)
    );
    assert_eq!(entry.synonyms[0].value, None);
}

#[test]
fn dynamic_broker_configs_are_checked() {
    let ok = |name: &str, text: &str| validate_broker_value(name, text, true);
    assert_eq!(ok("log.retention.ms", "1000"), Ok(()));
    assert!(
        ok("log.retention.hours", "1")
            .unwrap_err()
            .starts_with("Cannot update these configs dynamically")
    );
    assert!(
        ok("log.segment.bytes", "1")
            .unwrap_err()
            .contains("at least 1048576")
    );
    assert!(
        ok("log.retention.m", "1")
            .unwrap_err()
            .contains("did you mean log.retention.ms?")
    );
    assert!(
        ok("listeners", "PLAINTEXT://:1")
            .unwrap_err()
            .contains("at default cluster level")
    );
    assert_eq!(
        validate_broker_value("listeners", "PLAINTEXT://:1", false),
        Ok(())
    );
    assert!(
        ok("metric.reporters", "a.B")
            .unwrap_err()
            .contains("not supported")
    );
}
