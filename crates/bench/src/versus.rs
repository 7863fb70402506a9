//! Side by side with Apache Kafka: the same requests to both, in turn, each a process on the same CPU.
//!
//! Flushes are alike: acks=1, and neither flushes before it answers, but in the cases that have both flush every batch.
//! Apache Kafka runs with its own defaults and its start script's Java options, and is warmed up by every load before
//! anything is measured, so that its hot code is compiled.

use std::path::Path as FilePath;
use std::time::Duration;

use bytes::Bytes;

use crate::batch;
use crate::case::{Case, Measure, Path};
use crate::clock::now;
use crate::consume::{DataSet, Reading};
use crate::error::{BenchError, Doing, Result};
use crate::kafka::{JAVA_OPTIONS, Kafka};
use crate::lab::{Extent, Lab, timestamp_ms};
use crate::produce::{IN_FLIGHT, Load};
use crate::sample::Sample;
use crate::server::Server;
use crate::startup::settled;

/// The only case of [`Path::VersusStart`].
pub(crate) const START: &str = "start to first answer, then idle";
/// Name of the side that the other is compared with.
const KAFKA: &str = "Apache Kafka";
/// Bytes of the records in a batch, before compression.
const BATCH_LEN: usize = 64 << 10;
/// What the records are compressed with.
const CODECS: [&str; 2] = ["none", "lz4"];
/// Numbers of partitions, and of clients.
const COUNTS: [usize; 2] = [1, 16];
/// How much longer than its CPU time a warm-up takes at most.
const IDLE_WARM_UP: u32 = 4;
/// What the clients do; the last one has every batch flushed, and is about one partition without compression.
const WORK: [&str; 3] = ["produce", "consume", "produce, each batch flushed"];

/// The names of all cases of [`Path::Versus`], in the order of a table.
pub(crate) fn labels() -> Vec<String> {
    let [produce, consume, flushed] = WORK;
    let mut labels = Vec::new();
    for what in [produce, consume] {
        for codec in CODECS {
            for partitions in COUNTS {
                labels.extend(COUNTS.map(|clients| label(what, codec, partitions, clients)));
            }
        }
    }
    labels.extend(COUNTS.map(|clients| label(flushed, CODECS[0], COUNTS[0], clients)));
    labels
}

/// What both sides are told, in words.
pub(crate) fn conditions(extent: &Extent) -> String {
    format!(
        "A request carries {} KiB of records for each partition, or fetches as much. Producers have {IN_FLIGHT} requests in \
         flight, acks=1; consumers read what is in the page cache. Neither broker flushes before it answers, but where each \
         batch is flushed, on both by `flush.messages=1`. Apache Kafka has its own defaults, its start script's `{}`, and {} \
         s of CPU on each load before anything is measured.",
        BATCH_LEN >> 10,
        JAVA_OPTIONS.join(" "),
        extent.warm_up.as_secs(),
    )
}

/// Both brokers' labs with what consumers read from them.
pub(crate) struct Versus<'a> {
    ottla: &'a Lab,
    kafka: &'a Lab,
    loads: Vec<Loads>,
}

/// One codec and number of partitions, on both brokers.
struct Loads {
    codec: &'static str,
    partitions: usize,
    batch: Bytes,
    ottla: DataSet,
    kafka: DataSet,
}

impl<'a> Versus<'a> {
    /// Fills topics of both brokers: no compression and LZ4, 1 and 16 partitions.
    pub(crate) fn prepare(ottla: &'a Lab, kafka: &'a Lab) -> Result<Self> {
        let now = timestamp_ms();
        let batches = [
            batch::of_size(BATCH_LEN, now),
            batch::of_lz4(BATCH_LEN, now),
        ];
        let mut loads = Vec::new();
        for (codec, batch) in CODECS.into_iter().zip(batches) {
            let batch = batch
                .ok_or_else(|| BenchError::Usage(format!("no batch has {BATCH_LEN} bytes")))?;
            for partitions in COUNTS {
                let name = format!("bench-versus-{codec}-{partitions}");
                loads.push(Loads {
                    codec,
                    partitions,
                    ottla: DataSet::of(ottla, &name, &batch, partitions)?,
                    kafka: DataSet::of(kafka, &name, &batch, partitions)?,
                    batch: batch.clone(),
                });
            }
        }
        Ok(Self {
            ottla,
            kafka,
            loads,
        })
    }

    /// Produce and consume, by 1 and 16 clients.
    pub(crate) fn cases(&self) -> Vec<Case<'_>> {
        let mut cases = Vec::new();
        for clients in COUNTS {
            for loads in &self.loads {
                cases.push(self.produce(loads, clients));
                cases.push(self.consume(loads, clients));
            }
            cases.extend(self.loads.first().map(|loads| self.flushed(loads, clients)));
        }
        cases
    }

    fn produce<'s>(&'s self, loads: &'s Loads, clients: usize) -> Case<'s> {
        self.loaded(WORK[0], loads, clients, |load| load)
    }

    fn flushed<'s>(&'s self, loads: &'s Loads, clients: usize) -> Case<'s> {
        self.loaded(WORK[2], loads, clients, Load::flushed)
    }

    fn loaded<'s>(
        &'s self,
        what: &str,
        loads: &'s Loads,
        clients: usize,
        how: impl Fn(Load) -> Load,
    ) -> Case<'s> {
        let measure = |lab: &'s Lab| -> Measure<'s> {
            let load = how(Load::of(
                lab,
                loads.batch.clone(),
                loads.partitions,
                clients,
            ));
            Box::new(move || with_memory(lab, load.with_broker(lab)?))
        };
        let sides = [measure(self.kafka), measure(self.ottla)];
        case(label(what, loads.codec, loads.partitions, clients), sides)
    }

    fn consume<'s>(&'s self, loads: &'s Loads, clients: usize) -> Case<'s> {
        let measure = |lab: &'s Lab, set: &'s DataSet| -> Measure<'s> {
            let reading = Reading::batch_by_batch(set, clients);
            Box::new(move || with_memory(lab, reading.with_broker(lab)?))
        };
        let kafka = measure(self.kafka, &loads.kafka);
        let ottla = measure(self.ottla, &loads.ottla);
        let label = label(WORK[1], loads.codec, loads.partitions, clients);
        case(label, [kafka, ottla])
    }
}

/// Has Apache Kafka compile its hot code: every case of [`Path::Versus`], unmeasured, until the broker `kafka` has used
/// the CPU for `time`. A case that leaves it idle, as a disk does, ends after some times that by the clock.
pub(crate) fn warm_up(cases: &mut [Case<'_>], kafka: &Lab, time: Duration) -> Result<()> {
    let clock = kafka.broker.clock;
    for case in cases.iter_mut().filter(|case| case.path == Path::Versus) {
        let (used, start) = (clock.read()?, now());
        while clock.read()? - used < time && now() - start < IDLE_WARM_UP * time {
            (case.sides[0].1)()?;
        }
    }
    Ok(())
}

/// From exec to the first answer, and the memory of an idle broker, which may use every CPU. Apache Kafka's directory is
/// formatted beforehand.
pub(crate) fn start_up<'a>(
    program: &'a FilePath,
    jars: &'a FilePath,
    lab: &'a Lab,
) -> Vec<Case<'a>> {
    let (placement, scratch) = (lab.placement.unpinned(), &lab.scratch);
    let dir = move || tempfile::tempdir_in(scratch).doing("creating a data directory");
    let mut formatted = None;
    let kafka: Measure<'a> = Box::new(move || {
        let (kafka, _) = match &formatted {
            Some(once) => once,
            None => {
                let dir = dir()?;
                formatted.insert((Kafka::format(jars, dir.path())?, dir))
            }
        };
        kafka.renew()?;
        let start = now();
        let server = kafka.start(&placement)?;
        settled(&server, now() - start)
    });
    let ottla: Measure<'a> = Box::new(move || {
        let dir = dir()?;
        let start = now();
        let server = Server::broker(program, &dir.path().join("data"), &placement)?;
        settled(&server, now() - start)
    });
    vec![Case {
        path: Path::VersusStart,
        ..case(START.into(), [kafka, ottla])
    }]
}

fn label(what: &str, codec: &str, partitions: usize, clients: usize) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let (partitions, clients) = (count(partitions, "partition"), count(clients, "client"));
    format!("{what}, {codec}, {partitions}, {clients}")
}

fn case(label: String, [kafka, ottla]: [Measure<'_>; 2]) -> Case<'_> {
    Case {
        path: Path::Versus,
        label,
        sides: vec![(KAFKA, kafka), ("ottla", ottla)],
        targets: Vec::new(),
    }
}

fn with_memory(lab: &Lab, sample: Sample) -> Result<Sample> {
    let (rss, rss_anonymous) = lab.broker.resident()?;
    Ok(Sample {
        rss,
        rss_anonymous,
        ..sample
    })
}
