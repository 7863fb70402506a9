//! What idempotence and transactions cost: the same batches plain, idempotent and in transactions, acks=all; the same
//! fetches with either isolation level.
//!
//! A transaction of 16 MiB is what a producer of 160 MB/s commits ten times a second, as Kafka Streams does.

use std::cell::OnceCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ottla_protocol::messages::{
    EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, TransactionalId,
};
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN};

use crate::batch;
use crate::case::{Case, Measure, Path};
use crate::client::{Client, connect, refused};
use crate::drive::{Conversation, Until, drive};
use crate::error::{BenchError, Doing, Result};
use crate::fetch_answer;
use crate::frame_reader::FrameReader;
use crate::lab::{Lab, timestamp_ms};
use crate::produce::{ToBroker, await_removal};
use crate::request::Template;
use crate::sample::{Sample, Target};

const PRODUCE_LIMIT: Target = Target::TimesRaw(1.10);
const CONSUME_LIMIT: Target = Target::TimesRaw(1.05);
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;
/// Bytes that a batch is shorter than the round number it is named by. Batches of 16 KiB sharp would lie on the pages of
/// the log's file until the first marker moves those behind it, so that the plain side alone would be spared the page
/// that two batches share: to be found in the page cache again, and written by the flush of either.
const BELOW_ROUND: usize = 100;
/// How large a transaction is that has to keep the limit.
const USUAL: usize = 16 << 20;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS: ask again.
const PASSING: [i16; 4] = [14, 15, 16, 51];

/// Numbers the topics and transactional ids of this run.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How a producer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guarantee {
    Plain,
    Idempotent,
    /// Bytes of a transaction; every so many-th one is aborted, or none.
    Transactional {
        size: usize,
        aborts: usize,
    },
}

/// Batches of 16 KiB to 1 MiB, written in three ways and read in two.
pub(crate) fn cases<'a>(lab: &'a Lab) -> Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    for batch_len in [16 << 10, 64 << 10, 1 << 20] {
        cases.push(produce_case(lab, batch_len, Guarantee::Idempotent)?);
        for size in [1 << 20, USUAL] {
            let guarantee = Guarantee::Transactional { size, aborts: 0 };
            cases.push(produce_case(lab, batch_len, guarantee)?);
        }
    }
    for (batch_len, aborts) in [(16 << 10, 0), (64 << 10, 0), (64 << 10, 4), (1 << 20, 0)] {
        cases.push(consume_case(lab, batch_len, aborts));
    }
    Ok(cases)
}

/// A batch of nearly `len` bytes, as producers fill them.
fn batch_of(len: usize) -> Result<Bytes> {
    let batch = batch::of_size(len - BELOW_ROUND, timestamp_ms());
    batch.ok_or_else(|| BenchError::Usage(format!("no batch has {len} bytes")))
}

fn produce_case<'a>(lab: &'a Lab, batch_len: usize, guarantee: Guarantee) -> Result<Case<'a>> {
    let batch = batch_of(batch_len)?;
    let plain = batch.clone();
    let kib = batch_len >> 10;
    let (name, how, targets) = match guarantee {
        Guarantee::Transactional { size, .. } => (
            "transactional",
            format!("transactions of {} MiB", size >> 20),
            (size == USUAL).then_some(PRODUCE_LIMIT),
        ),
        _ => ("idempotent", "idempotence".into(), Some(PRODUCE_LIMIT)),
    };
    Ok(Case {
        path: Path::Transactions,
        label: format!("produce, {kib} KiB batches, {how}"),
        sides: vec![
            (
                "plain",
                Box::new(move || produce(lab, &plain, Guarantee::Plain)) as _,
            ),
            (name, Box::new(move || produce(lab, &batch, guarantee)) as _),
        ],
        targets: targets.into_iter().collect(),
    })
}

fn consume_case<'a>(lab: &'a Lab, batch_len: usize, aborts: usize) -> Case<'a> {
    // Both sides read what the first of them has written.
    let topic = Rc::new(OnceCell::new());
    let side = |isolation| -> Measure<'a> {
        let topic = Rc::clone(&topic);
        Box::new(move || {
            if topic.get().is_none() {
                topic.set(write_transactions(lab, batch_len, aborts)?).ok();
            }
            let topic = topic.get().expect("invariant: it was set just now");
            let consumer = Consumer::new(lab, topic, batch_len, isolation)?;
            let until = Until::Elapsed(lab.extent.slice);
            drive(lab.broker.clock, vec![Box::new(consumer)], until)
        })
    };
    let aborted = match aborts {
        0 => String::new(),
        every => format!(", every {every}th transaction aborted"),
    };
    Case {
        path: Path::Transactions,
        label: format!("consume, {} KiB fetches{aborted}", batch_len >> 10),
        sides: vec![
            ("read_uncommitted", side(READ_UNCOMMITTED)),
            ("read_committed", side(READ_COMMITTED)),
        ],
        targets: vec![CONSUME_LIMIT],
    }
}

/// A topic full of transactions; its name.
fn write_transactions(lab: &Lab, batch_len: usize, aborts: usize) -> Result<String> {
    let topic = lab.create_topic(&format!("bench-committed-{batch_len}-{aborts}"), 1)?;
    let guarantee = Guarantee::Transactional {
        size: USUAL,
        aborts,
    };
    let mut producer = Producer::new(lab, &topic, &batch_of(batch_len)?, guarantee)?;
    for _ in 0..lab.extent.stored / batch_len {
        producer.turn()?;
    }
    producer.finish()?;
    Ok(topic)
}

fn next_name(what: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("bench-{what}-{}-{number}", std::process::id())
}

fn produce(lab: &Lab, batch: &Bytes, guarantee: Guarantee) -> Result<Sample> {
    let topic = next_name("transactions");
    let mut client = lab.client()?;
    client.create_topic(&topic, 1)?;
    let producer = Producer::new(lab, &topic, batch, guarantee)?;
    let turns = lab.extent.produced / batch.len();
    let sample = drive(
        lab.broker.clock,
        vec![Box::new(producer)],
        Until::Turns(turns),
    )?;
    client.delete_topic(&topic)?;
    await_removal(lab, &topic);
    Ok(sample)
}

/// A producer with up to five requests under way, to one partition.
struct Producer {
    connection: ToBroker,
    template: Template,
    batch_len: usize,
    records: i32,
    guarantee: Guarantee,
    coordinator: Client,
    identity: Identity,
    written: usize,
    transactions: usize,
}

/// Who writes, and what its next batch is numbered.
struct Identity {
    transactional_id: TransactionalId,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    fn new(lab: &Lab, topic: &str, batch: &Bytes, guarantee: Guarantee) -> Result<Self> {
        let mut coordinator = lab.client()?;
        let transactional_id = TransactionalId(next_name("id").into());
        let is_transactional = matches!(guarantee, Guarantee::Transactional { .. });
        let own_id = is_transactional.then(|| transactional_id.clone());
        let (producer_id, epoch) = match guarantee {
            Guarantee::Plain => (-1, -1),
            _ => init_producer_id(&mut coordinator, own_id.as_ref())?,
        };
        let template = Template::produce_as(topic, batch, own_id)?;
        let header = BatchHeader::read(batch);
        Ok(Self {
            connection: ToBroker::with(lab, template.clone())?,
            template,
            batch_len: batch.len(),
            records: header.map_or(0, |header| header.records_count()),
            guarantee,
            coordinator,
            identity: Identity {
                transactional_id,
                producer_id,
                epoch,
                sequence: if producer_id < 0 { -1 } else { 0 },
            },
            written: 0,
            transactions: 0,
        })
    }

    fn end_transaction(&mut self, aborts: usize) -> Result<()> {
        self.connection.finish()?;
        self.transactions += 1;
        let commits = aborts == 0 || !self.transactions.is_multiple_of(aborts);
        let request = EndTxnRequest::default()
            .with_transactional_id(self.identity.transactional_id.clone())
            .with_producer_id(self.identity.producer_id.into())
            .with_producer_epoch(self.identity.epoch)
            .with_committed(commits);
        let ended = loop {
            let answer = self.coordinator.call(5, &request)?;
            if !PASSING.contains(&answer.error_code) {
                break answer;
            }
        };
        refused("EndTxn", ended.error_code)?;
        self.identity.producer_id = ended.producer_id.0;
        self.identity.epoch = ended.producer_epoch;
        self.identity.sequence = 0;
        self.written = 0;
        Ok(())
    }
}

impl Conversation for Producer {
    fn turn(&mut self) -> Result<u64> {
        let is_transactional = matches!(self.guarantee, Guarantee::Transactional { .. });
        let Identity {
            producer_id,
            epoch,
            sequence,
            ..
        } = self.identity;
        // A plain batch gets its checksum anew, too: how fast batches come decides how many of them share a flush.
        self.template
            .set_producer(is_transactional, producer_id, epoch, sequence);
        if self.guarantee != Guarantee::Plain {
            self.identity.sequence += self.records;
        }
        self.connection.turn_with(&mut self.template)?;
        self.written += self.batch_len;
        match self.guarantee {
            Guarantee::Transactional { size, aborts } if self.written >= size => {
                self.end_transaction(aborts)?;
            }
            _ => {}
        }
        Ok(self.batch_len as u64)
    }

    fn finish(&mut self) -> Result<()> {
        self.connection.finish()?;
        match self.guarantee {
            Guarantee::Transactional { aborts, .. } if self.written > 0 => {
                self.end_transaction(aborts)
            }
            _ => Ok(()),
        }
    }
}

fn init_producer_id(client: &mut Client, id: Option<&TransactionalId>) -> Result<(i64, i16)> {
    if let Some(id) = id {
        let find = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![id.0.clone()]);
        client.call(4, &find)?;
    }
    let request = InitProducerIdRequest::default()
        .with_transactional_id(id.cloned())
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    loop {
        let answer = client.call(4, &request)?;
        if PASSING.contains(&answer.error_code) {
            std::thread::sleep(std::time::Duration::from_millis(5));
            continue;
        }
        refused("InitProducerId", answer.error_code)?;
        return Ok((answer.producer_id.0, answer.producer_epoch));
    }
}

/// A consumer of one partition, from its end back to the start.
struct Consumer {
    socket: TcpStream,
    answers: FrameReader,
    template: Template,
    offset: i64,
}

impl Consumer {
    fn new(lab: &Lab, topic: &str, fetch_len: usize, isolation: i8) -> Result<Self> {
        let socket = connect(lab.broker.address)?;
        let answers = FrameReader::new(socket.try_clone().doing("sharing a socket")?);
        Ok(Self {
            socket,
            answers,
            template: Template::fetch_isolated(topic, 1, fetch_len, isolation)?,
            offset: 0,
        })
    }

    /// Walks a FetchResponse of version 12 for one partition; returns the bytes of whole batches.
    fn read_answer(&mut self, correlation_id: i32) -> Result<u64> {
        let frame = &mut self.answers;
        fetch_answer::begin(frame, correlation_id)?;
        // One topic with its name, one partition.
        frame.compact_count()?;
        frame.skip_compact()?;
        frame.compact_count()?;
        let (_, mut left) = fetch_answer::begin_partition(frame)?;
        let mut bytes = 0;
        while left >= HEADER_LEN {
            let header = BatchHeader::read(frame.peek(HEADER_LEN)?);
            let Some((size, next)) =
                header.and_then(|header| Some((header.size()?, header.next_offset().0)))
            else {
                return Err(BenchError::Malformed("no batch where one begins".into()));
            };
            if size > left {
                break;
            }
            frame.skip(size)?;
            left -= size;
            bytes += size as u64;
            self.offset = next;
        }
        if bytes == 0 {
            self.offset = 0;
        }
        frame.skip_rest()?;
        Ok(bytes)
    }
}

impl Conversation for Consumer {
    fn turn(&mut self) -> Result<u64> {
        self.template.set_offset(0, self.offset);
        let correlation_id = self.template.send(&self.socket)?;
        self.read_answer(correlation_id)
    }
}
