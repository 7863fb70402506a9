"""confluent-kafka-go: librdkafka in a Go program. Not quick: it proves librdkafka once more, and has to be linked."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent
VERSION = "2.11.1, librdkafka 2.11"


def program(name):
    return lambda _: ([tools.go(HERE, cgo=True) / name], {})


SUITES = [
    ProgramSuite("confluent-kafka-go", VERSION, program("client"), MORE_CASES, quick=False),
    group_suite("confluent-kafka-go-group", VERSION, program("member"), quick=False),
    group_suite("confluent-kafka-go-group-848", VERSION, program("member"), quick=False, protocol="consumer"),
]
