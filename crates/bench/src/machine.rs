//! What a run was measured on, in words that say nothing about where the machine is or what it is called.

use std::path::Path;

use crate::error::{Doing, Result};

/// CPUs, memory, kernel and the file system of `dir`.
pub(crate) fn description(dir: &Path) -> Result<String> {
    let cpus = cpus()?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".into());
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: f64 = memory
        .and_then(|text| text.trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    let gib = kib / f64::from(1 << 20);
    let file_system = file_system(dir).unwrap_or_else(|| "unknown file system".into());
    Ok(format!(
        "{cpus} CPUs ({model}), {gib:.0} GiB, Linux {}, {file_system}",
        kernel()
    ))
}

/// All that the machine has: this thread itself is pinned to one.
fn cpus() -> Result<usize> {
    let text = std::fs::read_to_string("/proc/cpuinfo").doing("counting CPUs")?;
    let is_one = |line: &&str| line.starts_with("processor");
    Ok(text.lines().filter(is_one).count())
}

/// The version that the kernel is made from, without what a builder has added.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let is_version = |letter: &char| letter.is_ascii_digit() || *letter == '.';
    release.chars().take_while(is_version).collect()
}

/// The value behind the colon of the first line that begins with `name`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that is mounted over `dir`, or nearest above it.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let of_mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        dir.starts_with(&point).then_some((point.len(), kind))
    };
    let nearest = mounts
        .lines()
        .filter_map(of_mount)
        .max_by_key(|(len, _)| *len);
    nearest.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_everything_in_one_line() {
        let text = description(&std::env::temp_dir()).unwrap();
        for part in [" CPUs (", " GiB, Linux ", "."] {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
        assert!(
            !text.contains("unknown") && text.lines().count() == 1,
            "{text}"
        );
        assert_eq!(
            file_system(Path::new("/proc/self/fd")).as_deref(),
            Some("proc")
        );
    }
}
