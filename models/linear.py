"""Linear layers and products of matrices: batched, broadcast, of vectors, of integers and of half precision."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Case, Gradient, Tensor

TAGS = ("linear-algebra",)
X = Tensor("n i", (3, 4), low=-5, high=6)
W = Tensor("o i", (2, 4), low=-5, high=6, layouts={"tensorflow": "i o"})
B = Tensor("o", (2,), low=-5, high=6)


def keras_dense(tf: Any, w: Any, b: Any) -> Any:
    layer = tf.keras.layers.Dense(2)
    layer.build((None, 4))
    layer.kernel.assign(w)
    layer.bias.assign(b)
    return layer


def torch_linear(torch: Any, w: Any, b: Any) -> Any:
    layer = torch.nn.Linear(4, 2)
    layer.weight.data, layer.bias.data = w, b
    return layer


def product(name: str, a: Tensor, b: Tensor, y: str, **rest: Any) -> Case:
    return Case(
        name,
        {"a": a, "b": b},
        {"torch": lambda torch: torch.matmul, "tensorflow": lambda tf: tf.matmul},
        {"y": Tensor(y, dtype=a.dtype)},
        truth=lambda a, b: a @ b,
        tags=TAGS,
        **rest,
    )


def gradients(a: Array, b: Array, dy: Array) -> dict[str, Array]:
    return {"y": a @ b, "grad_a": dy @ b.T, "grad_b": a.T @ dy}


CASES = (
    Case(
        "layer",
        {"x": X},
        {"torch": torch_linear, "tensorflow": keras_dense},
        {"y": Tensor("n o")},
        parameters={"w": W, "b": B},
        truth=lambda x, w, b: x @ w.T + b,
        dynamic={"n": (1, 5)},
        tags=TAGS,
    ),
    Case(
        "layer_of_sequences",
        {"x": Tensor("n t i", (2, 3, 4), low=-5, high=6)},
        {"torch": torch_linear, "tensorflow": keras_dense},
        {"y": Tensor("n t o")},
        parameters={"w": W, "b": B},
        truth=lambda x, w, b: x @ w.T + b,
        tags=TAGS,
    ),
    product("matrices", Tensor("m k", (3, 4), low=-5, high=6), Tensor("k p", (4, 5), low=-5, high=6), "m p"),
    product("batches", Tensor("n m k", (2, 3, 4), low=-5, high=6), Tensor("n k p", (2, 4, 5), low=-5, high=6), "n m p"),
    product(
        "broadcast",
        Tensor("one n m k", (1, 2, 3, 4), low=-5, high=6),
        Tensor("r s k p", (3, 1, 4, 2), low=-5, high=6),
        "r n m p",
    ),
    product(
        "integers",
        Tensor("m k", (3, 4), "int32", low=-90, high=91),
        Tensor("k p", (4, 2), "int32", low=-90, high=91),
        "m p",
    ),
    product(
        "half",
        Tensor("m k", (3, 4), "float16", low=-5, high=6),
        Tensor("k p", (4, 2), "float16", low=-5, high=6),
        "m p",
    ),
    Case(
        "vectors",
        {"a": Tensor("k", (5,), low=-5, high=6), "b": Tensor("k", (5,), low=-5, high=6)},
        {"torch": lambda torch: torch.dot, "tensorflow": lambda tf: lambda a, b: tf.tensordot(a, b, 1)},
        {"y": Tensor("")},
        truth=lambda a, b: a @ b,
        tags=TAGS,
    ),
    Case(
        "gradient",
        {
            "a": Tensor("m k", (3, 4), low=1, high=6),
            "b": Tensor("k p", (4, 2), low=1, high=6),
            "dy": Tensor("m p", (3, 2), low=1, high=6),
        },
        {"torch": lambda torch: torch.matmul, "tensorflow": lambda tf: tf.matmul},
        {"y": Tensor("m p"), "grad_a": Tensor("m k"), "grad_b": Tensor("k p")},
        truth=gradients,
        gradient=Gradient("y", ("a", "b"), "dy"),
        tags=TAGS,
    ),
)
