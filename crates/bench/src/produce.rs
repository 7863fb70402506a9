//! Produce: the broker's path against receive, CRC, write of the very same frames.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::batch;
use crate::case::{Case, Path};
use crate::client::{connect, refused};
use crate::clock::now;
use crate::drive::{Conversation, Until, drive, nanos};
use crate::error::{BenchError, Result};
use crate::frame_reader::FrameReader;
use crate::lab::{Lab, timestamp_ms};
use crate::raw::{self, Job, Writing};
use crate::request::Template;
use crate::sample::{Metric, Sample, Target};

/// Requests a connection has under way, as the Java producer and librdkafka's idempotent one do.
pub(crate) const IN_FLIGHT: usize = 5;
/// Which part of a load is sent when every batch is flushed.
const FLUSHED_SHARE: usize = 16;
/// Space the raw side reserves at a time in its `fallocate` variant.
const RESERVE: usize = 16 << 20;
/// Bytes of the raw side's answer: those of a Produce response for one partition.
const ANSWER_LEN: usize = 64;

/// Numbers the topics and files of this run.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Batches of 16 KiB to 1 MiB, to 1 and 6 partitions, over 1 and 4 connections.
pub(crate) fn cases<'a>(lab: &'a Lab, broker_name: &'static str) -> Result<Vec<Case<'a>>> {
    let reserves = broker_reserves(lab)?;
    let mut cases = Vec::new();
    for batch_len in [16 << 10, 64 << 10, 1 << 20] {
        for partitions in [1, 6] {
            for connections in [1, 4] {
                if lab.extent.quick && partitions * connections > 6 {
                    continue;
                }
                let load = Load::new(lab, batch_len, partitions, connections)?;
                cases.push(case(lab, load, reserves, broker_name));
            }
        }
    }
    Ok(cases)
}

fn case<'a>(lab: &'a Lab, load: Load, reserves: bool, broker_name: &'static str) -> Case<'a> {
    let (broker_load, growing_load, reserved_load) = (load.clone(), load.clone(), load.clone());
    let broker = (
        broker_name,
        Box::new(move || broker_load.with_broker(lab)) as _,
    );
    let growing = (
        "raw growing",
        Box::new(move || growing_load.with_raw(lab, 0)) as _,
    );
    let reserved = (
        "raw fallocate",
        Box::new(move || reserved_load.with_raw(lab, RESERVE)) as _,
    );
    let limit = match load.batch.len() {
        65536 => Some(1.4),
        1_048_576 => Some(1.5),
        _ => None,
    };
    Case {
        path: Path::Produce,
        label: label(load.batch.len(), load.partitions, load.connections),
        // The first side is the one which grows its files as the broker does.
        sides: if reserves {
            vec![reserved, broker, growing]
        } else {
            vec![growing, broker, reserved]
        },
        targets: limit.map(Target::TimesRaw).into_iter().collect(),
    }
}

/// The name of a case.
pub(crate) fn label(batch_len: usize, partitions: usize, connections: usize) -> String {
    let kib = batch_len >> 10;
    format!("{kib} KiB batches, {partitions} part., {connections} conn.")
}

/// Does the broker reserve space ahead? Seen in the blocks of a segment it has written 4 MiB to: it need not do so for
/// a small one.
fn broker_reserves(lab: &Lab) -> Result<bool> {
    let load = Load::new(lab, 16 << 10, 1, 1)?;
    let topic = next_name(&load);
    let mut client = lab.client()?;
    client.create_topic(&topic, 1)?;
    fill(lab, &topic, 1, &load.batch, 256)?;
    let metadata = lab.segment(&topic, 0).and_then(|path| path.metadata().ok());
    client.delete_topic(&topic)?;
    Ok(metadata.is_some_and(|file| file.blocks() * 512 > file.size() + (64 << 10)))
}

/// Writes `rounds` times `batch` to each partition of `topic`.
pub(crate) fn fill(
    lab: &Lab,
    topic: &str,
    partitions: usize,
    batch: &Bytes,
    rounds: usize,
) -> Result<()> {
    let template = Template::produce(topic, partitions, batch)?;
    let mut conversation = ToBroker::new(lab, template, partitions * batch.len())?;
    for _ in 0..rounds {
        conversation.turn()?;
    }
    conversation.finish()
}

/// What one case sends.
#[derive(Clone)]
pub(crate) struct Load {
    batch: Bytes,
    partitions: usize,
    connections: usize,
    turns: usize,
    /// Configurations of the topic.
    configs: &'static [(&'static str, &'static str)],
}

impl Load {
    fn new(lab: &Lab, batch_len: usize, partitions: usize, connections: usize) -> Result<Self> {
        let batch = batch::of_size(batch_len, timestamp_ms());
        let batch =
            batch.ok_or_else(|| BenchError::Usage(format!("no batch has {batch_len} bytes")))?;
        Ok(Self::of(lab, batch, partitions, connections))
    }

    /// `batch`, to each of `partitions` partitions of a new topic, from each of `connections` producers.
    pub(crate) fn of(lab: &Lab, batch: Bytes, partitions: usize, connections: usize) -> Self {
        let frame_len = batch.len() * partitions;
        let turns = lab.extent.produced.div_ceil(frame_len * connections);
        Self {
            batch,
            partitions,
            connections,
            turns,
            configs: &[],
        }
    }

    /// The same, but every batch is flushed before its answer; fewer of them, as disks are slower than their cache.
    pub(crate) fn flushed(self) -> Self {
        Self {
            turns: self.turns.div_ceil(FLUSHED_SHARE),
            configs: &[("flush.messages", "1")],
            ..self
        }
    }

    /// Record bytes of one frame.
    fn bytes(&self) -> usize {
        self.batch.len() * self.partitions
    }

    /// Measures the lab's broker.
    pub(crate) fn with_broker(&self, lab: &Lab) -> Result<Sample> {
        let topic = next_name(self);
        let mut client = lab.client()?;
        client.create_topic_with(&topic, self.partitions, self.configs)?;
        let template = Template::produce(&topic, self.partitions, &self.batch)?;
        let conversations = (0..self.connections)
            .map(|_| Ok(Box::new(ToBroker::new(lab, template.clone(), self.bytes())?) as _))
            .collect::<Result<_>>()?;
        let sample = drive(lab.broker.clock, conversations, Until::Turns(self.turns))?;
        client.delete_topic(&topic)?;
        await_removal(lab, &topic);
        Ok(sample)
    }

    fn with_raw(&self, lab: &Lab, reserve: usize) -> Result<Sample> {
        let name = next_name(self);
        let files: Vec<PathBuf> = (0..self.partitions)
            .map(|partition| lab.scratch.join(format!("{name}-{partition}")))
            .collect();
        let template = Template::produce(&name, self.partitions, &self.batch)?;
        let job = Job::Produce(Writing {
            frame_len: template.len(),
            batch_len: self.batch.len(),
            answer_len: ANSWER_LEN,
            reserve,
            batches_at: template.positions_of(&self.batch),
            files: files.clone(),
        });
        let conversations = (0..self.connections)
            .map(|_| Ok(Box::new(ToRaw::new(lab, &job, template.clone(), self.bytes())?) as _))
            .collect::<Result<_>>()?;
        let sample = drive(lab.raw.clock, conversations, Until::Turns(self.turns));
        for file in files {
            std::fs::remove_file(file).ok();
        }
        sample
    }
}

/// Lets the broker unlink the files before the next measurement, which it would be charged to.
pub(crate) fn await_removal(lab: &Lab, topic: &str) {
    let Some(dir) = &lab.log_dir else { return };
    for _ in 0..400 {
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        if !names
            .map(|entry| entry.file_name())
            .any(|name| name.to_string_lossy().starts_with(topic))
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn next_name(load: &Load) -> String {
    format!(
        "bench-produce-{}-{}-{}",
        load.batch.len(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A producer with up to [`IN_FLIGHT`] requests under way.
pub(crate) struct ToBroker {
    socket: TcpStream,
    answers: FrameReader,
    template: Template,
    /// Correlation id and time of sending of each request under way.
    under_way: VecDeque<(i32, Instant)>,
    /// Nanoseconds from sending to answer.
    waited: Vec<u32>,
    in_flight: usize,
    bytes: u64,
}

impl ToBroker {
    fn new(lab: &Lab, template: Template, bytes: usize) -> Result<Self> {
        let socket = connect(lab.broker.address)?;
        let answers = FrameReader::new(clone(&socket)?);
        Ok(Self {
            socket,
            answers,
            template,
            under_way: VecDeque::new(),
            waited: Vec::new(),
            in_flight: IN_FLIGHT,
            bytes: bytes as u64,
        })
    }

    /// For [`Self::turn_with`].
    pub(crate) fn with(lab: &Lab, template: Template) -> Result<Self> {
        Self::new(lab, template, 0)
    }

    /// One request at a time, for latency.
    pub(crate) fn one_at_a_time(lab: &Lab, template: Template) -> Result<Self> {
        Ok(Self {
            in_flight: 1,
            ..Self::new(lab, template, 0)?
        })
    }

    /// Send a request that is not its own and read what is due.
    pub(crate) fn turn_with(&mut self, template: &mut Template) -> Result<()> {
        let start = now();
        self.under_way
            .push_back((template.send(&self.socket)?, start));
        if self.under_way.len() >= self.in_flight {
            self.receive()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let Some((sent, start)) = self.under_way.pop_front() else {
            return Ok(());
        };
        let got = read_answer(&mut self.answers)?;
        self.waited.push(nanos(start, now()));
        if got == sent {
            Ok(())
        } else {
            Err(BenchError::Malformed(format!(
                "answer to {got}, not to {sent}"
            )))
        }
    }
}

impl Conversation for ToBroker {
    fn turn(&mut self) -> Result<u64> {
        let start = now();
        let sent = self.template.send(&self.socket)?;
        self.under_way.push_back((sent, start));
        if self.under_way.len() >= self.in_flight {
            self.receive()?;
        }
        Ok(self.bytes)
    }

    fn finish(&mut self) -> Result<()> {
        while !self.under_way.is_empty() {
            self.receive()?;
        }
        Ok(())
    }

    fn take_latencies(&mut self) -> Option<Vec<u32>> {
        Some(std::mem::take(&mut self.waited))
    }
}

/// Walks a ProduceResponse of version 9 to 12; returns its correlation id.
fn read_answer(frame: &mut FrameReader) -> Result<i32> {
    frame.begin()?;
    let correlation_id = frame.i32()?;
    frame.skip_tags()?;
    for _ in 0..frame.compact_count()? {
        frame.skip_compact()?;
        for _ in 0..frame.compact_count()? {
            frame.i32()?;
            refused("Produce", frame.i16()?)?;
            // Base offset, append time, log start offset.
            frame.skip(24)?;
            for _ in 0..frame.compact_count()? {
                frame.i32()?;
                frame.skip_compact()?;
                frame.skip_tags()?;
            }
            frame.skip_compact()?;
            frame.skip_tags()?;
        }
        frame.skip_tags()?;
    }
    frame.i32()?;
    frame.skip_tags()?;
    frame.finish()?;
    Ok(correlation_id)
}

/// The same frames to the raw server.
pub(crate) struct ToRaw {
    socket: TcpStream,
    answers: FrameReader,
    template: Template,
    under_way: usize,
    in_flight: usize,
    bytes: u64,
}

impl ToRaw {
    fn new(lab: &Lab, job: &Job, template: Template, bytes: usize) -> Result<Self> {
        let socket = connect(lab.raw.address)?;
        raw::request(&socket, job)?;
        let answers = FrameReader::new(clone(&socket)?);
        Ok(Self {
            socket,
            answers,
            template,
            under_way: 0,
            in_flight: IN_FLIGHT,
            bytes: bytes as u64,
        })
    }

    /// One request at a time, for latency.
    pub(crate) fn one_at_a_time(lab: &Lab, job: &Job, template: Template) -> Result<Self> {
        Ok(Self {
            in_flight: 1,
            ..Self::new(lab, job, template, 0)?
        })
    }

    fn receive(&mut self) -> Result<()> {
        self.under_way -= 1;
        self.answers.begin()?;
        self.answers.skip_rest()
    }
}

impl Conversation for ToRaw {
    fn turn(&mut self) -> Result<u64> {
        self.template.send(&self.socket)?;
        self.under_way += 1;
        if self.under_way >= self.in_flight {
            self.receive()?;
        }
        Ok(self.bytes)
    }

    fn finish(&mut self) -> Result<()> {
        while self.under_way > 0 {
            self.receive()?;
        }
        Ok(())
    }
}

fn clone(socket: &TcpStream) -> Result<TcpStream> {
    use crate::error::Doing;
    socket.try_clone().doing("sharing a socket")
}

/// The stock limit of CPU seconds per GiB.
pub(crate) const STOCK_LIMIT: Target = Target::AtMost(Metric::CpuPerGib, 1.5);
