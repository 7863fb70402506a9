//! The log against a plain list of batches: random work, and after each step every record must be there, whatever
//! the offset and the limit a reader comes with.

use std::path::Path;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::BatchHeader;
use ottla_storage::{Log, LogConfig};

use crate::support::{self, Opening, Random, batch, batches, bytes, open, read_on, small_config};

struct Model {
    batches: Vec<(BatchHeader, Vec<u8>)>,
    start: Offset,
    end: Offset,
}

impl Model {
    fn from(&self, offset: Offset) -> &[(BatchHeader, Vec<u8>)] {
        let first = self
            .batches
            .partition_point(|(header, _)| header.last_offset() < offset);
        &self.batches[first..]
    }

    fn append(&mut self, random: &mut Random, log: &mut Log) {
        let count = 1 + random.below(6) as usize;
        let large = random.chance(10);
        let size = random.below(if large { 600 } else { 60 }) as usize;
        let at = random.below(10_000) as i64;
        let info = support::append(log, batch(random, count, size, at));
        assert_eq!(info.base_offset, self.end);
        let slice = log
            .reader()
            .read(self.end, Offset(i64::MAX), 0, true)
            .unwrap();
        let stored = batches(&bytes(&slice));
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].0.leader_epoch(), LeaderEpoch(1));
        self.end = info.last_offset.plus(1);
        self.batches.extend(stored);
    }

    fn check(&self, random: &mut Random, log: &Log) {
        let reader = log.reader();
        assert_eq!(reader.log_start_offset(), self.start);
        assert_eq!(reader.log_end_offset(), self.end);
        let span = (self.end.0 - self.start.0) as u64;
        let from = Offset(self.start.0 + random.below(span + 1) as i64);
        let small = random.chance(50);
        let max_bytes = random.below(if small { 300 } else { 20_000 }) as u32;
        let found = read_on(&reader, from, max_bytes);
        assert_eq!(
            found,
            self.from(from),
            "from {from}, {max_bytes} bytes at a time"
        );
        self.check_bound(random, log, from);
    }

    /// A read below an offset returns what ends below it, and nothing else.
    fn check_bound(&self, random: &mut Random, log: &Log, from: Offset) {
        let below = Offset(from.0 + random.below(30) as i64);
        let slice = log.reader().read(from, below, 1 << 20, false).unwrap();
        let found = batches(&bytes(&slice));
        let expected = self.from(from).iter();
        let expected: Vec<_> = expected
            .take_while(|(header, _)| header.last_offset() < below)
            .cloned()
            .collect();
        // A slice may end with its segment where the next one leaves a gap; there are none here.
        assert_eq!(found, expected, "from {from} below {below}");
    }
}

fn reopen(dir: &Path, config: &LogConfig, mut log: Log, clean: bool, start: Offset) -> Log {
    let opening = Opening {
        clean,
        recovery_point: log.recovery_point(),
        log_start_offset: start,
    };
    if clean {
        log.close().unwrap();
    }
    drop(log);
    open(dir, config.clone(), opening)
}

fn run(seed: u64, steps: usize) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 4000 + random.below(8000) as u32,
        index_interval_bytes: random.below(1000) as u32,
        ..small_config()
    };
    let mut log = open(dir.path(), config.clone(), Opening::UNKNOWN);
    let mut model = Model {
        batches: Vec::new(),
        start: Offset(0),
        end: Offset(0),
    };
    for _ in 0..steps {
        match random.below(100) {
            0..70 => model.append(&mut random, &mut log),
            70..75 => log.flush().unwrap(),
            75..79 => log.roll(Timestamp(0)).unwrap(),
            79..84 => log = reopen(dir.path(), &config, log, true, model.start),
            84..89 => log = reopen(dir.path(), &config, log, false, model.start),
            89..92 => {
                if let Some(plan) = log.checkpoint_plan().unwrap() {
                    log.flushed(&plan, plan.run()).unwrap();
                }
            }
            92..96 => {
                let back = random.below(10) as usize;
                let ends = model.batches.iter().map(|(header, _)| header.base_offset());
                let to = ends.rev().nth(back).unwrap_or(model.start).max(model.start);
                log.truncate_to(to, Timestamp(0)).unwrap();
                model
                    .batches
                    .retain(|(header, _)| header.last_offset() < to);
                model.end = to;
            }
            _ => {
                let span = (model.end.0 - model.start.0) as u64;
                let start = Offset(model.start.0 + random.below(span + 1) as i64);
                log.delete_before(start).unwrap();
                let garbage = log.take_garbage();
                ottla_storage::remove_garbage(&ottla_storage::OsFs, &garbage).unwrap();
                model.start = start;
                model
                    .batches
                    .retain(|(header, _)| header.last_offset() >= start);
            }
        }
        model.check(&mut random, &log);
    }
}

#[test]
fn every_record_is_found_whatever_happens() {
    for seed in 0..30 {
        run(seed, 150);
    }
}
