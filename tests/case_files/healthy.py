"""Models of every kind that a case may hold; all of them agree, apart from what is said."""

from __future__ import annotations

import os
from typing import Any

from onnx_triangulate import Case, Expected, Rounded, Tensor
from onnx_triangulate.cases.definitions import softmax

IMAGE = Tensor("n c h w", (2, 3, 5, 4), low=-2, high=3)
WEIGHT = Tensor("o i h w", (4, 3, 3, 1), low=-2, high=3)
REALS = Tensor("n c", (3, 5), low=-1, high=1, integers=False)
EVIL = "../../evil\x1b[31m\n[red]y"


def torch_module(torch: Any) -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(5, 7)
            self.second = torch.nn.Linear(7, 2)

        def forward(self, x: Any) -> Any:
            return self.second(torch.relu(self.first(x)))

    print("noise on standard output")
    os.write(1, b"and past Python's own stream\n")
    return Net()


def twice(module: Any) -> Any:
    def model(x: Any) -> Any:
        y = x * 2
        return y, y

    return model


def keras_model(tf: Any) -> Any:
    return tf.keras.Sequential(
        [tf.keras.layers.Input((5,)), tf.keras.layers.Dense(7, activation="relu"), tf.keras.layers.Dense(2)]
    )


def keras_convolution(tf: Any) -> Any:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", strides=2), layers.BatchNormalization(), layers.ReLU()]
    )


def torch_linear(torch: Any, w: Any) -> Any:
    layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
    layer.load_state_dict({"weight": w})
    return layer


def keras_linear(tf: Any, w: Any) -> Any:
    layer = tf.keras.layers.Dense(w.shape[1], use_bias=False, dtype=w.dtype.name)
    layer.build((None, w.shape[0]))
    layer.kernel.assign(w)
    return layer


CASES = (
    Case(
        "convolution",
        inputs={"x": IMAGE},
        outputs={"y": Tensor("n c h w", (2, 4, 3, 4))},
        parameters={"w": WEIGHT},
        builders={
            "torch": lambda torch, w: lambda x: torch.nn.functional.conv2d(x, w),
            "tensorflow": lambda tf, w: lambda x: tf.nn.conv2d(x, w, strides=1, padding="VALID"),
        },
        note="integers, no definition: the frameworks must agree with each other",
    ),
    Case("torch_module", inputs={"x": REALS}, builders={"torch": torch_module}),
    Case("keras_model", inputs={"x": REALS}, builders={"tensorflow": keras_model}),
    Case(
        "keras_convolution",
        inputs={"x": Tensor("n c h w", (2, 3, 8, 7), low=-1, high=1, integers=False)},
        outputs={"y": Tensor("n c h w", (2, 4, 4, 4))},
        builders={"tensorflow": keras_convolution},
    ),
    Case(
        "own_random_weights",
        inputs={"x": REALS},
        builders={"torch": torch_module, "tensorflow": keras_model},
        expect={
            ("tensorflow", "torch"): Expected("parameters", reason="each framework draws its own weights"),
        },
    ),
    Case(
        "shared_weights",
        inputs={"x": REALS},
        outputs={"y": Tensor("n o")},
        parameters={"w": Tensor("o i", (4, 5), low=-1, high=1, integers=False, layouts={"tensorflow": "i o"})},
        builders={"torch": torch_linear, "tensorflow": keras_linear},
    ),
    Case(
        "double_precision",
        inputs={"x": Tensor("n c", (3, 5), dtype="float64", low=-3, high=3, integers=False)},
        builders={"torch": lambda torch: torch.exp, "tensorflow": lambda tf: tf.exp},
    ),
    Case(
        "integer_inputs",
        inputs={
            "table": Tensor("n c", (5, 3), low=-9, high=9),
            "rows": Tensor("r", values=[4, 0, 0, 3], dtype="int64"),
        },
        outputs={"y": Tensor("r c", (4, 3)), "rows_plus": Tensor("r", (4,), "int64")},
        builders={
            "torch": lambda torch: lambda table, rows: {"rows_plus": rows + 7, "y": table[rows]},
            "tensorflow": lambda tf: lambda table, rows: {"rows_plus": rows + 7, "y": tf.gather(table, rows)},
        },
        truth=lambda table, rows: {"y": table[rows], "rows_plus": rows + 7},
    ),
    Case(
        "nested_outputs",
        inputs={"x": REALS},
        builders={
            "torch": lambda torch: lambda x: {"sum": x + x, "pair": (x * 2, [x * 4])},
            "tensorflow": lambda tf: lambda x: {"sum": x + x, "pair": (x * 2, [x * 4])},
        },
        truth=lambda x: {"sum": x + x, "pair_0": x * 2, "pair_1_0": x * 4},
    ),
    Case(
        "hostile_names",
        inputs={"x": REALS},
        outputs={EVIL: Tensor("n c", (3, 5)), "é \u202e": Tensor("n c", (3, 5))},
        builders={"torch": lambda torch: lambda x: (x * 2, x * 4), "tensorflow": lambda tf: lambda x: (x * 2, x * 4)},
        truth=lambda x: {EVIL: x * 2, "é \u202e": x * 4},
    ),
    Case(
        "named_as_each_other",
        inputs={"y": REALS, "x": REALS},
        outputs={"y": REALS, "x": REALS},
        builders={"torch": lambda torch: lambda y, x: (x, y), "tensorflow": lambda tf: lambda y, x: (x, y)},
        truth=lambda y, x: {"y": x, "x": y},
        note="the outputs have the inputs' names, the other way round",
    ),
    Case(
        "one_value_twice",
        inputs={"x": REALS},
        builders={"torch": twice, "tensorflow": twice},
        truth=lambda x: {"y0": x * 2, "y1": x * 2},
    ),
    Case(
        "half_precision",
        inputs={"x": Tensor("n c", (3, 5), dtype="float16", low=-1, high=1, integers=False)},
        builders={"torch": lambda torch: lambda x: x + x, "tensorflow": lambda tf: lambda x: x + x},
    ),
    Case(
        "half_precision_promised",
        inputs={"x": Tensor("n", (7,), dtype="float16")},
        outputs={"y": Tensor("n", (7,), "float16")},
        builders={"torch": lambda torch: lambda x: x + x, "tensorflow": lambda tf: lambda x: x + x},
    ),
    Case(
        "brain_floats",
        inputs={"x": Tensor("n c", (3, 5), low=-7, high=8)},
        builders={"torch": lambda torch: lambda x: x.to(torch.bfloat16).clone()},
        expect={
            ("torch*>*", "torch*>ort.*"): Expected(
                "unsupported", reason="ONNX Runtime's Python API gives no arrays of bfloat16"
            )
        },
    ),
    Case(
        "booleans",
        inputs={"x": Tensor("n", values=[True, False, True], dtype="bool")},
        builders={"torch": lambda torch: torch.logical_not, "tensorflow": lambda tf: tf.logical_not},
        truth=lambda x: ~x,
    ),
    Case(
        "definition_without_bound",
        inputs={"x": REALS},
        outputs={"y": REALS, "largest": Tensor("n", dtype="int64")},
        builders={
            "torch": lambda torch: lambda x: (torch.softmax(x * 0.1, -1), torch.argmax(x, -1)),
            "tensorflow": lambda tf: lambda x: (tf.nn.softmax(x * 0.1), tf.argmax(x, -1)),
        },
        truth=lambda x: {"y": Rounded(softmax(x * 0.1)), "largest": x.argmax(-1)},
    ),
    Case(
        "input_unused",
        inputs={"x": REALS, "unused": REALS},
        builders={"torch": lambda torch: lambda x, unused: x * 2, "tensorflow": lambda tf: lambda x, unused: x * 2},
        truth=lambda x, unused: x * 2,
    ),
)
