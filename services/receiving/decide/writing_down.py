"""Write-downs: from now on no unit that stands in a bin is worth more than a rate.

Nothing moves, and nothing is ever worth more by it: what is worth less already stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence

from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.lines import check_serials, read_lines
from services.receiving.decide.rates import stated_rate
from services.receiving.decide.stock import BatchStock, BinKey, Warehouse
from services.receiving.decide.taking import standing
from shared.purposes import Tracking
from shared.quantities import ZERO


def write_down(case: Case) -> Plan:
    """What stands in a bin, of a batch there, or as serials there is worth no more than the rate of its line."""
    lines = [(line, line.source) for line in read_lines(case) if line.source is not None]
    valued = [_write_down(case, line, source) for line, source in lines]
    _refuse_repeated(case, valued)
    check_serials(case, valued)
    return Plan(valued=valued)


def _write_down(case: Case, line: Line, source: Warehouse) -> Portion:
    rate = stated_rate(case, line)
    if rate is None:
        case.refuse("rate_missing", line, item=line.item.item)
    serials = _FINDING[line.item.tracking](case, line, source)
    return Portion(line, source, ZERO, line.batch, serials, rate=rate)


def _refuse_repeated(case: Case, portions: Sequence[Portion]) -> None:
    """Of two rates for one thing neither would be meant."""
    written: set[tuple[BinKey, str | None]] = set()
    for portion in portions:
        key = case.bin_key(portion.line.item, portion.warehouse)
        numbers: Sequence[str | None] = portion.serials or [portion.batch]
        repeated = [number for number in numbers if (key, number) in written]
        if repeated:
            kind, number = portion.line.item.tracking.value, repeated[0]
            facts = {"item": key[1], "warehouse": key[2]}
            case.refuse("written_down_twice", portion.line, **facts, **({kind: number} if number else {}))
        written.update((key, number) for number in numbers)


# --- what is there ----------------------------------------------------------------------------------------------------


def _find_quantity(case: Case, line: Line, source: Warehouse) -> Sequence[str]:
    if case.bin(case.bin_key(line.item, source)).quantity <= ZERO:
        _refuse_nothing(case, line, source)
    return ()


def _find_batch(case: Case, line: Line, source: Warehouse) -> Sequence[str]:
    if line.batch is None:
        case.refuse("batch_missing", line, item=line.item.item)
        return ()
    if case.draft.batches.get(case.batch_key(line.item, line.batch)) is None:
        case.refuse("unknown_batch", line, item=line.item.item, batch=line.batch)
        return ()
    stock = case.draft.batch_stock.get((*case.bin_key(line.item, source), line.batch)) or BatchStock()
    if stock.quantity <= ZERO:
        _refuse_nothing(case, line, source)
    return ()


def _find_serials(case: Case, line: Line, source: Warehouse) -> Sequence[str]:
    """The serials that a line names; without any, all that stand there, of the batch that it may name."""
    if line.serials is not None:
        return [number for number in line.serials if standing(case, line, source, number) is not None]
    there = case.draft.stock.serials_in.get(case.bin_key(line.item, source), set())
    key = (case.company.company, line.item.item)
    serials = case.draft.stock.serials
    found = sorted(number for number in there if line.batch in (None, serials[*key, number].batch))
    if not found:
        _refuse_nothing(case, line, source)
    return found


def _refuse_nothing(case: Case, line: Line, source: Warehouse) -> None:
    batch = {} if line.batch is None else {"batch": line.batch}
    case.refuse("nothing_there", line, item=line.item.item, warehouse=source.warehouse, **batch)


_FINDING: Mapping[Tracking, Callable[[Case, Line, Warehouse], Sequence[str]]] = {
    Tracking.NONE: _find_quantity,
    Tracking.BATCH: _find_batch,
    Tracking.SERIAL: _find_serials,
}
"""The serials that a write-down is about, none for other items; why there is nothing to write down is noted."""
