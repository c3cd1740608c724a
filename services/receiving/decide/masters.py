"""Definitions: what a master may say, given what is known and what its history forbids.

One function a kind of definition takes it with the facts that it needs and answers with the reasons against it, none
for an accepted one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.receiving.decide.accounts import account_of, holds_stock, serves
from services.receiving.decide.moment import business_day
from services.receiving.decide.periods import Books
from services.receiving.decide.senders import RESERVED
from services.receiving.decide.stock import NEVER, Company, Item
from shared.contracts import masters
from shared.errors import Reason
from shared.purposes import ROLE_KINDS, AccountKind, BatchState, Role, Tracking
from shared.quantities import ZERO

SERIES_LENGTH = 100
"""Numbers made from a longer pattern might not fit in an index."""


@dataclass(slots=True)
class Known:
    """What is known when definitions are judged; the accepted ones are added as they come.

    `items_moved` are items, and `warehouses_moved` warehouses, that have stock entries. `now` is the time of the
    decision, and `books` are those that are to be closed or reopened, of each company.
    """

    companies: dict[str, Company] = field(default_factory=dict)
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    items_moved: set[tuple[str, str]] = field(default_factory=set)
    warehouse_accounts: dict[tuple[str, str], str] = field(default_factory=dict)
    warehouses_moved: set[tuple[str, str]] = field(default_factory=set)
    batches: dict[tuple[str, str, str], BatchState] = field(default_factory=dict)
    books: dict[str, Books] = field(default_factory=dict)
    now: datetime = NEVER


def judge(definition: masters.Master, known: Known) -> list[Reason]:
    """The reasons against a definition; one without any is known to the definitions after it."""
    reasons = _JUDGES[type(definition)](definition, known)
    if not reasons:
        _take_over(definition, known)
    return reasons


def _take_over(definition: masters.Master, known: Known) -> None:
    match definition:
        case masters.AccountsDefined(company=company):
            known.companies[company] = _with_accounts(known.companies[company], definition)
        case masters.PeriodClosed(company=company, through=through):
            known.companies[company] = replace(known.companies[company], open_from=through + timedelta(days=1))
        case masters.PeriodReopened(company=company, open_from=open_from):
            known.companies[company] = replace(known.companies[company], open_from=open_from)


def _with_accounts(company: Company, definition: masters.AccountsDefined) -> Company:
    accounts = {each.account: each.kind for each in definition.accounts}
    return replace(company, accounts={**company.accounts, **accounts}, roles={**company.roles, **definition.roles})


def _company(definition: masters.CompanyDefined, known: Known) -> list[Reason]:
    reasons = []
    try:
        ZoneInfo(definition.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reasons.append(_reason("unknown_time_zone", time_zone=definition.time_zone))
    before = known.companies.get(definition.company)
    moved = any(company == definition.company for company, _ in known.items_moved)
    if before is not None and moved and before.currency != definition.currency:
        reasons.append(_reason("currency_fixed", currency=definition.currency, fixed=before.currency))
    if before is not None and moved and before.perpetual != definition.perpetual:
        reasons.append(_reason("perpetual_fixed", company=definition.company, fixed=str(before.perpetual).lower()))
    return reasons


def _accounts(definition: masters.AccountsDefined, known: Known) -> list[Reason]:
    company = known.companies.get(definition.company)
    if company is None:
        return [_reason("unknown_company", company=definition.company)]
    after = _with_accounts(company, definition)
    defined = {each.account: each.kind for each in definition.accounts}
    roles = {role: account_of(after, role) for role in Role}
    concerned = {role: code for role, code in roles.items() if role in definition.roles or code in defined}
    kinds = {**{role.value: kind for role, kind in ROLE_KINDS.items()}, **after.accounts}
    return [
        *(fault for account, kind in defined.items() if (fault := _kind_fault(company, account, kind))),
        *(fault for role, account in concerned.items() if (fault := _role_fault(role, account, kinds))),
        *_stock_faults(company, after, roles),
    ]


def _kind_fault(company: Company, account: str, kind: AccountKind) -> Reason | None:
    """Why an account cannot be of a kind: it holds stock, or what was booked to it was booked to another kind."""
    if account in company.stock_accounts and kind is not AccountKind.ASSET:
        return _reason("account_of_wrong_kind", account=account, kind=kind.value, wanted=AccountKind.ASSET.value)
    defaults = (ROLE_KINDS[role] for role in Role if role.value == account == account_of(company, role))
    before = company.accounts.get(account) or next(defaults, kind)
    if account in company.booked and kind is not before:
        return _reason("account_kind_fixed", account=account, fixed=before.value, wanted=kind.value)
    return None


def _role_fault(role: Role, account: str, kinds: Mapping[str, AccountKind]) -> Reason | None:
    """Why an account cannot play a role: it is not known, or is of another kind than the role needs."""
    if account not in kinds:
        return _reason("unknown_account", account=account, role=role.value)
    if not _suits(kinds[account], ROLE_KINDS[role]):
        facts = {"kind": kinds[account].value, "wanted": ROLE_KINDS[role].value}
        return _reason("account_of_wrong_kind", account=account, **facts)
    return None


def _stock_faults(before: Company, after: Company, roles: Mapping[Role, str]) -> Iterator[Reason]:
    """Why stock would not have its accounts for itself: another role has one, or its new one is for something else."""
    stock = roles[Role.STOCK]
    new = stock if stock != account_of(before, Role.STOCK) else None
    other = serves(after, new) if new is not None else None
    if other is not None:
        yield _reason("account_not_for_stock", account=stock, serves=other)
    for role, account in roles.items():
        if role is not Role.STOCK and account != new and holds_stock(after, account):
            yield _reason("account_holds_stock", account=account, role=role.value)


def _suits(kind: AccountKind, wanted: AccountKind) -> bool:
    """Stock is an asset; else it is enough that both are of the balance sheet, or both of profit and loss."""
    results = (AccountKind.INCOME, AccountKind.EXPENSE)
    return kind is wanted or (wanted is not AccountKind.ASSET and (kind in results) == (wanted in results))


def _source(definition: masters.SourceDefined, known: Known) -> list[Reason]:  # noqa: ARG001 - one shape for all
    return [_reason("source_reserved", source=definition.source)] if definition.source in RESERVED else []


def _item(definition: masters.ItemDefined, known: Known) -> list[Reason]:
    if definition.company not in known.companies:
        return [_reason("unknown_company", company=definition.company)]
    return [*_tracking_faults(definition), *_number_faults(definition), *_fixed_faults(definition, known)]


def _tracking_faults(definition: masters.ItemDefined) -> list[Reason]:
    reasons = []
    tracking = definition.tracking
    for name, series, own in (
        ("serial_series", definition.serial_series, Tracking.SERIAL),
        ("batch_series", definition.batch_series, Tracking.BATCH),
    ):
        if series is not None and tracking is not own:
            reasons.append(
                _reason("one_tracking_only", item=definition.item, tracking=tracking.value, **{name: series})
            )
        if series is not None and len(series) > SERIES_LENGTH:
            facts = {"item": definition.item, "length": str(len(series)), "limit": str(SERIES_LENGTH)}
            reasons.append(_reason("series_too_long", **facts))
    if definition.allow_negative_stock and tracking is not Tracking.NONE:
        reasons.append(_reason("negative_stock_of_tracked", item=definition.item, tracking=tracking.value))
    return reasons


def _number_faults(definition: masters.ItemDefined) -> list[Reason]:
    reasons = [
        _reason("unit_factor_not_positive", item=definition.item, unit=unit, factor=str(factor))
        for unit, factor in definition.units.items()
        if factor <= ZERO
    ]
    if definition.standard_rate is not None and definition.standard_rate < ZERO:
        reasons.append(_reason("rate_negative", item=definition.item, rate=str(definition.standard_rate)))
    wrong = {}
    if definition.reorder_level is not None and definition.reorder_level < ZERO:
        wrong["level"] = str(definition.reorder_level)
    if definition.reorder_quantity is not None and definition.reorder_quantity <= ZERO:
        wrong["quantity"] = str(definition.reorder_quantity)
    if wrong:
        reasons.append(_reason("reorder_out_of_range", item=definition.item, **wrong))
    return reasons


def _fixed_faults(definition: masters.ItemDefined, known: Known) -> list[Reason]:
    """Tracking, unit and valuation method cannot change once entries exist."""
    key = (definition.company, definition.item)
    before = known.items.get(key)
    if before is None or key not in known.items_moved:
        return []
    compared = (
        ("tracking", before.tracking.value, definition.tracking.value),
        ("unit", before.unit, definition.unit),
        ("valuation_method", before.valuation_method.value, definition.valuation_method.value),
    )
    return [
        _reason(f"{name}_fixed", item=definition.item, fixed=was, wanted=wanted)
        for name, was, wanted in compared
        if was != wanted
    ]


def _warehouse(definition: masters.WarehouseDefined, known: Known) -> list[Reason]:
    company = known.companies.get(definition.company)
    if company is None:
        return [_reason("unknown_company", company=definition.company)]
    account = stock_account(definition, company)
    reasons = []
    kind = company.accounts.get(account)
    if definition.account is not None and kind is None and definition.account != Role.STOCK.value:
        reasons.append(_reason("unknown_account", account=account))
    elif kind not in (None, AccountKind.ASSET):
        reasons.append(_reason("account_of_wrong_kind", account=account, kind=str(kind), wanted="asset"))
    key = (definition.company, definition.warehouse)
    other = None if known.warehouse_accounts.get(key) == account else serves(company, account)
    if other is not None:
        reasons.append(_reason("account_not_for_stock", account=account, serves=other))
    fixed = known.warehouse_accounts.get(key, account)
    if key in known.warehouses_moved and fixed != account:
        reasons.append(_reason("account_fixed", warehouse=definition.warehouse, fixed=fixed, wanted=account))
    return reasons


def stock_account(definition: masters.WarehouseDefined, company: Company) -> str:
    """The warehouse's stock account: its own, else the company's account for stock."""
    return definition.account or account_of(company, Role.STOCK)


def _batch(definition: masters.BatchDefined, known: Known) -> list[Reason]:
    reasons, item = _tracked_item(definition.company, definition.item, known)
    if item is not None and item.tracking is Tracking.NONE:
        reasons.append(_reason("not_tracked", item=definition.item, batch=definition.batch))
    expires_on, made = definition.expires_on, definition.manufactured_on
    if expires_on is not None and made is not None and expires_on < made:
        facts = {"manufactured_on": made.isoformat(), "expires_on": expires_on.isoformat()}
        reasons.append(_reason("expires_before_made", batch=definition.batch, **facts))
    if not definition.batch.strip():
        reasons.append(_reason("batch_missing", item=definition.item))
    return reasons


def _serial(definition: masters.SerialDefined, known: Known) -> list[Reason]:
    reasons, item = _tracked_item(definition.company, definition.item, known)
    if item is not None and item.tracking is not Tracking.SERIAL:
        reasons.append(_reason("not_tracked", item=definition.item, serial=definition.serial))
    batch = (definition.batch or "").strip()
    if item is not None and batch and (definition.company, definition.item, batch) not in known.batches:
        reasons.append(_reason("unknown_batch", item=definition.item, batch=batch))
    if definition.warehouse is not None:
        facts = {"serial": definition.serial, "warehouse": definition.warehouse}
        reasons.append(_reason("warehouse_not_allowed", **facts))
    if not definition.serial.strip():
        reasons.append(_reason("serials_missing", item=definition.item))
    return reasons


def _hold(definition: masters.BatchHeld | masters.BatchReleased, known: Known) -> list[Reason]:
    state = known.batches.get((definition.company, definition.item, definition.batch.strip()))
    if state is None:
        return [_reason("unknown_batch", item=definition.item, batch=definition.batch)]
    if state is BatchState.RECALLED:
        return [_reason("batch_recalled", item=definition.item, batch=definition.batch)]
    return []


def _closing(definition: masters.PeriodClosed, known: Known) -> list[Reason]:
    """Only days that have ended are closed, and more than is closed already."""
    company = known.companies.get(definition.company)
    if company is None:
        return [_reason("unknown_company", company=definition.company)]
    through = definition.through
    if company.open_from is not None and through < company.open_from:
        return [_reason("already_closed", through=through.isoformat(), open_from=company.open_from.isoformat())]
    today = business_day(known.now, company)
    if through >= today:
        return [_reason("day_not_over", through=through.isoformat(), today=today.isoformat())]
    return []


def _reopening(definition: masters.PeriodReopened, known: Known) -> list[Reason]:
    """Only closed days are reopened, and none before the books of the company begin."""
    company = known.companies.get(definition.company)
    if company is None:
        return [_reason("unknown_company", company=definition.company)]
    open_from, begin = definition.open_from, known.books[definition.company].begin
    if company.open_from is None or open_from >= company.open_from:
        facts = {} if company.open_from is None else {"open_from": company.open_from.isoformat()}
        return [_reason("day_not_closed", day=open_from.isoformat(), **facts)]
    if begin is not None and open_from < begin:
        return [_reason("before_the_books", day=open_from.isoformat(), open_from=begin.isoformat())]
    return []


def _tracked_item(company: str, code: str, known: Known) -> tuple[list[Reason], Item | None]:
    if company not in known.companies:
        return [_reason("unknown_company", company=company)], None
    item = known.items.get((company, code))
    return ([] if item is not None else [_reason("unknown_item", item=code)]), item


def _reason(code: str, **facts: str) -> Reason:
    return Reason(code, None, facts)


_JUDGES: Mapping[type, Callable[..., list[Reason]]] = {
    masters.CompanyDefined: _company,
    masters.AccountsDefined: _accounts,
    masters.SourceDefined: _source,
    masters.ItemDefined: _item,
    masters.WarehouseDefined: _warehouse,
    masters.BatchDefined: _batch,
    masters.SerialDefined: _serial,
    masters.BatchHeld: _hold,
    masters.BatchReleased: _hold,
    masters.PeriodClosed: _closing,
    masters.PeriodReopened: _reopening,
}
