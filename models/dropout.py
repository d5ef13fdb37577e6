"""Dropout: evaluated it changes nothing, in training it draws, unless everything or nothing is dropped."""

from __future__ import annotations

from onnx_triangulate import Case, Expected, Tensor

X = Tensor("n c", (3, 5), low=1, high=9)
TAGS = ("random",)
_ALL = "exporters write a Dropout with the ratio 1, which ONNX excludes"
RATIO = {
    ("torch", "torch*>reference"): Expected(
        "export",
        op="Dropout",
        reason=f"{_ALL}: the reference evaluator divides by 0",
    ),
    ("torch*>*", "torch*>ort.*"): Expected("unsupported", op="Dropout", reason=f"{_ALL}: ONNX Runtime refuses it"),
}

CASES = (
    Case(
        "evaluated",
        {"x": X},
        {"torch": lambda torch: torch.nn.Dropout(0.5), "tensorflow": lambda tf: tf.keras.layers.Dropout(0.5)},
        {"y": X},
        truth=lambda x: x,
        tags=TAGS,
    ),
    Case(
        "training_drops_nothing",
        {"x": X},
        {"torch": lambda torch: torch.nn.Dropout(0.0), "tensorflow": lambda tf: tf.keras.layers.Dropout(0.0)},
        {"y": X},
        truth=lambda x: x,
        training=True,
        tags=TAGS,
    ),
    Case(
        "training_drops_all",
        {"x": X},
        {"torch": lambda torch: torch.nn.Dropout(1.0)},
        {"y": X},
        truth=lambda x: 0 * x,
        training=True,
        tags=TAGS,
        expect=RATIO,
    ),
)
