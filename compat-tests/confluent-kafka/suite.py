"""confluent-kafka for Python: a current librdkafka."""

from pathlib import Path

from harness import tools
from harness.suite import CLIENT_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent

def command(_context):
    return [tools.python(HERE), HERE / "client.py"], {"PYTHONPATH": str(tools.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


SUITES = [ProgramSuite("confluent-kafka", "2.16.1, librdkafka 2.16", command, CLIENT_CASES)]
