//! Batches as producers send them, and what is in those that come back.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_protocol::compression;
use ottla_protocol::ids::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::batch::{CRC_START, crc32c};
use ottla_protocol::record::{BatchBuilder, BatchHeader, EndTxnMarker, RecordReader};

const MAX_CONTENT: usize = 64 << 20;

/// A codec, by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Plain records.
    None,
    /// gzip
    Gzip,
    /// snappy
    Snappy,
    /// lz4
    Lz4,
    /// zstd
    Zstd,
}

impl Codec {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    fn with_level(self) -> compression::Codec {
        match self {
            Self::None => compression::Codec::None,
            Self::Gzip => compression::Codec::Gzip { level: -1 },
            Self::Snappy => compression::Codec::Snappy,
            Self::Lz4 => compression::Codec::Lz4 { level: 9 },
            Self::Zstd => compression::Codec::Zstd { level: 3 },
        }
    }
}

/// A plain batch of records without keys, of now.
pub fn batch(values: &[&str]) -> Bytes {
    compressed(Codec::None, values)
}

/// The same with a codec.
pub fn compressed(codec: Codec, values: &[&str]) -> Bytes {
    let now = now_ms();
    let records: Vec<(i64, &str)> = values.iter().map(|value| (now, *value)).collect();
    compressed_at(codec, &records)
}

/// A plain batch of records with timestamps.
pub fn at(records: &[(i64, &str)]) -> Bytes {
    compressed_at(Codec::None, records)
}

/// A plain batch of records with keys, of now.
pub fn keyed(records: &[(&str, &str)]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        builder.append(Timestamp(now_ms()), key, value);
    }
    builder.build().expect("a batch").to_bytes()
}

/// A batch of records with timestamps and a codec.
pub fn compressed_at(codec: Codec, records: &[(i64, &str)]) -> Bytes {
    build(BatchBuilder::new().codec(codec.with_level()), records)
}

/// A batch of an idempotent producer.
pub fn idempotent(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let builder =
        BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence));
    let now = now_ms();
    build(
        builder,
        &values.iter().map(|value| (now, *value)).collect::<Vec<_>>(),
    )
}

/// A batch of a transactional producer.
pub fn transactional(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let builder = BatchBuilder::new()
        .producer(ProducerId(id), ProducerEpoch(epoch), Sequence(sequence))
        .transactional();
    let now = now_ms();
    build(
        builder,
        &values.iter().map(|value| (now, *value)).collect::<Vec<_>>(),
    )
}

/// A control batch outside any transaction, which no client may write.
pub fn control() -> Bytes {
    build(BatchBuilder::new().control(), &[(now_ms(), "value")])
}

/// A transaction marker, which no client may write.
pub fn marker() -> Bytes {
    let marker = EndTxnMarker {
        committed: true,
        coordinator_epoch: 0,
    };
    marker
        .batch(ProducerId(1), ProducerEpoch(0), Timestamp(now_ms()))
        .expect("a batch")
        .to_bytes()
}

fn build(mut builder: BatchBuilder, records: &[(i64, &str)]) -> Bytes {
    for (timestamp, value) in records {
        builder.append(Timestamp(*timestamp), None, Some(value.as_bytes()));
    }
    builder.build().expect("a batch").to_bytes()
}

/// Each whole batch: its header and all its bytes.
pub fn batches(mut bytes: &[u8]) -> Vec<(BatchHeader, &[u8])> {
    let mut batches = Vec::new();
    while let Some(header) = BatchHeader::read(bytes) {
        let size = header.size().expect("a true length");
        assert!(
            bytes.len() >= size,
            "whole batches only: {} of {size} bytes",
            bytes.len()
        );
        let (batch, rest) = bytes.split_at(size);
        batches.push((header, batch));
        bytes = rest;
    }
    assert!(
        bytes.is_empty(),
        "{} bytes behind the last batch",
        bytes.len()
    );
    batches
}

/// Values of all records.
pub fn values(bytes: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    for (header, batch) in batches(bytes) {
        let mut records =
            RecordReader::new(&header, &batch[61..], MAX_CONTENT).expect("readable records");
        while let Some(record) = records.next().expect("a readable record") {
            values
                .push(String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text"));
        }
    }
    values
}

/// Offsets of all records.
pub fn offsets(bytes: &[u8]) -> Vec<i64> {
    batches(bytes)
        .iter()
        .flat_map(|(header, _)| header.base_offset().0..header.next_offset().0)
        .collect()
}

/// Codec of each batch.
pub fn codecs(bytes: &[u8]) -> Vec<Codec> {
    batches(bytes)
        .iter()
        .map(|(header, _)| Codec::ALL[usize::from(header.codec_id())])
        .collect()
}

/// Max timestamp of the first batch.
pub fn max_timestamp(bytes: &[u8]) -> i64 {
    batches(bytes)[0].0.max_timestamp().0
}

/// Does each batch's checksum hold?
pub fn crc_is_right(bytes: &[u8]) -> bool {
    batches(bytes)
        .iter()
        .all(|(header, batch)| header.crc() == crc32c(&batch[CRC_START..]))
}

/// The time, in milliseconds since the epoch.
pub fn now_ms() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the clients of a real broker live in real time"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock past 1970");
    now.as_millis() as i64
}
