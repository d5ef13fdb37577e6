"""The picture as a file of its own."""

from __future__ import annotations

from onnx_triangulate.records.inspection import Picture
from onnx_triangulate.report.formats import Format
from onnx_triangulate.report.picture import MOST, require_engine, svg


def page(picture: Picture) -> str:
    """The drawing as an SVG file.  Raises ``MissingEngine`` where igraph is not installed."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg(picture.drawing)}'


FORMAT = Format("svg", "the graph as a picture", {Picture: page}, MOST, require_engine)
