//! Compaction against an oracle: random work in virtual time, and after each round exactly the right records are left,
//! whoever reads them, and the log goes on as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, ProducerId, Timestamp};
use ottla_storage::cleaner::CleanerLimits;
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::{Fs, LogConfig};

use crate::support::Random;
use oracle::{Bench, LIMITS, config, view};

mod crash;
mod oracle;
mod speed;

const DIR: &str = "/data";

fn bench(config: LogConfig) -> Bench {
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    Bench::new(fs, Path::new(DIR), config)
}

/// The log holds what the oracle says, for every kind of reader.
fn check(bench: &Bench, random: &mut Random) {
    let oracle = &bench.oracle;
    let end = Offset(oracle.end);
    assert_eq!(bench.log.reader().log_end_offset(), end);
    let max_bytes = 200 + random.below(3000) as u32;
    let all = view(&bench.log, end, max_bytes);
    let alive = oracle
        .alive
        .iter()
        .map(|o| (*o, oracle.records[o].content.clone()));
    let alive: BTreeMap<_, _> = alive.collect();
    assert_eq!(all.all, alive, "every record");
    let stable = bench.stable();
    let committed = view(&bench.log, stable, max_bytes).committed;
    assert_eq!(committed, oracle.committed(stable.0), "committed records");
    // The last value of each key, which is what compaction promises, unless it is a tombstone whose time has come.
    for (key, at) in oracle.latest(stable.0) {
        let left = committed.get(&at);
        assert!(
            left.is_some() || oracle.records[&at].content.1.is_none(),
            "{key:?} has lost its value"
        );
    }
    // A marker stays as long as a batch of its transaction.
    let last = |id| all.headers.iter().rfind(|h| h.producer_id() == id);
    for id in (4..7).map(ProducerId) {
        let open = bench.log.lock().producers().get(id).cloned();
        let open = open.is_some_and(|entry| entry.txn_first_offset.is_some());
        assert!(last(id).is_none_or(|header| open || header.is_control()));
    }
    // A reader may come with any offset, one without record too.
    let start = bench.log.reader().log_start_offset().0;
    let from = start + random.below((end.0 - start + 1) as u64) as i64;
    let slice = bench
        .log
        .reader()
        .read(Offset(from), end, 500, true)
        .unwrap();
    let first = all.headers.iter().find(|h| h.last_offset().0 >= from);
    assert_eq!(
        (!slice.is_empty()).then_some(slice.first_batch_base_offset),
        first.map(|header| header.base_offset()),
    );
}

/// What the log knows of each producer.
fn producers(bench: &Bench) -> BTreeMap<i64, (i16, i32, Option<Offset>, i32)> {
    let log = bench.log.lock();
    let known = log.producers().producers();
    known
        .map(|(id, entry)| {
            let open = entry.txn_first_offset;
            let last = entry.last_sequence().0;
            (id.0, (entry.epoch.0, last, open, entry.coordinator_epoch))
        })
        .collect()
}

/// Forget all snapshots and start again: the producers are found in the batches that compaction has left.
fn rebuild_producers(bench: &mut Bench) {
    let before = producers(bench);
    bench.log.flush().unwrap();
    let dir = bench.log.lock().dir();
    for entry in bench.fs.list(&dir).unwrap() {
        if entry.name.ends_with(".snapshot") {
            bench.fs.remove_file(&dir.join(entry.name)).unwrap();
        }
    }
    bench.reopen(false);
    let after = producers(bench);
    for (id, (epoch, sequence, open, coordinator)) in before {
        let Some((e, s, o, c)) = after.get(&id) else {
            panic!("producer {id} is forgotten");
        };
        assert_eq!((epoch, sequence, open), (*e, *s, *o), "producer {id}");
        // Known from the marker alone, which may have been removed with all that it ended.
        assert!(*c == coordinator || *c == -1, "producer {id}");
    }
}

fn run(seed: u64, steps: usize) -> usize {
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut bench = bench(config());
    let mut rounds = 0;
    for _ in 0..steps {
        match random.below(100) {
            0..55 => bench.append(&mut random).unwrap(),
            55..72 => bench.end_txn(&mut random).unwrap(),
            72..76 => bench.log.lock().roll(Timestamp(bench.now)).unwrap(),
            76..80 => bench.now += random.below(900) as i64,
            80..92 => {
                let limits = CleanerLimits {
                    map_bytes: if random.chance(30) { 120 } else { 1 << 20 },
                    ..LIMITS
                };
                if bench.clean(&limits).unwrap().is_some() {
                    rounds += 1;
                }
                check(&bench, &mut random);
            }
            92..95 => bench.manager.housekeeping(Timestamp(i64::MAX)).unwrap(),
            95..96 => bench.manager.checkpoint().unwrap(),
            96..98 => {
                let clean = random.chance(50);
                bench.reopen(clean);
                check(&bench, &mut random);
            }
            _ => {
                rebuild_producers(&mut bench);
                check(&bench, &mut random);
            }
        }
    }
    check(&bench, &mut random);
    rounds
}

#[test]
fn exactly_the_right_records_are_left_whatever_happens() {
    let rounds: usize = (0..40).map(|seed| run(seed, 300)).sum();
    println!("{rounds} rounds");
    assert!(rounds > 400, "{rounds}");
}
