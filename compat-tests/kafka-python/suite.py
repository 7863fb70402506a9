"""kafka-python 2.0.2: the client that dies without Metadata 0, and guesses the broker from versions."""

from pathlib import Path

from harness import tools
from harness.suite import CLIENT_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def command(_context):
    return [tools.python(HERE), HERE / "client.py"], {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


# It has no idempotent producer.
SUITES = [ProgramSuite("kafka-python", "2.0.2", command, [c for c in CLIENT_CASES if c != "idempotence"])]
