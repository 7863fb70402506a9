//! Who may commit offsets within a transaction (KIP-447).

use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_protocol::messages::TxnOffsetCommitRequest;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::bad_input::code;
use super::consumer_client::{self, Client};
use super::harness::*;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::message::GroupRequest;
use crate::coordinator::shard::{Effect, ReplyTo, Shard, TransactionalProducer};

fn request(group: &str, member_id: &str, generation: i32) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(5);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_member_id(text(member_id))
        .with_generation_id(generation)
        .with_topics(vec![topic])
}

/// 0 when the commit goes to the log, else the code of the refusal.
fn outcome(h: &mut Harness, request: TxnOffsetCommitRequest) -> i16 {
    let producer = TransactionalProducer {
        id: ProducerId(1),
        epoch: ProducerEpoch(0),
        guard: None,
    };
    let request = GroupRequest::TxnOffsetCommit(producer, request);
    h.shard.handle_request(h.now, request, ReplyTo(1 << 32));
    match h.shard.poll_effect() {
        Some(Effect::AppendTransactional { .. }) => 0,
        Some(Effect::Reply { response, .. }) => code(&response),
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_of_a_classic_group() {
    let mut h = Harness::new(GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    });
    let (id, ticket) = h.join_new();
    h.sleep(0);
    let generation = h.joined(ticket).generation_id;
    for (group, member_id, generation, expected) in [
        ("g", &*id, generation, 0),
        ("g", &*id, generation - 1, 22),
        ("g", &*id, generation + 1, 22),
        ("g", &*id, -1, 22),
        ("g", "nobody", generation, 25),
        ("g", "", generation, 25),
        // Before version 3 no member is named, and a producer may assign partitions to itself.
        ("g", "", -1, 0),
        ("none", "", -1, 0),
        ("none", &*id, generation, 22),
        ("", "", -1, 24),
    ] {
        let found = outcome(&mut h, request(group, member_id, generation));
        assert_eq!(found, expected, "{group:?} {member_id:?} {generation}");
    }
}

#[test]
fn members_of_a_consumer_group() {
    let mut h = consumer_client::harness();
    let mut member = Client::new("m", &["t"]);
    consumer_client::settle(&mut h, &mut [&mut member]);
    let epoch = member.epoch;
    for (member_id, epoch, expected) in [
        ("m", epoch, 0),
        ("m", epoch - 1, 22),
        ("m", epoch + 1, 22),
        ("nobody", epoch, 25),
        ("", -1, 0),
    ] {
        let found = outcome(&mut h, request("g", member_id, epoch));
        assert_eq!(found, expected, "{member_id:?} {epoch}");
    }
}
