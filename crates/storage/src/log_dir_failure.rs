//! Whether a data directory has failed (`LogDirFailureChannel.java`): an error of the disk below one of its logs takes
//! all of them offline, for good, as nobody knows what else of it is lost.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::append::is_no_space;
use crate::error::OpenError;
use crate::fs::os::is_out_of_descriptors;

/// What one data directory's logs share of its fate.
#[derive(Debug, Default)]
pub struct LogDirFailure(OnceLock<Arc<io::Error>>);

impl LogDirFailure {
    /// The error that took the directory offline, if one did.
    pub fn error(&self) -> Option<&Arc<io::Error>> {
        self.0.get()
    }

    /// Take the directory offline if `error` is one of the disk.
    pub(crate) fn note(&self, error: &Arc<io::Error>) {
        if is_of_the_disk(error) {
            let _first = self.0.set(Arc::clone(error));
        }
    }

    /// As [`Self::note`]; gives the error back.
    pub(crate) fn note_error(&self, error: io::Error) -> io::Error {
        let error = Arc::new(error);
        self.note(&error);
        io::Error::new(error.kind(), error)
    }

    /// `None` when the directory is offline for the error in `outcome`; any other error is given back.
    pub(crate) fn or_failed<T>(&self, outcome: io::Result<T>) -> io::Result<Option<T>> {
        match outcome.map_err(|error| self.note_error(error)) {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.error().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::note`], for a log that cannot be opened.
    pub(crate) fn note_open_error(&self, error: OpenError) -> OpenError {
        match error {
            OpenError::Io { dir, error } => OpenError::Io {
                dir,
                error: self.note_error(error),
            },
            error => error,
        }
    }
}

/// Not so: want of space or descriptors, which pass, and what concerns the files of one log only.
fn is_of_the_disk(error: &io::Error) -> bool {
    let of_one_log = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
    );
    !of_one_log && !is_no_space(error) && !is_out_of_descriptors(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_disk_take_it_offline() {
        let table = [
            (io::Error::from_raw_os_error(28), false),
            (io::Error::from_raw_os_error(24), false),
            (io::Error::from_raw_os_error(2), false),
            (io::ErrorKind::InvalidData.into(), false),
            (io::Error::from_raw_os_error(5), true),
            (io::Error::from_raw_os_error(30), true),
        ];
        for (error, offline) in table {
            let failure = LogDirFailure::default();
            let error = Arc::new(error);
            failure.note(&error);
            assert_eq!(failure.error().is_some(), offline, "{error}");
        }
    }
}
