"""`stockbook status`: how things stand at a glance, and whether anything needs a person.

Exit code 0: nothing does. 3: something does, and the last lines say what.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.desk.cli.options import parse_age
from services.desk.cli.showing import LOOK
from services.desk.servers import reading
from services.desk.store.standing import Heap, Standing, standing
from shared.broker import Broker, QueueVanished, connect
from shared.broker.lanes import is_lane, with_lanes
from shared.broker.topology import SERVICES
from shared.contracts.codec import write
from shared.errors import Retryable
from shared.printable import printable, printable_json
from shared.settings import Settings

NEEDS_A_PERSON = 3
WIDTH = 100


class StatusFormat(StrEnum):
    """How the status is written."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Queues:
    """How many messages lie in each queue, None: it is not there. `error`: the broker did not answer."""

    depths: dict[str, int | None]
    error: str | None = None


def status(
    form: StatusFormat = typer.Option(StatusFormat.TABLE, "--format", help="How to write it."),
    late: str = typer.Option("5m", help="How long a movement may be on its way before a person has to look."),
    within: str = typer.Option("1d", help="How far back movements are looked at that are still on their way."),
) -> None:
    """Show how things stand. Exit code 0: nothing needs a person; 3: something does."""
    settings, longest = Settings.from_environment(), parse_age(late)
    with reading(settings) as connection:
        stands = standing(connection, parse_age(within))
    queues = ask_queues(settings.broker_url, settings.lanes)
    needs = list(needs_a_person(stands, queues, longest))
    if form is StatusFormat.JSON:
        whole = {**asdict(stands), "queues": queues, "needs_a_person": needs}
        sys.stdout.write(printable_json(msgspec.json.format(write(whole)).decode()) + "\n")
    else:
        _print(stands, queues, needs)
    if needs:
        raise typer.Exit(NEEDS_A_PERSON)


def ask_queues(url: str | None, lanes: Collection[str] = ()) -> Queues | None:
    """What lies in the queues, those of sources with `lanes` among them.

    None where the broker is inside the processes, and nobody else can ask it.
    """
    if url is None:
        return None
    broker = connect(url)
    try:
        return Queues({queue.name: _depth(broker, queue.name) for queue in with_lanes(lanes).queues})
    except Retryable as error:
        return Queues({}, str(error))
    finally:
        broker.close()


def _depth(broker: Broker, queue: str) -> int | None:
    try:
        return broker.depth(queue)
    except QueueVanished:
        return None


def needs_a_person(stands: Standing, queues: Queues | None, late: timedelta) -> Iterator[str]:
    """What does not get better by itself, each in a line that says where to go on."""
    if queues is not None:
        yield from queues_that_need_a_person(queues)
    if stands.stuck_bins.count:
        yield f"{stands.stuck_bins.count} stuck in the ledger: stockbook stuck list"
    for heap in stands.parked:
        yield f"{heap.count} parked in {heap.service} ({heap.reason}): stockbook parked list --service {heap.service}"
    if stands.next_due is not None and stands.now - stands.next_due > late:
        yield "movements that wait at the gate are overdue: does a receiving worker run?"
    for lag, what in (
        (stands.not_posted, "accepted but not posted"),
        (stands.not_booked, "posted but not booked"),
        (stands.not_in_aftercare, "of units, accepted but not heard of in aftercare"),
        (stands.dirty_bins, "to be valued anew (stockbook report dirty-bins)"),
    ):
        if lag.oldest is not None and stands.now - lag.oldest > late:
            yield f"{lag.count} {what}, the oldest for {_age(stands.now - lag.oldest)}"


def queues_that_need_a_person(queues: Queues) -> Iterator[str]:
    """What lies where nobody takes it, or cannot lie there; however much lies where workers take it."""
    if queues.error is not None:
        yield f"the broker does not answer: {queues.error}"
    for name, depth in queues.depths.items():
        if depth is None:
            yield f"the queue {name} is not there: a worker that starts declares it"
        elif depth and name not in SERVICES and not is_lane(name):
            yield f"{depth} in the queue {name}, from which nobody takes"


def _print(stands: Standing, queues: Queues | None, needs: Sequence[str]) -> None:
    console = Console(width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH, highlight=False)
    shown = Table(title=f"Status at {stands.now:%Y-%m-%d %H:%M:%S} UTC", header_style="bold", **LOOK)
    shown.add_column("what")
    shown.add_column("how many", justify="right")
    shown.add_column("since when")
    for row in [*_queue_rows(queues), *_heap_rows(stands), *_newest_rows(stands)]:
        shown.add_row(*(Text(printable(each)) for each in row))
    console.print(shown)
    for need in needs:
        console.print(Text(printable(f"needs a person: {need}"), style="bold red"))
    if not needs:
        console.print("nothing needs a person")


def _queue_rows(queues: Queues | None) -> Iterator[tuple[str, str, str]]:
    if queues is None:
        yield "queues", "", "the broker is inside each process: nothing waits there"
        return
    for name, depth in queues.depths.items():
        yield f"queue {name}", "not there" if depth is None else str(depth), ""


def _heap_rows(stands: Standing) -> Iterator[tuple[str, str, str]]:
    now = stands.now
    due = f", the first is due {_when(stands.next_due, now)}" if stands.next_due else ""
    yield "waiting in receiving", str(stands.waiting_in_receiving.count), _since(stands.waiting_in_receiving, now) + due
    yield "waiting in the ledger", str(stands.waiting_in_ledger.count), _since(stands.waiting_in_ledger, now)
    yield "waiting in aftercare", str(stands.waiting_in_aftercare.count), _since(stands.waiting_in_aftercare, now)
    yield "stuck bins", str(stands.stuck_bins.count), _since(stands.stuck_bins, now)
    yield "dirty bins, to be valued anew", str(stands.dirty_bins.count), _since(stands.dirty_bins, now)
    for heap in stands.parked:
        yield f"parked in {heap.service}: {heap.reason}", str(heap.count), _since(Heap(heap.count, heap.oldest), now)
    if not stands.parked:
        yield "parked", "0", ""
    for name, count in stands.outbox.items():
        yield f"outbox of {name}", str(count), ""
    yield "accepted, not posted", str(stands.not_posted.count), _since(stands.not_posted, now)
    yield "posted, not booked", str(stands.not_booked.count), _since(stands.not_booked, now)
    yield "of units, not in aftercare", str(stands.not_in_aftercare.count), _since(stands.not_in_aftercare, now)


def _newest_rows(stands: Standing) -> Iterator[tuple[str, str, str]]:
    """By when the newest of them was accepted."""
    for name, moment in asdict(stands.newest).items():
        yield f"newest {name}", "", _when(moment, stands.now) if moment else "none of late"


def _since(heap: Heap, now: datetime) -> str:
    return f"the oldest {_when(heap.oldest, now)}" if heap.oldest else ""


def _when(moment: datetime, now: datetime) -> str:
    return f"{_age(now - moment)} ago" if moment <= now else f"in {_age(moment - now)}"


def _age(length: timedelta) -> str:
    """A length of time in its largest unit, rounded down."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
