//! Why a round of compaction ended early. The log is as it was, or as the groups that were done have left it.

use std::io;
use std::path::PathBuf;

use ottla_protocol::record::builder::BuildError;
use ottla_protocol::record::record::RecordError;

use crate::error::{AppendError, ReadError};

/// Why a round of compaction ended early.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// It was asked to, or the log was cut meanwhile. A later round does it.
    #[error("the round was given up")]
    GivenUp,
    /// The log takes no changes: it has failed or is being deleted.
    #[error(transparent)]
    Offline(#[from] AppendError),
    /// A segment cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A batch is not what was written; to copy it in part would hide that.
    #[error("{path} at byte {position}: {what}")]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The records of a batch cannot be read.
    #[error("{path} at byte {position}: {error}")]
    Records {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        error: RecordError,
    },
    /// A batch cannot be built anew.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What is left of a group does not fit a segment.
    #[error("the segment with base offset {0} would become larger than a segment may be")]
    TooLarge(i64),
}

impl CleanError {
    /// True when a later round may well do better; else somebody has to look at the log.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::GivenUp | Self::Offline(_) => true,
            Self::Io(error) => crate::append::is_no_space(error),
            _ => false,
        }
    }
}
