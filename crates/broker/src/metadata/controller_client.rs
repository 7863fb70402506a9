//! Calls to the controller: typed requests in, responses out, as over a connection to a controller elsewhere.
//!
//! The controller of this process is reached through a bounded mailbox. A response comes when the records it rests on
//! are in the log, in the published image, and set up by all publishers: a topic can be used when CreateTopics says so.

use std::fmt;
use std::sync::Arc;

use ottla_protocol::ids::BrokerId;
use ottla_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterClientQuotasRequest,
    AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::controller::{Controller, Decision};
use super::record::MetadataRecord;

/// Calls that may wait for the controller. Further callers wait for a place.
const MAILBOX_LEN: usize = 1024;

/// Sends the response once it is true.
pub(super) type SendResponse = Box<dyn FnOnce() + Send>;

/// A call as the controller sees it: decide, and say what is to be written and how to answer when it is.
pub(super) type Call =
    Box<dyn FnOnce(&Controller<'_>) -> (Vec<MetadataRecord>, SendResponse) + Send>;

/// Whether so many partitions may be created or deleted now; asked on the controller's thread
/// (`ControllerRequestContext.applyPartitionChangeQuota`).
pub type PartitionChangeQuota = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// Nobody answers: the broker is stopping, or has lost its metadata log. Clients are told NOT_CONTROLLER, upon which
/// they try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the controller has stopped")]
pub struct ControllerStopped;

/// The way to the controller. Cheap to clone.
#[derive(Clone)]
pub struct ControllerClient {
    mailbox: mpsc::Sender<Call>,
    quota: Option<PartitionChangeQuota>,
}

impl fmt::Debug for ControllerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerClient")
            .field("is_limited", &self.quota.is_some())
            .finish_non_exhaustive()
    }
}

impl ControllerClient {
    /// A client, and the mailbox its calls arrive in.
    pub(super) fn new() -> (Self, mpsc::Receiver<Call>) {
        let (mailbox, calls) = mpsc::channel(MAILBOX_LEN);
        let quota = None;
        (Self { mailbox, quota }, calls)
    }

    /// A client whose calls create and delete no more partitions than `quota` lets pass.
    pub fn limited_by(&self, quota: PartitionChangeQuota) -> Self {
        Self {
            mailbox: self.mailbox.clone(),
            quota: Some(quota),
        }
    }

    /// Create topics.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn create_topics(
        &self,
        request: CreateTopicsRequest,
    ) -> Result<CreateTopicsResponse, ControllerStopped> {
        self.call(move |controller| controller.create_topics(&request))
            .await
    }

    /// Delete topics; the version says how to answer when that is switched off.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn delete_topics(
        &self,
        request: DeleteTopicsRequest,
        version: i16,
    ) -> Result<DeleteTopicsResponse, ControllerStopped> {
        self.call(move |controller| controller.delete_topics(&request, version))
            .await
    }

    /// Add partitions to topics.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn create_partitions(
        &self,
        request: CreatePartitionsRequest,
    ) -> Result<CreatePartitionsResponse, ControllerStopped> {
        self.call(move |controller| controller.create_partitions(&request))
            .await
    }

    /// Change the finalized levels of features; the version says how to answer.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn update_features(
        &self,
        request: UpdateFeaturesRequest,
        version: i16,
    ) -> Result<UpdateFeaturesResponse, ControllerStopped> {
        self.call(move |controller| controller.update_features(&request, version))
            .await
    }

    /// Get a block of producer ids.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn allocate_producer_ids(
        &self,
        request: AllocateProducerIdsRequest,
    ) -> Result<AllocateProducerIdsResponse, ControllerStopped> {
        self.call(move |controller| controller.allocate_producer_ids(&request))
            .await
    }

    /// Change some configs of topics and brokers.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn incremental_alter_configs(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> Result<IncrementalAlterConfigsResponse, ControllerStopped> {
        self.call(move |controller| controller.incremental_alter_configs(&request))
            .await
    }

    /// Replace the configs of topics and brokers.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn alter_configs(
        &self,
        request: AlterConfigsRequest,
    ) -> Result<AlterConfigsResponse, ControllerStopped> {
        self.call(move |controller| controller.alter_configs(&request))
            .await
    }

    /// Set and remove client quotas.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn alter_client_quotas(
        &self,
        request: AlterClientQuotasRequest,
    ) -> Result<AlterClientQuotasResponse, ControllerStopped> {
        self.call(move |controller| controller.alter_client_quotas(&request))
            .await
    }

    /// Elect the preferred leaders of partitions, or leaders that may have lost records.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn elect_leaders(
        &self,
        request: ElectLeadersRequest,
    ) -> Result<ElectLeadersResponse, ControllerStopped> {
        self.call(move |controller| controller.elect_leaders(&request))
            .await
    }

    /// Move partitions to other replicas, or stop doing so.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn alter_partition_reassignments(
        &self,
        request: AlterPartitionReassignmentsRequest,
    ) -> Result<AlterPartitionReassignmentsResponse, ControllerStopped> {
        self.call(move |controller| controller.alter_partition_reassignments(&request))
            .await
    }

    /// Hand over all leaderships and be fenced: the last call of a broker that stops in good order.
    ///
    /// # Errors
    /// The controller has stopped.
    pub async fn shut_down_broker(&self, broker: BrokerId) -> Result<(), ControllerStopped> {
        self.call(move |controller| controller.shut_down_broker(broker))
            .await
    }

    async fn call<R, D>(&self, decide: D) -> Result<R, ControllerStopped>
    where
        R: Send + 'static,
        D: FnOnce(&Controller<'_>) -> Decision<R> + Send + 'static,
    {
        let (reply, response) = oneshot::channel();
        let quota = self.quota.clone();
        let call: Call = Box::new(move |controller| {
            let may_change = |count| quota.as_ref().is_none_or(|quota| quota(count));
            let Decision { records, response } = decide(&Controller {
                may_change_partitions: &may_change,
                ..*controller
            });
            // A caller that has gone away needs no response.
            (records, Box::new(move || drop(reply.send(response))))
        });
        self.mailbox
            .send(call)
            .await
            .map_err(|_| ControllerStopped)?;
        response.await.map_err(|_| ControllerStopped)
    }
}
