//! ElectLeaders (`ReplicationControlManager.electLeaders`).

use ottla_protocol::ResponseError;
use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::partition_change::{Election, Rules};
use super::{ApiError, Controller, Decision};
use crate::metadata::image::TopicImage;
use crate::metadata::record::MetadataRecord;

impl Controller<'_> {
    /// Decide an ElectLeaders request. When it names no partitions, those that need no election are left out of the
    /// answer.
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> Decision<ElectLeadersResponse> {
        if (request.topic_partitions.as_ref()).is_some_and(|asked| asked.is_empty()) {
            // There is nothing to do, whatever the election type.
            return Decision::answer(ElectLeadersResponse::default());
        }
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            unknown => return Decision::answer(unknown_election(request, unknown)),
        };
        let mut records = Vec::new();
        let mut elect = |topic: &TopicImage, rules, index| {
            let elected = self.elect_leader(topic, rules, index, election);
            elected.map(|record| records.push(record)).err()
        };
        let results = match &request.topic_partitions {
            None => {
                let topics = self.image.topics.iter().map(|topic| {
                    let rules = self.rules(topic);
                    let results = topic
                        .partitions()
                        .map(|(index, _)| (index.0, elect(topic, rules, index)));
                    let not_needed = |error: &Option<ApiError>| {
                        error
                            .as_ref()
                            .is_some_and(|error| error.error == ResponseError::ElectionNotNeeded)
                    };
                    let results = results
                        .filter(|(_, error)| !not_needed(error))
                        .map(partition_result);
                    let name = TopicName(topic.name().to_string().into());
                    ReplicaElectionResult::default()
                        .with_topic(name)
                        .with_partition_result(results.collect())
                });
                topics.collect()
            }
            Some(asked) => {
                let topics = asked.iter().map(|asked| {
                    let name = asked.topic.as_str();
                    let topic = self
                        .image
                        .topics
                        .by_name(name)
                        .map(|topic| (topic, self.rules(topic)));
                    let results = asked.partitions.iter().map(|index| {
                        let error = match topic {
                            Some((topic, rules)) => elect(topic, rules, PartitionIndex(*index)),
                            None => {
                                let message = format!("No such topic as {name}");
                                Some(ApiError::new(
                                    ResponseError::UnknownTopicOrPartition,
                                    message,
                                ))
                            }
                        };
                        partition_result((*index, error))
                    });
                    ReplicaElectionResult::default()
                        .with_topic(asked.topic.clone())
                        .with_partition_result(results.collect())
                });
                topics.collect()
            }
        };
        Decision {
            records,
            response: ElectLeadersResponse::default().with_replica_election_results(results),
        }
    }

    fn elect_leader(
        &self,
        topic: &TopicImage,
        rules: Rules,
        index: PartitionIndex,
        election: Election,
    ) -> Result<MetadataRecord, ApiError> {
        let partition = topic.partition(index).ok_or_else(|| {
            let message = format!("No such partition as {}-{index}", topic.name());
            ApiError::new(ResponseError::UnknownTopicOrPartition, message)
        })?;
        let is_settled = match election {
            Election::Preferred => partition.replicas.first() == Some(&partition.leader),
            Election::Unclean => partition.has_leader(),
        };
        if is_settled {
            return Err(ApiError::general(ResponseError::ElectionNotNeeded));
        }
        let change = self.elected_change(topic.id(), index, partition, election, rules);
        change.map(MetadataRecord::from).ok_or_else(|| {
            ApiError::general(match election {
                Election::Preferred => ResponseError::PreferredLeaderNotAvailable,
                Election::Unclean => ResponseError::EligibleLeadersNotAvailable,
            })
        })
    }
}

/// Every partition that is named gets the error, and so does the answer as a whole.
fn unknown_election(request: &ElectLeadersRequest, election: i8) -> ElectLeadersResponse {
    let error = ApiError::new(
        ResponseError::InvalidRequest,
        format!("Unknown election type {election}"),
    );
    let named = request.topic_partitions.iter().flatten();
    let results = named.map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|index| partition_result((*index, Some(error.clone()))));
        ReplicaElectionResult::default()
            .with_topic(topic.topic.clone())
            .with_partition_result(partitions.collect())
    });
    ElectLeadersResponse::default()
        .with_error_code(error.error.code())
        .with_replica_election_results(results.collect())
}

fn partition_result((index, error): (i32, Option<ApiError>)) -> PartitionResult {
    PartitionResult::default()
        .with_partition_id(index)
        .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
        .with_error_message(error.and_then(|error| error.text()))
}
