//! Single steps: who is fenced, what is repeated, what happens at the last epoch.

use std::sync::Arc;

use ottla_protocol::ResponseError as Error;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};

use super::world::{Given, World, named};
use crate::coordinator::shard::AppendFailure;
use crate::coordinator::transaction::message::{
    Producer, TransactionRequest, TransactionResponse, Work,
};
use crate::coordinator::transaction::state::{TransactionMetadata, TransactionState};

const TIMEOUT_MS: i32 = 1_000;
const V1: i16 = 0;
const V2: i16 = 2;

fn initialize(world: &mut World, expected: Option<(ProducerId, ProducerEpoch)>) -> Option<Given> {
    let ticket = world.send(|new_id| TransactionRequest::InitProducerId {
        transactional_id: Arc::from("id"),
        timeout_ms: TIMEOUT_MS,
        expected,
        new_id,
    });
    world.take(ticket).map(|response| match response {
        TransactionResponse::Producer(given) => given,
        other => panic!("{other:?}"),
    })
}

fn begin(world: &mut World) -> Producer {
    let (id, epoch) = initialize(world, None).unwrap().unwrap();
    producer(id, epoch)
}

fn producer(id: ProducerId, epoch: ProducerEpoch) -> Producer {
    Producer {
        transactional_id: "id".into(),
        id,
        epoch,
    }
}

fn add(world: &mut World, producer: &Producer, client_version: i16) -> Result<(), Error> {
    add_to(world, producer, 0, client_version)
}

fn add_to(
    world: &mut World,
    producer: &Producer,
    partition: usize,
    client_version: i16,
) -> Result<(), Error> {
    let ticket = world.send(|_| TransactionRequest::AddPartitions {
        producer: producer.clone(),
        partitions: named(&[partition]),
        client_version,
    });
    match world.take(ticket).unwrap() {
        TransactionResponse::Done(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

fn ask_to_end(world: &mut World, producer: &Producer, committed: bool, client_version: i16) -> u64 {
    world.send(|new_id| TransactionRequest::EndTxn {
        producer: producer.clone(),
        committed,
        client_version,
        new_id,
    })
}

/// End the transaction and write its markers.
fn end(world: &mut World, producer: &Producer, committed: bool, client_version: i16) -> Given {
    let ticket = ask_to_end(world, producer, committed, client_version);
    world.finish_work();
    match world.take(ticket).unwrap() {
        TransactionResponse::Producer(given) => given,
        other => panic!("{other:?}"),
    }
}

fn metadata(world: &World) -> TransactionMetadata {
    world.shard.get("id").unwrap().clone()
}

/// Bring the epoch to `epoch` by as many ends of transactions as it takes, from 32,700 on.
fn at_epoch(level: i16, epoch: i16) -> (World, Producer) {
    let mut world = World::new(level, 1);
    let mut producer = begin(&mut world);
    while producer.epoch.0 < epoch {
        let (_, epoch) = initialize(&mut world, None).unwrap().unwrap();
        assert_eq!(epoch.0, producer.epoch.0 + 1);
        producer.epoch = epoch;
    }
    (world, producer)
}

#[test]
fn repeated_ends_are_told_from_new_ones() {
    let mut world = World::new(2, 1);
    let first = begin(&mut world);
    // In version 2 a producer may abort what it does not know to have begun, but not commit it.
    assert_eq!(
        end(&mut world, &first, true, V2),
        Err(Error::InvalidTxnState)
    );
    assert_eq!(
        end(&mut world, &first, true, V1),
        Err(Error::InvalidTxnState)
    );
    assert_eq!(
        end(&mut world, &first, false, V1),
        Err(Error::InvalidTxnState)
    );
    let bumped = |epoch| Ok((first.id, ProducerEpoch(epoch)));
    assert_eq!(end(&mut world, &first, false, V2), bumped(1));
    assert_eq!(end(&mut world, &first, false, V2), bumped(1), "again");
    assert_eq!(
        end(&mut world, &first, true, V2),
        Err(Error::InvalidTxnState)
    );
    let second = producer(first.id, ProducerEpoch(1));
    assert_eq!(add(&mut world, &first, V2), Err(Error::ProducerFenced));
    assert_eq!(add(&mut world, &second, V2), Ok(()));
    assert_eq!(
        end(&mut world, &first, false, V2),
        Err(Error::ProducerFenced)
    );
    assert_eq!(end(&mut world, &second, true, V2), bumped(2));
    assert_eq!(end(&mut world, &second, true, V2), bumped(2), "again");
    assert_eq!(
        end(&mut world, &second, false, V2),
        Err(Error::InvalidTxnState)
    );
    // What it sent in the epoch it is told to leave must not arrive later, if it has begun anything or not.
    for epoch in [2, 3] {
        let unseen = producer(first.id, ProducerEpoch(epoch));
        assert_eq!(end(&mut world, &unseen, false, V2), bumped(epoch + 1));
    }
}

#[test]
fn in_version_1_the_epoch_stays() {
    let mut world = World::new(2, 1);
    let producer = begin(&mut world);
    for committed in [true, false, true] {
        assert_eq!(add(&mut world, &producer, V1), Ok(()));
        let same = Ok((producer.id, producer.epoch));
        assert_eq!(end(&mut world, &producer, committed, V1), same);
        assert_eq!(end(&mut world, &producer, committed, V1), same, "again");
        let other = end(&mut world, &producer, !committed, V1);
        assert_eq!(other, Err(Error::InvalidTxnState));
    }
}

#[test]
fn a_producer_that_names_its_epoch_keeps_its_place_unless_another_came() {
    let mut world = World::new(2, 1);
    let first = begin(&mut world);
    let named = Some((first.id, first.epoch));
    let second = Ok((first.id, ProducerEpoch(1)));
    assert_eq!(initialize(&mut world, named), Some(second));
    assert_eq!(initialize(&mut world, named), Some(second), "again");
    assert_eq!(begin(&mut world).epoch, ProducerEpoch(2));
    assert_eq!(
        initialize(&mut world, named),
        Some(Err(Error::ProducerFenced))
    );
    let other_id = Some((ProducerId(7), ProducerEpoch(2)));
    assert_eq!(
        initialize(&mut world, other_id),
        Some(Err(Error::ProducerFenced))
    );
}

#[test]
fn the_epochs_run_out_at_a_restart() {
    let (mut world, last) = at_epoch(2, i16::MAX - 1);
    let (id, epoch) = initialize(&mut world, None).unwrap().unwrap();
    assert_ne!(id, last.id);
    assert_eq!(epoch, ProducerEpoch(0));
    // The old producer has not seen it: it gets the new id.
    assert_eq!(
        add(&mut world, &last, V1),
        Err(Error::InvalidProducerIdMapping)
    );
    world.restart();
    assert_eq!(metadata(&world).producer_id, id);
}

#[test]
fn the_epochs_run_out_at_the_end_of_a_transaction() {
    for committed in [true, false] {
        let (mut world, last) = at_epoch(2, i16::MAX - 1);
        assert_eq!(add(&mut world, &last, V2), Ok(()));
        let (id, epoch) = end(&mut world, &last, committed, V2).unwrap();
        assert_ne!(id, last.id);
        assert_eq!(epoch, ProducerEpoch(0));
        assert_eq!(
            end(&mut world, &last, committed, V2),
            Ok((id, epoch)),
            "again"
        );
        assert_eq!(add(&mut world, &producer(id, epoch), V2), Ok(()));
    }
}

#[test]
fn a_timeout_at_the_last_epoch_does_not_run_over() {
    for level in [0, 1, 2] {
        let (mut world, last) = at_epoch(level, i16::MAX - 1);
        assert_eq!(add(&mut world, &last, V1), Ok(()));
        world.sleep(2_000);
        world.finish_work();
        let known = metadata(&world);
        assert_eq!(
            known.state,
            TransactionState::CompleteAbort,
            "level {level}"
        );
        let next = begin(&mut world);
        assert_ne!(next.id, last.id, "level {level}");
        assert!(next.epoch <= ProducerEpoch(1));
    }
}

#[test]
fn a_second_producer_aborts_the_transaction_of_the_first() {
    for level in [0, 1, 2] {
        let mut world = World::new(level, 1);
        let zombie = begin(&mut world);
        assert_eq!(add(&mut world, &zombie, V1), Ok(()));
        // It is told to come again, once it is worth it.
        assert_eq!(initialize(&mut world, None), None);
        assert_eq!(add(&mut world, &zombie, V1), Err(Error::ProducerFenced));
        world.finish_work();
        let next = begin(&mut world);
        assert!(next.epoch > zombie.epoch);
        assert_eq!(
            end(&mut world, &zombie, true, V1),
            Err(Error::ProducerFenced)
        );
        assert_eq!(
            end(&mut world, &zombie, true, V2),
            Err(Error::ProducerFenced)
        );
    }
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_even_across_a_restart() {
    for (restart, level) in [(false, 2), (true, 2), (true, 1)] {
        let mut world = World::new(level, 1);
        let slow = begin(&mut world);
        assert_eq!(add(&mut world, &slow, V1), Ok(()));
        world.sleep(600);
        if restart {
            world.restart();
        }
        world.sleep(399);
        assert_eq!(metadata(&world).state, TransactionState::Ongoing);
        world.sleep(1);
        assert_eq!(metadata(&world).state, TransactionState::PrepareAbort);
        world.finish_work();
        assert_eq!(end(&mut world, &slow, true, V1), Err(Error::ProducerFenced));
    }
}

#[test]
fn markers_are_written_again_after_a_restart_and_the_answer_does_not_wait_for_ever() {
    let mut world = World::new(2, 1);
    let producer = begin(&mut world);
    assert_eq!(add(&mut world, &producer, V2), Ok(()));
    let ticket = ask_to_end(&mut world, &producer, true, V2);
    assert_eq!(world.take(ticket), None);
    world.sleep(1_000);
    let given = Ok((producer.id, ProducerEpoch(1)));
    assert_eq!(
        world.take(ticket),
        Some(TransactionResponse::Producer(given))
    );
    let asked = std::mem::take(&mut world.work);
    assert!(matches!(&asked[..], [Work::WriteMarkers(markers)] if markers.committed));
    world.restart();
    assert_eq!(world.work, asked);
    world.finish_work();
    assert_eq!(metadata(&world).state, TransactionState::CompleteCommit);
}

#[test]
fn what_cannot_be_written_has_not_happened() {
    let mut world = World::new(2, 1);
    let producer = begin(&mut world);
    world.failing = Some(AppendFailure::Storage);
    assert_eq!(add(&mut world, &producer, V2), Err(Error::NotCoordinator));
    assert_eq!(
        initialize(&mut world, None),
        Some(Err(Error::NotCoordinator))
    );
    world.failing = None;
    assert_eq!(add(&mut world, &producer, V2), Ok(()));
    world.failing = Some(AppendFailure::NotEnoughReplicas);
    ask_to_end(&mut world, &producer, true, V2);
    assert_eq!(world.work, [], "no marker before the decision is written");
    assert_eq!(
        end(&mut world, &producer, true, V2),
        Err(Error::CoordinatorNotAvailable)
    );
    world.sleep(2_000);
    assert_eq!(metadata(&world).state, TransactionState::Ongoing);
    world.failing = None;
    world.sleep(500);
    world.failing = Some(AppendFailure::Storage);
    world.finish_work();
    assert_eq!(metadata(&world).state, TransactionState::PrepareAbort);
    world.failing = None;
    world.sleep(500);
    assert_eq!(metadata(&world).state, TransactionState::CompleteAbort);
}

#[test]
fn the_time_of_a_transaction_runs_from_its_first_partition_on() {
    let mut world = World::new(2, 2);
    let slow = begin(&mut world);
    assert_eq!(add(&mut world, &slow, V2), Ok(()));
    world.sleep(600);
    assert_eq!(add_to(&mut world, &slow, 1, V2), Ok(()));
    world.sleep(400);
    assert_eq!(metadata(&world).state, TransactionState::PrepareAbort);
}

#[test]
fn a_new_id_for_another_epoch_aborts_nothing() {
    let mut world = World::new(2, 1);
    let slow = begin(&mut world);
    assert_eq!(add(&mut world, &slow, V2), Ok(()));
    world.failing = Some(AppendFailure::Storage);
    world.sleep(1_000);
    world.failing = None;
    let other = producer(slow.id, ProducerEpoch(slow.epoch.0 + 1));
    for (asked_for, state) in [
        (other, TransactionState::Ongoing),
        (slow, TransactionState::PrepareAbort),
    ] {
        let id = ProducerId(77);
        world.send(|_| TransactionRequest::AbortTimedOut(asked_for.clone(), id));
        assert_eq!(metadata(&world).state, state);
    }
}

/// In version 1 the epoch of the next transaction is that of the one whose markers are being written.
#[test]
fn nothing_joins_or_ends_a_transaction_whose_markers_are_being_written() {
    for committed in [true, false] {
        let mut world = World::new(2, 2);
        let producer_of = |epoch| producer(ProducerId(1_001), ProducerEpoch(epoch));
        assert_eq!(begin(&mut world), producer_of(0));
        assert_eq!(add(&mut world, &producer_of(0), V1), Ok(()));
        ask_to_end(&mut world, &producer_of(0), committed, V1);
        for partition in [0, 1] {
            let added = add_to(&mut world, &producer_of(0), partition, V1);
            assert_eq!(added, Err(Error::ConcurrentTransactions));
        }
        // The markers of another epoch are not its own; and it is not forgotten, however long they take.
        world.send(|_| TransactionRequest::MarkersWritten(producer_of(1)));
        world.sleep(8 * 86_400_000);
        assert!(metadata(&world).state.is_prepared());
        world.finish_work();
        assert!(!metadata(&world).state.is_prepared());
    }
}

/// One without a limit belongs to an outside coordinator (KIP-939); a log of Kafka's may hold it.
#[test]
fn an_open_transaction_is_not_forgotten() {
    let mut world = World::new(2, 1);
    let producer = begin(&mut world);
    assert_eq!(add(&mut world, &producer, V2), Ok(()));
    let without_limit = TransactionMetadata {
        timeout_ms: i32::MAX,
        ..metadata(&world)
    };
    world.put("id", &without_limit);
    world.restart();
    world.sleep(8 * 86_400_000);
    assert_eq!(metadata(&world), without_limit);
}

#[test]
fn ids_that_are_not_used_are_forgotten() {
    let mut world = World::new(2, 1);
    let producer = begin(&mut world);
    world.sleep(7 * 86_400_000 - 3_600_000);
    assert!(world.shard.get("id").is_some());
    world.sleep(2 * 3_600_000);
    assert!(world.shard.get("id").is_none());
    assert_eq!(
        add(&mut world, &producer, V2),
        Err(Error::InvalidProducerIdMapping)
    );
}
