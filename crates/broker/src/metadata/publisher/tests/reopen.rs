//! The controller on the real metadata log: whatever is asked of it and whenever it is opened again, with or without
//! a snapshot in between, the image is the one that was answered from.

use std::path::Path;

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::{
    CreatePartitionsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, TopicName,
};
use ottla_storage::fs::{Fs, OsFs};
use proptest::prelude::*;

use super::*;
use crate::metadata::format::{METADATA_DIR, activation_records, feature_records, format};
use crate::metadata::quorum::Identity;
use crate::metadata::raft_log::{LogReplay, MetadataLog, MetadataLogConfig};
use crate::metadata::record::MetadataVersion;

/// What is done to the cluster.
#[derive(Clone, Debug)]
enum Step {
    Create(u8, i32),
    Delete(u8),
    Grow(u8, i32),
    Configure(u8, Option<u32>),
    ProducerIds,
    /// A stop in good order, and a start.
    Restart,
    /// A stop without a word, and a start.
    Crash,
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = 0..5_u8;
    prop_oneof![
        4 => (name.clone(), 1..5_i32).prop_map(|(name, partitions)| Step::Create(name, partitions)),
        2 => name.clone().prop_map(Step::Delete),
        2 => (name.clone(), 1..8_i32).prop_map(|(name, count)| Step::Grow(name, count)),
        3 => (name, proptest::option::of(0..9_u32)).prop_map(|(name, value)| Step::Configure(name, value)),
        1 => Just(Step::ProducerIds),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

/// One life of the process.
struct Life {
    running: RunningController,
    broker_epoch: i64,
}

fn identity() -> Identity {
    Identity {
        node_id: BrokerId(1),
        directory_id: Uuid::from_u128(500),
        endpoints: Vec::new(),
    }
}

fn open(root: &Path, incarnation: i32, previous_epoch: i64) -> Life {
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let now = Timestamp(i64::from(incarnation));
    let limits = MetadataLogConfig {
        snapshot_bytes: 2_000,
        ..MetadataLogConfig::default()
    };
    let mut replay =
        LogReplay::open(fs, &root.join(METADATA_DIR), identity(), limits, now).unwrap();
    let mut loader = MetadataLoader::new(Arc::default());
    for replayed in replay.by_ref() {
        let replayed = replayed.unwrap();
        let at = MetadataProvenance {
            last_contained_offset: replayed.offset,
            last_contained_epoch: replayed.epoch,
            last_contained_log_time: now,
        };
        loader.replay(&replayed.record, at).unwrap();
    }
    let log: MetadataLog = replay.lead(now).unwrap();
    let clock = Arc::new(ManualClock::new(now));
    let mut controller = EmbeddedController::new(log, loader, Arc::default(), clock).unwrap();
    if controller.image().features.finalized().len() == 0 {
        let records = activation_records(feature_records(MetadataVersion::IBP_4_1_IV1), 1);
        controller.append(&records).unwrap();
    }
    let request = registration(incarnation).with_previous_broker_epoch(previous_epoch);
    let broker_epoch = controller.register(&request, CLUSTER_ID).unwrap();
    let running = controller
        .run(Vec::new(), |error| panic!("{error}"))
        .unwrap();
    Life {
        running,
        broker_epoch,
    }
}

impl Life {
    async fn step(&self, step: &Step) {
        let client = &self.running.client;
        let name = |number: u8| TopicName(StrBytes::from_string(format!("topic-{number}")));
        match step {
            Step::Create(number, partitions) => {
                let mut request = topic(&name(*number));
                request.topics[0].num_partitions = *partitions;
                client.create_topics(request).await.unwrap();
            }
            Step::Delete(number) => {
                let request = DeleteTopicsRequest::default().with_topic_names(vec![name(*number)]);
                client.delete_topics(request, 5).await.unwrap();
            }
            Step::Grow(number, count) => {
                let topic = CreatePartitionsTopic::default()
                    .with_name(name(*number))
                    .with_count(*count)
                    .with_assignments(None);
                client
                    .create_partitions(CreatePartitionsRequest::default().with_topics(vec![topic]))
                    .await
                    .unwrap();
            }
            Step::Configure(number, value) => {
                let config = AlterableConfig::default()
                    .with_name(StrBytes::from_static_str("retention.ms"))
                    .with_config_operation(i8::from(value.is_none()))
                    .with_value(value.map(|value| StrBytes::from_string(value.to_string())));
                let resource = AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(name(*number).0)
                    .with_configs(vec![config]);
                let request =
                    IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
                client.incremental_alter_configs(request).await.unwrap();
            }
            Step::ProducerIds => {
                let request = AllocateProducerIdsRequest::default()
                    .with_broker_id(messages::BrokerId(1))
                    .with_broker_epoch(self.broker_epoch);
                assert_eq!(
                    client
                        .allocate_producer_ids(request)
                        .await
                        .unwrap()
                        .error_code,
                    0
                );
            }
            Step::Restart => client.shut_down_broker(BrokerId(1)).await.unwrap(),
            Step::Crash => {}
        }
    }

    async fn end(self) -> Arc<MetadataImage> {
        let image = self.running.cache.image();
        drop(self.running.client);
        let thread = self.running.thread;
        tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
        image
    }
}

/// `image` with what a new start changes left out: leaders, epochs, the registration.
fn lasting(image: &MetadataImage) -> (Vec<String>, Vec<MetadataRecord>) {
    let topics = image.topics.iter();
    let topics = topics.map(|topic| {
        format!(
            "{} {} {}",
            topic.name(),
            topic.id(),
            topic.partition_count()
        )
    });
    let others = image.to_records().into_iter().filter(|record| {
        !matches!(
            record,
            MetadataRecord::RegisterBroker(_)
                | MetadataRecord::Partition(_)
                | MetadataRecord::Topic(_)
        )
    });
    (topics.collect(), others.collect())
}

fn leader_epochs(image: &MetadataImage) -> Vec<(String, i32)> {
    let epochs = image.topics.iter().flat_map(|topic| {
        topic.partitions().map(move |(index, partition)| {
            (format!("{}-{index}", topic.id()), partition.leader_epoch.0)
        })
    });
    epochs.collect()
}

async fn run(steps: Vec<Step>) {
    let root = tempfile::tempdir().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let bootstrap = feature_records(MetadataVersion::IBP_4_1_IV1);
    format(&fs, root.path(), &identity(), &bootstrap, Timestamp(0)).unwrap();
    let mut life = open(root.path(), 1, -1);
    for (incarnation, step) in (2..).zip(&steps) {
        life.step(step).await;
        if !matches!(step, Step::Restart | Step::Crash) {
            continue;
        }
        let previous = if matches!(step, Step::Restart) {
            life.broker_epoch
        } else {
            -1
        };
        let before = life.end().await;
        life = open(root.path(), incarnation, previous);
        let after = life.running.cache.image();
        assert_eq!(lasting(&after), lasting(&before), "{steps:?}");
        for ((partition, old), (same, new)) in
            leader_epochs(&before).iter().zip(leader_epochs(&after))
        {
            assert!(
                *partition == same && new > *old,
                "{partition}: epoch {new} after {old}, {steps:?}"
            );
        }
        assert!(
            after
                .topics
                .iter()
                .flat_map(TopicImage::partitions)
                .all(|(_, partition)| partition.leader == BrokerId(1))
        );
    }
    life.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_start_finds_what_was_answered(steps in proptest::collection::vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
