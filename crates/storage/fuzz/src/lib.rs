//! What the targets share: a small log in memory, of which they replace one file, and every way to use it.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchBuilder, EndTxnMarker};
use ottla_storage::fs::crash::CrashFs;
use ottla_storage::fs::{OpenMode, read_small, write_all_at};
use ottla_storage::inspect::repair::plan;
use ottla_storage::inspect::verify::verify_log;
use ottla_storage::{AppendOrigin, Fs, Log, LogConfig, Opening};

/// Directory of the log.
const DIR: &str = "/data/t-0";

/// The files of a log with plain, idempotent, committed and aborted batches, in several segments.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(sound_files);

/// Small segments and dense indexes.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1024,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// Use the log with `bytes` in place of the content of the file `name`. The first byte chooses how it is opened.
pub fn with_file(name: &str, data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    let dir = Path::new(DIR);
    fs.create_dir(dir).expect("a directory");
    for (known, content) in FILES.iter().filter(|(known, _)| known != name) {
        put(&*fs, known, content);
    }
    put(&*fs, name, bytes);
    let opening = Opening {
        clean: choice & 1 != 0,
        recovery_point: Offset(i64::from(choice >> 2)),
        log_start_offset: Offset(if choice & 2 != 0 { 3 } else { 0 }),
    };
    if let Ok(report) = verify_log(&*fs, dir, &opening) {
        let steps = plan(report.findings.iter(), &*fs, None);
        steps.expect("no file is missing").iter().for_each(|step| drop(step.to_string()));
    }
    exercise(&fs, opening);
}

/// Open, read, append, cut, close, and open again.
fn exercise(fs: &Arc<dyn Fs>, opening: Opening) {
    let dir = Path::new(DIR);
    let opened = Log::open(Arc::clone(fs), dir, None, config(), opening, Timestamp(0));
    let Ok((mut log, _)) = opened else { return };
    let reader = log.reader();
    for from in [0, 1, 7, 20, 1 << 40] {
        let slice = reader.read(Offset(from), Offset(i64::MAX), 300, true);
        if let Ok(slice) = slice {
            let _ = reader.aborted_transactions(&slice);
        }
        let _ = reader.offset_for_timestamp(Timestamp(from), Offset(i64::MAX));
    }
    let _ = reader.max_timestamp_offset(Offset(i64::MAX));
    let _ = log.segment_metas();
    let _ = log.append(plain(9), LeaderEpoch(9), AppendOrigin::Client, Timestamp(0));
    let _ = log.delete_before(Offset(2));
    let _ = log.truncate_to(Offset(12), Timestamp(0));
    let _ = log.close();
    drop(log);
    let _ = Log::open(Arc::clone(fs), dir, None, config(), opening, Timestamp(0));
}

fn put(fs: &dyn Fs, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    let file = fs.open(&path, OpenMode::Truncate).expect("a file");
    write_all_at(&*file, &[bytes], 0).expect("room");
}

fn plain(at: i64) -> ottla_protocol::record::ValidBatch {
    let mut batch = BatchBuilder::new();
    batch.append(Timestamp(at), Some(b"key"), Some(&[7; 90]));
    batch.append(Timestamp(at + 1), None, None);
    batch.build().expect("a batch")
}

fn sound_files() -> Vec<(String, Vec<u8>)> {
    let fs: Arc<dyn Fs> = Arc::new(CrashFs::default());
    let dir = Path::new(DIR);
    let opened = Log::open(Arc::clone(&fs), dir, None, config(), Opening::UNKNOWN, Timestamp(0));
    let (mut log, _) = opened.expect("a new log");
    let (id, epoch) = (ProducerId(4), ProducerEpoch(0));
    for round in 0..12 {
        let leader = LeaderEpoch(round / 4);
        let mut batch = BatchBuilder::new()
            .producer(id, epoch, Sequence(round))
            .transactional();
        batch.append(Timestamp(round.into()), None, Some(&[1; 60]));
        let batch = batch.build().expect("a batch");
        log.append(batch, leader, AppendOrigin::Client, Timestamp(0)).expect("an append");
        log.append(plain(round.into()), leader, AppendOrigin::Client, Timestamp(0))
            .expect("an append");
        let marker = EndTxnMarker {
            committed: round % 3 == 0,
            coordinator_epoch: 0,
        };
        let marker = marker.batch(id, epoch, Timestamp(round.into())).expect("a marker");
        log.append(marker, leader, AppendOrigin::Coordinator, Timestamp(0))
            .expect("an append");
    }
    log.close().expect("a clean stop");
    let names = fs.list(dir).expect("a directory").into_iter().map(|entry| entry.name);
    let read = |name: String| {
        let bytes = read_small(&*fs, &dir.join(&name), 1 << 20);
        (name, bytes.expect("a file").unwrap_or_default())
    };
    names.map(read).collect()
}
