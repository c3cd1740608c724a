"""Patience: which refusals may only be early, what such a movement lacks, and when it is tried again.

Upstreams report out of order: a sale may come before the receipt of its goods. A movement refused for nothing else than
what may still be on its way waits; whoever brings what it lacks makes it due, and it is tried at growing intervals
all the same. After its source's patience it is rejected, with the reasons of the last try.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.outcome import Refusal
from shared.patience import next_try

Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wait:
    """A movement that waits: what it lacks, when it is tried next, when its source's patience ends."""

    lacks: tuple[str, ...]
    due_at: datetime
    deadline: datetime


def wait_for(
    reasons: Iterable[Refusal], company: str | None, since: datetime, patience: timedelta, now: datetime
) -> Wait | None:
    """How long a refused movement waits, None where it is refused for good; it came `since`."""
    lacks: list[str] = []
    for reason in reasons:
        lacked = _LACKS[reason.code](company or "", reason.facts) if reason.code in _LACKS else []
        if not lacked:
            return None
        lacks += lacked
    due_at = next_try(since, patience, now)
    return None if due_at is None else Wait(tuple(sorted(set(lacks))), due_at, since + patience)


def company_key(company: str) -> str:
    """What a movement of an unknown company lacks."""
    return f"company:{company}"


def item_key(company: str, item: str) -> str:
    """What a movement of an unknown item lacks."""
    return f"item:{company}:{item}"


def account_key(company: str, account: str) -> str:
    """What a movement, or a warehouse, of an unknown account lacks."""
    return f"account:{company}:{account}"


def gtin_key(company: str, gtin: str) -> str:
    """What a movement of an unknown GTIN lacks."""
    return f"gtin:{company}:{gtin}"


def warehouse_key(warehouse: str) -> str:
    """What a movement in an unknown warehouse lacks."""
    return f"warehouse:{warehouse}"


def batch_key(company: str, item: str, batch: str) -> str:
    """What a movement of an unknown batch lacks."""
    return f"batch:{company}:{item}:{batch}"


def stock_key(company: str, item: str, warehouse: str) -> str:
    """What a movement lacks that takes more than there is, or a serial that is not there."""
    return f"stock:{company}:{item}:{warehouse}"


def leaving_key(company: str, item: str, serial: str) -> str:
    """What a receipt lacks whose serial still stands in stock: that it leaves."""
    return f"leaving:{company}:{item}:{serial}"


def movement_key(source: str, identifier: str) -> str:
    """What a cancellation lacks whose original is not known."""
    return f"movement:{source}:{identifier}"


def reservation_key(source: str, identifier: str) -> str:
    """What a movement lacks against a reservation that is not known, or who gives one up."""
    return f"reservation:{source}:{identifier}"


def count_key(source: str, identifier: str) -> str:
    """What somebody lacks who counts for a count that is not known, or ends one."""
    return f"count:{source}:{identifier}"


def recall_key(source: str, identifier: str) -> str:
    """What somebody lacks who notes something of a recall that is not known, or closes it."""
    return f"recall:{source}:{identifier}"


_LACKS: Mapping[str, Callable[[str, Facts], list[str]]] = {
    "unknown_reservation": lambda _, facts: [reservation_key(facts["source"], facts["id"])],
    "unknown_count": lambda _, facts: [count_key(facts["source"], facts["id"])],
    "unknown_recall": lambda _, facts: [recall_key(facts["source"], facts["id"])],
    "unknown_company": lambda _, facts: [company_key(facts["company"])],
    "company_missing": lambda _, facts: [warehouse_key(code) for code in facts["warehouses"].split(", ") if code],
    "unknown_account": lambda company, facts: [account_key(company, facts["account"])],
    "unknown_item": lambda company, facts: [item_key(company, facts["item"])],
    "unknown_scan": lambda company, facts: [f"scan:{company}:{facts['scan']}"],
    "unknown_gtin": lambda company, facts: [gtin_key(company, facts["gtin"])],
    "unknown_warehouse": lambda _, facts: [warehouse_key(facts["warehouse"])],
    "unknown_batch": lambda company, facts: [batch_key(company, facts["item"], facts["batch"])],
    "unknown_serial": lambda company, facts: [stock_key(company, facts["item"], facts["warehouse"])],
    "serial_not_here": lambda company, facts: [stock_key(company, facts["item"], facts["warehouse"])],
    "serial_in_stock": lambda company, facts: [leaving_key(company, facts["item"], facts["serial"])],
    "insufficient_stock": lambda company, facts: [stock_key(company, facts["item"], facts["warehouse"])],
    "posting_in_future": lambda _, facts: [f"time:{facts['posting_at']}"],
    "unknown_original": lambda _, facts: [movement_key(facts["source"], facts["id"])],
}
"""What a refusal waits for, by its code; a code that is not here is final at once."""
