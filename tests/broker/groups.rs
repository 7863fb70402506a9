//! Classic groups over the wire: members come, leave and die; static ones come back; commits outlive a kill.

use std::path::Path;

use ottla_protocol::messages::MetadataRequest;
use ottla_tests::TestBroker;
use ottla_tests::client::Client;
use ottla_tests::groups::{GroupMember, committed};
use ottla_tests::process::BrokerProcess;
use tempfile::TempDir;

const NOT_COORDINATOR: i16 = 16;
const REBALANCE_IN_PROGRESS: i16 = 27;
const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_INSTANCE_ID: i16 = 82;
const SESSION_MS: i32 = 30_000;

async fn broker() -> TestBroker {
    TestBroker::start_with(&[
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.min.session.timeout.ms", "100"),
    ])
    .await
}

async fn member(broker: &TestBroker, session_ms: i32) -> GroupMember {
    GroupMember::new(broker.client().await, "g", session_ms).await
}

/// Both join: the one who is a member already once it hears of the other.
async fn join_both(old: &mut GroupMember, new: &mut GroupMember) {
    let (_, _) = tokio::join!(new.join(), async {
        old.heartbeat_until(REBALANCE_IN_PROGRESS).await;
        assert_eq!(old.join().await.error_code, 0);
    });
    assert_eq!(old.generation, new.generation);
}

#[tokio::test]
async fn members_come_leave_and_die() {
    let broker = broker().await;
    let mut a = member(&broker, SESSION_MS).await;
    let joined = a.join().await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.leader, a.id);
    let id = a.id.clone();
    assert_eq!(a.sync(&[(&id, "all")]).await, (0, "all".into()));
    assert_eq!(a.heartbeat().await, 0);

    let mut b = member(&broker, SESSION_MS).await;
    join_both(&mut a, &mut b).await;
    let (a_id, b_id) = (a.id.clone(), b.id.clone());
    let parts = [(&a_id, "half"), (&b_id, "rest")];
    let (of_a, of_b) = tokio::join!(a.sync(&parts), b.sync(&[]));
    assert_eq!((of_a, of_b), ((0, "half".into()), (0, "rest".into())));
    assert_eq!((a.heartbeat().await, b.heartbeat().await), (0, 0));

    assert_eq!(b.leave().await, 0);
    assert_eq!(b.heartbeat().await, UNKNOWN_MEMBER_ID);
    assert_eq!(a.heartbeat().await, REBALANCE_IN_PROGRESS);
    assert_eq!((a.join().await.generation_id, a.generation), (3, 3));
    assert_eq!(a.sync(&[(&a_id, "all")]).await, (0, "all".into()));

    let mut dies = member(&broker, 500).await;
    join_both(&mut a, &mut dies).await;
    let dies_id = dies.id.clone();
    assert_eq!(a.sync(&[(&a_id, "half"), (&dies_id, "rest")]).await.0, 0);
    assert_eq!(dies.sync(&[]).await, (0, "rest".into()));
    drop(dies);
    a.heartbeat_until(REBALANCE_IN_PROGRESS).await;
    let alone = a.join().await;
    assert_eq!((alone.generation_id, alone.members.len()), (5, 1));
}

#[tokio::test]
async fn a_static_member_comes_back_without_a_rebalance() {
    let broker = broker().await;
    let mut a = member(&broker, SESSION_MS).await.with_instance("a");
    let mut b = member(&broker, SESSION_MS).await.with_instance("b");
    a.join().await;
    let id = a.id.clone();
    a.sync(&[(&id, "all")]).await;
    join_both(&mut a, &mut b).await;
    let b_id = b.id.clone();
    assert_eq!(a.sync(&[(&id, "half"), (&b_id, "rest")]).await.0, 0);
    assert_eq!(b.sync(&[]).await.0, 0);

    let mut again = member(&broker, SESSION_MS).await.with_instance("b");
    let joined = again.join().await;
    assert_eq!((joined.error_code, joined.generation_id), (0, a.generation));
    assert_ne!(again.id, b_id);
    assert_eq!(again.sync(&[]).await, (0, "rest".into()));
    assert_eq!(a.heartbeat().await, 0, "nobody has to rejoin");
    assert_eq!(b.heartbeat().await, FENCED_INSTANCE_ID);
}

#[tokio::test]
async fn groups_and_commits_survive_sigkill() {
    let dir = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ottla-under-test"));
    let mut broker = BrokerProcess::start(program, dir.path());
    let mut client = Client::connect(broker.addr()).await;
    client.create_topic("t", 3, &[]).await;
    let connection = Client::connect(broker.addr()).await;
    let mut member = GroupMember::new(connection, "g", SESSION_MS).await;
    member.join().await;
    let id = member.id.clone();
    assert_eq!(member.sync(&[(&id, "all")]).await.0, 0);
    for round in 0..3 {
        for offset in 0..20 {
            assert_eq!(member.commit(round, offset).await, 0);
        }
        broker.kill();
        broker = BrokerProcess::start(program, dir.path());
        let mut client = Client::connect(broker.addr()).await;
        for partition in 0..3 {
            let expected = if partition <= round { 19 } else { -1 };
            assert_eq!(committed(&mut client, "g", partition).await, expected);
        }
        // The member goes on in its generation, over a new connection.
        member = member.reconnect(client);
        assert_eq!(member.heartbeat().await, 0);
    }
}

#[tokio::test]
async fn the_offsets_topic_is_made_when_it_is_needed() {
    let broker = TestBroker::start_with(&[("offsets.topic.num.partitions", "7")]).await;
    let mut client = broker.client().await;
    let all = MetadataRequest::default().with_topics(None);
    assert!(client.call(12, &all).await.topics.is_empty());
    let _ = member(&broker, SESSION_MS).await;
    let topics = client.call(12, &all).await.topics;
    assert_eq!(topics.len(), 1);
    assert_eq!(
        topics[0].name.as_ref().unwrap().as_str(),
        "__consumer_offsets"
    );
    assert!(topics[0].is_internal);
    assert_eq!(topics[0].partitions.len(), 7);
}

#[tokio::test]
async fn a_coordinator_whose_topic_is_deleted_begins_anew() {
    let broker = broker().await;
    let mut client = broker.client().await;
    client.create_topic("t", 1, &[]).await;
    for round in 0..2 {
        let mut a = member(&broker, SESSION_MS).await;
        assert_eq!(committed(&mut client, "g", 0).await, -1, "{round}");
        assert_eq!(a.join().await.error_code, 0);
        let id = a.id.clone();
        assert_eq!(a.sync(&[(&id, "all")]).await, (0, "all".into()));
        assert_eq!(a.commit(0, 5).await, 0);
        assert_eq!(committed(&mut client, "g", 0).await, 5);
        client.delete_topic("__consumer_offsets").await;
        assert_eq!(a.heartbeat().await, NOT_COORDINATOR);
    }
}
