"""Who may speak for a source: the account that its definition names, as far as it names one.

A source whose definition names a `user` is believed only of messages which the broker says that this account has sent.
Nobody is believed under a name under which the services themselves speak.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

RESERVED = ("receiving", "ledger", "accounting", "aftercare")
"""Names under which the services themselves speak: the ledger tells revaluations as a source of its own name."""


@dataclass(slots=True)
class Senders:
    """The users that sources have, of those that were asked for, and the accounts of the administrators."""

    users: dict[str, str] = field(default_factory=dict)
    administrators: Collection[str] = ()


def speaks_for(user: str | None, source: str, senders: Senders) -> bool:
    """Whether what an account sent is believed to be of this source; None is an account that nobody knows."""
    return senders.users.get(source, user) == user
