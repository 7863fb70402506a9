use ottla_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use ottla_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::*;
use crate::metadata::image::ClientQuotaEntity;

const U: Part = ("user", Some("u"));

type Part = (&'static str, Option<&'static str>);
/// What is asked of quotas, and the values that hold afterwards.
type Step = (&'static [Op], &'static [(&'static str, f64)]);
/// A key, and its value or `None` to remove it.
type Op = (&'static str, Option<f64>);

fn entry(parts: &[Part], ops: &[Op]) -> EntryData {
    let part = |(part_type, name): &Part| {
        EntityData::default()
            .with_entity_type(text(part_type))
            .with_entity_name(name.map(text))
    };
    let op = |(key, value): &Op| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or(-5.0))
            .with_remove(value.is_none())
    };
    EntryData::default()
        .with_entity(parts.iter().map(part).collect())
        .with_ops(ops.iter().map(op).collect())
}

fn alter(cluster: &mut Cluster, entries: Vec<EntryData>) -> AlterClientQuotasResponse {
    let request = AlterClientQuotasRequest::default().with_entries(entries);
    cluster.run(|controller| controller.alter_client_quotas(&request))
}

fn values(cluster: &Cluster, parts: &[Part]) -> Vec<(String, f64)> {
    let entity = ClientQuotaEntity::new(parts.iter().copied());
    let values = cluster.image.client_quotas.get(&entity).cloned();
    values.unwrap_or_default().into_iter().collect()
}

#[test]
fn quotas_are_set_changed_and_removed() {
    let mut cluster = Cluster::new();
    let steps: &[Step] = &[
        (
            &[
                ("producer_byte_rate", Some(5.0)),
                ("request_percentage", Some(0.5)),
            ],
            &[("producer_byte_rate", 5.0), ("request_percentage", 0.5)],
        ),
        (
            &[("producer_byte_rate", Some(6.0))],
            &[("producer_byte_rate", 6.0), ("request_percentage", 0.5)],
        ),
        (
            &[("producer_byte_rate", None)],
            &[("request_percentage", 0.5)],
        ),
        // Removing what is not set, or does not even exist, is no mistake.
        (
            &[("producer_byte_rate", None), ("nope", None)],
            &[("request_percentage", 0.5)],
        ),
        (&[("request_percentage", None)], &[]),
    ];
    let parts = [("client-id", None), U];
    for (ops, wanted) in steps {
        let response = alter(&mut cluster, vec![entry(&parts, ops)]);
        assert_eq!(response.entries.len(), 1);
        assert_eq!(response.entries[0].error_code, 0);
        assert_eq!(response.entries[0].error_message, None);
        let found = values(&cluster, &parts);
        let found: Vec<_> = found.iter().map(|(key, value)| (&**key, *value)).collect();
        assert_eq!(found, *wanted, "{ops:?}");
    }
    assert_eq!(cluster.image.client_quotas, Default::default());
}

#[test]
fn what_is_the_same_already_takes_no_record() {
    let mut cluster = Cluster::new();
    let request = AlterClientQuotasRequest::default()
        .with_entries(vec![entry(&[U], &[("consumer_byte_rate", Some(9.0))])]);
    let decided = |cluster: &Cluster, request: &_| {
        cluster.decide(|controller| controller.alter_client_quotas(request).records.len())
    };
    assert_eq!(
        decided(&cluster, &request.clone().with_validate_only(true)),
        0
    );
    assert_eq!(decided(&cluster, &request), 1);
    cluster.run(|controller| controller.alter_client_quotas(&request));
    assert_eq!(decided(&cluster, &request), 0);
}

#[test]
fn refusals_say_why_and_set_nothing() {
    let rate = ("producer_byte_rate", Some(5.0));
    let ips = ("connection_creation_rate", Some(5.0));
    let combined =
        "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId";
    let long: &'static str = "x".repeat(MAX_TEXT_LEN + 1).leak();
    let cases: &[(&[Part], &[Op], &str)] = &[
        (&[], &[rate], "Invalid empty client quota entity"),
        (
            &[("group", Some("g"))],
            &[rate],
            "Unhandled client quota entity type: group",
        ),
        (
            &[("", None)],
            &[rate],
            "Unhandled client quota entity type: ",
        ),
        (&[("user", Some(""))], &[rate], "Empty user not supported"),
        (
            &[U, ("client-id", Some(""))],
            &[rate],
            "Empty client-id not supported",
        ),
        (&[("ip", Some(""))], &[ips], "Empty ip not supported"),
        (
            &[("user", Some(long))],
            &[rate],
            "The name of the user is too long.",
        ),
        (&[("ip", None), U], &[ips], combined),
        (&[("ip", None), ("client-id", None)], &[ips], combined),
        (
            &[("ip", Some("1.2.3.400"))],
            &[ips],
            "1.2.3.400 is not a valid IP or resolvable host.",
        ),
        (
            &[("ip", None)],
            &[rate],
            "Invalid configuration key producer_byte_rate",
        ),
        (
            &[U],
            &[ips],
            "Invalid configuration key connection_creation_rate",
        ),
        (
            &[U],
            &[rate, ("nope", Some(1.0))],
            "Invalid configuration key nope",
        ),
        (
            &[U],
            &[("producer_byte_rate", Some(0.0))],
            "Quota producer_byte_rate must be greater than 0",
        ),
        (
            &[U],
            &[("request_percentage", Some(-0.1))],
            "Quota request_percentage must be greater than 0",
        ),
        (
            &[U],
            &[("request_percentage", Some(f64::NAN))],
            "Quota request_percentage must be greater than 0",
        ),
        (
            &[U],
            &[rate, ("consumer_byte_rate", Some(1.5))],
            "consumer_byte_rate cannot be a fractional value.",
        ),
        (
            &[U],
            &[("consumer_byte_rate", Some(1e19))],
            "Proposed value for consumer_byte_rate is too large for a LONG.",
        ),
        (
            &[("ip", None)],
            &[("connection_creation_rate", Some(2_147_483_648.0))],
            "Proposed value for connection_creation_rate is too large for an INT.",
        ),
        (
            &[U, ("client-id", None)],
            &[rate, rate],
            "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=null, user=u})",
        ),
    ];
    for (parts, ops, message) in cases {
        let mut cluster = Cluster::new();
        let response = alter(&mut cluster, vec![entry(parts, ops)]);
        let [found] = response.entries.as_slice() else {
            panic!("{response:?}");
        };
        assert_eq!(found.error_message.as_deref(), Some(*message));
        assert_eq!(found.error_code, ResponseError::InvalidRequest.code());
        assert_eq!(found.entity.len(), parts.len());
        assert_eq!(cluster.image.client_quotas, Default::default(), "{message}");
    }
}

#[test]
fn limits_of_values_are_taken() {
    let cases: &[(&[Part], Op)] = &[
        (
            &[U],
            ("producer_byte_rate", Some(9_223_372_036_854_775_807.0)),
        ),
        (&[U], ("consumer_byte_rate", Some(1.000_000_9))),
        (&[U], ("request_percentage", Some(f64::INFINITY))),
        (
            &[("client-id", None)],
            ("controller_mutation_rate", Some(f64::MIN_POSITIVE)),
        ),
        (
            &[("ip", Some("fe80::1"))],
            ("connection_creation_rate", Some(2_147_483_647.0)),
        ),
        (&[("ip", None)], ("connection_creation_rate", Some(1.0))),
    ];
    for (parts, op) in cases {
        let mut cluster = Cluster::new();
        let response = alter(&mut cluster, vec![entry(parts, &[*op])]);
        assert_eq!(response.entries[0].error_message, None, "{op:?}");
        assert_eq!(values(&cluster, parts), [(op.0.to_owned(), op.1.unwrap())]);
    }
}

#[test]
fn an_entity_named_twice_keeps_what_was_said_first() {
    let mut cluster = Cluster::new();
    let (first, second) = (
        ("producer_byte_rate", Some(1.0)),
        ("producer_byte_rate", Some(2.0)),
    );
    let entries = vec![
        entry(&[("user", Some("other")), U], &[first]),
        entry(&[U], &[second]),
        entry(&[("client-id", Some("c"))], &[second]),
    ];
    let response = alter(&mut cluster, entries);
    let errors: Vec<_> = response
        .entries
        .iter()
        .map(|entry| entry.error_code)
        .collect();
    assert_eq!(errors, [0, ResponseError::InvalidRequest.code()]);
    assert_eq!(
        values(&cluster, &[U]),
        [("producer_byte_rate".to_owned(), 1.0)]
    );
}

#[test]
fn too_many_at_once_change_nothing() {
    let mut cluster = Cluster::new();
    let entries = (0..=MAX_RECORDS_PER_REQUEST).map(|user| {
        let mut entry = entry(&[U], &[("producer_byte_rate", Some(1.0))]);
        entry.entity[0].entity_name = Some(StrBytes::from_string(user.to_string()));
        entry
    });
    let response = alter(&mut cluster, entries.collect());
    assert_eq!(response.entries.len(), MAX_RECORDS_PER_REQUEST + 1);
    for entry in &response.entries {
        assert_eq!(entry.error_code, ResponseError::PolicyViolation.code());
        assert_eq!(
            entry.error_message.as_deref(),
            Some("Request parameters do not satisfy the configured policy.")
        );
    }
    assert_eq!(cluster.image.client_quotas, Default::default());
}
