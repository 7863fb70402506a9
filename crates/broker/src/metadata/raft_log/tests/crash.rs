//! Power is lost at every change that a run makes to the disk, one run a change. What was acknowledged must be
//! there afterwards, every append as a whole or not at all, and the node must lead on in a higher epoch.

use super::power_cut::{PowerCutFs, Random};
use super::*;

const ROOT: &str = "/data";
/// What a disk may hold after a cut, tried per cut.
const SEEDS: u64 = 4;

/// What one run was told: the appends that were acknowledged, the one that was under way, the epochs it led.
#[derive(Debug, Default)]
struct Told {
    formatted: bool,
    acknowledged: Vec<MetadataRecord>,
    under_way: Option<Vec<MetadataRecord>>,
    epoch: LeaderEpoch,
}

impl Told {
    /// Format, then two lives: appends of several sizes, snapshots, small segments and a tight retention.
    fn run(&mut self, fs: &PowerCutFs) -> Result<(), Box<dyn std::error::Error>> {
        let fs: Arc<dyn Fs> = Arc::new(fs.clone());
        fs.create_dir(Path::new(ROOT))?;
        fs.sync_dir(Path::new("/"))?;
        format(&fs, Path::new(ROOT), &identity(), &bootstrap(), NOW)?;
        self.formatted = true;
        for life in 0..2 {
            let mut log = open(&fs)?.lead(NOW)?;
            self.epoch = log.epoch();
            if life == 0 {
                self.append(&mut log, activation_records(bootstrap(), 1))?;
            }
            for n in 0..6 {
                let records = (0..=n % 3)
                    .map(|i| topic(format!("{life}-{n}-{i}{}", "x".repeat(n * 150))))
                    .collect();
                self.append(&mut log, records)?;
                if n % 2 == 1 {
                    log.snapshot(self.acknowledged.clone(), NOW)?;
                }
            }
            log.close()?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        log: &mut MetadataLog,
        records: Vec<MetadataRecord>,
    ) -> Result<(), MetadataLogError> {
        self.under_way = Some(records.clone());
        log.append(&records, NOW)?;
        self.acknowledged
            .append(&mut self.under_way.take().unwrap());
        Ok(())
    }

    /// The disk holds what was acknowledged, or that and all of what was under way, and the node goes on.
    fn check(&self, fs: &PowerCutFs, whence: &str) {
        let fs: Arc<dyn Fs> = Arc::new(fs.clone());
        if !self.formatted {
            format(&fs, Path::new(ROOT), &identity(), &bootstrap(), NOW)
                .unwrap_or_else(|error| panic!("{whence}: {error}"));
        }
        let (found, epoch) = self.reopen(&fs, whence, &[topic("again")]);
        assert!(
            epoch > self.epoch,
            "{whence}: epoch {epoch} after {}",
            self.epoch
        );
        let all = [
            self.acknowledged.clone(),
            self.under_way.clone().unwrap_or_default(),
        ]
        .concat();
        assert!(
            found == self.acknowledged || found == all,
            "{whence}: {} of {} records",
            found.len(),
            all.len()
        );
        let (again, later) = self.reopen(&fs, whence, &[]);
        assert_eq!(again, [found, vec![topic("again")]].concat(), "{whence}");
        assert!(later > epoch, "{whence}");
    }

    fn reopen(
        &self,
        fs: &Arc<dyn Fs>,
        whence: &str,
        append: &[MetadataRecord],
    ) -> (Vec<MetadataRecord>, LeaderEpoch) {
        let mut replay = open(fs).unwrap_or_else(|error| panic!("{whence}: {error}"));
        let found = replay
            .by_ref()
            .map(|replayed| replayed.unwrap_or_else(|error| panic!("{whence}: {error}")));
        let found = found.map(|replayed| replayed.record).collect();
        let mut log = replay
            .lead(NOW)
            .unwrap_or_else(|error| panic!("{whence}: {error}"));
        if !append.is_empty() {
            log.append(append, NOW)
                .unwrap_or_else(|error| panic!("{whence}: {error}"));
        }
        assert_eq!(log.quorum.voters, Some(identity().voters()), "{whence}");
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

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_change() {
    let mut cuts = 0;
    loop {
        cuts += 1;
        let fs = PowerCutFs::new();
        fs.cut_at(cuts);
        let mut told = Told::default();
        let done = told.run(&fs);
        if !fs.is_cut() {
            done.unwrap();
            break;
        }
        for seed in 0..SEEDS {
            let whence = format!("cut at change {cuts}, seed {seed}");
            told.check(
                &fs.after_cut(&mut Random::new(cuts * SEEDS + seed)),
                &whence,
            );
        }
    }
    assert!(
        cuts > 150,
        "the run makes {cuts} changes, so it does little"
    );
}

/// A power cut while the node recovers from a power cut.
#[test]
fn recovery_may_be_cut_too() {
    for first in (5..400).step_by(7) {
        let fs = PowerCutFs::new();
        fs.cut_at(first);
        let mut told = Told::default();
        if told.run(&fs).is_ok() || !told.formatted {
            continue;
        }
        for second in 1..40 {
            let mut random = Random::new(first * 100 + second);
            let recovering = fs.after_cut(&mut random);
            let disk: Arc<dyn Fs> = Arc::new(recovering.clone());
            recovering.cut_at(second);
            let led = open(&disk).and_then(|replay| replay.lead(NOW));
            if !recovering.is_cut() {
                led.unwrap();
                break;
            }
            told.check(
                &recovering.after_cut(&mut random),
                &format!("cut at change {first}, then {second}"),
            );
        }
    }
}

/// A formatted and led log on `fs`.
fn led(fs: &PowerCutFs) -> MetadataLog {
    let disk: Arc<dyn Fs> = Arc::new(fs.clone());
    format(&disk, Path::new(ROOT), &identity(), &bootstrap(), NOW).unwrap();
    open(&disk).unwrap().lead(NOW).unwrap()
}

#[test]
fn after_a_failed_write_or_sync_nothing_goes_on() {
    for call in 1..3 {
        let fs = PowerCutFs::new();
        let mut log = led(&fs);
        fs.cut_at(call);
        assert!(
            matches!(
                log.append(&bootstrap(), NOW),
                Err(MetadataLogError::Append(_))
            ),
            "change {call}"
        );
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
    let fs = PowerCutFs::new();
    let mut log = led(&fs);
    let end = log.end_offset();
    fs.set_full(true);
    assert!(matches!(
        log.append(&bootstrap(), NOW),
        Err(MetadataLogError::Append(AppendError::NoSpace(_)))
    ));
    assert!(matches!(
        log.snapshot(bootstrap(), NOW),
        Err(MetadataLogError::WriteSnapshot(_))
    ));
    assert!(log.is_usable());
    assert_eq!(
        (log.end_offset(), log.metadata_version()),
        (end, MetadataVersion::MINIMUM)
    );
    fs.set_full(false);
    log.append(&bootstrap(), NOW).unwrap();
    log.snapshot(bootstrap(), NOW).unwrap();
}
