//! The tables of a run for people, and its JSON for programs.

use serde_json::{Value, json};

use crate::case::{Outcome, Path};
use crate::sample::{Metric, Sample, Target, ratios};
use crate::stats::{median, spread};

/// All tables, a path each, in the order of `outcomes`.
pub(crate) fn tables(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let paths = [
        Path::Consume,
        Path::Produce,
        Path::Transactions,
        Path::Durability,
        Path::Latency,
        Path::Startup,
        Path::Groups,
        Path::Cold,
        Path::Recovery,
        Path::Librdkafka,
        Path::Versus,
        Path::VersusStart,
    ];
    for path in paths {
        let rows: Vec<Vec<String>> = outcomes
            .iter()
            .filter(|outcome| outcome.path == path)
            .flat_map(rows)
            .collect();
        if !rows.is_empty() {
            let (title, head) = heading(path);
            text += &format!("\n{title}\n\n{}", aligned(&head, &rows));
        }
    }
    text
}

/// Everything measured, every sample included.
pub(crate) fn json(outcomes: &[Outcome], placement: &str, seed: u64) -> Value {
    json!({
        "placement": placement,
        "seed": seed,
        "cases": outcomes.iter().map(case_json).collect::<Vec<_>>(),
    })
}

/// Targets missed, over all cases.
pub(crate) fn missed(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .flat_map(Outcome::judged)
        .filter(|(target, measured)| !target.is_met_by(*measured))
        .count()
}

fn heading(path: Path) -> (&'static str, Vec<&'static str>) {
    match path {
        Path::Consume | Path::Produce | Path::Transactions => (
            match path {
                Path::Consume => {
                    "CONSUME (server CPU; a fetch asks for that much of each partition)"
                }
                Path::Produce => {
                    "PRODUCE (server CPU; a request carries one batch for each partition, acks=1, 5 in flight)"
                }
                _ => {
                    "TRANSACTIONS (server CPU; one partition, produced with acks=all, 5 in flight; transactions of 16 MiB are read)"
                }
            },
            vec![
                "case",
                "side",
                "CPU s/GiB",
                "x first",
                "(min-max)",
                "us/req",
                "above first",
                "MB/s",
                "target",
                "",
            ],
        ),
        Path::Durability => (
            "DURABILITY (16 KiB batches, one partition and one request at a time; acks=1 is also acks=all with ottla.flush.on.acks.all=false)",
            vec![
                "case",
                "side",
                "p50 us",
                "p99 us",
                "CPU s/GiB",
                "us/req",
                "MB/s",
                "req/s",
                "target",
                "",
            ],
        ),
        Path::Latency => (
            "SMALL REQUESTS (produce of one record, acks=1, against an echo)",
            vec![
                "case",
                "side",
                "p50 us",
                "p99 us",
                "CPU us/req",
                "req/s",
                "target",
                "",
            ],
        ),
        Path::Cold => (
            "TAIL BESIDE A BACKFILL (record sent to fetch answered; page cache afterwards)",
            vec![
                "case",
                "side",
                "p50 us",
                "p99 us",
                "MB/s",
                "evicted %",
                "cached %",
                "target",
                "",
            ],
        ),
        Path::Versus => (
            "BESIDE APACHE KAFKA (64 KiB of records to or from each partition in a request, acks=1)",
            vec![
                "case",
                "side",
                "CPU s/GiB",
                "x first",
                "(min-max)",
                "MB/s",
                "p50 us",
                "p99 us",
                "RSS MiB",
                "target",
                "",
            ],
        ),
        Path::Startup | Path::Recovery | Path::VersusStart => (
            match path {
                Path::Startup => "START-UP AND IDLE MEMORY",
                Path::Recovery => {
                    "START ON A USED DIRECTORY (until every partition answers, nothing pinned)"
                }
                _ => "START-UP AND IDLE MEMORY BESIDE APACHE KAFKA",
            },
            vec![
                "case",
                "side",
                "ms",
                "CPU ms",
                "RSS MiB",
                "anonymous MiB",
                "target",
                "",
            ],
        ),
        Path::Groups => (
            "CONSUMER GROUPS (the time of a rebalance from the last member's join on; memory when all are stable)",
            vec![
                "case",
                "side",
                "ms",
                "CPU ms",
                "RSS MiB",
                "anonymous MiB",
                "target",
                "",
            ],
        ),
        Path::Librdkafka => (
            "STOCK PRODUCER",
            vec![
                "case",
                "side",
                "CPU s/GiB",
                "(min-max)",
                "MB/s",
                "target",
                "",
            ],
        ),
    }
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let judged_side = outcome.samples.len().min(2) - 1;
    outcome
        .samples
        .iter()
        .enumerate()
        .map(|(side, samples)| {
            let mut row = vec![if side == 0 {
                outcome.label.clone()
            } else {
                String::new()
            }];
            row.push(outcome.sides[side].to_owned());
            row.extend(figures(outcome, side, samples));
            row.extend(if side == judged_side {
                verdict(outcome)
            } else {
                [String::new(), String::new()]
            });
            row
        })
        .collect()
}

fn figures(outcome: &Outcome, side: usize, samples: &[Sample]) -> Vec<String> {
    let figure = |metric| median(samples.iter().map(|sample| sample.get(metric)));
    let first = &outcome.samples[0];
    let range = |values: &[f64]| {
        let (low, high) = spread(values);
        format!("({low:.2}-{high:.2})")
    };
    match outcome.path {
        Path::Consume | Path::Produce | Path::Transactions => {
            let times = ratios(first, samples, Metric::CpuPerGib);
            let above = Target::MicrosAboveRaw(0.0).measured(first, samples);
            let compared = |text: String| if side == 0 { String::new() } else { text };
            vec![
                format!("{:.3}", figure(Metric::CpuPerGib)),
                compared(format!("{:.2}", median(times.iter().copied()))),
                compared(range(&times)),
                format!("{:.1}", figure(Metric::CpuPerRequest)),
                compared(format!("{above:+.1}")),
                format!("{:.0}", figure(Metric::Throughput)),
            ]
        }
        Path::Versus => {
            let times = ratios(first, samples, Metric::CpuPerGib);
            let compared = |text: String| if side == 0 { String::new() } else { text };
            vec![
                format!("{:.3}", figure(Metric::CpuPerGib)),
                compared(format!("{:.2}", median(times.iter().copied()))),
                compared(range(&times)),
                format!("{:.0}", figure(Metric::Throughput)),
                format!("{:.0}", figure(Metric::P50)),
                format!("{:.0}", figure(Metric::P99)),
                format!("{:.0}", figure(Metric::Rss)),
            ]
        }
        Path::Durability => [
            Metric::P50,
            Metric::P99,
            Metric::CpuPerGib,
            Metric::CpuPerRequest,
            Metric::Throughput,
            Metric::RequestRate,
        ]
        .map(|metric| format!("{:.2}", figure(metric)))
        .into(),
        Path::Latency => [
            Metric::P50,
            Metric::P99,
            Metric::CpuPerRequest,
            Metric::RequestRate,
        ]
        .map(|metric| format!("{:.1}", figure(metric)))
        .into(),
        Path::Cold => [
            Metric::P50,
            Metric::P99,
            Metric::Throughput,
            Metric::HotEvicted,
            Metric::ColdResident,
        ]
        .map(|metric| format!("{:.1}", figure(metric)))
        .into(),
        Path::Startup | Path::Groups | Path::Recovery | Path::VersusStart => [
            Metric::Millis,
            Metric::CpuPerRequest,
            Metric::Rss,
            Metric::RssAnonymous,
        ]
        .map(|metric| (metric, figure(metric)))
        .map(|(metric, value)| {
            if metric == Metric::CpuPerRequest {
                value / 1e3
            } else {
                value
            }
        })
        .map(|value| format!("{value:.1}"))
        .into(),
        Path::Librdkafka => {
            let each: Vec<f64> = samples
                .iter()
                .map(|sample| sample.get(Metric::CpuPerGib))
                .collect();
            vec![
                format!("{:.3}", figure(Metric::CpuPerGib)),
                range(&each),
                format!("{:.0}", figure(Metric::Throughput)),
            ]
        }
    }
}

fn verdict(outcome: &Outcome) -> [String; 2] {
    let judged: Vec<(Target, f64)> = outcome.judged().collect();
    let targets: Vec<String> = judged.iter().map(|(target, _)| words(target)).collect();
    let met = judged
        .iter()
        .all(|(target, measured)| target.is_met_by(*measured));
    let word = match (judged.is_empty(), met) {
        (true, _) => "",
        (_, true) => "ok",
        (_, false) => "MISSED",
    };
    [targets.join(", "), word.to_owned()]
}

fn words(target: &Target) -> String {
    match target {
        Target::TimesRaw(limit) => format!("<= {limit}x"),
        Target::MicrosAboveRaw(limit) => format!("<= raw + {limit} us"),
        Target::AtMost(metric, limit) => {
            let unit = match metric {
                Metric::CpuPerGib => "s/GiB",
                Metric::CpuPerRequest => "us CPU",
                Metric::Throughput => "MB/s",
                Metric::RequestRate => "req/s",
                Metric::P50 => "us p50",
                Metric::P99 => "us p99",
                Metric::Millis => "ms",
                Metric::Rss => "MiB RSS",
                Metric::RssAnonymous => "MiB anonymous",
                Metric::HotEvicted => "% of the tail evicted",
                Metric::ColdResident => "% of the backfill cached",
            };
            format!("<= {limit} {unit}")
        }
    }
}

/// Columns as wide as their widest cell; words to the left, figures to the right.
fn aligned(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(String::len);
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| {
                match cell
                    .starts_with(|first: char| first.is_ascii_digit() || "+-(".contains(first))
                {
                    true if !cell.contains(' ') => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                }
            })
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

fn case_json(outcome: &Outcome) -> Value {
    let sides = outcome.sides.iter().zip(&outcome.samples).map(|(name, samples)| {
        json!({ "side": name, "samples": samples.iter().map(sample_json).collect::<Vec<_>>() })
    });
    let targets = outcome.judged().map(|(target, measured)| {
        json!({ "target": words(&target), "measured": measured, "met": target.is_met_by(measured) })
    });
    json!({
        "path": format!("{:?}", outcome.path).to_lowercase(),
        "case": outcome.label,
        "sides": sides.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn sample_json(sample: &Sample) -> Value {
    json!({
        "cpu_ns": sample.cpu.as_nanos() as u64,
        "wall_ns": sample.wall.as_nanos() as u64,
        "bytes": sample.bytes,
        "requests": sample.requests,
        "p50_ns": sample.p50,
        "p99_ns": sample.p99,
        "rss_bytes": sample.rss,
        "rss_anonymous_bytes": sample.rss_anonymous,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(broker_ms: u64) -> Outcome {
        let sample = |ms| Sample {
            cpu: Duration::from_millis(ms),
            wall: Duration::from_secs(1),
            bytes: 1 << 30,
            requests: 1024,
            ..Sample::default()
        };
        Outcome {
            path: Path::Consume,
            label: "1024 KiB fetch".into(),
            sides: vec!["raw sendfile", "ottla"],
            targets: vec![Target::TimesRaw(1.25)],
            samples: vec![vec![sample(100); 3], vec![sample(broker_ms); 3]],
        }
    }

    #[test]
    fn a_table_names_figures_target_and_verdict() {
        let text = tables(&[outcome(120)]);
        let row = text.lines().find(|line| line.contains("ottla")).unwrap();
        for part in ["0.120", "1.20", "+19.5", "1074", "<= 1.25x", "ok"] {
            assert!(row.contains(part), "{part:?} in {row:?}");
        }
        assert!(tables(&[outcome(130)]).contains("MISSED"));
        assert_eq!((missed(&[outcome(120)]), missed(&[outcome(130)])), (0, 1));
    }

    #[test]
    fn json_has_every_sample() {
        let value = json(&[outcome(120)], "one", 7);
        assert_eq!(
            value["cases"][0]["sides"][1]["samples"][2]["cpu_ns"],
            120_000_000
        );
        assert_eq!(value["cases"][0]["targets"][0]["met"], true);
    }
}
