"""The integration tests that rust-rdkafka and rskafka ship in their crates, built with the crates' own lock files.

That of rskafka 0.6.0 names rsasl 2.2.0, which Rust 1.95 no longer compiles: `rskafka.Cargo.lock` stands in for it, the
same but for `cargo update -p rsasl`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from harness import tools
from harness.suite import FAILED, PASSED, SKIPPED, Result, lines_of

HERE = Path(__file__).resolve().parent
LINE = re.compile(r"^test (?:test_)?(\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, (.*))?$")
OUTCOMES = {"ok": PASSED, "ignored": SKIPPED}
# For all tests of one file.
LIMIT_S = 420
# These return at once without what they need, and would count as passed. Those with TLS and SOCKS 5 are not compiled.
RSKAFKA_UNFIT = {
    **{f"produce_consume-{way}_{codec}": "its Java side fetches jars at run time, past the package client"
       for codec in ("nocompression", "gzip", "lz4", "snappy", "zstd")
       for way in ("produce_java_consume_java", "produce_java_consume_rskafka", "produce_rskafka_consume_java")},
    "produce_consume-produce_rdkafka_consume_rdkafka_nocompression": "asks for the Java side as well, and does not use it",
    "client-sasl": "waits for SASL",
}


@dataclass
class CargoSuite:
    """Cases that are tests of a crate's `tests` folder, as `NAME.tests` lists them: FILE-TEST."""

    crate: str
    version: str
    environment: object
    properties: dict
    threads: int = 2
    quick: bool = False
    # Tests that have an address of the broker's written into them.
    fixed_port: frozenset = frozenset()
    port: int = 9092
    # Tests that prove nothing about a broker, with the reason.
    unfit: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.crate}-suite"

    def names(self):
        return (HERE / f"{self.crate}.tests").read_text().split()

    def run(self, context):
        """Yields a `Result` for every test; one that did not report has failed."""
        folder = built(self.crate)
        properties, skipped = self.placed(context)
        skipped |= self.unfit
        environ = {**os.environ, **self.environment(context.broker(properties).bootstrap)}
        left = self.names()
        for program in json.loads((folder / "programs.json").read_text()):
            name = program["name"].removeprefix("test_")
            if not any(case.startswith(f"{name}-") for case in left):
                continue
            command = [folder / program["path"], f"--test-threads={self.threads}"]
            for line in lines_of(command, environ, LIMIT_S, context, cwd=folder / "source"):
                if not (found := LINE.match(line)):
                    context.note(line)
                elif (case := f"{name}-{found[1]}") in left:
                    left.remove(case)
                    yield result(case, found, skipped)
                elif "::" not in case:
                    yield Result(case, FAILED, f"{self.crate}.tests does not list this test")
        for case in left:
            yield Result(case, FAILED, "the program ended, or its time was up, before this test reported")

    def placed(self, context):
        """The broker's properties, on the port that some tests want if it is free; the tests that cannot run."""
        if not self.fixed_port:
            return self.properties, {}
        with socket.socket() as probe:
            free = probe.connect_ex(("127.0.0.1", self.port)) != 0
        if context.brokers.external or context.options.broker != "ottla" or not free:
            return self.properties, dict.fromkeys(self.fixed_port, f"wants the broker on port {self.port}")
        address = {"listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                   "advertised.listeners": f"PLAINTEXT://localhost:{self.port}"}
        return {**self.properties, **address}, {}


def result(case, found, skipped):
    """The result that a line of the test program's tells."""
    if case in skipped:
        return Result(case, SKIPPED, skipped[case])
    return Result(case, OUTCOMES.get(found[2], FAILED), found[3] or "")


def built(crate):
    """A folder with the crate's source, its test programs, and `programs.json`, which lists them.

    A `CRATE.Cargo.lock` beside this file stands in for the crate's own.
    """
    lock, crates = HERE / f"{crate}.sha256", HERE / f"{crate}.Cargo.lock"
    client = tools.program("cargo", "cargo")
    for program, package in (("make", "make"), ("g++", "g++"), ("cmake", "cmake")):
        tools.program(program, package)

    def build(target):
        source = tools.crate_source(client, lock, target)
        (source / "rust-toolchain.toml").unlink(missing_ok=True)
        manifest = source / "Cargo.toml"
        if "[workspace]" not in manifest.read_text():
            # Else Cargo takes it for a part of the workspace that this cache lies in.
            manifest.write_text(f"{manifest.read_text()}\n[workspace]\n")
        source.rename(target / "source")
        if crates.exists():
            shutil.copy(crates, target / "source/Cargo.lock")
        done = subprocess.run(
            [client, "test", "--locked", "--tests", "--no-run", "--message-format=json"], cwd=target / "source",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={**os.environ, "CARGO_TARGET_DIR": str(target / "target"), "CARGO_PROFILE_DEV_DEBUG": "0",
                 "CARGO_PROFILE_TEST_DEBUG": "0"})
        if done.returncode:
            raise tools.Unavailable(f"cargo test --no-run of {crate}: {' | '.join(done.stderr.splitlines()[-3:])}")
        messages = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
        programs = [{"name": m["target"]["name"], "path": str(Path(m["executable"]).relative_to(target))}
                    for m in messages if m.get("executable") and m["target"]["kind"] == ["test"]]
        (target / "programs.json").write_text(json.dumps(programs))
    return tools.installed(f"{crate}-suite", [lock, *([crates] if crates.exists() else [])], build)


SUITES = [
    CargoSuite("rdkafka", "0.39.0", lambda bootstrap: {"KAFKA_HOST": bootstrap, "KAFKA_VERSION": "4.0.0"},
               {"num.partitions": "3", "node.id": "0"}, fixed_port=frozenset((
                   "high_producers-future_producer_send", "high_producers-future_producer_send_fail", "metadata-metadata")),
               unfit={"low_producers-base_producer_timeout": "passes only where a new topic takes more than 100 ms"}),
    CargoSuite("rskafka", "0.6.0", lambda bootstrap: {
        "TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": bootstrap},
        {"auto.create.topics.enable": "false"}, unfit=RSKAFKA_UNFIT),
]
