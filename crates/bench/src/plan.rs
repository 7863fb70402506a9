//! Which cases a run has: what must be there before (topics, files), and the cases of each path that is wanted.

use std::path::Path as FilePath;

use crate::case::{Case, Path};
use crate::consume::DataSet;
use crate::error::Result;
use crate::lab::Lab;
use crate::versus::Versus;
use crate::{
    cold, consume, durability, groups, latency, librdkafka, produce, recovery, startup,
    transactions, versus,
};

/// The cases of a run can be made from it; it holds what they read.
pub(crate) struct Plan<'a> {
    lab: &'a Lab,
    subject: Subject<'a>,
    wanted: Vec<Path>,
    sets: Vec<DataSet>,
    cold: Option<cold::Topics>,
    versus: Option<Versus<'a>>,
}

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The broker's program, when the run starts it.
    pub(crate) program: Option<&'a FilePath>,
    /// Apache Kafka beside it: its lab, and its jars.
    pub(crate) kafka: Option<(&'a Lab, &'a FilePath)>,
}

impl<'a> Plan<'a> {
    /// Creates and fills the topics that the paths need.
    pub(crate) fn prepare(
        lab: &'a Lab,
        subject: Subject<'a>,
        wanted: impl Fn(Path) -> bool,
    ) -> Result<Self> {
        let mut sets = Vec::new();
        if wanted(Path::Consume) {
            sets = consume::data_sets(lab)?;
        }
        let mut cold = None;
        if wanted(Path::Cold) {
            cold = cold::Topics::create(lab)?;
        }
        let mut versus = None;
        if let Some((kafka, _)) = subject.kafka.filter(|_| wanted(Path::Versus)) {
            versus = Some(Versus::prepare(lab, kafka)?);
        }
        let all = <Path as clap::ValueEnum>::value_variants();
        Ok(Self {
            lab,
            subject,
            wanted: all.iter().copied().filter(|path| wanted(*path)).collect(),
            sets,
            cold,
            versus,
        })
    }

    /// The cases of all paths that are wanted.
    pub(crate) fn cases(&self) -> Result<Vec<Case<'_>>> {
        let mut cases = Vec::new();
        for path in &self.wanted {
            cases.extend(self.cases_of(*path)?);
        }
        Ok(cases)
    }

    fn cases_of(&self, path: Path) -> Result<Vec<Case<'_>>> {
        let (lab, program) = (self.lab, self.subject.program);
        let name = if program.is_some() { "ottla" } else { "broker" };
        let (placement, scratch) = (&lab.placement, lab.scratch.as_path());
        Ok(match (path, program) {
            (Path::Consume, _) => consume::cases(lab, &self.sets, name),
            (Path::Produce, _) => produce::cases(lab, name)?,
            (Path::Durability, _) => durability::cases(lab, name)?,
            (Path::Transactions, _) => transactions::cases(lab)?,
            (Path::Latency, _) => latency::cases(lab, name)?,
            (Path::Startup, Some(program)) => startup::cases(program, placement, scratch),
            (Path::Groups, Some(program)) => groups::cases(program, placement, scratch),
            (Path::Cold, _) => {
                let topics = self.cold.iter();
                topics.flat_map(|topics| cold::cases(lab, topics)).collect()
            }
            (Path::Recovery, Some(program)) => {
                recovery::cases(program, placement, scratch, &lab.extent)
            }
            (Path::Librdkafka, _) => librdkafka::cases(lab, name)?,
            (Path::Versus, _) => self.versus.as_ref().map(Versus::cases).unwrap_or_default(),
            (Path::VersusStart, Some(program)) => match self.subject.kafka {
                Some((_, jars)) => versus::start_up(program, jars, lab),
                None => Vec::new(),
            },
            // A broker that runs already is not started.
            (Path::Startup | Path::Groups | Path::Recovery | Path::VersusStart, None) => Vec::new(),
        })
    }
}
