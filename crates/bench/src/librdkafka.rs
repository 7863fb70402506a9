//! A stock librdkafka producer (kcat) with batches of 16 KiB: what a broker costs behind a real client.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path as FilePath, PathBuf};
use std::process::{Command, Stdio};

use crate::case::{Case, Path};
use crate::clock::now;
use crate::error::{BenchError, Doing, Result};
use crate::lab::Lab;
use crate::produce::STOCK_LIMIT;
use crate::sample::Sample;

/// Bytes of a line without its end.
const LINE_LEN: usize = 200;

/// One case, or none and a word about it when there is no kcat.
pub(crate) fn cases<'a>(lab: &'a Lab, broker_name: &'static str) -> Result<Vec<Case<'a>>> {
    if Command::new("kcat")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("SKIPPED librdkafka: there is no kcat in the PATH");
        return Ok(Vec::new());
    }
    let lines = write_lines(&lab.scratch, lab.extent.stock)?;
    let topic = lab.create_topic("bench-librdkafka", 1)?;
    Ok(vec![Case {
        path: Path::Librdkafka,
        label: format!("kcat -P, {LINE_LEN} B lines, 16 KiB batches, acks=1"),
        sides: vec![(broker_name, Box::new(move || produce(lab, &topic, &lines)))],
        targets: vec![STOCK_LIMIT],
    }])
}

fn write_lines(scratch: &FilePath, bytes: usize) -> Result<PathBuf> {
    let path = scratch.join("lines");
    let doing = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(&path).doing(doing())?);
    let alphabet: Vec<u8> = (0..LINE_LEN * 2)
        .map(|at| b'a' + ((at * 7 + at / 13) % 26) as u8)
        .collect();
    for line in 0..bytes / (LINE_LEN + 1) {
        let start = line % LINE_LEN;
        file.write_all(&alphabet[start..start + LINE_LEN])
            .doing(doing())?;
        file.write_all(b"\n").doing(doing())?;
    }
    file.flush().doing(doing())?;
    Ok(path)
}

fn produce(lab: &Lab, topic: &str, lines: &FilePath) -> Result<Sample> {
    let bytes = lines.metadata().doing("looking at the lines")?.len();
    let before = lab.broker.clock.read()?;
    let start = now();
    let output = Command::new("kcat")
        .args([
            "-P",
            "-b",
            &lab.broker.address.to_string(),
            "-t",
            topic,
            "-p",
            "0",
        ])
        .args([
            "-X",
            "acks=1",
            "-X",
            "batch.size=16384",
            "-X",
            "linger.ms=50",
            "-X",
            "compression.codec=none",
        ])
        .arg("-l")
        .arg(lines)
        .output()
        .doing("running kcat")?;
    let wall = now() - start;
    let cpu = lab.broker.clock.read()? - before;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BenchError::Server(format!("kcat failed: {said}")));
    }
    // Requests are librdkafka's business; what counts is the bytes.
    Ok(Sample {
        cpu,
        wall,
        bytes,
        requests: bytes.div_ceil(16 << 10),
        ..Sample::default()
    })
}
