use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::*;

/// The frame without its length prefix, which is checked.
fn content(mut frame: Bytes) -> Bytes {
    let prefix = frame.split_to(PREFIX_LEN);
    assert_eq!(prefix[..], (frame.len() as i32).to_be_bytes());
    frame
}

#[test]
fn a_request_reads_back() {
    for (version, header_len) in [(0, 14), (3, 15)] {
        let frame = encode_request(version, 7, "test", &ApiVersionsRequest::default()).unwrap();
        let mut frame = content(frame);
        let prefix = RequestPrefix::read(&frame).unwrap();
        assert_eq!(
            prefix,
            RequestPrefix {
                api_key: 18,
                api_version: version,
                correlation_id: 7
            }
        );
        let whole = frame.len();
        let header = decode_request_header(&mut frame).unwrap();
        assert_eq!(whole - frame.len(), header_len);
        assert_eq!(header.client_id.as_deref(), Some("test"));
        decode_request::<ApiVersionsRequest>(&mut frame, version).unwrap();
        assert!(frame.is_empty());
    }
}

#[test]
fn the_header_of_an_unknown_version_can_be_read() {
    // A client of the future asks ApiVersions 99: the broker must answer, and so must find the correlation id.
    let mut frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff, 0, 1, 2, 3]);
    let header = decode_request_header(&mut frame).unwrap();
    assert_eq!((header.correlation_id, header.client_id), (5, None));
    let refused = decode_request::<ApiVersionsRequest>(&mut frame, 99);
    assert!(
        matches!(
            refused,
            Err(DecodeError::Refused(GuardError::UnknownApi { .. }))
        ),
        "{refused:?}"
    );
}

#[test]
fn bad_headers_are_refused() {
    let table: [&[u8]; 8] = [
        &[],
        &[0, 3, 0, 1, 0, 0, 0],
        &[0x7f, 0, 0, 1, 0, 0, 0, 1, 0, 0], // no such API
        &[0, 3, 0, 1, 0, 0, 0, 1],          // no client id
        &[0, 3, 0, 9, 0, 0, 0, 1, 0, 5, b'a'],
        &[0, 3, 0, 9, 0, 0, 0, 1, 0, 0],       // no tags
        &[0, 3, 0, 9, 0, 0, 0, 1, 0, 0, 1, 0], // a tag without size
        &[0, 3, 0, 9, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ];
    for frame in table {
        assert!(
            decode_request_header(&mut Bytes::copy_from_slice(frame)).is_err(),
            "{frame:?}"
        );
    }
}

#[test]
fn a_header_full_of_tags_is_refused() {
    let mut frame = vec![0, 3, 0, 9, 0, 0, 0, 1, 0, 0];
    crate::varint::put_u32(&mut frame, 10_000);
    for tag in 0..10_000 {
        crate::varint::put_u32(&mut frame, tag);
        frame.push(0);
    }
    let refused = decode_request_header(&mut frame.into());
    assert!(
        matches!(refused, Err(DecodeError::Refused(GuardError::Memory(_)))),
        "{refused:?}"
    );
}

#[test]
fn records_are_slices_of_the_frame() {
    for version in 3..=13 {
        let partition = PartitionProduceData::default().with_records(Some(vec![7; 1000].into()));
        let topic = TopicProduceData::default().with_partition_data(vec![partition]);
        let topic = if version < 13 {
            topic.with_name(TopicName(StrBytes::from_static_str("t")))
        } else {
            topic
        };
        let request = ProduceRequest::default().with_topic_data(vec![topic]);
        let mut frame = content(encode_request(version, 1, "c", &request).unwrap());
        let within = frame.as_ptr_range();
        decode_request_header(&mut frame).unwrap();
        let decoded: ProduceRequest = decode_request(&mut frame, version).unwrap();
        assert_eq!(decoded, request);
        let records = decoded.topic_data[0].partition_data[0]
            .records
            .as_ref()
            .unwrap();
        assert!(
            within.contains(&records.as_ptr()),
            "version {version} copies the records"
        );
    }
}

#[test]
fn api_versions_is_answered_under_the_first_header_without_default_tags() {
    // librdkafka 2.0.2 cannot read the answer otherwise.
    let response = ApiVersionsResponse::default().with_api_keys(vec![
        ApiVersion::default().with_api_key(18).with_max_version(4),
    ]);
    let v3 = encode_response(18, 3, 9, &response).unwrap();
    let expected: &[u8] = &[
        0, 0, 0, 19, 0, 0, 0, 9, // length, correlation id; no tags
        0, 0, 2, 0, 18, 0, 0, 0, 4, 0, // error, one key with its tags
        0, 0, 0, 0, 0, // throttle time, tags
    ];
    assert_eq!(v3[..], *expected);
    assert_eq!(encode_response(18, 4, 9, &response).unwrap(), v3);
    let v0 = encode_response(18, 0, 9, &response).unwrap();
    assert_eq!(
        v0[..],
        [0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]
    );
}

#[test]
fn features_are_tagged_fields() {
    let name = StrBytes::from_static_str("f");
    let response = ApiVersionsResponse::default()
        .with_supported_features(vec![
            SupportedFeatureKey::default()
                .with_name(name.clone())
                .with_max_version(2),
        ])
        .with_finalized_features_epoch(5)
        .with_finalized_features(vec![
            FinalizedFeatureKey::default()
                .with_name(name)
                .with_max_version_level(1),
        ]);
    let frame = encode_response(18, 3, 9, &response).unwrap();
    let expected: &[u8] = &[
        0, 0, 1, 0, 0, 0, 0, 3, // error, no keys, throttle time, three tags
        0, 8, 2, 2, b'f', 0, 0, 0, 2, 0, // supported
        1, 8, 0, 0, 0, 0, 0, 0, 0, 5, // epoch
        2, 8, 2, 2, b'f', 0, 1, 0, 0, 0, // finalized
    ];
    assert_eq!(frame[8..], *expected);
}

#[test]
fn responses_read_back() {
    let response = ApiVersionsResponse::default().with_error_code(35);
    for version in 0..=4 {
        let mut frame = content(encode_response(18, version, 9, &response).unwrap());
        assert_eq!(
            decode_response::<ApiVersionsRequest>(&mut frame, version).unwrap(),
            (9, response.clone())
        );
    }
}

#[test]
fn a_field_that_the_version_lacks_is_an_error_of_the_caller() {
    let request = MetadataRequest::default().with_allow_auto_topic_creation(false);
    let refused = encode_request(0, 1, "c", &request);
    assert!(
        matches!(
            refused,
            Err(EncodeError::Message {
                api_key: 3,
                api_version: 0,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn every_error_code_has_a_name() {
    for code in (-1..=132).filter(|code| *code != 0) {
        let error = crate::ResponseError::try_from_code(code).unwrap();
        assert_eq!(error.code(), code);
        assert!(
            !matches!(error, crate::ResponseError::Unknown(_)),
            "code {code}"
        );
    }
    assert_eq!(crate::ResponseError::InvalidRecord.code(), 87);
}
