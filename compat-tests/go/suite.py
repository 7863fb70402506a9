"""Go clients: franz-go, and sarama at the versions that it sends without asking."""

from pathlib import Path

from harness import tools
from harness.suite import CLIENT_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def client(name):
    return lambda _context: ([tools.go(HERE) / name], {})


SUITES = [
    ProgramSuite("franz-go", "1.22.2", client("franz-go"), CLIENT_CASES),
    ProgramSuite("sarama", "1.40.1", client("sarama"), CLIENT_CASES),
]
