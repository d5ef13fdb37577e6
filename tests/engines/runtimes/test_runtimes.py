"""The contract of a runtime: a known model through every one of them, and the ways in which a file can be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.records import plugins
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import InvalidGraph, Unsupported

RUNTIMES = list(runtimes().values())
each = pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)

KNOWN = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2,3] x, int64[2] rows) => (float[2,3] y, int64[2] plus, float total)
<int64[2] one = {1, 1}>
{ y = LeakyRelu<alpha: float = 0.25>(x)  plus = Add(rows, one)  total = ReduceSum<keepdims: int = 0>(x) }"""
X = np.array([[-4, -0.0, 3], [8, -8, 1]], np.float32)
ROWS = np.array([7, 2**40], np.int64)

HEADER = '<ir_version: 10, opset_import: ["" : 20, "nowhere" : 1]> '
UNKNOWN = HEADER + "g (float[2] x) => (float[2] y) { y = NoSuchOperator(x) }"
FOREIGN = HEADER + "g (float[2] x) => (float[2] y) { y = nowhere.Abs(x) }"
DANGLING = HEADER + "g (float[2] x) => (float[2] y) { y = Add(x, nothing) }"


def written(text: str, folder: Path) -> Path:
    file = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(text), file)
    return file


@each
def test_a_known_model(runtime: Runtime, tmp_path: Path) -> None:
    run = runtime.open(written(KNOWN, tmp_path))
    feeds: dict[str, Array] = {"x": X, "rows": ROWS}
    y, plus, total = run(feeds, ["y", "plus", "total"])
    assert [value.dtype.name for value in (y, plus, total)] == ["float32", "int64", "float32"]
    assert y.tolist() == [[-1, 0, 3], [8, -2, 1]]
    assert plus.tolist() == [8, 2**40 + 1]
    assert total.shape == ()
    assert float(total) == 0
    (again,) = run(feeds, ["plus"])
    assert again.tolist() == plus.tolist()
    assert X.tolist() == [[-4, 0, 3], [8, -8, 1]], "the feeds were written to"


@each
def test_outputs_come_in_the_order_asked_for(runtime: Runtime, tmp_path: Path) -> None:
    run = runtime.open(written(KNOWN, tmp_path))
    total, y = run({"x": X, "rows": ROWS}, ["total", "y"])
    assert total.shape == ()
    assert y.shape == (2, 3)


@each
def test_every_attribute_of_the_protocol(runtime: Runtime) -> None:
    assert runtime.name
    assert ">" not in runtime.name
    assert "@" not in runtime.name
    assert runtime.distribution
    assert runtime.step
    assert runtime.after == "" or runtime.after in runtimes()
    assert isinstance(runtime.double, bool)


@pytest.mark.parametrize("runtime", [r for r in RUNTIMES if r.double], ids=lambda runtime: runtime.name)
def test_a_runtime_that_claims_float64_runs_it(runtime: Runtime, tmp_path: Path) -> None:
    file = written(KNOWN.replace("float", "double").replace("alpha: double", "alpha: float"), tmp_path)
    fine = X.astype(np.float64) + 2.0**-40
    (y,) = runtime.open(file, double=True)({"x": fine, "rows": ROWS}, ["y"])
    assert y.dtype == np.float64
    assert y[1, 0] == 8 + 2.0**-40


@each
@pytest.mark.parametrize(("text", "op"), [(UNKNOWN, "NoSuchOperator"), (FOREIGN, "Abs")])
def test_an_operator_that_does_not_exist_is_named(runtime: Runtime, tmp_path: Path, text: str, op: str) -> None:
    file = written(text, tmp_path)
    with pytest.raises((InvalidGraph, Unsupported)) as refusal:
        runtime.open(file)({"x": np.ones(2, np.float32)}, ["y"])
    assert getattr(refusal.value, "op", None) == op
    assert str(tmp_path) not in str(refusal.value), "the same run says the same, wherever its folder is"


@each
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"hello, this is no graph"),
        lambda file: file.write_bytes(file.read_bytes()[:-7]),
        lambda file: file.unlink(),
        lambda file: written(DANGLING, file.parent),
    ],
    ids=["empty", "text", "truncated", "missing", "dangling"],
)
def test_a_file_that_is_no_model_gives_no_value(
    runtime: Runtime, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    file = written(KNOWN, tmp_path)
    damage(file)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it raises becomes a record; what matters is that it does
        runtime.open(file)({"x": X, "rows": ROWS}, ["y"])


@each
@pytest.mark.parametrize(
    "feeds",
    [{"x": X}, {"x": X[:1], "rows": ROWS[:1], "more": X}, {"x": X.astype(np.float64), "rows": ROWS}],
    ids=["one missing", "one too many", "another type"],
)
def test_wrong_feeds_or_outputs_are_refused_or_right(runtime: Runtime, tmp_path: Path, feeds: Any) -> None:
    run = runtime.open(written(KNOWN, tmp_path))
    try:
        (plus,) = run(feeds, ["plus"])
    except Exception as error:
        refusal = str(error)
    else:
        assert runtime.name.startswith("reference"), "only the evaluator looks at nothing that it does not need"
        refusal = ""
        assert plus.dtype == np.int64
    assert str(tmp_path) not in refusal
    with pytest.raises(Exception):  # noqa: B017, PT011 - as above
        run({"x": X, "rows": ROWS}, ["no such output"])


def test_onnxruntime_lacks_a_convolution_in_float64_and_says_unsupported(tmp_path: Path) -> None:
    text = HEADER + "g (double[1,1,3,3] x, double[1,1,2,2] w) => (double[1,1,2,2] y) { y = Conv(x, w) }"
    for name in ("ort.off", "ort.all"):
        with pytest.raises(Unsupported) as refusal:
            runtimes()[name].open(written(text, tmp_path))
        assert refusal.value.op == "Conv"


def test_the_evaluator_names_the_operator_that_it_cannot_do(tmp_path: Path) -> None:
    text = HEADER + (
        "g (float[1,4,2,2] x, float[4,1,2,2] w) => (float[1,2,3,3] y) { y = ConvTranspose<group: int = 2>(x, w) }"
    )
    run = runtimes()["reference"].open(written(text, tmp_path))
    with pytest.raises(Unsupported) as refusal:
        run({"x": np.ones((1, 4, 2, 2), np.float32), "w": np.ones((4, 1, 2, 2), np.float32)}, ["y"])
    assert refusal.value.op == "ConvTranspose"


def test_both_levels_of_onnxruntime_are_run_and_differ(tmp_path: Path) -> None:
    text = HEADER + "g (float[2] x) => (float[2] y) { a = Identity(x) b = Identity(a) y = Abs(b) }"
    import onnxruntime

    seen = {}
    for name in ("ort.off", "ort.all"):
        level = getattr(onnxruntime.GraphOptimizationLevel, runtimes()[name].level)  # type: ignore[attr-defined]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(written(text, tmp_path)), options)
        seen[name] = [node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node]
    assert seen == {"ort.off": ["Identity", "Identity", "Abs"], "ort.all": ["Abs"]}


def test_runtimes_come_after_what_they_are_held_against() -> None:
    names = list(runtimes())
    assert names[0] == "reference"
    for runtime in RUNTIMES:
        assert not runtime.after or names.index(runtime.after) < names.index(runtime.name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected RUNTIMES"),
        ("{name}, {name}", "a second 'a' among the runtimes"),
        ("Fake('a', 'b'), Fake('b', 'a')", "come after something that does not exist"),
        ("Fake('a', 'nobody'),", "come after something that does not exist"),
    ],
)
def test_an_impossible_set_of_runtimes_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    class Fake:
        distribution, step, double = "fake", "kernel", False
        open = part = None

        def __init__(self, name: str, after: str = "") -> None:
            self.name = name
            self.after = after

    class Module:
        RUNTIMES = eval(f"({text.replace('{name}', 'Fake(chr(97))')})", {"Fake": Fake})

    monkeypatch.setattr(plugins, "modules", lambda kind, package: [Module])
    runtimes.cache_clear()
    try:
        with pytest.raises(plugins.BrokenPlugin, match=says):
            runtimes()
    finally:
        runtimes.cache_clear()


@each
def test_8_bit_floats_go_in_and_come_out_as_what_they_are(runtime: Runtime, tmp_path: Path) -> None:
    text = '<ir_version: 9, opset_import: ["" : 19]> g (float8e4m3fn[3] x) => (float8e4m3fn[3] z, float[3] y) '
    run = runtime.open(written(text + "{ z = Identity(x) y = Cast<to=1>(x) }", tmp_path))
    given = np.array([-0.9375, 2, 448], onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.FLOAT8E4M3FN))
    z, y = run({"x": given}, ["z", "y"])
    assert z.dtype == given.dtype
    assert z.tolist() == given.tolist()
    assert y.tolist() == [-0.9375, 2, 448]
