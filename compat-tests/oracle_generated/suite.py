"""Sessions from a seeded generator, played to Apache Kafka and to this broker; see `generator.py` and `values.py`."""

import random
import tomllib
from pathlib import Path

from harness import schema
from harness.broker import ApacheKafka
from harness.suite import Suite
from oracle_generated.generator import generate, rounds, themes, turns
from oracle_generated.play import Step, ask
from oracle_generated.shrink import shrink
from oracle_generated.versus import Versus, text

HERE = Path(__file__).resolve().parent
SUITE = Suite("oracle-generated", "Apache Kafka 4.1.2")
SUITES = [SUITE]
SETTINGS = {"auto.create.topics.enable": "false", "offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1",
            "group.min.session.timeout.ms": "100"}
FULL_SEEDS = 300
MOST = 12  # reports of a theme: what is broken all over need not be shown all over
STATE = {}


def setup(context):
    """Both brokers with the same settings, their coordinators there."""
    ours = context.brokers.external or context.own_broker(SETTINGS)
    oracle = context.brokers.adopt(ApacheKafka(SETTINGS)).start()
    allowed = tomllib.loads((HERE / "allowed.toml").read_text())["allowed"]
    STATE["versus"] = Versus(oracle, ours, allowed, context.prefix)
    STATE["advertised"] = STATE["versus"].advertised()
    STATE["versus"].settle_coordinators()


SUITE.prepare = setup


def seeds(theme, options):
    """One seed that was asked for; a whole round of them; with --full, as many that nobody has seen."""
    if options.seed is not None:
        return range(options.seed, options.seed + options.seeds)
    if options.full:
        start = random.SystemRandom().randrange(1 << 30)
        return range(start, start + FULL_SEEDS)
    return range(rounds(theme, STATE["advertised"]))


def judged(theme):
    def case(context):
        versus, seen, reports = STATE["versus"], set(), []
        chosen = seeds(theme, context.options)
        for seed in chosen:
            if len(reports) >= MOST:
                break
            steps = generate(theme, seed, STATE["advertised"])
            kind = next((one.kind() for one in versus.differences(steps) if one.kind() not in seen), None)
            if kind:
                reports += report(context, versus, theme, seed, steps, kind, seen)
        context.note(f"{theme}: seeds {chosen.start} to {chosen.stop - 1}")
        assert not reports, f"{len(reports)} differences, printed above"
    return case


def report(context, versus, theme, seed, steps, kind, seen):
    """The smallest session of a difference that is there again in a second play; one that is not is a race, and noted."""
    small, found = versus.smallest(steps, kind) if any(one.kind() == kind for one in versus.differences(steps)) else (steps, [])
    if not found:
        print(f"{theme} seed {seed}: a difference in {kind} did not come again", flush=True)
        return []
    seen |= {one.kind() for one in found}
    lines = text(f"{theme}_{seed}", small, found)
    print(lines, flush=True)
    return [lines]


for one_theme in themes():
    SUITE.cases.append((one_theme, judged(one_theme)))


@SUITE.case
def every_version_has_its_turn(_context):
    """A round of seeds sends every version that both advertise and whose layout is known."""
    advertised = STATE["advertised"]
    for theme in themes():
        sent = {(step.api.name, step.version) for seed in range(rounds(theme, advertised)) for step in generate(theme, seed, advertised)}
        missing = {(api.name, version) for api, version in turns(theme, advertised)} - sent
        assert not missing, f"{theme} never sends {missing}"
    assert str(generate("logs", 3, advertised)) == str(generate("logs", 3, advertised)) != str(generate("logs", 4, advertised))


@SUITE.case
def the_smallest_session_is_found(_context):
    """The shrinker alone: of two requests that fail together, only they and their fields remain."""
    filler = [Step(schema.METADATA, 5, {"topics": [{"name": ask.name(f"t{index}")}]}) for index in range(9)]
    one = Step(schema.DELETE_TOPICS, 5, {"topic_names": [ask.name("t0"), "x"], "timeout_ms": 1000})
    other = Step(schema.PRODUCE, 7, {"acks": 2, "timeout_ms": 1, "topics": [{"name": "x", "partitions": [{"index": 3}, {"index": 4}]}]})

    def fails(steps):
        deleted = [index for index, step in enumerate(steps) if "x" in step.body.get("topic_names", [])]
        wrong = [index for index, step in enumerate(steps) if step.body.get("acks") == 2 and any(
            partition.get("index") == 4 for topic in step.body.get("topics", []) for partition in topic.get("partitions", []))]
        return bool(deleted and wrong and deleted[0] < wrong[-1])
    found = shrink([*filler[:4], one, *filler[4:], other, filler[0]], fails)
    assert [step.body for step in found] == [
        {"topic_names": ["x"], "timeout_ms": 1000}, {"acks": 2, "timeout_ms": 1, "topics": [{"partitions": [{"index": 4}]}]}], found


@SUITE.case
def a_planted_fault_is_found(_context):
    """An answer of ours with another offset in it is found, and needs two requests: the topic, and the one that asks."""
    def alter(label, answer):
        for topic in answer["topics"] if label.startswith("ListOffsets") and isinstance(answer, dict) else []:
            topic["partitions"] = [{**one, "offset": one.get("offset", 0) + (one["error_code"] == 0)} for one in topic["partitions"]]
        return answer
    good, planted = STATE["versus"], ("ListOffsets", ".topics[].partitions[].offset")
    versus = Versus(*good.brokers, good.allowed, f"{good.prefix}-planted", alter)
    sessions = (generate("logs", seed, STATE["advertised"]) for seed in range(100))
    steps = next((steps for steps in sessions if any(one.kind() == planted for one in versus.differences(steps))), None)
    assert steps, "the fault was not seen in 100 sessions"
    small, found = versus.smallest(steps, planted)
    assert {one.kind() for one in found} == {planted}, found
    assert [step.api.name for step in small] == ["CreateTopics", "ListOffsets"], small
