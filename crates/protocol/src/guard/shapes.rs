//! The table of all requests that are let through.

mod cluster;
mod data;
mod group;
mod security;
mod topic;
mod transaction;

use super::shape::Shape;

/// One entry for each API, in no order.
pub(super) static ALL: &[&Shape] = &[
    &data::PRODUCE,
    &data::FETCH,
    &data::LIST_OFFSETS,
    &data::DELETE_RECORDS,
    &data::OFFSET_FOR_LEADER_EPOCH,
    &data::DESCRIBE_PRODUCERS,
    &group::FIND_COORDINATOR,
    &group::JOIN_GROUP,
    &group::HEARTBEAT,
    &group::LEAVE_GROUP,
    &group::SYNC_GROUP,
    &group::DESCRIBE_GROUPS,
    &group::LIST_GROUPS,
    &group::DELETE_GROUPS,
    &group::OFFSET_COMMIT,
    &group::OFFSET_FETCH,
    &group::OFFSET_DELETE,
    &group::CONSUMER_GROUP_HEARTBEAT,
    &group::CONSUMER_GROUP_DESCRIBE,
    &transaction::INIT_PRODUCER_ID,
    &transaction::ADD_PARTITIONS_TO_TXN,
    &transaction::ADD_OFFSETS_TO_TXN,
    &transaction::END_TXN,
    &transaction::WRITE_TXN_MARKERS,
    &transaction::TXN_OFFSET_COMMIT,
    &transaction::DESCRIBE_TRANSACTIONS,
    &transaction::LIST_TRANSACTIONS,
    &topic::METADATA,
    &topic::DESCRIBE_TOPIC_PARTITIONS,
    &topic::CREATE_TOPICS,
    &topic::DELETE_TOPICS,
    &topic::CREATE_PARTITIONS,
    &topic::DESCRIBE_CONFIGS,
    &topic::ALTER_CONFIGS,
    &topic::INCREMENTAL_ALTER_CONFIGS,
    &topic::LIST_CONFIG_RESOURCES,
    &topic::ELECT_LEADERS,
    &topic::ALTER_PARTITION_REASSIGNMENTS,
    &topic::LIST_PARTITION_REASSIGNMENTS,
    &topic::ALTER_REPLICA_LOG_DIRS,
    &topic::DESCRIBE_LOG_DIRS,
    &cluster::API_VERSIONS,
    &cluster::DESCRIBE_CLUSTER,
    &cluster::DESCRIBE_QUORUM,
    &cluster::UPDATE_FEATURES,
    &cluster::UNREGISTER_BROKER,
    &cluster::DESCRIBE_CLIENT_QUOTAS,
    &cluster::ALTER_CLIENT_QUOTAS,
    &cluster::GET_TELEMETRY_SUBSCRIPTIONS,
    &cluster::PUSH_TELEMETRY,
    &security::SASL_HANDSHAKE,
    &security::SASL_AUTHENTICATE,
    &security::DESCRIBE_ACLS,
    &security::CREATE_ACLS,
    &security::DELETE_ACLS,
    &security::DESCRIBE_USER_SCRAM_CREDENTIALS,
    &security::ALTER_USER_SCRAM_CREDENTIALS,
    &security::CREATE_DELEGATION_TOKEN,
    &security::RENEW_DELEGATION_TOKEN,
    &security::EXPIRE_DELEGATION_TOKEN,
    &security::DESCRIBE_DELEGATION_TOKEN,
];

/// API keys are below this.
const KEYS: usize = 128;

static BY_KEY: [Option<&Shape>; KEYS] = by_key();

/// The shape of this API's requests.
pub(super) fn of(api_key: i16) -> Option<&'static Shape> {
    let key = usize::try_from(api_key).ok()?;
    *BY_KEY.get(key)?
}

const fn by_key() -> [Option<&'static Shape>; KEYS] {
    let mut table = [None; KEYS];
    let mut at = 0;
    while at < ALL.len() {
        let shape = ALL[at];
        assert!(
            table[shape.api_key as usize].is_none(),
            "an API has two shapes"
        );
        table[shape.api_key as usize] = Some(shape);
        at += 1;
    }
    table
}
