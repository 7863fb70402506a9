//! The content of a metadata log segment, snapshot or `bootstrap.checkpoint`, as JSON lines for people and tools.
//!
//! One object a record: `offset`, `epoch`, `timestamp` and then `type`, `version` and `data` as in
//! [`super::record::json`]. Control records have `control` true besides. Secrets (SCRAM keys) are shown, as Kafka's
//! `DumpLogSegments` does.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;
use ottla_protocol::record::batch::BatchHeader;
use ottla_storage::fs::Fs;

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

fn lines(header: &BatchHeader, body: &[u8]) -> Result<Vec<String>, DecodeBatchError> {
    let epoch = header.leader_epoch();
    let mut lines = Vec::new();
    raft_batch::for_each_record(header, body, |record| {
        let content = if header.is_control() {
            control_to_json(&record.decode_control()?)
        } else {
            let (record, version) = record.decode_metadata()?;
            to_json(&record, version)
        };
        let RawRecord {
            offset, timestamp, ..
        } = record;
        let control = if header.is_control() {
            ",\"control\":true"
        } else {
            ""
        };
        // By hand, because serde_json would sort the keys and put `data` first.
        lines.push(format!(
            "{{\"offset\":{offset},\"epoch\":{epoch},\"timestamp\":{timestamp}{control},\"type\":{},\"version\":{},\"data\":{}}}",
            content["type"], content["version"], content["data"]
        ));
        Ok(())
    })?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::raft_batch::{LogState, encode, encode_control};
    use crate::metadata::record::NoOpRecord;
    use crate::metadata::record::control::ControlRecord;
    use ottla_protocol::ids::{LeaderEpoch, Timestamp};
    use ottla_storage::fs::OsFs;

    #[test]
    fn prints_a_line_for_each_record() {
        let now = Timestamp(7);
        let mut batches = vec![encode_control(&[ControlRecord::kraft_version(1)], now).unwrap()];
        batches.extend(
            encode(
                &[NoOpRecord {}.into(), NoOpRecord {}.into()],
                &mut LogState::default(),
                1000,
                now,
            )
            .unwrap(),
        );
        let mut bytes = Vec::new();
        for (batch, base) in batches.iter_mut().zip([3, 4]) {
            batch.header_mut().set_base_offset(Offset(base));
            batch.header_mut().set_leader_epoch(LeaderEpoch(2));
            bytes.extend_from_slice(&batch.to_bytes());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000003.log");
        std::fs::write(&path, &bytes).unwrap();
        let mut out = Vec::new();
        dump(&OsFs, &path, &mut out).unwrap();
        let expected = r#"{"offset":3,"epoch":2,"timestamp":7,"control":true,"type":"K_RAFT_VERSION_RECORD","version":0,"data":{"kRaftVersion":1}}
{"offset":4,"epoch":2,"timestamp":7,"type":"NO_OP_RECORD","version":0,"data":{}}
{"offset":5,"epoch":2,"timestamp":7,"type":"NO_OP_RECORD","version":0,"data":{}}
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);

        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let mut out = Vec::new();
        let error = dump(&OsFs, &path, &mut out).unwrap_err().to_string();
        assert!(
            error.ends_with("the batch is cut off or its length is impossible"),
            "{error}"
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            expected.lines().next().unwrap().to_owned() + "\n"
        );
    }
}
