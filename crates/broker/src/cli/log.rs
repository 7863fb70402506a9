//! `ottla log`: look into the files of logs, check them, and mend them, without a broker.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use ottla_storage::log_dir::{self, DirName, LOCK_FILE};
use ottla_storage::meta_properties;

use super::exit::{Exit, fail};

mod dump;
mod line;
mod records;
mod repair;
mod verify;

/// What to do with logs.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Print the content of files, as Apache Kafka's kafka-dump-log does
    Dump {
        /// Print the records, too; those of __consumer_offsets and of the metadata log decoded
        #[arg(long)]
        print_data_log: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Segments, indexes, snapshots, checkpoints, or directories of them
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Check data directories or the directories of partitions; exit code 0, or 1 if something is wrong
    Verify {
        /// One JSON object a directory
        #[arg(long)]
        json: bool,
        /// How many logs are read at a time
        #[arg(long, default_value_t = 4)]
        threads: usize,
        /// Directories
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Say what would mend what verify finds; with --yes, do it, and keep what is removed in files ending in .removed
    Repair {
        /// Do it
        #[arg(long)]
        yes: bool,
        /// One JSON object a directory
        #[arg(long)]
        json: bool,
        /// A data directory or the directory of a partition
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
}

/// Runs one of the commands.
pub(super) fn run(command: LogCommand) -> Exit {
    match command {
        LogCommand::Dump {
            print_data_log,
            json,
            paths,
        } => done(dump::run(&paths, print_data_log, json)),
        LogCommand::Verify {
            json,
            threads,
            dirs,
        } => done(verify::run(&dirs, threads, json)),
        LogCommand::Repair { yes, json, dirs } => done(repair::run(&dirs, yes, json)),
    }
}

/// A reader of the output that has gone away has seen enough.
fn done(outcome: io::Result<Exit>) -> Exit {
    match outcome {
        Ok(exit) => exit,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => fail(Exit::Io, &error.to_string()),
    }
}

/// A directory that the command line names.
enum Target {
    /// A data directory.
    Data(PathBuf),
    /// The directory of one log, and the data directory it lies in when that looks like one.
    Log(PathBuf, Option<PathBuf>),
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        if is_data_dir(&path) {
            return Ok(Self::Data(path));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let is_log = name.is_some_and(|name| matches!(DirName::parse(name), DirName::Log(_)));
        let data = path.parent().filter(|parent| is_data_dir(parent));
        match is_log || holds_segments(&path)? {
            true => Ok(Self::Log(path.clone(), data.map(Path::to_owned))),
            false => Ok(Self::Data(path)),
        }
    }

    fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Data(dir) => Some(dir),
            Self::Log(_, data) => data.as_deref(),
        }
    }
}

fn is_data_dir(path: &Path) -> bool {
    let has = |name| path.join(name).is_file();
    has(meta_properties::FILE_NAME) || has(LOCK_FILE)
}

fn holds_segments(dir: &Path) -> io::Result<bool> {
    for entry in dir.read_dir()? {
        if entry?.path().extension().is_some_and(|kind| kind == "log") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says so when a broker has the directory: what is read of it may change meanwhile.
fn warn_in_use(dir: Option<&Path>) {
    if let Some(Ok(Some(holder))) = dir.map(log_dir::in_use) {
        eprintln!("ottla: warning: {holder}; what follows may be out of date or half written");
    }
}
