//! ListTransactions, versions 0-2: the transactional ids of this broker (KIP-664).
//!
//! *Versions*: 1 filters by how long a transaction has been open (KIP-994); 2 by a regular expression that the whole id
//! has to match (KIP-1152).

use std::collections::HashSet;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::list_transactions_response::TransactionState as Listed;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId};
use regex::Regex;

use super::Handler;
use crate::broker::Broker;
use crate::coordinator::transaction::message::Description;
use crate::coordinator::transaction::state::TransactionState;
use crate::expression::compile;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct ListTransactions;

impl Handler for ListTransactions {
    type Request = ListTransactionsRequest;
    const NAME: &'static str = "ListTransactions";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: ListTransactionsRequest,
    ) -> ListTransactionsResponse {
        let refuse = |error: ResponseError| {
            ListTransactionsResponse::default().with_error_code(error.code())
        };
        let pattern = match pattern(&request) {
            Ok(pattern) => pattern,
            Err(error) => return refuse(error),
        };
        let listed = match broker.transactions().list().await {
            Ok(listed) => listed,
            Err(error) => return refuse(error),
        };
        let now = broker.now();
        let filters = Filters::of(&request);
        let wanted = |id: &str, found: &Description| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
                && filters.let_through(found, now)
        };
        let states = listed
            .iter()
            .filter(|(id, found)| wanted(id, found))
            .map(|(id, found)| {
                Listed::default()
                    .with_transactional_id(StrBytes::from_string(id.to_string()).into())
                    .with_producer_id(ProducerId(found.producer_id.0))
                    .with_transaction_state(StrBytes::from_static_str(found.state.name()))
            });
        ListTransactionsResponse::default()
            .with_unknown_state_filters(unknown_states(&request))
            .with_transaction_states(states.collect())
    }
}

fn pattern(request: &ListTransactionsRequest) -> Result<Option<Regex>, ResponseError> {
    let pattern = request.transactional_id_pattern.as_deref();
    pattern
        .filter(|pattern| !pattern.is_empty())
        .map(|pattern| compile(pattern).ok_or(ResponseError::InvalidRegularExpression))
        .transpose()
}

/// The filters of a request; an empty one lets all through. There may be as many as a frame holds.
struct Filters<'a> {
    states: HashSet<&'a str>,
    producer_ids: HashSet<i64>,
    duration_ms: i64,
}

impl<'a> Filters<'a> {
    fn of(request: &'a ListTransactionsRequest) -> Self {
        Self {
            states: request.state_filters.iter().map(|state| &**state).collect(),
            producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
            duration_ms: request.duration_filter,
        }
    }

    fn let_through(&self, found: &Description, now: Timestamp) -> bool {
        let by_state = self.states.is_empty() || self.states.contains(found.state.name());
        let by_id =
            self.producer_ids.is_empty() || self.producer_ids.contains(&found.producer_id.0);
        let open_ms = now.0.saturating_sub(found.started_at.0);
        let by_duration = self.duration_ms < 0 || open_ms > self.duration_ms;
        by_state && by_id && by_duration
    }
}

fn unknown_states(request: &ListTransactionsRequest) -> Vec<StrBytes> {
    // Kafka has two states more, which never are to be seen here.
    let known = |name: &str| {
        TransactionState::ALL
            .iter()
            .any(|state| state.name() == name)
            || matches!(name, "Dead" | "PrepareEpochFence")
    };
    let unknown = request.state_filters.iter().filter(|name| !known(name));
    unknown.cloned().collect()
}
