"""What a suite is: a name, a version, and cases that pass, fail or are skipped with a reason."""

import json
import os
import selectors
import signal
import subprocess
import time
import traceback
from dataclasses import dataclass, field

from .tools import Unavailable

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# How the reason of a skip begins when this machine lacks a tool; --strict makes a failure of it.
TOOLCHAIN = "toolchain: "
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# What every client program does, as far as its library can.
CLIENT_CASES = [*(f"round-trip-{codec}" for codec in CODECS), "offsets-by-timestamp", "seek", "large-record",
                "too-large-record", "idempotence", "create-topic", "unknown-topic"]
# As well: a topic's configuration described and changed; commit and abort, where no other suite has them.
CONFIG_CASES = [*CLIENT_CASES, "topic-configs"]
MORE_CASES = [*CONFIG_CASES, "transactions"]

# What every transactional client program does.
TRANSACTION_CASES = ["commit-and-abort", "send-offsets", "fencing", "timeout"]


class Skip(Exception):
    """This case does not apply here; the message says why."""


@dataclass
class Result:
    """The outcome of one case."""

    case: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0


@dataclass
class Suite:
    """A suite whose cases are Python functions of one argument, the `Context`.

    `quick` suites run when none is named; the others only by name or with `--all`.
    """

    name: str
    version: str
    quick: bool = True
    prepare: object = None
    cases: list = field(default_factory=list)

    def case(self, function):
        """Registers a case under the function's name; its docstring is its rule."""
        self.cases.append((function.__name__.replace("_", "-"), function))
        return function

    def names(self):
        return [name for name, _ in self.cases]

    def run(self, context):
        """Yields a `Result` for every case."""
        if self.prepare:
            self.prepare(context)
        for name, function in self.cases:
            started = time.monotonic()
            outcome, reason = PASSED, ""
            try:
                function(context)
            except Skip as skip:
                outcome, reason = SKIPPED, str(skip)
            except Unavailable as missing:
                outcome, reason = SKIPPED, f"{TOOLCHAIN}{missing}"
            except Exception as error:  # a case may fail in any way, and the next one still runs
                outcome, reason = FAILED, f"{type(error).__name__}: {error}"
                context.note(traceback.format_exc())
            yield Result(name, outcome, reason, time.monotonic() - started)


@dataclass
class ProgramSuite:
    """A suite whose cases are in a client program of any language.

    The program gets its task in the environment (see `environment`) and prints one line of JSON a case:
    `{"case": NAME, "outcome": "passed|failed|skipped", "reason": TEXT}`. A case of `cases` for which no
    line came has failed, and so has a line for a case that is not in the list.
    """

    name: str
    version: str
    command: object
    cases: list
    quick: bool = True
    timeout: int = 240

    def names(self):
        return self.cases

    def run(self, context):
        """Yields a `Result` for every case."""
        arguments, extra = self.command(context)
        left = list(self.cases)
        last = time.monotonic()
        for line in lines_of(arguments, {**os.environ, **environment(context), **extra}, self.timeout, context):
            report = parse(line)
            if report is None:
                context.note(line)
                continue
            if report["case"] not in left:
                yield Result(report["case"], FAILED, "the suite does not list this case")
                continue
            left.remove(report["case"])
            now = time.monotonic()
            yield Result(report["case"], report["outcome"], report.get("reason", ""), now - last)
            last = now
        for case in left:
            yield Result(case, FAILED, "the program ended, or its time was up, before this case reported")


def environment(context):
    """What a client program is told."""
    return {
        "COMPAT_BOOTSTRAP": context.broker().bootstrap,
        "COMPAT_STRICT_BOOTSTRAP": context.strict_bootstrap(),
        "COMPAT_RECORDS": str(context.fixture()),
        "COMPAT_PREFIX": context.prefix,
    }


def parse(line):
    """The report in a line of output, or None."""
    try:
        report = json.loads(line)
    except ValueError:
        return None
    if isinstance(report, dict) and report.get("outcome") in (PASSED, FAILED, SKIPPED) and "case" in report:
        return report
    return None


def lines_of(arguments, environ, timeout, context, cwd=None):
    """The standard output of a program, line by line; it is killed when its time is up."""
    errors = context.temp() / "stderr"
    deadline = time.monotonic() + timeout
    with open(errors, "wb") as stderr:
        process = subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, stderr=stderr,
                                   stdin=subprocess.DEVNULL, start_new_session=True, cwd=cwd)
    buffer = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                *whole, buffer = (buffer + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            context.note(f"{arguments[0]} was killed after {timeout} s")
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    context.note(errors.read_text(errors="replace")[-4000:])
    if process.returncode:
        context.note(f"{arguments[0]} exited with {process.returncode}")
