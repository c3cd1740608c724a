"""Dry runs: movements that are judged like any other, and then never happened.

Their ids are neither looked up nor kept, they never wait, and nothing of them is written. What is refused is answered
at once; what would be accepted goes on to ledger and accounting as a trial, and is answered from there.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.stock import Stock
from services.receiving.handlers.gate import Settled, log
from services.receiving.handlers.judging import try_alone
from shared.contracts.codec import write
from shared.contracts.registry import OUTCOME_REJECTED, TRIAL_ALLOCATED
from shared.service import Output, Result


def try_out(connection: Connection, trials: Sequence[Request], stock: Stock, now: datetime, limits: Limits) -> Settled:
    """Judge dry runs, each by itself, on the stock that the set with which they came has left."""
    judged = [try_alone(connection, each, stock, now, limits) for each in trials]
    for each in judged:
        log.debug("tried", source=each.request.source, id=each.request.id, trace=each.request.trace)
    return Settled([_output(each) for each in judged], counts=Counter(map(_result, judged)))


def _output(judged: Accepted | Rejected) -> Output:
    key = (judged.request.source, judged.request.id)
    if isinstance(judged, Accepted):
        return Output(TRIAL_ALLOCATED, *key, write(judged.allocated))
    return Output(OUTCOME_REJECTED, *key, write(msgspec.structs.replace(judged.outcome, dry_run=True)))


def _result(judged: Accepted | Rejected) -> tuple[Result, str]:
    return (Result.TRIED, judged.outcome.reasons[0].code if isinstance(judged, Rejected) else "")
