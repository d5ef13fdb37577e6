"""Healthy one-liners of TensorFlow and Keras in which the bound may be derived too narrowly: everything must agree.

triangulate verify scripts/sweeps/tensorflow_bounds.py --seed 3
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from onnx_triangulate import Case, Tensor


def real(axes: str, shape: tuple[int, ...], low: float = -2, high: float = 2, dtype: str = "float32") -> Tensor:
    return Tensor(axes, shape, dtype, low=low, high=high, integers=False)


FLAT = {"x": real("n c", (8, 16))}
POSITIVE = {"x": real("n c", (8, 16), 0.25, 4)}
SEQUENCE = {"x": real("n t c", (2, 6, 8))}
IMAGE = {"x": real("n h w c", (1, 6, 6, 3))}
HALF = {"x": real("n c", (8, 16), dtype="float16")}
_cases: list[Case] = []


def case(name: str, inputs: dict[str, Tensor], forward: Callable[..., Any]) -> None:
    _cases.append(Case(name, inputs=inputs, builders={"tensorflow": lambda tf: lambda x: forward(tf, x)}))


def keras(name: str, inputs: dict[str, Tensor], *layers: Callable[[Any], Any]) -> None:
    _cases.append(
        Case(
            name,
            inputs=inputs,
            builders={"tensorflow": lambda tf: tf.keras.Sequential([make(tf.keras.layers) for make in layers])},
        )
    )


for index, scalar in enumerate((0.1, 1.7, math.pi, -1 / 3)):
    case(f"mul_{index}", FLAT, lambda tf, x, v=scalar: x * v)
    case(f"add_{index}", FLAT, lambda tf, x, v=scalar: x + v)
    case(f"rsub_{index}", FLAT, lambda tf, x, v=scalar: v - x)
    case(f"div_{index}", FLAT, lambda tf, x, v=scalar: x / v)
case("leaky", FLAT, lambda tf, x: tf.nn.leaky_relu(x, 0.17))
case("relu_scaled", FLAT, lambda tf, x: tf.nn.relu(x * 0.3))
case("affine", FLAT, lambda tf, x: x * 0.1 + 0.3)
case("square", FLAT, lambda tf, x: 0.5 * tf.square(x - 0.1))
case("power", POSITIVE, lambda tf, x: tf.pow(x, 0.3))
case("clip", FLAT, lambda tf, x: tf.clip_by_value(x, -0.3, 0.7))
case("where", FLAT, lambda tf, x: tf.where(x > 0, x, 0.1))
case("where_min", FLAT, lambda tf, x: tf.where(x > 0, x, x.dtype.min))
case("constant", FLAT, lambda tf, x: x * tf.constant([0.1, 0.2, 0.3, 0.7] * 4, x.dtype))
case("linspace", FLAT, lambda tf, x: x * tf.linspace(tf.constant(0.0, x.dtype), 1.0, 16))
case("range", FLAT, lambda tf, x: x * (tf.cast(tf.range(16), x.dtype) * 0.1))
case("fill", FLAT, lambda tf, x: x + tf.fill([16], tf.constant(0.1, x.dtype)))
case("hann", FLAT, lambda tf, x: x * tf.signal.hann_window(16, dtype=x.dtype))
case("exp_constant", FLAT, lambda tf, x: x * tf.exp(tf.constant(0.7, x.dtype)))
case(
    "sinusoids",
    SEQUENCE,
    lambda tf, x: x + tf.sin(tf.cast(tf.range(6), x.dtype)[:, None] * tf.exp(tf.cast(tf.range(8), x.dtype) * -0.7)),
)
case("softmax", FLAT, lambda tf, x: tf.nn.softmax(x / 0.7))
case("log_softmax", FLAT, lambda tf, x: tf.nn.log_softmax(x * 3.0))
case("standard", FLAT, lambda tf, x: (x - tf.reduce_mean(x, 1, True)) / (tf.math.reduce_std(x, 1, True) + 1e-5))
case("rms", FLAT, lambda tf, x: x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, True) + 1e-6))
case("normalize", FLAT, lambda tf, x: tf.math.l2_normalize(x, 1))
case("logsumexp", FLAT, lambda tf, x: tf.reduce_logsumexp(x, 1))
case("attention", SEQUENCE, lambda tf, x: tf.nn.softmax(tf.matmul(x, x, transpose_b=True) * 0.35) @ x)
case(
    "masked",
    SEQUENCE,
    lambda tf, x: (
        tf.nn.softmax(
            tf.matmul(x, x, transpose_b=True) + (1 - tf.linalg.band_part(tf.ones((6, 6), x.dtype), -1, 0)) * -1e9
        )
        @ x
    ),
)
for name in "elu relu relu6 selu sigmoid softplus softsign swish tanh".split():
    case(f"act_{name}", FLAT, lambda tf, x, n=name: getattr(tf.nn, n)(x))
case("act_gelu_tanh", FLAT, lambda tf, x: tf.nn.gelu(x, approximate=True))
case("resize", IMAGE, lambda tf, x: tf.image.resize(x, (11, 9)))
case("resize_nearest", IMAGE, lambda tf, x: tf.image.resize(x, (12, 12), "nearest"))
case("resize_half", IMAGE, lambda tf, x: tf.image.resize(x, (3, 3)))
case("standardize", IMAGE, lambda tf, x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
case("pool", IMAGE, lambda tf, x: tf.nn.avg_pool2d(x, 3, 2, "SAME"))
case("einsum", SEQUENCE, lambda tf, x: tf.einsum("ntc,nsc->nts", x, x) * 0.3)
case("half_mul", HALF, lambda tf, x: x * 0.1)
case("half_to_single", HALF, lambda tf, x: tf.cast(x, tf.float32) * 0.1)
case("cast_half", FLAT, lambda tf, x: tf.cast(tf.cast(x, tf.float16) * 0.3, tf.float32))

keras("dense", FLAT, lambda k: k.Dense(5, activation="tanh"))
keras("dense_bn", FLAT, lambda k: k.Dense(5), lambda k: k.BatchNormalization(), lambda k: k.ReLU())
keras("layer_norm", FLAT, lambda k: k.LayerNormalization())
keras("conv_bn", IMAGE, lambda k: k.Conv2D(4, 3), lambda k: k.BatchNormalization(), lambda k: k.ReLU())
keras(
    "conv_pool",
    IMAGE,
    lambda k: k.Conv2D(4, 3),
    lambda k: k.AveragePooling2D(2),
    lambda k: k.Flatten(),
    lambda k: k.Dense(3),
)
keras("separable", IMAGE, lambda k: k.SeparableConv2D(4, 3), lambda k: k.LeakyReLU(0.17))
keras("transposed", IMAGE, lambda k: k.Conv2DTranspose(4, 3, 2))
keras("global", IMAGE, lambda k: k.GlobalAveragePooling2D(), lambda k: k.Dense(3, activation="softmax"))
keras("upsampling", IMAGE, lambda k: k.UpSampling2D(2, interpolation="bilinear"))
keras("rescaling", IMAGE, lambda k: k.Rescaling(1 / 255.0, offset=-0.3))
keras("group_norm", IMAGE, lambda k: k.GroupNormalization(3))
keras("unit_norm", FLAT, lambda k: k.UnitNormalization())
keras("lstm", SEQUENCE, lambda k: k.LSTM(5))
keras("gru", SEQUENCE, lambda k: k.GRU(5))
keras("conv_1d", SEQUENCE, lambda k: k.Conv1D(4, 3, activation="swish"))
keras("prelu", FLAT, lambda k: k.PReLU(alpha_initializer="he_normal"))

CASES = tuple(_cases)
