"""A party's name says how its answer is got: read, written, and refused where it is none."""

from __future__ import annotations

import pytest

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party

NAMES = {
    "torch": Party("torch"),
    "torch@64": Party("torch", double=True),
    "tensorflow>ort.all": Party("tensorflow", runtime="ort.all"),
    "torch:raw>ort.off": Party("torch", "raw", "ort.off"),
    ":raw>reference@64": Party("", "raw", "reference", double=True),
    "truth": Party("truth"),
    "truth@torch": Party("truth", meaning="torch"),
    "truth@torch(tensorflow)": Party("truth", meaning="torch", parameters="tensorflow"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_and_written(name: str) -> None:
    assert Party.parse(name) == NAMES[name]
    assert str(NAMES[name]) == name


@pytest.mark.parametrize(
    "name", ["", ">ort.off", "@64", "Torch", "torch:raw:raw", "torch>", "torch@32", "torch:", "a b"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UnusableInput, match="expected FRAMEWORK"):
        Party.parse(name)


def test_what_a_party_is() -> None:
    native, graph = Party.parse("torch@64"), Party.parse("torch:raw>ort.off")
    truth = Party.parse("truth@torch(tensorflow)")
    assert [p.native for p in (native, graph, truth)] == [True, False, False]
    assert [p.is_truth for p in (native, graph, truth)] == [False, False, True]
    assert (native.graph, graph.graph) == ("torch", "torch:raw")
    assert (graph.source, native.source) == (Party("torch"), native)
    assert str(graph.in_float64) == "torch:raw>ort.off@64"
    assert (graph.item, graph.in_float64.item) == ("ort.off", "ort.off@64")
    assert str(graph.on("reference", double=True)) == "torch:raw>reference@64"
    assert len({p.slug for p in NAMES.values()}) == len(NAMES)
    assert all(set(p.slug).isdisjoint(":>()") for p in NAMES.values())
