//! Start on a used data directory: from exec until every partition answers, after a kill and after a clean stop.
//!
//! The directories are made here, in Apache Kafka's layout: ten thousand partitions of which each has a large batch
//! that is a hole in its file, some real batches behind it, and one more behind the recovery point; and one partition
//! with a segment of 1 GiB of which nothing is known to be on disk. The broker runs on all CPUs, however the others are
//! pinned, for its threads are what is measured.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};

use bytes::{Bytes, BytesMut};
use ottla_protocol::ids::{LeaderEpoch, Offset};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::batch::{HEADER_LEN, crc32c};

use crate::affinity::Placement;
use crate::batch;
use crate::case::{Case, Measure, Path};
use crate::clock::now;
use crate::error::{BenchError, Doing, Result};
use crate::lab::{Extent, timestamp_ms};
use crate::sample::{Metric, Sample, Target};
use crate::server::Server;

/// Partitions of a topic: no more are made with one request.
const TOPIC_PARTITIONS: u64 = 1000;
const MIB: u64 = 1 << 20;
/// Bytes of a batch behind the hole.
const BATCH: usize = 4 << 10;
/// Batches behind the hole; the last of them is behind the recovery point.
const BATCHES: u64 = 3;
/// Bytes of a batch of the large segment.
const LARGE_BATCH: usize = 64 << 10;

/// A new process for every sample, on a directory that each sample leaves as it found it.
pub(crate) fn cases<'a>(
    program: &'a FilePath,
    placement: &Placement,
    scratch: &'a FilePath,
    extent: &Extent,
) -> Vec<Case<'a>> {
    let partitions = if extent.quick { 1000 } else { 10_000 };
    let many = Shape::Many {
        partitions,
        hole: 100 * 1024 * MIB / partitions,
    };
    let placement = placement.unpinned();
    let case = |label: String, shape: Shape, clean: bool, limit: f64| {
        let dir = scratch.join(format!("recovery-{clean}-{}", shape.partitions()));
        let start = Start {
            program,
            placement,
            dir,
            shape,
            clean,
            prepared: OnceCell::new(),
        };
        let measure: Measure<'a> = Box::new(move || start.measure());
        Case {
            path: Path::Recovery,
            label,
            sides: vec![("ottla", measure)],
            targets: vec![Target::AtMost(Metric::Millis, limit)],
        }
    };
    let label = |how: &str| format!("{partitions} partitions, 100 GiB, {how}");
    vec![
        case(label("killed"), many, false, 2000.0),
        case(label("stopped cleanly"), many, true, 1000.0),
        case(
            "1 segment of 1 GiB, all of it dirty".into(),
            Shape::Large,
            false,
            1000.0,
        ),
    ]
}

/// What lies in the data directory.
#[derive(Clone, Copy)]
enum Shape {
    /// Many partitions, each with a batch of that many bytes which takes no space.
    Many { partitions: u64, hole: u64 },
    /// One partition with a segment of 1 GiB.
    Large,
}

impl Shape {
    fn partitions(self) -> u64 {
        match self {
            Self::Many { partitions, .. } => partitions,
            Self::Large => 1,
        }
    }

    /// The topics that the partitions belong to, with how many each has.
    fn topics(self) -> impl Iterator<Item = (String, usize)> {
        let partitions = self.partitions();
        let each = partitions.min(TOPIC_PARTITIONS);
        (0..partitions / each).map(move |number| (format!("topic{number}"), each as usize))
    }
}

struct Start<'a> {
    program: &'a FilePath,
    placement: Placement,
    dir: PathBuf,
    shape: Shape,
    clean: bool,
    prepared: OnceCell<()>,
}

impl Start<'_> {
    fn measure(&self) -> Result<Sample> {
        if self.prepared.get().is_none() {
            self.prepare()?;
            self.prepared.get_or_init(|| ());
        }
        let start = now();
        let server = Server::broker(self.program, &self.dir, &self.placement)?;
        let mut client = crate::client::Client::connect(server.address)?;
        for (topic, partitions) in self.shape.topics() {
            client.await_leaders(&topic, partitions)?;
        }
        let wall = now() - start;
        let (rss, rss_anonymous) = server.resident()?;
        let sample = Sample {
            cpu: server.clock.read()?,
            wall,
            requests: 1,
            rss,
            rss_anonymous,
            ..Sample::default()
        };
        match self.clean {
            true => drop(server),
            false => server.kill()?,
        }
        Ok(sample)
    }

    /// Let the broker make the topic, put the logs in its place, and leave them as a kill would.
    fn prepare(&self) -> Result<()> {
        let server = Server::broker(self.program, &self.dir, &self.placement)?;
        let mut client = crate::client::Client::connect(server.address)?;
        for (topic, partitions) in self.shape.topics() {
            client.create_topic(&topic, partitions)?;
        }
        drop(server);
        let mut recovery_points = format!("0\n{}\n", self.shape.partitions());
        for (topic, partitions) in self.shape.topics() {
            for partition in 0..partitions {
                let dir = self.dir.join(format!("{topic}-{partition}"));
                let recovery_point = match self.shape {
                    Shape::Many { hole, .. } => sparse_log(&dir, hole)?,
                    Shape::Large => large_log(&dir)?,
                };
                recovery_points += &format!("{topic} {partition} {recovery_point}\n");
            }
        }
        write(
            &self.dir.join("recovery-point-offset-checkpoint"),
            recovery_points.as_bytes(),
        )?;
        let marker = self.dir.join(".kafka_cleanshutdown");
        fs::remove_file(&marker).doing("removing the marker of a clean stop")?;
        if self.clean {
            drop(Server::broker(self.program, &self.dir, &self.placement)?);
        }
        Ok(())
    }
}

/// A hole, and real batches behind it, of which the last is not covered by the recovery point that is returned.
fn sparse_log(dir: &FilePath, hole: u64) -> Result<i64> {
    let file = new_log(dir)?;
    let first = hole_batch(hole)?;
    put(&file, &first, 0)?;
    let (mut position, mut next) = (hole, 1);
    let (mut index, mut recovery_point) = (Vec::new(), 0);
    for number in 0..BATCHES {
        recovery_point = next;
        let last = put_batch(&file, BATCH, position, next)?;
        if number + 1 < BATCHES {
            index.extend_from_slice(&(last as i32).to_be_bytes());
            index.extend_from_slice(&(position as i32).to_be_bytes());
        }
        position += BATCH as u64;
        next = last + 1;
    }
    write(&dir.join("00000000000000000000.index"), &index)?;
    let mut snapshot = vec![0, 1];
    snapshot.extend_from_slice(&crc32c(&[0; 4]).to_be_bytes());
    snapshot.extend_from_slice(&[0; 4]);
    write(
        &dir.join(format!("{recovery_point:020}.snapshot")),
        &snapshot,
    )?;
    Ok(recovery_point)
}

/// As many batches as fit 1 GiB.
fn large_log(dir: &FilePath) -> Result<i64> {
    let file = new_log(dir)?;
    let mut next = 0;
    for number in 0..(1 << 30) / LARGE_BATCH as u64 - 1 {
        next = put_batch(&file, LARGE_BATCH, number * LARGE_BATCH as u64, next)? + 1;
    }
    Ok(0)
}

/// The empty log of a new topic is replaced, with what was known of its producers.
fn new_log(dir: &FilePath) -> Result<File> {
    let listing = || format!("listing {}", dir.display());
    for entry in fs::read_dir(dir).doing(listing())? {
        let path = entry.doing(listing())?.path();
        if path.extension().is_some_and(|kind| kind == "snapshot") {
            fs::remove_file(&path).doing("removing a snapshot")?;
        }
    }
    write(&dir.join("leader-epoch-checkpoint"), b"0\n1\n0 0\n")?;
    let path = dir.join("00000000000000000000.log");
    File::create(&path).doing(format!("creating {}", path.display()))
}

/// Write a batch of `size` bytes; the offset of its last record.
fn put_batch(file: &File, size: usize, position: u64, base: i64) -> Result<i64> {
    let batch = batch::of_size(size, timestamp_ms()).ok_or_else(impossible)?;
    let batch = placed(&batch, base)?;
    put(file, &batch, position)?;
    let header = BatchHeader::read(&batch).ok_or_else(impossible)?;
    Ok(header.last_offset().0)
}

/// The head of a batch of `size` bytes, all else being zeros that are not written: they are a hole in the file.
fn hole_batch(size: u64) -> Result<Bytes> {
    let whole = batch::of_one_record(0, timestamp_ms()).ok_or_else(impossible)?;
    let mut head = BytesMut::from(&whole[..HEADER_LEN]);
    let len = i32::try_from(size - 12).map_err(|_| impossible())?;
    head[8..12].copy_from_slice(&len.to_be_bytes());
    placed(&head, 0)
}

fn placed(batch: &[u8], base: i64) -> Result<Bytes> {
    let mut header = BatchHeader::read(batch).ok_or_else(impossible)?;
    header.set_base_offset(Offset(base));
    header.set_leader_epoch(LeaderEpoch(0));
    let mut placed = BytesMut::from(batch);
    placed[..HEADER_LEN].copy_from_slice(header.as_bytes());
    Ok(placed.freeze())
}

fn put(file: &File, bytes: &[u8], at: u64) -> Result<()> {
    file.write_all_at(bytes, at).doing("writing a log")
}

fn write(path: &FilePath, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).doing(format!("writing {}", path.display()))
}

fn impossible() -> BenchError {
    BenchError::Malformed("no such batch".into())
}
