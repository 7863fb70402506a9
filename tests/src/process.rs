//! A broker in a process of its own, for what only a process can suffer: SIGKILL and system-call traces.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running broker process; killed when dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    child: Child,
    addr: SocketAddr,
}

impl BrokerProcess {
    /// Start `program` on `data_dir` with a free port, and wait until it listens.
    ///
    /// The port is read from the line that the broker logs once it is ready: `kafka=<address>`.
    pub fn start(program: &Path, data_dir: &Path) -> Self {
        Self::start_with(program, data_dir, &[])
    }

    /// The same with some properties, each `key=value`.
    pub fn start_with(program: &Path, data_dir: &Path, properties: &[&str]) -> Self {
        let mut child = command(program, data_dir, properties)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the broker's program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut seen = Vec::new();
        let addr = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the broker did not start: {seen:#?}")
            };
            let ready = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix("kafka="))
                .map(str::to_owned);
            match ready.and_then(|addr| addr.trim_matches('"').parse().ok()) {
                Some(addr) => break addr,
                None => seen.push(line),
            }
        };
        // The pipe must not fill up, or the broker would wait for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, addr }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait for the end.
    pub fn kill(&mut self) {
        self.child.kill().expect("the broker's process");
        self.child.wait().expect("the broker's end");
    }
}

/// Start `program` on `data_dir`, and SIGKILL it after some time, whatever it is doing by then.
pub fn start_and_kill(program: &Path, data_dir: &Path, properties: &[&str], after: Duration) {
    let mut child = command(program, data_dir, properties)
        .stderr(Stdio::null())
        .spawn()
        .expect("the broker's program starts");
    std::thread::sleep(after);
    child.kill().expect("the broker's process");
    child.wait().expect("the broker's end");
}

fn command(program: &Path, data_dir: &Path, properties: &[&str]) -> Command {
    let log_dirs = format!("log.dirs={}", data_dir.display());
    let mut command = Command::new(program);
    command.arg("serve");
    for property in [
        "listeners=PLAINTEXT://127.0.0.1:0",
        "ottla.http.listener=",
        &log_dirs,
    ]
    .iter()
    .chain(properties)
    {
        command.args(["--override", property]);
    }
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
