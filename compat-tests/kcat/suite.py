"""A file of real lines goes in with `kcat -P` and comes out with `kcat -C` byte for byte."""

import re

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
