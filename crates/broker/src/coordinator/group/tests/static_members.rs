//! Members with a name of their own (KIP-345): a restart is no rebalance, and two of a name are not tolerated.

use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::GroupRequest;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

fn named(member_id: &str, instance: &str) -> JoinGroupRequest {
    join_request(member_id).with_group_instance_id(Some(text(instance)))
}

/// A stable group of static members `a` and `b`; the answers to their joins, the leader's first.
fn stable() -> (Harness, Vec<(String, JoinGroupResponse)>) {
    let mut h = Harness::new(GroupConfig::default());
    let tickets = ["a", "b"].map(|name| (name, h.join(named("", name))));
    h.sleep(6_000);
    let mut joined: Vec<_> = tickets
        .map(|(name, ticket)| (name.to_owned(), h.joined(ticket)))
        .into();
    joined.sort_by_key(|(_, response)| response.leader != response.member_id);
    let ids: Vec<String> = joined
        .iter()
        .map(|(_, response)| response.member_id.to_string())
        .collect();
    let assignments: Vec<(&str, &[u8])> = ids.iter().map(|id| (&**id, id.as_bytes())).collect();
    for id in &ids {
        let mine = if *id == ids[0] { &assignments[..] } else { &[] };
        let ticket = h.sync(sync_request(id, 1, mine));
        assert_eq!(h.synced(ticket).error_code, 0);
    }
    (h, joined)
}

#[test]
fn a_static_member_is_not_asked_to_come_back_with_an_id() {
    let (mut h, joined) = stable();
    for (name, response) in &joined {
        assert!(response.member_id.starts_with(&format!("{name}-")));
    }
    assert_eq!(h.state(), "Stable");
}

#[test]
fn a_restarted_follower_takes_its_place_without_a_rebalance() {
    let (mut h, joined) = stable();
    let (name, old) = &joined[1];
    let leader = joined[0].1.member_id.to_string();
    let back = h.join(named("", name));
    let back = h.joined(back);
    assert_eq!((back.error_code, back.generation_id), (0, 1));
    assert_ne!(back.member_id, old.member_id);
    assert_eq!((&*back.leader, back.skip_assignment), (&*leader, false));
    assert_eq!(h.state(), "Stable");
    // The old process is fenced, with and without its name.
    let fenced = heartbeat_request(&old.member_id, 1).with_group_instance_id(Some(text(name)));
    let fenced = h.ask(GroupRequest::Heartbeat(fenced));
    assert!(
        format!("{fenced:?}").contains("error_code: 82"),
        "{fenced:?}"
    );
    assert_eq!(h.heartbeat(&old.member_id, 1), 25);
    let commit = commit_request(&old.member_id, 1, 4).with_group_instance_id(Some(text(name)));
    assert_eq!(h.commit_offset(7, commit), 82);
    // The new one has what the old one had, also after a restart of the broker.
    h.restart();
    let sync = h.sync(sync_request(&back.member_id, 1, &[]));
    assert_eq!(h.synced(sync).assignment, old.member_id.as_bytes());
    assert_eq!(h.heartbeat(&leader, 1), 0);
}

#[test]
fn a_restarted_leader_is_told_not_to_assign() {
    for (version, skips) in [(9, true), (8, false)] {
        let (mut h, joined) = stable();
        let (name, old) = &joined[0];
        let ticket = h.send(GroupRequest::JoinGroup(origin_of(version), named("", name)));
        let back = h.joined(ticket);
        assert_eq!(back.skip_assignment, skips);
        match skips {
            true => {
                assert_eq!(back.leader, back.member_id);
                assert_eq!(back.members.len(), 2);
            }
            // It must not think that it leads.
            false => assert_eq!((&*back.leader, back.members.len()), (&*old.member_id, 0)),
        }
        assert_eq!(h.state(), "Stable");
    }
}

#[test]
fn a_restart_with_other_protocols_rebalances() {
    let (mut h, joined) = stable();
    let (name, _) = &joined[1];
    let changed =
        named("", name).with_protocols(vec![protocol("range", &["t"]), protocol("x", &["t"])]);
    let same_choice = h.join(changed);
    assert!(!h.is_waiting(same_choice), "range is still the choice");

    // Both know both protocols, and the votes change.
    let (mut h, joined) = stable();
    let both =
        |preferred: &str, other: &str| vec![protocol(preferred, &["t"]), protocol(other, &["t"])];
    let leader = joined[0].1.member_id.to_string();
    let follower = joined[1].1.member_id.to_string();
    let tickets = [(&leader, &joined[0].0), (&follower, &joined[1].0)]
        .map(|(id, name)| h.join(named(id, name).with_protocols(both("range", "x"))));
    for ticket in tickets {
        assert_eq!(h.joined(ticket).generation_id, 2);
    }
    for id in [&leader, &follower] {
        let ticket = h.sync(sync_request(id, 2, &[]));
        h.take(ticket);
    }
    assert_eq!(h.state(), "Stable");
    let back = h.join(named("", &joined[1].0).with_protocols(vec![protocol("x", &["t"])]));
    assert!(h.is_waiting(back));
    assert_eq!(h.state(), "PreparingRebalance");
}

#[test]
fn a_restart_while_the_leader_assigns_rebalances() {
    let (mut h, joined) = stable();
    let ids: Vec<_> = joined
        .iter()
        .map(|(_, response)| response.member_id.to_string())
        .collect();
    let tickets: Vec<_> = (joined.iter().zip(&ids))
        .map(|((name, _), id)| {
            let changed = vec![protocol("range", &["t", "u"])];
            h.join(named(id, name).with_protocols(changed))
        })
        .collect();
    for ticket in tickets {
        assert_eq!(h.joined(ticket).generation_id, 2);
    }
    let waiting = h.sync(sync_request(&ids[1], 2, &[]));
    let back = h.join(named("", &joined[1].0));
    assert_eq!(h.synced(waiting).error_code, 82, "fenced");
    assert!(h.is_waiting(back));
    assert_eq!(h.heartbeat(&ids[0], 2), 27);
}

#[test]
fn a_parked_join_of_the_old_process_is_fenced() {
    let mut h = Harness::new(GroupConfig::default());
    let first = h.join(named("", "a"));
    let second = h.join(named("", "a"));
    assert_eq!(h.joined(first).error_code, 82);
    h.sleep(6_000);
    let joined = h.joined(second);
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    let (mut h, joined) = stable();
    let (_, leader) = &joined[0];
    h.sleep(9_000);
    let rejoin = h.join(named(&leader.member_id, &joined[0].0).with_rebalance_timeout_ms(500));
    h.sleep(999);
    assert!(h.is_waiting(rejoin));
    h.sleep(1);
    assert_eq!(
        h.joined(rejoin).members.len(),
        1,
        "the other one's session is over"
    );
}

#[test]
fn leaving_by_name() {
    let (mut h, joined) = stable();
    let left = h.leave(&[("", Some("a")), ("", Some("nobody")), ("", None)]);
    let codes: Vec<_> = left
        .members
        .iter()
        .map(|member| member.error_code)
        .collect();
    assert_eq!(codes, [0, 25, 25]);
    let other = joined.iter().find(|(name, _)| name == "b").unwrap();
    let wrong = h.leave(&[
        ("other-id", Some("b")),
        (&other.1.member_id, Some("nobody")),
    ]);
    let codes: Vec<_> = wrong
        .members
        .iter()
        .map(|member| member.error_code)
        .collect();
    assert_eq!(codes, [82, 25]);
    assert_eq!(h.heartbeat(&other.1.member_id, 1), 27);
}
