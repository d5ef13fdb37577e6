"""A case: the same function in torch and in numpy, a framework of this package's own."""

from onnx_triangulate import Case, Tensor

CASES = (
    Case(
        "halved",
        inputs={"x": Tensor("n c", (2, 3), integers=False)},
        builders={"torch": lambda torch: lambda x: x / 2, "numpy": lambda numpy: lambda x: x / 2},
        outputs={"y": Tensor("n c")},
    ),
)
