"""Entries that movements name: what is told of them, their serials' costs, and what came back of them.

The one idea: an entry and all that is part of it are read together, in the order in which they were made; whatever was
cancelled counts for nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection

from services.ledger.decide.originals import Original
from services.ledger.decide.state import State, originals_of, undone_by
from services.ledger.decide.told import Told
from services.ledger.store.rows import booked_amounts, fetch
from shared.contracts.movement import MovementAllocated
from shared.db import columns
from shared.purposes import Tracking
from shared.quantities import ZERO

Name = tuple[str, str]
"""An entry, with its company before it."""
Back = tuple[str, str, str, str]
"""A serial that comes back: company, item, serial, and the entry by which it left."""

_ENTRIES = "unnest(cast(:company AS text[]), cast(:entry AS uuid[])) AS given (company, entry_id)"
_NOT_CANCELLED = """
NOT EXISTS (SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = ({0}.source, {0}.id))
"""
# What a count finds later on is booked to its own account whole: of the count it is a part like any other.
_TOLD = f"""
SELECT cast(given.entry_id AS text), value, worth, cast(booked AS text), true_up, rate, cast(own.entry_id AS text),
    revaluation
FROM {_ENTRIES} JOIN ledger.entry AS own USING (company, entry_id)
UNION ALL
SELECT cast(given.entry_id AS text), value, worth, CASE WHEN quantity = 0 THEN cast(booked AS text) END, true_up,
    rate, cast(part.entry_id AS text), revaluation
FROM {_ENTRIES} JOIN ledger.entry AS part ON (part.company, part.part_of) = (given.company, given.entry_id)
ORDER BY 8
"""
_COSTS_TOLD = """
SELECT cast(entry_id AS text), serial, cost FROM ledger.entry_serial
WHERE (company, entry_id) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])))
"""
# What revalued it, with all that corrected that; and how much came back of it.
_LATER = f"""
SELECT cast(given.entry_id AS text), abs(own.quantity), own.stamp, coalesce(sum(known.value), 0),
    coalesce(sum(known.worth), 0), coalesce(sum(known.returned), 0)
FROM {_ENTRIES} JOIN ledger.entry AS own USING (company, entry_id)
LEFT JOIN LATERAL (
    SELECT CASE WHEN quantity = 0 THEN later.value + corrected.value END AS value,
        CASE WHEN quantity = 0 THEN later.worth + corrected.worth END AS worth, abs(quantity) AS returned
    FROM ledger.entry AS later CROSS JOIN LATERAL (
        SELECT coalesce(sum(part.value), 0) AS value, coalesce(sum(part.worth), 0) AS worth
        FROM ledger.entry AS part WHERE (part.company, part.part_of) = (later.company, later.entry_id)
    ) AS corrected
    WHERE (later.company, later.original) = (given.company, given.entry_id) AND {_NOT_CANCELLED.format("later")}
) AS known ON true
GROUP BY given.entry_id, own.quantity, own.stamp
"""
_PARTS_OF_IT = """
ARRAY(SELECT given.entry_id UNION ALL SELECT part.entry_id FROM ledger.entry AS part
    WHERE (part.company, part.part_of) = (given.company, given.entry_id))
"""
# What all serials of an entry cost in it, and those among them that came back.
_COSTS = f"""
SELECT cast(given.entry_id AS text), own.cost, own.returned_cost
FROM {_ENTRIES} CROSS JOIN LATERAL (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(cost) FILTER (WHERE came_back), 0) AS returned_cost
    FROM (
        SELECT DISTINCT ON (serial) serial, cost FROM ledger.entry_serial JOIN ledger.entry USING (company, entry_id)
        WHERE company = given.company AND entry_id = ANY({_PARTS_OF_IT}) ORDER BY serial, revaluation DESC
    ) AS latest LEFT JOIN (
        SELECT DISTINCT back.serial, true AS came_back
        FROM ledger.entry AS later JOIN ledger.entry_serial AS back USING (company, entry_id)
        WHERE (later.company, later.original) = (given.company, given.entry_id) AND later.quantity <> 0
            AND {_NOT_CANCELLED.format("later")}
    ) AS returned USING (serial)
) AS own
"""
# A serial is looked up in its own history: an entry may have a hundred thousand of them.
_COSTS_IN_ENTRIES = """
SELECT DISTINCT ON (given.entry_id, serial) cast(given.entry_id AS text), serial, cost
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:entry AS uuid[])
) AS given (company, item, serial, entry_id)
JOIN ledger.entry_serial AS own USING (company, item, serial)
JOIN ledger.entry ON (entry.company, entry.entry_id) = (own.company, own.entry_id)
WHERE own.entry_id = given.entry_id OR entry.part_of = given.entry_id
ORDER BY given.entry_id, serial, revaluation DESC
"""


def read_originals(connection: Connection, movements: Iterable[MovementAllocated], state: State) -> None:
    """The entries that movements name; those that are not posted yet may be so in the same set."""
    names: set[Name] = set()
    back: list[Back] = []
    undone: set[Name] = set()
    for movement in movements:
        undone |= {(movement.company, entry) for entry in undone_by(movement)}
        named = originals_of(movement)
        for leg in movement.legs if named else ():
            if leg.original is not None and leg.original in named:
                names.add((movement.company, leg.original))
            if leg.original in named and leg.tracking is Tracking.SERIAL and leg.quantity > 0:
                back += [(movement.company, leg.item, serial, leg.original) for serial in leg.serials]
    if names:
        state.originals.update((entry, None) for _, entry in names)
        state.originals.update(read_named(connection, names, back))
    if undone:
        state.told.update((entry, Told()) for _, entry in undone)
        state.told.update(read_told(connection, undone))


def read_named(connection: Connection, names: Collection[Name], back: Sequence[Back]) -> dict[str, Original]:
    """What is known of entries; of those of which serials come back, what these and all of them cost."""
    told = read_told(connection, names, with_costs=False)
    named: dict[str, Original] = {}
    for entry, quantity, stamp, *later in fetch(connection, _LATER, **columns(list(names), "company entry")):
        own = told.get(entry) or Told()
        corrected, corrected_worth, returned = later
        booked = sum(own.booked.values(), ZERO)
        named[entry] = Original(
            quantity, own.value, own.worth, booked, ZERO, {}, corrected, corrected_worth, returned, stamp=stamp
        )
    if back:
        _read_costs(connection, back, named)
    return named


def read_told(connection: Connection, entries: Collection[Name], *, with_costs: bool = True) -> dict[str, Told]:
    """What is told of entries, each given with its company; nothing of those that are not there, and have no parts."""
    told: dict[str, Told] = {}
    owners: dict[str, str] = {}
    rows = fetch(connection, _TOLD, **columns(list(entries), "company entry")) if entries else ()
    for entry, value, worth, booked, true_up, rate, part, _ in rows:
        of_leg = told.setdefault(entry, Told())
        of_leg.add(value, worth, booked_amounts(booked), {}, true_up=true_up)
        of_leg.rate = of_leg.rate if rate is None else rate
        owners[part] = entry
    if owners and with_costs:
        companies = {company for company, _ in entries}
        wanted = [(company, part) for company in companies for part in owners]
        costs: dict[str, dict[str, Decimal]] = {}
        for part, serial, cost in fetch(connection, _COSTS_TOLD, **columns(wanted, "company entry")):
            costs.setdefault(part, {})[serial] = cost
        for part, entry in owners.items():
            told[entry].costs.update(costs.get(part, {}))
    return told


def _read_costs(connection: Connection, back: Sequence[Back], named: Mapping[str, Original]) -> None:
    """What serials that come back cost when they left, with all that left and came back with them."""
    entries = list({(company, entry) for company, _, _, entry in back})
    for entry, cost, returned_cost in fetch(connection, _COSTS, **columns(entries, "company entry")):
        if entry in named:
            named[entry].cost, named[entry].returned_cost = cost, returned_cost
    costs: dict[str, dict[str, Decimal]] = {}
    for entry, serial, cost in fetch(connection, _COSTS_IN_ENTRIES, **columns(back, "company item serial entry")):
        costs.setdefault(entry, {})[serial] = cost
    for entry, own in costs.items():
        if entry in named:
            named[entry].costs = own
