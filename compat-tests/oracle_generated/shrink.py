"""The smallest session that still fails, found by leaving out requests, then elements and fields. Pure."""

from dataclasses import replace

from .play import Ask

# Fields whose default is no simpler: it asks for no wait at all, or has no answer.
KEPT = {"records", "timeout_ms", "max_wait_ms", "session_timeout_ms", "rebalance_timeout_ms", "acks", "replica_id", "session_epoch",
        "protocol_type"}


def shrink(steps, fails, tries=200):
    """The steps that `fails` still holds for, none of which can be left out or made simpler. Asks at most `tries` times."""
    left = [tries]

    def holds(candidate):
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    steps = fewer(list(steps), holds)
    index = 0
    while index < len(steps):
        for simpler in simpler_steps(steps[index]):
            candidate = [*steps[:index], simpler, *steps[index + 1:]]
            if holds(candidate):
                steps = candidate
                break
        else:
            index += 1
    return fewer(steps, holds)


def fewer(steps, holds):
    """Leaves out halves, quarters and so on down to single steps, as long as that helps."""
    size = max(1, len(steps) // 2)
    while True:
        at = len(steps)
        while at > 0:
            candidate = steps[:max(0, at - size)] + steps[at:]
            if candidate and len(candidate) < len(steps) and holds(candidate):
                steps = candidate
            at -= size
        if size == 1:
            return steps
        size //= 2


def simpler_steps(step):
    """The step with a little less in it, one way after another; the larger parts first."""
    if step.harm:
        yield replace(step, harm={})
    for body in simpler(step.body):
        yield replace(step, body=body)


def simpler(value):
    """A value with one part left out; a field that is left out holds its default."""
    if isinstance(value, dict):
        for key in value.keys() - KEPT:
            yield {name: item for name, item in value.items() if name != key}
        for key, item in value.items():
            for less in simpler(item):
                yield {**value, key: less}
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value[:index] + value[index + 1:]
        for index, item in enumerate(value):
            for less in simpler(item):
                yield [*value[:index], less, *value[index + 1:]]
    elif isinstance(value, Ask) and value.method == "batch":
        for index in range(len(value.named)):
            yield replace(value, named=value.named[:index] + value.named[index + 1:])
        if value.arguments:
            yield replace(value, arguments=())
