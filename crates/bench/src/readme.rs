//! The README's section of figures: written by a run, and compared with what a run would write now.
//!
//! It stands between two markers. All of it but the figures and the machine follows from the code: cases, columns,
//! conditions, versions, command. A test compares that part, so that a table cannot outlive the code it describes.

use std::path::Path as FilePath;

use crate::case::{Case, Outcome, Path};
use crate::error::{BenchError, Doing, Result};
use crate::kafka::Kafka;
use crate::lab::Extent;
use crate::sample::{Metric, Sample, ratios};
use crate::stats::{median, spread};
use crate::{consume, latency, produce, startup, versus};

const BEGIN: &str = "<!-- performance: begin -->";
const END: &str = "<!-- performance: end -->";
/// What writes the section.
const COMMAND: &str = "cargo build --release && cargo run --release -p ottla-bench -- --kafka \"$(compat-tests/jars)\" --readme README.md";
/// Begins the line about the machine.
const MACHINE: &str = "Measured on ";
/// The columns of the comparison with Apache Kafka.
const VERSUS_COLUMNS: [(&str, Metric); 4] = [
    ("CPU s/GiB", Metric::CpuPerGib),
    ("MB/s", Metric::Throughput),
    ("p50 us", Metric::P50),
    ("p99 us", Metric::P99),
];

/// A row of the comparison with raw loops.
struct RawRow {
    words: &'static str,
    path: Path,
    label: String,
    metric: Metric,
}

/// Leaves the cases of the README, the two sides of each that it shows; that one lacks is an error.
pub(crate) fn choose(cases: &mut Vec<Case<'_>>) -> Result<()> {
    let wanted = wanted();
    let is_it = |case: &Case<'_>, (path, label): &(Path, String)| {
        case.path == *path && case.label == *label
    };
    cases.retain(|case| wanted.iter().any(|one| is_it(case, one)));
    for case in cases.iter_mut() {
        case.sides.truncate(2);
    }
    let lacks = |one: &&(Path, String)| !cases.iter().any(|case| is_it(case, one));
    match wanted.iter().find(lacks) {
        Some((_, label)) => Err(missing(label)),
        None => Ok(()),
    }
}

/// Path and name of each case of the README; some more than once.
fn wanted() -> Vec<(Path, String)> {
    let raw = raw_rows().into_iter().map(|row| (row.path, row.label));
    let loads = versus::labels().into_iter();
    let loads = loads.map(|label| (Path::Versus, label));
    let start = (Path::VersusStart, versus::START.to_owned());
    raw.chain(loads).chain([start]).collect()
}

fn missing(label: &str) -> BenchError {
    BenchError::Usage(format!(
        "the README has a case {label:?}, and the bench has none"
    ))
}

/// Is a case of this path in the README?
pub(crate) fn wants_path(path: Path) -> bool {
    wanted().iter().any(|(one, _)| *one == path)
}

/// Can the section be written? Asked before minutes are spent on it.
pub(crate) fn writable(file: &FilePath) -> Result<()> {
    if cfg!(debug_assertions) {
        let what = "the README's figures come from a release build: cargo run --release";
        return Err(BenchError::Usage(what.into()));
    }
    rewritten(&read(file)?, "").map(drop)
}

/// Puts `section` into `file`.
pub(crate) fn write(file: &FilePath, section: &str) -> Result<()> {
    let text = rewritten(&read(file)?, section)?;
    std::fs::write(file, text).doing(format!("writing {}", file.display()))
}

fn read(file: &FilePath) -> Result<String> {
    std::fs::read_to_string(file).doing(format!("reading {}", file.display()))
}

/// `text`, a README, with `section` in the place of the one it has.
fn rewritten(text: &str, section: &str) -> Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let after = rest.split_once(END)?.1;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        BenchError::Usage(format!("no section between {BEGIN} and {END} to write"))
    })?;
    Ok(format!("{before}{section}{after}"))
}

/// The section, markers included. A case that it needs and `outcomes` lacks is an error.
pub(crate) fn section(outcomes: &[Outcome], extent: &Extent, machine: &str) -> Result<String> {
    let found = |path: Path, label: &str| {
        let outcome = outcomes
            .iter()
            .find(|outcome| outcome.path == path && outcome.label == label);
        outcome.ok_or_else(|| missing(label))
    };
    let mut loads = Vec::new();
    for label in versus::labels() {
        loads.push(versus_row(found(Path::Versus, &label)?));
    }
    let start = found(Path::VersusStart, versus::START)?;
    let mut raw = Vec::new();
    for row in raw_rows() {
        raw.push(raw_row(&row, found(row.path, &row.label)?));
    }
    let repeats = start.samples[0].len();
    let paragraphs = [
        BEGIN.to_owned(),
        format!(
            "Ottla {} and Apache Kafka {}, in turn, in one run on one machine; Ottla's figure first, medians of \
             repeats with the range of ratios. CPU is that of the broker's process, for each GiB of batches as they are stored. \
             Broker and clients share one CPU, so MB/s has the clients' work in it. Latency is from sending to answer, \
             under full load.",
            env!("CARGO_PKG_VERSION"),
            Kafka::pinned_version(),
        ),
        table(&versus_head(), &loads),
        table(&["", "Ottla", "Apache Kafka"], &process_rows(start, outcomes)),
        versus::conditions(extent),
        "Against loops of system calls that move the same bytes and do nothing else: `sendfile` for a fetch; receive, CRC, \
         write for a produce; an echo for a small request; a process that only listens for the start."
            .to_owned(),
        table(&["", "raw loop", "Ottla", "ratio (range)"], &raw),
        format!("{MACHINE}{machine}; {repeats} repeats."),
        format!("Written by `{COMMAND}`."),
        END.to_owned(),
    ];
    Ok(paragraphs.join("\n\n"))
}

fn raw_rows() -> Vec<RawRow> {
    let row = |words, path, label, metric| RawRow {
        words,
        path,
        label,
        metric,
    };
    let fetch = |len: usize, consumers| consume::label(len, len, 1, consumers);
    let (kib_64, mib) = (64 << 10, 1 << 20);
    let start = || startup::EMPTY_START.to_owned();
    vec![
        row(
            "fetch of 1 MiB, 1 consumer: CPU s/GiB",
            Path::Consume,
            fetch(mib, 1),
            Metric::CpuPerGib,
        ),
        row(
            "fetch of 1 MiB, 64 consumers: CPU s/GiB",
            Path::Consume,
            fetch(mib, 64),
            Metric::CpuPerGib,
        ),
        row(
            "fetch of 64 KiB, 1 consumer: CPU us",
            Path::Consume,
            fetch(kib_64, 1),
            Metric::CpuPerRequest,
        ),
        row(
            "produce of 1 MiB: CPU s/GiB",
            Path::Produce,
            produce::label(mib, 1, 1),
            Metric::CpuPerGib,
        ),
        row(
            "produce of 64 KiB: CPU s/GiB",
            Path::Produce,
            produce::label(kib_64, 1, 1),
            Metric::CpuPerGib,
        ),
        row(
            "produce of 64 KiB to each of 6 partitions: CPU s/GiB",
            Path::Produce,
            produce::label(kib_64, 6, 1),
            Metric::CpuPerGib,
        ),
        row(
            "produce of one record: CPU us",
            Path::Latency,
            latency::label(1),
            Metric::CpuPerRequest,
        ),
        row(
            "produce of one record: p50 us",
            Path::Latency,
            latency::label(1),
            Metric::P50,
        ),
        row(
            "start to first answer: ms",
            Path::Startup,
            start(),
            Metric::Millis,
        ),
        row("idle memory: MiB", Path::Startup, start(), Metric::Rss),
    ]
}

fn versus_head() -> Vec<&'static str> {
    let mut head = vec!["Ottla / Apache Kafka"];
    for (column, metric) in VERSUS_COLUMNS {
        head.push(column);
        if metric == Metric::CpuPerGib {
            head.push("ratio (range)");
        }
    }
    head
}

fn versus_row(outcome: &Outcome) -> Vec<String> {
    let (kafka, ottla) = (&outcome.samples[0], &outcome.samples[1]);
    let mut row = vec![outcome.label.clone()];
    for (_, metric) in VERSUS_COLUMNS {
        let figure = |samples| short(middle(samples, metric));
        row.push(format!("{} / {}", figure(ottla), figure(kafka)));
        if metric == Metric::CpuPerGib {
            row.push(ratio(kafka, ottla, metric));
        }
    }
    row
}

/// What a process takes, beside what the loads take: time to start, memory before and after them.
fn process_rows(start: &Outcome, outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let both = |words: &str, unit: &str, figure: &dyn Fn(usize) -> f64| {
        let cell = |side| format!("{} {unit}", short(figure(side)));
        vec![words.to_owned(), cell(1), cell(0)]
    };
    let started = |metric| move |side: usize| middle(&start.samples[side], metric);
    let largest = |side: usize| {
        let loads = outcomes.iter().filter(|one| one.path == Path::Versus);
        let samples = loads.flat_map(|one| &one.samples[side]);
        samples
            .map(|sample| sample.get(Metric::Rss))
            .fold(0.0, f64::max)
    };
    vec![
        both(
            "start with no topics, to the first answer",
            "ms",
            &started(Metric::Millis),
        ),
        both("CPU time of that start", "ms", &|side| {
            started(Metric::CpuPerRequest)(side) / 1e3
        }),
        both("resident memory, idle", "MiB", &started(Metric::Rss)),
        both("resident memory, most after a load above", "MiB", &largest),
    ]
}

fn raw_row(row: &RawRow, outcome: &Outcome) -> Vec<String> {
    let (raw, ottla) = (&outcome.samples[0], &outcome.samples[1]);
    vec![
        row.words.to_owned(),
        short(middle(raw, row.metric)),
        short(middle(ottla, row.metric)),
        ratio(raw, ottla, row.metric),
    ]
}

fn ratio(first: &[Sample], second: &[Sample], metric: Metric) -> String {
    let all = ratios(first, second, metric);
    let (low, high) = spread(&all);
    let middle = median(all);
    format!("{} ({} to {})", short(middle), short(low), short(high))
}

fn middle(samples: &[Sample], metric: Metric) -> f64 {
    median(samples.iter().map(|sample| sample.get(metric)))
}

/// Three figures, or two behind the point.
fn short(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut lines = vec![
        line(&mut head.iter().copied()),
        format!("|{}", "---|".repeat(head.len())),
    ];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../README.md");

    /// What a run would write now, with figures that are nobody's.
    fn now() -> String {
        let outcome = |path, label: String| Outcome {
            path,
            label,
            sides: vec!["one", "other"],
            targets: Vec::new(),
            samples: vec![vec![Sample::default()], vec![Sample::default()]],
        };
        let all = wanted().into_iter();
        let outcomes: Vec<Outcome> = all.map(|(path, label)| outcome(path, label)).collect();
        section(&outcomes, &Extent::readme(), "some machine").unwrap()
    }

    /// The lines of the section without figures and machine.
    fn skeleton(readme: &str) -> Vec<String> {
        let inside = readme
            .split_once(BEGIN)
            .and_then(|(_, rest)| rest.split_once(END));
        let lines: Vec<&str> = inside.map_or("", |inside| inside.0).lines().collect();
        let is_head = |at: usize| {
            lines
                .get(at + 1)
                .is_some_and(|next| next.starts_with("|---"))
        };
        let kept = lines.iter().enumerate().map(|(at, line)| {
            let words = match line.strip_prefix("| ") {
                Some(row) if !is_head(at) => row.split(" | ").next().unwrap_or_default(),
                _ if line.starts_with(MACHINE) => MACHINE,
                _ => line,
            };
            words.to_owned()
        });
        kept.collect()
    }

    #[test]
    fn the_table_describes_the_code_as_it_is() {
        let (has, wanted) = (skeleton(README), skeleton(&now()));
        assert!(!has.is_empty(), "README.md has no section of figures");
        for (has, wanted) in has.iter().zip(&wanted) {
            assert_eq!(
                has, wanted,
                "README.md's figures are older than the bench; write them anew: {COMMAND}"
            );
        }
        assert_eq!(
            has.len(),
            wanted.len(),
            "rows are missing or too many; write them anew: {COMMAND}"
        );
    }

    #[test]
    fn whatever_is_old_is_seen_and_figures_are_not() {
        let now = now();
        let old = |from: &str, to: &str| {
            assert!(now.contains(from), "{from:?} in {now}");
            skeleton(&now.replacen(from, to, 1)) != skeleton(&now)
        };
        for (from, to) in [
            (concat!("Ottla ", env!("CARGO_PKG_VERSION")), "Ottla 0.0.1"),
            (Kafka::pinned_version(), "3.9.0"),
            ("16 partitions", "8 partitions"),
            ("p99", "p95"),
            ("-Xmx1G", "-Xmx64M"),
            ("acks=1", "acks=0"),
            ("fetch of 1 MiB", "fetch of 2 MiB"),
            ("--readme", "--write"),
        ] {
            assert!(old(from, to), "{from:?} became {to:?}, and nobody noticed");
        }
        assert!(!old("NaN", "12.5"));
        assert!(!old("some machine", "another"));
    }

    #[test]
    fn the_section_takes_the_place_of_the_old_one() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let section = format!("{BEGIN}\nnew\n{END}");
        assert_eq!(
            rewritten(&text, &section).unwrap(),
            text.replace("old", "new")
        );
        assert!(rewritten("without", &section).is_err());
    }

    #[test]
    fn figures_are_short() {
        let texts = [0.004, 1.234, 9.999, 43.21, 99.96, 1234.5].map(short);
        assert_eq!(texts, ["0.00", "1.23", "10.0", "43.2", "100", "1234"]);
    }
}
