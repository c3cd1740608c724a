"""Pictures as texts: Mermaid, which many editors and wikis draw, and SVG, drawn here, which every browser shows."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from services.desk.trace.layout import layout
from services.desk.trace.picture import Node, Picture, Shape
from shared.printable import printable

_ENDS = {Shape.GOODS: "[]", Shape.MAKING: "{{}}", Shape.PARTY: "()", Shape.PLACE: "[()]"}
_FILL = {Shape.GOODS: "#e8f1fb", Shape.MAKING: "#fdf1d8", Shape.PARTY: "#e9f6e6", Shape.PLACE: "#f0eef5"}
_ROUND = {Shape.GOODS: 3, Shape.MAKING: 12, Shape.PARTY: 18, Shape.PLACE: 3}

_NOT_IN_XML, _OTHER = re.compile("[\ufffe\uffff]"), "\ufffd"

_LETTER, _LINE = 7.2, 17  # what a letter and a line of 13 pixels take
_PAD, _GAP, _BETWEEN = 12, 22, 90  # inside of a node, under it, and from one layer to the next
_LONGEST = 34
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" \
height="{height:.0f}" font-family="sans-serif" font-size="13">
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>
"""


def mermaid(picture: Picture) -> str:
    """The picture as a flowchart of Mermaid, from left to right."""
    names = {name: f"n{number}" for number, name in enumerate(picture.nodes, start=1)}
    lines = ["flowchart LR"]
    for name, node in picture.nodes.items():
        half = len(_ENDS[node.shape]) // 2
        opening, closing = _ENDS[node.shape][:half], _ENDS[node.shape][half:]
        text = "<br>".join(_quoted(each) for each in node.lines)
        lines.append(f'  {names[name]}{opening}"{text}"{closing}')
    lines += [f'  {names[one]} -->|"{_quoted(text)}"| {names[other]}' for (one, other), text in picture.arrows.items()]
    starts = [names[name] for name, node in picture.nodes.items() if node.start]
    lines += [f"  style {name} stroke-width:3px" for name in starts]
    return "\n".join(lines) + "\n"


def svg(picture: Picture) -> str:
    """The picture as SVG, from left to right."""
    return _Sheet(picture).drawn()


def _quoted(text: str) -> str:
    """A text as Mermaid shows it, whatever is in it: `#` and what has a meaning there as their numbers."""
    return "".join(each if each.isalnum() or each in " ,.-:/+()" else f"#{ord(each)};" for each in printable(text))


class _Sheet:
    """Nodes and arrows at their places."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._plan = layout(list(picture.nodes), picture.arrows)
        self._size = {name: _size(node) for name, node in picture.nodes.items()}
        self._at: dict[str, tuple[float, float]] = {}
        self._widths = [max((self._of(name)[0] for name in row), default=0) for row in self._plan.layers]
        heights = [sum(self._of(name)[1] + _GAP for name in row) for row in self._plan.layers]
        self.height = max(heights, default=0) + _GAP
        self.width = sum(self._widths) + _BETWEEN * max(0, len(self._widths) - 1) + 2 * _GAP
        self._place(heights)

    def drawn(self) -> str:
        parts = [_HEAD.format(width=self.width, height=self.height)]
        parts += [self._arrow(ends, text) for ends, text in self._picture.arrows.items() if ends[0] != ends[1]]
        parts += [self._node(name, node) for name, node in self._picture.nodes.items()]
        return "".join(parts) + "</svg>\n"

    def _of(self, name: str) -> tuple[float, float]:
        return self._size.get(name, (0, _LINE))

    def _place(self, heights: Sequence[float]) -> None:
        """The middle of each name: layers side by side, each in the middle of the sheet."""
        left: float = _GAP
        for row, width, height in zip(self._plan.layers, self._widths, heights, strict=True):
            top = _GAP + (self.height - _GAP - height) / 2
            for name in row:
                own = self._of(name)[1]
                self._at[name] = (left + width / 2, top + own / 2)
                top += own + _GAP
            left += width + _BETWEEN

    def _node(self, name: str, node: Node) -> str:
        (x, y), (width, height) = self._at[name], self._size[name]
        box = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
        line = f'fill="{_FILL[node.shape]}" stroke="#555" stroke-width="{3 if node.start else 1}"'
        texts = "".join(
            _text(x, y + (number - (len(node.lines) - 1) / 2) * _LINE + 4.5, _short(each))
            for number, each in enumerate(node.lines)
        )
        return f'<rect {box} rx="{_ROUND[node.shape]}" {line}/>{texts}\n'

    def _arrow(self, ends: tuple[str, str], text: str) -> str:
        """A curve from the right of the one to the left of the other, through its places in the layers between."""
        way = self._plan.ways[ends]
        points = list(self._points(way))
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (x, y), (to_x, to_y) in pairwise(points):
            path += f" C{(x + to_x) / 2:.1f} {y:.1f} {(x + to_x) / 2:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        (x, y), (to_x, to_y) = points[0], points[1]
        label = _text((x + to_x) / 2, (y + to_y) / 2 - 3, _short(text), small=True)
        return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>{label}\n'

    def _points(self, way: Sequence[str]) -> Iterator[tuple[float, float]]:
        onward = self._at[way[-1]][0] > self._at[way[0]][0]
        for number, name in enumerate(way):
            x, y = self._at[name]
            half = self._of(name)[0] / 2 if onward else -self._of(name)[0] / 2
            yield (x + half if number == 0 else x - half if number == len(way) - 1 else x, y)


def _size(node: Node) -> tuple[float, float]:
    longest = max(len(_short(each)) for each in node.lines)
    return longest * _LETTER + 2 * _PAD, len(node.lines) * _LINE + _PAD


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(x: float, y: float, text: str, *, small: bool = False) -> str:
    look = ' font-size="11" fill="#333"' if small else ""
    shown = escape(_NOT_IN_XML.sub(_OTHER, text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle"{look}>{shown}</text>'
