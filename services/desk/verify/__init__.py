"""Verifying: whether all that is kept fits together, and which rows do not.

The one idea: everything is looked at as it was at one moment, in one transaction that changes nothing and locks
nothing, while the services go on. What is on its way from one to the next at that moment is no finding. A check is one
line in `CHECKS`: a name, what must hold, and a function that yields what does not.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from services.desk.verify.bodies import messages_say_what_rows_say
from services.desk.verify.booked import journal_follows_from_the_ledger
from services.desk.verify.chains import chains_hold
from services.desk.verify.checking import OF_COMPANY, Check, Finding, Scope
from services.desk.verify.guards import guards_stand
from services.desk.verify.inboxes import nothing_comes_from_nowhere
from services.desk.verify.makings import makings_are_as_told
from services.desk.verify.money import accounts_hold_the_stock, transfers_are_whole, values_are_rounded
from services.desk.verify.periods import nothing_is_booked_on_closed_days
from services.desk.verify.recalls import recalled_is_what_recalls_are_about
from services.desk.verify.replaying import bins_are_what_they_come_to
from services.desk.verify.reservations import reserved_is_what_is_kept_back
from services.desk.verify.serials import units_are_counted, units_are_in_one_place
from services.desk.verify.stamps import journal_is_numbered, stamps_have_no_gaps
from services.desk.verify.sums import entries_add_up, gate_and_ledger_agree
from services.desk.verify.unattended import nothing_is_left_alone
from services.desk.verify.units import units_are_covered_by_their_facts
from shared.contracts.codec import Malformed
from shared.db import query, run
from shared.errors import InvariantBroken, StockbookError

__all__ = ["CHECKS", "Check", "Finding", "Looked", "Scope", "chosen", "count_entries", "hold_still", "verify"]

_HOLD_STILL = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# There is much to look through, and between two statements much to reckon. Sorting goes to disk beyond this memory.
_BE_PATIENT = """
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('work_mem', '64MB', true)
"""
_NOW = "SELECT now() AS now"
_UNREADABLE = (InvariantBroken, Malformed, ArithmeticError, LookupError, ValueError, TypeError)
_ENTRIES = f"SELECT count(*) AS entries FROM ledger.entry WHERE {OF_COMPANY.format('')}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a check, and how long it took; `more`: there are further findings."""

    check: Check
    findings: Sequence[Finding]
    more: bool
    seconds: float


def hold_still(connection: Connection, company: str | None, limit: int, late: timedelta) -> Scope:
    """Have a transaction that has read nothing yet see all as it is now, and change nothing; what is looked at."""
    run(connection, _HOLD_STILL)
    run(connection, _BE_PATIENT)
    now = query(connection, _NOW)[0].now
    return Scope(company, limit, now, now - late)


def chosen(names: Collection[str], *, quick: bool) -> list[Check]:
    """The checks of these names, or all; `quick`: none that is thorough. StockbookError for a name that none has."""
    unknown = set(names) - {each.name for each in CHECKS}
    if unknown:
        known = ", ".join(each.name for each in CHECKS)
        raise StockbookError("no such check", names=", ".join(sorted(unknown)), known=known)
    return [each for each in CHECKS if (not names or each.name in names) and not (quick and each.is_thorough)]


def verify(connection: Connection, scope: Scope, checks: Sequence[Check]) -> Iterator[Looked]:
    """Carry out checks, each as far as there is something to tell; the transaction was made to hold still."""
    for check in checks:
        began = time.monotonic()
        findings: list[Finding] = []
        more = False
        for finding in _run(check, connection, scope):
            if len(findings) == scope.limit:
                more = True
                break
            findings.append(finding)
        yield Looked(check, findings, more, time.monotonic() - began)


def _run(check: Check, connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What a check finds; one that meets what it cannot even read says so, and the others go on."""
    try:
        yield from check.run(connection, scope)
    except _UNREADABLE as error:
        yield Finding(check.name, {}, "check", "comes to its end", repr(error))


def count_entries(connection: Connection, scope: Scope) -> int:
    """How many ledger entries are looked at."""
    entries: int = query(connection, _ENTRIES, company=scope.company)[0].entries
    return entries


CHECKS: Sequence[Check] = (
    Check("guards", "triggers fire, their functions are as they were made, constraints hold", guards_stand),
    Check("inboxes", "each service has what the one before it told, and books it once", nothing_comes_from_nowhere),
    Check(
        "stamps",
        "the movements of each bin are numbered without gaps, at the gate and in the ledger",
        stamps_have_no_gaps,
    ),
    Check("sums", "bins and batches hold what their entries add up to", entries_add_up),
    Check("stock", "gate and ledger hold the same quantities", gate_and_ledger_agree),
    Check("serials", "the stock of serials is their count, in both services the same ones", units_are_counted),
    Check("stays", "each serial is in one place at a time, and its way has no hole", units_are_in_one_place),
    Check("reservations", "what is reserved is what reservations keep back", reserved_is_what_is_kept_back),
    Check("recalls", "what is recalled is what recalls in force are about", recalled_is_what_recalls_are_about),
    Check("values", "value is worth, rounded to the minor unit", values_are_rounded),
    Check("accounts", "stock accounts hold what stock is worth", accounts_hold_the_stock),
    Check("transfers", "journal entries consist of whole transfers: debits equal credits", transfers_are_whole),
    Check("makings", "what was made of what is as the gate told it and the ledger posted it", makings_are_as_told),
    Check("numbers", "journal entries are numbered without gaps", journal_is_numbered),
    Check("periods", "nothing was booked on a closed day", nothing_is_booked_on_closed_days),
    Check("chains", "every entry is as its link says, and the links are unbroken", chains_hold, is_thorough=True),
    Check("unattended", "nothing waits, is stuck, dirty or parked, or not booked, for long", nothing_is_left_alone),
    Check(
        "messages",
        "what was told of entries and journals stands in their rows",
        messages_say_what_rows_say,
        is_thorough=True,
    ),
    Check(
        "journal",
        "every journal entry follows from what the ledger told",
        journal_follows_from_the_ledger,
        is_thorough=True,
    ),
    Check(
        "units",
        "by what units are covered follows from what is known of them",
        units_are_covered_by_their_facts,
        is_thorough=True,
    ),
    Check("replay", "every bin comes to what is told of it", bins_are_what_they_come_to, is_thorough=True),
)
"""All checks, in the order in which they are carried out: one more is one line more."""
