//! A case: one configuration, measured for each of its sides, all repeats interleaved.

use std::time::{Duration, Instant};

use crate::clock::now;
use crate::error::Result;
use crate::sample::{Sample, Target};
use crate::stats::Shuffler;

/// Which path of the broker a case is about; one table each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Path {
    /// Fetch against a `sendfile` loop.
    Consume,
    /// Produce against receive, CRC, write.
    Produce,
    /// Produce with acks=1 and with acks=all, which waits for the disk.
    Durability,
    /// Idempotent and transactional produce against plain, read_committed against read_uncommitted.
    Transactions,
    /// Small requests against an echo.
    Latency,
    /// Time to the first answer and idle memory.
    Startup,
    /// Many consumer groups, and a large one.
    Groups,
    /// A tailing consumer beside one that reads from the disk.
    Cold,
    /// Time to start on a used data directory.
    Recovery,
    /// A stock librdkafka producer.
    Librdkafka,
    /// The same requests to Apache Kafka, with `--kafka` only.
    Versus,
    /// Start-up and memory beside Apache Kafka's, with `--kafka` only.
    VersusStart,
}

/// Measures one side once.
pub(crate) type Measure<'a> = Box<dyn FnMut() -> Result<Sample> + 'a>;

/// One configuration.
pub(crate) struct Case<'a> {
    /// What it is about.
    pub(crate) path: Path,
    /// The configuration in words.
    pub(crate) label: String,
    /// Name and measurement of each side; the first is what the others are compared with.
    pub(crate) sides: Vec<(&'static str, Measure<'a>)>,
    /// What the second side has to keep.
    pub(crate) targets: Vec<Target>,
}

/// The samples of one case, `samples[side][repeat]`.
pub(crate) struct Outcome {
    /// As in the case.
    pub(crate) path: Path,
    /// As in the case.
    pub(crate) label: String,
    /// As in the case.
    pub(crate) sides: Vec<&'static str>,
    /// As in the case.
    pub(crate) targets: Vec<Target>,
    /// One list a side, one sample a repeat.
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// Measures every case `repeats` times, in a new random order each time, the sides of a case next to each other. There
/// are fewer repeats when one more would most likely end behind `end`, but always one.
pub(crate) fn run(
    mut cases: Vec<Case<'_>>,
    repeats: usize,
    end: Instant,
    shuffler: &mut Shuffler,
) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Outcome> = cases.iter().map(Outcome::empty).collect();
    let mut last = Duration::ZERO;
    for repeat in 0..repeats {
        let start = now();
        if repeat > 0 && start + last > end {
            eprintln!("no more repeats: the machine is busy, and the time is up");
            break;
        }
        eprintln!("repeat {} of {repeats}, {} cases", repeat + 1, cases.len());
        for case in shuffler.order(cases.len()) {
            for side in shuffler.order(cases[case].sides.len()) {
                let sample = (cases[case].sides[side].1)()?;
                outcomes[case].samples[side].push(sample);
            }
        }
        last = now() - start;
    }
    Ok(outcomes)
}

impl Outcome {
    fn empty(case: &Case<'_>) -> Self {
        Self {
            path: case.path,
            label: case.label.clone(),
            sides: case.sides.iter().map(|(name, _)| *name).collect(),
            targets: case.targets.clone(),
            samples: vec![Vec::new(); case.sides.len()],
        }
    }

    /// Each target with what was measured.
    pub(crate) fn judged(&self) -> impl Iterator<Item = (Target, f64)> + '_ {
        self.targets.iter().filter_map(|target| {
            let side = self.samples.get(1).or(self.samples.first())?;
            Some((*target, target.measured(self.samples.first()?, side)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn every_side_is_measured_in_every_repeat() {
        let log = RefCell::new(Vec::new());
        let case = |name: &'static str| {
            let measure = |side: u64| -> Measure<'_> {
                let log = &log;
                Box::new(move || {
                    log.borrow_mut().push((name, side));
                    Ok(Sample {
                        bytes: side,
                        ..Sample::default()
                    })
                })
            };
            let sides = vec![("raw", measure(0)), ("broker", measure(1))];
            Case {
                path: Path::Consume,
                label: name.into(),
                sides,
                targets: Vec::new(),
            }
        };
        let cases = || vec![case("a"), case("b")];
        let late = run(cases(), 5, now(), &mut Shuffler::new(1)).unwrap();
        assert!(late.iter().all(|outcome| outcome.samples[0].len() == 1));
        log.borrow_mut().clear();
        let end = now() + Duration::from_secs(60);
        let outcomes = run(cases(), 5, end, &mut Shuffler::new(1)).unwrap();
        for outcome in &outcomes {
            for (side, samples) in outcome.samples.iter().enumerate() {
                assert_eq!(samples.len(), 5);
                assert!(samples.iter().all(|sample| sample.bytes == side as u64));
            }
        }
        for pair in log.borrow().chunks(2) {
            assert_eq!(
                pair[0].0, pair[1].0,
                "the sides of a case run next to each other"
            );
            assert_ne!(pair[0].1, pair[1].1);
        }
    }
}
