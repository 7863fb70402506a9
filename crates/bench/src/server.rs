//! The processes under test: started with their CPU, found, and stopped by their pid.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::affinity::Placement;
use crate::client::Client;
use crate::clock::{CpuClock, now};
use crate::error::{BenchError, Doing, Result};

/// A broker that does not answer within this time is given up.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// A broker that does not end within this time after SIGTERM is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// Time between two looks at a server that is starting; bounds the error of the start-up time.
const START_POLL: Duration = Duration::from_micros(200);

/// A server process.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its CPU time.
    pub(crate) clock: CpuClock,
    pid: Pid,
    /// The process when this tool started it.
    child: Option<Child>,
}

impl Server {
    /// The raw server, which is this very program.
    pub(crate) fn raw(placement: &Placement) -> Result<Self> {
        let program = std::env::current_exe().doing("finding this program")?;
        let mut command = Command::new(program);
        command
            .arg("raw-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = placement.as_server(|| command.spawn().doing("starting the raw server"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .doing("reading the raw server's address")?;
        }
        let address = line.trim().parse();
        let address =
            address.map_err(|_| BenchError::Server(format!("the raw server printed {line:?}")))?;
        Self::started(child, address)
    }

    /// The broker `program` on an empty or used data directory `data`, ready when it has answered ApiVersions.
    pub(crate) fn broker(program: &Path, data: &Path, placement: &Placement) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.arg("serve");
        for property in [
            format!("listeners=PLAINTEXT://{address}"),
            format!("log.dirs={}", data.display()),
            "ottla.http.listener=".into(),
            // Deleted topics leave at once, so that a run does not fill the page cache with dirty pages.
            "log.segment.delete.delay.ms=0".into(),
        ] {
            command.arg("--override").arg(property);
        }
        Self::spawn(command, address, &data.with_extension("output"), placement)
    }

    /// `command`, which makes a broker listen on `address`, ready when it has answered ApiVersions. What it prints goes to
    /// `output`.
    pub(crate) fn spawn(
        mut command: Command,
        address: SocketAddr,
        output: &Path,
        placement: &Placement,
    ) -> Result<Self> {
        let file = File::create(output).doing(format!("creating {}", output.display()))?;
        command.stdin(Stdio::null());
        command
            .stdout(file.try_clone().doing("sharing the output file")?)
            .stderr(file);
        let doing = format!("starting {}", command.get_program().display());
        let child = placement.as_server(|| command.spawn().doing(doing))?;
        let mut server = Self::started(child, address)?;
        server.await_answer(output)?;
        Ok(server)
    }

    /// A broker that runs already.
    pub(crate) fn running(address: SocketAddr, pid: i32, placement: &Placement) -> Result<Self> {
        let pid = Pid::from_raw(pid);
        placement.adopt_server(pid)?;
        Ok(Self {
            address,
            clock: CpuClock::of(pid)?,
            pid,
            child: None,
        })
    }

    /// Resident memory: all of it, and the anonymous part, in bytes.
    pub(crate) fn resident(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).doing(format!("reading {path}"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        };
        let missing = || BenchError::Server(format!("{path} has no resident size"));
        let both = field("VmRSS").zip(field("RssAnon")).ok_or_else(missing)?;
        Ok((both.0 << 10, both.1 << 10))
    }

    /// Ends it as a kill does.
    pub(crate) fn kill(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child.kill().doing("killing the broker")?;
        child.wait().doing("awaiting the broker's end")?;
        Ok(())
    }

    fn started(child: Child, address: SocketAddr) -> Result<Self> {
        let pid = Pid::from_raw(child.id() as i32);
        Ok(Self {
            address,
            clock: CpuClock::of(pid)?,
            pid,
            child: Some(child),
        })
    }

    fn await_answer(&mut self, output: &Path) -> Result<()> {
        let start = now();
        loop {
            let answer = Client::connect(self.address).and_then(|mut client| client.api_versions());
            let Err(error) = answer else { return Ok(()) };
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || now() - start > START_TIMEOUT {
                let said = std::fs::read_to_string(output).unwrap_or_default();
                let how = ended.map_or("did not answer".into(), |status| {
                    format!("ended with {status}")
                });
                return Err(BenchError::Server(format!(
                    "the broker {how} ({error}); it said:\n{said}"
                )));
            }
            std::thread::sleep(START_POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The raw server ends with its input, the broker with the signal.
        drop(child.stdin.take());
        let signalled = kill(self.pid, Signal::SIGTERM).is_ok();
        let start = now();
        while signalled && now() - start < STOP_TIMEOUT {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        eprintln!(
            "process {} did not end after SIGTERM and is killed",
            self.pid
        );
        if child.kill().is_ok() {
            child.wait().ok();
        }
    }
}

/// The broker's program: what `--ottla` says, or the one built beside this program.
pub(crate) fn find_broker(named: Option<PathBuf>) -> Result<PathBuf> {
    let beside = || {
        std::env::current_exe()
            .ok()
            .map(|bench| bench.with_file_name("ottla"))
    };
    let program = named.or_else(beside).filter(|path| path.is_file());
    program.ok_or_else(|| {
        let how = "build the broker (cargo build --release -p ottla-broker), or name it with --ottla PATH";
        BenchError::Usage(format!("no broker to measure: {how}"))
    })
}

/// An address of loopback that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("finding a free port")?;
    probe.local_addr().doing("finding a free port")
}
