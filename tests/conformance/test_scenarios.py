"""Every recorded scenario, played through the real services on a PostgreSQL of its own, compared with its record."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from services.desk.conform.playing import Result, clock, play
from services.desk.conform.scenario import RULES, load, load_pending, unknown_rules
from services.desk.pipeline import Pipeline
from shared.migrate import migrate
from tests import servers

HERE = Path(__file__).parent
SCENARIOS = {scenario.name: scenario for scenario in load(HERE)}
PENDING = load_pending(HERE)


@pytest.fixture(scope="module")
def results(postgres: str) -> Iterator[Mapping[str, Result]]:
    """All scenarios, played side by side in one database."""
    with servers.fresh_database(postgres) as url, Pipeline(url, clock=clock) as pipeline:
        migrate(pipeline.engine)
        yield {result.scenario.name: result for result in play(list(SCENARIOS.values()), pipeline)}


@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - PENDING))
def test_a_scenario_ends_as_recorded(name: str, results: Mapping[str, Result]) -> None:
    assert list(results[name].differences) == []


def test_a_pending_scenario_does_not_pass_yet(results: Mapping[str, Result]) -> None:
    passed = [name for name in sorted(PENDING & SCENARIOS.keys()) if not results[name].differences]
    assert passed == [], "they pass: strike them off pending.txt"


def test_all_recorded_scenarios_are_here() -> None:
    assert len(SCENARIOS) == 101


def test_every_scenario_is_named_like_its_file() -> None:
    assert sorted(SCENARIOS) == sorted(file.stem for file in HERE.glob("*.json"))


def test_pending_scenarios_are_scenarios() -> None:
    assert sorted(PENDING - SCENARIOS.keys()) == []


def test_the_list_of_differences_that_are_meant_is_closed() -> None:
    assert list(RULES) == [f"D{number}" for number in range(1, 22)]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_differs_by_rules_of_the_list_only(name: str) -> None:
    assert unknown_rules(SCENARIOS[name]) == []
