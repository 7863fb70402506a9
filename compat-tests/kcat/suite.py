"""A file of real lines goes in with `kcat -P` and comes out with `kcat -C` byte for byte."""

from harness import kcat, schema, session, wire
from harness.corpus import corpus
from harness.suite import CODECS, Skip, Suite

SUITE = Suite("kcat", kcat.version())
SUITES = [SUITE]
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
