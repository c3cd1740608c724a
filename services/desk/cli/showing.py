"""What commands print for people: lines, and tables narrowed to what fits a screen; `writing` has the other forms."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.table import Table
from sqlalchemy import Connection

from services.desk.cli.reconciling import VERDICTS, reconciled_lines
from services.desk.cli.writing import listing
from services.desk.listening import Outcome, is_tried
from services.desk.reporting import REPORTS, reason_text
from shared.contracts.manifest import SourceReconciled
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected
from shared.contracts.stock import PostedEntry
from shared.contracts.trial import OutcomeTried
from shared.printable import printable
from shared.quantities import plain
from shared.report import Column, Filters, Kind, Report, Row, read_report, records, table

SERIALS_SHOWN = 4

LOOK: dict[str, Any] = {"title_justify": "left", "title_style": "bold"}


def say(lines: Iterable[str], out: TextIO | None = None) -> None:
    """Print lines, each on one line and without any effect, whatever somebody wrote into them."""
    (out or sys.stdout).writelines(f"{printable(line)}\n" for line in lines)


def only(report: Report, connection: Connection, filters: Filters, names: str) -> Table:
    """A report with some of its columns."""
    places = {column.name: place for place, column in enumerate(report.columns)}
    kept = [places[name] for name in names.split()]
    rows = [[row[place] for place in kept] for row in read_report(report, connection, filters)]
    return _table(report.title, [report.columns[place] for place in kept], rows)


def batches(connection: Connection, filters: Filters, day: date) -> Table:
    """What there is of every batch, and whether it may still be sold on a day."""
    names = "item batch warehouse quantity value expires_on".split()
    report = REPORTS["batch-balance"]
    columns = [column for name in names for column in report.columns if column.name == name]
    found = records(report, connection, filters)
    rows = [[*(row[name] for name in names), _state(row, day)] for row in found if row["quantity"]]
    return _table(f"{report.title}, on {day}", [*columns, Column("state")], rows)


def journal(connection: Connection, filters: Filters) -> Table:
    """The journal, movement by movement; lines of one account and side are shown as one.

    What a revaluation corrects stands for itself, under the movement's name.
    """
    amounts: dict[tuple[Any, ...], Decimal] = {}
    for row in records(REPORTS["journal"], connection, filters):
        side = "debit" if row["debit"] else "credit"
        key = row["posting_date"], row["source"], row["id"], row["revaluation"], side, row["account"]
        amounts[key] = amounts.get(key, Decimal(0)) + row[side]
    columns = (
        Column("date", Kind.DATE),
        Column("movement"),
        Column("account"),
        Column("debit", Kind.MONEY),
        Column("credit", Kind.MONEY),
    )
    rows: list[Row] = []
    seen = None
    for (day, source, identifier, revaluation, side, account), amount in sorted(
        amounts.items(), key=_in_order(amounts)
    ):
        first = (source, identifier, revaluation) != seen
        seen = source, identifier, revaluation
        debit, credit = (amount, None) if side == "debit" else (None, amount)
        shown = account if side == "debit" else f"   {account}"
        name = f"{identifier}, corrected" if revaluation else identifier
        rows.append((day if first else None, name if first else None, shown, debit, credit))
    return _table("Journal", columns, rows)


def changes(connection: Connection, filters: Filters) -> Table:
    """What became known of stock, entry by entry as it takes effect: what happened, and what followed from it."""
    columns = (
        Column("date", Kind.DATE),
        Column("movement"),
        Column("what"),
        Column("item"),
        Column("warehouse"),
        Column("quantity", Kind.QUANTITY),
        Column("value", Kind.MONEY),
    )
    found = sorted(records(REPORTS["changes"], connection, filters), key=lambda row: row["effective_at"])
    names = "item warehouse quantity value".split()
    rows = [(row["posting_date"], row["id"], _meant(row), *(row[name] for name in names)) for row in found]
    return _table("What became known of stock", columns, rows)


def balances_then(connection: Connection, filters: Filters, known_before: datetime, title: str) -> tuple[Table, bool]:
    """The balances as of a time, as they were known before and as they are known now; whether they are the same."""
    report = REPORTS["trial-balance"]
    then, now = (
        {row["account"]: row["balance"] for row in records(report, connection, replace(filters, known_at=known_at))}
        for known_at in (known_before, None)
    )
    columns = (Column("account"), Column("as_known_before", Kind.MONEY), Column("as_known_now", Kind.MONEY))
    rows = [(account, then.get(account), now.get(account)) for account in sorted(then.keys() | now.keys())]
    return _table(f"{report.title}, {title}", columns, rows), then == now


def allocation(allocated: Allocated) -> str:
    """What a line took or made: `36 CREAM-ROSE in WORKSHOP, batch ROSE-2025-019`."""
    told = f"{plain(allocated.quantity)} {allocated.item} in {allocated.warehouse}"
    made = "new " if allocated.generated else ""
    return told + _tracked(allocated.batch, allocated.serials, made)


def verdict(outcome: Outcome) -> str:
    """Accepted or rejected; of a dry run, what it would be; of a manifest, how it compares."""
    if isinstance(outcome, SourceReconciled):
        return VERDICTS[outcome.result]
    told = "rejected" if isinstance(outcome, OutcomeRejected) else "accepted"
    return f"would be {told}" if is_tried(outcome) else told


def outcome_lines(outcome: Outcome) -> list[str]:
    """What came of a movement, a definition or a manifest: what it was given, or every reason why it was refused.

    Of a dry run also what would have been posted and booked.
    """
    return [f"{verdict(outcome)} {outcome.source} {outcome.id}", *(f"  {line}" for line in _about(outcome))]


def remarks(outcome: OutcomeAccepted) -> list[str]:
    """What the source of an accepted movement should know, a line each."""
    return [f"note: {reason_text(each.code, each.line, each.facts)}" for each in outcome.remarks]


def _about(outcome: Outcome) -> Iterator[str]:
    if isinstance(outcome, OutcomeRejected):
        yield from (reason_text(reason.code, reason.line, reason.facts) for reason in outcome.reasons)
        return
    if isinstance(outcome, SourceReconciled):
        yield from reconciled_lines(outcome)
        return
    accepted = outcome.outcome if isinstance(outcome, OutcomeTried) else outcome
    yield from map(allocation, accepted.allocated)
    yield from remarks(accepted)
    if isinstance(outcome, OutcomeTried):
        yield from _posted(outcome)


def _posted(tried: OutcomeTried) -> Iterator[str]:
    """The ledger entries and the journal of a dry run."""
    yield f"stock ledger, {tried.currency}" if tried.entries else "nothing to post"
    yield from (f"  {_entry(entry)}" for entry in tried.entries)
    yield f"journal, {tried.currency}" if tried.transfers else "nothing to book"
    yield from (f"  debit {each.debit}, credit {each.credit}: {_money(each.amount)}" for each in tried.transfers)


def _entry(entry: PostedEntry) -> str:
    """A change of stock and of its value: `-36 CREAM-ROSE in WORKSHOP, batch ROSE-2025-019: -86.40`."""
    sign = "+" if entry.quantity > 0 else ""
    told = f"{sign}{plain(entry.quantity)} {entry.item} in {entry.warehouse}"
    sign = "+" if entry.value > 0 else ""
    return f"{told}{_tracked(entry.batch, entry.serials)}: {sign}{_money(entry.value)}"


def _tracked(batch: str | None, serials: Sequence[str], made: str = "") -> str:
    """The batch, and the first of the serials, behind a comma each."""
    told = f", {made}batch {batch}" if batch is not None else ""
    if serials:
        more = len(serials) - SERIALS_SHOWN
        told += f", {made}serials {', '.join(serials[:SERIALS_SHOWN])}"
        told += f" and {more} more" if more > 0 else ""
    return told


def _money(amount: Decimal) -> str:
    """An amount with its thousands grouped and two places at least."""
    whole, _, rest = plain(amount).partition(".")
    return f"{whole if whole == '-0' else f'{int(whole):,}'}.{rest.ljust(2, '0')}"


def _meant(row: dict[str, Any]) -> str:
    """What an entry is there for: its purpose, or what it corrects."""
    if row["corrects_id"] is None:
        return str(row["purpose"]).replace("_", " ")
    if row["corrects_id"] == row["id"]:
        return "corrected"
    verb = {"cancellation": "cancels", "landed_cost": "revalues"}.get(row["purpose"], "changes")
    return f"{verb} {row['corrects_id']}"


def _in_order(amounts: dict[tuple[Any, ...], Decimal]) -> Any:
    """Journal entries in the order in which they came, debits before credits."""
    first: dict[tuple[Any, ...], int] = {}
    for place, key in enumerate(amounts):
        first.setdefault(key[:4], place)
    return lambda item: (first[item[0][:4]], item[0][4] == "credit")


def _state(row: dict[str, Any], day: date) -> str:
    expired = row["expires_on"] is not None and row["expires_on"] < day
    return "expired" if expired else str(row["state"])


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    return table(listing(title, columns), rows, **LOOK)
