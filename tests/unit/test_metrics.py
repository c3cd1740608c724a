"""Metrics: what counting makes of them; and what the dashboard, the alerts and the page say of them is so."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.desk.dashboard import ALERTS, DASHBOARD, PAGE, ROOT, render
from shared.errors import Fatal
from shared.metrics import Metric, Metrics
from shared.service import Handled, Level, Result
from shared.settings import Settings

FILES = {path: (ROOT / path).read_text("utf-8") for path in (DASHBOARD, PAGE, ALERTS)}
NAMES = re.compile(r"\b(?:stockbook|process)_\w+")

Samples = Mapping[tuple[str, ...], float]


def samples(metrics: Metrics) -> Samples:
    """Every value that is exposed, by its name and the values of its labels in the order of the labels' names."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def exposed() -> set[str]:
    """The names of all samples, once each metric was used."""
    metrics = Metrics()
    meter = metrics.meter("ledger")
    for metric in Metric:
        if metric.value.family is Counter:
            meter.add(metric, *metric.value.labels)
        elif metric.value.family is Gauge:
            meter.set(metric, 1)
    return {name for name, *_ in samples(metrics)}


# --- counting --------------------------------------------------------------------------------------------------------


def test_what_a_transaction_told_is_counted_by_result_and_reason() -> None:
    metrics = Metrics()
    meter = metrics.meter("receiving")
    for _ in range(2):
        meter.committed(Handled(counts={(Result.ACCEPTED, ""): 3, (Result.REJECTED, "not_enough"): 1}))
    found = samples(metrics)
    assert found["stockbook_results_total", "", "accepted", "receiving"] == 6
    assert found["stockbook_results_total", "not_enough", "rejected", "receiving"] == 2


def test_a_count_of_nothing_makes_no_series() -> None:
    metrics = Metrics()
    metrics.meter("ledger").committed(Handled(counts={(Result.WAITING, ""): 0}))
    assert not any(name == "stockbook_results_total" for name, *_ in samples(metrics))


def test_a_set_is_one_value_of_its_size_and_as_many_inputs() -> None:
    metrics = Metrics()
    meter = metrics.meter("ledger")
    meter.set_done("a", 3)
    meter.set_done("b", 500)
    found = samples(metrics)
    assert [found["stockbook_sets_total", "ledger", kind] for kind in "ab"] == [1, 1]
    assert [found["stockbook_inputs_total", "ledger", kind] for kind in "ab"] == [3, 500]
    assert found["stockbook_set_size_count", "ledger"] == 2
    assert found["stockbook_set_size_bucket", "5.0", "ledger"] == 1


def test_the_lag_is_that_of_the_oldest_and_never_below_zero() -> None:
    metrics = Metrics()
    meter = metrics.meter("ledger")
    meter.committed(Handled())
    meter.committed(Handled(oldest=datetime.now(UTC) - timedelta(seconds=20)))
    meter.committed(Handled(oldest=datetime.now(UTC) + timedelta(hours=1)))  # another machine's clock
    found = samples(metrics)
    assert found["stockbook_lag_seconds_count", "ledger"] == 2
    assert 20 <= found["stockbook_lag_seconds_sum", "ledger"] < 25


def test_a_level_is_not_told_before_it_is_known_and_then_as_it_was_last() -> None:
    metrics = Metrics()
    meter = metrics.meter("ledger")
    assert ("stockbook_stuck_bins", "ledger") not in samples(metrics)
    for bins in (3, 0):
        meter.committed(Handled(levels={Level.STUCK_BINS: bins}))
    assert samples(metrics)["stockbook_stuck_bins", "ledger"] == 0


def test_counters_without_labels_stand_at_zero_before_the_first_event() -> None:
    metrics = Metrics()
    metrics.meter("ledger")
    found = samples(metrics)
    plain = [each.value for each in Metric if each.value.family is Counter and not each.value.labels]
    assert [found[each.name, "ledger"] for each in plain] == [0] * len(plain)
    assert plain


def test_the_metrics_of_two_processes_in_one_have_nothing_in_common() -> None:
    one, other = Metrics(), Metrics()
    one.meter("ledger").add(Metric.HALVED)
    assert samples(one)["stockbook_halved_sets_total", "ledger"] == 1
    assert ("stockbook_halved_sets_total", "ledger") not in samples(other)


def test_two_workers_of_one_process_count_together_and_are_alive_each_by_itself() -> None:
    metrics = Metrics()
    one, other = metrics.meter("ledger"), metrics.meter("ledger")
    one.tick()
    other.tick()
    other.ready(True)
    assert samples(metrics)["stockbook_ticks_total", "ledger"] == 2
    assert [each.is_ready for each in metrics.meters] == [False, True]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", Metric)
def test_a_metric_is_named_as_its_kind_is_and_has_a_meaning(metric: Metric) -> None:
    definition = metric.value
    assert re.fullmatch(r"stockbook_[a-z_]+", definition.name)
    assert definition.name.endswith("_total") == (definition.family is Counter)
    assert bool(definition.buckets) == (definition.family is Histogram)
    assert list(definition.buckets) == sorted(definition.buckets)
    assert definition.text
    assert not definition.text.endswith(".")


def test_no_label_is_for_what_comes_from_outside() -> None:
    labels = {label for metric in Metric for label in metric.value.labels}
    assert labels == {"type", "result", "reason", "kind"}


# --- the dashboard, the alerts, the page -----------------------------------------------------------------------------


def test_the_dashboard_and_the_page_are_current() -> None:
    stale = [str(path) for path, text in render().items() if FILES[path] != text]
    assert stale == [], "run `python -m services.desk.dashboard`"


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=str)
def test_every_metric_that_is_asked_for_exists(path: Any) -> None:
    asked = set(NAMES.findall("\n".join(_expressions(path))))
    assert len(asked) >= 5
    assert asked - exposed() == set()


def test_every_metric_has_a_panel_and_every_panel_a_place_of_its_own() -> None:
    dashboard = json.loads(FILES[DASHBOARD])
    asked = "\n".join(_expressions(DASHBOARD))
    assert [each.value.name for each in Metric if not re.search(rf"\b{each.value.name}(_bucket)?\b", asked)] == []
    taken = [place for panel in dashboard["panels"] for place in _squares(panel["gridPos"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=str)
def test_every_label_that_is_asked_for_is_one_of_its_metric(path: Any) -> None:
    for expression in _expressions(path):
        names = set(NAMES.findall(expression))
        known = {label for each in Metric if names & _sampled(each) for label in each.value.labels}
        asked = re.findall(r"\b(\w+)=~?\"", expression)
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            asked += grouped.split(", ")
        assert set(asked) - known - {"service", "le"} == set(), expression


def test_the_page_names_every_label_every_result_and_every_alert() -> None:
    labels = {"service"} | {label for metric in Metric for label in metric.value.labels}
    rows = set(re.findall(r"^\| `(\w+)` \|", FILES[PAGE], re.MULTILINE))
    alerts = set(re.findall(r"- alert: (\w+)", FILES[ALERTS]))
    assert len(alerts) >= 5
    assert labels | set(Result) | alerts | {each.value.name for each in Metric} <= rows


def _expressions(path: Any) -> Iterator[str]:
    if path == DASHBOARD:
        panels = json.loads(FILES[DASHBOARD])["panels"]
        yield from (target["expr"] for panel in panels for target in panel.get("targets", ()))
    else:
        yield from re.findall(r"expr:(.*?)\n\s+(?:for|labels):", FILES[ALERTS], re.DOTALL)


def _sampled(metric: Metric) -> set[str]:
    return {metric.value.name + suffix for suffix in ("", "_bucket", "_sum", "_count")}


def _squares(place: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


# --- settings --------------------------------------------------------------------------------------------------------


def test_nothing_is_told_over_http_unless_a_port_is_named() -> None:
    assert Settings.from_environment({}).http_port is None
    named = Settings.from_environment({"STOCKBOOK_HTTP_PORT": "9464", "STOCKBOOK_HTTP_HOST": "0.0.0.0"})
    assert (named.http_port, named.http_host) == (9464, "0.0.0.0")
    assert Settings.from_environment({"STOCKBOOK_HTTP_PORT": "9464"}).http_host == "127.0.0.1"


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http"])
def test_a_port_that_is_none_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(Fatal, match=f"STOCKBOOK_HTTP_PORT.*{text}"):
        Settings.from_environment({"STOCKBOOK_HTTP_PORT": text})
