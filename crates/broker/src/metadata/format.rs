//! Formatting a data directory: what `kafka-storage format --standalone` writes, but for `meta.properties`.
//!
//! * `bootstrap.checkpoint` holds, in the format of a snapshot, the records that the first controller appends to the
//!   empty metadata log, inside a metadata transaction ([`activation_records`]).
//! * `__cluster_metadata-0/0...0-0...0.checkpoint` names this node as the only voter of the quorum (KIP-853).
//!
//! `meta.properties` says that a directory is formatted, so it is written after these, by the storage crate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::Timestamp;
use ottla_storage::fs::Fs;

use super::quorum::Identity;
use super::raft_batch::Content;
use super::record::control::ControlRecord;
use super::record::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
    METADATA_VERSION_FEATURE, MetadataRecord, MetadataVersion,
};
use super::snapshot::{
    ReadSnapshotError, SnapshotId, SnapshotReader, SnapshotWriter, WriteSnapshotError,
};

/// Name of the directory of the metadata log.
pub const METADATA_DIR: &str = "__cluster_metadata-0";
/// Name of the file with the first records.
pub const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
/// Feature that keeps in-sync replicas eligible as leaders (KIP-966).
pub const ELR_FEATURE: &str = "eligible.leader.replicas.version";

/// Features that Kafka finalizes in a new cluster, with their level and the `metadata.version` from which it does.
/// `share.version` (from 4.2-IV0) and `streams.version` (from 4.2-IV1) are left out: this broker has no such
/// groups, and a finalized feature is a promise.
const FEATURES: [(&str, i16, MetadataVersion); 3] = [
    (ELR_FEATURE, 1, MetadataVersion(26)),
    ("group.version", 1, MetadataVersion(22)),
    ("transaction.version", 2, MetadataVersion(24)),
];

/// `ConfigResource.Type.BROKER`.
const BROKER_RESOURCE: i8 = 4;

/// Why a directory cannot be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The directory of the metadata log cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteSnapshotError),
}

/// The feature levels of a new cluster at `level`, in the order in which Kafka writes them.
pub fn feature_records(level: MetadataVersion) -> Vec<MetadataRecord> {
    let feature = |name: &str, feature_level| {
        FeatureLevelRecord {
            name: name.to_owned(),
            feature_level,
        }
        .into()
    };
    let mut records = vec![feature(METADATA_VERSION_FEATURE, level.0)];
    let others = FEATURES.iter().filter(|(_, _, since)| level >= *since);
    records.extend(others.map(|(name, feature_level, _)| feature(name, *feature_level)));
    records
}

/// Write what a new cluster of this one node begins with into `log_dir`, which exists. `bootstrap` are the first
/// records: [`feature_records`] and, if wanted, SCRAM credentials. Everything is durable when this returns; done
/// again, it replaces what is there.
pub fn format(
    fs: &Arc<dyn Fs>,
    log_dir: &Path,
    identity: &Identity,
    bootstrap: &[MetadataRecord],
    now: Timestamp,
) -> Result<(), FormatError> {
    let epoch = SnapshotId::BOOTSTRAP.epoch;
    let mut writer = SnapshotWriter::create(
        Arc::clone(fs),
        log_dir.join(BOOTSTRAP_FILE),
        epoch,
        Timestamp(0),
        &[],
        now,
    )?;
    writer.append(bootstrap, now)?;
    writer.freeze(now)?;

    let dir = log_dir.join(METADATA_DIR);
    fs.create_dir(&dir).map_err(|source| FormatError::Io {
        path: dir.clone(),
        source,
    })?;
    let head = [
        ControlRecord::kraft_version(1),
        ControlRecord::Voters(identity.voters()),
    ];
    let path = dir.join(SnapshotId::BOOTSTRAP.file_name());
    SnapshotWriter::create(Arc::clone(fs), path, epoch, now, &head, now)?.freeze(now)?;
    fs.sync_dir(log_dir).map_err(|source| FormatError::Io {
        path: log_dir.to_owned(),
        source,
    })
}

/// The records in `bootstrap.checkpoint` of `log_dir`; none when there is no such file.
pub fn read_bootstrap(
    fs: &dyn Fs,
    log_dir: &Path,
) -> Result<Vec<MetadataRecord>, ReadSnapshotError> {
    let path = log_dir.join(BOOTSTRAP_FILE);
    let exists = fs.stat(&path).map_err(|error| ReadSnapshotError {
        path: path.clone(),
        position: 0,
        reason: error.into(),
    })?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let (reader, _) = SnapshotReader::open(fs, &path)?;
    let mut records = Vec::new();
    for content in reader {
        if let Content::Metadata(batch) = content? {
            records.extend(batch);
        }
    }
    Ok(records)
}

/// What the first controller appends to an empty metadata log, in one batch: the bootstrap records inside a
/// metadata transaction. Where eligible leader replicas are on, `min.insync.replicas` becomes a dynamic config
/// of the cluster, because the controller then needs it (`ActivationRecordsGenerator`).
pub fn activation_records(
    bootstrap: Vec<MetadataRecord>,
    min_insync_replicas: i32,
) -> Vec<MetadataRecord> {
    let has_elr = bootstrap.iter().any(|record| {
        matches!(record, MetadataRecord::FeatureLevel(feature) if feature.name == ELR_FEATURE && feature.feature_level > 0)
    });
    let mut records = vec![
        BeginTransactionRecord {
            name: Some("Bootstrap records".to_owned()),
        }
        .into(),
    ];
    records.extend(bootstrap);
    if has_elr {
        let config = ConfigRecord {
            resource_type: BROKER_RESOURCE,
            resource_name: String::new(),
            name: "min.insync.replicas".to_owned(),
            value: Some(min_insync_replicas.to_string()),
        };
        records.push(config.into());
    }
    records.push(EndTransactionRecord {}.into());
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::record::control::VoterEndpoint;
    use crate::metadata::record::json::to_json;
    use ottla_protocol::ids::BrokerId;
    use ottla_storage::fs::OsFs;
    use uuid::Uuid;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// The files that `kafka-storage format --standalone` of Apache Kafka 4.1.1 wrote. It takes the time for each batch
    /// anew; here all have the time of the first.
    #[test]
    fn writes_the_files_of_apache_kafka() {
        let identity = Identity {
            node_id: BrokerId(1),
            directory_id: Uuid::from_u128(0xa94ec54a_7d0a_443d_a2fe_1ba29fe57dfa),
            endpoints: vec![VoterEndpoint {
                name: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: 29193,
            }],
        };
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp(0x01a1_fc83_af40);
        let records = feature_records(MetadataVersion::IBP_4_1_IV1);
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        for _ in 0..2 {
            format(&fs, dir.path(), &identity, &records, now).unwrap();
        }

        let voters = std::fs::read(
            dir.path()
                .join(METADATA_DIR)
                .join("00000000000000000000-0000000000.checkpoint"),
        );
        let mut expected = bytes(KAFKA_VOTERS);
        // The time of the header record's content, set apart by seven milliseconds there.
        assert_eq!(expected.len(), 241);
        let voters = voters.unwrap();
        assert_eq!(voters.len(), expected.len());
        let differ = |at: usize| {
            (17..21).contains(&at)
                || at == 80
                || (166 + 17..166 + 21).contains(&at)
                || at == 166 + 34
                || at == 166 + 42
        };
        for (at, byte) in expected
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| differ(*at))
        {
            *byte = voters[at];
        }
        assert_eq!(voters, expected);
        assert_eq!(read_bootstrap(&OsFs, dir.path()).unwrap(), records);
        assert_eq!(
            std::fs::metadata(dir.path().join(BOOTSTRAP_FILE))
                .unwrap()
                .len(),
            355
        );
    }

    const KAFKA_VOTERS: &str = "
        0000000000000000 0000009a 00000000 02 177687de 0020 00000002 000001a1fc83af40 000001a1fc83af40
        ffffffffffffffff ffff ffffffff 00000003
        2a 00 00 00 08 00000003 16 0000 000001a1fc83af39 00 00
        1e 00 00 02 08 00000005 0a 0000 0001 00 00
        8201 00 00 04 08 00000006 6e 0000 02 00000001 a94ec54a7d0a443da2fe1ba29fe57dfa
        02 0b 434f4e54524f4c4c4552 0a 3132372e302e302e31 7209 00 0000 0001 00 00 00 00
        0000000000000003 0000003f 00000000 02 f82ef5b8 0020 00000000 000001a1fc83af46 000001a1fc83af46
        ffffffffffffffff ffff ffffffff 00000001
        1a 00 00 00 08 00000004 06 0000 00 00";

    #[test]
    fn features_follow_the_level() {
        let names = |level| -> Vec<_> {
            feature_records(MetadataVersion(level))
                .iter()
                .map(|record| to_json(record, 0)["data"].to_string())
                .collect()
        };
        assert_eq!(
            names(27),
            [
                r#"{"featureLevel":27,"name":"metadata.version"}"#,
                r#"{"featureLevel":1,"name":"eligible.leader.replicas.version"}"#,
                r#"{"featureLevel":1,"name":"group.version"}"#,
                r#"{"featureLevel":2,"name":"transaction.version"}"#,
            ]
        );
        assert_eq!(names(25).len(), 3);
        assert_eq!(names(21).len(), 1);
    }

    #[test]
    fn activation_is_a_metadata_transaction() {
        let records = activation_records(feature_records(MetadataVersion::IBP_4_1_IV1), 2);
        let lines: Vec<_> = records.iter().map(|record| to_json(record, 0)).collect();
        assert_eq!(lines[0]["data"]["name"], "Bootstrap records");
        assert_eq!(
            lines[5]["data"].to_string(),
            r#"{"name":"min.insync.replicas","resourceName":"","resourceType":4,"value":"2"}"#
        );
        assert_eq!(lines[6]["type"], "END_TRANSACTION_RECORD");
        assert_eq!(lines.len(), 7);
        let without_elr = activation_records(feature_records(MetadataVersion::IBP_4_0_IV3), 2);
        assert_eq!(without_elr.len(), 5);
    }
}
