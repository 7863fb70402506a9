//! Groups with members that go from one protocol to the other and back.

use super::consumer_client::*;
use super::harness::*;
use super::mixed_client::*;
use crate::coordinator::group::config::{GroupConfig, MigrationPolicy};
use crate::coordinator::group::kind::Group;
use crate::coordinator::group::message::GroupRequest;
use crate::coordinator::shard::AppendFailure;

const PARTITIONS: i32 = 6;

fn with_policy(migration_policy: MigrationPolicy) -> Harness {
    let h = Harness::new(GroupConfig {
        migration_policy,
        ..GroupConfig::default()
    });
    h.topics.set("t", PARTITIONS);
    h
}

/// Let everybody act for a while.
fn run(h: &mut Harness, classic: &mut [ClassicClient], consumers: &mut [Client]) {
    for _ in 0..40 {
        h.sleep(500);
        for client in classic.iter_mut() {
            client.step(h, PARTITIONS);
        }
        for client in consumers.iter_mut() {
            assert_eq!(client.beat(h), 0, "{}", client.id);
        }
        one_owner(h, classic, consumers);
    }
    let owned: usize = classic.iter().map(|client| client.owned.len()).sum();
    let consumed: usize = consumers.iter().map(Client::count).sum();
    assert_eq!(owned + consumed, PARTITIONS as usize, "all is shared out");
}

fn is_classic(h: &Harness) -> bool {
    matches!(h.shard.groups.get("g"), Some(Group::Classic(_)))
}

#[test]
fn a_group_goes_over_member_by_member_and_back() {
    for is_cooperative in [false, true] {
        let mut h = with_policy(MigrationPolicy::Bidirectional);
        h.commit_offset(7, commit_request("", -1, 41));
        let new = || ClassicClient::new(is_cooperative);
        let mut classic = vec![new(), new()];
        let mut consumers = Vec::new();
        run(&mut h, &mut classic, &mut consumers);
        assert!(is_classic(&h));
        // One comes with the new protocol: the others learn of it by a heartbeat.
        consumers.push(Client::new("a", &["t"]));
        run(&mut h, &mut classic, &mut consumers);
        assert!(!is_classic(&h));
        assert_eq!(
            (consumers[0].count(), state(&mut h)),
            (2, "Stable".to_owned())
        );
        h.restart();
        run(&mut h, &mut classic, &mut consumers);
        let gone = classic.remove(0);
        h.leave(&[(&gone.id, None)]);
        run(&mut h, &mut classic, &mut consumers);
        let gone = classic.remove(0);
        h.leave(&[(&gone.id, None)]);
        run(&mut h, &mut classic, &mut consumers);
        assert_eq!((is_classic(&h), consumers[0].count()), (false, 6));
        // And back: the last one of the new protocol turns the group when it goes.
        classic.push(new());
        run(&mut h, &mut classic, &mut consumers);
        assert_eq!((is_classic(&h), consumers[0].count()), (false, 3));
        assert_eq!(consumers.remove(0).leave(&mut h, -1), 0);
        assert!(is_classic(&h));
        run(&mut h, &mut classic, &mut consumers);
        assert_eq!(
            (h.state(), classic[0].owned.len()),
            ("Stable".to_owned(), 6)
        );
        h.restart();
        run(&mut h, &mut classic, &mut consumers);
        assert_eq!(h.fetch_offset().0, 41);
    }
}

#[test]
fn a_dead_consumer_turns_the_group_back_too() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = vec![ClassicClient::new(true)];
    let mut consumers = vec![];
    run(&mut h, &mut classic, &mut consumers);
    consumers.push(Client::new("a", &["t"]));
    run(&mut h, &mut classic, &mut consumers);
    consumers.clear();
    for _ in 0..100 {
        h.sleep(500);
        classic[0].step(&mut h, PARTITIONS);
    }
    assert!(is_classic(&h));
    assert_eq!(classic[0].owned.len(), 6);
}

/// The rebalance in which the others get what the last consumer had is not in the log.
#[test]
fn a_crash_right_after_the_turn_back_leaves_no_partition_without_an_owner() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = [ClassicClient::new(false), ClassicClient::new(false)];
    let mut consumers = vec![Client::new("a", &["t"])];
    run(&mut h, &mut [], &mut consumers);
    run(&mut h, &mut classic, &mut consumers);
    assert_eq!(consumers.remove(0).leave(&mut h, -1), 0);
    assert!(is_classic(&h));
    h.restart();
    run(&mut h, &mut classic, &mut []);
}

#[test]
fn who_does_not_come_back_to_the_rebalance_is_out() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = vec![ClassicClient::new(true)];
    run(&mut h, &mut classic, &mut []);
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.beat(&mut h), 0);
    // Its heartbeats go on, and it never joins again.
    for _ in 0..61 {
        h.sleep(500);
        classic[0].phase = Phase::In;
        if is_member(&h, &classic[0].id) {
            classic[0].step(&mut h, PARTITIONS);
        }
        assert_eq!(a.beat(&mut h), 0);
    }
    assert!(!is_member(&h, &classic[0].id));
    assert_eq!(a.count(), 6);
}

/// Its partitions may be another member's by now, and nothing but this code makes it drop them.
#[test]
fn who_was_removed_comes_back_with_nothing() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = [ClassicClient::new(true)];
    let mut consumers = [Client::new("a", &["t"])];
    run(&mut h, &mut [], &mut consumers);
    run(&mut h, &mut classic, &mut consumers);
    // It is silent for longer than its session, and then told to rejoin as if nothing had been.
    for _ in 0..30 {
        h.sleep(500);
        assert_eq!(consumers[0].beat(&mut h), 0);
    }
    assert!(!is_member(&h, &classic[0].id));
    assert_eq!((consumers[0].count(), classic[0].owned.len()), (6, 3));
    let ticket = h.join(classic[0].join_request());
    assert_eq!(h.joined(ticket).error_code, 25);
    run(&mut h, &mut classic, &mut consumers);
    assert_eq!((consumers[0].count(), classic[0].owned.len()), (3, 3));
}

/// What a member was to own is not what it owns: one consumer comes and goes, and the next one comes, before the
/// member has heard of any of it.
#[test]
fn a_group_that_turns_twice_forgets_no_owner() {
    for is_cooperative in [false, true] {
        let mut h = with_policy(MigrationPolicy::Bidirectional);
        let mut classic = [ClassicClient::new(is_cooperative)];
        run(&mut h, &mut classic, &mut []);
        let mut a = Client::new("a", &["t"]);
        assert_eq!((a.beat(&mut h), a.count()), (0, 0));
        assert_eq!(a.leave(&mut h, -1), 0);
        assert!(is_classic(&h));
        let mut consumers = [Client::new("b", &["t"])];
        assert_eq!(consumers[0].beat(&mut h), 0);
        assert!(!is_classic(&h));
        one_owner(&h, &classic, &consumers);
        run(&mut h, &mut classic, &mut consumers);
    }
}

#[test]
fn the_policy_forbids() {
    for (policy, up, down) in [
        (MigrationPolicy::Disabled, false, false),
        (MigrationPolicy::Upgrade, true, false),
        (MigrationPolicy::Downgrade, false, true),
    ] {
        let mut h = with_policy(policy);
        let mut classic = vec![ClassicClient::new(true)];
        run(&mut h, &mut classic, &mut []);
        let mut a = Client::new("a", &["t"]);
        assert_eq!(a.beat(&mut h), if up { 0 } else { 69 }, "{policy:?}");
        assert_eq!(is_classic(&h), !up);
        // An empty group changes under any policy, and classic members may join it.
        h.leave(&[(&classic[0].id, None)]);
        classic[0] = ClassicClient::new(true);
        let mut consumers = vec![a];
        if !up {
            consumers[0].epoch = 0;
        }
        run(&mut h, &mut classic, &mut consumers);
        assert!(!is_classic(&h), "{policy:?}");
        assert_eq!(consumers.remove(0).leave(&mut h, -1), 0);
        assert_eq!(is_classic(&h), down, "{policy:?}");
        run(&mut h, &mut classic, &mut consumers);
    }
}

#[test]
fn a_static_member_changes_its_protocol_in_place() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let new = || {
        let mut client = ClassicClient::new(true);
        client.instance = Some("i".to_owned());
        client
    };
    let mut classic = vec![new()];
    run(&mut h, &mut classic, &mut []);
    let mut a = Client::new("a", &["t"]);
    a.instance = Some("i".to_owned());
    let mut consumers = [a];
    assert_eq!(consumers[0].beat(&mut h), 0);
    assert_eq!((is_classic(&h), consumers[0].count()), (false, 6));
    let mut old = classic.remove(0);
    old.step(&mut h, PARTITIONS);
    assert_eq!((old.phase, &*old.id), (Phase::Out, ""), "it is fenced");
    // The way back is as short: the group is a classic one again at once.
    classic.push(new());
    classic[0].step(&mut h, PARTITIONS);
    assert!(is_classic(&h));
    assert_eq!(consumers[0].beat(&mut h), 69);
    run(&mut h, &mut classic, &mut []);
}

#[test]
fn what_cannot_be_understood_is_not_upgraded() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let (ids, generation) = h.stable_group(2);
    let before = h.log.len();
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.beat(&mut h), 69, "the assignments are no assignments");
    assert_eq!((h.log.len(), h.heartbeat(&ids[0], generation)), (before, 0));
}

#[test]
fn a_failed_write_leaves_the_group_as_it_was() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = vec![ClassicClient::new(true)];
    run(&mut h, &mut classic, &mut []);
    h.failing = Some(AppendFailure::NotEnoughReplicas);
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.beat(&mut h), 15);
    assert!(is_classic(&h));
    h.failing = None;
    run(&mut h, &mut classic, &mut []);
    let mut consumers = vec![a];
    run(&mut h, &mut classic, &mut consumers);
    h.failing = Some(AppendFailure::Storage);
    assert_eq!(consumers[0].leave(&mut h, -1), 16);
    h.failing = None;
    run(&mut h, &mut classic, &mut consumers);
    assert!(!is_classic(&h));
}

/// Requests of the classic protocol to a consumer group with one member of each protocol.
#[test]
fn each_mistake_has_its_code() {
    let mut h = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = vec![ClassicClient::new(true)];
    let mut consumers = vec![Client::new("a", &["t"])];
    run(&mut h, &mut [], &mut consumers);
    run(&mut h, &mut classic, &mut consumers);
    let (id, generation) = (classic[0].id.clone(), classic[0].generation);
    let before = h.log.clone();
    assert_eq!(h.heartbeat(&id, generation - 1), 22);
    assert_eq!(h.heartbeat("who", generation), 25);
    assert_eq!(
        h.heartbeat("a", consumers[0].epoch),
        25,
        "of the other protocol"
    );
    assert_eq!(
        h.commit_offset(7, commit_request(&id, generation - 1, 5)),
        22
    );
    for (code, request) in [
        (22, sync_request(&id, generation - 1, &[])),
        (25, sync_request("who", generation, &[])),
        (25, sync_request("a", consumers[0].epoch, &[])),
        (
            23,
            sync_request(&id, generation, &[]).with_protocol_name(Some(text("sticky"))),
        ),
        (
            23,
            sync_request(&id, generation, &[]).with_protocol_type(Some(text("connect"))),
        ),
    ] {
        let ticket = h.sync(request);
        assert_eq!(h.synced(ticket).error_code, code);
    }
    let join = || classic[0].join_request();
    for (code, version, request) in [
        (23, 9, join().with_protocol_type(text("connect"))),
        (
            23,
            9,
            join().with_protocols(vec![protocol("sticky", &["t"])]),
        ),
        (23, 9, join().with_protocols(vec![])),
        (26, 9, join().with_session_timeout_ms(1)),
        (79, 9, join().with_member_id(text(""))),
        (25, 9, join().with_group_instance_id(Some(text("i")))),
        (-1, 9, {
            let mut torn = protocol("range", &["t"]);
            torn.metadata = b"\0".to_vec().into();
            join().with_protocols(vec![torn])
        }),
    ] {
        let ticket = h.send(GroupRequest::JoinGroup(origin_of(version), request));
        assert_eq!(h.joined(ticket).error_code, code);
    }
    assert_eq!(h.leave(&[("who", None)]).members[0].error_code, 25);
    assert_eq!(h.log, before);
}
