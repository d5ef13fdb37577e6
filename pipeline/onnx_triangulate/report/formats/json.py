"""The records for programs, as the published schemas describe them."""

from __future__ import annotations

from onnx_triangulate.report.documents import DOCUMENTS, as_json
from onnx_triangulate.report.formats import Format
from onnx_triangulate.report.serializer import to_text

FORMAT = Format(
    "json",
    "the records, as the published schemas describe them",
    dict.fromkeys(DOCUMENTS, lambda record: to_text(as_json(record))),
)
