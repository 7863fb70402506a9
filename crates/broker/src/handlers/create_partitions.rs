//! CreatePartitions: decided by the controller; answered when the partitions can be used.
//!
//! Versions 0-3, which differ in encoding and throttling only. Every topic of the request is in the answer.

use ottla_protocol::ResponseError;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::metadata::service::MetadataService;

/// Answer a request.
pub async fn answer(
    metadata: &MetadataService,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let names: Vec<_> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    metadata
        .controller
        .create_partitions(request)
        .await
        .unwrap_or_else(|_| {
            let failure = |name| {
                CreatePartitionsTopicResult::default()
                    .with_name(name)
                    .with_error_code(ResponseError::NotController.code())
            };
            CreatePartitionsResponse::default()
                .with_results(names.into_iter().map(failure).collect())
        })
}
