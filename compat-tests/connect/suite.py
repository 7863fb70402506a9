"""Kafka Connect, standalone and distributed, and MirrorMaker 2: small real jobs that are restarted in the middle."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import kcat, schema, session, tools, wire
from harness.broker import ApacheKafka, free_port
from harness.suite import Suite
from harness.traffic import committed

HERE = Path(__file__).resolve().parent
CONNECT = Suite("connect", "Kafka Connect 4.1.2", quick=False)
MIRROR = Suite("mirror-maker", "MirrorMaker 2 4.1.2", quick=False)
SUITES = [CONNECT, MIRROR]
WAIT_S = 90
LINES = 4_000
FILE = "org.apache.kafka.connect.file.FileStream{}Connector"
WORKER = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.flush.interval.ms": "500",
}


class Worker:
    """A JVM with a Connect worker or MirrorMaker; it can be killed and started again."""

    def __init__(self, context, main, *files):
        self.command = [tools.java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", tools.maven(HERE), main,
                        *map(str, files)]
        self.context, self.log, self.process = context, context.temp() / f"{main.rsplit('.', 1)[-1]}.log", None
        context.on_close(self.kill)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.context.temp())
        return self

    def stop(self):
        """A clean stop."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def kill(self):
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait(self, what, condition):
        """Waits until `condition()` holds; what it says when it does not is shown."""
        deadline = time.monotonic() + WAIT_S
        while (found := condition()) is not True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.context.note(self.log.read_text(errors="replace")[-6000:])
                raise AssertionError(f"not {what}: {found}; the worker's exit: {self.process.poll()}")
            time.sleep(0.2)


def properties(path, settings):
    """A file of properties."""
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path


def lines(first, count):
    return [f"line {index} {'x' * (index % 97)}" for index in range(first, first + count)]


def append(path, new):
    with open(path, "a", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in new)


def read(path):
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def records(bootstrap, topic, *more):
    """The committed values of partition 0."""
    done = kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", *more,
                     stdout=subprocess.PIPE)
    return done.stdout.decode().splitlines()


def same(found, wanted):
    """True, or what differs, in a few words."""
    if found == wanted:
        return True
    at = next((i for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]), min(len(found), len(wanted)))
    return f"{len(found)} of {len(wanted)}, first difference at {at}: {found[at:at + 1]} for {wanted[at:at + 1]}"


def source_and_sink(context, topic):
    """The two files and the configurations of the two connectors between them."""
    source, sink = context.temp() / f"{topic}.in", context.temp() / f"{topic}.out"
    return source, sink, [
        {"name": "source", "connector.class": FILE.format("Source"), "tasks.max": "1", "file": source, "topic": topic},
        {"name": "sink", "connector.class": FILE.format("Sink"), "tasks.max": "1", "file": sink, "topics": topic},
    ]


@CONNECT.case
def standalone_file_to_file(context):
    """A file goes through a topic into another file; the worker is stopped and started in the middle; they are equal."""
    bootstrap, topic = context.broker().bootstrap, context.topic("standalone")
    source, sink, connectors = source_and_sink(context, topic)
    worker = properties(context.temp() / "standalone.properties", {
        **WORKER, "bootstrap.servers": bootstrap, "offset.storage.file.filename": context.temp() / "standalone.offsets",
        "listeners": f"http://127.0.0.1:{free_port()}"})
    files = [properties(context.temp() / f"{each['name']}.properties", each) for each in connectors]
    first, second = lines(0, LINES), lines(LINES, LINES)
    append(source, first)
    running = Worker(context, "org.apache.kafka.connect.cli.ConnectStandalone", worker, *files).start()
    running.wait("copied", lambda: same(read(sink), first))
    running.stop()
    append(source, second)
    running.start().wait("copied after the restart", lambda: same(read(sink), first + second))
    running.stop()
    assert (found := same(records(bootstrap, topic), first + second)) is True, found


@CONNECT.case
def distributed_exactly_once(context):
    """A distributed worker with exactly-once sources, killed twice: each line is in the topic once, and in the file."""
    bootstrap, topic = context.broker().bootstrap, context.topic("distributed")
    source, sink, connectors = source_and_sink(context, topic)
    port = free_port()
    internal = {f"{kind}.storage.topic": context.topic(f"connect-{kind}") for kind in ("config", "offset", "status")}
    factors = {f"{kind}.storage.replication.factor": "1" for kind in ("config", "offset", "status")}
    worker = properties(context.temp() / "distributed.properties", {
        **WORKER, **internal, **factors, "bootstrap.servers": bootstrap, "group.id": context.topic("connect"),
        "listeners": f"http://127.0.0.1:{port}", "exactly.once.source.support": "enabled",
        "offset.storage.partitions": "3", "status.storage.partitions": "2",
        "scheduled.rebalance.max.delay.ms": "0", "session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"})
    running = Worker(context, "org.apache.kafka.connect.cli.ConnectDistributed", worker).start()
    running.wait("ready", lambda: rest(port, "connectors") == [] or "no answer")
    for connector in connectors:
        settings = {key: str(value) for key, value in connector.items()}
        running.wait("configured", lambda name=connector["name"], settings=settings: isinstance(
            rest(port, f"connectors/{name}/config", settings), dict) or "refused")
    wanted = []
    for turn in range(3):
        wanted += (new := lines(turn * LINES, LINES))
        append(source, new)
        if turn < 2:
            running.wait("under way", lambda: len(read(sink)) > len(wanted) - LINES or len(read(sink)))
            running.kill()
            running.start()
    running.wait("all in the topic", lambda: same(records(bootstrap, topic), wanted))
    # A sink of files is at least once.
    running.wait("all in the file", lambda: same(list(dict.fromkeys(read(sink))), wanted))
    running.stop()
    assert (found := same(records(bootstrap, topic), wanted)) is True, found


def rest(port, path, body=None):
    """Asks the worker over HTTP, with PUT when there is a body; None when it does not answer yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method="PUT" if body else "GET",
                                     data=json.dumps(body).encode() if body else None,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except (OSError, urllib.error.HTTPError, ValueError):
        return None


@MIRROR.case
def there_and_back(context):
    """Records, configs and a group's offsets go from Apache Kafka to this broker and others back, over a restart."""
    theirs, ours = context.brokers.adopt(ApacheKafka({})).start().bootstrap, context.broker().bootstrap
    out, back, group = context.topic("out"), context.topic("back"), context.topic("group")
    for bootstrap, topic in ((theirs, out), (ours, back)):
        with wire.Connection(bootstrap) as connection:
            session.create_topic(connection, topic, partitions=1, configs={"retention.ms": "123456789"})
    first, second = lines(0, LINES), lines(LINES, LINES)
    for bootstrap, topic in ((theirs, out), (ours, back)):
        produce(bootstrap, topic, first)
    consume_all(theirs, out, group)
    direction = {"enabled": "true", "topics": context.topic(".*"), "groups": group, "sync.group.offsets.enabled": "true"}
    mirror = properties(context.temp() / "mirror.properties", {
        "clusters": "theirs, ours", "theirs.bootstrap.servers": theirs, "ours.bootstrap.servers": ours,
        **{f"{way}.{key}": value for way in ("theirs->ours", "ours->theirs") for key, value in direction.items()},
        "replication.factor": "1", "checkpoints.topic.replication.factor": "1", "heartbeats.topic.replication.factor": "1",
        "offset-syncs.topic.replication.factor": "1", "offset.storage.replication.factor": "1",
        "config.storage.replication.factor": "1", "status.storage.replication.factor": "1",
        "refresh.topics.interval.seconds": "1", "refresh.groups.interval.seconds": "1",
        "emit.checkpoints.interval.seconds": "1", "sync.group.offsets.interval.seconds": "1",
        "sync.topic.configs.interval.seconds": "1", "offset.lag.max": "0"})
    running = Worker(context, "org.apache.kafka.connect.mirror.MirrorMaker", mirror).start()
    copies = ((ours, f"theirs.{out}"), (theirs, f"ours.{back}"))
    for bootstrap, topic in copies:
        running.wait(f"{topic} copied", lambda b=bootstrap, t=topic: same(mirrored(b, t), first))
    running.wait("the group's offset translated", lambda: offset_of(ours, group, f"theirs.{out}") == LINES
                 or offset_of(ours, group, f"theirs.{out}"))
    running.stop()
    for bootstrap, topic in ((theirs, out), (ours, back)):
        produce(bootstrap, topic, second)
    running.start()
    for bootstrap, topic in copies:
        running.wait(f"{topic} copied after the restart", lambda b=bootstrap, t=topic: same(mirrored(b, t), first + second))
    for bootstrap, topic in copies:
        running.wait(f"{topic} with its configs", lambda b=bootstrap, t=topic: retention_of(b, t) == "123456789"
                     or retention_of(b, t))
    running.stop()


def produce(bootstrap, topic, values):
    kcat.kcat("-b", bootstrap, "-P", "-t", topic, "-p", "0", "-z", "lz4", input="".join(f"{v}\n" for v in values).encode())


def mirrored(bootstrap, topic):
    """The values of a mirrored topic, which may not be there yet."""
    with wire.Connection(bootstrap) as connection:
        known = connection.call(schema.METADATA, 5, {"topics": [{"name": topic}], "allow_auto_topic_creation": False})
    return [] if known["topics"][0]["error_code"] else records(bootstrap, topic)


def consume_all(bootstrap, topic, group):
    """A group of kafka-console-consumer reads what was produced and commits."""
    done = subprocess.run(
        [tools.java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
         "-cp", tools.maven(tools.ROOT / "apache-kafka"), "org.apache.kafka.tools.consumer.ConsoleConsumer",
         "--bootstrap-server", bootstrap, "--topic", topic, "--group", group, "--from-beginning",
         "--max-messages", str(LINES), "--timeout-ms", "30000"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90, env=dict(os.environ))
    assert done.returncode == 0 and len(done.stdout.splitlines()) == LINES, done.stderr[-500:]


def offset_of(bootstrap, group, topic):
    """What the group has committed for partition 0."""
    with wire.Connection(bootstrap) as connection:
        return (committed(connection, group, topic, [0]) or {}).get(0)


def retention_of(bootstrap, topic):
    """`retention.ms` of a topic."""
    with wire.Connection(bootstrap) as connection:
        [found] = connection.call(schema.DESCRIBE_CONFIGS, 1, {"include_synonyms": False, "resources": [
            {"resource_type": 2, "resource_name": topic, "configuration_keys": ["retention.ms"]}]})["results"]
    return found["configs"][0]["value"] if found["configs"] else found["error_code"]
