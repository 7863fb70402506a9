//! Produce, versions 3-13: append the batches of producers.
//!
//! *Behaviour*: every batch is checked once ([`ValidBatch::check`]) and then appended as it came. Versions 0-2 are
//! announced but not served: librdkafka decides by them whether a broker knows compression (KAFKA-18659). With acks=0
//! there is no response at all; an error then closes the connection, which makes the client refresh its metadata.
//! With acks=all the answer waits for all in-sync replicas, of which there is one: this broker; and until the records
//! are on its disk, unless `ottla.flush.on.acks.all` is off. Requests that come behind are taken meanwhile.
//!
//! *Versions*: 3 brings the transactional id; 7 zstd (KIP-110); 8 errors by record (KIP-467); 9 flexible; 10 the current
//! leader in the response (KIP-951); 12 implicit adding to transactions (KIP-890); 13 topic ids (KIP-516).

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ResponseError;
use ottla_protocol::api as wire;
use ottla_protocol::ids::{Offset, PartitionIndex, Timestamp, TopicId};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TransactionalId};
use ottla_protocol::record::{BatchHeader, InvalidBatch, ValidBatch, validate};
use ottla_storage::append::AppendInfo;
use ottla_storage::error::AppendError;

use self::pending::Flushes;
use super::transaction_request::{self, Joining, Leave, is_passing};
use super::{Answer, Api, Refusal, Reply, error_code};
use crate::broker::Broker;
use crate::coordinator::transaction::message::Producer;
use crate::network::request::RequestContext;
use crate::partition::topic::Topic;
use crate::partition::{Partition, Produced};
use crate::quota::QuotaKind;
use crate::telemetry::topic::Refusal as Refused;

mod pending;

pub use pending::PendingProduce;

/// First version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 11;
/// First version whose batches make their partitions part of the transaction.
const JOINS_FROM: i16 = 12;

const ACKS_NONE: i16 = 0;
const ACKS_ALL: i16 = -1;

/// The API's place in [`super::APIS`].
pub const API: Api = Api {
    key: ApiKey::Produce,
    name: "Produce",
    announced_min: 0,
    min: 3,
    max: 13,
    run: |broker, context, version, mut body| -> Answer<'_> {
        Box::pin(async move {
            let request = wire::decode_request::<ProduceRequest>(&mut body, version)?;
            drop(body);
            let acks = request.acks;
            let (mut response, flushes) = handle(broker, context, version, request).await;
            response.throttle_time_ms = throttle_time_ms(broker, context, acks);
            if acks == ACKS_NONE {
                pending::count_errors(broker, &response);
                return match first_error(&response) {
                    Some(error) => Err(Refusal::UnacknowledgedFailure(error)),
                    None => Ok(Reply::None),
                };
            }
            let correlation_id = context.correlation_id;
            if flushes.is_empty() {
                let bytes = pending::encode(broker, version, correlation_id, &response)?;
                return Ok(Reply::Bytes(bytes));
            }
            let pending = PendingProduce::new(version, correlation_id, response, flushes);
            Ok(Reply::WhenFlushed(Box::new(pending)))
        })
    },
};

/// Hold the request against its client's quotas. Who waits for no answer has no quota on time, as nothing could tell it, and
/// is muted all the same where it sends too much.
fn throttle_time_ms(broker: &Broker, context: &RequestContext<'_>, acks: i16) -> i32 {
    let quotas = broker.quotas();
    if let Some(limit) = quotas.limit(QuotaKind::Produce, &context.client_of_quotas()) {
        let ms = quotas.record(&limit, context.size as f64, quotas.now_ms());
        context.throttle.raise(QuotaKind::Produce, ms);
    }
    match acks {
        ACKS_NONE => context.throttle.ms(),
        _ => context.throttle_time_ms(quotas),
    }
}

async fn handle(
    broker: &Broker,
    context: &RequestContext<'_>,
    version: i16,
    request: ProduceRequest,
) -> (ProduceResponse, Flushes) {
    let mut responses = Vec::with_capacity(request.topic_data.len());
    let mut flushes = Flushes::default();
    let refused = refuse_whole(&request);
    for data in request.topic_data {
        let mut answer = TopicProduceResponse::default()
            .with_name(data.name.clone())
            .with_topic_id(data.topic_id);
        let topic = match &refused {
            Some((error, message)) => Err((*error, message.clone())),
            None => find_topic(broker, version, &data).map_err(|error| (error, None)),
        };
        answer.partition_responses = match topic {
            Ok(topic) => {
                let produce = TopicProduce {
                    broker,
                    context,
                    version,
                    acks: request.acks,
                    transactional_id: request.transactional_id.as_ref(),
                    topic: &topic,
                };
                let at = responses.len();
                produce
                    .append_all(data.partition_data, at, &mut flushes)
                    .await
            }
            Err((error, message)) => data
                .partition_data
                .iter()
                .map(|partition| refuse(partition.index, error, message.clone()))
                .collect(),
        };
        // As `KafkaApis.handleProduceRequest`, which answers by partition.
        if !answer.partition_responses.is_empty() {
            responses.push(answer);
        }
    }
    (
        ProduceResponse::default().with_responses(responses),
        flushes,
    )
}

/// Why nothing of the request is taken, as it is said of all its partitions: before the first batch that is part of a
/// transaction comes one that cannot be a batch, or there is such a batch, and the id that it needs is not given
/// (`KafkaApis.handleProduceRequest`).
fn refuse_whole(request: &ProduceRequest) -> Option<(ResponseError, Option<String>)> {
    let mut partitions = request.topic_data.iter().flat_map(|t| &t.partition_data);
    let is_transactional = partitions.find_map(|partition| {
        let records = partition.records.as_deref().unwrap_or_default();
        match validate::begins_transactional(records) {
            Ok(false) => None,
            said => Some(said),
        }
    });
    match is_transactional? {
        Err(invalid) => Some((invalid.error_code(), Some(invalid.to_string()))),
        Ok(_) if request.transactional_id.is_some() => None,
        Ok(_) => Some((ResponseError::TransactionalIdAuthorizationFailed, None)),
    }
}

fn find_topic(
    broker: &Broker,
    version: i16,
    data: &TopicProduceData,
) -> Result<Arc<Topic>, ResponseError> {
    if version >= 13 {
        broker
            .partitions()
            .topic_by_id(TopicId(data.topic_id))
            .ok_or(ResponseError::UnknownTopicId)
    } else {
        broker
            .partitions()
            .topic(&data.name)
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

/// One topic's share of a request.
struct TopicProduce<'a> {
    broker: &'a Broker,
    context: &'a RequestContext<'a>,
    version: i16,
    acks: i16,
    transactional_id: Option<&'a TransactionalId>,
    topic: &'a Topic,
}

impl TopicProduce<'_> {
    async fn append_all(
        &self,
        partitions: Vec<PartitionProduceData>,
        topic_at: usize,
        flushes: &mut Flushes,
    ) -> Vec<PartitionProduceResponse> {
        self.topic.counters.produce_requested();
        let mut responses = Vec::with_capacity(partitions.len());
        for data in partitions {
            let index = data.index;
            let bytes = data.records.as_ref().map_or(0, Bytes::len);
            responses.push(match self.append(data).await {
                Ok((partition, Produced { info, flush_upto })) => {
                    match flush_upto {
                        Some(upto) if self.acks == ACKS_NONE => partition.flush_soon(upto),
                        Some(upto) => flushes.add((topic_at, responses.len()), partition, upto),
                        None => {}
                    }
                    accept(index, &info)
                }
                Err(failure) => {
                    self.tell(index, bytes, &failure);
                    failure.response(index)
                }
            });
            tokio::task::consume_budget().await;
        }
        responses
    }

    async fn append(
        &self,
        data: PartitionProduceData,
    ) -> Result<(&Arc<Partition>, Produced), Failure> {
        let partition = self.topic.partition(PartitionIndex(data.index))?;
        let now = self.broker.now();
        let records = data.records.unwrap_or_default();
        let header = BatchHeader::read(&records);
        let rules = partition.rules().batch_rules(self.version, now);
        // The faults of a batch are told in Kafka's order: its frame, its transaction, the request it came in, its content.
        let checked = ValidBatch::check(records, &rules).map_err(|invalid| {
            (
                invalid.is_of_frame(),
                Failure::of_batch(&invalid, partition),
            )
        });
        if let Err((true, failure)) = checked {
            return Err(failure);
        }
        let leave = match header.filter(BatchHeader::is_transactional) {
            Some(header) => Some(self.leave(partition, &header).await?),
            None => None,
        };
        self.check_request()?;
        let batch = checked.map_err(|(_, failure)| failure)?;
        let (records, bytes) = (batch.header().records_count(), batch.size());
        let guard = leave.as_ref().and_then(Leave::guard);
        let produced = partition
            .produce(batch, guard, self.acks == ACKS_ALL, now)
            .map_err(|error| Failure::of_append(&error, partition))?;
        if !produced.info.duplicate {
            self.topic
                .counters
                .batch_appended(u64::try_from(records).unwrap_or(0), bytes as u64);
        }
        Ok((partition, produced))
    }

    /// The leave to write within the producer's transaction. What will pass is told as NOT_ENOUGH_REPLICAS, which makes
    /// every client ask again without looking for new metadata (`ReplicaManager.handleProduceAppend`).
    async fn leave<'p>(
        &self,
        partition: &'p Partition,
        header: &BatchHeader,
    ) -> Result<Leave<'p>, Failure> {
        let transactional_id = self
            .transactional_id
            .ok_or(ResponseError::TransactionalIdAuthorizationFailed)?;
        if transactional_id.is_empty() {
            // As the coordinator says that is asked to verify it (`TransactionCoordinator`).
            return Err(ResponseError::InvalidRequest.into());
        }
        let joining = match self.version < JOINS_FROM {
            true => Joining::Said,
            false => Joining::Implicit,
        };
        let speaker = Producer {
            transactional_id: transactional_id.as_str().into(),
            id: header.producer_id(),
            epoch: header.producer_epoch(),
        };
        let leave = transaction_request::leave(self.broker, partition, speaker, joining).await;
        leave.map_err(|error| match error {
            error if is_passing(error) => ResponseError::NotEnoughReplicas.into(),
            ResponseError::TransactionAbortable if self.version < ABORTABLE_FROM => Failure {
                message: Some("Partition was not added to the transaction".to_owned()),
                ..ResponseError::InvalidTxnState.into()
            },
            error => error.into(),
        })
    }

    fn check_request(&self) -> Result<(), ResponseError> {
        if !(ACKS_ALL..=1).contains(&self.acks) {
            return Err(ResponseError::InvalidRequiredAcks);
        }
        if self.topic.internal && self.context.client() != "__admin_client" {
            return Err(ResponseError::InvalidTopicException);
        }
        // min.insync.replicas counts no more replicas than there are (`Partition.effectiveMinIsr`), and the only one is here.
        Ok(())
    }

    fn tell(&self, index: i32, bytes: usize, failure: &Failure) {
        let counters = &self.topic.counters;
        counters.produce_failed();
        match failure.code {
            ResponseError::CorruptMessage => counters.batch_refused(Refused::Crc),
            ResponseError::UnsupportedForMessageFormat => counters.batch_refused(Refused::Magic),
            ResponseError::MessageTooLarge => counters.batch_too_large(bytes as u64),
            _ => {}
        }
        if failure.no_space {
            // One line tells of the disk, not one for each producer.
            return;
        }
        let connection = self.context.connection;
        if let Some(held_back) = connection.refusals.pass(self.broker.now()) {
            tracing::info!(client = self.context.client(), peer = %connection.peer_addr, topic = %self.topic.name,
                partition = index, error = %failure.code, reason = %failure.reason, held_back, "produce refused");
        }
    }
}

/// Why a partition's batch was not appended, as the producer is told.
#[derive(Debug)]
struct Failure {
    code: ResponseError,
    /// What the producer is told beyond the code.
    message: Option<String>,
    /// What the log is told.
    reason: String,
    record_errors: Vec<(i32, String)>,
    /// The disk is full.
    no_space: bool,
    /// First offset of the partition, where the batch got as far as to be held against the log.
    log_start_offset: Option<Offset>,
}

impl Failure {
    fn response(self, index: i32) -> PartitionProduceResponse {
        let record_errors = self
            .record_errors
            .into_iter()
            .map(|(batch_index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(batch_index)
                    .with_batch_index_error_message(Some(StrBytes::from_string(message)))
            });
        refuse(index, self.code, self.message)
            .with_record_errors(record_errors.collect())
            .with_log_start_offset(self.log_start_offset.map_or(-1, |offset| offset.0))
    }
}

impl From<ResponseError> for Failure {
    fn from(code: ResponseError) -> Self {
        Self {
            code,
            message: None,
            reason: code.to_string(),
            record_errors: Vec::new(),
            no_space: false,
            log_start_offset: None,
        }
    }
}

impl Failure {
    fn of_batch(invalid: &InvalidBatch, partition: &Partition) -> Self {
        let record_errors = invalid.record_errors().to_vec();
        Self {
            code: invalid.error_code(),
            message: Some(invalid.to_string()),
            reason: invalid.to_string(),
            no_space: false,
            log_start_offset: (!record_errors.is_empty()).then(|| partition.offsets().log_start),
            record_errors,
        }
    }

    /// Only batches that break the format get a message from Apache Kafka, so these have none.
    fn of_append(error: &AppendError, partition: &Partition) -> Self {
        Self {
            code: error_code::of_append(error),
            message: None,
            reason: error.to_string(),
            record_errors: Vec::new(),
            no_space: matches!(error, AppendError::NoSpace(_)),
            log_start_offset: Some(partition.offsets().log_start),
        }
    }
}

fn accept(index: i32, info: &AppendInfo) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_base_offset(info.base_offset.0)
        .with_log_append_time_ms(info.log_append_time.0)
        .with_log_start_offset(info.log_start_offset.0)
}

fn refuse(index: i32, code: ResponseError, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(code.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(Timestamp::NONE.0)
        .with_log_start_offset(-1)
        .with_error_message(message.map(StrBytes::from_string))
}

fn first_error(response: &ProduceResponse) -> Option<String> {
    response.responses.iter().find_map(|topic| {
        let failed = topic
            .partition_responses
            .iter()
            .find(|partition| partition.error_code != 0)?;
        let code = ResponseError::try_from_code(failed.error_code)?;
        Some(format!("{}-{}: {code}", &*topic.name, failed.index))
    })
}
