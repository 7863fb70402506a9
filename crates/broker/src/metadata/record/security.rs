//! Records about who may do what: ACLs, SCRAM credentials, delegation tokens.

use uuid::Uuid;

use super::field::Secret;
use super::message::message;

message! {
    /// An ACL exists. The numbers are those of Kafka's `ResourceType`, `PatternType`, `AclOperation` and
    /// `AclPermissionType` codes.
    AccessControlEntryRecord {
        /// Id of the ACL.
        id: Uuid [0+],
        /// What kind of thing it is about.
        resource_type: i8 [0+],
        /// Its name, or a prefix of it.
        resource_name: String [0+],
        /// Whether the name is literal or a prefix.
        pattern_type: i8 [0+],
        /// Who, as `type:name`.
        principal: String [0+],
        /// From where; `*` is anywhere.
        host: String [0+],
        /// Doing what.
        operation: i8 [0+],
        /// Allowed or denied.
        permission_type: i8 [0+],
    }

    /// An ACL is gone.
    RemoveAccessControlEntryRecord {
        /// Id of the ACL.
        id: Uuid [0+],
    }

    /// A user has SCRAM credentials (RFC 5802); replaces earlier ones of the same user and mechanism.
    UserScramCredentialRecord {
        /// The user.
        name: String [0+],
        /// `ScramMechanism.type`: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0+],
        /// Salt of the password hash.
        salt: Secret [0+],
        /// Hash by which the server checks the client's proof.
        stored_key: Secret [0+],
        /// Key by which the server proves itself to the client.
        server_key: Secret [0+],
        /// Rounds of the password hash.
        iterations: i32 [0+],
    }

    /// SCRAM credentials are gone.
    RemoveUserScramCredentialRecord {
        /// The user.
        name: String [0+],
        /// `ScramMechanism.type`.
        mechanism: i8 [0+],
    }

    /// A delegation token exists, or has a new expiry (KIP-48). Times are milliseconds since the Unix epoch.
    DelegationTokenRecord {
        /// Principal the token stands for.
        owner: String [0+],
        /// Principal that asked for it.
        requester: String [0+],
        /// Principals that may renew it.
        renewers: Vec<String> [0+],
        /// When it was made.
        issue_timestamp: i64 [0+],
        /// Beyond which it cannot be renewed.
        max_timestamp: i64 [0+],
        /// When it expires.
        expiration_timestamp: i64 [0+],
        /// Its id.
        token_id: String [0+],
    }

    /// A delegation token is gone.
    RemoveDelegationTokenRecord {
        /// Id of the token.
        token_id: String [0+],
    }
}
