//! A shard of groups on a partition in memory: what its transactional appends need.

use std::convert::Infallible;
use std::path::Path;

use ottla_protocol::ids::{
    LeaderEpoch, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
};
use ottla_protocol::messages::TxnOffsetCommitRequest;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::{Disposition, Fs, LogConfig, LogDir, LogManager};

use super::*;
use crate::clock::SystemClock;
use crate::config::{BrokerConfig, TopicConfig};
use crate::coordinator::group::GroupShard;
use crate::coordinator::group::config::{ConsumerTimings, DynamicConfigs};
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::group::topics::NoTopics;
use crate::coordinator::shard::TransactionalProducer;
use crate::partition::disk_space::DiskSpace;
use crate::partition::flusher::Flusher;
use crate::partition::topic_rules::TopicRules;
use crate::partition::verification::{Verification, VerificationGuard};

const PRODUCER: (ProducerId, ProducerEpoch) = (ProducerId(1), ProducerEpoch(0));

#[derive(Debug)]
struct NoConfigs;

impl DynamicConfigs for NoConfigs {
    fn consumer(&self, _: &str) -> ConsumerTimings {
        ConsumerTimings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
        }
    }
}

fn partition() -> Arc<Partition> {
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    let dir = LogDir::open(Arc::clone(&fs), Path::new("/data")).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(LogConfig::default(), id);
    let now = Timestamp(0);
    let (manager, _) = LogManager::open(fs, vec![dir], &decide, 1, now).unwrap();
    let id = TopicPartition {
        topic: "__consumer_offsets".to_owned(),
        partition: PartitionIndex(0),
    };
    let log = manager.create(&id, None, LogConfig::default(), now);
    let unflushed = BrokerConfig::with_overrides([("ottla.flush.on.acks.all", "false")]).unwrap();
    let rules = TopicRules::new(&TopicConfig::default(), &unflushed);
    let flusher = Flusher::start(1, Arc::new(SystemClock)).unwrap();
    Arc::new(Partition::new(
        id,
        TopicId::METADATA,
        log.unwrap(),
        LeaderEpoch(0),
        Arc::new(rules),
        Arc::new(flusher),
        Arc::new(DiskSpace::new(0, u64::MAX)),
    ))
}

fn task() -> ShardTask<GroupShard> {
    let new_id = Box::new(uuid::Uuid::new_v4);
    let configs = Arc::new(NoConfigs);
    let shard = GroupShard::new(Arc::default(), configs, Arc::new(NoTopics), new_id);
    task_of(shard, partition())
}

fn task_of<S: Shard<Work = Infallible>>(shard: S, partition: Arc<Partition>) -> ShardTask<S> {
    ShardTask {
        index: 0,
        shard,
        partition,
        clock: Arc::new(SystemClock),
        max_content: usize::MAX,
        start: Arc::new(|_, work| match work {}),
        waiting: HashMap::new(),
        next_reply: 0,
        end: Offset(0),
        unflushed: VecDeque::new(),
        flush: None,
    }
}

fn ask(task: &mut ShardTask<GroupShard>, request: GroupRequest) -> GroupResponse {
    let (answer, mut answered) = oneshot::channel();
    task.handle(request, answer);
    answered.try_recv().unwrap()
}

fn speaker(guard: Option<VerificationGuard>) -> TransactionalProducer {
    let (id, epoch) = PRODUCER;
    TransactionalProducer { id, epoch, guard }
}

/// The error code of a commit of partition 0 of topic `t`.
fn commit(task: &mut ShardTask<GroupShard>, guard: Option<VerificationGuard>) -> i16 {
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(5);
    let topic = TxnOffsetCommitRequestTopic::default().with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_group_id(ottla_protocol::messages::GroupId("g".into()))
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    match ask(task, GroupRequest::TxnOffsetCommit(speaker(guard), request)) {
        GroupResponse::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn guard(task: &ShardTask<GroupShard>) -> VerificationGuard {
    match task
        .partition
        .begin_verification(PRODUCER.0, PRODUCER.1, false)
    {
        Verification::Needed(guard) => guard,
        Verification::Open => panic!("the transaction is open"),
    }
}

/// Offsets that nobody would end would stay pending for ever.
#[test]
fn an_offset_commit_begins_a_transaction_only_with_leave_that_holds() {
    const INVALID_TXN_STATE: i16 = 48;
    let mut task = task();
    assert_eq!(commit(&mut task, None), INVALID_TXN_STATE);
    let early = guard(&task);
    assert_eq!(commit(&mut task, Some(early)), 0);
    assert_eq!(commit(&mut task, None), 0, "it is open");
    let marker = EndTxnMarker {
        committed: false,
        coordinator_epoch: 0,
    };
    let ended = ask(
        &mut task,
        GroupRequest::EndTransaction(speaker(None), marker),
    );
    assert_eq!(ended, GroupResponse::EndTransaction(Ok(())));
    assert_eq!(commit(&mut task, Some(early)), INVALID_TXN_STATE);
    let offsets = task.partition.offsets();
    assert_eq!(offsets.last_stable, offsets.high_watermark);
}

/// Answers how many requests it has had since it was loaded; the request 13 makes it panic.
#[derive(Default)]
struct Unlucky {
    requests: usize,
    answers: VecDeque<(ReplyTo, usize)>,
}

impl Shard for Unlucky {
    type Request = u8;
    type Response = usize;
    type Record = crate::coordinator::group::records::GroupRecord;
    type Then = ();
    type Work = Infallible;
    const KIND: &'static str = "unlucky";

    fn handle_request(&mut self, _: Now, request: u8, reply_to: ReplyTo) {
        assert_ne!(request, 13, "the panic of this test");
        self.requests += 1;
        self.answers.push_back((reply_to, self.requests));
    }

    fn handle_timeout(&mut self, _: Now) {}

    fn handle_append(&mut self, _: Now, (): (), _: Result<(), AppendFailure>) {}

    fn handle_loaded(&mut self, _: Now) {}

    fn replay(&mut self, _: RecordOrigin, _: Self::Record) {}

    fn replay_end_transaction(&mut self, _: ProducerId, _: bool) {}

    fn entry_count(&self) -> usize {
        0
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        None
    }

    fn poll_effect(&mut self) -> Option<Effect<Self::Record, (), usize>> {
        let (to, response) = self.answers.pop_front()?;
        Some(Effect::Reply { to, response })
    }
}

#[tokio::test]
async fn a_shard_that_panics_is_loaded_anew() {
    let partition = partition();
    let new_task = move || task_of(Unlucky::default(), Arc::clone(&partition));
    let (mailbox, calls) = mpsc::channel(8);
    let state = AtomicU8::new(LOADING);
    let loaders = Semaphore::new(1);
    let served = serve(new_task, calls, &loaders, &state);
    let asks = async {
        let ask = async |request| {
            let (answer, answered) = oneshot::channel();
            mailbox.send((request, answer)).await.unwrap();
            answered.await.ok()
        };
        let answers = [ask(1).await, ask(1).await, ask(13).await, ask(1).await];
        assert_eq!(answers, [Some(1), Some(2), None, Some(1)]);
        assert_eq!(state.load(Ordering::Acquire), ACTIVE);
        drop(mailbox);
    };
    tokio::join!(served, asks);
}
