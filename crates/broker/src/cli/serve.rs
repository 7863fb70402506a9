//! `ottla serve`: from the configuration to a running broker, and down again in order.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::LogDirError;

use super::exit::{Exit, fail};
use super::load::Loaded;
use super::{ConfigArgs, load};
use crate::banner::Started;
use crate::broker::{DataDirError, RunningBroker, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::BrokerConfig;
use crate::config::report::Verdict;
use crate::preflight;
use crate::shutdown::{Shutdown, Signals};
use crate::supervisor;
use crate::telemetry::http::{HttpContext, HttpServer};
use crate::telemetry::{BrokerState, Telemetry, log};

pub(super) fn run(args: &ConfigArgs) -> Exit {
    let started_at = SystemClock.monotonic();
    let mut loaded = match load::from_args(args) {
        Ok(loaded) => loaded,
        Err(error) => return fail(Exit::Config, &error),
    };
    let config = match std::mem::replace(&mut loaded.config, Ok(BrokerConfig::default())) {
        Ok(config) => Arc::new(config),
        Err(error) => return fail(Exit::Config, &error.to_string()),
    };
    let format = if config.ottla.ottla_log_format == "json" {
        log::LogFormat::Json
    } else {
        log::LogFormat::Text
    };
    let log = log::Log::start(format, &config.ottla.ottla_log_level);
    report(&loaded);
    raise_file_limit();
    for line in config
        .log_dirs()
        .iter()
        .flat_map(|dir| preflight::warnings(dir))
    {
        tracing::warn!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("ottla")
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(async {
                reload_on_hangup(args.clone(), log);
                serve(config, started_at).await
            });
            // What still blocks a thread is cut off: everything that must be on disk is.
            runtime.shutdown_background();
            exit
        }
        Err(error) => fail(Exit::Failure, &format!("cannot start threads: {error}")),
    }
}

/// What became of the keys that were set: a line for each that needs a word, then the count.
fn report(loaded: &Loaded) {
    for finding in loaded.report.notable() {
        match finding.verdict {
            Verdict::Unknown | Verdict::Removed | Verdict::Unsupported | Verdict::Warning => {
                tracing::warn!("{finding}")
            }
            _ => tracing::info!("{finding}"),
        }
    }
    let file = loaded
        .file
        .as_ref()
        .map_or("no file".to_owned(), |file| file.display().to_string());
    if !loaded.report.findings.is_empty() {
        tracing::info!(%file, "configuration: {}", loaded.report.summary());
    }
}

/// Every connection and every segment takes a file descriptor: raises the soft limit to the hard one.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// SIGHUP reads the configuration anew and takes from it what can be changed by that: the levels of the log.
fn reload_on_hangup(args: ConfigArgs, log: log::Log) {
    use tokio::signal::unix::{SignalKind, signal};
    let (args, log) = (Arc::new(args), Arc::new(log));
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            tokio::spawn(async move {
                while hangup.recv().await.is_some() {
                    let (args, log) = (Arc::clone(&args), Arc::clone(&log));
                    tokio::task::spawn_blocking(move || reload(&args, &log));
                }
            });
        }
        Err(error) => tracing::warn!(%error, "cannot listen for SIGHUP"),
    }
}

fn reload(args: &ConfigArgs, log: &log::Log) {
    let config =
        load::from_args(args).and_then(|loaded| loaded.config.map_err(|error| error.to_string()));
    let levels = config.map(|config| config.ottla.ottla_log_level);
    match levels.and_then(|levels| log.set_levels(&levels).map(|()| levels)) {
        Ok(levels) => tracing::info!(%levels, "reloaded the levels of the log"),
        Err(error) => tracing::warn!(%error, "nothing reloaded"),
    }
}

/// Runs until the first signal and stops in order, or until the second and stops at once.
async fn serve(config: Arc<BrokerConfig>, started_at: Duration) -> Exit {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shutdown = Shutdown::new();
    let signals = match Signals::install(shutdown.clone()) {
        Ok(signals) => signals,
        Err(error) => {
            return fail(
                Exit::Failure,
                &format!("cannot listen for signals: {error}"),
            );
        }
    };
    let telemetry = Arc::new(Telemetry::new(&config, Arc::clone(&clock)));
    telemetry.set_state(BrokerState::Starting);
    // Health is served until the very end of a stop: it has a signal of its own.
    let http_shutdown = Shutdown::new();
    let http = match start_http(&config, &telemetry, &http_shutdown).await {
        Ok(http) => http,
        Err(reason) => return refuse(Exit::Failure, &reason),
    };
    tokio::select! {
        code = signals.second() => Exit::Signal(code),
        exit = run_broker(config, telemetry, clock, shutdown, &signals, http, started_at) => exit,
    }
}

/// Binds and serves the HTTP listener, unless it is switched off.
async fn start_http(
    config: &Arc<BrokerConfig>,
    telemetry: &Arc<Telemetry>,
    shutdown: &Shutdown,
) -> Result<Option<SocketAddr>, String> {
    let Some(endpoint) = config.http_listener() else {
        return Ok(None);
    };
    let failed = |error: std::io::Error| {
        format!(
            "cannot listen on {endpoint} for metrics and health: {error}; set ottla.http.listener to another address, or to nothing"
        )
    };
    let server = HttpServer::bind(&endpoint).await.map_err(failed)?;
    let address = server.local_addr().map_err(failed)?;
    let context = HttpContext {
        telemetry: Arc::clone(telemetry),
        config: Arc::clone(config),
    };
    tokio::spawn(server.serve(context, shutdown.clone()));
    Ok(Some(address))
}

async fn run_broker(
    config: Arc<BrokerConfig>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    signals: &Signals,
    http: Option<SocketAddr>,
    started_at: Duration,
) -> Exit {
    let started = RunningBroker::start_with(
        Arc::clone(&config),
        Arc::clone(&telemetry),
        Arc::clone(&clock),
        shutdown.clone(),
    );
    let broker = match started.await {
        Ok(broker) => broker,
        Err(error) => return refuse(exit_code(&error), &error.to_string()),
    };
    broker.loaded().await;
    if !shutdown.is_requested() {
        announce(
            &config,
            &broker,
            http,
            clock.monotonic().saturating_sub(started_at),
        );
    }
    shutdown.requested().await;
    supervisor::notify(supervisor::State::Stopping);
    tracing::info!("stopping");
    match broker.stop().await {
        Ok(()) if signals.was_asked() => {
            tracing::info!("stopped");
            Exit::Success
        }
        Ok(()) => refuse(Exit::Failure, "stopped because of the error above"),
        Err(error) => refuse(Exit::Io, &format!("not stopped cleanly: {error}")),
    }
}

/// Tells that the broker is ready.
fn announce(
    config: &BrokerConfig,
    broker: &RunningBroker,
    http: Option<SocketAddr>,
    took: Duration,
) {
    let listeners = broker.addresses().iter();
    let started = Started {
        node_id: config.node.node_id,
        cluster_id: broker.cluster_id().to_owned(),
        log_dirs: config.log_dirs(),
        is_new: broker.is_new(),
        listeners: listeners
            .map(|(name, address, protocol)| (name.to_string(), *address, *protocol))
            .collect(),
        http,
        took,
    };
    if std::io::stderr().is_terminal() {
        eprint!("{}", started.banner());
    } else {
        started.log();
    }
    supervisor::notify(supervisor::State::Ready);
}

/// Says in the log why there is no broker.
fn refuse(exit: Exit, reason: &str) -> Exit {
    tracing::error!("{reason}");
    exit
}

/// What a restart would cure, for whoever supervises this process.
fn exit_code(error: &StartError) -> Exit {
    match error {
        StartError::DataDir(error) => exit_code_of_dir(error),
        StartError::Protocol { .. } => Exit::Config,
        StartError::MetadataLog(_) | StartError::Metadata(_) => Exit::Io,
        StartError::Listen { .. } | StartError::Io(_) => Exit::Failure,
    }
}

/// The same for what is wrong with a data directory.
pub(super) fn exit_code_of_dir(error: &DataDirError) -> Exit {
    match error {
        DataDirError::Dir(LogDirError::Locked { .. }) => Exit::Locked,
        DataDirError::Dir(_) | DataDirError::Format { .. } => Exit::Io,
        DataDirError::ClusterId { .. }
        | DataDirError::NodeId { .. }
        | DataDirError::NoMetadata { .. }
        | DataDirError::OtherCluster { .. } => Exit::Config,
    }
}
