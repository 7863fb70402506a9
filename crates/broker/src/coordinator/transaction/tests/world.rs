//! One shard with its log, real partitions in memory, and a clock that is moved by hand. After every step a second
//! shard, which has seen nothing but the log, must agree with the live one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp, TopicId,
    TopicPartition,
};
use ottla_protocol::record::{BatchBuilder, BatchHeader, EndTxnMarker, RecordReader};
use ottla_storage::fs::Source;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::{Disposition, Fs, LogConfig, LogDir, LogManager};

use crate::clock::SystemClock;
use crate::config::{BrokerConfig, TopicConfig};
use crate::coordinator::record::{CoordinatorRecord, EncodedRecord};
use crate::coordinator::shard::{
    AppendFailure, Deadline, Effect, Now, RecordOrigin, ReplyTo, Shard,
};
use crate::coordinator::transaction::message::{
    Markers, Producer, TransactionRequest, TransactionResponse, Work,
};
use crate::coordinator::transaction::records::TransactionRecord;
use crate::coordinator::transaction::state::{Partitions, TransactionMetadata};
use crate::coordinator::transaction::{TransactionConfig, TransactionShard};
use crate::partition::disk_space::DiskSpace;
use crate::partition::flusher::Flusher;
use crate::partition::topic_rules::TopicRules;
use crate::partition::{Isolation, Partition};

/// Where virtual time begins.
const START: Timestamp = Timestamp(1_700_000_000_000);
/// The topic of the partitions.
pub(super) const TOPIC: &str = "t";

/// See the module's documentation.
pub(super) struct World {
    pub(super) shard: TransactionShard,
    pub(super) now: Now,
    pub(super) log: Vec<EncodedRecord>,
    /// Work that the shard has asked for, to be taken by the test.
    pub(super) work: Vec<Work>,
    pub(super) partitions: Vec<Partition>,
    /// The next appends of the shard fail so.
    pub(super) failing: Option<AppendFailure>,
    reloaded: TransactionShard,
    level: i16,
    answers: BTreeMap<u64, TransactionResponse>,
    next_ticket: u64,
    next_producer_id: i64,
}

fn shard(level: i16) -> TransactionShard {
    let config = TransactionConfig {
        max_timeout_ms: 900_000,
        id_expiration_ms: 7 * 86_400_000,
        expiration_check_interval_ms: 3_600_000,
    };
    TransactionShard::new(Arc::new(config), Arc::new(move || level))
}

impl World {
    /// With the feature `transaction.version` at `level`.
    pub(super) fn new(level: i16, partitions: usize) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
        let mut world = Self {
            shard: shard(level),
            now: Now {
                wall: START,
                steady: Deadline(1_000),
            },
            log: Vec::new(),
            work: Vec::new(),
            partitions: make_partitions(&fs, partitions),
            failing: None,
            reloaded: shard(level),
            level,
            answers: BTreeMap::new(),
            next_ticket: 0,
            next_producer_id: 1_000,
        };
        world.shard.handle_loaded(world.now);
        world.settle();
        world
    }

    /// Send a request, with a new producer id should it need one; the answer is for [`Self::take`].
    pub(super) fn send(
        &mut self,
        request: impl Fn(Option<ProducerId>) -> TransactionRequest,
    ) -> u64 {
        let ticket = self.send_one(request(None));
        if self.answers.get(&ticket) == Some(&TransactionResponse::NeedsProducerId) {
            let id = self.new_producer_id();
            return self.send_one(request(Some(id)));
        }
        ticket
    }

    fn send_one(&mut self, request: TransactionRequest) -> u64 {
        self.next_ticket += 1;
        let reply_to = ReplyTo(self.next_ticket);
        self.shard.handle_request(self.now, request, reply_to);
        self.settle();
        self.next_ticket
    }

    pub(super) fn new_producer_id(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    /// The answer, if it has come.
    pub(super) fn take(&mut self, ticket: u64) -> Option<TransactionResponse> {
        self.answers.remove(&ticket)
    }

    /// Let time pass, stopping at every deadline on the way.
    pub(super) fn sleep(&mut self, ms: u64) {
        let end = Deadline(self.now.steady.0 + ms);
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.move_to(at.max(self.now.steady));
            self.shard.handle_timeout(self.now);
            self.settle();
        }
        self.move_to(end);
    }

    fn move_to(&mut self, steady: Deadline) {
        let passed = steady.0 - self.now.steady.0;
        self.now.wall.0 += i64::try_from(passed).unwrap();
        self.now.steady = steady;
    }

    /// Go on with a fresh shard made from the log, as after a kill: who waited is not answered, work under way is lost.
    pub(super) fn restart(&mut self) {
        self.shard = shard(self.level);
        for (at, record) in self.log.iter().enumerate() {
            replay(&mut self.shard, at, record);
        }
        self.work.clear();
        self.shard.handle_loaded(self.now);
        self.settle();
    }

    /// Have this in the log, as a former coordinator may have left it.
    pub(super) fn put(&mut self, id: &str, known: &TransactionMetadata) {
        self.append(&[known.to_record(id, 1)]).unwrap();
    }

    /// Write one of the markers of a transaction.
    pub(super) fn write_marker(&self, markers: &Markers, partition: usize, committed: bool) {
        let marker = EndTxnMarker {
            committed,
            coordinator_epoch: 0,
        };
        let now = self.now.wall;
        let batch = marker.batch(markers.producer.id, markers.producer.epoch, now);
        let written = self.partitions[partition].append_marker(batch.unwrap(), now);
        written.unwrap();
    }

    /// Do all work, at once.
    pub(super) fn finish_work(&mut self) {
        while let Some(work) = self.work.pop() {
            match work {
                Work::WriteMarkers(markers) => {
                    for partition in indexes(&markers.partitions) {
                        self.write_marker(&markers, partition, markers.committed);
                    }
                    self.send(|_| TransactionRequest::MarkersWritten(markers.producer.clone()));
                }
                Work::NewProducerId(producer) => {
                    let id = self.new_producer_id();
                    self.send(|_| TransactionRequest::AbortTimedOut(producer.clone(), id));
                }
            }
        }
    }

    fn settle(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Append { records, then } => {
                    let outcome = self.append(&records);
                    self.shard.handle_append(self.now, then, outcome);
                }
                Effect::AppendTransactional { .. } | Effect::AppendMarker { .. } => {
                    panic!("a transaction shard writes only for itself")
                }
                Effect::Reply { to, response } => {
                    let earlier = self.answers.insert(to.0, response);
                    assert_eq!(earlier, None, "answered twice");
                }
                Effect::Start(work) => self.work.push(work),
            }
        }
        self.check_reload();
    }

    fn append(&mut self, records: &[TransactionRecord]) -> Result<(), AppendFailure> {
        assert!(!records.is_empty());
        if let Some(failure) = self.failing {
            return Err(failure);
        }
        for record in records {
            let encoded = record.encode().unwrap();
            replay(&mut self.shard, self.log.len(), &encoded);
            replay(&mut self.reloaded, self.log.len(), &encoded);
            self.log.push(encoded);
        }
        Ok(())
    }

    fn check_reload(&self) {
        let all = |shard: &TransactionShard| -> BTreeMap<_, _> {
            let known = shard.transactions();
            let known = known.map(|(id, known)| {
                // What is not in the log.
                let known = TransactionMetadata {
                    last_producer_epoch: ProducerEpoch::NONE,
                    ..known.clone()
                };
                (Arc::clone(id), known)
            });
            known.collect()
        };
        assert_eq!(all(&self.shard), all(&self.reloaded));
    }

    /// What a reader of committed data sees of a partition, below the last stable offset; every record there belongs to
    /// a transaction that has ended.
    pub(super) fn committed(&self, partition: usize) -> Vec<String> {
        let partition = &self.partitions[partition];
        let stable = partition.offsets().last_stable;
        let mut open: BTreeMap<i64, Vec<(Offset, String)>> = BTreeMap::new();
        let mut seen = Vec::new();
        for (header, values) in batches(partition) {
            let producer = header.producer_id().0;
            if let Some(committed) = values.is_marker {
                let ended = open.remove(&producer).unwrap_or_default();
                seen.extend(ended.into_iter().filter(|_| committed));
            } else {
                let base = header.base_offset();
                let values = (0..).zip(values.records);
                let values = values.map(|(at, value)| (base.plus(at), value));
                open.entry(producer).or_default().extend(values);
            }
        }
        let undecided = open.values().flatten().map(|(at, _)| *at).min();
        assert!(
            undecided.is_none_or(|at| at >= stable),
            "the last stable offset {stable} is behind an open record at {undecided:?}"
        );
        seen.sort();
        let below = seen.into_iter().filter(|(at, _)| *at < stable);
        below.map(|(_, value)| value).collect()
    }

    /// Whether a transaction is open in the partition.
    pub(super) fn is_hanging(&self, partition: usize) -> bool {
        let offsets = self.partitions[partition].offsets();
        offsets.last_stable < offsets.high_watermark
    }
}

/// A batch of one record of a transaction.
pub(super) fn batch(
    producer: &Producer,
    sequence: i32,
    value: &str,
    now: Timestamp,
) -> ottla_protocol::record::ValidBatch {
    let mut builder = BatchBuilder::new()
        .producer(producer.id, producer.epoch, Sequence(sequence))
        .transactional();
    builder.append(now, None, Some(value.as_bytes()));
    builder.build().unwrap()
}

/// Partitions of the topic as requests name them.
pub(super) fn named(indexes: &[usize]) -> Partitions {
    let indexes = indexes.iter().map(|index| i32::try_from(*index).unwrap());
    Partitions::from([(TOPIC.into(), indexes.collect())])
}

/// The partitions that are named.
pub(super) fn indexes(partitions: &Partitions) -> Vec<usize> {
    let indexes = partitions.values().flatten();
    indexes
        .map(|index| usize::try_from(*index).unwrap())
        .collect()
}

/// What a producer goes on with.
pub(super) type Given = Result<(ProducerId, ProducerEpoch), ResponseError>;

fn replay(shard: &mut TransactionShard, at: usize, record: &EncodedRecord) {
    let origin = RecordOrigin::at(Offset(i64::try_from(at).unwrap()));
    let record = TransactionRecord::decode(&record.key, record.value.as_deref()).unwrap();
    shard.replay(origin, record);
}

fn make_partitions(fs: &Arc<dyn Fs>, count: usize) -> Vec<Partition> {
    let dir = LogDir::open(Arc::clone(fs), Path::new("/data")).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(LogConfig::default(), id);
    let (manager, _) = LogManager::open(Arc::clone(fs), vec![dir], &decide, 1, START).unwrap();
    let rules = Arc::new(TopicRules::new(
        &TopicConfig::default(),
        &BrokerConfig::with_overrides([("ottla.flush.on.acks.all", "false")]).unwrap(),
    ));
    let indexes = 0..i32::try_from(count).unwrap();
    indexes
        .map(|index| {
            let id = TopicPartition {
                topic: TOPIC.to_owned(),
                partition: PartitionIndex(index),
            };
            let log = manager.create(&id, None, LogConfig::default(), START);
            let (log, rules) = (log.unwrap(), Arc::clone(&rules));
            let space = Arc::new(DiskSpace::new(0, u64::MAX));
            Partition::new(
                id,
                TopicId::METADATA,
                log,
                LeaderEpoch(0),
                rules,
                flusher(),
                space,
            )
        })
        .collect()
}

/// Nothing is flushed here, but a partition has to know somebody who would.
fn flusher() -> Arc<Flusher> {
    static FLUSHER: OnceLock<Arc<Flusher>> = OnceLock::new();
    let start = || Arc::new(Flusher::start(1, Arc::new(SystemClock)).unwrap());
    Arc::clone(FLUSHER.get_or_init(start))
}

struct Content {
    /// For a marker: whether it commits.
    is_marker: Option<bool>,
    records: Vec<String>,
}

fn batches(partition: &Partition) -> Vec<(BatchHeader, Content)> {
    let start = partition.offsets().log_start;
    let slice = partition.read(
        start,
        Isolation::ReadUncommitted,
        u32::MAX,
        true,
        Source::Disk,
    );
    let mut found = Vec::new();
    for range in slice.unwrap().ranges {
        let mut bytes = vec![0; range.len as usize];
        assert_eq!(
            range.file.read_at(&mut bytes, range.position).unwrap(),
            bytes.len()
        );
        let mut rest = &bytes[..];
        while let Some(header) = BatchHeader::read(rest) {
            let (batch, behind) = rest.split_at(header.size().unwrap());
            found.push((header, content(&header, &batch[61..])));
            rest = behind;
        }
    }
    found
}

fn content(header: &BatchHeader, body: &[u8]) -> Content {
    let mut reader = RecordReader::new(header, body, usize::MAX).unwrap();
    let mut content = Content {
        is_marker: None,
        records: Vec::new(),
    };
    while let Some(record) = reader.next().unwrap() {
        match header.is_control() {
            true => content.is_marker = EndTxnMarker::parse(&record).map(|marker| marker.committed),
            false => {
                let value = String::from_utf8(record.value.unwrap().to_vec());
                content.records.push(value.unwrap());
            }
        }
    }
    content
}
