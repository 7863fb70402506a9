//! Tables of what a producer may do, against the state that its batches leave.

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchBuilder, BatchHeader, EndTxnMarker};

use super::{Verdict, judge};
use crate::append::AppendOrigin;
use crate::error::AppendError;
use crate::producer_state::{ProducerState, snapshot};

const ID: ProducerId = ProducerId(7);

/// A batch of `count` records whose first has offset `at`.
fn data(at: i64, epoch: i16, sequence: i32, count: i32, transactional: bool) -> BatchHeader {
    data_of(ID, at, epoch, sequence, count, transactional)
}

fn data_of(
    id: ProducerId,
    at: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
    transactional: bool,
) -> BatchHeader {
    let mut builder = BatchBuilder::new().base_offset(Offset(at)).producer(
        id,
        ProducerEpoch(epoch),
        Sequence(sequence),
    );
    if transactional {
        builder = builder.transactional();
    }
    for _ in 0..count {
        builder.append(Timestamp(at), None, Some(b"v"));
    }
    *builder.build().unwrap().header()
}

fn marker(
    at: i64,
    epoch: i16,
    committed: bool,
    coordinator_epoch: i32,
) -> (BatchHeader, EndTxnMarker) {
    marker_of(ID, at, epoch, committed, coordinator_epoch)
}

fn marker_of(
    id: ProducerId,
    at: i64,
    epoch: i16,
    committed: bool,
    coordinator_epoch: i32,
) -> (BatchHeader, EndTxnMarker) {
    let marker = EndTxnMarker {
        committed,
        coordinator_epoch,
    };
    let batch = marker
        .batch(id, ProducerEpoch(epoch), Timestamp(at))
        .unwrap();
    let mut header = *batch.header();
    header.set_base_offset(Offset(at));
    (header, marker)
}

/// The state after batches of `(epoch, first sequence, count)`, one behind the other from offset 0 on.
fn state(batches: &[(i16, i32, i32)]) -> ProducerState {
    let mut state = ProducerState::default();
    let mut at = 0;
    for (epoch, sequence, count) in batches {
        state.apply(&data(at, *epoch, *sequence, *count, false), None);
        at += i64::from(*count);
    }
    state
}

/// A verdict in short: the offset of the batch it repeats, `append`, or the error.
fn verdict(state: &ProducerState, header: &BatchHeader) -> String {
    match judge(state, header, None, AppendOrigin::Client) {
        Ok(Verdict::Append) => "append".to_owned(),
        Ok(Verdict::Duplicate(batch)) => {
            format!(
                "duplicate of {}-{}",
                batch.first_offset(),
                batch.last_offset
            )
        }
        Err(AppendError::OutOfOrderSequence { .. }) => "out of order".to_owned(),
        Err(AppendError::InvalidProducerEpoch { .. }) => "epoch".to_owned(),
        Err(AppendError::InvalidTxnState(_)) => "txn state".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn sequences() {
    const MAX: i32 = i32::MAX;
    let window: Vec<(i16, i32, i32)> = (0..7).map(|i| (0, i * 10, 10)).collect();
    type Row<'a> = (&'a [(i16, i32, i32)], (i16, i32, i32), &'a str);
    let table: &[Row<'_>] = &[
        // A producer that is not known may start anywhere.
        (&[], (0, 0, 1), "append"),
        (&[], (3, 4711, 1), "append"),
        (&[(0, 0, 1)], (0, 1, 5), "append"),
        (&[(0, 0, 10)], (0, 10, 1), "append"),
        // Gaps, and overlaps that repeat no whole batch.
        (&[(0, 0, 10)], (0, 11, 1), "out of order"),
        (&[(0, 0, 10)], (0, 5, 5), "out of order"),
        (&[(0, 0, 10)], (0, 0, 9), "out of order"),
        (&[(0, 0, 10)], (0, 0, 11), "out of order"),
        // Repeats within the last five, and older ones.
        (&[(0, 0, 10)], (0, 0, 10), "duplicate of 0-9"),
        (&window, (0, 60, 10), "duplicate of 60-69"),
        (&window, (0, 20, 10), "duplicate of 20-29"),
        (&window, (0, 10, 10), "out of order"),
        (&window, (0, 0, 10), "out of order"),
        (&window, (0, 70, 10), "append"),
        // The sequence wraps to 0.
        (&[(0, MAX - 1, 2)], (0, 0, 1), "append"),
        (&[(0, MAX, 1)], (0, 0, 3), "append"),
        (&[(0, MAX, 1)], (0, 1, 1), "out of order"),
        (&[(0, MAX, 3)], (0, 2, 1), "append"),
        (&[(0, MAX, 3)], (0, MAX, 3), "duplicate of 0-2"),
        // Epochs.
        (&[(4, 0, 10)], (5, 0, 1), "append"),
        (&[(4, 0, 10)], (5, 10, 1), "out of order"),
        (&[(4, 0, 10)], (3, 10, 1), "epoch"),
        (&[(4, 0, 10)], (3, 0, 10), "epoch"),
        (&[(4, 0, 10), (5, 0, 10)], (5, 10, 1), "append"),
        (&[(4, 0, 10), (5, 0, 10)], (5, 0, 10), "duplicate of 10-19"),
        (&[(4, 0, 10), (5, 0, 10)], (4, 10, 1), "epoch"),
    ];
    for (written, (epoch, sequence, count), expected) in table {
        let header = data(1000, *epoch, *sequence, *count, false);
        let found = verdict(&state(written), &header);
        assert_eq!(
            &found, expected,
            "{written:?} then {epoch} {sequence} {count}"
        );
    }
}

#[test]
fn only_producers_are_held_to_sequences() {
    let state = state(&[(4, 0, 10)]);
    let gap = data(1000, 4, 50, 1, false);
    let old = data(1000, 3, 10, 1, false);
    let judged = |header, origin| judge(&state, header, None, origin).is_ok();
    assert!(!judged(&gap, AppendOrigin::Client));
    assert!(judged(&gap, AppendOrigin::Coordinator));
    assert!(!judged(&old, AppendOrigin::Coordinator));
    assert!(judged(&old, AppendOrigin::Replication));
}

#[test]
fn transactions_hold_back_until_their_end_is_replicated() {
    let mut state = ProducerState::default();
    assert_eq!(state.first_unstable_offset(), None);
    state.apply(&data(10, 0, 0, 5, true), None);
    state.apply(&data(15, 0, 5, 5, true), None);
    assert_eq!(state.first_unstable_offset(), Some(Offset(10)));
    assert_eq!(state.oldest_txn_last_timestamp(), Some(Timestamp(15)));
    assert_eq!(verdict(&state, &data(20, 0, 10, 1, false)), "txn state");
    let (header, end) = marker(20, 0, false, 3);
    let done = state.apply(&header, Some(end)).unwrap();
    assert_eq!(
        (done.first_offset, done.last_offset),
        (Offset(10), Offset(20))
    );
    assert!(done.aborted);
    assert_eq!(done.last_stable_offset, Offset(21));
    state.on_high_watermark(Offset(20));
    assert_eq!(
        state.first_unstable_offset(),
        Some(Offset(10)),
        "the marker is not below it"
    );
    state.on_high_watermark(Offset(21));
    assert_eq!(state.first_unstable_offset(), None);
    // The next transaction of the same epoch goes on with the sequence.
    assert_eq!(verdict(&state, &data(21, 0, 10, 1, true)), "append");
    // A marker without records ends nothing.
    let (header, end) = marker(21, 1, true, 3);
    assert_eq!(state.apply(&header, Some(end)), None);
    assert_eq!(verdict(&state, &data(22, 1, 0, 1, true)), "append");
    assert_eq!(verdict(&state, &data(22, 0, 10, 1, true)), "epoch");
}

/// Who reads looks no further for aborted transactions once one of them has ended with all below stable.
#[test]
fn the_end_of_a_transaction_tells_where_the_first_open_one_of_another_begins() {
    let mut state = ProducerState::default();
    for id in [1, 2, 3] {
        state.apply(&data_of(ProducerId(id), id - 1, 0, 0, 1, true), None);
    }
    // Producers 1, 2 and 3 have begun at 0, 1 and 2.
    for (at, id, first_open) in [(3, 2, 0), (4, 1, 2), (5, 3, 6)] {
        let (header, end) = marker_of(ProducerId(id), at, 0, false, 0);
        let done = state.apply(&header, Some(end)).unwrap();
        assert_eq!(
            (done.producer_id, done.first_offset, done.last_offset),
            (ProducerId(id), Offset(id - 1), Offset(at))
        );
        assert_eq!(done.last_stable_offset, Offset(first_open), "{id}");
        state.on_high_watermark(Offset(at + 1));
        let unstable = state.first_unstable_offset();
        assert_eq!(
            unstable,
            Some(Offset(first_open)).filter(|_| first_open < 6)
        );
    }
}

#[test]
fn markers_of_old_coordinators_and_epochs_are_refused() {
    let mut state = ProducerState::default();
    state.apply(&data(0, 5, 0, 1, true), None);
    let (header, end) = marker(1, 5, true, 9);
    state.apply(&header, Some(end));
    let judged = |epoch, coordinator_epoch| {
        let (header, end) = marker(2, epoch, true, coordinator_epoch);
        judge(&state, &header, Some(&end), AppendOrigin::Coordinator)
    };
    assert!(judged(5, 9).is_ok());
    assert!(judged(6, 10).is_ok());
    assert!(matches!(
        judged(5, 8),
        Err(AppendError::TransactionCoordinatorFenced {
            found: 8,
            current: 9,
            ..
        })
    ));
    assert!(matches!(
        judged(4, 9),
        Err(AppendError::InvalidProducerEpoch { .. })
    ));
    // A producer that nothing is known of has had no coordinator, whose epoch is -1.
    for (coordinator_epoch, is_taken) in [(-2, false), (-1, true), (0, true)] {
        let (header, end) = marker_of(ProducerId(8), 2, 0, true, coordinator_epoch);
        let judged = judge(&state, &header, Some(&end), AppendOrigin::Coordinator);
        assert_eq!(judged.is_ok(), is_taken, "{coordinator_epoch}");
    }
    let (header, _) = marker(2, 5, true, 9);
    let unknown = judge(&state, &header, None, AppendOrigin::Coordinator);
    assert!(matches!(unknown, Err(AppendError::ControlBatch(ID))));
}

#[test]
fn a_snapshot_keeps_the_last_batch_and_the_open_transaction() {
    let mut before = state(&[(0, 0, 10), (0, 10, 5)]);
    before.apply(&data(15, 0, 15, 2, true), None);
    let bytes = snapshot::encode(&before);
    assert_eq!(bytes.len(), 10 + 46);
    assert_eq!(bytes[..2], [0, 1]);
    let entries = snapshot::decode(&bytes).unwrap();
    let after = ProducerState::restore(Offset(17), entries, i64::MAX, Timestamp(0));
    assert_eq!(after.first_unstable_offset(), Some(Offset(15)));
    assert_eq!(after.end(), Offset(17));
    assert_eq!(
        verdict(&after, &data(17, 0, 15, 2, true)),
        "duplicate of 15-16"
    );
    assert_eq!(verdict(&after, &data(17, 0, 17, 1, true)), "append");
    assert_eq!(verdict(&after, &data(17, 0, 10, 5, true)), "out of order");
    assert_eq!(snapshot::encode(&after), bytes);
}

#[test]
fn idle_producers_are_forgotten_but_not_their_transactions() {
    let mut idle = state(&[(0, 0, 10)]);
    idle.remove_expired(100, Timestamp(99));
    assert_eq!(idle.producers().len(), 1);
    let bytes = snapshot::encode(&idle);
    idle.remove_expired(100, Timestamp(100));
    assert_eq!(idle.producers().len(), 0);
    let entries = || snapshot::decode(&bytes).unwrap();
    for (now, left) in [(99, 1), (100, 0)] {
        let restored = ProducerState::restore(Offset(10), entries(), 100, Timestamp(now));
        assert_eq!(restored.producers().len(), left, "at {now}");
    }
    let mut open = ProducerState::default();
    open.apply(&data(0, 0, 0, 1, true), None);
    open.remove_expired(100, Timestamp(i64::MAX));
    assert_eq!(open.producers().len(), 1);
}

#[test]
fn broken_snapshots_are_refused() {
    let bytes = snapshot::encode(&state(&[(0, 0, 10)]));
    for len in 0..bytes.len() {
        assert!(snapshot::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        assert!(snapshot::decode(&broken).is_err(), "byte {at}");
    }
    assert_eq!(
        snapshot::parse_file_name(&snapshot::file_name(Offset(12))),
        Some(Offset(12))
    );
    for name in [
        "12.snapshot",
        "00000000000000000012.snap",
        "0000000000000000001x.snapshot",
    ] {
        assert_eq!(snapshot::parse_file_name(name), None, "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_no_snapshot(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = snapshot::decode(&bytes);
    }
}
