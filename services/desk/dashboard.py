"""The dashboard for Grafana and the tables of docs/metrics.md, written from the definitions of the metrics.

`render` is the whole of it; `python -m services.desk.dashboard` writes what it returns, and a test compares. A new
metric appears in both by itself; its panel follows from its kind: rates of counters, quantiles of histograms, gauges
as they are.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Histogram

from shared.metrics import Metric

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = Path("deploy/grafana/stockbook.json")
PAGE = Path("docs/metrics.md")
ALERTS = Path("deploy/prometheus/alerts.yml")

_OURS = '{service=~"$service"}'
_WINDOW = "[$__rate_interval]"
_QUANTILES = (0.5, 0.95, 0.99)
# From here on a number of the first row is red.
_RED_FROM = {Metric.STUCK_BINS: 1, Metric.PARKED: 1, Metric.LONGEST_WAIT: 300, Metric.LONGEST_DIRTY: 300}
_PROCESS = (
    ("Memory", "bytes", "process_resident_memory_bytes"),
    ("Processor seconds per second", "short", f"rate(process_cpu_seconds_total{_WINDOW})"),
    ("Open files and connections", "short", "process_open_fds"),
)
_ALERT = re.compile(r'- alert: (\w+)\n.*?summary: "(.+?)"\n\s+description: "(.+?)"\n', re.DOTALL)


def render(root: Path = ROOT) -> dict[Path, str]:
    """The text of both files, by their paths from the repository's root; reads the page and the alerts below `root`."""
    page, alerts = ((root / path).read_text("utf-8") for path in (PAGE, ALERTS))
    return {DASHBOARD: json.dumps(_dashboard(), indent=2) + "\n", PAGE: _page(page, alerts)}


# --- the dashboard ---------------------------------------------------------------------------------------------------


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "stockbook",
        "title": "stockbook",
        "tags": ["stockbook"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_DATASOURCE_VARIABLE, _SERVICE_VARIABLE]},
        "panels": _placed(list(_panels())),
    }


_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_DATASOURCE_VARIABLE = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
_SERVICE_VARIABLE = {
    "name": "service",
    "label": "Service",
    "type": "query",
    "datasource": _DATASOURCE,
    "query": {"query": "label_values(stockbook_ticks_total, service)", "refId": "service"},
    "refresh": 2,
    "includeAll": True,
    "multi": True,
    "current": {"text": "All", "value": "$__all"},
}


def _panels() -> Iterator[dict[str, Any]]:
    yield _row("Now")
    yield from (_panel(each) for each in Metric if _is_level(each))
    yield _row("Work")
    yield from (_panel(each) for each in Metric if not _is_level(each))
    yield _row("Processes")
    for title, unit, expression in _PROCESS:
        # Only of processes that are ours.
        targets = [(f"{expression} and on (instance) stockbook_ready", "{{instance}}")]
        yield _frame(title, "Of each process, with all the workers in it", "timeseries", unit, targets, 8)


def _panel(metric: Metric) -> dict[str, Any]:
    definition = metric.value
    title = metric.name.capitalize().replace("_", " ")
    unit = "s" if definition.name.endswith("_seconds") else "short"
    if _is_level(metric):
        panel = _frame(title, definition.text, "stat", unit, _targets(metric), 4)
        panel["fieldConfig"]["defaults"]["thresholds"] = _thresholds(metric)
        return panel
    if definition.family is Counter:
        title, unit = f"{title} per second", "cps"
    return _frame(title, definition.text, "timeseries", unit, _targets(metric), 8)


def _targets(metric: Metric) -> list[tuple[str, str]]:
    """Expressions with their legends."""
    definition = metric.value
    labels = ("service", *definition.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    by = ", ".join(labels)
    if definition.family is Counter:
        return [(f"sum by ({by}) (rate({definition.name}{_OURS}{_WINDOW}))", legend)]
    if definition.family is Histogram:
        buckets = f"sum by (le, {by}) (rate({definition.name}_bucket{_OURS}{_WINDOW}))"
        return [(f"histogram_quantile({each}, {buckets})", f"{legend} p{each * 100:.0f}") for each in _QUANTILES]
    # Every worker of a service tells the same of its tables; that one is ready is enough.
    return [(f"max by ({by}) ({definition.name}{_OURS})", legend)]


def _is_level(metric: Metric) -> bool:
    return metric.value.family not in (Counter, Histogram)


def _thresholds(metric: Metric) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if metric is Metric.READY:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    elif metric in _RED_FROM:
        steps.append({"color": "red", "value": _RED_FROM[metric]})
    return {"mode": "absolute", "steps": steps}


def _frame(
    title: str, text: str, kind: str, unit: str, targets: Sequence[tuple[str, str]], width: int
) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": f"{text}.",
        "datasource": _DATASOURCE,
        "gridPos": {"w": width, "h": 4 if kind == "stat" else 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": expression, "legendFormat": legend}
            for number, (expression, legend) in enumerate(targets)
        ],
    }


def _row(title: str) -> dict[str, Any]:
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"w": 24, "h": 1}, "panels": []}


def _placed(panels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The panels with their places, from left to right and down; those of one line are of one height."""
    x = y = height = 0
    placed = []
    for number, panel in enumerate(panels, 1):
        size = panel["gridPos"]
        if x + size["w"] > 24 or panel["type"] == "row":
            x, y = 0, y + height
        placed.append({"id": number, **panel, "gridPos": {**size, "x": x, "y": y}})
        x, height = x + size["w"], size["h"]
    return placed


# --- the page --------------------------------------------------------------------------------------------------------


def _page(page: str, alerts: str) -> str:
    """The page with its two tables written anew; all else on it is written by hand."""
    tables = {
        "metrics": _table("metric kind labels tells", map(_metric_cells, Metric)),
        "alerts": _table("alert says do", [_alert_cells(*found) for found in _ALERT.findall(alerts)]),
    }
    for name, table in tables.items():
        beginning, end = (
            f"<!-- {name}: written by `python -m services.desk.dashboard` -->\n",
            f"\n<!-- end of {name} -->",
        )
        before, rest = page.split(beginning)
        page = before + beginning + table + end + rest.split(end, 1)[1]
    return page


def _metric_cells(metric: Metric) -> Sequence[str]:
    definition = metric.value
    labels = ", ".join(("service", *definition.labels))
    return (f"`{definition.name}`", definition.family.__name__.lower(), labels, definition.text)


def _alert_cells(name: str, summary: str, description: str) -> Sequence[str]:
    plain = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", re.sub(r"\{\{ \$value.*?\}\}", "*so much*", summary))
    return (f"`{name}`", plain, description)


def _table(names: str, rows: Iterable[Sequence[str]]) -> str:
    heads = names.split()
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


if __name__ == "__main__":
    for name, text in render().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, "utf-8")
        print(name)
