"""Apache Kafka's kafka-consumer-groups prints against our broker what it prints against Apache Kafka.

Both brokers get the same topics and groups: one with a classic member, one with a member of the consumer
protocol, one with a static member, and empty ones. Each case runs a list of command lines on both and
compares the output, without ports, random ids and the order of lines.
"""

import datetime
import re
import subprocess
import time
from pathlib import Path

from harness import schema, session, tools, wire
from harness.batch import batch
from harness.broker import ApacheKafka
from harness.group import wait_until
from harness.member import Member
from harness.suite import Suite
from harness.traffic import committed

HERE = Path(__file__).resolve().parent
SUITE = Suite("consumer-groups", "kafka-consumer-groups 4.1.2")
SUITES = [SUITE]
# Records of partition 0, 1, 2 of the first topic; the second has one partition.
COUNTS, SECOND_COUNT = (20, 10, 0), 5
MINUTE_MS = 60_000
# The oldest record is so old, and each younger than the one before by this much.
OLDEST_MS, STEP_MS = 245 * MINUTE_MS, 10 * MINUTE_MS
SESSION = {"MEMBER_SESSION_MS": "45000", "MEMBER_HEARTBEAT_MS": "1000"}
LIVE = {"classic": ("classic", ""), "modern": ("consumer", ""), "static": ("classic", "one")}
STATE = {}


class Side:
    """A broker with its topics and groups, and the tool in a JVM of its own."""

    def __init__(self, broker, names, now_ms):
        self.broker, self.names = broker, names
        self.members, self.tool = [], None
        with wire.Connection(broker.bootstrap, timeout=60) as connection:
            self.produce(connection, now_ms)
            for group in ("empty", "exported", "other"):
                self.commit(connection, group)
            for group, (protocol, instance) in LIVE.items():
                self.join(group, protocol, instance)
            wait_until("the members have read and committed everything", lambda: all(
                committed(connection, names[group], names["t"], range(2)) == {0: COUNTS[0], 1: COUNTS[1]}
                for group in LIVE))
        class_path = tools.javac(HERE / "Commands.java", tools.ROOT / "apache-kafka")
        self.tool = subprocess.Popen(
            [tools.java(), "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", class_path, "Commands"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def produce(self, connection, now_ms):
        session.create_topic(connection, self.names["t"], partitions=len(COUNTS))
        session.create_topic(connection, self.names["u"])
        places = [("t", partition, count) for partition, count in enumerate(COUNTS)] + [("u", 0, SECOND_COUNT)]
        for topic, partition, count in places:
            for index in range(count):
                records = batch([b"x"], timestamp=now_ms - OLDEST_MS + index * STEP_MS)
                body = session.produce_body(self.names[topic], records, partition=partition)
                answer = connection.call(schema.PRODUCE, 7, body)["topics"][0]["partitions"][0]
                session.ok("Produce", answer["error_code"])

    def commit(self, connection, group):
        """Offsets of a group without members; asked again until the coordinator is there."""
        session.find_coordinator(connection, self.names[group])
        body = {"group_id": self.names[group], "generation_id_or_member_epoch": -1, "topics": [
            {"name": self.names["t"], "partitions": [
                {"partition_index": i, "committed_offset": offset, "committed_leader_epoch": -1,
                 "committed_metadata": ""} for i, offset in enumerate((4, 10, 0))]},
            {"name": self.names["u"], "partitions": [
                {"partition_index": 0, "committed_offset": 1, "committed_leader_epoch": -1, "committed_metadata": ""}]}]}
        wait_until("the offsets are committed", lambda: not any(
            partition["error_code"] for topic in connection.call(schema.OFFSET_COMMIT, 7, body)["topics"]
            for partition in topic["partitions"]))

    def join(self, group, protocol, instance):
        class_path = tools.javac(tools.ROOT / "java/Member.java", tools.ROOT / "apache-kafka")
        environment = {"MEMBER_BOOTSTRAP": self.broker.bootstrap, "MEMBER_TOPIC": self.names["t"], **SESSION,
                       "MEMBER_GROUP": self.names[group], "MEMBER_PROTOCOL": protocol, "MEMBER_INSTANCE": instance}
        self.members.append(Member(group, [
            tools.java(), "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", class_path, "Member"], environment, lambda *_: None))

    def run(self, words):
        """What the tool prints for a command line, and its exit code."""
        self.tool.stdin.write("\t".join(["--bootstrap-server", self.broker.bootstrap, *words]) + "\n")
        self.tool.stdin.flush()
        text = ""
        while True:
            line = self.tool.stdout.readline()
            assert line, f"the tool ended at {words}: {text[-500:]}"
            if line.startswith("\0"):
                return text, int(line[1:])
            text += line

    def close(self):
        for member in self.members:
            member.kill()
        if self.tool:
            self.tool.kill()
            self.tool.wait()
            self.tool.stdin.close()
            self.tool.stdout.close()


def setup(context):
    now_ms = int(time.time() * 1000)
    names = {name: context.topic(name) for name in ("t", "u", "empty", "exported", "other", "fresh", "gone", *LIVE)}
    STATE.clear()
    STATE.update(names=names, now_ms=now_ms, sides=[])
    context.on_close(lambda: [side.close() for side in STATE["sides"]])
    for broker in (context.own_broker(), context.brokers.adopt(ApacheKafka({})).start()):
        STATE["sides"].append(Side(broker, names, now_ms))


SUITE.prepare = setup


def normal(text):
    """Output without what may differ: ports, random ids, widths of columns, the order of lines."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", text)
    # The consumer protocol's member ids are base64 of 16 bytes.
    text = re.sub(r"(?<![\w-])[\w-]{22}(?![\w-])", "UUID", text)
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


def same(context, *lines):
    """Runs each command line (names in braces) on both brokers and compares."""
    differing = []
    for line in lines:
        words = line.format(**STATE["names"]).split()
        (ours, our_code), (theirs, their_code) = (side.run(words) for side in STATE["sides"])
        context.note(f"$ {' '.join(words)}\n{ours}")
        if (normal(ours), our_code) != (normal(theirs), their_code):
            differing.append(line)
            context.note(f"Apache Kafka (exit {their_code}, ours {our_code}):\n{theirs}")
    assert not differing, f"{len(differing)} of {len(lines)} outputs differ: {'; '.join(differing[:4])}"


@SUITE.case
def list_groups(context):
    """Names, states, types, and filters by both."""
    same(context, "--list", "--list --state", "--list --state Stable", "--list --state Empty,Dead",
         "--list --type", "--list --type classic", "--list --type consumer",
         "--list --type consumer --state stable")


@SUITE.case
def describe(context):
    """Offsets, members, state, each verbose too, of every kind of group, of all, and of none."""
    for group in ("{classic}", "{modern}", "{static}", "{empty}", "no-such-group"):
        same(context, *(f"--describe --group {group}{what}{verbose}" for what in (" --offsets", " --members", " --state")
                        for verbose in ("", " --verbose")))
    same(context, "--describe --all-groups", "--describe --all-groups --members --verbose",
         "--describe --all-groups --state", "--describe --group {classic} --group {empty}")


def times():
    """A time between two records, as the tool wants it."""
    at = datetime.datetime.fromtimestamp((STATE["now_ms"] - OLDEST_MS + 5 * STEP_MS + MINUTE_MS) / 1000, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000")


@SUITE.case
def reset_offsets(context):
    """Every mode, first dry, then executed, and what describe says after it."""
    modes = ["--to-earliest", "--to-latest", "--to-offset 3", "--to-offset 1000", "--shift-by 2", "--shift-by -3",
             "--shift-by 1000", "--by-duration PT2H", "--by-duration P30D", f"--to-datetime {times()}", "--to-current"]
    for mode in modes:
        reset = f"--reset-offsets --group {{empty}} {mode}"
        same(context, f"{reset} --topic {{t}} --dry-run", f"{reset} --all-topics --execute",
             "--describe --group {empty}")
    same(context, "--reset-offsets --group {empty} --topic {t}:0,2 --to-earliest --execute",
         "--describe --group {empty} --offsets --verbose",
         "--reset-offsets --group {fresh} --topic {t} --to-offset 2 --execute", "--describe --group {fresh}",
         "--describe --group {fresh} --state",
         "--reset-offsets --group {empty} --group {other} --topic {t} --to-latest --execute",
         "--reset-offsets --all-groups --topic {u} --to-earliest --dry-run")


@SUITE.case
def reset_offsets_from_file(context):
    """What --export prints is what --from-file reads."""
    same(context, "--reset-offsets --group {exported} --all-topics --to-current --export --dry-run")
    for side in STATE["sides"]:
        text, code = side.run(f"--reset-offsets --group {STATE['names']['exported']} --all-topics --shift-by 1 --export "
                              "--dry-run".split())
        rows = [row for row in text.splitlines() if row.count(",") >= 2]
        assert code == 0 and len(rows) == 4, text
    file = context.temp() / "offsets.csv"
    file.write_text("\n".join(rows) + "\n")
    same(context, f"--reset-offsets --group {{exported}} --from-file {file} --dry-run",
         f"--reset-offsets --group {{exported}} --from-file {file} --execute", "--describe --group {exported}")
    file.write_text(f"{STATE['names']['t']},1\n")
    same(context, f"--reset-offsets --group {{exported}} --from-file {file} --dry-run")


@SUITE.case
def reset_offsets_refused(context):
    """A group with members of either protocol, and no mode."""
    same(context, "--reset-offsets --group {classic} --topic {t} --to-earliest --execute",
         "--reset-offsets --group {modern} --topic {t} --to-earliest --execute",
         "--describe --group {modern}",
         "--reset-offsets --group {empty} --topic {t} --dry-run")


@SUITE.case
def delete_offsets(context):
    """Of a topic and of one partition; refused while a member is subscribed, and for what is not there."""
    same(context, "--delete-offsets --group {other} --topic {t}:1", "--describe --group {other}",
         "--delete-offsets --group {other} --topic {t}", "--describe --group {other}",
         "--delete-offsets --group {classic} --topic {t}", "--delete-offsets --group {modern} --topic {t}",
         "--delete-offsets --group {other} --topic {t}:9", "--delete-offsets --group no-such-group --topic {t}",
         "--describe --group {classic}")


@SUITE.case
def delete(context):
    """Empty groups go, groups with members stay, an unknown one is an error."""
    same(context, "--delete --group {empty}", "--delete --group {classic}", "--delete --group {modern}",
         "--delete --group {gone}", "--delete --group {other} --group {static}", "--list --state")


@SUITE.case
def after_the_members(context):
    """The members have left: their groups are empty, keep their offsets, and can be deleted."""
    for side in STATE["sides"]:
        for member in side.members:
            if member.name != "static":
                member.leave()
    same(context, "--list --state", "--describe --group {classic}", "--describe --group {modern}",
         "--describe --group {modern} --state", "--reset-offsets --group {modern} --topic {t} --to-earliest --execute",
         "--describe --group {modern}", "--delete --group {classic} --group {modern}", "--list --state")
