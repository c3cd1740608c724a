"""The page that tells every column of every table that can be imported: `python -m services.desk.importing.page`."""

from collections.abc import Iterator
from pathlib import Path

from services.desk.importing.columns import SUBJECTS, Column, Subject

PAGE = Path(__file__).resolve().parents[3] / "docs" / "import-columns.md"

_HEAD = """\
# Columns of `stockbook import`

<!-- Written by `make docs` from the code; not by hand. -->

A column that is not needed may be left out; a cell may be empty. `NAME` stands for a name of your own: as many columns
as there are names. How importing works stands in [importing.md](importing.md).
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(line for each in SUBJECTS.values() for line in _subject(each))])


def _subject(subject: Subject) -> Iterator[str]:
    yield f"## {subject.name}\n"
    yield "| column | needed | takes | meaning |"
    yield "| --- | --- | --- | --- |"
    yield from map(_row, subject.columns.values())
    yield ""


def _row(column: Column) -> str:
    name = f"{column.name}.NAME" if column.is_spread else column.name
    meaning = column.meaning.replace("|", "\\|")
    return f"| `{name}` | {'yes' if column.is_needed else ''} | {column.form} | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
