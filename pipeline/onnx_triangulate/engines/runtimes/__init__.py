"""Runtime adapters, one file each; the only files that import a runtime, and they do so inside functions.

A file whose name does not begin with an underscore holds a tuple ``RUNTIMES``.  Each runtime says which one it comes
after and what the edge between the two isolates, so a new file brings its own edges.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from onnx_triangulate.engines.protocols import Runtime


@cache
def runtimes() -> dict[str, Runtime]:
    """Every runtime by name, each after the one it is held against.

    Raises :class:`TypeError` where a name is given twice, an ``after`` names nobody, or there is no runtime at all.
    """
    found: dict[str, Runtime] = {}
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        for runtime in importlib.import_module(f"onnx_triangulate.engines.runtimes.{file.stem}").RUNTIMES:
            if runtime.name in found:
                raise TypeError(f"two runtimes are named {runtime.name!r}; give {file.name}'s another name")
            found[runtime.name] = runtime
    if not found:
        raise TypeError("pipeline/onnx_triangulate/engines/runtimes holds no runtime")
    ordered: dict[str, Runtime] = {}
    while len(ordered) < len(found):
        ready = [r for n, r in found.items() if n not in ordered and (not r.after or r.after in ordered)]
        if not ready:
            raise TypeError(f"runtimes {sorted(set(found) - set(ordered))} come after something that does not exist")
        ordered |= {runtime.name: runtime for runtime in ready}
    return ordered
