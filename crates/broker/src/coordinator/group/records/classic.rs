//! Classic groups: record type 2.

use super::field::{Blob, Encoding, Field, read_tags, structs, write_tags};
use super::{DecodeError, EncodeError};

structs! {
    /// Which group.
    GroupMetadataKey {
        /// Group id.
        group: String [0],
    }

    /// One generation of a classic group.
    GroupMetadataValue {
        /// Class of protocols, such as `consumer`; empty for a group that only commits offsets.
        protocol_type: String [0],
        /// Number of the generation.
        generation: i32 [0],
        /// The protocol chosen for this generation.
        protocol: Option<String> [0],
        /// Member id of the leader.
        leader: Option<String> [0],
        /// When the group came into its state, ms since the Unix epoch; -1 in old records.
        current_state_timestamp: i64 [2] = -1,
        /// The members with their assignments.
        members: Vec<MemberMetadata> [0],
    }

    /// One member of a classic group.
    MemberMetadata {
        /// Member id.
        member_id: String [0],
        /// `group.instance.id` of a static member.
        group_instance_id: Option<String> [3],
        /// `client.id`.
        client_id: String [0],
        /// Address of the client, as Java prints it.
        client_host: String [0],
        /// How long the member may take to rejoin, ms; -1 in old records.
        rebalance_timeout: i32 [1] = -1,
        /// How long the member may be silent, ms.
        session_timeout: i32 [0],
        /// Metadata of the member for the chosen protocol.
        subscription: Blob [0],
        /// What the leader gave it.
        assignment: Blob [0],
    }
}
