//! One member of a consumer group.

use std::sync::Arc;

use ottla_protocol::messages::consumer_group_describe_response as describe;

use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::core::{optional_text, text};
use crate::coordinator::group::records::{
    ClassicMemberMetadata, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue, CurrentTopicPartitions, TargetTopicPartitions,
};
use crate::coordinator::group::topics::Topics;

/// Epoch of a member that is gone, and of a request to go.
pub(super) const LEAVE: i32 = -1;
/// Epoch of a static member that will come back, and of its request to go.
pub(super) const LEAVE_STATIC: i32 = -2;

/// Where a member is on its way to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It has all of its epoch's target.
    #[default]
    Stable,
    /// It has to give up partitions first.
    UnrevokedPartitions,
    /// Others have to give up partitions that it shall get.
    UnreleasedPartitions,
    /// Written by a later release.
    Unknown,
}

impl MemberState {
    fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) rack_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    /// Topics it names, sorted.
    pub(super) topics: Vec<Arc<str>>,
    /// An expression whose topics it wants too.
    pub(super) regex: Option<Arc<str>>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) server_assignor: Option<Arc<str>>,
    /// Of a member that speaks the classic protocol.
    pub(super) classic: Option<ClassicMemberMetadata>,
    pub(super) epoch: i32,
    /// A request with it may be a late one.
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) assigned: Assignment,
    pub(super) pending_revocation: Assignment,
}

impl Member {
    /// Whether nothing is left to do for the target of `epoch`.
    pub(super) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// What is stored of who it is and what it wants.
    pub(super) fn metadata_record(&self) -> ConsumerGroupMemberMetadataValue {
        let optional = |value: &Option<Arc<str>>| value.as_deref().map(str::to_owned);
        ConsumerGroupMemberMetadataValue {
            instance_id: optional(&self.instance_id),
            rack_id: optional(&self.rack_id),
            client_id: self.client_id.to_string(),
            client_host: self.client_host.to_string(),
            subscribed_topic_names: self.topics.iter().map(|name| name.to_string()).collect(),
            subscribed_topic_regex: optional(&self.regex),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: optional(&self.server_assignor),
            classic_member_metadata: self.classic.clone(),
        }
    }

    /// Take what is stored of who it is and what it wants.
    pub(super) fn replay_metadata(&mut self, value: ConsumerGroupMemberMetadataValue) {
        self.instance_id = value.instance_id.map(Arc::from);
        self.rack_id = value.rack_id.map(Arc::from);
        self.client_id = value.client_id.into();
        self.client_host = value.client_host.into();
        self.topics = value
            .subscribed_topic_names
            .into_iter()
            .map(Arc::from)
            .collect();
        self.regex = value.subscribed_topic_regex.map(Arc::from);
        self.rebalance_timeout_ms = value.rebalance_timeout_ms;
        self.server_assignor = value.server_assignor.map(Arc::from);
        self.classic = value.classic_member_metadata;
    }

    /// What is stored of where it is.
    pub(super) fn current_record(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        let partitions = |assignment: &Assignment| {
            let topics = assignment
                .iter()
                .map(|(topic_id, partitions)| CurrentTopicPartitions {
                    topic_id: *topic_id,
                    partitions: partitions.iter().copied().collect(),
                    assignment_epochs: None,
                });
            topics.collect()
        };
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned_partitions: partitions(&self.assigned),
            partitions_pending_revocation: partitions(&self.pending_revocation),
        }
    }

    /// Take what is stored of where it is.
    pub(super) fn replay_current(&mut self, value: &ConsumerGroupCurrentMemberAssignmentValue) {
        let assignment = |topics: &[CurrentTopicPartitions]| -> Assignment {
            (topics.iter())
                .map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect()))
                .collect()
        };
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::from_code(value.state);
        self.assigned = assignment(&value.assigned_partitions);
        self.pending_revocation = assignment(&value.partitions_pending_revocation);
    }

    /// What ConsumerGroupDescribe tells.
    pub(super) fn describe(
        &self,
        target: Option<&Assignment>,
        topics: &dyn Topics,
    ) -> describe::Member {
        let empty = Assignment::new();
        let names = self.topics.iter().map(|name| text(name).into());
        describe::Member::default()
            .with_member_id(text(&self.id))
            .with_instance_id(optional_text(self.instance_id.as_ref()))
            .with_rack_id(optional_text(self.rack_id.as_ref()))
            .with_member_epoch(self.epoch)
            .with_client_id(text(&self.client_id))
            .with_client_host(text(&self.client_host))
            .with_subscribed_topic_names(names.collect())
            .with_subscribed_topic_regex(Some(text(self.regex.as_deref().unwrap_or_default())))
            .with_assignment(describe_assignment(&self.assigned, topics))
            .with_target_assignment(describe_assignment(target.unwrap_or(&empty), topics))
            .with_member_type(if self.classic.is_some() { 0 } else { 1 })
    }
}

fn describe_assignment(assignment: &Assignment, topics: &dyn Topics) -> describe::Assignment {
    let partitions = assignment.iter().filter_map(|(id, partitions)| {
        let topic = topics.by_id(*id)?;
        Some(
            describe::TopicPartitions::default()
                .with_topic_id(id.0)
                .with_topic_name(text(&topic.name).into())
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    describe::Assignment::default().with_topic_partitions(partitions.collect())
}

/// An assignment as the records of target assignments have it.
pub(super) fn target_record(assignment: &Assignment) -> Vec<TargetTopicPartitions> {
    let topics = assignment
        .iter()
        .map(|(topic_id, partitions)| TargetTopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
        });
    topics.collect()
}
