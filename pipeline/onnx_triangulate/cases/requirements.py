"""Requirements such as ``tf2onnx<1.18``, on which an expectation may depend."""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from onnx_triangulate.records.errors import UnusableInput

DATED = ("torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "onnxruntime", "numpy")


def parsed(requirement: str, where: str) -> Requirement:
    """A ``when`` as a requirement: a name and versions.  Raises :class:`UnusableInput` where it is none."""
    says = f"{where}: when={requirement!r} is no requirement; expected such as 'tf2onnx<1.18'"
    try:
        read = Requirement(requirement)
    except (InvalidRequirement, TypeError) as error:
        raise UnusableInput(says) from error
    if canonicalize_name(read.name) not in {canonicalize_name(name) for name in DATED} and not version_of(read.name):
        raise UnusableInput(f"{where}: when={requirement!r} names nothing that takes part; expected {', '.join(DATED)}")
    if not read.specifier or read.marker or read.url or read.extras:
        raise UnusableInput(says)
    return read


def version_of(distribution: str) -> str | None:
    """The version of a distribution that is installed; nothing is imported to find out."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
