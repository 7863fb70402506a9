"""Go clients: franz-go, sarama at the versions that it sends without asking and at its newest, and kafka-go."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CONFIG_CASES, TRANSACTION_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(name):
    return lambda _: ([tools.go(HERE) / name], {})


def newest(name):
    """The same source with the newest sarama."""
    packages = ("./sarama", "./sarama-member", "./sarama-transactions", "./sarama-versions")
    return lambda _: ([tools.go(HERE, packages, tools.ROOT / "sarama-new") / name], {})


# kafka-go has no idempotent producer, transactions of offsets alone, and no static members.
KAFKA_GO_CASES = [*(case for case in CONFIG_CASES if case != "idempotence"), "send-offsets"]
SARAMA_VERSIONS = ["version-0.11", "version-2.4", "unserved-version"]
SUITES = [
    ProgramSuite("franz-go", "1.22.2", program("franz-go"), CONFIG_CASES),
    ProgramSuite("franz-go-transactions", "1.22.2", program("franz-go-transactions"), TRANSACTION_CASES),
    ProgramSuite("franz-go-versions", "1.22.2", program("franz-go-versions"), ["version-1.0", "version-2.4", "unserved-version"]),
    group_suite("franz-go-group", "1.22.2", program("franz-go-member")),
    ProgramSuite("sarama", "1.40.1", program("sarama"), CONFIG_CASES),
    ProgramSuite("sarama-transactions", "1.40.1", program("sarama-transactions"), TRANSACTION_CASES),
    ProgramSuite("sarama-versions", "1.40.1", program("sarama-versions"), SARAMA_VERSIONS),
    group_suite("sarama-group", "1.40.1", program("sarama-member")),
    ProgramSuite("sarama-new", "1.61.1", newest("sarama"), CONFIG_CASES),
    ProgramSuite("sarama-new-transactions", "1.61.1", newest("sarama-transactions"), TRANSACTION_CASES),
    ProgramSuite("sarama-new-versions", "1.61.1", newest("sarama-versions"), SARAMA_VERSIONS),
    group_suite("sarama-new-group", "1.61.1", newest("sarama-member")),
    ProgramSuite("kafka-go", "0.4.51", program("kafka-go"), KAFKA_GO_CASES),
    group_suite("kafka-go-group", "0.4.51", program("kafka-go-member"), static=False),
]
