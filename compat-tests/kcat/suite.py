"""A file of real lines goes in with `kcat -P` and comes out with `kcat -C` byte for byte."""

import contextlib
import json
import random
import re
import signal
import subprocess
import time

from harness import kcat, schema, session, tools, wire
from harness.corpus import corpus
from harness.group import group_suite
from harness.suite import CODECS, Skip, Suite

SUITE = Suite("kcat", kcat.version())
REBALANCED = re.compile(r"^% Group \S+ rebalanced \(memberid \S+\): (assigned|revoked): (.*)$")


def member(_story):
    """`kcat -G` as a group member: it commits by itself every 5 s, which kcat has no way to change."""
    def arguments(environment):
        settings = {"session.timeout.ms": environment["MEMBER_SESSION_MS"], "auto.offset.reset": "earliest",
                    "heartbeat.interval.ms": environment["MEMBER_HEARTBEAT_MS"]}
        if environment["MEMBER_INSTANCE"]:
            settings["group.instance.id"] = environment["MEMBER_INSTANCE"]
        return [tools.program("kcat", "kcat"), "-b", environment["MEMBER_BOOTSTRAP"], "-G", environment["MEMBER_GROUP"],
                "-u", "-f", "record %p %o %s\\n", *(word for pair in settings.items() for word in ("-X", "=".join(pair))),
                environment["MEMBER_TOPIC"]]
    return arguments, {}


def in_contract(line):
    """kcat's own words about a rebalance, as a member must say them."""
    if found := REBALANCED.match(line):
        return " ".join([found[1], *re.findall(r"\[(\d+)\]", found[2])])
    return line


# It ends when all brokers are down.
GROUP = group_suite("kcat-group", kcat.version(), member, reconnects=False, autocommits=True,
                    translate=in_contract)
SUITES = [SUITE, GROUP]
STATE = {}


def setup(context):
    """One broker for all cases, restarted in the last one where that is allowed."""
    STATE.clear()
    STATE["broker"] = context.brokers.external or context.own_broker()
    STATE["corpus"] = corpus(context.options.corpus_mib)
    STATE["written"] = []


SUITE.prepare = setup


def round_trip(codec):
    def case(context):
        broker, (path, digest, lines) = STATE["broker"], STATE["corpus"]
        topic = context.topic(codec)
        with wire.Connection(broker.bootstrap) as connection:
            session.create_topic(connection, topic)
            kcat.produce_file(broker.bootstrap, topic, path, codec)
            end = session.offset_for(connection, topic, session.LATEST)[1]
        assert end == lines, f"{lines} lines went in, the log ends at {end}"
        STATE["written"].append(topic)
        compare(topic)
    return case


def compare(topic):
    path, digest, _ = STATE["corpus"]
    found, size = kcat.consume_digest(STATE["broker"].bootstrap, topic)
    assert found == digest, f"{path.stat().st_size} bytes went in, {size} other bytes came out of {topic}"


for codec in CODECS:
    SUITE.cases.append((codec, round_trip(codec)))


@SUITE.case
def first_produce_creates_the_topic(context):
    """Auto-creation: a first produce to a name that does not exist succeeds."""
    broker, topic = STATE["broker"], context.topic("auto-created")
    kcat.kcat("-b", broker.bootstrap, "-P", "-t", topic, input=b"one\ntwo\n")
    with wire.Connection(broker.bootstrap) as connection:
        names = [t["name"] for t in connection.call(schema.METADATA, 5, {"topics": None})["topics"]]
    assert topic in names


@SUITE.case
def keys_headers_and_offsets(context):
    """Key, headers and offset of a record, as kcat's format shows them."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("format")
    kcat.kcat("-b", bootstrap, "-P", "-t", topic, "-K", ":", "-H", "a=1", "-H", "b=2", "-H", "a=3", input=b"k:v\n")
    done = kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-e", "-q", "-f", "%o|%k|%s|%h|%p\n", stdout=-1)
    assert done.stdout == b"0|k|v|a=1,b=2,a=3|0\n", done.stdout


@SUITE.case
def null_and_empty(context):
    """Null and empty keys and values, header values too, and times, through each codec."""
    bootstrap = STATE["broker"].bootstrap
    for codec in CODECS:
        topic, before = context.topic(f"null-{codec}"), int(time.time() * 1000)
        for more in ((), ("-Z",)):
            kcat.kcat("-b", bootstrap, "-P", "-t", topic, "-p", "0", "-z", codec, "-K", ":", "-H", "e=", "-H", "n", *more,
                      input=b"k:\n:v\n")
        after = int(time.time() * 1000)
        done = kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-e", "-q", "-Z", "-f", "%o|%K|%S|%h|%T\n",
                         "-X", "fetch.wait.max.ms=50", stdout=-1)
        *found, times = zip(*(line.split("|") for line in done.stdout.decode().splitlines()))
        assert list(zip(*found)) == [("0", "1", "0", "e=,n=NULL"), ("1", "0", "1", "e=,n=NULL"),
                                     ("2", "1", "-1", "e=,n=NULL"), ("3", "-1", "1", "e=,n=NULL")], found
        assert all(before <= int(one) <= after for one in times), f"{times}, written from {before} to {after}"


@SUITE.case
def large_record(context):
    """A file of 900 KB as one record; one of 1.5 MB is refused by the broker."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("large")
    content = random.Random(topic).randbytes(1_500_000)
    whole, large = context.temp() / "too-large", context.temp() / "large"
    whole.write_bytes(content)
    large.write_bytes(content[:900_000])
    kcat.kcat("-b", bootstrap, "-P", "-t", topic, str(large))
    with expect("Message size too large"):
        kcat.kcat("-b", bootstrap, "-P", "-t", topic, "-X", "message.max.bytes=4000000", str(whole))
    done = kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-e", "-q", "-D", "", stdout=-1)
    assert done.stdout == content[:900_000], f"{len(done.stdout)} bytes came back"


@SUITE.case
def transactions(context):
    """What kcat committed is read; what it was told to leave (SIGINT) only by who reads uncommitted."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("transactions")
    produce = ("-b", bootstrap, "-P", "-t", topic, "-p", "0", "-X", f"transactional.id={topic}", "-m", "30")

    def read(isolation):
        return kcat.kcat("-b", bootstrap, "-C", "-t", topic, "-e", "-q", "-X", f"isolation.level={isolation}",
                         "-X", "fetch.wait.max.ms=50", stdout=-1).stdout
    with wire.Connection(bootstrap) as connection:
        session.create_topic(connection, topic)
    with subprocess.Popen([tools.program("kcat", "kcat"), *produce], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as open_one:
        # It takes its input in pieces; what is behind the last whole one does not leave it.
        open_one.stdin.write(b"aborted\n" * 4096)
        open_one.stdin.flush()
        try:
            deadline = time.monotonic() + 30
            while not read("read_uncommitted"):
                assert time.monotonic() < deadline, "an open transaction is not read uncommitted"
            open_one.send_signal(signal.SIGINT)
            # It sees the signal when it has no more to wait for.
            open_one.stdin.close()
            open_one.wait(30)
        finally:
            open_one.kill()
    kcat.kcat(*produce, input=b"committed\n")
    assert read("read_committed") == b"committed\n", read("read_committed")[:100]
    *aborted, last = read("read_uncommitted").splitlines()
    assert last == b"committed" and set(aborted) == {b"aborted"}, f"{len(aborted)} aborted records, {last}"


@SUITE.case
def topics(context):
    """`kcat -L` lists a topic with its partitions."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("listed")
    with wire.Connection(bootstrap) as connection:
        session.create_topic(connection, topic, partitions=3)
    (found,) = json.loads(kcat.kcat("-b", bootstrap, "-L", "-J", "-t", topic, stdout=-1).stdout)["topics"]
    assert (found["topic"], [one["partition"] for one in found["partitions"]]) == (topic, [0, 1, 2]), found


@SUITE.case
def unknown_topic(context):
    """A topic that no first produce creates."""
    bootstrap = context.strict_bootstrap()
    if not bootstrap:
        raise Skip("needs a second broker with auto.create.topics.enable=false")
    with expect("Unknown topic"):
        kcat.kcat("-b", bootstrap, "-P", "-t", context.topic("unknown"), "-X", "topic.metadata.propagation.max.ms=500", input=b"x\n")


@SUITE.case
def told_versions(context):
    """Told of an old broker it works through its versions; of one whose requests are served no more, it says an error."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("versions")

    def told(version, *arguments, **options):
        return kcat.kcat("-b", bootstrap, "-t", topic, "-X", "api.version.request=false", "-X", f"broker.version.fallback={version}",
                         *arguments, **options)
    for number, version in enumerate(("0.10.0", "2.4.0")):
        told(version, "-P", input=b"a record\n")
        assert told(version, "-C", "-e", "-q", stdout=-1).stdout == b"a record\n" * (number + 1), version
    with expect("brokers are down"):
        told("0.9.0", "-P", "-X", "message.timeout.ms=2000", input=b"a record\n")


@contextlib.contextmanager
def expect(words):
    """Demands that kcat ends with an error that has these words."""
    try:
        yield
    except RuntimeError as error:
        assert words in str(error), error
        return
    raise AssertionError(f"it ended well, expected was: {words}")


@SUITE.case
def offsets_by_timestamp(context):
    """`kcat -Q` (ListOffsets) for the earliest, the latest and a time in the future."""
    bootstrap, topic = STATE["broker"].bootstrap, context.topic("query")
    kcat.kcat("-b", bootstrap, "-P", "-t", topic, input=b"a\nb\nc\n")
    for timestamp, offset in [("-2", 0), ("-1", 3), ("0", 0), ("9999999999999", 3)]:
        done = kcat.kcat("-b", bootstrap, "-Q", "-t", f"{topic}:0:{timestamp}", stdout=-1)
        found = done.stdout.decode().split("offset ")[1].strip()
        expected = "-1" if timestamp == "9999999999999" and found == "-1" else str(offset)
        assert found == expected, f"at {timestamp}: {done.stdout}"


@SUITE.case
def identical_after_restart(context):
    """Every codec's topic again after a clean restart of the broker."""
    if context.brokers.external:
        raise Skip("needs a broker that this run may restart")
    STATE["broker"].restart()
    assert STATE["written"], "nothing was written before"
    for topic in STATE["written"]:
        compare(topic)
