//! One member of a classic group.

use std::sync::Arc;

use ottla_protocol::messages::describe_groups_response::DescribedGroupMember;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;

use crate::coordinator::group::core::{optional_text, text};
use crate::coordinator::group::records::{Blob, MemberMetadata};
use crate::coordinator::shard::ReplyTo;

/// One protocol that a member offers: for consumers an assignor, with the subscription as metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    /// Its name.
    pub(super) name: Arc<str>,
    /// What the leader will be told about this member.
    pub(super) metadata: Arc<[u8]>,
}

impl Protocol {
    /// The protocols of a JoinGroup, in the order of preference.
    pub(super) fn list(protocols: &[JoinGroupRequestProtocol]) -> Vec<Self> {
        protocols
            .iter()
            .map(|protocol| Self {
                name: Arc::from(&*protocol.name),
                metadata: Arc::from(&*protocol.metadata),
            })
            .collect()
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Member {
    /// Its id, which the coordinator gave it.
    pub(super) id: Arc<str>,
    /// `group.instance.id` of a static member.
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// In the order of preference, at least one.
    pub(super) protocols: Vec<Protocol>,
    /// What the leader gave it; empty when nothing yet.
    pub(super) assignment: Arc<[u8]>,
    /// The JoinGroup that waits for the others.
    pub(super) awaiting_join: Option<ReplyTo>,
    /// The SyncGroup that waits for the leader's.
    pub(super) awaiting_sync: Option<ReplyTo>,
    /// Whether it has never been answered, and so cannot know its id.
    pub(super) is_new: bool,
}

impl Member {
    /// Whether it has a name of its own that outlives its process (KIP-345).
    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Its metadata for one protocol; empty when it does not offer it, which the group does not let happen.
    pub(super) fn metadata(&self, protocol: &str) -> Arc<[u8]> {
        self.protocols
            .iter()
            .find(|offered| &*offered.name == protocol)
            .map(|offered| offered.metadata.clone())
            .unwrap_or_default()
    }

    /// Whether it offers a protocol.
    pub(super) fn offers(&self, protocol: &str) -> bool {
        self.protocols
            .iter()
            .any(|offered| &*offered.name == protocol)
    }

    /// Whether a missing heartbeat is to be forgiven: it waits for the others. Not so for a new member, as nobody
    /// would notice that it is gone.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// What the leader is told.
    pub(super) fn to_join_response(&self, protocol: &str) -> JoinGroupResponseMember {
        JoinGroupResponseMember::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(optional_text(self.instance_id.as_ref()))
            .with_metadata(self.metadata(protocol).to_vec().into())
    }

    /// What DescribeGroups tells; the metadata only in a stable group.
    pub(super) fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        let metadata = protocol.map(|protocol| self.metadata(protocol));
        DescribedGroupMember::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(optional_text(self.instance_id.as_ref()))
            .with_client_id(text(&self.client_id))
            .with_client_host(text(&self.client_host))
            .with_member_metadata(metadata.unwrap_or_default().to_vec().into())
            .with_member_assignment(self.assignment.to_vec().into())
    }

    /// What is stored of it, with `assignment`.
    pub(super) fn to_record(&self, protocol: &str, assignment: &[u8]) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.to_string(),
            group_instance_id: self.instance_id.as_deref().map(str::to_owned),
            client_id: self.client_id.to_string(),
            client_host: self.client_host.to_string(),
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: Blob((*self.metadata(protocol)).into()),
            assignment: Blob(assignment.into()),
        }
    }

    /// A member as it is stored, with the one protocol of its generation.
    pub(super) fn from_record(record: MemberMetadata, protocol: &Arc<str>) -> Self {
        let rebalance_timeout_ms = match record.rebalance_timeout {
            -1 => record.session_timeout,
            timeout => timeout,
        };
        Self {
            id: record.member_id.into(),
            instance_id: record.group_instance_id.map(Arc::from),
            client_id: record.client_id.into(),
            client_host: record.client_host.into(),
            rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout,
            protocols: vec![Protocol {
                name: protocol.clone(),
                metadata: record.subscription.0.into(),
            }],
            assignment: record.assignment.0.into(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }
}
