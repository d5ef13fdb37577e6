"""Convolution: where the padding goes, and what stride, dilation, groups and kernels do to it.

Small integers keep every sum exact in float32 in any order, so all but ``real_values`` are compared bit for bit.  The
cotangents of the gradient cases are positive: no result is then a sum of negative zeros only, whose sign would hang on
where a kernel's accumulator starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx_triangulate import Array, Builder, Case, Expected, Gradient, Tensor, Truth
from onnx_triangulate.cases.definitions import Pads, conv2d, conv2d_gradients, conv2d_rounded

BOTH: Pads = ((1, 1), (1, 1))
AFTER: Pads = ((0, 1), (0, 1))
ZERO_ONE = Tensor("o i h w", (3, 2, 3, 3), high=2)  # the founding notebook's weights
DEPTHWISE = {"tensorflow": "h w o i"}  # TensorFlow's depthwise kernels are (h, w, channel, multiplier)

SAME_PADS_AFTER = {
    ("tensorflow", "torch"): Expected(
        "semantics",
        cause="asymmetric-padding",
        reason="an even input, an odd kernel and stride 2 need one row and one column of padding: SAME puts them after "
        "(bottom, right), padding=1 pads both sides and leaves the last row and column unused",
    )
}
NOT_CONVERTED = Expected(
    "export-failed",
    cause="operator-not-converted",
    reason="tf2onnx has neither ShapeN nor the backpropagation of convolutions and leaves them in the graph",
    when="tf2onnx<1.18",
)
NO_GRADIENT_EXPORT = {("tensorflow", "tensorflow*>*"): NOT_CONVERTED}
REFUSES_GRADIENT = {
    **NO_GRADIENT_EXPORT,
    ("truth", "tensorflow"): Expected(
        "unsupported", reason="TensorFlow's CPU kernels refuse the gradients of grouped and of dilated convolutions"
    ),
}


def torch_conv(**settings: Any) -> Builder:
    return lambda torch, w: lambda x: torch.nn.functional.conv2d(x, w, **settings)


def tensorflow_conv(**settings: Any) -> Builder:
    return lambda tf, w: lambda x: tf.nn.conv2d(x, w, **settings)


def meaning(**settings: Any) -> Truth:
    return lambda x, w: conv2d(x, w, **settings)


def conv(
    name: str,
    x: tuple[int, ...] | Tensor,
    w: tuple[int, ...] | Tensor,
    torch: Builder,
    tensorflow: Builder,
    truth: Truth | Mapping[str, Truth],
    **rest: Any,
) -> Case:
    return Case(
        name,
        inputs={"x": x if isinstance(x, Tensor) else Tensor("n c h w", x)},
        parameters={"w": w if isinstance(w, Tensor) else Tensor("o i h w", w, low=-2, high=3)},
        outputs={"y": Tensor("n c h w")},
        builders={"torch": torch, "tensorflow": tensorflow},
        truth=truth,
        **rest,
    )


def gradient(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    y: tuple[int, ...],
    torch: Builder,
    tensorflow: Builder,
    expect: Mapping[tuple[str, str], Expected],
    *,
    layouts: Mapping[str, str] | None = None,
    **settings: Any,
) -> Case:
    """Value and derivatives for input and weight of the same convolution; ``settings`` are the definition's."""

    def truth(x: Array, w: Array, dy: Array) -> dict[str, Array]:
        dx, dw = conv2d_gradients(x, w, dy, **settings)
        return {"y": conv2d(x, w, **settings), "grad_x": dx, "grad_w": dw}

    def of_inputs(builder: Builder) -> Builder:
        return lambda module: lambda x, w: builder(module, w)(x)

    kernel = Tensor("o i h w", w, low=-2, high=3, layouts=layouts or {})
    return Case(
        name,
        inputs={
            "x": Tensor("n c h w", x),
            "w": kernel,
            "dy": Tensor("n c h w", y, low=1, high=5),
        },
        outputs={"y": Tensor("n c h w", y), "grad_x": Tensor("n c h w", x), "grad_w": kernel},
        builders={"torch": of_inputs(torch), "tensorflow": of_inputs(tensorflow)},
        truth=truth,
        gradient=Gradient(of="y", wrt=("x", "w"), cotangent="dy"),
        expect=expect,
    )


CASES = (
    conv(
        "even_input",
        (2, 2, 6, 6),
        ZERO_ONE,
        torch_conv(stride=2, padding=1),
        tensorflow_conv(strides=2, padding="SAME"),
        {"torch": meaning(stride=2, pads=BOTH), "tensorflow": meaning(stride=2, pads=AFTER)},
        expect=SAME_PADS_AFTER,
        note="the founding notebook's 'not the same'",
    ),
    conv(
        "odd_input",
        (2, 2, 5, 5),
        ZERO_ONE,
        torch_conv(stride=2, padding=1),
        tensorflow_conv(strides=2, padding="SAME"),
        meaning(stride=2, pads=BOTH),
        note="SAME needs one row on each side here, as padding=1 gives",
    ),
    conv(
        "even_input_explicit_pad",
        (2, 2, 6, 6),
        ZERO_ONE,
        lambda torch, w: lambda x: torch.nn.functional.conv2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), w, stride=2),
        tensorflow_conv(strides=2, padding="SAME"),
        meaning(stride=2, pads=AFTER),
        note="the remedy of even_input: torch pads after, as SAME does",
    ),
    conv(
        "valid",
        (2, 3, 7, 6),
        (5, 3, 3, 2),
        torch_conv(stride=2),
        tensorflow_conv(strides=2, padding="VALID"),
        meaning(stride=2),
    ),
    conv(
        "kernel_5",
        (1, 2, 9, 7),
        (3, 2, 5, 5),
        torch_conv(padding=2),
        tensorflow_conv(strides=1, padding="SAME"),
        meaning(pads=((2, 2), (2, 2))),
    ),
    conv(
        "stride_3",
        (2, 1, 7, 10),
        (3, 1, 3, 3),
        torch_conv(stride=3, padding=1),
        tensorflow_conv(strides=3, padding="SAME"),
        meaning(stride=3, pads=BOTH),
    ),
    conv(
        "non_square",
        (1, 3, 8, 5),
        (2, 3, 1, 5),
        torch_conv(padding=(0, 2)),
        tensorflow_conv(strides=1, padding="SAME"),
        meaning(pads=((0, 0), (2, 2))),
    ),
    conv(
        "dilation",
        (2, 2, 9, 7),
        (3, 2, 3, 3),
        torch_conv(padding=2, dilation=2),
        tensorflow_conv(strides=1, padding="SAME", dilations=2),
        meaning(dilation=2, pads=((2, 2), (2, 2))),
    ),
    conv(
        "groups",
        (2, 4, 7, 5),
        (6, 2, 3, 3),
        torch_conv(padding=1, groups=2),
        tensorflow_conv(strides=1, padding="SAME"),
        meaning(groups=2, pads=BOTH),
        note="TensorFlow reads the number of groups from the kernel's shape",
    ),
    conv(
        "depthwise",
        (2, 3, 7, 5),
        Tensor("o i h w", (3, 1, 3, 3), low=-2, high=3, layouts=DEPTHWISE),
        torch_conv(stride=2, padding=1, groups=3),
        lambda tf, w: lambda x: tf.nn.depthwise_conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME"),
        meaning(stride=2, groups=3, pads=BOTH),
    ),
    conv(
        "real_values",
        Tensor("n c h w", (2, 3, 8, 5), low=-1, high=1, integers=False),
        Tensor("o i h w", (7, 3, 3, 3), low=-1, high=1, integers=False),
        torch_conv(padding=1),
        tensorflow_conv(strides=1, padding="SAME"),
        lambda x, w: conv2d_rounded(x, w, pads=BOTH),
        note="apart by rounding only, inside the bound of a sum of 27 products",
    ),
    gradient(
        "gradient",
        (2, 2, 7, 5),
        (3, 2, 3, 3),
        (2, 3, 4, 3),
        torch_conv(stride=2, padding=1),
        tensorflow_conv(strides=2, padding="SAME"),
        NO_GRADIENT_EXPORT,
        stride=2,
        pads=BOTH,
    ),
    gradient(
        "gradient_dilation",
        (1, 2, 7, 6),
        (3, 2, 3, 3),
        (1, 3, 3, 2),
        torch_conv(dilation=2),
        tensorflow_conv(strides=1, padding="VALID", dilations=2),
        REFUSES_GRADIENT,
        dilation=2,
    ),
    gradient(
        "gradient_groups",
        (1, 4, 5, 6),
        (6, 2, 3, 3),
        (1, 6, 3, 4),
        torch_conv(groups=2),
        tensorflow_conv(strides=1, padding="VALID"),
        REFUSES_GRADIENT,
        groups=2,
    ),
    gradient(
        "gradient_depthwise",
        (2, 3, 5, 7),
        (3, 1, 3, 3),
        (2, 3, 3, 5),
        torch_conv(groups=3),
        lambda tf, w: lambda x: tf.nn.depthwise_conv2d(x, w, strides=[1, 1, 1, 1], padding="VALID"),
        NO_GRADIENT_EXPORT,
        layouts=DEPTHWISE,
        groups=3,
    ),
)
