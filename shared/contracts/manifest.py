"""What a source says that it sent of a day, by its own numbers, and what it is answered: missing, extra, different.

A source that numbers its movements (1, 2, 3, one sequence for ever) can be told exactly what did not arrive.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Time
from shared.quantities import Money, Quantity

LARGEST_NUMBER = 9_007_199_254_740_991
"""The largest whole number that every JSON reader keeps exactly."""

Number = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_NUMBER)]
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


def is_number(value: object) -> bool:
    """Whether a value of JSON can be a movement's number."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_NUMBER


class NumberRange(Contract, frozen=True, kw_only=True):
    """Numbers that follow each other. `first` and `last` are both among them."""

    first: Number
    last: Number


class ManifestTotal(Contract, frozen=True, kw_only=True):
    """What the movements of one purpose come to, each field only where it is to be compared.

    `count` is how many there are. `quantity`, `net` and `tax` are the sums of these fields over all of their lines, as
    they were sent: in the lines' own units, and nothing for a line that leaves the field out.
    """

    purpose: Code
    count: Count | None = None
    quantity: Quantity | None = None
    net: Money | None = None
    tax: Money | None = None


class ManifestMovement(Contract, frozen=True, kw_only=True):
    """One movement that was sent. `number` is its number, and `id` its id."""

    number: Number
    id: Identifier


class SourceManifest(Contract, frozen=True, kw_only=True):
    """What a source says that it sent of a day: numbers without gaps, and what they come to.

    `day` is the business day, as the source counts it; a later manifest of the same day takes the place of the one
    before. `first_number` and `last_number` are the day's first and last; of a day without movements the last is the
    one before the first. `count` is how many movements there are. `unused` are numbers in between that no movement has.
    `totals` are compared total by total. `digest` is the SHA-256, in hexadecimal, over all ids in the order of their
    UTF-8 bytes, each with a NUL behind it. `listed` may name each movement: then an id under another number is found
    too, and numbers that are not listed are unused.
    """

    day: date
    first_number: Number
    last_number: Count
    count: Count
    unused: list[NumberRange] = []
    totals: list[ManifestTotal] = []
    digest: Digest | None = None
    listed: list[ManifestMovement] = []


class ExtraMovement(Contract, frozen=True, kw_only=True):
    """A movement that arrived under a number that its manifest does not give it; `id` is absent where it is unreadable.

    `number` is its number.
    """

    number: Number
    id: Identifier | None = None


class RepeatedNumber(Contract, frozen=True, kw_only=True):
    """A number that several movements have. `number` is that number, and `ids` are theirs."""

    number: Number
    ids: list[Identifier]


class DifferentTotal(Contract, frozen=True, kw_only=True):
    """A total that is not what the manifest says.

    `code` is `count_differs`, `quantity_differs`, `net_differs`, `tax_differs` or `digest_differs`. `purpose` is absent
    where all movements are meant. `expected` is what the manifest says, and `found` what arrived comes to.
    """

    code: Literal["count_differs", "quantity_differs", "net_differs", "tax_differs", "digest_differs"]
    purpose: Code | None = None
    expected: str
    found: str


class NotAccepted(Contract, frozen=True, kw_only=True):
    """A movement that arrived and was not accepted: it is not missing, and sending it again changes nothing.

    `number` is its number. `id` is absent where it is unreadable. `state` is `rejected` (refused for good), `waiting`
    (for what may still come) or `parked` (for an operator to see). `codes` say why; of what waits there are none.
    """

    number: Number
    id: Identifier | None = None
    state: Literal["rejected", "waiting", "parked"]
    codes: list[Code] = []


class SourceReconciled(Contract, frozen=True, kw_only=True):
    """The answer to a manifest: exactly what is missing, extra or different, as things stood at one moment.

    `id` is that of the manifest's event. `day`, `first_number` and `last_number` are the manifest's own. `as_of` is
    that moment: what came later is not looked at. `result` is `agrees` (all arrived as told, and was accepted),
    `not_accepted` (all arrived as told, and some was not accepted) or `differs`. `expected` is how many movements the
    manifest says, `arrived` how many came under the day's numbers, and `accepted` how many of these were accepted.
    `missing` are the numbers that did not arrive: send them again. `extra` are movements that the manifest does not
    have. `different` are totals that are not as told. `not_accepted` arrived, and was rejected, waits or is parked.
    `repeated` are numbers of several movements.

    Each list has 1,000 members at most. `missing_count`, `extra_count`, `not_accepted_count` and `repeated_count` say
    how many there are in all; numbers, not ranges.
    """

    source: SourceName
    id: Identifier
    day: date
    first_number: Number
    last_number: Count
    as_of: Time
    result: Literal["agrees", "not_accepted", "differs"]
    expected: int
    arrived: int
    accepted: int
    missing: list[NumberRange] = []
    missing_count: int = 0
    extra: list[ExtraMovement] = []
    extra_count: int = 0
    different: list[DifferentTotal] = []
    not_accepted: list[NotAccepted] = []
    not_accepted_count: int = 0
    repeated: list[RepeatedNumber] = []
    repeated_count: int = 0
