"""A data directory goes to Apache Kafka and comes back, twice round: everything in it stays what it was.

One broker writes, stops cleanly, and the other opens the same directory: every record, offset, timestamp,
config, topic id and the state of an idempotent producer must be there; then that one writes, and so on.
Groups of both protocols live through all turns: in each, a member reads exactly what is new since its
group's last commit, under the other broker.
"""

import hashlib
import subprocess
import time
from dataclasses import dataclass

from harness import kcat, schema, session, tools, wire
from harness.batch import batch
from harness.broker import ApacheKafka
from harness.corpus import corpus
from harness.group import wait_until
from harness.ledger import Ledger, value_of
from harness.member import Member
from harness.suite import CODECS, Skip, Suite
from harness.traffic import committed

SUITE = Suite("directory-exchange", "Apache Kafka 4.1.2", quick=False)
SUITES = [SUITE]
TOPIC_CONFIGS = {"segment.bytes": "1048576", "retention.ms": "-1"}
DYNAMIC_TOPIC_CONFIG = 1
# UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH.
NOT_YET = (3, 5, 6, 74)


@dataclass
class Producer:
    """An idempotent producer that lives longer than each broker."""

    topic: str
    identity: tuple
    sequence: int = 0

    def send(self, connection, sequence):
        """The offset of a batch with this sequence."""
        answer = session.produce(connection, self.topic, batch(
            [b"%d" % sequence], timestamp=int(time.time() * 1000), producer=(*self.identity, sequence)))
        session.ok(f"Produce with sequence {sequence}", answer["error_code"])
        return answer["base_offset"]


class Group:
    """A group that lives longer than each broker, on a topic of its own."""

    PARTITIONS, RECORDS_A_TURN = 3, 7

    def __init__(self, name, protocol, instance=""):
        self.name, self.protocol, self.instance = name, protocol, instance
        self.ledger = Ledger(self.PARTITIONS)

    def turn(self, context, connection, bootstrap, number):
        """More records, and a member that reads exactly these."""
        if number == 0:
            session.create_topic(connection, self.name, partitions=self.PARTITIONS)
        session.find_coordinator(connection, self.name)
        known = dict(self.ledger.committed)
        wait_until(f"{self.name} has its offsets in turn {number}", lambda: committed(
            connection, self.name, self.name, range(self.PARTITIONS)) == (known if number else dict.fromkeys(known, -1)))
        for partition, first in self.ledger.produced.items():
            values = [value_of(partition, first + i).encode() for i in range(self.RECORDS_A_TURN)]
            body = session.produce_body(self.name, batch(values, timestamp=int(time.time() * 1000)), partition=partition)
            answer = connection.call(schema.PRODUCE, 7, body)["topics"][0]["partitions"][0]
            session.ok("Produce", answer["error_code"])
            self.ledger.produced[partition] += self.RECORDS_A_TURN
        member = self.member(context, bootstrap)
        try:
            wait_until(f"{self.name} has read turn {number}", lambda: self.settled(connection, member))
            member.leave()
        finally:
            member.kill()
        self.ledger.gone("member")
        assert not self.ledger.faults, f"{self.name}, turn {number}: {self.ledger.faults[:3]}"

    def member(self, context, bootstrap):
        folder = tools.ROOT / "confluent-kafka"

        def hear(member, line):
            if not self.ledger.member_line(member, line.split()):
                context.note(f"{self.name}: {line}")
        return Member("member", [tools.python(folder), folder / "member.py"], {
            "MEMBER_BOOTSTRAP": bootstrap, "MEMBER_TOPIC": self.name, "MEMBER_GROUP": self.name,
            "MEMBER_PROTOCOL": self.protocol, "MEMBER_INSTANCE": self.instance,
            "MEMBER_SESSION_MS": "45000", "MEMBER_HEARTBEAT_MS": "1000"}, hear)

    def settled(self, connection, member):
        assert member.running(), f"{self.name}: the member ended by itself"
        offsets = committed(connection, self.name, self.name, range(self.PARTITIONS))
        member.hear_all()
        if offsets is not None:
            self.ledger.committed_now(offsets)
        return self.ledger.settled()


def inventory(connection, bootstrap):
    """All that must survive, topic by topic."""
    found = {}
    for topic in connection.call(schema.METADATA, 12, {"topics": None})["topics"]:
        name = topic["name"]
        if topic["is_internal"]:
            continue
        described = connection.call(schema.DESCRIBE_CONFIGS, 1, {"resources": [
            {"resource_type": 2, "resource_name": name, "configuration_keys": None}]})["results"][0]
        session.ok(f"DescribeConfigs {name}", described["error_code"])
        found[name] = {
            "id": topic["topic_id"].hex(),
            "partitions": len(topic["partitions"]),
            "configs": {c["name"]: c["value"] for c in described["configs"] if c["config_source"] == DYNAMIC_TOPIC_CONFIG},
            "ends": [settled_offset(connection, name, at) for at in (session.EARLIEST, session.LATEST, 0)],
            "records": records(bootstrap, name),
        }
    return found


def settled_offset(connection, topic, at):
    """ListOffsets, again while a starting broker is not yet the leader (Apache Kafka answers before it is)."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return session.offset_for(connection, topic, at)
        except session.KafkaError as error:
            if error.code not in NOT_YET or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def records(bootstrap, topic):
    """A digest of offset, timestamp, key, value and headers of every record of every partition."""
    done = kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                     "-f", "%p %o %T %K %k %S %s %h\\n", stdout=-1)
    return hashlib.sha256(b"\n".join(sorted(done.stdout.split(b"\n")))).hexdigest()


def write(context, connection, bootstrap, turn, producer):
    """New topics, more records in old ones, a deleted topic, more of the idempotent producer."""
    path, _, _ = corpus(4)
    for codec in CODECS:
        topic = context.topic(codec)
        if turn == 0:
            session.create_topic(connection, topic, configs=TOPIC_CONFIGS)
        kcat.produce_file(bootstrap, topic, path, codec)
    fresh = context.topic(f"turn-{turn}")
    session.create_topic(connection, fresh, partitions=3)
    kcat.kcat("-b", bootstrap, "-P", "-t", fresh, "-K", ":", "-H", "turn=1", input=b"a:1\nb:2\nc:3\nd:\n")
    gone = context.topic(f"gone-{turn}")
    session.create_topic(connection, gone)
    connection.call(schema.DELETE_TOPICS, 1, {"topic_names": [gone], "timeout_ms": 10000})
    for _ in range(3):
        producer.send(connection, producer.sequence)
        producer.sequence += 1


def check_producer(connection, producer, known_ids):
    """The last batch again is a duplicate with its old offset; a gap is refused; new ids are new."""
    last = producer.sequence - 1
    assert producer.send(connection, last) == last, "a duplicate was appended"
    try:
        producer.send(connection, last + 5)
    except session.KafkaError as error:
        assert error.code == 45, error
    else:
        raise AssertionError("a gap in the sequence was accepted: the producer's state is lost")
    fresh, _ = session.init_producer_id(connection, 4)
    assert fresh not in known_ids, f"producer id {fresh} was given out before"
    known_ids.add(fresh)


def exchange(context, first, second):
    """Five turns on one directory: first, second, first, second, first."""
    second.data = first.data
    ours = second if isinstance(first, ApacheKafka) else first
    producer, before, known_ids = None, None, set()
    groups = [Group(context.topic("classic"), "classic"), Group(context.topic("static"), "classic", "one"),
              Group(context.topic("modern"), "consumer")]
    for turn in range(5):
        broker = (first, second)[turn % 2].start()
        try:
            with wire.Connection(broker.bootstrap, timeout=60) as connection:
                if producer is None:
                    topic = context.topic("producer")
                    session.create_topic(connection, topic)
                    producer = Producer(topic, session.init_producer_id(connection, 4))
                    known_ids.add(producer.identity[0])
                else:
                    compare(before, inventory(connection, broker.bootstrap), f"turn {turn}, {broker.name}")
                    check_producer(connection, producer, known_ids)
                for group in groups:
                    group.turn(context, connection, broker.bootstrap, turn)
                write(context, connection, broker.bootstrap, turn, producer)
                before = inventory(connection, broker.bootstrap)
        except Exception:
            context.note(broker.tail())
            raise
        broker.stop()
        verify(ours, f"turn {turn}, {broker.name}")


def verify(ours, where):
    """Nothing in the directory is wrong by `ottla log verify`, whoever wrote it."""
    checked = subprocess.run([ours.binary, "log", "verify", ours.data], capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and ": 0 errors, " in checked.stdout, f"{where}: {checked.stdout[-500:]}"


def both(context):
    """Our broker and Apache Kafka, neither started."""
    if context.brokers.external:
        raise Skip("needs a broker that this run may stop and whose files it can see")
    return context.brokers.adopt(context.brokers.make({})), context.brokers.adopt(ApacheKafka({}))


@SUITE.case
def ours_first(context):
    """The directory is formatted by our broker."""
    ours, theirs = both(context)
    exchange(context, ours, theirs)


@SUITE.case
def apache_kafka_first(context):
    """The directory is formatted by Apache Kafka."""
    ours, theirs = both(context)
    context.prefix += "-k"
    exchange(context, theirs, ours)


def compare(before, after, where):
    assert before.keys() == after.keys(), f"{where}: topics {sorted(before.keys() ^ after.keys())} came or went"
    for topic, wanted in before.items():
        for what, value in wanted.items():
            assert after[topic][what] == value, f"{where}: {what} of {topic}: {after[topic][what]}, was {value}"
