"""Go clients: franz-go, and sarama at the versions that it sends without asking."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CLIENT_CASES, TRANSACTION_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(name):
    return lambda _: ([tools.go(HERE) / name], {})


SUITES = [
    ProgramSuite("franz-go", "1.22.2", program("franz-go"), CLIENT_CASES),
    ProgramSuite("franz-go-transactions", "1.22.2", program("franz-go-transactions"), TRANSACTION_CASES),
    group_suite("franz-go-group", "1.22.2", program("franz-go-member")),
    ProgramSuite("sarama", "1.40.1", program("sarama"), CLIENT_CASES),
    ProgramSuite("sarama-transactions", "1.40.1", program("sarama-transactions"), TRANSACTION_CASES),
    group_suite("sarama-group", "1.40.1", program("sarama-member")),
]
