"""What the services say of the messages of an import: counted, and where it is a refusal, told by its row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from services.desk.events import Event
from services.desk.importing.faults import Fault
from services.desk.importing.staging import Staging
from services.desk.listening import Outcome, is_tried
from services.desk.reporting import reason_text
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.service import Key

NO_OUTCOME = "no_outcome"
_RETRY = "`stockbook rejected retry {} {}` has it judged again"
_ABOUT = ("serial", "batch", "warehouse", "item", "company")


class Answers:
    """Hears outcomes, of dry runs where `is_trial`. What was recorded before `begun` an earlier import had brought.

    `taken` and `taken_before` count rows; `open` are the messages without an answer. `heard` is called with how many
    messages were answered.
    """

    def __init__(
        self,
        staging: Staging,
        begun: datetime,
        *,
        is_trial: bool = False,
        heard: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._staging = staging
        self._begun = begun
        self._is_trial = is_trial
        self._heard = heard
        self.open: dict[Key, None] = {}
        self.taken = 0
        self.taken_before = 0
        self.faults: list[Fault] = []

    def sent(self, events: Sequence[Event]) -> None:
        """These are on their way; their answers are awaited."""
        self.open.update((key, None) for event in events for key in event.keys)

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """Take note of answers; those to others, and what was told before, are passed over."""
        count = 0
        for outcome in outcomes:
            key = (outcome.source, outcome.id)
            if key not in self.open or (self._is_trial and not is_tried(outcome)):
                continue
            del self.open[key]
            count += 1
            self._take(outcome)
        self._heard(count)

    def missing(self, hint: str) -> list[Fault]:
        """A fault for every message without an answer."""
        return [Fault(self._staging.row_of(name), "", NO_OUTCOME, "", hint) for _, name in self.open]

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome, OutcomeRejected):
            self.faults += [self._fault(outcome, place) for place in range(len(outcome.reasons))]
            return
        rows = self._staging.rows_of(outcome.id)
        self.taken += rows
        if isinstance(outcome, OutcomeAccepted) and outcome.recorded_at < self._begun:
            self.taken_before += rows

    def _fault(self, outcome: OutcomeRejected, place: int) -> Fault:
        reason = outcome.reasons[place]
        text = reason_text(reason.code, None, reason.facts)
        if not outcome.dry_run and outcome.recorded_at < self._begun:
            text += self._refused_before(outcome)
        row = self._staging.row_of(outcome.id, reason)
        return Fault(row, "", reason.code, subject_of(reason.facts), text)

    def _refused_before(self, outcome: OutcomeRejected) -> str:
        """That the answer is an old one, and how to get a new one."""
        anew = "--again asks anew" if self._staging.is_of_definitions else _RETRY.format(outcome.source, outcome.id)
        return f" (refused by an earlier import, at {outcome.recorded_at:%Y-%m-%d %H:%M:%S}: {anew})"


def subject_of(facts: Mapping[str, str]) -> str:
    """What a reason is about: the narrowest that it names."""
    return next((facts[name] for name in _ABOUT if name in facts), "")
