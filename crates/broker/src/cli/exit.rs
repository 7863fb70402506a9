//! Exit codes, after sysexits.h, so that a supervisor can tell what a restart would cure.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped as asked.
    Success,
    /// It failed while running; a restart may help.
    Failure,
    /// The data directory cannot be read or written.
    Io,
    /// Another process has the data directory.
    Locked,
    /// The configuration is wrong; a restart will not help.
    Config,
    /// Ended by a second signal, with its code: 130 or 143.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Io => 74,
            Exit::Locked => 75,
            Exit::Config => 78,
            Exit::Signal(code) => code,
        })
    }
}

/// Says why and returns `exit`. For what goes wrong before there is a log.
pub(super) fn fail(exit: Exit, reason: &str) -> Exit {
    for line in reason.lines() {
        eprintln!("ottla: {line}");
    }
    exit
}
