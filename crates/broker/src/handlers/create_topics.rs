//! CreateTopics: decided by the controller; answered when the topics can be used.
//!
//! Versions 2-7. v4: -1 partitions or replicas mean the broker's default. v5: the answer tells number of partitions,
//! replicas and all effective configs. v6: a quota on mutations refuses (KIP-599). v7: topic ids. The client's timeout is not looked at: a single node answers when
//! its disk has.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::create_topics_response::CreatableTopicResult;
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::Handler;
use super::mutation_quota::Limited;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// First version that knows THROTTLING_QUOTA_EXCEEDED.
const STRICT_FROM: i16 = 6;

/// The API.
#[derive(Debug)]
pub struct CreateTopics;

impl Handler for CreateTopics {
    type Request = CreateTopicsRequest;
    const NAME: &'static str = "CreateTopics";
    const VERSIONS: RangeInclusive<i16> = 2..=7;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: CreateTopicsRequest,
    ) -> CreateTopicsResponse {
        let limited = Limited::new(broker, context, version >= STRICT_FROM);
        let response = answer(limited.metadata(), request).await;
        limited.settle(context);
        response
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let names: Vec<_> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    metadata
        .controller
        .create_topics(request)
        .await
        .unwrap_or_else(|_| {
            let failure = |name| {
                CreatableTopicResult::default()
                    .with_name(name)
                    .with_error_code(ResponseError::NotController.code())
            };
            CreateTopicsResponse::default().with_topics(names.into_iter().map(failure).collect())
        })
}
