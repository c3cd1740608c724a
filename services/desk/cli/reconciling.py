"""The answer to a manifest in words: how many arrived, then what is missing, extra, different or not accepted."""

from collections.abc import Iterator

from services.receiving.decide.spans import told
from shared.contracts.manifest import DifferentTotal, ExtraMovement, NotAccepted, RepeatedNumber, SourceReconciled

VERDICTS = {"agrees": "agrees", "not_accepted": "arrived", "differs": "differs"}
"""How it came out, in a word: all is here and accepted, all is here, or something else."""


def reconciled_lines(answer: SourceReconciled) -> Iterator[str]:
    """What stands in an answer, a line each; the first says how many of how many arrived."""
    numbers = told((answer.first_number, answer.last_number)) if answer.expected or answer.arrived else "nothing sent"
    arrived = f"{answer.arrived} of {answer.expected} arrived, {answer.accepted} accepted"
    yield f"{answer.day}, {numbers}: {arrived}, as of {answer.as_of:%Y-%m-%d %H:%M:%S}"
    if answer.missing:
        spans = ", ".join(told((each.first, each.last)) for each in answer.missing)
        yield f"you owe us {spans}: {answer.missing_count} missing"
    yield from map(_extra, answer.extra)
    yield from map(_repeated, answer.repeated)
    yield from map(_different, answer.different)
    yield from map(_not_accepted, answer.not_accepted)
    if _is_cut(answer):
        yield f"and more: {answer.extra_count} extra, {answer.not_accepted_count} not accepted in all"


def _extra(extra: ExtraMovement) -> str:
    return f"extra: {extra.number} {extra.id or 'that cannot be read'}"


def _repeated(repeated: RepeatedNumber) -> str:
    return f"one number of several: {repeated.number} {', '.join(repeated.ids)}"


def _different(different: DifferentTotal) -> str:
    of = f" of {different.purpose}" if different.purpose else ""
    return f"{different.code}{of}: {different.expected} told, {different.found} found"


def _not_accepted(refused: NotAccepted) -> str:
    why = f": {', '.join(refused.codes)}" if refused.codes else ""
    return f"{refused.state}: {refused.number} {refused.id or 'that cannot be read'}{why}"


def _is_cut(answer: SourceReconciled) -> bool:
    shown = (len(answer.extra), len(answer.not_accepted), len(answer.repeated))
    return shown != (answer.extra_count, answer.not_accepted_count, answer.repeated_count)
