"""confluent-kafka for Python: a current librdkafka."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CONFIG_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent
VERSION = "2.16.1, librdkafka 2.16"


def program(file):
    return lambda _: ([tools.python(HERE), HERE / file], {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"})


SUITES = [
    ProgramSuite("confluent-kafka", VERSION, program("client.py"), CONFIG_CASES),
    ProgramSuite("confluent-kafka-versions", VERSION, program("versions.py"), ["version-0.10", "version-2.4", "unserved-version"]),
    group_suite("confluent-kafka-group", VERSION, program("member.py")),
    group_suite("confluent-kafka-group-848", VERSION, program("member.py"), protocol="consumer"),
]
