"""Gross Margin of Sales: what each line brought in, what its goods had cost, and what is left.

Income is what is booked to accounts of the kind income, cost what is booked to the account of the role
`cost_of_goods_sold`: the two columns add up to these accounts, whatever is booked there. So a delivery that is billed
elsewhere has a cost and no income, a service income and no cost, and what a shortage or a purchase return put right
later stands under the movement that did. What a later revaluation changed counts on its own day.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from shared.db import stream
from shared.purposes import PURPOSES, ROLE_KINDS, AccountKind, Flow, Role
from shared.quantities import product, rate_of, to_places
from shared.report import BY_THEN, IN_DAYS, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("posting_date", Kind.DATE),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("item"),
    Column("quantity", Kind.QUANTITY),
    Column("income", Kind.MONEY),
    Column("cost", Kind.MONEY),
    Column("margin", Kind.MONEY),
    Column("margin_percent", Kind.RATE),
    Column("currency"),
)
_NAMES = "company, posting_date, source, id, purpose, document, line"
# The journal pairs debits with credits, whatever lines they belong to: which income is whose stands in the movement.
# An account of a role needs no definition; one that is defined is what its definition says.
_SELECT = f"""
WITH books AS (
    SELECT company, currency, roles FROM receiving.companies WHERE {matching("company")}
), played AS (
    SELECT company, coalesce(roles ->> role, role) AS account, role <> :cost AS is_income
    FROM books CROSS JOIN unnest(cast(:roles AS text[])) AS role
), counted AS (
    SELECT company, account, coalesce(kind = 'income', played.is_income) AS is_income,
        coalesce(NOT played.is_income, false) AS is_cost
    FROM receiving.accounts FULL JOIN played USING (company, account)
), sale AS (
    SELECT company, posting_date, source, id, purpose, document, cast(convert_from(allocated, 'UTF8') AS json) AS told
    FROM accounting.journal JOIN books USING (company)
    JOIN (SELECT source, id, allocated FROM receiving.allocated) AS movement USING (source, id)
    WHERE ordinal = 1 AND revaluation IS NULL AND purpose = ANY(:sales) AND {BY_THEN} AND {IN_DAYS}
), side AS (
    SELECT sale.*, cast(part ->> 'line' AS integer) AS line, part ->> 'account' AS account,
        sign * cast(part ->> 'amount' AS numeric) AS amount
    FROM sale CROSS JOIN (VALUES ('credits', 1), ('debits', -1)) AS sided (name, sign)
    CROSS JOIN LATERAL json_array_elements(told -> 'money' -> name) AS part
), brought AS (
    SELECT {_NAMES}, (
            SELECT min(leg ->> 'item') FROM json_array_elements(told -> 'legs') AS leg
            WHERE cast(leg ->> 'line' AS integer) = line
        ) AS item, cast(NULL AS numeric) AS quantity, amount AS income, 0 AS cost
    FROM side JOIN counted USING (company, account) WHERE is_income
), booked AS (
    SELECT {_NAMES}, ledger_entry, sum(debit - credit) AS cost
    FROM accounting.debit_credit JOIN counted USING (company, account) JOIN books USING (company)
    WHERE {BY_THEN} AND {IN_DAYS} AND is_cost
    GROUP BY {_NAMES}, ledger_entry
), spent AS (
    SELECT {_NAMES}, item, CASE WHEN purpose = ANY(:sales) THEN -quantity END AS quantity, 0 AS income, cost
    FROM booked LEFT JOIN (SELECT company, entry_id AS ledger_entry, item, quantity FROM ledger.stock_ledger) AS entry
        USING (company, ledger_entry)
)
SELECT {_NAMES}, min(item) AS item, sum(quantity) AS quantity, sum(income) AS income, sum(cost) AS cost, currency
FROM (SELECT * FROM brought UNION ALL SELECT * FROM spent) AS part JOIN books USING (company)
GROUP BY {_NAMES}, currency
HAVING (cast(:item AS text) IS NULL OR min(item) = :item)
    AND (sum(income) <> 0 OR sum(cost) <> 0 OR sum(quantity) <> 0)
ORDER BY company, posting_date, source, id, line
"""
_MEANINGS: dict[str, Any] = {
    "cost": Role.COST_OF_GOODS_SOLD.value,
    "roles": [
        Role.COST_OF_GOODS_SOLD.value,
        *(each.value for each, kind in ROLE_KINDS.items() if kind is AccountKind.INCOME),
    ],
    "sales": [
        each.name for each in PURPOSES.values() if each.to_customer or each.flow in (Flow.COME_BACK, Flow.CANCEL)
    ],
}
_PERCENT = Decimal(100)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for row in stream(connection, _SELECT, **_MEANINGS, **filters.given()):
        margin = row.income - row.cost
        percent = to_places(product(rate_of(margin, row.income), _PERCENT), 2) if row.income else None
        about = (row.company, row.posting_date, row.source, row.id, row.purpose, row.document, row.line)
        yield (*about, row.item, row.quantity, row.income, row.cost, margin, percent, row.currency)


REPORT = Report(
    name="gross-margin",
    title="Gross Margin of Sales",
    columns=COLUMNS,
    takes=("company", "item", "from_day", "to_day", "as_of", "known_at"),
    read=_read,
)
