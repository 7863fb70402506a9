"""The README's table of clients and the known differences are about the suites as they are now; runs no client."""

import tomllib

from harness import catalogue, readme
from harness.suite import PASSED, Suite
from harness.tools import ROOT

SUITE = Suite("readme", "the table of clients")
SUITES = [SUITE]


@SUITE.case
def table_is_current(_context):
    """Clients, versions, features and numbers of cases."""
    wrong = readme.faults((ROOT.parent / "README.md").read_text(), catalogue.load())
    assert not wrong, f"{wrong[:3]}; write it anew: {readme.COMMAND}"


@SUITE.case
def an_old_table_is_found(_context):
    """A version, a feature, a number of cases, a client too many and one too few: each is a fault."""
    suites = catalogue.load()
    results = {name: {"cases": [{"case": case, "outcome": PASSED} for case in suites[name].names()]}
               for names in readme.CLIENTS.values() for name in names}
    text = readme.table(suites, results)
    assert not readme.faults(text, suites), readme.faults(text, suites)
    row = next(line for line in text.splitlines() if line.startswith("| aiokafka"))
    version, total = suites["aiokafka"].version, sum(len(suites[name].names()) for name in ("aiokafka", "aiokafka-group"))
    for old in (row.replace(version, "0.1"), row.replace("transactions", "prayers"),
                row.replace(f"of {total} ", f"of {total - 1} "), row.replace("aiokafka", "akafka"), ""):
        assert readme.faults(text.replace(row, old), suites), f"not found: {old}"


@SUITE.case
def known_differences_are_of_cases(_context):
    """An entry for a case that no suite has would never be judged; one without a reason says nothing."""
    suites = catalogue.load()
    entries = tomllib.loads((ROOT / "known-differences.toml").read_text())["difference"]
    wrong = [f"{one['suite']}/{one['case']}" for one in entries
             if one["suite"] not in suites or one["case"] not in suites[one["suite"]].names() or not one["reason"].strip()]
    assert not wrong, f"no such cases, or no reason: {wrong}"
