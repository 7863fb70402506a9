//! What a client may do, as bits by `AclOperation` code. Without an authorizer everybody may do everything.

/// "Not asked for".
pub const NOT_ASKED: i32 = i32::MIN;

/// `AclOperation` codes.
mod operation {
    pub(super) const READ: u8 = 3;
    pub(super) const WRITE: u8 = 4;
    pub(super) const CREATE: u8 = 5;
    pub(super) const DELETE: u8 = 6;
    pub(super) const ALTER: u8 = 7;
    pub(super) const DESCRIBE: u8 = 8;
    pub(super) const CLUSTER_ACTION: u8 = 9;
    pub(super) const DESCRIBE_CONFIGS: u8 = 10;
    pub(super) const ALTER_CONFIGS: u8 = 11;
    pub(super) const IDEMPOTENT_WRITE: u8 = 12;
}

/// All that can be done with a topic (`AclEntry.supportedOperations`).
pub const TOPIC: i32 = bits(&[
    operation::READ,
    operation::WRITE,
    operation::CREATE,
    operation::DESCRIBE,
    operation::DELETE,
    operation::ALTER,
    operation::DESCRIBE_CONFIGS,
    operation::ALTER_CONFIGS,
]);

/// All that can be done with a group (`AclEntry.supportedOperations`).
pub const GROUP: i32 = bits(&[
    operation::READ,
    operation::DESCRIBE,
    operation::DELETE,
    operation::DESCRIBE_CONFIGS,
    operation::ALTER_CONFIGS,
]);

/// All that can be done with the cluster (`AclEntry.supportedOperations`).
pub const CLUSTER: i32 = bits(&[
    operation::CREATE,
    operation::CLUSTER_ACTION,
    operation::DESCRIBE_CONFIGS,
    operation::ALTER_CONFIGS,
    operation::IDEMPOTENT_WRITE,
    operation::ALTER,
    operation::DESCRIBE,
]);

const fn bits(operations: &[u8]) -> i32 {
    let mut bits = 0;
    let mut index = 0;
    while index < operations.len() {
        bits |= 1 << operations[index];
        index += 1;
    }
    bits
}
