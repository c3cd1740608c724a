"""Allocation as one would do it by hand: when a movement takes effect, and which way it is played.

It reads requested movements of whole quantities. The book is in `reference_book`, what moves in `reference_moving`,
what corrects stock in `reference_correcting`, what is returned in `reference_returning`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from shared.contracts.movement import MovementRequested
from shared.purposes import PURPOSES
from tests.properties import reference_correcting as correcting
from tests.properties import reference_returning as returning
from tests.properties.reference_book import Answer, BackDated, Place, Records, Refused, Taken, Unit
from tests.properties.reference_moving import MAKING, Play

__all__ = ["COMING", "LATENESS", "MAKING", "Answer", "Book", "Taken", "Unit"]

LATENESS = timedelta(minutes=5)
COMING = ("opening_stock", "material_receipt", "purchase_receipt")


class Book(Records):
    """The book, and what is asked of it."""

    def is_back_dated(self, movement: MovementRequested) -> bool:
        """Whether a movement would take effect before something that came already, if it is not refused."""
        try:
            original = _original(self, movement)
        except Refused:
            original = None
        try:
            _effective_at(self, movement, original)
        except BackDated:
            return True
        except Refused:
            return False
        return False

    def ask(self, movement: MovementRequested) -> Answer | None:
        """Play a movement; None, and nothing has happened, where it is refused."""
        trial = self.trial()
        try:
            original = _original(self, movement)
            answer = _play(Play(trial, movement, original, _effective_at(self, movement, original)))
        except Refused:
            return None
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(trial, name))
        self.documents[movement.id] = answer
        return answer


def _play(play: Play) -> Answer:
    if not play.movement.lines and play.movement.purpose != "landed_cost":
        raise Refused
    if any(len(set(line.serials or ())) < len(line.serials or ()) for _, line in play.lines()):
        raise Refused
    _PLAYED.get(play.movement.purpose, _goods)(play)
    return play.done()


def _goods(play: Play) -> None:
    """All that leaves, then all that comes, anew or back."""
    purpose = play.movement.purpose
    leaving = [(number, line) for number, line in play.lines() if line.source is not None]
    coming = [(number, line) for number, line in play.lines() if line.source is None]
    if purpose in MAKING and not (leaving and coming):
        raise Refused
    if purpose == "sale" and play.original is not None and not coming:
        raise Refused
    for number, line in leaving:
        play.leaves(number, line)
    for number, line in coming:
        if purpose == "sale":
            returning.give_back(play, number, line)
        else:
            play.comes(number, line)


def _original(book: Book, movement: MovementRequested) -> Answer | None:
    """The movement that one names, if that is known and of a purpose that may be named."""
    if movement.against is None:
        return None
    original = book.documents.get(movement.against.id)
    if original is None or original.purpose not in PURPOSES[movement.purpose].against:
        raise Refused
    return original


def _effective_at(book: Book, movement: MovementRequested, original: Answer | None) -> datetime:
    if movement.purpose == "landed_cost":
        if original is None:
            raise Refused
        return original.effective_at
    posted = movement.posting_at
    if original is not None and original.effective_at - posted > LATENESS:
        raise Refused
    last = max([posted, *_events(book, movement, original)])
    if last == posted:
        return posted
    counts = (each for each in _counted(book, movement, original) if each > posted)
    if last - posted > LATENESS or last.date() != posted.date() or any(counts) or movement.purpose == "reconciliation":
        raise BackDated if original is None or original.effective_at <= posted else Refused
    return last


def _events(book: Book, movement: MovementRequested, original: Answer | None) -> Iterator[datetime]:
    """When something happened in the bins and to the serials that a movement names."""
    if original is not None:
        yield original.effective_at
    bins = _bins(movement, original)
    yield from (each.effective_at for each in book.documents.values() if bins & each.moved)
    serials = {(line.item, number) for line in movement.lines for number in line.serials or ()}
    yield from (each.moved_at for each in book.units if (each.item, each.serial) in serials)


def _counted(book: Book, movement: MovementRequested, original: Answer | None) -> Iterator[datetime]:
    bins = _bins(movement, original)
    return (each.effective_at for each in book.documents.values() if bins & each.counted)


def _bins(movement: MovementRequested, original: Answer | None) -> set[Place]:
    """The bins that a movement's lines name; where one names none, those of its item in the original."""
    bins: set[Place] = set()
    for line in movement.lines:
        named = {(str(line.item), place) for place in (line.source, line.target) if place is not None}
        if not named and original is not None:
            named = {(item, place) for item, place in original.stamps if item == line.item}
        bins |= named
    return bins


_PLAYED: Mapping[str, Callable[[Play], None]] = {
    "reconciliation": correcting.count,
    "write_down": correcting.write_down,
    "landed_cost": correcting.land,
    "sales_return": returning.come_back,
    "purchase_return": returning.send_back,
}
