//! A broker registers, is unfenced, and leaves (`ClusterControlManager.registerBroker`,
//! `ReplicationControlManager.handleBrokerUnfenced` and its neighbours).
//!
//! A broker is registered fenced: it leads nothing and no client is told of it. It is unfenced when it has opened its
//! logs. When it left in good order its partitions have no leader meanwhile; when it did not, registration takes their
//! leadership away first. So each start of a broker is a new leader epoch for each of its partitions.

use std::collections::BTreeSet;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::BrokerId;
use ottla_protocol::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};
use uuid::Uuid;

use super::partition_change::BrokerEvent;
use super::{ApiError, Controller, Decision};
use crate::metadata::image::LeaderRecoveryState;
use crate::metadata::record::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, METADATA_VERSION_FEATURE,
    MetadataRecord, MetadataVersion, PartitionChangeRecord, RegisterBrokerRecord,
};

/// The features this broker can work with, and their lowest and highest levels. An honest maximum is a safety
/// interlock: no controller finalizes a level above it, and no log of such a cluster is opened.
pub const REGISTERED_FEATURES: [(&str, i16, i16); 5] = [
    ("eligible.leader.replicas.version", 0, 1),
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    (
        METADATA_VERSION_FEATURE,
        MetadataVersion::MINIMUM.0,
        MetadataVersion::MAXIMUM.0,
    ),
    ("transaction.version", 0, 2),
];

/// How a broker's previous process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownKind {
    /// All it acknowledged is on disk.
    Clean,
    /// Nobody knows.
    Unclean,
}

/// `BrokerRegistrationFencingChange.FENCE`.
const FENCE: i8 = 1;
/// `BrokerRegistrationFencingChange.UNFENCE`.
const UNFENCE: i8 = -1;
/// `LeaderRecoveryState.RECOVERED`.
const RECOVERED: i8 = 0;

impl Controller<'_> {
    /// Decide the registration of a broker that belongs to the cluster called `cluster_id`. A new incarnation gets
    /// the next offset of the log as its epoch, and loses the leaderships of the former one.
    ///
    /// # Errors
    /// The registration is refused; the message says what is to be changed.
    pub fn register_broker(
        &self,
        request: &BrokerRegistrationRequest,
        cluster_id: &str,
    ) -> Result<Decision<BrokerRegistrationResponse>, ApiError> {
        if request.cluster_id.as_str() != cluster_id {
            let message = format!(
                "Expected cluster ID {cluster_id}, but got cluster ID {}",
                request.cluster_id.as_str()
            );
            return Err(ApiError::new(ResponseError::InconsistentClusterId, message));
        }
        let broker_id = BrokerId(request.broker_id.0);
        self.check_directories(broker_id, &request.log_dirs)?;
        let features = self.check_features(request)?;
        let existing = self
            .image
            .cluster
            .broker(broker_id)
            .map(|broker| broker.record());
        let same = existing.filter(|existing| existing.incarnation_id == request.incarnation_id);
        let mut records = Vec::new();
        if let (Some(existing), None) = (existing, same) {
            let kind = if existing.broker_epoch == request.previous_broker_epoch {
                ShutdownKind::Clean
            } else {
                ShutdownKind::Unclean
            };
            records = self.end_incarnation(broker_id, kind);
        }
        let mut log_dirs = request.log_dirs.clone();
        log_dirs.sort_unstable();
        let broker_epoch = same.map_or(self.next_offset.0, |same| same.broker_epoch);
        let listeners = request.listeners.iter().map(|listener| BrokerEndpoint {
            name: listener.name.to_string(),
            host: listener.host.to_string(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let record = RegisterBrokerRecord {
            broker_id,
            is_migrating_zk_broker: false,
            incarnation_id: request.incarnation_id,
            broker_epoch,
            end_points: listeners.collect(),
            features,
            rack: request.rack.as_ref().map(ToString::to_string),
            fenced: same.is_none_or(|same| same.fenced),
            in_controlled_shutdown: same.is_some_and(|same| same.in_controlled_shutdown),
            log_dirs,
            cordoned_log_dirs: None,
        };
        records.push(record.into());
        Ok(Decision {
            records,
            response: BrokerRegistrationResponse::default().with_broker_epoch(broker_epoch),
        })
    }

    /// Decide that a registered broker may lead: it takes over every partition that has no leader and that it may lead.
    pub fn unfence_broker(&self, broker_id: BrokerId) -> Decision<()> {
        let Some(broker) = self
            .image
            .cluster
            .broker(broker_id)
            .filter(|broker| broker.record().fenced)
        else {
            return Decision::answer(());
        };
        let mut records = vec![registration_change(broker_id, broker.epoch(), UNFENCE, 0)];
        records.extend(self.partition_changes(BrokerEvent::Comes(broker_id)));
        Decision {
            records,
            response: (),
        }
    }

    /// Decide that the partitions that `broker_id` leads have settled after an unclean election. With no other
    /// replica there is nothing they could settle with.
    pub fn settle_partitions(&self, broker_id: BrokerId) -> Decision<()> {
        let mut records = Vec::new();
        for topic in self.image.topics.iter() {
            let recovering = topic.partitions().filter(|(_, partition)| {
                partition.leader == broker_id
                    && partition.leader_recovery_state == LeaderRecoveryState::Recovering
            });
            records.extend(recovering.map(|(partition_id, _)| {
                MetadataRecord::from(PartitionChangeRecord {
                    topic_id: topic.id(),
                    partition_id,
                    leader_recovery_state: RECOVERED,
                    ..Default::default()
                })
            }));
        }
        Decision {
            records,
            response: (),
        }
    }

    /// Decide the stop of a broker: it hands over what it leads, where there is somebody, and is fenced.
    pub fn shut_down_broker(&self, broker_id: BrokerId) -> Decision<()> {
        let Some(broker) = self
            .image
            .cluster
            .broker(broker_id)
            .filter(|broker| !broker.record().fenced)
        else {
            return Decision::answer(());
        };
        let mut records = vec![registration_change(broker_id, broker.epoch(), 0, 1)];
        records.extend(self.partition_changes(BrokerEvent::Leaves(broker_id)));
        records.push(registration_change(broker_id, broker.epoch(), FENCE, 0));
        Decision {
            records,
            response: (),
        }
    }

    /// Whether it was clean counts only where a clean stop keeps a replica eligible.
    fn end_incarnation(&self, broker_id: BrokerId, kind: ShutdownKind) -> Vec<MetadataRecord> {
        let tells_apart = self
            .image
            .features
            .level("eligible.leader.replicas.version")
            > 0;
        self.partition_changes(match kind {
            ShutdownKind::Unclean if tells_apart => BrokerEvent::Crashed(broker_id),
            _ => BrokerEvent::Leaves(broker_id),
        })
    }

    fn check_directories(&self, broker_id: BrokerId, directories: &[Uuid]) -> Result<(), ApiError> {
        let invalid =
            |message: String| Err(ApiError::new(ResponseError::InvalidRegistration, message));
        if directories.is_empty() {
            return invalid("No directories specified in request".into());
        }
        // `DirectoryId.reserved`: the first hundred.
        if directories
            .iter()
            .any(|directory| directory.as_u128() < 100)
        {
            return invalid("Reserved directory ID in request".into());
        }
        if directories.iter().collect::<BTreeSet<_>>().len() != directories.len() {
            return invalid("Duplicate directory ID in request".into());
        }
        for other in self
            .image
            .cluster
            .brokers()
            .filter(|other| other.id() != broker_id)
        {
            if let Some(shared) = other
                .record()
                .log_dirs
                .iter()
                .find(|directory| directories.contains(directory))
            {
                let shared = ottla_protocol::ids::TopicId(*shared);
                return invalid(format!(
                    "Broker {} is already registered with directory {shared}",
                    other.id()
                ));
            }
        }
        Ok(())
    }

    /// Every finalized feature must be within what the broker can do.
    fn check_features(
        &self,
        request: &BrokerRegistrationRequest,
    ) -> Result<Vec<BrokerFeature>, ApiError> {
        let range_of = |name: &str| {
            let feature = request
                .features
                .iter()
                .find(|feature| feature.name.as_str() == name);
            feature.map_or((0, 0), |feature| {
                (feature.min_supported_version, feature.max_supported_version)
            })
        };
        let version = (
            METADATA_VERSION_FEATURE,
            self.image.features.metadata_version().0,
        );
        for (name, level) in self.image.features.finalized().chain([version]) {
            let (low, high) = range_of(name);
            if !(low..=high).contains(&level) {
                let message = format!(
                    "Unable to register because the broker does not support finalized version {level} of {name}. The \
                     broker wants a version between {low} and {high}, inclusive."
                );
                return Err(ApiError::new(ResponseError::UnsupportedVersion, message));
            }
        }
        let features = request.features.iter().map(|feature| BrokerFeature {
            name: feature.name.to_string(),
            min_supported_version: feature.min_supported_version,
            max_supported_version: feature.max_supported_version,
        });
        Ok(features.collect())
    }
}

fn registration_change(
    broker_id: BrokerId,
    broker_epoch: i64,
    fenced: i8,
    in_controlled_shutdown: i8,
) -> MetadataRecord {
    BrokerRegistrationChangeRecord {
        broker_id,
        broker_epoch,
        fenced,
        in_controlled_shutdown,
        ..Default::default()
    }
    .into()
}
