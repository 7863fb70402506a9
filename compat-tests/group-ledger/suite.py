"""The groups' checker itself: a story that is right has no fault, and each kind of wrong one has its own."""

from harness.ledger import Ledger
from harness.suite import Suite

SUITE = Suite("group-ledger", "the checker of groups")
SUITES = [SUITE]
RIGHT = ["a assigned 0 1", "a record 0 0 0:0", "a record 1 0 1:0", "commit 0 1", "a revoked 0", "b assigned 0",
         "b record 0 1 0:1", "commit 0 2", "commit 1 1"]


def told(lines, produced=(2, 1)):
    """A ledger of two partitions that has heard these lines."""
    ledger = Ledger(2)
    ledger.produced = dict(enumerate(produced))
    for line in lines:
        who, *words = line.split()
        if who == "commit":
            ledger.committed_now({int(words[0]): int(words[1])})
        elif words == ["gone"]:
            ledger.gone(who)
        else:
            assert ledger.member_line(who, words), line
    return ledger


def expect_fault(lines, word):
    faults = told(lines).faults
    assert len(faults) == 1 and word in faults[0], f"{lines}: {faults}"


@SUITE.case
def a_right_story(_context):
    """No fault, nothing unread, and an uncommitted record may be read again by another member."""
    ledger = told(RIGHT)
    assert not ledger.faults and ledger.settled() and ledger.balanced({"a", "b"}), ledger
    again = told(["a assigned 0", "a record 0 0 0:0", "a gone", "b assigned 0", "b record 0 0 0:0"])
    assert not again.faults, again.faults
    assert not ledger.member_line("a", ["some", "note"])


@SUITE.case
def wrong_stories(_context):
    """Each rule is broken once."""
    expect_fault(["a record 0 0 0:0"], "does not own")
    expect_fault(["a assigned 0", "a revoked 0", "a record 0 0 0:0"], "does not own")
    expect_fault(["a assigned 0", "a record 0 0 0:0", "a record 0 2 0:2"], "was due")
    expect_fault(["a assigned 0", "a record 0 0 0:0", "a record 0 0 0:0"], "was due")
    expect_fault(["a assigned 0", "commit 0 2", "a gone", "b assigned 0", "b record 0 1 0:1"], "already committed")
    expect_fault(["a assigned 0", "a record 0 0 1:0"], "which holds")
    expect_fault(["commit 0 2", "commit 0 1"], "it was 2")


@SUITE.case
def what_is_unread(_context):
    """A record that nobody read, or that is not committed, keeps a group unsettled; so does a second owner."""
    assert told(RIGHT[:-1]).settled() is False
    skipped = told([line for line in RIGHT if line != "b record 0 1 0:1"])
    assert skipped.unread() == [(0, 1)] and not skipped.settled()
    assert not told(["a assigned 0 1", "b assigned 0"]).balanced({"a", "b"})
    assert not told(["a assigned 0", "b assigned"]).balanced({"a", "b"})
