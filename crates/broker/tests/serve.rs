//! `ottla serve` as a process: what it says when it is up, how it stops, and why it refuses to start.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A broker process that logs JSON; killed when dropped.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Process {
    fn start(dir: &Path, overrides: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.args([
            "--override",
            "listeners=PLAINTEXT://127.0.0.1:0",
            "--override",
            "ottla.http.listener=127.0.0.1:0",
        ]);
        command.args(["--override", "ottla.log.format=json"]);
        overrides.iter().for_each(|pair| {
            command.args(["--override", pair]);
        });
        command
            .current_dir(dir)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The first line of the log with this message; panics with everything said when the log ends before.
    fn wait_for(&mut self, message: &str) -> serde_json::Value {
        let mut said = String::new();
        loop {
            let before = said.len();
            assert!(
                self.log.read_line(&mut said).unwrap() > 0,
                "no {message:?} in:\n{said}"
            );
            if let Ok(line) = serde_json::from_str::<serde_json::Value>(&said[before..])
                && line["message"] == message
            {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Exit code, and what was said until the end.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.log.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(ready: &serde_json::Value, field: &str) -> SocketAddr {
    ready[field].as_str().unwrap().parse().unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_starts_from_nothing_says_where_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut process = Process::start(dir.path(), &[]);
        let ready = process.wait_for("ready");
        let (kafka, http) = (address(&ready, "kafka"), address(&ready, "http"));
        assert!(kafka.port() != 0 && http.port() != 0);
        TcpStream::connect(kafka).unwrap();
        assert!(get(http, "/readyz").starts_with("HTTP/1.1 200"));
        let metrics = get(http, "/metrics");
        assert!(
            metrics.contains("kafka_server_kafkaserver_brokerstate 3"),
            "{metrics}"
        );
        process.signal(Signal::SIGTERM);
        process.wait_for("stopped");
        assert_eq!(process.end().0, Some(0));
        assert!(dir.path().join("ottla-data/.kafka_cleanshutdown").exists());
        assert!(dir.path().join("ottla-data/meta.properties").exists());
    }
}

#[test]
fn the_health_check_of_a_running_broker_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &[]);
    let http = address(&process.wait_for("ready"), "http");
    let mut check = Command::new(env!("CARGO_BIN_EXE_ottla"));
    check
        .args([
            "healthcheck",
            "--override",
            &format!("ottla.http.listener={http}"),
        ])
        .env_clear();
    let output = check.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("readyz check passed"));
    process.signal(Signal::SIGINT);
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn a_hangup_reloads_the_levels_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &[]);
    process.wait_for("ready");
    std::fs::write(
        dir.path().join("server.properties"),
        "ottla.log.level=info,ottla_broker::network=debug\n",
    )
    .unwrap();
    process.signal(Signal::SIGHUP);
    let reloaded = process.wait_for("reloaded the levels of the log");
    assert_eq!(reloaded["levels"], "info,ottla_broker::network=debug");
    std::fs::write(
        dir.path().join("server.properties"),
        "num.partitions=many\n",
    )
    .unwrap();
    process.signal(Signal::SIGHUP);
    process.wait_for("nothing reloaded");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn a_data_directory_serves_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Process::start(dir.path(), &[]);
    first.wait_for("ready");
    let (code, said) = Process::start(dir.path(), &[]).end();
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains(&format!("process {}", first.child.id())),
        "{said}"
    );
}

#[test]
fn a_taken_port_and_another_nodes_directory_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let (code, said) =
        Process::start(dir.path(), &[&format!("listeners=PLAINTEXT://{address}")]).end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
    let (code, said) =
        Process::start(dir.path(), &[&format!("ottla.http.listener={address}")]).end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("set ottla.http.listener to another address"),
        "{said}"
    );

    let mut process = Process::start(dir.path(), &[]);
    process.wait_for("ready");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().0, Some(0));
    let (code, said) = Process::start(dir.path(), &["node.id=2"]).end();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("node.id"), "{said}");
}

#[test]
fn a_data_directory_that_is_a_file_ends_with_74() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ottla-data"), "").unwrap();
    let (code, said) = Process::start(dir.path(), &[]).end();
    assert_eq!(code, Some(74), "{said}");
}

#[test]
fn directories_are_formatted_once_and_keep_their_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let format = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .arg("format")
            .args(args)
            .current_dir(dir.path())
            .env_clear()
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let id = "5L6g3nShT-eMCtK--X86sw";
    let done = (Some(0), format!("./ottla-data: node 1, cluster {id}\n"));
    assert_eq!(format(&["--cluster-id", id]), done);
    let (code, said) = format(&["--cluster-id", id]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("already formatted"), "{said}");
    assert_eq!(
        format(&["-t", id, "--ignore-formatted", "--standalone"]),
        done
    );
    let (code, said) = format(&["-t", "other", "-g"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("belongs to cluster 5L6g3nShT"), "{said}");

    let mut process = Process::start(dir.path(), &[]);
    assert_eq!(process.wait_for("ready")["cluster_id"], id);
    assert_eq!(format(&["-g"]).0, Some(75), "the broker has the directory");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn the_metadata_log_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &[]);
    process.wait_for("ready");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().0, Some(0));
    let log = "ottla-data/__cluster_metadata-0/00000000000000000000.log";
    let mut dump = Command::new(env!("CARGO_BIN_EXE_ottla"));
    let output = dump
        .args(["metadata", "dump", log])
        .current_dir(dir.path())
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.lines().count() > 3,
        "{text}"
    );
    assert!(text.contains("REGISTER_BROKER_RECORD"), "{text}");
}
