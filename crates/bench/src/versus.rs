//! Side by side with Apache Kafka: the same requests to both, in turn, each a process on the same CPU.
//!
//! Neither flushes: acks=1. Apache Kafka runs with its own defaults and its start script's Java options, and is warmed up
//! by every load before anything is measured, so that its hot code is compiled.

use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::batch;
use crate::case::{Case, Measure, Path};
use crate::clock::now;
use crate::consume::{DataSet, Reading};
use crate::error::{BenchError, Doing, Result};
use crate::kafka::Kafka;
use crate::lab::{Lab, timestamp_ms};
use crate::produce::Load;
use crate::sample::Sample;
use crate::server::Server;
use crate::startup::settled;

/// Bytes of the records in a batch, before compression.
const BATCH_LEN: usize = 64 << 10;
/// Time for which each load warms up Apache Kafka.
const WARM_UP: Duration = Duration::from_secs(3);
/// Name of the side that the other is compared with.
const KAFKA: &str = "Apache Kafka";

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
        let mut loads = Vec::new();
        for (codec, batch) in [
            ("none", batch::of_size(BATCH_LEN, now)),
            ("lz4", batch::of_lz4(BATCH_LEN, now)),
        ] {
            let batch = batch
                .ok_or_else(|| BenchError::Usage(format!("no batch has {BATCH_LEN} bytes")))?;
            for partitions in [1, 16] {
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
    pub(crate) fn cases(&self) -> Result<Vec<Case<'_>>> {
        let mut cases = Vec::new();
        for loads in &self.loads {
            for clients in [1, 16] {
                let mut both: [Case<'_>; 2] =
                    [self.produce(loads, clients), self.consume(loads, clients)];
                for case in &mut both {
                    warm_up(&mut case.sides[0].1)?;
                }
                cases.extend(both);
            }
        }
        Ok(cases)
    }

    fn produce<'s>(&'s self, loads: &'s Loads, clients: usize) -> Case<'s> {
        let measure = |lab: &'s Lab| -> Measure<'s> {
            let load = Load::of(lab, loads.batch.clone(), loads.partitions, clients);
            Box::new(move || with_memory(lab, load.with_broker(lab)?))
        };
        self.case(
            "produce",
            loads,
            clients,
            measure(self.kafka),
            measure(self.ottla),
        )
    }

    fn consume<'s>(&'s self, loads: &'s Loads, clients: usize) -> Case<'s> {
        let measure = |lab: &'s Lab, set: &'s DataSet| -> Measure<'s> {
            let reading = Reading::batch_by_batch(set, clients);
            Box::new(move || with_memory(lab, reading.with_broker(lab)?))
        };
        let kafka = measure(self.kafka, &loads.kafka);
        let ottla = measure(self.ottla, &loads.ottla);
        self.case("consume", loads, clients, kafka, ottla)
    }

    fn case<'s>(
        &self,
        what: &str,
        loads: &Loads,
        clients: usize,
        kafka: Measure<'s>,
        ottla: Measure<'s>,
    ) -> Case<'s> {
        let (codec, partitions) = (loads.codec, loads.partitions);
        Case {
            path: Path::Versus,
            label: format!("{what}, {codec}, {partitions} part., {clients} clients"),
            sides: vec![(KAFKA, kafka), ("ottla", ottla)],
            targets: Vec::new(),
        }
    }
}

/// From exec to the first answer, and the memory of an idle broker. Apache Kafka's directory is formatted beforehand.
pub(crate) fn start_up<'a>(
    program: &'a FilePath,
    jars: &'a FilePath,
    lab: &'a Lab,
) -> Vec<Case<'a>> {
    let (placement, scratch) = (&lab.placement, &lab.scratch);
    let dir = move || tempfile::tempdir_in(scratch).doing("creating a data directory");
    let kafka: Measure<'a> = Box::new(move || {
        let dir = dir()?;
        let kafka = Kafka::format(jars, dir.path())?;
        let start = now();
        let server = kafka.start(placement)?;
        settled(&server, now() - start)
    });
    let ottla: Measure<'a> = Box::new(move || {
        let dir = dir()?;
        let start = now();
        let server = Server::broker(program, &dir.path().join("data"), placement)?;
        settled(&server, now() - start)
    });
    vec![Case {
        path: Path::VersusStart,
        label: "start to first answer, then idle".into(),
        sides: vec![(KAFKA, kafka), ("ottla", ottla)],
        targets: Vec::new(),
    }]
}

fn with_memory(lab: &Lab, sample: Sample) -> Result<Sample> {
    let (rss, rss_anonymous) = lab.broker.resident()?;
    Ok(Sample {
        rss,
        rss_anonymous,
        ..sample
    })
}

fn warm_up(measure: &mut Measure<'_>) -> Result<()> {
    let start: Instant = now();
    while now() - start < WARM_UP {
        measure()?;
    }
    Ok(())
}
