//! The embedded controller of a starting broker: the metadata log is read back, led, and begun when it is new.

use std::net::SocketAddr;
use std::sync::Arc;

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::BrokerRegistrationRequest;
use ottla_protocol::messages::broker_registration_request::{Feature, Listener};
use ottla_storage::fs::Fs;
use uuid::Uuid;

use super::StartError;
use super::data_dirs::DataDirs;
use crate::clock::Clock;
use crate::config::{BrokerConfig, Endpoint, SecurityProtocol};
use crate::metadata::controller::REGISTERED_FEATURES;
use crate::metadata::format::{METADATA_DIR, activation_records, read_bootstrap};
use crate::metadata::image::{MetadataImage, MetadataProvenance};
use crate::metadata::loader::MetadataLoader;
use crate::metadata::publisher::EmbeddedController;
use crate::metadata::raft_log::{LogReplay, MetadataLog, MetadataLogConfig};

/// Open the metadata log of `dirs` and lead it; a new one gets the records of a new cluster.
pub(super) fn open(
    fs: &Arc<dyn Fs>,
    config: &Arc<BrokerConfig>,
    clock: &Arc<dyn Clock>,
    dirs: &DataDirs,
) -> Result<EmbeddedController<MetadataLog>, StartError> {
    let dir = config.metadata_log_dir();
    let now = clock.now();
    let log = LogReplay::open(
        Arc::clone(fs),
        &dir.join(METADATA_DIR),
        dirs.identity().clone(),
        limits(config),
        now,
    );
    let mut log = log.map_err(failed)?;
    let mut loader = MetadataLoader::new(Arc::new(MetadataImage::default()));
    for replayed in log.by_ref() {
        let replayed = replayed.map_err(failed)?;
        let at = MetadataProvenance {
            last_contained_offset: replayed.offset,
            last_contained_epoch: replayed.epoch,
            last_contained_log_time: now,
        };
        loader.replay(&replayed.record, at).map_err(failed)?;
    }
    let is_empty = loader.latest().provenance == MetadataProvenance::EMPTY;
    let log = log.lead(now).map_err(failed)?;
    let mut controller =
        EmbeddedController::new(log, loader, Arc::clone(config), Arc::clone(clock))?;
    if is_empty {
        let bootstrap = read_bootstrap(&**fs, &dir).map_err(failed)?;
        controller.append(&activation_records(
            bootstrap,
            config.topic_defaults().min_insync_replicas,
        ))?;
    }
    Ok(controller)
}

/// How this broker presents itself to the controller.
pub(super) fn registration(
    config: &BrokerConfig,
    dirs: &DataDirs,
    addresses: &[(Arc<str>, SocketAddr, SecurityProtocol)],
) -> BrokerRegistrationRequest {
    let listeners = addresses.iter().map(|(name, address, protocol)| {
        let Endpoint { host, port } = advertised(config, name, *address);
        Listener::default()
            .with_name(StrBytes::from_string(name.to_string()))
            .with_host(StrBytes::from_string(host))
            .with_port(port)
            .with_security_protocol(*protocol as i16)
    });
    let features = REGISTERED_FEATURES.iter().map(|(name, min, max)| {
        Feature::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_supported_version(*min)
            .with_max_supported_version(*max)
    });
    BrokerRegistrationRequest::default()
        .with_broker_id(config.node.node_id.into())
        .with_cluster_id(StrBytes::from_string(dirs.cluster_id().to_owned()))
        .with_incarnation_id(Uuid::new_v4())
        .with_listeners(listeners.collect())
        .with_features(features.collect())
        .with_rack(config.node.broker_rack.clone().map(StrBytes::from_string))
        .with_log_dirs(dirs.directory_ids())
        .with_previous_broker_epoch(dirs.previous_broker_epoch())
}

/// The address in the broker's registration: as configured, or else the one that was bound.
fn advertised(config: &BrokerConfig, name: &str, bound: SocketAddr) -> Endpoint {
    let configured = config
        .listeners
        .for_clients()
        .find(|listener| listener.name == name);
    let mut endpoint = match configured.and_then(|listener| listener.advertised.clone()) {
        Some(endpoint) => endpoint,
        None if bound.ip().is_unspecified() => Endpoint {
            host: "localhost".to_owned(),
            port: 0,
        },
        None => Endpoint {
            host: bound.ip().to_string(),
            port: 0,
        },
    };
    if endpoint.port == 0 {
        endpoint.port = bound.port();
    }
    endpoint
}

fn limits(config: &BrokerConfig) -> MetadataLogConfig {
    let quorum = &config.quorum;
    MetadataLogConfig {
        segment_bytes: u32::try_from(quorum.metadata_log_segment_bytes).unwrap_or(u32::MAX),
        segment_ms: quorum.metadata_log_segment_ms,
        snapshot_bytes: u64::try_from(quorum.metadata_log_max_record_bytes_between_snapshots)
            .unwrap_or(u64::MAX),
        snapshot_ms: quorum.metadata_log_max_snapshot_interval_ms,
        retention_bytes: quorum.metadata_max_retention_bytes,
        retention_ms: quorum.metadata_max_retention_ms,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StartError {
    StartError::MetadataLog(Box::new(error))
}
