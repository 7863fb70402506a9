"""Apache Kafka as the oracle: one script of raw requests to both brokers, answers compared field by field."""

import importlib.util
import re
import time
import tomllib
from pathlib import Path

from harness import schema, wire
from harness.broker import ApacheKafka
from harness.recording import Recorder, differences
from harness.suite import Skip, Suite

HERE = Path(__file__).resolve().parent
SUITE = Suite("oracle", "Apache Kafka 4.1.2")
SUITES = [SUITE]
SETTINGS = {"auto.create.topics.enable": "true", "num.partitions": "2", "group.initial.rebalance.delay.ms": "0"}
SHOWN = 6
# Those that list all transactions and all groups come before those that make some.
FILES = ["cluster", "client_quotas", "transactions_admin", "scripts", "transactions", "group_configs", "groups", "fetch_sessions", "versions", "found"]
# Announced for librdkafka's sake and refused (KIP-896, KAFKA-18659): to be closed upon is their right answer.
REFUSED = {(schema.PRODUCE.key, version) for version in range(3)}
STATE = {}


def load_scripts():
    found = []
    for file in FILES:
        spec = importlib.util.spec_from_file_location(f"oracle_{file}", HERE / f"{file}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += module.SCRIPTS
    return found


def setup(context):
    """Both brokers with the same settings, and the differences that are allowed."""
    STATE["ours"] = context.brokers.external or context.own_broker(SETTINGS)
    STATE["oracle"] = context.brokers.adopt(ApacheKafka(SETTINGS)).start()
    STATE["allowed"] = tomllib.loads((HERE / "allowed.toml").read_text()).get("allowed", [])
    both = sorted(advertised(STATE["ours"]) & advertised(STATE["oracle"]))
    STATE["common"] = {key: [version for one, version in both if one == key] for key, _ in both}
    STATE["compared"], STATE["used"], STATE["requests"] = set(), set(), 0


SUITE.prepare = setup


def allowed(script, label, path, got):
    """Whether allowed.toml has an entry for this field of this step."""
    step = label.split(", ", 1)[1]
    field = re.sub(r"\[[^\]]*\]", "[*]", path).rsplit(".", 1)[-1]
    matching = {index for index, entry in enumerate(STATE["allowed"])
                if entry["script"] == script and (entry["steps"] == ["*"] or step in entry["steps"])
                and entry["field"] in ("*", field) and entry.get("ours", str(got)) == str(got)}
    STATE["used"] |= matching
    return bool(matching)


def compared(script):
    def case(context):
        answers, now_ms = [], int(time.time() * 1000)
        for broker in (STATE["oracle"], STATE["ours"]):
            recorder = Recorder(broker.bootstrap, context.prefix, now_ms, STATE["common"])
            try:
                script(recorder)
            finally:
                recorder.close()
            answers.append(recorder)
        oracle, ours = answers
        if getattr(script, "counts", True):
            STATE["compared"] |= oracle.versions() & ours.versions()
        STATE["requests"] += len(oracle.answers)
        found = [(label, path, wanted, got) for label in oracle.answers.keys() | ours.answers.keys()
                 for path, wanted, got in differences(oracle.answers.get(label), ours.answers.get(label))
                 if not allowed(script.__name__, label, path, got)]
        found += [(label, ".messages", texts, got) for label, texts, got in reworded(oracle, ours)
                  if not allowed(script.__name__, label, ".messages", got)]
        lines = grouped(found)
        context.note("\n".join(lines))
        assert not found, f"{len(lines)} kinds of difference in {len(oracle.answers)} answers: {'; '.join(lines[:SHOWN])}"
    return case


def reworded(oracle, ours):
    """`(label, texts, our texts)` of the answers whose error messages differ from Apache Kafka's, in whatever order; where
    it says nothing, what we say is our own."""
    return [(label, texts, ours.messages[label]) for label, texts in oracle.messages.items()
            if texts and label in ours.messages and sorted(texts) != sorted(ours.messages[label])]


def grouped(found):
    """A line for each difference, the versions of the API that show it put together."""
    versions = {}
    for label, path, wanted, got in found:
        api, step = label.split(", ", 1)
        name, version = api.rsplit(" v", 1)
        versions.setdefault((name, step, path, brief(got), brief(wanted)), []).append(int(version))
    return [f"{name} v{','.join(map(str, sorted(those)))} {step}: {path} is {got}, Apache Kafka's {wanted}"
            for (name, step, path, got, wanted), those in sorted(versions.items())]


def brief(value):
    return str(value)[:120]


def advertised(broker):
    """Every `(api key, version)` that the broker announces."""
    with wire.Connection(broker.bootstrap) as connection:
        ranges = connection.call(schema.API_VERSIONS, 0, {})["api_keys"]
    return {(one["api_key"], version) for one in ranges for version in range(one["min_version"], one["max_version"] + 1)}


def every_advertised_version(context):
    """Each announced version of each API got an answer that was compared, or was closed upon where that is right."""
    if STATE["ours"].name == ApacheKafka.name:
        raise Skip("holds for Ottla; Apache Kafka announces more than the scripts ask")
    announced = advertised(STATE["ours"])
    reached = {(key, version) for key, version, is_decoded in STATE["compared"] if is_decoded or (key, version) in REFUSED}
    missing = {}
    for key, version in sorted(announced - reached):
        missing.setdefault(schema.NAMES.get(key, f"API key {key}"), []).append(str(version))
    count = len({key for key, _ in announced})
    context.note(f"{count} APIs in {len(announced)} versions are announced, {len(announced & reached)} were compared "
                 f"in {STATE['requests']} requests")
    assert not missing, "never compared: " + "; ".join(f"{name} v{','.join(those)}" for name, those in missing.items())


def every_allowed_difference(_):
    """Each entry of allowed.toml has a reason, and was needed in this run."""
    if STATE["ours"].name != "ottla":
        raise Skip("the list is of Ottla's differences")
    wrong = [(index, entry) for index, entry in enumerate(STATE["allowed"])
             if index not in STATE["used"] or not entry.get("reason", "").strip()]
    assert not wrong, "without need or reason: " + "; ".join(
        f"entry {index + 1}, {entry['script']} {entry['steps']} {entry['field']}" for index, entry in wrong)


for one_script in load_scripts():
    SUITE.cases.append((one_script.__name__.replace("_", "-"), compared(one_script)))
# These judge what the scripts before them have done.
SUITE.case(every_advertised_version)
SUITE.case(every_allowed_difference)
