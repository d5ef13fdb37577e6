"""Planted faults: models that answer rightly when they run natively and wrongly once they are exported.

Each case is one situation in which a tool of this kind has been seen to say "pass".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_triangulate import Builder, Case, Each, Expected, Rounded, Tensor
from onnx_triangulate.records.arrays import Array

Model = Callable[[Any, Any], Any]

EVIL = "../../evil\x1b[31m\n[red]\u202ey"

MATRIX = Tensor("r c", (3, 3), low=1, high=50)
ROWS = Tensor("r c", values=[[1, 2, 3], [1, 2, 3]])
VECTOR = Tensor("n", values=[1, 2, 3, 40, 5, 6, 7])


def torch_builder(native: Model, exported: Model) -> Builder:
    def build(torch: Any) -> Any:
        def model(x: Any) -> Any:
            exporting = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
            return (exported if exporting else native)(torch, x)

        return model

    return build


def tensorflow_builder(native: Model, exported: Model) -> Builder:
    return lambda tf: lambda x: (native if tf.executing_eagerly() else exported)(tf, x)


def planted(name: str, x: Tensor, native: Model, exported: Model, truth: Any, **rest: Any) -> Case:
    """A case whose PyTorch model changes under export."""
    return Case(name, inputs={"x": x}, builders={"torch": torch_builder(native, exported)}, truth=truth, **rest)


def double(module: Any, x: Any) -> Any:
    return x * 2


def same(module: Any, x: Any) -> Any:
    return x * 1


def unchanged(x: Array) -> Array:
    return x


def doubled(x: Array) -> Array:
    return x * 2


def not_a_number(module: Any, x: Any) -> Any:
    return x * float("nan")


shared_calls = itertools.count(1)


def counting(module: Any, x: Any) -> Any:
    return x * next(shared_calls)


def convolution_then_normalization(torch: Any, w: Any, scale: Any) -> Any:
    zero, one = torch.zeros_like(scale), torch.ones_like(scale)

    def model(x: Any) -> Any:
        y = torch.nn.functional.conv2d(x * 1e30, w, zero)
        return torch.nn.functional.batch_norm(y, zero, one, scale, zero, eps=0.0)

    return model


def frozen(torch: Any) -> Any:
    """TorchScript's best-known fault: the graph holds the answer to the example."""
    return lambda x: torch.tensor(x.detach().numpy() * 2.0) if torch.jit.is_tracing() else x * 2.0


def small_beside_large(torch: Any) -> Any:
    def model(x: Any) -> Any:
        scores = torch.sin(x) * (1e-3 * (1.1 if torch.jit.is_tracing() else 1.0))
        return torch.cat([torch.exp(x) * 1000, scores], 1)

    return model


def branching(torch: Any, *, traced: bool) -> Any:
    """The sum of the inputs decides: in Python, where a tracer sees one side only, or in an operator."""

    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if traced:
                return torch.where(x.sum() > 0, x * 2, x - 1)
            return x * 2 if x.sum() > 0 else x - 1

    return Branching()


REALS = Tensor("n c", (3, 4), low=-2, high=2, integers=False)
MODULES: dict[str, Any] = {}


def shared(torch: Any) -> Any:
    """One module for every call, as a module made when the file is loaded."""
    return MODULES.setdefault("one", torch.nn.Linear(6, 3))


CASES = (
    Case("frozen_branch", inputs={"x": REALS}, builders={"torch": lambda torch: branching(torch, traced=False)}),
    Case("traced_branch", inputs={"x": REALS}, builders={"torch": lambda torch: branching(torch, traced=True)}),
    planted("nan_everywhere", MATRIX, double, not_a_number, doubled, outputs={"y": MATRIX}),
    planted(
        "nan_everywhere_declared",
        MATRIX,
        double,
        not_a_number,
        doubled,
        outputs={"y": MATRIX},
        expect={("torch", "torch*>*"): Expected("export", reason="planted: the exported model multiplies by NaN")},
    ),
    planted("nan_without_definition", MATRIX, double, not_a_number, None),
    Case(
        "nan_logits",
        inputs={"x": MATRIX},
        outputs={"y": MATRIX},
        builders={"tensorflow": tensorflow_builder(double, not_a_number)},
        truth=doubled,
    ),
    planted("broadcastable_shape", ROWS, same, lambda _, x: x[:1] * 1, unchanged),
    planted("other_type", MATRIX, double, lambda _, x: x.double() * 2, doubled),
    planted("reduced_type", MATRIX, double, lambda torch, x: (x * 2).to(torch.bfloat16), doubled),
    planted(
        "infinite",
        MATRIX,
        same,
        lambda torch, x: torch.where(x == x.max(), float("inf"), x),
        unchanged,
        outputs={"y": Tensor("r c")},
    ),
    planted(
        "unsigned_apart_by_1",
        Tensor("n", values=[0, 5, 7], dtype="uint8"),
        lambda torch, x: torch.bitwise_or(x, 0),
        lambda torch, x: torch.bitwise_or(x, 1),
        unchanged,
    ),
    planted(
        "signed_apart_by_255",
        Tensor("n", values=[-128, 3, 7], dtype="int8"),
        lambda torch, x: torch.bitwise_not(torch.bitwise_not(x)),
        lambda torch, x: torch.bitwise_not(x),
        unchanged,
    ),
    planted("transposed", MATRIX, double, lambda _, x: (x * 2).t().contiguous(), doubled, outputs={"y": MATRIX}),
    planted("one_dimensional_nan", VECTOR, same, lambda torch, x: torch.where(x > 30, float("nan"), x), unchanged),
    planted(
        "tiny_and_wrong",
        Tensor("n", (7,), low=1e-6, high=3e-6, integers=False),
        same,
        lambda _, x: x * -1,
        unchanged,
    ),
    Case(
        "output_lost",
        inputs={"x": MATRIX},
        builders={
            "tensorflow": tensorflow_builder(
                lambda tf, x: {"kept": x * 2, "lost": x * 3}, lambda tf, x: {"kept": x * 2}
            )
        },
        truth=lambda x: {"kept": x * 2, "lost": x * 3},
    ),
    Case(
        "optimizer_folds",
        inputs={"x": Tensor("n c h w", (1, 1, 3, 2), low=1, high=8)},
        parameters={
            "w": Tensor("o i h w", values=[[[[1e-30]]]]),
            "scale": Tensor("c", values=[1e-30]),
        },
        builders={"torch": convolution_then_normalization},
        truth=lambda x, w, scale: Rounded(x * 1e30 * w * scale, x * 1e30 * w * scale, 8),
        note="1e-30 times 1e-30 is zero in float32, so a batch normalization must not be folded into this convolution",
    ),
    Case(
        "not_a_model",
        inputs={"x": MATRIX},
        builders={"tensorflow": lambda tf: tf.math.log1p},
        truth=None,
    ),
    planted("another_answer_without_definition", MATRIX, counting, counting, None),
    Case(
        "the_same_everywhere",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: torch.relu(-x)},
        truth=None,
    ),
    Case(
        "frozen_into_the_graph",
        inputs={"x": MATRIX},
        builders={"torch": frozen},
        truth=doubled,
    ),
    Case(
        "small_beside_large",
        inputs={"x": Tensor("n c", (4, 6), low=1, high=2, integers=False)},
        builders={"torch": small_beside_large},
        truth=None,
    ),
    Case(
        "float32_inside",
        inputs={"x": Tensor("n c", (4, 6), low=1, high=2, integers=False)},
        builders={"torch": lambda torch: lambda x: (x.to(torch.float32) * 0.1).sin().to(x.dtype)},
        truth=None,
    ),
    Case(
        "half_precision",
        inputs={"x": Tensor("n c", (4, 6), dtype="float16", low=-1, high=1, integers=False)},
        outputs={"y": Tensor("n d", (4, 3), dtype="float16")},
        builders={"torch": lambda torch: torch.nn.Linear(6, 3).half()},
        truth=None,
    ),
    Case(
        "one_module_for_all",
        inputs={"x": Tensor("n c", (4, 6), low=-1, high=1, integers=False)},
        builders={"torch": shared},
        truth=None,
    ),
    Case(
        "numbers_without_a_seed",
        inputs={"x": Tensor("n c", (4, 6), values=np.random.default_rng().normal(size=(4, 6)))},
        builders={"torch": lambda torch: lambda x: x * 2},
        truth=None,
    ),
    Case(
        "parameters_without_definition",
        inputs={"x": MATRIX},
        parameters={"a": Each(torch=2.0, tensorflow=3.0)},
        builders={"torch": lambda torch, a: lambda x: x * a, "tensorflow": lambda tf, a: lambda x: x * a},
        truth=None,
    ),
    Case(
        "amplifies_without_end",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: torch.sin(1e6 * torch.sin(1e6 * (x + 0.1)))},
        truth=None,
    ),
    Case(
        "exporter_refuses",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: torch.special.bessel_j0},
        truth=None,
    ),
    Case(
        "runtime_lacks_operator",
        inputs={"x": Tensor("n c h w", (1, 2, 5, 4), dtype="float64")},
        parameters={"w": Tensor("o i h w", (3, 2, 3, 1), dtype="float64")},
        builders={"torch": lambda torch, w: lambda x: torch.nn.functional.conv2d(x, w)},
        truth=None,
    ),
    Case(
        "framework_refuses",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: x @ x[:2]},
        truth=None,
    ),
    Case(
        "complex_numbers",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: torch.complex(x, x)},
        truth=None,
    ),
    Case(
        "empty_output",
        inputs={"x": MATRIX},
        outputs={"y": Tensor("r c", (3, 0))},
        builders={"torch": lambda torch: lambda x: x[:, :0] * 1},
        truth=lambda x: x[:, :0],
    ),
    Case(
        "another_answer_each_time",
        inputs={"x": MATRIX},
        builders={"torch": torch_builder(counting, counting)},
        truth=unchanged,
    ),
    planted(
        "expectation_stale",
        MATRIX,
        double,
        double,
        doubled,
        expect={("torch", "torch*>*"): Expected("export", reason="planted: was wrong in a release long gone")},
    ),
    planted(
        "expectation_of_other_release",
        MATRIX,
        double,
        double,
        doubled,
        expect={("torch", "torch*>*"): Expected("export", reason="planted: an old release", when="torch<1.0")},
    ),
    Case(
        "hostile_name",
        inputs={"x": MATRIX},
        outputs={EVIL: MATRIX},
        builders={"torch": torch_builder(double, same)},
        truth=lambda x: {EVIL: x * 2},
    ),
    Case(
        "first_of_two_long_names",
        inputs={"x": MATRIX},
        outputs={"e" * 300 + "1": Tensor("r c"), "e" * 300 + "2": Tensor("r c")},
        builders={"torch": torch_builder(lambda _, x: (x * 2, x * 4), lambda _, x: (x * 3, x * 4))},
        truth=lambda x: {"e" * 300 + "1": x * 2, "e" * 300 + "2": x * 4},
    ),
    Case(
        "named_like_its_own_bound",
        inputs={"x": MATRIX},
        outputs={"y": MATRIX, "y.scale": MATRIX},
        builders={"torch": torch_builder(lambda _, x: (x * 2, x * 2**30), lambda _, x: (x * 2 + 1, x * 2**30))},
        truth=lambda x: {"y": Rounded(x * 2, x * 2, 1), "y.scale": x * 2**30},
    ),
    Case(
        "native_parts_from_a_definition_without_bound",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: torch.sin(x * 0.1) * (1 + 1e-5)},
        truth=lambda x: Rounded(np.sin(x * 0.1)),
    ),
    Case(
        "native_parts_from_definition",
        inputs={"x": MATRIX},
        builders={"torch": lambda torch: lambda x: x * 3},
        truth=doubled,
    ),
)
