//! What a client may get wrong, and the code it gets.

use super::harness::*;
use crate::answer_room::AnswerRoom;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::{GroupFilter, GroupRequest, GroupResponse};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_protocol::messages::{ListGroupsRequest, OffsetDeleteRequest};

/// The error of the first thing the response is about.
pub(super) fn code(response: &GroupResponse) -> i16 {
    match response {
        GroupResponse::ConsumerGroupDescribe(response) => response.groups[0].error_code,
        GroupResponse::ConsumerGroupHeartbeat(response) => response.error_code,
        GroupResponse::DeleteGroups(response) => response.results[0].error_code,
        GroupResponse::DescribeGroups(response) => response.groups[0].error_code,
        GroupResponse::EndTransaction(outcome) => outcome.err().map_or(0, |error| error.code()),
        GroupResponse::Heartbeat(response) => response.error_code,
        GroupResponse::JoinGroup(response) => response.error_code,
        GroupResponse::LeaveGroup(response) => match response.members.first() {
            Some(member) if response.error_code == 0 => member.error_code,
            _ => response.error_code,
        },
        GroupResponse::ListGroups(response) => response.error_code,
        GroupResponse::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        GroupResponse::OffsetDelete(response) => response.error_code,
        GroupResponse::OffsetFetch(response) => response.error_code,
        GroupResponse::PartitionsDeleted | GroupResponse::Sample(_) => 0,
        GroupResponse::SyncGroup(response) => response.error_code,
        GroupResponse::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
    }
}

/// Requests to a stable group `g` of two consumers `ids`, the leader first, in `generation`.
fn table(ids: &[String], generation: i32) -> Vec<(&'static str, GroupRequest, i16)> {
    let join = |change: fn(&mut ottla_protocol::messages::JoinGroupRequest)| {
        let mut request = join_request("");
        change(&mut request);
        GroupRequest::JoinGroup(origin(), request)
    };
    let leader = &*ids[0];
    vec![
        ("no group id", join(|r| r.group_id = text("").into()), 24),
        (
            "session too short",
            join(|r| r.session_timeout_ms = 5_999),
            26,
        ),
        (
            "session too long",
            join(|r| r.session_timeout_ms = 1_800_001),
            26,
        ),
        ("negative session", join(|r| r.session_timeout_ms = -1), 26),
        ("unknown member", join(|r| r.member_id = text("nobody")), 25),
        (
            "more protocols than anybody has",
            join(|r| r.protocols = vec![r.protocols[0].clone(); 101]),
            23,
        ),
        (
            "unknown group and member",
            join(|r| {
                r.group_id = text("h").into();
                r.member_id = text("nobody")
            }),
            25,
        ),
        (
            "other protocol type",
            join(|r| r.protocol_type = text("connect")),
            23,
        ),
        ("no protocol type", join(|r| r.protocol_type = text("")), 23),
        ("no protocols", join(|r| r.protocols.clear()), 23),
        (
            "no common protocol",
            join(|r| r.protocols = vec![protocol("other", &["t"])]),
            23,
        ),
        (
            "unknown instance",
            join(|r| {
                r.member_id = text("nobody");
                r.group_instance_id = Some(text("i"))
            }),
            25,
        ),
        (
            "sync without group id",
            GroupRequest::SyncGroup(
                sync_request(leader, generation, &[]).with_group_id(text("").into()),
            ),
            24,
        ),
        (
            "sync to an unknown group",
            GroupRequest::SyncGroup(
                sync_request(leader, generation, &[]).with_group_id(text("h").into()),
            ),
            25,
        ),
        (
            "sync of an unknown member",
            GroupRequest::SyncGroup(sync_request("nobody", generation, &[])),
            25,
        ),
        (
            "sync of an old generation",
            GroupRequest::SyncGroup(sync_request(leader, generation - 1, &[])),
            22,
        ),
        (
            "sync of a generation to come",
            GroupRequest::SyncGroup(sync_request(leader, generation + 1, &[])),
            22,
        ),
        (
            "sync with another protocol type",
            GroupRequest::SyncGroup(
                sync_request(leader, generation, &[]).with_protocol_type(Some(text("connect"))),
            ),
            23,
        ),
        (
            "sync with another protocol",
            GroupRequest::SyncGroup(
                sync_request(leader, generation, &[]).with_protocol_name(Some(text("sticky"))),
            ),
            23,
        ),
        (
            "sync of an unknown instance",
            GroupRequest::SyncGroup(
                sync_request(leader, generation, &[]).with_group_instance_id(Some(text("i"))),
            ),
            25,
        ),
        (
            "heartbeat without group id",
            GroupRequest::Heartbeat(
                heartbeat_request(leader, generation).with_group_id(text("").into()),
            ),
            24,
        ),
        (
            "heartbeat to an unknown group",
            GroupRequest::Heartbeat(
                heartbeat_request(leader, generation).with_group_id(text("h").into()),
            ),
            25,
        ),
        (
            "heartbeat of an unknown member",
            GroupRequest::Heartbeat(heartbeat_request("nobody", generation)),
            25,
        ),
        (
            "heartbeat of an old generation",
            GroupRequest::Heartbeat(heartbeat_request(leader, generation - 1)),
            22,
        ),
        (
            "heartbeat of an unknown instance",
            GroupRequest::Heartbeat(
                heartbeat_request(leader, generation).with_group_instance_id(Some(text("i"))),
            ),
            25,
        ),
        (
            "leave without group id",
            GroupRequest::LeaveGroup(
                origin_of(5),
                leave_request(&[(leader, None)]).with_group_id(text("").into()),
            ),
            24,
        ),
        (
            "leave of an unknown group",
            GroupRequest::LeaveGroup(
                origin_of(5),
                leave_request(&[(leader, None)]).with_group_id(text("h").into()),
            ),
            25,
        ),
        (
            "leave of an unknown member",
            GroupRequest::LeaveGroup(origin_of(5), leave_request(&[("nobody", None)])),
            25,
        ),
        (
            "commit of an old generation",
            GroupRequest::OffsetCommit(origin_of(8), commit_request(leader, generation - 1, 1)),
            22,
        ),
        (
            "commit of a stranger",
            GroupRequest::OffsetCommit(origin_of(8), commit_request("", -1, 1)),
            25,
        ),
        (
            "commit of an unknown instance",
            GroupRequest::OffsetCommit(
                origin_of(8),
                commit_request(leader, generation, 1).with_group_instance_id(Some(text("i"))),
            ),
            25,
        ),
        (
            "commit to an unknown group, old client",
            GroupRequest::OffsetCommit(
                origin_of(8),
                commit_request("m", 1, 1).with_group_id(text("h").into()),
            ),
            22,
        ),
        (
            "commit to an unknown group",
            GroupRequest::OffsetCommit(
                origin_of(9),
                commit_request("m", 1, 1).with_group_id(text("h").into()),
            ),
            69,
        ),
        (
            "delete offsets without group id",
            GroupRequest::OffsetDelete(OffsetDeleteRequest::default()),
            24,
        ),
        (
            "delete offsets of an unknown group",
            GroupRequest::OffsetDelete(
                OffsetDeleteRequest::default().with_group_id(text("h").into()),
            ),
            69,
        ),
        (
            "delete an unknown group",
            GroupRequest::DeleteGroups(vec!["h".into()]),
            69,
        ),
        (
            "delete the empty group id",
            GroupRequest::DeleteGroups(vec!["".into()]),
            69,
        ),
        (
            "delete a group with members",
            GroupRequest::DeleteGroups(vec!["g".into()]),
            68,
        ),
        (
            "describe an unknown group",
            GroupRequest::DescribeGroups(origin_of(6), vec!["h".into()], AnswerRoom::default()),
            69,
        ),
        (
            "describe an unknown group, old client",
            GroupRequest::DescribeGroups(origin_of(5), vec!["h".into()], AnswerRoom::default()),
            0,
        ),
        (
            "offsets of an unknown group",
            GroupRequest::OffsetFetch(
                OffsetFetchRequestGroup::default().with_group_id(text("h").into()),
                false,
                AnswerRoom::default(),
            ),
            0,
        ),
    ]
}

#[test]
fn each_mistake_has_its_code_and_changes_nothing() {
    let mut h = Harness::new(GroupConfig::default());
    let (ids, generation) = h.stable_group(2);
    let before = h.log.clone();
    for (mistake, request, expected) in table(&ids, generation) {
        let response = h.ask(request);
        assert_eq!(code(&response), expected, "{mistake}: {response:?}");
        assert_eq!(h.state(), "Stable", "{mistake}");
    }
    assert_eq!(h.log, before);
}

#[test]
fn a_group_is_made_also_for_a_member_that_it_refuses() {
    for without_protocols in [true, false] {
        let mut h = Harness::new(GroupConfig::default());
        let mut request = join_request("");
        match without_protocols {
            true => request.protocols.clear(),
            false => request.protocol_type = text(""),
        }
        let response = h.ask(GroupRequest::JoinGroup(origin(), request));
        assert_eq!(code(&response), 23);
        assert_eq!(h.state(), "Empty");
    }
}

#[test]
fn oversized_blobs_are_no_concern_of_the_state() {
    let mut h = Harness::new(GroupConfig::default());
    let mut request = join_request("");
    request.protocols[0].metadata = vec![0xff; 1 << 20].into();
    let (id, join) = h.join_new_as(request);
    h.sleep(3_000);
    assert_eq!(h.joined(join).error_code, 0);
    let sync = h.sync(sync_request(
        &id,
        1,
        &[(&id, &[7; 1 << 20]), ("nobody", b"x")],
    ));
    assert_eq!(h.synced(sync).assignment.len(), 1 << 20);
    // It cannot be told what the group consumes, so its offsets stay.
    h.commit_offset(7, commit_request(&id, 1, 1));
    let request = OffsetDeleteRequest::default().with_group_id(text("g").into());
    assert_eq!(code(&h.ask(GroupRequest::OffsetDelete(request))), 0);
}

#[test]
fn lists_are_filtered() {
    let mut h = Harness::new(GroupConfig::default());
    h.stable_group(1);
    h.commit_offset(
        7,
        commit_request("", -1, 1).with_group_id(text("alone").into()),
    );
    let list = |h: &mut Harness, states: &[&str], types: &[&str]| -> Vec<String> {
        let strings = |names: &[&str]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
        let request = ListGroupsRequest::default()
            .with_states_filter(strings(states))
            .with_types_filter(strings(types));
        let request = GroupRequest::ListGroups(GroupFilter::of(&request).into());
        let GroupResponse::ListGroups(response) = h.ask(request) else {
            panic!();
        };
        (response.groups.iter())
            .map(|group| {
                let group = [
                    &*group.group_id,
                    &group.protocol_type,
                    &group.group_state,
                    &group.group_type,
                ];
                group.map(|part| part.to_string()).join(" ")
            })
            .collect()
    };
    let all = ["alone  Empty classic", "g consumer Stable classic"];
    assert_eq!(list(&mut h, &[], &[]), all);
    assert_eq!(list(&mut h, &["stable"], &[]), all[1..]);
    assert_eq!(list(&mut h, &["EMPTY", "Dead"], &["classic"]), all[..1]);
    assert_eq!(list(&mut h, &[], &["consumer"]), [""; 0]);
    assert_eq!(list(&mut h, &["no such state"], &[]), [""; 0]);
}
