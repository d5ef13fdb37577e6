"""TensorFlow's adapter: its contract, layouts at the border, captured weights and what tf2onnx only logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("tensorflow")

from onnx_triangulate.cases import layout
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.frameworks._results import BuilderError
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.records.case import Case, Gradient, Tensor
from onnx_triangulate.records.runs import Jitter

TENSORFLOW = adapter("tensorflow")
RNG = np.random.default_rng(0)
NCHW = RNG.integers(-3, 4, (2, 3, 6, 5)).astype(np.float32)
OIHW = RNG.integers(-3, 4, (4, 3, 3, 1)).astype(np.float32)
CONVOLUTION = Case(
    "convolution",
    inputs={"x": Tensor("n c h w", NCHW.shape)},
    parameters={"w": Tensor("o i h w", OIHW.shape)},
    outputs={"y": Tensor("n c h w")},
    builders={"tensorflow": lambda tf, w: lambda x: tf.nn.conv2d(x, w, strides=[1, 2, 1, 1], padding="SAME")},
)
VALUES = {
    "x": layout.permute(NCHW, "n c h w", "n h w c"),
    "w": layout.permute(OIHW, "o i h w", "h w i o"),
}
FLAT = {"x": Tensor("n c", (2, 3))}
X = np.array([[-2, 0, 1], [3, -4, 5]], np.float32)

FOUR = tuple(Jitter(seed) for seed in range(4))
BOTH = FOUR[:2]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    TENSORFLOW.warm()


def expected() -> Any:
    """The convolution as its definition: even height, stride 2, so SAME pads one row after."""
    padded = np.pad(NCHW, ((0, 0), (0, 0), (0, 1), (0, 0)))
    y = np.zeros((2, 4, 3, 5))
    for i in range(3):
        y[:, :, i] = np.einsum("nchw,ochw->now", padded[:, :, 2 * i : 2 * i + 3], np.broadcast_to(OIHW, (4, 3, 3, 5)))
    return y


def answer(model: Any, feeds: dict[str, Any], case: Case) -> dict[str, Any]:
    """A model's outputs in the case's axes; ``feeds`` are in the case's axes too."""
    run = runtimes()["ort.off"].open(model.file)
    given = {
        graph: layout.permute(feeds[name], case.inputs[name].axes, model.axes[name])
        for name, graph in model.inputs.items()
    }
    values = run(given, list(model.outputs.values()))
    return {
        name: layout.permute(value, model.axes[name], case.outputs[name].axes) if name in model.axes else value
        for name, value in zip(model.outputs, values, strict=True)
    }


@pytest.mark.parametrize(("double", "dtype"), [(False, np.float32), (True, np.float64)])
def test_native_runs_in_either_precision(double: bool, dtype: type) -> None:
    y = TENSORFLOW.native(CONVOLUTION, VALUES, double=double, seed=0)["y"]
    assert y.dtype == dtype
    assert layout.permute(y, "n h w c", "n c h w").tolist() == expected().tolist()


def test_both_exporters_mean_the_model_and_differ_at_the_border(tmp_path: Path) -> None:
    own, nchw = TENSORFLOW.export(CONVOLUTION, VALUES, TENSORFLOW.exporters, tmp_path, seed=0)
    assert (own.graph, nchw.graph) == ("tensorflow", "tensorflow:nchw")
    assert (own.axes["x"], nchw.axes["x"]) == ("n h w c", "n c h w")
    for model in (own, nchw):
        assert model.error is None
        assert answer(model, {"x": NCHW}, CONVOLUTION)["y"].tolist() == expected().tolist()
    count = [sum(n.op_type == "Transpose" for n in onnx.load(m.file).graph.node) for m in (own, nchw)]
    assert count == [2, 0]
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"


def test_an_export_is_the_same_whatever_was_exported_before(tmp_path: Path) -> None:
    def build(tf: Any) -> Any:
        return tf.keras.Sequential([tf.keras.layers.Conv2D(2, 3), tf.keras.layers.ReLU()])

    case = Case("keras", CONVOLUTION.inputs, {"tensorflow": build}, outputs={"y": Tensor("n c h w")})
    given = {"x": VALUES["x"]}
    (first,) = TENSORFLOW.export(case, given, ("",), tmp_path / "first", seed=0)
    TENSORFLOW.export(CONVOLUTION, VALUES, ("", "nchw"), tmp_path / "between", seed=0)
    (second,) = TENSORFLOW.export(case, given, ("",), tmp_path / "second", seed=0)
    names = [[(n.name, *n.output) for n in onnx.load(model.file).graph.node] for model in (first, second)]
    assert names[0] == names[1]


def test_captured_tensors_are_weights_and_not_inputs(tmp_path: Path) -> None:
    def build(tf: Any) -> Any:
        held = tf.constant(np.arange(3000, dtype=np.float32).reshape(1000, 3))
        return lambda x: tf.matmul(x, held, transpose_b=True)

    case = Case("captured", FLAT, {"tensorflow": build}, outputs={"y": Tensor("n o")})
    (model,) = TENSORFLOW.export(case, {"x": X}, ("",), tmp_path, seed=0)
    assert [value.name for value in onnx.load(model.file).graph.input] == ["x"]
    y = answer(model, {"x": X}, case)["y"]
    assert np.array_equal(y, X @ np.arange(3000, dtype=np.float32).reshape(1000, 3).T)


def test_gradients_natively_and_through_the_exporter(tmp_path: Path) -> None:
    case = Case(
        "chain",
        inputs={"x": Tensor("", values=1.0), "dy": Tensor("", values=1.0)},
        outputs={"y": Tensor(""), "grad_x": Tensor("")},
        builders={"tensorflow": lambda tf: lambda x: ((x + 2) * 3) ** 2},
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
    )
    values = {"x": np.asarray(1, np.float32), "dy": np.asarray(1, np.float32)}
    native = TENSORFLOW.native(case, values, double=False, seed=0)
    assert (float(native["y"]), float(native["grad_x"])) == (81, 54)
    (model,) = TENSORFLOW.export(case, values, ("",), tmp_path, seed=0)
    given = answer(model, values, case)
    assert (float(given["y"]), float(given["grad_x"])) == (81, 54)


def test_a_keras_model_keeps_its_weights_in_float64() -> None:
    case = Case("keras", FLAT, {"tensorflow": lambda tf: tf.keras.layers.Dense(4)})
    single = TENSORFLOW.native(case, {"x": X}, double=False, seed=3)["y"]
    double = TENSORFLOW.native(case, {"x": X}, double=True, seed=3)["y"]
    other = TENSORFLOW.native(case, {"x": X}, double=False, seed=4)["y"]
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.abs(single - double).max() < 1e-5
    assert np.abs(single - other).max() > 1e-3
    _, moved = (m["y"] for m in TENSORFLOW.perturbed(case, {"x": X}, double=True, seed=3, jitters=BOTH))
    (again,) = (m["y"] for m in TENSORFLOW.perturbed(case, {"x": X}, double=True, seed=3, jitters=(Jitter(1),)))
    assert 0 < np.abs(moved - double).max() < 1e-5
    assert moved.tolist() == again.tolist()


def test_a_model_that_a_builder_keeps_is_left_as_it_was_and_built_once() -> None:
    import tensorflow as tf

    class Own(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2))

        def __call__(self, x: Any) -> Any:
            return x @ self.weight

    held, built = Own(), []
    before = held.weight.numpy()
    case = Case("own", FLAT, {"tensorflow": lambda tf: built.append(1) or held})
    for double in (False, True):
        built.clear()
        moved = [m["y"] for m in TENSORFLOW.perturbed(case, {"x": X}, double=double, seed=0, jitters=FOUR)]
        assert len(built) <= 3, "a model is built anew for each perturbation"
        assert len({m.tobytes() for m in moved}) == 4
        assert np.abs(moved[0] - X @ before).max() < 1e-5
        assert held.weight.numpy().tolist() == before.tolist()


def test_the_weights_inside_a_loop_are_moved_too() -> None:
    """They are constants of a function in the frozen graph, which cannot be fed like those of the graph itself."""
    import tensorflow as tf

    held = tf.Variable(np.linspace(0.1, 0.9, 9, dtype=np.float32).reshape(3, 3))

    def model(x: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y @ held), [0, x])[1]

    case = Case("loop", FLAT, {"tensorflow": lambda tf: tf.function(model)})
    still = TENSORFLOW.native(case, {"x": X}, double=True, seed=0)["y"]
    moved = [m["y"] for m in TENSORFLOW.perturbed(case, {"x": X}, double=True, seed=0, jitters=(Jitter(1), Jitter(2)))]
    assert still.dtype == np.float64
    assert all(0 < np.abs(m - still).max() < 1e-5 for m in moved)


def test_an_operator_that_is_only_logged_stays_in_the_graph_and_in_the_log(tmp_path: Path) -> None:
    case = Case("log1p", FLAT, {"tensorflow": lambda tf: tf.math.log1p}, outputs={"y": Tensor("n c")})
    (model,) = TENSORFLOW.export(case, {"x": X}, ("",), tmp_path, seed=0)
    assert model.error is None
    assert "Log1p" in {node.op_type for node in onnx.load(model.file).graph.node}
    assert "Log1p" in model.log


def test_names_that_tensorflow_does_not_take_are_brought_back(tmp_path: Path) -> None:
    evil = "../../evil\x1b[31m y"
    case = Case(
        "named",
        FLAT,
        {"tensorflow": lambda tf: lambda x: (x * 2, x)},
        outputs={evil: Tensor("n c"), "x": Tensor("n c")},
    )
    (model,) = TENSORFLOW.export(case, {"x": X}, ("",), tmp_path, seed=0)
    assert model.error is None
    given = answer(model, {"x": X}, case)
    assert {name: value.tolist() for name, value in given.items()} == {evil: (X * 2).tolist(), "x": X.tolist()}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda x: 7, "returned an int"),
        (lambda x: (x, x), "returned 2 values"),
        (lambda x: {"z": x}, r"returned \['z'\]"),
        (3, "expected a model to call"),
    ],
)
def test_a_model_that_breaks_its_promise(model: Any, says: str) -> None:
    case = Case("odd", FLAT, {"tensorflow": lambda tf: model}, outputs={"y": Tensor("n c")})
    with pytest.raises(BuilderError, match=says):
        TENSORFLOW.native(case, {"x": X}, double=False, seed=0)


def test_a_builder_that_raises_is_the_builders_fault_everywhere(tmp_path: Path) -> None:
    case = Case("odd", FLAT, {"tensorflow": lambda tf: tf.no_such_thing})
    with pytest.raises(BuilderError, match="the builder raised AttributeError"):
        TENSORFLOW.native(case, {"x": X}, double=False, seed=0)
    with pytest.raises(BuilderError, match="the builder raised AttributeError"):
        TENSORFLOW.export(case, {"x": X}, ("",), tmp_path, seed=0)


def test_values_of_several_runs_are_of_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value in a run of its own, and one of them another number in every run: what is made of it must fit."""
    import tensorflow as tf

    from onnx_triangulate.engines.frameworks import _tensorflow_values

    monkeypatch.setattr(_tensorflow_values, "BUDGET", 1)

    @tf.function(input_signature=[tf.TensorSpec((), tf.float64)])
    def stamped(x: Any) -> Any:
        first = tf.add(x, tf.timestamp(), name="first")
        second = tf.multiply(first, first, name="second")
        return tf.subtract(second, first, name="third")

    frozen = _tensorflow_values.freeze(stamped.get_concrete_function())
    seen: dict[str, Any] = {}
    wanted = {name: f"{name}:0" for name in ("first", "second", "third")}
    _tensorflow_values.intermediates(frozen, [tf.constant(1.0, tf.float64)], wanted, seen.__setitem__, double=False)
    assert seen["second"] == seen["first"] * seen["first"]
    assert seen["third"] == seen["second"] - seen["first"]


def test_a_convolution_with_its_bias_is_the_sum_that_adds_it() -> None:
    import tensorflow as tf

    from onnx_triangulate.engines.frameworks._tensorflow_values import matched

    node = onnx.helper.make_node("Conv", ["x", "w", "norm/sub:0"], ["Conv__7:0"], name="Conv__7")
    proto = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    definition = tf.compat.v1.GraphDef()
    definition.node.add(name="norm/sub", op="Const")
    definition.node.add(name="norm/add_1", op="AddV2", input=["norm/mul_1", "norm/sub"])
    assert matched(proto, [], [], definition)["Conv__7:0"] == "norm/add_1:0"
    definition.node.add(name="other/add", op="AddV2", input=["other/mul", "norm/sub"])
    assert matched(proto, [], [], definition)["Conv__7:0"] == "Conv__7:0", "two sums read it: nobody knows"


def rounded(build: Any, tensor: Tensor, values: Any) -> tuple[Any, float]:
    """What is counted of a program, and the largest response to its own roundings, over u."""
    case = Case("c", inputs={"x": tensor}, builders={"tensorflow": build})
    given = {"x": values}
    counted = TENSORFLOW.roundings(case, given, double=True, seed=0)
    centre = TENSORFLOW.native(case, given, double=True, seed=0)
    moved = TENSORFLOW.perturbed(
        case, given, double=True, seed=0, jitters=[Jitter(s, what="roundings") for s in (0, 1)]
    )
    (name,) = centre
    return counted, max(float(np.abs(m[name] - centre[name]).max()) for m in moved) / 2.0**-24


@pytest.mark.parametrize("passes", [2, 7])
def test_a_loop_rounds_in_every_pass(passes: int) -> None:
    def scaled(tf: Any) -> Any:
        def call(x: Any) -> Any:
            for _ in tf.range(passes):
                x = x * 1.3
            return x

        return call

    counted, response = rounded(scaled, FLAT["x"], X + np.float32(0.1))
    assert not counted.unknown
    assert passes <= counted.count <= 2 * passes + 2  # the product and its constant
    assert response > passes / 2


@pytest.mark.parametrize(("values", "moves"), [([1, 2, 3], False), ([2**24 + 1, 2**25 + 1, 3], True)])
def test_a_whole_number_that_float32_holds_is_not_rounded_by_a_cast(values: list[int], moves: bool) -> None:
    """Keras casts the labels of its cross entropies to floats and back: none becomes another label."""

    def there_and_back(tf: Any) -> Any:
        return lambda labels: tf.cast(tf.cast(tf.cast(labels, tf.float32), tf.int64), tf.float32) * 0.5

    _, response = rounded(there_and_back, Tensor("n", (3,), "int64"), np.array(values))
    assert (response > 2**23) is moves  # a number of its own size more or less


def test_what_a_list_of_tensors_holds_was_rounded() -> None:
    def recurrent(tf: Any) -> Any:
        return tf.keras.Sequential([tf.keras.Input((5, 3)), tf.keras.layers.SimpleRNN(4, return_sequences=True)])

    sequence = Tensor("n t c", (2, 5, 3), low=-1, high=1, integers=False)
    counted, response = rounded(recurrent, sequence, RNG.uniform(-1, 1, (2, 5, 3)).astype(np.float32))
    assert not counted.unknown
    assert counted.count >= 5 * (4 + 1 + 1 + 4)  # in each of five steps a product, a sum and a tangent
    assert response > 1


def test_a_function_that_was_traced_before_is_seen_all_the_same() -> None:
    def called(tf: Any) -> Any:
        inner = tf.function(lambda x: tf.exp(x) * 0.1)
        inner(tf.constant(X, tf.float64))
        return lambda x: inner(x) + 1.0

    counted, response = rounded(called, FLAT["x"], X)
    assert not counted.unknown
    assert counted.count >= 6
    assert response > 0


def test_a_function_that_needs_autograph_is_seen_where_it_is_traced_anew() -> None:
    def called(tf: Any) -> Any:
        @tf.function
        def inner(x: Any) -> Any:
            if tf.reduce_sum(x) > 100.0:
                x = x + 1.0
            return x * 0.1

        return inner

    counted, response = rounded(called, FLAT["x"], X)
    assert not counted.unknown
    assert counted.count >= 2
    assert response > 0


def test_a_float32_step_inside_of_a_called_function_is_no_float64() -> None:
    """The image function computes whatever is no float32 in float32: its float64 run would be another program."""

    def brighter(tf: Any) -> Any:
        return lambda x: tf.image.adjust_brightness(x, 0.1)

    case = Case("c", inputs={"x": Tensor("n c", (2, 3))}, builders={"tensorflow": brighter})
    (found,) = TENSORFLOW.native(case, {"x": X / np.float32(7)}, double=True, seed=0).values()
    wide = X.astype(np.float32) / np.float32(7)
    assert np.abs(found - (wide.astype(np.float64) + np.float64(np.float32(0.1)))).max() < 1e-12


def test_a_reciprocal_is_no_division() -> None:
    counted, _ = rounded(lambda tf: tf.math.reciprocal, FLAT["x"], X + np.float32(0.5))
    assert counted.count == 3
    counted, _ = rounded(lambda tf: lambda x: 1.0 / x, FLAT["x"], X + np.float32(0.5))
    assert counted.count == 1


@pytest.mark.parametrize(
    ("build", "constant"),
    [
        (lambda tf: lambda x: tf.nn.leaky_relu(x, alpha=0.2), True),  # an attribute, in float32 whatever is computed
        (lambda tf: lambda x: tf.nn.leaky_relu(x, alpha=0.25), False),
        (lambda tf: lambda x: x * tf.cast(0.7, x.dtype), True),  # float32 on the way, so frozen and then widened
        (lambda tf: lambda x: x * tf.cast(0.75, x.dtype), False),
        (lambda tf: lambda x: x / tf.constant(6.0, x.dtype) + tf.cast(0.5, x.dtype), True),  # times a sixth, frozen
        (lambda tf: lambda x: x / tf.abs(x) + tf.cast(0.5, x.dtype), False),
    ],
)
def test_what_is_kept_in_float32_is_a_constant_that_may_be_off(build: Any, constant: bool) -> None:
    case = Case("c", inputs=FLAT, builders={"tensorflow": build})
    given = {"x": X + np.float32(0.1)}
    centre = TENSORFLOW.native(case, given, double=True, seed=0)
    (name,) = centre
    moved = TENSORFLOW.perturbed(
        case, given, double=True, seed=0, jitters=[Jitter(s, what="constants") for s in (0, 1)]
    )
    response = max(float(np.abs(m[name] - centre[name]).max()) for m in moved) / 2.0**-24
    assert (response > 0.05) is constant


def test_a_model_that_is_fed_integers_rounds_in_float64() -> None:
    def embedded(tf: Any) -> Any:
        layers = tf.keras.layers
        words = layers.Embedding(9, 4, mask_zero=True)
        return tf.keras.Sequential([tf.keras.Input((None,), dtype="int32"), words, layers.GRU(5), layers.Dense(3)])

    ids = np.array([[1, 4, 2], [3, 0, 0]], np.int32)
    counted, response = rounded(embedded, Tensor("n t", (2, 3), "int32", high=9), ids)
    assert not counted.unknown
    assert counted.count > 3 * 8
    assert response > 0


@pytest.mark.parametrize(("add", "rounds"), [(0.0, False), (0.5, True), (300.0, True)])
def test_sums_of_products_of_small_whole_numbers_are_exact_in_any_order(add: float, rounds: bool) -> None:
    def product(tf: Any) -> Any:
        return lambda x: tf.linalg.matmul(x, tf.ones((3, 2), x.dtype))

    whole = np.arange(6, dtype=np.float32).reshape(2, 3) + np.float32(add)
    _, response = rounded(product, FLAT["x"], whole)
    assert (response > 0) is rounds
