"""Which operators there are: ONNX's own by domain and version, and those that a model brings along as functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import onnx

from onnx_triangulate.facts.view import View
from onnx_triangulate.onnxgraph.bodies import Body
from onnx_triangulate.onnxgraph.nodes import Place, text

NEWEST = onnx.defs.onnx_opset_version()


@cache
def domains() -> frozenset[str]:
    """The domains whose operators this ONNX defines."""
    return frozenset(schema.domain for schema in onnx.defs.get_all_schemas())


def domain(value: str | bytes) -> str:
    """A domain by its one name."""
    name = text(value)
    return "" if name == "ai.onnx" else name


def functions(view: View) -> frozenset[tuple[str, str]]:
    """Domain and name of the model's own functions."""
    return frozenset((domain(f.domain), text(f.name)) for f in view.model.functions)


@cache
def defined(op: str, where: str, version: int | None = None) -> bool:
    """Whether ONNX defines an operator, up to a version or at all."""
    return bool(onnx.defs.has(op, where) if version is None else onnx.defs.has(op, version, where))


@cache
def deprecated(op: str, where: str, version: int) -> bool:
    return defined(op, where, version) and bool(onnx.defs.get_schema(op, version, where).deprecated)


def judged(view: View) -> Iterator[tuple[Body, Place, str, str, int]]:
    """Nodes of ONNX's domains at a version that this ONNX knows: body, place, operator, domain, version."""
    own = functions(view)
    for body in view.bodies:
        for place in body.places:
            where, op = domain(place.node.domain), text(place.node.op_type)
            version = body.opsets.get(where)
            if where not in domains() or version is None or version < 1 or (where, op) in own:
                continue
            if where == "" and version > NEWEST:
                continue
            yield body, place, op, where, version
