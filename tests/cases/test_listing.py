"""What a case is found by: the tags that it says, those that its record has, and what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_triangulate.cases.listing import groups, rows, status_of, tags_of
from onnx_triangulate.records.case import Case, Expected, Gradient, Tensor
from onnx_triangulate.records.errors import UnusableInput

PLAIN = Case("plain", {"x": Tensor("n", (3,))}, {"torch": abs}, {"y": Tensor("n", dtype="int64")})
FILE = '''"""Twice a number,
over two lines.

And more.
"""
from onnx_triangulate import Case, Expected, Tensor
X = {"x": Tensor("n", (3,), "float16")}
EXPECT = {("torch", "torch>*"): Expected("export", reason="so")}
CASES = (
    Case("one", X, {"torch": lambda torch: lambda x: x}, tags=("shape",)),
    Case("two", X, {"torch": lambda torch: lambda x: x}, expect=EXPECT),
)
'''


def test_a_record_has_tags_by_itself() -> None:
    assert tags_of(PLAIN) == ("float32", "int64")
    assert status_of(PLAIN) == "agree"
    several = (Expected("export", reason="a"), Expected("kernel", reason="b"))
    more = Case(
        "more",
        {"x": Tensor("n", (3,)), "dy": Tensor("n", (3,))},
        {"torch": abs},
        {"y": Tensor("n"), "grad_x": Tensor("n")},
        gradient=Gradient("y", ("x",), "dy"),
        training=True,
        dynamic={"n": (1, 5)},
        expect={("torch", "torch>*"): several},
        tags=("reduction",),
    )
    assert tags_of(more) == ("dynamic", "export", "float32", "gradient", "kernel", "reduction", "training")
    assert status_of(more) == "diverges"


def test_a_file_is_listed_by_case_and_by_group(tmp_path: Path) -> None:
    file = tmp_path / "twice.py"
    file.write_text(FILE)
    assert [(r["name"], r["status"], r["tags"]) for r in rows([str(file)])] == [
        ("twice/one", "agree", ("float16", "shape")),
        ("twice/two", "diverges", ("export", "float16")),
    ]
    assert [r["name"] for r in rows([str(file)], ["shape", "float16"])] == ["twice/one"]
    assert [r["name"] for r in rows([str(file)], status="diverges")] == ["twice/two"]
    assert rows([str(file)], ["shape"], "diverges") == []
    (group,) = groups([str(file)])
    assert group == {"name": "twice", "cases": 2, "diverge": 1, "title": "Twice a number, over two lines."}
    with pytest.raises(UnusableInput, match="--tag shapes: no case has it; there are export, float16, shape"):
        rows([str(file)], ["shapes"])
