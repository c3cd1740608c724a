"""Every fault that is injected, in the order of the table."""

from tests.faults.run.catalogue import broker, chance, database, messages, operators, workers
from tests.faults.run.fault import Fault

GROUPS = (workers.faults, broker.faults, database.faults, messages.faults, operators.faults)


def catalogue() -> list[Fault]:
    """All faults; the last one strikes at random."""
    told = [fault for group in GROUPS for fault in group()]
    return [*told, chance.at_random([each for each in told if each.repeatable])]
