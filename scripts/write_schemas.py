"""Writes the published JSON Schemas from the declarations of ``report.documents``; a test holds them to be the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))

from onnx_triangulate.report.documents import DOCUMENTS

FOLDER = Path(__file__).parents[1] / "pipeline" / "onnx_triangulate" / "report" / "schema"


def schemas() -> dict[str, str]:
    """The text of each schema by the name of its file."""
    return {
        f"{document.name.replace('/', '-')}.schema.json": json.dumps(document.schema(), indent=2) + "\n"
        for document in DOCUMENTS.values()
    }


if __name__ == "__main__":
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
