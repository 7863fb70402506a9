//! A tailing consumer alone, and beside a consumer that reads a topic from its beginning and from the disk.
//!
//! What is measured is the time from sending a record until the tailing consumer's Fetch, which is parked, has its
//! answer; and how much of both files is in the page cache afterwards (`fincore(1)`; nothing is said of it where that is
//! missing). The topic to be read is dropped from the page cache before.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::record::BatchHeader;

use crate::batch;
use crate::case::{Case, Path};
use crate::client::connect;
use crate::clock::now;
use crate::error::{BenchError, Doing, Result};
use crate::frame_reader::FrameReader;
use crate::lab::{Lab, timestamp_ms};
use crate::produce::fill;
use crate::request::Template;
use crate::sample::{Metric, Sample, Target};
use crate::stats::percentile;

/// Bytes of a batch, and of a fetch, of the topic that is read from its beginning.
const COLD_BATCH: usize = 1 << 20;
/// What a broker may take to be in the page cache because it has written it not long ago; it is not read.
const RECENT: usize = 64 << 20;
/// Bytes of a record of the tail.
const VALUE_LEN: usize = 100;
/// Time between two records of the tail.
const PAUSE: Duration = Duration::from_millis(1);

/// Both topics.
pub(crate) struct Topics {
    hot: String,
    cold: String,
    cold_batch: Bytes,
    cold_batches: usize,
    hot_file: PathBuf,
    cold_file: PathBuf,
    /// Offset of the next record of the tail.
    tail: AtomicU64,
}

impl Topics {
    /// Creates the topics and fills the one that is to be read from its beginning.
    pub(crate) fn create(lab: &Lab) -> Result<Option<Self>> {
        let hot = lab.create_topic("bench-tail", 1)?;
        let cold = lab.create_topic("bench-backfill", 1)?;
        let files = lab.segment(&hot, 0).zip(lab.segment(&cold, 0));
        let Some((hot_file, cold_file)) = files else {
            return Ok(None);
        };
        let cold_batch = batch::of_size(COLD_BATCH, timestamp_ms()).ok_or_else(misfit)?;
        let stored = 2 * lab.extent.stored;
        fill(lab, &cold, 1, &cold_batch, (stored + RECENT) / COLD_BATCH)?;
        Ok(Some(Self {
            hot,
            cold,
            cold_batch,
            cold_batches: stored / COLD_BATCH,
            hot_file,
            cold_file,
            tail: AtomicU64::new(0),
        }))
    }
}

/// The tail alone, and beside the backfill.
pub(crate) fn cases<'a>(lab: &'a Lab, topics: &'a Topics) -> Vec<Case<'a>> {
    vec![Case {
        path: Path::Cold,
        label: format!(
            "tail beside a backfill of {} MiB",
            (topics.cold_batches * COLD_BATCH) >> 20
        ),
        sides: vec![
            ("tail alone", Box::new(move || measure(lab, topics, false))),
            ("beside", Box::new(move || measure(lab, topics, true))),
        ],
        targets: vec![
            Target::AtMost(Metric::P99, 10_000.0),
            Target::AtMost(Metric::HotEvicted, 0.0),
            Target::AtMost(Metric::ColdResident, 25.0),
        ],
    }]
}

fn measure(lab: &Lab, topics: &Topics, beside: bool) -> Result<Sample> {
    evict(&topics.cold_file)?;
    let hot_before = resident(&topics.hot_file);
    let (stop, read) = (AtomicBool::new(false), AtomicU64::new(0));
    let cpu = lab.broker.clock.read()?;
    let start = now();
    let reader = Peer::connect(lab)?;
    let latencies = std::thread::scope(|scope| {
        let work = || backfill(reader, topics, &stop, &read);
        let backfill = beside.then(|| scope.spawn(work));
        let latencies = tail(lab, topics, backfill.as_ref());
        stop.store(true, Ordering::Relaxed);
        let ended = backfill.map(|thread| thread.join().map_err(|_| misfit()));
        ended.transpose()?.transpose()?;
        latencies
    });
    let mut latencies = latencies?;
    let wall = now() - start;
    let share = |file: &FilePath, bytes: u64| {
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        100.0 * bytes as f64 / len.max(1) as f64
    };
    let cold = resident(&topics.cold_file);
    let hot_lost = hot_before.saturating_sub(resident(&topics.hot_file));
    Ok(Sample {
        cpu: lab.broker.clock.read()?.saturating_sub(cpu),
        wall,
        bytes: read.into_inner(),
        requests: latencies.len() as u64,
        p50: percentile(&mut latencies, 50),
        p99: percentile(&mut latencies, 99),
        hot_evicted: share(&topics.hot_file, hot_lost),
        cold_resident: share(&topics.cold_file, cold),
        ..Sample::default()
    })
}

/// One record after the other, each awaited by a parked fetch: for one slice of time, or as long as the backfill takes.
fn tail(
    lab: &Lab,
    topics: &Topics,
    backfill: Option<&std::thread::ScopedJoinHandle<'_, Result<()>>>,
) -> Result<Vec<u32>> {
    let record = batch::of_one_record(VALUE_LEN, timestamp_ms()).ok_or_else(misfit)?;
    let mut produce = Template::produce(&topics.hot, 1, &record)?;
    let mut fetch = Template::fetch(&topics.hot, 1, COLD_BATCH)?;
    let (mut producer, mut consumer) = (Peer::connect(lab)?, Peer::connect(lab)?);
    let mut latencies = Vec::new();
    let start = now();
    while now() - start < 5 * lab.extent.slice || backfill.is_some_and(|it| !it.is_finished()) {
        let next = topics.tail.fetch_add(1, Ordering::Relaxed);
        fetch.set_offset(0, next as i64);
        fetch.send(&consumer.socket)?;
        std::thread::sleep(PAUSE);
        let sent = now();
        produce.send(&producer.socket)?;
        consumer.receive()?;
        let took = (now() - sent).as_nanos();
        latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        producer.receive()?;
    }
    Ok(latencies)
}

/// The whole topic once, from its beginning.
fn backfill(mut peer: Peer, topics: &Topics, stop: &AtomicBool, read: &AtomicU64) -> Result<()> {
    let mut fetch = Template::fetch(&topics.cold, 1, COLD_BATCH)?;
    let records = BatchHeader::read(&topics.cold_batch).map_or(0, |header| header.records_count());
    for number in 0..topics.cold_batches {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        fetch.set_offset(0, number as i64 * i64::from(records));
        fetch.send(&peer.socket)?;
        let len = peer.receive()?;
        if len < COLD_BATCH {
            return Err(BenchError::Malformed(format!(
                "a fetch of 1 MiB gave {len} bytes"
            )));
        }
        read.fetch_add(COLD_BATCH as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// A connection that takes answers as they are.
struct Peer {
    socket: TcpStream,
    frames: FrameReader,
}

impl Peer {
    fn connect(lab: &Lab) -> Result<Self> {
        let socket = connect(lab.broker.address)?;
        let clone = socket.try_clone().doing("sharing a socket")?;
        Ok(Self {
            socket,
            frames: FrameReader::new(clone),
        })
    }

    /// Bytes of the next answer.
    fn receive(&mut self) -> Result<usize> {
        let len = self.frames.begin()?;
        self.frames.skip_rest()?;
        Ok(len)
    }
}

/// Drop a file from the page cache; only what is on disk can be dropped.
fn evict(path: &FilePath) -> Result<()> {
    let file = File::open(path).doing(format!("opening {}", path.display()))?;
    file.sync_data().doing("syncing a segment")?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
        .map_err(std::io::Error::from)
        .doing("dropping a segment from the page cache")
}

/// Bytes of a file in the page cache; 0 when that cannot be told.
fn resident(path: &FilePath) -> u64 {
    let mut command = Command::new("fincore");
    let output = command
        .args(["--bytes", "--noheadings", "--output", "RES"])
        .arg(path)
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)
}

fn misfit() -> BenchError {
    BenchError::Usage("a batch of that size cannot be made, or a client panicked".into())
}
