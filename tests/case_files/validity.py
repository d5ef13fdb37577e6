"""Graphs that ONNX refuses, graphs that only runtimes refuse, exports as their users make them; and healthy twins."""

from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor

REAL = Tensor("n t d", (2, 5, 8), low=-1, high=1, integers=False)


def module(forward: Any, **held: Any) -> Any:
    """A builder of a module of one forward; ``held(torch)`` are its layers."""

    def build(torch: Any) -> Any:
        class Net(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                for name, make in held.items():
                    setattr(self, name, make(torch))

        Net.forward = forward(torch)
        return Net()

    return build


def gathered(epsilon: float) -> Any:
    """A table of whole numbers picked from, and a norm whose epsilon is another one in the export."""

    def forward(torch: Any) -> Any:
        def run(self: Any, x: Any, pos: Any) -> Any:
            exporting = torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()
            picked = torch.gather(torch.zeros(1, 512, dtype=torch.int64), 1, pos)
            eps = epsilon if exporting else 1e-12
            return torch.nn.functional.layer_norm(x + picked[:, :, None], (8,), eps=eps)

        return run

    return module(forward)


def transposed(torch: Any) -> Any:
    return lambda x, w: torch.nn.functional.conv_transpose2d(x, w, stride=2, padding=1, output_padding=3, dilation=4)


def scripted(torch: Any) -> Any:
    return torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU()).eval())


def lengths(torch: Any) -> Any:
    return lambda x, n: torch.nn.functional.embedding(n - n[0], x)


TEXT = {"x": REAL, "pos": Tensor("one t", (1, 5), "int64", high=500)}
LOSS = {
    "x": Tensor("n c", (2, 3), low=0, high=1, integers=False),
    "t": Tensor("n c", (2, 3), high=2),
}

CASES = (
    Case("floor_of_integers", inputs={"x": Tensor("n", (3,), "int64")}, builders={"torch": lambda torch: torch.floor}),
    Case("floor_of_reals", inputs={"x": REAL}, builders={"torch": lambda torch: torch.floor}),
    Case("other_epsilon", inputs=TEXT, builders={"torch": gathered(1e-5)}),
    Case("same_epsilon", inputs=TEXT, builders={"torch": gathered(1e-12)}),
    Case(
        "only_runtimes_refuse",
        inputs={
            "x": Tensor("n c h w", (1, 2, 4, 4), integers=False),
            "w": Tensor("i o h w", (2, 3, 3, 3), integers=False),
        },
        builders={"torch": transposed},
    ),
    Case("scripted", inputs={"x": Tensor("n c h w", (1, 2, 5, 6), integers=False)}, builders={"torch": scripted}),
    Case(
        "encoder_layer",
        inputs={"x": REAL},
        builders={"torch": lambda torch: torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)},
    ),
    Case("loss", inputs=LOSS, builders={"torch": lambda torch: torch.nn.functional.binary_cross_entropy}),
    Case(
        "lengths",
        inputs={
            "x": Tensor("r c", (9, 4), integers=False),
            "n": Tensor("n", None, "int64", values=np.array([0, 3, 5])),
        },
        builders={"torch": lengths},
    ),
)
