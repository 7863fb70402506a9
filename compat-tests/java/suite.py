"""Java's kafka-clients, the same program with an old and the newest library, and the console tools."""

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import schema, tools, wire
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite, Suite

HERE = Path(__file__).resolve().parent
NEWEST, OLD = tools.ROOT / "apache-kafka", tools.ROOT / "java-2.1"
CONSOLE = Suite("java-console", "kafka-tools 4.1.2")


def program(name, folder, *more):
    return lambda _: ([tools.java(), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                       "-cp", tools.javac(HERE / f"{name}.java", folder, *more), name], {})


def member(folder):
    return lambda _: ([tools.java(), "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                       "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                       "-cp", tools.javac(HERE / "Member.java", folder), "Member"], {})


SUITES = [
    ProgramSuite("java", "kafka-clients 4.1.2", program("Client", NEWEST, HERE / "newest/Edition.java"), MORE_CASES),
    ProgramSuite("java-2.1", "kafka-clients 2.1.0", program("Client", OLD, HERE / "old/Edition.java"), MORE_CASES),
    group_suite("java-group", "kafka-clients 4.1.2", member(NEWEST)),
    group_suite("java-group-848", "kafka-clients 4.1.2", member(NEWEST), protocol="consumer"),
    # Static members came with 2.3.
    group_suite("java-2.1-group", "kafka-clients 2.1.0", member(OLD), static=False),
    ProgramSuite("java-group-migration", "kafka-clients 4.1.2", program("Migration", NEWEST),
                 ["feature", "eager", "cooperative", "eager-in-haste", "cooperative-in-haste"], timeout=600),
    CONSOLE,
]


def tool(context, name, *arguments, lines=None, refused=False, package="org.apache.kafka.tools"):
    """One of Apache Kafka's tools; its output. With `refused` it may log errors of the broker's."""
    done = subprocess.run(
        [tools.java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
         "-cp", tools.maven(tools.ROOT / "apache-kafka"), f"{package}.{name}",
         "--bootstrap-server", context.broker().bootstrap, *arguments],
        input=lines or "", capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{name} exited with {done.returncode}: {done.stdout[-300:]} {done.stderr[-500:]}"
    assert refused or "ERROR" not in done.stderr, done.stderr[-500:]
    return done.stdout


@CONSOLE.case
def producer_and_consumer(context):
    """Console producer in, console consumer out, without a group (--partition)."""
    topic = context.topic("console")
    lines = "".join(f"line {i}\n" for i in range(1000))
    tool(context, "ConsoleProducer", "--topic", topic, lines=lines)
    found = tool(context, "consumer.ConsoleConsumer", "--topic", topic, "--partition", "0", "--offset", "earliest",
                 "--max-messages", "1000", "--timeout-ms", "20000")
    assert found == lines, f"{len(found)} of {len(lines)} characters came back"


@CONSOLE.case
def keys_headers_timestamps(context):
    """Keys and headers through the console tools' own formats."""
    topic = context.topic("console-format")
    tool(context, "ConsoleProducer", "--topic", topic, "--compression-codec", "zstd",
         "--property", "parse.key=true", "--property", "parse.headers=true",
         lines="a:1,b:2,a:3\tkey\tvalue\n")
    found = tool(context, "consumer.ConsoleConsumer", "--topic", topic, "--partition", "0", "--offset", "earliest",
                 "--max-messages", "1", "--timeout-ms", "20000", "--property", "print.key=true",
                 "--property", "print.headers=true", "--property", "print.offset=true")
    assert found == "Offset:0\ta:1,b:2,a:3\tkey\tvalue\n", found


@CONSOLE.case
def topics(context):
    """kafka-topics: create, describe, alter, list, delete."""
    topic = context.topic("admin")
    tool(context, "TopicCommand", "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=60000")
    described = tool(context, "TopicCommand", "--describe", "--topic", topic)
    assert "PartitionCount: 3" in described and "retention.ms=60000" in described, described
    assert described.count("Leader: ") == 3, described
    tool(context, "TopicCommand", "--alter", "--topic", topic, "--partitions", "5")
    assert "PartitionCount: 5" in tool(context, "TopicCommand", "--describe", "--topic", topic)
    tool(context, "TopicCommand", "--delete", "--topic", topic)
    assert topic not in tool(context, "TopicCommand", "--list").split()


@CONSOLE.case
def get_offsets(context):
    """kafka-get-offsets: earliest and latest."""
    topic = context.topic("offsets")
    tool(context, "ConsoleProducer", "--topic", topic, lines="1\n2\n3\n")
    for at, expected in [("-1", 3), ("-2", 0)]:
        found = tool(context, "GetOffsetShell", "--topic", topic, "--time", at)
        assert found.strip() == f"{topic}:0:{expected}", f"at {at}: {found}"


@CONSOLE.case
def delete_records(context):
    """kafka-delete-records: a new start, and what cannot be deleted."""
    topic, compacted = context.topic("delete"), context.topic("delete-compacted")
    tool(context, "TopicCommand", "--create", "--topic", compacted, "--config", "cleanup.policy=compact")
    tool(context, "ConsoleProducer", "--topic", topic, lines="1\n2\n3\n")

    def delete(topic, offset):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": offset}]}, file)
            file.flush()
            return tool(context, "DeleteRecordsCommand", "--offset-json-file", file.name, refused=True)
    assert "low_watermark: 2" in (found := delete(topic, 2)), found
    assert "low_watermark: 3" in (found := delete(topic, -1)), found
    assert "OffsetOutOfRangeException" in (found := delete(topic, 9)), found
    assert "PolicyViolationException" in (found := delete(compacted, 0)), found
    assert tool(context, "GetOffsetShell", "--topic", topic, "--time", "-2").strip() == f"{topic}:0:3"


@CONSOLE.case
def log_dirs(context):
    """kafka-log-dirs: the partition in its directory, with its size."""
    topic = context.topic("sized")
    tool(context, "ConsoleProducer", "--topic", topic, lines="1\n2\n3\n")
    found = tool(context, "LogDirsCommand", "--describe", "--topic-list", topic)
    [broker] = json.loads(found.splitlines()[-1])["brokers"]
    [log_dir] = broker["logDirs"]
    [partition] = log_dir["partitions"]
    assert log_dir["error"] is None and partition["partition"] == f"{topic}-0", found
    assert partition["size"] > 60 and partition["offsetLag"] == 0 and not partition["isFuture"], found


@CONSOLE.case
def client_quotas(context):
    """kafka-configs: quotas of a user, of each of its client ids, and of an ip are set, told, and taken back."""
    user = context.topic("user")
    told = {
        f"Quota configs for user-principal '{user}', the default client-id are": (
            ["--entity-type", "users", "--entity-name", user, "--entity-type", "clients", "--entity-default"],
            {"consumer_byte_rate": "2048.0", "request_percentage": "12.5"}),
        f"Quota configs for user-principal '{user}' are": (
            ["--entity-type", "users", "--entity-name", user], {"producer_byte_rate": "1.073741824E9"}),
        "Quota configs for ip '127.0.0.9' are": (
            ["--entity-type", "ips", "--entity-name", "127.0.0.9"], {"connection_creation_rate": "100.0"}),
    }

    def configs(*arguments):
        return tool(context, "ConfigCommand", *arguments, package="kafka.admin")

    def alter(entity, values):
        return configs("--alter", *entity, "--add-config", ",".join("=".join(one) for one in values.items()))

    def remove(entity, values):
        return configs("--alter", *entity, "--delete-config", ",".join(values))

    def describe(entity, _):
        return configs("--describe", *entity)

    with ThreadPoolExecutor() as pool:
        def every(command):
            return list(pool.map(lambda one: command(*one), told.values()))
        assert all("Completed updating" in found for found in every(alter))
        for found, (line, (_, values)) in zip(every(describe), told.items()):
            assert line in found and all(f"{key}={value}" in found for key, value in values.items()), found
        every(remove)
    with wire.Connection(context.broker().bootstrap) as connection:
        left = connection.call(schema.DESCRIBE_CLIENT_QUOTAS, 1, {})["entries"]
    assert not left, left


@CONSOLE.case
def verifiable_producer(context):
    """VerifiableProducer gets every record acknowledged, at the offset where it then is."""
    topic = context.topic("verifiable")
    found = tool(context, "VerifiableProducer", "--topic", topic, "--max-messages", "2000", "--acks", "-1")
    assert found.count('"producer_send_success"') == 2000 and "producer_send_error" not in found, found[-400:]
