//! What the protocol costs on the way of a record, in time per call: `cargo bench -p ottla-protocol`.
//!
//! Each figure is the best of many short rounds: the machine's noise only ever adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::api;
use ottla_protocol::compression::Codec;
use ottla_protocol::fetch_frame;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest};
use ottla_protocol::record::{
    BatchBuilder, BatchRules, TimestampType, TopicCodec, ValidBatch, batch,
};

const ROUND: Duration = Duration::from_millis(5);
const ROUNDS: usize = 60;

fn main() {
    println!("{:<58} {:>10}", "", "us");
    check_batches();
    decode_requests();
    encode_fetch();
}

fn check_batches() {
    for (count, value_len) in [(1024, 1000), (160, 88), (1, 100)] {
        for codec in [
            Codec::None,
            Codec::Gzip { level: -1 },
            Codec::Snappy,
            Codec::Lz4 { level: 9 },
            Codec::Zstd { level: 3 },
        ] {
            let batch = batch_of(count, value_len, codec);
            let size = batch.len();
            let name = codec.compression().name();
            measure(
                &format!("check {count} records of {value_len} B, {name}, {size} B"),
                || ValidBatch::check(batch.clone(), &rules()).expect("valid"),
            );
            if codec == Codec::None {
                measure("  its CRC alone", || {
                    batch::crc32c(&batch[batch::CRC_START..])
                });
            }
        }
    }
}

fn decode_requests() {
    let partition =
        PartitionProduceData::default().with_records(Some(batch_of(160, 88, Codec::None)));
    let topic = TopicProduceData::default()
        .with_name(name())
        .with_partition_data(vec![partition]);
    let body = body(api::encode_request(
        9,
        1,
        "client",
        &ProduceRequest::default().with_topic_data(vec![topic]),
    ));
    measure("guard and decode Produce 9, 1 partition", || {
        api::decode_request::<ProduceRequest>(&mut body.clone(), 9).expect("valid")
    });
    for count in [1, 100] {
        let partitions = (0..count)
            .map(|index| FetchPartition::default().with_partition(index))
            .collect();
        let topic = FetchTopic::default()
            .with_topic(name())
            .with_partitions(partitions);
        let body = self::body(api::encode_request(
            11,
            1,
            "client",
            &FetchRequest::default().with_topics(vec![topic]),
        ));
        measure(
            &format!("guard alone, Fetch 11, {count} partitions"),
            || ottla_protocol::guard::check(1, 11, &body),
        );
        measure(
            &format!("guard and decode Fetch 11, {count} partitions"),
            || api::decode_request::<FetchRequest>(&mut body.clone(), 11).expect("valid"),
        );
    }
}

fn encode_fetch() {
    for count in [1, 100] {
        let partitions = (0..count)
            .map(|index| PartitionData::default().with_partition_index(index))
            .collect();
        let topic = FetchableTopicResponse::default()
            .with_topic(name())
            .with_partitions(partitions);
        let response = FetchResponse::default().with_responses(vec![topic]);
        let lens = vec![65536; count as usize];
        measure(
            &format!("encode Fetch 11 around {count} partitions"),
            || fetch_frame::encode(1, 11, &response, &lens).expect("encodes"),
        );
    }
}

fn name() -> ottla_protocol::messages::TopicName {
    ottla_protocol::kafka_protocol::protocol::StrBytes::from_static_str("some-topic").into()
}

/// The body of an encoded request whose client id is "client".
fn body(frame: Result<Bytes, api::EncodeError>) -> Bytes {
    let mut frame = frame.expect("encodes").slice(4..);
    api::decode_request_header(&mut frame).expect("a header");
    frame
}

/// Values that compress about threefold.
fn batch_of(count: usize, value_len: usize, codec: Codec) -> Bytes {
    let mut state = 1u32;
    let mut builder = BatchBuilder::new().codec(codec);
    for index in 0..count {
        let value: Vec<u8> = (0..value_len)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at % 4 == 0 {
                    b'a' + (state >> 28) as u8
                } else {
                    b"quick brown fox "[at % 16]
                }
            })
            .collect();
        builder.append(
            Timestamp(1_700_000_000_000 + index as i64),
            Some(b"key"),
            Some(&value),
        );
    }
    builder.build().expect("builds").to_bytes()
}

fn rules() -> BatchRules {
    BatchRules {
        max_message_bytes: 16 << 20,
        max_decompressed_bytes: 64 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        require_keys: false,
        codec: TopicCodec::Producer,
        now: Timestamp(1_700_000_000_000),
        produce_version: 12,
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure<T>(what: &str, mut run: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut calls = 0;
        while start.elapsed() < ROUND {
            black_box(run());
            calls += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
    }
    println!("{what:<58} {best:>10.3}");
}
