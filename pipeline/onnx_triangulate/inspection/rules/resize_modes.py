"""NUM006: how a Resize finds its positions, and which framework does so too."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import DiagnosticGroups, number
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.onnxgraph.graph import Place
from onnx_triangulate.onnxgraph.nodes import printable

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,4,4] x) => (y) <float[4] s = {1.0, 1.0, 2.0, 2.0}>'
# What is known of mode and coordinates; "" stands for any.
_READINGS = {
    ("nearest", "asymmetric", "floor"): "PyTorch's mode='nearest', TensorFlow 1's nearest",
    ("nearest", "half_pixel", "round_prefer_ceil"): "PyTorch's 'nearest-exact', TensorFlow 2's nearest",
    ("nearest", "tf_half_pixel_for_nn", "floor"): "TensorFlow 2's nearest",
    ("linear", "align_corners", ""): "align_corners=True of PyTorch",
    ("linear", "pytorch_half_pixel", ""): "what PyTorch's exporter writes for align_corners=False",
    ("linear", "half_pixel", ""): "TensorFlow 2's bilinear and PyTorch's align_corners=False",
    ("linear", "asymmetric", ""): "TensorFlow 1's bilinear; neither PyTorch's nor TensorFlow 2's",
    ("nearest", "half_pixel", "round_prefer_floor"): "ONNX's default; no framework's: it differs from TensorFlow 2's "
    "nearest and PyTorch's 'nearest-exact' where a position lies halfway between two elements",
}


def _says(place: Place) -> str:
    mode = place.attribute("mode", str, "nearest")
    coordinates = place.attribute("coordinate_transformation_mode", str, "half_pixel")
    rounding = place.attribute("nearest_mode", str, "round_prefer_floor") if mode == "nearest" else ""
    reading = _READINGS.get((mode, coordinates, rounding), "")
    extras = [rounding] if rounding else []
    if mode == "cubic":
        coefficient = place.attribute("cubic_coeff_a", float, -0.75)
        extras.append(f"a = {number(coefficient)}")
        reading = {-0.75: "PyTorch's bicubic has a = -0.75", -0.5: "TensorFlow 2's bicubic has a = -0.5"}.get(
            coefficient, ""
        )
    extras += ["antialias"] if place.attribute("antialias", int, 0) else []
    extras += ["exclude_outside"] if place.attribute("exclude_outside", int, 0) else []
    shown = ", ".join(printable(word, 40) for word in (mode, coordinates, *extras))
    return f"Resize is {shown} ({{n}})" + (f": {reading}" if reading and "antialias" not in extras else "")


def _find(view: ModelView) -> Iterator[Occurrence]:
    """A Resize has to say which position of the input an element of the output stands for
    (`coordinate_transformation_mode`) and, for `nearest`, which way it rounds. Half a pixel's difference shifts the
    whole picture and goes unnoticed in every test of shapes. The remark says what is written and which framework means
    the same.
    """
    groups = DiagnosticGroups()
    for place in view.of("Resize"):
        opset = place.graph.opset
        if opset is not None and opset < 11:
            mode = place.attributes.get("mode", "nearest")
            groups.add(
                place.name,
                f"Resize is {printable(str(mode), 40)}, of an opset before 11 ({{n}}): ONNX did not say then how "
                "positions are found, and runtimes differ",
                "warning",
            )
        else:
            groups.add(place.name, _says(place))
    yield from groups.occurrences()


RULE = Rule(
    code="NUM006",
    name="resize-modes",
    severity="info",
    find=_find,
    fires=(
        f'{_HEAD} {{ y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , s) }}',
        f"{_HEAD} {{ y = Resize (x, , s) }}",
    ),
    quiet=(f"{_HEAD} {{ y = Relu (x) }}",),
)
