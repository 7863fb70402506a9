//! What the tests share: seeded randomness, batches, and a reader that copies slices into memory.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchBuilder, BatchHeader, EndTxnMarker, ValidBatch};
use ottla_storage::error::AppendError;
use ottla_storage::{AppendInfo, AppendOrigin};
use ottla_storage::{Fs, Log, LogConfig, LogReader, LogSlice, OsFs};

pub(crate) use ottla_storage::Opening;

/// A small random generator (splitmix64): the same numbers for the same seed, everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(crate) fn os_fs() -> Arc<dyn Fs> {
    Arc::new(OsFs)
}

/// A log with small segments, so that a few batches fill one.
pub(crate) fn small_config() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 256,
        ..LogConfig::default()
    }
}

pub(crate) fn open(dir: &Path, config: LogConfig, opening: Opening) -> Log {
    Log::open(os_fs(), dir, None, config, opening, Timestamp(0))
        .unwrap()
        .0
}

/// A batch of `count` records of about `size` bytes each.
pub(crate) fn batch(random: &mut Random, count: usize, size: usize, at: i64) -> ValidBatch {
    let codecs = [
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let codec = codecs[random.below(codecs.len() as u64) as usize];
    let mut builder = BatchBuilder::new().codec(codec);
    for index in 0..count {
        let value: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
        builder.append(Timestamp(at + index as i64), None, Some(&value));
    }
    builder.build().unwrap()
}

pub(crate) fn append(log: &mut Log, batch: ValidBatch) -> AppendInfo {
    log.append(batch, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0))
        .unwrap()
}

/// Append a batch of one record by an idempotent producer, within a transaction if `txn`; its offset.
pub(crate) fn produce(
    log: &mut Log,
    id: i64,
    sequence: i32,
    txn: bool,
) -> Result<Offset, AppendError> {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), Sequence(sequence));
    if txn {
        builder = builder.transactional();
    }
    builder.append(Timestamp(5), None, Some(&[0; 100]));
    let batch = builder.build().unwrap();
    let info = log.append(batch, LeaderEpoch(0), AppendOrigin::Client, Timestamp(5))?;
    Ok(info.base_offset)
}

/// Append the marker that ends a producer's transaction.
pub(crate) fn end_txn(log: &mut Log, id: i64, committed: bool) {
    let marker = EndTxnMarker {
        committed,
        coordinator_epoch: 1,
    };
    let batch: ValidBatch = marker
        .batch(ProducerId(id), ProducerEpoch(0), Timestamp(6))
        .unwrap();
    log.append(
        batch,
        LeaderEpoch(0),
        AppendOrigin::Coordinator,
        Timestamp(6),
    )
    .unwrap();
}

/// The bytes of a slice.
pub(crate) fn bytes(slice: &LogSlice) -> Vec<u8> {
    let mut all = Vec::new();
    for range in &slice.ranges {
        let mut bytes = vec![0; range.len as usize];
        let read = ottla_storage::fs::read_up_to(&*range.file, &mut bytes, range.position).unwrap();
        assert_eq!(read, bytes.len(), "a slice ends with its file");
        all.extend(bytes);
    }
    assert_eq!(all.len(), slice.len as usize);
    all
}

/// The batches in `bytes`, each whole.
pub(crate) fn batches(mut bytes: &[u8]) -> Vec<(BatchHeader, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::read(bytes).expect("a whole header");
        let (batch, rest) = bytes
            .split_at_checked(header.size().unwrap())
            .expect("a whole batch");
        found.push((header, batch.to_vec()));
        bytes = rest;
    }
    found
}

/// Read on from `from` to the end of the log, `max_bytes` at a time, as a consumer does.
pub(crate) fn read_on(
    reader: &LogReader,
    from: Offset,
    max_bytes: u32,
) -> Vec<(BatchHeader, Vec<u8>)> {
    let mut all = Vec::new();
    let mut next = from;
    while next < reader.log_end_offset() {
        let slice = reader
            .read(next, Offset(i64::MAX), max_bytes, true)
            .unwrap();
        let found = batches(&bytes(&slice));
        let Some((last, _)) = found.last() else { break };
        assert_eq!(found[0].0.base_offset(), slice.first_batch_base_offset);
        assert!(
            slice.len <= max_bytes || found.len() == 1,
            "above the limit"
        );
        assert!(slice.next_offset >= last.next_offset());
        next = last.next_offset();
        all.extend(found);
    }
    all
}
