"""aiokafka: Python's client for asyncio."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(file):
    return lambda _: ([tools.python(HERE), HERE / file], {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"})


# It takes COORDINATOR_LOAD_IN_PROGRESS of OffsetFetch 2 and newer for an answer without commits, and reads from the
# beginning: a member that waits for its offsets while its broker is restarted proves nothing.
SUITES = [
    ProgramSuite("aiokafka", "0.14.0", program("client.py"), MORE_CASES),
    group_suite("aiokafka-group", "0.14.0", program("member.py"), reconnects=False),
]
