//! AlterConfigs: the configs of a topic or broker become exactly those of the request.
//!
//! Versions 0-2, which differ in encoding only. Decided by the controller; answered when the new values hold.

use ottla_protocol::ResponseError;
use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::metadata::service::MetadataService;

/// Answer a request.
pub async fn answer(
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
