//! Which CPU the server under test and the client run on.
//!
//! A thread and a process inherit the affinity of the thread that makes them, so this module only ever
//! sets the calling thread's: for the server just before it is started, then back for the clients.

use std::fmt;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::{BenchError, Doing, Result};

/// How server and client are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pinning {
    /// Both on one CPU: no wake-up crosses CPUs, what remains is the pure cost of the work.
    One,
    /// The server on one CPU, the clients on another: cross-CPU wake-ups are part of the figure.
    Two,
    /// Wherever the scheduler likes: bimodal on a quiet machine, and said so.
    None,
}

/// The CPUs chosen for this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pinning: Pinning,
    allowed: CpuSet,
    server: CpuSet,
    client: CpuSet,
    server_cpu: usize,
    client_cpu: usize,
}

impl Placement {
    /// Picks CPUs among those this process may use.
    pub(crate) fn choose(pinning: Pinning) -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).doing("reading the CPU affinity")?;
        let cpus: Vec<usize> = (0..CpuSet::count())
            .filter(|cpu| allowed.is_set(*cpu).unwrap_or(false))
            .collect();
        let (Some(&first), Some(&last)) = (cpus.first(), cpus.last()) else {
            return Err(BenchError::Usage(
                "no CPU is allowed to this process".into(),
            ));
        };
        if pinning == Pinning::Two && first == last {
            return Err(BenchError::Usage(
                "--pin two needs two CPUs; this process may use one".into(),
            ));
        }
        let client_cpu = if pinning == Pinning::Two { first } else { last };
        let (server, client) = match pinning {
            Pinning::None => (allowed, allowed),
            _ => (only(last)?, only(client_cpu)?),
        };
        Ok(Self {
            pinning,
            allowed,
            server,
            client,
            server_cpu: last,
            client_cpu,
        })
    }

    /// The same CPUs for the clients, all that are allowed for the server.
    pub(crate) fn unpinned(&self) -> Self {
        Self {
            server: self.allowed,
            ..*self
        }
    }

    /// Runs `start` with the server's affinity on this thread, so that what it starts inherits it.
    pub(crate) fn as_server<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin_this_thread(&self.server)?;
        let started = start();
        pin_this_thread(&self.client)?;
        started
    }

    /// Gives every thread of a running process the server's affinity.
    pub(crate) fn adopt_server(&self, pid: Pid) -> Result<()> {
        let tasks = format!("/proc/{pid}/task");
        for entry in std::fs::read_dir(&tasks).doing(format!("listing {tasks}"))? {
            let entry = entry.doing(format!("listing {tasks}"))?;
            if let Some(tid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            {
                sched_setaffinity(Pid::from_raw(tid), &self.server)
                    .doing(format!("pinning thread {tid}"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pinning {
            Pinning::One => write!(
                f,
                "server and clients both pinned to CPU {}",
                self.server_cpu
            ),
            Pinning::Two => write!(
                f,
                "server pinned to CPU {}, clients to CPU {}",
                self.server_cpu, self.client_cpu
            ),
            Pinning::None => write!(f, "nothing pinned (bimodal on a quiet machine)"),
        }
    }
}

fn only(cpu: usize) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(cpu).doing(format!("CPU {cpu}"))?;
    Ok(set)
}

fn pin_this_thread(set: &CpuSet) -> Result<()> {
    sched_setaffinity(Pid::from_raw(0), set).doing("setting the CPU affinity")
}
