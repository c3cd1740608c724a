"""Masters in PostgreSQL: read for judging, and written, a set of one kind at a time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from services.receiving.decide.accounts import accounts_named, holds_stock
from services.receiving.decide.masters import Known
from services.receiving.decide.stock import Company, Item, Warehouse
from services.receiving.store.periods import lock_books
from shared.contracts import masters
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, query, run
from shared.purposes import AccountKind, BatchState, Method, Pick, Role, Tracking
from shared.quantities import currency_digits

_COMPANIES = """
SELECT company, currency, time_zone, perpetual, lateness, greatest(open_from, closed_through + 1) AS open_from,
    issue_expired, roles
FROM receiving.company WHERE company = ANY(:company) ORDER BY company
"""
_LOCKED_COMPANIES = f"{_COMPANIES} FOR SHARE"
# A definition of accounts waits for the movements that book to them, and they for the definition.
_COMPANIES_TO_DEFINE = f"{_COMPANIES} FOR NO KEY UPDATE"
_ACCOUNTS = """
SELECT company, account, kind, 'defined' AS whose FROM receiving.account WHERE company = ANY(:company)
UNION ALL
SELECT DISTINCT company, account, NULL, 'stock' FROM receiving.warehouse WHERE company = ANY(:company)
UNION ALL
SELECT company, account, NULL, 'booked' FROM receiving.booked_account WHERE company = ANY(:company)
"""
_NOTE_BOOKED = """
INSERT INTO receiving.booked_account (company, account)
SELECT * FROM unnest(cast(:company AS text[]), cast(:account AS text[])) ON CONFLICT (company, account) DO NOTHING
"""
_ITEM_COLUMNS = """
company, item, unit, units, whole_units, tracking, serial_series, batch_series, create_batches_on_receipt,
valuation_method, standard_rate, shelf_life_days, warranty_days, pick, allow_negative_stock, reuse_serials, disabled
"""
_ITEMS = f"""
SELECT {_ITEM_COLUMNS} FROM receiving.item
WHERE (company, item) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[])))
ORDER BY company, item
"""
# A definition of an item waits for the movements that are being decided by it, and they for the definition.
_LOCKED_ITEMS = f"{_ITEMS} FOR SHARE"
_ITEMS_TO_DEFINE = f"{_ITEMS} FOR UPDATE"
_WAREHOUSES = """
SELECT company, warehouse, kind, account FROM receiving.warehouse WHERE warehouse = ANY(:warehouse)
ORDER BY company, warehouse FOR SHARE
"""
_WAREHOUSES_TO_DEFINE = _WAREHOUSES.replace("FOR SHARE", "FOR UPDATE")
_ITEMS_MOVED = """
SELECT DISTINCT company, item FROM receiving.bin
WHERE last_stamp > 0 AND (company, item) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[])))
"""
_COMPANIES_MOVED = """
SELECT company, (SELECT item FROM receiving.bin WHERE bin.company = each.company AND last_stamp > 0 LIMIT 1) AS item
FROM unnest(cast(:company AS text[])) AS each (company)
"""
_WAREHOUSES_MOVED = """
SELECT DISTINCT company, warehouse FROM receiving.bin
WHERE last_stamp > 0
  AND (company, warehouse) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:warehouse AS text[])))
"""
_BATCH_STATES = """
SELECT company, item, batch, state FROM receiving.batch
WHERE (company, item, batch) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[])))
ORDER BY company, item, batch FOR UPDATE
"""


def load_companies(
    connection: Connection, codes: Iterable[str], *, locked: bool = True, to_define: bool = False
) -> dict[str, Company]:
    """Companies with their accounts, locked against being defined anew or for defining these, unless only looked at."""
    wanted = sorted(set(codes))
    statement = _LOCKED_COMPANIES if locked else _COMPANIES
    rows = query(connection, _COMPANIES_TO_DEFINE if to_define else statement, company=wanted)
    accounts: dict[str, list[Row[Any]]] = {row.company: [] for row in rows}
    for row in query(connection, _ACCOUNTS, company=list(accounts)):
        accounts[row.company].append(row)
    return {row.company: _company(row, accounts[row.company]) for row in rows}


def _company(row: Row[Any], accounts: Sequence[Row[Any]]) -> Company:
    return Company(
        row.company,
        row.currency,
        currency_digits(row.currency),
        row.time_zone,
        row.perpetual,
        timedelta(seconds=row.lateness),
        row.open_from,
        row.issue_expired,
        {Role(role): account for role, account in row.roles.items()},
        {each.account: AccountKind(each.kind) for each in accounts if each.whose == "defined"},
        frozenset(each.account for each in accounts if each.whose == "stock"),
        frozenset(each.account for each in accounts if each.whose == "booked"),
    )


def note_booked(connection: Connection, companies: Mapping[str, Company], told: Iterable[MovementAllocated]) -> None:
    """Keep to which accounts accepted movements book, beside those of stock; nearly always that is known already."""
    new = {
        (each.company, account)
        for each in told
        if each.perpetual
        for account in accounts_named(each)
        if account not in companies[each.company].booked and not holds_stock(companies[each.company], account)
    }
    if new:
        run(connection, _NOTE_BOOKED, **columns(sorted(new), "company account"))


def load_items(
    connection: Connection, keys: Iterable[tuple[str, str]], *, locked: bool = True, to_define: bool = False
) -> dict[tuple[str, str], Item]:
    """Items, locked against being defined anew or for defining them, unless they are only looked at."""
    statement = _LOCKED_ITEMS if locked else _ITEMS
    rows = query(connection, _ITEMS_TO_DEFINE if to_define else statement, **columns(sorted(set(keys)), "company item"))
    return {(row.company, row.item): _item(row) for row in rows}


def _item(row: Row[Any]) -> Item:
    return Item(
        row.company,
        row.item,
        row.unit,
        {unit: Decimal(factor) for unit, factor in row.units.items()},
        row.whole_units,
        Tracking(row.tracking),
        row.serial_series,
        row.batch_series,
        row.create_batches_on_receipt,
        Method(row.valuation_method),
        row.standard_rate,
        row.shelf_life_days,
        row.warranty_days,
        Pick(row.pick),
        row.allow_negative_stock,
        row.reuse_serials,
        row.disabled,
    )


def load_warehouses(
    connection: Connection, codes: Iterable[str], *, to_define: bool = False
) -> dict[tuple[str, str], Warehouse]:
    """The warehouses of these codes, of every company, locked against being defined anew, or for defining them."""
    statement = _WAREHOUSES_TO_DEFINE if to_define else _WAREHOUSES
    rows = query(connection, statement, warehouse=sorted(set(codes)))
    return {(row.company, row.warehouse): Warehouse(row.company, row.warehouse, row.kind, row.account) for row in rows}


def load_known(connection: Connection, definitions: Sequence[masters.Master]) -> Known:
    """What a set of definitions, all of one kind, is judged by."""
    stated = [msgspec.structs.asdict(_trimmed(each)) for each in definitions]
    items = sorted({(each["company"], each["item"]) for each in stated if "item" in each})
    warehouses = sorted(
        {(each["company"], each["warehouse"]) for each in stated if "warehouse" in each and "item" not in each}
    )
    batches = sorted({(each["company"], each["item"], each["batch"]) for each in stated if each.get("batch")})
    companies = [each["company"] for each in stated if "company" in each]
    known = Known(books=lock_books(connection, definitions))
    if warehouses:
        _load_warehouse_facts(connection, known, warehouses)
    of_accounts = bool(warehouses) or any(isinstance(each, masters.AccountsDefined) for each in definitions)
    known.companies = load_companies(connection, companies, to_define=of_accounts)
    if items:
        known.items = load_items(connection, items, to_define=True)
        moved = query(connection, _ITEMS_MOVED, **columns(items, "company item"))
        known.items_moved = {(row.company, row.item) for row in moved}
    elif companies:
        moved = query(connection, _COMPANIES_MOVED, company=sorted(set(companies)))
        known.items_moved = {(row.company, row.item) for row in moved if row.item is not None}
    if batches:
        rows = query(connection, _BATCH_STATES, **columns(batches, "company item batch"))
        known.batches = {(row.company, row.item, row.batch): BatchState(row.state) for row in rows}
    return known


def _trimmed(definition: masters.Master) -> masters.Master:
    """A definition with the numbers of its batch and serial as movements name them: trimmed, and blank is none."""
    match definition:
        case masters.SerialDefined(serial=serial, batch=batch):
            batch = (batch or "").strip() or None
            return msgspec.structs.replace(definition, serial=serial.strip(), batch=batch)
        case masters.BatchDefined(batch=batch) | masters.BatchHeld(batch=batch) | masters.BatchReleased(batch=batch):
            return msgspec.structs.replace(definition, batch=batch.strip())
    return definition


def _load_warehouse_facts(connection: Connection, known: Known, keys: Sequence[tuple[str, str]]) -> None:
    found = load_warehouses(connection, [warehouse for _, warehouse in keys], to_define=True)
    known.warehouse_accounts = {key: each.account for key, each in found.items()}
    rows = query(connection, _WAREHOUSES_MOVED, **columns(keys, "company warehouse"))
    known.warehouses_moved = {(row.company, row.warehouse) for row in rows}


_SAVE_COMPANY = """
INSERT INTO receiving.company
    (company, name, currency, time_zone, perpetual, lateness, open_from, issue_expired)
VALUES (:company, :name, :currency, :time_zone, :perpetual, :lateness, :open_from, :issue_expired)
ON CONFLICT (company) DO UPDATE SET
    name = excluded.name, currency = excluded.currency, time_zone = excluded.time_zone, perpetual = excluded.perpetual,
    lateness = excluded.lateness, open_from = excluded.open_from, issue_expired = excluded.issue_expired
"""
_SAVE_ACCOUNTS = """
INSERT INTO receiving.account (company, account, name, kind)
SELECT :company, * FROM unnest(cast(:account AS text[]), cast(:name AS text[]), cast(:kind AS text[]))
ON CONFLICT (company, account) DO UPDATE SET name = excluded.name, kind = excluded.kind
"""
_SAVE_ROLES = """
UPDATE receiving.company SET roles = cast(cast(roles AS jsonb) || cast(:roles AS jsonb) AS json)
WHERE company = :company
"""
_SAVE_SOURCE = """
INSERT INTO receiving.source (source, mode, patience, user_name) VALUES (:source, :mode, :patience, :user)
ON CONFLICT (source) DO UPDATE SET
    mode = excluded.mode, patience = excluded.patience, user_name = excluded.user_name
"""
_SAVE_ITEM = """
INSERT INTO receiving.item (
    company, item, name, unit, units, whole_units, tracking, serial_series, batch_series, create_batches_on_receipt,
    valuation_method, standard_rate, shelf_life_days, warranty_days, pick, allow_negative_stock, reuse_serials,
    disabled, gtin, reorder_level, reorder_quantity, attributes)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:name AS text[]), cast(:unit AS text[]),
    cast(:units AS json[]), cast(:whole_units AS boolean[]), cast(:tracking AS text[]), cast(:serial_series AS text[]),
    cast(:batch_series AS text[]), cast(:create_batches_on_receipt AS boolean[]), cast(:valuation_method AS text[]),
    cast(:standard_rate AS numeric[]), cast(:shelf_life_days AS integer[]), cast(:warranty_days AS integer[]),
    cast(:pick AS text[]), cast(:allow_negative_stock AS boolean[]), cast(:reuse_serials AS boolean[]),
    cast(:disabled AS boolean[]), cast(:gtin AS text[]),
    cast(:reorder_level AS numeric[]), cast(:reorder_quantity AS numeric[]), cast(:attributes AS json[]))
ON CONFLICT (company, item) DO UPDATE SET
    name = excluded.name, unit = excluded.unit, units = excluded.units, whole_units = excluded.whole_units,
    tracking = excluded.tracking, serial_series = excluded.serial_series, batch_series = excluded.batch_series,
    create_batches_on_receipt = excluded.create_batches_on_receipt, valuation_method = excluded.valuation_method,
    standard_rate = excluded.standard_rate, shelf_life_days = excluded.shelf_life_days,
    warranty_days = excluded.warranty_days, pick = excluded.pick, allow_negative_stock = excluded.allow_negative_stock,
    reuse_serials = excluded.reuse_serials, disabled = excluded.disabled, gtin = excluded.gtin,
    reorder_level = excluded.reorder_level, reorder_quantity = excluded.reorder_quantity,
    attributes = excluded.attributes
"""
_SAVE_WAREHOUSE = """
INSERT INTO receiving.warehouse (company, warehouse, name, parent, kind, account)
SELECT * FROM unnest(cast(:company AS text[]), cast(:warehouse AS text[]), cast(:name AS text[]),
    cast(:parent AS text[]), cast(:kind AS text[]), cast(:account AS text[]))
ON CONFLICT (company, warehouse) DO UPDATE SET
    name = excluded.name, parent = excluded.parent, kind = excluded.kind, account = excluded.account
"""
_SAVE_BATCH = """
INSERT INTO receiving.batch
    (company, item, batch, manufactured_on, manufactured_at, expires_on, supplier, supplier_batch, attributes)
SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[]),
    cast(:manufactured_on AS date[]), cast(:manufactured_at AS text[]), cast(:expires_on AS date[]),
    cast(:supplier AS text[]), cast(:supplier_batch AS text[]), cast(:attributes AS json[]))
ON CONFLICT (company, item, batch) DO UPDATE SET
    manufactured_on = excluded.manufactured_on, manufactured_at = excluded.manufactured_at,
    expires_on = excluded.expires_on, supplier = excluded.supplier, supplier_batch = excluded.supplier_batch,
    attributes = excluded.attributes
"""
_SAVE_SERIAL = """
INSERT INTO receiving.serial (company, item, serial, status, batch, supplier, warranty_until, end_of_life, attributes)
SELECT company, item, serial, 'inactive', batch, supplier, warranty_until, end_of_life, attributes FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:batch AS text[]),
    cast(:supplier AS text[]), cast(:warranty_until AS date[]), cast(:end_of_life AS date[]),
    cast(:attributes AS json[]))
    AS each (company, item, serial, batch, supplier, warranty_until, end_of_life, attributes)
ON CONFLICT (company, item, serial) DO UPDATE SET
    batch = coalesce(excluded.batch, serial.batch), supplier = coalesce(excluded.supplier, serial.supplier),
    warranty_until = coalesce(excluded.warranty_until, serial.warranty_until),
    end_of_life = coalesce(excluded.end_of_life, serial.end_of_life),
    attributes = cast(cast(serial.attributes AS jsonb) || cast(excluded.attributes AS jsonb) AS json)
"""
_SAID_COLUMNS = "company, item, serial, recorded_at, batch, supplier, warranty_until"
_SAVE_STATE = """
UPDATE receiving.batch SET state = :state WHERE (company, item, batch) = ((SELECT :company), :item, :batch)
"""


def save_definitions(connection: Connection, definitions: Sequence[masters.Master], at: datetime) -> None:
    """Write definitions of one kind, accepted at a time; of one noun defined twice the last counts."""
    if definitions:
        trimmed = [_trimmed(each) for each in definitions]
        _SAVERS[type(definitions[0])](connection, trimmed)
        _note_said(connection, [each for each in trimmed if isinstance(each, masters.SerialDefined)], at)


def _note_said(connection: Connection, definitions: Iterable[masters.SerialDefined], at: datetime) -> None:
    """Keep what was said of serials: should a movement be cancelled that said otherwise, it holds again."""
    told = ((each, (each.batch, each.supplier, each.warranty_until)) for each in definitions)
    said = ((each.company, each.item, each.serial, at, *fields) for each, fields in told if any(fields))
    copy(connection, "receiving.serial_said", _SAID_COLUMNS, said)


def _save_companies(connection: Connection, definitions: Sequence[masters.CompanyDefined]) -> None:
    for each in definitions:
        run(connection, _SAVE_COMPANY, **msgspec.structs.asdict(each))


def _save_accounts(connection: Connection, definitions: Sequence[masters.AccountsDefined]) -> None:
    for each in definitions:
        rows = {account.account: (account.account, account.name, account.kind.value) for account in each.accounts}
        lists = columns(sorted(rows.values()), "account name kind")
        run(connection, _SAVE_ACCOUNTS, company=each.company, **lists)
        run(connection, _SAVE_ROLES, company=each.company, roles=write(each.roles).decode())


def _save_sources(connection: Connection, definitions: Sequence[masters.SourceDefined]) -> None:
    for each in definitions:
        run(connection, _SAVE_SOURCE, **msgspec.structs.asdict(each))


def _save_states(connection: Connection, definitions: Sequence[masters.BatchHeld | masters.BatchReleased]) -> None:
    for each in definitions:
        state = BatchState.HELD if isinstance(each, masters.BatchHeld) else BatchState.FREE
        run(connection, _SAVE_STATE, state=state.value, company=each.company, item=each.item, batch=each.batch)


def _save_nothing(connection: Connection, definitions: Sequence[masters.Master]) -> None:
    """Closings and reopenings are written with what is told of them, in `store.periods`."""


def _upsert(statement: str, key: str, names: str) -> Any:
    """A saver that writes structs' fields as lists; dicts become JSON."""

    def save(connection: Connection, definitions: Sequence[masters.Master]) -> None:
        latest = {tuple(getattr(each, name) for name in key.split()): each for each in definitions}
        rows = [[_cell(getattr(latest[each], name)) for name in names.split()] for each in sorted(latest)]
        run(connection, statement, **columns(rows, names))

    return save


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return write(value).decode()
    return value


_SAVERS: Mapping[type, Any] = {
    masters.CompanyDefined: _save_companies,
    masters.AccountsDefined: _save_accounts,
    masters.SourceDefined: _save_sources,
    masters.ItemDefined: _upsert(
        _SAVE_ITEM,
        "company item",
        "company item name unit units whole_units tracking serial_series batch_series create_batches_on_receipt "
        "valuation_method standard_rate shelf_life_days warranty_days pick allow_negative_stock reuse_serials disabled "
        "gtin reorder_level reorder_quantity attributes",
    ),
    masters.WarehouseDefined: _upsert(
        _SAVE_WAREHOUSE, "company warehouse", "company warehouse name parent kind account"
    ),
    masters.BatchDefined: _upsert(
        _SAVE_BATCH,
        "company item batch",
        "company item batch manufactured_on manufactured_at expires_on supplier supplier_batch attributes",
    ),
    masters.SerialDefined: _upsert(
        _SAVE_SERIAL,
        "company item serial",
        "company item serial batch supplier warranty_until end_of_life attributes",
    ),
    masters.BatchHeld: _save_states,
    masters.BatchReleased: _save_states,
    masters.PeriodClosed: _save_nothing,
    masters.PeriodReopened: _save_nothing,
}
