//! Receive, check the CRC, assign an offset, write: produce without a broker.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::fcntl::{FallocateFlags, fallocate};
use ottla_protocol::record::batch::{CRC_AT, CRC_START, crc32c};

use super::{Writing, put_frame_len, read_frame};
use crate::error::{BenchError, Doing, Result};

/// Largest single write: ext4 makes folios as large as the write, and large ones are dear to touch first.
const WRITE_LEN: usize = 256 << 10;

/// The open log files, shared by connections that write to the same one.
#[derive(Default)]
pub(super) struct Files(Mutex<HashMap<PathBuf, Weak<RawLog>>>);

/// A file with the place where the next batch goes.
pub(super) struct RawLog {
    file: File,
    end: AtomicU64,
    reserved: Mutex<u64>,
}

impl Files {
    /// The logs of a job, created when no other connection has them open.
    pub(super) fn open(&self, writing: &Writing) -> Result<Vec<Arc<RawLog>>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, log| log.strong_count() > 0);
        writing
            .files
            .iter()
            .map(|path| {
                if let Some(log) = open.get(path).and_then(Weak::upgrade) {
                    return Ok(log);
                }
                let file = File::create(path).doing(format!("creating {}", path.display()))?;
                let log = Arc::new(RawLog {
                    file,
                    end: AtomicU64::new(0),
                    reserved: Mutex::new(0),
                });
                open.insert(path.clone(), Arc::downgrade(&log));
                Ok(log)
            })
            .collect()
    }
}

impl RawLog {
    fn append(&self, batch: &mut [u8], reserve: usize) -> Result<()> {
        let expected = crc32c(&batch[CRC_START..]).to_be_bytes();
        if batch[CRC_AT..CRC_AT + 4] != expected {
            return Err(BenchError::Malformed("the CRC of a batch".into()));
        }
        let len = batch.len() as u64;
        let at = self.end.fetch_add(len, Ordering::Relaxed);
        batch[..8].copy_from_slice(&at.to_be_bytes());
        if reserve > 0 {
            self.reserve(at + len, reserve as u64)?;
        }
        let mut position = at;
        for part in batch.chunks(WRITE_LEN) {
            self.file
                .write_all_at(part, position)
                .doing("writing a batch")?;
            position += part.len() as u64;
        }
        Ok(())
    }

    fn reserve(&self, end: u64, step: u64) -> Result<()> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        while *reserved < end {
            let keep_size = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(&self.file, keep_size, *reserved as i64, step as i64)
                .doing("reserving space")?;
            *reserved += step;
        }
        Ok(())
    }
}

/// Appends every batch of every frame, one answer for each frame.
pub(super) fn append_loop(
    mut socket: &TcpStream,
    writing: &Writing,
    logs: &[Arc<RawLog>],
) -> Result<()> {
    let mut frame = vec![0; writing.frame_len];
    let mut answer = vec![0; writing.answer_len];
    put_frame_len(&mut answer, writing.answer_len);
    while read_frame(&mut socket, &mut frame)? {
        for (at, log) in writing.batches_at.iter().zip(logs) {
            log.append(&mut frame[*at..*at + writing.batch_len], writing.reserve)?;
        }
        socket.write_all(&answer).doing("answering")?;
    }
    Ok(())
}
