//! Space left on the file systems of the data directories.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::Collect;
use super::page::Page;
use super::sample::LogDirSample;

/// Asks the file systems at each scrape.
#[derive(Debug)]
pub struct DiskMetrics {
    dirs: Vec<PathBuf>,
}

impl DiskMetrics {
    /// For these data directories.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }
}

/// Space on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an unprivileged process may still write.
    pub free: u64,
    /// Its size in bytes.
    pub total: u64,
}

impl Space {
    /// Of the file system that holds `path`.
    ///
    /// # Errors
    /// When there is no such path, or the file system does not answer.
    pub fn of(path: &Path) -> io::Result<Self> {
        let space = statvfs(path)?;
        let block = space.fragment_size();
        Ok(Self {
            free: space.blocks_available() * block,
            total: space.blocks() * block,
        })
    }
}

/// A directory that does not exist (yet) has no series.
impl Collect for DiskMetrics {
    fn collect(&self, page: &mut Page) {
        for dir in &self.dirs {
            let Ok(space) = Space::of(dir) else { continue };
            let sample = LogDirSample {
                path: &dir.to_string_lossy(),
                free: space.free,
                total: space.total,
            };
            sample.write(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::ids::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_directory_that_exists_has_space() {
        let dir = tempfile::tempdir().unwrap();
        let mut page = Page::new(Duration::ZERO, Timestamp(0), true);
        DiskMetrics::new(vec![dir.path().to_owned(), dir.path().join("missing")])
            .collect(&mut page);
        let text = page.finish();
        let label = format!(
            "ottla_log_dir_total_bytes{{path=\"{}\"}} ",
            dir.path().display()
        );
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix(&label))
            .unwrap();
        assert!(total.parse::<f64>().unwrap() > 0.0);
        assert!(!text.contains("missing"));
    }
}
