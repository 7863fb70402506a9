//! What goes in comes out, byte for byte.

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::{FetchRequest, InitProducerIdRequest, ProduceRequest};
use ottla_tests::TestBroker;
use ottla_tests::client::{fetch_request, produce_request};
use ottla_tests::records::{self, Codec};

#[tokio::test]
async fn every_codec_passes_through_untouched() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut offset = 0;
    for codec in Codec::ALL {
        let sent = records::compressed(codec, &["first", "second", "third"]);
        let produced = client.produce("t", 0, sent.clone()).await;
        assert_eq!(
            (
                produced.error_code,
                produced.base_offset,
                produced.log_append_time_ms
            ),
            (0, offset, -1),
            "{codec:?}"
        );
        let got = client.fetch("t", 0, offset, 1 << 20).await.records.unwrap();
        // Base offset and leader epoch, which lie outside the checksum, are the broker's; all else is the producer's.
        assert_eq!(got[..8], offset.to_be_bytes());
        assert_eq!(got[8..12], sent[8..12]);
        assert_eq!(got[16..], sent[16..], "{codec:?}");
        offset += 3;
    }
}

#[tokio::test]
async fn every_version_of_produce_and_fetch_carries_records() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let id = client.create_topic("t", 2, &[]).await;
    let mut offset = 0;
    for version in 3..=13 {
        let mut request = produce_request("t", 1, records::batch(&["x"]), 1);
        if version >= 13 {
            request.topic_data[0].topic_id = id.0;
            request.topic_data[0].name = Default::default();
        }
        let response = client.call::<ProduceRequest>(version, &request).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(
            (answer.index, answer.error_code, answer.base_offset),
            (1, 0, offset),
            "version {version}"
        );
        offset += 1;
    }
    for version in 4..=18 {
        for isolation in [0, 1] {
            let mut request =
                fetch_request("t", &[(0, 0), (1, 0)], 1 << 20).with_isolation_level(isolation);
            if version >= 13 {
                request.topics[0].topic_id = id.0;
                request.topics[0].topic = Default::default();
            }
            if version >= 15 {
                request.replica_id = (-1).into();
            }
            let response = client.call::<FetchRequest>(version, &request).await;
            let [empty, full] = &response.responses[0].partitions[..] else {
                panic!("two partitions")
            };
            assert_eq!(
                empty.records.as_ref().map(Bytes::len),
                Some(0),
                "empty, never null: version {version}"
            );
            assert_eq!(
                (
                    full.error_code,
                    full.high_watermark,
                    full.last_stable_offset
                ),
                (0, offset, offset)
            );
            assert_eq!(
                records::values(full.records.as_ref().unwrap()).len() as i64,
                offset,
                "version {version}"
            );
            assert_eq!(
                full.aborted_transactions.is_some(),
                isolation == 1,
                "null unless read_committed"
            );
            assert_eq!(full.preferred_read_replica.0, -1);
        }
    }
}

#[tokio::test]
async fn another_topic_codec_recompresses() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for (name, codec) in [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ] {
        client
            .create_topic(name, 1, &[("compression.type", name)])
            .await;
        for sent in Codec::ALL {
            let produced = client
                .produce(name, 0, records::compressed(sent, &["a", "b"]))
                .await;
            assert_eq!(produced.error_code, 0, "{sent:?} to {name}");
        }
        let got = client.fetch(name, 0, 0, 1 << 20).await.records.unwrap();
        assert_eq!(records::codecs(&got), vec![codec; Codec::ALL.len()]);
        assert_eq!(records::values(&got), ["a", "b"].repeat(Codec::ALL.len()));
    }
}

#[tokio::test]
async fn acks_0_gets_no_answer_and_an_error_closes() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    client
        .send(9, &produce_request("t", 0, records::batch(&["quiet"]), 0))
        .await;
    // The next answer belongs to the next request.
    assert_eq!(
        records::values(
            client
                .fetch("t", 0, 0, 1 << 20)
                .await
                .records
                .as_ref()
                .unwrap()
        ),
        ["quiet"]
    );
    client
        .send(9, &produce_request("t", 7, records::batch(&["lost"]), 0))
        .await;
    assert!(client.receive_raw().await.is_none());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut ids = Vec::new();
    for i in 0..200 {
        ids.push(
            client
                .send(
                    9,
                    &produce_request("t", 0, records::batch(&[&i.to_string()]), 1),
                )
                .await,
        );
    }
    for (i, id) in ids.into_iter().enumerate() {
        let response = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(
            response.responses[0].partition_responses[0].base_offset,
            i as i64
        );
    }
}

#[tokio::test]
async fn idempotent_batches_are_taken_once_and_in_order() {
    let mut broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    let init = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let response = client.call(4, &init).await;
    assert_eq!(response.error_code, 0);
    let (id, epoch) = (response.producer_id.0, response.producer_epoch);
    let batch = |sequence| records::idempotent(id, epoch, sequence, &["v", "w"]);
    for (sequence, offset) in [(0, 0), (2, 2), (4, 4), (6, 6), (8, 8)] {
        let produced = client.produce("t", 0, batch(sequence)).await;
        assert_eq!((produced.error_code, produced.base_offset), (0, offset));
    }
    for _ in 0..2 {
        for (sequence, offset) in [(4, 4), (8, 8), (0, 0)] {
            let produced = client.produce("t", 0, batch(sequence)).await;
            assert_eq!(
                (produced.error_code, produced.base_offset),
                (0, offset),
                "a duplicate is success with the old offset"
            );
        }
        assert_eq!(
            client.produce("t", 0, batch(12)).await.error_code,
            45,
            "OUT_OF_ORDER_SEQUENCE_NUMBER"
        );
        assert_eq!(
            records::values(&client.fetch("t", 0, 0, 1 << 20).await.records.unwrap()).len(),
            10
        );
        broker.restart().await;
        client = broker.client().await;
    }
    let next = client.call(4, &init).await;
    assert!(next.producer_id.0 > id, "ids are never used again");
}

#[tokio::test]
async fn log_append_time_is_the_brokers() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client
        .create_topic("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .await;
    let produced = client
        .produce("t", 0, records::at(&[(1000, "a"), (2000, "b")]))
        .await;
    assert_eq!(produced.error_code, 0);
    let got = client.fetch("t", 0, 0, 1 << 20).await.records.unwrap();
    assert_eq!(records::max_timestamp(&got), produced.log_append_time_ms);
    assert!(records::crc_is_right(&got));
    assert!(produced.log_append_time_ms > 1_600_000_000_000);
}

#[tokio::test]
async fn broken_batches_are_refused_with_kafkas_codes_and_leave_no_trace() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    client
        .create_topic("t", 1, &[("max.message.bytes", "1000")])
        .await;
    client
        .create_topic("compacted", 1, &[("cleanup.policy", "compact")])
        .await;
    let good = records::batch(&["value"]);
    let change = |at: usize, to: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = to;
        bytes.freeze()
    };
    let last = good.len() - 1;
    let cases = [
        ("corrupted record", change(last - 1, 0xee), 2),
        ("corrupted CRC", change(17, good[17] ^ 1), 2),
        ("message format 1", change(16, 1), 87),
        ("message format 0", change(16, 0), 87),
        ("cut", good.slice(..last), 87),
        ("empty", Bytes::new(), 87),
        ("two batches", [&good[..], &good[..]].concat().into(), 87),
        (
            "too large",
            records::batch(&["x".repeat(1000).as_str()]),
            10,
        ),
        ("far future", records::at(&[(9_000_000_000_000, "x")]), 32),
        ("control batch", records::control(), 87),
        ("marker of nobody's transaction", records::marker(), 53),
    ];
    for (what, bytes, code) in cases {
        let answer = client.produce("t", 0, bytes).await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (code, -1),
            "{what}: {:?}",
            answer.error_message
        );
    }
    let keyless = client
        .produce("compacted", 0, records::batch(&["no key"]))
        .await;
    assert_eq!((keyless.error_code, keyless.record_errors.len()), (87, 1));
    assert_eq!(
        client.list_offset("t", 0, -1).await.offset,
        0,
        "nothing was appended"
    );
    let invalid_acks = client.call(9, &produce_request("t", 0, good, 2)).await;
    assert_eq!(
        invalid_acks.responses[0].partition_responses[0].error_code,
        21
    );
}
