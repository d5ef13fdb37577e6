"""Models whose graph is given by a test, wrong where it is hard to see."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Tensor

X = Tensor("n c h", (2, 3, 4), low=-3, high=4, integers=False)
TIES = Tensor("a", (8,), values=[-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
PAIR = Tensor("n c", (2, 6), low=-3, high=4, integers=False)
CONFIDENT = Tensor("n c", (2, 3), values=[[30, 4, 1], [1, 2, 28]])
WHOLE = Tensor("a", (8,), low=1, high=9)


def floored(torch: Any) -> Any:
    return lambda x: x.floor() * torch.ones(8)  # a float32 in the middle: no float64


def equal_rows(torch: Any) -> Any:
    return lambda x: torch.nn.functional.layer_norm(torch.cat([x[:, :1].expand(2, 6), x]), (6,))


def rounded(torch: Any) -> Any:
    return lambda x: x.round() * torch.ones(8)


CASES = (
    Case("softmax", inputs={"x": X}, builders={"torch": lambda torch: lambda x: torch.softmax(x, 1) * 2}),
    Case(
        "flattened",
        inputs={"x": X},
        builders={"torch": lambda torch: lambda x: torch.softmax(x.flatten(1), 1).reshape(x.shape) * 2},
    ),
    Case("exp", inputs={"x": X}, builders={"torch": lambda torch: lambda x: torch.exp(x) * 2}),
    Case("gelu", inputs={"x": X}, builders={"torch": lambda torch: torch.nn.functional.gelu}),
    Case("equal_rows", inputs={"x": PAIR}, builders={"torch": equal_rows}),
    Case("confident", inputs={"x": CONFIDENT}, builders={"torch": lambda torch: lambda x: torch.log_softmax(x, 1)}),
    Case("floor", inputs={"x": WHOLE}, builders={"torch": floored}),
    Case("round", inputs={"x": TIES}, builders={"torch": rounded}),
)
