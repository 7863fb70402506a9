//! A partition as the broker serves it: the log, how much of it is committed, and who waits for more.

use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use ottla_protocol::ResponseError;
use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::validate::ValidBatch;
use ottla_storage::Log;
use ottla_storage::append::{AppendInfo, AppendOrigin};
use ottla_storage::error::{AppendError, ReadError};
use ottla_storage::log_manager::PartitionLog;
use ottla_storage::read::{LogReader, LogSlice};

use crate::partition::topic_rules::TopicRules;
use crate::partition::verification::Verifications;
use crate::partition::waiters::Waiters;

pub mod manager;
pub mod topic_rules;
pub mod verification;
pub mod waiters;

/// How far a consumer may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset: no record of a transaction that is still open.
    ReadCommitted,
}

impl Isolation {
    /// From the wire: 1 is read_committed.
    pub fn from_wire(level: i8) -> Self {
        if level == 1 {
            Self::ReadCommitted
        } else {
            Self::ReadUncommitted
        }
    }
}

/// The partition's offsets, as one consistent enough view for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// First offset that can be read.
    pub log_start: Offset,
    /// End of what is committed.
    pub high_watermark: Offset,
    /// End of what read_committed consumers may see.
    pub last_stable: Offset,
}

/// A partition this broker leads.
pub struct Partition {
    /// Topic and index.
    pub id: TopicPartition,
    /// Id of the topic.
    pub topic_id: TopicId,
    log: Arc<PartitionLog>,
    leader_epoch: AtomicI32,
    high_watermark: AtomicI64,
    rules: ArcSwap<TopicRules>,
    waiters: Waiters,
    /// Taken only under the log's lock.
    verifications: Mutex<Verifications>,
}

impl Partition {
    /// Lead the partition whose log is `log`. All that the log holds is committed: there is no other replica.
    pub fn new(
        id: TopicPartition,
        topic_id: TopicId,
        log: Arc<PartitionLog>,
        leader_epoch: LeaderEpoch,
        rules: Arc<TopicRules>,
    ) -> Self {
        let end = log.reader().log_end_offset();
        log.lock().on_high_watermark(end);
        Self {
            id,
            topic_id,
            log,
            leader_epoch: AtomicI32::new(leader_epoch.0),
            high_watermark: AtomicI64::new(end.0),
            rules: ArcSwap::new(rules),
            waiters: Waiters::default(),
            verifications: Mutex::default(),
        }
    }

    /// The topic's configuration as the append path needs it.
    pub fn rules(&self) -> arc_swap::Guard<Arc<TopicRules>> {
        self.rules.load()
    }

    /// Take over a changed configuration of the topic.
    pub fn set_rules(&self, rules: Arc<TopicRules>) {
        self.log.lock().set_config(rules.log.clone());
        self.rules.store(rules);
    }

    /// Epoch in which this broker leads the partition.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// Lead in `epoch` from now on.
    pub fn set_leader_epoch(&self, epoch: LeaderEpoch) {
        self.leader_epoch.fetch_max(epoch.0, Ordering::AcqRel);
    }

    /// Consumers to be woken by the next append.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Readers' view of the log.
    pub fn reader(&self) -> &LogReader {
        self.log.reader()
    }

    /// A shared readers' view of the log, for a thread of its own.
    pub fn shared_reader(&self) -> Arc<LogReader> {
        Arc::clone(self.log.reader())
    }

    /// Append `batch`; what was appended is committed when this returns.
    ///
    /// # Errors
    /// The log's reasons to refuse it, with nothing changed.
    pub fn append(
        &self,
        batch: ValidBatch,
        origin: AppendOrigin,
        now: Timestamp,
    ) -> Result<AppendInfo, AppendError> {
        self.append_if(batch, origin, now, |_, _| Ok(()))
    }

    /// Append `batch` if `check` agrees, which is called under the log's lock.
    fn append_if(
        &self,
        batch: ValidBatch,
        origin: AppendOrigin,
        now: Timestamp,
        check: impl FnOnce(&BatchHeader, &Log) -> Result<(), AppendError>,
    ) -> Result<AppendInfo, AppendError> {
        let may_end_transaction = batch.header().is_control();
        let producer = batch.header().producer_id();
        let info = {
            let mut log = self.log.lock();
            check(batch.header(), &log)?;
            let info = log.append(batch, self.leader_epoch(), origin, now)?;
            let end = self.reader().log_end_offset();
            self.high_watermark.store(end.0, Ordering::Release);
            if may_end_transaction {
                log.on_high_watermark(end);
                self.withdraw_verification(producer);
            }
            info
        };
        self.waiters.wake_all();
        Ok(info)
    }

    /// The offsets as they stand.
    pub fn offsets(&self) -> PartitionOffsets {
        let high_watermark = Offset(self.high_watermark.load(Ordering::Acquire));
        let last_stable = self
            .reader()
            .first_unstable_offset()
            .map_or(high_watermark, |open| open.min(high_watermark));
        PartitionOffsets {
            log_start: self.reader().log_start_offset(),
            high_watermark,
            last_stable,
        }
    }

    /// End of what a consumer of that isolation level may see.
    pub fn end_for(&self, isolation: Isolation) -> Offset {
        let offsets = self.offsets();
        match isolation {
            Isolation::ReadUncommitted => offsets.high_watermark,
            Isolation::ReadCommitted => offsets.last_stable,
        }
    }

    /// Whole batches from `from` on, up to what `isolation` allows.
    ///
    /// # Errors
    /// An offset before the log's start or behind the high watermark is out of range.
    pub fn read(
        &self,
        from: Offset,
        isolation: Isolation,
        max_bytes: u32,
        whole_first_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        self.reader()
            .read(from, self.end_for(isolation), max_bytes, whole_first_batch)
    }

    /// Check the leader epoch that a client believes in (KIP-320).
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH when the client's is older than ours, UNKNOWN_LEADER_EPOCH when it is newer.
    pub fn check_epoch(&self, client: LeaderEpoch) -> Result<(), ResponseError> {
        let ours = self.leader_epoch();
        // Any negative epoch is "none", as in Kafka's `RequestUtils.getLeaderEpoch`.
        if client < LeaderEpoch(0) || client == ours {
            Ok(())
        } else if client < ours {
            Err(ResponseError::FencedLeaderEpoch)
        } else {
            Err(ResponseError::UnknownLeaderEpoch)
        }
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition")
            .field("id", &self.id)
            .field("offsets", &self.offsets())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, TopicConfig};
    use ottla_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId, Sequence};
    use ottla_protocol::record::{BatchBuilder, EndTxnMarker};
    use ottla_storage::fs::crash::CrashFs;
    use ottla_storage::{Disposition, Fs, LogConfig, LogDir, LogManager};

    fn partition(fs: &Arc<dyn Fs>) -> Partition {
        let dir = LogDir::open(Arc::clone(fs), std::path::Path::new("/data")).unwrap();
        let decide = |_: &TopicPartition, id| Disposition::Open(LogConfig::default(), id);
        let now = Timestamp(0);
        let (manager, _) = LogManager::open(Arc::clone(fs), vec![dir], &decide, 1, now).unwrap();
        let id = TopicPartition {
            topic: "t".to_owned(),
            partition: PartitionIndex(0),
        };
        let log = manager
            .create(&id, None, LogConfig::default(), now)
            .unwrap();
        let rules = TopicRules::new(&TopicConfig::default(), &BrokerConfig::default());
        Partition::new(id, TopicId::METADATA, log, LeaderEpoch(0), Arc::new(rules))
    }

    #[test]
    fn the_last_stable_offset_stays_at_an_open_transaction_and_passes_ended_ones() {
        let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
        let first = partition(&fs);
        let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
        let mut data = BatchBuilder::new()
            .producer(id, epoch, Sequence(0))
            .transactional();
        data.append(Timestamp(5), None, Some(b"v"));
        let append = |batch, origin| first.append(batch, origin, Timestamp(5)).unwrap();
        append(data.build().unwrap(), AppendOrigin::Client);
        assert_eq!(first.offsets().last_stable, Offset(0));
        let marker = EndTxnMarker {
            committed: true,
            coordinator_epoch: 0,
        };
        let end = marker.batch(id, epoch, Timestamp(6)).unwrap();
        append(end, AppendOrigin::Coordinator);
        assert_eq!(first.offsets().last_stable, Offset(2));
        // Killed and started again: all that the log holds is committed.
        let again = partition(&fs);
        assert_eq!(again.offsets().last_stable, Offset(2));
        assert_eq!(again.end_for(Isolation::ReadCommitted), Offset(2));
    }
}
