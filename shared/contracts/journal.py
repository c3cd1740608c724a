"""What accounting tells: a journal entry, as a set of transfers; and those that correct earlier ones."""

from datetime import date

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Text, Time
from shared.quantities import Money


class JournalTransfer(Contract, frozen=True, kw_only=True):
    """An amount (above zero) from the credited to the debited account; `entry` is the stock ledger entry it books."""

    debit: Code
    credit: Code
    amount: Money
    line: int | None = None
    entry: str | None = None


class JournalPosted(Contract, frozen=True, kw_only=True):
    """The journal entry of one movement; balanced, since it consists of transfers. It has none where value is zero."""

    journal_entry: str
    source: SourceName
    id: Identifier
    company: Code
    currency: Code
    purpose: Code
    effective_at: Time
    recorded_at: Time
    posting_date: date
    document: Text | None = None
    transfers: list[JournalTransfer]
    trace: str | None = None


class JournalRevalued(Contract, frozen=True, kw_only=True):
    """The journal entries of one piece of revaluation, one for each movement that it corrects.

    `source` and `id` are those of the revaluation. Each of `entries` has source, id and purpose of the movement that it
    corrects, and a name of its own.
    """

    source: SourceName
    id: Identifier
    company: Code
    recorded_at: Time
    entries: list[JournalPosted]
    trace: str | None = None
