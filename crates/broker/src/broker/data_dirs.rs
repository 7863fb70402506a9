//! The data directories of a starting broker: locked, checked against each other and the configuration, and formatted
//! when they are new.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::{Timestamp, TopicId};
use ottla_storage::fs::Fs;
use ottla_storage::log_dir::{LogDir, LogDirError};
use ottla_storage::meta_properties::MetaProperties;
use uuid::Uuid;

use crate::config::BrokerConfig;
use crate::metadata::format::{self, FormatError};
use crate::metadata::quorum::Identity;
use crate::metadata::record::MetadataVersion;
use crate::metadata::record::control::VoterEndpoint;

/// `DirectoryId`'s ids below this one are reserved.
const RESERVED_DIRECTORY_IDS: u128 = 100;

/// `metadata.version` of a new cluster: 4.1-IV1, which every Apache Kafka from 4.1 on can take over.
const NEW_CLUSTER_LEVEL: MetadataVersion = MetadataVersion(27);

/// Why the data directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A directory cannot be taken or read.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// Two directories belong to different clusters.
    #[error(
        "{dir} belongs to cluster {found}, {other} to cluster {expected}: log.dirs must name directories of one cluster"
    )]
    ClusterId {
        /// One directory.
        dir: PathBuf,
        /// Its cluster.
        found: String,
        /// Another directory.
        other: PathBuf,
        /// Its cluster.
        expected: String,
    },
    /// The directories belong to another cluster than the configured one.
    #[error(
        "{dir} belongs to cluster {found}, but ottla.cluster.id (or CLUSTER_ID) is {expected}: leave it out, or use another directory"
    )]
    OtherCluster {
        /// The first formatted directory.
        dir: PathBuf,
        /// Its cluster.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// The directory is another node's.
    #[error(
        "{dir} belongs to node {found}, but node.id is {expected}: set node.id={found}, or use another directory"
    )]
    NodeId {
        /// The directory.
        dir: PathBuf,
        /// Its node.
        found: i32,
        /// The configured one.
        expected: i32,
    },
    /// The directory of the metadata is new, though the cluster is not.
    #[error(
        "{dir} holds no metadata, but the other directories belong to cluster {cluster_id}: set metadata.log.dir to the directory that has __cluster_metadata-0"
    )]
    NoMetadata {
        /// The directory.
        dir: PathBuf,
        /// The cluster.
        cluster_id: String,
    },
    /// A new directory cannot be formatted.
    #[error("{dir} cannot be formatted: {reason}")]
    Format {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The directories, held by this process, and who they say this node is.
pub(super) struct DataDirs {
    dirs: Vec<LogDir>,
    lost: Vec<PathBuf>,
    cluster_id: String,
    identity: Identity,
    is_new: bool,
}

impl DataDirs {
    /// Take all of `log.dirs`. Those without `meta.properties` are formatted: with the cluster id of the others, or with
    /// a new one when all are new.
    pub(super) fn open(
        fs: &Arc<dyn Fs>,
        config: &BrokerConfig,
        now: Timestamp,
    ) -> Result<Self, DataDirError> {
        let metadata_dir = config.metadata_log_dir();
        let mut dirs = Vec::new();
        let mut lost = Vec::new();
        for path in config.log_dirs() {
            match LogDir::open(Arc::clone(fs), &path) {
                Ok(dir) => dirs.push(dir),
                // The broker goes on without it, as Kafka does, but not without its metadata.
                Err(error @ LogDirError::Io { .. }) if path != metadata_dir => {
                    tracing::error!(%error, "the data directory cannot be used: its partitions are offline");
                    lost.push((path, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let known = common_identity(&dirs, config)?;
        let is_new = known.is_none();
        if is_new && !lost.is_empty() {
            // The lost directory may hold a cluster: no time to begin another one.
            return Err(lost.swap_remove(0).1.into());
        }
        let cluster_id = known.unwrap_or_else(|| new_cluster_id(config));
        // First, so that no crash leaves a cluster id without its metadata.
        dirs.sort_by_key(|dir| dir.path() != metadata_dir);
        for dir in &mut dirs {
            let holds_metadata = dir.path() == metadata_dir;
            if holds_metadata && !is_new && dir.meta().is_none() {
                return Err(DataDirError::NoMetadata {
                    dir: metadata_dir,
                    cluster_id,
                });
            }
            if dir.meta().is_none_or(|meta| meta.directory_id.is_none()) {
                format_dir(fs, dir, config, &cluster_id, holds_metadata && is_new, now)?;
            }
        }
        let directory_id = dirs
            .first()
            .and_then(|dir| dir.meta()?.directory_id)
            .unwrap_or_default();
        Ok(Self {
            identity: identity(config, directory_id),
            dirs,
            lost: lost.into_iter().map(|(path, _)| path).collect(),
            cluster_id,
            is_new,
        })
    }

    /// Id of the cluster.
    pub(super) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Whether they were formatted just now.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Who this node is in the metadata quorum.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Ids of the directories.
    pub(super) fn directory_ids(&self) -> Vec<Uuid> {
        self.dirs
            .iter()
            .filter_map(|dir| dir.meta()?.directory_id)
            .collect()
    }

    /// The broker epoch noted at the last stop, when all directories agree that it was clean; else -1.
    pub(super) fn previous_broker_epoch(&self) -> i64 {
        let mut epochs = self.dirs.iter().map(LogDir::clean_shutdown);
        let first = epochs.next().flatten();
        match first {
            Some(epoch) if epochs.all(|other| other == first) => epoch,
            _ => -1,
        }
    }

    /// The directories themselves, and those that cannot be used.
    pub(super) fn into_log_dirs(self) -> (Vec<LogDir>, Vec<PathBuf>) {
        (self.dirs, self.lost)
    }
}

/// Format the data directories that are new, and give back the id of the cluster that all belong to.
///
/// # Errors
/// They cannot be taken, written, or do not belong together.
pub fn format_data_dirs(
    fs: Arc<dyn Fs>,
    config: &BrokerConfig,
    now: Timestamp,
) -> Result<String, DataDirError> {
    DataDirs::open(&fs, config, now).map(|dirs| dirs.cluster_id)
}

/// The cluster that formatted directories belong to, checked to be one, and this node's.
fn common_identity(dirs: &[LogDir], config: &BrokerConfig) -> Result<Option<String>, DataDirError> {
    let mut common: Option<(&Path, &str)> = None;
    for dir in dirs {
        let Some(meta) = dir.meta() else { continue };
        if meta.node_id != config.node_id() {
            let (found, expected) = (meta.node_id.0, config.node_id().0);
            return Err(DataDirError::NodeId {
                dir: dir.path().to_owned(),
                found,
                expected,
            });
        }
        match common {
            Some((other, expected)) if expected != meta.cluster_id => {
                return Err(DataDirError::ClusterId {
                    dir: dir.path().to_owned(),
                    found: meta.cluster_id.clone(),
                    other: other.to_owned(),
                    expected: expected.to_owned(),
                });
            }
            _ => common = Some((dir.path(), &meta.cluster_id)),
        }
    }
    let configured = &config.ottla.ottla_cluster_id;
    match common {
        Some((dir, found)) if !configured.is_empty() && found != configured => {
            Err(DataDirError::OtherCluster {
                dir: dir.to_owned(),
                found: found.to_owned(),
                expected: configured.clone(),
            })
        }
        _ => Ok(common.map(|(_, cluster_id)| cluster_id.to_owned())),
    }
}

fn new_cluster_id(config: &BrokerConfig) -> String {
    match config.ottla.ottla_cluster_id.as_str() {
        "" => TopicId(Uuid::new_v4()).to_string(),
        configured => configured.to_owned(),
    }
}

/// `meta.properties` is written last: a directory that has one is complete.
fn format_dir(
    fs: &Arc<dyn Fs>,
    dir: &mut LogDir,
    config: &BrokerConfig,
    cluster_id: &str,
    with_metadata: bool,
    now: Timestamp,
) -> Result<(), DataDirError> {
    let path = dir.path().to_owned();
    let failed = |reason: String| DataDirError::Format {
        dir: path.clone(),
        reason,
    };
    let directory_id = new_directory_id();
    if with_metadata {
        let records = format::feature_records(NEW_CLUSTER_LEVEL);
        let written = format::format(fs, &path, &identity(config, directory_id), &records, now);
        written.map_err(|error: FormatError| failed(error.to_string()))?;
    }
    let meta = MetaProperties {
        cluster_id: cluster_id.to_owned(),
        node_id: config.node_id(),
        directory_id: Some(directory_id),
    };
    dir.format(meta)
        .map_err(|error: io::Error| failed(error.to_string()))
}

fn identity(config: &BrokerConfig, directory_id: Uuid) -> Identity {
    // Nobody connects to the only voter; Apache Kafka wants an address to be there all the same.
    let endpoint = VoterEndpoint {
        name: "CONTROLLER".to_owned(),
        host: "localhost".to_owned(),
        port: 9093,
    };
    Identity {
        node_id: config.node_id(),
        directory_id,
        endpoints: vec![endpoint],
    }
}

fn new_directory_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        // Kafka's tools take an id that begins with `-` for an option.
        if id.as_u128() >= RESERVED_DIRECTORY_IDS && !TopicId(id).to_string().starts_with('-') {
            return id;
        }
    }
}
