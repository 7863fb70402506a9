//! CreatePartitions (`ControllerApis.createPartitions`, `ReplicationControlManager.createPartitions`).

use std::collections::{HashMap, HashSet};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use super::{ApiError, Controller, Decision, MAX_RECORDS_PER_REQUEST, ids};
use crate::metadata::record::MetadataRecord;

impl Controller<'_> {
    /// Decide a CreatePartitions request. Every topic of it is in the answer, one named twice once.
    pub fn create_partitions(
        &self,
        request: &CreatePartitionsRequest,
    ) -> Decision<CreatePartitionsResponse> {
        let mut times: HashMap<&str, usize> = HashMap::new();
        request
            .topics
            .iter()
            .for_each(|topic| *times.entry(topic.name.as_str()).or_default() += 1);
        let mut seen = HashSet::new();
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in request
            .topics
            .iter()
            .filter(|topic| seen.insert(topic.name.as_str()))
        {
            let decided = match times.get(topic.name.as_str()) {
                Some(1) => self.grow_topic(topic, MAX_RECORDS_PER_REQUEST - records.len()),
                _ => Err(ApiError::new(
                    ResponseError::InvalidRequest,
                    "Duplicate topic name.",
                )),
            };
            results.push(result(&topic.name, decided.as_ref().err()));
            records.extend(decided.unwrap_or_default());
        }
        if request.validate_only {
            records.clear();
        }
        Decision {
            records,
            response: CreatePartitionsResponse::default().with_results(results),
        }
    }

    /// The records of a topic's new partitions, of which there may be `room`.
    fn grow_topic(
        &self,
        request: &CreatePartitionsTopic,
        room: usize,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let name = request.name.as_str();
        let topic = self
            .image
            .topics
            .by_name(name)
            .ok_or(ApiError::bare(ResponseError::UnknownTopicOrPartition))?;
        let invalid = |message| ApiError::new(ResponseError::InvalidPartitions, message);
        let count = topic.partition_count();
        let additional = match i64::from(request.count) - i64::try_from(count).unwrap_or(i64::MAX) {
            0 => return Err(invalid(format!("Topic already has {count} partition(s)."))),
            ..0 => {
                return Err(invalid(format!(
                    "The topic {name} currently has {count} partition(s); {} would not be an increase.",
                    request.count
                )));
            }
            additional => usize::try_from(additional).unwrap_or(usize::MAX),
        };
        if let Some(assignments) = &request.assignments
            && assignments.len() != additional
        {
            let message = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(
                ResponseError::InvalidReplicaAssignment,
                message,
            ));
        }
        if additional > room {
            let message = "Excessively large number of partitions per request.";
            return Err(ApiError::new(ResponseError::PolicyViolation, message));
        }
        self.check_quota(additional)?;
        let factor = topic
            .partitions()
            .next()
            .map_or(1, |(_, partition)| partition.replicas.len());
        let partitions = match &request.assignments {
            None => self.place(count, additional, i16::try_from(factor).unwrap_or(i16::MAX))?,
            Some(assignments) => (count..)
                .zip(assignments)
                .map(|(index, assignment)| {
                    self.assign(index, ids(&assignment.broker_ids), Some(factor))
                })
                .collect::<Result<Vec<_>, _>>()?,
        };
        let indexes = (i32::try_from(count).unwrap_or(i32::MAX)..).map(PartitionIndex);
        let records = indexes
            .zip(&partitions)
            .map(|(index, partition)| partition.to_record(topic.id(), index).into());
        Ok(records.collect())
    }
}

fn result(name: &TopicName, error: Option<&ApiError>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.map_or(0, |error| error.error.code()))
        .with_error_message(error.and_then(ApiError::text))
}
