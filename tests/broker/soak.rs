//! SIGKILL at random moments, again and again, under idempotent producers with acks=all and every codec, while
//! retention, DeleteRecords and compaction run: no acknowledged record is lost, doubled or out of its order.
//!
//! `OTTLA_SOAK_ROUNDS` and `OTTLA_SOAK_SEED` choose how long and which run; a few rounds are part of every test run.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ottla_protocol::messages::DeleteRecordsRequest;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_tests::client::{Client, topic_name};
use ottla_tests::process::{BrokerProcess, start_and_kill};
use ottla_tests::records;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use producer::Producer;
use reading::{Reading, check_acknowledged};

mod producer;
mod reading;

const ROUNDS: usize = 4;
const KEYS: i64 = 40;
const EARLIEST: i64 = -2;
const LIMIT: i64 = 100_000;
const PRODUCERS_OF_A_PARTITION: usize = 2;
const PROPERTIES: [&str; 5] = [
    "log.retention.check.interval.ms=20",
    "log.flush.offset.checkpoint.interval.ms=1000",
    "log.cleaner.backoff.ms=20",
    "ottla.flush.on.acks.all=false",
    "num.recovery.threads.per.data.dir=2",
];

/// What the broker does to the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// Nothing.
    Kept,
    /// Retention by size.
    Limited,
    /// DeleteRecords.
    Deleted,
    /// Compaction.
    Compacted,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Kept, Self::Limited, Self::Deleted, Self::Compacted];

    fn topic(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Limited => "limited",
            Self::Deleted => "deleted",
            Self::Compacted => "compacted",
        }
    }

    fn configs(self) -> Vec<(&'static str, &'static str)> {
        let own: &[_] = match self {
            Self::Kept | Self::Deleted => &[("retention.ms", "-1")],
            Self::Limited => &[("retention.ms", "-1"), ("retention.bytes", "100000")],
            Self::Compacted => &[
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0.1"),
                ("segment.ms", "100"),
            ],
        };
        [&[("segment.bytes", "1048576")], own].concat()
    }
}

/// A small random generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

struct Soak {
    seed: u64,
    random: Random,
    dir: TempDir,
    producers: Vec<Producer>,
    readings: BTreeMap<Kind, Reading>,
    killed_at_start: usize,
}

impl Soak {
    fn new(seed: u64) -> Self {
        let began = records::max_timestamp(&records::batch(&["now"]));
        let producer = |number: usize| Producer {
            kind: Kind::ALL[number / PRODUCERS_OF_A_PARTITION],
            number,
            id: None,
            next: 0,
            unacknowledged: VecDeque::new(),
            offsets: Vec::new(),
            end: 0,
            repeated: 0,
            began,
            random: Random(seed << 8 | number as u64),
        };
        let count = Kind::ALL.len() * PRODUCERS_OF_A_PARTITION;
        Self {
            seed,
            random: Random(seed),
            dir: TempDir::new().unwrap(),
            producers: (0..count).map(producer).collect(),
            readings: Kind::ALL
                .iter()
                .map(|kind| (*kind, Reading::default()))
                .collect(),
            killed_at_start: 0,
        }
    }

    fn start(&mut self) -> BrokerProcess {
        let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
        while self.random.below(5) == 0 {
            let after = Duration::from_millis(self.random.below(150));
            start_and_kill(program, self.dir.path(), &PROPERTIES, after);
            self.killed_at_start += 1;
        }
        BrokerProcess::start_with(program, self.dir.path(), &PROPERTIES)
    }

    /// Start, check what is there, produce, and kill with requests on their way.
    async fn round(&mut self) {
        let mut broker = self.start();
        let mut client = Client::connect(broker.addr()).await;
        for (kind, reading) in &mut self.readings {
            reading.go_on(&mut client, *kind).await;
            if *kind == Kind::Deleted {
                let span = (reading.next - reading.start).max(1) as u64;
                let to = reading.start + self.random.below(span) as i64;
                delete_records(&mut client, kind.topic(), to).await;
                reading.start = to;
            }
        }
        let target = 50 + self.random.below(1000) as usize;
        let (acknowledged, progress) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = tokio::task::JoinSet::new();
        for mut producer in std::mem::take(&mut self.producers) {
            producer.end = self.readings[&producer.kind].next;
            let (addr, stopped) = (broker.addr(), stopped.clone());
            let (acknowledged, progress) = (Arc::clone(&acknowledged), Arc::clone(&progress));
            tasks.spawn(async move {
                producer.run(addr, &acknowledged, &progress, stopped).await;
                producer
            });
        }
        while acknowledged.load(Ordering::Relaxed) < target {
            progress.notified().await;
        }
        // Producers that do not hear the last answers send again what the broker has, others what it has not.
        let deaf = self.random.below(2) == 0;
        if deaf {
            stop.send(true).expect("producers listen");
        } else {
            broker.kill();
        }
        while let Some(producer) = tasks.join_next().await {
            self.producers.push(producer.expect("no producer fails"));
        }
        broker.kill();
    }

    /// Everything once more from the beginning.
    async fn check_all(&mut self) {
        let broker = self.start();
        let mut client = Client::connect(broker.addr()).await;
        for kind in Kind::ALL {
            self.readings
                .get_mut(&kind)
                .unwrap()
                .go_on(&mut client, kind)
                .await;
            let mut whole = Reading::default();
            let found = whole.go_on(&mut client, kind).await;
            check_acknowledged(kind, whole.start, &found, &self.producers);
            let of_kind = self
                .producers
                .iter()
                .filter(|producer| producer.kind == kind);
            let acknowledged: usize = of_kind.map(|producer| producer.offsets.len()).sum();
            println!(
                "seed {}: {kind:?}: {acknowledged} records acknowledged, {} there from offset {} to {}",
                self.seed,
                found.len(),
                whole.start,
                whole.next
            );
        }
    }
}

async fn delete_records(client: &mut Client, topic: &str, to: i64) {
    let partition = DeleteRecordsPartition::default().with_offset(to);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let response = client.call(2, &request).await;
    let result = &response.topics[0].partitions[0];
    assert_eq!((result.error_code, result.low_watermark), (0, to));
}

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect(name))
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_reordered_over_many_kills() {
    let seed = setting("OTTLA_SOAK_SEED", 1);
    let rounds = setting("OTTLA_SOAK_ROUNDS", ROUNDS as u64);
    println!("seed {seed}, {rounds} rounds");
    let mut soak = Soak::new(seed);
    {
        let broker = soak.start();
        let mut client = Client::connect(broker.addr()).await;
        for kind in Kind::ALL {
            client.create_topic(kind.topic(), 1, &kind.configs()).await;
        }
    }
    for round in 0..rounds {
        soak.round().await;
        if round % 20 == 19 {
            println!("{} rounds", round + 1);
            soak.check_all().await;
        }
    }
    soak.check_all().await;
    let repeated: usize = soak
        .producers
        .iter()
        .map(|producer| producer.repeated)
        .sum();
    let at_start = soak.killed_at_start;
    println!("{at_start} more kills during a start, {repeated} batches sent again for nothing");
    assert!(
        rounds < 20 || (repeated > 0 && at_start > 0),
        "no kill came in between"
    );
}
