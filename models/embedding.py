"""Embedding and one-hot: rows of a table by number, and numbers as rows; what a number outside of the table is."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_triangulate import Array, Case, Expected, Gradient, Tensor

IDS = Tensor("n t", values=[[1, 4, 1], [0, 2, 2]], dtype="int64")
TABLE = Tensor("v d", (5, 3), low=-9, high=10, layouts={"tensorflow": "v d"})
TAGS = ("indexing",)
LOST = {
    ("torch", "torch:script>*"): Expected(
        "export",
        op="Add",
        reason="the TorchScript exporter scatters into zeros and adds these: of several at one place one is left",
    )
}


def gradient(table: Array, ids: Array, dy: Array) -> dict[str, Array]:
    grad = np.zeros(table.shape)
    np.add.at(grad, ids, dy)
    return {"y": table[ids], "grad_table": grad}


def lookup(name: str, ids: Tensor, **rest: Any) -> Case:
    return Case(
        name,
        {"ids": ids},
        {
            "torch": lambda torch, table: lambda ids: torch.nn.functional.embedding(ids, table),
            "tensorflow": lambda tf, table: lambda ids: tf.nn.embedding_lookup(table, ids),
        },
        {"y": Tensor("n t d")},
        parameters={"table": TABLE},
        truth=lambda ids, table: table[ids],
        tags=TAGS,
        **rest,
    )


CASES = (
    lookup("rows", IDS, dynamic={"n": (1, 4)}),
    lookup("rows_int32", Tensor("n t", values=[[1, 4, 1], [0, 2, 2]], dtype="int32")),
    Case(
        "padding_row",
        {"ids": IDS},
        {
            "torch": lambda torch, table: lambda ids: torch.nn.functional.embedding(ids, table, padding_idx=2),
            "tensorflow": lambda tf, table: lambda ids: tf.gather(table, ids),
        },
        {"y": Tensor("n t d")},
        parameters={"table": TABLE},
        truth=lambda ids, table: table[ids],
        note="padding_idx is about the derivative only",
        tags=TAGS,
    ),
    Case(
        "gradient_of_repeated_rows",
        {"table": TABLE, "ids": IDS, "dy": Tensor("n t d", (2, 3, 3), low=1, high=9)},
        {
            "torch": lambda torch: lambda table, ids: table[ids],
            "tensorflow": lambda tf: lambda table, ids: tf.gather(table, ids),
        },
        {"y": Tensor("n t d"), "grad_table": Tensor("v d")},
        truth=gradient,
        gradient=Gradient("y", ("table",), "dy"),
        tags=TAGS,
        expect=LOST,
    ),
    Case(
        "one_hot",
        {"ids": IDS},
        {
            "torch": lambda torch: lambda ids: torch.nn.functional.one_hot(ids, 5),
            "tensorflow": lambda tf: lambda ids: tf.one_hot(ids, 5, dtype=tf.int64),
        },
        {"y": Tensor("n t v", dtype="int64")},
        truth=lambda ids: np.eye(5, dtype=np.int64)[ids],
        tags=TAGS,
        expect={
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                op="OneHot",
                reason="tf2onnx leaves TensorFlow's OneHot, with its four inputs, in the graph",
            )
        },
    ),
    Case(
        "one_hot_outside",
        {"ids": Tensor("n", values=[0, 4, -1], dtype="int64")},
        {
            "torch": lambda torch: lambda ids: torch.nn.functional.one_hot(ids, 3),
            "tensorflow": lambda tf: lambda ids: tf.one_hot(ids, 3, dtype=tf.int64),
        },
        {"y": Tensor("n v", dtype="int64")},
        truth=lambda ids: (ids[:, None] == np.arange(3)).astype(np.int64),
        expect={
            ("tensorflow", "tensorflow*>*"): Expected(
                "export-failed",
                op="Gather",
                reason="tf2onnx takes rows of a unit matrix, which has none for such a number",
            ),
            ("truth", "torch"): Expected(
                "unsupported", reason="PyTorch refuses a number outside, TensorFlow makes zeros"
            ),
        },
        tags=TAGS,
    ),
)
