//! DescribeConfigs: every config of a topic, of a group or of this broker, where its value comes from, and what else was set.
//!
//! Versions 0-4; v0 has a layout of its own, which the protocol crate writes. v1: synonyms. v3: types, and
//! documentation if asked for. Null and empty lists of keys both ask for all, as in Kafka. Values of passwords are
//! null.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::Handler;
use crate::answer_room::{self, AnswerRoom};
use crate::broker::Broker;
use crate::config::dynamic::{self, ConfigEntry, ConfigSource, Layers};
use crate::config::{self, GROUP_KEYS, KEYS, Key, TOPIC_KEYS};
use crate::metadata::controller::{error_text, topic_name};
use crate::metadata::image::{ConfigResourceType, MetadataImage};
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// An error of one resource, with Kafka's message.
type Failure = (ResponseError, Option<String>);

/// The API.
#[derive(Debug)]
pub struct DescribeConfigs;

impl Handler for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    const NAME: &'static str = "DescribeConfigs";
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DescribeConfigsRequest,
    ) -> DescribeConfigsResponse {
        answer(broker.metadata(), &request)
    }
}

/// Answer a request.
pub(crate) fn answer(
    metadata: &MetadataService,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = metadata.image();
    let mut room = AnswerRoom::default();
    // A kind that does not exist spoils the whole request (`ConfigHelper.handleDescribeConfigsRequest`).
    let all_known = (request.resources.iter()).all(|resource| is_kind(resource.resource_type));
    let results = request.resources.iter().map(|resource| {
        let query = Query {
            metadata,
            image: &image,
            request,
            resource,
        };
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let described = room.put(DescribeConfigsResult::VERSIONS.max, || {
            let configs = match all_known {
                true => query.configs(),
                false => invalid(error_text(ResponseError::InvalidRequest)),
            };
            match configs {
                Ok(configs) => result
                    .clone()
                    .with_configs(configs)
                    .with_error_message(None),
                Err((error, message)) => result
                    .clone()
                    .with_error_code(error.code())
                    .with_error_message(message.map(StrBytes::from_string)),
            }
        });
        described.unwrap_or_else(|error| {
            result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str(answer_room::TOO_LARGE)))
        })
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Whether there are resources of this type.
fn is_kind(resource_type: i8) -> bool {
    matches!(
        ConfigResourceType(resource_type),
        ConfigResourceType::TOPIC
            | ConfigResourceType::BROKER
            | ConfigResourceType::BROKER_LOGGER
            | ConfigResourceType::CLIENT_METRICS
            | ConfigResourceType::GROUP
    )
}

/// What is asked of one resource.
struct Query<'a> {
    metadata: &'a MetadataService,
    image: &'a MetadataImage,
    request: &'a DescribeConfigsRequest,
    resource: &'a DescribeConfigsResource,
}

impl Query<'_> {
    fn configs(&self) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
        let name = self.resource.resource_name.as_str();
        match ConfigResourceType(self.resource.resource_type) {
            ConfigResourceType::TOPIC => self.topic(name),
            ConfigResourceType::BROKER if name.is_empty() => Ok(self.broker_defaults()),
            ConfigResourceType::BROKER => self.broker(name),
            ConfigResourceType::GROUP => self.group(name),
            ConfigResourceType::BROKER_LOGGER | ConfigResourceType::CLIENT_METRICS => invalid(
                format!("Unsupported resource type: {}", self.resource.resource_type),
            ),
            _ => invalid(error_text(ResponseError::InvalidRequest)),
        }
    }

    fn topic(&self, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
        topic_name::validate(name)
            .map_err(|message| (ResponseError::InvalidTopicException, Some(message)))?;
        if self.image.topics.by_name(name).is_none() {
            return Err((ResponseError::UnknownTopicOrPartition, None));
        }
        let layers = self
            .metadata
            .layers(self.image, self.image.configs.topic(name));
        let wanted = TOPIC_KEYS.iter().filter(|key| self.wants(key.name));
        Ok(wanted
            .map(|key| self.entry(key, dynamic::describe_topic(key, &layers), false))
            .collect())
    }

    /// A group need not exist to have configs.
    fn group(&self, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
        if name.is_empty() {
            return invalid("Group name must not be empty".to_owned());
        }
        let layers = (self.metadata).layers(self.image, self.image.configs.group(name));
        let wanted = GROUP_KEYS.iter().filter(|key| self.wants(key.name));
        Ok(wanted
            .map(|key| self.shown(key, dynamic::describe_group(key, &layers), false))
            .collect())
    }

    fn broker(&self, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
        let own = self.metadata.node_id();
        match name.parse::<i32>() {
            Err(_) => return invalid(format!("Broker id must be an integer, but it is: {name}")),
            Ok(id) if id != own.0 => {
                return invalid(format!(
                    "Unexpected broker id, expected {own} or empty string, but received {name}"
                ));
            }
            Ok(_) => {}
        }
        let layers = self.metadata.layers(self.image, &());
        let wanted = KEYS.iter().filter(|key| self.wants(key.name));
        Ok(wanted
            .map(|key| {
                self.entry(
                    key,
                    dynamic::describe_broker(key, &layers),
                    key.is_read_only(),
                )
            })
            .collect())
    }

    /// What was set as the default of all brokers, and nothing else.
    fn broker_defaults(&self) -> Vec<DescribeConfigsResourceResult> {
        let defaults = self.image.configs.all_brokers();
        let layers = Layers {
            broker: &(),
            cluster: defaults,
            ..self.metadata.layers(self.image, &())
        };
        let wanted = defaults
            .keys()
            .filter(|name| self.wants(name))
            .filter_map(|name| config::key(name));
        wanted
            .map(|key| {
                let mut entry = dynamic::describe_broker(key, &layers);
                entry
                    .synonyms
                    .retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
                self.entry(key, entry, key.is_read_only())
            })
            .collect()
    }

    fn wants(&self, name: &str) -> bool {
        let keys = self
            .resource
            .configuration_keys
            .as_deref()
            .unwrap_or_default();
        keys.is_empty() || keys.iter().any(|key| key.as_str() == name)
    }

    fn entry(
        &self,
        key: &'static Key,
        entry: ConfigEntry,
        read_only: bool,
    ) -> DescribeConfigsResourceResult {
        self.shown(key, as_kafka_lists(key, entry), read_only)
    }

    fn shown(
        &self,
        key: &'static Key,
        entry: ConfigEntry,
        read_only: bool,
    ) -> DescribeConfigsResourceResult {
        let shown = entry.value.map(StrBytes::from_string);
        let synonyms: Vec<_> = entry
            .synonyms
            .into_iter()
            .filter(|_| self.request.include_synonyms)
            .map(|synonym| {
                // What was set for the resource itself is shown as it was read, what stands behind it as it was written.
                let value = match synonym.source {
                    ConfigSource::DynamicTopic | ConfigSource::Group => shown.clone(),
                    _ => synonym.value.map(StrBytes::from_string),
                };
                DescribeConfigsSynonym::default()
                    .with_name(StrBytes::from_static_str(synonym.name))
                    .with_value(value)
                    .with_source(synonym.source as i8)
            })
            .collect();
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(key.name))
            .with_value(shown)
            .with_read_only(read_only)
            .with_config_source(entry.source as i8)
            .with_is_sensitive(key.is_sensitive())
            .with_synonyms(synonyms)
            .with_config_type(key.kind as i8)
            .with_documentation(
                self.request
                    .include_documentation
                    .then(|| StrBytes::from_static_str(key.doc())),
            )
    }
}

/// Of the synonyms of a broker Kafka shows those from the first that has the key's own name on, or for a topic's key
/// the name of its counterpart: a value that was set by another name alone, or by default, looks like a default
/// (`ConfigHelper.configSynonyms`).
fn as_kafka_lists(key: &'static Key, entry: ConfigEntry) -> ConfigEntry {
    let is_topic_key =
        config::topic_key(key.name).is_some_and(|topic_key| std::ptr::eq(topic_key, key));
    let counterpart = key
        .synonyms
        .first()
        .map(|synonym| synonym.name)
        .filter(|_| is_topic_key);
    let main = counterpart.unwrap_or(key.name);
    let (mut synonyms, broker): (Vec<_>, Vec<_>) = entry
        .synonyms
        .into_iter()
        .partition(|synonym| synonym.source == ConfigSource::DynamicTopic);
    synonyms.extend(
        broker
            .into_iter()
            .skip_while(|synonym| synonym.name != main),
    );
    let source = synonyms
        .first()
        .map_or(ConfigSource::Default, |first| first.source);
    ConfigEntry {
        source,
        synonyms,
        ..entry
    }
}

fn invalid<T>(message: String) -> Result<T, Failure> {
    Err((ResponseError::InvalidRequest, Some(message)))
}

#[cfg(test)]
mod tests;
