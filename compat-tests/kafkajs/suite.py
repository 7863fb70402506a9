"""KafkaJS, the client of most JavaScript programs."""

from pathlib import Path

from harness import tools
from harness.suite import CLIENT_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def command(_context):
    return [tools.program("node", "nodejs"), HERE / "client.js"], {"NODE_PATH": str(tools.npm(HERE))}


SUITES = [ProgramSuite("kafkajs", "2.2.4", command, CLIENT_CASES)]
