"""A lint rule of inspect: a division by a constant, which this chip does slowly."""

from onnx_triangulate.inspection.rules import Occurrence, Rule

_HEAD = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) '


def find(view):
    for place in view.of("Div"):
        yield Occurrence((place.name,), "a Div: the chip multiplies by the inverse faster")


RULE = Rule(
    code="USR001",
    name="slow-division",
    severity="info",
    about="The chip divides slowly; multiply by the inverse.",
    find=find,
    fires=(_HEAD + "{ [d] y = Div(x, x) }",),
    quiet=(_HEAD + "{ [m] y = Mul(x, x) }",),
)
