//! A controller on a log in memory, for tests of whatever needs one.

use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{BrokerId, LeaderEpoch, Offset, Timestamp};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages;
use ottla_protocol::messages::BrokerRegistrationRequest;
use ottla_protocol::messages::broker_registration_request::Feature;
use uuid::Uuid;

use super::controller::REGISTERED_FEATURES;
use super::image::MetadataImage;
use super::loader::MetadataLoader;
use super::publisher::{EmbeddedController, RecordLog};
use super::record::MetadataRecord;
use super::record::control::{Voter, VoterEndpoint};
use super::service::MetadataService;
use crate::clock::ManualClock;
use crate::config::BrokerConfig;

/// Id of the cluster in tests.
pub(crate) const CLUSTER_ID: &str = "cluster";

/// What is durable, and the appends it took.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) records: Vec<MetadataRecord>,
    pub(crate) appends: usize,
    pub(crate) snapshots: usize,
    pub(crate) closed: bool,
    pub(crate) fails: bool,
    /// It has failed without a trace.
    pub(crate) usable: bool,
}

/// A log in memory.
pub(crate) struct MemoryLog {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) snapshot_every: usize,
}

impl RecordLog for MemoryLog {
    type Error = std::io::Error;

    fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    fn end_offset(&self) -> Offset {
        Offset(i64::try_from(self.disk.lock().unwrap().records.len()).unwrap())
    }

    fn voter(&self) -> Option<Voter> {
        let endpoint = VoterEndpoint {
            name: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        };
        Some(Voter {
            voter_id: BrokerId(1),
            voter_directory_id: Uuid::from_u128(500),
            endpoints: vec![endpoint],
            ..Default::default()
        })
    }

    fn append(&mut self, records: &[MetadataRecord], _: Timestamp) -> Result<(), Self::Error> {
        let mut disk = self.disk.lock().unwrap();
        if disk.fails {
            return Err(std::io::Error::other("no space left on device"));
        }
        disk.records.extend_from_slice(records);
        disk.appends += 1;
        Ok(())
    }

    fn is_usable(&self) -> bool {
        self.disk.lock().unwrap().usable
    }

    fn should_snapshot(&self, _: Timestamp) -> bool {
        let disk = self.disk.lock().unwrap();
        disk.records.len() >= self.snapshot_every * (disk.snapshots + 1)
    }

    fn snapshot(&mut self, records: Vec<MetadataRecord>, _: Timestamp) -> Result<(), Self::Error> {
        let mut from_log = MetadataImage::default();
        let mut disk = self.disk.lock().unwrap();
        disk.records
            .iter()
            .for_each(|record| from_log.replay(record).unwrap());
        assert_eq!(from_log.to_records(), records);
        disk.snapshots += 1;
        Ok(())
    }

    fn close(self) -> Result<(), Self::Error> {
        self.disk.lock().unwrap().closed = true;
        Ok(())
    }
}

/// Broker 1 registers, in its process number `incarnation`.
pub(crate) fn registration(incarnation: i32) -> BrokerRegistrationRequest {
    let features = REGISTERED_FEATURES.iter().map(|(name, low, high)| {
        let name = StrBytes::from_static_str(name);
        Feature::default()
            .with_name(name)
            .with_min_supported_version(*low)
            .with_max_supported_version(*high)
    });
    BrokerRegistrationRequest::default()
        .with_broker_id(messages::BrokerId(1))
        .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
        .with_incarnation_id(Uuid::from_u128(u128::from(incarnation.unsigned_abs())))
        .with_features(features.collect())
        .with_log_dirs(vec![Uuid::from_u128(500)])
        .with_previous_broker_epoch(-1)
}

/// A service whose controller is at work, on a log that is empty but for the registration of broker 1.
pub(crate) fn service(overrides: &[(&str, &str)]) -> MetadataService {
    let config = Arc::new(BrokerConfig::with_overrides(overrides.iter().copied()).unwrap());
    let log = MemoryLog {
        disk: Arc::default(),
        epoch: LeaderEpoch(1),
        snapshot_every: usize::MAX,
    };
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let loader = MetadataLoader::new(Arc::default());
    let mut controller = EmbeddedController::new(log, loader, Arc::clone(&config), clock).unwrap();
    let broker_epoch = controller.register(&registration(1), CLUSTER_ID).unwrap();
    let running = controller
        .run(Vec::new(), |error| panic!("{error}"))
        .unwrap();
    MetadataService::new(
        CLUSTER_ID.into(),
        config,
        running.cache,
        running.client,
        broker_epoch,
    )
}
