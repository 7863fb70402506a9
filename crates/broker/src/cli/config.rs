//! `ottla config check | print | docs`.

use std::path::PathBuf;

use super::exit::{Exit, fail};
use super::{ConfigArgs, load, print as write};
use crate::config::docs as text;

/// A line for every key that needs a word, then the count.
pub(super) fn check(file: PathBuf, strict: bool) -> Exit {
    let name = file.display().to_string();
    let loaded = match load::only_file(file, strict) {
        Ok(loaded) => loaded,
        Err(error) => return fail(Exit::Failure, &error),
    };
    let mut lines: String = loaded
        .report
        .notable()
        .map(|finding| format!("{finding}\n"))
        .collect();
    lines.push_str(&format!("{name}: {}\n", loaded.report.summary()));
    match (write(&lines), loaded.config) {
        (Exit::Success, Err(_)) => Exit::Failure,
        (written, _) => written,
    }
}

/// Every key with its value and source.
pub(super) fn print(args: &ConfigArgs) -> Exit {
    match load::from_args(args).and_then(|loaded| loaded.config.map_err(|error| error.to_string()))
    {
        Ok(config) => write(&text::effective(&config)),
        Err(error) => fail(Exit::Config, &error),
    }
}

/// The reference.
pub(super) fn docs() -> Exit {
    write(&text::markdown())
}
