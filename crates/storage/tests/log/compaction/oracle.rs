//! A workload of keyed records, tombstones, idempotent producers and transactions, and an oracle that says by brute force
//! which records must be left after each round of compaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp,
    TopicPartition,
};
use ottla_protocol::record::batch::HEADER_LEN;
use ottla_protocol::record::{BatchBuilder, BatchHeader, EndTxnMarker, RecordReader, ValidBatch};
use ottla_storage::cleaner::{Cleaned, CleanerLimits};
use ottla_storage::{
    AppendError, AppendOrigin, CleanError, Disposition, Fs, LogCleaner, LogConfig, LogDir,
    LogManager, PartitionLog,
};

use crate::support::{Random, batches, bytes};

pub(crate) const DELETE_RETENTION: i64 = 1000;

pub(crate) const LIMITS: CleanerLimits = CleanerLimits {
    map_bytes: 1 << 20,
    map_load_factor: 0.9,
    io_buffer_bytes: 700,
    max_content: 1 << 20,
};

/// A record by its content: key, value, timestamp.
pub(crate) type Content = (Vec<u8>, Option<Vec<u8>>, i64);

/// A record that was appended.
#[derive(Clone, Debug)]
pub(crate) struct Appended {
    pub(crate) content: Content,
    /// Index of its batch.
    batch: usize,
    /// Index of its transaction.
    pub(crate) txn: Option<usize>,
}

/// The last batch of a producer as of some end of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    /// Its last sequence; `None` for a marker.
    pub(crate) sequence: Option<i32>,
    /// The offset behind it.
    pub(crate) end: i64,
}

/// Everything that was appended, and what compaction must have left of it.
#[derive(Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) records: BTreeMap<i64, Appended>,
    /// Of each transaction whether it was committed, and the offset of the marker, once it has ended.
    pub(crate) outcomes: Vec<Option<(bool, i64)>>,
    /// What producers have said.
    pub(crate) words: Vec<Word>,
    /// When the tombstones of a batch may go.
    horizons: BTreeMap<usize, i64>,
    batches: usize,
    pub(crate) alive: BTreeSet<i64>,
    pub(crate) end: i64,
}

impl Oracle {
    fn is(&self, record: &Appended, committed: bool) -> bool {
        match record.txn {
            None => committed,
            Some(txn) => self.outcomes[txn].is_some_and(|(outcome, _)| outcome == committed),
        }
    }

    /// The last committed record of each key below `below`.
    pub(crate) fn latest(&self, below: i64) -> BTreeMap<Vec<u8>, i64> {
        let committed = self.records.range(..below);
        let committed = committed.filter(|(_, record)| self.is(record, true));
        committed
            .map(|(offset, record)| (record.content.0.clone(), *offset))
            .collect()
    }

    /// A round took the keys below `upto` into account and copied all segments below `copied`.
    pub(crate) fn clean(&mut self, upto: i64, copied: i64, now: i64) {
        let latest = self.latest(upto);
        let mut alive = std::mem::take(&mut self.alive);
        alive.retain(|offset| {
            let record = &self.records[offset];
            let horizon = self.horizons.get(&record.batch);
            let expired = record.content.1.is_none() && horizon.is_some_and(|at| *at <= now);
            let replaced = latest.get(&record.content.0).is_some_and(|at| offset < at);
            let gone = self.is(record, false) || (*offset < upto && (replaced || expired));
            *offset >= copied || !gone
        });
        for offset in alive.range(..copied) {
            let record = &self.records[offset];
            if record.content.1.is_none() {
                let horizon = self.horizons.entry(record.batch);
                horizon.or_insert(now + DELETE_RETENTION);
            }
        }
        self.alive = alive;
    }

    /// What a reader of committed data is to see below `below`.
    pub(crate) fn committed(&self, below: i64) -> BTreeMap<i64, Content> {
        let alive = self.alive.range(..below).map(|o| (*o, &self.records[o]));
        let committed = alive.filter(|(_, record)| self.is(record, true));
        committed.map(|(o, r)| (o, r.content.clone())).collect()
    }
}

struct Producer {
    epoch: i16,
    sequence: i32,
    txn: Option<usize>,
}

/// A log, its cleaner, and those who write to it.
pub(crate) struct Bench {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) config: LogConfig,
    pub(crate) manager: LogManager,
    pub(crate) cleaner: LogCleaner,
    pub(crate) log: Arc<PartitionLog>,
    pub(crate) oracle: Oracle,
    /// A copy of it that is told of each batch just before the log is.
    pub(crate) ahead: Arc<Mutex<Oracle>>,
    producers: BTreeMap<i64, Producer>,
    pub(crate) now: i64,
    dir: std::path::PathBuf,
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition {
        topic: "compacted".to_owned(),
        partition: PartitionIndex(0),
    }
}

pub(crate) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 200,
        producer_id_expiration_ms: i64::MAX,
        file_delete_delay_ms: 0,
        compact: true,
        delete: false,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: DELETE_RETENTION,
        ..LogConfig::default()
    }
}

pub(crate) fn start(fs: &Arc<dyn Fs>, dir: &Path, config: &LogConfig) -> LogManager {
    let log_dir = LogDir::open(Arc::clone(fs), dir).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(config.clone(), id);
    let (manager, loaded) =
        LogManager::open(Arc::clone(fs), vec![log_dir], &decide, 1, Timestamp(0)).unwrap();
    assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
    manager
}

impl Bench {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path, config: LogConfig) -> Self {
        let manager = start(&fs, dir, &config);
        let log = manager.create(&partition(), None, config.clone(), Timestamp(0));
        let log = log.unwrap();
        Self {
            cleaner: LogCleaner::new(&manager),
            fs,
            config,
            manager,
            log,
            oracle: Oracle::default(),
            ahead: Arc::default(),
            producers: BTreeMap::new(),
            now: 1,
            dir: dir.to_owned(),
        }
    }

    /// Stop and start again; without closing anything unless `clean`.
    pub(crate) fn reopen(&mut self, clean: bool) {
        if clean {
            self.manager.close(1).unwrap();
        }
        self.manager = start(&self.fs, &self.dir, &self.config);
        self.cleaner = LogCleaner::new(&self.manager);
        self.log = self.manager.get(&partition()).expect("the log is there");
        self.log.lock().on_high_watermark(Offset(self.oracle.end));
    }

    /// Below it all transactions have ended.
    pub(crate) fn stable(&self) -> Offset {
        let reader = self.log.reader();
        let first_unstable = reader.first_unstable_offset();
        first_unstable.unwrap_or(reader.log_end_offset())
    }

    /// Append a batch of some producer: 0 to 1 plain, 2 to 3 idempotent, 4 to 6 transactional.
    pub(crate) fn append(&mut self, random: &mut Random) -> Result<(), AppendError> {
        let who = random.below(7) as i64;
        let count = 1 + random.below(4) as i32;
        let codecs = [0, 0, 0, 1, 2, 3, 4];
        let codec = codecs[random.below(7) as usize];
        let mut builder = BatchBuilder::new().codec(Compression::from_id(codec).unwrap());
        let mut txn = None;
        if who >= 2 {
            let producer = self.producers.entry(who).or_insert(Producer {
                epoch: 0,
                sequence: 0,
                txn: None,
            });
            let epoch = ProducerEpoch(producer.epoch);
            builder = builder.producer(ProducerId(who), epoch, Sequence(producer.sequence));
            producer.sequence += count;
            self.oracle.words.push(Word {
                producer: who,
                epoch: producer.epoch,
                sequence: Some(producer.sequence - 1),
                end: self.oracle.end + i64::from(count),
            });
            if who >= 4 {
                builder = builder.transactional();
                let outcomes = &mut self.oracle.outcomes;
                txn = Some(*producer.txn.get_or_insert_with(|| {
                    outcomes.push(None);
                    outcomes.len() - 1
                }));
            }
        }
        let mut contents = Vec::new();
        for _ in 0..count {
            let key = format!("key {}", random.below(12)).into_bytes();
            let large = if random.chance(5) { 500 } else { 30 };
            let size = random.below(large) as usize;
            let value = (!random.chance(25)).then(|| vec![random.next() as u8; size]);
            let at = self.now - random.below(5) as i64;
            builder.append(Timestamp(at), Some(&key), value.as_deref());
            contents.push((key, value, at));
        }
        if random.chance(20) {
            let at = self.now + 3;
            builder = builder.log_append_time(Timestamp(at));
            contents.iter_mut().for_each(|content| content.2 = at);
        }
        self.record(&contents, txn);
        self.push(builder.build().unwrap(), AppendOrigin::Client)
    }

    /// Commit or abort some open transaction; at times the producer comes back with another epoch.
    pub(crate) fn end_txn(&mut self, random: &mut Random) -> Result<(), AppendError> {
        let open = self.producers.iter().filter(|(_, p)| p.txn.is_some());
        let open: Vec<i64> = open.map(|(id, _)| *id).collect();
        if open.is_empty() {
            return Ok(());
        }
        let id = open[random.below(open.len() as u64) as usize];
        let committed = random.chance(50);
        let producer = self.producers.get_mut(&id).expect("it is open");
        if random.chance(30) {
            producer.epoch += 1;
            producer.sequence = 0;
        }
        let epoch = ProducerEpoch(producer.epoch);
        let txn = producer.txn.take().expect("it is open");
        self.oracle.outcomes[txn] = Some((committed, self.oracle.end));
        self.oracle.end += 1;
        self.oracle.words.push(Word {
            producer: id,
            epoch: epoch.0,
            sequence: None,
            end: self.oracle.end,
        });
        self.oracle.batches += 1;
        let marker = EndTxnMarker {
            committed,
            coordinator_epoch: 3,
        };
        let batch = marker.batch(ProducerId(id), epoch, Timestamp(self.now));
        self.push(batch.unwrap(), AppendOrigin::Coordinator)
    }

    fn record(&mut self, contents: &[Content], txn: Option<usize>) {
        let oracle = &mut self.oracle;
        for content in contents {
            let record = Appended {
                content: content.clone(),
                batch: oracle.batches,
                txn,
            };
            oracle.records.insert(oracle.end, record);
            oracle.alive.insert(oracle.end);
            oracle.end += 1;
        }
        oracle.batches += 1;
    }

    fn push(&self, batch: ValidBatch, origin: AppendOrigin) -> Result<(), AppendError> {
        *self.ahead.lock().unwrap() = self.oracle.clone();
        let mut log = self.log.lock();
        let now = Timestamp(self.now);
        let info = log.append(batch, LeaderEpoch(1), origin, now)?;
        assert!(!info.duplicate);
        assert_eq!(info.last_offset.0 + 1, self.oracle.end);
        log.on_high_watermark(Offset(self.oracle.end));
        Ok(())
    }

    /// One round, if one is due, in the log and in the oracle.
    pub(crate) fn clean(&mut self, limits: &CleanerLimits) -> Result<Option<Cleaned>, CleanError> {
        let (now, stable) = (Timestamp(self.now), self.stable());
        let logs = [(Arc::clone(&self.log), stable)].into_iter();
        let Some(target) = self.cleaner.next(logs, now) else {
            return Ok(None);
        };
        let before = self.log.lock().segment_metas().unwrap();
        let cleaned = self
            .cleaner
            .clean(&self.manager, &target, limits, now, &|_| true)?;
        let copied = before.iter().filter(|s| s.base_offset < cleaned.upto);
        let copied = copied.map(|s| s.end_offset.0).max().unwrap_or(0);
        self.oracle.clean(cleaned.upto.0, copied, self.now);
        Ok(Some(cleaned))
    }
}

/// A record by its offset, with whether it is aborted in the eyes of a reader of committed data.
pub(crate) struct View {
    pub(crate) headers: Vec<BatchHeader>,
    /// Every record.
    pub(crate) all: BTreeMap<i64, Content>,
    /// Those that a consumer of committed data hands out.
    pub(crate) committed: BTreeMap<i64, Content>,
}

/// Read a log below `below` as a consumer of committed data does, `max_bytes` at a time.
pub(crate) fn view(log: &PartitionLog, below: Offset, max_bytes: u32) -> View {
    let reader = log.reader();
    let mut view = View {
        headers: Vec::new(),
        all: BTreeMap::new(),
        committed: BTreeMap::new(),
    };
    let mut next = reader.log_start_offset();
    loop {
        let slice = reader.read(next, below, max_bytes, true).unwrap();
        if slice.is_empty() {
            return view;
        }
        let mut ahead = reader.aborted_transactions(&slice).unwrap();
        ahead.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
        let mut aborted = HashSet::new();
        for (header, bytes) in batches(&bytes(&slice)) {
            while let Some(txn) = ahead.pop_if(|txn| txn.first_offset <= header.last_offset()) {
                aborted.insert(txn.producer_id);
            }
            let hidden = header.is_transactional() && aborted.contains(&header.producer_id());
            view.add(&header, &bytes[HEADER_LEN..], hidden, &mut aborted);
            next = header.next_offset();
        }
    }
}

impl View {
    fn add(
        &mut self,
        header: &BatchHeader,
        body: &[u8],
        hidden: bool,
        aborted: &mut HashSet<ProducerId>,
    ) {
        assert!(
            self.headers
                .last()
                .is_none_or(|last| header.base_offset() > last.last_offset()),
            "offsets ascend"
        );
        self.headers.push(*header);
        let mut records = RecordReader::new(header, body, 1 << 20).unwrap();
        while let Some(record) = records.next().unwrap() {
            if header.is_control() {
                if EndTxnMarker::parse(&record).is_some_and(|marker| !marker.committed) {
                    aborted.remove(&header.producer_id());
                }
                continue;
            }
            let offset = header.base_offset().0 + i64::from(record.offset_delta);
            let at = match header.is_log_append_time() {
                true => header.max_timestamp().0,
                false => header.base_timestamp().0 + record.timestamp_delta,
            };
            let content = (
                record.key.unwrap().to_vec(),
                record.value.map(<[u8]>::to_vec),
                at,
            );
            if !hidden {
                self.committed.insert(offset, content.clone());
            }
            self.all.insert(offset, content);
        }
    }
}
