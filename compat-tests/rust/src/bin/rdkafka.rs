//! rdkafka (librdkafka in Rust) without a group: FutureProducer, BaseConsumer::assign, AdminClient.

use std::time::{Duration, Instant};

use compat::{
    Outcome, Record, check_offsets_by_timestamp, compare, fixture, incompressible, numbered, same, strict, told, topic,
};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(30);

struct Program {
    runtime: Runtime,
    records: Vec<Record>,
}

fn main() -> Outcome {
    let program = Program { runtime: Runtime::new()?, records: fixture()? };
    compat::run(&program, Program::round_trip, &[
        ("offsets-by-timestamp", Program::offsets_by_timestamp),
        ("seek", Program::seek),
        ("large-record", Program::large_record),
        ("too-large-record", Program::too_large_record),
        ("idempotence", Program::idempotence),
        ("transactions", Program::transactions),
        ("create-topic", Program::create_topic),
        ("topic-configs", Program::topic_configs),
        ("unknown-topic", Program::unknown_topic),
    ]);
    Ok(())
}

fn settings(more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", told("COMPAT_BOOTSTRAP"));
    for (name, value) in more {
        config.set(*name, *value);
    }
    config
}

/// Demands the error with the code.
fn expect<T>(result: KafkaResult<T>, wanted: RDKafkaErrorCode) -> Outcome {
    match result {
        Err(KafkaError::AdminOp(code)) => same("error", code, wanted),
        Err(error) => same("error", error.rdkafka_error_code(), Some(wanted)),
        Ok(_) => Err(format!("it succeeded, {wanted:?} was expected").into()),
    }
}

/// The answer for the only topic or resource of an admin request.
fn only(results: KafkaResult<Vec<TopicResult>>) -> KafkaResult<()> {
    match results?.pop() {
        Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
        _ => Ok(()),
    }
}

fn record_of(message: &BorrowedMessage) -> (i64, Record) {
    let headers = message
        .headers()
        .map_or_else(Vec::new, |headers| headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect());
    let record = Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
    };
    (message.offset(), record)
}

/// From an offset to the end of the partition.
fn consume(topic: &str, from: i64, isolation: &str) -> KafkaResult<Vec<(i64, Record)>> {
    let config = [("group.id", "unused"), ("enable.partition.eof", "true"), ("auto.offset.reset", "error"), ("isolation.level", isolation)];
    let consumer: BaseConsumer = settings(&config).create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Offset(from))?;
    consumer.assign(&partitions)?;
    let (mut found, began) = (Vec::new(), Instant::now());
    while began.elapsed() < WAIT {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => found.push(record_of(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found),
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

impl Program {
    /// Sends in order to partition 0; the offsets acknowledged must be `first`, `first` + 1 ...
    fn send(&self, producer: &FutureProducer, topic: &str, records: &[Record], first: i64) -> Outcome<KafkaResult<()>> {
        let mut sent = Vec::new();
        for record in records {
            let headers = record
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
            let out = FutureRecord::<[u8], [u8]> {
                topic,
                partition: Some(0),
                payload: record.value.as_deref(),
                key: record.key.as_deref(),
                timestamp: Some(record.timestamp),
                headers: Some(headers),
            };
            sent.push(match producer.send_result(out) {
                Ok(future) => future,
                Err((error, _)) => return Ok(Err(error)),
            });
        }
        for (expected, future) in (first..).zip(sent) {
            match self.runtime.block_on(future)? {
                Ok(delivery) => same("acknowledged offset", delivery.offset, expected)?,
                Err((error, _)) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    fn produce(&self, topic: &str, records: &[Record], more: &[(&str, &str)]) -> Outcome<KafkaResult<()>> {
        self.send(&settings(more).create()?, topic, records, 0)
    }

    fn write_and_read(&self, name: &str, records: &[Record], more: &[(&str, &str)]) -> Outcome {
        let topic = topic(name);
        self.produce(&topic, records, more)??;
        compare(&consume(&topic, 0, "read_committed")?, records, 0)?;
        compare(&consume(&topic, 0, "read_uncommitted")?, records, 0)
    }

    fn one(&self, size: usize) -> Vec<Record> {
        vec![Record::of(incompressible(size), self.records[0].timestamp)]
    }

    fn round_trip(&self, codec: &str) -> Outcome {
        self.write_and_read(codec, &self.records, &[("compression.type", codec)])
    }

    fn offsets_by_timestamp(&self) -> Outcome {
        let (consumer, topic): (BaseConsumer, _) = (settings(&[("group.id", "unused")]).create()?, topic("none"));
        same("watermarks", consumer.fetch_watermarks(&topic, 0, WAIT)?, (0, self.records.len() as i64))?;
        check_offsets_by_timestamp(&self.records, |at| {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&topic, 0, Offset::Offset(at))?;
            let found = consumer.offsets_for_times(asked, WAIT)?;
            Ok(match found.find_partition(&topic, 0).ok_or("no answer for the partition")?.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
        })
    }

    fn seek(&self) -> Outcome {
        let topic = topic("lz4");
        for start in [1, 150, 299, 300] {
            compare(&consume(&topic, start as i64, "read_committed")?, &self.records[start..], start as i64)?;
        }
        expect(consume(&topic, 301, "read_committed"), RDKafkaErrorCode::AutoOffsetReset)
    }

    fn large_record(&self) -> Outcome {
        self.write_and_read("large", &self.one(900_000), &[])
    }

    fn too_large_record(&self) -> Outcome {
        let result = self.produce(&topic("too-large"), &self.one(1_500_000), &[("message.max.bytes", "4000000")])?;
        expect(result, RDKafkaErrorCode::MessageSizeTooLarge)
    }

    fn idempotence(&self) -> Outcome {
        let settings = [("enable.idempotence", "true"), ("batch.num.messages", "10")];
        self.write_and_read("idempotent", &numbered(5000, self.records[0].timestamp), &settings)
    }

    /// Committed records are read, aborted ones only by who reads uncommitted; an old epoch is fenced.
    fn transactions(&self) -> Outcome {
        let (topic, records) = (topic("transactions"), numbered(10, self.records[0].timestamp));
        let open = || -> KafkaResult<FutureProducer> {
            let producer: FutureProducer = settings(&[("transactional.id", &topic)]).create()?;
            producer.init_transactions(WAIT)?;
            Ok(producer)
        };
        let first = open()?;
        first.begin_transaction()?;
        self.send(&first, &topic, &records, 0)??;
        first.abort_transaction(WAIT)?;
        first.begin_transaction()?;
        // A marker follows the ten records of each.
        self.send(&first, &topic, &records, 11)??;
        first.commit_transaction(WAIT)?;
        compare(&consume(&topic, 0, "read_committed")?, &records, 11)?;
        same("records read uncommitted", consume(&topic, 0, "read_uncommitted")?.len(), 20)?;
        let _second = open()?;
        first.begin_transaction()?;
        // Its records are purged when it hears that it is fenced; the error that says so is the producer's own.
        expect(self.send(&first, &topic, &records, 22)?, RDKafkaErrorCode::PurgeQueue)?;
        let fatal = first.client().fatal_error().map(|(code, _)| code);
        same("fatal error", fatal, Some(RDKafkaErrorCode::Fenced))
    }

    fn create(&self, admin: &AdminClient<DefaultClientContext>, topic: &str, name: &str, value: &str) -> KafkaResult<()> {
        let new = NewTopic::new(topic, 3, TopicReplication::Fixed(1)).set(name, value);
        only(self.runtime.block_on(admin.create_topics(&[new], &AdminOptions::new())))
    }

    fn remove(&self, admin: &AdminClient<DefaultClientContext>, topic: &str) -> KafkaResult<()> {
        only(self.runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())))
    }

    fn create_topic(&self) -> Outcome {
        let (admin, topic): (AdminClient<_>, _) = (settings(&[]).create()?, topic("created"));
        self.create(&admin, &topic, "max.message.bytes", "2000")?;
        expect(self.create(&admin, &topic, "max.message.bytes", "2000"), RDKafkaErrorCode::TopicAlreadyExists)?;
        let metadata = admin.inner().fetch_metadata(Some(&topic), WAIT)?;
        same("partitions", metadata.topics()[0].partitions().len(), 3)?;
        expect(self.produce(&topic, &self.one(3000), &[])?, RDKafkaErrorCode::MessageSizeTooLarge)?;
        self.remove(&admin, &topic)?;
        expect(self.remove(&admin, &topic), RDKafkaErrorCode::UnknownTopicOrPartition)
    }

    fn topic_configs(&self) -> Outcome {
        let (admin, topic): (AdminClient<_>, _) = (settings(&[]).create()?, topic("configured"));
        let resource = ResourceSpecifier::Topic(&topic);
        self.create(&admin, &topic, "retention.ms", "3600000")?;
        let current = || -> Outcome<Option<String>> {
            let results = self.runtime.block_on(admin.describe_configs([&resource], &AdminOptions::new()))?;
            let found = results.into_iter().next().ok_or("no answer for the topic")??;
            Ok(found.get("retention.ms").and_then(|entry| entry.value.clone()))
        };
        let alter = |value| -> Outcome {
            let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", value);
            let results = self.runtime.block_on(admin.alter_configs([&change], &AdminOptions::new()))?;
            results.into_iter().next().ok_or("no answer for the topic")?.map(drop).map_err(|(_, code)| code.to_string().into())
        };
        let began = Instant::now();
        // A broker may hear of the topic a moment after its creation was answered.
        while current().is_err() && began.elapsed() < WAIT {
            std::thread::sleep(Duration::from_millis(50));
        }
        same("retention.ms as created", current()?.as_deref(), Some("3600000"))?;
        alter("7200000")?;
        same("retention.ms as changed", current()?.as_deref(), Some("7200000"))?;
        // The wrapper drops the error that a resource was answered with, so that what counts is what is there.
        alter("many")?;
        same("retention.ms after a bad change", current()?.as_deref(), Some("7200000"))?;
        Ok(self.remove(&admin, &topic)?)
    }

    fn unknown_topic(&self) -> Outcome {
        let (strict, timeout) = (strict()?, [("message.timeout.ms", "8000"), ("topic.metadata.propagation.max.ms", "1000")]);
        let mut config = settings(&timeout);
        config.set("bootstrap.servers", strict);
        let result = self.send(&config.create()?, &topic("unknown"), &self.one(1), 0)?;
        let code = result.err().and_then(|error| error.rdkafka_error_code());
        let wanted = [RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::UnknownPartition];
        same(&format!("{code:?} is one of {wanted:?}"), code.is_some_and(|code| wanted.contains(&code)), true)
    }
}
