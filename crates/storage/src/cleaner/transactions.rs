//! The transactions that a walk through a log meets (`CleanedTransactionMetadata.java`): which batches belong to aborted
//! ones, and which markers have nothing left to mark.

use std::collections::{HashMap, HashSet, VecDeque};

use ottla_protocol::ids::{Offset, ProducerId};
use ottla_protocol::record::{BatchHeader, EndTxnMarker};

use crate::transaction_index::AbortedTxn;

/// The state of the transactions at one point of the walk, which goes up in offsets.
#[derive(Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin further on, by first offset.
    ahead: VecDeque<AbortedTxn>,
    /// Aborted ones that have begun, and whether any of their batches was met.
    aborted: HashMap<ProducerId, (AbortedTxn, bool)>,
    /// Producers of which a batch was met whose transaction was not aborted.
    committed: HashSet<ProducerId>,
    /// Aborted ones that have ended and of which a batch was met: what the index of the copy has to name.
    kept: Vec<AbortedTxn>,
}

impl Transactions {
    /// Aborted transactions that overlap the next stretch of the walk, which begins at `from`. Those that begin earlier
    /// are taken from the first stretch only: later ones have been told of them before.
    pub(crate) fn expect(&mut self, mut aborted: Vec<AbortedTxn>, from: Offset, first: bool) {
        aborted.retain(|txn| first || txn.first_offset >= from);
        aborted.sort_by_key(|txn| txn.first_offset);
        self.ahead.extend(aborted);
    }

    /// A data batch comes by. True when its transaction was aborted, so that nobody may read it.
    pub(crate) fn on_data(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id()) {
            Some((_, met)) => {
                *met = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id());
                false
            }
        }
    }

    /// A control batch comes by, with its marker if it holds one. True when it has nothing left to mark. `empty`: it
    /// holds no record any more.
    pub(crate) fn on_control(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        empty: bool,
    ) -> bool {
        self.begin_up_to(header.last_offset());
        let producer = header.producer_id();
        match marker {
            Some(marker) if marker.committed => !self.committed.remove(&producer),
            Some(_) => match self.aborted.remove(&producer) {
                Some((txn, true)) => {
                    self.kept.push(txn);
                    false
                }
                _ => true,
            },
            None => empty,
        }
    }

    /// The aborted transactions that ended since the last call and still have batches.
    pub(crate) fn take_kept(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.kept)
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(txn) = self.ahead.front().filter(|txn| txn.first_offset <= offset) {
            self.aborted.entry(txn.producer_id).or_insert((*txn, false));
            self.ahead.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::{ProducerEpoch, Sequence, Timestamp};
    use ottla_protocol::record::BatchBuilder;

    fn data(producer: i64, at: i64, transactional: bool) -> BatchHeader {
        let mut builder = BatchBuilder::new().base_offset(Offset(at)).producer(
            ProducerId(producer),
            ProducerEpoch(0),
            Sequence(0),
        );
        if transactional {
            builder = builder.transactional();
        }
        builder.append(Timestamp(0), Some(b"k"), None);
        *builder.build().unwrap().header()
    }

    fn end(walk: &mut Transactions, producer: i64, at: i64, committed: bool) -> bool {
        let marker = EndTxnMarker {
            committed,
            coordinator_epoch: 0,
        };
        let batch = marker.batch(ProducerId(producer), ProducerEpoch(0), Timestamp(0));
        let mut header = *batch.unwrap().header();
        header.set_base_offset(Offset(at));
        walk.on_control(&header, Some(marker), false)
    }

    fn aborted(producer: i64, first: i64, last: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last),
        }
    }

    #[test]
    fn batches_are_told_apart_and_markers_outlive_them() {
        let mut walk = Transactions::default();
        walk.expect(vec![aborted(1, 3, 6), aborted(1, 0, 2)], Offset(0), true);
        assert!(walk.on_data(&data(1, 0, true)), "aborted");
        assert!(!walk.on_data(&data(2, 1, true)), "committed");
        assert!(!end(&mut walk, 1, 2, false), "a batch was met");
        assert_eq!(walk.take_kept(), [aborted(1, 0, 2)]);
        assert!(!end(&mut walk, 2, 4, true), "a batch was met");
        assert!(end(&mut walk, 1, 6, false), "no batch is left");
        assert!(end(&mut walk, 2, 7, true), "no batch is left");
        assert!(walk.take_kept().is_empty());
        assert!(!walk.on_data(&data(1, 8, true)), "the next one commits");
        assert!(!walk.on_data(&data(3, 9, false)), "no transaction");
    }

    /// A transaction reaches over two stretches and ends in the second; another of its producer follows.
    #[test]
    fn a_transaction_is_expected_once() {
        let mut walk = Transactions::default();
        walk.expect(vec![aborted(1, 0, 10)], Offset(0), true);
        assert!(walk.on_data(&data(1, 0, true)));
        walk.expect(vec![aborted(1, 0, 10)], Offset(10), false);
        assert!(!end(&mut walk, 1, 10, false));
        assert!(!walk.on_data(&data(1, 11, true)), "this one commits");
    }
}
