//! Commits with and without a group, deletions, and offsets of transactions.

use crate::answer_room::AnswerRoom;
use std::sync::Arc;

use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::group::records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use crate::coordinator::group::topics::NoTopics;
use crate::coordinator::group::{GroupShard, partition_for};
use crate::coordinator::shard::{RecordOrigin, Shard};
use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId};
use ottla_protocol::messages::OffsetDeleteRequest;
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;

fn harness() -> Harness {
    Harness::new(GroupConfig::default())
}

fn delete_groups(h: &mut Harness, ids: &[&str]) -> Vec<i16> {
    let ids = ids.iter().map(|id| Arc::from(*id)).collect();
    match h.ask(GroupRequest::DeleteGroups(ids)) {
        GroupResponse::DeleteGroups(response) => response
            .results
            .iter()
            .map(|result| result.error_code)
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn delete_offset(h: &mut Harness, topic: &str) -> (i16, Option<i16>) {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(text(topic).into())
        .with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default()
        .with_group_id(text("g").into())
        .with_topics(vec![topic]);
    match h.ask(GroupRequest::OffsetDelete(request)) {
        GroupResponse::OffsetDelete(response) => {
            let topic = response.topics.first();
            (
                response.error_code,
                topic.map(|topic| topic.partitions[0].error_code),
            )
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_consumer_without_membership_commits() {
    let mut h = harness();
    assert_eq!(
        h.fetch_offset(),
        (-1, -1, String::new()),
        "nobody has heard of it"
    );
    assert_eq!(h.commit_offset(2, commit_request("", -1, 17)), 0);
    assert_eq!(h.fetch_offset(), (17, 3, "note".to_owned()));
    assert_eq!(
        h.commit_offset(2, commit_request("", -1, 5)),
        0,
        "may go back"
    );
    assert_eq!(h.state(), "Empty");
    h.restart();
    assert_eq!(h.fetch_offset().0, 5);
    // Somebody uses the group: then only members may commit.
    let (ids, generation) = h.stable_group(1);
    assert_eq!(h.commit_offset(2, commit_request("", -1, 6)), 25);
    assert_eq!(
        h.commit_offset(2, commit_request(&ids[0], generation, 6)),
        0
    );
}

#[test]
fn a_member_commits_with_its_generation() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    let table = [
        (commit_request(&ids[0], generation, 1), 0),
        (commit_request(&ids[0], generation - 1, 2), 22),
        (commit_request(&ids[0], generation + 1, 2), 22),
        (commit_request("nobody", generation, 2), 25),
        (commit_request("", generation, 2), 25),
    ];
    for (request, code) in table {
        assert_eq!(h.commit_offset(8, request.clone()), code, "{request:?}");
    }
    assert_eq!(h.fetch_offset().0, 1);
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    for offset in 0..5 {
        h.sleep(9_000);
        assert_eq!(
            h.commit_offset(7, commit_request(&ids[0], generation, offset)),
            0
        );
    }
    assert_eq!(h.heartbeat(&ids[0], generation), 0);
}

#[test]
fn metadata_up_to_the_limit() {
    let mut h = harness();
    let with = |metadata: &str| {
        let mut request = commit_request("", -1, 1);
        request.topics[0].partitions[0].committed_metadata = Some(text(metadata));
        request
    };
    assert_eq!(h.commit_offset(7, with(&"x".repeat(4_096))), 0);
    assert_eq!(h.commit_offset(7, with(&"x".repeat(4_097))), 12);
    // Java counts UTF-16 units: 4096 characters of three bytes each are within the limit.
    assert_eq!(h.commit_offset(7, with(&"\u{20ac}".repeat(4_096))), 0);
    assert_eq!(h.commit_offset(7, with(&"\u{1f600}".repeat(2_049))), 12);
    let mut none = commit_request("", -1, 2);
    none.topics[0].partitions[0].committed_metadata = None;
    assert_eq!(h.commit_offset(7, none), 0);
    assert_eq!(h.fetch_offset(), (2, 3, String::new()));
}

#[test]
fn all_offsets_of_a_group() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 1));
    let mut other = commit_request("", -1, 2);
    other.topics[0].name = text("a").into();
    other.topics[0].partitions[0].partition_index = 9;
    h.commit_offset(7, other);
    let request = OffsetFetchRequestGroup::default()
        .with_group_id(text("g").into())
        .with_topics(None);
    let GroupResponse::OffsetFetch(response) = h.ask(GroupRequest::OffsetFetch(
        request,
        true,
        AnswerRoom::default(),
    )) else {
        panic!();
    };
    let found: Vec<_> = (response.topics.iter())
        .map(|topic| (topic.name.to_string(), topic.partitions[0].partition_index))
        .collect();
    assert_eq!(found, [("a".to_owned(), 9), ("t".to_owned(), 0)]);
}

#[test]
fn groups_with_members_are_not_deleted() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 1));
    let (ids, _) = h.stable_group(1);
    assert_eq!(delete_groups(&mut h, &["g", "unknown"]), [68, 69]);
    h.leave(&[(&ids[0], None)]);
    assert_eq!(delete_groups(&mut h, &["g"]), [0]);
    assert_eq!(h.state(), "Dead");
    assert_eq!(h.fetch_offset().0, -1);
    h.restart();
    assert_eq!(h.shard.group_count(), 0);
}

#[test]
fn offsets_of_consumed_topics_are_not_deleted() {
    let mut h = harness();
    assert_eq!(delete_offset(&mut h, "t"), (69, None));
    h.commit_offset(7, commit_request("", -1, 1));
    let (ids, generation) = h.stable_group(1);
    assert_eq!(delete_offset(&mut h, "t"), (0, Some(86)));
    let mut old = commit_request(&ids[0], generation, 2);
    old.topics[0].name = text("old").into();
    h.commit_offset(7, old);
    assert_eq!(delete_offset(&mut h, "old"), (0, Some(0)));
    assert_eq!(h.shard.offsets().len(), 1);
    h.leave(&[(&ids[0], None)]);
    assert_eq!(delete_offset(&mut h, "t"), (0, Some(0)));
    assert!(h.shard.offsets().is_empty());
}

#[test]
fn members_that_are_no_consumers_keep_all_offsets() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 1));
    h.join_new_as(join_request("").with_protocol_type(text("connect")));
    assert_eq!(delete_offset(&mut h, "t"), (68, None));
}

#[test]
fn deleted_partitions_lose_their_offsets() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 1));
    let mut other = commit_request("", -1, 2);
    other.topics[0].partitions[0].partition_index = 1;
    h.commit_offset(7, other);
    h.ask(GroupRequest::PartitionsDeleted(vec![
        ("t".into(), 0),
        ("u".into(), 1),
    ]));
    assert_eq!(h.fetch_offset().0, -1);
    assert_eq!(h.shard.offsets().len(), 1);
}

#[test]
fn a_great_many_offsets_are_deleted_in_several_batches() {
    let mut h = harness();
    let mut request = commit_request("", -1, 1);
    let partition = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..20_000)
        .map(|index| partition.clone().with_partition_index(index))
        .collect();
    h.commit_offset(7, request);
    assert_eq!(h.shard.offsets().len(), 20_000);
    assert_eq!(delete_groups(&mut h, &["g"]), [0]);
    assert!(h.shard.offsets().is_empty());
}

/// Offsets of transactions come from Kafka's logs, and from TxnOffsetCommit.
#[test]
fn offsets_of_a_transaction_count_from_its_marker() {
    let mut shard = GroupShard::new(
        Arc::default(),
        Arc::new(TestConfigs::default()),
        Arc::new(NoTopics),
        Box::new(uuid::Uuid::new_v4),
    );
    let mut at = 0;
    let mut replay = |shard: &mut GroupShard, producer: i64, offset: i64| {
        let origin = RecordOrigin {
            offset: Offset(at),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
        };
        at += 1;
        let key = OffsetCommitKey {
            group: "g".into(),
            topic: "t".into(),
            partition: 0,
        };
        let value = OffsetCommitValue {
            offset,
            ..Default::default()
        };
        shard.replay(origin, GroupRecord::OffsetCommit(key, Some(value)));
    };
    let committed = |shard: &GroupShard| shard.offsets.get("g", "t", 0).map(|found| found.offset.0);
    replay(&mut shard, 7, 10);
    assert_eq!(
        (committed(&shard), shard.offsets.is_pending("g", "t", 0)),
        (None, true)
    );
    shard.replay_end_transaction(ProducerId(7), true);
    assert_eq!(
        (committed(&shard), shard.offsets.is_pending("g", "t", 0)),
        (Some(10), false)
    );
    replay(&mut shard, 7, 20);
    shard.replay_end_transaction(ProducerId(7), false);
    assert_eq!(
        (committed(&shard), shard.offsets.is_pending("g", "t", 0)),
        (Some(10), false)
    );
    // A later commit outside of the transaction wins over the marker.
    replay(&mut shard, 8, 30);
    replay(&mut shard, -1, 40);
    shard.replay_end_transaction(ProducerId(8), true);
    assert_eq!(committed(&shard), Some(40));
    // What was deleted in the meantime does not come back.
    replay(&mut shard, 9, 50);
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 0,
    };
    let origin = RecordOrigin::at(Offset(100));
    shard.replay(origin, GroupRecord::OffsetCommit(key, None));
    shard.replay_end_transaction(ProducerId(9), true);
    assert_eq!(committed(&shard), None);
}

/// What Kafka's `Utils.abs(group.hashCode()) % 50` gives.
#[test]
fn groups_are_spread_as_kafka_spreads_them() {
    for (group, partition) in [
        ("", 0),
        ("g", 3),
        ("group-1", 49),
        ("my-consumer-group", 13),
        ("polygenelubricants", 0),
        ("\u{e4}\u{20ac}", 32),
        ("\u{1f600}x", 39),
        ("console-consumer-12345", 6),
    ] {
        assert_eq!(partition_for(group, 50), partition, "{group}");
    }
}
