use std::cell::RefCell;

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, TopicName,
};

use super::*;

/// Decide within a quota that lets changes of up to three partitions pass; what it was asked, and the records.
fn limited<R>(
    cluster: &mut Cluster,
    decide: impl FnOnce(&Controller<'_>) -> Decision<R>,
) -> (Vec<usize>, usize, R) {
    let asked = RefCell::new(Vec::new());
    let quota = |partitions| {
        asked.borrow_mut().push(partitions);
        partitions <= 3
    };
    let decision = cluster.decide(|controller| {
        decide(&Controller {
            may_change_partitions: &quota,
            ..*controller
        })
    });
    let records = decision.records.len();
    let response = cluster.apply(decision);
    (asked.into_inner(), records, response)
}

fn topic_of(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

const EXCEEDED: (i16, Option<&str>) = (89, Some("The throttling quota has been exceeded."));

/// Each topic is asked for alone, after everything else that may be wrong with it; those beyond the quota are not touched.
#[test]
fn topics_beyond_the_quota_are_refused_alone() {
    let mut cluster = Cluster::new();
    let topics = [("a", 2), ("b", 4), ("no/name", 9), ("c", 3)];
    let topics = topics.map(|(name, partitions)| topic_of(name, partitions));
    let create = CreateTopicsRequest::default().with_topics(topics.to_vec());
    let (asked, records, response) = limited(&mut cluster, |c| c.create_topics(&create));
    assert_eq!((asked, records), (vec![2, 4, 3], 7));
    let answers = response.topics.iter();
    let answers: Vec<_> = answers
        .map(|topic| (topic.error_code, topic.error_message.as_deref()))
        .collect();
    assert_eq!(
        [answers[0], answers[1], answers[3]],
        [(0, None), EXCEEDED, (0, None)]
    );

    let grow = |name: &str, count| {
        CreatePartitionsTopic::default()
            .with_name(TopicName(text(name)))
            .with_count(count)
            .with_assignments(None)
    };
    let topics = vec![
        grow("a", 6),
        grow("c", 5),
        grow("a", 1).with_name(TopicName(text("none"))),
    ];
    let create = CreatePartitionsRequest::default().with_topics(topics);
    let (asked, records, response) = limited(&mut cluster, |c| c.create_partitions(&create));
    assert_eq!((asked, records), (vec![4, 2], 2));
    let codes: Vec<_> = response.results.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [89, 0, 3]);

    let names = ["a", "c", "none"].map(|name| TopicName(text(name)));
    let delete = DeleteTopicsRequest::default().with_topic_names(names.to_vec());
    let (asked, records, response) = limited(&mut cluster, |c| c.delete_topics(&delete, 5));
    assert_eq!((asked, records), (vec![2, 5], 1));
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [0, 89, 3]);
    assert!(cluster.image.topics.by_name("a").is_none());
    assert_eq!(cluster.topic("c").partition_count(), 5);
}
