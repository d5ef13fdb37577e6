"""Cross entropies: sigmoid as a softmax with a null class, the saturated logistic loss, losses from class indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Rounded, Tensor
from onnx_triangulate.cases.definitions import (
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_gradient_rounded,
    sigmoid_cross_entropy_rounded,
    sigmoid_rounded,
    softmax_cross_entropy_gradient_rounded,
    softmax_cross_entropy_rounded,
    softmax_rounded,
)

LOGITS = Tensor("n c", values=[[-1.0], [0.0], [1.0]], dtype="float64")
SATURATED = Tensor("n", values=[-100.0, -100.0, 100.0, 100.0])
LABELS = Tensor("n", values=[1.0, 0.0, 1.0, 0.0])
MODERATE = Tensor("n", values=[-3.0, -1.0, 0.0, 0.5, 2.0, -0.25, 4.0])
TARGETS = Tensor("n", values=[0.0, 1.0, 1.0, 0.0, 0.25, 1.0, 0.0])
SCORES = Tensor("n c", (5, 7), low=-4, high=5)
CLASSES = Tensor("n", values=[6, 0, 3, 3, 1], dtype="int64")
SCALAR = Tensor("")
COTANGENT = Tensor("", values=2.0)

NO_LOG1P = {
    ("tensorflow", "tensorflow*>*"): Expected(
        "export-failed",
        cause="operator-not-converted",
        reason="tf2onnx has no Log1p: it logs a line and leaves the operator in a graph that no runtime accepts",
        when="tf2onnx<1.18",
    )
}
LOG_OF_SIGMOID = Expected(
    "export",
    cause="log-of-sigmoid",
    reason="torch's exporters write the logistic loss as Log(Sigmoid(x)), which overflows where PyTorch stays finite",
    when="torch<2.14",
)


def torch_logistic(torch: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits


def tensorflow_logistic(tf: Any) -> Any:
    return lambda x, z: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=z, logits=x))


def torch_classes(torch: Any) -> Any:
    return torch.nn.functional.cross_entropy


def tensorflow_classes(tf: Any) -> Any:
    return lambda x, labels: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=x))


def with_null_class(x: Array) -> Array:
    return np.concatenate([x, np.zeros_like(x)], axis=1)


def logistic_gradient(x: Array, z: Array, dy: Array) -> dict[str, Rounded]:
    return {
        "y": sigmoid_cross_entropy_rounded(x, z),
        "grad_x": sigmoid_cross_entropy_gradient_rounded(x, z, dy),
    }


def classes_gradient(x: Array, labels: Array, dy: Array) -> dict[str, Rounded]:
    return {
        "y": softmax_cross_entropy_rounded(x, labels),
        "grad_x": softmax_cross_entropy_gradient_rounded(x, labels, dy),
    }


CASES = (
    Case(
        "sigmoid_as_softmax",
        inputs={"x": LOGITS},
        outputs={"sigmoid": Tensor("n c", (3, 1), "float64"), "softmax": Tensor("n c", (3, 2), "float64")},
        builders={
            "torch": lambda torch: (
                lambda x: (
                    torch.sigmoid(x),
                    torch.softmax(torch.cat([x, torch.zeros_like(x)], dim=1), dim=1),
                )
            ),
            "tensorflow": lambda tf: (
                lambda x: (
                    tf.sigmoid(x),
                    tf.nn.softmax(tf.concat([x, tf.zeros_like(x)], axis=1), axis=1),
                )
            ),
        },
        truth=lambda x: {"sigmoid": sigmoid_rounded(x), "softmax": softmax_rounded(with_null_class(x))},
        note="a sigmoid is a softmax with a null class, in float64 as in the notebook",
    ),
    Case(
        "softmax_single_class",
        inputs={"x": LOGITS},
        outputs={"y": Tensor("n c", (3, 1), "float64")},
        builders={
            "torch": lambda torch: lambda x: torch.softmax(x, dim=1),
            "tensorflow": lambda tf: lambda x: tf.nn.softmax(x, axis=1),
        },
        truth=lambda x: 0 * x + 1,
        note="a softmax over one class is constant: exactly 1",
    ),
    Case(
        "bce_with_logits_saturated",
        inputs={"x": SATURATED, "z": LABELS},
        outputs={"y": SCALAR},
        builders={"torch": torch_logistic, "tensorflow": tensorflow_logistic},
        truth=sigmoid_cross_entropy,
        expect={("torch", "torch*>*"): LOG_OF_SIGMOID, **NO_LOG1P},
        note="100 twice and 0 twice: exactly 50, because both frameworks are written to stay finite",
    ),
    Case(
        "bce_with_logits",
        inputs={"x": MODERATE, "z": TARGETS},
        outputs={"y": SCALAR},
        builders={"torch": torch_logistic, "tensorflow": tensorflow_logistic},
        truth=sigmoid_cross_entropy_rounded,
        expect=NO_LOG1P,
    ),
    Case(
        "class_indices",
        inputs={"x": SCORES, "labels": CLASSES},
        outputs={"y": SCALAR},
        builders={"torch": torch_classes, "tensorflow": tensorflow_classes},
        truth=softmax_cross_entropy_rounded,
    ),
    Case(
        "gradient_bce_with_logits",
        inputs={"x": MODERATE, "z": TARGETS, "dy": COTANGENT},
        outputs={"y": SCALAR, "grad_x": Tensor("n")},
        builders={"torch": torch_logistic, "tensorflow": tensorflow_logistic},
        truth=logistic_gradient,
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
        expect=NO_LOG1P,
    ),
    Case(
        "gradient_bce_with_logits_saturated",
        inputs={"x": SATURATED, "z": LABELS, "dy": COTANGENT},
        outputs={"y": SCALAR, "grad_x": Tensor("n")},
        builders={"torch": torch_logistic, "tensorflow": tensorflow_logistic},
        truth=logistic_gradient,
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
        expect=NO_LOG1P,
    ),
    Case(
        "gradient_class_indices",
        inputs={"x": SCORES, "labels": CLASSES, "dy": COTANGENT},
        outputs={"y": SCALAR, "grad_x": Tensor("n c")},
        builders={"torch": torch_classes, "tensorflow": tensorflow_classes},
        truth=classes_gradient,
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
        expect={
            ("torch", "torch:script>*"): Expected(
                "export-failed", reason="the TorchScript exporter refuses aten::_to_copy", when="torch<2.14"
            ),
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                reason="tf2onnx drops the second output of SparseSoftmaxCrossEntropyWithLogits, which the gradient is",
                when="tf2onnx<1.18",
            ),
        },
    ),
)
