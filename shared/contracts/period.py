"""Closing and reopening the books: what the gate tells accounting, and what accounting tells of its locks.

The closings and reopenings of a company are numbered together, 1, 2, 3, without gaps: they take effect in this order,
in whatever order they come.
"""

from datetime import date

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Text, Time


class PeriodClosing(Contract, frozen=True, kw_only=True):
    """The gate has closed the books of a company: it accepts nothing more that takes effect on a closed day.

    `number` numbers the company's closings and reopenings. `through` is the last closed day, and `ends_at` the moment
    at which it ends. `recorded_at` is not before that of any movement accepted until then.
    """

    source: SourceName
    id: Identifier
    company: Code
    number: int
    through: date
    ends_at: Time
    actor: Text
    reason: Text = ""
    recorded_at: Time
    trace: str | None = None


class PeriodReopening(Contract, frozen=True, kw_only=True):
    """The gate has reopened the books of a company, from a day on.

    `number` numbers the company's closings and reopenings. `open_from` is the first open day.
    """

    source: SourceName
    id: Identifier
    company: Code
    number: int
    open_from: date
    actor: Text
    reason: Text
    recorded_at: Time
    trace: str | None = None


class PeriodLocked(Contract, frozen=True, kw_only=True):
    """Closed books are locked: all that was accepted before is booked and numbered; no closed day changes any more.

    `source` and `id` are those of the closing, and `number` its number in the company. `through` is the last locked
    day. `recorded_at` is when the books were closed, and `locked_at` when that was found complete. `actor` is who
    closed them.
    """

    source: SourceName
    id: Identifier
    company: Code
    number: int
    through: date
    recorded_at: Time
    locked_at: Time
    actor: Text
    reason: Text = ""


class PeriodUnlocked(Contract, frozen=True, kw_only=True):
    """Closed books are open again in accounting, from a day on: what is booked there may change until the next lock.

    `source` and `id` are those of the reopening, and `number` its number in the company. `open_from` is the first open
    day. `recorded_at` is when the books were reopened. `actor` is who reopened them.
    """

    source: SourceName
    id: Identifier
    company: Code
    number: int
    open_from: date
    recorded_at: Time
    actor: Text
    reason: Text
