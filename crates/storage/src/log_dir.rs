//! One data directory: its lock, whose it is, how the last process that used it stopped, and which of the names in it
//! are logs.
//!
//! `.lock` is held as long as the process lives. `.kafka_cleanshutdown` (JSON: version, broker epoch) is written at a
//! clean stop and removed at start (`CleanShutdownFileHandler.java`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::{PartitionIndex, TopicPartition};
use uuid::Uuid;

use crate::checkpoint::{self, Offsets};
use crate::fs::{Fs, LockError, LockGuard, read_small, remove_if_exists, write_atomically};
use crate::meta_properties::{FILE_NAME, MetaProperties, MetaPropertiesError};
use crate::recovery::create_durably;

/// Name of the lock file.
pub const LOCK_FILE: &str = ".lock";
/// Name of the marker of a clean stop.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Suffix of a log's directory that is being deleted.
pub const DELETE_SUFFIX: &str = "-delete";
/// Suffix of a log's directory that belongs to no topic (any more).
pub const STRAY_SUFFIX: &str = "-stray";

const MAX_SMALL_FILE: usize = 64 << 10;
/// Longest name of a directory on the usual file systems.
const MAX_NAME: usize = 255;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process uses it.
    #[error("{dir} is in use by {}", holder(.pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Id of the process, where it can be told.
        pid: Option<u32>,
    },
    /// Its `meta.properties` cannot be used.
    #[error("{dir}/meta.properties: {error}")]
    Meta {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        error: MetaPropertiesError,
    },
    /// A file could not be read or written.
    #[error("{dir}: {error}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// Who has the data directory at `path`, in words; `None` when nobody has. Asking takes the lock for a moment, shared.
pub fn in_use(path: &Path) -> io::Result<Option<String>> {
    let held = crate::fs::os::lock_holder(&path.join(LOCK_FILE))?;
    Ok(held.map(|pid| format!("{} is in use by {}", path.display(), holder(&pid))))
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data directory that this process holds.
pub struct LogDir {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    meta: Option<MetaProperties>,
    clean_shutdown: Option<i64>,
    _lock: Box<dyn LockGuard>,
}

impl LogDir {
    /// Take the directory, which is created when missing, and read what it says of itself.
    pub fn open(fs: Arc<dyn Fs>, path: &Path) -> Result<Self, LogDirError> {
        let io = |error| LogDirError::Io {
            dir: path.to_owned(),
            error,
        };
        create_durably(&*fs, path).map_err(io)?;
        let lock = fs
            .lock(&path.join(LOCK_FILE))
            .map_err(|error| match error {
                LockError::Held(pid) => LogDirError::Locked {
                    dir: path.to_owned(),
                    pid,
                },
                LockError::Io(error) => io(error),
            })?;
        let meta = read_meta(&*fs, path)?;
        let marker =
            read_small(&*fs, &path.join(CLEAN_SHUTDOWN_FILE), MAX_SMALL_FILE).map_err(io)?;
        Ok(Self {
            clean_shutdown: marker.map(|bytes| broker_epoch(&bytes)),
            fs,
            path: path.to_owned(),
            meta,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its `meta.properties` says; `None` when it has none: it is not formatted.
    pub fn meta(&self) -> Option<&MetaProperties> {
        self.meta.as_ref()
    }

    /// Write `meta.properties`.
    pub fn format(&mut self, meta: MetaProperties) -> io::Result<()> {
        let path = self.path.join(FILE_NAME);
        write_atomically(&*self.fs, &path, meta.format().as_bytes())?;
        self.meta = Some(meta);
        Ok(())
    }

    /// The broker epoch of the process before this one (-1 when it noted none), if it stopped cleanly.
    pub fn clean_shutdown(&self) -> Option<i64> {
        self.clean_shutdown
    }

    /// Remove the marker of a clean stop: from now on it holds no more.
    pub fn clear_clean_shutdown(&self) -> io::Result<()> {
        if self.clean_shutdown.is_some() {
            remove_if_exists(&*self.fs, &self.path.join(CLEAN_SHUTDOWN_FILE))?;
            self.fs.sync_dir(&self.path)?;
        }
        Ok(())
    }

    /// Write the marker of a clean stop, as Kafka's `CleanShutdownFileHandler` does.
    pub fn mark_clean_shutdown(&self, broker_epoch: i64) -> io::Result<()> {
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        write_atomically(
            &*self.fs,
            &self.path.join(CLEAN_SHUTDOWN_FILE),
            text.as_bytes(),
        )
    }

    /// Read one of the checkpoint files; see [`checkpoint`].
    pub fn read_checkpoint(&self, file: &str) -> io::Result<Offsets> {
        checkpoint::read_offsets(&*self.fs, &self.path, file)
    }

    /// Replace one of the checkpoint files.
    pub fn write_checkpoint(&self, file: &str, offsets: &Offsets) -> io::Result<()> {
        checkpoint::write_offsets(&*self.fs, &self.path, file, offsets)
    }

    /// Bytes that may still be written here.
    pub fn available(&self) -> io::Result<u64> {
        self.fs.available(&self.path)
    }

    /// Size of the file system, in bytes.
    pub fn total(&self) -> io::Result<u64> {
        self.fs.total(&self.path)
    }

    /// The directories in it.
    pub(crate) fn subdirs(&self) -> io::Result<Vec<String>> {
        let entries = self.fs.list(&self.path)?.into_iter();
        Ok(entries.filter(|e| e.is_dir).map(|e| e.name).collect())
    }
}

fn read_meta(fs: &dyn Fs, path: &Path) -> Result<Option<MetaProperties>, LogDirError> {
    let bytes = read_small(fs, &path.join(FILE_NAME), MAX_SMALL_FILE);
    let bytes = bytes.map_err(|error| LogDirError::Io {
        dir: path.to_owned(),
        error,
    })?;
    let parse = |bytes: Vec<u8>| MetaProperties::parse(&String::from_utf8_lossy(&bytes));
    bytes
        .map(parse)
        .transpose()
        .map_err(|error| LogDirError::Meta {
            dir: path.to_owned(),
            error,
        })
}

/// The broker epoch in the marker; -1 when it cannot be read, for the file itself is what counts.
fn broker_epoch(bytes: &[u8]) -> i64 {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let epoch = json.as_ref().and_then(|json| json.get("brokerEpoch"));
    epoch.and_then(serde_json::Value::as_i64).unwrap_or(-1)
}

/// What the name of a directory says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirName {
    /// The log of a partition.
    Log(TopicPartition),
    /// A log that is being deleted.
    Deleted,
    /// None of ours: strays, logs on the move, other things.
    Other,
}

impl DirName {
    /// Understand a name (`UnifiedLog.parseTopicPartitionName`).
    pub fn parse(name: &str) -> Self {
        if name.ends_with(DELETE_SUFFIX) && name.contains('.') {
            return Self::Deleted;
        }
        let Some((topic, partition)) = name.rsplit_once('-') else {
            return Self::Other;
        };
        let canonical = |index: &i32| *index >= 0 && index.to_string() == partition;
        let partition = partition.parse().ok().filter(canonical);
        match partition.filter(|_| is_topic_name(topic)) {
            Some(index) => Self::Log(TopicPartition {
                topic: topic.to_owned(),
                partition: PartitionIndex(index),
            }),
            None => Self::Other,
        }
    }

    /// The name for a log that is deleted (`-delete`) or has no owner (`-stray`): unique, and not too long.
    pub fn with_suffix(of: &TopicPartition, unique: Uuid, suffix: &str) -> String {
        let end = format!(".{}{suffix}", unique.simple());
        let mut name = of.to_string();
        name.truncate(MAX_NAME - end.len());
        name + &end
    }
}

fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OsFs;
    use ottla_protocol::ids::BrokerId;

    #[test]
    fn names_of_directories() {
        let log = |topic: &str, index| {
            DirName::Log(TopicPartition {
                topic: topic.to_owned(),
                partition: PartitionIndex(index),
            })
        };
        let table = [
            ("a-0", log("a", 0)),
            ("a-b.c_d-12", log("a-b.c_d", 12)),
            ("a--1", log("a-", 1)),
            ("-1", DirName::Other),
            ("a-01", DirName::Other),
            ("a-", DirName::Other),
            ("a", DirName::Other),
            ("lost+found", DirName::Other),
            (
                "a-0.0123456789abcdef0123456789abcdef-delete",
                DirName::Deleted,
            ),
            ("a-0.0123456789abcdef0123456789abcdef-stray", DirName::Other),
            (
                "a-0.0123456789abcdef0123456789abcdef-future",
                DirName::Other,
            ),
        ];
        for (name, expected) in table {
            assert_eq!(DirName::parse(name), expected, "{name}");
        }
        let tp = TopicPartition {
            topic: "t".repeat(249),
            partition: PartitionIndex(1),
        };
        let name = DirName::with_suffix(&tp, Uuid::from_u128(1), DELETE_SUFFIX);
        assert_eq!((name.len(), DirName::parse(&name)), (255, DirName::Deleted));
    }

    #[test]
    fn a_directory_is_held_once_and_remembers_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        let mut held = LogDir::open(Arc::clone(&fs), &path).unwrap();
        assert_eq!((held.meta(), held.clean_shutdown()), (None, None));
        let again = LogDir::open(Arc::clone(&fs), &path).map(|_| ());
        let message = again.unwrap_err().to_string();
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        let meta = MetaProperties {
            cluster_id: "c".to_owned(),
            node_id: BrokerId(1),
            directory_id: Some(Uuid::from_u128(5)),
        };
        held.format(meta.clone()).unwrap();
        held.mark_clean_shutdown(17).unwrap();
        // As Apache Kafka 4.1 and 4.3 write it; they read nothing else.
        let marker = std::fs::read_to_string(path.join(CLEAN_SHUTDOWN_FILE)).unwrap();
        assert_eq!(marker, r#"{"version":0,"brokerEpoch":17}"#);
        drop(held);
        let held = LogDir::open(Arc::clone(&fs), &path).unwrap();
        assert_eq!(
            (held.meta(), held.clean_shutdown()),
            (Some(&meta), Some(17))
        );
        held.clear_clean_shutdown().unwrap();
        drop(held);
        assert_eq!(LogDir::open(fs, &path).unwrap().clean_shutdown(), None);
    }
}
