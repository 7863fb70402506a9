//! The power goes at every single change that a workload makes to its files. What the next start finds must hold all
//! that was flushed, be a part of what was appended without holes, and take the next append.
//!
//! That the walk finds anything is itself tested: planted bugs must not get through.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp, TopicId,
    TopicPartition,
};
use ottla_protocol::record::{BatchBuilder, BatchHeader, ValidBatch};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::{Entry, LockError, LockGuard, OpenMode, Stat};
use ottla_storage::{
    AppendOrigin, Disposition, File, Fs, LogConfig, LogDir, LogManager, PartitionLog, Retention,
};

use crate::support::{Random, read_on};

const DIR: &str = "/data";
/// In a seed: the start moves by retention, and is noted at once or later.
const RETENTION: u64 = 1 << 32;

/// What the log must and may hold.
#[derive(Clone, Default)]
struct Model {
    /// What was appended, in order; two of them while it is not known whether the end was cut.
    histories: Vec<Vec<Vec<u8>>>,
    /// Everything below it was flushed.
    flushed: Offset,
    /// Readers see nothing below it, now or soon.
    start: Offset,
    /// What lies below it never comes back.
    noted: Offset,
}

impl Model {
    fn history(&mut self) -> &mut Vec<Vec<u8>> {
        self.histories.last_mut().unwrap()
    }
}

fn partition() -> TopicPartition {
    TopicPartition {
        topic: "t".to_owned(),
        partition: PartitionIndex(0),
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 300,
        producer_id_expiration_ms: i64::MAX,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

fn header(bytes: &[u8]) -> BatchHeader {
    BatchHeader::read(bytes).unwrap()
}

fn start(fs: &Arc<dyn Fs>) -> LogManager {
    let dir = LogDir::open(Arc::clone(fs), Path::new(DIR)).unwrap();
    let decide = |_: &TopicPartition, id| Disposition::Open(config(), id);
    let (manager, loaded) =
        LogManager::open(Arc::clone(fs), vec![dir], &decide, 1, Timestamp(0)).unwrap();
    assert!(loaded.failed.is_empty(), "{:?}", loaded.failed);
    manager
}

fn log(manager: &LogManager) -> Arc<PartitionLog> {
    let id = Some(TopicId(uuid::Uuid::from_u128(5)));
    manager
        .create(&partition(), id, config(), Timestamp(0))
        .unwrap()
}

/// The next batch of one of three idempotent producers.
fn next_batch(random: &mut Random, sequences: &mut BTreeMap<i64, i32>) -> ValidBatch {
    let id = random.below(3) as i64;
    let count = 1 + random.below(3) as i32;
    let sequence = sequences.entry(id).or_insert(0);
    let mut builder =
        BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), Sequence(*sequence));
    *sequence += count;
    // Sizes all differ, and some batches are larger than what a disk writes as a whole.
    let large = random.chance(12);
    let size = random.below(if large { 900 } else { 90 });
    for _ in 0..count {
        let value: Vec<u8> = (0..size / count as u64)
            .map(|_| random.next() as u8)
            .collect();
        builder.append(Timestamp(0), None, Some(&value));
    }
    builder.build().unwrap()
}

fn append(log: &PartitionLog, batch: ValidBatch) -> Result<Offset, ottla_storage::AppendError> {
    let info = log
        .lock()
        .append(batch, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0))?;
    assert!(!info.duplicate);
    Ok(info.last_offset.plus(1))
}

/// Do what a broker does, and note before and after each step what the log must hold.
fn workload(fs: &Arc<dyn Fs>, model: &Mutex<Model>, seed: u64, steps: usize) {
    let mut random = Random(seed);
    let mut sequences = BTreeMap::new();
    let mut manager = start(fs);
    let mut partition_log = log(&manager);
    for _ in 0..steps {
        match random.below(100) {
            0..60 => {
                let batch = next_batch(&mut random, &mut sequences);
                let mut stored = batch.clone();
                stored
                    .header_mut()
                    .set_base_offset(partition_log.reader().log_end_offset());
                stored.header_mut().set_leader_epoch(LeaderEpoch(1));
                model
                    .lock()
                    .unwrap()
                    .history()
                    .push(stored.to_bytes().to_vec());
                append(&partition_log, batch).unwrap();
            }
            60..72 => {
                let upto = partition_log.flush().unwrap();
                model.lock().unwrap().flushed = upto;
            }
            72..80 => {
                let upto = partition_log.reader().log_end_offset();
                manager.checkpoint().unwrap();
                model.lock().unwrap().flushed = upto;
            }
            80..84 => partition_log.lock().roll(Timestamp(0)).unwrap(),
            84..88 if seed & RETENTION != 0 => {
                retain(&manager, &partition_log, model, &mut random);
            }
            84..88 => {
                let from = partition_log.reader().log_start_offset();
                let span = partition_log.reader().log_end_offset().0 - from.0;
                let to = from.plus(random.below(span as u64 + 1) as i64 / 2);
                model.lock().unwrap().start = to;
                partition_log.lock().advance_start(to).unwrap();
            }
            88..91 => manager.housekeeping(Timestamp(1)).unwrap(),
            91..95 => {
                cut(&manager, &partition_log, model, &mut random);
                // Cut producers go on where the log says.
                let state = partition_log.lock();
                sequences = (state.producers().producers())
                    .map(|(id, entry)| (id.0, entry.last_sequence().0 + 1))
                    .collect();
            }
            _ => {
                let upto = partition_log.reader().log_end_offset();
                manager.close(7).unwrap();
                model.lock().unwrap().flushed = upto;
                drop((partition_log, manager));
                manager = start(fs);
                partition_log = log(&manager);
            }
        }
    }
}

/// Let go of the oldest batches, and note the new start or not.
fn retain(
    manager: &LogManager,
    log: &Arc<PartitionLog>,
    model: &Mutex<Model>,
    random: &mut Random,
) {
    let policy = Retention {
        ms: -1,
        bytes: random.below(2 * log.reader().size() + 1) as i64,
    };
    let end = log.reader().log_end_offset();
    let expiry = log.reader().expired(&policy, end, Timestamp(0)).unwrap();
    model.lock().unwrap().start = expiry.start;
    log.lock().expire(&expiry, Timestamp(0)).unwrap();
    let logs = [Arc::clone(log)];
    match random.below(3) {
        0 => return,
        1 => manager.note_starts(&logs).unwrap(),
        _ => manager.release(&logs).unwrap(),
    }
    model.lock().unwrap().noted = expiry.start;
}

/// Cut off the last few batches.
fn cut(manager: &LogManager, log: &PartitionLog, model: &Mutex<Model>, random: &mut Random) {
    let start = log.reader().log_start_offset();
    let to = {
        let mut model = model.lock().unwrap();
        let mut kept = model.history().clone();
        let count = random.below(6) as usize;
        let mut to = log.reader().log_end_offset();
        for _ in 0..count {
            match kept.pop_if(|bytes| header(bytes).base_offset() >= start) {
                Some(bytes) => to = header(&bytes).base_offset(),
                None => break,
            }
        }
        model.flushed = model.flushed.min(to);
        model.histories.push(kept);
        to
    };
    manager.truncate_to(&partition(), to, Timestamp(0)).unwrap();
    let mut model = model.lock().unwrap();
    model.histories.remove(0);
}

/// Start on what the power cut left, and compare.
fn check(image: &CrashFs, model: &Model) {
    let fs: Arc<dyn Fs> = Arc::new(image.clone());
    let manager = start(&fs);
    if manager.get(&partition()).is_none() {
        assert_eq!(model.flushed, Offset(0), "the log is gone");
    }
    let partition_log = log(&manager);
    let found = check_content(&partition_log, model);
    // A log that was cut down to its start has forgotten the producers of records that a lost note of the start shows.
    let readable = found.partition_point(|bytes| header(bytes).last_offset() < model.start);
    check_producers(&partition_log, &found[readable..]);
    // Some more appends, past what was lost, and what the next start finds is exactly that.
    let mut end = partition_log.reader().log_end_offset();
    for sequence in 0..6 {
        let mut builder =
            BatchBuilder::new().producer(ProducerId(9), ProducerEpoch(0), Sequence(sequence));
        builder.append(Timestamp(0), None, Some(b"one more"));
        end = end.plus(1);
        let appended = append(&partition_log, builder.build().unwrap());
        assert_eq!(appended.unwrap(), end);
    }
    let from = partition_log.reader().log_start_offset();
    let expected = read_on(partition_log.reader(), from, 700);
    drop((partition_log, manager));
    let manager = start(&fs);
    let partition_log = log(&manager);
    let again = read_on(partition_log.reader(), from, 500);
    assert!(again == expected, "found and appended after another start");
    let again: Vec<Vec<u8>> = (again.into_iter().map(|(_, bytes)| bytes))
        .skip_while(|bytes| header(bytes).last_offset() < model.start)
        .collect();
    check_producers(&partition_log, &again);
}

fn check_content(log: &PartitionLog, model: &Model) -> Vec<Vec<u8>> {
    let reader = log.reader();
    let (from, end) = (reader.log_start_offset(), reader.log_end_offset());
    // While nothing was ever flushed, even the name of the first segment may be lost, and later ones be there.
    let promised = model.flushed > Offset(0);
    assert!(
        from <= model.start || !promised,
        "the log starts at {from}, not at {}",
        model.start
    );
    assert!(from >= model.noted, "the log starts at {from} again");
    assert!(
        end >= model.flushed,
        "the log ends at {end}, flushed was {}",
        model.flushed
    );
    let found: Vec<Vec<u8>> = read_on(reader, from, 700)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let holds = |history: &Vec<Vec<u8>>| {
        let first = history.partition_point(|bytes| header(bytes).last_offset() < from);
        history[first..].starts_with(&found)
    };
    assert!(model.histories.iter().any(holds), "not what was appended");
    let last = found
        .last()
        .map_or(from, |bytes| header(bytes).next_offset());
    assert_eq!(last, end, "something is missing at the end");
    found
}

/// The last batch of every producer is known as such.
fn check_producers(log: &PartitionLog, found: &[Vec<u8>]) {
    let mut last = BTreeMap::new();
    for bytes in found {
        last.insert(header(bytes).producer_id().0, bytes);
    }
    for bytes in last.into_values() {
        let repeated = ValidBatch::from_trusted_bytes(bytes.clone().into()).unwrap();
        let info = log
            .lock()
            .append(repeated, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0));
        let info = info.unwrap();
        assert!(info.duplicate && info.base_offset == header(bytes).base_offset());
    }
}

/// Walk the crash point through one workload; how many points there were.
fn walk(seed: u64, steps: usize, plant: Option<Plant>) -> usize {
    let disk = CrashFs::default();
    let model = Arc::new(Mutex::new(Model {
        histories: vec![Vec::new()],
        ..Model::default()
    }));
    let points = Arc::new(Mutex::new(0_usize));
    let (seen, count) = (Arc::clone(&model), Arc::clone(&points));
    disk.observe(Box::new(move |disk| {
        let point = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count as u64
        };
        let percent = [0, 30, 60, 90, 100][(point % 5) as usize];
        let image = disk.crash(seed ^ point << 20, percent);
        let model = seen.lock().unwrap().clone();
        let checked = catch_unwind(AssertUnwindSafe(|| check(&image, &model)));
        if checked.is_err() {
            panic!("seed {seed}, power cut at change {point}, {percent} % kept");
        }
    }));
    let fs: Arc<dyn Fs> = match plant {
        None => Arc::new(disk),
        Some(plant) => Arc::new(Planted { disk, plant }),
    };
    workload(&fs, &model, seed, steps);
    *points.lock().unwrap()
}

/// `OTTLA_CRASH_SEEDS=from..to` walks other ones than the few of every run.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("OTTLA_CRASH_SEEDS").ok();
    given.map_or(0..16, |given| {
        let (from, to) = given.split_once("..").expect("from..to");
        from.parse().unwrap()..to.parse().unwrap()
    })
}

#[test]
fn a_power_cut_at_any_change_loses_nothing_that_was_flushed() {
    let mut points = 0;
    for seed in seeds() {
        println!("seed {seed}");
        points += walk(seed, 60 + (seed / 16 % 60) as usize, None);
    }
    println!("{points} points");
    assert!(points > 1000, "{points}");
}

#[test]
fn a_power_cut_at_any_change_of_retention_brings_nothing_back() {
    let mut points = 0;
    for seed in 0..12 {
        println!("seed {seed}");
        points += walk(RETENTION | seed, 80, None);
    }
    println!("{points} points");
    assert!(points > 1000, "{points}");
}

/// Segments that lie below the start of the log are part of it until the start is noted durably: a flush that leaves
/// them out loses what comes behind them.
#[test]
fn a_flush_covers_segments_below_a_start_that_is_not_noted() {
    walk(1202, 90, None);
}

/// A log that is cut down to such a start keeps those segments until the new beginning is durable.
#[test]
fn a_cut_to_a_start_that_is_not_noted_does_not_begin_at_zero_again() {
    walk(650, 60, None);
}

/// Segments below a noted start stay until the one behind them is sure to be in the directory.
#[test]
fn a_log_does_not_begin_with_a_hole() {
    walk(627, 99, None);
}

/// A bug, planted in the file system below the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plant {
    /// The names in directories are never synced.
    NoDirSync,
    /// Files are never synced.
    NoFileSync,
    /// Every second sync of a file is left out.
    HalfOfTheSyncs,
    /// A torn tail is not cut off.
    NoCut,
    /// Files are not removed.
    NoRemove,
    /// A checkpoint is written in place.
    NoRename,
}

#[test]
fn planted_bugs_are_found() {
    for plant in [
        Plant::NoDirSync,
        Plant::NoFileSync,
        Plant::HalfOfTheSyncs,
        Plant::NoCut,
        Plant::NoRemove,
        Plant::NoRename,
    ] {
        let found = (0..12)
            .any(|seed| catch_unwind(AssertUnwindSafe(|| walk(seed, 60, Some(plant)))).is_err());
        assert!(found, "{plant:?} was not found");
    }
}

pub(crate) struct Planted {
    pub(crate) disk: CrashFs,
    pub(crate) plant: Plant,
}

struct PlantedFile {
    file: Arc<dyn File>,
    plant: Plant,
    syncs: Mutex<u32>,
}

impl Fs for Planted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(PlantedFile {
            file: self.disk.open(path, mode)?,
            plant: self.plant,
            syncs: Mutex::new(0),
        }))
    }
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.disk.stat(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Plant::NoRename = self.plant {
            let bytes = ottla_storage::fs::read_small(&self.disk, from, 1 << 20)?.unwrap();
            let file = self.disk.open(to, OpenMode::Truncate)?;
            return ottla_storage::fs::write_all_at(&*file, &[&bytes], 0);
        }
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.plant {
            Plant::NoRemove => Ok(()),
            _ => self.disk.remove_file(path),
        }
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self.plant {
            Plant::NoDirSync => Ok(()),
            _ => self.disk.sync_dir(dir),
        }
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        self.disk.lock(path)
    }
    fn available(&self, path: &Path) -> io::Result<u64> {
        self.disk.available(path)
    }
}

impl File for PlantedFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buf, at)
    }
    fn read_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_cached_at(buf, at)
    }
    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        self.file.write_vectored_at(bufs, at)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut syncs = self.syncs.lock().unwrap();
        *syncs += 1;
        match self.plant {
            Plant::NoFileSync => Ok(()),
            Plant::HalfOfTheSyncs if syncs.is_multiple_of(2) => Ok(()),
            _ => self.file.sync_data(),
        }
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.plant {
            Plant::NoCut => Ok(()),
            _ => self.file.set_len(len),
        }
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn reserve(&self, at: u64, len: u64) -> io::Result<()> {
        self.file.reserve(at, len)
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
