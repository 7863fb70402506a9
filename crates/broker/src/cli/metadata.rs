//! `ottla metadata dump`: the records of metadata log segments and snapshots, as JSON lines.

use std::io::{BufWriter, ErrorKind, stdout};
use std::path::PathBuf;

use ottla_storage::fs::OsFs;

use super::exit::{Exit, fail};
use crate::metadata::dump::{DumpError, dump as dump_file};

/// Prints the files in their order; ends at the first that cannot be read to its end.
pub(super) fn dump(files: &[PathBuf]) -> Exit {
    let mut out = BufWriter::new(stdout().lock());
    for file in files {
        match dump_file(&OsFs, file, &mut out) {
            Ok(()) => {}
            // Whoever read has seen enough.
            Err(DumpError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
                return Exit::Success;
            }
            Err(error) => return fail(Exit::Failure, &error.to_string()),
        }
    }
    Exit::Success
}
