//! Two old versions that the generated codec lacks but clients in the field still send: sarama up to 1.40 does not
//! negotiate and uses OffsetCommit 1 and DescribeConfigs 0.
//!
//! Their requests are rewritten, byte by byte, into the oldest version that the codec has; what differs:
//!
//! - DescribeConfigs 0 lacks the last field of version 1, `include_synonyms`. The response of version 0 has a
//!   boolean `is_default` where version 1 has the source of the value, and no synonyms.
//! - OffsetCommit 1 has a timestamp for each partition and no `retention_time_ms`. The timestamp, which said from
//!   when on the commit ages, is dropped: the broker's clock says so since version 2. The responses are alike.

use std::any::Any;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{ApiKey, DescribeConfigsResponse, OffsetCommitResponse};

use crate::api::{self, EncodeError};
use crate::frame::PREFIX_LEN;

const DESCRIBE_CONFIGS: i16 = ApiKey::DescribeConfigs as i16;
const OFFSET_COMMIT: i16 = ApiKey::OffsetCommit as i16;

/// `ConfigSource.DEFAULT_CONFIG` of DescribeConfigs 1 and later.
const DEFAULT_CONFIG: i8 = 5;
/// `retention_time_ms` of OffsetCommit 2 to 4: as long as the broker sees fit.
const DEFAULT_RETENTION: i64 = -1;
const TIMESTAMP_LEN: usize = 8;

/// The request in the oldest version that can be decoded, and that version, if `version` is older. `body` must have
/// passed the guard.
pub(crate) fn rewrite_request(
    api_key: i16,
    version: i16,
    body: &mut Bytes,
) -> Option<(Bytes, i16)> {
    match (api_key, version) {
        (DESCRIBE_CONFIGS, 0) => Some((describe_configs_v1(body), 1)),
        (OFFSET_COMMIT, 1) => Some((offset_commit_v2(body), 2)),
        _ => None,
    }
}

/// The frame of the response, if `version` is older than the codec knows.
pub(crate) fn encode_response(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    response: &dyn Any,
) -> Option<Result<Bytes, EncodeError>> {
    match (api_key, version) {
        (DESCRIBE_CONFIGS, 0) => {
            let response = response.downcast_ref::<DescribeConfigsResponse>()?;
            Some(encode_describe_configs_v0(correlation_id, response))
        }
        (OFFSET_COMMIT, 1) => {
            let response = response.downcast_ref::<OffsetCommitResponse>()?;
            Some(api::encode_response(api_key, 2, correlation_id, response))
        }
        _ => None,
    }
}

fn describe_configs_v1(body: &mut Bytes) -> Bytes {
    let mut rewritten = BytesMut::with_capacity(body.len() + 1);
    rewritten.put_slice(&body.split_to(body.len()));
    rewritten.put_u8(false.into());
    rewritten.freeze()
}

fn offset_commit_v2(body: &mut Bytes) -> Bytes {
    let mut rewritten = BytesMut::with_capacity(body.len() + size_of::<i64>());
    let out = &mut rewritten;
    copy_text(body, out); // group_id
    out.put_i32(body.get_i32()); // generation_id
    copy_text(body, out); // member_id
    out.put_i64(DEFAULT_RETENTION);
    for _ in 0..copy_count(body, out) {
        copy_text(body, out); // name
        for _ in 0..copy_count(body, out) {
            out.put_i32(body.get_i32()); // partition_index
            out.put_i64(body.get_i64()); // committed_offset
            body.advance(TIMESTAMP_LEN);
            copy_text(body, out); // committed_metadata
        }
    }
    rewritten.freeze()
}

/// Layout: i32 throttle time, array of (i16 error, nullable string message, i8 type, string name, array of (string
/// name, nullable string value, bool read only, bool is default, bool sensitive)).
fn encode_describe_configs_v0(
    correlation_id: i32,
    response: &DescribeConfigsResponse,
) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    out.put_i32(0);
    out.put_i32(correlation_id);
    out.put_i32(response.throttle_time_ms);
    out.put_i32(response.results.len() as i32);
    for DescribeConfigsResult {
        error_code,
        error_message,
        resource_type,
        resource_name,
        configs,
        ..
    } in &response.results
    {
        out.put_i16(*error_code);
        put_text(&mut out, error_message.as_deref())?;
        out.put_i8(*resource_type);
        put_text(&mut out, Some(resource_name))?;
        out.put_i32(configs.len() as i32);
        for DescribeConfigsResourceResult {
            name,
            value,
            read_only,
            config_source,
            is_sensitive,
            ..
        } in configs
        {
            put_text(&mut out, Some(name))?;
            put_text(&mut out, value.as_deref())?;
            out.put_u8((*read_only).into());
            out.put_u8((*config_source == DEFAULT_CONFIG).into());
            out.put_u8((*is_sensitive).into());
        }
    }
    let len = out.len() - PREFIX_LEN;
    let prefix = i32::try_from(len).map_err(|_| EncodeError::TooLarge(len as u64))?;
    out[..PREFIX_LEN].copy_from_slice(&prefix.to_be_bytes());
    Ok(out.freeze())
}

fn put_text(out: &mut BytesMut, text: Option<&str>) -> Result<(), EncodeError> {
    let Some(text) = text else {
        out.put_i16(-1);
        return Ok(());
    };
    out.put_i16(i16::try_from(text.len()).map_err(|_| EncodeError::TooLarge(text.len() as u64))?);
    out.put_slice(text.as_bytes());
    Ok(())
}

fn copy_text(from: &mut Bytes, to: &mut BytesMut) {
    let len = from.get_i16();
    to.put_i16(len);
    to.put_slice(&from.split_to(usize::try_from(len).unwrap_or(0)));
}

fn copy_count(from: &mut Bytes, to: &mut BytesMut) -> i32 {
    let count = from.get_i32();
    to.put_i32(count);
    count
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsSynonym;
    use kafka_protocol::messages::{DescribeConfigsRequest, OffsetCommitRequest};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn describe_configs_v0_request() {
        // One resource: topic "t", keys ["a", "b"].
        let mut body = Bytes::from_static(&[
            0, 0, 0, 1, 2, 0, 1, b't', 0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b',
        ]);
        let request: DescribeConfigsRequest = api::decode_request(&mut body, 0).unwrap();
        assert!(body.is_empty());
        assert!(!request.include_synonyms && !request.include_documentation);
        let [resource] = &request.resources[..] else {
            panic!("{request:?}")
        };
        assert_eq!((resource.resource_type, &*resource.resource_name), (2, "t"));
        let keys = resource.configuration_keys.as_ref().unwrap();
        assert_eq!(
            keys.iter().map(|key| &**key).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn describe_configs_v0_response() {
        let text = |text| StrBytes::from_static_str(text);
        let config = |name, source| {
            DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_config_source(source)
                .with_synonyms(vec![DescribeConfigsSynonym::default()])
        };
        let configs = vec![
            config("a", DEFAULT_CONFIG).with_value(Some(text("1"))),
            config("b", 1).with_value(None).with_read_only(true),
        ];
        let result = DescribeConfigsResult::default()
            .with_error_message(None)
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(configs);
        let response = DescribeConfigsResponse::default()
            .with_throttle_time_ms(3)
            .with_results(vec![result]);
        let frame = api::encode_response(DESCRIBE_CONFIGS, 0, 9, &response).unwrap();
        let expected: &[u8] = &[
            0, 0, 0, 43, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0,
            1, // length, correlation id, throttle time, count
            0, 0, 0xff, 0xff, 2, 0, 1, b't', 0, 0, 0,
            2, // error, no message, type, name, count
            0, 1, b'a', 0, 1, b'1', 0, 1, 0, // default
            0, 1, b'b', 0xff, 0xff, 1, 0, 0, // null, read only, not the default
        ];
        assert_eq!(frame[4..], expected[4..]);
        assert_eq!(frame[..4], ((expected.len() - 4) as i32).to_be_bytes());
    }

    #[test]
    fn offset_commit_v1() {
        let mut body = BytesMut::new();
        for text in ["group", "member"] {
            body.put_i16(text.len() as i16);
            body.put_slice(text.as_bytes());
            if text == "group" {
                body.put_i32(7);
            }
        }
        body.put_i32(1);
        body.put_slice(&[0, 1, b't']);
        body.put_i32(2);
        for (partition, metadata) in [(3, Some("m")), (4, None::<&str>)] {
            body.put_i32(partition);
            body.put_i64(100 + i64::from(partition));
            body.put_i64(123_456); // timestamp
            put_text(&mut body, metadata).unwrap();
        }
        let request: OffsetCommitRequest = api::decode_request(&mut body.freeze(), 1).unwrap();
        assert_eq!(
            (
                &**request.group_id,
                request.generation_id_or_member_epoch,
                &*request.member_id
            ),
            ("group", 7, "member")
        );
        assert_eq!(request.retention_time_ms, -1);
        let partitions = &request.topics[0].partitions;
        let seen: Vec<_> = partitions
            .iter()
            .map(|p| {
                (
                    p.partition_index,
                    p.committed_offset,
                    p.committed_metadata.as_deref(),
                )
            })
            .collect();
        assert_eq!(seen, [(3, 103, Some("m")), (4, 104, None)]);
        let response = OffsetCommitResponse::default();
        let v1 = api::encode_response(OFFSET_COMMIT, 1, 5, &response).unwrap();
        assert_eq!(
            v1,
            api::encode_response(OFFSET_COMMIT, 2, 5, &response).unwrap()
        );
    }

    #[test]
    fn truncated_bodies_are_refused() {
        let whole: &[u8] = &[0, 0, 0, 1, 2, 0, 1, b't', 0, 0, 0, 1, 0, 1, b'a'];
        for len in 0..whole.len() {
            let refused = api::decode_request::<DescribeConfigsRequest>(
                &mut Bytes::copy_from_slice(&whole[..len]),
                0,
            );
            assert!(refused.is_err(), "{len}");
            let refused = api::decode_request::<OffsetCommitRequest>(
                &mut Bytes::copy_from_slice(&whole[..len]),
                1,
            );
            assert!(refused.is_err(), "{len}");
        }
    }
}
