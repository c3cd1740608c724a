"""What an upstream is told of each thing that it sent: accepted, with what was allocated; or rejected, with why."""

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Time
from shared.quantities import Money, Quantity


class Refusal(Contract, frozen=True, kw_only=True):
    """One reason of a rejection: a stable code, the line it concerns (None: the whole), and the facts.

    `code` never changes its meaning. `line` is absent where the whole is concerned. `facts` show what was found.
    """

    code: Code
    line: int | None = None
    facts: dict[str, str] = {}


class Remark(Contract, frozen=True, kw_only=True):
    """Something that an accepted movement's source should know: a stable code, the line, and the facts.

    `code` is `shortage` (more was issued than was there) or `unreferenced` (a return that names no original). `line` is
    absent where the whole is concerned. `facts` show what was found.
    """

    code: Code
    line: int | None = None
    facts: dict[str, str] = {}


class Allocated(Contract, frozen=True, kw_only=True):
    """What a line took or made: so much of one batch, or these serials; `warehouse` is where it left or arrived.

    `quantity` is in stock units. `generated` says that the batch or the serials were numbered by a series.
    """

    line: int
    item: Code
    warehouse: Code
    quantity: Quantity
    batch: Code | None = None
    serials: list[str] = []
    amount: Money | None = None
    generated: bool = False


class OutcomeAccepted(Contract, frozen=True, kw_only=True):
    """Something was accepted: a movement, or a definition (`kind` is the type of what was sent, without version).

    `id` is the movement's, or that of the event which defined. `allocated` is what each line took or made. `remarks`
    are what its source should know.
    """

    source: SourceName
    id: Identifier
    kind: Code
    company: Code | None = None
    recorded_at: Time
    effective_at: Time | None = None
    allocated: list[Allocated] = []
    remarks: list[Remark] = []
    attempt: int = 1


class OutcomeRejected(Contract, frozen=True, kw_only=True):
    """Something was refused, for all of these reasons; nothing of it took effect.

    `id` is the movement's, or that of the event which defined. `kind` is the type of what was sent, without version.
    `recorded_at` is when it was refused. `reasons` are all that speak against it. `dry_run` says that it was only
    tried.
    """

    source: SourceName
    id: Identifier
    kind: Code
    company: Code | None = None
    recorded_at: Time
    reasons: list[Refusal]
    dry_run: bool = False
    attempt: int = 1
