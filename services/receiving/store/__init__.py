"""What receiving keeps in PostgreSQL: the inboxes, the masters, and the stock that allocation judges by."""

from services.receiving.store.availability import available

__all__ = ["available"]
