"""The quick ones of the catalogue of faults, under a small load; `make faults` runs all of them under a large one."""

from collections.abc import Iterator

import pytest

from tests.faults.run.catalogue import catalogue
from tests.faults.run.fault import Fault
from tests.faults.run.running import run
from tests.faults.run.sites import Kind, Sites
from tests.faults.run.table import line
from tests.servers import NoServerError, rabbitmq_scripts

MOVEMENTS = 300
FAULTS = catalogue()
QUICK = [each for each in FAULTS if each.quick]


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """Servers that may be killed are our own: they need binaries on this machine."""
    try:
        rabbitmq_scripts()
    except NoServerError as error:
        pytest.skip(str(error))
    with Sites() as sites:
        sites.get(Kind.ALONE)
        yield sites


@pytest.mark.parametrize("fault", QUICK, ids=[each.name for each in QUICK])
def test_after_a_fault_nothing_is_lost_doubled_unbalanced_or_stuck(sites: Sites, fault: Fault) -> None:
    row = run(fault, sites, MOVEMENTS, seed=7)
    assert row.is_good, line(row)
    assert row.movements >= MOVEMENTS


def test_no_two_faults_have_one_name() -> None:
    assert len({each.name for each in FAULTS}) == len(FAULTS)


def test_chaos_of_the_same_seed_strikes_in_the_same_order() -> None:
    from itertools import islice

    from tests.faults.run.catalogue.chance import choices

    repeatable = [each for each in FAULTS if each.repeatable]
    first, again, other = (
        [(fault.name, peace) for fault, peace in islice(choices(repeatable, seed), 50)] for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other
