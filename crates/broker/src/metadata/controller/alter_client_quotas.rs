//! AlterClientQuotas (`ClientQuotaControlManager`): set and remove quotas of users, client ids and ip addresses.
//!
//! Each entity gets its own answer, and with one wrong value none of its values are set. An entity that is named twice is
//! answered with an error, yet what was said of it first holds: so it is with Apache Kafka. Unlike there, an ip is an
//! address and no host name, which could mean another address later, and NaN is no value.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::alter_client_quotas_request::{
    self, EntryData as Alteration, OpData,
};
use ottla_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use ottla_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::{ApiError, Controller, Decision, MAX_TEXT_LEN, check_record_count};
use crate::metadata::image::ClientQuotaEntity;
use crate::metadata::record::{ClientQuotaRecord, MetadataRecord};

/// What a quota's value may be, besides greater than 0 (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueType {
    Int,
    Long,
    Double,
}

/// Quotas of users and client ids (`QuotaConfig.userAndClientQuotaConfigs`).
const USER_AND_CLIENT_QUOTAS: &[(&str, ValueType)] = &[
    ("producer_byte_rate", ValueType::Long),
    ("consumer_byte_rate", ValueType::Long),
    ("request_percentage", ValueType::Double),
    ("controller_mutation_rate", ValueType::Double),
];

/// Quotas of ip addresses (`QuotaConfig.ipConfigs`).
const IP_QUOTAS: &[(&str, ValueType)] = &[("connection_creation_rate", ValueType::Int)];

/// How far a whole number may be off.
const EPSILON: f64 = 1e-6;

impl Controller<'_> {
    /// Decide an AlterClientQuotas request.
    pub fn alter_client_quotas(
        &self,
        request: &AlterClientQuotasRequest,
    ) -> Decision<AlterClientQuotasResponse> {
        let mut records = Vec::new();
        let mut results = BTreeMap::new();
        for alteration in &request.entries {
            let entity = entity_of(alteration);
            let is_repeated = results.contains_key(&entity) || names_a_key_twice(&alteration.ops);
            let decided = match is_repeated {
                true => Err(invalid(format!(
                    "Ignoring duplicate entity {}",
                    shown(&entity)
                ))),
                false => self.quota_records(&entity, &alteration.ops),
            };
            let error = decided.map(|decided| records.extend(decided)).err();
            results.insert(entity, error);
            if check_record_count(records.len()).is_err() {
                return Decision::answer(failed_alterations(
                    request,
                    &ApiError::general(ResponseError::PolicyViolation),
                ));
            }
        }
        if request.validate_only {
            records.clear();
        }
        let entries = results
            .iter()
            .map(|(entity, error)| result(entity, error.as_ref()));
        let response = AlterClientQuotasResponse::default().with_entries(entries.collect());
        Decision { records, response }
    }

    fn quota_records(
        &self,
        entity: &ClientQuotaEntity,
        ops: &[OpData],
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        check_parts(entity)?;
        let allowed = quotas_of(entity)?;
        let present = self.image.client_quotas.get(entity);
        let mut records = Vec::new();
        for op in ops {
            let value = present.and_then(|values| values.get(op.key.as_str()));
            let is_change = match op.remove {
                true => value.is_some(),
                false => {
                    check_value(allowed, &op.key, op.value)?;
                    value != Some(&op.value)
                }
            };
            if is_change {
                let record = ClientQuotaRecord {
                    entity: entity.records(),
                    key: op.key.to_string(),
                    value: if op.remove { 0.0 } else { op.value },
                    remove: op.remove,
                };
                records.push(record.into());
            }
        }
        Ok(records)
    }
}

/// The answer when a request fails as a whole: each entity as it was named, with this error.
pub fn failed_alterations(
    request: &AlterClientQuotasRequest,
    error: &ApiError,
) -> AlterClientQuotasResponse {
    let part = |part: &alter_client_quotas_request::EntityData| {
        EntityData::default()
            .with_entity_type(part.entity_type.clone())
            .with_entity_name(part.entity_name.clone())
    };
    let entry = |alteration: &Alteration| {
        EntryData::default()
            .with_error_code(error.error.code())
            .with_error_message(error.text())
            .with_entity(alteration.entity.iter().map(part).collect())
    };
    AlterClientQuotasResponse::default().with_entries(request.entries.iter().map(entry).collect())
}

fn result(entity: &ClientQuotaEntity, error: Option<&ApiError>) -> EntryData {
    let owned = |text: &str| StrBytes::from_string(text.to_owned());
    let parts = entity.parts().map(|(part_type, name)| {
        EntityData::default()
            .with_entity_type(owned(part_type))
            .with_entity_name(name.map(owned))
    });
    EntryData::default()
        .with_error_code(error.map_or(0, |error| error.error.code()))
        .with_error_message(error.and_then(ApiError::text))
        .with_entity(parts.collect())
}

/// Of a type that is named twice the last name holds.
fn entity_of(alteration: &Alteration) -> ClientQuotaEntity {
    let parts = alteration.entity.iter();
    let parts: BTreeMap<_, _> = parts
        .map(|part| (part.entity_type.as_str(), part.entity_name.as_deref()))
        .collect();
    ClientQuotaEntity::new(parts)
}

fn names_a_key_twice(ops: &[OpData]) -> bool {
    let unique: HashSet<_> = ops.iter().map(|op| &op.key).collect();
    unique.len() != ops.len()
}

fn check_parts(entity: &ClientQuotaEntity) -> Result<(), ApiError> {
    if entity.parts().len() == 0 {
        return Err(invalid("Invalid empty client quota entity"));
    }
    for (part_type, name) in entity.parts() {
        use ClientQuotaEntity as E;
        if ![E::USER, E::CLIENT_ID, E::IP].contains(&part_type) {
            let message = format!("Unhandled client quota entity type: {part_type}");
            return Err(invalid(message));
        }
        match name.map(str::len) {
            Some(0) => return Err(invalid(format!("Empty {part_type} not supported"))),
            Some(len) if len > MAX_TEXT_LEN => {
                let message = format!("The name of the {part_type} is too long.");
                return Err(invalid(message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The quotas that can be set for an entity.
fn quotas_of(entity: &ClientQuotaEntity) -> Result<&'static [(&'static str, ValueType)], ApiError> {
    let Some(ip) = entity.part(ClientQuotaEntity::IP) else {
        return Ok(USER_AND_CLIENT_QUOTAS);
    };
    if entity.parts().len() > 1 {
        return Err(invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ));
    }
    match ip {
        Some(ip) if ip.parse::<IpAddr>().is_err() => Err(invalid(format!(
            "{ip} is not a valid IP or resolvable host."
        ))),
        _ => Ok(IP_QUOTAS),
    }
}

fn check_value(allowed: &[(&str, ValueType)], key: &str, value: f64) -> Result<(), ApiError> {
    let Some((_, value_type)) = allowed.iter().find(|(name, _)| *name == key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if value <= 0.0 || value.is_nan() {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    let (max, name) = match value_type {
        ValueType::Double => return Ok(()),
        ValueType::Int => (f64::from(i32::MAX), "an INT"),
        // The largest long is no double: the next one up is what the limit is for everybody.
        ValueType::Long => (2_f64.powi(63), "a LONG"),
    };
    if value > max {
        let message = format!("Proposed value for {key} is too large for {name}.");
        return Err(invalid(message));
    }
    if value.fract() > EPSILON {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

/// As `ClientQuotaEntity.toString` shows it; hashing puts the ip last.
fn shown(entity: &ClientQuotaEntity) -> String {
    let mut parts: Vec<_> = entity.parts().collect();
    parts.sort_by_key(|(part_type, _)| *part_type == ClientQuotaEntity::IP);
    let parts: Vec<_> = parts
        .iter()
        .map(|(part_type, name)| format!("{part_type}={}", name.unwrap_or("null")))
        .collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ResponseError::InvalidRequest, message)
}
