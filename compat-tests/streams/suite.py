"""Kafka Streams with `exactly_once_v2`: its instances and the broker are killed, its output is what arithmetic says."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from harness import batch, kcat, schema, session, tools, wire
from harness.suite import Suite
from harness.traffic import NO_LEADER_YET

HERE = Path(__file__).resolve().parent
PARTITIONS = 2
WAIT_S = 120
# Records of input a round.
LINES = 1500
READ_UNCOMMITTED, READ_COMMITTED = 0, 1


class TooLate(Exception):
    """What was waited for did not come."""


class Application:
    """A Kafka Streams application of one or more instances, each a JVM with a state directory of its own."""

    def __init__(self, context, library, topology, bootstrap, prefix):
        self.folder = context.temp() / prefix
        self.folder.mkdir()
        # RocksDB unpacks its library there, 15 MB, which an instance that is killed does not remove.
        self.command = [tools.java(), f"-Djava.io.tmpdir={self.folder}", "-Xmx160m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                        "-cp", tools.javac(HERE / "Streams.java", library), "Streams", topology]
        self.environment = {**os.environ, "STREAMS_BOOTSTRAP": bootstrap, "STREAMS_PREFIX": prefix}
        self.log = self.folder / "output"
        self.instances = {}
        context.on_close(self.close)

    def start(self, number):
        state = self.folder / f"state-{number}"
        with open(self.log, "ab") as log:
            self.instances[number] = subprocess.Popen(self.command, env={**self.environment, "STREAMS_STATE": str(state)},
                                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, number):
        """kill -9."""
        self.instances[number].kill()
        self.instances[number].wait()

    def check_running(self):
        for number, process in self.instances.items():
            assert process.poll() is None, f"instance {number} exited with {process.returncode}"

    def stop(self):
        for process in self.instances.values():
            process.send_signal(signal.SIGTERM)
        for process in self.instances.values():
            assert process.wait(60) == 143, f"an instance exited with {process.returncode} after SIGTERM"

    def close(self):
        for process in self.instances.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


class Model:
    """What goes in, and what must come out."""

    def __init__(self):
        self.timestamp = int(time.time() * 1000)


class WordCount(Model):
    """Each occurrence of a word is counted once, so (word, 1) ... (word, n) come out, in this order."""

    name = "word-count"
    inputs = ["input"]

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def records(self, rng):
        lines = [[f"word{min(int(rng.paretovariate(0.5)), 200)}" for _ in range(5)] for _ in range(LINES)]
        for line in lines:
            self.counts.update(line)
        return {"input": [(None, " ".join(line)) for line in lines]}

    def expected_count(self):
        return self.counts.total()

    def check(self, rows):
        found = collections.defaultdict(list)
        for word, count in rows:
            found[word].append(int(count))
        assert found.keys() == self.counts.keys(), f"words differ: {set(found) ^ set(self.counts)}"
        for word, counts in found.items():
            wanted = list(range(1, self.counts[word] + 1))
            place = next((at for at, pair in enumerate(zip(counts, wanted)) if pair[0] != pair[1]), len(wanted))
            assert counts == wanted, f"{word}: {len(counts)} of {len(wanted)}, first difference {counts[place:place + 4]} at {place}"


class Join(Model):
    """Every pair of the two inputs with one key comes out exactly once."""

    name = "join"
    inputs = ["input", "right"]

    def __init__(self):
        super().__init__()
        self.left, self.right = collections.defaultdict(list), collections.defaultdict(list)
        self.number = 0

    def records(self, rng):
        produced = {"input": [], "right": []}
        for _ in range(LINES):
            self.number += 1
            key = f"key{rng.randrange(300)}"
            if rng.random() < 0.5:
                self.left[key].append(f"l{self.number}")
                produced["input"].append((None, f"{key}:l{self.number}"))
            else:
                self.right[key].append(f"r{self.number}")
                produced["right"].append((key, f"r{self.number}"))
        return produced

    def pairs(self):
        return {(key, f"{one}+{other}") for key, left in self.left.items() for one in left for other in self.right[key]}

    def expected_count(self):
        return sum(len(left) * len(self.right[key]) for key, left in self.left.items())

    def check(self, rows):
        twice = [row for row, count in collections.Counter(rows).items() if count > 1]
        assert not twice, f"{len(twice)} pairs came out twice: {twice[:3]}"
        lost, wrong = self.pairs() - set(rows), set(rows) - self.pairs()
        assert not lost and not wrong, f"{len(lost)} pairs lost, {len(wrong)} invented: {[*lost, *wrong][:3]}"


def murmur2(data):
    """The hash of Java's default partitioner: both sides of a join must agree on a key's partition."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at:at + 4], "little") * multiplier & mask
        value = value * multiplier & mask ^ ((word ^ word >> 24) * multiplier & mask)
    if len(data) > whole:
        value = (value ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return (value ^ value >> 15) & 0x7FFFFFFF


def feed(broker, prefix, model, rng):
    """Appends a round of input, one batch a partition, while nothing is killed: the input is known exactly."""
    with wire.Connection(broker.bootstrap) as connection:
        for topic, rows in model.records(rng).items():
            places = [[] for _ in range(PARTITIONS)]
            for key, value in rows:
                place = rng.randrange(PARTITIONS) if key is None else murmur2(key.encode()) % PARTITIONS
                places[place].append((key and key.encode(), value.encode()))
            for partition, records in enumerate(places):
                body = session.produce_body(f"{prefix}-{topic}", one_batch(records, model), partition=partition)
                while (code := produce(connection, body)) in NO_LEADER_YET:
                    time.sleep(0.05)
                session.ok("Produce", code)


def produce(connection, body):
    """The error code for the one partition."""
    return connection.call(schema.PRODUCE, 7, body)["topics"][0]["partitions"][0]["error_code"]


def one_batch(records, model):
    """A batch whose records have each a timestamp of its own.

    The window stores of a restarted join would overwrite records of one key and one time, on any broker.
    """
    data = b"".join(batch.record(value, key, at, at) for at, (key, value) in enumerate(records))
    timestamp = model.timestamp
    model.timestamp += len(records)
    return batch.batch([], timestamp, records=data, count=len(records), last_offset_delta=len(records) - 1)


def end(connection, topic, isolation):
    """How far readers can see, over all partitions."""
    answer = connection.call(schema.LIST_OFFSETS, 2, {"replica_id": -1, "isolation_level": isolation, "topics": [
        {"name": topic, "partitions": [{"index": index, "timestamp": session.LATEST} for index in range(PARTITIONS)]}]})
    return sum(max(found["offset"], 0) for found in answer["topics"][0]["partitions"])


def read(broker, topic, isolation="read_committed"):
    """Every (key, value), each partition in its order."""
    done = kcat.kcat("-b", broker.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k %s\\n",
                     "-X", f"isolation.level={isolation}", stdout=subprocess.PIPE)
    return [tuple(line.split(" ")) for line in done.stdout.decode().splitlines()]


def until(condition, application, what, seconds=WAIT_S):
    """Waits for the condition while the instances run."""
    deadline = time.monotonic() + seconds
    while not condition():
        application.check_running()
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not in {seconds} s")
        time.sleep(0.005)


def progress(broker, application, topic, records):
    """Waits until so many more offsets of the output are readable, and then for a transaction in its middle."""
    with wire.Connection(broker.bootstrap) as connection:
        wanted = end(connection, topic, READ_COMMITTED) + records
        until(lambda: end(connection, topic, READ_COMMITTED) >= wanted, application, f"{records} records more in {topic}")
        # The round's input may be used up before one is seen: the kill is then between two.
        with contextlib.suppress(TooLate):
            until(lambda: end(connection, topic, READ_COMMITTED) < end(connection, topic, READ_UNCOMMITTED),
                  application, "an open transaction", seconds=2)


def complete(broker, topic, model):
    """Whether as many records can be read as there will be; asks no more often than need be."""
    time.sleep(0.2)
    return len(read(broker, topic)) >= model.expected_count()


def survive(context, library, model):
    """Kills instances and the broker in the middle of transactions, round by round, then compares."""
    full = context.options.full
    seed = random.randrange(1 << 32)
    context.note(f"seed {seed}")
    rng = random.Random(seed)
    broker = context.own_broker({"group.min.session.timeout.ms": "1000"})
    prefix = context.topic(model.name)
    output = f"{prefix}-output"
    with wire.Connection(broker.bootstrap) as connection:
        for topic in [*model.inputs, "output"]:
            session.create_topic(connection, f"{prefix}-{topic}", PARTITIONS)
    application = Application(context, library, model.name, broker.bootstrap, prefix)
    instances = 2 if full else 1
    try:
        for number in range(instances):
            application.start(number)
        rounds, broker_every = (16, 4) if full else (2, 2)
        for turn in range(rounds):
            feed(broker, prefix, model, rng)
            progress(broker, application, output, rng.randrange(1, 1000))
            if turn % broker_every == broker_every - 1:
                broker.kill()
                broker.start()
                feed(broker, prefix, model, rng)
                progress(broker, application, output, rng.randrange(1, 1000))
            victim = rng.randrange(instances)
            application.kill(victim)
            application.start(victim)
        with contextlib.suppress(TooLate):
            until(lambda: complete(broker, output, model), application, "the whole output")
        application.stop()
        rows = read(broker, output)
        model.check(rows)
        context.note(f"{len(rows)} records, {len(read(broker, output, 'read_uncommitted')) - len(rows)} more in aborted transactions")
    finally:
        context.note(application.tail())


def suite(name, version, library, quick):
    found = Suite(name, version, quick=quick)
    for model in (WordCount, Join):
        found.cases.append((model.name, lambda context, model=model: survive(context, library, model())))
    return found


SUITES = [
    suite("streams", "kafka-streams 4.1.2", HERE, True),
    # Its clients know transactions of version 1 only.
    suite("streams-3.9", "kafka-streams 3.9.1", tools.ROOT / "streams-3.9", False),
]
