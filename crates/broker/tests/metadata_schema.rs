//! Our tables of metadata and control records against the schema files inside Apache Kafka's own jars.
//!
//! Ignored unless asked for, because it needs those jars and `unzip`:
//! `OTTLA_KAFKA_LIBS=<kafka>/libs cargo test -p ottla-broker --test metadata_schema -- --ignored`.
//! A release of Kafka that changes a record makes it fail with the difference.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; helpers of tests are not seen as such"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ottla_broker::metadata::record::control::CONTROL_SCHEMAS;
use ottla_broker::metadata::record::{FieldSchema, Kind, RecordSchema, SCHEMAS};
use serde_json::Value;

#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS, a directory with Apache Kafka's jars"]
fn metadata_records_are_those_of_apache_kafka() {
    let files = schema_files("kafka-metadata", "common/metadata/*.json");
    let theirs: BTreeMap<_, _> = files
        .iter()
        .filter(|file| file["type"] == "metadata")
        .map(|file| (file["apiKey"].to_string(), file))
        .collect();
    assert!(theirs.len() >= 25, "{:?}", theirs.keys());
    for schema in SCHEMAS {
        let file = theirs
            .get(&schema.api_key.to_string())
            .unwrap_or_else(|| panic!("no {} in the jar", schema.name));
        compare(schema, file);
    }
    let ours: Vec<_> = SCHEMAS
        .iter()
        .map(|schema| schema.api_key.to_string())
        .collect();
    let unknown: Vec<_> = theirs
        .iter()
        .filter(|(key, _)| !ours.contains(key))
        .map(|(_, file)| &file["name"])
        .collect();
    assert!(unknown.is_empty(), "records we do not know: {unknown:?}");
}

#[test]
#[ignore = "needs OTTLA_KAFKA_LIBS, a directory with Apache Kafka's jars"]
fn control_records_are_those_of_apache_kafka() {
    for schema in CONTROL_SCHEMAS {
        let files = schema_files(
            "kafka-clients",
            &format!("common/message/{}.json", schema.name),
        );
        compare(schema, &files[0]);
    }
}

fn compare(ours: &RecordSchema, theirs: &Value) {
    let name = ours.name;
    assert_eq!(theirs["name"], name);
    assert_eq!(theirs["flexibleVersions"], "0+", "{name}");
    let (low, high) = versions(text(theirs, "validVersions"));
    assert_eq!((low, ours.low), (0, 0), "{name}");
    // An older release has fewer versions; a newer one must not have more.
    let high = high.unwrap_or(low);
    assert!(
        high <= ours.high,
        "{name} has version {high}, we know {}",
        ours.high
    );
    let common = theirs["commonStructs"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    compare_fields(name, ours.fields, theirs, &common, high);
}

fn compare_fields(name: &str, ours: &[FieldSchema], theirs: &Value, common: &[Value], high: i16) {
    let mut theirs: Vec<_> = theirs["fields"].as_array().unwrap().iter().collect();
    // Our tables list tagged fields in the order of their tags.
    theirs.sort_by_key(|field| field["tag"].as_i64());
    let mut ours: Vec<_> = ours.iter().filter(|field| field.since <= high).collect();
    ours.sort_by_key(|field| field.tag);
    let names = |field: &&Value| snake_case(text(field, "name"));
    assert_eq!(
        ours.iter()
            .map(|field| field.name.to_owned())
            .collect::<Vec<_>>(),
        theirs.iter().map(names).collect::<Vec<_>>(),
        "{name}"
    );
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        compare_field(&format!("{name}.{}", ours.name), ours, theirs, common, high);
    }
}

fn compare_field(name: &str, ours: &FieldSchema, theirs: &Value, common: &[Value], high: i16) {
    assert_eq!(
        versions(text(theirs, "versions")),
        (ours.since, None),
        "{name}"
    );
    assert_eq!(theirs["tag"].as_u64(), ours.tag.map(u64::from), "{name}");
    if ours.tag.is_some() {
        assert_eq!(theirs["taggedVersions"], theirs["versions"], "{name}");
    }
    let (nullable, mut kind) = match ours.kind {
        Kind::Nullable(inner) => (true, *inner),
        kind => (false, kind),
    };
    assert_eq!(
        theirs.get("nullableVersions"),
        nullable.then(|| &theirs["versions"]),
        "{name}"
    );
    let mut kind_name = text(theirs, "type");
    if let (Kind::Array(inner), Some(element)) = (kind, kind_name.strip_prefix("[]")) {
        (kind, kind_name) = (*inner, element);
    }
    match kind {
        Kind::Scalar(scalar) => assert_eq!(scalar, kind_name, "{name}"),
        Kind::Struct { fields, .. } => {
            let structure = common
                .iter()
                .find(|structure| structure["name"] == kind_name)
                .unwrap_or(theirs);
            compare_fields(name, fields, structure, common, high);
        }
        Kind::Array(_) | Kind::Nullable(_) => panic!("{name}: {kind:?} is not {kind_name}"),
    }
    compare_default(name, ours, theirs, nullable);
}

fn compare_default(name: &str, ours: &FieldSchema, theirs: &Value, nullable: bool) {
    let default = (ours.default)();
    match theirs
        .get("default")
        .map(|default| default.as_str().map_or(default.to_string(), str::to_owned))
    {
        Some(text) => assert_eq!(
            default,
            serde_json::from_str::<Value>(&text).unwrap(),
            "{name}"
        ),
        // Kafka then begins with an empty value and we with none; it matters only for fields that are not written.
        None if nullable => assert_eq!((ours.since, ours.tag), (0, None), "{name}"),
        None => {
            let zero = match &default {
                Value::Bool(value) => !value,
                Value::Number(value) => value.as_f64() == Some(0.0),
                Value::String(value) => value.is_empty() || value == "AAAAAAAAAAAAAAAAAAAAAA",
                Value::Array(values) => values.is_empty(),
                Value::Object(_) => true,
                Value::Null => false,
            };
            assert!(zero, "{name}: {default}");
        }
    }
}

/// `0-2` is (0, Some(2)), `1+` is (1, None), `0` is (0, Some(0)).
fn versions(text: &str) -> (i16, Option<i16>) {
    match (text.strip_suffix('+'), text.split_once('-')) {
        (Some(low), _) => (low.parse().unwrap(), None),
        (_, Some((low, high))) => (low.parse().unwrap(), Some(high.parse().unwrap())),
        _ => (text.parse().unwrap(), Some(text.parse().unwrap())),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {object}"))
}

/// `IsMigratingZkBroker` -> `is_migrating_zk_broker`, `KRaftVersion` -> `k_raft_version`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The schema files inside the jar whose name begins with `jar`.
fn schema_files(jar: &str, pattern: &str) -> Vec<Value> {
    let jar = find_jar(
        Path::new(&std::env::var_os("OTTLA_KAFKA_LIBS").expect("OTTLA_KAFKA_LIBS")),
        jar,
    );
    let output = Command::new("unzip")
        .arg("-p")
        .arg(&jar)
        .arg(pattern)
        .output()
        .expect("unzip");
    assert!(
        output.status.success(),
        "{}: {}",
        jar.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    // Some files end without a line break, and the next one begins with comments.
    let text = String::from_utf8(output.stdout)
        .unwrap()
        .replace("}//", "}\n//");
    let without_comments: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    serde_json::Deserializer::from_str(&without_comments)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// `<name>-<version>.jar`, and not another artifact whose name goes on.
fn find_jar(dir: &Path, name: &str) -> PathBuf {
    let is_it = |file: &str| {
        let version = file
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(|version| {
            version.starts_with(|c: char| c.is_ascii_digit()) && version.ends_with(".jar")
        })
    };
    let files = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    files
        .map(|file| file.unwrap().path())
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_it)
        })
        .unwrap_or_else(|| panic!("no {name} in {}", dir.display()))
}
