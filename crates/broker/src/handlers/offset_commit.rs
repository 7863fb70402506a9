//! OffsetCommit, versions 1-9: a group notes how far it has read.
//!
//! *Behaviour*: partitions that do not exist get UNKNOWN_TOPIC_OR_PARTITION, the others go to the coordinator.
//!
//! *Versions*: 1 has a timestamp per partition, which is not looked at; 2-4 a retention time; 6 the leader epoch
//! (KIP-320); 7 static members (KIP-345); 9 member epochs of the consumer protocol (KIP-848).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use uuid::Uuid;

use super::Handler;
use super::group_request::{ask, is_answered, origin};
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::metadata::image::MetadataImage;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct OffsetCommit;

impl Handler for OffsetCommit {
    type Request = OffsetCommitRequest;
    const NAME: &'static str = "OffsetCommit";
    const VERSIONS: RangeInclusive<i16> = 1..=9;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        mut request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let group = request.group_id.to_string();
        let image = broker.metadata().image();
        request
            .topics
            .retain(|topic| is_answered(&image, &topic.name, topic.partitions.len()));
        let mut answers = Answers::of(&request);
        keep_known(&image, &mut request, &mut answers);
        if request.topics.is_empty() {
            return answers.finish();
        }
        let known = request.clone();
        let request = GroupRequest::OffsetCommit(origin(context, version), request);
        let committed = ask(broker, &group, request, |response| match response {
            GroupResponse::OffsetCommit(response) => Some(response),
            _ => None,
        });
        match committed.await {
            Ok(response) => answers.take(&response),
            Err(error) => answers.fail(&known, error),
        }
        answers.finish()
    }
}

/// Leave only the partitions that exist, with the ids of their topics.
fn keep_known(image: &MetadataImage, request: &mut OffsetCommitRequest, answers: &mut Answers) {
    for wanted in &mut request.topics {
        let topic = image.topics.by_name(&wanted.name);
        wanted.topic_id = topic.map_or(Uuid::nil(), |topic| topic.id().0);
        let name = wanted.name.to_string();
        wanted.partitions.retain(|partition| {
            let index = PartitionIndex(partition.partition_index);
            let known = topic.is_some_and(|topic| topic.partition(index).is_some());
            if !known {
                answers.set(
                    &name,
                    index.0,
                    ResponseError::UnknownTopicOrPartition.code(),
                );
            }
            known
        });
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
}

/// The answer in the order of the request, filled in from two sides.
struct Answers {
    response: OffsetCommitResponse,
    codes: HashMap<(String, i32), i16>,
}

impl Answers {
    fn of(request: &OffsetCommitRequest) -> Self {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        Self {
            response: OffsetCommitResponse::default().with_topics(topics.collect()),
            codes: HashMap::new(),
        }
    }

    /// Only errors are noted: the rest went well.
    fn set(&mut self, topic: &str, partition: i32, code: i16) {
        if code != 0 {
            self.codes.insert((topic.to_owned(), partition), code);
        }
    }

    fn take(&mut self, response: &OffsetCommitResponse) {
        for topic in &response.topics {
            for partition in &topic.partitions {
                self.set(&topic.name, partition.partition_index, partition.error_code);
            }
        }
    }

    fn fail(&mut self, request: &OffsetCommitRequest, error: ResponseError) {
        for topic in &request.topics {
            for partition in &topic.partitions {
                self.set(&topic.name, partition.partition_index, error.code());
            }
        }
    }

    fn finish(mut self) -> OffsetCommitResponse {
        if self.codes.is_empty() {
            return self.response;
        }
        for topic in &mut self.response.topics {
            let name = topic.name.to_string();
            for partition in &mut topic.partitions {
                let key = (name.clone(), partition.partition_index);
                partition.error_code = self.codes.get(&key).copied().unwrap_or(0);
            }
        }
        self.response
    }
}
