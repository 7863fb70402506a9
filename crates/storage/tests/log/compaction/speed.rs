//! How fast a round is, and what it takes; prints, asserts nothing about time. In a release build:
//! `cargo test --release -p ottla-storage --test log speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::{LeaderEpoch, Timestamp};
use ottla_protocol::record::BatchBuilder;
use ottla_storage::cleaner::CleanerLimits;
use ottla_storage::{AppendOrigin, LogConfig};

use super::oracle::{Bench, config};
use crate::support::{Random, os_fs};

/// Bytes appended.
const VOLUME: u64 = 512 << 20;
/// Records of a batch, and bytes of a value.
const RECORDS: usize = 16;
const VALUE: usize = 1000;

/// Seconds of processor time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|f| f.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn round(name: &str, keys: u64, codec: Compression) {
    let dir = tempfile::tempdir().unwrap();
    let large = LogConfig {
        segment_bytes: 64 << 20,
        index_interval_bytes: 4096,
        ..config()
    };
    let mut bench = Bench::new(os_fs(), dir.path(), large);
    let mut random = Random(7);
    let mut volume = 0;
    while volume < VOLUME {
        let mut builder = BatchBuilder::new().codec(codec);
        for _ in 0..RECORDS {
            let key = format!("some key {:016}", random.below(keys));
            let value: Vec<u8> = (0..VALUE / 8)
                .flat_map(|_| (random.next() & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes())
                .collect();
            builder.append(Timestamp(1), Some(key.as_bytes()), Some(&value));
        }
        let batch = builder.build().unwrap();
        volume += batch.size() as u64;
        let mut log = bench.log.lock();
        log.append(batch, LeaderEpoch(0), AppendOrigin::Client, Timestamp(1))
            .unwrap();
    }
    bench.log.flush().unwrap();
    let limits = CleanerLimits {
        map_bytes: 128 << 20,
        map_load_factor: 0.9,
        io_buffer_bytes: 256 << 10,
        max_content: 1 << 30,
    };
    let logs = [(Arc::clone(&bench.log), bench.log.reader().log_end_offset())].into_iter();
    let target = bench.cleaner.next(logs, Timestamp(2)).unwrap();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let cleaned = bench
        .cleaner
        .clean(&bench.manager, &target, &limits, Timestamp(2), &|_| true)
        .unwrap();
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let stats = cleaned.stats;
    let mib = stats.bytes_before as f64 / f64::from(1 << 20);
    println!(
        "{name}: {mib:.0} MiB in {took:.2} s, {:.0} MiB/s, {:.2} CPU s/GiB, {} keys, map {} KiB, {} MiB left",
        mib / took,
        cpu / (mib / 1024.0),
        stats.keys,
        stats.map_bytes >> 10,
        stats.bytes_after >> 20,
    );
    bench.now = 2;
    assert!(stats.bytes_after < stats.bytes_before);
}

#[test]
#[ignore = "a measurement"]
fn speed_of_a_round() {
    round("1000 keys", 1000, Compression::None);
    round("100 000 keys", 100_000, Compression::None);
    round("400 000 keys", 400_000, Compression::None);
    round("1000 keys, lz4", 1000, Compression::Lz4);
    round("100 000 keys, zstd", 100_000, Compression::Zstd);
}
