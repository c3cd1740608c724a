"""Comparing what came of a scenario with what was recorded: a line of text for each difference.

The idea: both sides are folded into the same small tables (net amounts by movement and account, quantities and values
by movement and bin), so that only results are compared, never how many rows it took to get there. Whatever changes an
entry later on is counted with the movement of that entry: what is recorded is how a movement ended.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import add
from typing import Any

from services.desk.conform.scenario import Rows, Scenario
from shared.quantities import ZERO, plain, to_money

DIGITS = 2

Cells = tuple[Decimal, ...]
Table = dict[tuple[str, ...], Cells]
Records = Mapping[tuple[str, ...], Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class Actual:
    """What came of a scenario. `rejected` gives the reasons by movement; `silent` are those without any outcome.

    The rows are those of the reports, by column name: stock-ledger, journal, stock-balance, batch-balance,
    batch-status, serial-status.
    """

    rejected: Mapping[str, str] = field(default_factory=dict)
    silent: Sequence[str] = ()
    stock_ledger: Rows = ()
    journal: Rows = ()
    balances: Rows = ()
    batch_balances: Rows = ()
    batches: Rows = ()
    serials: Rows = ()


def differences(scenario: Scenario, counted_with: Mapping[str, str], actual: Actual) -> list[str]:
    """What differs from the record, section by section; nothing: the scenario passes."""
    expected = scenario.expected
    by_batch = _named_by_batch(expected.get("stock_ledger", ()))
    counts = {each["id"] for each in scenario.movements if each.get("purpose") == "stock_reconciliation"}
    owners = _owners(actual.stock_ledger, counted_with)
    return [
        *_outcomes(expected.get("rejected", ()), actual),
        *_amounts(
            "journal", ("net",), _recorded_journal(expected.get("journal", ())), _journal(actual, owners, counted_with)
        ),
        *_amounts(
            "stock_ledger",
            ("qty", "value"),
            _recorded_ledger(expected.get("stock_ledger", ()), by_batch, counts),
            _ledger(actual, owners, by_batch),
        ),
        *_amounts("balances", ("qty", "value"), _recorded_balances(expected, "balances"), _balances(actual.balances)),
        *_amounts(
            "batch_balances",
            ("qty", "value"),
            _recorded_balances(expected, "batch_balances"),
            _balances(actual.batch_balances, "batch"),
        ),
        *_batches(expected.get("batches", ()), actual.batches),
        *_serials(expected, actual.serials),
    ]


def _outcomes(recorded: Rows, actual: Actual) -> Iterator[str]:
    expected = {row["movement"]: row["reason"] for row in recorded}
    for movement, reason in expected.items():
        if movement not in actual.rejected and movement not in actual.silent:
            yield f"{movement} was accepted, expected rejected ({reason})"
    for movement, reasons in actual.rejected.items():
        if movement not in expected:
            yield f"{movement} was rejected ({reasons}), expected accepted"
    for movement in actual.silent:
        yield f"{movement} has no outcome"


def _owners(rows: Rows, counted_with: Mapping[str, str]) -> dict[str, str]:
    """The movement with which each ledger entry is counted.

    An entry that belongs to another one's total is counted as that one is; what revalues another movement, with that.
    """
    by_entry = {row["entry"]: row for row in rows}

    def owner(row: Mapping[str, Any]) -> str:
        while (whole := by_entry.get(row["part_of"])) is not None:
            row = whole
        movement = row["corrects_id"] if row["revaluation"] and row["corrects_id"] else row["id"]
        return counted_with.get(movement, movement)

    return {entry: owner(row) for entry, row in by_entry.items()}


def _recorded_journal(rows: Rows) -> Table:
    return _summed(((row["movement"], row["role"]), (_net(row),)) for row in rows)


def _journal(actual: Actual, owners: Mapping[str, str], counted_with: Mapping[str, str]) -> Table:
    """What is booked; what books no ledger entry is money, and counts with its movement."""
    return _summed(
        (
            (owners.get(str(row["ledger_entry"]), counted_with.get(row["id"], row["id"])), row["account"]),
            (row["debit"] - row["credit"],),
        )
        for row in actual.journal
    )


def _net(row: Mapping[str, Any]) -> Decimal:
    return Decimal(row["debit"]) - Decimal(row["credit"])


def _recorded_ledger(rows: Rows, by_batch: frozenset[tuple[str, ...]], counts: set[str]) -> Table:
    """The recorded entries; a plain count, recorded with quantity 0, has the change of `qty_after` in its bin."""
    left: dict[tuple[str, str], Decimal] = {}
    found = []
    for row in rows:
        quantity = Decimal(row["qty"])
        place = row["item"], row["warehouse"]
        after = Decimal(row.get("qty_after", left.get(place, ZERO) + quantity))
        if quantity == 0 and row["movement"] in counts:
            quantity = after - left.get(place, ZERO)
        left[place] = after
        key = (row["movement"], *place)
        found.append((_with_batch(key, row, by_batch), (quantity, _to_cent(row["value_change"]))))
    return _summed(found)


def _ledger(actual: Actual, owners: Mapping[str, str], by_batch: frozenset[tuple[str, ...]]) -> Table:
    found = []
    for row in actual.stock_ledger:
        key = owners[row["entry"]], row["item"], row["warehouse"]
        found.append((_with_batch(key, row, by_batch), (row["quantity"], row["value"])))
    return _summed(found)


def _named_by_batch(rows: Rows) -> frozenset[tuple[str, ...]]:
    """The movements in bins of which every recorded row names its batch; the others are summed over batches."""
    named: dict[tuple[str, ...], bool] = {}
    for row in rows:
        key = row["movement"], row["item"], row["warehouse"]
        named[key] = named.get(key, True) and bool(row.get("batch"))
    return frozenset(key for key, all_named in named.items() if all_named)


def _with_batch(key: tuple[str, ...], row: Mapping[str, Any], by_batch: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    return (*key, row["batch"] or "") if key in by_batch else key


def _recorded_balances(expected: Mapping[str, Any], section: str) -> Table:
    names = ("item", "warehouse", "batch") if section == "batch_balances" else ("item", "warehouse")
    return _summed(
        (tuple(row[name] for name in names), (Decimal(row["qty"]), _to_cent(row["value"])))
        for row in expected.get(section, ())
    )


def _balances(rows: Rows, *further: str) -> Table:
    names = ("item", "warehouse", *further)
    return _summed((tuple(row[name] for name in names), (row["quantity"], row["value"])) for row in rows)


def _batches(recorded: Rows, rows: Rows) -> Iterator[str]:
    expected: Records = {(row["item"], row["batch"]): {"expiry": row["expiry"]} for row in recorded}
    actual: Records = {(row["item"], row["batch"]): {"expiry": _text(row["expires_on"])} for row in rows}
    yield from _records("batches", expected, actual)


def _serials(expected: Mapping[str, Any], rows: Rows) -> Iterator[str]:
    """Of very many serials only some are recorded, and their count."""
    recorded: Records = {(row["item"], row["serial"]): _recorded_serial(row) for row in expected.get("serials", ())}
    actual: Records = {(row["item"], row["serial"]): _serial(row) for row in rows}
    count = expected.get("serials_count")
    if count is not None:
        if int(count) != len(actual):
            yield f"serials: expected {count} of them, got {len(actual)}"
        actual = {key: record for key, record in actual.items() if key in recorded}
    yield from _records("serials", recorded, actual)


def _recorded_serial(row: Mapping[str, Any]) -> Mapping[str, str | None]:
    status = row["status"].lower() or "inactive"
    return {"status": status, **{name: row.get(name) for name in ("warehouse", "batch", "warranty_expiry", "customer")}}


def _serial(row: Mapping[str, Any]) -> Mapping[str, str | None]:
    return {
        "status": row["status"],
        "warehouse": row["warehouse"],
        "batch": row["batch"],
        "warranty_expiry": _text(row["warranty_until"]),
        "customer": row["customer"],
    }


def _records(section: str, expected: Records, actual: Records) -> Iterator[str]:
    """Records compared field by field."""
    for key in sorted(expected.keys() | actual.keys()):
        name = f"{section} {' '.join(key)}"
        if key not in actual:
            yield f"{name}: expected, not there"
        elif key not in expected:
            yield f"{name}: not expected, is there"
        else:
            pairs = ((field, wanted, actual[key][field]) for field, wanted in expected[key].items())
            yield from (
                f"{name}: expected {field} {wanted}, got {got}" for field, wanted, got in pairs if wanted != got
            )


def _amounts(section: str, names: Sequence[str], expected: Table, actual: Table) -> Iterator[str]:
    """Amounts compared; what is not there is zero."""
    zeros = tuple(ZERO for _ in names)
    for key in sorted(expected.keys() | actual.keys()):
        wanted, got = expected.get(key, zeros), actual.get(key, zeros)
        if wanted != got:
            yield f"{section} {' '.join(key)}: expected {_told(names, wanted)}, got {_told(names, got)}"


def _told(names: Sequence[str], cells: Cells) -> str:
    return " ".join(f"{name} {plain(cell)}" for name, cell in zip(names, cells, strict=True))


def _summed(rows: Iterable[tuple[tuple[str, ...], Cells]]) -> Table:
    """Sums by key; what is zero throughout is left out."""
    sums: Table = {}
    for key, cells in rows:
        sums[key] = tuple(map(add, sums[key], cells)) if key in sums else cells
    return {key: cells for key, cells in sums.items() if any(cells)}


def _to_cent(value: str) -> Decimal:
    return to_money(Decimal(value), DIGITS)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
