"""Telling by what units are covered, whenever that changes: the units of a set, and all that took over from them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from services.aftercare.decide.coverage import coverage
from services.aftercare.decide.facts import Dossier, Dossiers, Facts, Move, Said, Unit
from services.aftercare.handlers.gate import NAME
from services.aftercare.store.cover import covered, save_coverage, take_untold, told_coverage
from services.aftercare.store.facts import hold_units, load_facts
from shared import outbox
from shared.contracts.aftercare import CoverageChanged, Covered
from shared.contracts.codec import write
from shared.contracts.registry import COVERAGE_CHANGED
from shared.identity import derived_id
from shared.service import Handled, Output

AT_ONCE = 1_000
"""Of how many units coverage is told in one transaction."""


def tell_untold(connection: Connection) -> Handled:
    """A step that tells of units that were left for later, and comes again while there are more."""
    units = take_untold(connection, AT_ONCE)
    hold_units(connection, units, have_moved=False)
    told = tell_coverage(connection, units)
    released = [(each.source, each.id) for each in told]
    return Handled(told, released, tell_untold if len(units) == AT_ONCE else None)


def tell_coverage(connection: Connection, units: Collection[Unit]) -> list[Output]:
    """What is told of these units, whose facts changed, and of those that replaced them; it stands in the outbox."""
    if not units:
        return []
    facts = load_facts(connection, units)
    behind = _behind(units, facts)
    if behind - set(units):
        hold_units(connection, behind, have_moved=False)
        facts = load_facts(connection, behind)  # as they stand, now that nobody else adds to them
    dossiers = Dossiers(facts)
    now = {unit: [covered(each) for each in coverage(unit, dossiers)] for unit in behind}
    told = told_coverage(connection, behind)
    changed = {unit: covers for unit, covers in now.items() if covers != told[unit]}
    numbers = save_coverage(connection, changed)
    outputs = [_output(dossiers.of(unit), number, changed[unit]) for unit, number in sorted(numbers.items())]
    outbox.add(connection, NAME, outputs)
    return outputs


def _behind(units: Collection[Unit], facts: Facts) -> set[Unit]:
    """These units, and all that took over from one of them."""
    found: set[Unit] = set()
    further = list(units)
    while further:
        unit = further.pop()
        if unit not in found:
            found.add(unit)
            further += [each.other for each in facts.said.get(unit, ()) if each.other is not None]
    return found


def _output(dossier: Dossier, number: int, covers: list[Covered]) -> Output:
    recorded_at = max(_times(dossier))
    identifier = derived_id(recorded_at, "coverage", *dossier.unit, str(number))
    told = CoverageChanged(
        source=NAME,
        id=identifier,
        company=dossier.unit.company,
        item=dossier.unit.item,
        serial=dossier.unit.serial,
        number=number,
        recorded_at=recorded_at,
        coverage=covers,
    )
    return Output(COVERAGE_CHANGED, NAME, identifier, write(told))


def _times(dossier: Dossier) -> list[datetime]:
    cancelled = (each.cancelled_at for each in dossier.moves if each.cancelled_at is not None)
    facts: list[Move | Said] = [*dossier.moves, *dossier.said, *dossier.replaces]
    return [*(each.recorded_at for each in facts), *cancelled]
