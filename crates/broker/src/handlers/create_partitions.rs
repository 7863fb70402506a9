//! CreatePartitions: decided by the controller; answered when the partitions can be used.
//!
//! Versions 0-3, which differ in encoding only, and in that from 3 on a quota on mutations refuses (KIP-599). Every topic of the request is in the answer.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::Handler;
use super::mutation_quota::Limited;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// First version that knows THROTTLING_QUOTA_EXCEEDED.
const STRICT_FROM: i16 = 3;

/// The API.
#[derive(Debug)]
pub struct CreatePartitions;

impl Handler for CreatePartitions {
    type Request = CreatePartitionsRequest;
    const NAME: &'static str = "CreatePartitions";
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: CreatePartitionsRequest,
    ) -> CreatePartitionsResponse {
        let limited = Limited::new(broker, context, version >= STRICT_FROM);
        let response = answer(limited.metadata(), request).await;
        limited.settle(context);
        response
    }
}

/// Answer a request.
pub(crate) async fn answer(
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
