//! A cluster of one broker, whose decisions are replayed as they come.

mod client_quotas;
mod configs;
mod elections;
mod mutation_quota;
mod reassignments;
mod registration;
mod topics;
mod update_features;

use std::cell::Cell;

use ottla_protocol::ids::{PartitionIndex, TopicId};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages;
use ottla_protocol::messages::BrokerRegistrationRequest;
use ottla_protocol::messages::broker_registration_request::Feature;

use super::*;
use crate::metadata::image::{PartitionRegistration, TopicImage};
use crate::metadata::record::{FeatureLevelRecord, MetadataVersion, PartitionRecord, TopicRecord};

const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

struct Cluster {
    image: MetadataImage,
    config: BrokerConfig,
    offset: i64,
    last_id: Cell<u128>,
}

impl Cluster {
    /// Nobody has registered; eligible leader replicas are on or off.
    fn empty(elr: bool) -> Self {
        let image = MetadataImage::default();
        let config = BrokerConfig::default();
        let mut cluster = Self {
            image,
            config,
            offset: 0,
            last_id: Cell::new(1_000),
        };
        cluster.feature("metadata.version", MetadataVersion::IBP_4_1_IV1.0);
        cluster.feature("eligible.leader.replicas.version", i16::from(elr));
        cluster
    }

    /// Broker 1 is up.
    fn new() -> Self {
        let mut cluster = Self::empty(false);
        cluster.start(1, -1);
        cluster
    }

    fn with(overrides: &[(&str, &str)]) -> Self {
        let mut cluster = Self::new();
        cluster.config = BrokerConfig::with_overrides(overrides.iter().copied()).unwrap();
        cluster
    }

    fn feature(&mut self, name: &str, feature_level: i16) {
        self.apply(Decision {
            records: vec![
                FeatureLevelRecord {
                    name: name.into(),
                    feature_level,
                }
                .into(),
            ],
            response: (),
        });
    }

    /// Decide and replay.
    fn run<R>(&mut self, decide: impl FnOnce(&Controller<'_>) -> Decision<R>) -> R {
        let decision = self.decide(decide);
        self.apply(decision)
    }

    fn decide<R>(&self, decide: impl FnOnce(&Controller<'_>) -> R) -> R {
        let new_id = || {
            self.last_id.set(self.last_id.get() + 1);
            Uuid::from_u128(self.last_id.get())
        };
        decide(&Controller {
            image: &self.image,
            config: &self.config,
            next_offset: Offset(self.offset),
            kraft_version: 1,
            new_id: &new_id,
            may_change_partitions: &|_| true,
        })
    }

    fn apply<R>(&mut self, decision: Decision<R>) -> R {
        for record in &decision.records {
            // What the log would refuse to write is as wrong as what does not replay.
            record
                .encode(
                    record.version_at(MetadataVersion::IBP_4_1_IV1),
                    &mut Vec::new(),
                )
                .unwrap();
            self.image.replay(record).unwrap();
        }
        self.offset += i64::try_from(decision.records.len()).unwrap();
        decision.response
    }

    /// A new process of `broker` registers and is unfenced; its epoch.
    fn start(&mut self, broker: i32, previous_epoch: i64) -> i64 {
        let request = self.registration(broker, previous_epoch);
        let epoch = self
            .run(|controller| controller.register_broker(&request, CLUSTER_ID).unwrap())
            .broker_epoch;
        self.run(|controller| controller.unfence_broker(BrokerId(broker)));
        self.run(|controller| controller.settle_partitions(BrokerId(broker)));
        epoch
    }

    fn registration(&self, broker: i32, previous_epoch: i64) -> BrokerRegistrationRequest {
        self.last_id.set(self.last_id.get() + 1);
        let features = REGISTERED_FEATURES.iter().map(|(name, low, high)| {
            let name = StrBytes::from_static_str(name);
            Feature::default()
                .with_name(name)
                .with_min_supported_version(*low)
                .with_max_supported_version(*high)
        });
        BrokerRegistrationRequest::default()
            .with_broker_id(messages::BrokerId(broker))
            .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
            .with_incarnation_id(Uuid::from_u128(self.last_id.get()))
            .with_features(features.collect())
            .with_log_dirs(vec![Uuid::from_u128(
                200 + u128::from(broker.unsigned_abs()),
            )])
            .with_previous_broker_epoch(previous_epoch)
    }

    fn topic(&self, name: &str) -> &TopicImage {
        self.image.topics.by_name(name).unwrap()
    }

    fn partition(&self, name: &str, index: i32) -> &PartitionRegistration {
        self.topic(name).partition(PartitionIndex(index)).unwrap()
    }
}

/// Brokers 1 and 2 are up, 3 is not. Partitions of `t` by their replicas, in-sync replicas and leader.
fn cluster(partitions: &[(&[i32], &[i32], i32)]) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.start(2, -1);
    let topic_id = TopicId(Uuid::from_u128(700));
    let brokers = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
    let mut records = vec![
        TopicRecord {
            name: "t".into(),
            topic_id,
        }
        .into(),
    ];
    for (index, (replicas, isr, leader)) in (0..).zip(partitions) {
        let record = PartitionRecord {
            partition_id: PartitionIndex(index),
            topic_id,
            replicas: brokers(replicas),
            directories: vec![Uuid::from_u128(500); replicas.len()],
            isr: brokers(isr),
            leader: BrokerId(*leader),
            leader_epoch: ottla_protocol::ids::LeaderEpoch(0),
            partition_epoch: 0,
            ..Default::default()
        };
        records.push(record.into());
    }
    cluster.apply(Decision {
        records,
        response: (),
    });
    cluster
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
