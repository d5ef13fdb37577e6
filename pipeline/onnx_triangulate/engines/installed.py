"""Which engines are installed, and in which versions; nothing is imported to find out."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_triangulate.cases.requirements import version_of
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.records.errors import MissingEngine, UnusableInput
from onnx_triangulate.version import __version__

REPORTED = ("numpy", "torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "onnxruntime")


def installed() -> dict[str, str | None]:
    """The versions of what takes part, without importing any of it."""
    versions: dict[str, str | None] = {"onnx-triangulate": __version__}
    for name in REPORTED:
        versions[name] = version_of(name)
    versions["tensorflow"] = versions["tensorflow"] or version_of("tensorflow-cpu")
    return versions


def absent_engines(require: Sequence[str] = ()) -> tuple[str, ...]:
    """The engines that are not installed.

    Raises ``MissingEngine`` where a required one is not, ``UnusableInput``
    where a required name is no engine.
    """
    needs: dict[str, Sequence[str | tuple[str, ...]]] = {name: f.distributions for name, f in adapters().items()}
    needs |= {runtime.distribution: (runtime.distribution,) for runtime in runtimes().values()}
    for name in require:
        if name not in needs:
            raise UnusableInput(f"--require {name}: no such engine; known are {', '.join(sorted(needs))}")
    missing = {name: lacking for name, wanted in needs.items() if (lacking := _lacking(wanted))}
    for name in require:
        if name in missing:
            raise MissingEngine(f"{name} is required and {missing[name]} is not installed: pip install {missing[name]}")
    return tuple(sorted(missing))


def _lacking(wanted: Sequence[str | tuple[str, ...]]) -> str | None:
    for choice in wanted:
        names = (choice,) if isinstance(choice, str) else choice
        if not any(version_of(name) for name in names):
            return names[-1]
    return None
