//! DeleteGroups, versions 0-2: groups without members go, with their offsets (KIP-229).

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Handler;
use super::group_request::by_shard;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DeleteGroups;

impl Handler for DeleteGroups {
    type Request = DeleteGroupsRequest;
    const NAME: &'static str = "DeleteGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DeleteGroupsRequest,
    ) -> DeleteGroupsResponse {
        let mut ids: Vec<Arc<str>> = request
            .groups_names
            .iter()
            .map(|id| Arc::from(&***id))
            .collect();
        ids.sort();
        ids.dedup();
        let Some(shards) = by_shard(broker, &ids) else {
            let results = ids
                .iter()
                .map(|id| refused(id, ResponseError::NotCoordinator));
            return DeleteGroupsResponse::default().with_results(results.collect());
        };
        let mut results = Vec::with_capacity(ids.len());
        for (shard, ids) in shards {
            let request = GroupRequest::DeleteGroups(ids.clone());
            match broker.groups().ask_shard(shard, request).await {
                Ok(GroupResponse::DeleteGroups(response)) => results.extend(response.results),
                Ok(_) => {}
                Err(error) => results.extend(ids.iter().map(|id| refused(id, error))),
            }
        }
        DeleteGroupsResponse::default().with_results(results)
    }
}

fn refused(id: &str, error: ResponseError) -> DeletableGroupResult {
    DeletableGroupResult::default()
        .with_group_id(StrBytes::from_string(id.to_owned()).into())
        .with_error_code(error.code())
}
