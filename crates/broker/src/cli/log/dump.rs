//! `ottla log dump`: the content of any file of a data directory (`DumpLogSegments.java`).

use std::fs::Metadata;
use std::io::{self, BufWriter, StdoutLock, Write, stdout};
use std::path::{Path, PathBuf};

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::Offset;
use ottla_storage::checkpoint::parse_offsets;
use ottla_storage::fs::{Fs, OpenMode, OsFs, read_small};
use ottla_storage::inspect::entries::{self, Entries};
use ottla_storage::inspect::{Batch, BatchWalk, FileKind};
use ottla_storage::leader_epoch::LeaderEpochs;
use ottla_storage::producer_state::{ProducerEntry, snapshot};
use serde_json::Value;

use super::super::exit::{Exit, fail};
use super::line::Line;
use super::records::{self, Content, timestamp_type};
use super::{is_data_dir, warn_in_use};

/// Larger files that are read at once are not what their names say.
const MAX_FILE: usize = 512 << 20;
/// Records of larger batches are not printed.
const MAX_BATCH: u64 = 256 << 20;

/// Prints the files in their order, those of directories by their names.
pub(super) fn run(paths: &[PathBuf], print_data_log: bool, json: bool) -> io::Result<Exit> {
    let mut dump = Dump {
        out: BufWriter::new(stdout().lock()),
        print_data_log,
        json,
        path: PathBuf::new(),
        damaged: false,
    };
    let data_dirs = paths.iter().filter_map(|path| data_dir_of(path));
    let mut warned = std::collections::BTreeSet::new();
    for dir in data_dirs.filter(|dir| warned.insert(dir.clone())) {
        warn_in_use(Some(&dir));
    }
    for path in paths {
        let metadata = path.metadata().map_err(|error| named(path, error))?;
        dump.path_or_dir(path, &metadata)?;
    }
    dump.out.flush()?;
    Ok(match dump.damaged {
        true => fail(Exit::Failure, "not everything could be read: see above"),
        false => Exit::Success,
    })
}

fn data_dir_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let mut above = path.ancestors().take(3);
    above.find(|dir| is_data_dir(dir)).map(Path::to_owned)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

struct Dump {
    out: BufWriter<StdoutLock<'static>>,
    print_data_log: bool,
    json: bool,
    /// The file that is being printed.
    path: PathBuf,
    damaged: bool,
}

impl Dump {
    fn path_or_dir(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        if !metadata.is_dir() {
            return self.file(path, FileKind::of(path));
        }
        let mut files = Vec::new();
        for entry in path.read_dir()? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        for file in files {
            let kind = FileKind::of(&file);
            if kind != FileKind::Unknown {
                self.file(&file, kind)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, kind: FileKind) -> io::Result<()> {
        path.clone_into(&mut self.path);
        self.say(&format!("Dumping {}", path.display()))?;
        match kind {
            FileKind::Log(base) => {
                self.say(&format!("Log starting offset: {base}"))?;
                self.log(path, base)
            }
            FileKind::MetadataSnapshot => self.log(path, Offset(0)),
            FileKind::OffsetIndex(base) => {
                let file = OsFs.open(path, OpenMode::Read)?;
                self.entries("index", entries::offset_index(&*file, base), |entry| {
                    let line = Line::default().with("offset", entry.offset.0);
                    line.with("position", entry.position)
                })
            }
            FileKind::TimeIndex(base) => {
                let file = OsFs.open(path, OpenMode::Read)?;
                self.entries("timeindex", entries::time_index(&*file, base), |entry| {
                    let line = Line::default().with("timestamp", entry.timestamp.0);
                    line.with("offset", entry.offset.0)
                })
            }
            FileKind::TransactionIndex(_) => {
                let file = OsFs.open(path, OpenMode::Read)?;
                self.entries("txnindex", entries::transaction_index(&*file), |entry| {
                    let Some(txn) = entry else {
                        return Line::default().with("error", "an entry of an unknown version");
                    };
                    Line::default()
                        .with("version", 0)
                        .with("producerId", txn.producer_id.0)
                        .with("firstOffset", txn.first_offset.0)
                        .with("lastOffset", txn.last_offset.0)
                        .with("lastStableOffset", txn.last_stable_offset.0)
                })
            }
            FileKind::ProducerSnapshot(_) => self.producers(path),
            FileKind::LeaderEpochs | FileKind::Offsets => self.checkpoint(path, kind),
            FileKind::PartitionMetadata | FileKind::MetaProperties | FileKind::CleanShutdown => {
                self.text_file(path)
            }
            FileKind::Unknown => {
                eprintln!("ottla: {}: not a file of a log", path.display());
                self.damaged = true;
                Ok(())
            }
        }
    }

    fn log(&mut self, path: &Path, base: Offset) -> io::Result<()> {
        let content = content_of(path);
        let file = OsFs.open(path, OpenMode::Read)?;
        let mut walk = BatchWalk::new(&*file, base)?;
        while let Some(batch) = walk.next_batch()? {
            let valid = walk.crc_holds(&batch)?;
            self.line("batch", &batch_line(&batch, valid), "")?;
            if self.print_data_log && batch.size <= MAX_BATCH {
                let body = walk.body(&batch)?;
                for line in records::lines(&batch.header, &body, content) {
                    self.line("record", &line, "| ")?;
                }
            }
        }
        if let Some(fault) = walk.fault()? {
            let bytes = walk.file_len() - walk.position();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.damage(&format!(
                "Found {bytes} invalid bytes at the end of {name}: {fault} at byte {}",
                walk.position()
            ))?;
        }
        Ok(())
    }

    fn entries<E>(
        &mut self,
        kind: &'static str,
        mut entries: Entries<'_, E>,
        line: impl Fn(E) -> Line,
    ) -> io::Result<()> {
        let mut any = false;
        while let Some(entry) = entries.next_entry()? {
            any = true;
            self.line(kind, &line(entry), "")?;
        }
        if !any {
            self.say(&format!("{} is empty.", self.path.display()))?;
        }
        match entries.surplus()? {
            0 => Ok(()),
            bytes => self.damage(&format!("{bytes} bytes behind the last whole entry")),
        }
    }

    fn producers(&mut self, path: &Path) -> io::Result<()> {
        match snapshot::decode(&whole(path)?) {
            Ok(producers) => producers
                .iter()
                .try_for_each(|(id, entry)| self.line("producer", &producer(id.0, entry), "")),
            Err(error) => self.damage(&error.to_string()),
        }
    }

    fn checkpoint(&mut self, path: &Path, kind: FileKind) -> io::Result<()> {
        let bytes = whole(path)?;
        let lines: Result<Vec<Line>, _> = if kind == FileKind::LeaderEpochs {
            LeaderEpochs::parse(&bytes).map(|epochs| {
                let line = |entry: &ottla_storage::EpochEntry| {
                    let line = Line::default().with("epoch", entry.epoch.0);
                    line.with("startOffset", entry.start_offset.0)
                };
                epochs.entries().iter().map(line).collect()
            })
        } else {
            parse_offsets(&bytes).map(|offsets| {
                let offsets = offsets.into_iter().map(|(partition, offset)| {
                    Line::default()
                        .with("topic", partition.topic)
                        .with("partition", partition.partition.0)
                        .with("offset", offset.0)
                });
                offsets.collect()
            })
        };
        match lines {
            Ok(lines) => lines
                .iter()
                .try_for_each(|line| self.line("checkpoint", line, "")),
            Err(error) => self.damage(&error.to_string()),
        }
    }

    fn text_file(&mut self, path: &Path) -> io::Result<()> {
        let bytes = whole(path)?;
        let text = String::from_utf8_lossy(&bytes);
        for text in text.lines() {
            let line = Line::default().with("text", text);
            if self.json {
                self.line("text", &line, "")?;
            } else {
                writeln!(self.out, "{text}")?;
            }
        }
        Ok(())
    }

    fn line(&mut self, kind: &'static str, line: &Line, indent: &str) -> io::Result<()> {
        if self.json {
            let path = self.path.display().to_string();
            let head = [("file", Value::from(path)), ("kind", kind.into())];
            writeln!(self.out, "{}", line.json(&head))
        } else {
            writeln!(self.out, "{indent}{}", line.text())
        }
    }

    /// For people only.
    fn say(&mut self, text: &str) -> io::Result<()> {
        match self.json {
            true => Ok(()),
            false => writeln!(self.out, "{text}"),
        }
    }

    fn damage(&mut self, what: &str) -> io::Result<()> {
        self.damaged = true;
        if self.json {
            self.line("damage", &Line::default().with("what", what), "")
        } else {
            writeln!(self.out, "{what}")
        }
    }
}

fn whole(path: &Path) -> io::Result<Vec<u8>> {
    Ok(read_small(&OsFs, path, MAX_FILE)?.unwrap_or_default())
}

/// What the records of a file are, by its name and its directory's.
fn content_of(path: &Path) -> Content {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let dir = full.parent().and_then(Path::file_name);
    let dir = dir.map(|name| name.to_string_lossy()).unwrap_or_default();
    if FileKind::of(path) == FileKind::MetadataSnapshot || dir.starts_with("__cluster_metadata-") {
        Content::Metadata
    } else if dir.starts_with("__consumer_offsets-") {
        Content::Groups
    } else {
        Content::Plain
    }
}

fn batch_line(batch: &Batch, valid: bool) -> Line {
    let header = &batch.header;
    let horizon = header.has_delete_horizon();
    let codec = Compression::from_id(header.codec_id());
    Line::default()
        .with("baseOffset", header.base_offset().0)
        .with("lastOffset", header.last_offset().0)
        .with("count", header.records_count())
        .with("baseSequence", header.base_sequence().0)
        .with("lastSequence", header.last_sequence().0)
        .with("producerId", header.producer_id().0)
        .with("producerEpoch", header.producer_epoch().0)
        .with("partitionLeaderEpoch", header.leader_epoch().0)
        .with("isTransactional", header.is_transactional())
        .with("isControl", header.is_control())
        .with_optional(
            "deleteHorizonMs",
            horizon.then_some(header.base_timestamp().0),
        )
        .with("position", batch.position)
        .with(timestamp_type(header), header.max_timestamp().0)
        .with("size", batch.size)
        .with("magic", header.magic())
        .with(
            "compresscodec",
            codec.map_or("unknown".to_owned(), |codec| codec.name().to_owned()),
        )
        .with("crc", header.crc())
        .with("isvalid", valid)
}

fn producer(id: i64, entry: &ProducerEntry) -> Line {
    let line = Line::default()
        .with("producerId", id)
        .with("producerEpoch", entry.epoch.0)
        .with("coordinatorEpoch", entry.coordinator_epoch)
        .with_optional(
            "currentTxnFirstOffset",
            entry.txn_first_offset.map(|offset| offset.0),
        )
        .with("lastTimestamp", entry.last_timestamp.0);
    let Some(batch) = entry.batches.last() else {
        return line;
    };
    line.with("firstSequence", batch.first_sequence().0)
        .with("lastSequence", batch.last_sequence.0)
        .with("lastOffset", batch.last_offset.0)
        .with("offsetDelta", batch.offset_delta)
        .with("timestamp", batch.timestamp.0)
}
