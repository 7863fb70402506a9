//! The composition root: what a running broker consists of, built in order and stopped in reverse.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ids::Timestamp;
use ottla_storage::fs::{Fs, OsFs};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::broker::data_dirs::DataDirs;
use crate::broker::group_samples::GroupSamples;
use crate::broker::samples::BrokerSamples;
use crate::clock::{Clock, SystemClock};
use crate::config::{BrokerConfig, Endpoint, SecurityProtocol};
use crate::coordinator::runtime::GroupCoordinator;
use crate::coordinator::transaction::coordinator::{
    Surroundings, TransactionCoordinator, transaction_config,
};
use crate::housekeeping;
use crate::metadata::publisher::{MetadataError, MetadataPublisher, RunningController};
use crate::metadata::service::MetadataService;
use crate::network::NetworkLimits;
use crate::network::cold_read::ColdReads;
use crate::network::listener::{ConnectionSlots, Listener};
use crate::partition::manager::PartitionManager;
use crate::quota::ClientQuotas;
use crate::shutdown::Shutdown;
use crate::telemetry::{BrokerState, Telemetry};

mod data_dirs;
mod embedded_controller;
mod group_samples;
mod samples;

pub use data_dirs::{DataDirError, format_data_dirs};

/// Clients are kept waiting this long for the last logs to be opened; then those who ask for one are told to try again.
const OPEN_LIMIT: Duration = Duration::from_millis(200);
/// How long the metadata log may take to be closed at a stop.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What handlers can reach.
pub struct Broker {
    config: Arc<BrokerConfig>,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    shutdown: Shutdown,
    limits: NetworkLimits,
    cold_reads: ColdReads,
    metadata: MetadataService,
    partitions: Arc<PartitionManager>,
    groups: Arc<GroupCoordinator>,
    transactions: Arc<TransactionCoordinator>,
    quotas: Arc<ClientQuotas>,
}

impl Broker {
    /// The configuration the broker was started with.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        &self.config
    }

    /// The wall clock's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clocks.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Counters.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// The signal to stop.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// What connections may take.
    pub fn network_limits(&self) -> &NetworkLimits {
        &self.limits
    }

    /// The way to the disk for cold data.
    pub fn cold_reads(&self) -> &ColdReads {
        &self.cold_reads
    }

    /// The state of the cluster, and the way to change it.
    pub fn metadata(&self) -> &MetadataService {
        &self.metadata
    }

    /// The partitions this broker leads.
    pub fn partitions(&self) -> &Arc<PartitionManager> {
        &self.partitions
    }

    /// The coordinator of consumer groups.
    pub fn groups(&self) -> &GroupCoordinator {
        &self.groups
    }

    /// The coordinator of transactions.
    pub fn transactions(&self) -> &TransactionCoordinator {
        &self.transactions
    }

    /// The quotas of clients.
    pub fn quotas(&self) -> &Arc<ClientQuotas> {
        &self.quotas
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("cluster_id", &self.metadata.cluster_id)
            .finish_non_exhaustive()
    }
}

/// Why a broker does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A data directory is of no use.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The metadata log is of no use.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The metadata log cannot be opened.
    #[error("{0}")]
    MetadataLog(Box<dyn std::error::Error + Send + Sync>),
    /// An address cannot be listened on.
    #[error("cannot listen on {endpoint} ({name}): {error}{}", hint(.error))]
    Listen {
        /// Name of the listener.
        name: String,
        /// What was configured.
        endpoint: Endpoint,
        /// Why not.
        error: io::Error,
    },
    /// A listener asks for a protocol that does not exist here.
    #[error(
        "listener {name} asks for {protocol:?}, but only PLAINTEXT works in this version: change listeners or listener.security.protocol.map"
    )]
    Protocol {
        /// Name of the listener.
        name: String,
        /// What it asks for.
        protocol: SecurityProtocol,
    },
    /// Something the operating system should have given.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has this port: stop it, or choose another one with listeners="
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

/// A broker that serves, with what is needed to stop it.
pub struct RunningBroker {
    broker: Arc<Broker>,
    addresses: Vec<(Arc<str>, SocketAddr, SecurityProtocol)>,
    /// Opens the logs.
    loading: JoinHandle<()>,
    loaded: watch::Receiver<bool>,
    controller: std::thread::JoinHandle<()>,
    broker_epoch: i64,
    is_new: bool,
}

impl fmt::Debug for RunningBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningBroker")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl RunningBroker {
    /// Start a broker on the real clock, with counters of its own.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let (config, clock) = (Arc::new(config), Arc::new(SystemClock));
        let telemetry = Arc::new(Telemetry::new(&config, clock.clone()));
        Self::start_with(config, telemetry, clock, Shutdown::new()).await
    }

    /// Start a broker that stops when `shutdown` is requested; call [`Self::stop`] then.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_with(
        config: Arc<BrokerConfig>,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        Self::start_on(Arc::new(OsFs), config, telemetry, clock, shutdown).await
    }

    /// The same on another file system, for tests of what a broker does when the disk fails.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_on(
        fs: Arc<dyn Fs>,
        config: Arc<BrokerConfig>,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        telemetry.set_state(BrokerState::Starting);
        let listeners = bind_listeners(&config).await?;
        let mut addresses = Vec::new();
        for (listener, protocol) in &listeners {
            addresses.push((
                Arc::clone(listener.name()),
                listener.local_addr()?,
                *protocol,
            ));
        }
        let dirs = DataDirs::open(&fs, &config, clock.now())?;
        let (cluster_id, is_new) = (dirs.cluster_id().to_owned(), dirs.is_new());
        let mut controller = embedded_controller::open(&fs, &config, &clock, &dirs)?;
        let registration = embedded_controller::registration(&config, &dirs, &addresses);
        let broker_epoch = controller.register(&registration, &cluster_id)?;

        telemetry.set_state(BrokerState::Recovery);
        let (log_dirs, lost_dirs) = dirs.into_log_dirs();
        let partitions = Arc::new(PartitionManager::open(
            Arc::clone(&config),
            Arc::clone(&clock),
            Arc::clone(&telemetry),
            fs,
            log_dirs,
            lost_dirs,
            controller.image(),
        )?);
        let max_content =
            usize::try_from(config.ottla.ottla_max_decompressed_message_bytes).unwrap_or(0);
        let groups = Arc::new(GroupCoordinator::new(
            &config,
            max_content,
            controller.image(),
            Arc::clone(&partitions),
            Arc::clone(&clock),
            shutdown.clone(),
        ));
        groups.start();
        let quotas = Arc::new(ClientQuotas::new(&config.quotas, Arc::clone(&clock)));
        let publishers: Vec<Arc<dyn MetadataPublisher>> =
            vec![partitions.clone(), groups.clone(), quotas.clone()];
        let fatal = shutdown.clone();
        let RunningController {
            client,
            cache,
            thread,
        } = controller.run(publishers, move |error| {
            tracing::error!(%error, "the metadata log has failed: the broker stops");
            fatal.request();
        })?;
        let metadata = MetadataService::new(
            cluster_id.into(),
            Arc::clone(&config),
            cache,
            client,
            broker_epoch,
        );
        let transactions = TransactionCoordinator::new(Surroundings {
            config: Arc::new(transaction_config(&config.transactions)),
            max_content,
            metadata: Arc::clone(&metadata.cache),
            producer_ids: Arc::clone(&metadata.producer_ids),
            partitions: Arc::clone(&partitions),
            groups: Arc::clone(&groups),
            clock: Arc::clone(&clock),
            shutdown: shutdown.clone(),
        });
        transactions.start();
        let broker = Arc::new(Broker {
            limits: NetworkLimits::new(&config),
            cold_reads: ColdReads::new(
                usize::try_from(config.ottla.ottla_io_threads).unwrap_or(1),
                Arc::clone(&telemetry),
            )?,
            config,
            clock,
            telemetry,
            shutdown,
            metadata,
            partitions,
            groups,
            transactions,
            quotas,
        });
        broker.telemetry.add(Arc::new(BrokerSamples::new(&broker)));
        broker.telemetry.add(Arc::new(GroupSamples::new(&broker)));
        broker.telemetry.add(Arc::clone(&broker.quotas) as _);
        housekeeping::start(&broker);
        let (loading, mut loaded) = load(&broker);
        let all_open = loaded.wait_for(|loaded| *loaded);
        drop(tokio::time::timeout(OPEN_LIMIT, all_open).await);
        let slots = ConnectionSlots::new(
            broker.limits.max_connections,
            broker.limits.max_connections_per_ip,
            broker.config.connection_limits_of_ips(),
        );
        for (listener, _) in listeners {
            let (busy, broker, slots) = (
                broker.shutdown.busy(),
                Arc::clone(&broker),
                Arc::clone(&slots),
            );
            tokio::spawn(async move {
                listener.run(broker, slots).await;
                drop(busy);
            });
        }
        Ok(Self {
            broker,
            loading,
            loaded,
            addresses,
            controller: thread,
            broker_epoch,
            is_new,
        })
    }

    /// The listeners: name, the address that was bound, protocol.
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr, SecurityProtocol)] {
        &self.addresses
    }

    /// Id of the cluster.
    pub fn cluster_id(&self) -> &str {
        &self.broker.metadata.cluster_id
    }

    /// Whether the data directories were formatted just now.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The broker's counters.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        self.broker.telemetry()
    }

    /// The state of the cluster, and the way to change it.
    pub fn metadata(&self) -> &MetadataService {
        self.broker.metadata()
    }

    /// Returns when the logs of all partitions were opened, or the broker stops before. Partitions are served earlier,
    /// each as soon as its log is open.
    pub async fn loaded(&self) {
        let mut loaded = self.loaded.clone();
        tokio::select! {
            _ = loaded.wait_for(|loaded| *loaded) => {}
            () = self.broker.shutdown.requested() => {}
        }
    }

    /// Stop in order: accept nothing more, finish what is under way, leave the cluster, close the logs.
    ///
    /// # Errors
    /// When a log could not be closed cleanly: the next start will recover it.
    pub async fn stop(self) -> io::Result<()> {
        let Self {
            broker,
            loading,
            controller,
            broker_epoch,
            ..
        } = self;
        broker
            .telemetry
            .set_state(BrokerState::PendingControlledShutdown);
        broker.shutdown.request();
        let limit = Duration::from_millis(
            u64::try_from(broker.config.ottla.ottla_shutdown_timeout_ms).unwrap_or(0),
        );
        if tokio::time::timeout(limit, broker.shutdown.drained())
            .await
            .is_err()
        {
            tracing::warn!(
                "some requests did not end within ottla.shutdown.timeout.ms and are cut off"
            );
        }
        broker.telemetry.set_state(BrokerState::ShuttingDown);
        if broker
            .metadata
            .controller
            .shut_down_broker(broker.config.node_id())
            .await
            .is_err()
        {
            tracing::warn!("the controller is gone: leaving without its word");
        }
        let partitions = Arc::clone(&broker.partitions);
        drop(broker);
        let closed = tokio::task::spawn_blocking(move || partitions.logs().close(broker_epoch));
        let closed = closed.await.map_err(io::Error::other)?;
        loading.await.map_err(io::Error::other)?;
        // The controller closes its log once nobody can call it any more.
        let ended = tokio::task::spawn_blocking(move || controller.join());
        if tokio::time::timeout(CLOSE_LIMIT, ended).await.is_err() {
            tracing::warn!("the metadata log is still in use and is left as after a kill");
        }
        closed
    }
}

/// Open the logs that are not open yet, while the broker serves. When all are there the broker is ready, and compaction
/// begins.
fn load(broker: &Arc<Broker>) -> (JoinHandle<()>, watch::Receiver<bool>) {
    let (done, loaded) = watch::channel(false);
    let broker = Arc::clone(broker);
    let loading = tokio::spawn(async move {
        let partitions = Arc::clone(&broker.partitions);
        let load = tokio::task::spawn_blocking(move || partitions.load());
        if let Err(error) = load.await {
            tracing::error!(%error, "not all logs were opened: the broker stops");
            broker.shutdown.request();
        }
        if !broker.shutdown.is_requested() {
            housekeeping::cleaner::start(&broker);
            broker.telemetry.recovered();
        }
        done.send_replace(true);
    });
    (loading, loaded)
}

async fn bind_listeners(
    config: &BrokerConfig,
) -> Result<Vec<(Listener, SecurityProtocol)>, StartError> {
    let mut listeners = Vec::new();
    for listener in config.listeners.for_clients() {
        let (name, protocol) = (listener.name.clone(), listener.protocol);
        if protocol != SecurityProtocol::Plaintext {
            return Err(StartError::Protocol { name, protocol });
        }
        let bound = bind(config, &listener.endpoint, &name).await;
        let endpoint = listener.endpoint.clone();
        listeners.push((
            bound.map_err(|error| StartError::Listen {
                name,
                endpoint,
                error,
            })?,
            protocol,
        ));
    }
    Ok(listeners)
}

/// Bind the first address that the host's name stands for and that can be bound.
async fn bind(config: &BrokerConfig, endpoint: &Endpoint, name: &str) -> io::Result<Listener> {
    let hosts: &[&str] = if endpoint.host.is_empty() {
        &["::", "0.0.0.0"]
    } else {
        &[&endpoint.host]
    };
    let mut failure = io::Error::new(
        io::ErrorKind::NotFound,
        "the host name stands for no address",
    );
    for host in hosts {
        for address in lookup_host((*host, endpoint.port)).await? {
            match Listener::bind(name, address, config.network.socket_listen_backlog_size) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}
