"""Codes as pictures, made by zxing-cpp: what writes them here is what reads them in scanners' software.

A module (the smallest square or bar) is always a whole number of dots: scaled by anything else, bars that must be alike
are not, and the symbol is misread.
"""

from enum import StrEnum
from typing import Any, cast

from PIL import Image
from zxingcpp import Barcode, BarcodeFormat, create_barcode

from services.desk.labels.wording import Label
from shared.errors import StockbookError

QUIET = {BarcodeFormat.DataMatrix: 2, BarcodeFormat.QRCode: 4, BarcodeFormat.Code128: 10}
"""Modules that must stay white around a symbol."""

LEAST = 0.19
"""Millimetres that a module must have: GS1 asks for no less on what a scanner in the hand reads."""


class Symbol(StrEnum):
    """The kinds of code."""

    DATAMATRIX = "datamatrix"
    CODE128 = "code128"
    QR = "qr"

    @property
    def is_flat(self) -> bool:
        """Whether it is a row of bars: then its height says nothing."""
        return self is Symbol.CODE128


_FORMATS = {
    Symbol.DATAMATRIX: BarcodeFormat.DataMatrix,
    Symbol.CODE128: BarcodeFormat.Code128,
    Symbol.QR: BarcodeFormat.QRCode,
}


def draw(label: Label, symbol: Symbol, width: int, height: int, dpi: int) -> Image.Image:
    """The code of a label as large as fits into so many dots, white around it. StockbookError where it does not fit."""
    kind = _FORMATS[symbol]
    modules = _modules(_barcode(label, symbol))
    quiet = QUIET[kind]
    across, down = modules.width + 2 * quiet, 1 if symbol.is_flat else modules.height + 2 * quiet
    scale = min(width // across, height // down)
    if scale * 25.4 / dpi < LEAST:
        raise StockbookError(
            "the code does not fit: take a larger label, a finer printer (--dpi), or another symbol",
            code=label.code,
            symbol=symbol.value,
        )
    size = (modules.width * scale, height if symbol.is_flat else modules.height * scale)
    picture = Image.new("1", (across * scale, height if symbol.is_flat else down * scale), 1)
    picture.paste(
        modules.resize(size, Image.Resampling.NEAREST), (quiet * scale, 0 if symbol.is_flat else quiet * scale)
    )
    return picture


def _barcode(label: Label, symbol: Symbol) -> Barcode:
    options = {"force_square": True} if symbol is Symbol.DATAMATRIX else {}
    try:
        return create_barcode(label.code, _FORMATS[symbol], **options, **({"gs1": True} if label.is_gs1 else {}))
    except (ValueError, RuntimeError) as error:
        raise StockbookError("no code can say this", code=label.code, symbol=symbol.value, error=str(error)) from None


def _modules(barcode: Barcode) -> Image.Image:
    """The symbol with one dot a module and nothing around it."""
    image = barcode.to_image(scale=1, add_quiet_zones=False)
    height, width = image.shape
    grey = Image.frombytes("L", (width, height), bytes(memoryview(cast(Any, image))))
    return grey.point(lambda value: 255 if value > 127 else 0).convert("1")
