//! Puts a response on the socket: bytes with `send`, stored records with `sendfile`.
//!
//! All bytes but a response's last carry `MSG_MORE`, so that a small header does not become a packet of its own.
//! A consumer that does not read costs a parked task and the few hundred bytes of its frame.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::fs::File;
use ottla_storage::read::FileRange;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::network::cold_read::ColdReads;
use crate::network::drop_behind::DropBehind;

/// Bytes of one `sendfile` call: smaller ones wake the reader once per call, larger ones hold the worker longer.
const QUANTUM: u64 = 1 << 20;
/// Bytes of one copy where there is no descriptor to send from.
const COPY_BYTES: u64 = 256 * 1024;

/// A piece of a response.
pub enum Part {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a segment file.
    File(FileRange),
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File(range) => write!(f, "{} bytes of a file from {}", range.len, range.position),
        }
    }
}

/// Bytes of files that were sent, by the way they went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Straight from the page cache.
    pub by_sendfile: u64,
    /// Through a buffer of this process.
    pub by_copy: u64,
}

/// Sends the parts of responses over one connection.
#[derive(Debug)]
pub struct Sender<'a> {
    stream: &'a TcpStream,
    cold_reads: &'a ColdReads,
    behind: &'a Mutex<DropBehind>,
    /// A peer that takes nothing for this long is given up (`connections.max.idle.ms`).
    stall_limit: Duration,
}

impl<'a> Sender<'a> {
    /// A sender to `stream`; `behind` knows what this peer alone has had read from the disk.
    pub fn new(
        stream: &'a TcpStream,
        cold_reads: &'a ColdReads,
        behind: &'a Mutex<DropBehind>,
        stall_limit: Duration,
    ) -> Self {
        Self {
            stream,
            cold_reads,
            behind,
            stall_limit,
        }
    }

    /// Send `bytes` as a whole response.
    pub async fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.send(bytes, SendFlags::NOSIGNAL).await
    }

    /// Send `parts` in order; gives back how the bytes of files left.
    ///
    /// # Errors
    /// Any error leaves a frame unfinished, so the connection must be closed.
    pub async fn send_parts(&self, parts: Vec<Part>) -> io::Result<Sent> {
        let mut sent = Sent::default();
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            let more = if parts.peek().is_some() {
                SendFlags::MORE
            } else {
                SendFlags::empty()
            };
            match part {
                Part::Bytes(bytes) => self.send(&bytes, SendFlags::NOSIGNAL | more).await?,
                Part::File(range) => self.send_file(&range, &mut sent).await?,
            }
        }
        Ok(sent)
    }

    async fn send(&self, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = self
                .when_writable(|socket| Ok(rustix::net::send(socket, bytes, flags)?))
                .await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    async fn send_file(&self, range: &FileRange, sent: &mut Sent) -> io::Result<()> {
        let Some(file) = range.file.fd() else {
            sent.by_copy += u64::from(range.len);
            return self.copy_file(range).await;
        };
        let end = range.position + u64::from(range.len);
        let mut at = range.position;
        while at < end {
            let quantum = (end - at).min(QUANTUM);
            let (from, stop) = (at, at + quantum);
            let missed = !range.recently_written
                && self
                    .cold_reads
                    .make_resident(&range.file, at, quantum)
                    .await?;
            while at < stop {
                at += self
                    .when_writable(|socket| sendfile(socket, file, at, stop - at))
                    .await? as u64;
            }
            if !range.recently_written {
                self.drop_behind(&range.file, from, quantum, missed);
            }
            tokio::task::consume_budget().await;
        }
        sent.by_sendfile += u64::from(range.len);
        Ok(())
    }

    /// Nobody waits for the page cache to shrink.
    fn drop_behind(&self, file: &Arc<dyn File>, position: u64, len: u64, missed: bool) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stale) = behind.sent(file, position, len, missed) {
            tokio::task::spawn_blocking(move || stale.drop_pages());
        }
    }

    /// The way out where `sendfile` has nothing to send from, such as the file systems of tests.
    async fn copy_file(&self, range: &FileRange) -> io::Result<()> {
        let end = range.position + u64::from(range.len);
        let mut at = range.position;
        let mut buffer = vec![0; COPY_BYTES.min(end - at) as usize];
        while at < end {
            let chunk = &mut buffer[..COPY_BYTES.min(end - at) as usize];
            let read = range.file.read_at(chunk, at)?;
            if read == 0 {
                return Err(range_cut_short());
            }
            self.send(&chunk[..read], SendFlags::NOSIGNAL).await?;
            at += read as u64;
        }
        Ok(())
    }

    /// Run `write` until the socket takes something; waits where it would block.
    async fn when_writable(
        &self,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match self
                .stream
                .try_io(Interest::WRITABLE, || write(self.stream.as_fd()))
            {
                Ok(0) => return Err(range_cut_short()),
                Ok(written) => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait_writable().await?
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn wait_writable(&self) -> io::Result<()> {
        match tokio::time::timeout(self.stall_limit, self.stream.writable()).await {
            Ok(ready) => ready,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client takes no bytes (connections.max.idle.ms)",
            )),
        }
    }
}

/// The frame's length is promised already: going on without these bytes would desynchronise the client.
fn range_cut_short() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "a segment file ended before the range to send",
    )
}

fn sendfile(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, at: u64, len: u64) -> io::Result<usize> {
    let mut at = i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(nix::sys::sendfile::sendfile64(
        socket,
        file,
        Some(&mut at),
        len as usize,
    )?)
}
