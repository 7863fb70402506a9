//! What it costs that acks=all means on disk: the same requests with acks=1 and acks=all, over more and more partitions.
//!
//! With `ottla.flush.on.acks.all=false` acks=all takes the very path of acks=1, so the first side is also that of the
//! switch being off.

use bytes::Bytes;

use crate::batch;
use crate::case::{Case, Path};
use crate::drive::{Conversation, Until, drive};
use crate::error::{BenchError, Result};
use crate::lab::{Lab, timestamp_ms};
use crate::produce::ToBroker;
use crate::request::Template;
use crate::sample::Sample;

const BATCH_LEN: usize = 16 << 10;
/// Producers, each with one request at a time to one partition after the other.
const CONNECTIONS: usize = 16;
/// Slices that one measurement takes: the disk's own rhythm is slower than that of the processor.
const SLICES: u32 = 5;

const ACKS_ALL: i16 = -1;
const ACKS_LEADER: i16 = 1;

/// 1, 16, 64 and 1000 partitions.
pub(crate) fn cases<'a>(lab: &'a Lab, broker_name: &'static str) -> Result<Vec<Case<'a>>> {
    let batch = batch::of_size(BATCH_LEN, timestamp_ms())
        .ok_or_else(|| BenchError::Usage(format!("no batch has {BATCH_LEN} bytes")))?;
    [1, 16, 64, 1000]
        .into_iter()
        .filter(|partitions| !lab.extent.quick || *partitions <= 64)
        .map(|partitions| {
            let topic = lab.create_topic(&format!("bench-durability-{partitions}"), partitions)?;
            let (other, same) = (topic.clone(), batch.clone());
            let batch = batch.clone();
            Ok(Case {
                path: Path::Durability,
                label: format!("{broker_name}, {partitions} part., {CONNECTIONS} conn."),
                sides: vec![
                    (
                        "acks=1",
                        Box::new(move || produce(lab, &topic, partitions, &batch, ACKS_LEADER))
                            as _,
                    ),
                    (
                        "acks=all",
                        Box::new(move || produce(lab, &other, partitions, &same, ACKS_ALL)) as _,
                    ),
                ],
                targets: Vec::new(),
            })
        })
        .collect()
}

fn produce(lab: &Lab, topic: &str, partitions: usize, batch: &Bytes, acks: i16) -> Result<Sample> {
    let conversations = (0..CONNECTIONS)
        .map(|first| Ok(Box::new(Rotating::new(lab, topic, partitions, first, batch, acks)?) as _))
        .collect::<Result<Vec<Box<dyn Conversation>>>>()?;
    let until = Until::Elapsed(lab.extent.slice * SLICES);
    drive(lab.broker.clock, conversations, until)
}

/// A producer whose every request goes to the next partition.
struct Rotating {
    connection: ToBroker,
    templates: Vec<Template>,
    next: usize,
    batch_len: u64,
}

impl Rotating {
    fn new(
        lab: &Lab,
        topic: &str,
        partitions: usize,
        first: usize,
        batch: &Bytes,
        acks: i16,
    ) -> Result<Self> {
        // No more templates than a measurement gets through; the connections begin at different partitions.
        let mine = (0..partitions.min(128)).map(|at| (first * 61 + at) % partitions);
        let templates = mine
            .map(|index| Template::produce_to(topic, index..index + 1, batch, acks))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            connection: ToBroker::one_at_a_time(lab, templates[0].clone())?,
            templates,
            next: 0,
            batch_len: batch.len() as u64,
        })
    }
}

impl Conversation for Rotating {
    fn turn(&mut self) -> Result<u64> {
        self.next = (self.next + 1) % self.templates.len();
        self.connection.turn_with(&mut self.templates[self.next])?;
        Ok(self.batch_len)
    }

    fn finish(&mut self) -> Result<()> {
        self.connection.finish()
    }
}
