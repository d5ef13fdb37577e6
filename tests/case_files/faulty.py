"""Models whose export is wrong at a node that is known, or at none: what `verify` says of the node.

`torch.onnx.export` writes batch normalization in training mode as inference, silently (seen in torch 2.13): a real
fault of a translation, amid a network.  A model that changes while it is captured is wrong before any node is.
"""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Tensor

IMAGE = Tensor("n c h w", (2, 3, 9, 8), low=-1, high=1, integers=False)


def network(torch: Any, *, changes: bool) -> Any:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5)
            self.second = torch.nn.Conv2d(5, 4, 3)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.norm(self.first(x)))
            if changes and torch.compiler.is_exporting():
                y = y * 1.5
            return self.second(y)

    return Network()


def indices(torch: Any) -> Any:
    """The reference evaluator counts the places of largest elements in each plane by itself (seen in onnx 1.23)."""
    pool = torch.nn.MaxPool2d(2, return_indices=True)
    return lambda x: pool(torch.relu(x * 2))


def floors(torch: Any) -> Any:
    """TorchScript's exporter truncates where a floor division of integers is meant (seen in torch 2.13)."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(4, 4)

        def forward(self, x: Any, z: Any) -> Any:
            return torch.tanh(self.line(z)) * (x * 3 // 4 + 1) + z

    return Network()


CASES = (
    Case(
        "floor_of_negatives",
        inputs={
            "x": Tensor("n c", (3, 4), "int64", low=-9, high=9),
            "z": Tensor("n c", (3, 4), low=-1, high=1, integers=False),
        },
        builders={"torch": floors},
    ),
    Case("indices_of_a_pool", inputs={"x": IMAGE}, builders={"torch": indices}),
    Case(
        "batch_norm_in_training",
        inputs={"x": IMAGE},
        builders={"torch": lambda torch: network(torch, changes=False)},
        training=True,
    ),
    Case(
        "changes_when_captured",
        inputs={"x": IMAGE},
        builders={"torch": lambda torch: network(torch, changes=True)},
    ),
)
