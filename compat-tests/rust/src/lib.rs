//! What the Rust clients share: the task from the environment, the comparison, the reports.

use std::env;
use std::error::Error;
use std::fmt::Debug;

use base64::Engine;
use serde_json::{Value, json};

/// How a case ends; an error with [`SKIP`] in front is a skip.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;
/// A named check of the program `P`.
pub type Case<P> = (&'static str, fn(&P) -> Outcome);

pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const SKIP: &str = "skip: ";

/// A record as produced or as read, at offset `index` of the list that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: i64,
}

impl Record {
    /// A record without key and headers.
    pub fn of(value: Vec<u8>, timestamp: i64) -> Self {
        Self { key: None, value: Some(value), headers: Vec::new(), timestamp }
    }
}

/// A variable of the task; empty where it is not set.
pub fn told(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The name of a topic of this run.
pub fn topic(name: &str) -> String {
    format!("{}-{name}", told("COMPAT_PREFIX"))
}

/// The broker that does not create topics, or a skip.
pub fn strict() -> Outcome<String> {
    match told("COMPAT_STRICT_BOOTSTRAP") {
        empty if empty.is_empty() => Err(format!("{SKIP}needs a second broker with auto.create.topics.enable=false").into()),
        bootstrap => Ok(bootstrap),
    }
}

/// The records that every client writes and reads.
pub fn fixture() -> Outcome<Vec<Record>> {
    let rows: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(told("COMPAT_RECORDS"))?)?;
    rows.iter().map(record_of).collect()
}

fn record_of(row: &Value) -> Outcome<Record> {
    let pairs = row["headers"].as_array().ok_or("headers are no list")?;
    let header = |pair: &Value| Ok((pair[0].as_str().ok_or("a header without name")?.to_owned(), bytes_of(&pair[1])?));
    Ok(Record {
        key: bytes_of(&row["key"])?,
        value: bytes_of(&row["value"])?,
        headers: pairs.iter().map(header).collect::<Outcome<_>>()?,
        timestamp: row["timestamp"].as_i64().ok_or("no timestamp")?,
    })
}

fn bytes_of(text: &Value) -> Outcome<Option<Vec<u8>>> {
    Ok(text.as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text)).transpose()?)
}

/// Bytes that no codec makes smaller (a xorshift generator's).
pub fn incompressible(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Small records that differ.
pub fn numbered(count: usize, timestamp: i64) -> Vec<Record> {
    (0..count).map(|i| Record::of(i.to_string().into_bytes(), timestamp)).collect()
}

/// Demands that both are the same.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    let text = |value: T| format!("{value:?}").chars().take(200).collect::<String>();
    Err(format!("{what}: {}, expected {}", text(found), text(wanted)).into())
}

/// Demands the same records at offsets `first`, `first` + 1 ...
pub fn compare(found: &[(i64, Record)], wanted: &[Record], first: i64) -> Outcome {
    same("records", found.len(), wanted.len())?;
    for ((expected, (offset, record)), wanted) in (first..).zip(found).zip(wanted) {
        same("offset", *offset, expected)?;
        same(&format!("record at offset {offset}"), record, wanted)?;
    }
    Ok(())
}

/// Demands the first record at or after each time; `None` means none.
pub fn check_offsets_by_timestamp(records: &[Record], offset_at: impl Fn(i64) -> Outcome<Option<i64>>) -> Outcome {
    for index in [0, 2, 100, records.len() - 2] {
        let at = records[index].timestamp;
        same(&format!("at {at}"), offset_at(at)?, Some(index as i64))?;
        let later = (index + 2 < records.len()).then_some(index as i64 + 2);
        same(&format!("at {at} + 1"), offset_at(at + 1)?, later)?;
    }
    same("at 0", offset_at(0)?, Some(0))
}

/// Runs the cases and prints a report line for each.
pub fn run<P>(program: &P, round_trip: fn(&P, &str) -> Outcome, cases: &[Case<P>]) {
    for codec in CODECS {
        report(&format!("round-trip-{codec}"), round_trip(program, codec));
    }
    for (name, body) in cases {
        report(name, body(program));
    }
}

fn report(name: &str, outcome: Outcome) {
    let (outcome, reason) = match outcome.map_err(|error| error.to_string()) {
        Ok(()) => ("passed", String::new()),
        Err(reason) if reason.starts_with(SKIP) => ("skipped", reason),
        Err(reason) => ("failed", reason.chars().take(600).collect()),
    };
    println!("{}", json!({"case": name, "outcome": outcome, "reason": reason}));
}
