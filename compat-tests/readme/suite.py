"""The README's table of clients is what the suites are now; runs no client."""

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
