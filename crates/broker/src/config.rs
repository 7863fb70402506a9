//! The configuration of a broker: one table of keys, the layers values come from, and typed settings.
//!
//! A key is declared once, in the file of its subject (`log.rs`, `network.rs`, ...; topic configs in `topic.rs`).
//! Everything else reads the table: loading, DescribeConfigs, AlterConfigs, `ottla config docs`. Names, types,
//! defaults and checks are those of Apache Kafka 4.3; `listeners`, `log.dir`, `node.id` and `process.roles` have
//! defaults with which a broker starts without a file.
//!
//! Layers, the later wins: default, file, `KAFKA_*` environment, `--override` (`load.rs`), and while the broker runs
//! the dynamic configs of the cluster, the broker and the topic (`dynamic.rs`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use ottla_protocol::ids::BrokerId;
use thiserror::Error;

pub mod check;
pub mod docs;
pub mod dynamic;
pub mod dynamic_group;
pub mod environment;
mod group;
mod ip_limits;
pub mod key;
pub mod listener;
pub mod load;
mod log;
mod network;
mod node;
mod ottla;
pub mod providers;
mod quorum;
mod quota;
mod removed;
mod replication;
pub mod report;
mod security;
mod tiering;
pub mod topic;
mod transaction;
pub mod value;

pub use dynamic_group::{DynamicGroupConfig, GROUP_KEYS};
pub use group::GroupSettings;
pub use key::{Class, ConfigType, Key, Synonym, UpdateMode};
pub use listener::{Endpoint, Listener, Listeners, SecurityProtocol};
pub use log::LogSettings;
pub use network::NetworkSettings;
pub use node::NodeSettings;
pub use ottla::OttlaSettings;
pub use quorum::QuorumSettings;
pub use quota::QuotaSettings;
pub use replication::ReplicationSettings;
pub use security::SecuritySettings;
pub use tiering::TieringSettings;
pub use topic::{
    CleanupPolicy, CompressionType, TOPIC_KEYS, TimestampType, TopicConfig, topic_key,
};
pub use transaction::TransactionSettings;
pub use value::{InvalidValue, Password, Value};

/// All broker keys, ordered by name.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys: Vec<Key> = SUBJECTS
        .iter()
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect();
    keys.sort_by_key(|key| key.name);
    keys
});

/// The broker keys by subject, in the order of the documentation.
pub static SUBJECTS: &[(&str, &[Key])] = &[
    ("Node", node::KEYS),
    ("Network", network::KEYS),
    ("Log", log::KEYS),
    ("Groups and offsets", group::KEYS),
    ("Transactions", transaction::KEYS),
    ("Replication", replication::KEYS),
    ("Metadata quorum", quorum::KEYS),
    ("Quotas and metrics", quota::KEYS),
    ("Security", security::KEYS),
    ("Tiered storage", tiering::KEYS),
    ("Ottla's own", ottla::KEYS),
];

/// The broker key called `name`; of `listener.name.<listener>.<key>` the inner key.
pub fn key(name: &str) -> Option<&'static Key> {
    let find = |name: &str| {
        KEYS.binary_search_by(|key| key.name.cmp(name))
            .ok()
            .map(|index| &KEYS[index])
    };
    find(name).or_else(|| {
        let (_listener, inner) = name.strip_prefix("listener.name.")?.split_once('.')?;
        // The inner key may itself be prefixed by a SASL mechanism: `plain.sasl.jaas.config`.
        find(inner).or_else(|| find(inner.split_once('.')?.1))
    })
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, on this line (from 1).
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// By this variable.
    Environment(String),
    /// By `--override`.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Override => f.write_str("--override"),
        }
    }
}

/// A value that was set, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Where it was set.
    pub origin: Origin,
}

/// A configuration a broker cannot start with; one line a reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// What a broker is configured to do, by file, environment and command line.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// What this process is in the cluster.
    pub node: NodeSettings,
    /// Sockets and limits.
    pub network: NetworkSettings,
    /// Partition logs.
    pub log: LogSettings,
    /// Copying between brokers.
    pub replication: ReplicationSettings,
    /// Groups and offsets.
    pub groups: GroupSettings,
    /// Transactions.
    pub transactions: TransactionSettings,
    /// The metadata quorum.
    pub quorum: QuorumSettings,
    /// Quotas.
    pub quotas: QuotaSettings,
    /// Security.
    pub security: SecuritySettings,
    /// Tiered storage.
    pub tiering: TieringSettings,
    /// Keys of our own.
    pub ottla: OttlaSettings,
    /// The listener keys, read and checked.
    pub listeners: Listeners,
    settings: BTreeMap<String, Setting>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::from_settings(BTreeMap::new()).expect("invariant: a broker starts with the defaults")
    }
}

impl BrokerConfig {
    /// The defaults with `overrides` on top; for tests and embedding.
    pub fn with_overrides<'a>(
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let overrides = overrides
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let (_, config) = load::load(&load::Input {
            overrides,
            ..load::Input::default()
        });
        config
    }

    /// Typed settings from values that have passed their checks; what contradicts itself is refused.
    fn from_settings(settings: BTreeMap<String, Setting>) -> Result<Self, ConfigError> {
        let mut config = Self {
            node: NodeSettings::default(),
            network: NetworkSettings::default(),
            log: LogSettings::default(),
            replication: ReplicationSettings::default(),
            groups: GroupSettings::default(),
            transactions: TransactionSettings::default(),
            quorum: QuorumSettings::default(),
            quotas: QuotaSettings::default(),
            security: SecuritySettings::default(),
            tiering: TieringSettings::default(),
            ottla: OttlaSettings::default(),
            listeners: Listeners::default(),
            settings: BTreeMap::new(),
        };
        for (name, setting) in &settings {
            config.assign(name, &setting.value);
        }
        if let (
            Some(Setting {
                value: Value::Int(id),
                ..
            }),
            None,
        ) = (settings.get("broker.id"), settings.get("node.id"))
        {
            config.node.node_id = *id;
        }
        config.settings = settings;
        let mut errors = config.contradictions();
        match Listeners::parse(&config.network, &config.quorum) {
            Ok(listeners) => config.listeners = listeners,
            Err(error) => errors.push(error),
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(errors))
        }
    }

    fn assign(&mut self, name: &str, value: &Value) {
        let value = Some(value);
        self.node.assign(name, value);
        self.network.assign(name, value);
        self.log.assign(name, value);
        self.replication.assign(name, value);
        self.groups.assign(name, value);
        self.transactions.assign(name, value);
        self.quorum.assign(name, value);
        self.quotas.assign(name, value);
        self.security.assign(name, value);
        self.tiering.assign(name, value);
        self.ottla.assign(name, value);
    }

    /// Id of this node.
    pub fn node_id(&self) -> BrokerId {
        BrokerId(self.node.node_id)
    }

    /// The data directories; never empty.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.log.log_dirs.as_deref().unwrap_or(&self.log.log_dir);
        dirs.iter()
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .collect()
    }

    /// The directory that holds `__cluster_metadata-0`.
    pub fn metadata_log_dir(&self) -> PathBuf {
        match &self.quorum.metadata_log_dir {
            Some(dir) => PathBuf::from(dir),
            None => self.log_dirs().swap_remove(0),
        }
    }

    /// Address of the HTTP listener; `None` when it is switched off.
    pub fn http_listener(&self) -> Option<Endpoint> {
        Endpoint::parse(&self.ottla.ottla_http_listener).ok()
    }

    /// `max.connections.per.ip.overrides`.
    pub fn connection_limits_of_ips(&self) -> HashMap<IpAddr, usize> {
        ip_limits::parse(&self.network.max_connections_per_ip_overrides).unwrap_or_default()
    }

    /// What was set for `name` by file, environment or command line.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    /// All that was set, by name; listener-prefixed keys included.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings
            .iter()
            .map(|(name, setting)| (name.as_str(), setting))
    }

    /// What holds for `name`: as set, else its default, as text. `None` if there is neither or no such key.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.settings.get(name) {
            Some(setting) => Some(setting.value.to_string()),
            None => key(name)?.default.map(str::to_owned),
        }
    }

    /// What holds for a topic without configs of its own.
    pub fn topic_defaults(&self) -> TopicConfig {
        dynamic::topic_config(&dynamic::Layers::of(self))
    }

    /// Values that are right one by one and wrong together; one line each, naming what to do.
    fn contradictions(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let mut check = |ok: bool, message: String| {
            if !ok {
                errors.push(message);
            }
        };
        let id = self.node.node_id;
        let broker_id = self
            .settings
            .get("broker.id")
            .and_then(|setting| setting.value.as_i64());
        check(
            broker_id.is_none_or(|broker_id| broker_id == i64::from(id)),
            "You must set `node.id` to the same value as `broker.id`.".into(),
        );
        let has_role = |role: &str| self.node.process_roles.iter().any(|item| item == role);
        check(
            has_role("broker") && has_role("controller"),
            "process.roles must be broker,controller: joining a cluster of several nodes does not work yet".into(),
        );
        check(
            self.quorum
                .controller_quorum_voters
                .iter()
                .all(|voter| voter.split('@').next() == Some(id.to_string().as_str())),
            format!(
                "controller.quorum.voters names other nodes than this one ({id}): a quorum of several nodes does not work yet"
            ),
        );
        check(
            self.quorum.controller_quorum_bootstrap_servers.len() <= 1,
            "controller.quorum.bootstrap.servers names several nodes: a quorum of several nodes does not work yet".into(),
        );
        check(
            !self.log_dirs().is_empty(),
            "log.dirs must name at least one directory".into(),
        );
        let cluster_id = &self.ottla.ottla_cluster_id;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        check(
            cluster_id.len() <= 64 && cluster_id.bytes().all(is_plain),
            format!("{cluster_id} cannot be a cluster id: at most 64 letters, digits, - and _"),
        );
        if let Err(error) = ip_limits::parse(&self.network.max_connections_per_ip_overrides) {
            check(false, error);
        }
        let http = &self.ottla.ottla_http_listener;
        check(
            http.is_empty() || Endpoint::parse(http).is_ok(),
            format!("ottla.http.listener: {http} is not host:port"),
        );
        errors
    }
}

#[cfg(test)]
mod tests;
