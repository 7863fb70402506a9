//! Read the metadata of a data directory that no broker has: the latest snapshot and the log behind it. Nothing is
//! written; what cannot be read ends the reading, for whoever checks the log itself says what is wrong with it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{BrokerId, Offset};
use ottla_storage::fs::Fs;
use ottla_storage::inspect::FileKind;
use ottla_storage::inspect::verify::dir::DirReport;
use ottla_storage::inspect::verify::{Finding, Severity};

use super::batch_file::{BatchFile, BatchFileError};
use super::image::{MetadataImage, MetadataProvenance};
use super::loader::MetadataLoader;
use super::raft_batch::{Content, decode};
use super::snapshot::SnapshotId;

/// Directory of the metadata log.
const METADATA_DIR: &str = "__cluster_metadata-0";

/// Compare the directories of the logs with what the metadata says of their topics, if the metadata is here.
///
/// # Errors
/// A file cannot be read.
pub fn check_topics(fs: &dyn Fs, dir: &Path, report: &mut DirReport) -> io::Result<()> {
    let metadata_dir = dir.join(METADATA_DIR);
    if fs.stat(&metadata_dir)?.is_none() {
        return Ok(());
    }
    let (image, faults) = read_image(fs, &metadata_dir)?;
    faults.into_iter().for_each(|fault| report.add(fault));
    let node = report.meta.as_ref().map(|meta| meta.node_id);
    let mut findings = Vec::new();
    for (partition, log) in &report.logs {
        if dir.join(partition.to_string()) == metadata_dir {
            continue;
        }
        let topic = image.topics.by_name(&partition.topic);
        let place = topic.and_then(|topic| topic.partition(partition.partition));
        let what = match (topic, log.topic_id) {
            (Some(topic), Some(id)) if id != topic.id() => format!(
                "belongs to topic id {id}, but the topic of that name has {}: the next start sets it aside",
                topic.id()
            ),
            _ if place.is_none() => {
                "no topic of the metadata owns it: the next start sets it aside".to_owned()
            }
            _ => continue,
        };
        findings.push((dir.join(partition.to_string()), what));
    }
    findings.extend(missing(fs, dir, &image, node)?);
    for (path, what) in findings {
        report.add(Finding {
            severity: Severity::Warning,
            path,
            position: None,
            what,
            remedy: None,
        });
    }
    Ok(())
}

/// Partitions of this node without a directory. With several data directories they may lie in another one.
fn missing(
    fs: &dyn Fs,
    dir: &Path,
    image: &MetadataImage,
    node: Option<BrokerId>,
) -> io::Result<Vec<(std::path::PathBuf, String)>> {
    let mut missing = Vec::new();
    let Some(node) = node else {
        return Ok(missing);
    };
    for topic in image.topics.iter() {
        for (index, partition) in topic.partitions() {
            let path = dir.join(format!("{}-{index}", topic.name()));
            if partition.is_replica(node) && fs.stat(&path)?.is_none() {
                let what = "the metadata has this partition, but it has no directory here";
                missing.push((path, what.to_owned()));
            }
        }
    }
    Ok(missing)
}

/// The image that the files in `dir` make, and what kept the reading from coming to an end.
fn read_image(fs: &dyn Fs, dir: &Path) -> io::Result<(Arc<MetadataImage>, Vec<Finding>)> {
    let names: Vec<String> = fs.list(dir)?.into_iter().map(|entry| entry.name).collect();
    let snapshot = names.iter().filter_map(|name| SnapshotId::parse(name));
    let snapshot = snapshot.max_by_key(|id| id.end_offset);
    let mut loader = MetadataLoader::new(Arc::default());
    let mut faults = Vec::new();
    let mut next = Offset(0);
    if let Some(id) = snapshot {
        next = id.end_offset;
        let path = dir.join(id.file_name());
        replay(fs, &path, &mut faults, |records, _| {
            records
                .iter()
                .try_for_each(|record| loader.replay_snapshot(record))
                .map_err(|error| error.to_string())
        })?;
        loader.end_snapshot(MetadataProvenance {
            last_contained_offset: next.plus(-1),
            ..MetadataProvenance::EMPTY
        });
    }
    let mut segments: Vec<_> = names
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| matches!(FileKind::of(path), FileKind::Log(_)))
        .collect();
    segments.sort();
    for path in segments {
        replay(fs, &path, &mut faults, |records, base| {
            for (offset, record) in (base.0..).zip(records) {
                if Offset(offset) >= next {
                    let at = MetadataProvenance {
                        last_contained_offset: Offset(offset),
                        ..MetadataProvenance::EMPTY
                    };
                    loader
                        .replay(record, at)
                        .map_err(|error| format!("offset {offset}: {error}"))?;
                }
            }
            Ok(())
        })?;
    }
    Ok((Arc::new(loader.latest().clone()), faults))
}

/// Hand the metadata records of each batch of a file to `apply`, with the batch's base offset. The first fault of the
/// content ends the file and is noted.
fn replay(
    fs: &dyn Fs,
    path: &Path,
    faults: &mut Vec<Finding>,
    mut apply: impl FnMut(&[super::record::MetadataRecord], Offset) -> Result<(), String>,
) -> io::Result<()> {
    let mut file = BatchFile::open(fs, path)?;
    loop {
        let position = file.position();
        let (header, body) = match file.next_batch() {
            Ok(Some(batch)) => batch,
            // A torn end is for the check of the log to tell.
            Ok(None) | Err(BatchFileError::Truncated) => return Ok(()),
            Err(BatchFileError::Io(error)) => return Err(error),
        };
        let applied = match decode(&header, &body) {
            Ok(Content::Metadata(records)) => apply(&records, header.base_offset()),
            Ok(Content::Control(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = applied {
            faults.push(Finding {
                severity: Severity::Error,
                path: path.to_owned(),
                position: Some(position),
                what: format!("metadata cannot be read any further: {what}"),
                remedy: None,
            });
            return Ok(());
        }
    }
}
