//! AlterPartitionReassignments (`ReplicationControlManager.alterPartitionReassignments`).
//!
//! A reassignment first adds the new replicas to the old ones; when all that stay are in sync the old ones go. With one
//! broker only the latter half is of use: a data directory that was part of a cluster gets rid of the other replicas.

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{BrokerId, PartitionIndex};
use ottla_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use ottla_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::partition_change::Target;
use super::{ApiError, Controller, Decision, MAX_RECORDS_PER_REQUEST, ids};
use crate::metadata::image::{PartitionRegistration, TopicImage};
use crate::metadata::record::PartitionChangeRecord;

impl Controller<'_> {
    /// Decide an AlterPartitionReassignments request. Each partition gets its own answer.
    pub fn alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Decision<AlterPartitionReassignmentsResponse> {
        let mut records = Vec::new();
        let mut reassign = |name: &str, asked: &ReassignablePartition| {
            if records.len() >= MAX_RECORDS_PER_REQUEST {
                let message = "Unable to perform excessively large batch operation.";
                return Err(ApiError::new(ResponseError::PolicyViolation, message));
            }
            let change = self.reassign(name, asked, request.allow_replication_factor_change)?;
            records.extend(change.map(Into::into));
            Ok(())
        };
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let error = reassign(topic.name.as_str(), asked).err();
                ReassignablePartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_error_code(error.as_ref().map_or(0, |error| error.error.code()))
                    .with_error_message(error.and_then(|error| error.text()))
            });
            ReassignableTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        // An empty request is answered with the field's default, as Kafka does.
        let may_change = request.allow_replication_factor_change || request.topics.is_empty();
        let response = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(may_change)
            .with_error_message(None)
            .with_responses(topics.collect());
        Decision { records, response }
    }

    fn reassign(
        &self,
        name: &str,
        asked: &ReassignablePartition,
        may_change_factor: bool,
    ) -> Result<Option<PartitionChangeRecord>, ApiError> {
        let unknown = |what| ApiError::new(ResponseError::UnknownTopicOrPartition, what);
        let topic = self.image.topics.by_name(name);
        let topic =
            topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let index = PartitionIndex(asked.partition_index);
        let partition = topic.partition(index);
        let partition = partition
            .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        let rules = self.rules(topic);
        let (target, rules) = match &asked.replicas {
            None => {
                let revert = self.revert(topic, index, partition)?;
                (revert, rules)
            }
            Some(replicas) => {
                let replicas = ids(replicas);
                self.check_assignment(&replicas, None)?;
                if !may_change_factor {
                    check_factor(partition, replicas.len())?;
                }
                (toward(partition, replicas), rules.clean())
            }
        };
        Ok(self.reassigned_change((topic.id(), index), partition, target, rules))
    }

    /// Back to before the reassignment (`PartitionReassignmentRevert`).
    fn revert(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        partition: &PartitionRegistration,
    ) -> Result<Target, ApiError> {
        if !partition.is_reassigning() {
            return Err(ApiError::bare(ResponseError::NoReassignmentInProgress));
        }
        let without_added = |brokers: &[BrokerId]| -> Vec<BrokerId> {
            let is_added = |broker: &BrokerId| partition.adding_replicas.contains(broker);
            let brokers = brokers.iter().copied();
            brokers.filter(|broker| !is_added(broker)).collect()
        };
        let replicas = without_added(&partition.replicas);
        let mut isr = without_added(&partition.isr);
        let invalid = |what| ApiError::new(ResponseError::InvalidReplicaAssignment, what);
        if isr.is_empty() {
            let first = replicas.first().ok_or_else(|| {
                let what = "addingReplicas contains all replicas.";
                invalid(format!("Invalid replica assignment: {what}"))
            })?;
            if !self.rules(topic).may_be_unclean() {
                return Err(invalid(format!(
                    "Unable to revert partition assignment for {}:{index} because it would require an unclean leader \
                     election.",
                    topic.name()
                )));
            }
            isr.push(*first);
        }
        Ok(Target {
            replicas,
            isr,
            removing: Vec::new(),
            adding: Vec::new(),
        })
    }
}

/// The first step on the way to `replicas` (`PartitionReassignmentReplicas`).
fn toward(partition: &PartitionRegistration, replicas: Vec<BrokerId>) -> Target {
    let without = |from: &[BrokerId], these: &[BrokerId]| {
        let left = from
            .iter()
            .copied()
            .filter(|broker| !these.contains(broker));
        let mut left: Vec<_> = left.collect();
        left.sort_unstable();
        left
    };
    let removing = without(&partition.replicas, &replicas);
    let adding = without(&replicas, &partition.replicas);
    let mut all = replicas;
    all.extend(&removing);
    let now = Target::of(partition);
    // A list that would become empty stays as it is, as in Kafka.
    let or_now = |new: Vec<BrokerId>, now| if new.is_empty() { now } else { new };
    Target {
        replicas: all,
        isr: now.isr,
        removing: or_now(removing, now.removing),
        adding: or_now(adding, now.adding),
    }
}

/// The number of replicas is to stay what it is, or what it will be (KIP-860).
fn check_factor(partition: &PartitionRegistration, asked: usize) -> Result<(), ApiError> {
    let replicas = partition.replicas.iter();
    let staying = replicas.filter(|broker| !partition.removing_replicas.contains(broker));
    let factor = staying.count();
    if factor == asked {
        return Ok(());
    }
    let message = format!("The replication factor is changed from {factor} to {asked}");
    Err(ApiError::new(
        ResponseError::InvalidReplicationFactor,
        message,
    ))
}
