"""Who may speak for a source, and who may say who that is.

A source whose definition names a `user` is believed only of messages which the broker says that this account has sent.
Whoever could define the source could name another: so only administrators define sources, where there are any; where
there are none, a source that has a user is defined again by that user alone.
"""

from shared.contracts.masters import SourceDefined
from shared.errors import Reason
from shared.senders import RESERVED, Senders, speaks_for

__all__ = ["RESERVED", "Senders", "against_definer", "speaks_for", "take_over"]


def against_definer(definition: object, user: str | None, senders: Senders) -> list[Reason]:
    """Why an account may not define what it defines: it is a source, and none of its own."""
    if not isinstance(definition, SourceDefined):
        return []
    if user in senders.administrators if senders.administrators else speaks_for(user, definition.source, senders):
        return []
    return [Reason("not_your_source", None, {"source": definition.source, "user": user or "unknown"})]


def take_over(definition: object, senders: Senders) -> None:
    """A definition that was accepted counts for those after it."""
    if isinstance(definition, SourceDefined):
        senders.users.pop(definition.source, None)
        if definition.user is not None:
            senders.users[definition.source] = definition.user
