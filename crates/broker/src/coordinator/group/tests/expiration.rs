//! Offsets that nobody needs any more (KIP-211).

use super::harness::*;
use crate::coordinator::group::config::GroupConfig;

const HOUR: u64 = 3_600_000;

fn harness() -> Harness {
    Harness::new(GroupConfig {
        offsets_retention_ms: 3_600_000,
        offsets_retention_check_interval_ms: 60_000,
        ..GroupConfig::default()
    })
}

#[test]
fn offsets_without_membership_expire_after_the_commit_and_the_group_with_them() {
    let mut h = harness();
    h.commit_offset(7, commit_request("", -1, 1));
    h.sleep(HOUR - 60_000);
    assert_eq!(h.fetch_offset().0, 1);
    h.sleep(120_000);
    assert_eq!(h.fetch_offset().0, -1);
    assert_eq!(h.state(), "Dead");
    h.restart();
    assert_eq!(h.shard.group_count(), 0, "it does not come back");
}

#[test]
fn offsets_of_a_group_expire_after_it_became_empty() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    h.commit_offset(7, commit_request(&ids[0], generation, 1));
    for _ in 0..2 * HOUR / 9_000 {
        h.sleep(9_000);
        assert_eq!(h.heartbeat(&ids[0], generation), 0);
    }
    assert_eq!(h.fetch_offset().0, 1, "subscribed topics do not expire");
    h.leave(&[(&ids[0], None)]);
    h.sleep(HOUR - 60_000);
    h.restart();
    assert_eq!(h.fetch_offset().0, 1);
    h.sleep(120_000);
    assert_eq!(h.fetch_offset().0, -1);
    assert_eq!(h.state(), "Dead");
}

#[test]
fn topics_that_are_no_longer_consumed_expire_in_a_stable_group() {
    let mut h = harness();
    let (ids, generation) = h.stable_group(1);
    h.commit_offset(7, commit_request(&ids[0], generation, 1));
    let mut old = commit_request(&ids[0], generation, 2);
    old.topics[0].name = text("old").into();
    h.commit_offset(7, old);
    for _ in 0..(HOUR + 120_000) / 9_000 {
        h.sleep(9_000);
        h.heartbeat(&ids[0], generation);
    }
    assert_eq!(h.fetch_offset().0, 1);
    assert_eq!(h.shard.offsets().len(), 1);
    assert_eq!(h.state(), "Stable");
}

#[test]
fn a_client_may_choose_the_time() {
    let mut h = harness();
    h.commit_offset(2, commit_request("", -1, 1).with_retention_time_ms(120_000));
    h.restart();
    h.sleep(60_000);
    assert_eq!(h.fetch_offset().0, 1);
    h.sleep(120_000);
    assert_eq!(h.fetch_offset().0, -1);
}

#[test]
fn members_that_are_no_consumers_keep_their_offsets() {
    let mut h = harness();
    let request = join_request("").with_protocol_type(text("connect"));
    let (id, join) = h.join_new_as(request);
    h.sleep(3_000);
    h.joined(join);
    let sync = h.sync(sync_request(&id, 1, &[]));
    h.synced(sync);
    h.commit_offset(7, commit_request(&id, 1, 1));
    for _ in 0..2 * HOUR / 9_000 {
        h.sleep(9_000);
        h.heartbeat(&id, 1);
    }
    assert_eq!(h.fetch_offset().0, 1);
}

#[test]
fn an_empty_group_without_offsets_goes() {
    let mut h = harness();
    let (ids, _) = h.stable_group(1);
    h.leave(&[(&ids[0], None)]);
    h.sleep(60_000);
    assert_eq!(h.state(), "Dead");
}
