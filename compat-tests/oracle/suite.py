"""Apache Kafka as the oracle: one script of raw requests to both brokers, answers compared field by field."""

import importlib.util
import re
import time
import tomllib
from pathlib import Path

from harness.broker import ApacheKafka
from harness.recording import Recorder, differences
from harness.suite import Suite

HERE = Path(__file__).resolve().parent
SUITE = Suite("oracle", "Apache Kafka 4.1.2")
SUITES = [SUITE]
SETTINGS = {"auto.create.topics.enable": "true", "num.partitions": "2", "group.initial.rebalance.delay.ms": "0"}
SHOWN = 6
FILES = ["scripts", "group_configs", "groups"]
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


SUITE.prepare = setup


def allowed(script, label, path, got):
    """Whether allowed.toml has an entry for this field of this step."""
    step = label.split(", ", 1)[1]
    field = re.sub(r"\[.*\]$", "[*]", path.rsplit(".", 1)[-1])
    return any(entry["script"] == script and (entry["steps"] == ["*"] or step in entry["steps"])
               and entry["field"] in ("*", field) and entry.get("ours", str(got)) == str(got)
               for entry in STATE["allowed"])


def compared(script):
    def case(context):
        answers, now_ms = [], int(time.time() * 1000)
        for broker in (STATE["oracle"], STATE["ours"]):
            recorder = Recorder(broker.bootstrap, context.prefix, now_ms)
            try:
                script(recorder)
            finally:
                recorder.close()
            answers.append(recorder)
        oracle, ours = answers
        found = [(label, path, wanted, got) for label in oracle.answers.keys() | ours.answers.keys()
                 for path, wanted, got in differences(oracle.answers.get(label), ours.answers.get(label))
                 if not allowed(script.__name__, label, path, got)]
        for label, texts in oracle.messages.items():
            if texts != ours.messages.get(label):
                context.note(f"message of {label}: Apache Kafka {texts}, ours {ours.messages.get(label)}")
        lines = grouped(found)
        context.note("\n".join(lines))
        assert not found, f"{len(lines)} kinds of difference in {len(oracle.answers)} answers: {'; '.join(lines[:SHOWN])}"
    return case


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


for one_script in load_scripts():
    SUITE.cases.append((one_script.__name__.replace("_", "-"), compared(one_script)))
