//! CreateTopics (`ControllerApis.createTopics`, `ReplicationControlManager.createTopics`).

use std::collections::{BTreeMap, HashMap, HashSet};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, TopicId};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};

use super::{
    ApiError, Controller, Decision, MAX_RECORDS_PER_REQUEST, MAX_TEXT_LEN, check_record_count, ids,
    topic_name,
};
use crate::config::dynamic::{self, ConfigEntry};
use crate::config::{TOPIC_KEYS, topic};
use crate::metadata::image::{ConfigResourceType, PartitionRegistration};
use crate::metadata::record::{ConfigRecord, MetadataRecord, TopicRecord};

/// A topic that can be created.
struct NewTopic {
    id: TopicId,
    configs: BTreeMap<String, String>,
    partitions: Vec<PartitionRegistration>,
}

impl Controller<'_> {
    /// Decide a CreateTopics request. Each topic is created, or has its own error; topics named more than once are
    /// not created at all.
    pub fn create_topics(&self, request: &CreateTopicsRequest) -> Decision<CreateTopicsResponse> {
        let mut times = HashMap::new();
        request
            .topics
            .iter()
            .for_each(|topic| *times.entry(topic.name.as_str()).or_insert(0) += 1);
        if let Err(error) = check_partition_count(request, &times) {
            return Decision::answer(refuse_all(request, &error));
        }
        let mut taken = HashSet::new();
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in request
            .topics
            .iter()
            .filter(|topic| is_single(&times, &topic.name))
        {
            let decided = self.create_topic(topic).and_then(|new| {
                // Names that collide within one request, where Kafka would let both pass.
                let key = topic.name.replace('.', "_");
                if !taken.insert(key.clone()) {
                    let message = format!(
                        "Topic '{}' collides with another topic of the request.",
                        topic.name.as_str()
                    );
                    return Err(ApiError::new(ResponseError::InvalidTopicException, message));
                }
                Ok(new)
            });
            match decided {
                Err(error) => results.push(failure(&topic.name, &error)),
                Ok(new) => {
                    results.push(self.success(topic, &new));
                    new.write(&topic.name, &mut records);
                }
            }
        }
        results.extend(duplicates(request, &times));
        if let Err(error) = check_record_count(records.len()) {
            return Decision::answer(refuse_all(request, &error));
        }
        if request.validate_only {
            records.clear();
        }
        Decision {
            records,
            response: CreateTopicsResponse::default().with_topics(results),
        }
    }

    fn create_topic(&self, topic: &CreatableTopic) -> Result<NewTopic, ApiError> {
        self.check_new_name(&topic.name)?;
        let configs = self.check_configs(&topic.configs)?;
        let partitions = if topic.assignments.is_empty() {
            self.placed(topic)?
        } else {
            self.assigned(topic)?
        };
        self.check_quota(partitions.len())?;
        Ok(NewTopic {
            id: TopicId((self.new_id)()),
            configs,
            partitions,
        })
    }

    fn check_new_name(&self, name: &str) -> Result<(), ApiError> {
        if name == topic_name::CLUSTER_METADATA {
            let message = format!("Creation of internal topic {name} is prohibited.");
            return Err(ApiError::new(ResponseError::InvalidRequest, message));
        }
        if self.image.topics.by_name(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(ApiError::new(ResponseError::TopicAlreadyExists, message));
        }
        let invalid = |message| ApiError::new(ResponseError::InvalidTopicException, message);
        topic_name::validate(name).map_err(invalid)?;
        match self.image.topics.collision(name) {
            None => Ok(()),
            Some(other) => Err(invalid(format!(
                "Topic '{name}' collides with existing topic: {other}"
            ))),
        }
    }

    fn check_configs(
        &self,
        configs: &[CreatableTopicConfig],
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let invalid = |message: String| ApiError::new(ResponseError::InvalidConfig, message);
        let nulls: Vec<_> = configs
            .iter()
            .filter(|config| config.value.is_none())
            .map(|config| config.name.as_str())
            .collect();
        if !nulls.is_empty() {
            return Err(invalid(format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            )));
        }
        let set = configs.iter().filter_map(|config| {
            Some((config.name.to_string(), config.value.as_ref()?.to_string()))
        });
        let set: BTreeMap<_, _> = set.collect();
        check_text_len(&set).map_err(invalid)?;
        if !set.is_empty() {
            topic::validate_topic(&set, &dynamic::topic_config(&self.layers(&set)))
                .map_err(invalid)?;
        }
        Ok(set)
    }

    fn placed(&self, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
        let default_factor =
            i16::try_from(self.config.node.default_replication_factor).unwrap_or(i16::MAX);
        let factor = match topic.replication_factor {
            -1 => default_factor,
            factor if factor > 0 => factor,
            _ => {
                let message =
                    "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err(ApiError::new(
                    ResponseError::InvalidReplicationFactor,
                    message,
                ));
            }
        };
        let count = match topic.num_partitions {
            -1 => self.config.node.num_partitions,
            count if count > 0 => count,
            _ => {
                let message = "Number of partitions was set to an invalid non-positive value.";
                return Err(ApiError::new(ResponseError::InvalidPartitions, message));
            }
        };
        let factor = self.clamped_factor(factor);
        let count = usize::try_from(count).unwrap_or(0);
        self.place(0, count, factor).map_err(|error| ApiError {
            message: error
                .message
                .map(|reason| match reason.strip_prefix("Unable to replicate") {
                    Some(_) => reason,
                    None => format!("Unable to replicate the partition {factor} time(s): {reason}"),
                }),
            ..error
        })
    }

    fn assigned(&self, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
        if topic.replication_factor != -1 {
            let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
            return Err(ApiError::new(ResponseError::InvalidRequest, message));
        }
        if topic.num_partitions != -1 {
            let message =
                "A manual partition assignment was specified, but numPartitions was not set to -1.";
            return Err(ApiError::new(ResponseError::InvalidRequest, message));
        }
        let invalid =
            |message: String| ApiError::new(ResponseError::InvalidReplicaAssignment, message);
        let mut factor = None;
        let mut partitions = BTreeMap::new();
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if partitions.contains_key(&index) {
                return Err(invalid(format!(
                    "Found multiple manual partition assignments for partition {index}"
                )));
            }
            let mut replicas = ids(&assignment.broker_ids);
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            if self.config.ottla.ottla_replication_factor_clamp {
                replicas.truncate(self.image.cluster.brokers().len());
            }
            let partition = self.assign(at, replicas, factor)?;
            factor = Some(partition.replicas.len());
            partitions.insert(index, partition);
        }
        if (0..)
            .zip(partitions.keys())
            .any(|(expected, index): (i32, _)| expected != *index)
        {
            return Err(invalid(
                "partitions should be a consecutive 0-based integer sequence".into(),
            ));
        }
        Ok(partitions.into_values().collect())
    }

    fn success(&self, topic: &CreatableTopic, new: &NewTopic) -> CreatableTopicResult {
        let layers = self.layers(&new.configs);
        let config = |ConfigEntry {
                          name,
                          value,
                          source,
                          ..
                      }: ConfigEntry,
                      is_sensitive| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(name))
                // What the client has set is given back as it was written.
                .with_value(
                    new.configs
                        .get(name)
                        .cloned()
                        .or(value)
                        .map(StrBytes::from_string),
                )
                .with_config_source(source as i8)
                .with_is_sensitive(is_sensitive)
        };
        let configs = TOPIC_KEYS
            .iter()
            .map(|key| config(dynamic::describe_topic(key, &layers), key.is_sensitive()));
        let factor = new
            .partitions
            .first()
            .map_or(0, |partition| partition.replicas.len());
        CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_topic_id(new.id.0)
            .with_error_message(None)
            .with_num_partitions(i32::try_from(new.partitions.len()).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(factor).unwrap_or(i16::MAX))
            .with_configs(Some(configs.collect()))
    }
}

impl NewTopic {
    fn write(self, name: &TopicName, records: &mut Vec<MetadataRecord>) {
        records.push(
            TopicRecord {
                name: name.to_string(),
                topic_id: self.id,
            }
            .into(),
        );
        records.extend(self.configs.into_iter().map(|(key, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigResourceType::TOPIC.0,
                resource_name: name.to_string(),
                name: key,
                value: Some(value),
            })
        }));
        let partitions = (0..).zip(&self.partitions);
        records.extend(
            partitions.map(|(index, partition)| {
                partition.to_record(self.id, PartitionIndex(index)).into()
            }),
        );
    }
}

/// Check that the texts fit a record.
pub(super) fn check_text_len(configs: &BTreeMap<String, String>) -> Result<(), String> {
    let too_long = configs
        .iter()
        .find(|(name, value)| name.len() > MAX_TEXT_LEN || value.len() > MAX_TEXT_LEN);
    match too_long {
        None => Ok(()),
        Some((name, _)) => {
            let start: String = name.chars().take(100).collect();
            Err(format!(
                "Name or value of configuration {start} is longer than {MAX_TEXT_LEN} bytes"
            ))
        }
    }
}

/// Refuse requests for more partitions than one decision may make, before any is placed
/// (`ReplicationControlManager.validateTotalNumberOfPartitions`).
fn check_partition_count(
    request: &CreateTopicsRequest,
    times: &HashMap<&str, usize>,
) -> Result<(), ApiError> {
    let of = |topic: &CreatableTopic| match topic.assignments.len() {
        0 => usize::try_from(topic.num_partitions).unwrap_or(1),
        len => len,
    };
    let total = request
        .topics
        .iter()
        .filter(|topic| is_single(times, &topic.name))
        .map(of)
        .fold(0_usize, usize::saturating_add);
    if total <= MAX_RECORDS_PER_REQUEST {
        return Ok(());
    }
    Err(ApiError::new(
        ResponseError::PolicyViolation,
        "Excessively large number of partitions per request.",
    ))
}

fn is_single(times: &HashMap<&str, usize>, name: &TopicName) -> bool {
    times.get(name.as_str()) == Some(&1)
}

/// The answers for the names that stand in the request more than once, one each.
fn duplicates(
    request: &CreateTopicsRequest,
    times: &HashMap<&str, usize>,
) -> Vec<CreatableTopicResult> {
    let mut seen = HashSet::new();
    let duplicated = request
        .topics
        .iter()
        .filter(|topic| !is_single(times, &topic.name));
    let error = ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name.");
    duplicated
        .filter(|topic| seen.insert(topic.name.as_str()))
        .map(|topic| failure(&topic.name, &error))
        .collect()
}

fn refuse_all(request: &CreateTopicsRequest, error: &ApiError) -> CreateTopicsResponse {
    let results = request
        .topics
        .iter()
        .map(|topic| failure(&topic.name, error));
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn failure(name: &TopicName, error: &ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.error.code())
        .with_error_message(error.text())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}
