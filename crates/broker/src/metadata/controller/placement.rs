//! Which brokers hold the replicas of new partitions, where the client leaves that to the broker.

use ottla_protocol::ResponseError;
use ottla_protocol::ids::BrokerId;
use uuid::Uuid;

use super::{ApiError, Controller};
use crate::metadata::image::PartitionRegistration;
use crate::metadata::record::{DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED};

impl Controller<'_> {
    /// The replication factor to be used for `wanted`, after the switch that lowers it to what there is.
    pub(super) fn clamped_factor(&self, wanted: i16) -> i16 {
        let brokers = i16::try_from(self.image.cluster.brokers().len())
            .unwrap_or(i16::MAX)
            .max(1);
        if self.config.ottla.ottla_replication_factor_clamp {
            wanted.min(brokers)
        } else {
            wanted
        }
    }

    /// Replicas of `count` partitions from index `first` on, spread over the brokers: each partition begins one
    /// broker further on, and brokers that are fenced come last (as `StripedReplicaPlacer`, without racks).
    pub(super) fn place(
        &self,
        first: usize,
        count: usize,
        factor: i16,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        let invalid =
            |message: String| ApiError::new(ResponseError::InvalidReplicationFactor, message);
        let brokers = self.image.cluster.brokers();
        let total = brokers.len();
        let (unfenced, fenced): (Vec<_>, Vec<_>) =
            brokers.partition(|broker| !broker.record().fenced);
        let factor = usize::try_from(factor).unwrap_or(0);
        if factor == 0 {
            return Err(invalid(
                "Invalid replication factor 0: the replication factor must be positive.".into(),
            ));
        }
        if unfenced.is_empty() {
            return Err(invalid("All brokers are currently fenced.".into()));
        }
        if factor > total {
            return Err(invalid(format!(
                "The target replication factor of {factor} cannot be reached because only {total} broker(s) are registered."
            )));
        }
        let replicas_of = |index: usize| -> Vec<BrokerId> {
            let live = unfenced
                .iter()
                .cycle()
                .skip(index % unfenced.len())
                .take(unfenced.len());
            let down = fenced.iter().cycle().skip(index).take(fenced.len());
            live.chain(down)
                .take(factor)
                .map(|broker| broker.id())
                .collect()
        };
        (first..first + count)
            .map(|index| {
                let replicas = replicas_of(index);
                let isr = self.active_of(&replicas);
                if isr.is_empty() {
                    return Err(invalid(format!(
                        "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in \
                         controlled shutdown."
                    )));
                }
                Ok(self.partition(replicas, isr))
            })
            .collect()
    }

    /// Check a manual assignment of one partition, and make the partition.
    pub(super) fn assign(
        &self,
        index: usize,
        replicas: Vec<BrokerId>,
        factor: Option<usize>,
    ) -> Result<PartitionRegistration, ApiError> {
        self.check_assignment(&replicas, factor)?;
        let isr = self.active_of(&replicas);
        if isr.is_empty() {
            return Err(invalid(format!(
                "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
                 controlled shutdown."
            )));
        }
        Ok(self.partition(replicas, isr))
    }

    /// Check a manual assignment of one partition: registered brokers, each once, as many as `factor` says
    /// (`validateManualPartitionAssignment`).
    pub(super) fn check_assignment(
        &self,
        replicas: &[BrokerId],
        factor: Option<usize>,
    ) -> Result<(), ApiError> {
        if replicas.is_empty() {
            return Err(invalid(
                "The manual partition assignment includes an empty replica list.".into(),
            ));
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for broker in sorted {
            if self.image.cluster.broker(broker).is_none() {
                return Err(invalid(format!(
                    "The manual partition assignment includes broker {broker}, but no such broker is registered."
                )));
            }
            if previous == Some(broker) {
                return Err(invalid(format!(
                    "The manual partition assignment includes the broker {broker} more than once."
                )));
            }
            previous = Some(broker);
        }
        if let Some(factor) = factor.filter(|factor| *factor != replicas.len()) {
            return Err(invalid(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {factor} replica(s).",
                replicas.len()
            )));
        }
        Ok(())
    }

    fn partition(&self, replicas: Vec<BrokerId>, isr: Vec<BrokerId>) -> PartitionRegistration {
        let directories = replicas
            .iter()
            .map(|broker| self.default_directory(*broker))
            .collect();
        PartitionRegistration::new(replicas, directories, isr)
    }

    /// Where a broker's new replica goes: its only log directory, or wherever it decides
    /// (`ClusterControlManager.defaultDir`).
    pub(super) fn default_directory(&self, broker: BrokerId) -> Uuid {
        let directories = self
            .image
            .cluster
            .broker(broker)
            .map(|broker| broker.record().log_dirs.as_slice());
        match directories {
            None | Some([]) => DIRECTORY_MIGRATING,
            Some([only]) => *only,
            Some(_) => DIRECTORY_UNASSIGNED,
        }
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ResponseError::InvalidReplicaAssignment, message)
}
