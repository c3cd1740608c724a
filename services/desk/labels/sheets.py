"""The paper: labels drawn one by one, laid out on sheets or printed singly, as PDF, PNG or ZPL.

All three print the very dots of one picture, at the printer's own resolution: what can be read of one can be read of
the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from services.desk.labels.symbols import Symbol, draw
from services.desk.labels.wording import Label
from shared.errors import StockbookError
from shared.printable import printable

_MARGIN = 1.5  # millimetres inside a label
_LARGEST, _SMALLEST = 4.0, 1.0  # millimetres of a line of text


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet with a grid of labels, or a single label; all in millimetres. Left and top margins are those that centre
    the grid."""

    width: float
    height: float
    columns: int
    rows: int
    label_width: float
    label_height: float


PAPERS = {
    "a4-24": Paper(210, 297, 3, 8, 70, 37),
    "a4-14": Paper(210, 297, 2, 7, 99.1, 38.1),
    "a4-65": Paper(210, 297, 5, 13, 38.1, 21.2),
    "100x50": Paper(100, 50, 1, 1, 100, 50),
    "62x29": Paper(62, 29, 1, 1, 62, 29),
    "50x25": Paper(50, 25, 1, 1, 50, 25),
}
"""What can be printed on, by name; a further one is a further line."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf")

FORMS = (".pdf", ".png", ".zpl")


def picture(label: Label, symbol: Symbol, paper: Paper, dpi: int) -> Image.Image:
    """One label: the code to the left of the lines, or, as a row of bars, above them."""
    width, height = _dots(paper.label_width, dpi), _dots(paper.label_height, dpi)
    margin = _dots(_MARGIN, dpi)
    inside, tall = width - 2 * margin, height - 2 * margin
    page = Image.new("1", (width, height), 1)
    if symbol.is_flat:
        code = draw(label, symbol, inside, tall // 2, dpi)
        page.paste(code, (margin + (inside - code.width) // 2, margin))
        _write(page, label.lines, (margin, margin + code.height, inside, tall - code.height), dpi)
    else:
        code = draw(label, symbol, inside // 2, tall, dpi)
        page.paste(code, (margin, margin + (tall - code.height) // 2))
        _write(page, label.lines, (margin + code.width, margin, inside - code.width, tall), dpi)
    return page


def pages(labels: Sequence[Label], symbol: Symbol, paper: Paper, dpi: int, skip: int = 0) -> Iterator[Image.Image]:
    """The pages; `skip` labels of the first sheet were used before."""
    left = iter([*[None] * skip, *labels])
    across, down = _dots(paper.label_width, dpi), _dots(paper.label_height, dpi)
    size = (_dots(paper.width, dpi), _dots(paper.height, dpi))
    start = ((size[0] - across * paper.columns) // 2, (size[1] - down * paper.rows) // 2)
    while some := list(islice(left, paper.columns * paper.rows)):
        page = Image.new("1", size, 1)
        for place, label in enumerate(some):
            if label is not None:
                row, column = divmod(place, paper.columns)
                page.paste(picture(label, symbol, paper, dpi), (start[0] + column * across, start[1] + row * down))
        yield page


def write(labels: Sequence[Label], symbol: Symbol, paper: Paper, file: Path, dpi: int, skip: int = 0) -> int:
    """Write labels into a file, or of PNG into one a page; how many pages there are."""
    form = file.suffix.lower()
    if form == ".zpl":
        if paper.columns * paper.rows > 1:
            raise StockbookError("a label printer prints single labels: take a size such as 62x29", file=file)
        file.write_text("".join(zpl(picture(label, symbol, paper, dpi)) for label in labels), "ascii")
        return len(labels)
    found = list(pages(labels, symbol, paper, dpi, skip))
    if form == ".pdf":
        found[0].save(file, "PDF", resolution=dpi, save_all=True, append_images=found[1:])
    else:
        for place, page in enumerate(found, 1):
            name = file if len(found) == 1 else file.with_name(f"{file.stem}-{place}{file.suffix}")
            page.save(name, "PNG", dpi=(dpi, dpi))
    return len(found)


def zpl(label: Image.Image) -> str:
    """A label for a printer that speaks ZPL: its dots as they are, whatever the printer knows of codes."""
    black = label.point(lambda value: 0 if value else 255)  # in ZPL a dot that is set is printed
    row = (label.width + 7) // 8
    data = black.tobytes().hex().upper()
    total = row * label.height
    return f"^XA^PW{label.width}^LL{label.height}^FO0,0^GFA,{total},{total},{row},{data}^FS^XZ\n"


def _write(page: Image.Image, lines: Sequence[str], box: tuple[int, int, int, int], dpi: int) -> None:
    """Lines under one another, as large as fits: the first the largest, and each cut where it would leave the label."""
    left, top, width, height = box
    if not lines or width <= 0:
        return
    pen = ImageDraw.Draw(page)
    step = min(height // len(lines), _dots(_LARGEST, dpi))
    for place, line in enumerate(map(printable, lines)):
        size = max(int(step * (0.85 if place == 0 else 0.7)), 1)
        font = _font(size)
        while pen.textlength(line, font) > width and size > _dots(_SMALLEST, dpi):
            size -= 1
            font = _font(size)
        pen.text((left, top + place * step), _cut(line, pen, font, width), 0, font)


@cache
def _font(size: int) -> Font:
    """A font of the system that has the letters of many languages, else the one that Pillow brings."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _cut(line: str, pen: ImageDraw.ImageDraw, font: Font, width: int) -> str:
    """A line, or as much of it as fits."""
    if pen.textlength(line, font) <= width:
        return line
    kept = len(line)
    while kept and pen.textlength(f"{line[:kept]}…", font) > width:
        kept -= 1
    return f"{line[:kept]}…" if kept else ""


def _dots(millimetres: float, dpi: int) -> int:
    return round(millimetres * dpi / 25.4)
