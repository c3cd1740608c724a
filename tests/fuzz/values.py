"""Odd values: what a sender might write where something else is expected, and what is odd where it may stand."""

from random import Random
from typing import Any

TEXTS = (
    *("", " ", "\t", "0", "-0", "None", "null", "true", "\\", '"', "'", "%s", "{}", "--", "../", "\r\n", "x\ny"),
    *("\0", "a\0b", "\x1b[2J", "\x7f", "\x9b", "\u202e", "\u2028", "\ufeff", "\ud800", "\udfff\ud800", "e\u0301"),
    *("\U0010ffff", "\U0001f9f4" * 35, "ß" * 140, "İ", "ǆ", "١٢", "１", "a" * 139, "a" * 140, "a" * 141),
    *("b" * 200, "b" * 201, "c" * 1000, "c" * 1001, "d" * 20_000, "'; DROP TABLE receiving.item; --", "=1+1"),
    *("A001-A003", "A1-A100000", "A1-A100001", "A1-A999999999999999999", "A9-A1", "-", "A-B", "0-0", "1,2\n3,,"),
    *("A00001-A90000," * 20, ",".join(map(str, range(500))), "S-.#", ".#" * 60, ".YYYY.MM.", "#" * 50),
)
NUMBERS = (
    *("0", "-0", "1", "2.5", "-1", "0.000001", "0.0000001", "0.000000001", "999999999999", "999999999999.999999"),
    *("9999999999999", "999999999999999.999", "-999999999999", "1e3", "1E400", "NaN", "Infinity", "+1", " 1", "1 "),
    *("1_0", "0x1", ".5", "5.", "1,5", "00012", "1.10", "٣", "9" * 5_000, "0." + "0" * 5_000 + "1"),
)
TIMES = (
    *("2026-03-02T08:00:00Z", "2026-03-02T09:00:00+01:00", "2026-03-02T11:59:59.999999Z", "2026-03-01T08:00:00Z"),
    *("2026-03-02T08:00:00", "2026-03-02", "2026-02-30T00:00:00Z", "2026-03-02T24:00:00Z", "2026-06-30T23:59:60Z"),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"),
    *("1969-12-31T23:59:59Z", "2026-03-02T08:00:00.123456789Z", "2026-03-02t08:00:00z", "2026-03-02T08:00:00+99:99"),
    *("10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "now", "1772438400"),
)
DATES = (
    "2026-03-01",
    "2026-03-31",
    "2020-01-01",
    "2030-12-31",
    "0001-01-01",
    "9999-12-31",
    "2026-02-29",
    "2026-3-1",
    "x",
)
INTEGERS = (0, 1, -1, 2, 7, 1_000, 1_000_001, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    0.5,
    -0.0,
    1e308,
    5e-324,
    1.0,
    [],
    {},
    [[]],
    {"": ""},
    [None],
    ["a"] * 300,
)


def odd(random: Random) -> Any:
    """Any odd value, whatever stands there."""
    kinds = (TEXTS, TEXTS, NUMBERS, TIMES, DATES, INTEGERS, OTHERS)
    return random.choice(random.choice(kinds)) if random.random() < 0.97 else nested(random)


def nested(random: Random) -> Any:
    """Something nested deeper than anybody nests; no deeper than what writes it can go."""
    value: Any = random.choice(TEXTS[:20])
    for _ in range(random.choice((3, 30, 300))):
        value = [value] if random.random() < 0.5 else {"lines": value}
    return value
