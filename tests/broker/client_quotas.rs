//! Quotas of clients are kept like all metadata. What they do to clients is tested where they are enforced.

use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use ottla_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};
use ottla_tests::TestBroker;
use ottla_tests::client::Client;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Set quotas of user `u` with any client id; `None` removes.
async fn alter(client: &mut Client, quotas: &[(&str, Option<f64>)]) {
    let part = |part_type, name: Option<&str>| {
        EntityData::default()
            .with_entity_type(text(part_type))
            .with_entity_name(name.map(text))
    };
    let op = |(key, value): &(&str, Option<f64>)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    };
    let entry = EntryData::default()
        .with_entity(vec![part("user", Some("u")), part("client-id", None)])
        .with_ops(quotas.iter().map(op).collect());
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let altered = client.call(1, &request).await;
    assert_eq!(altered.entries.len(), 1);
    assert_eq!(altered.entries[0].error_code, 0);
}

/// All quotas of the only entity that has any.
async fn described(client: &mut Client) -> Vec<(String, f64)> {
    let found = client
        .call(1, &DescribeClientQuotasRequest::default())
        .await;
    let entries = found.entries.expect("no error");
    let values = entries.iter().flat_map(|entry| &entry.values);
    values
        .map(|value| (value.key.to_string(), value.value))
        .collect()
}

#[tokio::test]
async fn quotas_survive_a_restart() {
    let mut broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let (rate, percentage) = ("producer_byte_rate", "request_percentage");
    alter(&mut client, &[(rate, Some(1e9)), (percentage, Some(99.5))]).await;
    let both = [(rate.to_owned(), 1e9), (percentage.to_owned(), 99.5)];
    assert_eq!(described(&mut client).await, both);

    broker.restart().await;
    let mut client = broker.client().await;
    assert_eq!(described(&mut client).await, both);
    alter(&mut client, &[(rate, None)]).await;
    assert_eq!(described(&mut client).await, both[1..]);

    broker.restart().await;
    let mut client = broker.client().await;
    assert_eq!(described(&mut client).await, both[1..]);
}
