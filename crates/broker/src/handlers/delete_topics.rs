//! DeleteTopics: decided by the controller; answered when the topics are gone.
//!
//! Versions 1-6. v3: a code of its own when deletion is switched off. v5: a quota on mutations refuses
//! (KIP-599). v6: topics by id.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::Handler;
use super::mutation_quota::Limited;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// First version that knows THROTTLING_QUOTA_EXCEEDED.
const STRICT_FROM: i16 = 5;

/// The API.
#[derive(Debug)]
pub struct DeleteTopics;

impl Handler for DeleteTopics {
    type Request = DeleteTopicsRequest;
    const NAME: &'static str = "DeleteTopics";
    const VERSIONS: RangeInclusive<i16> = 1..=6;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: DeleteTopicsRequest,
    ) -> DeleteTopicsResponse {
        let limited = Limited::new(broker, context, version >= STRICT_FROM);
        let response = answer(limited.metadata(), version, request).await;
        limited.settle(context);
        response
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_list = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), Default::default()));
    let by_state = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.topic_id));
    let named: Vec<_> = by_list.chain(by_state).collect();
    metadata
        .controller
        .delete_topics(request, version)
        .await
        .unwrap_or_else(|_| {
            let failure = |(name, id)| {
                let code = ResponseError::NotController.code();
                DeletableTopicResult::default()
                    .with_name(name)
                    .with_topic_id(id)
                    .with_error_code(code)
            };
            DeleteTopicsResponse::default().with_responses(named.into_iter().map(failure).collect())
        })
}
