"""docs/security.md promises nothing that no test tries."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
FILES = [
    *(ROOT / "tests" / "integration").glob("test_security*.py"),
    *(ROOT / "tests" / "integration" / f"test_{name}.py" for name in ("tls", "secrets")),
]


def test_every_line_of_the_page_is_tried_and_every_line_that_is_tried_stands_there() -> None:
    promised = re.findall(r"^- \*\*([A-Z][0-9]+)\*\*", PAGE.read_text("utf-8"), re.MULTILINE)
    names = "\n".join(file.read_text("utf-8") for file in FILES)
    tried = {code.upper() for code in re.findall(r"^def test_([pbts][0-9]+)_", names, re.MULTILINE)}
    assert len(promised) == len(set(promised))
    assert tried == set(promised)
