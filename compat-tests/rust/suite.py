"""Rust clients: rdkafka, which builds librdkafka, and rskafka. Not quick: they build for minutes."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CLIENT_CASES, MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent
RDKAFKA = "0.39.0, librdkafka 2.12"


def program(name):
    return lambda _: ([tools.cargo(HERE) / name], {})


# rskafka has no idempotent producer and no groups.
SUITES = [
    ProgramSuite("rdkafka", RDKAFKA, program("rdkafka"), MORE_CASES, quick=False),
    group_suite("rdkafka-group", RDKAFKA, program("rdkafka-member"), quick=False),
    group_suite("rdkafka-group-848", RDKAFKA, program("rdkafka-member"), quick=False, protocol="consumer"),
    ProgramSuite("rskafka", "0.6.0", program("rskafka"), [c for c in CLIENT_CASES if c != "idempotence"], quick=False),
]
