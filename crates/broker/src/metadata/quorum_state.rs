//! The file `quorum-state` in the directory of the metadata log: what a voter must not forget over a restart.
//!
//! One JSON object (`QuorumStateData`, `FileQuorumStateStore`), replaced as a whole. `data_version` 0 goes with
//! `kraft.version` 0 and names the voters; 1 goes with `kraft.version` 1, where the voters stand in the log. An id
//! of -1 is "none".

use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::{BrokerId, LeaderEpoch, TopicId};
use ottla_storage::fs::{self, Fs};
use serde_json::{Value, json};
use uuid::Uuid;

/// Largest file that is read, in bytes.
const MAX_LEN: usize = 64 * 1024;
const NAME: &str = "quorum-state";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// Leader of the epoch, when one is known.
    pub leader: Option<BrokerId>,
    /// The latest epoch this node has seen.
    pub epoch: LeaderEpoch,
    /// The voters, for `kraft.version` 0; `None` when they stand in the log.
    pub voters: Option<Vec<BrokerId>>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Its content is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl QuorumState {
    /// What the file in `dir` says; `None` when there is none.
    pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<Self>, QuorumStateError> {
        let path = dir.join(NAME);
        let bytes = match fs::read_small(fs, &path, MAX_LEN) {
            Ok(bytes) => bytes,
            Err(source) => return Err(QuorumStateError::Io { path, source }),
        };
        bytes
            .map(|bytes| Self::parse(&bytes))
            .transpose()
            .map_err(|reason| QuorumStateError::Malformed { path, reason })
    }

    /// Replace the file in `dir`; durable when this returns.
    pub fn write(&self, fs: &dyn Fs, dir: &Path) -> Result<(), QuorumStateError> {
        let path = dir.join(NAME);
        fs::write_atomically(fs, &path, self.to_json().to_string().as_bytes())
            .map_err(|source| QuorumStateError::Io { path, source })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let number = |object: &Value, name: &str| {
            let value = object
                .get(name)
                .and_then(Value::as_i64)
                .and_then(|value| i32::try_from(value).ok());
            value.ok_or_else(|| format!("{name} is missing or not a 32-bit number"))
        };
        let voters = match number(&json, "data_version")? {
            0 => match json.get("currentVoters") {
                Some(Value::Array(voters)) => {
                    let ids: Result<_, _> = voters
                        .iter()
                        .map(|voter| number(voter, "voterId").map(BrokerId))
                        .collect();
                    Some(ids?)
                }
                Some(Value::Null) => Some(Vec::new()),
                _ => return Err("currentVoters is missing or not a list".into()),
            },
            1 => None,
            version => return Err(format!("unknown data_version {version}")),
        };
        let leader = number(&json, "leaderId")?;
        Ok(Self {
            leader: (leader >= 0).then_some(BrokerId(leader)),
            epoch: LeaderEpoch(number(&json, "leaderEpoch")?),
            voters,
        })
    }

    fn to_json(&self) -> Value {
        let leader = self.leader.map_or(-1, |leader| leader.0);
        match &self.voters {
            Some(voters) => {
                let voters: Vec<_> = voters
                    .iter()
                    .map(|voter| json!({ "voterId": voter.0 }))
                    .collect();
                json!({
                    "clusterId": "",
                    "leaderId": leader,
                    "leaderEpoch": self.epoch.0,
                    "votedId": -1,
                    "appliedOffset": 0,
                    "currentVoters": voters,
                    "data_version": 0,
                })
            }
            None => json!({
                "leaderId": leader,
                "leaderEpoch": self.epoch.0,
                "votedId": -1,
                "votedDirectoryId": TopicId(Uuid::nil()).to_string(),
                "data_version": 1,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_storage::fs::OsFs;

    #[test]
    fn reads_what_apache_kafka_writes() {
        let kafka_4_1 = br#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        let state = QuorumState {
            leader: Some(BrokerId(1)),
            epoch: LeaderEpoch(2),
            voters: None,
        };
        assert_eq!(QuorumState::parse(kafka_4_1), Ok(state));
        let static_quorum = br#"{"clusterId":"","leaderId":-1,"leaderEpoch":7,"votedId":3,"appliedOffset":0,"currentVoters":[{"voterId":3}],"data_version":0}"#;
        let state = QuorumState {
            leader: None,
            epoch: LeaderEpoch(7),
            voters: Some(vec![BrokerId(3)]),
        };
        assert_eq!(QuorumState::parse(static_quorum), Ok(state));
    }

    #[test]
    fn survives_the_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(QuorumState::read(&OsFs, dir.path()).unwrap(), None);
        for voters in [None, Some(vec![BrokerId(4)])] {
            let state = QuorumState {
                leader: Some(BrokerId(4)),
                epoch: LeaderEpoch(9),
                voters,
            };
            state.write(&OsFs, dir.path()).unwrap();
            assert_eq!(QuorumState::read(&OsFs, dir.path()).unwrap(), Some(state));
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let table: &[(&[u8], &str)] = &[
            (b"", "EOF"),
            (b"{}", "data_version"),
            (br#"{"data_version":2}"#, "unknown data_version 2"),
            (br#"{"data_version":1,"leaderId":1}"#, "leaderEpoch"),
            (
                br#"{"data_version":1,"leaderId":1,"leaderEpoch":4294967296}"#,
                "leaderEpoch",
            ),
            (
                br#"{"data_version":0,"leaderId":1,"leaderEpoch":1}"#,
                "currentVoters",
            ),
        ];
        for (bytes, reason) in table {
            let error = QuorumState::parse(bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
