//! IncrementalAlterConfigs: set, delete, append to and subtract from configs of topics, groups and brokers.
//!
//! Versions 0-1, which differ in encoding only. Decided by the controller; answered when the new values hold.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct IncrementalAlterConfigs;

impl Handler for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const NAME: &'static str = "IncrementalAlterConfigs";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        answer(broker.metadata(), request).await
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.iter();
    let named: Vec<_> = resources
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect();
    metadata
        .controller
        .incremental_alter_configs(request)
        .await
        .unwrap_or_else(|_| {
            let failure = |(resource_type, name)| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource_type)
                    .with_resource_name(name)
                    .with_error_code(ResponseError::NotController.code())
            };
            IncrementalAlterConfigsResponse::default()
                .with_responses(named.into_iter().map(failure).collect())
        })
}
