"""All that the books know about a recall, read as of one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from services.desk.recall.reaching import Holding, holdings
from services.desk.recall.whereabouts import Left, Place, Supply, left_since, places, supplies
from services.desk.store.recalls import (
    Behind,
    Contact,
    Marks,
    Recall,
    Recalled,
    Reserved,
    behind,
    contacts_of,
    find_recall,
    goods_of,
    kinds_of_warehouses,
    marks_of,
    refused_since,
    reserved_of,
)
from services.desk.trace.goods import Goods, Key, Way
from services.desk.trace.starting import Start
from services.desk.trace.tracing import Trace, trace
from services.desk.trace.walking import Limits
from shared.errors import Reason, StockbookError

# Whoever is left out is not called: what is cut off is told, and is seldom.
LIMITS = Limits(depth=1_000, goods=1_000_000, events=1_000_000)


@dataclass(frozen=True, slots=True)
class Findings:
    """A recall with where its goods came from (`up`, of what it names) and went (`down`, of all of them).

    `made_since`: goods that were made of them later, as a mock recall allows. `holdings`: who has got any of them.
    `places`: what stands where. `left`: what became of them otherwise since the recall. `last`: by name, when somebody
    was reached last. `refused`: movements that were told since, and were refused for it.
    """

    recall: Recall
    goods: Sequence[Recalled]
    made_since: Sequence[Goods]
    up: Trace
    down: Trace
    holdings: Sequence[Holding]
    places: Sequence[Place]
    left: Sequence[Left]
    supplies: Sequence[Supply]
    contacts: Sequence[Contact]
    last: Mapping[str | None, Contact]
    reserved: Sequence[Reserved]
    refused: Sequence[Key]
    behind: Behind

    @property
    def customers(self) -> set[str]:
        """Who has got any of it, as far as anybody was named."""
        return {each.name for each in self.holdings if each.name is not None}

    @property
    def reached(self) -> set[str]:
        """Those of them who were told."""
        return self.customers & {each.customer for each in self.contacts}

    @property
    def is_whole(self) -> bool:
        """Whether all is posted, found, and accounted for."""
        return not self.gaps

    @property
    def gaps(self) -> list[str]:
        """The codes of why this is not all of it."""
        return sorted({each.code for each in self.notes()} & _SERIOUS)

    def notes(self) -> list[Reason]:
        """What whoever works with this must know of it."""
        return [*_gaps(self), *_limits(self)]


def must_find(connection: Connection, key: Key) -> Recall:
    """A recall; StockbookError where there is none of that name."""
    recall = find_recall(connection, key)
    if recall is None:
        raise StockbookError("there is no such recall", source=key[0], id=key[1])
    return recall


def find_out(connection: Connection, recall: Recall, marks: Marks | None = None) -> Findings:
    """All about a recall, within a transaction that stands still (`hold_still`).

    `marks` are how far the gate had come when it was asked; without them, how far it is. A shop that goes on selling
    other batches is always a little ahead of its ledger: whoever asks wants what was accepted before.
    """
    goods = goods_of(connection, recall)
    own = [each.goods for each in goods if each.goods is not None]
    named = [each.goods for each in goods if each.named and each.goods is not None]
    up = trace(connection, Start(recall.company, named), [Way.UP], LIMITS)
    down = trace(connection, Start(recall.company, own), [Way.DOWN], LIMITS)
    contacts = contacts_of(connection, recall)
    warehouses = kinds_of_warehouses(connection, recall.company)
    return Findings(
        recall,
        goods,
        sorted(down.walks[Way.DOWN].depths.keys() - set(own), key=_by_name),
        up,
        down,
        holdings(down, recall.recorded_at),
        places(down, goods, warehouses),
        left_since(down, recall.recorded_at, warehouses),
        supplies(up),
        contacts,
        {each.customer: each for each in contacts},
        reserved_of(connection, recall.company, goods),
        refused_since(connection, recall),
        behind(connection, recall.company, marks_of(connection, recall.company, goods) if marks is None else marks),
    )


def _by_name(goods: Goods) -> tuple[str, str, str]:
    return goods.item, goods.batch or "", goods.serial or ""


# --- notes ------------------------------------------------------------------------------------------------------------


class Note(StrEnum):
    """The codes of what there is to know. The first three say that it is not all."""

    NOT_POSTED = "not_posted"
    CUT_OFF = "cut_off"
    NOT_ACCOUNTED_FOR = "not_accounted_for"
    NOBODY_NAMED = "nobody_named"
    REFUSED_SINCE = "refused_since"
    REACHED_WITHOUT_GOODS = "reached_without_goods"
    UNTRACKED = "untracked"
    MADE_SINCE = "made_since"


_SERIOUS = {Note.NOT_POSTED, Note.CUT_OFF, Note.NOT_ACCOUNTED_FOR}


def _gaps(found: Findings) -> list[Reason]:
    """Why this may not be all of it."""
    notes: list[Reason] = []
    if found.behind.changes:
        facts = {"changes": str(found.behind.changes), "bins": str(found.behind.bins)}
        notes.append(Reason(Note.NOT_POSTED, None, facts))
    cut = {reason for each in (found.up, found.down) for walk in each.walks.values() for reason in walk.cut}
    notes += [Reason(Note.CUT_OFF, None, {"limit": reason}) for reason in sorted(cut)]
    balances = {**found.up.balances, **found.down.balances}
    wrong = [goods for goods, balance in balances.items() if not balance.holds]
    return notes + [Reason(Note.NOT_ACCOUNTED_FOR, None, facts_of(each)) for each in wrong]


def _limits(found: Findings) -> list[Reason]:
    """What nobody can know from the books."""
    notes: list[Reason] = []
    nameless = [each for each in found.holdings if each.name is None and each.taken]
    if nameless:
        documents = {step.key for each in nameless for step in each.taken}
        notes.append(Reason(Note.NOBODY_NAMED, None, {"movements": str(len(documents))}))
    if found.refused:
        notes.append(Reason(Note.REFUSED_SINCE, None, {"movements": str(len(found.refused))}))
    strangers = sorted({each.customer for each in found.contacts} - found.customers)
    notes += [Reason(Note.REACHED_WITHOUT_GOODS, None, {"customer": each}) for each in strangers]
    untracked = dict.fromkeys(each.item for each in found.down.walks[Way.DOWN].depths if not each.is_tracked)
    notes += [Reason(Note.UNTRACKED, None, {"item": item}) for item in untracked]
    return notes + [Reason(Note.MADE_SINCE, None, facts_of(each)) for each in found.made_since]


def facts_of(goods: Goods) -> dict[str, str]:
    """Goods by their names."""
    named = {"item": goods.item, "batch": goods.batch, "serial": goods.serial}
    return {name: value for name, value in named.items() if value is not None}
