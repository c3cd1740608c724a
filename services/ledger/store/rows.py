"""What all parts of the store share: how keys and bins are handed to a statement, and how flat lists are written."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.ledger.decide.state import BatchKey, BinKey
from services.ledger.decide.valuation import Layer, Shortage, Stock
from shared.db import columns, query
from shared.quantities import ZERO, plain

KEYS = "unnest(cast(:source AS text[]), cast(:id AS text[]))"
BINS = "unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]))"
BIN = "company = (SELECT :company) AND item = :item AND warehouse = :warehouse"
_NOTHING = "[]"
_decimals = msgspec.json.Decoder(list[Decimal])


def fetch(connection: Connection, statement: str, **parameters: object) -> Sequence[Any]:
    """Rows to be unpacked: their types are the statement's."""
    return query(connection, statement, **parameters)


def bin_columns(bins: Iterable[BinKey]) -> Mapping[str, str]:
    """Bins as the parameters of `BINS`."""
    return columns(list(bins), "company item warehouse")


def bin_names(key: BinKey) -> Mapping[str, str]:
    """A bin as the parameters of `BIN`."""
    return {"company": key[0], "item": key[1], "warehouse": key[2]}


def write_layers(layers: Iterable[Layer]) -> str:
    """Quantity, worth and rate of each layer in one list."""
    # By hand: plain decimals need no escaping, and the encoder of the library takes most of a set's time.
    numbers = [f'"{plain(number)}"' for each in layers for number in (each.quantity, each.worth, each.rate)]
    return f"[{','.join(numbers)}]"


def read_layers(text: str) -> deque[Layer]:
    """The layers that `write_layers` wrote."""
    numbers = iter(_decimals.decode(text))
    return deque(map(Layer, numbers, numbers, numbers))


def write_shortages(shortages: Iterable[Shortage]) -> str:
    """Quantity, worth, account and entry of each shortage in one list."""
    texts = [text for each in shortages for text in (plain(each.quantity), plain(each.worth), each.account, each.entry)]
    return json.dumps(texts) if texts else _NOTHING


def read_shortages(text: str) -> deque[Shortage]:
    """The shortages that `write_shortages` wrote."""
    texts = iter(() if text == _NOTHING else json.loads(text))
    return deque(
        Shortage(Decimal(quantity), Decimal(worth), account, entry)
        for quantity, worth, account, entry in zip(texts, texts, texts, texts, strict=True)
    )


def write_batches(batches: Mapping[BatchKey, Stock]) -> str:
    """Number, quantity, worth and value of each batch of which something stands there, in one list."""
    held = [(key[3], each) for key, each in sorted(batches.items()) if each.quantity]
    return json.dumps(
        [text for name, each in held for text in (name, plain(each.quantity), plain(each.worth), plain(each.value))]
    )


def read_batches(text: str, key: BinKey) -> dict[BatchKey, Stock]:
    """The batches in a bin that `write_batches` wrote."""
    texts = iter(() if text == _NOTHING else json.loads(text))
    return {
        (*key, name): Stock(Decimal(quantity), Decimal(worth), Decimal(value))
        for name, quantity, worth, value in zip(texts, texts, texts, texts, strict=True)
    }


def write_booked(booked: Iterable[tuple[str, Decimal]]) -> str | None:
    """Accounts and their amounts in one list; None where there are none."""
    texts = [text for account, amount in booked for text in (account, plain(amount))]
    return json.dumps(texts) if texts else None


def booked_amounts(text: str | None) -> dict[str, Decimal]:
    """The accounts and amounts that `write_booked` wrote."""
    texts = iter(json.loads(text) if text else ())
    booked: dict[str, Decimal] = {}
    for account, amount in zip(texts, texts, strict=True):
        booked[account] = booked.get(account, ZERO) + Decimal(amount)
    return booked
