"""For client programs in Python: the task from the environment, the comparison, the report lines.

Uses the standard library alone: it runs inside each client's own virtual environment.
"""

import base64
import json
import os
import random
import time
import traceback
from dataclasses import dataclass

BOOTSTRAP = os.environ["COMPAT_BOOTSTRAP"]
STRICT_BOOTSTRAP = os.environ["COMPAT_STRICT_BOOTSTRAP"]
PREFIX = os.environ["COMPAT_PREFIX"]


class Skip(Exception):
    """This client cannot do what the case asks."""


@dataclass
class Record:
    """A record as produced or as read."""

    key: bytes | None
    value: bytes | None
    headers: list
    timestamp: int


def fixture():
    """The records that every client writes and reads."""
    def decode(text):
        return None if text is None else base64.b64decode(text)
    with open(os.environ["COMPAT_RECORDS"], encoding="ascii") as file:
        return [Record(decode(r["key"]), decode(r["value"]), [(k, decode(v)) for k, v in r["headers"]], r["timestamp"])
                for r in json.load(file)]


def incompressible(size):
    """Bytes that no codec makes smaller."""
    return random.Random(size).randbytes(size)


def compare(found, expected):
    """`found`: (offset, Record) in the order read; both must be the same records at offsets 0, 1, 2 ..."""
    assert len(found) == len(expected), f"{len(found)} records read, {len(expected)} written"
    for index, ((offset, record), wanted) in enumerate(zip(found, expected)):
        assert offset == index, f"offset {offset} where {index} was expected"
        assert record == wanted, f"record {index} differs: read {str(record)[:200]}, written {str(wanted)[:200]}"


def check_offsets_by_timestamp(records, offset_at):
    """`offset_at(ts)` (None: nothing so late) is the first record at or after the time, exactly."""
    for index in (0, 2, 100, len(records) - 2):
        at = records[index].timestamp
        assert offset_at(at) == index, f"at {at}: {offset_at(at)}, expected {index}"
        later = index + 2 if index + 2 < len(records) else None
        assert offset_at(at + 1) == later, f"at {at + 1}: {offset_at(at + 1)}, expected {later}"
    assert offset_at(0) == 0


def check_configs(current, alter):
    """`current()`: retention.ms of a topic that was created with an hour; `alter(value)` changes it, or raises.

    A broker may hear of either a moment after it was answered, as Apache Kafka's do.
    """
    def become(wanted):
        deadline, value = time.monotonic() + 10, None
        while value != wanted:
            assert time.monotonic() < deadline, f"retention.ms is {value!r}, expected {wanted}"
            try:
                value = current()
            except Exception as error:  # a topic that it has not heard of yet
                value = error
    become("3600000")
    alter("7200000")
    become("7200000")
    try:
        alter("many")
    except Exception:  # each library has an error of its own for it
        become("7200000")
        return
    raise AssertionError("retention.ms=many was accepted")


def run(cases):
    """`cases`: name -> function. Prints a report line for each."""
    for name, function in cases.items():
        outcome, reason = "passed", ""
        try:
            function()
        except Skip as skip:
            outcome, reason = "skipped", str(skip)
        except Exception as error:  # the next case still runs
            outcome, reason = "failed", f"{type(error).__name__}: {error}"[:600]
            traceback.print_exc()
        print(json.dumps({"case": name, "outcome": outcome, "reason": reason}), flush=True)


def need_strict():
    """The broker that does not create topics, or a skip."""
    if not STRICT_BOOTSTRAP:
        raise Skip("needs a second broker with auto.create.topics.enable=false")
    return STRICT_BOOTSTRAP
