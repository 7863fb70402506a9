//! AlterConfigs: the configs of a topic, group or broker become exactly those of the request.
//!
//! Versions 0-2, which differ in encoding only. Decided by the controller; answered when the new values hold.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct AlterConfigs;

impl Handler for AlterConfigs {
    type Request = AlterConfigsRequest;
    const NAME: &'static str = "AlterConfigs";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: AlterConfigsRequest,
    ) -> AlterConfigsResponse {
        answer(broker.metadata(), request).await
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let resources = request.resources.iter();
    let named: Vec<_> = resources
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect();
    metadata
        .controller
        .alter_configs(request)
        .await
        .unwrap_or_else(|_| {
            let failure = |(resource_type, name)| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource_type)
                    .with_resource_name(name)
                    .with_error_code(ResponseError::NotController.code())
            };
            AlterConfigsResponse::default().with_responses(named.into_iter().map(failure).collect())
        })
}
