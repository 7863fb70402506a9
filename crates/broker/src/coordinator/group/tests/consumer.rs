//! Groups of the consumer protocol (KIP-848).

use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::consumer_client::*;
use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::shard::AppendFailure;

#[test]
fn one_member_gets_everything_at_once() {
    let mut h = harness();
    let mut a = Client::new("a", &["t", "unknown"]);
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!((a.epoch, a.count()), (1, 6));
    assert_eq!(state(&mut h), "Stable");
    let before = h.log.len();
    let quiet = send(&mut h, a.request().with_topic_partitions(None));
    assert_eq!((quiet.member_epoch, quiet.assignment), (1, None));
    assert_eq!(
        h.log.len(),
        before,
        "a heartbeat that changes nothing writes nothing"
    );
}

#[test]
fn a_partition_is_withheld_until_the_old_owner_has_given_it_up() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    assert_eq!(b.beat(&mut h), 0);
    assert_eq!((b.epoch, b.count()), (2, 0), "all partitions are taken");
    // a is told to give up three, and says nothing of it yet.
    let told = send(&mut h, a.request());
    assert_eq!(told.member_epoch, 1, "it stays in its epoch");
    assert_eq!(state(&mut h), "Reconciling");
    b.beat(&mut h);
    assert_eq!(b.count(), 0);
    a.take(&told);
    assert_eq!(a.count(), 3);
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(a.epoch, 2);
    b.beat(&mut h);
    assert_eq!(b.count(), 3);
    no_two_owners([&a, &b].into_iter());
    assert_eq!(state(&mut h), "Stable");
}

#[test]
fn who_does_not_give_up_in_time_is_out() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    b.beat(&mut h);
    let stubborn = a.request();
    for _ in 0..6 {
        assert_eq!(send(&mut h, stubborn.clone()).error_code, 0);
        assert_eq!(b.beat(&mut h), 0);
        h.sleep(5_000);
    }
    assert_eq!(send(&mut h, stubborn).error_code, 25);
    b.beat(&mut h);
    assert_eq!(b.count(), 6);
}

#[test]
fn the_configs_of_the_group_hold_from_the_next_heartbeat_on() {
    let mut h = harness();
    let mut a = Client::new("a", &["t"]);
    a.beat(&mut h);
    h.configs.set("other", 50_000, 6_000);
    assert_eq!(send(&mut h, a.request()).heartbeat_interval_ms, 5_000);
    h.configs.set("g", 60_000, 15_000);
    h.sleep(44_999);
    assert_eq!(send(&mut h, a.request()).heartbeat_interval_ms, 15_000);
    h.sleep(59_999);
    let mut full = a.request();
    full.rebalance_timeout_ms = 20_000;
    assert_eq!(send(&mut h, full).heartbeat_interval_ms, 15_000);
    h.sleep(60_000);
    assert_eq!(a.beat(&mut h), 25);
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    settle(&mut h, &mut [&mut a, &mut b]);
    h.sleep(44_999);
    b.beat(&mut h);
    h.sleep(1);
    assert_eq!(a.beat(&mut h), 25);
    b.beat(&mut h);
    assert_eq!(b.count(), 6);
}

#[test]
fn leaving_frees_partitions_at_once_and_the_last_one_leaves_an_empty_group() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    settle(&mut h, &mut [&mut a, &mut b]);
    assert_eq!(a.leave(&mut h, -1), 0);
    settle(&mut h, &mut [&mut b]);
    assert_eq!(b.count(), 6);
    assert_eq!(b.leave(&mut h, -1), 0);
    assert_eq!(state(&mut h), "Empty");
    assert_eq!(b.leave(&mut h, -1), 25);
}

#[test]
fn epochs_fence() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    settle(&mut h, &mut [&mut a, &mut b]);
    assert_eq!(
        send(&mut h, a.request().with_member_epoch(a.epoch + 1)).error_code,
        110
    );
    // The answer that told it the new epoch was lost.
    let late = a.request().with_member_epoch(1);
    let told = send(&mut h, late.clone());
    assert_eq!((told.error_code, told.member_epoch), (0, a.epoch));
    let assigned = &told.assignment.unwrap().topic_partitions[0].partitions;
    assert_eq!(assigned.len(), 3, "it is told again what it has");
    let mut too_much = late;
    let owned = &mut too_much.topic_partitions.as_mut().unwrap()[0];
    owned.partitions = (0..6).collect();
    assert_eq!(
        send(&mut h, too_much).error_code,
        110,
        "it may have what others have"
    );
    // What an old request says it owns gives nothing away that it has been told to give up since.
    let mut c = Client::new("c", &["t"]);
    c.beat(&mut h);
    let mut late = a.request().with_member_epoch(1);
    late.topic_partitions = Some(Vec::new());
    assert_eq!(send(&mut h, late).error_code, 0);
    c.beat(&mut h);
    no_two_owners([&a, &b, &c].into_iter());
    assert_eq!(c.count(), 0);
    // A member that lost its memory starts anew.
    a.epoch = 0;
    a.owned.clear();
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(a.count(), 2);
}

#[test]
fn topics_that_grow_or_come_are_noticed() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t", "late"]), Client::new("b", &["t"]));
    settle(&mut h, &mut [&mut a, &mut b]);
    h.topics.set("t", 10);
    settle(&mut h, &mut [&mut a, &mut b]);
    assert_eq!((a.count(), b.count()), (5, 5));
    h.topics.set("late", 2);
    settle(&mut h, &mut [&mut a, &mut b]);
    assert_eq!(a.count() + b.count(), 12);
    assert!(!b.owned.contains_key(&TestTopics::id("late")));
}

#[test]
fn expressions_follow_the_topics() {
    let mut h = harness();
    h.topics.set("orders-eu", 2);
    let mut a = Client::new("a", &[]);
    a.regex = Some("orders-.*".to_owned());
    settle(&mut h, &mut [&mut a]);
    assert_eq!(
        a.owned.keys().collect::<Vec<_>>(),
        [&TestTopics::id("orders-eu")]
    );
    h.topics.set("orders-us", 3);
    h.topics.set("my-orders-us", 3);
    settle(&mut h, &mut [&mut a]);
    assert_eq!(a.count(), 5, "the whole name has to match");
    h.restart();
    settle(&mut h, &mut [&mut a]);
    assert_eq!(a.count(), 5);
}

#[test]
fn what_a_member_names_does_not_wait_for_its_expression() {
    let mut h = harness();
    h.topics.set("orders-eu", 2);
    let mut a = Client::new("a", &["t"]);
    a.regex = Some("orders-.*".to_owned());
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(a.count(), 6, "the topic it names, and no other");
    h.sleep(0);
    assert_eq!(state(&mut h), "Assigning");
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(a.count(), 8);
    // A topic that comes is noticed by a heartbeat, which changes nothing yet.
    h.topics.set("orders-us", 3);
    let epoch = a.epoch;
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!((a.count(), a.epoch), (8, epoch));
    h.sleep(0);
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!((a.count(), a.epoch), (11, epoch + 1));
    // One that it does not match is no new epoch.
    h.topics.set("others", 3);
    settle(&mut h, &mut [&mut a]);
    assert_eq!((a.count(), a.epoch), (11, epoch + 1));
}

#[test]
fn expressions_are_looked_up_again_when_they_could_not_be_stored() {
    let mut h = harness();
    let mut a = Client::new("a", &[]);
    a.regex = Some("t+".to_owned());
    assert_eq!(a.beat(&mut h), 0);
    h.failing = Some(AppendFailure::Storage);
    h.sleep(0);
    h.failing = None;
    assert_eq!((a.beat(&mut h), a.count()), (0, 0));
    h.sleep(0);
    assert_eq!((a.beat(&mut h), a.count()), (0, 6));
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let mut h = harness();
    let mut a = Client::new("a", &["t"]);
    a.instance = Some("i".to_owned());
    let mut b = Client::new("b", &["t"]);
    settle(&mut h, &mut [&mut a, &mut b]);
    let mut again = Client::new("a2", &["t"]);
    again.instance = Some("i".to_owned());
    assert_eq!(again.beat(&mut h), 111, "the first one is alive");
    assert_eq!(a.leave(&mut h, -2), 0);
    b.beat(&mut h);
    assert_eq!(b.count(), 3, "its partitions wait for it");
    let epoch = b.epoch;
    assert_eq!(again.beat(&mut h), 0);
    assert_eq!((again.owned.clone(), again.epoch), (a.owned.clone(), epoch));
    assert_eq!(a.beat(&mut h), 82, "fenced");
    settle(&mut h, &mut [&mut again, &mut b]);
}

#[test]
fn groups_survive_a_restart() {
    let mut h = harness();
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut h);
    b.beat(&mut h);
    h.restart();
    settle(&mut h, &mut [&mut a, &mut b]);
    h.restart();
    h.sleep(45_000);
    assert_eq!(a.beat(&mut h), 25, "the sessions run again");
    assert_eq!(state(&mut h), "Empty");
}

#[test]
fn commits_carry_the_member_epoch() {
    let mut h = harness();
    let mut a = Client::new("a", &["t"]);
    a.beat(&mut h);
    assert_eq!(h.commit_offset(9, commit_request("a", 1, 5)), 0);
    assert_eq!(h.commit_offset(9, commit_request("a", 2, 6)), 113);
    assert_eq!(h.commit_offset(9, commit_request("x", 1, 6)), 25);
    assert_eq!(h.commit_offset(8, commit_request("a", 1, 6)), 35);
    assert_eq!(h.commit_offset(9, commit_request("", -1, 6)), 25);
    assert_eq!(h.fetch_offset().0, 5);
    a.leave(&mut h, -1);
    assert_eq!(h.commit_offset(9, commit_request("", -1, 7)), 0);
}

#[test]
fn empty_groups_change_their_protocol_and_keep_their_offsets() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 41));
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(h.fetch_offset().0, 41);
    let other = join_request("").with_protocol_type(text("connect"));
    let join = h.join(other);
    assert_eq!(h.joined(join).error_code, 23, "it has members");
    a.leave(&mut h, -1);
    let (ids, _) = h.stable_group(1);
    assert_eq!((h.fetch_offset().0, state(&mut h)), (41, "69".to_owned()));
    a.epoch = 1;
    assert_eq!(a.beat(&mut h), 69, "now it is a classic group");
    h.leave(&[(&ids[0], None)]);
    a.epoch = 0;
    a.owned.clear();
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(h.fetch_offset().0, 41);
}

#[test]
fn the_limit_of_members() {
    let mut h = Harness::new(GroupConfig {
        consumer_max_size: 1,
        ..GroupConfig::default()
    });
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.beat(&mut h), 0);
    assert_eq!(Client::new("b", &["t"]).beat(&mut h), 81);
    assert_eq!(a.beat(&mut h), 0);
}

#[test]
fn each_mistake_has_its_code() {
    let mut h = harness();
    let mut a = Client::new("a", &["t"]);
    a.beat(&mut h);
    let join = || Client::new("b", &["t"]).request();
    let known = a.request();
    let mut with_partitions = join();
    with_partitions.topic_partitions = Some(vec![TopicPartitions::default()]);
    let table = [
        ("no group id", join().with_group_id(text("").into()), 42),
        (
            "blank instance",
            join().with_instance_id(Some(text(" "))),
            42,
        ),
        ("blank rack", join().with_rack_id(Some(text(""))), 42),
        ("no member id", join().with_member_id(text("")), 42),
        (
            "no rebalance timeout",
            join().with_rebalance_timeout_ms(-1),
            42,
        ),
        ("owns before it joins", with_partitions, 42),
        (
            "does not say what it owns",
            join().with_topic_partitions(None),
            42,
        ),
        (
            "no subscription",
            join().with_subscribed_topic_names(None),
            42,
        ),
        ("strange epoch", join().with_member_epoch(-3), 42),
        (
            "static leave without a name",
            known.clone().with_member_epoch(-2),
            42,
        ),
        (
            "unknown assignor",
            join().with_server_assignor(Some(text("sticky"))),
            112,
        ),
        (
            "bad expression",
            join().with_subscribed_topic_regex(Some(text("["))),
            128,
        ),
        (
            "huge expression",
            join().with_subscribed_topic_regex(Some(text("(a{1000}){1000}"))),
            128,
        ),
        (
            "unknown member",
            known.clone().with_member_id(text("x")),
            25,
        ),
        (
            "unknown group",
            known.clone().with_group_id(text("h").into()),
            69,
        ),
        (
            "unknown instance",
            known.clone().with_instance_id(Some(text("i"))),
            25,
        ),
        (
            "epoch of the future",
            known.clone().with_member_epoch(9),
            110,
        ),
        (
            "leave of a stranger",
            known.with_member_id(text("x")).with_member_epoch(-1),
            25,
        ),
    ];
    let before = h.log.clone();
    for (mistake, request, code) in table {
        let response = send(&mut h, request);
        assert_eq!(response.error_code, code, "{mistake}: {response:?}");
        assert!(response.error_message.is_some(), "{mistake}");
    }
    assert_eq!(h.log, before);
}
