"""onnx-triangulate: who parted from whom, at which node, why, and what one change removes it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` is a module that could lie in the current folder
if TYPE_CHECKING:
    from typing import Any

    from pipeline.inspection import Inspection

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m pipeline` puts the current folder, where the user's files lie, before the standard library.  The
    # package itself is found by now; workers are to find it, too, where it is not installed.
    _here = sys.path.pop(0)
    if _here not in sys.path and os.path.dirname(os.path.dirname(os.path.abspath(__file__))) == _here:
        sys.path.append(_here)

if sys.argv[:1] == ["-m"] or os.path.basename(sys.argv[0] if sys.argv else "") in ("triangulate", "triangulate.exe"):
    import signal

    def _interrupted(number: int, frame: object) -> None:
        """An interrupt while modules are read, before the command can say anything itself."""
        os.write(2, b"triangulate: interrupted\n")
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)

__version__ = "0.1.0"


def inspect(model: Any) -> Inspection:
    """What an ONNX graph holds, and what is remarkable in it: the API of ``triangulate inspect``.

    ``model`` is a file's path or an ``onnx.ModelProto``.  Nothing is run and no framework is imported.  Raises
    :class:`pipeline.data.UnusableInput` where the file is not an ONNX model.
    """
    from pipeline.graph.inspected import inspected, viewed

    return inspected(viewed(model))
