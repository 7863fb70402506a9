//! ListGroups, versions 0-5: the groups this broker looks after.
//!
//! *Versions*: 4 brings a filter by state (KIP-518); 5 one by type (KIP-848).

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::Handler;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupFilter, GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct ListGroups;

impl Handler for ListGroups {
    type Request = ListGroupsRequest;
    const NAME: &'static str = "ListGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: ListGroupsRequest,
    ) -> ListGroupsResponse {
        let filter = Arc::new(GroupFilter::of(&request));
        let mut groups = Vec::new();
        for shard in 0..broker.groups().shard_count() {
            let request = GroupRequest::ListGroups(Arc::clone(&filter));
            match broker.groups().ask_shard(shard, request).await {
                Ok(GroupResponse::ListGroups(response)) => groups.extend(response.groups),
                Ok(_) => {}
                Err(error) => {
                    return ListGroupsResponse::default().with_error_code(error.code());
                }
            }
        }
        ListGroupsResponse::default().with_groups(groups)
    }
}
