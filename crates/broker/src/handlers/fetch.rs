//! Fetch, versions 4-18: stored batches to consumers, from the segment files to the socket.
//!
//! *Behaviour*: the response is a header frame with ranges of segment files between its pieces; records never pass through
//! this process's memory. Batches are sent whole. The first partition that has something gives at least one batch, whatever
//! the limits say; after that `max_bytes`, `fetch.max.bytes` and each partition's own limit hold, in the order of the request
//! (KIP-74). A request that finds fewer than `min_bytes` is parked until an append to one of its partitions, or `max_wait_ms`.
//! A client that goes over its quotas gets no records, but the time after which it may ask again.
//! Session id 0 is always answered, which makes every fetch a full one (KIP-227 leaves the broker that choice).
//!
//! *Versions*: 5 log start offset; 7 sessions; 9 leader epochs (KIP-320); 10 zstd (KIP-110); 11 preferred replica (KIP-392);
//! 12 diverging epochs (KIP-595), flexible; 13 topic ids (KIP-516); 15 replica state (KIP-903); 16 node endpoints (KIP-951);
//! 17 directory ids (KIP-853); 18 high watermark (KIP-1166).

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ResponseError;
use ottla_protocol::api::{self as wire, EncodeError};
use ottla_protocol::fetch_frame;
use ottla_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::{ApiKey, FetchRequest, FetchResponse};
use ottla_storage::error::ReadError;
use ottla_storage::fs::Source;
use ottla_storage::read::FileRange;
use tokio::time::Instant;

use super::error_code;
use super::{Answer, Api, Reply, ResponseErrors};
use crate::broker::Broker;
use crate::network::request::{RequestContext, Waited};
use crate::network::send::Part;
use crate::partition::topic::Topic;
use crate::partition::waiters::Wakeup;
use crate::partition::{Isolation, Partition};
use crate::quota::QuotaKind;

/// `FetchMetadata.INITIAL_EPOCH`: asks for a new session.
const NEW_SESSION_EPOCH: i32 = 0;
/// `FetchMetadata.FINAL_EPOCH`: asks for none, or ends one.
const FINAL_EPOCH: i32 = -1;

/// First version whose header has tagged fields.
const FLEXIBLE_FROM: i16 = 12;

/// The API's place in [`super::APIS`].
pub const API: Api = Api {
    key: ApiKey::Fetch,
    name: "Fetch",
    announced_min: 4,
    min: 4,
    max: 18,
    run: |broker, context, version, mut body| -> Answer<'_> {
        Box::pin(async move {
            let request = wire::decode_request::<FetchRequest>(&mut body, version)?;
            let fetched = handle(broker, context, version, &request)
                .await
                .within_quota(broker, context, version)?;
            fetched.count_traffic();
            let mut errors = broker.telemetry().requests.errors(API.key as i16, API.name);
            fetched.response.count_errors(&mut errors);
            drop(errors);
            Ok(Reply::Parts(
                fetched.into_parts(context.correlation_id, version)?,
            ))
        })
    },
};

/// A response and the file ranges that belong between its pieces.
struct Fetched {
    response: FetchResponse,
    /// One per partition of the response, in its order.
    records: Vec<Records>,
    /// What the topics that exist give: record bytes, and partitions that failed.
    traffic: Vec<(Arc<Topic>, u64, u64)>,
}

impl Fetched {
    fn refuse(error: ResponseError) -> Self {
        Self {
            response: FetchResponse::default().with_error_code(error.code()),
            records: Vec::new(),
            traffic: Vec::new(),
        }
    }

    /// Hold the answer against its client's quotas. Who is held back gets an answer without partitions, and the records that it
    /// does not get count for nothing (`KafkaApis.handleFetchRequest`). One answer alone may be more than a quota ever lets
    /// pass, when a single batch is: that is let go when the client has used nothing else, or it would never come by it.
    fn within_quota(
        mut self,
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
    ) -> Result<Self, EncodeError> {
        let quotas = broker.quotas();
        let throttle_ms = context.throttle_time_ms(quotas);
        let limit = quotas.limit(QuotaKind::Fetch, &context.client_of_quotas());
        let Some(limit) = limit else {
            return Ok(self.throttled(throttle_ms));
        };
        let (bytes, now_ms) = (self.size(version)? as f64, quotas.now_ms());
        let ms = quotas.record(&limit, bytes, now_ms);
        context.throttle.raise(QuotaKind::Fetch, ms);
        if context.throttle.ms() == 0 {
            return Ok(self);
        }
        quotas.unrecord(&limit, bytes, now_ms);
        let is_within = throttle_ms == 0 && quotas.record(&limit, 0.0, now_ms) == 0;
        if is_within && bytes > quotas.most_at_once(&limit) {
            quotas.record(&limit, bytes, now_ms);
            self.response.throttle_time_ms = context.throttle.ms();
            return Ok(self);
        }
        Ok(self.throttled(context.throttle.ms()))
    }

    /// What a client that is held back for `ms` gets.
    fn throttled(self, ms: i32) -> Self {
        match ms {
            0 => self,
            ms => Self {
                response: FetchResponse::default().with_throttle_time_ms(ms),
                records: Vec::new(),
                traffic: Vec::new(),
            },
        }
    }

    /// Bytes of the response without its header, as quotas count them (`FetchResponse.sizeOf`).
    fn size(&self, version: i16) -> Result<u64, EncodeError> {
        let lens: Vec<u32> = self.records.iter().map(|records| records.len).collect();
        let frame = fetch_frame::encode(0, version, &self.response, &lens)?;
        let header = match version {
            ..FLEXIBLE_FROM => 4,
            _ => 5,
        };
        Ok(frame.len() - header)
    }

    fn count_traffic(&self) {
        for (topic, bytes, failures) in &self.traffic {
            topic.counters.fetched(*bytes, *failures);
        }
    }

    fn into_parts(self, correlation_id: i32, version: i16) -> Result<Vec<Part>, EncodeError> {
        let lens: Vec<u32> = self.records.iter().map(|records| records.len).collect();
        let frame = fetch_frame::encode(correlation_id, version, &self.response, &lens)?;
        let mut pieces = frame.pieces();
        let mut parts = Vec::with_capacity(2 * frame.piece_count());
        for records in self.records.into_iter().filter(|records| records.len > 0) {
            parts.extend(pieces.next().map(Part::Bytes));
            parts.extend(records.ranges.into_iter().map(Part::File));
        }
        parts.extend(pieces.map(Part::Bytes));
        Ok(parts)
    }
}

async fn handle(
    broker: &Broker,
    context: &RequestContext<'_>,
    version: i16,
    request: &FetchRequest,
) -> Fetched {
    // Whatever the session's id: who begins anew or ends it, names all partitions.
    let is_full = matches!(request.session_epoch, NEW_SESSION_EPOCH | FINAL_EPOCH);
    if !is_full {
        return Fetched::refuse(ResponseError::FetchSessionIdNotFound);
    }
    let fetch = Fetch::resolve(broker, context, version, request);
    let read = fetch.wait_and_read(request, &context.waited).await;
    fetch.respond(read)
}

/// More than this is never let pass at once (`ClientQuotaManager.getMaxValueInQuotaWindow`).
fn most_within_quota(broker: &Broker, context: &RequestContext<'_>) -> i32 {
    let quotas = broker.quotas();
    let limit = quotas.limit(QuotaKind::Fetch, &context.client_of_quotas());
    limit.map_or(i32::MAX, |limit| quotas.most_at_once(&limit) as i32)
}

/// A request with its partitions looked up.
struct Fetch<'a> {
    broker: &'a Broker,
    topics: Vec<(&'a FetchTopic, Option<Arc<Topic>>)>,
    version: i16,
    isolation: Isolation,
    is_follower: bool,
    max_bytes: u32,
}

/// Stored batches of one partition, where they lie.
#[derive(Default)]
struct Records {
    ranges: Vec<FileRange>,
    len: u32,
}

/// What one partition of a request gives.
struct PartitionRead {
    data: PartitionData,
    records: Records,
    /// There is no such partition, or no such topic.
    is_missing: bool,
}

/// What all of them give.
struct Read {
    partitions: Vec<PartitionRead>,
    bytes: u64,
    /// Some partition has news that must not wait: an error or a diverging epoch.
    urgent: bool,
}

impl<'a> Fetch<'a> {
    fn resolve(
        broker: &'a Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: &'a FetchRequest,
    ) -> Self {
        let find = |topic: &FetchTopic| {
            if version >= 13 {
                broker.partitions().topic_by_id(TopicId(topic.topic_id))
            } else {
                broker.partitions().topic(&topic.topic)
            }
        };
        let max_bytes = request
            .max_bytes
            .min(broker.network_limits().fetch_max_bytes)
            .min(most_within_quota(broker, context));
        let replica = if version >= 15 {
            request.replica_state.replica_id
        } else {
            request.replica_id
        };
        Self {
            broker,
            topics: request
                .topics
                .iter()
                .map(|topic| (topic, find(topic)))
                .collect(),
            version,
            isolation: Isolation::from_wire(request.isolation_level),
            is_follower: replica.0 >= 0,
            max_bytes: u32::try_from(max_bytes).unwrap_or(0),
        }
    }

    fn partitions(&self) -> impl Iterator<Item = (&'a FetchPartition, Option<&Arc<Partition>>)> {
        self.topics.iter().flat_map(|(wanted, topic)| {
            wanted.partitions.iter().map(move |query| {
                let index = PartitionIndex(query.partition);
                (
                    query,
                    topic.as_ref().and_then(|topic| topic.partition(index).ok()),
                )
            })
        })
    }

    /// Read; when that gives too little, wait for an append or the deadline, and read again.
    async fn wait_and_read(&self, request: &FetchRequest, waited: &Waited) -> Read {
        let min_bytes = self.reachable_min_bytes(request);
        let read = self.read().await;
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        if read.satisfies(min_bytes) || wait.is_zero() || read.partitions.is_empty() {
            return read;
        }
        let deadline = Instant::now() + wait;
        loop {
            let wakeup = Arc::new(Wakeup::default());
            for (_, partition) in self.partitions() {
                if let Some(partition) = partition {
                    partition.waiters().register(&wakeup);
                }
            }
            // What was appended before the registration wakes nobody, so look again.
            let read = self.read().await;
            if read.satisfies(min_bytes) {
                return read;
            }
            let parked = self.broker.telemetry().waiting.park_fetch();
            let parked_at = Instant::now();
            let is_over = tokio::select! {
                () = wakeup.woken() => false,
                () = tokio::time::sleep_until(deadline) => true,
                () = self.broker.shutdown().requested() => true,
            };
            waited.add(parked_at.elapsed());
            drop(parked);
            if is_over {
                return read;
            }
        }
    }

    /// More than the partitions may give at once is not worth waiting for.
    fn reachable_min_bytes(&self, request: &FetchRequest) -> u64 {
        let of_partition =
            |query: &FetchPartition| u64::try_from(query.partition_max_bytes).unwrap_or(0).max(1);
        let partitions: u64 = self
            .partitions()
            .map(|(query, _)| of_partition(query))
            .sum();
        let wanted = u64::try_from(request.min_bytes).unwrap_or(0);
        wanted.min(partitions).min(u64::from(self.max_bytes).max(1))
    }

    async fn read(&self) -> Read {
        let mut read = Read {
            partitions: Vec::new(),
            bytes: 0,
            urgent: false,
        };
        for (wanted, topic) in &self.topics {
            for query in &wanted.partitions {
                let room = u64::from(self.max_bytes).saturating_sub(read.bytes);
                let result = self
                    .read_partition(topic.as_deref(), query, room as u32, read.bytes == 0)
                    .await;
                let partition = result.unwrap_or_else(|error| refuse(query.partition, error));
                read.bytes += u64::from(partition.records.len);
                read.urgent |=
                    partition.data.error_code != 0 || partition.data.diverging_epoch.epoch >= 0;
                read.partitions.push(partition);
            }
        }
        read
    }

    async fn read_partition(
        &self,
        topic: Option<&Topic>,
        query: &FetchPartition,
        room: u32,
        nothing_yet: bool,
    ) -> Result<PartitionRead, ResponseError> {
        let unknown = if self.version >= 13 {
            ResponseError::UnknownTopicId
        } else {
            ResponseError::UnknownTopicOrPartition
        };
        let topic = topic.ok_or(unknown)?;
        let partition = topic.partition(PartitionIndex(query.partition))?;
        self.check(partition, query)?;
        let offsets = partition.offsets();
        let mut data = PartitionData::default()
            .with_partition_index(query.partition)
            .with_high_watermark(offsets.high_watermark.0)
            .with_last_stable_offset(offsets.last_stable.0)
            .with_log_start_offset(offsets.log_start.0)
            .with_aborted_transactions(None);
        if let Some(diverging) = diverging_epoch(partition, query)? {
            data.diverging_epoch = diverging;
            return Ok(PartitionRead::new(data, Records::default()));
        }
        let limit = room.min(u32::try_from(query.partition_max_bytes).unwrap_or(0));
        let records = self
            .read_log(partition, Offset(query.fetch_offset), limit, nothing_yet)
            .await;
        let (records, aborted) = records.map_err(|error| error_code::of_read(&error))?;
        data.aborted_transactions = aborted;
        Ok(PartitionRead::new(data, records))
    }

    /// Find the batches: here and now when memory has what it takes, else on a thread that may wait for the disk.
    async fn read_log(
        &self,
        partition: &Arc<Partition>,
        from: Offset,
        limit: u32,
        whole_first_batch: bool,
    ) -> Result<(Records, Option<Vec<AbortedTransaction>>), ReadError> {
        let isolation = self.isolation;
        let look_up = move |partition: &Partition, source| {
            look_up(partition, from, isolation, limit, whole_first_batch, source)
        };
        match look_up(partition, Source::PageCache) {
            Err(error) if error.needs_disk() => {}
            found => return found,
        }
        let partition = Arc::clone(partition);
        let looking = tokio::task::spawn_blocking(move || look_up(&partition, Source::Disk));
        looking
            .await
            .unwrap_or_else(|error| Err(ReadError::Io(std::io::Error::other(error))))
    }

    fn check(&self, partition: &Partition, query: &FetchPartition) -> Result<(), ResponseError> {
        // This broker is the only replica of all its partitions, so nobody may follow it.
        if self.is_follower {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        if self.version < 10 && partition.rules().is_zstd() {
            return Err(ResponseError::UnsupportedCompressionType);
        }
        // Any negative epoch is "none" here (`FetchRequest.optionalEpoch`).
        partition.check_epoch(LeaderEpoch(query.current_leader_epoch.max(-1)))
    }

    /// The partitions in the order of the request, those that do not exist last. Neighbours of one topic share its entry, so
    /// that a topic can have two (`KafkaApis.handleFetchRequest`, `FetchResponse.toMessage`).
    fn respond(self, read: Read) -> Fetched {
        let mut response = ResponseBuilder::with_capacity(self.topics.len(), read.partitions.len());
        let mut missing = Vec::new();
        let mut partitions = read.partitions.into_iter();
        let mut traffic = Vec::with_capacity(self.topics.len());
        for (wanted, found) in self.topics {
            let mut bytes = 0;
            let mut failures = 0;
            for read in partitions.by_ref().take(wanted.partitions.len()) {
                bytes += u64::from(read.records.len);
                failures += u64::from(read.data.error_code != 0);
                match read.is_missing {
                    true => missing.push((wanted, read)),
                    false => response.push(wanted, read),
                }
            }
            if let Some(found) = found {
                traffic.push((found, bytes, failures));
            }
        }
        for (wanted, read) in missing {
            response.push(wanted, read);
        }
        Fetched {
            response: FetchResponse::default().with_responses(response.topics),
            records: response.records,
            traffic,
        }
    }
}

/// A response that grows by partitions.
struct ResponseBuilder {
    topics: Vec<FetchableTopicResponse>,
    records: Vec<Records>,
}

impl ResponseBuilder {
    fn with_capacity(topics: usize, partitions: usize) -> Self {
        Self {
            topics: Vec::with_capacity(topics),
            records: Vec::with_capacity(partitions),
        }
    }

    fn push(&mut self, wanted: &FetchTopic, read: PartitionRead) {
        let is_same = |last: &FetchableTopicResponse| {
            last.topic == wanted.topic && last.topic_id == wanted.topic_id
        };
        if !self.topics.last().is_some_and(is_same) {
            let mut topic = FetchableTopicResponse::default()
                .with_topic(wanted.topic.clone())
                .with_topic_id(wanted.topic_id);
            topic.partitions.reserve_exact(wanted.partitions.len());
            self.topics.push(topic);
        }
        if let Some(topic) = self.topics.last_mut() {
            topic.partitions.push(read.data);
            self.records.push(read.records);
        }
    }
}

impl PartitionRead {
    fn new(data: PartitionData, records: Records) -> Self {
        Self {
            data,
            records,
            is_missing: false,
        }
    }
}

impl Read {
    fn satisfies(&self, min_bytes: u64) -> bool {
        self.urgent || self.bytes >= min_bytes
    }
}

fn refuse(index: i32, error: ResponseError) -> PartitionRead {
    let is_missing = matches!(
        error,
        ResponseError::UnknownTopicId | ResponseError::UnknownTopicOrPartition
    );
    // Nobody has read what is missing: then the list is empty, and otherwise null (`FetchResponse.partitionResponse`).
    let aborted = is_missing.then(Vec::new);
    let data = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(aborted);
    PartitionRead {
        is_missing,
        ..PartitionRead::new(data, Records::default())
    }
}

/// Where the client's log must be cut, when it followed a leader whose records this log does not have (KIP-595).
fn diverging_epoch(
    partition: &Partition,
    query: &FetchPartition,
) -> Result<Option<EpochEndOffset>, ResponseError> {
    let last_fetched = LeaderEpoch(query.last_fetched_epoch);
    if last_fetched < LeaderEpoch(0) {
        return Ok(None);
    }
    let known = partition.end_offset_for_epoch(last_fetched);
    let (epoch, end) = known.ok_or(ResponseError::OffsetOutOfRange)?;
    let diverges = epoch < last_fetched || end < Offset(query.fetch_offset);
    Ok(diverges.then(|| {
        EpochEndOffset::default()
            .with_epoch(epoch.0)
            .with_end_offset(end.0)
    }))
}

fn look_up(
    partition: &Partition,
    from: Offset,
    isolation: Isolation,
    limit: u32,
    whole_first_batch: bool,
    source: Source,
) -> Result<(Records, Option<Vec<AbortedTransaction>>), ReadError> {
    let slice = partition.read(from, isolation, limit, whole_first_batch, source)?;
    let aborted = match isolation {
        Isolation::ReadUncommitted => None,
        // As `ReplicaManager.readFromLog` where the first entry is incomplete.
        Isolation::ReadCommitted if slice.leaves_out_first_batch() => None,
        Isolation::ReadCommitted => Some(
            partition
                .reader()
                .aborted_transactions_via(source, &slice)?
                .iter()
                .map(|aborted| {
                    AbortedTransaction::default()
                        .with_producer_id(aborted.producer_id.0.into())
                        .with_first_offset(aborted.first_offset.0)
                })
                .collect(),
        ),
    };
    Ok((
        Records {
            ranges: slice.ranges,
            len: slice.len,
        },
        aborted,
    ))
}
