//! Keys that older versions of Apache Kafka had and 4.x has not.

/// What to tell someone who sets `name`; `None` if no version of Kafka knew it.
pub(super) fn removed(name: &str) -> Option<&'static str> {
    if name.starts_with("zookeeper.") {
        return Some(
            "ZooKeeper mode does not exist; metadata is a KRaft log. Migrate with Apache Kafka 3.9 first",
        );
    }
    if name.starts_with("password.encoder.") {
        return Some("secrets are not kept in ZooKeeper any more");
    }
    REMOVED
        .iter()
        .find(|(removed, _)| *removed == name)
        .map(|(_, hint)| *hint)
}

const REMOVED: &[(&str, &str)] = &[
    ("advertised.host.name", "use advertised.listeners"),
    ("advertised.port", "use advertised.listeners"),
    (
        "auto.include.jmx.reporter",
        "there is no JMX; scrape /metrics",
    ),
    ("broker.id.generation.enable", "set node.id"),
    (
        "control.plane.listener.name",
        "use controller.listener.names",
    ),
    (
        "controlled.shutdown.max.retries",
        "a controlled shutdown needs no retries in KRaft mode",
    ),
    (
        "controlled.shutdown.retry.backoff.ms",
        "a controlled shutdown needs no retries in KRaft mode",
    ),
    (
        "delegation.token.master.key",
        "use delegation.token.secret.key",
    ),
    (
        "group.coordinator.new.enable",
        "the new group coordinator is the only one",
    ),
    ("host.name", "use listeners"),
    (
        "inter.broker.protocol.version",
        "the level is a feature, metadata.version",
    ),
    (
        "leader.imbalance.per.broker.percentage",
        "leaders are balanced without a threshold in KRaft mode",
    ),
    (
        "log.cleaner.min.dirty.ratio",
        "use log.cleaner.min.cleanable.ratio",
    ),
    (
        "log.message.downconversion.enable",
        "only record format v2 exists",
    ),
    ("log.message.format.version", "only record format v2 exists"),
    (
        "log.message.timestamp.difference.max.ms",
        "use log.message.timestamp.before.max.ms and .after.max.ms",
    ),
    (
        "offsets.commit.required.acks",
        "commits always wait for all in-sync replicas",
    ),
    ("port", "use listeners"),
    ("principal.builder", "use principal.builder.class"),
    (
        "quota.consumer.default",
        "set client quotas with kafka-configs",
    ),
    (
        "quota.producer.default",
        "set client quotas with kafka-configs",
    ),
    ("reserved.broker.max.id", "set node.id"),
];
