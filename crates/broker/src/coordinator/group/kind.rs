//! A group of whichever protocol: what all of them can tell.

use ottla_protocol::ResponseError;
use ottla_protocol::ids::Timestamp;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::consumer_protocol;
use super::records::{GroupMetadataKey, GroupRecord};

/// One group, of whichever protocol.
#[derive(Debug)]
pub(super) enum Group {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    pub(super) fn member_count(&self) -> usize {
        match self {
            Self::Classic(group) => group.member_count(),
            Self::Consumer(group) => group.member_count(),
        }
    }

    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed(topic),
            Self::Consumer(group) => group.is_subscribed(topic),
        }
    }

    pub(super) fn offset_expiry_base(&self) -> Option<Option<Timestamp>> {
        match self {
            Self::Classic(group) => group.offset_expiry_base(),
            Self::Consumer(_) => Some(None),
        }
    }

    pub(super) fn state_name(&self) -> String {
        match self {
            Self::Classic(group) => group.state_name(),
            Self::Consumer(group) => group.state_name().to_owned(),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
            Self::Consumer(_) => "consumer",
        }
    }

    pub(super) fn protocol_type(&self) -> &str {
        match self {
            Self::Classic(group) => group.protocol_type(),
            Self::Consumer(_) => consumer_protocol::PROTOCOL_TYPE,
        }
    }

    /// Offsets of a group with members can go only where it is known what the members consume.
    pub(super) fn check_offset_delete(&self) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) if !group.is_empty() && !group.is_consumers() => {
                Err(ResponseError::NonEmptyGroup)
            }
            Self::Classic(_) | Self::Consumer(_) => Ok(()),
        }
    }

    /// The records that delete the group.
    pub(super) fn tombstones(&self, id: &str) -> Vec<GroupRecord> {
        match self {
            Self::Classic(_) => Self::classic_tombstone(id),
            Self::Consumer(group) => group.tombstones(),
        }
    }

    /// The record that deletes a classic group.
    pub(super) fn classic_tombstone(id: &str) -> Vec<GroupRecord> {
        let key = GroupMetadataKey {
            group: id.to_owned(),
        };
        vec![GroupRecord::GroupMetadata(key, None)]
    }
}
