"""What accounting tells: a journal entry, as a set of transfers."""

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
