"""aiokafka: Python's client for asyncio."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(file):
    return lambda _: ([tools.python(HERE), HERE / file], {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"})


SUITES = [
    ProgramSuite("aiokafka", "0.14.0", program("client.py"), MORE_CASES),
    group_suite("aiokafka-group", "0.14.0", program("member.py")),
]
