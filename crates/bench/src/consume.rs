//! Consume: the broker's Fetch path against a raw `sendfile` loop over the same files.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

use bytes::Bytes;
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN as BATCH_HEADER_LEN};

use crate::batch;
use crate::case::{Case, Path};
use crate::client::connect;
use crate::drive::{Conversation, Until, drive};
use crate::error::{BenchError, Doing, Result};
use crate::fetch_answer;
use crate::frame_reader::FrameReader;
use crate::lab::{Lab, timestamp_ms};
use crate::produce::fill;
use crate::raw::{self, Chunks, Job, POSITION_AT, REQUEST_LEN};
use crate::request::Template;
use crate::sample::{Sample, Target};

/// Bytes of a Fetch response behind the records: three empty sections of tagged fields, for which `sendfile` needs
/// another call behind it.
const TAIL_LEN: usize = 3;

/// Topics with batches of one size, written through the broker and read by both sides.
pub(crate) struct DataSet {
    topic: String,
    partitions: usize,
    batch_len: usize,
    records_per_batch: usize,
    batches: usize,
    files: Vec<PathBuf>,
}

/// Creates and fills the topics: batches of 16 KiB, 64 KiB and 1 MiB, in 1 and 6 partitions.
pub(crate) fn data_sets(lab: &Lab) -> Result<Vec<DataSet>> {
    let mut sets = Vec::new();
    for batch_len in [16 << 10, 64 << 10, 1 << 20] {
        for partitions in [1, 6] {
            sets.push(DataSet::create(lab, batch_len, partitions)?);
        }
    }
    Ok(sets)
}

/// Fetches of one batch of each partition and, of 16 KiB batches, of 1 MiB; by 1, 4 and 64 consumers.
pub(crate) fn cases<'a>(
    lab: &'a Lab,
    sets: &'a [DataSet],
    broker_name: &'static str,
) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for set in sets {
        for consumers in [1, 4, 64] {
            if lab.extent.quick && set.partitions > 1 && consumers > 1 {
                continue;
            }
            cases.push(case(lab, set, set.batch_len, consumers, broker_name));
        }
        if set.batch_len == 16 << 10 {
            cases.push(case(lab, set, 1 << 20, 1, broker_name));
        }
    }
    cases
}

fn case<'a>(
    lab: &'a Lab,
    set: &'a DataSet,
    fetch_len: usize,
    consumers: usize,
    broker: &'static str,
) -> Case<'a> {
    let reading = Reading {
        set,
        fetch_len,
        consumers,
    };
    let mut sides: Vec<(&'static str, crate::case::Measure<'a>)> = vec![
        (
            "raw sendfile",
            Box::new(move || reading.with_raw(lab, Job::Sendfile(reading.chunks(0)))),
        ),
        (broker, Box::new(move || reading.with_broker(lab))),
    ];
    if set.partitions == 1 && set.batch_len == fetch_len {
        sides.push((
            "raw with tail",
            Box::new(move || reading.with_raw(lab, Job::Sendfile(reading.chunks(TAIL_LEN)))),
        ));
        sides.push((
            "tokio pread+write",
            Box::new(move || reading.with_raw(lab, Job::Pread(reading.chunks(TAIL_LEN)))),
        ));
    }
    let target = match (set.partitions, fetch_len, consumers) {
        (1, 1_048_576, 1 | 64) => Some(Target::TimesRaw(1.25)),
        (1, 16_384 | 65_536, 1) => Some(Target::MicrosAboveRaw(6.0)),
        _ => None,
    };
    Case {
        path: Path::Consume,
        label: label(set.batch_len, fetch_len, set.partitions, consumers),
        sides,
        targets: target.into_iter().collect(),
    }
}

/// The name of a case.
pub(crate) fn label(
    batch_len: usize,
    fetch_len: usize,
    partitions: usize,
    consumers: usize,
) -> String {
    let of = match batch_len == fetch_len {
        true => String::new(),
        false => format!(" of {} KiB batches", batch_len >> 10),
    };
    let kib = fetch_len >> 10;
    format!("{kib} KiB fetch{of}, {partitions} part., {consumers} cons.")
}

impl DataSet {
    fn create(lab: &Lab, batch_len: usize, partitions: usize) -> Result<Self> {
        let topic = lab.create_topic(
            &format!("bench-consume-{batch_len}-{partitions}"),
            partitions,
        )?;
        let batch = batch::of_size(batch_len, timestamp_ms())
            .ok_or_else(|| BenchError::Usage(format!("no batch has {batch_len} bytes")))?;
        Self::filled(lab, topic, &batch, partitions)
    }

    /// A new topic with enough of `batch` in each of its partitions.
    pub(crate) fn of(lab: &Lab, name: &str, batch: &Bytes, partitions: usize) -> Result<Self> {
        let topic = lab.create_topic(name, partitions)?;
        Self::filled(lab, topic, batch, partitions)
    }

    fn filled(lab: &Lab, topic: String, batch: &Bytes, partitions: usize) -> Result<Self> {
        let batch_len = batch.len();
        // Whole numbers of 1 MiB fetches, at least four of them in each partition.
        let batches = (lab.extent.stored / partitions)
            .max(4 << 20)
            .next_multiple_of(1 << 20)
            / batch_len;
        let records_per_batch =
            BatchHeader::read(batch).map_or(0, |header| header.records_count() as usize);
        fill(lab, &topic, partitions, batch, batches)?;
        let files = (0..partitions)
            .map(|partition| match lab.segment(&topic, partition) {
                Some(file) => Ok(file),
                None => copy_of(lab, &format!("{topic}-{partition}"), batch, batches),
            })
            .collect::<Result<Vec<_>>>()?;
        let set = Self {
            topic,
            partitions,
            batch_len,
            records_per_batch,
            batches,
            files,
        };
        set.check_files()?;
        Ok(set)
    }

    /// The raw side must read the same bytes: one segment of exactly the batches produced.
    fn check_files(&self) -> Result<()> {
        let expected = (self.batches * self.batch_len) as u64;
        for file in &self.files {
            let len = file
                .metadata()
                .doing(format!("looking at {}", file.display()))?
                .len();
            if len != expected {
                let what = format!(
                    "{} has {len} bytes, not the {expected} produced",
                    file.display()
                );
                return Err(BenchError::Server(what));
            }
        }
        Ok(())
    }
}

/// The bytes of a partition in a file of our own, for a broker whose files cannot be read.
fn copy_of(lab: &Lab, name: &str, batch: &Bytes, batches: usize) -> Result<PathBuf> {
    let path = lab.scratch.join(name);
    let mut file = std::fs::File::create(&path).doing(format!("creating {}", path.display()))?;
    for _ in 0..batches {
        file.write_all(batch)
            .doing(format!("writing {}", path.display()))?;
    }
    Ok(path)
}

/// What one case reads.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    set: &'a DataSet,
    fetch_len: usize,
    consumers: usize,
}

impl<'a> Reading<'a> {
    /// Fetches of one batch of each partition, by so many consumers.
    pub(crate) fn batch_by_batch(set: &'a DataSet, consumers: usize) -> Self {
        Self {
            set,
            fetch_len: set.batch_len,
            consumers,
        }
    }

    fn chunks(&self, tail: usize) -> Chunks {
        Chunks {
            len: self.fetch_len,
            tail,
            files: self.set.files.clone(),
        }
    }

    /// Fetches in a partition.
    fn fetches(&self) -> usize {
        self.set.batches * self.set.batch_len / self.fetch_len
    }

    /// The fetch with which a consumer starts: they are spread over the partition.
    fn first_fetch(&self, consumer: usize) -> usize {
        consumer * self.fetches() / self.consumers
    }

    fn with_raw(&self, lab: &Lab, job: Job) -> Result<Sample> {
        let conversations = (0..self.consumers)
            .map(|consumer| {
                Ok(Box::new(FromRaw::new(lab, self, &job, self.first_fetch(consumer))?) as _)
            })
            .collect::<Result<_>>()?;
        drive(
            lab.raw.clock,
            conversations,
            Until::Elapsed(lab.extent.slice),
        )
    }

    /// Measures the lab's broker.
    pub(crate) fn with_broker(&self, lab: &Lab) -> Result<Sample> {
        let conversations = (0..self.consumers)
            .map(|consumer| {
                Ok(Box::new(FromBroker::new(lab, self, self.first_fetch(consumer))?) as _)
            })
            .collect::<Result<_>>()?;
        drive(
            lab.broker.clock,
            conversations,
            Until::Elapsed(lab.extent.slice),
        )
    }
}

/// Asks a raw server for one chunk of each file after the other, round and round.
struct FromRaw {
    socket: TcpStream,
    answers: FrameReader,
    request: [u8; REQUEST_LEN],
    next: usize,
    fetches: usize,
    chunk_len: usize,
    bytes: u64,
}

impl FromRaw {
    fn new(lab: &Lab, reading: &Reading<'_>, job: &Job, next: usize) -> Result<Self> {
        let socket = connect(lab.raw.address)?;
        raw::request(&socket, job)?;
        let answers = FrameReader::new(socket.try_clone().doing("sharing a socket")?);
        let bytes = (reading.fetch_len * reading.set.partitions) as u64;
        let (fetches, chunk_len) = (reading.fetches(), reading.fetch_len);
        Ok(Self {
            socket,
            answers,
            request: [0; REQUEST_LEN],
            next,
            fetches,
            chunk_len,
            bytes,
        })
    }
}

impl Conversation for FromRaw {
    fn turn(&mut self) -> Result<u64> {
        let position = (self.next * self.chunk_len) as u64;
        self.request[POSITION_AT..POSITION_AT + 8].copy_from_slice(&position.to_be_bytes());
        self.socket
            .write_all(&self.request)
            .doing("sending a request")?;
        self.answers.begin()?;
        self.answers.skip_rest()?;
        self.next = (self.next + 1) % self.fetches;
        Ok(self.bytes)
    }
}

/// A consumer of all partitions of a topic, from each end back to the start.
struct FromBroker<'a> {
    socket: TcpStream,
    answers: FrameReader,
    template: Template,
    set: &'a DataSet,
    offsets: Vec<i64>,
}

impl<'a> FromBroker<'a> {
    fn new(lab: &Lab, reading: &Reading<'a>, first: usize) -> Result<Self> {
        let set = reading.set;
        let socket = connect(lab.broker.address)?;
        let answers = FrameReader::new(socket.try_clone().doing("sharing a socket")?);
        let template = Template::fetch(&set.topic, set.partitions, reading.fetch_len)?;
        let first = first * (reading.fetch_len / set.batch_len) * set.records_per_batch;
        Ok(Self {
            socket,
            answers,
            template,
            set,
            offsets: vec![first as i64; set.partitions],
        })
    }

    /// Walks a FetchResponse of version 12, whose records must be whole batches that start at the offset asked for.
    fn read_answer(&mut self, correlation_id: i32) -> Result<u64> {
        let frame = &mut self.answers;
        fetch_answer::begin(frame, correlation_id)?;
        let mut bytes = 0;
        for _ in 0..frame.compact_count()? {
            frame.skip_compact()?;
            for _ in 0..frame.compact_count()? {
                bytes += read_partition(frame, self.set, &mut self.offsets)?;
            }
            frame.skip_tags()?;
        }
        frame.skip_tags()?;
        frame.finish()?;
        Ok(bytes)
    }
}

impl Conversation for FromBroker<'_> {
    fn turn(&mut self) -> Result<u64> {
        for (index, offset) in self.offsets.iter().enumerate() {
            self.template.set_offset(index, *offset);
        }
        let correlation_id = self.template.send(&self.socket)?;
        self.read_answer(correlation_id)
    }
}

fn read_partition(frame: &mut FrameReader, set: &DataSet, offsets: &mut [i64]) -> Result<u64> {
    let (index, len) = fetch_answer::begin_partition(frame)?;
    let offset = usize::try_from(index)
        .ok()
        .and_then(|index| offsets.get_mut(index));
    let offset = offset
        .ok_or_else(|| BenchError::Malformed(format!("partition {index} was not asked for")))?;
    if len > 0 {
        let header = BatchHeader::read(frame.peek(BATCH_HEADER_LEN)?);
        let starts_at = header.map(|header| header.base_offset().0);
        if starts_at != Some(*offset) || len % set.batch_len != 0 {
            let what = format!("{len} bytes of records at {starts_at:?}, asked for {offset}");
            return Err(BenchError::Malformed(what));
        }
        *offset += (len / set.batch_len * set.records_per_batch) as i64;
        *offset %= (set.batches * set.records_per_batch) as i64;
    }
    frame.skip(len)?;
    frame.skip_tags()?;
    Ok(len as u64)
}
