"""What an optimizer rewrote: the nodes of one version of a graph that the other version lacks, in connected regions.

A node is the same in both versions where its operator, its attributes and the names of its inputs and outputs are.  All
others were rewritten.  A value that both versions make ends a region.  Nodes that make the same value, or that pass on
a value which the other version lacks, are in one region: a fused node and the nodes that it replaces.  Nodes are named
as in the exported graph, by the values that they make, because a runtime renames them when it saves what it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from onnx_triangulate.onnxgraph.nodes import in_onnx, node_name, operator


@dataclass(frozen=True)
class Region:
    """Nodes that were replaced, by name and operator, what stands in their place, and the values that are gone."""

    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    into: tuple[str, ...]
    inner: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """How many nodes a graph has, and how many of them are of the runtime's own making, by operator."""

    nodes: int
    own: Mapping[str, int]


def regions(exported: ModelProto, before: ModelProto, after: ModelProto) -> tuple[Region, ...]:
    """The regions of ``before`` that are otherwise in ``after``, in the order of the exported graph."""
    made_by = {o: (i, node_name(n, i)) for i, n in enumerate(exported.graph.node) for o in n.output if o}
    contents = [{_content(node): node for node in side.graph.node} for side in (before, after)]
    kept = contents[0].keys() & contents[1].keys()
    gone, new = ([node for node in side.graph.node if _content(node) not in kept] for side in (before, after))
    both = _outputs(gone) & _outputs(new)
    staying = _outputs(after.graph.node) | {value.name for value in (*after.graph.initializer, *after.graph.output)}
    found = []
    for members in _together([*gone, *new], both):
        old = [gone[i] for i in members if i < len(gone)]
        fresh = [new[i - len(gone)] for i in members if i >= len(gone)]
        if old:
            place = min(made_by.get(o, (len(made_by), ""))[0] for node in old for o in node.output)
            found.append((place, _region(old, fresh, made_by, staying)))
    return tuple(region for _, region in sorted(found, key=lambda each: each[0]))


def _outputs(nodes: Iterable[NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.output if name}


def _region(
    old: Sequence[NodeProto],
    fresh: Sequence[NodeProto],
    made_by: Mapping[str, tuple[int, str]],
    staying: Collection[str],
) -> Region:
    """Nodes that are gone and those in their place."""
    names = {_named(node, made_by): operator(node) for node in old}
    inner = [o for node in old for o in node.output if o and o not in staying and o in made_by]
    return Region(tuple(names), tuple(names.values()), tuple(operator(n) for n in fresh), tuple(inner))


def counted(model: ModelProto) -> Counted:
    """The nodes of a graph, and those of operators that are not ONNX's."""
    own = Counter(operator(node) for node in model.graph.node if not in_onnx(node))
    return Counted(len(model.graph.node), dict(own))


def _content(node: NodeProto) -> tuple[object, ...]:
    attributes = tuple(sorted(a.SerializeToString(deterministic=True) for a in node.attribute))
    return node.domain, node.op_type, tuple(node.input), tuple(node.output), attributes


def _named(node: NodeProto, made_by: Mapping[str, tuple[int, str]]) -> str:
    return next((made_by[o][1] for o in node.output if o in made_by), node.name or node.op_type)


def _together(nodes: Sequence[NodeProto], both: Collection[str]) -> list[list[int]]:
    """The nodes, by place, that make the same value, or pass on one that is not in ``both`` versions."""
    made = _outputs(nodes)
    groups: list[tuple[list[int], set[str]]] = []
    for place, node in enumerate(nodes):
        members, names = [place], {name for name in node.output if name} | (made.intersection(node.input) - set(both))
        for group in [group for group in groups if not names.isdisjoint(group[1])]:
            groups.remove(group)
            members, names = group[0] + members, names | group[1]
        groups.append((members, names))
    return sorted(sorted(members) for members, _ in groups)
