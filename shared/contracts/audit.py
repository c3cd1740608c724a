"""What the ledger and accounting tell of their chains: the heads, for others to keep."""

from typing import Literal

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Time


class AuditHead(Contract, frozen=True, kw_only=True):
    """How far the chain of a company's entries has come: who keeps this elsewhere notices whatever is changed before.

    `source` and `id` name this head: the service that tells it, and what it tells. `chain` says which entries: those of
    the stock ledger, or those of the journal. `position` is that of the last link, and how many entries are covered.
    `hash` is that link's, in hexadecimal digits. `recorded_at` is when the latest of the covered entries was recorded.
    """

    source: SourceName
    id: Identifier
    company: Code
    chain: Literal["ledger", "journal"]
    position: int
    hash: str
    recorded_at: Time
