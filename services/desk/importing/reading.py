"""A table from its first row to its last: what can be sent is staged, and all that is wrong is found on the way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection

from services.desk.importing.cells import Ways
from services.desk.importing.columns import Field, Subject
from services.desk.importing.completing import Rows, against, complete
from services.desk.importing.faults import Fault
from services.desk.importing.opening import Documents
from services.desk.importing.rows import Data, RowReader, check
from services.desk.importing.staging import Staging
from services.desk.importing.tables import Table
from shared.contracts.movement import MESSAGE_LIMIT

AT_ONCE = 500


@dataclass(slots=True)
class Found:
    """How many rows were read, and what is wrong with which."""

    rows: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make of a table. `given` are values for columns that it lacks; `connection` is there where a database is.

    `completes`: what it has no column for stays as it is kept. `judges`: definitions are judged as things are now.
    """

    subject: Subject
    fields: list[Field]
    given: Mapping[str, str]
    ways: Ways
    connection: Connection | None = None
    completes: bool = False
    judges: bool = False


def read_rows(table: Table, plan: Plan, staging: Staging, read: Callable[[int], None]) -> Found:
    """Read all rows into `staging`; `read` is called with how many more were read."""
    found = Found()
    reader = RowReader(plan.subject, plan.fields, plan.given, plan.ways)
    documents = Documents()
    while chunk := list(islice(table.rows, AT_ONCE)):
        good: list[tuple[int, Data]] = []
        for number, cells in chunk:
            data, faults = reader.read(number, cells)
            if faults:
                found.faults += faults
                documents.refuse(number, data)
            else:
                good.append((number, data))
        found.faults += _open(good, documents) if not plan.subject.key else _define(good, plan, staging)
        found.rows += len(chunk)
        read(len(chunk))
    found.faults += _movements(documents, plan, staging)
    return found


def _define(rows: Rows, plan: Plan, staging: Staging) -> Iterator[Fault]:
    if plan.connection is not None and plan.completes:
        rows = complete(plan.connection, plan.subject, plan.fields, rows)
    faults = [fault for number, data in rows for fault in check(plan.subject, number, data)]
    bad = {each.row for each in faults}
    rows = [each for each in rows if each[0] not in bad]
    if plan.connection is not None and plan.judges:
        faults += against(plan.connection, plan.subject, rows)
        bad = {each.row for each in faults}
    for number, data in rows:
        if number not in bad:
            staging.add_definition(number, data)
    yield from faults


def _open(rows: Rows, documents: Documents) -> Iterator[Fault]:
    for number, data in rows:
        yield from documents.add(number, data)


def _movements(documents: Documents, plan: Plan, staging: Staging) -> Iterator[Fault]:
    for each in documents.movements():
        if isinstance(each, Fault):
            yield each
            continue
        faults = check(plan.subject, each.row_of(None, None), each.data)
        if not faults and not staging.add_movement(each):
            message = f"the document is more than a message may be, {MESSAGE_LIMIT} bytes: cut it into several"
            faults = [Fault(each.row_of(None, None), "", "too_large", "", message)]
        yield from faults
