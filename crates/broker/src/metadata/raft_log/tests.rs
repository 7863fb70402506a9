mod crash;

use std::fs::{read, read_dir, write};

use ottla_protocol::ids::{BrokerId, TopicId};
use ottla_storage::fs::OsFs;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::metadata::format::{METADATA_DIR, activation_records, feature_records, format};
use crate::metadata::quorum_state::QuorumState;
use crate::metadata::record::control::VoterEndpoint;
use crate::metadata::record::{
    AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, EndTransactionRecord,
    RegisterBrokerRecord, TopicRecord,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn identity() -> Identity {
    Identity {
        node_id: BrokerId(1),
        directory_id: Uuid::from_u128(77),
        endpoints: vec![VoterEndpoint {
            name: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        }],
    }
}

fn topic(name: impl Into<String>) -> MetadataRecord {
    TopicRecord {
        name: name.into(),
        topic_id: TopicId(Uuid::from_u128(5)),
    }
    .into()
}

fn bootstrap() -> Vec<MetadataRecord> {
    feature_records(MetadataVersion::IBP_4_1_IV1)
}

/// A formatted directory on a file system.
struct Node {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    identity: Identity,
    config: MetadataLogConfig,
}

impl Node {
    fn formatted(root: &Path) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(OsFs);
        format(&fs, root, &identity(), &bootstrap(), NOW).unwrap();
        Self {
            fs,
            root: root.to_owned(),
            identity: identity(),
            config: MetadataLogConfig::default(),
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.join(METADATA_DIR)
    }

    fn replay(&self) -> Result<LogReplay, MetadataLogError> {
        LogReplay::open(
            Arc::clone(&self.fs),
            &self.dir(),
            self.identity.clone(),
            self.config,
            NOW,
        )
    }

    fn start(&self) -> (MetadataLog, Vec<Replayed>) {
        let mut replay = self.replay().unwrap();
        let records = replay.by_ref().map(Result::unwrap).collect();
        (replay.lead(NOW).unwrap(), records)
    }

    fn files(&self, suffix: &str) -> Vec<String> {
        let names = read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(suffix)).collect();
        names.sort();
        names
    }
}

fn node() -> (TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::formatted(dir.path());
    (dir, node)
}

fn records(replayed: Vec<Replayed>) -> Vec<MetadataRecord> {
    replayed
        .into_iter()
        .map(|replayed| replayed.record)
        .collect()
}

#[test]
fn the_first_start_leads_epoch_1_and_names_the_voters() {
    let (_dir, node) = node();
    let (log, replayed) = node.start();
    assert_eq!(replayed, []);
    assert_eq!(
        (log.epoch(), log.end_offset(), log.high_watermark()),
        (LeaderEpoch(1), Offset(3), Offset(3))
    );
    assert_eq!(log.latest_snapshot(), None);
    let state = QuorumState {
        leader: Some(BrokerId(1)),
        epoch: LeaderEpoch(1),
        voters: None,
    };
    assert_eq!(QuorumState::read(&OsFs, &node.dir()).unwrap(), Some(state));
}

#[test]
fn a_later_start_takes_the_next_epoch_and_replays() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    let first = activation_records(bootstrap(), 1);
    assert_eq!(log.append(&first, NOW).unwrap(), Offset(9));
    assert_eq!(
        log.append(&[topic("a"), topic("b")], NOW).unwrap(),
        Offset(11)
    );
    assert_eq!(log.metadata_version(), MetadataVersion::IBP_4_1_IV1);
    drop(log);

    let (log, replayed) = node.start();
    assert_eq!(
        (log.epoch(), log.end_offset()),
        (LeaderEpoch(2), Offset(13))
    );
    let offsets: Vec<_> = replayed
        .iter()
        .map(|replayed| (replayed.offset.0, replayed.epoch.0))
        .collect();
    assert_eq!(
        offsets,
        (3..12).map(|offset| (offset, 1)).collect::<Vec<_>>()
    );
    assert_eq!(
        records(replayed),
        [first, vec![topic("a"), topic("b")]].concat()
    );
    assert_eq!(log.metadata_version(), MetadataVersion::IBP_4_1_IV1);
}

#[test]
fn the_epoch_goes_on_from_whatever_knows_the_highest() {
    let (_dir, node) = node();
    drop(node.start());
    QuorumState {
        leader: None,
        epoch: LeaderEpoch(8),
        voters: None,
    }
    .write(&OsFs, &node.dir())
    .unwrap();
    assert_eq!(node.start().0.epoch(), LeaderEpoch(9));
    std::fs::remove_file(node.dir().join("quorum-state")).unwrap();
    assert_eq!(node.start().0.epoch(), LeaderEpoch(10));
}

#[test]
fn a_log_whose_epochs_are_used_up_is_not_led() {
    let (_dir, node) = node();
    drop(node.start());
    QuorumState {
        leader: None,
        epoch: LeaderEpoch(i32::MAX),
        voters: None,
    }
    .write(&OsFs, &node.dir())
    .unwrap();
    let error = node.replay().unwrap().lead(NOW).err();
    assert!(
        matches!(
            error,
            Some(MetadataLogError::EpochsUsedUp(LeaderEpoch(i32::MAX)))
        ),
        "{error:?}"
    );
}

#[test]
fn a_snapshot_replaces_the_log_before_it() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    log.append(&[topic("a")], NOW).unwrap();
    let state = [bootstrap(), vec![topic("a")]].concat();
    let id = log.snapshot(state.clone(), NOW).unwrap();
    assert_eq!(
        id,
        SnapshotId {
            epoch: LeaderEpoch(1),
            end_offset: Offset(8)
        }
    );
    assert_eq!(log.latest_snapshot(), Some(id));
    log.append(&[topic("b")], NOW).unwrap();
    drop(log);

    let (log, replayed) = node.start();
    assert_eq!(log.latest_snapshot(), Some(id));
    assert!(
        replayed[..5]
            .iter()
            .all(|replayed| replayed.offset == Offset(7))
    );
    assert_eq!(replayed[5].offset, Offset(8));
    assert_eq!(records(replayed), [state, vec![topic("b")]].concat());
}

#[test]
fn a_snapshot_can_be_written_while_the_log_goes_on() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    let pending = log.begin_snapshot(NOW).unwrap();
    log.append(&[topic("later")], NOW).unwrap();
    let written = pending.write(bootstrap(), NOW).unwrap();
    log.adopt_snapshot(written, NOW).unwrap();
    drop(log);
    assert_eq!(
        records(node.start().1),
        [bootstrap(), vec![topic("later")]].concat()
    );
}

#[test]
fn a_snapshot_is_due_by_size_or_by_age_but_not_inside_a_transaction() {
    let (_dir, mut node) = node();
    node.config.snapshot_bytes = 2_000;
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    assert!(!log.should_snapshot(NOW));
    assert!(log.should_snapshot(Timestamp(NOW.0 + 3_600_000)));
    log.append(&[topic("x".repeat(1_800))], NOW).unwrap();
    assert!(log.should_snapshot(NOW));
    log.append(&[BeginTransactionRecord::default().into()], NOW)
        .unwrap();
    assert!(!log.should_snapshot(NOW) && log.in_transaction());
    log.append(&[EndTransactionRecord {}.into()], NOW).unwrap();
    assert!(log.should_snapshot(NOW));

    log.snapshot(bootstrap(), NOW).unwrap();
    assert!(
        !log.should_snapshot(Timestamp(NOW.0 + 3_600_000)),
        "nothing was written since"
    );
    log.append(&[topic("y")], NOW).unwrap();
    assert!(log.should_snapshot(Timestamp(NOW.0 + 3_600_000)));
    drop(log);
    // What lies behind the last snapshot still counts after a restart.
    node.config.snapshot_bytes = 150;
    assert!(node.start().0.should_snapshot(NOW));
}

#[test]
fn old_snapshots_and_the_log_before_them_go() {
    let (_dir, mut node) = node();
    node.config.segment_bytes = 4_096;
    node.config.retention_bytes = 10_000;
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    for n in 0..20 {
        log.append(&[topic(format!("{n}{}", "x".repeat(1_500)))], NOW)
            .unwrap();
        log.snapshot(bootstrap(), NOW).unwrap();
    }
    let latest = log.latest_snapshot().unwrap();
    assert!(log.start_offset() > Offset(10), "{}", log.start_offset());
    assert!(log.start_offset() <= latest.end_offset);
    let end = log.end_offset();
    drop(log);
    let snapshots = node.files(".checkpoint");
    assert!(snapshots.len() > 1 && snapshots.len() < 10, "{snapshots:?}");

    let (log, replayed) = node.start();
    assert_eq!(log.end_offset(), end.plus(1));
    assert_eq!(records(replayed), bootstrap());
}

#[test]
fn a_snapshot_goes_when_it_is_old_and_there_is_a_newer_one() {
    let (_dir, mut node) = node();
    node.config.retention_ms = 1_000;
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    log.snapshot(bootstrap(), NOW).unwrap();
    assert_eq!(node.files(".checkpoint").len(), 2);
    let later = Timestamp(NOW.0 + 1_001);
    log.append(&[topic("a")], later).unwrap();
    let id = log.snapshot(bootstrap(), later).unwrap();
    assert_eq!(node.files(".checkpoint"), [id.file_name()]);
}

#[test]
fn what_cannot_be_written_leaves_the_log_as_it_was() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    let end = log.end_offset();
    // At metadata.version 3.3, which holds until another is finalized, registrations have no log directories.
    let broker = RegisterBrokerRecord {
        log_dirs: vec![Uuid::from_u128(1)],
        ..Default::default()
    };
    let error = log
        .append(&[topic("a"), broker.clone().into()], NOW)
        .unwrap_err();
    assert!(matches!(error, MetadataLogError::Encode(_)), "{error}");
    let text = "RegisterBrokerRecord cannot be written at metadata.version 3.3-IV3: field log_dirs is set, but version \
                1 of the record does not have it";
    assert_eq!(error.to_string(), text);
    assert_eq!(log.end_offset(), end);
    let batch = [bootstrap(), vec![broker.into()]].concat();
    log.append(&batch, NOW).unwrap();
}

#[test]
fn an_aborted_transaction_takes_back_the_finalized_level() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    let mut batch = vec![BeginTransactionRecord::default().into()];
    batch.extend(bootstrap());
    log.append(&batch, NOW).unwrap();
    assert_eq!(log.metadata_version(), MetadataVersion::IBP_4_1_IV1);
    drop(log);
    let (mut log, _) = node.start();
    assert!(log.in_transaction());
    log.append(&[AbortTransactionRecord::default().into()], NOW)
        .unwrap();
    assert_eq!(
        (log.metadata_version(), log.in_transaction()),
        (MetadataVersion::MINIMUM, false)
    );
}

#[test]
fn more_than_a_batch_holds_is_split() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    let value = Some("v".repeat(30_000));
    let config = |n: usize| ConfigRecord {
        resource_type: 2,
        resource_name: n.to_string(),
        name: "k".into(),
        value: value.clone(),
    };
    let many: Vec<MetadataRecord> = (0..300).map(|n| config(n).into()).collect();
    let first = log.end_offset();
    assert_eq!(log.append(&many, NOW).unwrap(), first.plus(299));
    drop(log);
    let sizes: Vec<_> = batch_sizes(&read(node.dir().join("00000000000000000000.log")).unwrap());
    assert_eq!(
        sizes.iter().filter(|size| **size > 100_000).count(),
        2,
        "{sizes:?}"
    );
    assert!(sizes.iter().all(|size| *size <= MAX_BATCH_LEN));
    assert_eq!(records(node.start().1), [bootstrap(), many].concat());
}

fn batch_sizes(mut bytes: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(header) = ottla_protocol::record::batch::BatchHeader::read(bytes) {
        let size = header.size().unwrap();
        sizes.push(size);
        bytes = &bytes[size..];
    }
    sizes
}

#[test]
fn a_torn_tail_is_cut() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    let end = log.end_offset();
    log.append(&[topic("torn")], NOW).unwrap();
    drop(log);
    let path = node.dir().join("00000000000000000000.log");
    let whole = read(&path).unwrap();
    write(&path, &whole[..whole.len() - 1]).unwrap();
    let (log, replayed) = node.start();
    assert_eq!(records(replayed), bootstrap());
    assert_eq!(log.end_offset(), end.plus(1));
}

#[test]
fn leftovers_of_snapshots_are_removed() {
    let (_dir, node) = node();
    for name in [
        "00000000000000000008-0000000001-77.checkpoint.part",
        "00000000000000000002-0000000001.checkpoint.deleted",
    ] {
        write(node.dir().join(name), "x").unwrap();
    }
    drop(node.start());
    assert_eq!(node.files(".part").len() + node.files(".deleted").len(), 0);
}

#[test]
fn a_log_of_other_voters_is_not_led() {
    let (_dir, node) = node();
    drop(node.start());
    let other_directory = Identity {
        directory_id: Uuid::from_u128(78),
        ..identity()
    };
    let other_node = Identity {
        node_id: BrokerId(2),
        ..identity()
    };
    for stranger in [other_directory, other_node] {
        let replay = LogReplay::open(
            Arc::clone(&node.fs),
            &node.dir(),
            stranger,
            node.config,
            NOW,
        )
        .unwrap();
        let error = replay.lead(NOW).err().unwrap();
        assert!(
            matches!(error, MetadataLogError::NotSoleVoter(_)),
            "{error}"
        );
    }
    assert_eq!(
        node.start().0.epoch(),
        LeaderEpoch(2),
        "the strangers changed nothing"
    );
}

#[test]
fn another_address_of_this_node_is_written_once() {
    let (_dir, mut node) = node();
    drop(node.start());
    node.identity.endpoints[0].port += 1;
    assert_eq!(
        node.start().0.end_offset(),
        Offset(6),
        "LeaderChange, KRaftVersion, Voters"
    );
    assert_eq!(node.start().0.end_offset(), Offset(7));
    node.identity.endpoints.clear();
    assert_eq!(
        node.start().0.end_offset(),
        Offset(8),
        "no address is no other address"
    );
}

/// Without `kraft.version` 1 the voters stand in `quorum-state`, as older clusters have it.
#[test]
fn a_static_quorum_of_this_node_is_led() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node {
        fs: Arc::new(OsFs),
        root: dir.path().to_owned(),
        identity: identity(),
        config: MetadataLogConfig::default(),
    };
    drop(node.start());
    let state = QuorumState::read(&OsFs, &node.dir()).unwrap().unwrap();
    assert_eq!(state.voters, Some(vec![BrokerId(1)]));
    let (mut log, _) = node.start();
    assert_eq!((log.epoch(), log.end_offset()), (LeaderEpoch(2), Offset(2)));
    log.append(&bootstrap(), NOW).unwrap();
    log.snapshot(bootstrap(), NOW).unwrap();
    drop(log);
    assert_eq!(records(node.start().1), bootstrap());

    QuorumState {
        voters: Some(vec![BrokerId(1), BrokerId(2)]),
        ..state
    }
    .write(&OsFs, &node.dir())
    .unwrap();
    let error = node.replay().unwrap().lead(NOW).err().unwrap();
    assert!(
        matches!(error, MetadataLogError::NotSoleVoter(_)),
        "{error}"
    );
}

#[test]
fn a_missing_snapshot_is_noticed() {
    let (_dir, mut node) = node();
    node.config.segment_bytes = 4_096;
    node.config.retention_bytes = 4_096;
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    for n in 0..10 {
        log.append(&[topic(format!("{n}{}", "x".repeat(1_500)))], NOW)
            .unwrap();
        log.snapshot(bootstrap(), NOW).unwrap();
    }
    drop(log);
    for name in node.files(".checkpoint") {
        std::fs::remove_file(node.dir().join(name)).unwrap();
    }
    let error = node.replay().err().unwrap();
    assert!(
        matches!(
            error,
            MetadataLogError::Gap {
                snapshot_end: Offset(0),
                ..
            }
        ),
        "{error}"
    );
}

/// What an export to another node makes: a snapshot and no log.
#[test]
fn a_snapshot_ahead_of_the_log_is_where_it_goes_on() {
    let (_dir, node) = node();
    let (mut log, _) = node.start();
    log.append(&bootstrap(), NOW).unwrap();
    let id = log.snapshot(bootstrap(), NOW).unwrap();
    drop(log);
    for name in read_dir(node.dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if name.file_name().unwrap() != id.file_name().as_str() {
            std::fs::remove_file(name).unwrap();
        }
    }
    let (log, replayed) = node.start();
    assert_eq!(records(replayed), bootstrap());
    assert_eq!(
        (log.epoch(), log.start_offset(), log.end_offset()),
        (LeaderEpoch(2), Offset(7), Offset(8))
    );
}
