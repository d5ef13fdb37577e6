"""onnx-triangulate: who parted from whom, at which node, why, and what one change removes it.

What users write is here: the records of a case file (:class:`Case`, :class:`Tensor`, …) and the three products as
functions (:func:`verify`, :func:`compare`, :func:`inspect`).  Names are looked up when they are asked for, so that a
case file costs no import of ONNX and a worker none of the command line.
"""

from __future__ import annotations

import os
import sys

from onnx_triangulate.version import __version__

TYPE_CHECKING = False  # `typing` is a module that could lie in the current folder
if TYPE_CHECKING:
    from typing import Any

    from onnx_triangulate.comparison.run import compare_files as compare
    from onnx_triangulate.inspection.run import inspect
    from onnx_triangulate.records.arrays import Array
    from onnx_triangulate.records.case import Absent, Builder, Case, Each, Expected, Gradient, Rounded, Tensor, Truth
    from onnx_triangulate.records.errors import MissingEngine, UnusableInput
    from onnx_triangulate.verification.verify import verify

__all__ = [
    "Absent",
    "Array",
    "Builder",
    "Case",
    "Each",
    "Expected",
    "Gradient",
    "MissingEngine",
    "Rounded",
    "Tensor",
    "Truth",
    "UnusableInput",
    "__version__",
    "compare",
    "inspect",
    "verify",
]

_RECORDS = "onnx_triangulate.records.case"
_ERRORS = "onnx_triangulate.records.errors"
_PUBLIC = {
    **dict.fromkeys(
        ("Absent", "Builder", "Case", "Each", "Expected", "Gradient", "Rounded", "Tensor", "Truth"), _RECORDS
    ),
    **dict.fromkeys(("MissingEngine", "UnusableInput"), _ERRORS),
    "compare": "onnx_triangulate.comparison.run:compare_files",
    "Array": "onnx_triangulate.records.arrays",
    "inspect": "onnx_triangulate.inspection.run",
    "verify": "onnx_triangulate.verification.verify",
}

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m onnx_triangulate` puts the current folder, where the user's files lie, before the standard library.
    # The package itself is found by now; workers are to find it, too, where it is not installed.
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


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, other = _PUBLIC[name].partition(":")
    return getattr(import_module(module), other or name)
