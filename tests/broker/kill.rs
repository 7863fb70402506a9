//! SIGKILL in the middle of producing: every acknowledged record is there afterwards, once and in order.

use std::path::Path;

use ottla_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use ottla_tests::client::{Client, produce_request};
use ottla_tests::process::BrokerProcess;
use ottla_tests::records;
use tempfile::TempDir;

const ROUNDS: usize = 8;
const BATCHES_PER_ROUND: usize = 400;
/// Requests on their way at once when the broker dies.
const IN_FLIGHT: usize = 5;

#[tokio::test]
async fn acknowledged_records_survive_sigkill() {
    let dir = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
    let mut acknowledged: Vec<(i64, String)> = Vec::new();
    let mut known_ids = Vec::new();
    for round in 0..ROUNDS {
        let mut broker = BrokerProcess::start(program, dir.path());
        let mut client = Client::connect(broker.addr()).await;
        if round == 0 {
            client
                .create_topic("t", 1, &[("segment.bytes", "1048576")])
                .await;
        }
        verify(&mut client, &acknowledged).await;
        known_ids
            .push(produce_until_killed(&mut client, &mut broker, round, &mut acknowledged).await);
    }
    known_ids.dedup();
    assert_eq!(
        known_ids.len(),
        ROUNDS,
        "a producer id is never given twice: {known_ids:?}"
    );
    let broker = BrokerProcess::start(program, dir.path());
    verify(&mut Client::connect(broker.addr()).await, &acknowledged).await;
    assert!(acknowledged.len() > ROUNDS * BATCHES_PER_ROUND / 2);
}

/// Produce with several requests in flight, and kill the broker with some of them unanswered.
async fn produce_until_killed(
    client: &mut Client,
    broker: &mut BrokerProcess,
    round: usize,
    acknowledged: &mut Vec<(i64, String)>,
) -> i64 {
    let init = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let producer = client.call(4, &init).await;
    let mut waiting = std::collections::VecDeque::new();
    for i in 0..BATCHES_PER_ROUND + round {
        let value = format!("{round}-{i}-{}", "x".repeat(i * 37 % 9000));
        let batch = records::idempotent(
            producer.producer_id.0,
            producer.producer_epoch,
            i as i32,
            &[&value],
        );
        waiting.push_back((
            client.send(9, &produce_request("t", 0, batch, -1)).await,
            value,
        ));
        if waiting.len() > IN_FLIGHT {
            let (id, value) = waiting.pop_front().expect("one was just pushed");
            let response = client.receive::<ProduceRequest>(9, id).await;
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, 0);
            acknowledged.push((answer.base_offset, value));
        }
    }
    broker.kill();
    producer.producer_id.0
}

/// All that was acknowledged lies at the offset that the acknowledgement named.
async fn verify(client: &mut Client, acknowledged: &[(i64, String)]) {
    let mut found = Vec::new();
    loop {
        let data = client.fetch("t", 0, found.len() as i64, 1 << 20).await;
        let values = records::values(data.records.as_ref().expect("records, if empty ones"));
        if values.is_empty() {
            break;
        }
        let first = records::offsets(data.records.as_ref().expect("records, if empty ones"))[0];
        assert_eq!(first, found.len() as i64, "offsets go on without a gap");
        found.extend(values);
    }
    for (offset, value) in acknowledged {
        assert_eq!(&found[*offset as usize], value, "at offset {offset}");
    }
    let mut unique = found.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), found.len(), "nothing twice");
}
