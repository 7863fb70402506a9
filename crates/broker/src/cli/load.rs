//! Reads what a configuration is made of: files, environment, command line.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ConfigArgs;
use crate::config::load::{Input, load};
use crate::config::report::Report;
use crate::config::{BrokerConfig, ConfigError};

/// Largest file that is read as configuration or secret, bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Where a file is looked for when none is named.
const DEFAULT_FILES: [&str; 2] = ["server.properties", "/etc/ottla/server.properties"];

/// A configuration, what became of its keys, and the file it came from.
pub(super) struct Loaded {
    pub(super) file: Option<PathBuf>,
    pub(super) report: Report,
    pub(super) config: Result<BrokerConfig, ConfigError>,
}

/// Reads the file that is named or found, and everything else.
pub(super) fn from_args(args: &ConfigArgs) -> Result<Loaded, String> {
    let found = || {
        DEFAULT_FILES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
    };
    let file = args.config.clone().or_else(found);
    from_file(file, environment(), args.overrides.clone(), args.strict)
}

/// Reads one file and nothing else, but for what its values refer to.
pub(super) fn only_file(file: PathBuf, strict: bool) -> Result<Loaded, String> {
    let not_kafka = environment()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("KAFKA_") && name != "CLUSTER_ID")
        .collect();
    from_file(Some(file), not_kafka, Vec::new(), strict)
}

fn from_file(
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    overrides: Vec<String>,
    strict: bool,
) -> Result<Loaded, String> {
    let contents = match &file {
        None => None,
        Some(path) => match read(path) {
            Ok(bytes) => Some((path.clone(), bytes)),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        },
    };
    let (report, config) = load(&Input {
        file: contents,
        environment,
        overrides,
        strict,
        read: &read,
    });
    Ok(Loaded {
        file,
        report,
        config,
    })
}

/// Variables that are text.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 4 MiB",
        ));
    }
    Ok(bytes)
}
