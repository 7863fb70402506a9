//! The content of a metadata log segment, snapshot or `bootstrap.checkpoint`, as JSON lines for people and tools.
//!
//! One object a record: `offset`, `epoch`, `timestamp` and then `type`, `version` and `data` as in
//! [`super::record::json`]. Control records have `control` true. Secrets (SCRAM keys) are shown, as Kafka's
//! `DumpLogSegments` does.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;
use ottla_protocol::record::batch::BatchHeader;
use ottla_storage::fs::Fs;
use serde_json::{Value, json};

use super::batch_file::{BatchFile, BatchFileError};
use super::raft_batch::{self, DecodeBatchError, RawRecord};
use super::record::json::{control_to_json, to_json};

/// Why a file cannot be printed to its end.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be opened, or the output takes no more.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A batch cannot be had.
    #[error("{path} at byte {position}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        reason: BatchFileError,
    },
    /// A batch cannot be understood.
    #[error("{path} at offset {offset}: {reason}")]
    Batch {
        /// The file.
        path: PathBuf,
        /// Base offset of the batch.
        offset: Offset,
        /// What is wrong with it.
        reason: DecodeBatchError,
    },
}

/// Print all records of the file at `path`.
///
/// # Errors
/// The file cannot be read to its end; the records before are printed.
pub fn dump(fs: &dyn Fs, path: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    let io = |source| DumpError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = BatchFile::open(fs, path).map_err(io)?;
    loop {
        let position = file.position();
        let batch = file.next_batch().map_err(|reason| DumpError::File {
            path: path.to_owned(),
            position,
            reason,
        })?;
        let Some((header, body)) = batch else {
            return out.flush().map_err(io);
        };
        let lines = lines(&header, &body).map_err(|reason| {
            let offset = header.base_offset();
            DumpError::Batch {
                path: path.to_owned(),
                offset,
                reason,
            }
        })?;
        lines
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
            .map_err(io)?;
    }
}

fn lines(header: &BatchHeader, body: &[u8]) -> Result<Vec<Value>, DecodeBatchError> {
    let mut lines = Vec::new();
    raft_batch::for_each_record(header, body, |record| {
        let RawRecord {
            offset, timestamp, ..
        } = record;
        let mut line = json!({ "offset": offset.0, "epoch": header.leader_epoch().0, "timestamp": timestamp.0 });
        let content = describe(header, &record)?;
        if let (Value::Object(line), Value::Object(content)) = (&mut line, content) {
            line.extend(content);
        }
        lines.push(line);
        Ok(())
    })?;
    Ok(lines)
}

fn describe(header: &BatchHeader, record: &RawRecord<'_>) -> Result<Value, DecodeBatchError> {
    if header.is_control() {
        return Ok(control_to_json(&record.decode_control()?));
    }
    let (record, version) = record.decode_metadata()?;
    Ok(to_json(&record, version))
}
