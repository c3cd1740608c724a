"""What a dry run is answered: everything that the movement would do, had it not only been tried."""

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Time
from shared.contracts.journal import JournalTransfer
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.stock import PostedEntry


class OutcomeTried(Contract, frozen=True, kw_only=True):
    """A movement was tried and would be accepted; it had no effect, and its id stays free.

    `recorded_at` is when it was tried. `outcome` is what its source would be told. `entries` are what the ledger would
    post, on the stock as it knew it then. `transfers` are what accounting would book.
    """

    source: SourceName
    id: Identifier
    company: Code
    currency: Code
    recorded_at: Time
    outcome: OutcomeAccepted
    entries: list[PostedEntry]
    transfers: list[JournalTransfer]
