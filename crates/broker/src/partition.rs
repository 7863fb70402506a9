//! A partition as the broker serves it: the log, how much of it is committed, and who waits for more.

use std::io;
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
use ottla_storage::fs::Source;
use ottla_storage::log_manager::PartitionLog;
use ottla_storage::read::{LogReader, LogSlice};

use crate::partition::disk_space::DiskSpace;
use crate::partition::flusher::Flusher;
use crate::partition::group_commit::{FlushWait, GroupCommit};
use crate::partition::topic_rules::TopicRules;
use crate::partition::verification::{VerificationGuard, Verifications};
use crate::partition::waiters::Waiters;

pub mod disk_space;
pub mod flusher;
pub mod group_commit;
mod load_progress;
pub mod log_dirs;
pub mod manager;
mod producers;
pub mod retention;
pub mod topic;
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

/// A batch that was appended for a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// What became of it.
    pub info: AppendInfo,
    /// To be acknowledged only once everything below is on disk: see [`Partition::flush_upto`].
    pub flush_upto: Option<Offset>,
}

/// When a batch is committed, so that consumers may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// When it is appended.
    AtOnce,
    /// When it is on disk, where `acks_all` or `flush.messages` ask for that before it is acknowledged; else when it is
    /// appended. So no consumer sees a record that a power cut takes back from a producer that waits for the disk. A
    /// record that need not be flushed commits those before it.
    OnceFlushed { acks_all: bool },
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
    group_commit: GroupCommit,
    flusher: Arc<Flusher>,
    space: Arc<DiskSpace>,
}

impl Partition {
    /// Lead the partition whose log is `log`. All that the log holds is committed: there is no other replica.
    pub fn new(
        id: TopicPartition,
        topic_id: TopicId,
        log: Arc<PartitionLog>,
        leader_epoch: LeaderEpoch,
        rules: Arc<TopicRules>,
        flusher: Arc<Flusher>,
        space: Arc<DiskSpace>,
    ) -> Self {
        let end = log.reader().log_end_offset();
        let flushed = {
            let mut log = log.lock();
            log.on_high_watermark(end);
            log.recovery_point()
        };
        Self {
            id,
            topic_id,
            log,
            leader_epoch: AtomicI32::new(leader_epoch.0),
            high_watermark: AtomicI64::new(end.0),
            rules: ArcSwap::new(rules),
            waiters: Waiters::default(),
            verifications: Mutex::default(),
            group_commit: GroupCommit::new(flushed),
            flusher,
            space,
        }
    }

    /// Whether its data directory has failed.
    pub fn is_offline(&self) -> bool {
        self.log.is_offline()
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

    /// The log, for housekeeping.
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
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
        let produced = self.append_if(batch, origin, Commit::AtOnce, now, |_, _| Ok(()))?;
        Ok(produced.info)
    }

    /// Append a producer's batch; a transactional one if the transaction is open here or `guard` is still good.
    ///
    /// # Errors
    /// The log's reasons to refuse it, with nothing changed, and that the partition is not part of the transaction.
    pub fn produce(
        &self,
        batch: ValidBatch,
        guard: Option<VerificationGuard>,
        acks_all: bool,
        now: Timestamp,
    ) -> Result<Produced, AppendError> {
        if !self.space.take(batch.size()) {
            let full = io::Error::new(
                io::ErrorKind::StorageFull,
                "the disk is full up to the reserve",
            );
            return Err(AppendError::NoSpace(Arc::new(full)));
        }
        let commit = Commit::OnceFlushed {
            acks_all: acks_all && self.rules().flush_on_acks_all,
        };
        let produced =
            self.append_if(
                batch,
                AppendOrigin::Client,
                commit,
                now,
                |header, log| match header.is_transactional() {
                    true => (self.check_verified(header, log, guard))
                        .and_then(|()| self.check_first_sequence(header, log)),
                    false => Ok(()),
                },
            );
        if let Err(AppendError::NoSpace(_)) = produced {
            self.space.ran_out();
        }
        produced
    }

    /// Append `batch` if `check` agrees, which is called under the log's lock.
    fn append_if(
        &self,
        batch: ValidBatch,
        origin: AppendOrigin,
        commit: Commit,
        now: Timestamp,
        check: impl FnOnce(&BatchHeader, &Log) -> Result<(), AppendError>,
    ) -> Result<Produced, AppendError> {
        let may_end_transaction = batch.header().is_control();
        let producer = batch.header().producer_id();
        let mut log = self.log.lock();
        check(batch.header(), &log)?;
        let info = log.append(batch, self.leader_epoch(), origin, now)?;
        let must_flush = match commit {
            Commit::AtOnce => false,
            Commit::OnceFlushed { acks_all } => acks_all || log.flush_messages_reached(),
        };
        if !must_flush {
            let end = log.log_end_offset();
            self.high_watermark.store(end.0, Ordering::Release);
            if may_end_transaction {
                log.on_high_watermark(end);
            }
        }
        if may_end_transaction {
            self.withdraw_verification(producer);
        }
        drop(log);
        if !must_flush {
            self.waiters.wake_all();
        }
        // Of a batch that was there before, it is the offset it got then that has to be on disk.
        let flush_upto = must_flush.then(|| info.last_offset.plus(1));
        Ok(Produced { info, flush_upto })
    }

    /// Have everything below `upto` flushed, together with what others wait for, and let `wait` wait for it. Once it is
    /// done, [`Self::is_flushed`] tells whether it has worked.
    pub fn flush_upto(self: &Arc<Self>, upto: Offset, wait: &FlushWait) {
        if self.group_commit.wait_for(upto, wait) {
            self.flusher.submit(Arc::clone(self));
        }
    }

    /// As [`Self::flush_upto`], when nobody waits.
    pub fn flush_soon(self: &Arc<Self>, upto: Offset) {
        if self.group_commit.want(upto) {
            self.flusher.submit(Arc::clone(self));
        }
    }

    /// Whether everything below `upto` is on disk, as far as [`Self::flush_upto`] was asked for it.
    pub fn is_flushed(&self, upto: Offset) -> bool {
        self.group_commit.is_flushed(upto)
    }

    /// Flush the log, here and now, commit what is flushed and end the wait for it. True when a further flush is to be
    /// queued.
    fn flush(&self) -> bool {
        let flushed = self.log.flush().ok();
        if let Some(upto) = flushed {
            self.commit(upto);
        }
        self.group_commit.flush_done(flushed)
    }

    /// End the wait for a flush that has not come to its end.
    fn flush_failed(&self) -> bool {
        self.group_commit.flush_done(None)
    }

    /// Let consumers see everything below `upto`.
    fn commit(&self, upto: Offset) {
        let before = self.high_watermark.fetch_max(upto.0, Ordering::AcqRel);
        if before < upto.0 {
            self.log.lock().on_high_watermark(upto);
            self.waiters.wake_all();
        }
    }

    /// The offsets as they stand.
    pub fn offsets(&self) -> PartitionOffsets {
        let high_watermark = Offset(self.high_watermark.load(Ordering::Acquire));
        let last_stable = self
            .reader()
            .first_unstable_offset()
            .map_or(high_watermark, |open| open.min(high_watermark));
        let log_start = self.reader().log_start_offset();
        PartitionOffsets {
            log_start,
            high_watermark,
            // Records of an open transaction may have been deleted.
            last_stable: last_stable.max(log_start),
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
        source: Source,
    ) -> Result<LogSlice, ReadError> {
        let below = self.end_for(isolation);
        self.reader()
            .read_via(source, from, below, max_bytes, whole_first_batch)
    }

    /// The largest epoch up to `epoch`, and the offset where it ends; `None` where that is not known
    /// (`UnifiedLog.endOffsetForEpoch`, for a log that notes an epoch with its first record and not before).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let reader = self.reader();
        if let Some(known) = reader.end_offset_for_epoch(epoch) {
            return Some(known);
        }
        let own = self.leader_epoch();
        if epoch == LeaderEpoch::NONE || epoch > own {
            return None;
        }
        // Later than all epochs with records: these end where the log ends.
        let end = reader.log_end_offset();
        let latest = reader.epoch_at(end).unwrap_or(epoch);
        Some((if epoch == own { own } else { latest }, end))
    }

    /// Check the leader epoch that a client believes in (KIP-320).
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH when the client's is older than ours, UNKNOWN_LEADER_EPOCH when it is newer. -1 is "none"
    /// (`RequestUtils.getLeaderEpoch`).
    pub fn check_epoch(&self, client: LeaderEpoch) -> Result<(), ResponseError> {
        let ours = self.leader_epoch();
        if client == LeaderEpoch::NONE || client == ours {
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
        let flusher = Arc::new(Flusher::start(1, Arc::new(crate::clock::SystemClock)).unwrap());
        Partition::new(
            id,
            TopicId::METADATA,
            log,
            LeaderEpoch(0),
            Arc::new(rules),
            flusher,
            Arc::new(DiskSpace::new(0, u64::MAX)),
        )
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
