"""What each flow does to stock: one function a flow, from the lines of a movement to the plan of its changes.

A purpose is a row of the table of purposes; its flow names the function here that reads its lines, changes the draft
and notes every reason against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from services.receiving.decide.bringing import arrive, bring
from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.counting import count
from services.receiving.decide.landing import land
from services.receiving.decide.lines import comes_back, read_lines
from services.receiving.decide.rates import stated_amount, take_known_rate
from services.receiving.decide.returning import come_back, give_back, send_back
from services.receiving.decide.taking import take
from services.receiving.decide.writing_down import write_down
from shared.purposes import Flow


def plan(case: Case) -> Plan:
    """What a movement does to stock; where a reason was noted the plan is worth nothing."""
    return _FLOWS[case.purpose.flow](case)


def _bring_in(case: Case) -> Plan:
    return Plan(came=[portion for line in read_lines(case) for portion in _bring(case, line)])


def _take_out(case: Case) -> Plan:
    """What goes out; and what comes back, where a sale is an exchange."""
    lines = read_lines(case)
    left = [portion for line in lines for portion in _take(case, line)]
    return Plan(left, came=give_back(case, [line for line in lines if comes_back(case, line.requested)]))


def _move(case: Case) -> Plan:
    left = [portion for line in read_lines(case) for portion in _take(case, line)]
    moved = [arrive(case, portion, target) for portion in left if (target := portion.line.target) is not None]
    return Plan(left, moved)


def _make(case: Case) -> Plan:
    """All that is consumed leaves before anything that is made arrives."""
    lines = read_lines(case)
    requested = case.movement.lines
    if requested and all(line.source is None for line in requested):
        case.refuse("nothing_consumed", None, purpose=case.purpose.name)
    if requested and all(line.target is None for line in requested):
        case.refuse("nothing_made", None, purpose=case.purpose.name)
    left = [portion for line in lines for portion in _take(case, line)]
    return Plan(left, came=[portion for line in lines for portion in _produce(case, line)])


def _take(case: Case, line: Line) -> list[Portion]:
    return take(case, line, line.source) if line.source is not None else []


def _produce(case: Case, line: Line) -> list[Portion]:
    """What was made: at its given rate, or for a share of what was consumed; scrap at its rate, or the last one."""
    if line.target is None:
        return []
    if line.requested.rate or line.requested.allow_zero_rate or line.requested.scrap:
        return _bring(case, line)
    share = line.quantity if line.requested.share is None else line.requested.share
    return [replace(portion, share=share) for portion in bring(case, line, line.target)]


def _bring(case: Case, line: Line) -> list[Portion]:
    """What comes in from outside has a rate: its own, or one known in the bin."""
    if line.target is None:
        return []
    amount = stated_amount(case, line)
    if amount is None:
        take_known_rate(case, line, line.target)
    portions = bring(case, line, line.target)
    return [replace(portion, amount=amount, share=_share_of_costs(case, line)) for portion in portions]


def _share_of_costs(case: Case, line: Line) -> Decimal | None:
    """A line's part where costs are spread by shares; what is made at a given rate has none."""
    return None if case.purpose.flow is Flow.MAKE else line.requested.share


_FLOWS: Mapping[Flow, Callable[[Case], Plan]] = {
    Flow.IN: _bring_in,
    Flow.OUT: _take_out,
    Flow.MOVE: _move,
    Flow.MAKE: _make,
    Flow.COME_BACK: come_back,
    Flow.SEND_BACK: send_back,
    Flow.COUNT: count,
    Flow.LAND: land,
    Flow.WRITE_DOWN: write_down,
}
