"""The table and the JSON file of a run, and the list of known differences."""

import json
import tomllib

from .suite import FAILED, PASSED, SKIPPED, Result


class KnownDifferences:
    """`known-differences.toml`: cases that do not pass on a broker, each with its reason.

    A listed case that fails counts as skipped; one that passes fails the run, so that the list stays true.
    """

    def __init__(self, path, broker):
        entries = tomllib.loads(path.read_text()).get("difference", [])
        self.reasons = {(e["suite"], e["case"]): e["reason"] for e in entries if e["broker"] == broker}

    def judge(self, suite, result):
        """The result as it counts."""
        reason = self.reasons.get((suite, result.case))
        if reason is None:
            return result
        if result.outcome == FAILED:
            return Result(result.case, SKIPPED, f"known difference: {reason} ({result.reason})", result.seconds)
        if result.outcome == PASSED:
            return Result(result.case, FAILED, f"passes, but known-differences.toml says: {reason}", result.seconds)
        return result


def count(results, outcome):
    return sum(result.outcome == outcome for result in results)


def table(rows):
    """`rows`: (suite, version, results, seconds). A table, then the reasons of all that did not pass."""
    lines = [f"{'suite':<22} {'version':<34} {'passed':>6} {'failed':>6} {'skipped':>7} {'seconds':>8}"]
    for name, version, results, seconds in rows:
        figures = [count(results, outcome) for outcome in (PASSED, FAILED, SKIPPED)]
        lines.append("{:<22} {:<34} {:>6} {:>6} {:>7} {:>8.1f}".format(name, version, *figures, seconds))
    for name, _, results, _ in rows:
        for result in results:
            if result.outcome != PASSED:
                lines.append(f"{result.outcome.upper()} {name}/{result.case}: {result.reason}")
    return "\n".join(lines)


def write_json(path, broker, version, rows):
    """The same for programs."""
    suites = [{
        "suite": name, "version": suite_version, "seconds": round(seconds, 1),
        **{outcome: count(results, outcome) for outcome in (PASSED, FAILED, SKIPPED)},
        "cases": [vars(result) for result in results],
    } for name, suite_version, results, seconds in rows]
    path.write_text(json.dumps({"broker": broker, "version": version, "suites": suites}, indent=1) + "\n")
