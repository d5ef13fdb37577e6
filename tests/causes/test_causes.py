"""Causes fire where their own examples say so, stay quiet where they say so, and are found by being there."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import onnx
import pytest

from onnx_triangulate.causes import Cause, Example, causes, collect, find_causes
from onnx_triangulate.records.plugins import BrokenPlugin
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

FIRES = [pytest.param(c, e, id=f"{c.name}: {e.about}") for c in causes().values() for e in c.fires]
QUIET = [pytest.param(c, e, id=f"{c.name}: {e.about}") for c in causes().values() for e in c.quiet]


def _module(name: str, cause: object) -> ModuleType:
    module = ModuleType(name)
    module.CAUSE = cause  # type: ignore[attr-defined]
    return module


def _problems(cause: Cause) -> list[str]:
    """What is wrong with a cause by its own examples."""
    found = []
    for example in cause.fires:
        finding = cause.suspect(example.evidence(), example.blamed, example.load)
        if finding is None:
            found.append(f"does not fire: {example.about}")
        elif example.message not in finding.message:
            found.append(f"{example.about}: says {finding.message!r}")
    loud = [e for e in cause.quiet if cause.suspect(e.evidence(), e.blamed, e.load) is not None]
    return found + [f"is not quiet: {e.about}" for e in loud]


@pytest.mark.parametrize(("cause", "example"), FIRES)
def test_fires(cause: Cause, example: Example) -> None:
    finding = cause.suspect(example.evidence(), example.blamed, example.load)
    assert finding is not None
    assert example.message in finding.message
    assert (finding.cause, finding.blame, finding.party) == (cause.name, example.blamed.blame, example.blamed.party)
    assert finding.proved is False
    assert finding.edit
    assert finding.nodes or not example.graphs, "a finding names nodes wherever there is a graph"
    named = {n for g in example.graphs for n in _names(example.load(g))}
    assert set(finding.nodes) <= named | set(example.blamed.nodes)
    assert finding.message.isprintable()


@pytest.mark.parametrize(("cause", "example"), QUIET)
def test_quiet(cause: Cause, example: Example) -> None:
    assert cause.suspect(example.evidence(), example.blamed, example.load) is None


def _names(model: onnx.ModelProto | None) -> set[str]:
    return {n.name or f"{n.op_type}_{i}" for i, n in enumerate(model.graph.node)} if model is not None else set()


@pytest.mark.parametrize("cause", causes().values(), ids=causes().keys())
def test_examples_can_tell_a_broken_cause(cause: Cause) -> None:
    assert _problems(cause) == []
    deaf = dataclasses.replace(cause, suspect=lambda evidence, blamed, load: None)
    assert len(_problems(deaf)) == len(cause.fires)
    shrill = dataclasses.replace(cause, suspect=lambda e, b, load: Finding(cause.name, b.blame, b.party, (), ""))
    assert len([p for p in _problems(shrill) if p.startswith("is not quiet")]) == len(cause.quiet)


def test_every_file_is_a_cause() -> None:
    assert set(causes()) == {
        "asymmetric-padding",
        "constant-folded-wrong",
        "different-parameters",
        "exporter-refused",
        "log-of-sigmoid",
        "operator-not-converted",
        "size-made-a-number",
        "training-mode-kept",
        "training-mode-lost",
        "transposed-output",
    }


def test_a_duplicate_name_raises() -> None:
    cause = causes()["log-of-sigmoid"]
    with pytest.raises(BrokenPlugin, match="a second 'log-of-sigmoid' among the causes"):
        collect([_module("a", cause), _module("b", cause)])


def test_an_empty_registry_raises() -> None:
    with pytest.raises(BrokenPlugin, match="no causes"):
        collect([])


def test_a_module_without_a_cause_raises() -> None:
    with pytest.raises(BrokenPlugin, match="expected CAUSE to be a Cause"):
        collect([_module("a", None)])


@pytest.mark.parametrize("missing", ["fires", "quiet"])
def test_a_cause_without_examples_raises(missing: str) -> None:
    cause = dataclasses.replace(causes()["log-of-sigmoid"], **{missing: ()})
    with pytest.raises(BrokenPlugin, match="needs an example"):
        collect([_module("a", cause)])


def test_findings_come_in_the_order_of_the_blames_and_once() -> None:
    first, second = causes()["asymmetric-padding"].fires[0], causes()["log-of-sigmoid"].fires[0]
    evidence = dataclasses.replace(first.evidence(), blames=(second.blamed, first.blamed, first.blamed))

    def load(graph: str) -> onnx.ModelProto | None:
        return first.load(graph)

    found = find_causes(evidence, load)
    assert [f.cause for f in found] == ["asymmetric-padding"]
    assert found[0].edit == "in torch, set pads of Conv conv to [0, 0, 1, 1]"


def test_the_edit_of_a_transposed_convolution_moves_the_padding_and_the_output_padding() -> None:
    example = causes()["asymmetric-padding"].fires[1]
    finding = causes()["asymmetric-padding"].suspect(example.evidence(), example.blamed, example.load)
    assert finding is not None
    assert finding.edit == "in torch, set pads of ConvTranspose deconv to [1, 1, 2, 2] and output_padding to [0, 0]"


def test_a_case_without_blame_has_no_cause() -> None:
    evidence = Evidence("a/b", {}, {}, {}, (), (), ())
    assert find_causes(evidence, lambda graph: None) == ()


def test_hostile_names_are_escaped_in_what_is_said() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) {
        [sigmoid] s = Sigmoid (x)
        [log] y = Log (s)
    }"""
    model = onnx.parser.parse_model(text)
    model.graph.node[1].name = "log\x1b[2J\nsecond line"
    blamed = Blame("export", "torch>reference", ("torch", "torch>reference"))
    edge = Diff("torch", "torch>reference", "export", "diverges")
    evidence = Evidence("a/b", {}, {}, {}, (edge,), (), (blamed,))
    (finding,) = find_causes(evidence, lambda graph: model if graph == "torch" else None)
    assert finding.nodes[0] == "log\x1b[2J\nsecond line"
    assert finding.message.isprintable()
    assert finding.edit is not None
    assert finding.edit.isprintable()
