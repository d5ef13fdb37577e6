"""Framework adapters, one file each; the only files that import a framework, and they do so inside functions.

A file whose name does not begin with an underscore is an adapter and holds one instance named ``FRAMEWORK``; so does
the module of an entry point ``onnx_triangulate.frameworks``, whose name is the framework's.
"""

from __future__ import annotations

import importlib

from onnx_triangulate.cases.catalogue import frameworks
from onnx_triangulate.engines.protocols import Framework
from onnx_triangulate.records import plugins


def adapter(name: str) -> Framework:
    """A framework's adapter.  Raises :class:`KeyError` for an unknown one, ``BrokenPlugin`` for a broken one."""
    if name not in frameworks():
        raise KeyError(name)
    theirs = [entry for entry in plugins.declared("frameworks") if entry.name == name]
    module = plugins.load(theirs[0]) if theirs else importlib.import_module(f"{__name__}.{name}")
    found = plugins.collect("frameworks", [module], "FRAMEWORK", Framework)  # type: ignore[type-abstract]
    if name not in found:
        raise plugins.BrokenPlugin(f"{module.__name__}: expected a FRAMEWORK named {name!r}, found {', '.join(found)}")
    return found[name]


def adapters() -> dict[str, Framework]:
    """Every adapter by name."""
    return {name: adapter(name) for name in frameworks()}
