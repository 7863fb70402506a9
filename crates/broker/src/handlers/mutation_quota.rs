//! The controller as one client may use it: within its quota on mutations, where it has one (KIP-599).

use std::borrow::Cow;
use std::sync::Arc;

use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;
use crate::quota::{MutationQuota, QuotaKind};

/// The metadata service, for one request.
#[derive(Debug)]
pub(super) struct Limited<'a> {
    metadata: Cow<'a, MetadataService>,
    quota: Option<Arc<MutationQuota>>,
}

impl<'a> Limited<'a> {
    /// For a request; a strict quota refuses what goes beyond it.
    pub(super) fn new(broker: &'a Broker, context: &RequestContext<'_>, is_strict: bool) -> Self {
        let metadata = broker.metadata();
        let quota = broker
            .quotas()
            .mutations(&context.client_of_quotas(), is_strict);
        let metadata = match &quota {
            None => Cow::Borrowed(metadata),
            Some(quota) => {
                let quota = Arc::clone(quota);
                Cow::Owned(metadata.limited_by(Arc::new(move |count| quota.take(count))))
            }
        };
        Self { metadata, quota }
    }

    /// The service to use.
    pub(super) fn metadata(&self) -> &MetadataService {
        &self.metadata
    }

    /// Hold the client back for what it went over its quota.
    pub(super) fn settle(&self, context: &RequestContext<'_>) {
        if let Some(quota) = &self.quota {
            let ms = quota.throttle_ms();
            context.throttle.raise(QuotaKind::ControllerMutation, ms);
        }
    }
}
