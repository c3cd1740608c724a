"""Every reason for a refusal: it is given in the case that it is for, with the facts that its page promises."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.receiving.decide import patience, recalls
from services.receiving.decide.allocation import Rejected, allocate
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.cycle_counts import Opened, against_taking_over, against_use, read_report
from services.receiving.decide.manifests import NUMBERS_LIMIT, faults
from services.receiving.decide.masters import Known, judge
from services.receiving.decide.periods import Books
from services.receiving.decide.recalls import against_opening, against_time, read_goods
from services.receiving.decide.reserving import Standing, against_release, asked_for, reserve
from services.receiving.decide.scanning import Codes, Scannable, fill_in
from services.receiving.decide.senders import Senders, against_definer
from services.receiving.decide.stock import Batch, Stock, Warehouse
from shared.contracts import masters
from shared.contracts.counting import CountedLine, CountReported
from shared.contracts.movement import AdditionalCost, MovementRequested, Reference, RequestedLine, Tender, TicketMoney
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.recall import RecalledGoods, RecallOpened
from shared.errors import Reason
from shared.purposes import AccountKind, BatchState, Method, Role, Tracking
from shared.quantities import Money, Quantity, Rate
from tests.builders import MORNING, SOURCE
from tests.manifest_builders import manifest, total
from tests.receiving_builders import EVENING, Shop, comes, company, goes, item, line, moves
from tests.reservation_builders import of, reservation

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reasons.md"
SOURCES = ROOT / "services" / "receiving"
ROW = re.compile(r"^\| `(?P<code>\w+)` \| (?P<meaning>[^|]+) \| (?P<facts>[^|]*) \| (?P<advice>[^|]+) \|$")
CALLS = {"refuse", "_reason", "Reason"}
# Codes that are put together where they are given.
PUT_TOGETHER = {
    "f'{side}_missing'": {"source_missing", "target_missing"},
    "f'{side}_not_allowed'": {"source_not_allowed", "target_not_allowed"},
    "f'{name}_fixed'": {"tracking_fixed", "unit_fixed", "valuation_method_fixed"},
    "code": {"batch_expired", "batch_held", "batch_recalled"},
}

DAY = timedelta(days=1)
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial", create_batches_on_receipt=True)
TEA = item("tea", whole_units=True, units={"crumb": Decimal("0.0000001")})


def shop(**fields: Any) -> Shop:
    """Ten tea, a cream in each of three batches, two phones, the first of a batch; a twin company next door."""
    of = Shop(TEA, CREAM, PHONE, item("gone", disabled=True), item("tin", tracking="batch"), **fields)
    of.accepted(
        "opening_stock",
        comes("tea", 10),
        comes("cream", 1, batch="FREE"),
        comes("cream", 1, batch="OLD", expires_on=MORNING.date() - DAY),
        comes("cream", 1, batch="STOPPED"),
        comes("phone", serials="S1", batch="P1"),
        comes("phone", serials="S2"),
    )
    of.stock.companies["twin"] = company("twin")
    of.stock.warehouses["twin", "abroad"] = Warehouse("twin", "abroad")
    return of


def asked(purpose: str, *lines: RequestedLine, **fields: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    return lambda: _told(shop(), purpose, *lines, **fields)


def _told(of: Shop, purpose: str, *lines: RequestedLine, **fields: Any) -> Mapping[str, Mapping[str, str]]:
    judged = of.ask(purpose, *lines, **{"company": "shop", **fields})
    assert isinstance(judged, Rejected)
    return {each.code: each.facts for each in judged.outcome.reasons}


def defined(definition: masters.Master, **known: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    of = Known(**{"companies": {"shop": company()}, "items": {("shop", "tea"): TEA}, **known})
    return lambda: {each.code: each.facts for each in judge(definition, of)}


def _told_much() -> Mapping[str, Mapping[str, str]]:
    of = shop(limits=Limits(attributes=100))
    return _told(of, "opening_stock", comes("phone", serials="N1-N9", attributes={"colour": "x" * 6}))


def _defined_by_another() -> Mapping[str, Mapping[str, str]]:
    senders = Senders({"till": "till-user"})
    return {each.code: each.facts for each in against_definer(masters.SourceDefined(source="till"), "web", senders)}


def _said(first: int, last: int, **fields: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    return lambda: {each.code: each.facts for each in faults(manifest(first, last, **fields))}


def tea(**fields: Any) -> masters.ItemDefined:
    return masters.ItemDefined(**{"company": "shop", "item": "tea", **fields})


def _held(state: BatchState) -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.hold("cream", "STOPPED", state)
    return _told(of, "delivery", goes("cream", 1, batch="STOPPED"))


def _reserved() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    key = ("shop", "phone", "S1")
    of.stock.serials[key] = of.stock.serials[key]._replace(reserved_for="order 7")
    return _told(of, "delivery", goes("phone", serials="S1"))


def _given_up(standing: Standing | None) -> Mapping[str, Mapping[str, str]]:
    return {each.code: each.facts for each in against_release((SOURCE, "R0"), standing)}


def _codes_of(reasons: Sequence[Reason]) -> Mapping[str, Mapping[str, str]]:
    return {each.code: each.facts for each in reasons}


def _reported(*lines: CountedLine, counted_at: datetime | None = None) -> Mapping[str, Mapping[str, str]]:
    told = CountReported(count=Reference(id="C"), lines=list(lines), counted_at=counted_at)
    return _codes_of(read_report(told, OPENED, shop().stock, EVENING, Limits())[1])


def _kept_back(expires_at: datetime) -> Mapping[str, Mapping[str, str]]:
    told = reserve(
        asked_for(SOURCE, "R1", reservation(of("tea", 1), expires_at=expires_at), EVENING),
        shop().stock,
        EVENING,
        Limits(),
    )
    assert isinstance(told, OutcomeRejected)
    return {each.code: each.facts for each in told.reasons}


def _not_reusable() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.accepted("delivery", goes("phone", serials="S1"))
    of.stock.items["shop", "phone"] = item("phone", tracking="serial", reuse_serials=False)
    return _told(of, "material_receipt", comes("phone", serials="S1"))


def _recorded_otherwise() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.stock.batches["shop", "cream", "FREE"] = Batch(expires_on=date(2030, 1, 1))
    return _told(of, "opening_stock", comes("cream", 1, batch="FREE", expires_on=date(2030, 1, 2)))


def _never_in_stock() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.stock.batches["shop", "cream", "NEW"] = Batch()
    return _told(of, "reconciliation", comes("cream", 1, batch="NEW"))


def _malformed() -> Mapping[str, Mapping[str, str]]:
    judged = allocate([Request("till", "M1", b"", problem="wrong")], Stock(), EVENING, Limits())[0]
    assert isinstance(judged, Rejected)
    return {each.code: each.facts for each in judged.outcome.reasons}


def _refused_before(purpose: str) -> Mapping[str, Mapping[str, str]]:
    """What names a movement that was refused."""
    of = shop()
    of.stock.originals[SOURCE, "M0"] = None
    return _told(of, purpose, against=Reference(id="M0"))


def _delivered_and(
    *steps: tuple[str, RequestedLine | None], cancelled: str = "M2", **fields: Any
) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    """A cancellation of a delivery of five tea and both phones, after these further steps."""

    def told() -> Mapping[str, Mapping[str, str]]:
        of = shop()
        of.accepted("delivery", goes("tea", 5), goes("phone", 2))
        for purpose, asked in steps:
            lines = [] if asked is None else [asked]
            of.accepted(purpose, *lines, **({} if purpose == "reconciliation" else {"against": Reference(id="M2")}))
        return _told(of, "cancellation", **{"against": Reference(id=cancelled), **fields})

    return told


def _closed_since() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.stock.companies["shop"] = company(open_from=MORNING.date() + DAY)
    return _told(of, "cancellation", against=Reference(id="M1"))


def _named_after(purpose: str) -> Mapping[str, Mapping[str, str]]:
    """What names a delivery that was cancelled."""
    of = shop()
    of.accepted("delivery", goes("tea", 5))
    of.accepted("cancellation", against=Reference(id="M2"))
    return _told(of, purpose, line("tea", 1), against=Reference(id="M2"))


def _returned(*lines: RequestedLine, **fields: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    """A return of some of what was delivered: five tea and both phones, an hour later."""

    def told() -> Mapping[str, Mapping[str, str]]:
        of = shop()
        of.accepted("delivery", goes("tea", 5), goes("phone", 2), id="D1", at=MORNING + timedelta(hours=1))
        return _told(of, "sales_return", *lines, **{"against": Reference(id="D1"), "at": EVENING, **fields})

    return told


def _landed(*lines: RequestedLine, **fields: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    """A landed cost of the opening stock."""

    def told() -> Mapping[str, Mapping[str, str]]:
        of = shop()
        costs = [AdditionalCost(amount=Money("1"))]
        given = {"against": Reference(id="M1"), "additional_costs": costs, **fields}
        return _told(of, "landed_cost", *lines, **given)

    return told


def _since(asked: RequestedLine, purpose: str = "delivery") -> Callable[[], Mapping[str, Mapping[str, str]]]:
    """A movement reported of a time before the phones were counted."""

    def told() -> Mapping[str, Mapping[str, str]]:
        of = shop()
        of.accepted("reconciliation", comes("phone", serials="S1,S2"), at=MORNING + timedelta(hours=1))
        return _told(of, purpose, asked, at=MORNING + timedelta(minutes=30))

    return told


def _scanned(code: str, **fields: Any) -> Callable[[], Mapping[str, Mapping[str, str]]]:
    """A code that a line has instead of fields, in a company of a few codes."""

    def told() -> Mapping[str, Mapping[str, str]]:
        tea = Scannable("tea", Tracking.NONE)
        codes = Codes("shop", {"tea": tea}, {"09506000134352": ["tea"]}, serials={"X1": ["phone", "lamp"]})
        _, reasons = fill_in(_movement(line(scan=code, **fields)), codes)
        return {reason.code: reason.facts for reason in reasons}

    return told


def _movement(asked: RequestedLine) -> MovementRequested:
    return MovementRequested(id="M1", purpose="delivery", posting_at=MORNING, lines=[asked])


def _cancelled() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    of.stock.tombstones[SOURCE, "M0"] = (SOURCE, "C0")
    return _told(of, "delivery", goes("tea", 1), id="M0")


def _recalled() -> Mapping[str, Mapping[str, str]]:
    of = shop()
    key = ("shop", "phone", "S1")
    of.stock.serials[key] = of.stock.serials[key]._replace(recalled=True)
    return _told(of, "delivery", goes("phone", serials="S1"))


def _recall(*goods: RecalledGoods) -> RecallOpened:
    return RecallOpened(company="shop", goods=list(goods), actor="ann", reason="a rash")


def _paid(*tenders: Tender, rounding: str | None = None) -> TicketMoney:
    return TicketMoney(tenders=list(tenders), rounding=None if rounding is None else Money(rounding))


def _close(through: date) -> masters.PeriodClosed:
    return masters.PeriodClosed(company="shop", through=through, actor="ann")


def _reopen(open_from: date) -> masters.PeriodReopened:
    return masters.PeriodReopened(company="shop", open_from=open_from, actor="ann", reason="a mistake")


def _account(code: str, kind: AccountKind) -> masters.AccountsDefined:
    return masters.AccountsDefined(company="shop", accounts=[masters.Account(account=code, kind=kind)])


AGAINST: dict[str, Any] = {"reservation": Reference(id="R0")}
MOVED = {"items_moved": {("shop", "tea")}}
_KINDS: dict[str, Any] = {"accounts": {"7000": AccountKind.EXPENSE, "1400": AccountKind.ASSET}}
ACCOUNTS = {"companies": {"shop": company(**_KINDS)}}
BOOKED = {"companies": {"shop": company(**_KINDS, booked=frozenset({"7000", "1400"}))}}
BOTH_DAYS: dict[str, Any] = {"manufactured_on": date(2026, 3, 2), "expires_on": date(2026, 3, 1)}
CLOSED: dict[str, Any] = {
    "companies": {"shop": company(open_from=MORNING.date())},
    "books": {"shop": Books(MORNING.date() - 2 * DAY, 1, EVENING)},
    "now": EVENING,
}
RECALL = recalls.Standing((SOURCE, "R"), "shop", False, EVENING, False)
GHOST = recalls.Goods("phone", Tracking.SERIAL, "S9")
OPENED = Opened((SOURCE, "C"), "shop", "north", frozenset({"tea"}), EVENING, "open")
CASES: list[tuple[str, Callable[[], Mapping[str, Mapping[str, str]]]]] = [
    ("account_fixed", asked("opening_stock", comes("tea", 1), difference_account="write_off")),
    ("account_of_wrong_kind", defined(
        masters.WarehouseDefined(company="shop", warehouse="n", account="7000"), **ACCOUNTS
    )),
    ("account_holds_stock", asked("material_issue", goes("tea", 1), difference_account="stock")),
    ("account_holds_stock", defined(masters.AccountsDefined(company="shop", roles={Role.RECEIVABLE: "stock"}))),
    ("account_kind_fixed", defined(_account("7000", AccountKind.ASSET), **BOOKED)),
    ("account_not_for_stock", defined(
        masters.WarehouseDefined(company="shop", warehouse="n", account="1400"), **BOOKED
    )),
    ("account_of_wrong_kind", defined(_account("income", AccountKind.ASSET))),
    ("source_reserved", defined(masters.SourceDefined(source="ledger"))),
    ("against_missing", asked("cancellation")),
    ("against_not_allowed", asked("delivery", against=Reference(id="M0"))),
    ("amount_too_large", asked("opening_stock", comes("tea", "999999999999", rate="999999999999"))),
    ("batch_differs", _recorded_otherwise),
    ("before_its_original", _returned(line("tea", 1), at=MORNING)),
    ("batch_expired", asked("delivery", goes("cream", 1, batch="OLD"))),
    ("batch_held", lambda: _held(BatchState.HELD)),
    ("batch_missing", asked("opening_stock", comes("tin", 1))),
    ("batch_recalled", lambda: _held(BatchState.RECALLED)),
    ("batch_too_long", asked("opening_stock", comes("cream", 1, batch="B" * 141))),
    ("cancelled_before_acceptance", _cancelled),
    ("companies_mixed", asked("material_transfer", moves("tea", 1, "north", "abroad"))),
    ("company_missing", asked("delivery", goes("tea", 1, "nowhere"), company=None)),
    ("currency_fixed", defined(masters.CompanyDefined(company="shop", currency="USD"), **MOVED)),
    ("perpetual_fixed", defined(masters.CompanyDefined(company="shop", currency="EUR", perpetual=False), **MOVED)),
    ("expires_before_made", asked("opening_stock", comes("cream", 1, batch="NEW", **BOTH_DAYS))),
    ("insufficient_stock", asked("delivery", goes("tea", 11))),
    ("item_disabled", asked("opening_stock", comes("gone", 1))),
    ("item_missing", asked("opening_stock", line(quantity=1, target="north"))),
    ("line_repeated", asked("delivery", goes("tea", 1, line=3), goes("tea", 1, line=3))),
    ("malformed", _malformed),
    ("money_not_allowed", asked("delivery", goes("tea", 1), money=_paid())),
    ("moved_since", _since(comes("phone", serials="S1,S2"), purpose="reconciliation")),
    ("moved_since", _since(goes("phone", rate="1"), purpose="write_down")),
    ("money_unbalanced", asked("sale", goes("tea", 1, net="2"), money=_paid(Tender(kind="cash", amount=Money("1"))))),
    ("negative_stock_of_tracked", defined(tea(tracking=Tracking.BATCH, allow_negative_stock=True))),
    ("no_lines", asked("delivery")),
    ("not_in_original", _returned(line("cream", 1, batch="FREE"))),
    ("not_in_original", _returned(line("phone", serials="S1,S9"))),
    ("not_tracked", asked("opening_stock", comes("tea", 1, serials="S1"))),
    ("one_tracking_only", defined(tea(tracking=Tracking.BATCH, serial_series="S.#"))),
    ("opening_not_allowed", asked("delivery", opening=True)),
    ("original_elsewhere", _returned(line("tea", 1, target="abroad"), company="twin")),
    ("original_rejected", lambda: _refused_before("cancellation")),
    ("original_rejected", lambda: _refused_before("sales_return")),
    ("already_cancelled", _delivered_and(("cancellation", None))),
    ("cancel_of_cancellation", _delivered_and(("cancellation", None), cancelled="M3")),
    ("cancellation_says_more", _delivered_and(customer="Bob")),
    ("counted_since", _delivered_and(("reconciliation", line("phone", serials=[], target="north")))),
    ("insufficient_stock", _delivered_and(cancelled="M1")),
    ("named_by", _delivered_and(("sales_return", line("tea", 1)))),
    ("original_cancelled", lambda: _named_after("sales_return")),
    ("original_elsewhere", _delivered_and(company="twin")),
    ("period_closed", _closed_since),
    ("posting_in_future", _delivered_and(at=EVENING + DAY)),
    ("serial_moved_since", _delivered_and(cancelled="M1")),
    ("over_return", _returned(line("tea", 6))),
    ("over_return", _returned(line("phone", serials="S1"), line("phone", serials="S1"))),
    ("period_closed", lambda: _told(shop(of=company(open_from=MORNING.date())), "delivery", at=MORNING - DAY)),
    ("posting_in_future", asked("delivery", goes("tea", 1), at=EVENING + DAY)),
    ("price_missing", asked("sale", goes("tea", 1))),
    ("price_negative", asked("sale", goes("tea", 1, price="-1"))),
    ("quantity_missing", asked("delivery", goes("tea"))),
    ("quantity_not_positive", asked("delivery", goes("tea", 0))),
    ("quantity_too_large", asked("opening_stock", comes("tea", "999999999999"))),
    ("quantity_too_small", asked("delivery", goes("tea", 1, unit="crumb"))),
    ("rate_missing", asked("opening_stock", comes("tea", 1, "south", None))),
    ("rate_negative", asked("opening_stock", comes("tea", 1, rate="-1"))),
    ("same_warehouse", asked("material_transfer", moves("tea", 1, "north", "north"))),
    ("scan_ambiguous", _scanned("X1")),
    ("scan_conflicts", _scanned("]d20109506000134352", item="leaf")),
    ("scan_unreadable", _scanned("]d20109506000134353")),
    ("scan_without_item", _scanned("]d210AB")),
    ("serial_count_mismatch", asked("delivery", goes("phone", 2, serials="S1"))),
    ("serial_in_stock", asked("opening_stock", comes("phone", serials="S1"))),
    ("serial_moved_since", asked("delivery", goes("phone", serials="S1"), at=MORNING - DAY)),
    ("serial_not_here", asked("delivery", goes("phone", None, "south", serials="S1"))),
    ("serial_not_reusable", _not_reusable),
    ("serial_of_another_batch", asked("delivery", goes("phone", serials="S1,S2", batch="P1"))),
    ("serial_repeated", asked("delivery", goes("phone", serials="S1,S1"))),
    ("serial_reserved", _reserved),
    ("unknown_reservation", asked("delivery", goes("tea", 1), reservation=Reference(id="R0"))),
    ("reservation_not_allowed", asked("opening_stock", comes("tea", 1), reservation=Reference(id="R0"))),
    ("reservation_not_allowed", asked("sale", goes("tea", 1, net="1"), line(net="1", account="income", **AGAINST))),
    ("reservation_ended", lambda: _given_up(Standing("shop", False, True, False))),
    ("unknown_reservation", lambda: _given_up(None)),
    ("unknown_count", lambda: _codes_of(against_use((SOURCE, "C"), None))),
    ("count_ended", lambda: _codes_of(against_use((SOURCE, "C"), replace(OPENED, state="cancelled")))),
    ("nothing_counted", lambda: _codes_of(against_taking_over((SOURCE, "C"), []))),
    ("not_in_count", lambda: _reported(CountedLine(item="phone", serials="S1"))),
    ("counted_at_out_of_range", lambda: _reported(counted_at=MORNING)),
    ("expiry_out_of_range", lambda: _kept_back(EVENING)),
    ("goods_missing", lambda: _codes_of(read_goods(_recall(RecalledGoods(item="tea")), Limits())[1])),
    ("unknown_recall", lambda: _codes_of(recalls.against_use((SOURCE, "R"), None))),
    ("recall_closed", lambda: _codes_of(recalls.against_use((SOURCE, "R"), replace(RECALL, is_closed=True)))),
    ("reached_at_out_of_range", lambda: _codes_of(against_time(RECALL, MORNING, EVENING))),
    ("unknown_serial", lambda: _codes_of(against_opening([GHOST], {"phone"}, []))),
    ("serial_recalled", _recalled),
    ("serial_too_long", asked("opening_stock", comes("phone", serials="S" * 141))),
    ("serials_missing", asked("opening_stock", comes("phone", 1))),
    ("series_too_long", defined(tea(tracking=Tracking.SERIAL, serial_series="S" * 101))),
    ("source_missing", asked("delivery", line("tea", 1))),
    ("source_not_allowed", asked("opening_stock", comes("tea", 1, source="south"))),
    ("stock_on_account_line", asked("sale", goes("tea", 1, net="1", account="income"))),
    ("target_missing", asked("opening_stock", line("tea", 1, rate="1"))),
    ("target_not_allowed", asked("delivery", goes("tea", 1, target="south"))),
    ("tender_without_account", asked("sale", goes("tea", 1, net="1"), money=_paid(Tender(amount=Money("1"))))),
    ("too_many_lines", lambda: _told(shop(limits=Limits(lines=6)), "delivery", *[goes("tea", 1)] * 7)),
    ("too_many_places", asked("sale", goes("tea", 1, net="1.001"))),
    ("too_many_serials", lambda: _told(shop(limits=Limits(serials=1)), "delivery", goes("phone", 2))),
    ("tracking_fixed", defined(tea(tracking=Tracking.BATCH), **MOVED)),
    ("unit_factor_not_positive", defined(tea(units={"box": Quantity("0")}))),
    ("unit_fixed", defined(tea(unit="kg"), **MOVED)),
    ("unknown_account", asked("material_issue", goes("tea", 1), difference_account="ghost")),
    ("unknown_batch", asked("delivery", goes("cream", 1, batch="GHOST"))),
    ("unknown_company", asked("delivery", company="ghost")),
    ("unknown_item", asked("delivery", goes("ghost", 1))),
    ("unknown_original", asked("cancellation", against=Reference(id="M0"))),
    ("unknown_original_line", _returned(line("tea", 1, against_line=2))),
    ("unknown_purpose", asked("theft", goes("tea", 1))),
    ("unknown_serial", asked("delivery", goes("phone", serials="S9"))),
    ("unknown_time_zone", defined(masters.CompanyDefined(company="shop", currency="EUR", time_zone="Mars"))),
    ("attributes_too_large", _told_much),
    ("unknown_unit", asked("delivery", goes("tea", 1, unit="barrel"))),
    ("unknown_warehouse", asked("delivery", goes("tea", 1, "nowhere"))),
    ("valuation_method_fixed", defined(tea(valuation_method=Method.LIFO), **MOVED)),
    ("warehouse_not_allowed", defined(masters.SerialDefined(company="shop", item="tea", serial="S", warehouse="n"))),
    ("whole_quantity_required", asked("opening_stock", comes("tea", "0.5"))),
    ("against_not_allowed", asked("sale", goes("tea", 1, net="1"), against=Reference(id="M1"))),
    ("money_not_allowed", _returned(line("tea", 1, net="1"))),
    ("price_missing", asked("sales_return", line("tea", 1, target="north"), money=_paid())),
    ("wrong_original", asked("sales_return", line("tea", 1), against=Reference(id="M1"))),
    ("account_fixed", defined(
        masters.WarehouseDefined(company="shop", warehouse="n", account="1400"),
        warehouses_moved={("shop", "n")},
        warehouse_accounts={("shop", "n"): "stock"},
        **ACCOUNTS,
    )),
    ("already_closed", defined(_close(MORNING.date() - DAY), **CLOSED)),
    ("day_not_over", defined(_close(EVENING.date()), now=EVENING)),
    ("day_not_closed", defined(_reopen(MORNING.date()), **CLOSED)),
    ("before_the_books", defined(_reopen(MORNING.date() - 3 * DAY), **CLOSED)),
    ("batch_missing", defined(masters.BatchDefined(company="shop", item="tea", batch=" "))),
    ("expires_before_made", defined(masters.BatchDefined(company="shop", item="tea", batch="B", **BOTH_DAYS))),
    ("rate_negative", defined(tea(standard_rate=Rate("-1")))),
    ("reorder_out_of_range", defined(tea(reorder_level=Quantity("-1"), reorder_quantity=Quantity("0")))),
    ("unknown_account", defined(masters.AccountsDefined(company="shop", roles={Role.STOCK: "ghost"}))),
    ("against_line_missing", _landed(line(share=Quantity("1")))),
    ("batch_not_allowed", asked("reconciliation", comes("phone", serials="S1,S2", batch="P1"))),
    ("cost_negative", asked("opening_stock", comes("tea", 1), additional_costs=[AdditionalCost(amount=Money("-1"))])),
    ("costs_missing", _landed(additional_costs=[])),
    ("costs_not_allowed", asked("delivery", additional_costs=[AdditionalCost(amount=Money("1"))])),
    ("count_cannot_open", asked("reconciliation", comes("phone", serials="S1,S2,S9"))),
    ("count_cannot_open", _never_in_stock),
    ("counted_since", _since(goes("phone", serials="S1"))),
    ("counted_twice", asked("reconciliation", *[comes("cream", 1, batch="FREE")] * 2)),
    ("landed_line_names_goods", _landed(comes("tea", 1, against_line=1))),
    ("line_repeated", _landed(line(against_line=1), line(against_line=1))),
    ("nothing_consumed", asked("manufacture", comes("tea", 1))),
    ("nothing_made", asked("manufacture", goes("tea", 1))),
    ("manifest_backwards", _said(5, 3, count=0)),
    ("manifest_count_wrong", _said(5, 9, count=4)),
    ("manifest_digest_wrong", _said(5, 9, listed=[(5, "M5")], digest="0" * 64)),
    ("manifest_number_outside", _said(5, 9, unused=[(9, 10)])),
    ("manifest_number_repeated", _said(5, 9, unused=[(5, 6), (6, 7)])),
    ("manifest_too_long", _said(1, NUMBERS_LIMIT + 1)),
    ("manifest_total_repeated", _said(1, 0, totals=[total(), total()])),
    ("not_your_source", _defined_by_another),
    ("nothing_there", asked("write_down", goes("cream", source="south", rate="1", batch="FREE"))),
    ("opening_tracked", asked("reconciliation", comes("cream", 1, batch="FREE"), opening=True)),
    ("quantity_negative", asked("reconciliation", comes("tea", -1))),
    ("quantity_not_allowed", asked("write_down", goes("tea", 1, rate="1"))),
    ("serial_elsewhere", asked("reconciliation", comes("phone", serials="S1", target="south"))),
    ("share_missing", _landed(additional_costs=[AdditionalCost(amount=Money("1"), spread="share")])),
    ("share_negative", asked("opening_stock", comes("tea", 1, share=Quantity("-1")))),
    ("unknown_scan", _scanned("nothing")),
    ("unknown_gtin", _scanned("]d20109506000149301")),
    ("unknown_batch", asked("reconciliation", comes("cream", 1, batch="GHOST"))),
    ("unknown_original_line", _landed(line(against_line=99))),
    ("written_down_twice", asked("write_down", goes("phone", rate="1"), goes("phone", serials="S1", rate="2"))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "provoke"), CASES, ids=lambda each: each if isinstance(each, str) else "")
def test_a_reason_is_given_in_its_case_with_the_facts_that_its_page_promises(
    code: str, provoke: Callable[[], Mapping[str, Mapping[str, str]]]
) -> None:
    told = provoke()
    assert code in told
    assert set(told[code]) <= set(re.findall(r"`(\w+)`", _page()[code]["facts"]))


def test_every_reason_that_the_source_can_give_stands_on_the_page() -> None:
    assert sorted(_codes() - set(_page())) == []


def test_the_page_names_no_reason_that_is_never_given() -> None:
    assert sorted(set(_page()) - _codes()) == []


def test_every_reason_on_the_page_has_a_case_that_provokes_it() -> None:
    assert sorted(set(_page()) - {code for code, _ in CASES}) == []


def test_every_reason_is_told_with_a_meaning_and_with_what_to_do() -> None:
    assert [code for code, row in _page().items() if len(row["meaning"]) < 10 or len(row["advice"]) < 5] == []


def test_the_page_says_which_reasons_may_wait() -> None:
    waiting = {code for code, row in _page().items() if "*May wait.*" in row["meaning"]}
    assert waiting == set(patience._LACKS) & set(_page())


def _page() -> dict[str, dict[str, str]]:
    rows = (ROW.match(text) for text in PAGE.read_text(encoding="utf-8").splitlines())
    return {row["code"]: row.groupdict() for row in rows if row is not None}


def _codes() -> set[str]:
    """The codes in all calls that give a reason."""
    found: set[str] = set()
    for path in SOURCES.glob("**/*.py"):
        for call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            first = call.args[0]
            found |= PUT_TOGETHER.get(ast.unparse(first)) or set(_texts(first))
    return found


def _texts(argument: ast.expr) -> Iterator[str]:
    """The texts that an argument may be: itself, or either of a choice."""
    if isinstance(argument, ast.IfExp):
        yield from (*_texts(argument.body), *_texts(argument.orelse))
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CALLS:
                yield node
