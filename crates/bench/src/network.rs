//! A network of the run's own, so that the machine's choice of congestion control does not decide the figures.
//!
//! BBR paces what it sends with a timer for every segment, on the loopback interface as anywhere. A large response
//! then costs two to three times the CPU or not, as its estimate of the bandwidth happens to settle. A network
//! namespace has settings of its own, so the run takes Reno, which never paces, and the machine is left alone.

use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use crate::error::{BenchError, Doing, Result};

/// Where Linux keeps the algorithm that new sockets get, for each network namespace.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Moves this process, and all that it will start, to a new network with nothing but a loopback interface. Must be
/// called before there are threads.
pub(crate) fn enter_own() -> Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET),
        other => other,
    }
    .doing("making a network namespace")?;
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .doing("running ip")?;
    if !up.success() {
        let what =
            "the loopback interface of the run's own network did not come up (ip link set lo up)";
        return Err(BenchError::Usage(what.into()));
    }
    std::fs::write(CONGESTION_CONTROL, "reno").doing(format!("writing {CONGESTION_CONTROL}"))
}

/// Name of the congestion control in force.
pub(crate) fn congestion_control() -> String {
    std::fs::read_to_string(CONGESTION_CONTROL).map_or("unknown".into(), |name| name.trim().into())
}
