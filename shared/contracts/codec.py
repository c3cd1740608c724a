"""Reading and writing JSON strictly: decimals are strings, times have a zone, texts are bounded and free of NUL.

msgspec does the work; what it would let pass (numbers as decimals, a NUL inside a text) is refused here, and every
way in which decoding can fail comes out as one exception, `Malformed`.
"""

import re
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, TypeVar

import msgspec

from shared.quantities import Money, Quantity, Rate, plain

TEXT_LIMIT = 1_000
FEW = 100
"""As many members has at most what is a list or a map beside the lines: all lines are looked at for each."""

Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=140)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
SourceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Attributes = Annotated[dict[Code, Text], msgspec.Meta(max_length=FEW)]
"""Whatever else is worth keeping, by name."""
Time = Annotated[datetime, msgspec.Meta(tz=True)]

_NUMBERS = (Quantity, Rate, Money)
# Behind an even number of backslashes: otherwise the last of them is itself meant, and u0000 are five letters.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_Decoded = TypeVar("_Decoded")
_Contract = TypeVar("_Contract", bound="Contract")


class Malformed(Exception):  # noqa: N818 - what the message is
    """Bytes that are not the message they should be; the text names the path where msgspec knows it."""


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every message's struct is: immutable, named fields, defaults left out of the JSON."""


def decoder(kind: type[_Decoded]) -> msgspec.json.Decoder[_Decoded]:
    """A decoder of one struct; use it through `read`."""
    return msgspec.json.Decoder(kind, dec_hook=_decode_number)


def read(reader: msgspec.json.Decoder[_Decoded], body: bytes | msgspec.Raw) -> _Decoded:
    """Decode JSON; `Malformed` with the reason for anything that is not the reader's struct, or has NUL in it."""
    raw = bytes(body)
    if b"\\u0000" in raw and _NUL.search(raw):
        raise Malformed("a text contains NUL")
    return read_outline(reader, body)


def read_outline(reader: msgspec.json.Decoder[_Decoded], body: bytes | msgspec.Raw) -> _Decoded:
    """The same for a struct that leaves most of the JSON as it is: its own texts are for the caller to look at."""
    try:
        return reader.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(_shortened(str(error))) from None


def changed(value: _Contract, **fields: Any) -> _Contract:
    """The same struct with other values in these fields."""
    return msgspec.structs.replace(value, **fields)


def write(value: Any) -> bytes:
    """Encode a struct (or a dict of structs) as JSON."""
    return _encoder.encode(value)


def digest(value: Any) -> bytes:
    """Sixteen bytes that are equal for equal content, however the JSON was spelled."""
    return blake2b(_canonical.encode(value), digest_size=16).digest()


def _shortened(text: str) -> str:
    # An offending value may be of any length; the path stands behind it.
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"


def _decode_number(kind: type, value: object) -> object:
    if kind in _NUMBERS:
        return _parsed(kind, value) if type(value) is str else kind.parse(value)
    raise NotImplementedError(f"no way to read a {kind}")


@lru_cache(maxsize=4096)
def _parsed(kind: Any, text: str) -> object:
    # A line has a dozen numbers, most of them small and often the same.
    return kind.parse(text)


def _encode_number(value: object) -> str:
    if isinstance(value, _NUMBERS):
        return plain(value)
    raise NotImplementedError(f"no way to write a {type(value)}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_number)
_canonical = msgspec.json.Encoder(enc_hook=_encode_number, order="deterministic")
