"""Cases that cannot be used, as nobody finds out before they are run, and one between them that can."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Case, Tensor

MATRIX = Tensor("r c", (3, 5), low=1, high=9)


def raising(torch: Any) -> Any:
    raise RuntimeError("first line\n\x1b[31msecond line")


def one(name: str, model: Any, **rest: Any) -> Case:
    return Case(name, **{"inputs": {"x": MATRIX}, "builders": {"torch": lambda torch: model}, **rest})


def lost_under_export(torch: Any) -> Any:
    def model(x: Any) -> Any:
        exporting = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
        return {"kept": x * 2} if exporting else {"kept": x * 2, "lost": x * 3}

    return model


CASES = (
    one("builder_raises", None, builders={"torch": raising}),
    one("builder_gives_no_model", 7),
    one("other_shape", lambda x: x * 2, outputs={"y": Tensor("r c", (3, 4))}),
    one("other_rank", lambda x: x.sum(), outputs={"y": Tensor("r c")}),
    one("other_type", lambda x: x * 2, outputs={"y": Tensor("r c", (3, 5), "int64")}),
    one("too_many_outputs", lambda x: (x, x * 2), outputs={"y": MATRIX}),
    one("other_outputs", lambda x: {"z": x * 2}, outputs={"y": MATRIX}),
    one("no_tensor", lambda x: float(x.sum())),
    one("nothing", lambda x: None),
    one("two_of_one_name", lambda x: {"a_b": x * 2, "a": {"b": x * 3}}),
    one("truth_raises", lambda x: x * 2, truth=lambda x: x / None),
    one("truth_lacks_an_output", lambda x: (x, x * 2), outputs={"y": MATRIX, "z": MATRIX}, truth=lambda x: {"y": x}),
    one(
        "lost_under_export",
        None,
        builders={"torch": lost_under_export},
        outputs={"kept": MATRIX, "lost": MATRIX},
        truth=lambda x: {"kept": x * 2, "lost": x * 3},
    ),
    one("usable", lambda x: x * 2, outputs={"y": MATRIX}, truth=lambda x: x * 2),
)
