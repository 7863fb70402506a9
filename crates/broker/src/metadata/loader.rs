//! From the metadata log to images: records go in, in the order of the log; deltas come out when they may be published.
//!
//! Metadata transactions (KIP-868) are honoured: what lies between Begin and End is published at the End and not
//! before, and an Abort drops it (`MetadataBatchLoader`). States: no transaction, or in one that began at an offset.

use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::delta::MetadataDelta;
use super::image::{MetadataImage, MetadataProvenance, ReplayError};
use super::record::MetadataRecord;

/// Turns the records of the log into images.
#[derive(Debug)]
pub struct MetadataLoader {
    delta: MetadataDelta,
    transaction: Option<Transaction>,
}

/// A metadata transaction that has begun and not ended.
#[derive(Debug)]
struct Transaction {
    begins_at: Offset,
    /// The change as it stood before the transaction.
    before: Box<MetadataDelta>,
}

impl MetadataLoader {
    /// Go on from `image`.
    pub fn new(image: Arc<MetadataImage>) -> Self {
        Self {
            delta: MetadataDelta::new(image),
            transaction: None,
        }
    }

    /// Take over one record of a snapshot.
    ///
    /// # Errors
    /// The record does not fit.
    pub fn replay_snapshot(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        self.delta.replay(record)
    }

    /// The snapshot is complete and stands for that part of the log.
    pub fn end_snapshot(&mut self, provenance: MetadataProvenance) {
        self.delta.set_provenance(provenance);
    }

    /// Take over one record of the log, whose place `at` tells.
    ///
    /// # Errors
    /// The record does not fit. Nobody knows the state of the cluster any more: the only safe thing is to stop.
    pub fn replay(
        &mut self,
        record: &MetadataRecord,
        at: MetadataProvenance,
    ) -> Result<(), ReplayError> {
        match (record, self.transaction.take()) {
            (MetadataRecord::BeginTransaction(_), None) => {
                let before = Box::new(self.delta.clone());
                self.transaction = Some(Transaction {
                    begins_at: at.last_contained_offset,
                    before,
                });
            }
            (MetadataRecord::EndTransaction(_), Some(_)) => {}
            (MetadataRecord::AbortTransaction(_), Some(transaction)) => {
                self.delta = *transaction.before
            }
            (other, transaction) => {
                self.transaction = transaction;
                self.delta.replay(other)?;
            }
        }
        self.delta.set_provenance(at);
        Ok(())
    }

    /// The state of the cluster with every record taken over, also those that may not be published yet. What is
    /// decided next is decided on this.
    pub fn latest(&self) -> &MetadataImage {
        self.delta.image()
    }

    /// Where the transaction began that has not ended.
    pub fn open_transaction(&self) -> Option<Offset> {
        self.transaction
            .as_ref()
            .map(|transaction| transaction.begins_at)
    }

    /// Forget what was taken over since the last [`Self::publish`]. False, with nothing changed, inside a transaction.
    pub fn discard(&mut self) -> bool {
        let outside = self.transaction.is_none();
        if outside {
            self.delta = MetadataDelta::new(Arc::clone(self.delta.previous()));
        }
        outside
    }

    /// What changed since the last call, with the new image; `None` when nothing did, or inside a transaction.
    pub fn publish(&mut self) -> Option<(MetadataDelta, Arc<MetadataImage>)> {
        let unchanged = self.delta.image().provenance == self.delta.previous().provenance;
        if unchanged || self.transaction.is_some() {
            return None;
        }
        let image = Arc::new(self.delta.image().clone());
        let delta = std::mem::replace(&mut self.delta, MetadataDelta::new(image.clone()));
        Some((delta, image))
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::ids::{LeaderEpoch, Timestamp, TopicId};
    use uuid::Uuid;

    use super::*;
    use crate::metadata::record::{
        AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, TopicRecord,
    };

    fn at(offset: i64) -> MetadataProvenance {
        MetadataProvenance {
            last_contained_offset: Offset(offset),
            last_contained_epoch: LeaderEpoch(1),
            last_contained_log_time: Timestamp(7),
        }
    }

    fn topic(number: u128) -> MetadataRecord {
        TopicRecord {
            name: format!("t{number}"),
            topic_id: TopicId(Uuid::from_u128(number)),
        }
        .into()
    }

    /// The script's records replayed one by one; what was published after each, as numbers of topics.
    fn published(script: &[MetadataRecord]) -> Vec<Option<usize>> {
        let mut loader = MetadataLoader::new(Arc::default());
        let mut step = |(offset, record)| {
            loader.replay(record, at(offset)).unwrap();
            loader.publish().map(|(_, image)| {
                assert_eq!(image.provenance, at(offset));
                image.topics.len()
            })
        };
        (0..).zip(script).map(&mut step).collect()
    }

    #[test]
    fn a_transaction_is_published_at_its_end() {
        let script = [
            topic(1),
            BeginTransactionRecord { name: None }.into(),
            topic(2),
            topic(3),
            EndTransactionRecord {}.into(),
        ];
        assert_eq!(published(&script), [Some(1), None, None, None, Some(3)]);
    }

    #[test]
    fn an_aborted_transaction_leaves_nothing() {
        let abort = AbortTransactionRecord { reason: None };
        let script = [
            topic(1),
            BeginTransactionRecord { name: None }.into(),
            topic(2),
            abort.into(),
            topic(3),
        ];
        assert_eq!(published(&script), [Some(1), None, None, Some(1), Some(2)]);
    }

    #[test]
    fn transactions_do_not_nest_and_do_not_end_unbegun() {
        for (name, script) in [
            (
                "BeginTransactionRecord",
                vec![
                    BeginTransactionRecord { name: None }.into(),
                    BeginTransactionRecord { name: None }.into(),
                ],
            ),
            ("EndTransactionRecord", vec![EndTransactionRecord {}.into()]),
            (
                "AbortTransactionRecord",
                vec![AbortTransactionRecord { reason: None }.into()],
            ),
        ] {
            let mut loader = MetadataLoader::new(Arc::default());
            let results: Vec<_> = script
                .iter()
                .map(|record| loader.replay(record, at(0)))
                .collect();
            assert_eq!(
                results.last().unwrap(),
                &Err(ReplayError::Transaction(name))
            );
        }
    }

    #[test]
    fn an_open_transaction_is_known_and_its_records_are_decided_upon() {
        let mut loader = MetadataLoader::new(Arc::default());
        loader
            .replay(&BeginTransactionRecord { name: None }.into(), at(0))
            .unwrap();
        loader.replay(&topic(1), at(1)).unwrap();
        assert_eq!(loader.open_transaction(), Some(Offset(0)));
        assert_eq!(loader.latest().topics.len(), 1);
    }
}
