//! DescribeClientQuotas: which quotas are set for users, client ids and ip addresses (KIP-546).
//!
//! Versions 0-1, which differ in encoding only. Answered from the image (`ClientQuotasImage.describe`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_client_quotas_request::ComponentData;
use ottla_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use ottla_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::Handler;
use crate::answer_room::{self, AnswerRoom};
use crate::broker::Broker;
use crate::metadata::image::{ClientQuotaEntity, ClientQuotasImage};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DescribeClientQuotas;

impl Handler for DescribeClientQuotas {
    type Request = DescribeClientQuotasRequest;
    const NAME: &'static str = "DescribeClientQuotas";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: DescribeClientQuotasRequest,
    ) -> DescribeClientQuotasResponse {
        let image = broker.metadata().image();
        let room = AnswerRoom::default();
        let described = describe(&image.client_quotas, &request, version, room);
        let (error, message, entries) = match described {
            Ok(entries) => (0, None, Some(entries)),
            Err((error, message)) => (error.code(), Some(message.into()), None),
        };
        DescribeClientQuotasResponse::default()
            .with_error_code(error)
            .with_error_message(message)
            .with_entries(entries)
    }
}

/// What a filter says of the part of one type (`MATCH_TYPE_*`).
enum Match<'a> {
    /// The part has this name; `None`: it is the default.
    Exact(Option<&'a str>),
    /// There is such a part.
    Any,
}

type Filter<'a> = BTreeMap<&'a str, Match<'a>>;

type Refusal = (ResponseError, String);

fn describe(
    quotas: &ClientQuotasImage,
    request: &DescribeClientQuotasRequest,
    version: i16,
    mut room: AnswerRoom,
) -> Result<Vec<EntryData>, Refusal> {
    let filter = filter(&request.components)?;
    let entities = quotas.entities();
    entities
        .filter(|(entity, _)| matches(entity, &filter, request.strict))
        .map(|one| room.put(version, || entry(one)))
        .collect::<Result<_, _>>()
        .map_err(|error| (error, answer_room::TOO_LARGE.to_owned()))
}

fn filter(components: &[ComponentData]) -> Result<Filter<'_>, Refusal> {
    let invalid = |message: String| Err((ResponseError::InvalidRequest, message));
    let mut filter = Filter::new();
    for component in components {
        let part_type = component.entity_type.as_str();
        if part_type.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(part_type) {
            return invalid(format!(
                "Entity type {part_type} cannot appear more than once in the filter."
            ));
        }
        use ClientQuotaEntity as E;
        if ![E::USER, E::CLIENT_ID, E::IP].contains(&part_type) {
            let message = format!("Unsupported entity type {part_type}");
            return Err((ResponseError::UnsupportedVersion, message));
        }
        filter.insert(part_type, match_of(component)?);
    }
    if filter.contains_key(ClientQuotaEntity::IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

fn match_of(component: &ComponentData) -> Result<Match<'_>, Refusal> {
    let name = component._match.as_deref();
    let wrong = match (component.match_type, name) {
        (0, Some(name)) => return Ok(Match::Exact(Some(name))),
        (1, None) => return Ok(Match::Exact(None)),
        (2, None) => return Ok(Match::Any),
        (0, None) => "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
        (1, Some(_)) => {
            "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.".to_owned()
        }
        (2, Some(_)) => {
            "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.".to_owned()
        }
        (unknown, _) => format!("Unknown match type {unknown}"),
    };
    Err((ResponseError::InvalidRequest, wrong))
}

/// Strict: the entity has no other parts than those the filter names.
fn matches(entity: &ClientQuotaEntity, filter: &Filter<'_>, is_strict: bool) -> bool {
    let is_met = |(part_type, wanted): (&&str, &Match<'_>)| match wanted {
        Match::Exact(name) => entity.part(part_type) == Some(*name),
        Match::Any => entity.part(part_type).is_some(),
    };
    (!is_strict || entity.parts().len() == filter.len()) && filter.iter().all(is_met)
}

fn entry((entity, values): (&ClientQuotaEntity, &BTreeMap<String, f64>)) -> EntryData {
    let owned = |text: &str| StrBytes::from_string(text.to_owned());
    let parts = entity.parts().map(|(part_type, name)| {
        EntityData::default()
            .with_entity_type(owned(part_type))
            .with_entity_name(name.map(owned))
    });
    let values = values
        .iter()
        .map(|(key, value)| ValueData::default().with_key(owned(key)).with_value(*value));
    EntryData::default()
        .with_entity(parts.collect())
        .with_values(values.collect())
}

#[cfg(test)]
mod tests;
