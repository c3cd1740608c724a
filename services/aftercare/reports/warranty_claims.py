"""Warranty Claim History: every claim, what was complained of, whether the unit was covered, and what came of it.

`covered` and `why` are what was decided when the claim was accepted. `covered_as_known` follows from all that is
known by the time that is asked for: a delivery that was told late, or cancelled, may have changed it.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.claims import Claim, claims
from services.aftercare.decide.coverage import best, coverage
from services.aftercare.store.asked import Asked, asked
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("claim"),
    Column("item"),
    Column("serial"),
    Column("customer"),
    Column("opened_at", Kind.TIME),
    Column("complaint"),
    Column("covered"),
    Column("why"),
    Column("covered_as_known"),
    Column("state"),
    Column("since", Kind.TIME),
    Column("resolution"),
    Column("resolved_at", Kind.TIME),
    Column("days_open", Kind.COUNT),
    Column("replacement"),
    Column("note"),
    Column("document"),
    Column("actor"),
    Column("source"),
    Column("id"),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        yield from (_row(each, claim) for claim in claims(each.dossier).values())


def _row(of: Asked, claim: Claim) -> Row:
    opened, complaint, decided = claim.opened, claim.complaint, claim.decided
    facts = decided.facts if decided is not None else {}
    why = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "day")
    ended = claim.resolved_at.astimezone(complaint.at.tzinfo).date() if claim.resolved_at is not None else of.day
    return (
        of.unit.company,
        complaint.claim,
        of.unit.item,
        of.unit.serial,
        complaint.customer,
        complaint.at,
        complaint.complaint,
        "yes" if claim.is_covered else "no",
        why,
        "yes" if best(coverage(of.unit, of.dossiers), opened.day) is not None else "no",
        claim.state.value,
        claim.since,
        claim.resolution.value if claim.resolution is not None else None,
        claim.resolved_at,
        (ended - opened.day).days,
        claim.replacement.serial if claim.replacement is not None else None,
        claim.note or None,
        complaint.document,
        complaint.actor,
        *opened.key,
    )


REPORT = Report(
    name="warranty-claims",
    title="Warranty Claim History",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
