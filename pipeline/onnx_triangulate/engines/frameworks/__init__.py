"""Framework adapters, one file each; the only files that import a framework, and they do so inside functions.

A file whose name does not begin with an underscore is an adapter and holds one instance named ``FRAMEWORK``.
"""

from __future__ import annotations

import importlib

from onnx_triangulate.cases.catalogue import FRAMEWORKS
from onnx_triangulate.engines.protocols import Framework


def adapter(name: str) -> Framework:
    """A framework's adapter.  Raises :class:`KeyError` for an unknown one, :class:`TypeError` for a broken file."""
    if name not in FRAMEWORKS:
        raise KeyError(name)
    framework: Framework | None = getattr(
        importlib.import_module(f"onnx_triangulate.engines.frameworks.{name}"), "FRAMEWORK", None
    )
    if framework is None or framework.name != name:
        raise TypeError(f"pipeline/onnx_triangulate/engines/frameworks/{name}.py holds no FRAMEWORK named {name!r}")
    return framework


def adapters() -> dict[str, Framework]:
    """Every adapter by name."""
    if not FRAMEWORKS:
        raise TypeError("pipeline/onnx_triangulate/engines/frameworks holds no adapter")
    return {name: adapter(name) for name in FRAMEWORKS}
