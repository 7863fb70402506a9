//! What is worth a warning before a broker starts: file systems on which data does not last, disks that are full.

use std::path::Path;

use nix::sys::statfs::{FsType, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};

/// A data directory's file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileSystem {
    kind: FsType,
    free: u64,
    total: u64,
}

/// One line for each thing to know about a data directory, which may not exist yet.
pub fn warnings(dir: &Path) -> Vec<String> {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let Some(existing) = absolute.ancestors().find(|ancestor| ancestor.is_dir()) else {
        return Vec::new();
    };
    match statfs(existing) {
        Ok(found) => {
            let block = u64::try_from(found.block_size()).unwrap_or(0);
            let (free, total) = (found.blocks_available() * block, found.blocks() * block);
            judge(
                dir,
                FileSystem {
                    kind: found.filesystem_type(),
                    free,
                    total,
                },
            )
        }
        Err(_) => Vec::new(),
    }
}

fn judge(dir: &Path, fs: FileSystem) -> Vec<String> {
    let dir = dir.display();
    let mut lines = Vec::new();
    match fs.kind {
        TMPFS_MAGIC => lines.push(format!(
            "{dir} is in memory (tmpfs): its records are gone after a reboot"
        )),
        OVERLAYFS_SUPER_MAGIC => {
            lines.push(format!("{dir} is in a container's own layer (overlayfs): its records go with the container; mount a volume"));
        }
        NFS_SUPER_MAGIC => lines.push(format!(
            "{dir} is on NFS: locks and flushes are only as good as the server's"
        )),
        _ => {}
    }
    if fs.total > 0 && fs.free < fs.total / 20 {
        lines.push(format!(
            "{dir} has {} MiB left, less than 5 % of its file system",
            fs.free >> 20
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::statfs::EXT4_SUPER_MAGIC;

    #[test]
    fn file_systems_that_lose_data_and_full_disks_are_named() {
        let table = [
            (EXT4_SUPER_MAGIC, 50, 0),
            (EXT4_SUPER_MAGIC, 4, 1),
            (TMPFS_MAGIC, 50, 1),
            (OVERLAYFS_SUPER_MAGIC, 4, 2),
            (NFS_SUPER_MAGIC, 50, 1),
        ];
        for (kind, free, lines) in table {
            let found = judge(
                Path::new("d"),
                FileSystem {
                    kind,
                    free: free << 20,
                    total: 100 << 20,
                },
            );
            assert_eq!(found.len(), lines, "{kind:?} {free}: {found:?}");
        }
    }

    #[test]
    fn a_directory_that_does_not_exist_is_judged_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            warnings(&dir.path().join("a/b")).len(),
            warnings(dir.path()).len()
        );
    }
}
