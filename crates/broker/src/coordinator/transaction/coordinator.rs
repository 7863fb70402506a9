//! The transaction coordinator of this broker: the shards of `__transaction_state`, the way to them, and the work they
//! have done outside.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Weak};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};

use super::markers::MarkerWriter;
use super::message::{Description, Producer, TransactionRequest, TransactionResponse, Work};
use super::state::Partitions;
use super::{TransactionConfig, TransactionShard};
use crate::clock::Clock;
use crate::config::TransactionSettings;
use crate::coordinator::group::partition_for;
use crate::coordinator::runtime::GroupCoordinator;
use crate::coordinator::shards::{CurrentShards, Outside, Shards};
use crate::metadata::cache::MetadataCache;
use crate::metadata::producer_id_manager::ProducerIdManager;
use crate::partition::manager::PartitionManager;
use crate::partition::topic::Topic;
use crate::shutdown::Shutdown;

/// Where transactions are kept (`Topic.TRANSACTION_STATE_TOPIC_NAME`).
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The feature that says which transactions producers may use (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// What the coordinator works with.
#[derive(Clone)]
pub struct Surroundings {
    /// The settings.
    pub config: Arc<TransactionConfig>,
    /// Most bytes that a batch may have once decompressed.
    pub max_content: usize,
    /// The state of the cluster.
    pub metadata: Arc<MetadataCache>,
    /// New producer ids.
    pub producer_ids: Arc<ProducerIdManager>,
    /// Where markers go.
    pub partitions: Arc<PartitionManager>,
    /// Where the markers of committed offsets go.
    pub groups: Arc<GroupCoordinator>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Ends the tasks.
    pub shutdown: Shutdown,
}

/// What the broker's configuration says about transactions.
pub fn transaction_config(settings: &TransactionSettings) -> TransactionConfig {
    TransactionConfig {
        max_timeout_ms: settings.transaction_max_timeout_ms,
        id_expiration_ms: settings.transactional_id_expiration_ms.into(),
        expiration_check_interval_ms: settings
            .transaction_remove_expired_transaction_cleanup_interval_ms
            .into(),
    }
}

/// The transaction coordinator of this broker.
pub struct TransactionCoordinator {
    surroundings: Surroundings,
    runtime: tokio::runtime::Handle,
    shards: CurrentShards<TransactionShard>,
    this: Weak<Self>,
}

impl TransactionCoordinator {
    /// A coordinator without shards: [`Self::start`] makes them. To be called within the runtime.
    pub fn new(surroundings: Surroundings) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            surroundings,
            runtime: tokio::runtime::Handle::current(),
            shards: CurrentShards::default(),
            this: Weak::clone(this),
        })
    }

    /// Start the shards if the topic exists; whether it does.
    pub fn start(&self) -> bool {
        self.shards().is_some()
    }

    /// The shards of the topic that there is now.
    fn shards(&self) -> Option<Arc<Shards<TransactionShard>>> {
        let topic = self.surroundings.partitions.topic(TRANSACTIONS_TOPIC);
        self.shards
            .of(topic.as_deref(), |topic| self.start_shards(topic))
    }

    fn start_shards(&self, topic: &Topic) -> Shards<TransactionShard> {
        let Surroundings {
            config, metadata, ..
        } = &self.surroundings;
        let metadata = Arc::clone(metadata);
        let level = Arc::new(move || metadata.load().features.level(TRANSACTION_VERSION));
        let this = Weak::clone(&self.this);
        let outside = Outside {
            clock: Arc::clone(&self.surroundings.clock),
            max_content: self.surroundings.max_content,
            shutdown: self.surroundings.shutdown.clone(),
            runtime: self.runtime.clone(),
            start: Arc::new(move |shard, work| {
                if let Some(coordinator) = this.upgrade() {
                    coordinator.start_work(shard, work);
                }
            }),
        };
        let config = Arc::clone(config);
        Shards::start(topic, &outside, move || {
            TransactionShard::new(Arc::clone(&config), Arc::clone(&level) as _)
        })
    }

    fn start_work(self: Arc<Self>, shard: usize, work: Work) {
        let shutdown = self.surroundings.shutdown.clone();
        self.runtime.clone().spawn(async move {
            tokio::select! {
                () = self.work(shard, work) => {}
                // What is not done is begun again at the next start.
                () = shutdown.requested() => {}
            }
        });
    }

    async fn work(&self, shard: usize, work: Work) {
        let done = match work {
            Work::WriteMarkers(markers) => {
                let epoch = self.coordinator_epoch(shard);
                let written = self.marker_writer().write_all(&markers, epoch).await;
                written.then_some(TransactionRequest::MarkersWritten(markers.producer))
            }
            Work::NewProducerId(producer) => {
                let id = self.surroundings.producer_ids.next_id().await.ok();
                id.map(|id| TransactionRequest::AbortTimedOut(producer, id))
            }
        };
        if let (Some(done), Some(shards)) = (done, self.shards.at_work()) {
            shards.tell(shard, done);
        }
    }

    /// Writes markers to the partitions of this broker.
    pub fn marker_writer(&self) -> MarkerWriter {
        MarkerWriter {
            partitions: Arc::clone(&self.surroundings.partitions),
            groups: Arc::clone(&self.surroundings.groups),
            clock: Arc::clone(&self.surroundings.clock),
        }
    }

    /// The epoch in which this broker leads a shard's partition.
    fn coordinator_epoch(&self, shard: usize) -> i32 {
        let topic = self.surroundings.partitions.topic(TRANSACTIONS_TOPIC);
        let index = PartitionIndex(i32::try_from(shard).unwrap_or(i32::MAX));
        let partition = topic.as_ref().and_then(|topic| topic.partition(index).ok());
        partition.map_or(-1, |partition| partition.leader_epoch().0)
    }

    /// Give a producer its id and its next epoch.
    ///
    /// # Errors
    /// What the producer is told.
    pub async fn initialize(
        &self,
        transactional_id: Arc<str>,
        timeout_ms: i32,
        expected: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<(ProducerId, ProducerEpoch), ResponseError> {
        let request = |new_id| TransactionRequest::InitProducerId {
            transactional_id: Arc::clone(&transactional_id),
            timeout_ms,
            expected,
            new_id,
        };
        self.ask_with_id(&transactional_id, request).await
    }

    /// Make partitions part of the producer's transaction.
    ///
    /// # Errors
    /// What the producer is told.
    pub async fn add_partitions(
        &self,
        producer: Producer,
        partitions: Partitions,
        client_version: i16,
    ) -> Result<(), ResponseError> {
        let id = Arc::clone(&producer.transactional_id);
        let request = TransactionRequest::AddPartitions {
            producer,
            partitions,
            client_version,
        };
        match self.ask(&id, request).await? {
            TransactionResponse::Done(outcome) => outcome,
            _ => Err(ResponseError::UnknownServerError),
        }
    }

    /// The partitions that are not part of the producer's transaction.
    ///
    /// # Errors
    /// The producer cannot write now.
    pub async fn verify_partitions(
        &self,
        producer: Producer,
        partitions: Partitions,
    ) -> Result<BTreeSet<(Arc<str>, i32)>, ResponseError> {
        let id = Arc::clone(&producer.transactional_id);
        let request = TransactionRequest::VerifyPartitions {
            producer,
            partitions,
        };
        match self.ask(&id, request).await? {
            TransactionResponse::Verified(missing) => missing,
            _ => Err(ResponseError::UnknownServerError),
        }
    }

    /// Commit or abort the producer's transaction; id and epoch with which it goes on.
    ///
    /// # Errors
    /// What the producer is told.
    pub async fn end(
        &self,
        producer: Producer,
        committed: bool,
        client_version: i16,
    ) -> Result<(ProducerId, ProducerEpoch), ResponseError> {
        let id = Arc::clone(&producer.transactional_id);
        let request = |new_id| TransactionRequest::EndTxn {
            producer: producer.clone(),
            committed,
            client_version,
            new_id,
        };
        self.ask_with_id(&id, request).await
    }

    /// Tell about a transactional id.
    ///
    /// # Errors
    /// Nothing can be told now.
    pub async fn describe(&self, id: Arc<str>) -> Result<Option<Description>, ResponseError> {
        let request = TransactionRequest::Describe(vec![Arc::clone(&id)]);
        match self.ask(&id, request).await? {
            TransactionResponse::Described(described) => Ok(described
                .into_iter()
                .next()
                .and_then(|(_, description)| description)),
            _ => Err(ResponseError::UnknownServerError),
        }
    }

    /// All transactional ids.
    ///
    /// # Errors
    /// A shard is still being loaded.
    pub async fn list(&self) -> Result<Vec<(Arc<str>, Description)>, ResponseError> {
        let mut listed = Vec::new();
        let Some(shards) = self.shards() else {
            return Ok(listed);
        };
        for shard in 0..shards.len() {
            match shards.ask(shard, TransactionRequest::List).await? {
                TransactionResponse::Described(described) => {
                    let known = described.into_iter();
                    listed.extend(known.filter_map(|(id, description)| Some((id, description?))));
                }
                _ => return Err(ResponseError::UnknownServerError),
            }
        }
        Ok(listed)
    }

    async fn ask(
        &self,
        id: &str,
        request: TransactionRequest,
    ) -> Result<TransactionResponse, ResponseError> {
        let shards = self.shards().ok_or(ResponseError::NotCoordinator)?;
        shards.ask(partition_for(id, shards.len()), request).await
    }

    /// Ask; if a new producer id turns out to be needed, ask again with one.
    async fn ask_with_id(
        &self,
        id: &str,
        request: impl Fn(Option<ProducerId>) -> TransactionRequest,
    ) -> Result<(ProducerId, ProducerEpoch), ResponseError> {
        let mut response = self.ask(id, request(None)).await?;
        if response == TransactionResponse::NeedsProducerId {
            let new_id = self.surroundings.producer_ids.next_id().await?;
            response = self.ask(id, request(Some(new_id))).await?;
        }
        match response {
            TransactionResponse::Producer(outcome) => outcome,
            _ => Err(ResponseError::UnknownServerError),
        }
    }
}

impl fmt::Debug for TransactionCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionCoordinator")
            .field("config", &self.surroundings.config)
            .finish_non_exhaustive()
    }
}
