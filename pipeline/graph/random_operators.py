"""The operators that draw random numbers: one list, for whoever must not take a draw for a value.

Design note.  A name alone does not say it of Dropout: it drops only in training, which is an attribute before opset 7
and an input from 12 on (between them there is no training).  Where that input is not known here it may be true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import ModelProto, NodeProto

from pipeline.graph.walk import array, attributes, constant_tensor, in_onnx, text

DRAW_FLOATS = frozenset("Bernoulli RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split())
RANDOM = DRAW_FLOATS | {"Multinomial"}
DROPS = frozenset({"Dropout"})


def may_draw(node: NodeProto, version: int | None, constant: Callable[[str], Any]) -> bool:
    """Whether a node may give other numbers at each run; ``constant`` gives an array by name, None where data makes
    it."""
    if not in_onnx(node):
        return False
    op = text(node.op_type)
    if op not in DROPS:
        return op in RANDOM
    if version is not None and version < 12:
        return version < 7 and not attributes(node).get("is_test", 0)
    if len(node.input) < 3 or not node.input[2]:
        return False
    mode = constant(node.input[2])
    ratio = constant(node.input[1]) if node.input[1] else None
    never = ratio is not None and ratio.size == 1 and float(ratio.reshape(-1)[0]) == 0
    return not never and (mode is None or mode.size != 1 or bool(mode.reshape(-1)[0]))


def stored(model: ModelProto) -> Callable[[str], Any]:
    """The arrays that a model's own graph holds, by name, for :func:`may_draw`."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    held |= {n.output[0]: t for n in model.graph.node if n.output and (t := constant_tensor(n)) is not None}
    return lambda name: array(held[name]) if name in held else None
