"""What rules need beside a text: files of external data, planted bugs, damage, and time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, numpy_helper

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules import Occurrence, Rule, chosen, rules
from onnx_triangulate.inspection.rules import _values as values
from onnx_triangulate.inspection.run import inspected
from tests.counting import calls

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (y)'


def parsed(text: str) -> ModelProto:
    return onnx.parser.parse_model(text)


def said(model: ModelProto, code: str, file: Path | None = None) -> list[str]:
    return [remark.message for remark in rules()[code].diagnose(ModelView(model, file))]


def test_a_rule_that_fails_is_a_note_and_silences_nobody() -> None:
    def find(view: ModelView) -> list[Occurrence]:
        raise KeyError("pl\x1banted")

    broken = Rule("XXX001", "planted", "info", find, (), ())
    model = parsed(f"{HEAD} {{ y = Relu (x) z = Neg (x) }}")
    found = inspected(ModelView(model), [broken, rules()["STR006"]])
    assert [r.code for r in found.diagnostics] == ["STR006"]
    assert [n for n in found.notes if n.startswith("rule XXX001 failed: KeyError") and n.isprintable()]
    assert not [n for n in inspected(ModelView(model)).notes if n.startswith("rule ")]


def external(tmp_path: Path, location: str, **entries: str) -> tuple[ModelProto, Path]:
    model = parsed(f"{HEAD} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Mul (x, w) }}")
    tensor = model.graph.initializer[0]
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.data_location = "w", TensorProto.FLOAT, TensorProto.EXTERNAL
    tensor.dims.append(3)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.append(StringStringEntryProto(key=key, value=value))
    return model, tmp_path / "model.onnx"


def test_external_data_that_are_there_are_fine(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(20))
    model, file = external(tmp_path, "w.bin", offset="8", length="12")
    assert said(model, "STR025", file) == []
    assert said(model, "STR026", file) == []


@pytest.mark.parametrize(
    ("entries", "held", "why"),
    [
        ({}, None, "is not there"),
        ({}, b"12345678", "not whole"),
        ({"offset": "4"}, bytes(12), "not whole"),
        ({"length": "8"}, bytes(12), "not whole"),
        ({"offset": "9" * 18}, bytes(12), "not whole"),
    ],
)
def test_external_data_that_are_missing_or_short(
    tmp_path: Path, entries: dict[str, str], held: bytes | None, why: str
) -> None:
    if held is not None:
        (tmp_path / "w.bin").write_bytes(held)
    model, file = external(tmp_path, "w.bin", **entries)
    (says,) = said(model, "STR025", file)
    assert why in says


def test_external_data_in_a_pipe_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.bin")
    model, file = external(tmp_path, "w.bin")
    (says,) = said(model, "STR025", file)
    assert "no regular file" in says


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "\\\\host\\w", "a\0b"])
def test_locations_outside_are_an_error_and_not_looked_at(tmp_path: Path, location: str) -> None:
    model, file = external(tmp_path, location)
    (says,) = said(model, "STR026", file)
    assert "outside" in says
    assert says.isprintable()
    assert said(model, "STR025", file) == []


def test_one_remark_counts_three_thousand_nodes() -> None:
    body = " ".join(f"v{i + 1} = Relu (v{i})" for i in range(3000))
    model = parsed(f'<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] v0) => (v3000) {{ {body} }}')
    (remark,) = rules()["STR009"].diagnose(ModelView(model))
    assert len(remark.nodes) == 3000
    assert remark.message.startswith("3,000 nodes of 3,000")


def test_names_of_any_bytes_are_text_and_printable() -> None:
    model = parsed(f"{HEAD} {{ [n] y = Relu (x) }}")
    model.graph.node[0].name = "a\x1b[31m\n::error::\u202e"
    (remark,) = rules()["STR028"].diagnose(ModelView(model))
    assert remark.nodes == ("a\x1b[31m\n::error::\u202e",)
    assert remark.message.isprintable()


def test_numbers_beyond_the_limit_are_not_read_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MOST", 8)
    view = ModelView(parsed(f"{HEAD} <float[3] w = {{1.0, nan, 3.0}}> {{ y = Mul (x, w) }}"))
    found = inspected(view, [rules()["VAL001"]])
    assert found.diagnostics == ()
    assert any("1 stored tensor is not read" in note for note in found.notes)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_a_single_nan_is_found_wherever_it_is(kind: type) -> None:
    size = values._BLOCK + 1000
    for position in (0, size // 2, size - 1):
        weights = np.ones(size, kind)
        weights[position] = np.nan
        model = parsed(f"{HEAD} {{ y = Relu (x) }}")
        model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
        assert len(said(model, "VAL001")) == 1


def damaged() -> list[ModelProto]:
    """Models that say things of the wrong kind."""
    wrong = [
        AttributeProto(name=name, type=AttributeProto.STRING, s=b"\xff")
        for name in (
            *("epsilon", "perm", "to", "min", "axis", "pads", "auto_pad", "mode", "ceil_mode", "shape", "value"),
        )
    ]
    ops = "Conv MaxPool AveragePool Pad Transpose Cast Clip Resize Softmax".split()
    ops += [
        "BatchNormalization",
        "Dropout",
        "Reshape",
        "Expand",
        "Constant",
        "Div",
        "Log",
        "Sub",
        "QuantizeLinear",
        "If",
    ]
    models = []
    for inputs in ([], ["x"], ["x", "w", "w", "w", "w"]):
        model = parsed(f"{HEAD} <float[3] w = {{1.0, 2.0, 3.0}}> {{ y = Relu (x) }}")
        for index, op in enumerate(ops):
            model.graph.node.append(NodeProto(op_type=op, input=inputs, output=[f"o{index}"], attribute=wrong))
        model.graph.initializer.append(TensorProto(name="h", data_type=TensorProto.FLOAT, dims=[2**40, -1]))
        model.graph.initializer.append(TensorProto(name="r", data_type=TensorProto.FLOAT, dims=[5], raw_data=b"123"))
        model.graph.initializer.append(TensorProto(name="k", data_type=77, dims=[5]))
        models.append(model)
    return models


@pytest.mark.parametrize("model", damaged())
@pytest.mark.parametrize("rule", chosen(), ids=lambda rule: rule.code)
def test_no_rule_fails_on_what_is_of_the_wrong_kind(rule: Rule, model: ModelProto) -> None:
    rule.diagnose(ModelView(model))


def looked_at_by(every: tuple[Rule, ...], size: int) -> int:
    """What rules do, in calls, with a chain of so many Transposes."""
    body = " ".join(f"v{i + 1} = Transpose <perm = [1, 0]> (v{i})" for i in range(size))
    view = ModelView(parsed(f'<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] v0) => (v{size}) {{ {body} }}'))
    assert view.places
    return calls(lambda: [rule.diagnose(view) for rule in every])


def test_work_grows_with_the_nodes_and_no_faster() -> None:
    looked_at_by(chosen(), 100)
    assert looked_at_by(chosen(), 2000) < 4 * 1.2 * looked_at_by(chosen(), 500)


def test_a_rule_that_asks_every_node_of_every_node_is_noticed() -> None:
    def find(view: ModelView) -> list[Occurrence]:
        return [Occurrence((), "") for one in view.places for two in view.places if len(one.inputs) > len(two.inputs)]

    slow = (Rule("XXX001", "planted", "info", find, (), ()),)
    assert looked_at_by(slow, 400) > 4 * 1.2 * looked_at_by(slow, 100)


def test_onnx_runtime_takes_same_beside_dilations_as_the_rule_says() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    head = '<ir_version: 8, opset_import: ["" : 19]> g (float[1,2,9,9] x) => (y)'
    same = 'dilations = [2, 2], auto_pad = "SAME_UPPER"'
    pool = parsed(f"{head} {{ y = MaxPool <kernel_shape = [3, 3], {same}> (x) }}")
    conv = parsed(f"{head} <float[1,2,1,3] w = {{1,2,3,4,5,6}}> {{ y = Conv <{same}> (x, w) }}")
    feed = {"x": np.ones((1, 2, 9, 9), np.float32)}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    made = onnxruntime.InferenceSession(pool.SerializeToString(), options).run(None, feed)[0]
    (window,) = ModelView(pool).windows
    assert window.output == (9, 9)
    assert max(made.shape[2:]) < 9
    with pytest.raises(Exception, match="Dilation not supported"):
        onnxruntime.InferenceSession(conv.SerializeToString(), options).run(None, feed)
    assert "smaller" in said(pool, "PAD010")[0]
    assert "refuses" in said(conv, "PAD010")[0]
