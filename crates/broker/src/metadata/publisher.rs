//! The one owner of the metadata log: it decides, writes, and publishes.
//!
//! Each round takes the calls that wait, and for all of them together
//!
//! 1. decides, each on the image that the former ones lead to,
//! 2. appends the records in one go and syncs them (one fsync for the whole round),
//! 3. tells the publishers what changed, who set it up at once, and puts the new image in place for readers,
//! 4. sends the responses.
//!
//! After a failed append nobody knows what the log holds: the round is not answered, and the broker stops. Only when the
//! log says that there was no space, and that nothing was written, the round is forgotten: its callers are told
//! NOT_CONTROLLER, upon which they try again, and the broker goes on.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{BrokerId, LeaderEpoch, Offset, Timestamp};
use ottla_protocol::messages::BrokerRegistrationRequest;
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

use super::cache::MetadataCache;
use super::controller::{ApiError, Controller, Decision};
use super::controller_client::{Call, ControllerClient};
use super::delta::MetadataDelta;
use super::image::{MetadataImage, MetadataProvenance, ReplayError};
use super::loader::MetadataLoader;
use super::record::control::Voter;
use super::record::{AbortTransactionRecord, MetadataRecord};
use crate::clock::Clock;
use crate::config::BrokerConfig;

/// Calls that share one fsync.
const MAX_ROUND: usize = 256;

/// Records after which a round takes no further call, so that one batch holds them.
const MAX_ROUND_RECORDS: usize = 10_000;

/// The metadata log, as its owner uses it.
pub trait RecordLog: Send + 'static {
    /// What can go wrong. After an error the log is not used again.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Epoch in which this node leads.
    fn epoch(&self) -> LeaderEpoch;

    /// Offset that the next record gets.
    fn end_offset(&self) -> Offset;

    /// The only voter, where the log names the voters of its quorum.
    fn voter(&self) -> Option<Voter>;

    /// Append `records`, all or none, and sync them.
    ///
    /// # Errors
    /// They may or may not be there.
    fn append(&mut self, records: &[MetadataRecord], now: Timestamp) -> Result<(), Self::Error>;

    /// After a failed append: nothing of it is there, as there was no space for it, and the log goes on.
    fn is_usable(&self) -> bool;

    /// Is it time for a snapshot?
    fn should_snapshot(&self, now: Timestamp) -> bool;

    /// Write a snapshot of the state at the end of the log.
    ///
    /// # Errors
    /// There is no new snapshot; the log goes on.
    fn snapshot(&mut self, records: Vec<MetadataRecord>, now: Timestamp)
    -> Result<(), Self::Error>;

    /// Close at a clean stop.
    ///
    /// # Errors
    /// The next start will read the log as after a crash.
    fn close(self) -> Result<(), Self::Error>;
}

/// Sets up what the image says: creates and deletes logs, takes over configs, ...
pub trait MetadataPublisher: Send + Sync {
    /// The image has changed as `delta` says. No response that rests on it is sent, and no reader sees it, before
    /// this returns. It must not wait for the controller.
    fn publish(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>);
}

/// Why the metadata cannot be had or kept. Each is a reason not to start, or to stop.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// A record of the log does not fit what came before it.
    #[error("the metadata log cannot be understood at offset {offset}: {reason}")]
    Replay {
        /// Offset of the record.
        offset: Offset,
        /// Why not.
        reason: ReplayError,
    },
    /// The log cannot be written.
    #[error("the metadata log cannot be written: {0}")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This broker does not fit the cluster of the log.
    #[error("{}", explain(.0))]
    Registration(ApiError),
    /// A defect of the controller or a publisher.
    #[error("the controller has panicked; the log above says where")]
    Panicked,
    /// The thread cannot be started.
    #[error("cannot start the controller's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// The controller of this node and all it works on. It is set up in steps, on the thread that starts the broker:
/// [`Self::new`], [`Self::append`] of the first records if there are none, [`Self::register`], and then [`Self::run`].
pub struct EmbeddedController<L> {
    log: L,
    loader: MetadataLoader,
    config: Arc<BrokerConfig>,
    clock: Arc<dyn Clock>,
    publishers: Vec<Arc<dyn MetadataPublisher>>,
    cache: Arc<MetadataCache>,
}

impl<L> fmt::Debug for EmbeddedController<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedController")
            .field("loader", &self.loader)
            .finish_non_exhaustive()
    }
}

impl<L: RecordLog> EmbeddedController<L> {
    /// Lead `log`, all records of which are in `loader`. A metadata transaction that never ended is aborted.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn new(
        log: L,
        loader: MetadataLoader,
        config: Arc<BrokerConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MetadataError> {
        let cache = Arc::new(MetadataCache::new(Arc::default()).with_voter(log.voter()));
        let mut controller = Self {
            log,
            loader,
            config,
            clock,
            publishers: Vec::new(),
            cache,
        };
        if controller.loader.open_transaction().is_some() {
            let reason = Some("Controller failover".to_owned());
            controller.append(&[AbortTransactionRecord { reason }.into()])?;
        }
        Ok(controller)
    }

    /// The state of the cluster, with all that was appended.
    pub fn image(&self) -> &MetadataImage {
        self.loader.latest()
    }

    /// Append records that are no answer to a call, such as those of a new cluster.
    ///
    /// # Errors
    /// They do not fit, or the log cannot be written.
    pub fn append(&mut self, records: &[MetadataRecord]) -> Result<(), MetadataError> {
        let now = self.clock.now();
        self.replay(records, self.log.end_offset(), now)?;
        self.write(records, now)
    }

    /// Register this broker and unfence it, in one append; its epoch. Nothing is published before [`Self::run`], so
    /// that publishers see it as a leader from the start.
    ///
    /// # Errors
    /// The cluster finalized what this broker cannot do, or the log cannot be written.
    pub fn register(
        &mut self,
        request: &BrokerRegistrationRequest,
        cluster_id: &str,
    ) -> Result<i64, MetadataError> {
        let now = self.clock.now();
        let start = self.log.end_offset();
        let broker = BrokerId(request.broker_id.0);
        let registration = self.decide(start, |controller| {
            controller.register_broker(request, cluster_id)
        });
        let Decision {
            mut records,
            response,
        } = registration.map_err(MetadataError::Registration)?;
        self.replay(&records, start, now)?;
        let steps: [fn(&Controller<'_>, BrokerId) -> Decision<()>; 2] = [
            |controller, broker| controller.unfence_broker(broker),
            |controller, broker| controller.settle_partitions(broker),
        ];
        for step in steps {
            let next = start.plus(len(&records));
            let decided = self
                .decide(next, |controller| step(controller, broker))
                .records;
            self.replay(&decided, next, now)?;
            records.extend(decided);
        }
        self.write(&records, now)?;
        Ok(response.broker_epoch)
    }

    /// Publish all there is to `publishers`, and then serve calls on a thread of its own until the last client is
    /// gone. `on_fatal` is told when the log fails; no call is answered from then on, and the broker must stop.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn run(
        mut self,
        publishers: Vec<Arc<dyn MetadataPublisher>>,
        on_fatal: impl FnOnce(MetadataError) + Send + 'static,
    ) -> Result<RunningController, MetadataError> {
        self.publishers = publishers;
        self.publish();
        let cache = Arc::clone(&self.cache);
        let (client, calls) = ControllerClient::new();
        let serve = move || {
            // A panic half-way through a round is a failure like any other: nothing may be served from its state.
            let served = panic::catch_unwind(AssertUnwindSafe(|| self.serve(calls)));
            if let Err(error) = served.unwrap_or(Err(MetadataError::Panicked)) {
                on_fatal(error);
            }
        };
        let thread = thread::Builder::new()
            .name("controller".to_owned())
            .spawn(serve)
            .map_err(MetadataError::Thread)?;
        Ok(RunningController {
            client,
            cache,
            thread,
        })
    }

    fn serve(mut self, mut calls: Receiver<Call>) -> Result<(), MetadataError> {
        while let Some(first) = calls.blocking_recv() {
            self.round(first, &mut calls)?;
        }
        self.log.close().map_err(log_error)
    }

    /// Answer `first` and the calls that wait behind it.
    fn round(&mut self, first: Call, calls: &mut Receiver<Call>) -> Result<(), MetadataError> {
        let now = self.clock.now();
        let start = self.log.end_offset();
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let mut next = Some(first);
        while let Some(call) = next {
            let offset = start.plus(len(&records));
            let (decided, respond) = self.decide(offset, call);
            self.replay(&decided, offset, now)?;
            records.extend(decided);
            responses.push(respond);
            let has_room = responses.len() < MAX_ROUND && records.len() < MAX_ROUND_RECORDS;
            next = if has_room {
                calls.try_recv().ok()
            } else {
                None
            };
        }
        if !records.is_empty() {
            if let Err(error) = self.log.append(&records, now) {
                if !(self.log.is_usable() && self.loader.discard()) {
                    return Err(log_error(error));
                }
                tracing::warn!(%error, "a change of the metadata is refused for want of space");
                return Ok(());
            }
            self.publish();
        }
        responses.into_iter().for_each(|respond| respond());
        self.snapshot_if_due(now);
        Ok(())
    }

    fn decide<R>(&self, next_offset: Offset, decide: impl FnOnce(&Controller<'_>) -> R) -> R {
        decide(&Controller {
            image: self.loader.latest(),
            config: &self.config,
            next_offset,
            kraft_version: self.cache.kraft_version(),
            new_id: &new_id,
            may_change_partitions: &|_| true,
        })
    }

    fn replay(
        &mut self,
        records: &[MetadataRecord],
        start: Offset,
        now: Timestamp,
    ) -> Result<(), MetadataError> {
        for (index, record) in (0..).zip(records) {
            let offset = start.plus(index);
            let at = MetadataProvenance {
                last_contained_offset: offset,
                last_contained_epoch: self.log.epoch(),
                last_contained_log_time: now,
            };
            self.loader
                .replay(record, at)
                .map_err(|reason| MetadataError::Replay { offset, reason })?;
        }
        Ok(())
    }

    fn write(&mut self, records: &[MetadataRecord], now: Timestamp) -> Result<(), MetadataError> {
        self.log.append(records, now).map_err(log_error)
    }

    fn publish(&mut self) {
        if let Some((delta, image)) = self.loader.publish() {
            self.publishers
                .iter()
                .for_each(|publisher| publisher.publish(&delta, &image));
            self.cache.store(image);
        }
    }

    fn snapshot_if_due(&mut self, now: Timestamp) {
        if self.log.should_snapshot(now)
            && let Err(error) = self.log.snapshot(self.loader.latest().to_records(), now)
        {
            // The log alone still tells everything.
            tracing::warn!(%error, "no snapshot of the metadata could be written");
        }
    }
}

/// A controller at work.
#[derive(Debug)]
pub struct RunningController {
    /// The way to it. The controller stops, closing its log, when all clones of this are gone.
    pub client: ControllerClient,
    /// Where its images appear.
    pub cache: Arc<MetadataCache>,
    /// Ends when the log is closed, or has failed.
    pub thread: JoinHandle<()>,
}

/// Why the broker may not register, and what its operator can do about it.
fn explain(error: &ApiError) -> String {
    let reason = error
        .message
        .as_deref()
        .unwrap_or("The broker cannot register.");
    match error.error {
        ResponseError::UnsupportedVersion => format!(
            "{reason} Lower the level with the release that wrote this directory: kafka-features downgrade --feature NAME=LEVEL"
        ),
        ResponseError::InconsistentClusterId => {
            format!(
                "{reason}. The metadata log belongs to another cluster than meta.properties says."
            )
        }
        _ => reason.to_owned(),
    }
}

fn len(records: &[MetadataRecord]) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}

fn log_error(error: impl std::error::Error + Send + Sync + 'static) -> MetadataError {
    MetadataError::Log(Box::new(error))
}

/// A random id (version 4). Kafka's tools take an id that begins with `-` for an option, and the first hundred are
/// reserved, which no random id is among.
fn new_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        // The first character stands for the upper six bits, and `-` for 62.
        if id.as_bytes()[0] >> 2 != 62 {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
