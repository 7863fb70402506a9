"""kafka-python 2.0.2, which dies without Metadata 0 and guesses the broker from versions, and the newest."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import CONFIG_CASES, MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(file, packages=HERE):
    environment = {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return lambda _: ([tools.python(packages), HERE / file], environment)


NEWEST = tools.ROOT / "kafka-python-3"
VERSIONS = ["version-0.11", "version-2.4", "unserved-version"]
# Version 2.0.2 has no idempotent producer, no transactions and no static members.
SUITES = [
    ProgramSuite("kafka-python", "2.0.2", program("client.py"), [c for c in CONFIG_CASES if c != "idempotence"]),
    ProgramSuite("kafka-python-versions", "2.0.2", program("versions.py"), VERSIONS),
    group_suite("kafka-python-group", "2.0.2", program("member.py"), static=False),
    ProgramSuite("kafka-python-3", "3.0.12", program("client.py", NEWEST), MORE_CASES),
    ProgramSuite("kafka-python-3-versions", "3.0.12", program("versions.py", NEWEST), VERSIONS),
    group_suite("kafka-python-3-group", "3.0.12", program("member.py", NEWEST)),
]
