"""A plant of its own for each test of faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.plant import Plant, opened


@pytest.fixture
def plant(database: str, vhost_url: str, tmp_path: Path) -> Iterator[Plant]:
    """A shop with masters and stock, ready for workers in processes."""
    with opened(database, vhost_url, tmp_path) as plant:
        yield plant
