use ottla_protocol::messages::AlterClientQuotasRequest;
use ottla_protocol::messages::alter_client_quotas_request::{
    EntityData as Part, EntryData as Alteration, OpData,
};

use super::*;
use crate::metadata::service::MetadataService;
use crate::metadata::testing::service;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

type Component<'a> = (&'a str, i8, Option<&'a str>);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn ask(components: &[Component<'_>], is_strict: bool) -> DescribeClientQuotasRequest {
    let component = |(part_type, match_type, name): &Component<'_>| {
        ComponentData::default()
            .with_entity_type(text(part_type))
            .with_match_type(*match_type)
            .with_match(name.map(text))
    };
    DescribeClientQuotasRequest::default()
        .with_components(components.iter().map(component).collect())
        .with_strict(is_strict)
}

/// Quotas of a user, all users, a user with each of two client ids, a client id, and an ip.
async fn cluster() -> MetadataService {
    let metadata = service(&[]);
    let entities: [&[(&str, Option<&str>)]; 6] = [
        &[("user", Some("u"))],
        &[("user", None)],
        &[("client-id", Some("c")), ("user", Some("u"))],
        &[("user", Some("u")), ("client-id", None)],
        &[("client-id", Some("c"))],
        &[("ip", Some("::1"))],
    ];
    let alteration = |parts: &&[(&str, Option<&str>)]| {
        let part = |(part_type, name): &(&str, Option<&str>)| {
            Part::default()
                .with_entity_type(text(part_type))
                .with_entity_name(name.map(text))
        };
        let key = match parts[0].0 {
            "ip" => "connection_creation_rate",
            _ => "producer_byte_rate",
        };
        let op = OpData::default().with_key(text(key)).with_value(7.0);
        Alteration::default()
            .with_entity(parts.iter().map(part).collect())
            .with_ops(vec![op])
    };
    let request =
        AlterClientQuotasRequest::default().with_entries(entities.iter().map(alteration).collect());
    let altered = metadata
        .controller
        .alter_client_quotas(request)
        .await
        .unwrap();
    assert_eq!(altered.entries.len(), 6);
    assert!(altered.entries.iter().all(|entry| entry.error_code == 0));
    metadata
}

/// The entities of an answer: `user=u client-id=c`, `-` for a default.
fn shown(entries: &[EntryData]) -> Vec<String> {
    let mut shown: Vec<_> = entries
        .iter()
        .map(|entry| {
            assert_eq!(entry.values.len(), 1);
            assert_eq!(entry.values[0].value, 7.0);
            let parts = entry.entity.iter().map(|part| {
                let name = part.entity_name.as_deref().unwrap_or("-");
                format!("{}={name}", part.entity_type)
            });
            parts.collect::<Vec<_>>().join(" ")
        })
        .collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn filters_choose_by_the_parts_they_name() {
    let metadata = cluster().await;
    let (both, other) = ("client-id=c user=u", "client-id=- user=u");
    let cases: &[(&[Component<'_>], bool, &[&str])] = &[
        (
            &[],
            false,
            &[other, "client-id=c", both, "ip=::1", "user=-", "user=u"],
        ),
        (&[], true, &[]),
        (
            &[("user", EXACT, Some("u"))],
            false,
            &[other, both, "user=u"],
        ),
        (&[("user", EXACT, Some("u"))], true, &["user=u"]),
        (&[("user", DEFAULT, None)], false, &["user=-"]),
        (&[("user", ANY, None)], true, &["user=-", "user=u"]),
        (
            &[("client-id", ANY, None)],
            false,
            &[other, "client-id=c", both],
        ),
        (
            &[("client-id", ANY, None), ("user", ANY, None)],
            true,
            &[other, both],
        ),
        (
            &[("client-id", DEFAULT, None), ("user", EXACT, Some("u"))],
            true,
            &[other],
        ),
        (
            &[("client-id", DEFAULT, None), ("user", EXACT, Some("x"))],
            false,
            &[],
        ),
        (&[("ip", ANY, None)], true, &["ip=::1"]),
        (&[("ip", DEFAULT, None)], false, &[]),
        (&[("user", EXACT, Some(""))], false, &[]),
    ];
    for (components, is_strict, wanted) in cases {
        let image = metadata.image();
        let request = ask(components, *is_strict);
        let found = describe(&image.client_quotas, &request, 1, AnswerRoom::default()).unwrap();
        assert_eq!(shown(&found), *wanted, "{components:?} {is_strict}");
    }
}

#[test]
fn refusals_say_why() {
    let (invalid, unsupported) = (
        ResponseError::InvalidRequest,
        ResponseError::UnsupportedVersion,
    );
    let cases: &[(&[Component<'_>], ResponseError, &str)] = &[
        (&[("", ANY, None)], invalid, "Invalid empty entity type."),
        (
            &[("user", ANY, None), ("user", EXACT, Some("u"))],
            invalid,
            "Entity type user cannot appear more than once in the filter.",
        ),
        (
            &[("group", ANY, None)],
            unsupported,
            "Unsupported entity type group",
        ),
        (
            &[("user", EXACT, None)],
            invalid,
            "Request specified MATCH_TYPE_EXACT, but set match string to null.",
        ),
        (
            &[("user", DEFAULT, Some("u"))],
            invalid,
            "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.",
        ),
        (
            &[("user", ANY, Some("u"))],
            invalid,
            "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.",
        ),
        (&[("user", 3, None)], invalid, "Unknown match type 3"),
        (
            &[("ip", ANY, None), ("client-id", ANY, None)],
            invalid,
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component.",
        ),
    ];
    for (components, error, message) in cases {
        let (request, room) = (ask(components, true), AnswerRoom::default());
        let found = describe(&ClientQuotasImage::default(), &request, 1, room);
        assert_eq!(
            found,
            Err((*error, (*message).to_owned())),
            "{components:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_grows_too_large_is_refused() {
    let metadata = cluster().await;
    let image = metadata.image();
    for (bytes, is_enough) in [(1000, true), (100, false)] {
        let mut room = AnswerRoom::default();
        room.take(answer_room::MAX_ANSWER_BYTES - bytes).unwrap();
        let found = describe(&image.client_quotas, &ask(&[], false), 1, room);
        assert_eq!(found.is_ok(), is_enough, "{found:?}");
    }
}
