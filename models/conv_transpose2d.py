"""Transposed convolution: bringing a shape back, and where the frameworks put the extra row."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Builder, Case, Expected, Gradient, Tensor
from onnx_triangulate.cases.definitions import Pads, conv2d, conv_transpose2d, conv_transpose2d_gradients

KERNEL_LAYOUT = {"tensorflow": "h w o i"}
BOTH: Pads = ((2, 2), (2, 2))
EXTRA_ROW = {
    ("tensorflow", "torch"): Expected(
        "semantics",
        cause="asymmetric-padding",
        reason="20 rows from 10 crop 3 of 23: PyTorch's output_padding=1 crops two before and one after, TensorFlow's "
        "SAME, as the transpose of its convolution, one before and two after",
    )
}

# The founding notebook's arrays, as printed.
X_9X9 = [
    [1, 3, 0, 0, 1, 2, 1, 1, 1],
    [0, 3, 0, 1, 0, 0, 3, 0, 0],
    [2, 1, 1, 0, 3, 2, 1, 1, 3],
    [0, 3, 2, 3, 3, 1, 0, 0, 1],
    [0, 3, 1, 0, 0, 1, 2, 0, 1],
    [2, 2, 3, 1, 2, 3, 0, 0, 0],
    [1, 1, 3, 1, 0, 2, 2, 1, 1],
    [2, 0, 2, 0, 3, 3, 1, 0, 2],
    [2, 2, 0, 1, 2, 2, 1, 1, 3],
]
W_5X5 = [[0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 0, 1]]
WEIGHT = Tensor("i o h w", values=[[W_5X5]], layouts=KERNEL_LAYOUT)


def torch_transposed(**settings: Any) -> Builder:
    return lambda torch, w: lambda x: torch.nn.functional.conv_transpose2d(x, w, **settings)


def tensorflow_transposed(size: tuple[int, int, int, int], stride: int, padding: str = "SAME") -> Builder:
    return lambda tf, w: lambda x: tf.nn.conv2d_transpose(x, w, output_shape=size, strides=stride, padding=padding)


def torch_there_and_back(torch: Any, w: Any) -> Any:
    def model(x: Any) -> Any:
        down = torch.nn.functional.conv2d(x, w, stride=2, padding=2)
        return down, torch.nn.functional.conv_transpose2d(down, w, stride=2, padding=2, output_padding=0)

    return model


def tensorflow_there_and_back(tf: Any, w: Any) -> Any:
    def model(x: Any) -> Any:
        down = tf.nn.conv2d(x, w, strides=2, padding="SAME")
        return down, tf.nn.conv2d_transpose(down, w, output_shape=x.shape, strides=2, padding="SAME")

    return model


def there_and_back(x: Array, w: Array) -> dict[str, Array]:
    down = conv2d(x, w, stride=2, pads=BOTH)
    return {"down": down, "y": conv_transpose2d(down, w, stride=2, pads=BOTH)}


def gradient_truth(x: Array, w: Array, dy: Array) -> dict[str, Array]:
    dx, dw = conv_transpose2d_gradients(x, w, dy, stride=2)
    return {"y": conv_transpose2d(x, w, stride=2), "grad_x": dx, "grad_w": dw}


def of_inputs(builder: Builder) -> Builder:
    return lambda module: lambda x, w: builder(module, w)(x)


CASES = (
    Case(
        "restores_19",
        inputs={"x": Tensor("n c h w", (1, 1, 19, 19))},
        parameters={"w": WEIGHT},
        outputs={"down": Tensor("n c h w", (1, 1, 10, 10)), "y": Tensor("n c h w", (1, 1, 19, 19))},
        builders={"torch": torch_there_and_back, "tensorflow": tensorflow_there_and_back},
        truth=there_and_back,
        note="19 down to 10 and back: the shape returns, the numbers need not",
    ),
    Case(
        "notebook_9x9",
        inputs={"x": Tensor("n c h w", values=[[X_9X9]])},
        parameters={"w": WEIGHT},
        outputs={"down": Tensor("n c h w", (1, 1, 5, 5)), "y": Tensor("n c h w", (1, 1, 9, 9))},
        builders={"torch": torch_there_and_back, "tensorflow": tensorflow_there_and_back},
        truth=there_and_back,
    ),
    Case(
        "output_20",
        inputs={"x": Tensor("n c h w", (1, 1, 10, 10))},
        parameters={"w": WEIGHT},
        outputs={"y": Tensor("n c h w", (1, 1, 20, 20))},
        builders={
            "torch": torch_transposed(stride=2, padding=2, output_padding=1),
            "tensorflow": tensorflow_transposed((1, 20, 20, 1), 2),
        },
        truth={
            "torch": lambda x, w: conv_transpose2d(x, w, stride=2, pads=((2, 1), (2, 1))),
            "tensorflow": lambda x, w: conv_transpose2d(x, w, stride=2, pads=((1, 2), (1, 2))),
        },
        expect=EXTRA_ROW,
    ),
    Case(
        "channels",
        inputs={"x": Tensor("n c h w", (2, 3, 5, 4))},
        parameters={"w": Tensor("i o h w", (3, 2, 3, 2), low=-2, high=3, layouts=KERNEL_LAYOUT)},
        outputs={"y": Tensor("n c h w", (2, 2, 11, 8))},
        builders={
            "torch": torch_transposed(stride=2),
            "tensorflow": tensorflow_transposed((2, 11, 8, 2), 2, "VALID"),
        },
        truth=lambda x, w: conv_transpose2d(x, w, stride=2),
        note="unequal channels and sides, nothing cropped",
    ),
    Case(
        "gradient",
        inputs={
            "x": Tensor("n c h w", (2, 3, 5, 4)),
            "w": Tensor("i o h w", (3, 2, 3, 2), low=-2, high=3, layouts=KERNEL_LAYOUT),
            "dy": Tensor("n c h w", (2, 2, 11, 8), low=1, high=5),
        },
        outputs={
            "y": Tensor("n c h w", (2, 2, 11, 8)),
            "grad_x": Tensor("n c h w", (2, 3, 5, 4)),
            "grad_w": Tensor("i o h w", (3, 2, 3, 2), layouts=KERNEL_LAYOUT),
        },
        builders={
            "torch": of_inputs(torch_transposed(stride=2)),
            "tensorflow": of_inputs(tensorflow_transposed((2, 11, 8, 2), 2, "VALID")),
        },
        truth=gradient_truth,
        gradient=Gradient(of="y", wrt=("x", "w"), cotangent="dy"),
        expect={
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                cause="operator-not-converted",
                reason="tf2onnx has no Conv2DBackpropFilter and leaves it in the graph as it is",
                when="tf2onnx<1.18",
            )
        },
    ),
)
