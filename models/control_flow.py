"""Branches and loops that depend on data: cond, while and scan."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Expected, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx

X = Tensor("n", values=[1, -2, 3, 4])
NEGATIVE = Tensor("n", values=[-1, -2, 1, -4])
TAGS = ("control-flow",)
NO_BRANCHES = {
    ("torch", "torch:script>*"): Expected(
        "export-failed",
        reason="torch.cond cannot be traced by the TorchScript exporter",
    )
}


def torch_cond(torch: Any) -> Any:
    class Branches(torch.nn.Module):  # type: ignore[misc]  # torch is Any
        def forward(self, x: Any) -> Any:
            return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))

    return Branches()


def tensorflow_cond(tf: Any) -> Any:
    return tf.function(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: x - 1))


def tensorflow_while(tf: Any) -> Any:
    """Doubled until the sum reaches a hundred."""
    return tf.function(lambda x: tf.while_loop(lambda x: tf.reduce_sum(x) < 100, lambda x: (x * 2,), (x,))[0])


def doubled(x: Any) -> Any:
    while x.sum() < 100:
        x = x * 2
    return x


def tensorflow_scan(tf: Any) -> Any:
    return tf.function(lambda x: tf.scan(lambda total, each: total + each, x))


CASES = (
    Case(
        "cond_true",
        {"x": X},
        {"torch": torch_cond, "tensorflow": tensorflow_cond},
        {"y": Tensor("n")},
        truth=lambda x: x * 2 if x.sum() > 0 else x - 1,
        tags=TAGS,
        expect=NO_BRANCHES,
    ),
    Case(
        "cond_false",
        {"x": NEGATIVE},
        {"torch": torch_cond, "tensorflow": tensorflow_cond},
        {"y": Tensor("n")},
        truth=lambda x: x * 2 if x.sum() > 0 else x - 1,
        tags=TAGS,
        expect=NO_BRANCHES,
    ),
    Case("while", {"x": X}, {"tensorflow": tensorflow_while}, {"y": Tensor("n")}, truth=doubled, tags=TAGS),
    Case(
        "scan",
        {"x": X},
        {"tensorflow": tensorflow_scan},
        {"y": Tensor("n")},
        truth=lambda x: x.cumsum(),
        tags=TAGS,
        expect=left_by_tf2onnx(
            "TensorListReserve",
            "TensorListSetItem",
        ),
    ),
)
