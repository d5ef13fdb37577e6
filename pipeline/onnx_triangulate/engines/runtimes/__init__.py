"""Runtime adapters, one file each; the only files that import a runtime, and they do so inside functions.

A file whose name does not begin with an underscore holds a tuple ``RUNTIMES``.  Each runtime says which one it comes
after and what the edge between the two isolates, so a new file brings its own edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.records import plugins


@cache
def runtimes() -> dict[str, Runtime]:
    """Every runtime by name, each after the one it is held against.

    Raises ``BrokenPlugin`` where a name is given twice, an ``after`` names nobody, or there is no runtime at all.
    """
    modules = plugins.modules("runtimes", __name__)
    found = plugins.collect("runtimes", modules, "RUNTIMES", Runtime)  # type: ignore[type-abstract]
    ordered: dict[str, Runtime] = {}
    while len(ordered) < len(found):
        ready = [r for n, r in found.items() if n not in ordered and (not r.after or r.after in ordered)]
        if not ready:
            raise plugins.BrokenPlugin(
                f"runtimes {sorted(set(found) - set(ordered))} come after something that does not exist"
            )
        ordered |= {runtime.name: runtime for runtime in ready}
    return ordered


def chain(known: Mapping[str, Runtime], name: str) -> list[str]:
    """A runtime of those that are ``known`` and all that it comes after, itself first."""
    found: list[str] = []
    while name in known:
        found.append(name)
        name = known[name].after
    return found
