//! The control records of KRaft: what the quorum writes about itself, beside the metadata records.
//!
//! They stand in batches with the control bit. The key tells the kind ([`ControlType`]); the value is a flexible
//! message without a frame that begins with its own version. The state of the cluster does not depend on them;
//! who may lead and how snapshots begin and end does.

use ottla_protocol::ids::{BrokerId, Timestamp};
use ottla_protocol::record::control::ControlType;
use uuid::Uuid;

use super::field::Field;
use super::message::{Message, message};
use super::{DecodeError, EncodeError, RecordSchema};

message! {
    /// A leader begins its epoch. First record of every epoch.
    LeaderChangeMessage {
        /// Version of this message.
        version: i16 [0+],
        /// The leader.
        leader_id: BrokerId [0+],
        /// All voters of the epoch.
        voters: Vec<LeaderChangeVoter> [0+],
        /// Those who voted for the leader.
        granting_voters: Vec<LeaderChangeVoter> [0+],
    }

    /// A voter as a [`LeaderChangeMessage`] names it.
    LeaderChangeVoter {
        /// Node id.
        voter_id: BrokerId [0+],
        /// Id of its metadata log directory.
        voter_directory_id: Uuid [1+],
    }

    /// First record of a snapshot.
    SnapshotHeaderRecord {
        /// Version of this message.
        version: i16 [0+],
        /// Timestamp of the last record the snapshot stands for.
        last_contained_log_timestamp: i64 [0+],
    }

    /// Last record of a snapshot; without it the snapshot is incomplete.
    SnapshotFooterRecord {
        /// Version of this message.
        version: i16 [0+],
    }

    /// The finalized level of the feature `kraft.version`.
    KRaftVersionRecord {
        /// Version of this message.
        version: i16 [0+],
        /// 0 voters are configured by hand (KIP-595), 1 voters stand in the log (KIP-853).
        k_raft_version: i16 [0+],
    }

    /// The voters from here on, all of them.
    VotersRecord {
        /// Version of this message.
        version: i16 [0+],
        /// The voters.
        voters: Vec<Voter> [0+],
    }

    /// One voter.
    Voter {
        /// Node id.
        voter_id: BrokerId [0+],
        /// Id of its metadata log directory.
        voter_directory_id: Uuid [0+],
        /// Where its controller listens.
        endpoints: Vec<VoterEndpoint> [0+],
        /// Levels of `kraft.version` that it can work with.
        k_raft_version_feature: KRaftVersionFeature [0+],
    }

    /// One controller listener of a voter.
    VoterEndpoint {
        /// Name of the listener.
        name: String [0+],
        /// Host name or address.
        host: String [0+],
        /// Port.
        port: u16 [0+],
    }

    /// A range of levels of `kraft.version`.
    KRaftVersionFeature {
        /// Lowest level.
        min_supported_version: i16 [0+],
        /// Highest level.
        max_supported_version: i16 [0+],
    }
}

/// Any control record of the metadata log or of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// A leader begins its epoch.
    LeaderChange(LeaderChangeMessage),
    /// Head of a snapshot.
    SnapshotHeader(SnapshotHeaderRecord),
    /// Foot of a snapshot.
    SnapshotFooter(SnapshotFooterRecord),
    /// Level of `kraft.version`.
    KRaftVersion(KRaftVersionRecord),
    /// The voters.
    Voters(VotersRecord),
}

/// All control record types, by type number.
pub static CONTROL_SCHEMAS: &[RecordSchema] = &[
    schema::<LeaderChangeMessage>(ControlType::LeaderChange, 1),
    schema::<SnapshotHeaderRecord>(ControlType::SnapshotHeader, 0),
    schema::<SnapshotFooterRecord>(ControlType::SnapshotFooter, 0),
    schema::<KRaftVersionRecord>(ControlType::KRaftVersion, 0),
    schema::<VotersRecord>(ControlType::KRaftVoters, 0),
];

/// The schema of one message.
const fn schema<M: Message>(kind: ControlType, high: i16) -> RecordSchema {
    RecordSchema {
        api_key: kind as u32,
        name: M::NAME,
        low: 0,
        high,
        fields: M::FIELDS,
    }
}

impl ControlRecord {
    /// `leader` begins an epoch, elected by itself alone.
    pub fn sole_leader(leader: BrokerId) -> Self {
        let voter = LeaderChangeVoter {
            voter_id: leader,
            ..Default::default()
        };
        Self::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: leader,
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
        })
    }

    /// A snapshot begins whose last record has this timestamp.
    pub fn snapshot_header(last_contained: Timestamp) -> Self {
        Self::SnapshotHeader(SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: last_contained.0,
        })
    }

    /// A snapshot ends.
    pub fn snapshot_footer() -> Self {
        Self::SnapshotFooter(SnapshotFooterRecord::default())
    }

    /// `kraft.version` is at `level`.
    pub fn kraft_version(level: i16) -> Self {
        Self::KRaftVersion(KRaftVersionRecord {
            version: 0,
            k_raft_version: level,
        })
    }

    /// Kind of the record, which its key names.
    pub fn control_type(&self) -> ControlType {
        match self {
            Self::LeaderChange(_) => ControlType::LeaderChange,
            Self::SnapshotHeader(_) => ControlType::SnapshotHeader,
            Self::SnapshotFooter(_) => ControlType::SnapshotFooter,
            Self::KRaftVersion(_) => ControlType::KRaftVersion,
            Self::Voters(_) => ControlType::KRaftVoters,
        }
    }

    /// Schema of the message.
    pub fn schema(&self) -> &'static RecordSchema {
        let kind = self.control_type() as u32;
        let schema = CONTROL_SCHEMAS.iter().find(|schema| schema.api_key == kind);
        schema.expect("invariant: CONTROL_SCHEMAS lists every control record")
    }

    /// The value of the record.
    ///
    /// # Errors
    /// A string is too long.
    pub fn value(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(32);
        match self {
            Self::LeaderChange(message) => message.write(message.version, &mut out)?,
            Self::SnapshotHeader(message) => message.write(message.version, &mut out)?,
            Self::SnapshotFooter(message) => message.write(message.version, &mut out)?,
            Self::KRaftVersion(message) => message.write(message.version, &mut out)?,
            Self::Voters(message) => message.write(message.version, &mut out)?,
        }
        Ok(out)
    }

    /// The message as JSON, as Kafka's `*JsonConverter` classes print it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::LeaderChange(message) => message.to_json(message.version),
            Self::SnapshotHeader(message) => message.to_json(message.version),
            Self::SnapshotFooter(message) => message.to_json(message.version),
            Self::KRaftVersion(message) => message.to_json(message.version),
            Self::Voters(message) => message.to_json(message.version),
        }
    }

    /// The control record of this kind with this value; `None` when the kind has no place in a metadata log.
    ///
    /// # Errors
    /// The value is not exactly one message of a known version.
    pub fn decode(kind: ControlType, mut value: &[u8]) -> Result<Option<Self>, DecodeError> {
        let version = i16::read(0, &mut &*value)?;
        let Some(schema) = CONTROL_SCHEMAS
            .iter()
            .find(|schema| schema.api_key == kind as u32)
        else {
            return Ok(None);
        };
        if !(schema.low..=schema.high).contains(&version) {
            let RecordSchema {
                name, low, high, ..
            } = *schema;
            let version = u32::from(version.cast_unsigned());
            return Err(DecodeError::UnknownVersion {
                name,
                version,
                low,
                high,
            });
        }
        let input = &mut value;
        let record = match kind {
            ControlType::LeaderChange => Self::LeaderChange(Field::read(version, input)?),
            ControlType::SnapshotHeader => Self::SnapshotHeader(Field::read(version, input)?),
            ControlType::SnapshotFooter => Self::SnapshotFooter(Field::read(version, input)?),
            ControlType::KRaftVersion => Self::KRaftVersion(Field::read(version, input)?),
            ControlType::KRaftVoters => Self::Voters(Field::read(version, input)?),
            ControlType::Abort | ControlType::Commit => return Ok(None),
        };
        match input.len() {
            0 => Ok(Some(record)),
            len => Err(DecodeError::TrailingBytes { len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .chars()
            .map(|digit| digit.to_digit(16).unwrap() as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// Values as `kafka-storage format --standalone` and a first election of Apache Kafka 4.1.1 wrote them.
    #[test]
    fn reads_and_writes_the_bytes_of_apache_kafka() {
        let directory = Uuid::from_bytes([
            0xa9, 0x4e, 0xc5, 0x4a, 0x7d, 0x0a, 0x44, 0x3d, 0xa2, 0xfe, 0x1b, 0xa2, 0x9f, 0xe5,
            0x7d, 0xfa,
        ]);
        let voters = VotersRecord {
            version: 0,
            voters: vec![Voter {
                voter_id: BrokerId(1),
                voter_directory_id: directory,
                endpoints: vec![VoterEndpoint {
                    name: "CONTROLLER".into(),
                    host: "127.0.0.1".into(),
                    port: 29193,
                }],
                k_raft_version_feature: KRaftVersionFeature {
                    min_supported_version: 0,
                    max_supported_version: 1,
                },
            }],
        };
        let table = [
            (
                ControlRecord::snapshot_header(Timestamp(1_795_237_850_937)),
                "0000000001a1fc83af3900",
            ),
            (ControlRecord::snapshot_footer(), "000000"),
            (ControlRecord::kraft_version(1), "0000000100"),
            (
                ControlRecord::Voters(voters),
                "00000200000001a94ec54a7d0a443da2fe1ba29fe57dfa020b434f4e54524f4c4c45520a3132372e302e302e31720900000000\
                 01000000",
            ),
            (
                ControlRecord::sole_leader(BrokerId(1)),
                "00000000000102000000010002000000010000",
            ),
        ];
        for (record, hex) in table {
            let value = record.value().unwrap();
            assert_eq!(value, bytes(hex), "{record:?}");
            assert_eq!(
                ControlRecord::decode(record.control_type(), &value),
                Ok(Some(record))
            );
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(
            ControlRecord::decode(ControlType::Commit, &[0, 0, 0, 0, 0, 0]),
            Ok(None)
        );
        assert_eq!(
            ControlRecord::decode(ControlType::SnapshotFooter, &[0]),
            Err(DecodeError::Truncated)
        );
        assert_eq!(
            ControlRecord::decode(ControlType::SnapshotFooter, &[0, 0, 0, 9]),
            Err(DecodeError::TrailingBytes { len: 1 })
        );
        assert_eq!(
            ControlRecord::decode(ControlType::KRaftVoters, &[0, 1, 0]),
            Err(DecodeError::UnknownVersion {
                name: "VotersRecord",
                version: 1,
                low: 0,
                high: 0
            })
        );
    }
}
