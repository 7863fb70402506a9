//! IncrementalAlterConfigs and AlterConfigs (`ConfigAdminManager`, `ConfigurationControlManager`).

use std::collections::{BTreeMap, HashMap, HashSet};

use ottla_protocol::ResponseError;
use ottla_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use ottla_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_response,
};

use super::create_topics::check_text_len;
use super::update_features::MIN_INSYNC_REPLICAS;
use super::{ApiError, Controller, Decision, MAX_TEXT_LEN, check_record_count, topic_name};
use crate::config::dynamic_group::validate_group;
use crate::config::{self, ConfigType, GROUP_KEYS, dynamic, topic};
use crate::metadata::format::ELR_FEATURE;
use crate::metadata::image::{ConfigResource, ConfigResourceType};
use crate::metadata::record::{ConfigRecord, MetadataRecord};

/// What is to be set (`Some`) or removed (`None`), by key.
type Changes = BTreeMap<String, Option<String>>;

/// `AlterConfigOp.OpType` on the wire.
mod operation {
    pub(super) const SET: i8 = 0;
    pub(super) const DELETE: i8 = 1;
    pub(super) const APPEND: i8 = 2;
    pub(super) const SUBTRACT: i8 = 3;
}

impl Controller<'_> {
    /// Decide an IncrementalAlterConfigs request: each resource is altered as a whole, or has its error.
    pub fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> Decision<IncrementalAlterConfigsResponse> {
        let resources = request.resources.iter().map(|resource| {
            let id = resource_id(resource.resource_type, &resource.resource_name);
            let changes = self.incremental_changes(&id, &resource.configs);
            (id, changes)
        });
        let (records, results) = self.alter(resources.collect(), request.validate_only);
        let responses = results.into_iter().map(|(resource, error)| {
            incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type.0)
                .with_resource_name(resource.name.into())
                .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
                .with_error_message(error.and_then(|error| error.text()))
        });
        let response =
            IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
        Decision { records, response }
    }

    /// Decide an AlterConfigs request: what it does not name is removed.
    pub fn alter_configs(&self, request: &AlterConfigsRequest) -> Decision<AlterConfigsResponse> {
        let resources = request.resources.iter().map(|resource| {
            let id = resource_id(resource.resource_type, &resource.resource_name);
            let nulls = resource
                .configs
                .iter()
                .filter(|config| config.value.is_none());
            let nulls: Vec<_> = nulls.map(|config| config.name.as_str()).collect();
            let removed = self
                .image
                .configs
                .get(&id)
                .keys()
                .map(|name| (name.clone(), None));
            let named = resource.configs.iter().map(|config| {
                (
                    config.name.to_string(),
                    config.value.as_ref().map(ToString::to_string),
                )
            });
            let changes: Changes = removed.chain(named).collect();
            let unique: HashSet<_> = resource.configs.iter().map(|config| &config.name).collect();
            let checked = match unique.len() == resource.configs.len() {
                true => check_nulls(&nulls),
                false => Err(duplicate_keys()),
            };
            (id, checked.map(|()| changes))
        });
        let (records, results) = self.alter(resources.collect(), request.validate_only);
        let responses = results.into_iter().map(|(resource, error)| {
            alter_configs_response::AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type.0)
                .with_resource_name(resource.name.into())
                .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
                .with_error_message(error.and_then(|error| error.text()))
        });
        Decision {
            records,
            response: AlterConfigsResponse::default().with_responses(responses.collect()),
        }
    }

    fn alter(
        &self,
        resources: Vec<(ConfigResource, Result<Changes, ApiError>)>,
        validate_only: bool,
    ) -> (Vec<MetadataRecord>, Vec<(ConfigResource, Option<ApiError>)>) {
        let mut times: HashMap<ConfigResource, usize> = HashMap::new();
        resources
            .iter()
            .for_each(|(resource, _)| *times.entry(resource.clone()).or_default() += 1);
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (resource, changes) in resources {
            let decided = match times.get(&resource) {
                Some(1) => self
                    .check_resource(&resource)
                    .and(changes)
                    .and_then(|changes| self.alter_resource(&resource, changes)),
                _ => Err(invalid_request("Each resource must appear at most once.")),
            };
            let error = decided.map(|new| records.extend(new)).err();
            results.push((resource, error));
        }
        if let Err(error) = check_record_count(records.len()) {
            records.clear();
            results
                .iter_mut()
                .for_each(|(_, result)| *result = Some(error.clone()));
        }
        if validate_only {
            records.clear();
        }
        (records, results)
    }

    fn alter_resource(
        &self,
        resource: &ConfigResource,
        changes: Changes,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let current = self.image.configs.get(resource);
        let mut altered = current.clone();
        for (name, value) in &changes {
            match value {
                Some(value) => altered.insert(name.clone(), value.clone()),
                None => altered.remove(name),
            };
        }
        self.validate(resource, &altered, &changes)?;
        // A broker reloads what its configs point to (KAFKA-14136), so its records are written even when nothing
        // changes.
        let always = resource.resource_type == ConfigResourceType::BROKER;
        let changed = changes
            .into_iter()
            .filter(|(name, value)| always || current.get(name) != value.as_ref());
        let records = changed.map(|(name, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.resource_type.0,
                resource_name: resource.name.clone(),
                name,
                value,
            })
        });
        Ok(records.collect())
    }

    fn incremental_changes(
        &self,
        resource: &ConfigResource,
        configs: &[AlterableConfig],
    ) -> Result<Changes, ApiError> {
        let unique: HashSet<_> = configs.iter().map(|config| &config.name).collect();
        if unique.len() != configs.len() {
            return Err(duplicate_keys());
        }
        let is_null = |config: &&AlterableConfig| {
            config.value.is_none() && config.config_operation != operation::DELETE
        };
        let nulls: Vec<_> = configs.iter().filter(is_null).collect();
        check_nulls(&nulls.iter().map(|config| &*config.name).collect::<Vec<_>>())?;
        let current = self.image.configs.get(resource);
        let mut changes = Changes::new();
        for config in configs {
            let name = config.name.as_str();
            let value = config.value.as_ref().map(|value| value.as_str());
            let value = match (config.config_operation, value) {
                (operation::DELETE, _) => None,
                (operation::SET, Some(value)) => Some(value.to_owned()),
                (operation @ (operation::APPEND | operation::SUBTRACT), Some(value)) => Some(
                    edited_list(resource, name, current.get(name), operation, value)?,
                ),
                (unknown, _) => {
                    return Err(invalid_request(format!("Unknown operation type {unknown}")));
                }
            };
            changes.insert(name.to_owned(), value);
        }
        Ok(changes)
    }

    /// Check that the resource is one whose configs can be altered at this node.
    fn check_resource(&self, resource: &ConfigResource) -> Result<(), ApiError> {
        let own = self.config.node_id();
        match (resource.resource_type, resource.name.as_str()) {
            (ConfigResourceType::TOPIC, "") => {
                Err(invalid_request("Default topic resources are not allowed."))
            }
            (ConfigResourceType::TOPIC, _) | (ConfigResourceType::BROKER, "") => Ok(()),
            (ConfigResourceType::BROKER, name) => match name.parse::<i32>() {
                Ok(id) if id == own.0 => Ok(()),
                Ok(id) => Err(invalid_request(format!(
                    "Unexpected broker id, expected {own}, but received {id}"
                ))),
                Err(_) => Err(invalid_request(format!(
                    "Node id must be an integer, but it is: {name}"
                ))),
            },
            (ConfigResourceType::GROUP, "") => {
                Err(invalid_request("Default group resources are not allowed."))
            }
            (ConfigResourceType::GROUP, name) if name.len() > MAX_TEXT_LEN => {
                Err(invalid_request("The name of the group is too long."))
            }
            (ConfigResourceType::GROUP, _) => Ok(()),
            (ConfigResourceType::BROKER_LOGGER | ConfigResourceType::CLIENT_METRICS, _) => Err(
                invalid_request("Configs of this kind of resource cannot be altered yet."),
            ),
            (ConfigResourceType(other), _) => {
                Err(invalid_request(format!("Unknown resource type {other}")))
            }
        }
    }

    /// Where eligible leader replicas are on, all brokers have one `min.insync.replicas`, and have it always (KIP-966).
    fn check_min_insync(&self, is_default: bool, changes: &Changes) -> Result<(), &'static str> {
        if self.image.features.level(ELR_FEATURE) <= 0 {
            return Ok(());
        }
        match (is_default, changes.get(MIN_INSYNC_REPLICAS)) {
            (false, Some(_)) => {
                Err("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
            }
            (true, Some(None)) => {
                Err("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
            }
            _ => Ok(()),
        }
    }

    fn validate(
        &self,
        resource: &ConfigResource,
        altered: &BTreeMap<String, String>,
        changes: &Changes,
    ) -> Result<(), ApiError> {
        let invalid_config = |message: String| ApiError::new(ResponseError::InvalidConfig, message);
        check_text_len(altered).map_err(invalid_config)?;
        if resource.resource_type == ConfigResourceType::BROKER {
            let mut set = changes
                .iter()
                .filter_map(|(name, value)| Some((name, value.as_ref()?)));
            let is_default = resource.name.is_empty();
            set.try_for_each(|(name, value)| {
                dynamic::validate_broker_value(name, value, is_default)
            })
            .map_err(invalid_request)?;
            return self
                .check_min_insync(is_default, changes)
                .map_err(|message| invalid_config(message.to_owned()));
        }
        if resource.resource_type == ConfigResourceType::GROUP {
            return validate_group(altered, self.config).map_err(invalid_config);
        }
        topic_name::validate(&resource.name)
            .map_err(|message| ApiError::new(ResponseError::InvalidTopicException, message))?;
        topic::validate_topic(altered, &dynamic::topic_config(&self.layers(altered)))
            .map_err(invalid_config)?;
        if self.image.topics.by_name(&resource.name).is_none() {
            let message = format!("The topic '{}' does not exist.", resource.name);
            return Err(ApiError::new(
                ResponseError::UnknownTopicOrPartition,
                message,
            ));
        }
        Ok(())
    }
}

fn invalid_request(message: impl Into<String>) -> ApiError {
    ApiError::new(ResponseError::InvalidRequest, message)
}

fn duplicate_keys() -> ApiError {
    invalid_request("Error due to duplicate config keys")
}

fn check_nulls(nulls: &[&str]) -> Result<(), ApiError> {
    if nulls.is_empty() {
        return Ok(());
    }
    Err(invalid_request(format!(
        "Null value not supported for : {}",
        nulls.join(",")
    )))
}

fn resource_id(resource_type: i8, name: &str) -> ConfigResource {
    ConfigResource {
        resource_type: ConfigResourceType(resource_type),
        name: name.to_owned(),
    }
}

/// `current`, or what holds when it is not set, with the parts of `value` appended or taken out.
fn edited_list(
    resource: &ConfigResource,
    name: &str,
    current: Option<&String>,
    operation: i8,
    value: &str,
) -> Result<String, ApiError> {
    let key = match resource.resource_type {
        ConfigResourceType::TOPIC => config::topic_key(name),
        ConfigResourceType::GROUP => GROUP_KEYS.iter().find(|key| key.name == name),
        _ => config::key(name),
    };
    let verb = if operation == operation::APPEND {
        "APPEND"
    } else {
        "SUBTRACT"
    };
    let Some(key) = key.filter(|key| key.kind == ConfigType::List) else {
        let message = format!("Can't {verb} to key {name} because its type is not LIST.");
        return Err(ApiError::new(ResponseError::InvalidConfig, message));
    };
    let base = current
        .map(String::as_str)
        .or(key.default)
        .unwrap_or_default();
    let mut parts: Vec<&str> = base.split(',').filter(|part| !part.is_empty()).collect();
    for part in value.split(',') {
        match operation {
            operation::APPEND if !parts.contains(&part) => parts.push(part),
            operation::SUBTRACT => {
                if let Some(at) = parts.iter().position(|known| *known == part) {
                    parts.remove(at);
                }
            }
            _ => {}
        }
    }
    Ok(parts.join(","))
}
