//! Our table of keys against the configuration tables inside Apache Kafka's own jars.
//!
//! Ignored unless asked for, because it needs those jars and a JDK:
//! `OTTLA_KAFKA_LIBS=<kafka>/libs cargo test -p ottla-broker --test config_schema -- --ignored`.
//! A release of Kafka that changes a key makes it fail with the difference.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::process::Command;

use ottla_broker::config::{KEYS, Key, TOPIC_KEYS};

/// Keys that are not in Kafka's table, though Kafka knows them (its authorizer's), or that are our own.
const NOT_IN_KAFKAS_TABLE: [&str; 4] = [
    "allow.everyone.if.no.acl.found",
    "super.users",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
];

/// Keys whose default is ours: with them a broker starts without a file.
const OTHER_DEFAULTS: [&str; 5] = [
    "listeners",
    "log.dir",
    "metric.reporters",
    "node.id",
    "process.roles",
];

/// Lists that Kafka only checks for duplicates and empty items.
const OTHER_CHECKS: [&str; 3] = [
    "config.providers",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
];

#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS, a directory with Apache Kafka's jars"]
fn keys_are_those_of_apache_kafka() {
    let theirs = kafka_keys();
    let mut differences = Vec::new();
    for (table, keys) in [("broker", &*KEYS), ("topic", &*TOPIC_KEYS)] {
        let ours: BTreeMap<&str, &Key> = keys.iter().map(|key| (key.name, key)).collect();
        let of_table: Vec<_> = theirs.iter().filter(|line| line[0] == table).collect();
        assert!(of_table.len() > 30, "{table}: {of_table:?}");
        for line in &of_table {
            match ours.get(line[1].as_str()) {
                None => differences.push(format!("{table} key {} is missing", line[1])),
                Some(key) => differences.extend(compare(table, key, line)),
            }
        }
        let is_ours = |name: &str| {
            name.starts_with("ottla.")
                || name.starts_with("metrics.topic.")
                || NOT_IN_KAFKAS_TABLE.contains(&name)
        };
        let unknown = ours
            .keys()
            .filter(|name| !is_ours(name) && !of_table.iter().any(|line| line[1] == **name));
        differences.extend(unknown.map(|name| format!("{table} key {name} is not Kafka's")));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn compare(table: &str, key: &Key, theirs: &[String]) -> Vec<String> {
    let default = key.default.unwrap_or("null").to_owned();
    let last = match table {
        "broker" => key.update.name().to_owned(),
        _ => key
            .synonyms
            .iter()
            .map(|synonym| synonym.name)
            .collect::<Vec<_>>()
            .join(","),
    };
    let ours = [
        key.kind.name().to_owned(),
        default,
        key.check.to_string(),
        last,
    ];
    let columns = ["type", "default", "check", "update mode or synonyms"];
    let differs = |index: usize| match columns[index] {
        "default" if OTHER_DEFAULTS.contains(&key.name) => false,
        "check" if OTHER_CHECKS.contains(&key.name) || theirs[4] == "non-null string" => false,
        _ => ours[index] != theirs[index + 2],
    };
    let difference = |index: usize| {
        format!(
            "{} {}: ours {:?}, Kafka's {:?}",
            key.name,
            columns[index],
            ours[index],
            theirs[index + 2]
        )
    };
    (0..columns.len())
        .filter(|index| differs(*index))
        .map(difference)
        .collect()
}

/// Lines of `KafkaKeys.java`, run with the jars on its class path.
fn kafka_keys() -> Vec<Vec<String>> {
    let libs = std::env::var("OTTLA_KAFKA_LIBS").expect("OTTLA_KAFKA_LIBS names a directory");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/config_schema/KafkaKeys.java"
    );
    let output = Command::new("java")
        .args(["-cp", &format!("{libs}/*"), source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}
