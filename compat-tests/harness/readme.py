"""The table of clients in the project's README: written from results, and checked against the suites that exist.

The table stands between two markers. Its columns client, version and features, and the number of cases, follow
from the suites alone: `faults` finds a table that is older than they are without running anything.
"""

import json

from .suite import CODECS, PASSED

BEGIN, END = "<!-- clients: begin -->", "<!-- clients: end -->"
COMMAND = "compat-tests/run --json clients.json $(compat-tests/table --suites) && compat-tests/table clients.json"
# A client and the suites that make its row; the first one has its version.
CLIENTS = {
    "kcat": ["kcat", "kcat-group"],
    "confluent-kafka (Python)": ["confluent-kafka", "confluent-kafka-group", "confluent-kafka-group-848",
                                 "librdkafka-transactions"],
    "@confluentinc/kafka-javascript": [
        "confluent-kafka-javascript", "confluent-kafka-javascript-callbacks", "confluent-kafka-javascript-transactions",
        "confluent-kafka-javascript-group", "confluent-kafka-javascript-group-848"],
    "confluent-kafka-go": ["confluent-kafka-go", "confluent-kafka-go-group", "confluent-kafka-go-group-848"],
    "rdkafka (Rust)": ["rdkafka", "rdkafka-group", "rdkafka-group-848"],
    "rskafka (Rust)": ["rskafka"],
    "Java": ["java", "java-group", "java-group-848", "java-transactions"],
    "Java, old": ["java-2.1", "java-2.1-group"],
    "franz-go (Go)": ["franz-go", "franz-go-group", "franz-go-transactions"],
    "sarama (Go)": ["sarama-new", "sarama-new-group", "sarama-new-transactions"],
    "sarama, old": ["sarama", "sarama-group", "sarama-transactions"],
    "kafka-go (Go)": ["kafka-go", "kafka-go-group"],
    "KafkaJS": ["kafkajs", "kafkajs-group"],
    "@platformatic/kafka": ["platformatic-kafka", "platformatic-kafka-group"],
    "kafka-python": ["kafka-python-3", "kafka-python-3-group"],
    "kafka-python, old": ["kafka-python", "kafka-python-group"],
    "aiokafka (Python)": ["aiokafka", "aiokafka-group"],
}
# A feature, and the case that proves it.
FEATURES = {
    "5 codecs": CODECS[-1], "idempotence": "idempotence", "transactions": "commit-and-abort", "topics": "create-topic",
    "topic configs": "topic-configs", "groups": "arrival", "static members": "static-restart",
}
# Of these cases each client has its own program, so that a suite with one of them belongs into the table.
CLIENT_MARKS = {"round-trip-none", "arrival", "commit-and-abort"}


def features(suites):
    """What the cases of a client's suites prove."""
    cases = {alias for suite in suites for case in suite.names() for alias in (case, case.removeprefix("round-trip-"))}
    if "transactions" in cases:
        cases.add("commit-and-abort")
    found = [feature for feature, case in FEATURES.items() if case in cases]
    if any(suite.name.endswith("-848") for suite in suites):
        found.insert(found.index("groups") + 1, "KIP-848 groups")
    return ", ".join(found)


def expected(catalogue):
    """Client, version, features and number of cases of each row; `catalogue`: suites by name."""
    rows = []
    for client, names in CLIENTS.items():
        suites = [catalogue[name] for name in names]
        rows.append((client, suites[0].version, features(suites), sum(len(suite.names()) for suite in suites)))
    return rows


def table(catalogue, results):
    """The table as text; `results`: the JSON of suites by name. A suite without results is a KeyError."""
    lines = [BEGIN, "", "| client | version | proved | result |", "|---|---|---|---|"]
    for (client, version, proved, total), names in zip(expected(catalogue), CLIENTS.values()):
        cases = [(name, case) for name in names for case in results[name]["cases"]]
        passed = sum(case["outcome"] == PASSED for _, case in cases)
        rest = [f"{name}/{case['case']} {case['outcome']}: {case['reason']}" for name, case in cases if case["outcome"] != PASSED]
        verdict = f"{passed} of {total} cases pass" + "".join(f"; {one[:200]}" for one in rest)
        lines.append(f"| {client} | {version} | {proved} | {verdict.replace('|', '/')} |")
    return "\n".join([*lines, "", f"Written by `{COMMAND}`.", END])


def rewritten(text, catalogue, results):
    """The README with a new table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table(catalogue, results) + after


def results_of(files):
    """The results of runs against this broker, by suite; a later file wins."""
    found = {}
    for file in files:
        run = json.loads(file.read_text())
        if run["broker"] != "ottla":
            raise ValueError(f"{file} judges {run['broker']}")
        found.update({suite["suite"]: suite for suite in run["suites"]})
    return found


def faults(text, catalogue):
    """What in the README's table is not what the suites are now."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in inside.splitlines() if line.startswith("| ")]
    found = {row[0]: row[1:] for row in rows[1:]}
    wrong = []
    for client, version, proved, total in expected(catalogue):
        has = found.pop(client, None)
        if has is None:
            wrong.append(f"{client} is not in the table")
        elif has[:2] != [version, proved] or f" of {total} cases" not in has[2]:
            wrong.append(f"{client}: the table says {has}, the suites {version}, {proved}, {total} cases")
    wrong += [f"{client} is in the table, and has no suite" for client in found]
    rowed = {name for names in CLIENTS.values() for name in names}
    wrong += [f"suite {name} is in no row" for name, suite in catalogue.items()
              if CLIENT_MARKS & set(suite.names()) and name not in rowed]
    return wrong
