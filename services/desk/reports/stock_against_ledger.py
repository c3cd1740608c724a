"""Stock against General Ledger: what stock is worth by the stock ledger, and what its accounts say.

By stock account, of companies that book every movement at once. The two are kept by different services; `difference` is
nothing but what is on its way between them, or else an error, which `stockbook verify` explains.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, ON_DAY, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("account"),
    Column("warehouses"),
    Column("stock_value", Kind.MONEY),
    Column("account_balance", Kind.MONEY),
    Column("difference", Kind.MONEY),
    Column("currency"),
)
_SELECT = f"""
WITH held AS (
    SELECT company, account, string_agg(warehouse, ', ' ORDER BY warehouse) AS warehouses FROM receiving.warehouses
    GROUP BY company, account
), stock AS (
    SELECT company, account, sum(value) AS value
    FROM ({{stock}}) AS bin JOIN (SELECT company, warehouse, account FROM receiving.warehouses) AS place
        USING (company, warehouse)
    GROUP BY company, account
), balance AS ({{balance}})
SELECT company, account, warehouses, coalesce(stock.value, 0) AS stock_value,
    coalesce(balance.balance, 0) AS account_balance,
    coalesce(stock.value, 0) - coalesce(balance.balance, 0) AS difference, currency
FROM held JOIN (SELECT company, currency, perpetual FROM receiving.companies) AS books USING (company)
LEFT JOIN stock USING (company, account) LEFT JOIN balance USING (company, account)
WHERE perpetual AND {matching("company account")} AND (stock.company IS NOT NULL OR balance.company IS NOT NULL)
ORDER BY company, account
"""
_NOW = _SELECT.format(
    stock="SELECT company, warehouse, value FROM ledger.stock_balance",
    balance="SELECT company, account, balance FROM accounting.trial_balance",
)
_THEN = _SELECT.format(
    stock=f"""
        SELECT company, warehouse, sum(value) AS value FROM ledger.stock_ledger
        WHERE {matching("company")} AND {BY_THEN} AND {ON_DAY} GROUP BY company, warehouse
    """,
    balance=f"""
        SELECT company, account, sum(debit - credit) AS balance FROM accounting.debit_credit
        WHERE {matching("company account")} AND {BY_THEN} AND {ON_DAY} GROUP BY company, account
    """,
)


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())


REPORT = Report(
    name="stock-against-ledger",
    title="Stock against General Ledger",
    columns=COLUMNS,
    takes=("company", "account", "on", "as_of", "known_at"),
    read=_read,
)
