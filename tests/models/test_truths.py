"""The catalogue's truths: against loops, numbers printed in the founding notebook, numeric derivatives, and float32.

Every check here is a function that answers what it found; a planted fault shows that each of them can find something.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from onnx_triangulate.cases import catalogue, same_padding
from onnx_triangulate.cases import definitions as d
from onnx_triangulate.cases.inputs import defined, inputs_of, parameters_of
from onnx_triangulate.numerics.compare import compare
from onnx_triangulate.ops.bounds import gamma, unit_roundoff
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent, Case, CaseRef, Each, Rounded, Tensor

REFS = catalogue.find()
CASES = {ref.name: catalogue.load(ref) for ref in REFS}
NAMED = {
    "conv2d/even_input conv2d/odd_input conv2d/even_input_explicit_pad conv2d/dilation conv2d/groups conv2d/depthwise",
    "conv2d/kernel_5 conv2d/stride_3 conv2d/non_square conv2d/valid leaky_relu/slope_0_2",
    "batch_norm/training_random_scale batch_norm/training_same_scale batch_norm/running_statistics batch_norm/epsilon",
    "batch_norm/momentum_none cross_entropy/sigmoid_as_softmax cross_entropy/softmax_single_class",
    "cross_entropy/bce_with_logits_saturated autodiff/chain conv_transpose2d/restores_19",
    "conv_transpose2d/notebook_9x9 conv_transpose2d/output_20",
}


def integers(*shape: int, low: int = -3, high: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(np.float64)


def reals(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).uniform(-2, 2, shape)


def meanings(case: Case) -> dict[str, Callable[..., Any]]:
    """The truth of each framework the case is built in."""
    assert case.truth is not None
    return {f: case.truth[f] if isinstance(case.truth, Mapping) else case.truth for f in case.builders}


def arguments(ref: CaseRef, case: Case, framework: str, seed: int = 0) -> dict[str, Any]:
    return inputs_of(case, ref.name, seed) | parameters_of(case, ref.name, framework, seed)


def wide(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a truth is called with: float arrays in float64, everything else as it is."""
    return {
        name: value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for name, value in values.items()
    }


def named(case: Case, result: Any) -> dict[str, Any]:
    return result if isinstance(result, dict) else {next(iter(case.outputs), "y"): result}


def values_of(results: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(r.value if isinstance(r, Rounded) else r) for name, r in results.items()}


def answer(case: Case, truth: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Array]:
    return values_of(named(case, defined(truth, values)))


# Loops, as plain as they get.


def conv2d_by_loops(x: Array, w: Array, stride: int, dilation: int, groups: int, pads: d.Pads) -> Array:
    (top, bottom), (left, right) = pads
    rows = (x.shape[2] + top + bottom - dilation * (w.shape[2] - 1) - 1) // stride + 1
    columns = (x.shape[3] + left + right - dilation * (w.shape[3] - 1) - 1) // stride + 1
    y = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for n, o, p, q, i, k, m in itertools.product(*map(range, y.shape), *map(range, w.shape[1:])):
        row, column = p * stride + k * dilation - top, q * stride + m * dilation - left
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            channel = o // (w.shape[0] // groups) * w.shape[1] + i
            y[n, o, p, q] += w[o, i, k, m] * x[n, channel, row, column]
    return y


def conv_transpose2d_by_loops(x: Array, w: Array, stride: int, pads: d.Pads) -> Array:
    (top, bottom), (left, right) = pads
    rows = (x.shape[2] - 1) * stride + w.shape[2] - top - bottom
    columns = (x.shape[3] - 1) * stride + w.shape[3] - left - right
    y = np.zeros((x.shape[0], w.shape[1], rows, columns))
    for n, i, p, q, o, k, m in itertools.product(*map(range, x.shape), *map(range, w.shape[1:])):
        row, column = p * stride + k - top, q * stride + m - left
        if 0 <= row < rows and 0 <= column < columns:
            y[n, o, row, column] += w[i, o, k, m] * x[n, i, p, q]
    return y


CONVOLUTIONS = [
    (1, 1, 1, ((0, 0), (0, 0))),
    (2, 1, 1, ((1, 1), (1, 1))),
    (2, 1, 1, ((0, 1), (0, 1))),
    (3, 1, 1, ((1, 0), (2, 1))),
    (1, 2, 1, ((2, 2), (2, 1))),
    (2, 1, 2, ((1, 1), (0, 2))),
    (1, 1, 4, ((0, 0), (1, 0))),
]


@pytest.mark.parametrize(("stride", "dilation", "groups", "pads"), CONVOLUTIONS)
def test_conv2d_is_its_loops(stride: int, dilation: int, groups: int, pads: d.Pads) -> None:
    x, w = integers(2, 4, 7, 6), integers(8, 4 // groups, 3, 2)
    settings: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "pads": pads}
    expected = conv2d_by_loops(x, w, **settings)
    np.testing.assert_array_equal(d.conv2d(x, w, **settings), expected)
    moved: dict[str, Any] = (
        {**settings, "pads": (pads[1], pads[0])} if pads[0] != pads[1] else {**settings, "stride": stride + 1}
    )
    assert not np.array_equal(d.conv2d(x, w, **moved), expected)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((2, 1), (1, 0))])
def test_conv_transpose2d_is_its_loops(stride: int, pads: d.Pads) -> None:
    x, w = integers(2, 3, 4, 5), integers(3, 2, 3, 2)
    expected = conv_transpose2d_by_loops(x, w, stride, pads)
    np.testing.assert_array_equal(d.conv_transpose2d(x, w, stride=stride, pads=pads), expected)
    assert not np.array_equal(d.conv_transpose2d(x, w[:, :, ::-1], stride=stride, pads=pads), expected)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "before_after"),
    [(6, 3, 2, 1, (0, 1)), (5, 3, 2, 1, (1, 1)), (7, 5, 1, 1, (2, 2)), (9, 3, 1, 2, (2, 2)), (20, 5, 2, 1, (1, 2))],
)
def test_same_pads_after(size: int, kernel: int, stride: int, dilation: int, before_after: tuple[int, int]) -> None:
    assert same_padding.same_pads(size, kernel, stride, dilation) == before_after


def test_same_pads_never_crops() -> None:
    assert same_padding.same_pads(7, 1, 3) == (0, 0)


# What the founding notebook printed.


def truth_values(name: str, framework: str = "torch") -> dict[str, Array]:
    ref = next(ref for ref in REFS if ref.name == name)
    return answer(CASES[name], meanings(CASES[name])[framework], wide(arguments(ref, CASES[name], framework)))


def test_even_input_windows_start_where_the_notebook_drew_them() -> None:
    """``[oxx]xxxxo`` starts at the padding, ``[xxx]xxxo`` at the first column: an impulse reads where windows start."""
    x = np.broadcast_to(np.arange(1.0, 7.0), (1, 1, 6, 6))
    impulse = np.zeros((1, 1, 3, 3))
    impulse[..., 1, 0] = 1
    truth = meanings(CASES["conv2d/even_input"])
    starts = {framework: truth[framework](x=x, w=impulse)[0, 0, 1].tolist() for framework in truth}
    assert starts == {"torch": [0, 2, 4], "tensorflow": [1, 3, 5]}


def test_convolution_shapes_are_the_notebooks() -> None:
    assert truth_values("conv2d/even_input")["y"].shape == (2, 3, 3, 3)
    assert truth_values("conv2d/odd_input")["y"].shape == (2, 3, 3, 3)


def test_one_factor_per_channel_explains_the_notebooks_batch_norm() -> None:
    x = integers(2, 2, 4, 3)
    shift = np.zeros(2)
    ours = d.batch_norm_training(x, np.array([0.3073, 0.9]), shift, 1e-5)
    plain = d.batch_norm_training(x, np.ones(2), shift, 1e-5)
    np.testing.assert_allclose(ours[:, 0], 0.3073 * plain[:, 0], rtol=1e-14)
    for torch, tensorflow in [(0.4098, 1.3336), (-0.3491, -1.1360), (0.1568, 0.5104), (-0.0961, -0.3128)]:
        slack = 5e-5 + 0.3073 * 5e-5 + abs(tensorflow) * 5e-5  # all three were printed to four digits
        assert abs(torch - 0.3073 * tensorflow) <= slack


def test_cross_entropies_are_the_notebooks() -> None:
    one_logit = truth_values("cross_entropy/sigmoid_as_softmax")
    assert np.round(one_logit["sigmoid"][:, 0], 4).tolist() == [0.2689, 0.5, 0.7311]
    assert np.round(one_logit["softmax"][:, 0], 4).tolist() == [0.2689, 0.5, 0.7311]
    np.testing.assert_allclose(one_logit["softmax"].sum(axis=1), 1, rtol=1e-15)
    assert truth_values("cross_entropy/softmax_single_class")["y"].tolist() == [[1], [1], [1]]
    assert truth_values("cross_entropy/bce_with_logits_saturated")["y"] == 50.0


def test_chain_is_the_notebooks() -> None:
    assert truth_values("autodiff/chain") == {"a": 3, "b": 9, "y": 81, "grad_x": 54}
    assert truth_values("autodiff/chain_retained") == {
        "a": 3,
        "b": 9,
        "y": 81,
        "grad_x": 54,
        "grad_a": 54,
        "grad_b": 18,
    }


def test_transposed_convolution_brings_the_shape_back() -> None:
    there_and_back = truth_values("conv_transpose2d/restores_19")
    assert {name: value.shape for name, value in there_and_back.items()} == {
        "down": (1, 1, 10, 10),
        "y": (1, 1, 19, 19),
    }


def test_notebook_9x9_by_hand() -> None:
    down = truth_values("conv_transpose2d/notebook_9x9")["down"]
    assert down.shape == (1, 1, 5, 5)
    # the first window holds rows and columns 0 to 2 of the input under the kernel's [[1, 0, 1], [1, 0, 1], [0, 0, 1]]
    assert down[0, 0, 0, 0] == 1 * 1 + 0 * 1 + 0 * 1 + 0 * 1 + 1 * 1


def test_output_20_crops_opposite_sides() -> None:
    torch = truth_values("conv_transpose2d/output_20", "torch")["y"]
    tensorflow = truth_values("conv_transpose2d/output_20", "tensorflow")["y"]
    np.testing.assert_array_equal(torch[..., :-1, :-1], tensorflow[..., 1:, 1:])
    assert np.abs(torch - tensorflow).max() > 0


# Derivatives.


def complex_step(function: Callable[..., Array], values: list[Array], index: int, dy: Array) -> Array:
    """Derivative of sum(dy * function) for ``values[index]``: Im f(x + ih) / h, which subtracts nothing."""
    step = 1e-30
    gradient = np.zeros_like(values[index])
    for place in np.ndindex(gradient.shape):
        moved = [v.astype(complex) if i == index else v for i, v in enumerate(values)]
        moved[index][place] += 1j * step
        gradient[place] = np.sum(dy * function(*moved)).imag / step
    return gradient


def central(function: Callable[..., Array], values: list[Array], index: int, dy: Array) -> Array:
    """Derivative by central differences, where the definition takes absolute values and maxima."""
    step = 1e-5
    gradient = np.zeros_like(values[index])
    for place in np.ndindex(gradient.shape):
        sides = []
        for sign in (1, -1):
            moved = [v.copy() for v in values]
            moved[index][place] += sign * step
            sides.append(np.sum(dy * function(*moved)))
        gradient[place] = (sides[0] - sides[1]) / (2 * step)
    return gradient


def wrong_places(numeric: Array, written: Array, tolerance: float) -> int:
    """In how many places the written derivative leaves the numeric one."""
    assert numeric.shape == written.shape
    return int(np.sum(np.abs(numeric - written) > tolerance * max(1.0, float(np.abs(numeric).max()))))


def convolved(**settings: Any) -> tuple[Callable[..., Array], Callable[..., tuple[Array, ...]]]:
    return lambda x, w: d.conv2d(x, w, **settings), lambda x, w, dy: d.conv2d_gradients(x, w, dy, **settings)


LABELS = np.array([2, 0, 2, 3])
TARGETS = np.array([0.0, 1.0, 0.25, 1.0, 0.0])
BACK: dict[str, Any] = {"stride": 2, "pads": ((1, 0), (2, 1))}
BY_COMPLEX_STEP: dict[str, tuple[list[Array], Any, Any]] = {
    **{
        f"conv2d-{i}": (
            [reals(1, 4, 5, 6), reals(4, 4 // groups, 3, 2)],
            *convolved(stride=stride, dilation=dilation, groups=groups, pads=pads),
        )
        for i, (stride, dilation, groups, pads) in enumerate(CONVOLUTIONS)
    },
    "conv_transpose2d": (
        [reals(1, 2, 3, 4), reals(2, 3, 3, 4)],
        lambda x, w: d.conv_transpose2d(x, w, **BACK),
        lambda x, w, dy: d.conv_transpose2d_gradients(x, w, dy, **BACK),
    ),
    "batch_norm": (
        [reals(2, 3, 4, 1), reals(3), reals(3)],
        lambda x, s, b: d.batch_norm_training(x, s, b, 1e-3),
        lambda x, s, _, dy: d.batch_norm_training_gradients(x, s, dy, 1e-3),
    ),
    "softmax_cross_entropy": (
        [reals(4, 5)],
        lambda x: d.softmax_cross_entropy(x, LABELS),
        lambda x, dy: (d.softmax_cross_entropy_gradient(x, LABELS, dy),),
    ),
}
BY_CENTRAL_DIFFERENCES: dict[str, tuple[list[Array], Any, Any]] = {
    "leaky_relu": (
        [reals(3, 5)],
        lambda x: d.leaky_relu(x, 0.25),
        lambda x, dy: (d.leaky_relu_gradient(x, dy, 0.25),),
    ),
    "sigmoid_cross_entropy": (
        [reals(5)],
        lambda x: d.sigmoid_cross_entropy(x, TARGETS),
        lambda x, dy: (d.sigmoid_cross_entropy_gradient(x, TARGETS, dy),),
    ),
}
DERIVATIVES = [
    *((name, complex_step, 1e-13, given) for name, given in BY_COMPLEX_STEP.items()),
    *((name, central, 1e-9, given) for name, given in BY_CENTRAL_DIFFERENCES.items()),
]


@pytest.mark.parametrize(("name", "method", "tolerance", "given"), DERIVATIVES, ids=[row[0] for row in DERIVATIVES])
def test_derivatives_written_out_are_the_numeric_ones(name: str, method: Any, tolerance: float, given: Any) -> None:
    values, function, gradients = given
    dy = reals(*np.shape(function(*values)), seed=1)
    for index, written in enumerate(gradients(*values, dy)):
        numeric = method(function, values, index, dy)
        assert wrong_places(numeric, np.asarray(written), tolerance) == 0
        planted = np.array(written)
        planted.flat[planted.size // 2] += 1e-6
        assert wrong_places(numeric, planted, tolerance) == 1


def test_derivatives_at_the_kink_and_the_tie() -> None:
    x, dy = np.array([0.0, -0.0, 1.0, -1.0]), np.array([4.0, 4.0, 4.0, 4.0])
    assert d.leaky_relu_gradient(x, dy, 0.25).tolist() == [1, 1, 4, 1]
    tie = meanings(CASES["leaky_relu/gradient_maximum"])["tensorflow"](x=x, dy=dy)["grad_x"]
    assert tie.tolist() == [4, 4, 4, 1]


def test_softmax_is_the_quotient_of_powers() -> None:
    x = reals(3, 4)
    np.testing.assert_allclose(d.softmax(x), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(d.sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-14)
    assert d.sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]


def test_moving_statistics_by_hand() -> None:
    """One channel 0, 2, 4: mean 2, biased variance 8/3, unbiased 4."""
    truth = meanings(CASES["batch_norm/running_statistics"])
    one = {"scale": np.ones(1), "shift": np.zeros(1), "mean": np.ones(1), "variance": np.full(1, 2.0)}
    x = np.array([0.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    torch, tensorflow = (truth[f](x=x, **one) for f in ("torch", "tensorflow"))
    assert torch["new_mean"].value[0] == tensorflow["new_mean"].value[0] == pytest.approx(0.9 * 1 + 0.1 * 2)
    assert torch["new_variance"].value[0] == pytest.approx(0.9 * 2 + 0.1 * 4)
    assert tensorflow["new_variance"].value[0] == pytest.approx(0.9 * 2 + 0.1 * 8 / 3)


# Bounds and exactness, case by case.


def apart(results: Mapping[str, Any], got: Mapping[str, Array]) -> str:
    """What the project's comparer says of ``got`` against a truth and its bounds."""
    allowed: dict[str, Array | None] = {}
    for name, result in results.items():
        if isinstance(result, Rounded):
            step = gamma(result.roundings, unit_roundoff(got[name].dtype))
            allowed[name] = np.broadcast_to(step * np.asarray(result.scale) + result.floor, np.shape(result.value))
        else:
            allowed[name] = np.zeros(np.shape(result))
    return compare(values_of(results), got, allowed, definition=True).outcome


def narrow(case: Case, results: Mapping[str, Array]) -> dict[str, Array]:
    """Floats in the type in which the case works; what has another kind stays as it is."""

    def kept(name: str, value: Array) -> Array:
        promised = case.outputs.get(name)
        half = isinstance(promised, Tensor) and promised.dtype == "float16"
        return value.astype("float16" if half else working_type(case)) if value.dtype.kind == "f" else value

    return {name: kept(name, np.asarray(value)) for name, value in results.items()}


def off_by_a_little(value: Array) -> Array:
    """A float one percent off, a whole number one, a boolean the other; a zero is one."""
    if value.dtype.kind == "b":
        return ~value
    if value.dtype.kind in "iu":
        return value + value.dtype.type(1)
    return value * np.where(value == 0, 1, 1.01).astype(value.dtype) + (value == 0).astype(value.dtype)


def pairs() -> list[Any]:
    return [
        pytest.param(ref, CASES[ref.name], f, truth, id=f"{ref.name}-{f}")
        for ref in REFS
        for f, truth in meanings(CASES[ref.name]).items()
    ]


def working_type(case: Case) -> str:
    return "float64" if any(t.dtype == "float64" for t in case.inputs.values()) else "float32"


@pytest.mark.parametrize(("ref", "case", "framework", "truth"), pairs())
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numpy_in_the_cases_own_type_stays_inside_the_bound(
    ref: CaseRef, case: Case, framework: str, truth: Callable[..., Any], seed: int
) -> None:
    """The definition in float32 arithmetic is one more implementation: exact where it is said to be, else inside."""
    values = arguments(ref, case, framework, seed)
    with np.errstate(all="ignore"):
        exact = named(case, defined(truth, wide(values)))
    assert not case.outputs or set(exact) == {n for n, tensor in case.outputs.items() if isinstance(tensor, Tensor)}
    with np.errstate(all="ignore"):
        got = narrow(case, answer(case, truth, values))
    exact = {name: result for name, result in exact.items() if not is_derived(result)}  # the runs give these a bound
    got = {name: value for name, value in got.items() if name in exact}
    assert not exact or apart(exact, got) in ("equal", "rounding")
    for name, value in got.items():
        promised = case.outputs.get(name, Tensor(" ".join("abcdef"[: value.ndim])))
        assert isinstance(promised, Tensor)
        assert promised.shape in (None, value.shape)
        assert len(promised.axes.split()) == value.ndim
        if value.size and not (value.dtype.kind == "f" and np.isnan(value).all()):
            planted = off_by_a_little(value)
            assert apart(exact, {**got, name: planted}) == "diverges", f"a fault of one percent in {name} goes unseen"


def is_derived(result: Any) -> bool:
    """Whether a definition leaves its bound to the runs."""
    return isinstance(result, Rounded) and result.scale is None


def negative_zeros(results: Mapping[str, Any]) -> list[str]:
    """Exact results whose sign of a zero would be compared, and would hang on where a kernel starts to sum."""
    exact = {name: np.asarray(result) for name, result in results.items() if not isinstance(result, Rounded)}
    exact = {name: value.astype(np.float64) for name, value in exact.items() if value.dtype.kind in "fiu"}
    return [name for name, value in exact.items() if ((value == 0) & np.signbit(value)).any()]


@pytest.mark.parametrize(("ref", "case", "framework", "truth"), pairs())
def test_only_the_special_values_are_about_negative_zero(
    ref: CaseRef, case: Case, framework: str, truth: Callable[..., Any]
) -> None:
    found = {
        name
        for seed in range(5)
        for name in negative_zeros(named(case, defined(truth, wide(arguments(ref, case, framework, seed)))))
    }
    assert bool(found) == ("signed-zero" in case.tags), "a case is about the sign of a zero or keeps clear of it"


def false_claims(case: Case, ref: CaseRef) -> list[str]:
    """What a case says of its frameworks that its truths do not bear out."""
    problems = []
    answers = {}
    for framework, truth in meanings(case).items():
        answers[framework] = answer(case, truth, wide(arguments(ref, case, framework)))
    differ = len(answers) > 1 and any(
        not np.array_equal(left, right, equal_nan=True)
        for left, right in zip(*(list(a.values()) for a in answers.values()), strict=True)
    )
    each = any(isinstance(value, Each) for value in case.parameters.values())
    if (isinstance(case.truth, Mapping) or each) and not differ:
        problems.append("two meanings or two parameters, one value")
    declared = {one.blame for e in case.expect.values() for one in (e if isinstance(e, tuple) else (e,))}
    if differ and not declared & {"semantics", "parameters"}:
        problems.append("the frameworks part and no expectation says so")
    if not differ and "number-types" not in case.tags and declared & {"semantics", "parameters"}:
        problems.append("an expectation says that the frameworks part, and they do not")
    return problems


@pytest.mark.parametrize("ref", REFS, ids=[ref.name for ref in REFS])
def test_what_a_case_says_of_its_frameworks_is_so(ref: CaseRef) -> None:
    assert false_claims(CASES[ref.name], ref) == []


def test_a_false_claim_is_found() -> None:
    ref = next(ref for ref in REFS if ref.name == "conv2d/even_input")
    case = CASES[ref.name]
    truth = meanings(case)
    assert false_claims(dataclasses.replace(case, expect={}), ref) != []
    same = dataclasses.replace(case, truth={"torch": truth["torch"], "tensorflow": truth["torch"]})
    assert len(false_claims(same, ref)) == 2


def test_the_catalogue_holds_what_the_notebook_needs() -> None:
    wanted = {name for line in NAMED for name in line.split()}
    assert wanted - set(CASES) == set()
    assert len(CASES) >= 40
    for group in ("conv2d", "leaky_relu", "batch_norm", "cross_entropy", "autodiff", "conv_transpose2d"):
        assert any(case.gradient for name, case in CASES.items() if name.startswith(group)), group


def test_gradients_at_values_on_the_way_are_absent_unless_asked_for() -> None:
    chain, retained = CASES["autodiff/chain"], CASES["autodiff/chain_retained"]
    assert {n for n, t in chain.outputs.items() if isinstance(t, Absent)} == {"grad_a", "grad_b"}
    assert not [n for n, t in retained.outputs.items() if isinstance(t, Absent)]
    assert retained.gradient is not None
    assert set(retained.gradient.wrt) == {"x", "a", "b"}


@pytest.mark.parametrize("order", ["forward", "backward", "sorted"])
def test_a_sum_in_any_order_stays_inside_the_convolutions_bound(order: str) -> None:
    x, w = reals(1, 50, 1, 1).astype(np.float32), reals(1, 50, 1, 1, seed=1).astype(np.float32)
    products = (x * w).ravel()
    chosen = {"forward": products, "backward": products[::-1], "sorted": np.sort(products)}[order]
    total = np.float32(0)
    for product in chosen:
        total = np.float32(total + product)
    truth = {"y": d.conv2d_rounded(x.astype(np.float64), w.astype(np.float64))}
    assert apart(truth, {"y": np.full((1, 1, 1, 1), total)}) in ("equal", "rounding")
    assert apart(truth, {"y": np.full((1, 1, 1, 1), total - products[0])}) == "diverges"


@pytest.mark.parametrize("seed", range(3))
def test_one_pass_variance_stays_inside_the_batch_norms_bound(seed: int) -> None:
    """E x^2 - m^2 loses digits where the mean is large, which is why the bound takes the variance from there."""
    x = (10 + reals(2, 3, 5, 1, seed=seed)).astype(np.float32)
    mean = x.mean(axis=(0, 2, 3), dtype=np.float32)
    variance = (x * x).mean(axis=(0, 2, 3), dtype=np.float32) - mean * mean
    inverse = np.float32(1) / np.sqrt(variance + np.float32(1e-5))
    y = x * inverse[:, None, None] - (mean * inverse)[:, None, None]
    truth = {"y": d.batch_norm_training_rounded(x.astype(np.float64), np.ones(3), np.zeros(3), 1e-5)}
    assert apart(truth, {"y": y}) == "rounding"
    assert apart(truth, {"y": y + np.float32(0.01)}) == "diverges"
