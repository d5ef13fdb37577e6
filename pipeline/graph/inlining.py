"""A model with its local functions in place of their calls.

Design note.  Functions may call one another so that few lines stand for more nodes than fit anywhere: the size is
counted first, without building anything.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx.inliner
from onnx import ModelProto, NodeProto

from pipeline.graph.walk import subgraphs, text

_MOST_INLINED = 50_000


def _inlined_size(model: ModelProto) -> int | None:
    """How many nodes the model would have with its functions in place; None where they call one another in a circle.

    Nodes in subgraphs count as well, and what they call.
    """
    bodies = {(text(f.domain), text(f.name)): f for f in model.functions}
    calls = {key: _called(function.node) for key, function in bodies.items()}
    sizes: dict[tuple[str, str], int] = {}
    for first in bodies:
        stack, open_ = [first], set()
        while stack:
            key = stack[-1]
            missing = [c for c in calls[key] if c in bodies and c not in sizes]
            if not missing:
                sizes[key] = sum(sizes.get(c, 1) for c in calls[key])
                stack.pop()
                open_.discard(key)
                continue
            open_.add(key)
            if missing[0] in open_:
                return None
            stack.append(missing[0])
    return sum(sizes.get(c, 1) for c in _called(model.graph.node))


def _called(nodes: Iterable[NodeProto]) -> list[tuple[str, str]]:
    found = []
    waiting = [nodes]
    while waiting:
        for node in waiting.pop():
            found.append((text(node.domain), text(node.op_type)))
            waiting += [graph.node for _, graph in subgraphs(node)]
    return found


def inlined_model(model: ModelProto) -> ModelProto | None:
    """The model with its functions in place of their calls; None where that is too much or does not go."""
    size = _inlined_size(model)
    if size is None or size > _MOST_INLINED:
        return None
    try:
        made: ModelProto = onnx.inliner.inline_local_functions(_with_defaults(model))
    except Exception:  # it fails in many ways on files that somebody else wrote
        return None
    return made


def _with_defaults(model: ModelProto) -> ModelProto:
    """The calls of functions with the defaults of their attributes written out: the inliner forgets them."""
    defaults = {(text(f.domain), text(f.name)): f.attribute_proto for f in model.functions if f.attribute_proto}
    if not defaults:
        return model
    made = ModelProto()
    made.CopyFrom(model)
    waiting = [made.graph.node, *(f.node for f in made.functions)]
    while waiting:
        for node in waiting.pop():
            given = {a.name for a in node.attribute}
            declared = defaults.get((text(node.domain), text(node.op_type)), ())
            node.attribute.extend(a for a in declared if a.name not in given)
            waiting += [graph.node for _, graph in subgraphs(node)]
    return made
