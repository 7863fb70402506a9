//! Which batch may begin a transaction in a partition, and which may go on with one.

use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_storage::append::AppendOrigin;
use ottla_storage::error::AppendError;

use super::world::{World, batch, named};
use crate::coordinator::transaction::message::{Markers, Producer};
use crate::partition::verification::{Verification, VerificationGuard};

fn producer(id: i64, epoch: i16) -> Producer {
    Producer {
        transactional_id: "id".into(),
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
    }
}

fn begin(world: &World, producer: &Producer) -> Verification {
    world.partitions[0].begin_verification(producer.id, producer.epoch, false)
}

/// What a Produce request with a batch of this sequence is told, of a producer whose epoch each transaction bumps or not.
fn produced(world: &World, producer: &Producer, sequence: i32, bumps_epoch: bool) -> String {
    let log = &world.partitions[0];
    let guard = match log.begin_verification(producer.id, producer.epoch, bumps_epoch) {
        Verification::Needed(guard) => Some(guard),
        Verification::Open => None,
    };
    let now = world.now.wall;
    let batch = batch(producer, sequence, "v", now);
    let outcome = match log.produce(batch, guard, false, now) {
        Ok(_) => "appended".to_owned(),
        Err(AppendError::OutOfOrderSequence { .. }) => "out of order".to_owned(),
        Err(AppendError::InvalidProducerEpoch { .. }) => "epoch".to_owned(),
        Err(error) => error.to_string(),
    };
    if let Some(guard) = guard {
        log.end_verification(producer.id, guard);
    }
    outcome
}

fn guard(world: &World, producer: &Producer) -> VerificationGuard {
    match begin(world, producer) {
        Verification::Needed(guard) => guard,
        Verification::Open => panic!("the transaction is open"),
    }
}

/// Whether the batch is appended; the other answer is that the partition is not part of the transaction.
fn is_appended(
    world: &World,
    producer: &Producer,
    sequence: i32,
    guard: Option<VerificationGuard>,
) -> bool {
    let now = world.now.wall;
    let batch = batch(producer, sequence, "v", now);
    let log = &world.partitions[0];
    match log.append_verified(batch, AppendOrigin::Client, guard, now) {
        Ok(_) => true,
        Err(AppendError::InvalidTxnState(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn end(world: &World, producer: &Producer) {
    let markers = Markers {
        producer: producer.clone(),
        committed: false,
        partitions: named(&[0]),
    };
    world.write_marker(&markers, 0, markers.committed);
}

#[test]
fn the_first_batch_needs_a_guard_of_its_own_producer() {
    let world = World::new(2, 1);
    let (one, two) = (producer(1, 0), producer(2, 0));
    assert!(!is_appended(&world, &one, 0, None));
    let (of_one, of_two) = (guard(&world, &one), guard(&world, &two));
    assert!(!is_appended(&world, &one, 0, Some(of_two)));
    // Two requests hold it; one is over.
    assert_eq!(guard(&world, &one), of_one);
    world.partitions[0].end_verification(one.id, of_one);
    assert!(is_appended(&world, &one, 0, Some(of_one)));
    assert_eq!(begin(&world, &one), Verification::Open);
    assert!(is_appended(&world, &one, 1, None));
    assert!(!is_appended(&world, &two, 0, None));
}

#[test]
fn a_guard_is_gone_with_the_last_request_that_holds_it() {
    let world = World::new(2, 1);
    let one = producer(1, 0);
    let first = guard(&world, &one);
    world.partitions[0].end_verification(one.id, first);
    assert!(!is_appended(&world, &one, 0, Some(first)));
    assert_ne!(guard(&world, &one), first);
}

/// The coordinator has given leave, the transaction ends, and only then the batch arrives: nobody would end another one.
#[test]
fn a_marker_withdraws_the_guards_that_are_out() {
    let world = World::new(2, 1);
    let one = producer(1, 0);
    let early = guard(&world, &one);
    end(&world, &one);
    assert!(!is_appended(&world, &one, 0, Some(early)));
    let next = guard(&world, &one);
    assert!(is_appended(&world, &one, 0, Some(next)));
    end(&world, &one);
    assert!(!is_appended(&world, &one, 1, Some(next)));
    assert!(!is_appended(&world, &one, 1, None));
    assert!(!world.is_hanging(0));
}

/// A batch that comes first with another sequence has overtaken those before it.
#[test]
fn a_producer_with_an_epoch_for_each_transaction_begins_at_sequence_0() {
    let world = World::new(2, 1);
    let one = producer(1, 0);
    assert_eq!(produced(&world, &one, 1, true), "out of order");
    assert_eq!(produced(&world, &one, 0, true), "appended");
    assert_eq!(produced(&world, &one, 1, true), "appended");
    let next = producer(1, 1);
    end(&world, &next);
    assert_eq!(produced(&world, &next, 2, true), "out of order");
    assert_eq!(produced(&world, &one, 2, true), "epoch");
    assert_eq!(produced(&world, &next, 0, true), "appended");
    // Who keeps the epoch goes on where the last transaction ended, which may all have been deleted.
    assert_eq!(produced(&world, &producer(2, 0), 7, false), "appended");
}

#[test]
fn a_transaction_is_open_in_its_own_epoch_only() {
    let world = World::new(2, 1);
    let (old, new) = (producer(1, 0), producer(1, 1));
    let of_old = guard(&world, &old);
    assert!(is_appended(&world, &old, 0, Some(of_old)));
    assert!(!is_appended(&world, &new, 0, None));
    assert!(matches!(begin(&world, &new), Verification::Needed(_)));
}
