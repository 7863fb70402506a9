//! Power is lost before every change that a run makes to the disk. What was acknowledged must be there afterwards,
//! every append as a whole or not at all, and the node must lead on in a higher epoch.

use std::io;
use std::sync::Mutex;

use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::fault::{Fault, FaultFs};

use super::*;

const ROOT: &str = "/data";
/// How much of what is not synced a cut leaves, in a hundred.
const KEPT: [u64; 4] = [0, 30, 70, 100];

/// What one run was told: the appends that were acknowledged, the one that is under way, the epoch it leads.
#[derive(Clone, Debug, Default)]
struct Told {
    formatted: bool,
    acknowledged: Vec<MetadataRecord>,
    under_way: Vec<MetadataRecord>,
    epoch: LeaderEpoch,
}

/// What a cut left, and what the run had been told by then.
struct Cut {
    whence: String,
    fs: CrashFs,
    told: Told,
}

/// A run on a disk, and what it has been told so far.
struct Run {
    fs: Arc<dyn Fs>,
    told: Arc<Mutex<Told>>,
}

impl Run {
    /// On `fs`, with a cut before every change.
    fn observed(fs: &CrashFs, told: Told, whence: &str) -> (Self, Arc<Mutex<Vec<Cut>>>) {
        let (told, cuts) = (Arc::new(Mutex::new(told)), Arc::new(Mutex::new(Vec::new())));
        let (now_told, found, whence) = (Arc::clone(&told), Arc::clone(&cuts), whence.to_owned());
        fs.observe(Box::new(move |fs| {
            let mut found = found.lock().unwrap();
            let change = found.len() / KEPT.len();
            for percent in KEPT {
                let seed = change as u64 * 101 + percent;
                let whence = format!(
                    "{whence}cut before change {change}, {percent} in a hundred kept, seed {seed}"
                );
                let told = now_told.lock().unwrap().clone();
                found.push(Cut {
                    whence,
                    fs: fs.crash(seed, percent),
                    told,
                });
            }
        }));
        (
            Self {
                fs: Arc::new(fs.clone()),
                told,
            },
            cuts,
        )
    }

    fn format(&self) {
        self.fs.create_dir(Path::new(ROOT)).unwrap();
        self.fs.sync_dir(Path::new("/")).unwrap();
        format(&self.fs, Path::new(ROOT), &identity(), &bootstrap(), NOW).unwrap();
        self.told.lock().unwrap().formatted = true;
    }

    /// Two lives: appends of several sizes, snapshots, small segments and a tight retention.
    fn live_twice(&self) {
        for life in 0..2 {
            let mut log = open(&self.fs).unwrap().lead(NOW).unwrap();
            self.told.lock().unwrap().epoch = log.epoch();
            if life == 0 {
                self.append(&mut log, activation_records(bootstrap(), 1));
            }
            for n in 0..6 {
                let name = |i| topic(format!("{life}-{n}-{i}{}", "x".repeat(n * 150)));
                self.append(&mut log, (0..=n % 3).map(name).collect());
                if n % 2 == 1 {
                    let state = self.told.lock().unwrap().acknowledged.clone();
                    log.snapshot(state, NOW).unwrap();
                }
            }
            log.close().unwrap();
        }
    }

    fn append(&self, log: &mut MetadataLog, records: Vec<MetadataRecord>) {
        self.told.lock().unwrap().under_way = records.clone();
        log.append(&records, NOW).unwrap();
        let mut told = self.told.lock().unwrap();
        told.under_way.clear();
        told.acknowledged.extend(records);
    }
}

impl Cut {
    /// The disk holds what was acknowledged, or that and all of what was under way, and the node goes on.
    fn check(&self) {
        let Self { whence, told, .. } = self;
        let fs: Arc<dyn Fs> = Arc::new(self.fs.clone());
        if !told.formatted {
            fs.create_dir(Path::new(ROOT)).unwrap();
            format(&fs, Path::new(ROOT), &identity(), &bootstrap(), NOW)
                .unwrap_or_else(|error| panic!("{whence}: {error}"));
        }
        let (found, epoch) = self.reopen(&fs, &[topic("again")]);
        assert!(
            epoch > told.epoch,
            "{whence}: epoch {epoch} after {}",
            told.epoch
        );
        let all = [&told.acknowledged[..], &told.under_way].concat();
        assert!(
            found == told.acknowledged || found == all,
            "{whence}: {} of {}",
            found.len(),
            all.len()
        );
        let (again, later) = self.reopen(&fs, &[]);
        assert_eq!(again, [found, vec![topic("again")]].concat(), "{whence}");
        assert!(later > epoch, "{whence}");
    }

    fn reopen(
        &self,
        fs: &Arc<dyn Fs>,
        append: &[MetadataRecord],
    ) -> (Vec<MetadataRecord>, LeaderEpoch) {
        let whence = &self.whence;
        let mut replay = open(fs).unwrap_or_else(|error| panic!("{whence}: {error}"));
        let found = replay
            .by_ref()
            .map(|replayed| replayed.unwrap_or_else(|error| panic!("{whence}: {error}")));
        let found = found.map(|replayed| replayed.record).collect();
        let mut log = replay
            .lead(NOW)
            .unwrap_or_else(|error| panic!("{whence}: {error}"));
        assert_eq!(log.quorum.voters, Some(identity().voters()), "{whence}");
        log.append(append, NOW)
            .unwrap_or_else(|error| panic!("{whence}: {error}"));
        (found, log.epoch())
    }
}

fn open(fs: &Arc<dyn Fs>) -> Result<LogReplay, MetadataLogError> {
    let config = MetadataLogConfig {
        segment_bytes: 3_000,
        retention_bytes: 6_000,
        ..MetadataLogConfig::default()
    };
    LogReplay::open(
        Arc::clone(fs),
        &Path::new(ROOT).join(METADATA_DIR),
        identity(),
        config,
        NOW,
    )
}

/// Every cut of the usual run.
fn cuts() -> Vec<Cut> {
    let (run, cuts) = Run::observed(&CrashFs::default(), Told::default(), "");
    run.format();
    run.live_twice();
    std::mem::take(&mut *cuts.lock().unwrap())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_before_every_change() {
    let cuts = cuts();
    assert!(
        cuts.len() > 150 * KEPT.len(),
        "the run makes {} changes, so it does little",
        cuts.len() / KEPT.len()
    );
    cuts.iter().for_each(Cut::check);
}

/// A power cut while the node recovers from a power cut.
#[test]
fn recovery_may_be_cut_too() {
    for cut in cuts()
        .into_iter()
        .filter(|cut| cut.told.formatted)
        .step_by(41)
    {
        let (run, again) =
            Run::observed(&cut.fs, cut.told.clone(), &format!("{}, then ", cut.whence));
        open(&run.fs).unwrap().lead(NOW).unwrap();
        let again = std::mem::take(&mut *again.lock().unwrap());
        again.iter().for_each(Cut::check);
    }
}

/// A formatted and led log on a disk that fails as `fault` says.
fn led(fault: Fault) -> (FaultFs, MetadataLog) {
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    fs.create_dir(Path::new(ROOT)).unwrap();
    format(&fs, Path::new(ROOT), &identity(), &bootstrap(), NOW).unwrap();
    let faulty = FaultFs::new(fs, fault);
    let disk: Arc<dyn Fs> = Arc::new(faulty.clone());
    (faulty, open(&disk).unwrap().lead(NOW).unwrap())
}

#[test]
fn after_a_failed_write_or_sync_nothing_goes_on() {
    let broken = io::ErrorKind::Other;
    for (fault, call) in [
        (Fault::Error(broken), 0),
        (Fault::Error(broken), 1),
        (Fault::TornWrite(broken), 0),
    ] {
        let (fs, mut log) = led(fault);
        fs.fail_at(call, u64::MAX);
        let error = log.append(&bootstrap(), NOW).unwrap_err();
        assert!(
            matches!(error, MetadataLogError::Append(_)),
            "{fault:?} at {call}: {error}"
        );
        // Healed or not, nobody knows what the disk holds.
        fs.heal();
        assert!(!log.is_usable());
        assert!(matches!(
            log.append(&bootstrap(), NOW),
            Err(MetadataLogError::Failed)
        ));
        assert!(matches!(
            log.snapshot(bootstrap(), NOW),
            Err(MetadataLogError::Failed)
        ));
        assert!(matches!(log.close(), Err(MetadataLogError::Failed)));
    }
}

#[test]
fn a_full_disk_refuses_and_the_log_goes_on_when_there_is_space() {
    let (fs, mut log) = led(Fault::Error(io::ErrorKind::StorageFull));
    let end = log.end_offset();
    fs.fail_at(0, 1);
    let error = log.append(&bootstrap(), NOW).unwrap_err();
    assert!(
        matches!(error, MetadataLogError::Append(AppendError::NoSpace(_))),
        "{error}"
    );
    assert!(log.is_usable());
    assert_eq!(
        (log.end_offset(), log.metadata_version()),
        (end, MetadataVersion::MINIMUM)
    );
    log.append(&bootstrap(), NOW).unwrap();

    fs.fail_at(2, 1);
    assert!(matches!(
        log.snapshot(bootstrap(), NOW),
        Err(MetadataLogError::WriteSnapshot(_))
    ));
    assert_eq!(log.latest_snapshot(), None);
    log.snapshot(bootstrap(), NOW).unwrap();
}
