"""What comes back, or is sent back, in the reference: part by part of the movement that is named, or without one."""

from collections.abc import Iterator, Sequence

from services.receiving.decide.stock import Item
from shared.contracts.movement import RequestedLine
from shared.purposes import Tracking
from tests.properties.reference_book import Part, Refused, Taken, Unit
from tests.properties.reference_moving import Play, quantity_of

Match = tuple[Part, Taken, int, list[str]]
"""So much of a part is returned, or these serials of it."""


def come_back(play: Play) -> None:
    """All lines bring back what went out."""
    for number, line in play.lines():
        give_back(play, number, line)


def give_back(play: Play, number: int, line: RequestedLine) -> None:
    """A line brings back what went out, by parts of the original, or as its serials last left."""
    item = play.book.items[str(line.item)]
    if play.original is None:
        _give_back_unreferenced(play, number, line, item)
        return
    place = 0
    for part, gone, quantity, serials in _matched(play, line, item, "left"):
        batch = gone.batch if item.tracking is Tracking.BATCH else line.batch
        _bring(play, number, line, item, batch, quantity, serials, place, line.target or gone.warehouse, part)
        place += quantity


def _bring(
    play: Play,
    number: int,
    line: RequestedLine,
    item: Item,
    batch: str | None,
    quantity: int,
    serials: Sequence[str],
    place: int,
    target: str,
    part: Part | None,
) -> None:
    for index, serial in enumerate(serials):
        unit = play.book.known(item.item, serial)
        if line.batch not in (None, unit.batch):
            raise Refused
        play.come_again(number, unit, target, place + index)
    for _ in range(0 if serials else quantity):
        play.add(number, item, target, batch, None, 0)
    if part is not None:
        play.returning.add((item.item, target))
    play.came.append(Taken(number, item.item, target, quantity, batch, tuple(serials), part))


def _give_back_unreferenced(play: Play, number: int, line: RequestedLine, item: Item) -> None:
    target = str(line.target)
    if item.tracking is not Tracking.SERIAL:
        if item.tracking is Tracking.BATCH and (item.item, line.batch) not in play.book.expiries:
            raise Refused
        _bring(play, number, line, item, line.batch, quantity_of(line), (), 0, target, None)
        play.rate_is_known((item.item, target))
        return
    if not line.serials:
        raise Refused
    units = [play.book.known(item.item, each) for each in line.serials]
    place = 0
    for part in dict.fromkeys(each.left_by for each in units):
        if part is None:
            raise Refused  # it never left
        serials = [str(each.serial) for each in units if each.left_by == part]
        play.stamped |= {(item.item, str(each.left_from)) for each in units}
        play.book.returned.append((part, len(serials), tuple(serials)))
        _bring(play, number, line, item, line.batch, len(serials), serials, place, target, part)
        place += len(serials)


# --- what of the original ---------------------------------------------------------------------------------------------


def _matched(play: Play, line: RequestedLine, item: Item, side: str) -> list[Match]:
    """What a line returns of each part of the original, noted as returned."""
    parts = [each for each in _parts(play, item, side) if line.against_line in (None, each[1].line)]
    if item.tracking is Tracking.BATCH:
        parts = [each for each in parts if line.batch in (None, each[1].batch)]
    if item.tracking is not Tracking.SERIAL:
        matches = _by_quantity(play, line, parts)
    elif line.serials:
        matches = _by_name(play, line, parts, side)
    else:
        matches = _in_order(play, line, parts, side)
    if sum(quantity for _, _, quantity, _ in matches) < quantity_of(line):
        raise Refused
    for part, _, quantity, serials in matches:
        play.book.returned.append((part, quantity, tuple(serials)))
    return matches


def _parts(play: Play, item: Item, side: str) -> Iterator[tuple[Part, Taken]]:
    if play.original is None or play.movement.against is None:
        raise Refused
    for index, each in enumerate(getattr(play.original, side)):
        if each.item == item.item:
            yield (play.movement.against.id, side, index), each


def _by_quantity(play: Play, line: RequestedLine, parts: Sequence[tuple[Part, Taken]]) -> list[Match]:
    wanted, matches = quantity_of(line), []
    for part, gone in parts:
        quantity = min(wanted, gone.quantity - play.book.returned_of(part)[0])
        if quantity > 0:
            matches.append((part, gone, quantity, list[str]()))
            wanted -= quantity
    return matches


def _by_name(play: Play, line: RequestedLine, parts: Sequence[tuple[Part, Taken]], side: str) -> list[Match]:
    chosen: dict[Part, tuple[Taken, list[str]]] = {}
    for serial in line.serials or ():
        for part, gone in parts:
            if serial in gone.serials and _is_out(play, part, gone, serial, side):
                chosen.setdefault(part, (gone, []))[1].append(serial)
    return [(part, gone, len(serials), serials) for part, (gone, serials) in chosen.items()]


def _in_order(play: Play, line: RequestedLine, parts: Sequence[tuple[Part, Taken]], side: str) -> list[Match]:
    wanted, matches = quantity_of(line), []
    for part, gone in parts:
        found = [
            serial
            for serial in gone.serials
            if _is_out(play, part, gone, serial, side) and _is_there(play, line, gone, serial, side)
        ][:wanted]
        if found:
            matches.append((part, gone, len(found), found))
            wanted -= len(found)
    return matches


def _is_out(play: Play, part: Part, gone: Taken, serial: str, side: str) -> bool:
    """Whether a serial of a part was not returned, nor went out by another one since."""
    if serial in play.book.returned_of(part)[1]:
        return False
    return side == "came" or play.book.known(gone.item, serial).left_by == part


def _is_there(play: Play, line: RequestedLine, gone: Taken, serial: str, side: str) -> bool:
    """Whether a serial that no line names can be chosen: it stands where it is to leave, or nowhere."""
    unit = play.book.known(gone.item, serial)
    place = None if side == "left" else line.source or gone.warehouse
    return unit.place == place and unit.moved_by != play.number and line.batch in (None, unit.batch)


# --- to the supplier --------------------------------------------------------------------------------------------------


def send_back(play: Play) -> None:
    """Goods go back to their supplier, of one warehouse and batch together."""
    for number, line in play.lines():
        if play.original is None:
            play.leaves(number, line)
        else:
            _send_back(play, number, line)


def _send_back(play: Play, number: int, line: RequestedLine) -> None:
    item = play.book.items[str(line.item)]
    together: dict[tuple[str, str | None], list[Match]] = {}
    for match in _matched(play, line, item, "came"):
        gone = match[1]
        batch = gone.batch if item.tracking is Tracking.BATCH else line.batch
        together.setdefault((line.source or gone.warehouse, batch), []).append(match)
    for (source, batch), matches in together.items():
        for part, _, quantity, serials in matches:
            units = _to_leave(play, number, item, source, batch, quantity, serials)
            play.take(number, line, source, batch, units, part)


def _to_leave(
    play: Play, number: int, item: Item, source: str, batch: str | None, quantity: int, serials: Sequence[str]
) -> list[Unit]:
    here = play.here(item.item, source)
    if item.tracking is Tracking.SERIAL:
        found = [each for serial in serials for each in here if each.serial == serial]
        if len(found) < len(serials) or any(batch not in (None, each.batch) for each in found):
            raise Refused
        return found
    found = [each for each in here if each.batch == batch][:quantity]
    if item.tracking is Tracking.NONE:
        found += play.owe(number, item, source, quantity - len(found))
    if len(found) < quantity:
        raise Refused
    return found
