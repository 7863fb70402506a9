//! A group member of rdkafka: the contract is in harness/member.py.

use std::time::Duration;

use compat::{Outcome, told};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio::signal::unix::{SignalKind, signal};

/// Prints what the group gives and takes.
struct Teller;

impl ClientContext for Teller {}

impl ConsumerContext for Teller {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance) {
        match rebalance {
            Rebalance::Assign(partitions) => tell("assigned", partitions),
            Rebalance::Revoke(partitions) => tell("revoked", partitions),
            Rebalance::Error(error) => println!("rebalance: {error}"),
        }
    }
}

fn tell(word: &str, partitions: &TopicPartitionList) {
    let numbers: String = partitions.elements().iter().map(|one| format!(" {}", one.partition())).collect();
    println!("{word}{numbers}");
}

fn settings() -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", told("MEMBER_BOOTSTRAP"))
        .set("group.id", told("MEMBER_GROUP"))
        .set("group.protocol", told("MEMBER_PROTOCOL"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("reconnect.backoff.max.ms", "200");
    if !told("MEMBER_INSTANCE").is_empty() {
        config.set("group.instance.id", told("MEMBER_INSTANCE"));
    }
    if told("MEMBER_PROTOCOL") == "classic" {
        config.set("session.timeout.ms", told("MEMBER_SESSION_MS")).set("heartbeat.interval.ms", told("MEMBER_HEARTBEAT_MS"));
    }
    config
}

#[tokio::main]
async fn main() -> Outcome {
    let mut stop = signal(SignalKind::terminate())?;
    let consumer: StreamConsumer<Teller> = settings().create_with_context(Teller)?;
    consumer.subscribe(&[&told("MEMBER_TOPIC")])?;
    let mut uncommitted = 0;
    loop {
        let next = tokio::select! {
            _ = stop.recv() => break,
            next = tokio::time::timeout(Duration::from_millis(100), consumer.recv()) => next,
        };
        match &next {
            Ok(Ok(message)) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
                println!("record {} {} {value}", message.partition(), message.offset());
                uncommitted += 1;
            }
            Ok(Err(error)) => println!("error: {error}"),
            Err(_nothing_for_a_while) => {}
        }
        if uncommitted > 0 && (next.is_err() || uncommitted >= 100) {
            uncommitted = 0;
            match consumer.commit_consumer_state(CommitMode::Sync) {
                Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
                Err(error) => println!("commit: {error}"),
            }
        }
    }
    Ok(())
}
