"""PReLU and GLU: a slope that is learned, one for all or one a channel, and a half that gates the other."""

from __future__ import annotations

import numpy as np

from onnx_triangulate import Case, Gradient, Rounded, Tensor

IMAGE = Tensor("n c h w", (2, 3, 3, 2), low=-5, high=6)
TAGS = ("activation",)


CASES = (
    Case(
        "channels",
        {"x": IMAGE},
        {
            "torch": lambda torch, slope: lambda x: torch.nn.functional.prelu(x, slope),
            "tensorflow": lambda tf, slope: lambda x: tf.maximum(x, 0) + slope * tf.minimum(x, 0),
        },
        {"y": IMAGE},
        parameters={"slope": Tensor("c", values=[0.25, 0.5, 2.0])},
        truth=lambda x, slope: np.where(x > 0, x, slope[:, None, None] * x) + 0.0,
        note="TensorFlow's own spelling, maximum(x, 0) + slope * minimum(x, 0)",
        tags=TAGS,
    ),
    Case(
        "shared",
        {"x": IMAGE},
        {
            "torch": lambda torch, slope: lambda x: torch.nn.functional.prelu(x, slope),
            "tensorflow": lambda tf, slope: lambda x: tf.where(x > 0, x, slope * x),
        },
        {"y": IMAGE},
        parameters={"slope": Tensor("k", values=[0.25])},
        truth=lambda x, slope: np.where(x > 0, x, slope * x) + 0.0,
        tags=TAGS,
    ),
    Case(
        "gradient",
        {
            "x": Tensor("n c", values=[[-2, -1, 0], [3, 0, -4]]),
            "slope": Tensor("c", values=[0.25, 0.5, 2.0]),
            "dy": Tensor("n c", values=[[1, 2, 3], [4, 5, 6]]),
        },
        {
            "torch": lambda torch: torch.nn.functional.prelu,
            "tensorflow": lambda tf: lambda x, slope: tf.where(x > 0, x, slope * x),
        },
        {"y": Tensor("n c"), "grad_x": Tensor("n c"), "grad_slope": Tensor("c")},
        truth=lambda x, slope, dy: {
            "y": np.where(x > 0, x, slope * x) + 0.0,
            "grad_x": np.where(x > 0, dy, slope * dy),
            "grad_slope": (np.where(x > 0, 0, x) * dy).sum(0) + 0.0,
        },
        gradient=Gradient("y", ("x", "slope"), "dy"),
        note="at zero both take the slope",
        tags=TAGS,
    ),
    Case(
        "glu",
        {"x": Tensor("n c", (3, 8), low=-4, high=4, integers=False)},
        {
            "torch": lambda torch: torch.nn.functional.glu,
            "tensorflow": lambda tf: tf.keras.activations.glu,
        },
        {"y": Tensor("n c")},
        truth=lambda x: Rounded(x[:, :4] / (1 + np.exp(-x[:, 4:]))),
        tags=TAGS,
    ),
)
