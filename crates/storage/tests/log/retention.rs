//! Retention against a plain list of batches: after random work and random limits a log holds exactly what has not
//! expired, batch by batch, and its files no more than they may.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ottla_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicPartition};
use ottla_protocol::record::{BatchBuilder, BatchHeader, ValidBatch};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::{
    AppendOrigin, Disposition, Expiry, Fs, LogConfig, LogDir, LogManager, PartitionLog, ReadError,
    Retention,
};

use crate::support::{Random, batches, bytes, read_on};

const DIR: &str = "/data";
const FOR_EVER: Retention = Retention { ms: -1, bytes: -1 };

fn tp() -> TopicPartition {
    TopicPartition {
        topic: "t".to_owned(),
        partition: PartitionIndex(0),
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 3000,
        segment_ms: i64::MAX,
        index_interval_bytes: 300,
        ..LogConfig::default()
    }
}

/// A manager with the one log.
struct Node {
    fs: Arc<dyn Fs>,
    manager: LogManager,
    log: Arc<PartitionLog>,
}

impl Node {
    fn start(fs: Arc<dyn Fs>, config: &LogConfig) -> Self {
        let dir = LogDir::open(Arc::clone(&fs), Path::new(DIR)).unwrap();
        let decide = |_: &TopicPartition, id| Disposition::Open(config.clone(), id);
        let (manager, loaded) =
            LogManager::open(Arc::clone(&fs), vec![dir], &decide, 1, Timestamp(0)).unwrap();
        assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
        let log = manager
            .create(&tp(), None, config.clone(), Timestamp(0))
            .unwrap();
        Self { fs, manager, log }
    }

    fn again(self, config: &LogConfig) -> Self {
        let Self { fs, manager, log } = self;
        drop((manager, log));
        Self::start(fs, config)
    }

    fn append(&self, batch: ValidBatch) -> (BatchHeader, Vec<u8>) {
        let end = self.log.reader().log_end_offset();
        let mut log = self.log.lock();
        log.append(batch, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0))
            .unwrap();
        let slice = self
            .log
            .reader()
            .read(end, Offset(i64::MAX), 0, true)
            .unwrap();
        batches(&bytes(&slice)).remove(0)
    }

    fn expire(&self, policy: &Retention, below: Offset, now: i64) -> Expiry {
        let expiry = self
            .log
            .reader()
            .expired(policy, below, Timestamp(now))
            .unwrap();
        self.log.lock().expire(&expiry, Timestamp(now)).unwrap();
        self.manager.release(&[Arc::clone(&self.log)]).unwrap();
        expiry
    }

    /// Bytes of the `.log` files, and how many there are.
    fn files(&self) -> (u64, usize) {
        let dir = Path::new(DIR).join("t-0");
        let names = self
            .fs
            .list(&dir)
            .unwrap()
            .into_iter()
            .map(|entry| entry.name);
        let logs = names.filter(|name| name.ends_with(".log"));
        let sizes = logs.map(|name| self.fs.stat(&dir.join(name)).unwrap().unwrap().len);
        sizes.fold((0, 0), |(bytes, count), size| (bytes + size, count + 1))
    }
}

fn records(random: &mut Random, at: i64) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    let large = random.chance(10);
    let size = random.below(if large { 400 } else { 70 });
    for _ in 0..=random.below(3) {
        let value: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
        builder.append(Timestamp(at), None, Some(&value));
    }
    builder.build().unwrap()
}

struct Model {
    all: Vec<(BatchHeader, Vec<u8>)>,
    start: Offset,
}

impl Model {
    fn kept(&self) -> &[(BatchHeader, Vec<u8>)] {
        let gone = self
            .all
            .partition_point(|(header, _)| header.last_offset() < self.start);
        &self.all[gone..]
    }

    /// Where the log must start, by looking at every batch.
    fn expected(&self, node: &Node, policy: &Retention, below: Offset, now: i64) -> Offset {
        let metas = node.log.lock().segment_metas().unwrap();
        let mut left: u64 = self
            .kept()
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        let mut start = self.start;
        let mut held = false;
        for (header, bytes) in self.kept() {
            left -= bytes.len() as u64;
            if policy.bytes >= 0 && left >= policy.bytes as u64 {
                (start, held) = (header.next_offset(), false);
            }
            let offset = header.base_offset();
            let segment = metas
                .iter()
                .find(|s| offset >= s.base_offset && offset < s.end_offset);
            let segment = segment.unwrap();
            // The next one in the segment that has a timestamp tells the age, or else the segment.
            let rest = self.all.iter().map(|(header, _)| header);
            let next = rest
                .filter(|h| h.base_offset() >= offset && h.base_offset() < segment.end_offset)
                .map(|header| header.max_timestamp())
                .find(|timestamp| timestamp.0 >= 0);
            let age = next.unwrap_or(segment.max_timestamp).0.max(0);
            held |= start < header.next_offset() && (policy.ms < 0 || now - age <= policy.ms);
            if !held {
                start = header.next_offset();
            }
        }
        start.min(below).max(self.start)
    }
}

fn run(seed: u64, steps: usize) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut config = config();
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    let mut node = Node::start(fs, &config);
    let mut model = Model {
        all: Vec::new(),
        start: Offset(0),
    };
    let mut now = 1000_i64;
    for _ in 0..steps {
        now += random.below(20) as i64;
        match random.below(100) {
            0..70 => {
                let at = match random.below(20) {
                    0 => -1,
                    1 => now + 100,
                    2..5 => now - random.below(300) as i64,
                    _ => now,
                };
                model.all.push(node.append(records(&mut random, at)));
            }
            70..74 => node.log.lock().roll(Timestamp(now)).unwrap(),
            74..78 => {
                let span = node.log.reader().log_end_offset().0 - model.start.0;
                let to = model.start.plus(random.below(span as u64 + 1) as i64 / 3);
                node.log.lock().advance_start(to).unwrap();
                node.manager.note_starts(&[Arc::clone(&node.log)]).unwrap();
                model.start = to;
            }
            78..82 => node = node.again(&config),
            82..84 => {
                node.manager.close(1).unwrap();
                node = node.again(&config);
            }
            84..86 => {
                config.segment_bytes = 1500 + random.below(3000) as u32;
                node.log.lock().set_config(config.clone());
            }
            _ => {
                let policy = Retention {
                    ms: [-1, 0, 50, 200, 400][random.below(5) as usize],
                    bytes: [-1, -1, 0, 2000, 9000][random.below(5) as usize],
                };
                let end = node.log.reader().log_end_offset();
                let cut = random.chance(20);
                let below = if cut {
                    end.plus(-(random.below(9) as i64))
                } else {
                    end
                };
                let expected = model.expected(&node, &policy, below, now);
                node.expire(&policy, below, now);
                let start = node.log.reader().log_start_offset();
                assert_eq!(start, expected, "{policy:?} at {now}, below {below}");
                model.start = start;
                check_files(&node, &model, &policy, now, below);
            }
        }
        assert_eq!(node.log.reader().log_start_offset(), model.start);
        let found = read_on(node.log.reader(), model.start, 2000);
        assert_eq!(found, model.kept());
    }
}

/// What retention has left on disk, and that it does not look again for nothing.
fn check_files(node: &Node, model: &Model, policy: &Retention, now: i64, below: Offset) {
    let metas = node.log.lock().segment_metas().unwrap();
    let (bytes, count) = node.files();
    assert_eq!(bytes, metas.iter().map(|meta| meta.size).sum::<u64>());
    assert_eq!(count, metas.len());
    let end = node.log.reader().log_end_offset();
    let unseen = metas
        .iter()
        .filter(|meta| meta.end_offset <= model.start && meta.size > 0);
    assert_eq!(unseen.count(), 0, "{metas:?} from {}", model.start);
    assert!(model.start < end || bytes == 0, "an empty log has no bytes");
    if below == end {
        let again = node
            .log
            .reader()
            .expired(policy, below, Timestamp(now))
            .unwrap();
        let first = Expiry {
            start: model.start,
            roll: false,
            looked: again.looked,
        };
        assert_eq!(again, first);
        let again = node
            .log
            .reader()
            .expired(policy, below, Timestamp(now))
            .unwrap();
        assert!(
            !again.looked,
            "nothing is read for a log that keeps what it has"
        );
    }
}

#[test]
fn exactly_what_has_not_expired_is_left() {
    for seed in 0..60 {
        run(seed, 250);
    }
}

fn one_record(at: i64, size: usize) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(at), None, Some(&vec![b'x'; size]));
    builder.build().unwrap()
}

/// A steady stream, looked at after every few batches: what lies below the start stays within the bound.
#[test]
fn the_active_segment_is_rolled_early() {
    let config = LogConfig {
        segment_bytes: 1 << 30,
        index_interval_bytes: 4096,
        ..LogConfig::default()
    };
    let node = Node::start(Arc::new(CrashFs::default()), &config);
    let limit = 8 << 20;
    let policy = Retention {
        ms: -1,
        bytes: limit,
    };
    let mut worst = 0;
    for round in 0..400 {
        for at in 0..4 {
            node.append(one_record(round * 4 + at, 32 << 10));
        }
        node.expire(&policy, Offset(i64::MAX), round * 4);
        // Past the first filling, when the log had not lost anything yet.
        if round > 200 {
            worst = worst.max(node.files().0);
        }
    }
    let between_looks = (4 * 33) << 10;
    let bound = (limit as u64 + between_looks) * 4 / 3;
    assert!(
        worst > limit as u64 && worst <= bound,
        "{worst} bytes, bound {bound}"
    );
}

#[test]
fn an_active_segment_that_has_expired_as_a_whole_goes() {
    let node = Node::start(Arc::new(CrashFs::default()), &config());
    let policy = Retention { ms: 10, bytes: -1 };
    let kept = node.expire(&policy, Offset(0), 1_000_000);
    assert_eq!((kept.start, kept.roll), (Offset(0), false), "an empty log");
    for at in 0..3 {
        node.append(one_record(at, 100));
    }
    node.expire(&policy, Offset(3), 12);
    assert_eq!(node.log.reader().log_start_offset(), Offset(2));
    node.expire(&policy, Offset(3), 13);
    assert_eq!(node.log.reader().log_start_offset(), Offset(3));
    assert_eq!(node.files(), (0, 1));
    // Deleted by other means, for ever kept: the files go all the same.
    node.append(one_record(13, 100));
    node.log.lock().advance_start(Offset(4)).unwrap();
    assert_eq!(node.files().1, 1);
    node.expire(&FOR_EVER, Offset(4), 13);
    assert_eq!(node.files(), (0, 1));
    let again = node.again(&config());
    let reader = again.log.reader();
    assert_eq!(
        (reader.log_start_offset(), reader.log_end_offset()),
        (Offset(4), Offset(4))
    );
}

#[test]
fn readers_at_work_outlive_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let fs = crate::support::os_fs();
    let log_dir = LogDir::open(Arc::clone(&fs), dir.path()).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(config(), id);
    let (manager, _) = LogManager::open(fs, vec![log_dir], &decide, 1, Timestamp(0)).unwrap();
    let log = manager.create(&tp(), None, config(), Timestamp(0)).unwrap();
    let mut expected = Vec::new();
    for at in 0..100 {
        let mut batch = one_record(at, 100);
        let info = log.lock().append(
            batch.clone(),
            LeaderEpoch(1),
            AppendOrigin::Client,
            Timestamp(0),
        );
        batch
            .header_mut()
            .set_base_offset(info.unwrap().base_offset);
        batch.header_mut().set_leader_epoch(LeaderEpoch(1));
        expected.extend(batch.to_bytes());
    }
    let reader = Arc::clone(log.reader());
    let slice = reader
        .read(Offset(0), Offset(i64::MAX), 1 << 20, true)
        .unwrap();
    assert!(slice.ranges.len() > 3, "of several segments");
    let policy = Retention { ms: 0, bytes: -1 };
    let expiry = reader
        .expired(&policy, Offset(100), Timestamp(1000))
        .unwrap();
    log.lock().expire(&expiry, Timestamp(1000)).unwrap();
    manager.release(&[Arc::clone(&log)]).unwrap();
    manager.housekeeping(Timestamp(1000)).unwrap();
    let gone = |suffix: &str| {
        let names = std::fs::read_dir(dir.path().join("t-0")).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        !names.any(|name| name.ends_with(suffix))
    };
    assert!(!gone(".deleted"), "they stay for file.delete.delay.ms");
    let delay = config().file_delete_delay_ms;
    manager.housekeeping(Timestamp(1000 + delay)).unwrap();
    assert!(gone(".deleted"));
    assert_eq!(
        bytes(&slice),
        expected,
        "what was read before can still be sent"
    );
    let refused = reader.read(Offset(0), Offset(i64::MAX), 1 << 20, true);
    assert!(refused.is_err());
}

/// Readers beside retention: each read finds whole batches from its offset on, or that the offset is out of range.
#[test]
fn a_reader_never_stumbles_over_files_that_go() {
    let dir = tempfile::tempdir().unwrap();
    let fs = crate::support::os_fs();
    let log_dir = LogDir::open(Arc::clone(&fs), dir.path()).unwrap();
    let config = LogConfig {
        file_delete_delay_ms: 0,
        ..config()
    };
    let decide = |_: &TopicPartition, id| Disposition::Open(config.clone(), id);
    let (manager, _) = LogManager::open(fs, vec![log_dir], &decide, 1, Timestamp(0)).unwrap();
    let log = manager
        .create(&tp(), None, config.clone(), Timestamp(0))
        .unwrap();
    let append = || {
        let batch = one_record(0, 400);
        let mut log = log.lock();
        log.append(batch, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0))
            .unwrap();
    };
    append();
    let (reads, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (reader, reads, done) = (Arc::clone(log.reader()), &reads, &done);
            scope.spawn(move || {
                let mut random = Random(seed);
                while !done.load(Ordering::Relaxed) {
                    let start = reader.log_start_offset();
                    let span = reader.log_end_offset().0 - start.0;
                    let from = start.plus(random.below(span.max(1) as u64) as i64);
                    match reader.read(from, Offset(i64::MAX), 2000, true) {
                        Ok(slice) if slice.is_empty() => {}
                        Ok(slice) => {
                            assert_eq!(batches(&bytes(&slice))[0].0.base_offset(), from);
                        }
                        Err(ReadError::OffsetOutOfRange { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let policy = Retention {
            ms: -1,
            bytes: 9000,
        };
        for _ in 0..60 {
            (0..20).for_each(|_| append());
            let expiry = log
                .reader()
                .expired(&policy, Offset(i64::MAX), Timestamp(0))
                .unwrap();
            log.lock().expire(&expiry, Timestamp(0)).unwrap();
            manager.release(&[Arc::clone(&log)]).unwrap();
            manager.housekeeping(Timestamp(0)).unwrap();
            log.lock().close_idle_files();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 100);
}
