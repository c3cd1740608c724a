"""What corrects stock in the reference: counts, write-downs, and what a receipt cost after all."""

from shared.contracts.movement import RequestedLine
from shared.purposes import Tracking
from tests.properties.reference_book import Place, Refused, Taken, Unit
from tests.properties.reference_moving import Play

# --- counts -----------------------------------------------------------------------------------------------------------


def count(play: Play) -> None:
    """What was counted is there; nothing else is, of a batch, or of all serials."""
    done: set[tuple[Place, str | None]] = set()
    for number, line in play.lines():
        item = play.book.items[str(line.item)]
        place = (item.item, str(line.target))
        if (place, line.batch) in done:
            raise Refused
        done.add((place, line.batch))
        if item.tracking is Tracking.SERIAL:
            _count_serials(play, number, line)
        else:
            _count_units(play, number, line)
        play.counted.add(place)


def _count_units(play: Play, number: int, line: RequestedLine) -> None:
    item = play.book.items[str(line.item)]
    place = (item.item, str(line.target))
    if item.tracking is Tracking.BATCH and (item.item, line.batch) not in play.book.expiries:
        raise Refused
    standing = [each for each in play.book.standing(*place) if each.batch == line.batch]
    owed = play.book.owed.pop(place, 0)
    counted = int(line.quantity or 0)
    if line.rate is None and len(standing) - owed <= 0 < counted and place not in play.rated:
        raise Refused
    if line.batch is not None and not standing and counted and play.book.entered(*_key(line))[0] > play.at:
        raise Refused
    if line.rate is not None and counted:
        play.rating.add(place)
    for unit in standing[counted:]:
        unit.place = None
        if line.batch is not None:
            play.book.passed.append((item.item, line.batch, (play.at, 0, 0, 0), -1))
    for _ in range(counted - len(standing)):
        play.add(number, item, place[1], line.batch, None, 0)
    play.valued.append(Taken(number, *place, counted - len(standing) + owed, line.batch))


def _key(line: RequestedLine) -> tuple[str, str]:
    return (str(line.item), str(line.batch))


def _count_serials(play: Play, number: int, line: RequestedLine) -> None:
    item, target = play.book.items[str(line.item)], str(line.target)
    named = list(line.serials or ())
    standing = {str(each.serial): each for each in play.book.standing(item.item, target)}
    found = [_lost(play, item.item, each) for each in named if each not in standing]
    missing = sorted(standing.keys() - set(named))
    if missing:
        play.take(number, line, target, None, [standing[each] for each in missing])
    for index, unit in enumerate(found):
        play.stamped.add((item.item, str(unit.left_from)))
        play.come_again(number, unit, target, index)
    for part in dict.fromkeys(each.left_by for each in found):
        serials = tuple(str(each.serial) for each in found if each.left_by == part)
        play.came.append(Taken(number, item.item, target, len(serials), None, serials, part))
        (play.returning if line.rate is None else play.rating).add((item.item, target))
    stay = tuple(each for each in named if each in standing)
    if line.rate is not None and stay:
        play.valued.append(Taken(number, item.item, target, 0, None, stay))
        play.rating.add((item.item, target))


def _lost(play: Play, item: str, serial: str) -> Unit:
    """A unit that stands nowhere, and was not moved by this count."""
    unit = play.book.known(item, serial)
    if unit.place is not None or unit.moved_by == play.number:
        raise Refused
    return unit


# --- write-downs ------------------------------------------------------------------------------------------------------


def write_down(play: Play) -> None:
    """What stands there is worth less; nothing is said of anything twice."""
    done: list[tuple[Place, str | None]] = []
    for number, line in play.lines():
        item = play.book.items[str(line.item)]
        place = (item.item, str(line.source))
        if item.tracking is Tracking.SERIAL:
            serials = _written(play, line, place)
            things: list[str | None] = [*serials]
        else:
            serials, things = (), [line.batch]
            here = [each for each in play.book.standing(*place) if each.batch == line.batch]
            if not here or (item.tracking is Tracking.BATCH and line.batch is None):
                raise Refused
        done += [(place, each) for each in things]
        play.valued.append(Taken(number, *place, 0, line.batch, serials))
    if len(set(done)) < len(done):
        raise Refused


def _written(play: Play, line: RequestedLine, place: Place) -> tuple[str, ...]:
    here = {str(each.serial): each for each in play.book.standing(*place)}
    if line.serials:
        named = tuple(line.serials)
        if any(each not in here or line.batch not in (None, here[each].batch) for each in named):
            raise Refused
        return named
    found = tuple(sorted(number for number, each in here.items() if line.batch in (None, each.batch)))
    if not found:
        raise Refused
    return found


# --- landed costs -----------------------------------------------------------------------------------------------------


def land(play: Play) -> None:
    """The goods of a receipt's lines, whatever became of them."""
    receipt = play.original
    if receipt is None:
        raise Refused
    named = [line.against_line for _, line in play.lines()]
    brought = {each.line for each in receipt.came}
    if len(set(named)) < len(named) or not set(named) <= brought:
        raise Refused
    identifier = play.movement.against.id if play.movement.against is not None else ""
    for index, part in enumerate(receipt.came):
        if not named or part.line in named:
            original = (identifier, "came", index)
            play.valued.append(Taken(part.line, part.item, part.warehouse, 0, part.batch, part.serials, original))
