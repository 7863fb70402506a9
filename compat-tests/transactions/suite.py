"""Transactions with real clients: version 1 with librdkafka, version 2 with Java, and Apache Kafka's own tools."""

import subprocess
from pathlib import Path

from harness import tools
from harness.broker import ApacheKafka
from harness.suite import TRANSACTION_CASES, ProgramSuite, Skip, Suite

HERE = Path(__file__).resolve().parent
TOOLS = Suite("transaction-tools", "kafka-tools 4.1.2")
EXCHANGE = Suite("transaction-exchange", "Apache Kafka 4.1.2", quick=False)


def librdkafka(_context):
    program = [tools.python(tools.ROOT / "confluent-kafka"), HERE / "client.py"]
    return program, {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def java(_context):
    class_path = tools.maven(tools.ROOT / "apache-kafka")
    return [tools.java(), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            "-cp", class_path, HERE / "Transactions.java"], {}


SUITES = [
    ProgramSuite("librdkafka-transactions", "2.16.1, librdkafka 2.16", librdkafka, TRANSACTION_CASES),
    ProgramSuite("java-transactions", "kafka-clients 4.1.2", java, TRANSACTION_CASES),
    TOOLS,
    EXCHANGE,
]


def transactions(context, *arguments):
    """`kafka-transactions`; its output as lists of words, without the head."""
    done = subprocess.run(
        [tools.java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
         "-cp", tools.maven(tools.ROOT / "apache-kafka"), "org.apache.kafka.tools.TransactionsCommand",
         "--bootstrap-server", context.broker().bootstrap, *arguments],
        capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{arguments} exited with {done.returncode}: {done.stderr[-500:]}"
    return [line.split() for line in done.stdout.splitlines()[1:] if line.strip()]


@TOOLS.case
def list_describe_and_abort(context):
    """An open transaction is listed, described and aborted by `kafka-transactions`."""
    arguments, extra = librdkafka(context)
    topic = context.topic("open-transaction")
    environ = {**extra, "COMPAT_BOOTSTRAP": context.broker().bootstrap, "COMPAT_TOPIC": topic}
    with subprocess.Popen([arguments[0], HERE / "open_transaction.py"], env=environ, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as producer:
        try:
            assert producer.stdout.readline().strip() == "open"
            listed = [line for line in transactions(context, "list") if line[0] == topic]
            assert len(listed) == 1 and listed[0][3] == "Ongoing", listed
            described = transactions(context, "describe", "--transactional-id", topic)
            assert any(f"{topic}-0" in word for word in described[0]), described
            known = transactions(context, "describe-producers", "--topic", topic, "--partition", "0")
            assert known[0][0] == listed[0][2] and known[0][-1] == "0", known
            transactions(context, "abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
            known = transactions(context, "describe-producers", "--topic", topic, "--partition", "0")
            assert known[0][-1] == "None", known
            assert transactions(context, "find-hanging", "--topic", topic, "--partition", "0") == []
        finally:
            producer.kill()


def exchange(context, first, second):
    """Four turns on one directory; each leaves a transaction open, with an offset in it."""
    second.data = first.data
    arguments, extra = librdkafka(context)
    topic = context.topic("exchange")
    for turn in range(4):
        broker = (first, second)[turn % 2].start()
        environ = {**extra, "COMPAT_BOOTSTRAP": broker.bootstrap, "COMPAT_TOPIC": topic, "COMPAT_TURN": str(turn)}
        done = subprocess.run([arguments[0], HERE / "exchange_step.py"], env=environ, capture_output=True, text=True,
                              check=False, timeout=120)
        if done.returncode or "done" not in done.stdout:
            context.note(broker.tail())
            raise AssertionError(f"turn {turn}, {broker.name}: {done.stderr[-600:]}")
        broker.stop()


def both(context):
    """Our broker and Apache Kafka, neither started."""
    if context.brokers.external:
        raise Skip("needs a broker that this run may stop and whose files it can see")
    return context.brokers.adopt(context.brokers.make({})), context.brokers.adopt(ApacheKafka({}))


@EXCHANGE.case
def ours_first(context):
    """The directory is formatted by our broker."""
    exchange(context, *both(context))


@EXCHANGE.case
def apache_kafka_first(context):
    """The directory is formatted by Apache Kafka."""
    context.prefix += "-k"
    ours, theirs = both(context)
    exchange(context, theirs, ours)
