//! The quorum of one voter: who this node is, and what the control records say of the voters.

use ottla_protocol::ids::{BrokerId, TopicId};
use uuid::Uuid;

use super::quorum_state::QuorumState;
use super::record::control::{
    ControlRecord, KRaftVersionFeature, Voter, VoterEndpoint, VotersRecord,
};

/// Who this node is within the quorum.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Node id.
    pub node_id: BrokerId,
    /// `directory.id` of the log directory that holds the metadata log.
    pub directory_id: Uuid,
    /// Where its controller would listen. No one connects to the only voter; Apache Kafka's tools and a later
    /// growth of the quorum need an address.
    pub endpoints: Vec<VoterEndpoint>,
}

impl Identity {
    /// The voters of a quorum of this node alone.
    pub fn voters(&self) -> VotersRecord {
        let voter = Voter {
            voter_id: self.node_id,
            voter_directory_id: self.directory_id,
            endpoints: self.endpoints.clone(),
            k_raft_version_feature: KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: 1,
            },
        };
        VotersRecord {
            version: 0,
            voters: vec![voter],
        }
    }
}

/// What the control records say of the quorum.
#[derive(Clone, Debug, Default)]
pub(super) struct Quorum {
    /// Level of the feature `kraft.version`.
    pub(super) kraft_version: i16,
    /// The voters, where the log names them.
    pub(super) voters: Option<VotersRecord>,
    /// The above stand in the log or a snapshot of it, not only in the snapshot written at format.
    pub(super) in_log: bool,
}

impl Quorum {
    /// Take note of one control record.
    pub(super) fn observe(&mut self, record: &ControlRecord) {
        match record {
            ControlRecord::KRaftVersion(version) => self.kraft_version = version.k_raft_version,
            ControlRecord::Voters(voters) => self.voters = Some(voters.clone()),
            _ => {}
        }
    }

    /// The control records that tell it, for the head of a snapshot or the first batch of the log.
    pub(super) fn records(&self) -> Vec<ControlRecord> {
        let voters = self.voters.iter().filter(|_| self.kraft_version > 0);
        voters
            .flat_map(|voters| {
                [
                    ControlRecord::kraft_version(self.kraft_version),
                    ControlRecord::Voters(voters.clone()),
                ]
            })
            .collect()
    }

    /// What to write of it at the start of an epoch: all of it when the log does not have it yet, and the voters
    /// anew when this node has moved. Apache Kafka does the same.
    pub(super) fn changes_at_start(&mut self, identity: &Identity) -> Vec<ControlRecord> {
        let voters = identity.voters();
        let moved = !identity.endpoints.is_empty() && self.voters.as_ref() != Some(&voters);
        if self.kraft_version == 0 || (self.in_log && !moved) {
            return Vec::new();
        }
        if moved {
            self.voters = Some(voters);
        }
        self.in_log = true;
        self.records()
    }

    /// This node may lead without asking anyone only when it is the one voter. Without voters in the log
    /// (`kraft.version` 0) they stand in `quorum-state`, and where that names none, in the configuration.
    pub(super) fn check_sole_voter(
        &self,
        known: Option<&QuorumState>,
        identity: &Identity,
    ) -> Result<(), NotSoleVoter> {
        let node = identity.node_id;
        let (sole, names): (bool, Vec<_>) = match (
            &self.voters,
            known.and_then(|known| known.voters.as_deref()),
        ) {
            (Some(VotersRecord { voters, .. }), _) => (
                matches!(&voters[..], [voter] if voter.voter_id == node && voter.voter_directory_id == identity.directory_id),
                voters
                    .iter()
                    .map(|voter| {
                        format!(
                            "{} (directory {})",
                            voter.voter_id,
                            TopicId(voter.voter_directory_id)
                        )
                    })
                    .collect(),
            ),
            (None, Some(voters)) if !voters.is_empty() => (
                voters == [node],
                voters.iter().map(ToString::to_string).collect(),
            ),
            (None, _) => return Ok(()),
        };
        let directory = TopicId(identity.directory_id);
        sole.then_some(()).ok_or_else(|| NotSoleVoter {
            voters: names.join(", "),
            node,
            directory,
        })
    }
}

/// The metadata log belongs to a quorum of others, so this node must not lead it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the voters of the metadata log are {voters}; this node is {node} (directory {directory}) and can lead only alone"
)]
pub struct NotSoleVoter {
    voters: String,
    node: BrokerId,
    directory: TopicId,
}
