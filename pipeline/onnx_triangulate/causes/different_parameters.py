"""One function, other parameters: a random initialization, another epsilon.

The blame says that the frameworks mean the same and were given different numbers.  Which numbers is read off the graphs
where they show: a float attribute of the same operator that differs (epsilon 1e-5 against 1e-3, also where one of them
is written as a constant of its own), or else the constants that normalizing and linear operators use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from onnx import ModelProto

from onnx_triangulate.causes._registry import Cause, Example, Load, first_graph
from onnx_triangulate.onnxgraph.graph import Place, places
from onnx_triangulate.onnxgraph.nodes import array, printable
from onnx_triangulate.records.verdict import Blame, Evidence, Finding

_TENSORFLOW = ("tensorflow:nchw", "tensorflow")
_TORCH = ("torch", "torch:raw", "torch:script")
_PARAMETERS = {
    "BatchNormalization": ("scale", "bias", "mean", "variance"),
    "InstanceNormalization": ("scale", "bias"),
    "LayerNormalization": ("scale", "bias"),
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
}


def _counted(model: ModelProto) -> Iterator[tuple[Place, int]]:
    """Every node, and how many of its operator are before it."""
    seen: Counter[str] = Counter()
    for place in places(model):
        yield place, seen[place.op]
        seen[place.op] += 1


def _settings(model: ModelProto) -> dict[tuple[str, str, int], tuple[str, float]]:
    """(operator, attribute, how many before it) -> (node, value) of the float attributes that set a function."""
    found: dict[tuple[str, str, int], tuple[str, float]] = {}
    for place, count in _counted(model):
        held = {k: v for k, v in place.attributes.items() if isinstance(v, float)}
        if place.op.endswith("Normalization"):
            found[place.op, "epsilon", count] = (place.name, held.get("epsilon", 1e-5))
        elif place.op in ("LeakyRelu", "Elu"):
            default = 0.01 if place.op == "LeakyRelu" else 1.0
            found[place.op, "alpha", count] = (place.name, held.get("alpha", default))
    return found


def _stored(model: ModelProto) -> dict[tuple[str, str, int], tuple[str, np.ndarray]]:
    """The parameters that operators take from constants, by operator, role and count."""
    found: dict[tuple[str, str, int], tuple[str, np.ndarray]] = {}
    for place, count in _counted(model):
        for slot, role in enumerate(_PARAMETERS.get(place.op, ()), 1):
            tensor = place.graph.tensor(place.input(slot))
            values = array(tensor) if tensor is not None else None
            if values is not None:
                found[place.op, role, count] = (place.name, values)
    return found


def _suspect(evidence: Evidence, blamed: Blame, load: Load) -> Finding | None:
    if blamed.blame != "parameters":
        return None
    first, second = first_graph(load, _TENSORFLOW), first_graph(load, _TORCH)
    nodes: list[str] = list(blamed.nodes)
    seen: list[str] = []
    if first is not None and second is not None:
        mine, other = _settings(first[1]), _settings(second[1])
        for key in sorted(mine.keys() & other.keys()):
            if np.float32(mine[key][1]) != np.float32(other[key][1]):
                nodes += [mine[key][0], other[key][0]]
                seen.append(f"{key[1]} of {key[0]} is {mine[key][1]:g} in {first[0]}, {other[key][1]:g} in {second[0]}")
        ours, theirs = _stored(first[1]), _stored(second[1])
        for key in sorted(ours.keys() & theirs.keys()):
            left, right = ours[key][1], theirs[key][1]
            if sorted(left.reshape(-1).tolist()) != sorted(right.reshape(-1).tolist()):
                nodes += [ours[key][0], theirs[key][0]]
                seen.append(f"the {key[1]} of {key[0]} {printable(theirs[key][0])} differs")
    if not nodes:
        for _, model in (g for g in (first, second) if g is not None):
            nodes += [p.name for p in places(model) if p.op in _PARAMETERS]
    detail = "; ".join(seen[:4]) or "the graphs alone do not show which"
    return CAUSE.finding(
        blamed,
        dict.fromkeys(nodes),
        f"the frameworks compute one function with different parameters: {detail}",
        "give both frameworks the same parameters",
    )


def _norm(epsilon: str, scale: str = "1, 1") -> str:
    return f"""(float[2,2,3,3] x) => (float[2,2,3,3] y)
        <float[2] s = {{{scale}}}, float[2] b = {{0, 0}}, float[2] m = {{0, 0}}, float[2] v = {{1, 1}}> {{
        [norm] y = BatchNormalization <epsilon = {epsilon}> (x, s, b, m, v)
    }}"""


_BLAMED = Blame("parameters", "torch", ("tensorflow", "torch"))

CAUSE = Cause(
    name="different-parameters",
    about="The frameworks mean the same function and were given different weights or settings.",
    suspect=_suspect,
    fires=(
        Example(
            "Keras's epsilon",
            _BLAMED,
            {"tensorflow": _norm("0.001"), "torch": _norm("0.00001")},
            message="epsilon of BatchNormalization is 0.001 in tensorflow, 1e-05 in torch",
        ),
        Example(
            "a scale drawn at random",
            _BLAMED,
            {"tensorflow": _norm("0.00001"), "torch": _norm("0.00001", "0.3073, 0.5")},
            message="the scale of BatchNormalization norm differs",
        ),
        Example("nothing to be seen in the graphs", _BLAMED, message="the graphs alone do not show which"),
    ),
    quiet=(
        Example(
            "the frameworks mean different things",
            Blame("semantics", "torch", ("tensorflow", "torch")),
            {"tensorflow": _norm("0.001"), "torch": _norm("0.00001")},
        ),
    ),
)
