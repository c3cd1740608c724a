"""What went into which product: pieces of all that was consumed, which add up to it whatever is rounded."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.decide.making import Piece, made_by, makes, pieces_of, weights_of
from shared.contracts.movement import Leg
from shared.quantities import Quantity
from tests.builders import Receiving, entry_of, leg

quantities = st.integers(1, 10**12).map(lambda number: Decimal(number).scaleb(-6))
shares = st.none() | st.integers(0, 10**9).map(lambda number: Decimal(number).scaleb(-6))
products = st.lists(st.builds(leg, quantities, item=st.just("cake"), share=shares), min_size=1)


def _product(quantity: Decimal | int, share: Decimal | int | None = None) -> Leg:
    return leg(Quantity(quantity), item="cake", share=share)


def _parts(legs: list[Leg], quantity: str) -> list[str]:
    return [str(piece.of(Decimal(quantity))) for piece in pieces_of(legs)]


def test_products_divide_what_was_consumed_by_their_quantities() -> None:
    assert _parts([_product(6), _product(2)], "4") == ["3", "1"]


def test_products_with_shares_divide_by_these() -> None:
    assert _parts([_product(100, 1), _product(25, 3)], "8") == ["2", "6"]


def test_what_has_no_share_has_its_part_by_quantity_and_the_others_divide_the_rest_by_shares() -> None:
    assert _parts([_product(30, 1), _product(30, 3), _product(20)], "8") == ["1.5", "4.5", "2"]


def test_where_all_shares_are_nothing_quantities_count() -> None:
    assert _parts([_product(3, 0), _product(1, 0)], "4") == ["3", "1"]


def test_of_a_unit_that_becomes_three_things_the_thirds_add_up_to_it() -> None:
    parts = _parts([_product(1), _product(1), _product(1)], "1")
    assert parts == ["0.333333", "0.333333", "0.333334"]


@given(legs=products, quantity=quantities)
def test_the_parts_add_up_to_the_quantity_and_none_is_further_than_a_step_from_its_share(
    legs: list[Leg], quantity: Decimal
) -> None:
    parts = [piece.of(quantity) for piece in pieces_of(legs)]
    assert sum(parts) == quantity
    assert all(part >= 0 for part in parts)
    for part, exact in zip(parts, _exact_parts(legs, quantity), strict=True):
        assert abs(Fraction(part) - exact) < Fraction(1, 10**6)


def _exact_parts(legs: list[Leg], quantity: Decimal) -> list[Fraction]:
    """By fractions: the products with shares have their part of the quantities together, and divide it by shares."""
    total = sum(Fraction(each.quantity) for each in legs)
    sharing = [each for each in legs if each.share is not None]
    shares = sum(Fraction(each.share or 0) for each in sharing)
    together = Fraction(quantity) * sum(Fraction(each.quantity) for each in sharing) / total
    return [
        Fraction(quantity) * Fraction(each.quantity) / total
        if each.share is None or not shares
        else together * Fraction(each.share) / shares
        for each in legs
    ]


@given(legs=products)
def test_pieces_follow_each_other_from_nothing_to_the_whole(legs: list[Leg]) -> None:
    pieces = pieces_of(legs)
    assert pieces[0].before == 0
    assert pieces[-1].after == pieces[-1].whole == sum(map(Fraction, weights_of(legs)))
    assert [each.after for each in pieces[:-1]] == [each.before for each in pieces[1:]]


def test_a_part_is_exact_where_numbers_are_as_long_as_they_can_be() -> None:
    long = Decimal("999999999999.999999")
    pieces = [Piece(Decimal(0), Decimal(1), long), Piece(Decimal(1), long, long)]
    assert [each.of(long) for each in pieces] == [Decimal(1), long - 1]


def test_a_making_has_its_entries_and_what_it_did_not_move_is_none_of_them() -> None:
    receiving = Receiving()
    making = receiving.movement(
        leg(-10, item="milk"), leg(-1, item="salt"), leg(5, item="cheese", share=5, line=2), purpose="manufacture"
    )
    posted = {entry_of(making, 0), entry_of(making, 2)}
    made = made_by(making, posted)
    assert [(each.entry, each.piece) for each in made] == [
        (entry_of(making, 0), None),
        (entry_of(making, 2), Piece(Decimal(0), Decimal(5), Decimal(5))),
    ]


@pytest.mark.parametrize(("purpose", "does"), [("manufacture", True), ("repack", True), ("material_transfer", False)])
def test_makings_alone_make_goods_of_others(purpose: str, does: bool) -> None:
    assert makes(purpose) is does
