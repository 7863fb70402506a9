//! The `ottla` command as a process: what it prints, how it ends.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

/// The command with nothing of this machine's environment or files in its way.
fn ottla(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).current_dir(dir).env_clear();
    command
}

fn run(args: &[&str], files: &[(&str, &str)], env: &[(&str, &str)]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let Output {
        status,
        stdout,
        stderr,
    } = ottla(dir.path(), args)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["--nonsense"][..],
        &["frobnicate"],
        &["serve", "--config"],
        &["config"],
        &["version", "--yaml"],
    ] {
        let (code, _, stderr) = run(args, &[], &[]);
        assert_eq!(code, 2, "{args:?}");
        assert!(
            stderr.contains("Usage") || stderr.contains("error:"),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn versions_are_told_to_people_and_programs() {
    assert_eq!(
        run(&["--version"], &[], &[]),
        (
            0,
            format!("ottla {}\n", env!("CARGO_PKG_VERSION")),
            String::new()
        )
    );
    let (code, stdout, _) = run(&["version", "--json"], &[], &[]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, json["version"].as_str()),
        (0, Some(env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn a_configuration_it_cannot_start_with_ends_with_78_and_says_where() {
    let table = [
        (
            "num.partitions=zero\n",
            "server.properties:1 num.partitions: Invalid value zero for configuration num.partitions",
        ),
        (
            "listeners=SSL://:9093\n",
            "asks for SSL, which this version does not speak yet",
        ),
        (
            "#\n\nauthorizer.class.name=a.B\n",
            "server.properties:3 authorizer.class.name: unsafe, refused",
        ),
        (
            "process.roles=broker\n",
            "process.roles must be broker,controller",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092\n",
            "nonroutable meta-address 0.0.0.0",
        ),
        (
            "a=\\u00\n",
            "server.properties:1 line 1: \\u must be followed by four hexadecimal digits",
        ),
    ];
    for (text, message) in table {
        let (code, _, stderr) = run(&[], &[("server.properties", text)], &[]);
        assert_eq!(code, 78, "{text}: {stderr}");
        assert!(stderr.contains(message), "{text}: {stderr}");
    }
    let (code, _, stderr) = run(&["--config", "missing.properties"], &[], &[]);
    assert_eq!(code, 78);
    assert!(
        stderr.contains("cannot read missing.properties"),
        "{stderr}"
    );
    let (code, _, stderr) = run(
        &["serve", "--strict", "--override", "log.dir.s=x"],
        &[],
        &[],
    );
    assert_eq!(code, 78);
    assert!(
        stderr.contains("--override log.dir.s: unknown, did you mean log.dirs?"),
        "{stderr}"
    );
}

#[test]
fn config_check_names_every_key_that_needs_a_word() {
    let text = "log.retention.hours=24\nnum.io.threads=8\nlog.retention.hour=1\ninter.broker.protocol.version=3.9\n";
    let (code, stdout, _) = run(
        &["config", "check", "k.properties"],
        &[("k.properties", text)],
        &[("KAFKA_NONSENSE", "1")],
    );
    assert_eq!(code, 0);
    let expected = "k.properties:3 log.retention.hour: unknown, did you mean log.retention.hours?\n\
                    k.properties:4 inter.broker.protocol.version: removed, the level is a feature, metadata.version\n";
    assert!(stdout.starts_with(expected), "{stdout}");
    assert!(stdout.contains("k.properties: 4 keys: "), "{stdout}");
    assert_eq!(
        run(
            &["config", "check", "--strict", "k.properties"],
            &[("k.properties", text)],
            &[]
        )
        .0,
        1
    );
    assert_eq!(run(&["config", "check", "k.properties"], &[], &[]).0, 1);
}

#[test]
fn config_print_shows_where_each_value_comes_from() {
    let files = [(
        "server.properties",
        "num.partitions=3\nssl.key.password=s3cret\n",
    )];
    let env = [
        ("KAFKA_LOG_RETENTION_HOURS", "5"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_SERVICE_PORT", "1"),
    ];
    let (code, stdout, stderr) = run(
        &["config", "print", "--override", "broker.rack=a"],
        &files,
        &env,
    );
    assert_eq!((code, stderr.as_str()), (0, ""));
    for lines in [
        "# server.properties:1\nnum.partitions=3\n",
        "# environment KAFKA_LOG_RETENTION_HOURS\nlog.retention.hours=5\n",
        "# --override\nbroker.rack=a\n",
        "# default\nlog.dir=./ottla-data\n",
        "ssl.key.password=[hidden]\n",
    ] {
        assert!(stdout.contains(lines), "{lines}\n{stdout}");
    }
    assert!(!stdout.contains("s3cret"));
}

#[test]
fn config_docs_is_the_reference() {
    let (code, stdout, _) = run(&["config", "docs"], &[], &[]);
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("# Configuration\n") && stdout.contains("| `ottla.http.listener` |")
    );
}

#[test]
fn a_health_check_without_a_broker_fails() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listener = format!("ottla.http.listener=127.0.0.1:{port}");
    let (code, _, stderr) = run(&["healthcheck", "--override", &listener], &[], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("cannot ask 127.0.0.1:"), "{stderr}");
    assert_eq!(
        run(
            &["healthcheck", "--override", "ottla.http.listener="],
            &[],
            &[]
        )
        .0,
        78
    );
}
