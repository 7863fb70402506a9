"""Apache Kafka's own performance and verification programs; what they report is compared with what the log holds."""

import json
import random
import subprocess
import time

from harness import kcat, schema, session, tools, wire
from harness.suite import Suite

SUITE = Suite("kafka-tools", "kafka-tools 4.1.2")
SUITES = [SUITE]
# The key of DescribeAcls.
DESCRIBE_ACLS = 29
COUNT, SIZE = 50_000, 500
# Records that the copier copies, and after how many of them it is killed each time.
COPIED, KILLS = 6_000, (1_000, 2_500)


def command(name, *arguments):
    """The command line of a tool."""
    return [tools.java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", tools.maven(tools.ROOT / "apache-kafka"),
            f"org.apache.kafka.tools.{name}", *map(str, arguments)]


def tool(name, *arguments):
    """Runs a tool to its end; its output."""
    done = subprocess.run(command(name, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=180)
    assert done.returncode == 0, f"{name} exited with {done.returncode}: {done.stdout[-300:]} {done.stderr[-600:]}"
    assert "ERROR" not in done.stderr, done.stderr[-600:]
    return done.stdout


def topic_of(context, name, partitions=1):
    """A new topic."""
    topic = context.topic(name)
    with wire.Connection(context.broker().bootstrap) as connection:
        session.create_topic(connection, topic, partitions=partitions)
    return topic


def end_of(context, topic):
    """The end of the log of partition 0."""
    with wire.Connection(context.broker().bootstrap) as connection:
        return session.offset_for(connection, topic, session.LATEST)[1]


def produce_performance(context, topic, *more):
    """The last line of ProducerPerformance."""
    found = tool("ProducerPerformance", "--topic", topic, "--num-records", COUNT, "--record-size", SIZE,
                 "--throughput", -1, *more, "--producer-props", f"bootstrap.servers={context.broker().bootstrap}",
                 "acks=all", "compression.type=lz4")
    return found.strip().splitlines()[-1]


@SUITE.case
def producer_performance(context):
    """ProducerPerformance with acks=all: as many records are in the log as it says it sent."""
    topic = topic_of(context, "produced")
    assert (found := produce_performance(context, topic)).startswith(f"{COUNT} records sent"), found
    assert end_of(context, topic) == COUNT


@SUITE.case
def producer_performance_in_transactions(context):
    """ProducerPerformance commits every 200 ms: the log holds the records and a marker a commit."""
    topic = topic_of(context, "produced-in-transactions")
    found = produce_performance(context, topic, "--transaction-duration-ms", 200, "--transactional-id", topic)
    assert found.startswith(f"{COUNT} records sent"), found
    assert end_of(context, topic) > COUNT
    assert len(values(context, topic)) == COUNT


@SUITE.case
def consumer_performance(context):
    """ConsumerPerformance reads what ProducerPerformance wrote, all records and all bytes, once."""
    topic = topic_of(context, "consumed", partitions=3)
    produce_performance(context, topic)
    found = tool("ConsumerPerformance", "--bootstrap-server", context.broker().bootstrap, "--topic", topic,
                 "--messages", COUNT, "--timeout", 20_000)
    head, figures = ([word.strip() for word in line.split(",")] for line in found.strip().splitlines()[-2:])
    read = dict(zip(head, figures))
    assert int(read["data.consumed.in.nMsg"]) == COUNT, found
    assert round(float(read["data.consumed.in.MB"]) * (1 << 20)) // (1 << 10) == COUNT * SIZE // (1 << 10), found


@SUITE.case
def end_to_end_latency(context):
    """EndToEndLatency compares each record that it reads with the one that it has just sent."""
    topic = topic_of(context, "latency")
    found = tool("EndToEndLatency", context.broker().bootstrap, topic, 2_000, "all", 100)
    assert "Avg latency" in found and "Percentiles" in found, found
    assert end_of(context, topic) == 2_000


@SUITE.case
def client_compatibility(context):
    """ClientCompatibilityTest: every feature is there; ACLs exactly if ApiVersions announces them."""
    topic = topic_of(context, "compatibility")
    with wire.Connection(context.broker().bootstrap) as connection:
        keys = {api["api_key"] for api in connection.call(schema.API_VERSIONS, 2, {})["api_keys"]}
    yes = "True"
    tool("ClientCompatibilityTest", "--bootstrap-server", context.broker().bootstrap, "--topic", topic,
         "--num-cluster-nodes", "1", "--offsets-for-times-supported", yes, "--cluster-id-supported", yes,
         "--expect-record-too-large-exception", "False", "--create-topics-supported", yes,
         "--describe-configs-supported", yes, "--idempotent-producer-supported", yes,
         "--describe-acls-supported", str(DESCRIBE_ACLS in keys))


def verifiable(protocol):
    """VerifiableProducer, then two VerifiableConsumers of one group one after the other."""
    def case(context):
        bootstrap, topic = context.broker().bootstrap, topic_of(context, f"verifiable-{protocol}", partitions=2)
        sent = lines(tool("VerifiableProducer", "--bootstrap-server", bootstrap, "--topic", topic,
                          "--max-messages", 4_000, "--acks", -1))
        acked = {(line["partition"], line["offset"]): line["value"]
                 for line in sent if line["name"] == "producer_send_success"}
        assert len(acked) == 4_000 and not any(line["name"] == "producer_send_error" for line in sent)
        read = []
        for most in (1_500, 2_500):
            said = lines(tool("VerifiableConsumer", "--bootstrap-server", bootstrap, "--topic", topic, "--group-id",
                              topic, "--group-protocol", protocol, "--max-messages", most, "--verbose"))
            read += [line for line in said if line["name"] == "record_data"]
            commits = [line for line in said if line["name"] == "offsets_committed"]
            assert commits and all(line["success"] for line in commits), commits
        places = [(line["partition"], line["offset"]) for line in read]
        assert len(places) == len(set(places)) == 4_000, f"{len(places)} records read, {len(set(places))} different"
        assert {place: line["value"] for place, line in zip(places, read)} == acked
    return case


for kind in ("classic", "consumer"):
    SUITE.cases.append((f"verifiable-{kind}", verifiable(kind)))


@SUITE.case
def transactional_message_copier(context):
    """TransactionalMessageCopier with random aborts, killed twice: the copy is the original, each record once."""
    bootstrap = context.broker().bootstrap
    source, copy = topic_of(context, "original"), topic_of(context, "copy")
    seed = random.randrange(1 << 32)
    context.note(f"seed {seed}")
    wanted = [f"{index}-{random.Random(seed + index).randrange(1 << 32)}" for index in range(COPIED)]
    produced = subprocess.run(
        command("ConsoleProducer", "--bootstrap-server", bootstrap, "--topic", source), text=True,
        input="".join(f"{value}\n" for value in wanted), capture_output=True, check=False, timeout=60)
    assert produced.returncode == 0, produced.stderr[-400:]
    arguments = command("TransactionalMessageCopier", "--broker-list", bootstrap, "--input-topic", source,
                        "--input-partition", 0, "--output-topic", copy, "--consumer-group", copy,
                        "--transaction-size", 100, "--transactional-id", copy, "--enable-random-aborts",
                        "--use-group-metadata", "--group-mode")
    for until in (*KILLS, None):
        run_copier(arguments, until)
    found = values(context, copy)
    assert found == wanted, f"{len(found)} records in the copy, {len(set(found))} different, of {len(wanted)}"


def run_copier(arguments, until):
    """Runs the copier to its end, or kills it once it has copied `until` records."""
    deadline = time.monotonic() + 120
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as copier:
        try:
            for line in copier.stdout:
                assert time.monotonic() < deadline, f"not done in time: {line}"
                done = json.loads(line).get("totalProcessed", 0) if line.startswith("{") else 0
                if until is not None and done >= until:
                    return
            assert until is None, "the copier ended before it was killed"
            assert copier.wait(60) == 0, f"the copier exited with {copier.returncode}"
        finally:
            copier.kill()


def values(context, topic):
    """The committed values of partition 0, in order."""
    done = kcat.kcat("-b", context.broker().bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
                     "-X", "isolation.level=read_committed", stdout=subprocess.PIPE)
    return done.stdout.decode().splitlines()


def lines(output):
    """The events that a verifiable program printed."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
