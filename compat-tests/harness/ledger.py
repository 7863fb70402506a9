"""The checker of every group: what was produced and committed, against what each member says it did.

Pure bookkeeping without processes or sockets. A `stint` is the time from a member's getting a partition
until it gives it up. The rules:

* a member reads only partitions that it owns, in a stint every offset follows the one before, and each
  record is the one that was produced there;
* a stint does not begin below what the group had committed when it began: those records were done, and
  reading them again is no duplicate that at-least-once allows;
* committed offsets never go backwards;
* in the end every record produced was read by somebody (`unread`).
"""

from dataclasses import dataclass


@dataclass
class Stint:
    """A member's time with a partition: the committed offset at its beginning, the next offset due."""

    floor: int
    due: int | None = None


def value_of(partition, offset):
    """The value of the record that is produced there."""
    return f"{partition}:{offset}"


class Ledger:
    """One group on one topic of `partitions` partitions."""

    def __init__(self, partitions):
        self.partitions = range(partitions)
        self.produced = dict.fromkeys(self.partitions, 0)
        self.committed = dict.fromkeys(self.partitions, 0)
        self.read = {partition: set() for partition in self.partitions}
        self.stints = {}
        self.rebalances = {}
        self.faults = []

    def member_line(self, member, words):
        """A line that a member printed, as words; False when it is none of the contract's."""
        match words:
            case ["assigned", *those] if all(map(str.isdigit, those)):
                for partition in map(int, those):
                    self.stints.setdefault(member, {})[partition] = Stint(self.committed[partition])
                self.rebalances[member] = self.rebalances.get(member, 0) + 1
            case ["revoked", *those] if all(map(str.isdigit, those)):
                for partition in map(int, those):
                    self.stints.get(member, {}).pop(partition, None)
                self.rebalances[member] = self.rebalances.get(member, 0) + 1
            case ["record", partition, offset, value]:
                self.record(member, int(partition), int(offset), value)
            case _:
                return False
        return True

    def record(self, member, partition, offset, value):
        stint = self.stints.get(member, {}).get(partition)
        where = f"{member} read offset {offset} of partition {partition}"
        if stint is None:
            self.faults.append(f"{where}, which it does not own")
        elif stint.due is not None and offset != stint.due:
            self.faults.append(f"{where}, {stint.due} was due")
        elif offset < stint.floor:
            self.faults.append(f"{where}, the group had already committed {stint.floor}")
        if stint is not None:
            stint.due = offset + 1
        if value != value_of(partition, offset):
            self.faults.append(f"{where}, which holds {value[:40]}")
        self.read[partition].add(offset)

    def gone(self, member):
        """The member's process has ended."""
        self.stints.pop(member, None)

    def committed_now(self, offsets):
        """What the group has committed, by partition; -1 for nothing yet."""
        for partition, offset in offsets.items():
            if max(offset, 0) < self.committed[partition]:
                self.faults.append(f"partition {partition}: {offset} is committed, it was {self.committed[partition]}")
            self.committed[partition] = max(offset, self.committed[partition])

    def owned(self, member):
        """The partitions that the member has now."""
        return sorted(self.stints.get(member, {}))

    def balanced(self, members):
        """Whether each partition has exactly one owner, all of these members own some, and nobody else does."""
        all_owned = sorted(partition for stints in self.stints.values() for partition in stints)
        owners = {member for member, stints in self.stints.items() if stints}
        return all_owned == list(self.partitions) and owners == set(members)

    def unread(self):
        """The first records that were produced and that nobody read."""
        return [(partition, offset) for partition, count in self.produced.items()
                for offset in sorted(set(range(count)) - self.read[partition])[:3]]

    def settled(self):
        """Whether everything produced was read and is committed."""
        return not self.unread() and self.committed == self.produced
