mod reopen;

use std::sync::Mutex;
use std::task::{Context, Waker};

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::{AllocateProducerIdsRequest, CreateTopicsRequest};

use super::*;
use crate::clock::ManualClock;
use crate::metadata::controller_client::ControllerStopped;
use crate::metadata::image::TopicImage;
use crate::metadata::record::BeginTransactionRecord;
use crate::metadata::testing::{CLUSTER_ID, Disk, MemoryLog, registration};

/// Notes what it is told, and what readers could see at that time.
#[derive(Default)]
struct Witness {
    created: Mutex<Vec<String>>,
    cache: Mutex<Option<Arc<MetadataCache>>>,
}

impl MetadataPublisher for Witness {
    fn publish(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        assert_eq!(delta.image(), image.as_ref());
        if let Some(cache) = self.cache.lock().unwrap().as_ref() {
            assert_eq!(
                cache.image().provenance,
                delta.previous().provenance,
                "no reader is ahead of a publisher"
            );
        }
        let created = delta
            .changed_topics()
            .filter(|topic| topic.before.is_none());
        self.created
            .lock()
            .unwrap()
            .extend(created.map(|topic| topic.after.name().to_string()));
    }
}

struct Started {
    running: RunningController,
    witness: Arc<Witness>,
    fatal: Arc<Mutex<Option<MetadataError>>>,
    broker_epoch: i64,
}

/// Open the log on `disk` as a new process would.
fn start(disk: &Arc<Mutex<Disk>>, epoch: i32, snapshot_every: usize) -> Started {
    let mut loader = MetadataLoader::new(Arc::default());
    for (offset, record) in (0..).zip(&disk.lock().unwrap().records) {
        let at = MetadataProvenance {
            last_contained_offset: Offset(offset),
            ..MetadataProvenance::EMPTY
        };
        loader.replay(record, at).unwrap();
    }
    let log = MemoryLog {
        disk: Arc::clone(disk),
        epoch: LeaderEpoch(epoch),
        snapshot_every,
    };
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let mut controller = EmbeddedController::new(log, loader, Arc::default(), clock).unwrap();
    let broker_epoch = controller
        .register(&registration(epoch), CLUSTER_ID)
        .unwrap();
    let witness = Arc::new(Witness::default());
    let fatal = Arc::new(Mutex::new(None));
    let on_fatal = Arc::clone(&fatal);
    let publishers: Vec<Arc<dyn MetadataPublisher>> = vec![witness.clone()];
    let running = controller
        .run(publishers, move |error| {
            *on_fatal.lock().unwrap() = Some(error)
        })
        .unwrap();
    *witness.cache.lock().unwrap() = Some(Arc::clone(&running.cache));
    Started {
        running,
        witness,
        fatal,
        broker_epoch,
    }
}

fn topic(name: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(messages::TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(1)
        .with_replication_factor(1);
    CreateTopicsRequest::default().with_topics(vec![topic])
}

async fn stop(started: Started) {
    drop(started.running.client);
    let thread = started.running.thread;
    tokio::task::spawn_blocking(move || thread.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_topic_is_set_up_and_seen_when_the_response_comes() {
    let disk = Arc::default();
    let started = start(&disk, 1, usize::MAX);
    let mut published = started.running.cache.subscribe();
    let before = *published.borrow_and_update();
    let response = started
        .running
        .client
        .create_topics(topic("t"))
        .await
        .unwrap();
    assert_eq!(response.topics[0].error_code, 0);
    assert_eq!(*started.witness.created.lock().unwrap(), ["t"]);
    assert!(started.running.cache.image().topics.by_name("t").is_some());
    assert!(published.has_changed().unwrap());
    assert_eq!(published.borrow_and_update().0, before.0 + 2);
    let image = started.running.cache.image();
    stop(started).await;
    let disk = disk.lock().unwrap();
    assert!(disk.closed);
    assert_eq!(
        image.provenance.last_contained_offset,
        Offset(len(&disk.records) - 1)
    );
}

#[tokio::test]
async fn calls_that_wait_together_share_one_append() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let started = start(&disk, 1, usize::MAX);
    let appends = disk.lock().unwrap().appends;
    let client = &started.running.client;
    // The controller's thread cannot write while the disk is held, so the calls pile up behind the first.
    let held = disk.lock().unwrap();
    let names: Vec<_> = (0..20).map(|number| format!("t{number}")).collect();
    let calls =
        futures_util::future::join_all(names.iter().map(|name| client.create_topics(topic(name))));
    let mut calls = Box::pin(calls);
    let mut context = Context::from_waker(Waker::noop());
    assert!(calls.as_mut().poll(&mut context).is_pending());
    drop(held);
    let responses = calls.await;
    assert!(
        responses
            .iter()
            .all(|response| response.as_ref().unwrap().topics[0].error_code == 0)
    );
    assert!(disk.lock().unwrap().appends - appends <= 2);
    // The same name twice in one round: the second call is decided on the first.
    let (first, second) = tokio::join!(
        client.create_topics(topic("twin")),
        client.create_topics(topic("twin"))
    );
    let mut codes = [
        first.unwrap().topics[0].error_code,
        second.unwrap().topics[0].error_code,
    ];
    codes.sort_unstable();
    assert_eq!(codes, [0, 36]);
    stop(started).await;
}

#[tokio::test]
async fn after_a_failed_append_nothing_is_answered_and_nothing_shown() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let started = start(&disk, 1, usize::MAX);
    let before = started.running.cache.image();
    disk.lock().unwrap().fails = true;
    assert_eq!(
        started.running.client.create_topics(topic("t")).await,
        Err(ControllerStopped)
    );
    assert_eq!(
        started.running.client.create_topics(topic("u")).await,
        Err(ControllerStopped)
    );
    assert_eq!(started.running.cache.image(), before);
    assert!(started.witness.created.lock().unwrap().is_empty());
    let fatal = Arc::clone(&started.fatal);
    stop(started).await;
    let error = fatal.lock().unwrap().take().unwrap();
    assert_eq!(
        error.to_string(),
        "the metadata log cannot be written: no space left on device"
    );
}

#[tokio::test]
async fn a_round_without_space_is_refused_and_the_next_one_served() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let started = start(&disk, 1, usize::MAX);
    let before = started.running.cache.image();
    let client = &started.running.client;
    (disk.lock().unwrap().fails, disk.lock().unwrap().usable) = (true, true);
    assert_eq!(
        client.create_topics(topic("t")).await,
        Err(ControllerStopped)
    );
    assert_eq!(started.running.cache.image(), before);
    disk.lock().unwrap().fails = false;
    for name in ["u", "t"] {
        let response = client.create_topics(topic(name)).await.unwrap();
        assert_eq!(response.topics[0].error_code, 0, "{name} is not there yet");
    }
    let created = started.witness.created.lock().unwrap().clone();
    assert_eq!(created, ["u", "t"]);
    let fatal = Arc::clone(&started.fatal);
    stop(started).await;
    assert!(fatal.lock().unwrap().is_none());
}

#[tokio::test]
async fn producer_ids_are_never_handed_out_twice_over_restarts() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let mut starts = Vec::new();
    for epoch in 1..=4 {
        let started = start(&disk, epoch, usize::MAX);
        for _ in 0..epoch {
            let request = AllocateProducerIdsRequest::default()
                .with_broker_id(messages::BrokerId(1))
                .with_broker_epoch(started.broker_epoch);
            let response = started
                .running
                .client
                .allocate_producer_ids(request)
                .await
                .unwrap();
            assert_eq!(response.error_code, 0);
            starts.push(response.producer_id_start.0);
        }
        stop(started).await;
    }
    assert_eq!(
        starts,
        (0..10).map(|block| block * 1000).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn each_start_is_a_new_leader_epoch() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let mut epochs = Vec::new();
    for epoch in 1..=3 {
        let started = start(&disk, epoch, usize::MAX);
        if epoch == 1 {
            started
                .running
                .client
                .create_topics(topic("t"))
                .await
                .unwrap();
        }
        let image = started.running.cache.image();
        let (_, partition) = image
            .topics
            .by_name("t")
            .unwrap()
            .partitions()
            .next()
            .unwrap();
        assert_eq!(partition.leader, BrokerId(1));
        epochs.push(partition.leader_epoch.0);
        // The second process stops in good order, the first does not.
        if epoch == 2 {
            started
                .running
                .client
                .shut_down_broker(BrokerId(1))
                .await
                .unwrap();
        }
        stop(started).await;
    }
    assert_eq!(epochs, [0, 2, 4]);
}

#[tokio::test]
async fn a_snapshot_is_written_when_it_is_due() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let started = start(&disk, 1, 10);
    for number in 0..20 {
        started
            .running
            .client
            .create_topics(topic(&format!("t{number}")))
            .await
            .unwrap();
    }
    stop(started).await;
    assert!(disk.lock().unwrap().snapshots >= 3);
}

#[tokio::test]
async fn a_transaction_that_never_ended_is_aborted_at_the_start() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    disk.lock().unwrap().records = vec![
        BeginTransactionRecord { name: None }.into(),
        crate::metadata::record::TopicRecord {
            name: "half".into(),
            topic_id: ottla_protocol::ids::TopicId(new_id()),
        }
        .into(),
    ];
    let started = start(&disk, 1, usize::MAX);
    assert!(started.running.cache.image().topics.is_empty());
    assert!(matches!(
        disk.lock().unwrap().records[2],
        MetadataRecord::AbortTransaction(_)
    ));
    stop(started).await;
}

#[test]
fn a_cluster_that_this_broker_cannot_serve_is_refused_with_advice() {
    let feature = crate::metadata::record::FeatureLevelRecord {
        name: "share.version".into(),
        feature_level: 1,
    };
    let log = MemoryLog {
        disk: Arc::default(),
        epoch: LeaderEpoch(1),
        snapshot_every: usize::MAX,
    };
    let loader = MetadataLoader::new(Arc::default());
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let mut controller = EmbeddedController::new(log, loader, Arc::default(), clock).unwrap();
    controller.append(&[feature.into()]).unwrap();
    let error = controller
        .register(&registration(1), CLUSTER_ID)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("finalized version 1 of share.version")
            && text.contains("kafka-features downgrade"),
        "{text}"
    );
}
