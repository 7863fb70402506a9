//! What the broker announces, and how it treats versions it does not know.

use bytes::{Buf, BufMut, BytesMut};
use ottla_broker::handlers::APIS;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::ApiVersionsRequest;
use ottla_tests::TestBroker;

fn frame(api_key: i16, version: i16, correlation_id: i32, rest: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(8 + rest.len() as i32);
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    frame.extend_from_slice(rest);
    frame
}

#[tokio::test]
async fn every_version_lists_every_api() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("ottla-test"))
            .with_client_software_version(StrBytes::from_static_str("1.0"));
        let request = if version >= 3 {
            request
        } else {
            ApiVersionsRequest::default()
        };
        let response = client.call(version, &request).await;
        assert_eq!(response.error_code, 0, "version {version}");
        assert_eq!(response.api_keys.len(), APIS.len());
        let produce = response
            .api_keys
            .iter()
            .find(|api| api.api_key == 0)
            .unwrap();
        assert_eq!(
            (produce.min_version, produce.max_version),
            (0, 13),
            "librdkafka needs 0 (KAFKA-18659)"
        );
        if version >= 3 {
            let finalized: Vec<_> = (response.finalized_features.iter())
                .map(|feature| (&*feature.name, feature.max_version_level))
                .collect();
            // A client of version 3 takes a lowest version of 0 for an error.
            let supports = (response.supported_features.iter())
                .any(|feature| &*feature.name == "group.version");
            assert!(finalized.contains(&("group.version", 1)), "{finalized:?}");
            assert_eq!(supports, version >= 4);
        }
    }
}

#[tokio::test]
async fn an_unknown_version_is_answered_in_version_0_with_this_api_alone() {
    let broker = TestBroker::start().await;
    for version in [5, 99, i16::MAX, -1] {
        let mut client = broker.client().await;
        client.send_raw(&frame(18, version, 77, &[0xff; 20])).await;
        let mut answer = client.receive_raw().await.unwrap();
        assert_eq!(answer.get_i32(), 77);
        assert_eq!(answer.get_i16(), 35, "UNSUPPORTED_VERSION");
        assert_eq!(answer.get_i32(), 1, "one API");
        assert_eq!(
            (answer.get_i16(), answer.get_i16(), answer.get_i16()),
            (18, 0, 4)
        );
        assert!(!answer.has_remaining());
        // The client asks again on the same connection.
        assert_eq!(
            client
                .call(0, &ApiVersionsRequest::default())
                .await
                .error_code,
            0
        );
    }
}

#[tokio::test]
async fn a_bad_software_name_is_refused() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("no spaces please"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    assert_eq!(
        client.call(3, &request).await.error_code,
        42,
        "INVALID_REQUEST"
    );
}

#[tokio::test]
async fn unknown_apis_and_versions_close_the_connection() {
    let broker = TestBroker::start().await;
    for (key, version) in [
        (4, 0),
        (999, 0),
        (-1, 0),
        (3, 14),
        (3, -1),
        (0, 2),
        (1, 3),
        (1, 19),
    ] {
        let mut client = broker.client().await;
        client.send_raw(&frame(key, version, 1, &[0; 30])).await;
        assert!(
            client.receive_raw().await.is_none(),
            "API {key} version {version}"
        );
    }
}
