//! rskafka, a client in pure Rust without groups, idempotence and transactions; it creates topics without configs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use compat::{Outcome, Record, check_offsets_by_timestamp, compare, fixture, incompressible, same, strict, told, topic};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error as ClientError, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::runtime::Runtime;

const TIMEOUT_MS: i32 = 10_000;

struct Program {
    runtime: Runtime,
    client: Client,
    records: Vec<Record>,
}

fn main() -> Outcome {
    let runtime = Runtime::new()?;
    let client = runtime.block_on(connect(told("COMPAT_BOOTSTRAP")))?;
    let records = fixture()?.into_iter().map(possible).collect();
    let program = Program { runtime, client, records };
    compat::run(&program, Program::round_trip, &[
        ("offsets-by-timestamp", Program::offsets_by_timestamp),
        ("seek", Program::seek),
        ("large-record", Program::large_record),
        ("too-large-record", Program::too_large_record),
        ("create-topic", Program::create_topic),
        ("unknown-topic", Program::unknown_topic),
    ]);
    Ok(())
}

/// Its headers are a sorted map without null values.
fn possible(mut record: Record) -> Record {
    let map: BTreeMap<_, _> = record.headers.into_iter().map(|(name, value)| (name, value.or(Some(Vec::new())))).collect();
    record.headers = map.into_iter().collect();
    record
}

async fn connect(bootstrap: String) -> Outcome<Client> {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(1), deadline: Some(Duration::from_secs(20)), ..Default::default() };
    Ok(ClientBuilder::new(vec![bootstrap]).backoff_config(backoff).build().await?)
}

fn codec_of(name: &str) -> Compression {
    match name {
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::NoCompression,
    }
}

fn time_of(ms: i64) -> Outcome<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_millis(ms).ok_or("no such time")?)
}

/// Demands the broker's error.
fn expect<T>(result: Result<T, ClientError>, wanted: ProtocolError) -> Outcome {
    match result {
        Err(ClientError::ServerError { protocol_error, .. }) => same("error", protocol_error, wanted),
        Err(other) => Err(other.into()),
        Ok(_) => Err(format!("it succeeded, {wanted:?} was expected").into()),
    }
}

async fn produce(partition: &PartitionClient, records: &[Record], codec: &str) -> Outcome<Vec<i64>> {
    let mut out = Vec::new();
    for record in records {
        out.push(rskafka::record::Record {
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect(),
            timestamp: time_of(record.timestamp)?,
        });
    }
    Ok(partition.produce(out, codec_of(codec)).await?)
}

async fn consume(partition: &PartitionClient, from: i64, count: usize) -> Outcome<Vec<(i64, Record)>> {
    let mut found: Vec<(i64, Record)> = Vec::new();
    while found.len() < count {
        let next = found.last().map_or(from, |(offset, _)| offset + 1);
        let (records, high_watermark) = partition.fetch_records(next, 1..8 << 20, 1000).await?;
        if records.is_empty() {
            return Err(format!("nothing at {next}, the high watermark is {high_watermark}").into());
        }
        found.extend(records.into_iter().map(|read| {
            let headers = read.record.headers.into_iter().map(|(name, value)| (name, Some(value))).collect();
            let timestamp = read.record.timestamp.timestamp_millis();
            (read.offset, Record { key: read.record.key, value: read.record.value, headers, timestamp })
        }));
    }
    Ok(found)
}

impl Program {
    /// A client of partition 0 of a topic of this run.
    async fn partition(&self, name: &str) -> Outcome<Arc<PartitionClient>> {
        Ok(Arc::new(self.client.partition_client(topic(name), 0, UnknownTopicHandling::Retry).await?))
    }

    async fn create(&self, name: &str, partitions: i32) -> Result<(), ClientError> {
        self.client.controller_client()?.create_topic(topic(name), partitions, 1, TIMEOUT_MS).await
    }

    async fn write_and_read(&self, name: &str, records: &[Record], codec: &str) -> Outcome {
        self.create(name, 1).await?;
        let partition = self.partition(name).await?;
        same("acknowledged offsets", produce(&partition, records, codec).await?, (0..records.len() as i64).collect())?;
        compare(&consume(&partition, 0, records.len()).await?, records, 0)
    }

    fn round_trip(&self, codec: &str) -> Outcome {
        self.runtime.block_on(self.write_and_read(codec, &self.records, codec))
    }

    fn offsets_by_timestamp(&self) -> Outcome {
        let partition = self.runtime.block_on(self.partition("none"))?;
        let ask = |at| self.runtime.block_on(partition.get_offset(at));
        same("earliest", ask(OffsetAt::Earliest)?, 0)?;
        same("latest", ask(OffsetAt::Latest)?, self.records.len() as i64)?;
        check_offsets_by_timestamp(&self.records, |at| {
            let offset = ask(OffsetAt::Timestamp(time_of(at)?))?;
            Ok((offset >= 0).then_some(offset))
        })
    }

    fn seek(&self) -> Outcome {
        self.runtime.block_on(async {
            let partition = self.partition("lz4").await?;
            for start in [1, 150, 299] {
                let found = consume(&partition, start as i64, self.records.len() - start).await?;
                compare(&found, &self.records[start..], start as i64)?;
            }
            expect(partition.fetch_records(301, 1..1 << 20, 100).await, ProtocolError::OffsetOutOfRange)
        })
    }

    fn large_record(&self) -> Outcome {
        let one = Record::of(incompressible(900_000), self.records[0].timestamp);
        self.runtime.block_on(self.write_and_read("large", &[one], "none"))
    }

    fn too_large_record(&self) -> Outcome {
        self.runtime.block_on(async {
            self.create("too-large", 1).await?;
            let one = rskafka::record::Record {
                key: None,
                value: Some(incompressible(1_500_000)),
                headers: BTreeMap::new(),
                timestamp: time_of(self.records[0].timestamp)?,
            };
            let result = self.partition("too-large").await?.produce(vec![one], Compression::NoCompression).await;
            expect(result, ProtocolError::MessageTooLarge)
        })
    }

    fn create_topic(&self) -> Outcome {
        self.runtime.block_on(async {
            let name = topic("created");
            self.create("created", 3).await?;
            expect(self.create("created", 3).await, ProtocolError::TopicAlreadyExists)?;
            let listed = |topics: Vec<rskafka::topic::Topic>| topics.into_iter().find(|one| one.name == name);
            let found = listed(self.client.list_topics().await?).ok_or("a created topic is not listed")?;
            same("partitions", found.partitions.len(), 3)?;
            self.client.controller_client()?.delete_topic(name.clone(), TIMEOUT_MS).await?;
            same("a deleted topic is listed", listed(self.client.list_topics().await?).is_some(), false)?;
            let again = self.client.controller_client()?.delete_topic(name.clone(), TIMEOUT_MS).await;
            expect(again, ProtocolError::UnknownTopicOrPartition)
        })
    }

    fn unknown_topic(&self) -> Outcome {
        let bootstrap = strict()?;
        self.runtime.block_on(async {
            let client = connect(bootstrap).await?;
            let result = client.partition_client(topic("unknown"), 0, UnknownTopicHandling::Error).await;
            expect(result, ProtocolError::UnknownTopicOrPartition)
        })
    }
}
