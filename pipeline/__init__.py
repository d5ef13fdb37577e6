"""onnx-triangulate: who parted from whom, at which node, why, and what one change removes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.inspection import Inspection

__version__ = "0.1.0"


def inspect(model: Any) -> Inspection:
    """What an ONNX graph holds, and what is remarkable in it: the API of ``triangulate inspect``.

    ``model`` is a file's path or an ``onnx.ModelProto``.  Nothing is run and no framework is imported.  Raises
    :class:`pipeline.data.UnusableInput` where the file is not an ONNX model.
    """
    from pipeline.graph.inspected import inspected, viewed

    return inspected(viewed(model))
