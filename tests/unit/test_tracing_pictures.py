"""Pictures of traces: layers in which arrows lead forward, and texts that do nothing whatever is written in them."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from services.desk.trace.drawing import mermaid, svg
from services.desk.trace.layout import layout
from services.desk.trace.picture import Node, Picture, Shape

NAMES = [f"n{number}" for number in range(8)]
arrows = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20, unique=True)
texts = st.text(max_size=60)
SVG = "{http://www.w3.org/2000/svg}"


@given(arrows=arrows)
def test_every_name_stands_in_one_layer_and_every_arrow_goes_through_all_layers_between_its_ends(
    arrows: list[tuple[str, str]],
) -> None:
    found = layout(NAMES, arrows)
    standing = [name for row in found.layers for name in row]
    assert len(standing) == len(set(standing))
    assert set(NAMES) <= set(standing)
    layer = {name: number for number, row in enumerate(found.layers) for name in row}
    assert found.ways.keys() == {each for each in arrows if each[0] != each[1]}
    for (start, end), way in found.ways.items():
        assert (way[0], way[-1]) == (start, end)
        steps = {layer[after] - layer[before] for before, after in pairwise(way)}
        assert steps in ({1}, {-1})


def test_of_nothing_there_is_no_layer() -> None:
    assert (layout([], []).layers, svg(Picture({}, {})).count("<rect")) == ([], 1)


def test_an_svg_shows_what_no_xml_may_hold_as_something_else() -> None:
    assert "a\ufffdb" in svg(_picture("a\uffffb", "2 kg"))


@given(arrows=arrows)
def test_without_circles_all_arrows_lead_forward(arrows: list[tuple[str, str]]) -> None:
    forward = [(start, end) for start, end in arrows if start < end]
    found = layout(NAMES, forward)
    layer = {name: number for number, row in enumerate(found.layers) for name in row}
    assert all(layer[start] < layer[end] for start, end in forward)


def test_lines_that_need_not_cross_do_not() -> None:
    found = layout(["a", "b", "c", "x", "y", "z"], [("a", "z"), ("b", "y"), ("c", "x")])
    places = {name: place for row in found.layers for place, name in enumerate(row)}
    assert (places["a"], places["b"], places["c"]) == (places["z"], places["y"], places["x"])


def _picture(text: str, label: str) -> Picture:
    nodes = {
        "start": Node(Shape.GOODS, (text, "batch"), start=True),
        "making": Node(Shape.MAKING, (text,)),
        "end": Node(Shape.PARTY, ("end",)),
    }
    return Picture(nodes, {("start", "making"): label, ("making", "end"): label, ("end", "start"): label})


@given(text=texts, label=texts)
def test_an_svg_is_well_formed_and_has_all_nodes_and_arrows_whatever_they_are_called(text: str, label: str) -> None:
    drawn = ET.fromstring(svg(_picture(text, label)))
    assert len(drawn.findall(f"{SVG}rect")) == 1 + 3
    assert len(drawn.findall(f"{SVG}path")) == 3
    width, height = float(drawn.get("width", 0)), float(drawn.get("height", 0))
    for box in drawn.findall(f"{SVG}rect")[1:]:
        x, y, wide, high = (float(box.get(name, -1)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width + 1
        assert 0 <= y <= y + high <= height + 1


@given(text=texts, label=texts)
def test_a_flowchart_has_a_line_for_each_node_and_arrow_and_no_quotes_of_its_texts(text: str, label: str) -> None:
    lines = mermaid(_picture(text, label)).splitlines()
    assert lines[0] == "flowchart LR"
    assert len(lines) == 1 + 3 + 3 + 1
    assert all(each.count('"') in (0, 2) for each in lines)


def test_goods_makings_and_parties_look_different() -> None:
    assert mermaid(_picture("a [b]", "2 kg")).splitlines() == [
        "flowchart LR",
        '  n1["a #91;b#93;<br>batch"]',
        '  n2{{"a #91;b#93;"}}',
        '  n3("end")',
        '  n1 -->|"2 kg"| n2',
        '  n2 -->|"2 kg"| n3',
        '  n3 -->|"2 kg"| n1',
        "  style n1 stroke-width:3px",
    ]
