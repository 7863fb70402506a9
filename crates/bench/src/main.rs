//! Measures a broker against raw loops over the same bytes, or beside Apache Kafka: ratios within one run, medians of
//! interleaved repeats.
//!
//! Both sides are processes of their own on the same CPU; what is compared is the CPU time of the server process.
//! Absolute figures are this machine's and this hour's, ratios travel better.

mod affinity;
mod batch;
mod case;
mod client;
mod clock;
mod cold;
mod consume;
mod drive;
mod durability;
mod error;
mod fetch_answer;
mod frame_reader;
mod groups;
mod kafka;
mod lab;
mod latency;
mod librdkafka;
mod machine;
mod network;
mod plan;
mod produce;
mod raw;
mod readme;
mod recovery;
mod report;
mod request;
mod sample;
mod server;
mod startup;
mod stats;
mod transactions;
mod versus;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use affinity::{Pinning, Placement};
use case::Path;
use error::{BenchError, Doing, Result};
use kafka::Kafka;
use lab::{Extent, Lab};
use plan::{Plan, Subject};
use server::{Server, find_broker};
use stats::Shuffler;

/// Measures the Ottla broker, or any other, against raw loops over the same bytes.
#[derive(Parser)]
#[command(name = "ottla-bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Measure (what happens without a command, too).
    Run(Box<RunArgs>),
    /// The raw side, started by a run.
    #[command(hide = true)]
    RawServer,
}

#[derive(Args, Clone)]
struct RunArgs {
    /// The broker's program; by default the one built beside this program.
    #[arg(long)]
    ottla: Option<PathBuf>,
    /// Fewer cases and shorter measurements: below two minutes.
    #[arg(long)]
    quick: bool,
    /// Measure only these paths.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Path>,
    /// Measure only cases whose name contains this, such as "64 KiB fetch, 1 part., 1 cons.".
    #[arg(long)]
    case: Option<String>,
    /// Length of one timed measurement in ms (200, or 100 when quick); longer ones for a profiler.
    #[arg(long)]
    slice_ms: Option<u64>,
    /// Where server and clients run.
    #[arg(long, value_enum, default_value = "one")]
    pin: Pinning,
    /// Interleaved repeats (7, or 5 when quick).
    #[arg(long)]
    repeats: Option<usize>,
    /// Seed of the order of measurements.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write every sample to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Directory for the data, on the file system to be measured; by default the temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Measure a broker that runs already at this address.
    #[arg(long, requires = "pid")]
    bootstrap: Option<SocketAddr>,
    /// Directory of Apache Kafka's jars: measure it beside the broker, and nothing else unless --only says so.
    #[arg(long, value_name = "JARS", conflicts_with = "bootstrap")]
    kafka: Option<PathBuf>,
    /// Write the figures of this README anew: measures what stands there beside Apache Kafka, below ten minutes.
    #[arg(long, value_name = "FILE", requires = "kafka")]
    #[arg(conflicts_with_all = ["quick", "only", "case", "slice_ms", "repeats", "pin"])]
    readme: Option<PathBuf>,
    /// Process id of that broker.
    #[arg(long, requires = "bootstrap")]
    pid: Option<i32>,
    /// Data directory of that broker, so that the raw side reads the very same files.
    #[arg(long, requires = "bootstrap")]
    log_dir: Option<PathBuf>,
    /// Use the machine's network. Without it the run has a loopback interface of its own, where no sender is paced.
    #[arg(long)]
    host_network: bool,
    /// End with status 1 when a target is missed.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::RawServer) => raw::serve_until_stdin_ends().map(|()| 0),
        Some(Command::Run(args)) => run(&args),
        None => run(&cli.run),
    };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ottla-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures and prints; returns how many targets were missed when that is to fail the command.
fn run(args: &RunArgs) -> Result<usize> {
    if let Some(readme) = &args.readme {
        readme::writable(readme)?;
    }
    if let Some(jars) = &args.kafka {
        announce_kafka(jars, args.readme.is_some())?;
    }
    let own_network = !args.host_network && args.bootstrap.is_none();
    if own_network {
        network::enter_own()
            .map_err(|error| BenchError::Usage(format!("{error}; --host-network does without")))?;
    }
    let placement = Placement::choose(args.pin)?;
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.doing("creating a scratch directory")?;
    let extent = extent(args);
    println!("congestion control {}", network::congestion_control());
    println!(
        "{placement}; medians of {} interleaved repeats, seed {}",
        extent.repeats, args.seed
    );

    if args.kafka.is_some() {
        println!("{}", versus::conditions(&extent));
    }
    let program = if args.bootstrap.is_some() {
        None
    } else {
        Some(find_broker(args.ottla.clone())?)
    };
    let (broker, log_dir) = match (&program, args.bootstrap, args.pid) {
        (Some(program), ..) => {
            let data = scratch.path().join("broker");
            (Server::broker(program, &data, &placement)?, Some(data))
        }
        (None, Some(address), Some(pid)) => (
            Server::running(address, pid, &placement)?,
            args.log_dir.clone(),
        ),
        _ => {
            return Err(BenchError::Usage(
                "--bootstrap and --pid belong together".into(),
            ));
        }
    };
    let lab = |broker, log_dir| -> Result<Lab> {
        Ok(Lab {
            placement,
            broker,
            raw: Server::raw(&placement)?,
            log_dir,
            scratch: scratch.path().into(),
            extent,
            topics: RefCell::default(),
        })
    };
    let beside = match &args.kafka {
        Some(jars) => {
            let kafka = Kafka::format(jars, &scratch.path().join("kafka"))?;
            Some((lab(kafka.start(&placement)?, Some(kafka.data()))?, jars))
        }
        None => None,
    };
    let subject = Subject {
        program: program.as_deref(),
        kafka: beside.as_ref().map(|(lab, jars)| (lab, jars.as_path())),
    };
    measure(args, &lab(broker, log_dir)?, subject)
}

/// Says which Apache Kafka is beside the broker; the README is about the version that the compat tests pin.
fn announce_kafka(jars: &std::path::Path, is_for_readme: bool) -> Result<()> {
    let (version, pinned) = (Kafka::version(jars)?, Kafka::pinned_version());
    println!(
        "beside Apache Kafka {version}, Java {}",
        Kafka::java_version()
    );
    if is_for_readme && version != pinned {
        return Err(BenchError::Usage(format!(
            "the README is about Apache Kafka {pinned}, which compat-tests/jars fetches"
        )));
    }
    Ok(())
}

fn extent(args: &RunArgs) -> Extent {
    let mut extent = match (&args.readme, args.quick) {
        (Some(_), _) => Extent::readme(),
        (None, true) => Extent::quick(),
        (None, false) => Extent::full(),
    };
    if let Some(slice_ms) = args.slice_ms {
        extent.slice = Duration::from_millis(slice_ms);
    }
    extent.repeats = args.repeats.unwrap_or(extent.repeats).max(1);
    extent
}

fn measure(args: &RunArgs, lab: &Lab, subject: Subject<'_>) -> Result<usize> {
    let start = clock::now();
    let is_versus = |path: Path| matches!(path, Path::Versus | Path::VersusStart);
    let wanted = |path: Path| match (&args.readme, args.only.is_empty()) {
        (Some(_), _) => readme::wants_path(path),
        (None, true) => is_versus(path) == subject.kafka.is_some(),
        (None, false) => args.only.contains(&path),
    };
    let plan = Plan::prepare(lab, subject, wanted)?;
    let mut cases = plan.cases()?;
    if let Some(part) = &args.case {
        cases.retain(|case| case.label.contains(part));
    }
    if args.readme.is_some() {
        readme::choose(&mut cases)?;
    }
    if let Some((kafka, _)) = subject.kafka {
        versus::warm_up(&mut cases, kafka, lab.extent.warm_up)?;
    }
    let end = start + lab.extent.limit;
    let mut shuffler = Shuffler::new(args.seed);
    let outcomes = case::run(cases, lab.extent.repeats, end, &mut shuffler)?;
    lab.delete_topics()?;
    println!("{}", report::tables(&outcomes));
    if let Some(path) = &args.json {
        let value = report::json(&outcomes, &lab.placement.to_string(), args.seed);
        std::fs::write(path, format!("{value:#}\n"))
            .doing(format!("writing {}", path.display()))?;
    }
    if let Some(path) = &args.readme {
        let machine = machine::description(&lab.scratch)?;
        let machine = format!("{machine}, Java {}", Kafka::java_version());
        let section = readme::section(&outcomes, &lab.extent, &machine)?;
        readme::write(path, &section)?;
    }
    let missed = report::missed(&outcomes);
    println!("{missed} targets missed");
    Ok(if args.strict { missed } else { 0 })
}
