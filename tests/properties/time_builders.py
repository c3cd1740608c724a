"""A builder of short histories that are not told in the order in which they happened."""

from datetime import timedelta
from fractions import Fraction

from msgspec import structs

from shared.contracts.movement import AllocatedCost, Leg, MovementAllocated, MovementName
from tests.builders import MORNING, Receiving, entry_of
from tests.properties.reference_time import Total, outcome
from tests.properties.time_gate import undoing

DAY_BEFORE = MORNING - timedelta(days=30)
"""All days are counted from here, so that they are over when they are told of."""


class Days:
    """Movements as they were told, each of a day of its own."""

    def __init__(self) -> None:
        self._receiving = Receiving(source="till")
        self.told: list[MovementAllocated] = []

    def tell(
        self,
        day: int,
        purpose: str,
        *legs: Leg,
        costs: tuple[AllocatedCost, ...] = (),
        against: MovementAllocated | None = None,
    ) -> MovementAllocated:
        """What takes effect on a day, told after all that was told before."""
        at = DAY_BEFORE + timedelta(days=day)
        also = [(each.item, each.warehouse) for each in against.stamps] if against else ()
        movement = self._receiving.movement(*legs, purpose=purpose, costs=costs, also=also)
        name = MovementName(source=against.source, id=against.id) if against else None
        dates = {"posting_at": at, "effective_at": at, "posting_date": at.date()}
        movement = structs.replace(movement, against=name, **dates)
        self.told.append(movement)
        return movement

    def cancel(self, movement: MovementAllocated) -> None:
        """As if it never had been, on its own day."""
        day = (movement.effective_at - DAY_BEFORE).days
        self.tell(day, "cancellation", *undoing(movement, {}), against=movement)
        self.told[-1] = structs.replace(self.told[-1], mirrors=movement.purpose)

    def values(self, movement: MovementAllocated) -> list[str]:
        """What the legs of a movement come to after all that was told."""
        totals = outcome(self.told).totals()
        return [_money(totals.get(entry_of(movement, place), Total()).value) for place in range(len(movement.legs))]

    def balance(self, item: str = "tea", place: str = "north", batch: str = "") -> str:
        """What stands there in the end: quantity and value."""
        standing = outcome(self.told).standing()
        quantity, value = standing[max(standing)][item, place, batch]
        return f"{float(quantity):g} worth {_money(value)}"

    def accounts(self) -> dict[str, str]:
        """What was booked on each account in the end."""
        return {account: _money(amount) for account, amount in outcome(self.told).accounts().items()}


def _money(amount: Fraction) -> str:
    return f"{float(amount):.2f}"
