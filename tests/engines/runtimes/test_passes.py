"""ONNX Runtime's passes by name: the names mean something in this version, and switching one off does something."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import onnx
import onnx.parser
import pytest

from onnx_triangulate.engines.protocols import Optimizing
from onnx_triangulate.engines.runtimes import onnxruntime, runtimes
from onnx_triangulate.locate import pass_runs as tasks
from onnx_triangulate.locate.pass_search import search
from onnx_triangulate.records.runs import Model

ORT = runtimes()["ort.all"]
assert isinstance(ORT, Optimizing)
CONV = "<float[2,1,1,1] w = {2.0, 3.0}, float[2,1,1] k = {1.0, 2.0}, float[2] s = {1.0, 2.0}, float[2] t = {0.0, 1.0}>"
ONE = "<float one = {1.0}, float zero = {0.0}, float top = {6.0}>"
X, Y = "float[2,3] x", "float[2,3] y"
IMAGE = "float[1,1,4,4] x"

# A graph for each rule that the log does not name, as small as it fires on.
RULES = {
    "CastElimination": f"({X}) => ({Y}) {{ a = Cast <to = 1> (x) y = Abs (a) }}",
    "ClipQuantRewrite": "(float[3] x) => (uint8[3] y)"
    "<float lo = {0.0}, float hi = {6.0}, float s = {0.02}, uint8 z = {0}>"
    "{ b = Abs (x) a = Clip (b, lo, hi) y = QuantizeLinear (a, s, z) }",
    "ConvAddFusion": f"({IMAGE}) => (float[1,2,4,4] y) {CONV} {{ c = Conv (x, w) y = Add (c, k) }}",
    "ConvBNFusion": f"({IMAGE}) => (float[1,2,4,4] y) {CONV}"
    "{ c = Conv (x, w) y = BatchNormalization (c, s, t, t, s) }",
    "ConvMulFusion": f"({IMAGE}) => (float[1,2,4,4] y) {CONV} {{ c = Conv (x, w) y = Mul (c, k) }}",
    "DivMulFusion": f"({X}, float[2,3] z) => ({Y}) {ONE} {{ a = Div (one, x) y = Mul (a, z) }}",
    "EliminateDropout": f"({X}) => ({Y}) {{ a = Dropout (x) y = Abs (a) }}",
    "EliminateIdentity": f"({X}) => ({Y}) {{ a = Identity (x) y = Abs (a) }}",
    "EliminateSlice": f"({X}) => ({Y}) <int64[1] b = {{0}}, int64[1] e = {{9223372036854775807}}>"
    "{ w = Abs (x) a = Slice (w, b, e) y = Abs (a) }",
    "ExpandElimination": f"({X}) => ({Y}) <int64[2] n = {{2, 3}}> {{ b = Abs (x) a = Expand (b, n) y = Abs (a) }}",
    "FuseReluClip": f"({X}) => ({Y}) {ONE} {{ a = Relu (x) y = Clip (a, one, top) }}",
    "GemmSumFusion": "(float[2,3] x, float[3,4] z, float[2,4] v) => (float[2,4] y) { a = Gemm (x, z) y = Sum (a, v) }",
    "GemmTransposeFusion": "(float[3,2] x, float[3,4] z) => (float[2,4] y)"
    "{ a = Transpose <perm = [1, 0]> (x) y = Gemm (a, z) }",
    "MatMul_BatchNormalization_Fusion": "(float[2,1] x) => (float[2,2] y)"
    "<float[1,2] w = {1.0, 2.0}, float[2] s = {1.0, 2.0}, float[2] t = {0.0, 1.0}>"
    "{ a = MatMul (x, w) y = BatchNormalization (a, s, t, t, s) }",
    "NoopElimination": f"({X}) => ({Y}) {ONE} {{ b = Abs (x) a = Add (b, zero) y = Abs (a) }}",
    "NotWhereFusion": f"(bool[2,3] c, {X}, float[2,3] z) => ({Y}) {{ n = Not (c) y = Where (n, x, z) }}",
    "Pad_Fusion": f"({IMAGE}) => (float[1,2,6,6] y) <int64[8] p = {{0,0,1,1,0,0,1,1}}, {CONV[1:]}"
    "{ a = Pad (x, p) y = Conv (a, w) }",
    "ReluQuantRewrite": "(float[3] x) => (uint8[3] y) <float s = {1.0}, uint8 z = {0}>"
    "{ a = Relu (x) y = QuantizeLinear (a, s, z) }",
    "PreShapeNodeElimination": "(float[2,b] x) => (int64[2] y) { a = Cast <to = 10> (x) y = Shape (a) }",
    "UnsqueezeElimination": f"({X}) => ({Y}) <float[3] v = {{1.0, 2.0, 3.0}}>"
    "{ a = Unsqueeze <axes = [0]> (v) y = Add (x, a) }",
}
OPSETS = {"UnsqueezeElimination": 11}  # it knows the attribute only
# They say their names as well, and most of them run whatever is switched off.
MANDATORY = set(
    "CastFloat16Transformer EnsureUniqueDQForNodeUnit FreeDimensionOverrideTransformer "
    "FuseFp16InitializerToFp32NodeTransformer MemcpyTransformer RemoveDuplicateCastTransformer".split()
)
# One is off unless a session asks for it, the other is about operators of ai.onnx.ml.
UNSEEN = {"CastChainElimination", "LabelEncoderFusion"}


def written(text: str, folder: Path, opset: int = 17) -> Path:
    file = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {text}'), file)
    return file


def as_run(file: Path, off: tuple[str, ...]) -> bytes:
    """The nodes that are run with some passes off."""
    place = file.with_name("optimized.onnx")
    ORT.open_without(file, off, saved=place)
    return b"".join(node.SerializeToString(deterministic=True) for node in onnx.load(place).graph.node)


def test_every_recorded_rule_has_its_graph() -> None:
    assert set(RULES) | UNSEEN == set(onnxruntime.RULES)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_recorded_rule_is_known_to_this_version(tmp_path: Path, rule: str) -> None:
    file = written(RULES[rule], tmp_path, OPSETS.get(rule, 17))
    others = tuple(name for name in ORT.passes(file).names if name != rule and "RuleBased" not in name)
    assert as_run(file, (*others, rule)) != as_run(file, others)


CONV_RELU = f"({IMAGE}) => (float[1,2,4,4] y) {CONV} {{ c = Conv (x, w) y = Relu (c) }}"


def test_the_names_are_those_that_this_version_says(tmp_path: Path) -> None:
    """A new release may have others: then the recorded ones are looked at again."""
    known = ORT.passes(written(CONV_RELU, tmp_path))
    assert {"ConvActivationFusion", "ConstantFolding", "Level1_RuleBasedTransformer"} <= set(known.names)
    assert set(known.groups) <= set(known.names)
    assert set(known.applied) <= set(known.names)
    assert "ConvActivationFusion" in known.applied
    assert known.levels[0] == "ORT_ENABLE_LAYOUT"
    assert known.levels[-1] == "ORT_DISABLE_ALL"
    assert version("onnxruntime") in known.source
    if version("onnxruntime") == onnxruntime.RECORDED:
        said = set(known.names) - set(onnxruntime.RULES)
        assert set(onnxruntime.TRANSFORMERS) <= said
        assert said - set(onnxruntime.TRANSFORMERS) == MANDATORY


def test_reading_the_log_leaves_the_log_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = written(CONV_RELU, tmp_path)
    ORT.passes(file)
    ORT.open(file)
    assert capfd.readouterr() == ("", "")


def test_a_version_that_does_not_hand_over_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime as ort

    monkeypatch.delattr(ort, "set_default_logger_callback")
    known = ORT.passes(written(CONV_RELU, tmp_path))
    assert set(known.names) == {*onnxruntime.RULES, *onnxruntime.TRANSFORMERS}
    assert "as recorded" in known.source
    assert search(known.names, lambda off, level: "ConvActivationFusion" not in off).off == ("ConvActivationFusion",)


def test_a_graph_that_the_optimizer_breaks_has_names_all_the_same(tmp_path: Path) -> None:
    broken = f"({X}) => ({Y}) {ONE} {{ a = Cast <to = 1> (x) b = Div (one, one) c = Mul (b, a) y = Relu (c) }}"
    known = ORT.passes(written(broken, tmp_path))
    assert {"CastElimination", "DivMulFusion", "NchwcTransformer"} <= set(known.names)


def test_an_unknown_name_is_ignored_by_the_engine_and_never_named(tmp_path: Path) -> None:
    file = written(CONV_RELU, tmp_path)
    assert as_run(file, ("no such pass",)) == as_run(file, ())
    names = ["no such pass", "ConvFusion", *ORT.passes(file).names]
    found = search(names, lambda off, level: b"Relu" not in as_run(file, tuple(off)).replace(b"activation", b""))
    assert not {"no such pass", "ConvFusion"} & {*found.off, *found.on}


def test_a_switch_is_written_as_a_user_pastes_it(tmp_path: Path) -> None:
    import onnxruntime as ort

    file, told = written(CONV_RELU, tmp_path), {}

    def InferenceSession(*_: object, disabled_optimizers: list[str]) -> None:
        told["off"] = disabled_optimizers

    eval(ORT.switch(["ConvActivationFusion", "NchwcTransformer"], None))
    ort.InferenceSession(file, disabled_optimizers=told["off"])
    assert told["off"] == ["ConvActivationFusion", "NchwcTransformer"]
    assert as_run(file, tuple(told["off"])) != as_run(file, ())
    option, _, value = ORT.switch((), "ORT_ENABLE_BASIC").partition(" = ")
    assert hasattr(ort.SessionOptions(), option.partition(".")[2])
    assert eval(value, {"GraphOptimizationLevel": ort.GraphOptimizationLevel}) is not None


def test_each_of_three_fused_convolutions_is_a_place_of_its_own(tmp_path: Path) -> None:
    body = "a = Conv (x, w) b = Relu (a) c = Conv (b, v) d = Relu (c) e = Conv (d, v) y = Relu (e)"
    weights = "<float[2,1,1,1] w = {2.0, 3.0}, float[2,2,1,1] v = {1.0, 2.0, 3.0, 4.0}>"
    file = written(f"({IMAGE}) => (float[1,2,4,4] y) {weights} {{ {body} }}", tmp_path)
    names = [n for n in ORT.passes(file).names if "RuleBased" not in n]
    seen = tasks.look(Model("torch", file), "ort.all", names, ["ConvActivationFusion"], tmp_path)
    assert seen.problem is None
    assert [region.ops for region in seen.regions] == [("Conv", "Relu")] * 3
    assert [region.inner for region in seen.regions] == [("a",), ("c",), ("e",)]
    assert all(len(region.into) == 1 for region in seen.regions)


def test_watching_every_value_changes_what_is_run(tmp_path: Path) -> None:
    seen = tasks.look(Model("torch", written(CONV_RELU, tmp_path)), "ort.all", (), (), tmp_path)
    assert (seen.exported.nodes, seen.values) == (2, ("c", "y"))  # type: ignore[union-attr]
    assert seen.usual is not None
    assert seen.watched is not None
    assert seen.usual != seen.watched
