//! Loading a shard: read its partition from the start, replay every record.
//!
//! Records of a type this release does not know are passed over, as Kafka does it; what cannot be decoded, or a batch
//! that is damaged, ends the load, as the state would not be the log's.

use std::io;

use bytes::Bytes;
use ottla_protocol::ids::{Offset, ProducerId};
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN};
use ottla_protocol::record::control::EndTxnMarker;
use ottla_protocol::record::record::{Record, RecordError, RecordReader};
use ottla_storage::error::ReadError;
use ottla_storage::fs::Source;
use ottla_storage::read::FileRange;

use super::record::{CoordinatorRecord, DecodeError};
use super::shard::{RecordOrigin, Shard};
use crate::partition::{Isolation, Partition};

/// Bytes read at once (`offsets.load.buffer.size`); a larger batch is read whole.
const READ_BYTES: u32 = 5 * 1024 * 1024;

/// Why a shard cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A segment file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A batch is damaged.
    #[error("the batch at offset {offset} is damaged: {reason}")]
    Batch {
        /// Its base offset.
        offset: Offset,
        /// What is wrong.
        reason: RecordError,
    },
    /// A range of the log does not hold whole batches.
    #[error("the log ends within a batch")]
    Torn,
    /// A record of a known type is not as it should be.
    #[error("the record at offset {offset} cannot be understood: {reason}")]
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        reason: DecodeError,
    },
}

/// How much was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Records replayed.
    pub records: u64,
    /// Records of unknown types, passed over.
    pub unknown: u64,
}

/// Replay the whole partition into `shard`. Reads from disk: not for a worker of the runtime.
///
/// # Errors
/// See [`LoadError`]; the shard is then of no use.
pub fn load<S: Shard>(
    shard: &mut S,
    partition: &Partition,
    max_content: usize,
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    let mut next = partition.offsets().log_start;
    loop {
        let slice = partition.read(
            next,
            Isolation::ReadUncommitted,
            READ_BYTES,
            true,
            Source::Disk,
        )?;
        if slice.len == 0 {
            return Ok(loaded);
        }
        for range in &slice.ranges {
            let bytes = read_range(range)?;
            replay_batches(shard, bytes, max_content, &mut loaded)?;
        }
        next = slice.next_offset;
    }
}

fn read_range(range: &FileRange) -> io::Result<Bytes> {
    let mut bytes = vec![0; range.len as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        let at = range.position + filled as u64;
        match range.file.read_at(&mut bytes[filled..], at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(bytes.into())
}

fn replay_batches<S: Shard>(
    shard: &mut S,
    mut bytes: Bytes,
    max_content: usize,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    while !bytes.is_empty() {
        let header = BatchHeader::read(&bytes).ok_or(LoadError::Torn)?;
        let size = header.size().filter(|size| *size <= bytes.len());
        let batch = bytes.split_to(size.ok_or(LoadError::Torn)?);
        replay_batch(shard, &header, &batch[HEADER_LEN..], max_content, loaded)?;
    }
    Ok(())
}

fn replay_batch<S: Shard>(
    shard: &mut S,
    header: &BatchHeader,
    body: &[u8],
    max_content: usize,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let base = header.base_offset();
    let damaged = |reason| LoadError::Batch {
        offset: base,
        reason,
    };
    let mut records = RecordReader::new(header, body, max_content).map_err(damaged)?;
    while let Some(record) = records.next().map_err(damaged)? {
        if header.is_control() {
            if let Some(marker) = EndTxnMarker::parse(&record) {
                shard.replay_end_transaction(header.producer_id(), marker.committed);
            }
            continue;
        }
        let offset = base.plus(record.offset_delta.into());
        match decode::<S::Record>(&record) {
            Ok(decoded) => {
                shard.replay(origin(header, offset), decoded);
                loaded.records += 1;
            }
            Err(DecodeError::UnknownType(_)) => loaded.unknown += 1,
            Err(reason) => return Err(LoadError::Record { offset, reason }),
        }
    }
    Ok(())
}

fn decode<R: CoordinatorRecord>(record: &Record<'_>) -> Result<R, DecodeError> {
    let key = record.key.ok_or(DecodeError::Null)?;
    R::decode(key, record.value)
}

fn origin(header: &BatchHeader, offset: Offset) -> RecordOrigin {
    match header.is_transactional() {
        true => RecordOrigin {
            offset,
            producer_id: header.producer_id(),
            producer_epoch: header.producer_epoch(),
        },
        false => RecordOrigin {
            producer_id: ProducerId::NONE,
            ..RecordOrigin::at(offset)
        },
    }
}
