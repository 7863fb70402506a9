//! The file in which the state of the producers is kept (`ProducerSnapshot.json`): `<offset>.snapshot` holds the state
//! as of that offset, exclusive. Big-endian:
//!
//! | type | field |
//! |---|---|
//! | i16 | version (1) |
//! | u32 | CRC-32C of all that follows |
//! | i32 | count of entries |
//!
//! and of each entry, 46 bytes:
//!
//! | type | field |
//! |---|---|
//! | i64 | producer id |
//! | i16 | producer epoch |
//! | i32 | last sequence; -1 when it has no batch in this epoch |
//! | i64 | last offset; -1 when it has no batch in this epoch |
//! | i32 | offset delta of the last batch |
//! | i64 | timestamp |
//! | i32 | coordinator epoch |
//! | i64 | first offset of the open transaction; -1 when there is none |
//!
//! Only the last batch of each producer is kept, as in Kafka.

use std::io;
use std::path::Path;

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::batch::crc32c;

use super::{BatchMetadata, ProducerEntry, ProducerState};
use crate::fs::{Fs, OpenMode, read_small, write_all_at};

const VERSION: i16 = 1;
const HEAD: usize = 10;
const CRC_START: usize = 6;
const ENTRY: usize = 46;
/// Larger files are not read: more than 11 million producers in one partition.
const MAX_FILE: usize = 512 << 20;

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The checksum is not that of the content.
    #[error("checksum {stored:#010x} where the content has {computed:#010x}")]
    Crc {
        /// The one in the file.
        stored: u32,
        /// The one of the content.
        computed: u32,
    },
    /// It is shorter or longer than its count of entries says.
    #[error("{0} bytes do not fit the count of entries")]
    Length(usize),
    /// Its version is not 1.
    #[error("version {0}, only 1 is known")]
    Version(i16),
}

/// The bytes of a snapshot of `state`, the producers in ascending order.
pub fn encode(state: &ProducerState) -> Vec<u8> {
    let mut producers: Vec<_> = state.producers().collect();
    producers.sort_by_key(|(id, _)| *id);
    let mut bytes = Vec::with_capacity(HEAD + producers.len() * ENTRY);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(producers.len() as i32).to_be_bytes());
    for (id, entry) in producers {
        encode_entry(id, entry, &mut bytes);
    }
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[2..CRC_START].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_entry(id: ProducerId, entry: &ProducerEntry, bytes: &mut Vec<u8>) {
    let last = entry.batches.last();
    bytes.extend_from_slice(&id.0.to_be_bytes());
    bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
    bytes.extend_from_slice(&entry.last_sequence().0.to_be_bytes());
    bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset.0).to_be_bytes());
    bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
    bytes.extend_from_slice(&entry.last_timestamp.0.to_be_bytes());
    bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    let txn = entry.txn_first_offset.map_or(-1, |offset| offset.0);
    bytes.extend_from_slice(&txn.to_be_bytes());
}

/// The producers in the bytes of a snapshot.
pub fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    let Some((head, entries)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(SnapshotError::Length(bytes.len()));
    };
    let version = i16::from_be_bytes(field(head, 0));
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let stored = u32::from_be_bytes(field(head, 2));
    let computed = crc32c(&bytes[CRC_START..]);
    if stored != computed {
        return Err(SnapshotError::Crc { stored, computed });
    }
    let count = i32::from_be_bytes(field(head, 6));
    if usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(ENTRY))
        != Some(entries.len())
    {
        return Err(SnapshotError::Length(bytes.len()));
    }
    Ok(entries.chunks_exact(ENTRY).map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8]) -> (ProducerId, ProducerEntry) {
    let last_offset = i64::from_be_bytes(field(bytes, 14));
    let timestamp = Timestamp(i64::from_be_bytes(field(bytes, 26)));
    let txn = i64::from_be_bytes(field(bytes, 38));
    let batch = BatchMetadata {
        last_sequence: Sequence(i32::from_be_bytes(field(bytes, 10))),
        last_offset: Offset(last_offset),
        offset_delta: i32::from_be_bytes(field(bytes, 22)),
        timestamp,
    };
    let entry = ProducerEntry {
        epoch: ProducerEpoch(i16::from_be_bytes(field(bytes, 8))),
        coordinator_epoch: i32::from_be_bytes(field(bytes, 34)),
        last_timestamp: timestamp,
        txn_first_offset: (txn >= 0).then_some(Offset(txn)),
        batches: (last_offset >= 0).then_some(batch).into_iter().collect(),
    };
    (ProducerId(i64::from_be_bytes(field(bytes, 0))), entry)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..].first_chunk().copied().unwrap_or([0; N])
}

/// Name of the snapshot as of `offset`.
pub fn file_name(offset: Offset) -> String {
    format!("{:020}.snapshot", offset.0)
}

/// The offset in the name of a snapshot, or `None` when it is no such name.
pub fn parse_file_name(name: &str) -> Option<Offset> {
    crate::segment::parse_offset(name.strip_suffix(".snapshot")?)
}

/// Write a snapshot of `state` into the directory of the log. It is not synced: what a crash leaves of it fails the
/// checksum, and an older one serves.
pub(crate) fn save(fs: &dyn Fs, dir: &Path, state: &ProducerState) -> io::Result<()> {
    let file = fs.open(&dir.join(file_name(state.end())), OpenMode::Truncate)?;
    write_all_at(&*file, &[&encode(state)], 0)
}

/// Read the snapshot as of `offset` from the directory of the log.
pub(crate) fn load(
    fs: &dyn Fs,
    dir: &Path,
    offset: Offset,
) -> io::Result<Vec<(ProducerId, ProducerEntry)>> {
    let bytes = read_small(fs, &dir.join(file_name(offset)), MAX_FILE)?;
    decode(&bytes.unwrap_or_default())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
