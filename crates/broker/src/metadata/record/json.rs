//! Metadata records as JSON, for people and tools.
//!
//! The form is that of Kafka's `DumpLogSegments --cluster-metadata-decoder`: an object of `type`, `version` and
//! `data`; ids as Kafka prints them, bytes in base64, tagged fields only when they differ from the default.
//! Secrets (SCRAM keys) are shown, as Kafka does; the output is as sensitive as the log itself.

use serde_json::{Value, json};

use super::MetadataRecord;
use super::control::ControlRecord;

/// `record` of `version` as a JSON object.
pub fn to_json(record: &MetadataRecord, version: i16) -> Value {
    json!({ "type": type_name(record.name()), "version": version, "data": record.body_to_json(version) })
}

/// A control record in the same form.
pub fn control_to_json(record: &ControlRecord) -> Value {
    let mut data = record.to_json();
    let version = data.as_object_mut().and_then(|data| data.remove("version"));
    json!({ "type": type_name(record.schema().name), "version": version, "data": data })
}

/// `RegisterBrokerRecord` -> `REGISTER_BROKER_RECORD`.
fn type_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// `broker_id` -> `brokerId`.
pub(super) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::record::{BrokerRegistrationChangeRecord, NoOpRecord};
    use ottla_protocol::ids::BrokerId;

    #[test]
    fn prints_like_dump_log_segments() {
        let change = BrokerRegistrationChangeRecord {
            broker_id: BrokerId(1),
            broker_epoch: 8,
            fenced: -1,
            ..Default::default()
        };
        assert_eq!(
            to_json(&change.into(), 1),
            json!({"type": "BROKER_REGISTRATION_CHANGE_RECORD", "version": 1, "data": {"brokerId": 1, "brokerEpoch": 8, "fenced": -1}})
        );
        assert_eq!(
            to_json(&NoOpRecord {}.into(), 0),
            json!({"type": "NO_OP_RECORD", "version": 0, "data": {}})
        );
    }
}
