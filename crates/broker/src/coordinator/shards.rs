//! The tasks that run the shards of a coordinator, one for each partition of its topic.
//!
//! A task owns its shard. It takes requests from a bounded mailbox, fires deadlines, and carries out effects: append
//! the records to the partition, replay them, tell the shard. With one replica what is appended is committed, so that
//! answers leave right after the records they wait for; or once these are on disk, while
//! `ottla.flush.on.acks.all` is on. The shard goes on meanwhile, and all answers that wait share the next flush. A shard that is being loaded answers
//! COORDINATOR_LOAD_IN_PROGRESS, one that could not be loaded NOT_COORDINATOR.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, PartitionIndex, Sequence};
use ottla_protocol::record::EndTxnMarker;
use ottla_protocol::record::builder::BatchBuilder;
use ottla_storage::append::AppendOrigin;
use ottla_storage::error::AppendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::loader;
use super::record::CoordinatorRecord;
use super::shard::{
    AppendFailure, Deadline, Effect, Now, RecordOrigin, ReplyTo, Shard, TransactionalProducer,
};
use crate::clock::Clock;
use crate::partition::Partition;
use crate::partition::group_commit::FlushWait;
use crate::partition::topic::Topic;
use crate::shutdown::Shutdown;

mod current;

pub use current::CurrentShards;

/// Requests that wait for one shard; more have to wait to get in.
const MAILBOX: usize = 1024;
/// Shards that are loaded at once.
const LOADERS: usize = 2;

/// Rest of a shard that has panicked, lest it does nothing else.
const PANIC_PAUSE: Duration = Duration::from_millis(500);

const LOADING: u8 = 0;
const ACTIVE: u8 = 1;
const FAILED: u8 = 2;

type Call<S> = (
    <S as Shard>::Request,
    oneshot::Sender<<S as Shard>::Response>,
);

/// Begins the work of a shard, which is named by its index, without waiting for its end.
pub type StartWork<W> = Arc<dyn Fn(usize, W) + Send + Sync>;

/// What the shards of a coordinator share with the rest of the broker.
pub struct Outside<W> {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Most bytes that a batch may have once decompressed.
    pub max_content: usize,
    /// Ends the tasks.
    pub shutdown: Shutdown,
    /// Where the tasks run.
    pub runtime: tokio::runtime::Handle,
    /// Carries out [`Effect::Start`].
    pub start: StartWork<W>,
}

impl<W> fmt::Debug for Outside<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// The way to the shards.
pub struct Shards<S: Shard> {
    handles: Vec<ShardHandle<S>>,
    runtime: tokio::runtime::Handle,
}

struct ShardHandle<S: Shard> {
    mailbox: mpsc::Sender<Call<S>>,
    state: Arc<AtomicU8>,
}

impl<S: Shard> Shards<S> {
    /// Start a task for each partition of `topic`; they load their shards first.
    pub fn start(
        topic: &Topic,
        outside: &Outside<S::Work>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let loaders = Arc::new(Semaphore::new(LOADERS));
        let handles = (0..topic.partition_count())
            .map(|index| {
                let (mailbox, calls) = mpsc::channel(MAILBOX);
                let id = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
                let Ok(partition) = topic.partition(id) else {
                    let state = Arc::new(AtomicU8::new(FAILED));
                    return ShardHandle { mailbox, state };
                };
                let state = Arc::new(AtomicU8::new(LOADING));
                let (make, partition) = (Arc::clone(&make), Arc::clone(partition));
                let (clock, start) = (Arc::clone(&outside.clock), Arc::clone(&outside.start));
                let max_content = outside.max_content;
                let new_task = move || ShardTask {
                    index,
                    shard: make(),
                    partition: Arc::clone(&partition),
                    clock: Arc::clone(&clock),
                    max_content,
                    start: Arc::clone(&start),
                    waiting: HashMap::new(),
                    next_reply: 0,
                    end: Offset(0),
                    unflushed: VecDeque::new(),
                    flush: None,
                };
                let (loading, loaders) = (Arc::clone(&state), Arc::clone(&loaders));
                let shutdown = outside.shutdown.clone();
                outside.runtime.spawn(async move {
                    // Dropping a task answers those who still wait with NOT_COORDINATOR.
                    tokio::select! {
                        () = serve(new_task, calls, &loaders, &loading) => {}
                        () = shutdown.requested() => {}
                    }
                });
                ShardHandle { mailbox, state }
            })
            .collect();
        Self {
            handles,
            runtime: outside.runtime.clone(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// How many are being loaded, are at work, and could not be loaded.
    pub fn states(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for handle in &self.handles {
            counts[usize::from(handle.state.load(Ordering::Acquire).min(FAILED))] += 1;
        }
        counts
    }

    /// Ask one shard.
    ///
    /// # Errors
    /// NOT_COORDINATOR where there is no shard or it has stopped, COORDINATOR_LOAD_IN_PROGRESS while it is loaded.
    pub async fn ask(
        &self,
        shard: usize,
        request: S::Request,
    ) -> Result<S::Response, ResponseError> {
        let shard = self
            .handles
            .get(shard)
            .ok_or(ResponseError::NotCoordinator)?;
        match shard.state.load(Ordering::Acquire) {
            LOADING => return Err(ResponseError::CoordinatorLoadInProgress),
            FAILED => return Err(ResponseError::NotCoordinator),
            _ => {}
        }
        let (answer, answered) = oneshot::channel();
        let sent = shard.mailbox.send((request, answer)).await;
        sent.map_err(|_| ResponseError::NotCoordinator)?;
        answered.await.map_err(|_| ResponseError::NotCoordinator)
    }

    /// Hand a shard a request without waiting, even while it is loaded; the answer is for nobody.
    pub fn tell(&self, shard: usize, request: S::Request) {
        let Some(shard) = self.handles.get(shard) else {
            return;
        };
        let mailbox = shard.mailbox.clone();
        self.runtime.spawn(async move {
            let (answer, _) = oneshot::channel();
            let _ = mailbox.send((request, answer)).await;
        });
    }
}

impl<S: Shard> fmt::Debug for Shards<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards")
            .field("kind", &S::KIND)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What one task owns.
struct ShardTask<S: Shard> {
    index: usize,
    shard: S,
    partition: Arc<Partition>,
    clock: Arc<dyn Clock>,
    max_content: usize,
    start: StartWork<S::Work>,
    waiting: HashMap<u64, oneshot::Sender<S::Response>>,
    next_reply: u64,
    /// End of what this task has loaded and appended.
    end: Offset,
    /// Answers and work that wait until everything below an offset is on disk, in order.
    unflushed: VecDeque<Unflushed<S>>,
    /// The flush under way for the first of them.
    flush: Option<FlushWait>,
}

struct Unflushed<S: Shard> {
    upto: Offset,
    outcome: Outcome<S>,
}

/// What leaves a shard.
enum Outcome<S: Shard> {
    Answer(oneshot::Sender<S::Response>, S::Response),
    Work(S::Work),
}

impl<S: Shard> ShardTask<S> {
    /// Load the shard on a thread that may block.
    async fn load(mut self, loaders: &Semaphore, state: &AtomicU8) -> Option<Self> {
        let _permit = loaders.acquire().await.ok()?;
        let id = self.partition.id.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = loader::load(&mut self.shard, &self.partition, self.max_content);
            loaded.map(|loaded| (self, loaded))
        });
        match loading.await {
            Ok(Ok((mut task, loaded))) => {
                if loaded != loader::Loaded::default() {
                    tracing::info!(partition = %id, records = loaded.records, unknown = loaded.unknown, entries = task.shard.entry_count(), "{} loaded", S::KIND);
                }
                task.end = task.partition.reader().log_end_offset();
                task.shard.handle_loaded(task.now());
                task.settle();
                state.store(ACTIVE, Ordering::Release);
                Some(task)
            }
            Ok(Err(error)) => {
                tracing::error!(partition = %id, %error, "{} cannot be loaded: this partition has no coordinator", S::KIND);
                state.store(FAILED, Ordering::Release);
                None
            }
            Err(_) => {
                state.store(FAILED, Ordering::Release);
                None
            }
        }
    }

    async fn run(mut self, calls: &mut mpsc::Receiver<Call<S>>) {
        loop {
            let now = self.now();
            if self.shard.poll_timeout().is_some_and(|at| at <= now.steady) {
                self.shard.handle_timeout(now);
                self.settle();
                continue;
            }
            let deadline = self.shard.poll_timeout();
            let wait_ms = deadline.map_or(u64::MAX / 2, |at| at.0 - now.steady.0);
            let flush = self.flush.clone();
            tokio::select! {
                () = flushed(flush.as_ref()), if flush.is_some() => self.answer_flushed(),
                call = calls.recv() => match call {
                    Some((request, answer)) => self.handle(request, answer),
                    None => return,
                },
                // A deadline a year ahead is soon enough looked at again.
                () = tokio::time::sleep(Duration::from_millis(wait_ms.min(86_400_000))) => {}
            }
        }
    }

    fn handle(&mut self, request: S::Request, answer: oneshot::Sender<S::Response>) {
        self.next_reply += 1;
        self.waiting.insert(self.next_reply, answer);
        let reply_to = ReplyTo(self.next_reply);
        self.shard.handle_request(self.now(), request, reply_to);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Append { records, then } => {
                    let outcome = self.append(BatchBuilder::new(), None, records);
                    self.shard.handle_append(self.now(), then, outcome);
                }
                Effect::AppendTransactional {
                    producer,
                    records,
                    then,
                } => {
                    let batch = BatchBuilder::new()
                        .producer(producer.id, producer.epoch, Sequence::NONE)
                        .transactional();
                    let outcome = self.append(batch, Some(producer), records);
                    self.shard.handle_append(self.now(), then, outcome);
                }
                Effect::AppendMarker {
                    producer,
                    marker,
                    then,
                } => {
                    let outcome = self.append_marker(producer, marker);
                    self.shard.handle_append(self.now(), then, outcome);
                }
                Effect::Reply { to, response } => {
                    // One that nobody waits for, as that to what a shard was told, needs no flush either.
                    let answer = self.waiting.remove(&to.0);
                    if let Some(answer) = answer.filter(|answer| !answer.is_closed()) {
                        self.let_out(Outcome::Answer(answer, response));
                    }
                }
                Effect::Start(work) => self.let_out(Outcome::Work(work)),
            }
        }
    }

    /// Answer or begin work once everything appended so far is on disk, if it has to be.
    fn let_out(&mut self, outcome: Outcome<S>) {
        let upto = self.end;
        if !self.partition.rules().coordinator_flushes() || self.partition.is_flushed(upto) {
            return self.carry_out(outcome);
        }
        self.unflushed.push_back(Unflushed { upto, outcome });
        if self.flush.is_none() {
            self.flush_for_answers();
        }
    }

    fn carry_out(&self, outcome: Outcome<S>) {
        match outcome {
            Outcome::Answer(answer, response) => {
                // The client may have gone.
                let _ = answer.send(response);
            }
            Outcome::Work(work) => (self.start)(self.index, work),
        }
    }

    /// Begin one flush for all answers that wait.
    fn flush_for_answers(&mut self) {
        self.flush = self.unflushed.back().map(|last| {
            let wait = FlushWait::default();
            self.partition.flush_upto(last.upto, &wait);
            wait
        });
    }

    /// A flush is over: send the answers that waited for it. If it has failed they are dropped, so that those who asked
    /// are told NOT_COORDINATOR: nobody knows whether the records are on disk.
    fn answer_flushed(&mut self) {
        let partition = Arc::clone(&self.partition);
        if (self.unflushed.front()).is_some_and(|first| !partition.is_flushed(first.upto)) {
            tracing::error!(partition = %partition.id, "{} cannot be flushed", S::KIND);
            self.unflushed.clear();
        }
        while let Some(waited) =
            (self.unflushed).pop_front_if(|next| partition.is_flushed(next.upto))
        {
            self.carry_out(waited.outcome);
        }
        self.flush_for_answers();
    }

    /// Append the records as one batch and replay them.
    fn append(
        &mut self,
        mut builder: BatchBuilder,
        producer: Option<TransactionalProducer>,
        records: Vec<S::Record>,
    ) -> Result<(), AppendFailure> {
        let now = self.clock.now();
        for record in &records {
            let encoded = record.encode().map_err(|_| AppendFailure::TooLarge)?;
            builder.append(now, Some(&encoded.key), encoded.value.as_deref());
        }
        let batch = builder.build().map_err(|_| AppendFailure::Storage)?;
        let max_message_bytes = self.partition.rules().batch_rules(0, now).max_message_bytes;
        if batch.size() > max_message_bytes {
            return Err(AppendFailure::TooLarge);
        }
        let appended = match producer {
            None => self.partition.append(batch, AppendOrigin::Coordinator, now),
            Some(producer) => self.partition.append_verified(
                batch,
                AppendOrigin::Coordinator,
                producer.guard,
                now,
            ),
        };
        let appended = appended.map_err(|error| self.failure(&error))?;
        let first = appended.base_offset;
        self.end = appended.last_offset.plus(1);
        for (at, record) in (0..).zip(records) {
            let mut origin = RecordOrigin::at(Offset(first.0 + at));
            if let Some(producer) = producer {
                origin.producer_id = producer.id;
                origin.producer_epoch = producer.epoch;
            }
            self.shard.replay(origin, record);
        }
        Ok(())
    }

    fn append_marker(
        &mut self,
        producer: TransactionalProducer,
        marker: EndTxnMarker,
    ) -> Result<(), AppendFailure> {
        let now = self.clock.now();
        let batch = marker.batch(producer.id, producer.epoch, now);
        let batch = batch.map_err(|_| AppendFailure::Storage)?;
        let appended = self
            .partition
            .append(batch, AppendOrigin::Coordinator, now)
            .map_err(|error| self.failure(&error))?;
        self.end = appended.last_offset.plus(1);
        self.shard
            .replay_end_transaction(producer.id, marker.committed);
        Ok(())
    }

    fn failure(&self, error: &AppendError) -> AppendFailure {
        match error {
            AppendError::BatchTooLarge { .. } => AppendFailure::TooLarge,
            AppendError::InvalidProducerEpoch { .. } => AppendFailure::ProducerFenced,
            AppendError::TransactionCoordinatorFenced { .. } => AppendFailure::CoordinatorFenced,
            AppendError::InvalidTxnState(_) => AppendFailure::NotInTransaction,
            error => {
                tracing::error!(partition = %self.partition.id, %error, "{} cannot be written", S::KIND);
                AppendFailure::Storage
            }
        }
    }

    fn now(&self) -> Now {
        let steady = self.clock.monotonic().as_millis();
        Now {
            wall: self.clock.now(),
            steady: Deadline(u64::try_from(steady).unwrap_or(u64::MAX)),
        }
    }
}

/// Load a shard and let it work. One that panics is loaded anew from its partition: that costs those who waited for its
/// answers, not all its groups or transactions until the next start.
async fn serve<S: Shard>(
    new_task: impl Fn() -> ShardTask<S>,
    mut calls: mpsc::Receiver<Call<S>>,
    loaders: &Semaphore,
    state: &AtomicU8,
) {
    loop {
        let work = async {
            if let Some(task) = new_task().load(loaders, state).await {
                task.run(&mut calls).await;
            }
        };
        // Nothing of a task outlives its panic, but for the partition, whose locks see to themselves.
        if AssertUnwindSafe(work).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!("{}: a shard has panicked and is loaded anew", S::KIND);
        state.store(LOADING, Ordering::Release);
        tokio::time::sleep(PANIC_PAUSE).await;
    }
}

async fn flushed(flush: Option<&FlushWait>) {
    if let Some(flush) = flush {
        flush.done().await;
    }
}

#[cfg(test)]
mod tests;
