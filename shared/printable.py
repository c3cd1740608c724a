"""Texts from outside, shown so that they do nothing: no terminal, editor or log viewer obeys what a sender wrote.

What is escaped: control characters (a terminal obeys them; a line end forges a line), the marks that turn the direction
of writing (they show another text than there is), and halves of surrogate pairs (no encoding takes them).
"""

import re

_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINES = "\u2028\u2029"
_UNSEEN = re.compile(f"[\0-\x1f\x7f-\x9f{_DIRECTION}{_LINES}\ufeff\ud800-\udfff]")
# In JSON the first 32 stand escaped already, but for the line ends between its parts.
_UNSEEN_IN_JSON = re.compile(f"[\x7f-\x9f{_DIRECTION}{_LINES}\ufeff\ud800-\udfff]")
_UNSEEN_IN_CELLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """A text on one line, every character of which can be seen; `\\n`, `\\x1b` and `\\u202e` stand for what cannot."""
    return _UNSEEN.sub(_as_python_writes_it, text)


def printable_json(text: str) -> str:
    """JSON that means the same, written without characters that cannot be seen."""
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_cell(text: str) -> str:
    """A text for a cell of a spreadsheet: lines and tabs stay, and so does the direction of writing."""
    return _UNSEEN_IN_CELLS.sub(_as_python_writes_it, text.replace("\r\n", "\n").replace("\r", "\n"))


def _as_python_writes_it(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
