"""The fuzzer breaks models as it says, and what it found stays mended."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest

from onnx_triangulate.diff.differences import differences
from onnx_triangulate.facts.model_view import viewed
from onnx_triangulate.inspection.run import inspected
from onnx_triangulate.locate.feeds import Feed, Landmarks, ValueInfo, draw
from onnx_triangulate.records.errors import UnusableInput

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fuzz  # noqa: E402


def test_broken_models_are_many_and_the_same_each_time() -> None:
    made = [fuzz.broken(number) for number in range(60)]
    assert made == [fuzz.broken(number) for number in range(60)]
    assert len(set(made)) > 50
    assert not set(made) & set(fuzz.seeds())


def test_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*words: object) -> object:
        raise KeyError("planted")

    numbers = range(20)
    assert not [said for n in numbers if (said := fuzz._safely(lambda n=n: fuzz._looked_into(n, tmp_path / "m.onnx")))]
    monkeypatch.setattr("onnx_triangulate.inspection.run.inspected", planted)
    assert any("planted" in fuzz._safely(lambda n=n: fuzz._looked_into(n, tmp_path / "m.onnx")) for n in numbers)


def looked(model: onnx.ModelProto, file: Path) -> None:
    file.write_bytes(model.SerializeToString())
    view, other = viewed(file), viewed(file)
    found, beside = inspected(view), inspected(other)
    assert found.failed == ()
    apart = differences(view, other, found, beside)
    assert not apart.differences


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> g {text}')


def test_an_attribute_of_another_type(tmp_path: Path) -> None:
    model = parsed("(float[2] x) => (int64[1] s, float16[2] y) { s = Shape<start = 0>(x) y = Cast<to = 10>(x) }")
    for node in model.graph.node:
        node.attribute[0].type = onnx.AttributeProto.TENSOR
        node.attribute[0].t.CopyFrom(onnx.helper.make_tensor("t", 1, [1], [0.0]))
    model.graph.node[0].attribute[0].type = onnx.AttributeProto.STRING
    looked(model, tmp_path / "m.onnx")


def test_more_axes_than_numpy_has(tmp_path: Path) -> None:
    model = parsed("(float[2] x) => (float y) { y = Identity(w) }")
    model.graph.initializer.append(onnx.helper.make_tensor("w", 1, [1] * 65, b"\0\0\0\0", raw=True))
    looked(model, tmp_path / "m.onnx")


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    model = parsed("(float[2] x) => (float[2] y) { y = Relu(x) }")
    model.graph.output.append(model.graph.output[0])
    looked(model, tmp_path / "m.onnx")


def test_a_type_that_numpy_lacks_is_not_drawn() -> None:
    with pytest.raises(UnusableInput, match="numbers of this type are not drawn"):
        draw(Feed("random", {"x": (2,)}), [ValueInfo("x", "uint4", (2,))], Landmarks(), 0)


@pytest.mark.parametrize("version", [-1, 1 << 31, 1 << 62])
def test_a_version_that_cannot_be(tmp_path: Path, version: int) -> None:
    model = parsed("(float[2] x) => (float[2] y) { y = Relu(x) }")
    model.opset_import[0].version = version
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnusableInput, match=f"version {version}"):
        viewed(tmp_path / "m.onnx")
