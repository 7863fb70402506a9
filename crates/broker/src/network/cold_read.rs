//! Keeps reads from the disk off the runtime's workers.
//!
//! `sendfile` of bytes that are not in the page cache blocks its thread, whatever the socket's flags say. Before a
//! window is sent, one byte in every 128 KiB is asked for with `RWF_NOWAIT`; where one is missing, a thread of the
//! blocking pool pulls the window in by sending it to `/dev/null`, which copies nothing.

use std::fs::File as StdFile;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ottla_storage::fs::File;
use tokio::sync::Semaphore;

use crate::telemetry::Telemetry;

/// The kernel reads ahead in larger steps than this, so a window whose probes hit is resident.
const PROBE_STEP: u64 = 128 * 1024;

/// The bounded way to the disk for reads of cold data.
pub struct ColdReads {
    permits: Semaphore,
    null: Arc<StdFile>,
    telemetry: Arc<Telemetry>,
}

impl std::fmt::Debug for ColdReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdReads")
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

impl ColdReads {
    /// At most `concurrency` threads read from disk at once.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened.
    pub fn new(concurrency: usize, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        let null = StdFile::options().write(true).open("/dev/null")?;
        Ok(Self {
            permits: Semaphore::new(concurrency),
            null: Arc::new(null),
            telemetry,
        })
    }

    /// Wait until `len` bytes of `file` from `position` on are in the page cache. True when they had to be read from the
    /// disk.
    pub async fn make_resident(
        &self,
        file: &Arc<dyn File>,
        position: u64,
        len: u64,
    ) -> io::Result<bool> {
        if file.fd().is_none() || is_resident(&**file, position, len)? {
            return Ok(false);
        }
        self.pull_in(file, position, len).await.map(|()| true)
    }

    async fn pull_in(&self, file: &Arc<dyn File>, position: u64, len: u64) -> io::Result<()> {
        self.telemetry.network.cold_read();
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let (file, null) = (Arc::clone(file), Arc::clone(&self.null));
        tokio::task::spawn_blocking(move || match file.fd() {
            Some(fd) => send_to_null(fd, &null, position, len),
            None => Ok(()),
        })
        .await
        .map_err(io::Error::other)?
    }
}

fn is_resident(file: &dyn File, position: u64, len: u64) -> io::Result<bool> {
    let last = position + len.saturating_sub(1);
    let mut at = position;
    loop {
        match file.read_cached_at(&mut [0], at) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if at == last {
            return Ok(true);
        }
        at = (at + PROBE_STEP).min(last);
    }
}

fn send_to_null(fd: BorrowedFd<'_>, null: &StdFile, position: u64, len: u64) -> io::Result<()> {
    let mut at =
        i64::try_from(position).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let end = at + len as i64;
    while at < end {
        let left = (end - at) as usize;
        if nix::sys::sendfile::sendfile64(null, fd, Some(&mut at), left)? == 0 {
            return Ok(());
        }
    }
    Ok(())
}
