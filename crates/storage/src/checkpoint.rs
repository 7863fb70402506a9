//! The small text files in which a log directory notes one offset per partition (`CheckpointFile.java`,
//! `OffsetCheckpointFile.java`):
//!
//! ```text
//! 0                      version
//! 2                      count of lines that follow
//! topic 0 1042           topic, partition, offset
//! topic 1 17
//! ```
//!
//! `recovery-point-offset-checkpoint`: below it everything is on disk. `log-start-offset-checkpoint`: the first offset
//! that readers may see. `replication-offset-checkpoint`: the high watermarks. `cleaner-offset-checkpoint`: up to
//! where compaction has come. A file is replaced whole, by rename.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ottla_protocol::ids::{Offset, PartitionIndex, TopicPartition};

use crate::fs::{Fs, read_small, write_atomically};

/// `recovery-point-offset-checkpoint`
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// `log-start-offset-checkpoint`
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// `replication-offset-checkpoint`
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
/// `cleaner-offset-checkpoint`
pub const CLEANER_FILE: &str = "cleaner-offset-checkpoint";

const VERSION: &str = "0";
/// Larger files are not checkpoints: more than a million lines of the longest topic names.
const MAX_FILE: usize = 512 << 20;

/// What is wrong with a checkpoint file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is not text.
    #[error("not text")]
    NotText,
    /// Its first line names another version than 0.
    #[error("version {0:?}, only 0 is known")]
    Version(String),
    /// It ends before all its lines are there, or has more.
    #[error("{found} lines where the second line says {expected:?}")]
    Count {
        /// What the second line says.
        expected: String,
        /// How many lines follow.
        found: usize,
    },
    /// A line that does not read as it should.
    #[error("line {number}: {text:?}")]
    Line {
        /// Number of the line, from 1.
        number: usize,
        /// What stands there.
        text: String,
    },
}

/// A line of a checkpoint, behind version and count.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    number: usize,
}

impl Line<'_> {
    pub(crate) fn broken(&self) -> CheckpointError {
        CheckpointError::Line {
            number: self.number,
            text: self.text.chars().take(300).collect(),
        }
    }
}

/// The lines behind version and count, which must be right. None in an empty file: Kafka creates its checkpoints so.
pub(crate) fn parse_checkpoint(bytes: &[u8]) -> Result<Vec<Line<'_>>, CheckpointError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::NotText)?;
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if version.trim() != VERSION {
        return Err(CheckpointError::Version(version.chars().take(20).collect()));
    }
    let expected = lines.next().unwrap_or_default();
    let lines: Vec<Line<'_>> = lines
        .filter(|text| !text.is_empty())
        .enumerate()
        .map(|(index, text)| Line {
            text,
            number: index + 3,
        })
        .collect();
    if expected.trim().parse() == Ok(lines.len()) {
        Ok(lines)
    } else {
        Err(CheckpointError::Count {
            expected: expected.chars().take(20).collect(),
            found: lines.len(),
        })
    }
}

/// The text of a checkpoint with these lines.
pub(crate) fn format_checkpoint(lines: impl ExactSizeIterator<Item = String>) -> Vec<u8> {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Offsets by partition, as one checkpoint file holds them.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// Read one of the checkpoint files of a log directory; empty when there is none.
pub fn read_offsets(fs: &dyn Fs, dir: &Path, file: &str) -> io::Result<Offsets> {
    let path = dir.join(file);
    let Some(bytes) = read_small(fs, &path, MAX_FILE)? else {
        return Ok(Offsets::new());
    };
    parse_offsets(&bytes).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// Replace one of the checkpoint files of a log directory, durably.
pub fn write_offsets(fs: &dyn Fs, dir: &Path, file: &str, offsets: &Offsets) -> io::Result<()> {
    let lines = offsets
        .iter()
        .map(|(tp, offset)| format!("{} {} {offset}", tp.topic, tp.partition));
    write_atomically(fs, &dir.join(file), &format_checkpoint(lines))
}

/// Read the text of a checkpoint of offsets.
pub fn parse_offsets(bytes: &[u8]) -> Result<Offsets, CheckpointError> {
    let mut offsets = Offsets::new();
    for line in parse_checkpoint(bytes)? {
        let mut fields = line.text.split_whitespace();
        let (Some(topic), Some(partition), Some(offset), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(line.broken());
        };
        let tp = TopicPartition {
            topic: topic.to_owned(),
            partition: PartitionIndex(partition.parse().map_err(|_| line.broken())?),
        };
        offsets.insert(tp, Offset(offset.parse().map_err(|_| line.broken())?));
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OsFs;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.to_owned(),
            partition: PartitionIndex(partition),
        }
    }

    #[test]
    fn offsets_go_out_and_in_as_kafka_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        let none = read_offsets(&OsFs, dir.path(), LOG_START_FILE).unwrap();
        assert!(none.is_empty());
        let offsets = Offsets::from([(tp("a-b", 0), Offset(1042)), (tp("a-b", 1), Offset(17))]);
        write_offsets(&OsFs, dir.path(), LOG_START_FILE, &offsets).unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOG_START_FILE)).unwrap();
        assert_eq!(text, "0\n2\na-b 0 1042\na-b 1 17\n");
        assert_eq!(
            read_offsets(&OsFs, dir.path(), LOG_START_FILE).unwrap(),
            offsets
        );
    }

    #[test]
    fn broken_files_are_refused() {
        assert_eq!(
            parse_offsets(b""),
            Ok(Offsets::new()),
            "as Kafka creates it"
        );
        for text in [
            "0",
            "1\n0\n",
            "0\n2\na 0 1\n",
            "0\n1\na 0\n",
            "0\n1\na 0 1 2\n",
            "0\n1\na x 1\n",
            "0\n99999999999999999999\n",
        ] {
            assert!(parse_offsets(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(
            parse_offsets(b"0\n1\na 0 \xff"),
            Err(CheckpointError::NotText)
        );
    }
}
