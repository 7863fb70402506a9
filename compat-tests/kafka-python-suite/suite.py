"""kafka-python's own integration tests, from its source archive.

The client loses a subscription that is made while the answer to its first metadata request is read: that answer is about
no topics, it ends the wish for an update, and the consumer sees nothing for five minutes. Against a broker that answers
within a millisecond some tests meet this now and then, so a test that fails is run again, twice at most.
"""

import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.broker import free_port
from harness.suite import FAILED, PASSED, SKIPPED, Result, lines_of

HERE = Path(__file__).resolve().parent
# What pytest prints a test: file, test, outcome.
LINE = re.compile(
    r"^(test/integration/test_(\w+)_integration\.py::(?:\w+::)?test_(\S+)) (PASSED|FAILED|SKIPPED|ERROR)\b")
REASONS = {"consumer-kafka_consumer_offsets_for_time_old": "for brokers before 0.10.1"}
OUTCOMES = {"PASSED": PASSED, "SKIPPED": SKIPPED}
WAITING = {"sasl": "waits for SASL", "ssl": "waits for TLS", "admin-create_describe_delete_acls": "waits for ACLs"}
LIMIT_S = 900
ATTEMPTS = 3
# Two names that the tests import and that the archive leaves out; with an outside broker nothing calls them.
SERVICE = "class ExternalService:\n    def __init__(self, host, port):\n        pass\n\n\nclass SpawnedService:\n    pass\n"


@dataclass
class PytestSuite:
    """Cases that are tests of `test/integration`, as `tests.txt` lists them: FILE-TEST."""

    name: str
    version: str
    quick: bool = True

    def names(self):
        return (HERE / "tests.txt").read_text().split()

    def run(self, context):
        """Yields a `Result` for every test; one that did not report has failed."""
        source = unpacked()
        environ = {
            **os.environ, "KAFKA_ROOT": str(context.temp()), "KAFKA_VERSION": "4.1", "PYTHONDONTWRITEBYTECODE": "1",
            "KAFKA_URI": f"kafka://{context.broker(properties(context)).bootstrap}",
        }
        command = [tools.python(HERE), "-m", "pytest", "-v", "--timeout", "60", "-p",
                   "no:cacheprovider", "--timeout-method=signal", "--tb=short", "--show-capture=no", "--color=no"]
        left = set(self.names())
        tests = ["test/integration"]
        for attempt in range(1, ATTEMPTS + 1):
            again = []
            for line in lines_of([*command, *tests], environ, LIMIT_S, context, cwd=source):
                if not (found := LINE.match(line)):
                    context.note(line)
                    continue
                result = self.result(found, left)
                if result.outcome == FAILED and attempt < ATTEMPTS:
                    again.append(found[1])
                    left.add(result.case)
                else:
                    yield result
            if not (tests := again):
                break
        for case in sorted(left):
            yield Result(case, FAILED, "pytest ended, or its time was up, before this test reported")

    def result(self, found, left):
        """The result that a line of pytest's tells."""
        case = f"{found[2]}-{found[3]}"
        if case not in left:
            return Result(case, FAILED, "tests.txt does not list this test")
        left.remove(case)
        if waiting := WAITING.get(found[2]) or WAITING.get(case):
            return Result(case, SKIPPED, waiting)
        return Result(case, OUTCOMES.get(found[4], FAILED), REASONS.get(case, ""))


def properties(context):
    """What the tests take for granted: the id of the one broker, sessions of 3 s, and that the broker's address is in
    its configuration."""
    wanted = {"num.partitions": "4", "node.id": "0", "group.min.session.timeout.ms": "1000"}
    if context.options.broker == "ottla":
        address = f"PLAINTEXT://127.0.0.1:{free_port()}"
        wanted |= {"listeners": address, "advertised.listeners": address}
    return wanted


def unpacked():
    """The folder of the source archive, with what its tests lack."""
    lock = HERE / "source.sha256"

    def build(target):
        archive = tools.python_source(lock, target)
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")
        [source] = target.glob("*/pyproject.toml")
        source.parent.rename(target / "source")
        (target / "source/test/__init__.py").touch()
        (target / "source/test/service.py").write_text(SERVICE)
    return tools.installed("kafka-python-suite", [lock, Path(__file__)], build) / "source"


SUITES = [PytestSuite("kafka-python-suite", "3.0.12")]
