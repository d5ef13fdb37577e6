"""The notebook's scalar chain: ((x + 2) * 3)^2 is 81 at x = 1, and its derivative 18 (x + 2) is 54."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Absent, Array, Case, Gradient, Tensor

SCALAR = Tensor("")
NOT_A_LEAF = "x + 2 and (x + 2) * 3 are values on the way, not leaves: no gradient is kept there unless asked for"


def chain(module: Any) -> Any:
    """One text for both frameworks: it needs Python's operators only."""

    def model(x: Any) -> Any:
        a = x + 2.0
        b = a * 3.0
        return a, b, b * b

    return model


def truth(x: Array, dy: Array) -> dict[str, Array]:
    a = x + 2
    b = a * 3
    return {"a": a, "b": b, "y": b**2, "grad_x": 2 * b * 3 * dy}  # dy/db = 2 b, db/da = 3, da/dx = 1


def retained_truth(x: Array, dy: Array) -> dict[str, Array]:
    values = truth(x, dy)
    return {**values, "grad_a": 2 * values["b"] * 3 * dy, "grad_b": 2 * values["b"] * dy}


INPUTS = {"x": Tensor("", values=1.0), "dy": Tensor("", values=1.0)}
BUILDERS = {"torch": chain, "tensorflow": chain}
VALUES = {"a": SCALAR, "b": SCALAR, "y": SCALAR, "grad_x": SCALAR}

CASES = (
    Case(
        "chain",
        inputs=INPUTS,
        outputs={**VALUES, "grad_a": Absent(NOT_A_LEAF), "grad_b": Absent(NOT_A_LEAF)},
        builders=BUILDERS,
        truth=truth,
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
    ),
    Case(
        "chain_retained",
        inputs=INPUTS,
        outputs={**VALUES, "grad_a": SCALAR, "grad_b": SCALAR},
        builders=BUILDERS,
        truth=retained_truth,
        gradient=Gradient(of="y", wrt=("x", "a", "b"), cotangent="dy"),
        note="asked for, the gradients on the way are 54 at x + 2 and 18 at (x + 2) * 3",
    ),
)
