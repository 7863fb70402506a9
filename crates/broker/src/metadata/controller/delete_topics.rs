//! DeleteTopics (`ControllerApis.deleteTopics`).

use std::collections::{HashMap, HashSet};

use ottla_protocol::ResponseError;
use ottla_protocol::ids::TopicId;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::{ApiError, Controller, Decision, check_record_count};
use crate::metadata::record::{MetadataRecord, RemoveTopicRecord};

/// One topic as a request names it, and what is wrong with that.
struct Named {
    name: Option<TopicName>,
    id: TopicId,
    error: Option<ApiError>,
}

impl Controller<'_> {
    /// Decide a DeleteTopics request of `version`. Topics named twice, be it by name and by id, are not deleted.
    pub fn delete_topics(
        &self,
        request: &DeleteTopicsRequest,
        version: i16,
    ) -> Decision<DeleteTopicsResponse> {
        let mut named = named_topics(request);
        if !self.config.node.delete_topic_enable {
            let error = match version {
                ..3 => ApiError::new(ResponseError::InvalidRequest, "Topic deletion is disabled."),
                _ => ApiError::general(ResponseError::TopicDeletionDisabled),
            };
            named
                .iter_mut()
                .for_each(|topic| topic.error = Some(error.clone()));
        }
        self.resolve(&mut named);
        for topic in named.iter_mut().filter(|topic| topic.error.is_none()) {
            let image = self.image.topics.get(topic.id);
            let partitions = image.map_or(0, |image| image.partition_count());
            topic.error = self.check_quota(partitions).err();
        }
        let found = named.iter().filter(|topic| topic.error.is_none());
        let mut records: Vec<MetadataRecord> = found
            .map(|topic| RemoveTopicRecord { topic_id: topic.id }.into())
            .collect();
        if let Err(error) = check_record_count(records.len()) {
            records.clear();
            named
                .iter_mut()
                .for_each(|topic| topic.error = Some(error.clone()));
        }
        let results = named.into_iter().map(result).collect();
        Decision {
            records,
            response: DeleteTopicsResponse::default().with_responses(results),
        }
    }

    /// Find the name to each id and the id to each name. Of a topic that is named both ways only the name is answered.
    fn resolve(&self, named: &mut Vec<Named>) {
        let mut given_ids = HashSet::new();
        for topic in named
            .iter_mut()
            .filter(|topic| topic.name.is_none() && topic.id != TopicId::ZERO)
        {
            if topic.error.is_none() {
                match self.image.topics.get(topic.id) {
                    Some(image) => topic.name = Some(TopicName(image.name().to_string().into())),
                    None => topic.error = Some(ApiError::general(ResponseError::UnknownTopicId)),
                }
            }
            given_ids.insert(topic.id);
        }
        let mut twice = HashSet::new();
        for topic in named
            .iter_mut()
            .filter(|topic| topic.id == TopicId::ZERO && topic.error.is_none())
        {
            let found = topic
                .name
                .as_ref()
                .and_then(|name| self.image.topics.by_name(name));
            match found.map(|image| image.id()) {
                None => {
                    topic.error = Some(ApiError::general(ResponseError::UnknownTopicOrPartition))
                }
                Some(id) => {
                    topic.id = id;
                    if given_ids.contains(&id) {
                        twice.insert(id);
                        let message =
                            "The provided topic name maps to an ID that was already supplied.";
                        topic.error = Some(ApiError::new(ResponseError::InvalidRequest, message));
                    }
                }
            }
        }
        named.retain(|topic| topic.error.is_some() || !twice.contains(&topic.id));
    }
}

/// The topics of a request: `topic_names` up to version 5, `topics` from 6 on. What is named twice is listed once, unless it
/// names nothing to begin with.
fn named_topics(request: &DeleteTopicsRequest) -> Vec<Named> {
    let by_list = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), TopicId::ZERO));
    let by_state = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), TopicId(topic.topic_id)));
    let all: Vec<_> = by_list.chain(by_state).collect();
    let mut times: HashMap<_, usize> = HashMap::new();
    all.iter()
        .for_each(|key| *times.entry(key.clone()).or_default() += 1);
    let mut seen = HashSet::new();
    all.into_iter()
        .filter(|key| key.0.is_some() != (key.1 == TopicId::ZERO) || seen.insert(key.clone()))
        .map(|key| {
            let invalid = |message| Some(ApiError::new(ResponseError::InvalidRequest, message));
            let twice = times.get(&key).is_some_and(|times| *times > 1);
            let (name, id) = key;
            let error = match (&name, id == TopicId::ZERO) {
                (None, true) => invalid("Neither topic name nor id were specified."),
                (Some(_), false) => invalid("You may not specify both topic name and topic id."),
                (Some(_), true) if twice => invalid("Duplicate topic name."),
                (None, false) if twice => invalid("Duplicate topic id."),
                _ => None,
            };
            Named { name, id, error }
        })
        .collect()
}

fn result(topic: Named) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default()
        .with_name(topic.name)
        .with_topic_id(topic.id.0);
    match topic.error {
        None => answer,
        Some(error) => answer
            .with_error_code(error.error.code())
            .with_error_message(error.text()),
    }
}
