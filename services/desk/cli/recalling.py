"""A recall in words: what it is about, what stands where, whom to reach, and what is known of all of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from services.desk.cli.branches import Branch
from services.desk.cli.tracing import balanced, known, named
from services.desk.recall.finding import Findings, Note
from services.desk.recall.reaching import Holding, Lot, Role, Step, lot_of, total
from services.desk.recall.rows import summary, waited
from services.desk.recall.whereabouts import QUARANTINED, Left, Place, Supply
from services.desk.store.recalls import Recall, Recalled, Reserved
from services.desk.trace.balance import Balance, added
from services.desk.trace.goods import Key, Kind
from shared.errors import Reason
from shared.purposes import Tracking
from shared.quantities import plain

SERIALS_SHOWN = 12


def tell(found: Findings, seconds: float) -> list[Branch]:
    """A branch for each thing that there is to say; what there is none of is left out."""
    goods, made = [each for each in found.goods if each.named], [each for each in found.goods if not each.named]
    sections: dict[str, Sequence[Branch]] = {
        "recalled": _goods(found, goods),
        "made of them": [*_goods(found, made), *(Branch(f"{named(each)}: made since") for each in found.made_since)],
        "in stock": [Branch(_place(each)) for each in found.places],
        "to reach": list(_to_reach(found)),
        "left otherwise since": [Branch(_left(each)) for each in found.left],
        "came from": [Branch(_supply(each)) for each in found.supplies],
        "kept back for orders": [Branch(_reserved(each)) for each in found.reserved],
        "mass balance": [Branch(each) for each in _balances(found)],
        "to know": [Branch(_note(each)) for each in found.notes()],
    }
    return [
        Branch(_head(found.recall), list(_about(found))),
        *(Branch(title, branches) for title, branches in sections.items() if branches),
        Branch(_in_short(found, seconds)),
    ]


# --- the recall -------------------------------------------------------------------------------------------------------


def _head(recall: Recall) -> str:
    mock = "mock recall" if recall.mock else "recall"
    return f"{mock} {recall.id} of {recall.source} ({recall.company}): {recall.state}"


def _about(found: Findings) -> Iterator[Branch]:
    recall = found.recall
    document = f" ({recall.document})" if recall.document else ""
    yield Branch(f"opened by {recall.actor}: {recall.reason}{document}")
    yield Branch(f"accepted {_time(recall.recorded_at)}, {waited(found):g} s after it was asked for")
    if recall.closed_at is not None:
        yield Branch(f"closed {_time(recall.closed_at)} by {recall.closed_by}: {recall.closed_reason}")
        yield Branch(f"evidence {recall.evidence}")
    if recall.released_at is not None:
        yield Branch(
            f"its goods released {_time(recall.released_at)} by {recall.released_by}: {recall.released_reason}"
        )


def _in_short(found: Findings, seconds: float) -> str:
    """All of it in numbers, and how long it took to find."""
    told = summary(found)
    return (
        f"{told['goods']} goods, {told['customers']} customers ({told['reached']} reached): "
        f"{told['delivered']} delivered, {told['came_back']} came back, {told['still_out']} still out, "
        f"{told['on_hand']} on hand; found in {seconds:.2f} s"
    )


# --- goods ------------------------------------------------------------------------------------------------------------


def _goods(found: Findings, goods: Iterable[Recalled]) -> list[Branch]:
    """Batches and untracked goods one by one, units by their batch."""
    units: dict[tuple[str, str | None], list[str]] = {}
    told = []
    for each in goods:
        if each.tracking is Tracking.SERIAL:
            units.setdefault((each.item, each.of_batch), []).append(each.number)
        elif each.tracking is Tracking.NONE:
            told.append(Branch(f"{each.item}, untracked: nobody can tell which of it, and it is not kept from leaving"))
        elif each.goods is not None:
            told.append(Branch(named(each.goods) + known(found.down, each.goods)))
    return told + [Branch(f"{_lot(*lot)}: {_count(serials)}") for lot, serials in units.items()]


def _place(place: Place) -> str:
    kind = f" ({place.kind})" if place.kind not in (None, "store") else ""
    state = "" if place.frozen else "; not kept from leaving"
    return f"{place.warehouse}{kind}: {_measured(place)} of {_lot(place.item, place.batch)}{_of(place.serials)}{state}"


def _left(left: Left) -> str:
    what = f"{_measured(left)} of {_lot(left.item, left.batch)}{_of(left.serials)}"
    where = "into" if left.what == QUARANTINED else "found in" if left.what == Kind.ADJUSTED else "from"
    return f"{left.what}: {what} {where} {left.warehouse} by {_by(left.key, left.document, left.posting_date)}"


def _supply(supply: Supply) -> str:
    lot = f", its lot {supply.supplier_batch}" if supply.supplier_batch else ""
    place = f" at {supply.manufactured_at}" if supply.manufactured_at else ""
    made = f", manufactured {supply.manufactured_on}{place}" if supply.manufactured_on else ""
    receipt = f"{_measured(supply)} by {_by(supply.key, supply.document, supply.posting_date)}"
    goods = f"{_lot(supply.item, supply.batch)}{_of(supply.serials)}"
    return f"{goods}: {receipt} from {supply.supplier or 'nobody named'}{lot}{made}"


def _reserved(reserved: Reserved) -> str:
    goods = f"{plain(reserved.open)} of {_lot(reserved.item, reserved.batch)}{_of(reserved.serials)}"
    whom = f" for {reserved.customer}" if reserved.customer else ""
    order = f", {reserved.document}" if reserved.document and reserved.document != reserved.id else ""
    return f"{reserved.id} of {reserved.source}{order}: {goods} in {reserved.warehouse}{whom}"


def _balances(found: Findings) -> Iterator[str]:
    """The balance of each batch, or of all its units together; of those that do not hold, notes tell one by one."""
    together: dict[Lot, list[Balance]] = {}
    for goods, balance in found.down.balances.items():
        together.setdefault(lot_of(found.down, goods), []).append(balance)
    yield from (balanced(_lot(*lot), added(balances)) for lot, balances in together.items())


# --- whom to reach ----------------------------------------------------------------------------------------------------


def _to_reach(found: Findings) -> Iterator[Branch]:
    """Everybody with what they have, and when they were reached last."""
    parties: dict[tuple[Role, str | None], list[Holding]] = {}
    for each in found.holdings:
        parties.setdefault((each.role, each.name), []).append(each)
    for (role, name), holdings in parties.items():
        contact = found.last.get(name)
        answer = f": {contact.answer}" if contact is not None and contact.answer else ""
        state = f"reached {_time(contact.reached_at)}{answer}" if contact is not None else "not reached yet"
        who = name if name is not None else f"nobody named ({role.value})"
        told = f"{who}: {state}" if name is not None else who
        yield Branch(told, [Branch(_holding(each)) for each in holdings])


def _holding(holding: Holding) -> str:
    unit = holding.unit or ""
    given = "issued" if holding.role is Role.RECIPIENT else "delivered"
    parts = []
    for steps, what in (
        (holding.taken, given),
        (holding.before, "came back before the recall"),
        (holding.since, "came back since"),
    ):
        if steps:
            parts.append(f"{plain(total(steps))} {unit} {what} by {_steps(steps)}")
    out = f"{plain(holding.still_out)} {unit} still out{_of(holding.serials_out)}"
    return f"{_lot(holding.item, holding.batch)}: {'; '.join(parts)}; {out}"


def _steps(steps: Sequence[Step]) -> str:
    return ", ".join(_by(each.key, each.document, each.posting_date) for each in steps)


# --- notes ------------------------------------------------------------------------------------------------------------

_NOTES: Mapping[str, str] = {
    Note.NOT_POSTED: "accepted before you asked, and not posted yet: {changes} changes (bins: {bins}); ask again",
    Note.CUT_OFF: "there is more than was looked at ({limit})",
    Note.NOT_ACCOUNTED_FOR: "does not balance: `stockbook verify` tells which row is wrong",
    Note.NOBODY_NAMED: "movements that gave them to somebody and name nobody: {movements}",
    Note.REACHED_WITHOUT_GOODS: "{customer} was reached, and is named by no movement of these goods",
    Note.UNTRACKED: "{item} cannot be told apart: where it went, nobody can tell",
    Note.REFUSED_SINCE: "movements refused for it since (`stockbook rejected list`): {movements}; what had been handed "
    "out before is with somebody who is on no list",
    Note.MADE_SINCE: "made of recalled goods since: what a mock recall, or a released one, allows",
}


def _note(note: Reason) -> str:
    told = _NOTES[note.code].format(**note.facts)
    goods = ", ".join(note.facts[name] for name in ("item", "batch", "serial") if name in note.facts)
    return f"{note.code}: {told}" + (f" ({goods})" if goods and "{" not in _NOTES[note.code] else "")


# --- words ------------------------------------------------------------------------------------------------------------


def _lot(item: str, batch: str | None) -> str:
    return f"{item}, batch {batch}" if batch is not None else item


def _of(serials: Sequence[str]) -> str:
    return f" ({_count(serials)})" if serials else ""


def _count(serials: Sequence[str]) -> str:
    """The serials, or the first of them and how many there are."""
    shown = ", ".join(serials[:SERIALS_SHOWN])
    more = len(serials) - SERIALS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _by(key: Key, document: str | None, posting_date: date | None) -> str:
    """A movement: its id, day and document, which is not told twice."""
    about = [str(posting_date)] if posting_date is not None else []
    about += [document] if document and document != key[1] else []
    return f"{key[1]} ({', '.join(about)})" if about else key[1]


def _measured(what: Place | Left | Supply) -> str:
    return _with_unit(what.quantity, what.unit)


def _with_unit(quantity: Decimal, unit: str | None) -> str:
    return f"{plain(quantity)} {unit or ''}".rstrip()


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
