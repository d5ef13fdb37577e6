"""Healthy small models in TensorFlow and Keras, as :mod:`judgement.healthy_torch` has them in torch.

    triangulate verify scripts/judgement/healthy_tensorflow.py::tf_scalars_00

A line is a function of ``x``, ``y`` or ``i`` and of ``w``, a dictionary of variables; or a Keras layer, or several in
a list, behind an input of the group's shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnx_triangulate import Case, Tensor


def real(axes: str, *shape: int, low: float = -2, high: float = 2, dtype: str = "float32") -> Tensor:
    return Tensor(axes, shape, dtype, low=low, high=high, integers=False)


def function(text: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    code = compile(text, f"<{text}>", "eval")

    def build(tf: Any) -> Any:
        class Net(tf.Module):  # type: ignore[misc]  # the framework is an argument, its classes have no type
            def __init__(self) -> None:
                super().__init__()
                draw = tf.random.Generator.from_seed(7)
                self.a = tf.Variable(draw.uniform((6,), -1, 1))
                self.b = tf.Variable(draw.uniform((6,), 0.5, 1.5))
                self.m = tf.Variable(draw.uniform((6, 5), -1, 1))
                self.table = tf.Variable(draw.uniform((11, 8), -1, 1))
                self.kernel = tf.Variable(draw.uniform((3, 3, 3, 4), -0.5, 0.5))
                self.deep = tf.Variable(draw.uniform((3, 3, 3, 2), -0.5, 0.5))

            @tf.function  # type: ignore[untyped-decorator]
            def __call__(self, *given: Any) -> Any:
                known = {"w": self, "tf": tf, "nn": tf.nn, "math": math}
                return eval(code, known | dict(zip(names, given, strict=True)))  # noqa: S307  # lines of this file

        return Net()

    return build


def layers_of(text: str, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    code = compile(text, f"<{text}>", "eval")

    def build(tf: Any) -> Any:
        x = tf.keras.layers.Input(shape[1:], batch_size=shape[0])
        known = {"L": tf.keras.layers, "K": tf.keras, "tf": tf, "x": x}
        made = eval(code, known)  # noqa: S307  # lines of this file
        if "(x" in text or "([x" in text or "(K." in text:  # layers that are called already
            model = tf.keras.Model(x, made)
        else:
            model = tf.keras.Sequential([x, *(made if isinstance(made, list) else [made])])
        draw = tf.random.Generator.from_seed(7)
        for variable in model.variables:
            kind = variable.path.rpartition("/")[2]
            if kind in ("gamma", "moving_variance"):
                variable.assign(draw.uniform(variable.shape, 0.5, 1.5))
            elif kind in ("beta", "moving_mean", "bias", "alpha"):
                variable.assign(draw.uniform(variable.shape, -0.3, 0.3))
        return model

    return build


def uncovered(tf: Any) -> list[str]:
    """The layers of Keras that no line names."""
    layers = tf.keras.layers
    known = [
        n for n in dir(layers) if isinstance(getattr(layers, n), type) and issubclass(getattr(layers, n), layers.Layer)
    ]
    lines = " ".join(case.note for case in CASES)
    return [name for name in known if f"L.{name}(" not in lines]


def group(name: str, inputs: Mapping[str, Tensor], lines: str) -> Iterator[Case]:
    for number, text in enumerate(line.strip() for line in lines.strip().splitlines()):
        yield Case(
            f"tf_{name}_{number:02d}", inputs=inputs, builders={"tensorflow": function(text, tuple(inputs))}, note=text
        )


def keras(name: str, axes: str, shape: tuple[int, ...], lines: str) -> Iterator[Case]:
    """``axes`` and ``shape`` are the case's own; the layers get them channels last."""
    order = {"n c h w": (0, 2, 3, 1)}.get(axes, tuple(range(len(shape))))
    last = tuple(shape[i] for i in order)
    for number, text in enumerate(line.strip() for line in lines.strip().splitlines()):
        build = layers_of(text, last)
        yield Case(
            f"keras_{name}_{number:02d}", inputs={"x": real(axes, *shape)}, builders={"tensorflow": build}, note=text
        )


X = {"x": real("n i", 5, 6)}
POSITIVE = {"x": real("n i", 5, 6, low=0.1, high=4)}
IMAGE = {"x": real("n c h w", 2, 3, 8, 10)}
TEXT = {"x": real("n t i", 2, 7, 8), "m": Tensor("n t", (2, 7), "bool")}
IDS = {"i": Tensor("n t", (2, 7), "int32", high=11), "m": Tensor("n t", (2, 7), "int32", high=2)}
WHOLE = {"i": Tensor("n i", (4, 6), "int32", low=-9, high=10)}
HALF = {"x": real("n i", 4, 6, dtype="float16")}

SCALARS = """
x * 0.1
0.3 - x
x + 1e-3
x / 0.7
1.7 / (x * x + 0.3)
x * math.pi
x * 0.1 + 0.2
(x - 0.485) / 0.229
x * 3.0
x / 255.0
2.2 * x - 0.7 * x
(x + 0.1) * (x - 0.1)
x ** 2.0
tf.pow(x, 3.0) * 0.044715
tf.pow(x * x + 0.1, 0.3)
tf.where(x > 0.3, x, x * 0.3)
tf.where(x > 0.0, 0.7, x)
tf.clip_by_value(x, -0.3, 0.7)
tf.maximum(x, 0.1)
tf.minimum(x, 0.33)
x + tf.constant([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
x * tf.constant(0.1)
tf.sqrt(x * x + 1e-12)
tf.math.log(x * x + 1e-5)
tf.exp(-0.7 * x)
tf.sin(x * 6.2831853)
x * 0.1 * 0.1 * 0.1
tf.reduce_sum(x * 0.1, 1)
tf.math.floormod(x, 0.7)
tf.round(x * 10.0) / 10.0
tf.floor(x * 4.5)
nn.softmax(x) * 0.9 + 0.1 / 6
x * -0.01
x * 1e-6
x * 12345.678
"""

ACTIVATIONS = """
nn.relu(x * 0.3)
nn.leaky_relu(x, 0.17)
nn.elu(x)
nn.selu(x)
nn.gelu(x)
nn.gelu(x, approximate=True)
nn.silu(x)
nn.softplus(x)
nn.softsign(x)
nn.relu6(x * 4.0)
nn.softmax(x, 0)
nn.log_softmax(x)
tf.sigmoid(x)
tf.tanh(x * 0.7)
tf.sigmoid(1.702 * x) * x
x * nn.relu6(x + 3.0) / 6.0
0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2)))
nn.l2_normalize(x, 1)
tf.math.log_sigmoid(x)
tf.math.softplus(x) * tf.tanh(x)
"""

MATHS = """
tf.math.log(x)
tf.exp(x * 0.5)
tf.sqrt(x)
tf.math.rsqrt(x)
tf.math.reciprocal(x)
tf.pow(x, 1.7)
tf.pow(2.5, x)
tf.math.erf(x)
tf.sin(x)
tf.cos(x)
tf.tan(x * 0.3)
tf.asin(x * 0.2)
tf.acos(x * 0.2)
tf.atan(x)
tf.sinh(x)
tf.cosh(x)
tf.asinh(x)
tf.acosh(x + 1.0)
tf.atanh(x * 0.2)
tf.square(x)
tf.sign(x - 2.0)
tf.abs(x - 2.0)
tf.math.squared_difference(x, 0.7)
tf.cumsum(x, 1)
tf.reduce_logsumexp(x, 1)
tf.math.log1p(x)
tf.math.expm1(x)
tf.math.divide_no_nan(x, tf.nn.relu(x - 2.0))
tf.math.xlogy(x, x + 1.0)
tf.math.floordiv(x, 0.7)
"""

REDUCTIONS = """
tf.reduce_mean(x)
tf.reduce_mean(x, 1)
tf.reduce_sum(x, 0, keepdims=True)
tf.reduce_prod(x, 1)
tf.math.reduce_variance(x, 1)
tf.math.reduce_std(x, 0)
tf.norm(x, axis=1)
tf.norm(x, ord=1, axis=0)
tf.reduce_max(x, 1)
tf.reduce_min(x, 0)
tf.argmax(x, 1)
tf.argmin(x, 0)
tf.math.top_k(x, 3).values
tf.sort(x, 1)
tf.reduce_any(x > 1.0, 1)
tf.reduce_all(x > -1.9, 0)
tf.math.count_nonzero(x > 0.0, 1)
x - tf.reduce_mean(x, 1, keepdims=True)
(x - tf.reduce_mean(x, 0)) / (tf.math.reduce_std(x, 0) + 1e-5)
tf.matmul(x, x, transpose_b=True)
tf.einsum("ni,mi->nm", x, x)
tf.tensordot(x, x, [[0], [0]])
tf.linalg.matvec(x, x[0])
tf.reduce_mean(tf.square(x)) * 0.3
"""

SHAPES = """
tf.reshape(x, (3, 10))
tf.transpose(x)
tf.expand_dims(x, 1) * 0.1
tf.tile(x, (2, 1))
tf.repeat(x, 2, 1)
tf.reverse(x, [0])
tf.roll(x, 2, 1)
tf.split(x, 2, 1)
tf.split(x, [1, 2, 3], 1)
tf.concat([x, x * 0.1], 1)
tf.stack([x, -x], 1)
tf.unstack(x, axis=1)
x[:, 1:4]
x[1::2, ::3]
x[..., -1]
tf.gather(x, [0, 2, 1])
tf.gather(x, [5, 0], axis=1)
tf.gather_nd(x, [[0, 1], [2, 3]])
tf.boolean_mask(x, [True, False, True, True, False])
tf.linalg.band_part(x, -1, 0)
tf.pad(x, [[0, 1], [1, 2]])
tf.pad(x, [[0, 1], [1, 2]], constant_values=0.3)
tf.pad(x, [[0, 0], [2, 2]], mode="REFLECT")
tf.zeros_like(x) + x
tf.ones((6,)) * 0.1 + x
tf.fill((6,), 0.3) * x
tf.eye(6) @ tf.transpose(x)
tf.where(x > 0.0)
tf.cast(x, tf.int32)
tf.cast(tf.cast(x * 100.0, tf.int32) // 7, tf.float32)
tf.one_hot(tf.cast(x > 0.0, tf.int32), 2) * 0.9
tf.broadcast_to(x[:1], (4, 6)) * 0.3
tf.squeeze(x[:, None], 1)
tf.strided_slice(x, [0, 1], [5, 6], [2, 2])
tf.tensor_scatter_nd_update(x, [[0, 0], [1, 1]], [0.7, 0.3])
tf.meshgrid(x[0], x[1])
"""

TABLES = """
x * tf.range(6.0) * 0.1
x + tf.linspace(-1.0, 1.0, 6)
x * tf.signal.hann_window(6)
x * tf.signal.hamming_window(6)
x + tf.sin(tf.range(6.0) * 0.7)
x * tf.cos(tf.range(5.0)[:, None] / tf.pow(10000.0, tf.range(6.0) / 6.0))
x + tf.sin(tf.range(6.0) * tf.exp(tf.range(6.0) * (-math.log(1e4) / 6)))
x * tf.exp(-0.5 * (tf.range(6.0) - 2.5) ** 2.0 / 1.3 ** 2)
x * nn.softmax(tf.range(6.0) * 0.3)
x + tf.range(0.0, 0.6, 0.1)
x * tf.constant(1 / 3)
x + tf.math.log(tf.range(1.0, 7.0))
x * tf.pow(0.5, tf.range(6.0))
x + tf.abs(tf.range(5.0)[:, None] - tf.range(6.0)) * -0.25
x * tf.cumsum(tf.fill((6,), 0.1))
x * w.a
x * tf.exp(w.a)
x * nn.softplus(w.a)
x * tf.sigmoid(w.a)
x / tf.sqrt(w.b)
x * tf.math.rsqrt(w.b + 1e-5)
(x - w.a) / tf.sqrt(w.b + 1e-5) * 0.3
x @ nn.l2_normalize(w.m, 0)
x @ (w.m / tf.norm(w.m))
x @ nn.softmax(w.m)
x * (1.0 + w.a)
x @ (w.m - tf.reduce_mean(w.m))
x + tf.tanh(w.a) + tf.math.log(w.b)
x * tf.clip_by_value(w.a, -0.3, 0.7)
x * tf.cast(tf.cast(w.a, tf.float16), tf.float32)
"""

VISION = """
nn.conv2d(x, w.kernel, 1, "SAME")
nn.conv2d(x, w.kernel, 2, "SAME")
nn.conv2d(x, w.kernel, (1, 2), "VALID")
nn.conv2d(x, w.kernel, 1, "SAME", dilations=2)
nn.conv2d(x, w.kernel * 0.3, 1, "VALID")
nn.conv2d(x, nn.l2_normalize(w.kernel, 2), 1, "VALID")
nn.depthwise_conv2d(x, w.deep, (1, 1, 1, 1), "SAME")
nn.relu(nn.conv2d(x, w.kernel, 1, "SAME") * 0.1)
nn.max_pool2d(x, 2, 2, "VALID")
nn.max_pool2d(x, 3, 2, "SAME")
nn.avg_pool2d(x, 2, 2, "VALID")
nn.avg_pool2d(x, 3, 2, "SAME")
nn.avg_pool2d(x, (1, 5), 1, "VALID")
tf.reduce_mean(x, (1, 2))
tf.reduce_mean(x, (1, 2), keepdims=True) * x
nn.depth_to_space(tf.tile(x, (1, 1, 1, 4)), 2)
nn.space_to_depth(x, 2)
tf.image.resize(x, (16, 20))
tf.image.resize(x, (16, 20), method="nearest")
tf.image.resize(x, (9, 7))
tf.image.resize(x, (12, 15))
tf.image.resize(x, (16, 20), method="bicubic")
(x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
tf.image.flip_left_right(x) * 0.3
nn.local_response_normalization(x, 1)
tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
tf.image.adjust_brightness(x, 0.1)
tf.image.rgb_to_grayscale(x)
nn.conv2d(x * 0.1 + 0.3, w.kernel, 1, "VALID")
nn.moments(x, (1, 2))
"""

MASKS = """
tf.where(m[..., None], x, x.dtype.min)
nn.softmax(tf.where(m[..., None], x, -1e9), 1)
x + (1.0 - tf.cast(m, tf.float32))[..., None] * -10000.0
x + (1.0 - tf.cast(m, x.dtype))[..., None] * x.dtype.min
x * tf.cast(m, tf.float32)[..., None]
tf.reduce_sum(x * tf.cast(m, tf.float32)[..., None], 1) / tf.maximum(tf.reduce_sum(tf.cast(m, tf.float32), 1, True), 1.0)
nn.softmax(tf.matmul(x, x, transpose_b=True) / 8 ** 0.5) @ x
nn.softmax(tf.matmul(x, x, transpose_b=True) * 0.3 + (1.0 - tf.linalg.band_part(tf.ones((7, 7)), -1, 0)) * -1e9) @ x
nn.softmax(tf.where(m[:, None], tf.matmul(x, x, transpose_b=True), x.dtype.min)) @ x
x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-6)
tf.concat([-x[..., 4:], x[..., :4]], -1) * 0.3 + x * 0.7
x * tf.cast(tf.range(7) < 5, tf.float32)[:, None]
x * tf.cast(tf.sequence_mask([3, 5], 7), tf.float32)[..., None]
tf.cumsum(x, 1) / tf.range(1.0, 8.0)[:, None]
tf.reduce_max(tf.where(m[..., None], x, -math.inf), 1)
(x - tf.reduce_mean(x, -1, True)) * tf.math.rsqrt(tf.math.reduce_variance(x, -1, True) + 1e-12)
"""

LANGUAGE = """
tf.gather(w.table, i)
nn.embedding_lookup(w.table, i) * 8 ** 0.5
tf.gather(w.table, i) * tf.cast(m, tf.float32)[..., None]
tf.gather(w.table, i) + tf.gather(w.table, tf.range(7))
(1.0 - tf.cast(m, tf.float32)) * -10000.0
tf.one_hot(i, 11) @ w.table
nn.log_softmax(tf.matmul(tf.gather(w.table, i), w.table, transpose_b=True))
tf.argmax(tf.matmul(tf.gather(w.table, i), w.table, transpose_b=True), -1)
i * 3 - m
i // 3 + i % 3
tf.cumsum(i, 1)
tf.reduce_mean(tf.cast(i, tf.float32), 1) * 0.1
tf.where(m == 1, i, -100)
tf.cast(i != 0, tf.float32) * 0.9
tf.gather(w.table, tf.minimum(i, 9)) + tf.gather(w.table, i % 5)
tf.cast(i, tf.float32) / 3.0
"""

INTEGERS = """
i + 1
i * 2 - 3
i // 2
i % 3
i // -4
tf.truncatediv(i, 4)
tf.truncatemod(i, 4)
tf.cast(i, tf.float32) / 7.0
tf.cast(i, tf.float32) * 0.1
tf.clip_by_value(i, -3, 5)
tf.reduce_sum(i, 1)
tf.reduce_max(i, 1)
tf.abs(i)
tf.cast(tf.abs(i), tf.uint8)
tf.sign(i)
i == tf.reverse(i, [0])
tf.maximum(i, 2)
tf.bitwise.bitwise_and(i, 3)
tf.cast(i, tf.int64) * 3
tf.math.floormod(i, 5)
"""

HALVES = """
x * 0.1
x + tf.cast(0.3, tf.float16)
tf.cast(x, tf.float32) * 0.1
tf.cast(tf.cast(x, tf.float32) * 0.1, tf.float16)
nn.relu(x) * tf.cast(0.9, tf.float16)
nn.softmax(x)
tf.cast(nn.softmax(tf.cast(x, tf.float32)), x.dtype)
tf.sigmoid(x)
tf.tanh(x)
tf.exp(x)
tf.matmul(x, x, transpose_b=True)
tf.reduce_mean(x, 1)
tf.reduce_sum(x, 0)
x * x + x
tf.sqrt(tf.abs(x))
tf.concat([x, x * 0.5], 1)
tf.where(x > 0, x, x.dtype.min)
"""

DENSE = """
L.Dense(4)
L.Dense(4, activation="relu")
L.Dense(4, activation="gelu")
L.Dense(4, activation="silu")
L.Dense(4, activation="softmax")
L.Dense(4, activation="sigmoid")
L.Dense(4, activation="tanh", use_bias=False)
L.Dense(4, activation="elu")
L.Dense(4, activation="selu")
L.Dense(4, activation="softplus")
L.Dense(4, activation="hard_sigmoid")
L.Dense(4, activation="hard_silu")
L.Dense(4, activation="mish")
L.Dense(4, activation="relu6")
L.Dense(4, activation="leaky_relu")
L.Dense(4, activation="exponential")
[L.Dense(8, activation="relu"), L.Dropout(0.3), L.Dense(3)]
L.BatchNormalization()
[L.Dense(8), L.BatchNormalization(), L.ReLU()]
[L.BatchNormalization(), L.Dense(8)]
L.LayerNormalization()
L.LayerNormalization(epsilon=1e-12)
L.RMSNormalization()
L.UnitNormalization()
L.SpectralNormalization(L.Dense(4))
L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)
L.LeakyReLU(negative_slope=0.17)
L.PReLU()
L.ELU(0.7)
L.Softmax()
L.Activation("tanh")
L.Rescaling(1 / 127.5, offset=-1)
L.Normalization(mean=0.3, variance=0.7)
L.GaussianNoise(0.3)
L.AlphaDropout(0.1)
L.Reshape((2, 3))
L.RepeatVector(3)
L.Lambda(lambda x: x * 0.1)
L.ActivityRegularization(0.1)
L.Identity()
L.Masking(0.0)
L.EinsumDense("ab,bc->ac", output_shape=4, bias_axes="c")
L.GroupNormalization(2)
L.Discretization(bin_boundaries=[-1.0, 0.0, 1.0])
L.Flatten()
"""

PICTURES = """
L.Conv2D(4, 3)
L.Conv2D(4, 3, padding="same")
L.Conv2D(4, 3, strides=2, padding="same")
L.Conv2D(4, 3, dilation_rate=2, padding="same")
L.Conv2D(6, 3, groups=3)
L.Conv2D(4, (3, 2), activation="relu", use_bias=False)
L.DepthwiseConv2D(3)
L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")
L.SeparableConv2D(4, 3)
L.Conv2DTranspose(4, 3, strides=2)
L.Conv2DTranspose(4, 3, strides=2, padding="same")
[L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()]
[L.Conv2D(4, 3), L.BatchNormalization(), L.Activation("hard_silu")]
[L.Conv2D(4, 1), L.BatchNormalization(), L.Activation("silu")]
[L.BatchNormalization(), L.Conv2D(4, 3)]
[L.DepthwiseConv2D(3), L.BatchNormalization(), L.LeakyReLU(negative_slope=0.1)]
L.BatchNormalization(axis=-1, epsilon=1e-3)
L.LayerNormalization()
L.GroupNormalization(3)
L.MaxPooling2D()
L.MaxPooling2D(3, 2, padding="same")
L.AveragePooling2D()
L.AveragePooling2D(3, 2, padding="same")
L.GlobalAveragePooling2D()
L.GlobalMaxPooling2D(keepdims=True)
L.AdaptiveAveragePooling2D((2, 2))
L.UpSampling2D()
L.UpSampling2D(2, interpolation="bilinear")
L.UpSampling2D((3, 2), interpolation="nearest")
L.ZeroPadding2D(((1, 2), (2, 1)))
L.Cropping2D(((1, 2), (2, 1)))
L.Resizing(9, 7)
L.Resizing(16, 20, interpolation="nearest")
L.CenterCrop(4, 6)
L.Rescaling(1 / 255)
L.Permute((3, 1, 2))
L.PReLU(shared_axes=[1, 2])
L.SpatialDropout2D(0.3)
[L.Flatten(), L.Dense(3)]
[L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(), L.Flatten(), L.Dense(3, activation="softmax")]
[L.Conv2D(4, 3), L.GroupNormalization(2), L.Activation("gelu")]
L.TimeDistributed(L.Conv1D(4, 3))
"""

SEQUENCES = """
L.LSTM(5)
L.LSTM(5, return_sequences=True)
L.GRU(5)
L.GRU(5, reset_after=False, return_sequences=True)
L.SimpleRNN(5)
L.Bidirectional(L.LSTM(5))
L.Conv1D(4, 3)
L.Conv1D(4, 3, padding="causal")
L.Conv1D(4, 3, strides=2, padding="same")
L.DepthwiseConv1D(3)
L.SeparableConv1D(4, 3)
L.Conv1DTranspose(4, 3, strides=2)
L.MaxPooling1D()
L.AveragePooling1D(3, 2, padding="same")
L.GlobalAveragePooling1D()
L.GlobalMaxPooling1D()
L.UpSampling1D(2)
L.ZeroPadding1D(2)
L.Cropping1D((1, 2))
L.LayerNormalization(epsilon=1e-6)
L.TimeDistributed(L.Dense(3))
L.Dense(4, activation="gelu")
L.SpatialDropout1D(0.2)
L.Permute((2, 1))
L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")
"""

VOLUMES = """
L.Conv3D(4, 2)
L.Conv3D(4, 3, padding="same")
L.Conv3DTranspose(3, 2, strides=2)
L.MaxPooling3D(2)
L.AveragePooling3D(2)
L.GlobalAveragePooling3D()
L.GlobalMaxPooling3D()
L.UpSampling3D(2)
L.ZeroPadding3D(1)
L.Cropping3D(((1, 0), (0, 1), (1, 1)))
L.SpatialDropout3D(0.2)
L.AdaptiveAveragePooling3D(2)
L.AdaptiveMaxPooling3D(2)
L.ConvLSTM2D(3, 2)
L.BatchNormalization()
L.TimeDistributed(L.Conv2D(3, 2))
"""

JOINED = """
L.Add()([x, x * 0.3])
L.Subtract()([x, x * 0.3])
L.Multiply()([x, x * 0.3])
L.Average()([x, x * 0.3])
L.Maximum()([x, x * 0.3])
L.Minimum()([x, x * 0.3])
L.Concatenate()([x, x * 0.3])
L.Concatenate(axis=1)([x, x])
L.Dot(axes=(2, 2))([x, x])
L.Dot(axes=(2, 2), normalize=True)([x, x * 0.3])
L.Attention()([x, x])
L.Attention(use_scale=True)([x, x])
L.AdditiveAttention()([x, x])
L.MultiHeadAttention(2, 4)(x, x)
L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
L.GroupQueryAttention(4, 4, 2)(x, x)
L.Add()([x, L.LayerNormalization()(x)])
L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
L.RNN(L.LSTMCell(4))(x)
L.RNN(L.GRUCell(4))(x)
L.RNN(L.SimpleRNNCell(4))(x)
L.RNN(L.StackedRNNCells([L.GRUCell(4), L.GRUCell(3)]))(x)
L.Bidirectional(L.GRU(3, return_sequences=True))(x)
L.ConvLSTM1D(3, 2)(x[..., None])
L.AdaptiveAveragePooling1D(3)(x)
L.AdaptiveMaxPooling1D(3)(x)
L.Lambda(lambda v: v * 0.1)(x)
L.GaussianDropout(0.2)(x)
L.Embedding(9, 4)(K.ops.cast(K.ops.abs(x) * 3, "int32"))
L.CategoryEncoding(num_tokens=9, output_mode="one_hot")(K.ops.cast(K.ops.abs(x[..., 0]) * 3, "int32"))
"""

AUGMENTED = """
L.RandomFlip()
L.RandomRotation(0.2)
L.RandomZoom(0.2)
L.RandomTranslation(0.1, 0.1)
L.RandomContrast(0.2)
L.RandomBrightness(0.2, value_range=(0, 1))
L.RandomCrop(6, 8)
L.AdaptiveMaxPooling2D((2, 2))
L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)
"""

CASES = (
    *group("scalars", X, SCALARS),
    *group("activations", X, ACTIVATIONS),
    *group("maths", POSITIVE, MATHS),
    *group("reductions", X, REDUCTIONS),
    *group("shapes", X, SHAPES),
    *group("tables", X, TABLES),
    *group("vision", IMAGE, VISION),
    *group("masks", TEXT, MASKS),
    *group("language", IDS, LANGUAGE),
    *group("integers", WHOLE, INTEGERS),
    *group("halves", HALF, HALVES),
    *keras("dense", "n i", (5, 6), DENSE),
    *keras("pictures", "n c h w", (2, 3, 8, 10), PICTURES),
    *keras("sequences", "n t i", (2, 7, 8), SEQUENCES),
    *keras("volumes", "n p q r i", (2, 4, 5, 6, 3), VOLUMES),
    *keras("joined", "n t i", (2, 7, 8), JOINED),
    *keras("augmented", "n c h w", (2, 3, 8, 10), AUGMENTED),
)
