"""The broker under test: Ottla, Apache Kafka on the same machine, or one that runs elsewhere.

A broker that this module starts listens on loopback, keeps its data in a temporary directory and is
stopped by the process id that was started.
"""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import schema, tools, wire
from .suite import Skip

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
SMALL_CLUSTER = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
}


def free_port():
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(bootstrap):
    """Whether the broker answers Metadata with itself as a broker."""
    try:
        with wire.Connection(bootstrap, timeout=5) as connection:
            return bool(connection.call(schema.METADATA, 5, {"topics": []})["brokers"])
    except (OSError, ValueError, wire.Closed):
        return False


class External:
    """A broker that somebody else runs; only its address is known."""

    name = "external"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def version(self):
        return self.bootstrap

    def close(self):
        pass


class Started:
    """A broker process of our own. `properties` are Apache Kafka's, on top of the defaults."""

    def __init__(self, properties, data=None):
        self.properties = properties
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-compat-"))
        self.data = data or self.directory / "data"
        self.log = self.directory / "output"
        self.process = None
        self.bootstrap = None

    def start(self):
        """Starts the process and waits until it answers; the port stays the same over restarts."""
        self.before_start()
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, cwd=self.directory)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} exited with {self.process.returncode} at start:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not answer in {START_TIMEOUT_S} s:\n{self.tail()}")
            time.sleep(0.05)
        return self

    def ready(self):
        return self.bootstrap is not None and answers(self.bootstrap)

    def before_start(self):
        self.data.mkdir(exist_ok=True)

    def stop(self):
        """A clean stop; a broker that does not exit 0 (or by SIGTERM, as a JVM does) has failed."""
        self.process.terminate()
        code = self.process.wait(STOP_TIMEOUT_S)
        if code not in self.clean_exits:
            raise RuntimeError(f"{self.name} exited with {code} after SIGTERM:\n{self.tail()}")

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """Ends the process and removes its files."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self):
        """The end of what the broker printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""

    def rss_bytes(self):
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


class Ottla(Started):
    """This repository's release binary."""

    name = "ottla"
    clean_exits = (0,)

    def __init__(self, properties, binary, data=None):
        super().__init__({**SMALL_CLUSTER, **properties}, data)
        self.binary = binary
        self.port = 0

    def version(self):
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"

    def command(self):
        settings = {"listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": self.data,
                    "ottla.http.listener": "", **self.properties}
        overrides = [word for key, value in settings.items() for word in ("--override", f"{key}={value}")]
        return [self.binary, "serve", *overrides]

    def ready(self):
        """Learns the port that was picked from what the broker printed."""
        if self.port == 0:
            found = re.search(r"127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))
            if not found or found.group(1) == "0":
                return False
            self.port = int(found.group(1))
            self.bootstrap = f"127.0.0.1:{self.port}"
        return super().ready()


class ApacheKafka(Started):
    """Apache Kafka from Maven Central, one combined node: the measure of every suite."""

    name = "kafka"
    clean_exits = (0, 143)

    def __init__(self, properties, data=None):
        super().__init__(properties, data)
        self.class_path = tools.maven(tools.ROOT / "apache-kafka")
        self.port, self.controller_port = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"

    def version(self):
        return re.search(r"<kafka.version>(.*)</kafka.version>",
                         (tools.ROOT / "apache-kafka/pom.xml").read_text()).group(1)

    def java(self, *arguments, heap="512m"):
        """A command line of one of Apache Kafka's own programs."""
        return [tools.java(), f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", self.class_path, *arguments]

    def command(self):
        return self.java("kafka.Kafka", str(self.directory / "server.properties"))

    def before_start(self):
        self.data.mkdir(exist_ok=True)
        settings = {
            "process.roles": "broker,controller", "node.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "log.dirs": str(self.data), **SMALL_CLUSTER, **self.properties,
        }
        file = self.directory / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        if not (self.data / "meta.properties").exists():
            tools.run(self.java("kafka.tools.StorageTool", "format", "--standalone", "-t", "Y29tcGF0LXRlc3RzLTAwMQ",
                                "-c", str(file)), "StorageTool format")


class Brokers:
    """Hands out brokers of the chosen kind: shared ones by their properties, or a fresh one."""

    def __init__(self, make, external=None):
        self.make, self.external, self.shared = make, external, {}
        self.fresh = []

    def get(self, properties=None):
        """A running broker with these properties, shared with other suites."""
        if self.external:
            return self.external
        key = tuple(sorted((properties or {}).items()))
        broker = self.shared.get(key)
        if broker is None or broker.process.poll() is not None:
            broker = self.shared[key] = self.make(dict(key))
            broker.start()
        return broker

    def own(self, properties=None):
        """A fresh broker that the case may stop, kill and look into."""
        if self.external:
            raise Skip("needs a broker that this run may stop and whose files it can see")
        return self.adopt(self.make(properties or {})).start()

    def adopt(self, broker):
        """A broker that goes away at the end of the suite."""
        self.fresh.append(broker)
        return broker

    def close_fresh(self):
        while self.fresh:
            self.fresh.pop().close()

    def close(self):
        self.close_fresh()
        for broker in self.shared.values():
            broker.close()
