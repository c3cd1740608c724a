"""Aftercare's units: by what each is covered follows from its facts, and no fact comes from nowhere."""

from collections.abc import Iterator
from itertools import groupby

from sqlalchemy import Connection

from services.aftercare.decide.coverage import coverage
from services.aftercare.store.cover import covered, told_coverage, untold
from services.aftercare.store.facts import all_dossiers
from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope, asking, key_of, shown
from shared.contracts.aftercare import Covered

_OF = OF_COMPANY.format("")

_UNKNOWN_MOVES = f"""
SELECT company, item, serial, source, id, 'accepted' AS what, 'by the gate' AS expected, NULL AS found
FROM aftercare.move WHERE {_OF} AND NOT EXISTS (
    SELECT FROM receiving.accepted WHERE (accepted.source, accepted.id) = (move.source, move.id))
"""
_UNANSWERED = f"""
SELECT source, id, 'answer' AS what, 'accepted' AS expected,
    CASE answer.accepted WHEN true THEN 'accepted' WHEN false THEN 'rejected' END AS found
FROM aftercare.statement FULL JOIN aftercare.answer USING (source, id, company)
WHERE {_OF} AND (statement.kind IS NULL) = coalesce(answer.accepted, false)
"""
_facts_come_from_somewhere = asking(
    Question("aftercare.move", _UNKNOWN_MOVES), Question("aftercare.statement", _UNANSWERED)
)


def units_are_covered_by_their_facts(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What was told last of each unit's coverage is what its facts come to; its facts were accepted."""
    yield from _facts_come_from_somewhere(connection, scope)
    found = all_dossiers(connection, scope.company, None, None)
    for dossiers, page in groupby(found, lambda each: each[1]):
        units = [unit for unit, _ in page]
        told = told_coverage(connection, units)
        left = untold(connection, units)
        for unit in (each for each in units if each not in left):
            expected = [covered(each) for each in coverage(unit, dossiers)]
            if expected != told[unit]:
                key = key_of("company item serial", unit)
                yield Finding("aftercare.cover", key, "coverage", _words(expected), _words(told[unit]))


def _words(covers: list[Covered]) -> str:
    told = (f"{each.reference} {each.starts_on} to {each.ends_on or 'the end of time'}" for each in covers)
    return shown(", ".join(told))
