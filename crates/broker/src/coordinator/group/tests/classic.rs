//! Members come, assign, leave and die.

use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::shard::AppendFailure;

fn harness() -> Harness {
    Harness::new(GroupConfig::default())
}

#[test]
fn a_first_member_waits_for_the_initial_delay_and_leads() {
    let mut h = harness();
    let (id, join) = h.join_new();
    assert!(id.starts_with("client-"), "{id}");
    h.sleep(2_999);
    assert!(h.is_waiting(join));
    assert_eq!(h.state(), "PreparingRebalance");
    h.sleep(1);
    let joined = h.joined(join);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(&*joined.leader, id);
    assert_eq!(&*joined.members[0].metadata, subscription(&["t"]));
    assert_eq!(h.state(), "CompletingRebalance");
    assert_eq!(h.commit_offset(7, commit_request(&id, 1, 5)), 27);
    let sync = h.sync(sync_request(&id, 1, &[(&id, b"all")]));
    let synced = h.synced(sync);
    assert_eq!((synced.error_code, &*synced.assignment), (0, &b"all"[..]));
    assert_eq!(h.state(), "Stable");
    assert_eq!(h.heartbeat(&id, 1), 0);
}

#[test]
fn the_initial_delay_grows_while_members_come_but_not_for_ever() {
    let mut h = harness();
    let (_, first) = h.join_new();
    h.sleep(2_000);
    let (_, second) = h.join_new();
    h.sleep(1_000);
    assert!(h.is_waiting(first), "extended by the second member");
    h.sleep(2_999);
    assert!(h.is_waiting(first));
    h.sleep(1);
    let (first, second) = (h.joined(first), h.joined(second));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(
        first.members.len() + second.members.len(),
        2,
        "only the leader is told"
    );

    // A new member every two seconds: after the rebalance timeout of 30 s it is enough.
    let mut h = harness();
    let tickets: Vec<_> = (0..20)
        .map(|_| {
            let (_, ticket) = h.join_new();
            h.sleep(2_000);
            ticket
        })
        .collect();
    assert!(!h.is_waiting(tickets[0]), "40 s have passed");
}

#[test]
fn without_initial_delay_the_first_member_is_answered_at_once() {
    let mut h = Harness::new(GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    });
    let (_, join) = h.join_new();
    h.sleep(0);
    assert_eq!(h.joined(join).generation_id, 1);
}

#[test]
fn old_clients_join_without_an_id() {
    for version in 0..=3 {
        let mut h = harness();
        let request = join_request("").with_rebalance_timeout_ms(-1);
        let join = h.send(GroupRequest::JoinGroup(origin_of(version), request));
        h.sleep(3_000);
        let joined = h.joined(join);
        assert_eq!(joined.error_code, 0, "version {version}");
        assert_eq!(joined.members.len(), 1);
    }
}

#[test]
fn an_id_that_never_comes_back_is_forgotten_after_the_session_timeout() {
    let mut h = harness();
    let ticket = h.join(join_request(""));
    let id = h.joined(ticket).member_id.to_string();
    h.sleep(10_000);
    let late = h.join(join_request(&id));
    assert_eq!(h.joined(late).error_code, 25);
    assert_eq!(h.state(), "Empty");
}

#[test]
fn a_pending_id_holds_up_a_rebalance_until_it_expires() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    let pending = h.join(join_request(""));
    assert_eq!(h.joined(pending).error_code, 79);
    let rejoin = h.join(join_request(&ids[0]));
    assert!(h.is_waiting(rejoin));
    h.sleep(10_000);
    assert_eq!(h.joined(rejoin).generation_id, generation + 1);
}

#[test]
fn a_member_that_comes_makes_the_others_join_again() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    let (newcomer, join) = h.join_new();
    for id in &ids {
        assert_eq!(h.heartbeat(id, generation), 27);
        assert_eq!(h.commit_offset(7, commit_request(id, generation, 7)), 0);
    }
    let syncing = h.sync(sync_request(&ids[1], generation, &[]));
    assert_eq!(h.synced(syncing).error_code, 27);
    let rejoins: Vec<_> = ids.iter().map(|id| h.join(join_request(id))).collect();
    let leader = h.joined(rejoins[0]);
    assert_eq!(&*leader.leader, ids[0], "the leader stays");
    assert_eq!(leader.members.len(), 3);
    for ticket in [rejoins[1], join] {
        let joined = h.joined(ticket);
        assert_eq!(
            (joined.generation_id, joined.members.len()),
            (generation + 1, 0)
        );
    }
    assert_eq!(h.heartbeat(&newcomer, generation), 22);
    assert_eq!(h.heartbeat(&newcomer, generation + 1), 0);
}

#[test]
fn followers_wait_for_the_leaders_assignment_and_late_ones_get_theirs() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(3);
    let rejoins: Vec<_> = ids.iter().map(|id| h.join(join_request(id))).collect();
    let generation = generation + 1;
    for ticket in rejoins {
        assert_eq!(h.joined(ticket).generation_id, generation);
    }
    let follower = h.sync(sync_request(&ids[1], generation, &[]));
    assert!(h.is_waiting(follower));
    let leader = h.sync(sync_request(
        &ids[0],
        generation,
        &[(&ids[1], b"1"), (&ids[2], b"2")],
    ));
    assert_eq!(h.synced(leader).assignment.len(), 0, "nothing for itself");
    assert_eq!(&*h.synced(follower).assignment, b"1");
    let late = h.sync(sync_request(&ids[2], generation, &[]));
    assert_eq!(&*h.synced(late).assignment, b"2");
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    let rejoins: Vec<_> = ids.iter().map(|id| h.join(join_request(id))).collect();
    let generation = generation + 1;
    for ticket in rejoins {
        assert_eq!(h.joined(ticket).generation_id, generation);
    }
    let leader = h.sync(sync_request(&ids[0], generation, &[(&ids[0], b"a")]));
    assert_eq!(h.synced(leader).error_code, 0);
    for _ in 0..6 {
        h.sleep(5_000);
        for id in &ids {
            h.heartbeat(id, generation);
        }
    }
    assert_eq!(h.heartbeat(&ids[0], generation), 27);
    assert_eq!(h.heartbeat(&ids[1], generation), 25);
}

#[test]
fn a_silent_member_is_out_after_its_session_and_the_others_rebalance() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    h.sleep(9_999);
    assert_eq!(h.heartbeat(&ids[1], generation), 0);
    h.sleep(1);
    assert_eq!(h.heartbeat(&ids[0], generation), 25);
    let rejoin = h.join(join_request(&ids[1]));
    let joined = h.joined(rejoin);
    assert_eq!(&*joined.leader, ids[1], "a new leader");
    assert_eq!(joined.generation_id, generation + 1);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    let rejoin = h.join(join_request(&ids[0]));
    for _ in 0..5 {
        h.sleep(5_000);
        assert_eq!(h.heartbeat(&ids[1], generation), 27);
    }
    assert!(h.is_waiting(rejoin));
    h.sleep(5_000);
    assert_eq!(h.joined(rejoin).members.len(), 1);
    assert_eq!(h.heartbeat(&ids[1], generation), 25);
}

#[test]
fn leaving_rebalances_and_the_last_one_leaves_an_empty_group() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    let left = h.leave(&[(&ids[0], None), ("nobody", None)]);
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    assert_eq!(left.members[1].error_code, 25);
    assert_eq!(h.heartbeat(&ids[1], generation), 27);
    h.leave(&[(&ids[1], None)]);
    assert_eq!(h.state(), "Empty");
    assert_eq!(h.heartbeat(&ids[1], generation), 25);
    h.restart();
    assert_eq!(h.state(), "Empty");
    let (_, join) = h.join_new();
    h.sleep(3_000);
    assert!(h.joined(join).generation_id > generation);
}

#[test]
fn old_leave_requests_name_one_member() {
    let mut h = harness();
    let (ids, _) = h.stable_group(1);
    for (member, code) in [("nobody", 25), (&*ids[0], 0)] {
        let request = leave_request(&[]).with_member_id(text(member));
        let response = h.ask(GroupRequest::LeaveGroup(origin_of(2), request));
        let GroupResponse::LeaveGroup(response) = response else {
            panic!("{response:?}");
        };
        assert_eq!((response.error_code, response.members.len()), (code, 0));
    }
    assert_eq!(h.state(), "Empty");
}

#[test]
fn rejoining_with_the_same_metadata() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(2);
    let follower = h.join(join_request(&ids[1]));
    assert_eq!(h.joined(follower).generation_id, generation, "no rebalance");
    let changed = join_request(&ids[1]).with_protocols(vec![protocol("range", &["t", "u"])]);
    let changed = h.join(changed);
    assert!(h.is_waiting(changed));
    assert_eq!(h.heartbeat(&ids[0], generation), 27);
    let leader = h.join(join_request(&ids[0]));
    assert_eq!(h.joined(leader).generation_id, generation + 1);
    assert_eq!(h.joined(changed).generation_id, generation + 1);
    // The answer may have been lost.
    let again = h.join(join_request(&ids[0]));
    let again = h.joined(again);
    assert_eq!(
        (again.generation_id, again.members.len()),
        (generation + 1, 2)
    );
}

#[test]
fn a_repeated_join_answers_the_first_request_too() {
    let mut h = harness();
    let (ids, _) = h.stable_group(2);
    let first = h.join(join_request(&ids[0]));
    let second = h.join(join_request(&ids[0]));
    assert_eq!(h.joined(first).error_code, 27);
    assert!(h.is_waiting(second));
}

#[test]
fn the_protocol_most_members_prefer_wins() {
    let offers = |names: &[&str]| {
        let protocols = names.iter().map(|name| protocol(name, &["t"]));
        join_request("").with_protocols(protocols.collect())
    };
    let mut h = harness();
    let tickets: Vec<_> = [
        offers(&["sticky", "range"]),
        offers(&["range", "sticky", "own"]),
        offers(&["range", "sticky"]),
    ]
    .into_iter()
    .map(|request| h.join_new_as(request).1)
    .collect();
    let stranger = h.join(offers(&["own"]));
    assert_eq!(h.joined(stranger).error_code, 23, "not offered by all");
    h.sleep(9_000);
    for ticket in tickets {
        assert_eq!(h.joined(ticket).protocol_name.as_deref(), Some("range"));
    }
}

#[test]
fn the_limit_of_members() {
    let mut h = Harness::new(GroupConfig {
        max_size: 2,
        ..GroupConfig::default()
    });
    let (ids, _) = h.stable_group(2);
    let third = h.join(join_request(""));
    assert_eq!(h.joined(third).error_code, 81);
    assert_eq!(h.state(), "Stable");
    h.leave(&[(&ids[0], None)]);
    let (_, join) = h.join_new();
    assert!(h.is_waiting(join));
}

#[test]
fn members_survive_a_restart() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(3);
    h.commit_offset(7, commit_request(&ids[0], generation, 41));
    h.restart();
    assert_eq!(h.state(), "Stable");
    assert_eq!(h.fetch_offset(), (41, 3, "note".to_owned()));
    for id in &ids {
        assert_eq!(h.heartbeat(id, generation), 0);
    }
    let sync = h.sync(sync_request(&ids[2], generation, &[]));
    assert_eq!(h.synced(sync).assignment, ids[2].as_bytes());
    h.sleep(10_000);
    assert_eq!(
        h.heartbeat(&ids[0], generation),
        25,
        "the session runs again"
    );
}

#[test]
fn answers_wait_for_the_commit() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    h.hold_commits = true;
    let commit = GroupRequest::OffsetCommit(origin_of(7), commit_request(&ids[0], generation, 9));
    let commit = h.send(commit);
    let beat = h.send(GroupRequest::Heartbeat(heartbeat_request(
        &ids[0], generation,
    )));
    assert!(h.is_waiting(commit) && h.is_waiting(beat));
    h.commit();
    assert!(!h.is_waiting(commit) && !h.is_waiting(beat));
}

#[test]
fn a_log_that_fails_changes_nothing() {
    for (failure, code) in [
        (AppendFailure::Storage, 16),
        (AppendFailure::NotLeader, 16),
        (AppendFailure::NotEnoughReplicas, 15),
        (AppendFailure::TooLarge, -1),
    ] {
        let mut h = harness();
        h.failing = Some(failure);
        let join = h.join(join_request(""));
        assert_eq!(h.joined(join).error_code, code);
        assert_eq!(h.state(), "Dead", "no group was made");
        assert_eq!(h.commit_offset(7, commit_request("", -1, 3)), code);
        assert_eq!(h.fetch_offset().0, -1);
        h.failing = None;
        let (ids, generation) = h.stable_group(2);
        let rejoins: Vec<_> = ids.iter().map(|id| h.join(join_request(id))).collect();
        for ticket in rejoins {
            assert_eq!(h.joined(ticket).error_code, 0);
        }
        h.failing = Some(failure);
        let follower = h.sync(sync_request(&ids[1], generation + 1, &[]));
        let leader = h.sync(sync_request(&ids[0], generation + 1, &[(&ids[0], b"x")]));
        assert_eq!(h.synced(leader).error_code, code);
        assert_eq!(h.synced(follower).error_code, code);
        assert_eq!(h.state(), "PreparingRebalance", "they may try again");
    }
}
