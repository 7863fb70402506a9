"""KafkaJS, the client of most JavaScript programs."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(file):
    return lambda _: ([tools.program("node", "nodejs"), HERE / file], {"NODE_PATH": str(tools.npm(HERE))})


# It has no static members.
SUITES = [
    ProgramSuite("kafkajs", "2.2.4", program("client.js"), MORE_CASES),
    group_suite("kafkajs-group", "2.2.4", program("member.js"), static=False),
]
