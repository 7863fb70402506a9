//! The records of a batch as lines: keys and values as text, or decoded where the topic is one of the broker's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::record::record::Record;
use ottla_protocol::record::{BatchHeader, ControlType, EndTxnMarker, RecordReader};
use serde_json::{Value, json};

use super::line::Line;
use crate::coordinator::group::records::{DecodeError, GroupRecord};
use crate::coordinator::record::CoordinatorRecord as _;
use crate::metadata::record::MetadataRecord;
use crate::metadata::record::control::ControlRecord;
use crate::metadata::record::json::{control_to_json, to_json};

/// Most bytes taken out of a compressed batch.
const MAX_CONTENT: usize = 1 << 30;

/// What the records of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Bytes of the applications.
    Plain,
    /// Records of `__consumer_offsets`.
    Groups,
    /// Records of the metadata log.
    Metadata,
}

/// A line for each record of a batch; an error ends them.
pub(super) fn lines(header: &BatchHeader, body: &[u8], content: Content) -> Vec<Line> {
    let mut lines = Vec::new();
    let error = |error: &dyn std::fmt::Display| Line::default().with("error", error.to_string());
    let mut records = match RecordReader::new(header, body, MAX_CONTENT) {
        Ok(records) => records,
        Err(cause) => return vec![error(&cause)],
    };
    loop {
        match records.next() {
            Ok(Some(record)) => lines.push(line(header, &record, content)),
            Ok(None) => return lines,
            Err(cause) => {
                lines.push(error(&cause));
                return lines;
            }
        }
    }
}

fn line(header: &BatchHeader, record: &Record<'_>, content: Content) -> Line {
    let offset = header.base_offset().plus(record.offset_delta.into());
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let keys = record.headers.map(|(key, _)| lossy(key)).collect();
    let line = Line::default()
        .with("offset", offset.0)
        .with(timestamp_type(header), timestamp(header, record).0)
        .with("keySize", size(record.key))
        .with("valueSize", size(record.value))
        .with("sequence", sequence(header, record))
        .with_list("headerKeys", keys);
    match (header.is_control(), content) {
        (true, _) => control(line, record),
        (false, Content::Plain) => plain(line, record),
        (false, Content::Groups) => group(line, record),
        (false, Content::Metadata) => metadata(line, record),
    }
}

/// `CreateTime` or `LogAppendTime`.
pub(super) fn timestamp_type(header: &BatchHeader) -> &'static str {
    match header.is_log_append_time() {
        true => "LogAppendTime",
        false => "CreateTime",
    }
}

fn timestamp(header: &BatchHeader, record: &Record<'_>) -> Timestamp {
    if header.is_log_append_time() {
        return header.max_timestamp();
    }
    let base = header.base_timestamp().0;
    Timestamp(base.wrapping_add(record.timestamp_delta))
}

fn sequence(header: &BatchHeader, record: &Record<'_>) -> i32 {
    let base = header.base_sequence();
    if base.0 < 0 {
        -1
    } else {
        base.plus(record.offset_delta).0
    }
}

fn plain(mut line: Line, record: &Record<'_>) -> Line {
    if let Some(key) = record.key {
        line = line.with("key", lossy(key));
    }
    match record.value {
        Some(value) => line.with("payload", lossy(value)),
        None => line,
    }
}

fn control(line: Line, record: &Record<'_>) -> Line {
    if let Some(marker) = EndTxnMarker::parse(record) {
        let outcome = if marker.committed { "COMMIT" } else { "ABORT" };
        return line
            .with("endTxnMarker", outcome)
            .with("coordinatorEpoch", marker.coordinator_epoch);
    }
    let kind = record.key.and_then(ControlType::parse_key);
    let decoded = kind
        .zip(record.value)
        .and_then(|(kind, value)| ControlRecord::decode(kind, value).ok().flatten());
    match decoded {
        Some(record) => line.with("control", control_to_json(&record)),
        None => line.with("control", "unknown"),
    }
}

fn metadata(line: Line, record: &Record<'_>) -> Line {
    match MetadataRecord::decode(record.value.unwrap_or_default()) {
        Ok((record, version)) => line.with("payload", to_json(&record, version)),
        Err(error) => line.with("error", error.to_string()),
    }
}

fn group(line: Line, record: &Record<'_>) -> Line {
    let key = record.key.unwrap_or_default();
    let version = |bytes: &[u8]| bytes.first_chunk().map(|bytes| i16::from_be_bytes(*bytes));
    let kind = version(key).unwrap_or(-1).to_string();
    let decoded = match GroupRecord::decode(key, record.value) {
        Ok(decoded) => decoded,
        Err(DecodeError::UnknownType(_)) => return line.with("key", json!({ "type": kind })),
        Err(error) => return line.with("error", error.to_string()),
    };
    let (key, value) = group_json(&decoded);
    let line = line.with("key", json!({ "type": kind, "data": key }));
    let version = record.value.and_then(version).unwrap_or(0).to_string();
    match value {
        None => line.with("payload", "<DELETE>"),
        Some(value) => line.with("payload", json!({ "version": version, "data": value })),
    }
}

/// Key and value with Kafka's field names.
fn group_json(record: &GroupRecord) -> (Value, Option<Value>) {
    match record {
        GroupRecord::OffsetCommit(key, value) => (
            json!({ "group": key.group, "topic": key.topic, "partition": key.partition }),
            value.as_ref().map(|value| {
                json!({
                    "offset": value.offset,
                    "leaderEpoch": value.leader_epoch,
                    "metadata": value.metadata,
                    "commitTimestamp": value.commit_timestamp,
                    "expireTimestamp": value.expire_timestamp,
                    "topicId": value.topic_id.to_string(),
                })
            }),
        ),
        GroupRecord::GroupMetadata(key, value) => (
            json!({ "group": key.group }),
            value.as_ref().map(|value| {
                let member = |member: &crate::coordinator::group::records::MemberMetadata| {
                    json!({
                        "memberId": member.member_id,
                        "groupInstanceId": member.group_instance_id,
                        "clientId": member.client_id,
                        "clientHost": member.client_host,
                        "rebalanceTimeout": member.rebalance_timeout,
                        "sessionTimeout": member.session_timeout,
                        "subscription": STANDARD.encode(&member.subscription.0),
                        "assignment": STANDARD.encode(&member.assignment.0),
                    })
                };
                json!({
                    "protocolType": value.protocol_type,
                    "generation": value.generation,
                    "protocol": value.protocol,
                    "leader": value.leader,
                    "currentStateTimestamp": value.current_state_timestamp,
                    "members": value.members.iter().map(member).collect::<Vec<_>>(),
                })
            }),
        ),
        // Those of KIP-848 as this program names their fields.
        other => {
            let group = other.consumer_group();
            let deleted = group.is_some_and(|(_, deleted)| deleted);
            let key = json!({ "groupId": group.map(|(id, _)| id) });
            (key, (!deleted).then(|| Value::from(format!("{other:?}"))))
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
